"""What the type of a key cannot see: keys that do not fit together."""

import importlib.util
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from model.baselines.methods import BASELINES, COVARIATES, MEASURED
from model.training.layers import problems as layers_problems
from model.training.methods import METHODS, phases
from model.training.phase import BY_DATASET, parse_phases, schedule_problems
from pipeline.errors import ConfigError
from workflow import plain, side_collections, variants
from workflow.config import classes, external, networks
from workflow.config.collections import KINDS, own_keys
from workflow.config.messages import error, nearest
from workflow.tracking import PACKAGES
from workflow.variants import LEFT_OUT

COLUMN = ("given", "sites")
"""Kinds of a split that a column of the user's table tells."""
TOLD = (*COLUMN, "official")
"""Those, and the one that lists of a collection tell."""
LISTED = tuple(name for name, kind in KINDS.items() if hasattr(kind, "official"))
"""The kinds of data sets that have such lists."""
WAYS = ("probe_svm", "probe", "probe_knn", "finetune")
"""Methods that make something of the weights of a source."""


def unknown_names(config: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Methods and data sets that nothing else in the config knows, as a rule for a slip of the pen."""
    target, datasets, collections = config["target"], config["datasets"], config["collections"]
    known = {*METHODS, *BASELINES, *config["variants"]}
    for name in config["methods"]:
        if name not in known:
            yield error(["methods"], name, expected="known methods", remedy=nearest(name, known))
    if target not in datasets:
        yield error(["target"], target, expected="one of datasets", remedy=nearest(target, datasets))
    for name in datasets:
        if name not in collections:
            remedy = nearest(name, collections)
            yield error(["datasets"], name, expected="an entry in collections", remedy=remedy)
    for name in config["raw"]:
        if name not in collections:
            yield error(["raw", name], "an unknown data set", remedy=nearest(name, collections))
    reference, methods = config["comparison"]["reference"], config["methods"]
    if reference is not None and reference not in methods:
        remedy = nearest(reference, methods)
        yield error(["comparison", "reference"], reference, expected="one of methods", remedy=remedy)
    for name in config["budget"]:
        if name not in datasets:
            yield error(["budget", name], "an unknown data set", remedy=nearest(name, datasets))
    for name in config["curve"]["methods"]:
        if name not in known:
            yield error(["curve", "methods"], name, expected="known methods", remedy=nearest(name, known))


def contradictions(config: Mapping[str, Any]) -> Iterator[ConfigError]:
    """What a schema cannot see: keys that do not fit together."""
    target, datasets, collections = config["target"], config["datasets"], config["collections"]
    methods = config["methods"]
    yield from unknown_names(config)
    folders: dict[str, str] = {}
    for name in filter(None, [*datasets, config["challenge"], *config["external"]]):
        if (other := folders.setdefault(name.casefold(), name)) != name:
            expected = "names that differ in more than case: on some disks their folders are one"
            yield error(["datasets"], f"{other} and {name}", expected=expected)
    if "raw" in map(str.casefold, collections):
        yield error(
            ["collections", "raw"],
            "a data set called raw",
            expected="another name: data/raw is the downloads",
        )
    for path in (["majority_views"], ["evaluation_views"], ["bootstrap", "views"]):
        used = config[path[0]] if len(path) == 1 else config[path[0]][path[1]]
        if used > config["views"]:
            yield error(path, str(used), expected=f"at most views, which is {config['views']}")
    encoders = config["encoders"]
    chosen = [(["network"], config["network"]), ([LEFT_OUT, "network"], config[LEFT_OUT]["network"])]
    chosen += [
        (["hyperparameters", method, "network"], own["network"])
        for method, own in config["hyperparameters"].items() if "network" in own
    ]  # fmt: skip
    chosen += [(["encoders", name, "network"], encoder["network"]) for name, encoder in encoders.items()]
    for path, name in chosen:
        if not networks.known(name):
            remedy = nearest(name, networks.names())
            yield error(path, name, expected="a network", remedy=remedy)
    if config["log"] and importlib.util.find_spec(config["log"]) is None:
        remedy = f".venv/bin/python -m pip install {PACKAGES[config['log']]}, or take the key out"
        yield error(["log"], config["log"], expected="a package that is installed", remedy=remedy)
    yield from _initialization_contradictions(config)
    for name in set(MEASURED) & encoders.keys():
        yield error(["encoders", name], "an encoder of that name", expected="another: it is measured as well")
    for method in {"probe", *methods}:
        key = "candidates" if method == "auto" else "encoder"
        for name in networks.encoders(config, [method]):
            if name not in encoders:
                named = [*encoders, *(MEASURED if method == "auto" else ())]
                path, remedy = ["hyperparameters", method, key], nearest(name, named)
                yield error(path, name, expected="one of encoders", remedy=remedy)
    for path, names in ((["methods"], methods), (["curve", "methods"], config["curve"]["methods"])):
        for name in names:
            if config["variants"].get(name, {}).get("target", target) != target:
                expected = f"methods whose target is {target}, and this one as weights: results/{name}"
                yield error(path, name, expected=expected)
    bases = {config["variants"].get(name, {}).get("method", name) for name in methods}
    for name in sorted(bases & {*COVARIATES}):
        if not config["covariates"]["columns"]:
            yield error(["covariates", "columns"], "none", expected=f"columns for {name} to learn from")
        if config["challenge"]:
            yield error(["methods"], name, expected="methods that need nothing but images, for a challenge",
                        remedy="leave it out, or the challenge")  # fmt: skip
    yield from _left_out_contradictions(config)
    yield from networks.misfits(config, methods)
    yield from classes.misfits(config)
    yield from _split_contradictions(config["split"], collections.get(target))
    yield from side_collections.contradictions(config)
    yield from external.contradictions(config)
    for name, collection in collections.items():
        yield from _collection_contradictions(["collections", name], collection)
    yield from _step_contradictions(config)
    if "phantom" in config and config["raw"]:
        yield error(
            ["raw"], "folders beside phantom", expected="no folder, since the raw data are written anew"
        )


def _initialization_contradictions(config: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Weights that are to be drawn anew, and random ones, or the other way round."""
    how = config["bootstrap"]["initialization"]
    weights = {
        config["hyperparameters"].get(method, {}).get("weights", config["weights"])
        for method in METHODS.keys() & {*config["methods"]}
    }
    if how != "usual" and any((how == "moments") == (source == "random") for source in weights):
        expected = {"moments": "weights of others to draw anew", "torch": "weights: random"}[how]
        yield error(["bootstrap", "initialization"], how, expected=f"usual, or {expected}")


def _left_out_contradictions(config: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Tasks that there are not, and methods that cannot be sources or ways."""
    own, base = config[LEFT_OUT], {name: entry.get("method") for name, entry in config["variants"].items()}
    allowed = {
        "tasks": {*config["datasets"]},
        "pretraining": {name for name in (*METHODS, *base) if base.get(name, name) in {*METHODS} - {"rwg"}},
        "ways": {name for name in (*WAYS, *base) if base.get(name, name) in WAYS},
    }
    unknown = [(key, name) for key, names in allowed.items() for name in own[key] if name not in names]
    for key, name in unknown:
        expected = {"tasks": "one of datasets", "ways": f"{', '.join(WAYS)}, or variants of them"}
        yield error(
            [LEFT_OUT, key], name, expected=expected.get(key, "a method that trains a network"),
            remedy=nearest(name, allowed[key]),
        )  # fmt: skip
    if twice := own["sources"].keys() & {*own["pretraining"]}:
        yield error([LEFT_OUT, "sources"], min(twice), expected="another name, as pretraining has that one")
    if own["tasks"] and own["pretraining"] and len(config["datasets"]) < 2:
        yield error([LEFT_OUT, "tasks"], "one data set", expected="others in datasets to train on")
    elif not unknown:
        for variant in variants.of_left_out(config, own["tasks"][:1]).values():
            for problem in networks.misfits(variant.settings(config), [variant.method]):
                problem.file = f"{LEFT_OUT}, {problem.file}"
                yield problem


def _split_contradictions(
    split: Mapping[str, Any], target: Mapping[str, Any] | None
) -> Iterator[ConfigError]:
    kind, n = split["kind"], split["n"]
    if kind not in ("folds", "repeats", "sites") and n != 1:
        yield error(["split", "n"], str(n), expected=f"1 for a {kind}", remedy="set kind to folds or repeats")
    if kind == "folds" and n < 3:
        yield error(["split", "n"], str(n), expected="at least 3 folds: test, validation and training")
    if kind == "sites" and n < 2:
        yield error(["split", "n"], str(n), expected="at least 2 sites: one to test, others to learn from")
    if kind in COLUMN and split["column"] is None:
        yield error(
            ["split", "column"], "nothing", expected=f"for kind {kind} a column of the target's table"
        )
    if kind not in COLUMN and split["column"] is not None:
        remedy = "set split/kind, or take the column out"
        yield error(
            ["split", "column"], split["column"], expected="kind given or sites beside it", remedy=remedy
        )
    if kind in COLUMN and target is not None and not target.get("table"):
        yield error(["split", "kind"], kind, expected="another kind: the target has no table of yours")
    if kind == "official" and target is not None and target["kind"] not in LISTED:
        yield error(["split", "kind"], f"{kind}, and a target of kind {target['kind']}",
                    expected=f"a target with lists of its own: {', '.join(LISTED)}")  # fmt: skip
    if kind not in ("folds", "all") and split["validation"] + split["test"] >= 1:
        yield error(["split"], f"{split['validation']} for validation and {split['test']} for the test",
                     expected="something left for training", remedy="lower one of them")  # fmt: skip


def _collection_contradictions(path: list[str], collection: Mapping[str, Any]) -> Iterator[ConfigError]:
    window, options = collection["window"], KINDS[collection["kind"]].Options
    if window and window[0] >= window[1]:
        yield error([*path, "window"], plain.spell(window), expected="the lower value first")
    try:
        options(**{key: collection[key] for key in own_keys(collection["kind"])})
    except ConfigError as problem:
        problem.file = "/".join([*path, problem.file]) if problem.file else "/".join(path)
        yield problem


def _step_contradictions(config: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Schedules; and numbers by data set: no name that there is not, none missing in the methods to run."""
    for method, steps in config["hyperparameters"].items():
        for step, settings in steps.items():
            known = settings if isinstance(settings, Mapping) else {}
            path = ["hyperparameters", method, step]
            for key in BY_DATASET:
                value = known.get(key)
                for name in value if isinstance(value, Mapping) else ():
                    if name not in config["collections"]:
                        remedy = nearest(name, config["collections"])
                        yield error([*path, key, name], "an unknown data set", remedy=remedy)
            for key, problems in (("schedule", schedule_problems), ("layers", layers_problems)):
                for expected, found in problems(known.get(key)):
                    yield error([*path, key], found, expected=expected)
    for method in config["methods"]:
        for phase in phases(method, config) if method in METHODS else ():
            for key, name in itertools.product(BY_DATASET, phase["datasets"]):
                if isinstance(phase[key], Mapping) and name not in phase[key]:
                    path = ["hyperparameters", method, phase["name"], key, name]
                    yield error(path, "nothing", expected=f"a {key.replace('_', ' ')}")
    for method in METHODS.keys() & {*config["methods"]}:
        try:
            parse_phases(json.dumps(phases(method, config)))
        except ConfigError as problem:
            problem.file = f"hyperparameters/{method}, {problem.file}"
            yield problem
