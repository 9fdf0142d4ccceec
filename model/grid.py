"""The candidates of a grid search: every combination of the values in ``search: {grid: …}`` of the config."""

import copy
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import ConfigError

Settings = dict[str, Any]
"""Of one candidate: a value for each key of the grid, such as ``training.learning_rate``."""
CANDIDATE = re.compile(r"search/(?P<method>[^/]+)/candidate(?P<number>\d+)")


def candidates(grid: Mapping[str, Sequence[Any]]) -> list[Settings]:
    """All combinations, numbered by their place: the first key changes slowest, the last one fastest.

    So a value appended to the list of the first key leaves the numbers of the former candidates alone.

    >>> candidates({"a": [1, 2], "b": [3, 4]})[1]
    {'a': 1, 'b': 4}
    """
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def nested(settings: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Settings as they stand in a config file.

    >>> nested({"training.dropout": 0.1}, "typhon")
    {'hyperparameters': {'typhon': {'training': {'dropout': 0.1}}}}
    """
    tree: dict[str, Any] = {}
    _fill(tree, settings, method)
    return tree


def candidate_config(config: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The config of candidate ``number``: its settings in ``hyperparameters``, and no search.

    Raises IndexError if there is no such candidate.
    """
    search = config["search"]
    filled = copy.deepcopy({key: value for key, value in config.items() if key != "search"})
    _fill(filled, candidates(search["grid"])[number], search["method"])
    return filled


def split_name(method: str) -> tuple[str, int | None]:
    """The method and the number of a candidate; the number is None for a method itself.

    >>> split_name("search/typhon/candidate3"), split_name("typhon")
    (('typhon', 3), ('typhon', None))
    """
    found = CANDIDATE.fullmatch(method)
    return (found["method"], int(found["number"])) if found else (method, None)


def shares_start(usual: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a candidate's phases may start from the network that the method's usual phases start from.

    They may if random networks are scored on the same data sets, and some phase is there to train them: a
    method without phases is nothing but its bootstrap.
    """

    def scored(phases: Sequence[Mapping[str, Any]]) -> tuple[list[str], set[str]]:
        return list(phases[0]["datasets"]), {name for phase in phases for name in phase["datasets"]}

    return bool(usual and own) and scored(usual) == scored(own)


def check_candidate(search: Mapping[str, Any], method: str, number: int = 0) -> None:
    """Raise ConfigError where the section ``search`` of the config has no such candidate."""
    if search["method"] != method:
        found, remedy = search["method"] or "nothing", "name a method and a grid under search"
        raise ConfigError(found, file="search/method", expected=method, remedy=remedy)
    last = len(candidates(search["grid"])) - 1
    if number > last:
        raise ConfigError(f"{number}", file="search/grid", expected=f"a candidate from 0 to {last}")


def _fill(tree: dict[str, Any], settings: Mapping[str, Any], method: str) -> None:
    for key, value in settings.items():
        steps = ["hyperparameters", method, *key.split(".")]
        part = tree
        for name in steps[:-1]:
            part = part.setdefault(name, {})
        part[steps[-1]] = copy.deepcopy(value)
