"""What a config file may be at all: plain YAML of a size, with values that somebody can mean."""

import math
import re
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError
from workflow import plain

MAX_BYTES = 100_000
MAX_VALUES = 10_000
"""Far more than any experiment needs, and far less than what nested YAML aliases can unfold to."""
RUNS_IN_A_PAGE = re.compile(r"<(!--|/?script)", re.IGNORECASE)
"""Snakemake writes the parameters of jobs, such as the names of folders, into a script of its report."""
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029]")
"""What YAML makes of the escapes of a regular expression, such as ``"\\b"``, in double quotes."""


def check_file(path: str | Path) -> None:
    """Refuse a config file that is no mapping in plain YAML, or is too large; before anyone else reads it."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)  # no more, since a device has no end
        if len(text) > MAX_BYTES:
            raise ConfigError("more", file=path, expected=f"at most {MAX_BYTES} bytes")
        content = yaml.load(text.decode(), plain.Loader)
    except FileNotFoundError:
        raise ConfigError("no such file", file=path, expected="a config file") from None
    except OSError as error:
        raise ConfigError(f"{error.strerror}", file=path, expected="a config file") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(
            f"{error.problem}{line}", file=path, expected="plain YAML", remedy=error.note or ""
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # such as a thirteenth month
        raise ConfigError(f"{error}", file=path, expected="plain YAML") from None
    except RecursionError:
        raise ConfigError("thousands of nested brackets", file=path, expected="plain YAML") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{type(content).__name__}", file=path, expected="keys at the top level")
    if "__use_yte__" in content:  # Snakemake would run the Python inside such a file
        raise ConfigError("the key __use_yte__", file=path, expected="plain YAML", remedy="remove it")
    count(content, path)


def count(config: Any, file: str | Path) -> None:
    """Refuse more values than MAX_VALUES, with aliases counted each time, and values that nobody can mean."""
    pending, seen = deque([config]), 0
    while pending:
        value = pending.popleft()
        seen += 1
        if seen > MAX_VALUES:
            raise ConfigError(f"over {MAX_VALUES} values", file=file, remedy="leave out nested YAML aliases")
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    raise ConfigError(f"the key {key}, which is no text", file=file, remedy=plain.QUOTES)
            pending.extend([*value, *value.values()])
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(str(value), file=file, expected="finite numbers")
        elif isinstance(value, str) and (found := RUNS_IN_A_PAGE.search(value)):
            expected = "text that may stand in the page of the report"
            raise ConfigError(f"{found[0]} in {value!r}", file=file, expected=expected, remedy="rename it")
        elif isinstance(value, str) and (found := CONTROL.search(value)):
            remedy = "write a regular expression in single quotes, in which a backslash stays what it is"
            raise ConfigError(f"{found[0]!r} in {value!r}", file=file, expected="plain text", remedy=remedy)
