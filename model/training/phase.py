"""A phase: which data sets are visited, how often and how. A method is a list of phases."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from model.training.layers import Layers
from model.training.layers import problems as layers_problems
from pipeline.errors import ConfigError

STEP_KINDS = ("turns", "joint", "mixed")
"""What one step sees; model.training.steps has a class for each. turns: a batch of one data set, each set
having an optimizer of its own (Typhon, Algorithm 1); joint: a batch of each data set, forwarded apart, their
gradients summed; mixed: one batch in which the data sets are equally likely, each sample going to its own
decision maker (Mormont et al.)."""
ONE_FOR_ALL = {"turns": (), "joint": ("learning_rate",), "mixed": ("learning_rate", "dropout")}
"""Keys that cannot have a number for each data set, as such a step has one optimizer, or one batch."""
SELECT = ("last", "best")
"""Which state a phase leaves behind: its last, or the one with the best validation AUROC."""
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES: dict[str, tuple[set[str], set[str]]] = {
    "plateau": ({"factor", "patience"}, {"watch", "until"}),
    "cosine": (set(), {"end"}),
    "one-cycle": (set(), {"rise", "start", "end", "momentum"}),
}
"""By kind of schedule, the keys that it needs and those that it may have; see model.training.schedule."""
WATCH = ("validation", "loss", "paper")
"""validation: the AUROC of validation should rise. loss: its loss should fall. paper: as the public code had
it, the AUROC of training should fall, and rates below 1.1e-8 are never reduced."""
BALANCES = ("views", "undersample")
"""views: every view that the split grants once per pass, as always with several labels; undersample: as
many of each class."""
BATCH_NORM = ("train", "eval")
"""train: a batch is normalised by its own mean and variance; eval: by the running ones, which stay."""
BY_DATASET = ("learning_rate", "dropout", "weight")
"""Keys that may have a number for each data set."""
FIND = "find"
"""A learning rate that a trial finds as the phase begins; see model.training.finder."""
NEW = "new"
"""A head that starts anew."""


@dataclass(frozen=True)
class Phase:
    """One stretch of training under one setting.

    In each of ``epochs`` rounds every data set gives ``batches`` batches.
    """

    name: str
    datasets: tuple[str, ...]
    epochs: int
    batch_size: int
    learning_rate: float | Mapping[str, float] | str
    """Of the optimizer; one number, or one per data set; or ``find``."""
    batches: int | None
    """Per data set and epoch; None is a full pass."""
    dropout: float | Mapping[str, float]
    """Probability that an activation is dropped, in extractor and decision makers alike; one, or one per data
    set."""
    frozen: bool = False
    """Train the decision makers alone, on features of the extractor in eval mode."""
    step: str = "turns"
    select: str = "last"
    head: Mapping[str, str] = field(default_factory=dict)
    """Where a data set's decision maker comes from as the phase begins: ``new`` has it start anew, the name
    of another data set lets both share that one's from here on; otherwise it is kept."""
    schedule: Mapping[str, Any] | None = None
    """How the rate changes; None keeps it. See model.training.schedule."""
    optimizer: str = "adam"
    weight_decay: float = 0.0
    """Of the optimizer: an L2 penalty with Adam and SGD, decoupled with AdamW."""
    momentum: float = 0.9
    """Of SGD."""
    layers: Layers | None = None
    """Rates of the extractor's layers, and from when on they move; None moves all at one rate."""
    batch_norm: str = "train"
    balance: str | None = None
    """How classes are balanced; None as the run has it."""
    weight: float | Mapping[str, float] = 1.0
    """Of a data set's loss in a joint step; one number, or one per data set."""
    stop: int | None = None
    """End the phase after so many validations in a row without a better state; needs ``select: best``."""

    def rate(self, dataset: str) -> float:
        """Learning rate of a data set's optimizer."""
        return _of(self.learning_rate, dataset)

    def drops(self, dataset: str) -> float:
        """Dropout of a data set's batches."""
        return _of(self.dropout, dataset)

    def weighs(self, dataset: str) -> float:
        """Weight of a data set's loss."""
        return _of(self.weight, dataset)


def _of(value: float | Mapping[str, float] | str, dataset: str) -> float:
    return float(value[dataset] if isinstance(value, Mapping) else value)


def dropped(phases: Iterable[Phase], dataset: str, *, zero_keeps: bool) -> float:
    """Dropout of a data set in the last of some phases; as published 0 leaves the former one on."""
    so_far = [
        phase.drops(dataset)
        for phase in phases
        if dataset in phase.datasets or not isinstance(phase.dropout, Mapping)
    ]
    return next((value for value in reversed(so_far) if value or not zero_keeps), 0.0)


def parse_phases(text: str) -> tuple[Phase, ...]:
    """Read the JSON list of phases that a method wrote; a ConfigError names what does not fit.

    No phase at all is allowed: the network is then evaluated as the bootstrap left it.
    """
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise ConfigError(str(error), file="--phases", expected="a JSON list of phases") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(repr(entries), file="--phases", expected="a JSON list of phases")
    phases = tuple(_parse(entry) for entry in entries)
    if len({phase.name for phase in phases}) < len(phases):
        raise ConfigError(str([phase.name for phase in phases]), file="--phases", expected="distinct names")
    return phases


def check_names(phases: Iterable[Phase], target: str, known: Iterable[str]) -> None:
    """Raise ConfigError unless every data set that is named, also as a head, is known."""
    known = list(known)
    places = [(f"phase {phase.name}", name) for phase in phases for name in phase.datasets]
    for phase in phases:
        heads = {*phase.head, *phase.head.values()} - {NEW}
        places += [(f"head in phase {phase.name}", name) for name in sorted(heads)]
    for place, name in [*places, ("target", target)]:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            raise ConfigError(
                name, file=place, expected=f"one of the data sets {', '.join(known)}",
                remedy=f"did you mean {near[0]}?" if near else "give its store, or fix the name",
            )  # fmt: skip


def _parse(entry: Mapping[str, Any]) -> Phase:
    known = {key.name for key in fields(Phase)}
    needed = {key.name for key in fields(Phase) if key.default is MISSING and key.default_factory is MISSING}
    missing, unknown = sorted(needed - set(entry)), sorted(set(entry) - known)
    if missing or unknown:
        near = [name for key in unknown for name in difflib.get_close_matches(key, known, n=1, cutoff=0.5)]
        raise ConfigError(
            f"missing {missing}, unknown {unknown}",
            file=f"phase {entry.get('name')}",
            expected=f"the keys {sorted(known)}",
            remedy=f"did you mean {', '.join(near)}?" if near else "fix the method",
        )
    layers = entry.get("layers")
    for expected, odd in layers_problems(layers):
        raise ConfigError(odd, file=f"phase {entry['name']}", expected=expected)
    phase = Phase(**{
        **entry, "datasets": tuple(entry["datasets"]), "layers": None if layers is None else Layers(**layers)
    })  # fmt: skip
    for expected, found in (*_problems(phase), *schedule_problems(phase.schedule)):
        raise ConfigError(str(found), file=f"phase {phase.name}", expected=expected)
    return phase


def _problems(phase: Phase) -> Iterable[tuple[str, object]]:
    """What is expected, and what was found instead."""
    if not phase.datasets or len(set(phase.datasets)) < len(phase.datasets):
        yield "distinct data sets", phase.datasets
    for key in ("epochs", "batch_size", "batches"):
        value = getattr(phase, key)
        if value is not None and value < 1:
            yield f"{key} of 1 or more", value
    for key, allowed in (
        ("step", STEP_KINDS), ("select", SELECT), ("optimizer", OPTIMIZERS), ("batch_norm", BATCH_NORM),
        ("balance", (None, *BALANCES)),
    ):  # fmt: skip
        if getattr(phase, key) not in allowed:
            yield f"{key}: {', '.join(filter(None, allowed))}", getattr(phase, key)
            return
    for key in BY_DATASET:
        value = getattr(phase, key)
        if isinstance(value, Mapping):
            if missing := sorted(set(phase.datasets) - set(value)):
                yield f"a {key} per data set", f"none for {missing}"
                return
            if key in ONE_FOR_ALL[phase.step]:
                why = "one optimizer" if key == "learning_rate" else "one batch"
                yield f"one {key}, as a {phase.step} step has {why}", dict(value)
    if not all(0 <= phase.drops(dataset) < 1 for dataset in phase.datasets):
        yield "a dropout from 0 to below 1", phase.dropout
    if phase.step != "joint" and phase.weight != 1:
        yield "a weight with step: joint alone", phase.weight
    if not all(phase.weighs(dataset) > 0 for dataset in phase.datasets):
        yield "a weight above 0", phase.weight
    if phase.frozen and phase.layers is not None:
        yield "no layers in a frozen phase, which moves none", phase.layers
    if not phase.weight_decay >= 0:
        yield "a weight_decay of 0 or more", phase.weight_decay
    if not 0 <= phase.momentum < 1:
        yield "a momentum from 0 to below 1", phase.momentum
    if phase.stop is not None and (phase.stop < 1 or phase.select != "best"):
        yield "stop: 1 or more, with select: best", phase.stop
    if isinstance(phase.learning_rate, str):
        if phase.learning_rate != FIND:
            yield f"a learning_rate above 0, or {FIND}", phase.learning_rate
        elif phase.step == "turns" and len(phase.datasets) > 1:
            yield f"a number where data sets take turns, as {FIND} is for one optimizer", phase.learning_rate
    elif not all(phase.rate(dataset) > 0 for dataset in phase.datasets):
        yield "a learning_rate above 0", phase.learning_rate


def schedule_problems(schedule: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """What is expected of a schedule, and what was found instead."""
    if schedule is None:
        return
    kind, keys = schedule.get("kind"), set(schedule) - {"kind"}
    if kind not in SCHEDULES:
        yield f"a kind of {', '.join(SCHEDULES)}", repr(kind)
        return
    needed, optional = SCHEDULES[kind]
    if missing := sorted(needed - keys):
        yield f"{' and '.join(missing)} with {kind}", f"none in {dict(schedule)}"
    if odd := sorted(keys - needed - optional):
        yield f"{kind} with {', '.join(sorted(needed | optional))}", " ".join(odd)
    momenta: dict[Any, float] = dict(enumerate(schedule.get("momentum", ())))
    for key, value in {**schedule, **momenta}.items():
        if key in ("factor", "rise") and not 0 < value < 1:
            yield f"a {key} between 0 and 1", str(value)
        if key in ("start", "end") and not 0 <= value <= 1:
            yield f"{key}: a share from 0 to 1", str(value)
        if key in momenta and not 0 <= value < 1:
            yield "a momentum from 0 to below 1", str(value)
    if len(momenta) not in (0, 2):
        yield "momentum: one at the ends and one at the highest rate", str(schedule["momentum"])
    if not schedule.get("until", 1) > 0:
        yield "until: a rate above 0", str(schedule["until"])
    if schedule.get("patience", 0) < 0:
        yield "a patience of 0 or more", str(schedule["patience"])
    if schedule.get("watch", WATCH[0]) not in WATCH:
        yield f"watch: {', '.join(WATCH)}", str(schedule["watch"])
