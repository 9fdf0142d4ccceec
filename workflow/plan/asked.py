"""What the user has asked for by name: a slip in a target is told with the nearest that there is."""

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from model.baselines.methods import BASELINES
from pipeline.errors import TargetError
from workflow import variants
from workflow.config.messages import nearest
from workflow.plan import Config

TARGETS: list[str] = []
"""What ``./run`` was asked for; empty without it, where Snakemake says what it does not find."""
MOST = 20_000
"""Files among which the nearest is looked for."""


class Rule(Protocol):
    """As much of a Snakemake rule as is needed here."""

    name: str

    def is_producer(self, requested_output: str) -> bool:
        """Whether it makes that file."""

    def get_wildcards(self, requested_output: str) -> Mapping[str, str]:
        """What the wildcards are for that file."""

    def products(self, include_logfiles: bool = ...) -> Iterable[Any]:
        """Patterns of what it makes."""

    def has_wildcards(self) -> bool:
        """Whether it can be asked for by its name."""


def check(config: Config, rules: Iterable[Rule]) -> None:
    """Raise TargetError for the first of TARGETS that no rule is called and none makes.

    The same for a file of a data set that the config does not have. Files that are there need no rule.
    """
    every, known = list(rules), config["collections"]
    words = {"all", *(rule.name for rule in every)}
    for name in TARGETS:
        file = name if Path(name).is_absolute() else os.path.relpath(name)
        if name in words or Path(file).exists():
            continue
        makers = [rule for rule in every if rule.is_producer(file)]
        if not makers:
            raise TargetError("neither", file=name, remedy=_remedy(config, file, every))
        unknown = {rule.get_wildcards(file).get("dataset", config["target"]) for rule in makers} - {*known}
        if len(unknown) == 1:
            (dataset,) = unknown
            expected, remedy = "a file of a data set in the config", nearest(dataset, known)
            raise TargetError(f"one of {dataset}", file=name, expected=expected, remedy=remedy)


def _remedy(config: Config, name: str, rules: Iterable[Rule]) -> str:
    """The nearest word or file; for want of one, how to list them."""
    from workflow.run import OWN

    every = list(rules)
    words = {*OWN, "all", *(rule.name for rule in every if not rule.has_wildcards())}
    found = nearest(name, [*itertools.islice(_files(config, name, every), MOST)] if "/" in name else words)
    return found if found.startswith("did you mean") else "./run -n lists what there is to do"


def _files(config: Config, name: str, rules: Iterable[Rule]) -> Iterator[str]:
    """What rules make, in the fold and with the seed of ``name``, for all data sets and methods."""
    values: dict[str, list[str]] = {
        "dataset": [*config["datasets"], *config["external"]],
        "method": [*variants.networks(config), *variants.names(config, BASELINES)],
        "encoder": [*config["encoders"]],
    }
    for key, usual in (("fold", "0"), ("seed", str(config["seeds"][0]))):
        found = re.search(rf"{key}(\d+)", name)
        values[key] = [found[1] if found else usual]
    for pattern in dict.fromkeys(str(made) for rule in rules for made in rule.products(False)):
        parts = re.split(r"\{(\w+)[^}]*\}", pattern)
        if values.keys() >= {*parts[1::2]}:
            for chosen in itertools.product(*(values[key] for key in dict.fromkeys(parts[1::2]))):
                filled = dict(zip(dict.fromkeys(parts[1::2]), chosen, strict=True))
                yield "".join(filled[part] if place % 2 else part for place, part in enumerate(parts))
