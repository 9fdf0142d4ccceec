"""What networks take, and which weights they have, as the plan needs it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from model import networks
from model.baselines.methods import MEASURED
from model.training.methods import METHODS
from pipeline.errors import ConfigError
from workflow.config.collections import channels_of
from workflow.config.messages import error


def names() -> set[str]:
    """The networks that there are."""
    return set(networks.modules())


def module(network: str) -> str:
    """The module of a network that there is."""
    return f"{networks.__name__}.{networks.modules()[network]}"


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
    named["auto"] = [name for name in settings["auto"]["candidates"] if name not in MEASURED]
    return list(dict.fromkeys(name for method in sorted(methods) for name in named.get(method, ())))


def _unknown(path: list[str], network: str, weights: str) -> Iterator[ConfigError]:
    if network not in names() or weights == "random" or weights.endswith(networks.FILES):
        return
    try:
        networks.installed(network, weights)
    except ConfigError as problem:
        problem.file = "/".join([*path, "weights"])
        yield problem


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
    takes = networks.literals(networks.modules()[network])
    smallest, counts = takes.get("SMALLEST", 1), takes.get("CHANNELS", ())
    if side < smallest:
        yield error(key, str(side), expected=f"at least {smallest}, the smallest that {network} takes")
    for dataset in datasets:
        channels = channels_of(config["collections"].get(dataset, {}), dataset)
        if counts and len(channels) not in counts:
            yield error(
                ["collections", dataset, "channels"], f"{len(channels)}: {', '.join(channels)}",
                expected=f"{' or '.join(map(str, counts))} for {network}",
            )  # fmt: skip
