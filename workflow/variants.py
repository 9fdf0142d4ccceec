"""Variants: a method under a name of its own, with other settings than the config has for all.

A user names some in ``variants``, a search makes one of each candidate, and the published way of a key is one
as well. What a variant changes is laid over the config as Snakemake lays one config file over another. Its
results lie below its name.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from model.baselines.methods import BASELINES
from model.search.grid import candidates, nested
from model.training.methods import METHODS
from pipeline.errors import ConfigError

Config = Mapping[str, Any]
CHANGES = (
    "network", "weights", "bootstrap", "hyperparameters", "training", "evaluation", "budget", "precision",
    "target", "datasets",
)  # fmt: skip
"""Keys of the config that a user's variant may change: those of training alone; all data are shared. One with
another target is a source, whose extractor others begin with."""
CURVE = "curve"
"""The folder of the points of learning curves; also their key in the config."""
LEFT_OUT = "leave_one_out"
"""The folder of transfers from all tasks but one to that one; also its key in the config."""
TAKEN = {
    *METHODS, *BASELINES, "bootstrap", CURVE, "effects", "external", "figures", LEFT_OUT, "search",
    "tables",
}  # fmt: skip
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
        alone: dict[str, Any] = {"search": {}, "curve": {}, LEFT_OUT: {}, "variants": {}}
        made = laid(dict(config) | alone, self.changes)
        # A method for pretrained networks has its own, whatever the others train.
        own = made["hyperparameters"].get(self.method, {})
        return made | {key: own[key] for key in ("network", "weights") if key in own}


def laid(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A config with another one laid over it, as Snakemake does it; what does not change is shared."""
    made = dict(tree)
    for key, value in changes.items():
        below = made.get(key)
        made[key] = (
            laid(below if isinstance(below, Mapping) else {}, value) if isinstance(value, Mapping) else value
        )
    return made


def of_user(config: Config) -> dict[str, Variant]:
    """Those that the config names."""
    return {name: of(config, name) for name in config["variants"]}


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
    points = itertools.product(config["curve"].get("methods", ()), config["curve"].get("findings", ()))
    made = [_point(config, name, number) for name, number in points]
    return {point.name: point for point in made}


def _point(config: Config, name: str, number: int) -> Variant:
    """A method of the curves that learns from so many findings."""
    return _changed(config, f"{CURVE}/{name}/n{number}", name, {"budget": {config["target"]: number}})


def of_left_out(config: Config, tasks: Iterable[str] | None = None) -> dict[str, Variant]:
    """For each task, or some, the pre-trainings on all others, and what comes of each source in each way.

    They are named ``leave_one_out/{target}/{method}`` and ``leave_one_out/{target}/{source}/{way}``.
    """
    own, found = config[LEFT_OUT], []
    for target in own.get("tasks", ()) if tasks is None else tasks:
        others = [name for name in config["datasets"] if name != target]
        sources = {source: (f"{LEFT_OUT}.{source}", weights) for source, weights in own["sources"].items()}
        for name in own["pretraining"]:
            base, made = method(config, name), f"{LEFT_OUT}/{target}/{name}"
            fixed = "network" in config["hyperparameters"].get(base, {})
            network: dict[str, Any] = {"network": own["network"]}
            network = {"hyperparameters": {base: network}} if fixed else network
            found.append(_changed(config, made, name, network | {"target": others[0], "datasets": others}))
            sources[name] = (f"{LEFT_OUT}.{name}.{target}", f"results/{made}")
        for (source, (encoder, weights)), way in itertools.product(sources.items(), own["ways"]):
            begun: dict[str, Any] = {"network": own["network"], "weights": weights}
            changes: dict[str, Any] = {"target": target, "datasets": [target]}
            if (base := method(config, way)) not in METHODS:
                changes["encoders"] = {encoder: begun | {"side": None, "views": own["views"]}}
                begun = {"encoder": encoder}
            elif weights == "random":  # nothing in it is worth keeping as it is
                begun["training"] = {"layers": None}
            changes["hyperparameters"] = {base: begun}
            found.append(_changed(config, f"{LEFT_OUT}/{target}/{source}/{way}", way, changes))
    return {variant.name: variant for variant in found}


def encoders(config: Config) -> dict[str, Any]:
    """The encoders of the config, and those that are made to leave one task out."""
    made = [variant.changes.get("encoders", {}) for variant in of_left_out(config).values()]
    return {name: entry for known in (config["encoders"], *made) for name, entry in known.items()}


def _changed(config: Config, name: str, usual: str, changes: Mapping[str, Any]) -> Variant:
    """A method, or a variant of a user, with further changes."""
    known = of(config, usual)
    return Variant(name, known.method, laid(known.changes, changes))


def of(config: Config, name: str) -> Variant:
    """The variant of this name; a method is one that changes nothing."""
    if entry := config["variants"].get(name):
        return Variant(name, entry["method"], {key: entry[key] for key in entry if key != "method"})
    kind, *rest = name.split("/")
    if not rest:
        return Variant(name, name)
    if kind == CURVE:  # by itself, as there may be hundreds
        return _point(config, rest[0], int(rest[1].removeprefix("n")))
    return (of_left_out(config, rest[:1]) if kind == LEFT_OUT else of_search(config))[name]


def method(config: Config, name: str) -> str:
    """The method of a variant; a method's own is itself."""
    return of(config, name).method


def names(config: Config, methods: Iterable[str]) -> list[str]:
    """These methods, the user's variants of them, and those of learning curves and of leaving one out."""
    known = sorted(methods)
    made = of_user(config) | of_curve(config) | of_left_out(config)
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
            for problem in error.each:
                problem.file = f"{where}/{problem.file}"
            raise
        entry |= {key: _difference(config[key], filled[key]) for key in CHANGES if config[key] != filled[key]}


def _difference(there: Any, here: Any) -> Any:
    """What has to be laid over ``there`` to come to ``here``."""
    if not (isinstance(there, Mapping) and isinstance(here, Mapping)):
        return here
    return {key: _difference(there.get(key), value) for key, value in _others(there, here)}


def _others(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in here.items() if key not in there or there[key] != value)
