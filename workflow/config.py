"""Check a configuration, fill in defaults, and say in one line what is wrong with it."""

import copy
import difflib
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from model.baselines import BASELINES
from model.grid import candidate_config
from model.methods import METHODS, phases
from pipeline.errors import ConfigError
from pipeline.labels import word
from pipeline.provenance import ROOT
from workflow import beside, plain, schema

MAX_BYTES = 100_000
MAX_VALUES = 10_000
"""Far more than any experiment needs, and far less than what nested YAML aliases can unfold to."""
MAX_CANDIDATES = 1_000
"""Of a grid search: each is checked whenever the config is read."""
RUNS_IN_A_PAGE = re.compile(r"<(!--|/?script)", re.IGNORECASE)
"""Snakemake writes the parameters of jobs, such as the names of folders, into a script of its report."""
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029]")
"""What YAML makes of the escapes of a regular expression, such as ``"\\b"``, in double quotes."""
NUMBER_WITHOUT_POINT = r"[-+]?[0-9]+[eE][-+]?[0-9]+"


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
    _count(content, path)


def checked(config: dict[str, Any]) -> dict[str, Any]:
    """Fill the defaults into ``config`` in place and return it.

    Raises ConfigError, with the path of the key and, for an unknown one, the nearest that exists.
    """
    _count(config, "config")
    errors = list(_Filling(schema.load()).iter_errors(config))
    if errors:
        raise _translated(min(errors, key=lambda error: error.validator != "additionalProperties"))
    for problem in _contradictions(config):
        raise problem
    if config["search"]["method"] or config["search"]["grid"]:
        _check_search(config)
    return config


def nearest(word: str, words: Iterable[str]) -> str:
    """A remedy that names the word most like ``word``, or all of them.

    >>> nearest("candidate", ["candidates", "views"])
    'did you mean candidates?'
    """
    words = sorted(map(str, words))
    close = difflib.get_close_matches(str(word), words, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(words)}"


def _count(config: Any, file: str | Path) -> None:
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


def _typed(value: Any, part: Mapping[str, Any]) -> Any:
    """What a text stands for, where the schema wants no text: a number, a truth value or null.

    Snakemake hands on whatever is inside a list or mapping of ``--config`` as text, and YAML reads 5e-7,
    which has no point, as text.
    """
    part = schema.resolve(part)
    if not isinstance(value, str) or "string" in part.get("type", ()) or value in part.get("enum", ()):
        return value
    if plain.REWRITTEN.fullmatch(value):
        return value  # 010 is 8 to YAML
    try:
        meant = float(value) if re.fullmatch(NUMBER_WITHOUT_POINT, value) else yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return value if isinstance(meant, list | dict) else meant


def _properties(
    validator: Any, properties: Mapping[str, Any], instance: Any, part: Any
) -> Iterator[ValidationError]:
    """Validate properties, having set what is absent to its default."""
    if isinstance(instance, dict):
        for name, child in properties.items():
            full = schema.resolve(child)
            if "default" in full:
                instance.setdefault(name, copy.deepcopy(full["default"]))
            if name in instance:
                instance[name] = _typed(instance[name], child)
    yield from Draft202012Validator.VALIDATORS["properties"](validator, properties, instance, part)


def _additional(validator: Any, child: Any, instance: Any, part: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict) and isinstance(child, dict):
        instance.update({name: _typed(value, child) for name, value in instance.items()})
    yield from Draft202012Validator.VALIDATORS["additionalProperties"](validator, child, instance, part)


def _items(validator: Any, child: Any, instance: Any, part: Any) -> Iterator[ValidationError]:
    if isinstance(instance, list):
        instance[:] = [_typed(value, child) for value in instance]
    yield from Draft202012Validator.VALIDATORS["items"](validator, child, instance, part)


_Filling = extend(
    Draft202012Validator,
    {"properties": _properties, "additionalProperties": _additional, "items": _items},
)


def _error(key: Iterable[Any], found: str, *, expected: str = "", remedy: str = "") -> ConfigError:
    return ConfigError(found, file="/".join(map(str, key)) or "config", expected=expected, remedy=remedy)


def _translated(error: ValidationError) -> ConfigError:
    """The finding of the schema in the words of a user."""
    part: Any = error.schema
    path = list(error.absolute_path)
    if error.validator == "additionalProperties":
        unknown = next(name for name in error.instance if name not in part["properties"])
        return _error([*path, unknown], "an unknown key", remedy=nearest(unknown, part["properties"]))
    if "propertyNames" in error.absolute_schema_path and error.validator == "enum":
        return _error(
            [*path, error.instance], "an unknown name", remedy=nearest(error.instance, part["enum"])
        )
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return _error([*path, missing], "nothing", expected="a value")
    remedy = schema.resolve(part).get("description", "")
    if isinstance(error.instance, str) and error.validator == "enum":
        remedy = nearest(error.instance, error.validator_value)
    elif error.validator == "type" and "string" in error.validator_value and _is_unquoted(error.instance):
        remedy = f"{plain.QUOTES}. {remedy}"
    found = schema.spell(error.instance)
    found = found if len(found) < 80 else f"{found[:77]}…"
    return _error(path, found, expected=schema.describe(part), remedy=remedy)


def _is_unquoted(value: Any) -> bool:
    """Whether a value may have been meant as the text that YAML took it from; null is rather meant."""
    return isinstance(value, bool | int | float)


def _contradictions(config: Mapping[str, Any]) -> Iterator[ConfigError]:
    """What a schema cannot see: keys that do not fit together."""
    target, datasets, collections = config["target"], config["datasets"], config["collections"]
    for name in config["methods"]:
        if name not in (known := {*METHODS, *BASELINES}):
            yield _error(["methods"], name, expected="known methods", remedy=nearest(name, known))
    if target not in datasets:
        yield _error(["target"], target, expected="one of datasets", remedy=nearest(target, datasets))
    for name in datasets:
        if name not in collections:
            remedy = nearest(name, collections)
            yield _error(["datasets"], name, expected="an entry in collections", remedy=remedy)
    folders: dict[str, str] = {}
    for name in filter(None, [*datasets, config["challenge"]]):
        if (other := folders.setdefault(name.casefold(), name)) != name:
            expected = "names that differ in more than case: on some disks their folders are one"
            yield _error(["datasets"], f"{other} and {name}", expected=expected)
    if "raw" in map(str.casefold, collections):
        yield _error(
            ["collections", "raw"],
            "a data set called raw",
            expected="another name: data/raw is the downloads",
        )
    for name in config["raw"]:
        if name not in collections:
            yield _error(["raw", name], "an unknown data set", remedy=nearest(name, collections))
    reference, methods = config["comparison"]["reference"], config["methods"]
    if reference is not None and reference not in methods:
        remedy = nearest(reference, methods)
        yield _error(["comparison", "reference"], reference, expected="one of methods", remedy=remedy)
    for path in (["majority_views"], ["evaluation_views"], ["bootstrap", "views"]):
        used = config[path[0]] if len(path) == 1 else config[path[0]][path[1]]
        if used > config["views"]:
            yield _error(path, str(used), expected=f"at most views, which is {config['views']}")
    networks = {path.stem for path in Path(ROOT, "model/networks").glob("*.py")} - {"__init__", "base"}
    encoders = config["encoders"]
    for path, name in [(["network"], config["network"])] + [
        (["encoders", name, "network"], encoder["network"]) for name, encoder in encoders.items()
    ]:
        if name not in networks:
            yield _error(path, name, expected="a module of model/networks", remedy=nearest(name, networks))
    if (encoder := config["hyperparameters"]["probe"]["encoder"]) not in encoders:
        yield _error(
            ["hyperparameters", "probe", "encoder"], encoder, expected="one of encoders",
            remedy=nearest(encoder, encoders),
        )  # fmt: skip
    yield from _split_contradictions(config["split"])
    yield from beside.contradictions(config)
    for name, collection in collections.items():
        yield from _collection_contradictions(["collections", name], collection)
    yield from _rate_contradictions(config)
    if "phantom" in config and config["raw"]:
        yield _error(
            ["raw"], "folders beside phantom", expected="no folder, since the raw data are written anew"
        )


def _split_contradictions(split: Mapping[str, Any]) -> Iterator[ConfigError]:
    kind, n = split["kind"], split["n"]
    if kind not in ("folds", "repeats") and n != 1:
        yield _error(
            ["split", "n"], str(n), expected=f"1 for a {kind}", remedy="set kind to folds or repeats"
        )
    if kind == "folds" and n < 3:
        yield _error(["split", "n"], str(n), expected="at least 3 folds: test, validation and training")
    if kind not in ("folds", "all") and split["validation"] + split["test"] >= 1:
        yield _error(["split"], f"{split['validation']} for validation and {split['test']} for the test",
                     expected="something left for training", remedy="lower one of them")  # fmt: skip


def _collection_contradictions(path: list[str], collection: Mapping[str, Any]) -> Iterator[ConfigError]:
    window = collection["window"]
    if window and window[0] >= window[1]:
        yield _error([*path, "window"], schema.spell(window), expected="the lower value first")
    if collection["kind"] != "table":
        return
    if (collection["table"] is None) == (collection["folders"] is None):
        yield _error(path, "both or none", expected="either table or folders")
    if collection["folders"] and set(collection["folders"].values()) != {0, 1}:
        yield _error([*path, "folders"], schema.spell(collection["folders"]), expected="both labels, 0 and 1")
    for key in ("labels", "columns"):
        if collection[key] and collection["folders"]:
            yield _error([*path, key], "folders", expected="a table beside it")
    if collection["labels"]:
        yield from _label_contradictions([*path, "labels"], collection["labels"])
    pattern = collection["patient_pattern"]
    if pattern is None:
        return
    if collection["folders"] is None:
        yield _error(
            [*path, "patient_pattern"], pattern, expected="nothing beside table, which has patient_id"
        )
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        yield _error([*path, "patient_pattern"], f"{pattern}: {error}", expected="a regular expression")
    else:
        if groups != 1:
            yield _error([*path, "patient_pattern"], pattern, expected="one group in brackets, the patient")


def _label_contradictions(path: list[str], words: Mapping[str, int]) -> Iterator[ConfigError]:
    """Words of a user that do not part the findings into two classes."""
    if set(words.values()) != {0, 1}:
        yield _error(path, schema.spell(words), expected="both labels, 0 and 1")
    known: dict[str, int] = {}
    for name, label in words.items():
        if known.setdefault(word(name), label) != label:
            yield _error([*path, name], "0 and 1 for one word in two spellings", expected="one of them")


def _rate_contradictions(config: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Learning rates by data set: no name that there is not, and none missing in the methods to run."""
    for method, steps in config["hyperparameters"].items():
        for step, settings in steps.items():
            rate = settings.get("learning_rate") if isinstance(settings, Mapping) else None
            for name in rate if isinstance(rate, Mapping) else ():
                if name not in config["collections"]:
                    path = ["hyperparameters", method, step, "learning_rate", name]
                    yield _error(path, "an unknown data set", remedy=nearest(name, config["collections"]))
    for method in config["methods"]:
        for phase in phases(method, config) if method in METHODS else ():
            for name in phase["datasets"]:
                if isinstance(phase["learning_rate"], Mapping) and name not in phase["learning_rate"]:
                    path = ["hyperparameters", method, phase["name"], "learning_rate", name]
                    yield _error(path, "nothing", expected="a learning rate")


def _overruled(comparison: Mapping[str, Any]) -> set[str]:
    """Keys of a step that equal target samples set for all methods."""
    if comparison["target_samples"] is None:
        return set()
    return {"epochs", "batches", *({"batch_size"} if comparison["batch_size"] else ())}


def _check_search(config: Mapping[str, Any]) -> None:
    """Give the values of the grid their types, and check each candidate as if it stood in the config.

    Raises ConfigError.
    """
    method, grid, skip = (config["search"][key] for key in ("method", "grid", "skip"))
    methods = schema.load()["properties"]["hyperparameters"]["properties"]
    if method not in (trained := METHODS.keys() & methods.keys()):
        found, remedy = schema.spell(method), nearest(method, trained)
        raise _error(["search", "method"], found, expected="a method", remedy=remedy)
    if not grid:
        raise _error(["search", "grid"], "nothing", expected=f"values for keys of {method}")
    if (count := math.prod(map(len, grid.values()))) > MAX_CANDIDATES:
        raise _error(["search", "grid"], f"{count} candidates", expected=f"at most {MAX_CANDIDATES}")
    known = dict(schema.leaves(methods[method]))
    for key, values in grid.items():
        if key not in known:
            raise _error(["search", "grid", key], "an unknown key", remedy=nearest(key, known))
        if key.rsplit(".", 1)[-1] in _overruled(config["comparison"]):
            remedy = "search share or target_samples instead, or set comparison/target_samples to null"
            raise _error(
                ["search", "grid", key],
                "a key without effect",
                expected="one that target_samples leaves",
                remedy=remedy,
            )
        part = {"$defs": schema.load()["$defs"], "items": known[key]}
        for error in _Filling(part).iter_errors(values):  # gives the values their types as well
            error.path.extendleft(reversed(["search", "grid", key]))
            raise _translated(error)
        for number, value in enumerate(values):
            if value in values[:number]:
                raise _error(
                    ["search", "grid", key], f"{schema.spell(value)} twice", expected="each value once"
                )
    if skip and (max(skip) >= count or len(skip) == count):
        remedy = f"candidates are numbered from 0 to {count - 1}"
        raise _error(["search", "skip"], schema.spell(skip), expected="some of them", remedy=remedy)
    for number in range(count):
        try:
            checked(candidate_config(config, number))
        except ConfigError as error:
            error.file = f"search/grid candidate {number}: {error.file}"
            raise
