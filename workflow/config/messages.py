"""What is wrong with a config, in one line: which key, what was expected, and the nearest that exists."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from pipeline.errors import ConfigError, SeveralConfigError
from workflow.config import schema
from workflow.config.collections import KINDS
from workflow.plain import QUOTES, spell

MOST = 80
"""Characters of a value that are repeated."""


def error(key: Iterable[Any], found: str, *, expected: str = "", remedy: str = "") -> ConfigError:
    """That the value below the path ``key`` does not fit."""
    return ConfigError(found, file="/".join(map(str, key)) or "config", expected=expected, remedy=remedy)


def together(problems: Sequence[ConfigError]) -> ConfigError:
    """One error of one or several."""
    return problems[0] if len(problems) == 1 else SeveralConfigError(problems)


def nearest(word: str, words: Iterable[str]) -> str:
    """A remedy that names the word most like ``word``, or all of them.

    >>> nearest("candidate", ["candidates", "views"])
    'did you mean candidates?'
    """
    words = sorted(map(str, words))
    close = difflib.get_close_matches(str(word), words, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(words)}"


def translated(problem: ErrorDetails, config: Mapping[str, Any]) -> ConfigError:
    """A finding of pydantic in the words of a user."""
    value, kind, place = problem["input"], problem["type"], problem["loc"]
    is_key = place[-1] == "[key]"
    path, part = schema.at(place[:-2] if is_key else place, config)
    if kind == "extra_forbidden":
        _, parent = schema.at(place[:-1], config)
        return error(path, "an unknown key", remedy=nearest(str(path[-1]), parent["properties"]))
    if kind == "missing":
        return error(path, "nothing", expected="a value")
    if kind == "union_tag_not_found" and isinstance(value, dict):
        return error([*path, "kind"], "nothing", expected="a value")
    if kind == "union_tag_invalid":
        path, value = [*path, "kind"], value["kind"]
        part = {"enum": list(KINDS)}
    if is_key:
        part = schema.resolve(part["propertyNames"])
        if "enum" in part:
            return error([*path, value], "an unknown name", remedy=nearest(value, part["enum"]))
    remedy = part.get("description", "")
    if isinstance(value, str) and "enum" in part:
        remedy = nearest(value, filter(None, part["enum"]))
    elif kind == "string_type" and isinstance(value, bool | int | float):
        remedy = f"{QUOTES}. {remedy}"
    found, expected = spell(value), schema.describe(part)
    found = found if len(found) < MOST else f"{found[: MOST - 3]}…"
    return error(
        path, found, expected=f"{expected}, each once" if kind == "twice" else expected, remedy=remedy
    )
