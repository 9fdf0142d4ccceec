"""What networks take, as their modules say: read from the text, since the plan never imports torch."""

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.baselines.measures import MEASURES
from model.training.methods import METHODS
from pipeline.errors import ConfigError
from pipeline.provenance import ROOT
from workflow.config.collections import channels_of
from workflow.config.messages import error

FOLDER = Path(ROOT, "model/networks")
FILES = (".safetensors", ".pth", ".pt")
"""Suffixes of files of weights, as in model.files.states, which has torch."""


@dataclass(frozen=True)
class Taken:
    """What a network takes."""

    channels: tuple[int, ...] | None
    """``CHANNELS`` of the module; None is any number."""
    smallest: int
    """``SMALLEST`` of the module: the side of a patch in pixels."""
    weights: frozenset[str]
    """Random ones, and those that the module calls PUBLISHED."""


def names() -> set[str]:
    """The networks that there are."""
    return {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "base"}


@functools.cache
def taken(network: str) -> Taken:
    """What a network takes."""
    body = ast.parse(Path(FOLDER, f"{network}.py").read_bytes()).body
    said = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("CHANNELS", "SMALLEST")
    }
    published = [
        key.value
        for node in body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PUBLISHED"
        for key in (node.value.keys if isinstance(node.value, ast.Dict) else ())
        if isinstance(key, ast.Constant)
    ]
    return Taken(said.get("CHANNELS"), said.get("SMALLEST", 1), frozenset({"random", *map(str, published)}))


def misfits(config: Mapping[str, Any], methods: Iterable[str]) -> Iterator[ConfigError]:
    """Patches and weights that the networks of these methods do not take."""
    methods = set(methods)
    for path, own in _trained(config, methods):
        network, weights = own["network"], own["weights"]
        yield from _misfits(config, network, config["datasets"], ["patch"], config["patch"])
        yield from _unknown(path, network, weights)
    if "rwg" in methods and config["weights"] != "random":
        yield error(["methods"], "rwg", expected="weights: random for random networks")
    for name in encoders(config, methods):
        encoder = config["encoders"].get(name)
        if not encoder or encoder["network"] not in names():
            continue
        network = encoder["network"]
        side = ["encoders", name, "side"] if encoder["side"] else ["patch"]
        yield from _misfits(config, network, [config["target"]], side, encoder["side"] or config["patch"])
        yield from _unknown(["encoders", name], network, encoder["weights"])


def encoders(config: Mapping[str, Any], methods: Iterable[str]) -> list[str]:
    """The encoders whose features these methods use."""
    settings = config["hyperparameters"]
    named = {name: [settings[name]["encoder"]] for name in ("probe", "probe_svm", "probe_knn")}
    named["auto"] = [name for name in settings["auto"]["candidates"] if name not in MEASURES]
    return list(dict.fromkeys(name for method in sorted(methods) for name in named.get(method, ())))


def _unknown(path: list[str], network: str, weights: str) -> Iterator[ConfigError]:
    if network in names() and not weights.endswith(FILES) and weights not in taken(network).weights:
        yield error([*path, "weights"], weights, expected=f"weights that {network} has",
                    remedy=f"use random, or a file of weights: {', '.join(FILES)}")  # fmt: skip


def _trained(
    config: Mapping[str, Any], methods: Iterable[str]
) -> Iterator[tuple[list[str], Mapping[str, Any]]]:
    """Where network and weights of methods stand in the config: those of all, and those of a method alone."""
    own = {name: config["hyperparameters"].get(name, {}) for name in sorted({*methods} & METHODS.keys())}
    if any("network" not in settings for settings in own.values()):
        yield [], config
    for name, settings in own.items():
        if "network" in settings:
            yield ["hyperparameters", name], settings


def _misfits(
    config: Mapping[str, Any], network: str, datasets: Iterable[str], key: list[str], side: int
) -> Iterator[ConfigError]:
    if network not in names():
        return
    takes = taken(network)
    if side < takes.smallest:
        yield error(key, str(side), expected=f"at least {takes.smallest}, the smallest that {network} takes")
    for dataset in datasets:
        channels = channels_of(config["collections"].get(dataset, {}), dataset)
        if takes.channels and len(channels) not in takes.channels:
            yield error(
                ["collections", dataset, "channels"], f"{len(channels)}: {', '.join(channels)}",
                expected=f"{' or '.join(map(str, takes.channels))} for {network}",
            )  # fmt: skip
