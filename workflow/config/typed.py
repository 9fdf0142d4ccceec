"""A config with its types checked and its defaults filled in."""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from workflow import plain
from workflow.config.experiment import Config
from workflow.config.messages import together, translated

NUMBER_WITHOUT_POINT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")


def filled(config: Mapping[str, Any]) -> dict[str, Any]:
    """All keys of a config, those that it leaves out with their defaults.

    Snakemake hands on whatever is inside a list or mapping of ``--config`` as text, and YAML reads 5e-7,
    which has no point, as text. So text that does not fit counts as what it stands for: a number, a truth
    value or null; and so does 1e4, where a whole number is wanted. Raises ConfigError.
    """
    values = copy.deepcopy(dict(config))
    problems = _problems(values)
    while any([_read(values, problem) for problem in problems]):  # noqa: C419  (all of them)
        problems = _problems(values)
    if problems:
        problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
        raise together([translated(problem, values) for problem in problems])
    found = Config.model_validate(values).model_dump(warnings="none")  # of whole numbers among fractions
    return {key: value for key, value in found.items() if key != "phantom" or value is not None}


def _problems(values: Mapping[str, Any]) -> list[ErrorDetails]:
    try:
        Config.model_validate(values)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _read(values: Any, problem: ErrorDetails) -> bool:
    """Put what a value that does not fit stands for into its place; whether it stands for anything else."""
    value, kind = problem["input"], problem["type"]
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        meant: Any = int(value)  # 1e4
    else:
        meant = value if kind.startswith("string_") else _meant(value)
    if meant is value or problem["loc"][-1] == "[key]":
        return False
    parent, key = _place(values, problem["loc"])
    parent[key] = meant
    return True


def _place(values: Any, place: Sequence[int | str]) -> tuple[Any, int | str]:
    """The innermost list or mapping on the way to a place, and the key there; alternatives have none."""
    found: tuple[Any, int | str] = values, ""
    for step in place:
        if step in values if isinstance(values, dict) else isinstance(values, list):
            found = values, step
            values = values[step]
    return found


def _meant(value: Any) -> Any:
    if not isinstance(value, str) or plain.REWRITTEN.fullmatch(value):
        return value  # 010 is 8 to YAML
    try:
        meant = float(value) if NUMBER_WITHOUT_POINT.fullmatch(value) else yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        return value
    return meant if meant is None or isinstance(meant, bool | int | float) else value
