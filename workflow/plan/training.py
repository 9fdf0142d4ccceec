"""The runs of a method: their phases, and the stores, splits and cards of what they train on."""

import json
from collections.abc import Sequence
from typing import Any

from model.baselines.methods import BASELINES
from model.training import methods
from model.training.methods import Phases
from model.training.phase import FIND
from pipeline.errors import ConfigError
from workflow import flags, side_collections, variants
from workflow.config import networks
from workflow.config.collections import channels_of
from workflow.plan import Config, data, folds, runs


def base(config: Config, method: str) -> str:
    """The method itself; of a variant the one that it varies."""
    return variants.method(config, method)


def settings(config: Config, method: str) -> Config:
    """The config of a method; of a variant, with what it changes."""
    return variants.of(config, method).settings(config)


def setting(config: Config, method: str, key: str) -> Any:
    """One of them, such as ``bootstrap/rule``."""
    found: Any = settings(config, method)
    for name in key.split("/"):
        found = found[name]
    return found


def setting_flags(config: Config, method: str, key: str) -> str:
    """A section of them as flags."""
    return flags.flags(setting(config, method, key))


def code_of(config: Config, method: str, module: str) -> str:
    """The digest of a step that loads the module of the method's network by name."""
    return networks.code_of(module, setting(config, method, "network"))


def phases(config: Config, method: str) -> Phases:
    """The phases of a method, resolved here so that training knows no registry."""
    name = variants.method(config, method)
    return [] if name in BASELINES else methods.phases(name, settings(config, method))


def phases_as_json(config: Config, method: str) -> str:
    """The same as an argument."""
    return json.dumps(phases(config, method))


def finds_rates(config: Config, method: str) -> bool:
    """Whether a phase of a method has a trial find its learning rate."""
    return any(phase["learning_rate"] == FIND for phase in phases(config, method))


def by_views(config: Config) -> list[str]:
    """The methods that see a training finding of their target as often as the split says.

    Others draw as many samples of each class, or their loss weighs the classes equally.
    """
    found = []
    for method in config["methods"]:
        last = [phase for phase in phases(config, method) if config["target"] in phase["datasets"]][-1:]
        if last and (last[0]["balance"] or config["balance"]) == "views":
            found.append(method)
    return found


def datasets(config: Config, method: str) -> list[str]:
    """The data sets that a method trains on, in the order of their turns, and the target."""
    return trained_on(settings(config, method), phases(config, method))


def stores(config: Config, method: str) -> list[str]:
    """The patch stores that a method trains on. Raises ConfigError where one network cannot take them all."""
    return stores_of(config, datasets(config, method))


def splits(config: Config, method: str, fold: str) -> list[str]:
    """The splits of one fold that a method trains on."""
    return splits_of(datasets(config, method), [fold])


def splits_of_all_folds(config: Config, method: str) -> list[str]:
    """Those of all folds, data set by data set."""
    return splits_of(datasets(config, method), folds(config))


def splits_of_target(config: Config) -> list[str]:
    """The splits of the target in all folds."""
    return splits_of([config["target"]], folds(config))


def target(config: Config, method: str) -> str:
    """The data set whose test AUROC is the result of a method: another one where a task is left out."""
    return str(setting(config, method, "target"))


def cards(config: Config, method: str, fold: str) -> list[str]:
    """The cards of a method's data sets in one fold."""
    return [f"<data>/{name}/cards/fold{fold}.json" for name in datasets(config, method)]


def people(config: Config, method: str) -> list[str]:
    """A name for the people of each of these data sets."""
    return data.names_of_people(config, datasets(config, method))


def reading(config: Config, method: str) -> str:
    """How data sets are read, as flags: what is done about leaks, and how much may be learned from."""
    return reading_of(config, setting(config, method, "budget"), datasets(config, method))


def reading_of(config: Config, budget: dict[str, int], datasets: Sequence[str]) -> str:
    """The same for data sets with a budget."""
    granted = [f"{name}={number}" for name, number in budget.items() if name in datasets]
    chosen = {"budget": granted, "subset": ways(config)} if granted else {}
    return flags.flags({"leak": data.leak(config)} | {key: words for key, words in chosen.items() if words})


def ways(config: Config) -> list[str]:
    """How the findings within a budget are chosen, where it is not the usual way."""
    subset = config["subset"]
    asked = {"anew": not subset["nested"], "training": subset["counts"] == "training",
             "equal": subset["classes"] == "equal"}  # fmt: skip
    return [way for way, wanted in asked.items() if wanted]


def follow(config: Config, method: str) -> str:
    """The flag that has curves tell the test findings as well, or not."""
    return "--follow" if setting(config, method, "evaluation/follow") else "--no-follow"


def folders(config: Config, method: str) -> list[str]:
    """The folder of each run."""
    return [f"results/{method}/{run}" for run in runs(config)]


def files(config: Config, method: str, name: str) -> list[str]:
    """A file of each run."""
    return [f"{folder}/{name}" for folder in folders(config, method)]


def first_run(config: Config, method: str, name: str = "", *, of_state: bool = False) -> str:
    """The folder of a method's first run, or a file in it; ``of_state`` that of the state that counts."""
    state = {"last": "", "best": "best/"}[setting(config, method, "evaluation/state")]
    return "/".join(filter(None, [folders(config, method)[0], f"{state * of_state}{name}"]))


def tested_files(config: Config, method: str, name: str) -> list[str]:
    """The same for a test result. Raises ConfigError where nothing is tested."""
    side_collections.check_tested(config)
    return files(config, method, name)


def trained_on(config: Config, phases: Phases) -> list[str]:
    """The data sets of phases, in the order of their turns, and the target."""
    names = [name for phase in phases for name in phase["datasets"]]
    return list(dict.fromkeys([*names, config["target"]]))


def splits_of(datasets: Sequence[str], folds: Sequence[str | int]) -> list[str]:
    """Their splits of these folds, data set by data set."""
    return [f"<data>/{name}/splits/fold{fold}.csv" for name in datasets for fold in folds]


def stores_of(config: Config, datasets: Sequence[str]) -> list[str]:
    """Their patch stores. Raises ConfigError where one network cannot take them all."""
    collections = config["collections"]
    counts = {name: len(channels_of(collections[name], name)) for name in config["datasets"]}
    if len(set(counts.values())) > 1:
        raise ConfigError(
            ", ".join(f"{count} of {name}" for name, count in counts.items()),
            file="datasets",
            expected="as many channels in each data set",
            remedy="train data sets with as many channels, such as datasets: [prostatex] alone",
        )
    return [f"<data>/{name}/patches.h5" for name in datasets]
