"""Weights that are runs, ``results/METHOD``: each run takes the extractor of the same fold and seed."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from model.training.methods import METHODS
from workflow import variants
from workflow.config import networks
from workflow.config.messages import error, nearest

Config = Mapping[str, Any]
RESULTS = "results"


class Begun(NamedTuple):
    """What a network of a method begins with."""

    path: list[str]
    """Where ``weights`` stands in the config, or would."""
    network: str
    side: int
    """Of what it sees, in pixels."""
    weights: str


def method_of(weights: str) -> str | None:
    """The method of this experiment whose runs they are; None where they are of another one."""
    inside = os.path.relpath(weights, RESULTS)
    return None if inside.startswith("..") or not networks.are_runs(weights) else inside


def name(weights: str) -> str:
    """What features of these runs lie under: the method, here or elsewhere."""
    return method_of(weights) or Path(weights).name


def begun(config: Config, name: str) -> Iterator[Begun]:
    """What the network of a method, or each of its encoders, begins with."""
    own, kind = variants.of(config, name).settings(config), variants.method(config, name)
    for encoder in networks.encoders(own, [kind]):
        if settings := own["encoders"].get(encoder):
            side = settings["side"] or own["patch"]
            yield Begun(["encoders", encoder], settings["network"], side, settings["weights"])
    if kind in METHODS:
        path = ["hyperparameters", kind] if "weights" in own["hyperparameters"].get(kind, {}) else []
        if _has(config["variants"].get(name, {}), [*path, "weights"]):
            path = ["variants", name, *path]
        yield Begun(path, own["network"], own["patch"], own["weights"])


def sources(config: Config, name: str) -> list[str]:
    """The methods of this experiment whose runs these are, and those that they begin with."""
    found = [source for each in begun(config, name) if (source := method_of(each.weights))]
    return [*found, *(other for source in found for other in sources(config, source))]


def check(config: Config, methods: Iterable[str]) -> None:
    """Raise ConfigError for runs that one of these methods cannot begin with."""
    for name in methods:
        _follow(config, name, [])


def _follow(config: Config, name: str, before: list[str]) -> None:
    for path, network, side, weights in begun(config, name):
        if (source := method_of(weights)) is None:
            continue
        key, way = [*path, "weights"], [*before, name]
        if source not in (known := variants.networks(config)):
            raise error(
                key, weights, expected="results/METHOD, of a method or variant that trains a network",
                remedy=nearest(source, known),
            )  # fmt: skip
        if source in way:
            circle = [*way[way.index(source) :], source]
            raise error(
                key, f"{weights}, so a circle: {' begins with '.join(circle)}",
                expected="a method that begins otherwise", remedy="give one weights of its own, in a variant",
            )  # fmt: skip
        theirs = next(iter(begun(config, source)))
        if theirs.network != network:
            raise error(
                [*path, "network"], network, expected=f"{theirs.network}, the network of {weights}",
                remedy="give both one network",
            )  # fmt: skip
        if theirs.side != side:
            raise error(
                [*path, "side"], str(side), expected=f"null or {theirs.side}, what {weights} has seen"
            )
        _follow(config, source, way)


def _has(tree: Any, path: list[str]) -> bool:
    for key in path:
        if not isinstance(tree, Mapping) or key not in tree:
            return False
        tree = tree[key]
    return True
