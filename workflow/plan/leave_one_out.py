"""What transfers to each task in turn are made of; ConfigError where the config asks for none."""

from pipeline.errors import ConfigError
from workflow import side_collections, variants
from workflow.plan import Config, folds, runs, training


def results(config: Config) -> list[str]:
    """The test result of each target from each source in each way."""
    return [f"results/{name}_auc.json" for name in _transfers(config)]


def each_run(config: Config, file: str = "") -> list[str]:
    """The folder of each of their runs, or a file in it."""
    folders = [f"results/{name}/{run}" for name in _transfers(config) for run in runs(config)]
    return [f"{folder}/{file}" if file else folder for folder in folders]


def splits(config: Config) -> list[str]:
    """The splits of all targets in all folds."""
    return training.splits_of(config[variants.LEFT_OUT]["tasks"], folds(config))


def first_pretraining(config: Config, file: str = "") -> list[str]:
    """The folder of the first run that trained on all tasks but the first, or a file in it.

    None without pre-training.
    """
    own = config[variants.LEFT_OUT]
    first = [f"results/{variants.LEFT_OUT}/{own['tasks'][0]}/{name}" for name in own["pretraining"][:1]]
    folders = [f"{folder}/{runs(config)[0]}" for folder in first]
    return [f"{folder}/{file}" if file else folder for folder in folders]


def architecture(config: Config) -> list[str]:
    """The picture of its network; none without pre-training."""
    return (
        [f"results/{variants.LEFT_OUT}_architecture.png"] if config[variants.LEFT_OUT]["pretraining"] else []
    )


def _transfers(config: Config) -> list[str]:
    side_collections.check_tested(config)
    own = config[variants.LEFT_OUT]
    if not own["tasks"]:
        expected, remedy = "data sets to leave out in turn", "name some of datasets"
        raise ConfigError("nothing", file=f"{variants.LEFT_OUT}/tasks", expected=expected, remedy=remedy)
    # A pre-training alone is no result: leave_one_out/{target}/{method}.
    return [name for name in variants.of_left_out(config) if name.count("/") == 3]
