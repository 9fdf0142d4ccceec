"""The training methods, each as a list of phases. Read by the Snakefile alone.

A method takes the config and gives what model.training.phase describes. Its numbers (epochs, rates,
dropout) stand in ``hyperparameters.{method}.{step}``; here stands only what makes it that method.
"""

from collections.abc import Callable, Mapping
from typing import Any

Config = Mapping[str, Any]
Phases = list[dict[str, Any]]


def classical(config: Config) -> Phases:
    """End to end on the target alone (thesis 5.2)."""
    return [phase(config, "training", [config["target"]], "classical/training")]


def transfer(config: Config) -> Phases:
    """The standard baseline (Hydra III): target, supports, target again, all layers, one head for all."""
    target, names = config["target"], _in_sequence(config)
    steps = ["first", *["support"] * (len(names) - 2), "last"]
    return [
        phase(config, f"DS{number}/Full", [name], f"transfer/{step}", head=_shared([name], target))
        for number, (name, step) in enumerate(zip(names, steps, strict=True), start=1)
    ]


def hydra(config: Config) -> Phases:
    """Hydra, Algorithm 1: each data set after the first trains its head on a frozen extractor, then all.

    Supports get a new head; the target's first one comes back for the last round.
    """
    first, *others = _in_sequence(config)
    found = [phase(config, "DS1/Full", [first], "hydra/first")]
    for number, name in enumerate(others, start=2):
        step, head = ("last", {}) if number == len(others) + 1 else ("support", {name: "new"})
        frozen = {"frozen": True, "head": head}
        found.append(phase(config, f"DS{number}/Frozen", [name], f"hydra/{step}_head", **frozen))
        found.append(phase(config, f"DS{number}/Full", [name], f"hydra/{step}"))
    return found


def rwg(_config: Config) -> Phases:
    """Random weight guessing alone: the best random network on the target's validation, as it is."""
    return []


def typhon(config: Config) -> Phases:
    """Parallel transfer (Typhon, Algorithm 1), then specialization on the target."""
    return [
        phase(config, "training", config["datasets"], "typhon/training"),
        phase(config, "specialization", [config["target"]], "typhon/specialization"),
    ]


def parallel(config: Config) -> Phases:
    """Parallel transfer without specialization."""
    return [phase(config, "training", config["datasets"], "parallel/training")]


def finetune(config: Config) -> Phases:
    """A network that knows something, trained on the target; its head begins as a probe, or anew."""
    target = config["target"]
    head = {"head": {target: "new"}} if config["hyperparameters"]["finetune"].get("head") == "new" else {}
    return [phase(config, "training", [target], "finetune/training", **head)]


def joint(config: Config) -> Phases:
    """One batch of each data set, forwarded apart; their gradients summed into one step of Adam."""
    return [phase(config, "training", config["datasets"], "joint/training", step="joint")]


def multitask(config: Config) -> Phases:
    """Mixed batches whose samples go to the head of their data set (Mormont et al.)."""
    return [phase(config, "training", config["datasets"], "multitask/training", step="mixed")]


def pretrain(config: Config) -> Phases:
    """As ``multitask``, of a network that knows something (Mormont et al.)."""
    return [phase(config, "training", config["datasets"], "pretrain/training", step="mixed")]


def pooled(config: Config) -> Phases:
    """The naive baseline: one head for all data sets together."""
    head = _shared(config["datasets"], config["target"])
    return [phase(config, "training", config["datasets"], "pooled/training", step="mixed", head=head)]


METHODS: dict[str, Callable[[Config], Phases]] = {
    method.__name__: method
    for method in (
        typhon, parallel, hydra, transfer, classical, finetune, joint, multitask, pretrain, pooled, rwg,
    )
}  # fmt: skip


def phases(method: str, config: Config) -> Phases:
    """The phases of a method; those of no epochs are left out."""
    return [found for found in METHODS[method](config) if found["epochs"] > 0]


def started_on(found: Phases, config: Config) -> list[str]:
    """The data sets on which the bootstrap picks a start: those of the first phase."""
    return list(found[0]["datasets"]) if found else [config["target"]]


def _in_sequence(config: Config) -> list[str]:
    """Target, supports, target."""
    target = config["target"]
    return [target, *(name for name in config["datasets"] if name != target), target]


def _shared(names: list[str], target: str) -> dict[str, str]:
    return {name: target for name in names if name != target}


def phase(config: Config, name: str, datasets: list[str], numbers: str, **rest: Any) -> dict[str, Any]:
    """A phase with the ``numbers`` of ``{method}/{step}``.

    Where the config wants equal ``target_samples`` of every method, the phase gives each of its data sets its
    share of them, in epochs of one batch. Batch norm is in eval mode by default where weights are not random.
    """
    method, key = numbers.split("/")
    settings = dict(config["hyperparameters"][method][key])
    if settings.get("batch_norm") is None:
        redrawn = config.get("bootstrap", {}).get("initialization") == "moments"
        fresh = config.get("weights", "random") == "random" or redrawn
        settings["batch_norm"] = "train" if fresh else "eval"
    share, samples = settings.pop("share"), config["comparison"]["target_samples"]
    if samples is not None:
        settings["batch_size"] = config["comparison"]["batch_size"] or settings["batch_size"]
        settings["batches"] = 1
        if settings["epochs"] and share:
            settings["epochs"] = max(1, round(share * samples / settings["batch_size"]))
        else:
            settings["epochs"] = 0
    return {"name": name, "datasets": list(datasets), **settings, **rest}
