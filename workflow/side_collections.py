"""Collections beside the data sets that train: external ones, the challenge, the ADC maps of a rule."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import ConfigError

OWN = {"part", "patients", "max_skipped", "training_views"}
"""Options in which the challenge's collection may differ from the target: all others show in the patches."""


def collections(config: Mapping[str, Any]) -> list[str]:
    """Those of the config that are no data set of the experiment but belong to it."""
    return list(dict.fromkeys([*_of_target(config), *config["external"]]))


def _of_target(config: Mapping[str, Any]) -> list[str]:
    """Those of the target's own people."""
    names = [config["challenge"], config["hyperparameters"]["adc"]["collection"]]
    return [name for name in dict.fromkeys(names) if name and name not in config["datasets"]]


def needed(config: Mapping[str, Any]) -> list[str]:
    """Those of them that the methods of the experiment read."""
    maps = config["hyperparameters"]["adc"]["collection"]
    used = {config["variants"].get(name, {"method": name})["method"] for name in config["methods"]}
    return [name for name in collections(config) if name != maps or "adc" in used]


def home(config: Mapping[str, Any], name: str) -> str:
    """The data set in whose raw folder a collection lies.

    The challenge and the ADC maps lie with the target, unless ``raw`` says otherwise: the official download
    holds the training and the test patients.
    """
    kinds = {other: config["collections"][other]["kind"] for other in (name, config["target"])}
    if name in _of_target(config) and name not in config["raw"] and len(set(kinds.values())) == 1:
        return str(config["target"])
    return name


def contradictions(config: Mapping[str, Any]) -> Iterator[ConfigError]:
    """What does not fit about the challenge."""
    name, known = config["challenge"], config["collections"]
    if config["split"]["kind"] == "all":
        why = "since with split.kind all no finding is left to"
        if name is None:
            yield ConfigError("nothing", file="challenge", expected=f"a collection to predict, {why} test")
        if config["bootstrap"]["data"] != "paper":
            yield ConfigError("validation", file="bootstrap/data", expected=f"paper, {why} validate")
    if name is None:
        if config["truth"] is not None:
            yield ConfigError("nothing", file="challenge", expected="the collection that truth is about")
        return
    if name not in known or known[name].get("part") != "test" or name in config["datasets"]:
        yield ConfigError(name, file="challenge", expected="a collection with part: test, not among datasets")
        return
    target = known[config["target"]]
    for key in sorted((target.keys() | known[name].keys()) - OWN):
        here, there = known[name].get(key), target.get(key)
        if here != there:
            yield ConfigError(
                str(here), file=f"collections/{name}/{key}",
                expected=f"{there}, as the target {config['target']} has it: one network sees both",
            )  # fmt: skip


def check_challenge(config: Mapping[str, Any]) -> None:
    """Raise ConfigError where predictions for the challenge are wanted but the config names none."""
    if config["challenge"] is None:
        raise ConfigError("nothing", file="challenge", expected="the name of a collection with part: test")


def check_tested(config: Mapping[str, Any]) -> None:
    """Raise ConfigError where a test result is wanted and everything trains."""
    if config["split"]["kind"] == "all":
        raise ConfigError("all", file="split/kind", expected="a kind that leaves findings to test",
                          remedy="or ask for results/{method}_challenge.csv")  # fmt: skip


def adc_maps(config: Mapping[str, Any]) -> str:
    """The collection whose slices hold the ADC of the target's findings."""
    return str(config["hyperparameters"]["adc"]["collection"] or config["target"])


def check_adc(config: Mapping[str, Any], *, challenge: bool = False) -> None:
    """Raise ConfigError where the ADC rule has no maps of the target, or of the challenge's findings."""
    name = config["challenge"] if challenge else adc_maps(config)
    file = "challenge" if challenge else "hyperparameters/adc/collection"
    known = config["collections"]
    if name not in known:
        raise ConfigError(name, file=file, expected="an entry in collections")
    if "adc" not in (channels := known[name].get("channels", [])):
        raise ConfigError(
            f"{name} with {', '.join(channels) or 'no such channels'}",
            file=file, expected="a collection of the target's findings with the channel adc",
            remedy="add adc to its channels, name another collection, or leave the method adc out",
        )  # fmt: skip
    if known[name]["intensity"] != "series":
        raise ConfigError(
            known[name]["intensity"],
            file=f"collections/{name}/intensity",
            expected="series, which keeps the unit of the ADC",
        )
