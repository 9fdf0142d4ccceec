"""A grid search in the config: whether each of its candidates is a config, too."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from model.search.grid import nested
from model.training.methods import METHODS
from pipeline.errors import ConfigError
from workflow import variants
from workflow.config.agreement import contradictions
from workflow.config.messages import error, nearest
from workflow.config.methods import Hyperparameters
from workflow.config.typed import filled
from workflow.config.types import Section
from workflow.plain import spell

MAX_CANDIDATES = 1_000
"""Of a grid search: each is checked whenever the config is read."""


def check(config: dict[str, Any]) -> None:
    """Give the values of the grid their types, and check each candidate as if it stood in the config.

    Raises ConfigError.
    """
    method, grid, skip = (config["search"][key] for key in ("method", "grid", "skip"))
    if method not in (trained := METHODS.keys() & Hyperparameters.model_fields):
        raise error(["search", "method"], spell(method), expected="a method", remedy=nearest(method, trained))
    if not grid:
        raise error(["search", "grid"], "nothing", expected=f"values for keys of {method}")
    if (count := math.prod(map(len, grid.values()))) > MAX_CANDIDATES:
        raise error(["search", "grid"], f"{count} candidates", expected=f"at most {MAX_CANDIDATES}")
    known = set(_leaves(Hyperparameters.model_fields[method].annotation))
    for key, values in grid.items():
        if key not in known:
            raise error(["search", "grid", key], "an unknown key", remedy=nearest(key, known))
        if key.rsplit(".", 1)[-1] in _overruled(config["comparison"]):
            remedy = "search share or target_samples instead, or set comparison/target_samples to null"
            expected = "one that target_samples leaves"
            raise error(["search", "grid", key], "a key without effect", expected=expected, remedy=remedy)
        for number, value in enumerate(values):
            values[number] = _typed(config, key, value, number)
            if values[number] in values[:number]:
                found = f"{spell(values[number])} twice"
                raise error(["search", "grid", key], found, expected="each value once")
    if skip and (max(skip) >= count or len(skip) == count):
        remedy = f"candidates are numbered from 0 to {count - 1}"
        raise error(["search", "skip"], spell(skip), expected="some of them", remedy=remedy)
    for number, candidate in enumerate(variants.of_search(config).values()):
        for problem in contradictions(filled(candidate.settings(config))):
            problem.file = f"search/grid candidate {number}: {problem.file}"
            raise problem


def _leaves(model: Any) -> Iterator[str]:
    """The settings of a method, as ``step.key`` where it has steps."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from (f"{name}.{key}" for key in kind.model_fields)
        else:
            yield name


def _overruled(comparison: Mapping[str, Any]) -> set[str]:
    """Keys of a step that equal target samples set for all methods."""
    if comparison["target_samples"] is None:
        return set()
    return {"epochs", "batches", *({"batch_size"} if comparison["batch_size"] else ())}


def _typed(config: Mapping[str, Any], key: str, value: Any, number: int) -> Any:
    """A value of the grid as it would stand in the config."""
    method = config["search"]["method"]
    try:
        found = filled(variants.Variant("", method, nested({key: value}, method)).settings(config))
    except ConfigError as problem:
        path = "/".join(["hyperparameters", method, *key.split(".")])
        for each in problem.each:
            each.file = each.file.replace(path, f"search/grid/{key}/{number}", 1)
        raise
    part = found["hyperparameters"][method]
    for name in key.split("."):
        part = part[name]
    return part
