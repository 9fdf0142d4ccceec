"""The experiments of Romero et al.: their figures and tables, from the points of learning curves."""

import shlex

from papers import numbers, targeted
from pipeline.errors import ConfigError
from workflow.plan import Config, curve, runs


def figures(config: Config) -> list[str]:
    """The figures that the methods of the curves can draw, and those that need none.

    Raises ConfigError where there is nothing to compare.
    """
    return [f"results/figures/{name}.png" for name in (*targeted.POLICIES, *_wanted(config))]


def tables(end: str) -> list[str]:
    """The files of all tables that end so."""
    return [f"results/tables/{name}.{end}" for name in targeted.TABLES]


def shown(config: Config) -> list[str]:
    """The names of those of them that show results, if any."""
    return targeted.wanted(config["curve"]["methods"])


def every_result(config: Config) -> list[str]:
    """The test results of their points."""
    return [f"results/{name}_auc.json" for name, _, _ in _points(config)]


def every_prediction(config: Config) -> list[str]:
    """What their runs say of the test findings."""
    return [
        f"results/{name}/{run}/{file}"
        for name, _, _ in _points(config)
        for run in runs(config)
        for file in ("predictions.csv", "best/predictions.csv")
    ]


def every_point(config: Config) -> str:
    """Their methods and findings, as flags."""
    methods, findings = ([str(point[place]) for point in _points(config)] for place in (1, 2))
    return shlex.join(["--methods", *methods, "--findings", *findings])


def task(config: Config) -> str:
    """What the paper calls the task of the target, quoted for a shell."""
    return shlex.quote(targeted.task_of(config["collections"][config["target"]], config["target"]))


def digest() -> str:
    """Changes whenever a number of the paper does."""
    return f"{numbers.digest()} {targeted.digest()}"


def _points(config: Config) -> list[tuple[str, str, int]]:
    drawn = {
        method for name in _wanted(config) for method in targeted.drawn(name, config["curve"]["methods"])
    }
    return [point for point in curve.points(config) if point[1] in drawn]


def _wanted(config: Config) -> list[str]:
    if not (found := shown(config)):
        raise ConfigError(
            ", ".join(config["curve"]["methods"]) or "nothing", file="curve/methods",
            expected="at least two methods of a figure of Romero et al.",
            remedy="begin with config/targeted-transfer.yaml, whose variants have the names",
        )  # fmt: skip
    return found
