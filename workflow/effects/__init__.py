"""The published way of one key at a time, laid over the config of a run. Read by the Snakefile.

``effects.yaml`` lists them. Both sides of an effect are variants of the run: the one with that key as
published, and its base, which differs from the run itself only where ``bases`` says so.
"""

import copy
import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from workflow import people, raw, shared
from workflow.variants import Variant

FILE = Path(__file__).with_name("effects.yaml")
KEPT = (
    "target", "datasets", "seeds", "split", "views", "view_seed", "majority_views", "evaluation_views",
    "balance", "bootstrap", "training", "evaluation", "precision", "network", "weights", "patch",
    "augmentation", "online", "encoders", "budget", "subset",
)  # fmt: skip
"""Keys of the config that a variant takes over as they are; all others name things that it does without."""
PROPORTIONS = ("target_samples", "batch_size")
"""What of ``comparison`` changes a run."""


@functools.cache
def load() -> dict[str, Any]:
    """Read ``effects.yaml``: bases by method, and effects by name with their method and changes."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def names() -> list[str]:
    """Every variant: the bases, then the effects."""
    return [*load()["bases"], *load()["effects"]]


def method(name: str) -> str:
    """The method of a variant, which is also the name of its base."""
    return load()["effects"][name]["method"] if name in load()["effects"] else name


def is_own(name: str) -> bool:
    """Whether a variant is the run itself."""
    return load()["bases"].get(name) == {}


def folder(name: str) -> str:
    """Where a variant runs, as seen from the run."""
    return "." if is_own(name) else f"effects/{name}"


def wanted(config: Mapping[str, Any]) -> list[str]:
    """The effects that change something: not those of absent data sets, nor of keys that are so already."""
    return [name for name in load()["effects"] if changed(config, name)]


def changed(config: Mapping[str, Any], name: str) -> dict[str, tuple[Any, Any]]:
    """By key, what the base of an effect has in the config and what the effect has; None is nothing."""
    there, here = (dict(_leaves(variant(config, each))) for each in (method(name), name))
    keys = [*here, *(key for key in there if key not in here)]
    return {key: (there.get(key), here.get(key)) for key in keys if there.get(key) != here.get(key)}


def variant(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The config with what a variant changes in it."""
    return _base(name).settings(config) if name not in load()["effects"] else _effect(config, name)


def _base(name: str) -> Variant:
    return Variant(name, method(name), load()["bases"][method(name)])


def _effect(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An effect is laid over its base; kinds of collections are all data sets of that kind."""
    changes = dict(load()["effects"][name]["changes"])
    kinds = changes.pop("collections", {})
    known = {dataset: config["collections"][dataset]["kind"] for dataset in config["datasets"]}
    collections = {dataset: kinds[kind] for dataset, kind in known.items() if kind in kinds}
    found = Variant(name, method(name), changes | ({"collections": collections} if collections else {}))
    return found.settings(_base(name).settings(config))


def makes_data(config: Mapping[str, Any], name: str) -> bool:
    """Whether a variant needs patches and splits of its own."""
    made = variant(config, name)
    return any(
        shared.settings(config, dataset) != shared.settings(made, dataset) for dataset in config["datasets"]
    )


def shares_start(config: Mapping[str, Any], name: str) -> bool:
    """Whether a variant trains from the random networks that its base picked."""
    if name == method(name) or makes_data(config, name):
        return False
    return bool(variant(config, name)["bootstrap"] == variant(config, method(name))["bootstrap"])


def located(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The config file of a variant, for its folder.

    It reads the raw folders of the run, or, where they serve, its patches and splits.
    """
    if is_own(name):
        return _trimmed(config, name)
    made = _trimmed(variant(config, name), name)
    made["evaluation"]["follow"] = False  # curves that nobody draws
    if makes_data(config, name):
        folders = {
            dataset: _seen_from(folder(name), raw.folder(config, dataset)) for dataset in config["datasets"]
        }
        return made | {"data": "data", "raw": folders}
    return made | {"data": _seen_from(folder(name), Path(config["data"]))}


def described(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the table says beside the figures: base and keys of each effect, and what the bases change."""
    effects: dict[str, Any] = {
        name: {"base": method(name), "changes": changed(config, name)} for name in wanted(config)
    }
    used = dict.fromkeys(entry["base"] for entry in effects.values())
    return {
        "target": config["target"],
        "synthetic": "phantom" in config,
        "effects": effects,
        "bases": {name: load()["bases"][name] for name in used},
    }


def _trimmed(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    of_method = method(name)
    return {key: copy.deepcopy(config[key]) for key in KEPT} | {
        "data": config["data"],
        "methods": [of_method],
        # The folder of a variant does not tell which data sets lie in one raw folder.
        "collections": {
            dataset: config["collections"][dataset] | {"patients": who}
            for dataset, who in people.names(config).items()
        },
        "comparison": {key: config["comparison"][key] for key in PROPORTIONS},
        "hyperparameters": {of_method: config["hyperparameters"][of_method]},
    }


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in a config by the path of its key; what is null counts as absent."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}/")
        elif value is not None:
            yield f"{prefix}{key}", value


def _seen_from(where: str, path: Path) -> str:
    """A path relative to the run, as seen from a folder below it; an absolute one as it is."""
    path = path.expanduser()
    return str(path) if path.is_absolute() else os.path.relpath(path, where)
