"""Variants: a method under a name of its own, with other settings than the config has for all.

A user names some in ``variants``, a search makes one of each candidate, and the published way of a key is one
as well. What a variant changes is laid over the config as Snakemake lays one config file over another. Its
results lie below its name.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from model.baselines.methods import BASELINES
from model.search.grid import candidates, nested
from model.training.methods import METHODS
from pipeline.errors import ConfigError

Config = Mapping[str, Any]
CHANGES = (
    "network", "weights", "bootstrap", "hyperparameters", "training", "evaluation", "budget", "precision"
)  # fmt: skip
"""Keys of the config that a user's variant may change: those of training alone; all data are shared."""
TAKEN = {*METHODS, *BASELINES, "bootstrap", "curve", "effects", "external", "figures", "search", "tables"}
"""Names that something else has below ``results/``."""


@dataclass(frozen=True)
class Variant:
    """A method with changed settings."""

    name: str
    method: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Laid over the config."""

    def settings(self, config: Config) -> dict[str, Any]:
        """The config of this variant alone."""
        made = dict(config) | {"search": {}, "curve": {}, "variants": {}}
        if self.changes:
            made = copy.deepcopy(made)
            lay_over(made, self.changes)
        # A method for pretrained networks has its own, whatever the others train.
        own = made["hyperparameters"].get(self.method, {})
        return made | {key: own[key] for key in ("network", "weights") if key in own}


def lay_over(tree: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Change ``tree`` in place, as Snakemake lays one config file over another."""
    for key, value in changes.items():
        if isinstance(value, Mapping):
            tree[key] = tree[key] if isinstance(tree.get(key), dict) else {}
            lay_over(tree[key], value)
        else:
            tree[key] = value


def of_user(config: Config) -> dict[str, Variant]:
    """Those that the config names."""
    return {
        name: Variant(name, entry["method"], {key: entry[key] for key in entry if key != "method"})
        for name, entry in config["variants"].items()
    }


def of_search(config: Config) -> dict[str, Variant]:
    """The candidates of the search, named ``search/{method}/candidate{n}``; none without a search."""
    method, grid = config["search"]["method"], config["search"]["grid"]
    if method is None:
        return {}
    found = [
        Variant(f"search/{method}/candidate{number}", method, nested(settings, method))
        for number, settings in enumerate(candidates(grid))
    ]
    return {variant.name: variant for variant in found}


def of_curve(config: Config) -> dict[str, Variant]:
    """The points of the learning curves, named ``curve/{method}/n{findings}``."""
    found = {}
    for name in config["curve"].get("methods", ()):
        usual = of(config, name)
        for number in config["curve"]["findings"]:
            changes = copy.deepcopy(dict(usual.changes))
            lay_over(changes, {"budget": {config["target"]: number}})
            point = Variant(f"curve/{name}/n{number}", usual.method, changes)
            found[point.name] = point
    return found


def of(config: Config, name: str) -> Variant:
    """The variant of this name; a method is one that changes nothing."""
    if name in config["variants"]:
        return of_user(config)[name]
    return (of_search(config) | of_curve(config))[name] if "/" in name else Variant(name, name)


def method(config: Config, name: str) -> str:
    """The method of a variant; a method's own is itself."""
    return of(config, name).method


def names(config: Config, methods: Iterable[str]) -> list[str]:
    """These methods, the user's variants of them, and the points of their learning curves."""
    known = sorted(methods)
    made = of_user(config) | of_curve(config)
    return [*known, *(variant.name for variant in made.values() if variant.method in known)]


def networks(config: Config) -> list[str]:
    """Every name that has a network trained: methods, variants of them and candidates."""
    return [*names(config, METHODS), *of_search(config)]


def check(config: dict[str, Any], checked: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Check each variant of a user as if its settings stood in the config, and give them types and defaults.

    ``checked`` does that to a whole config. Raises ConfigError.
    """
    for name, entry in config["variants"].items():
        where = f"variants/{name}"
        if name in TAKEN:
            raise ConfigError(name, file=where, expected="no name that something else has below results/")
        if (known := entry.get("method")) not in {*METHODS, *BASELINES}:
            remedy = f"there are {', '.join((*METHODS, *BASELINES))}"
            raise ConfigError(str(known), file=f"{where}/method", expected="a method", remedy=remedy)
        for key in entry:
            if key not in ("method", *CHANGES):
                expected = f"keys of training alone: {', '.join(CHANGES)}"
                raise ConfigError("a key that a variant has not", file=f"{where}/{key}", expected=expected)
        fixed = config["hyperparameters"].get(known, {})
        for key in entry.keys() & {"network", "weights"} & fixed.keys():
            expected = f"variants/{name}/hyperparameters/{known}/{key}, where {known} has it"
            raise ConfigError("a key that changes nothing", file=f"{where}/{key}", expected=expected)
        made = of_user(config)[name].settings(config)
        alone = {"methods": [known], "comparison": config["comparison"] | {"reference": None}}
        try:
            filled = checked(copy.deepcopy(made | alone))
        except ConfigError as error:
            error.file = f"{where}/{error.file}"
            raise
        entry |= {key: _difference(config[key], filled[key]) for key in CHANGES if config[key] != filled[key]}


def _difference(there: Any, here: Any) -> Any:
    """What has to be laid over ``there`` to come to ``here``."""
    if not (isinstance(there, Mapping) and isinstance(here, Mapping)):
        return here
    return {key: _difference(there.get(key), value) for key, value in _changed(there, here)}


def _changed(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in here.items() if key not in there or there[key] != value)
