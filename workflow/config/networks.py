"""What networks take, and which weights they have, as the plan needs it."""

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from model import networks
from model.baselines.methods import MEASURED
from model.training.methods import METHODS
from pipeline.errors import ConfigError
from pipeline.provenance import code
from workflow.config.collections import channels_of
from workflow.config.messages import error

PROBES = ("probe", "probe_covariates", "probe_svm", "probe_knn")
"""Methods with one encoder."""


def names() -> set[str]:
    """The networks that there are, those of others as ``kind:ARGUMENT``."""
    return set(networks.modules())


def known(network: str) -> bool:
    """Whether there is a network of that name, as far as the name says."""
    return networks.module_of(network) is not None


def code_of(step: str, *named: str) -> str:
    """The digest of a step that makes these networks, by name: with their modules, and a user's own file."""
    found = code(step, *(f"{networks.__name__}.{networks.module_of(name)}" for name in named))
    return "-".join([found, *(networks.digest(name) for name in named if name.startswith("module:"))])


def are_runs(weights: str) -> bool:
    """Whether weights are runs, ``results/METHOD``, and not a name or a file."""
    return "/" in weights and not weights.endswith(networks.FILES)


def misfits(config: Mapping[str, Any], methods: Iterable[str]) -> Iterator[ConfigError]:
    """Patches and weights that the networks of these methods do not take."""
    methods = set(methods)
    for path, own in _trained(config, methods):
        network, weights = own["network"], own["weights"]
        yield from _misfits(config, network, config["datasets"], ["patch"], config["patch"])
        yield from _unknown(path, network, weights)
        yield from _lacking([*path, "network"], network)
    if "rwg" in methods and config["weights"] != "random":
        yield error(["methods"], "rwg", expected="weights: random for random networks")
    for name in encoders(config, methods):
        encoder = config["encoders"].get(name)
        if not encoder or not known(encoder["network"]):
            continue
        network = encoder["network"]
        side = ["encoders", name, "side"] if encoder["side"] else ["patch"]
        yield from _misfits(config, network, [config["target"]], side, encoder["side"] or config["patch"])
        yield from _unknown(["encoders", name], network, encoder["weights"])
        yield from _lacking(["encoders", name, "network"], network)


def encoders(config: Mapping[str, Any], methods: Iterable[str]) -> list[str]:
    """The encoders whose features these methods use."""
    settings = config["hyperparameters"]
    named = {name: [settings[name]["encoder"]] for name in PROBES}
    named["auto"] = [name for name in settings["auto"]["candidates"] if name not in MEASURED]
    return list(dict.fromkeys(name for method in sorted(methods) for name in named.get(method, ())))


def _unknown(path: list[str], network: str, weights: str) -> Iterator[ConfigError]:
    if not known(network) or weights.endswith(networks.FILES) or are_runs(weights):
        return
    if networks.said(network).get("WEIGHTS"):  # a folder, with no way to draw random ones
        if networks.weights_of(network, weights) == weights:
            kind, _, _ = network.partition(":")
            yield error(
                [*path, "weights"], weights, expected=f"{kind}, for those in it, or a file of weights"
            )
        return
    if weights == "random":
        return
    try:
        networks.installed(network, weights)
    except ConfigError as problem:
        problem.file = "/".join([*path, "weights"])
        yield problem


def _lacking(path: list[str], network: str) -> Iterator[ConfigError]:
    package = networks.said(network).get("NEEDS") if known(network) else None
    if package and importlib.util.find_spec(package) is None:
        yield error(path, f"{network}, but no package {package}", expected="a network that can be made",
                    remedy=f"install it: .venv/bin/pip install {package}")  # fmt: skip


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
    if not known(network):
        return
    takes = networks.said(network)
    smallest, counts = takes.get("SMALLEST", 1), takes.get("CHANNELS", ())
    if side < smallest:
        yield error(key, str(side), expected=f"at least {smallest}, the smallest that {network} takes")
    if side % (step := networks.step(network)):
        yield error(key, str(side), expected=f"a multiple of {step} for {network}")
    for dataset in datasets:
        channels = channels_of(config["collections"].get(dataset, {}), dataset)
        if counts and len(channels) not in counts:
            yield error(
                ["collections", dataset, "channels"], f"{len(channels)}: {', '.join(channels)}",
                expected=f"{' or '.join(map(str, counts))} for {network}",
            )  # fmt: skip
