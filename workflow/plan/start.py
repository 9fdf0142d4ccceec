"""What training starts from: one network for all methods of a comparison, or one for each method."""

from model import methods
from model.grid import shares_start
from workflow.plan import Config, data, runs, training


def shared_datasets(config: Config) -> list[str]:
    """The data sets that any of the methods trains on which share their start."""
    found = training.trained_on(
        config, [phase for name in methods.sharing(config) for phase in methods.phases(name, config)]
    )
    return [name for name in config["datasets"] if name in found]


def shared_stores(config: Config) -> list[str]:
    """Those of all methods that share their start."""
    return training.stores_of(config, shared_datasets(config))


def shared_splits(config: Config, fold: str) -> list[str]:
    """Those of one fold for all methods that share their start."""
    return training.splits_of(shared_datasets(config), [fold])


def shared_people(config: Config) -> list[str]:
    """The same for all methods that share their start."""
    return data.names_of_people(config, shared_datasets(config))


def scored_datasets(config: Config, method: str) -> list[str]:
    """The data sets that candidates of the bootstrap are scored on."""
    return methods.started_on(training.phases(config, method), config)


def random_networks(config: Config, method: str) -> int:
    """How many random networks a method tries."""
    if training.base(method) == "rwg":
        return int(training.settings(config, method)["hyperparameters"]["rwg"]["candidates"])
    return int(config["bootstrap"]["candidates"])


def start(config: Config, method: str, fold: str, seed: str) -> str:
    """The network that training starts from: that of all methods of a comparison, or that of the method.

    A candidate of a search has that of its method, unless the grid changes on which data sets random networks
    are scored; with one for all methods that cannot be.
    """
    run, usual = f"fold{fold}/seed{seed}", training.base(method)
    own = training.phases(config, method)
    if usual in methods.sharing(config) and own:
        return f"results/bootstrap/{run}/network.safetensors"
    shared = shares_start(methods.phases(usual, config), own)
    return f"results/{usual if shared else method}/{run}/bootstrap/network.safetensors"


def start_benchmarks(config: Config, method: str) -> list[str]:
    """The benchmark files of a method's bootstraps, one per run."""
    if method in methods.sharing(config):
        return [f"benchmarks/results/bootstrap/{run}/bootstrap.tsv" for run in runs(config)]
    return [f"benchmarks/results/{method}/{run}/bootstrap.tsv" for run in runs(config)]
