"""What a grid search is made of, and what it brings; ConfigError where the config has no such search."""

import json

from pipeline.errors import ConfigError
from workflow import variants
from workflow.plan import Config, runs

ITEMS = ("candidates.csv", "best.yaml", "candidates.png")


def grid(config: Config) -> str:
    """The values of each key, as JSON."""
    return json.dumps(config["search"]["grid"])


def predictions(config: Config, method: str) -> list[str]:
    """The predictions of all candidates for a method but those to skip."""
    _check(config, method)
    skip = config["search"]["skip"]
    names = [name for number, name in enumerate(variants.of_search(config)) if number not in skip]
    return [f"results/{name}/{run}/predictions.csv" for name in names for run in runs(config)]


def items(config: Config) -> list[str]:
    """What the search brings."""
    method = config["search"]["method"]
    _check(config, method or "a method")
    return [f"results/search/{method}/{item}" for item in ITEMS]


def _check(config: Config, method: str) -> None:
    if (found := config["search"]["method"]) != method:
        remedy = "name a method and a grid under search"
        raise ConfigError(found or "nothing", file="search/method", expected=method, remedy=remedy)
