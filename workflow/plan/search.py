"""What a grid search is made of, and what it brings; ConfigError where the config has no such search."""

import json

from model.grid import candidates, check_candidate
from workflow.plan import Config, runs

ITEMS = ("candidates.csv", "best.yaml", "candidates.png")


def grid(config: Config) -> str:
    """The values of each key, as JSON."""
    return json.dumps(config["search"]["grid"])


def predictions(config: Config, method: str) -> list[str]:
    """The predictions of all candidates for a method but those to skip."""
    search = config["search"]
    check_candidate(search, method)
    numbers = sorted(set(range(len(candidates(search["grid"])))) - set(search["skip"]))
    return [
        f"results/search/{method}/candidate{number}/{run}/predictions.csv"
        for number in numbers for run in runs(config)
    ]  # fmt: skip


def items(config: Config) -> list[str]:
    """What the search brings."""
    method = config["search"]["method"]
    check_candidate(config["search"], method or "a method")
    return [f"results/search/{method}/{item}" for item in ITEMS]
