"""What learning curves are made of; ConfigError where the config asks for none."""

from pipeline.errors import ConfigError
from workflow import side_collections, variants
from workflow.plan import Config, training


def results(config: Config) -> list[str]:
    """The test result of each point: of each method with each budget, then with all findings."""
    return [f"results/{name}_auc.json" for name, _, _ in points(config)]


def methods(config: Config) -> list[str]:
    """The method of each point."""
    return [method for _, method, _ in points(config)]


def findings(config: Config) -> list[int]:
    """How many findings it learns from; 0 is all that there are."""
    return [number for _, _, number in points(config)]


def counted(config: Config) -> str:
    """The splits whose findings count, as flags where it is not all that are learned from."""
    return "--counted train" if config["subset"]["counts"] == "training" else ""


def points(config: Config) -> list[tuple[str, str, int]]:
    """The name of each point as a variant, its method, and its findings."""
    side_collections.check_tested(config)
    names, numbers = config["curve"]["methods"], config["curve"]["findings"]
    if not names:
        expected, remedy = "methods to draw", "name some of methods, or of variants"
        raise ConfigError("nothing", file="curve/methods", expected=expected, remedy=remedy)
    made = iter(variants.of_curve(config))
    some = [(next(made), name, number) for name in names for number in numbers]
    whole = names if config["curve"]["whole"] else []
    return some + [
        (name, name, training.setting(config, name, "budget").get(config["target"], 0)) for name in whole
    ]
