"""What training starts from: one network for all methods of a comparison, or one for each method."""

from collections.abc import Sequence
from pathlib import Path

from model.training import methods
from model.training.methods import METHODS, Phases
from workflow import variants
from workflow.config import networks
from workflow.config import runs as begun_with
from workflow.plan import Config, data, runs, training
from workflow.plan import weights as of_weights

ALIKE = ("network", "weights", "bootstrap", "budget", "target", "datasets")
"""Keys of the config from which a start follows."""


def sharing(config: Config) -> list[str]:
    """The methods that start from one network, by ``bootstrap/start``; none where fewer than two train.

    One without phases is nothing but its own search, and a variant may search for its start otherwise.
    """
    trained = [
        name for name in config["methods"]
        if variants.method(config, name) in METHODS
        and training.phases(config, name) and _searches_alike(config, name)
    ]  # fmt: skip
    return trained if config["bootstrap"]["start"] == "shared" and len(trained) > 1 else []


def shared_datasets(config: Config) -> list[str]:
    """The data sets that any of the methods trains on which share their start."""
    phases = [phase for name in sharing(config) for phase in training.phases(config, name)]
    found = training.trained_on(config, phases)
    return [name for name in config["datasets"] if name in found]


def shared_stores(config: Config) -> list[str]:
    """The patch stores of all methods that share their start."""
    return training.stores_of(config, shared_datasets(config))


def shared_splits(config: Config, fold: str) -> list[str]:
    """Those of one fold for all methods that share their start."""
    return training.splits_of(shared_datasets(config), [fold])


def shared_people(config: Config) -> list[str]:
    """A name for the people of each of their data sets."""
    return data.names_of_people(config, shared_datasets(config))


def shared_reading(config: Config) -> str:
    """How these are read, as flags."""
    return training.reading_of(config, config["budget"], shared_datasets(config))


def shared_code(config: Config) -> str:
    """The digest of scoring random networks for all of them."""
    return networks.code_of("model.bootstrap.guess", config["network"])


def scored_datasets(config: Config, method: str) -> list[str]:
    """The data sets that random networks are scored on."""
    return methods.started_on(training.phases(config, method), config)


def random_networks(config: Config, method: str) -> int:
    """How many random networks a method tries."""
    if variants.method(config, method) == "rwg":
        return int(training.setting(config, method, "hyperparameters/rwg/candidates"))
    return int(training.setting(config, method, "bootstrap/candidates"))


def start(config: Config, method: str, fold: str, seed: str) -> str:
    """The network that training starts from: that of all methods of a comparison, or that of the method.

    A variant has that of its method, unless it changes how random networks are scored, or on which data sets;
    with one for all methods the data sets are the same for all.
    """
    run, usual = f"fold{fold}/seed{seed}", variants.method(config, method)
    own = training.phases(config, method)
    if own and _searches_alike(config, method) and {usual, method} & set(sharing(config)):
        return f"results/bootstrap/{run}/network.safetensors"
    alike = _searches_alike(training.settings(config, usual), method, config)
    shared = alike and _scores_alike(training.phases(config, usual), own)
    return f"results/{usual if shared else method}/{run}/bootstrap/network.safetensors"


def seen(config: Config, method: str, fold: str, seed: str) -> str:
    """The list of whom that network has seen."""
    return str(Path(start(config, method, fold, seed)).with_name("seen.json"))


def weights(config: Config, method: str, fold: str, seed: str) -> str:
    """What the network of a method begins with, as the bootstrap is told."""
    return of_weights.argument(config, training.setting(config, method, "weights"), fold, seed)


def weights_files(config: Config, method: str, fold: str, seed: str) -> list[str]:
    """The files of these weights, if they are such."""
    begun_with.check(config, [method])
    own = training.settings(config, method)
    return of_weights.files(config, own["network"], own["weights"], fold, seed)


def shared_weights(config: Config, fold: str, seed: str) -> str:
    """What the network of all methods begins with that share their start."""
    return of_weights.argument(config, config["weights"], fold, seed)


def shared_weights_files(config: Config, fold: str, seed: str) -> list[str]:
    """The files of these weights, if they are such."""
    return of_weights.files(config, config["network"], config["weights"], fold, seed)


def start_benchmarks(config: Config, method: str) -> list[str]:
    """The benchmark files of a method's bootstraps, one per run."""
    if method in sharing(config):
        return [f"benchmarks/results/bootstrap/{run}/bootstrap.tsv" for run in runs(config)]
    return [f"benchmarks/results/{method}/{run}/bootstrap.tsv" for run in runs(config)]


def _searches_alike(there: Config, method: str, config: Config | None = None) -> bool:
    """Whether networks are begun with as ``there``: as ``config`` says for all, or for the usual method."""
    own = training.settings(config or there, method)
    return all(own[key] == there[key] for key in ALIKE)


def _scores_alike(usual: Phases, own: Phases) -> bool:
    """Whether a variant's phases may start from the network that the method's usual phases start from.

    They may if random networks are scored on the same data sets, and some phase is there to train them: a
    method without phases is nothing but its bootstrap.
    """

    def scored(phases: Sequence[dict[str, list[str]]]) -> tuple[list[str], set[str]]:
        return list(phases[0]["datasets"]), {name for phase in phases for name in phase["datasets"]}

    return bool(usual and own) and scored(usual) == scored(own)
