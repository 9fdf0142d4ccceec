"""Data sets that no step sees before the test: their splits, the runs that score them, and the tables."""

from model.baselines.methods import STACKED
from model.training.methods import METHODS
from pipeline.errors import ConfigError
from workflow import flags, people, variants
from workflow.config import networks
from workflow.plan import Config, baselines, folds, training, weights
from workflow.plan import runs as numbers

TABLES = ("ranking", "calibration", "operating", "shift")


def methods(config: Config) -> list[str]:
    """The methods of the experiment whose runs are models, which can score whatever is cut alike."""
    models = (*METHODS, "probe", *STACKED)
    return [name for name in config["methods"] if variants.method(config, name) in models]


def results(config: Config) -> list[str]:
    """The items of the report."""
    if not config["external"]:
        return []
    scored = ["reliability.png", *(f"{name}.html" for name in TABLES[:3])] if methods(config) else []
    return [f"results/external/{name}" for name in [*scored, "shift.html"]]


def same_people(config: Config, dataset: str) -> list[str]:
    """The data sets of the experiment that have the same people as an external one."""
    return people.outside(config, dataset)[1]


def people_of(config: Config, dataset: str) -> str:
    """A name for its people."""
    return people.outside(config, dataset)[0]


def others(config: Config, file: str) -> list[str]:
    """A file of each data set of the experiment."""
    return [f"<data>/{name}/{file}" for name in config["datasets"]]


def measured(dataset: str) -> list[str]:
    """What is read of a data set to tell what it is like."""
    files = ("findings.csv", "slices.h5", "index.parquet", "patches.h5")
    return [f"<data>/{dataset}/{file}" for file in files]


def splits(config: Config) -> list[str]:
    """The splits of all external data sets, which are all test."""
    return training.splits_of(config["external"], folds(config))


def predictions(config: Config) -> list[str]:
    """What each run of each method says of each external data set. Raises ConfigError where there is none."""
    if not config["external"]:
        raise ConfigError("none", file="external", expected="collections that no step has seen",
                          remedy="name some in the config, such as external: [site_b]")  # fmt: skip
    return [f"{run}/external/{name}.csv" for run in of_runs(config) for name in config["external"]]


def of_runs(config: Config, file: str = "") -> list[str]:
    """The folder of each run, or a file in it."""
    folders = [f"results/{name}/{run}" for name in methods(config) for run in numbers(config)]
    return [f"{folder}/{file}" if file else folder for folder in folders]


def method_results(config: Config) -> list[str]:
    """The test results of the methods."""
    return [f"results/{name}_auc.json" for name in methods(config)]


def seen(config: Config, method: str, fold: str, seed: str) -> list[str]:
    """The lists of whom a run, and the runs that it begins with, have learned from."""
    own, kind = training.settings(config, method), variants.method(config, method)
    if kind in METHODS:
        return [f"results/{method}/fold{fold}/seed{seed}/seen.json"]
    encoders = [own["encoders"][name] for name in networks.encoders(own, [kind]) if name in own["encoders"]]
    files = [weights.files(config, one["network"], one["weights"], fold, seed) for one in encoders
             if networks.are_runs(one["weights"])]  # fmt: skip
    return [file for found in files for file in found if file.endswith("seen.json")]


def code_of(config: Config, method: str) -> str:
    """The digest of scoring with the model file of a run, whatever it holds."""
    return baselines.model_code(config, method, "model.inference.external")


def points(config: Config) -> str:
    """How thresholds are chosen, as flags; predictive values are for the external share of positives."""
    return flags.flags({key: config["operating"][key] for key in ("sensitivity", "specificity")})
