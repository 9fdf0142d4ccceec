"""The published training methods, each as a list of phases. Read by the Snakefile alone."""

from collections.abc import Callable, Mapping
from typing import Any


def typhon(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Parallel transfer (Typhon, Algorithm 1), then specialization on the target.

    All data sets train one extractor in turns, each through its own decision maker.
    """
    settings = config["hyperparameters"]["typhon"]
    phases = [
        {"name": "training", "datasets": list(config["datasets"]), **settings["training"]},
        {"name": "specialization", "datasets": [config["target"]], **settings["specialization"]},
    ]
    return [phase for phase in phases if phase["epochs"] > 0]


METHODS: dict[str, Callable[[Mapping[str, Any]], list[dict[str, Any]]]] = {"typhon": typhon}
