"""The candidates of a grid search: every combination of the values in ``search: {grid: …}`` of the config."""

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

Settings = dict[str, Any]
"""Of one candidate: a value for each key of the grid, such as ``training.learning_rate``."""


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


def _fill(tree: dict[str, Any], settings: Mapping[str, Any], method: str) -> None:
    for key, value in settings.items():
        steps = ["hyperparameters", method, *key.split(".")]
        part = tree
        for name in steps[:-1]:
            part = part.setdefault(name, {})
        part[steps[-1]] = copy.deepcopy(value)
