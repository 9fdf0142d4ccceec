"""A phase: which data sets are visited, how often and how. A method is a list of phases."""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from pipeline.errors import ConfigError

STEPS = ("turns", "joint", "mixed")
"""What one step of Adam sees. turns: a batch of one data set, each set having an Adam of its own (Typhon,
Algorithm 1); joint: a batch of each data set, forwarded apart, their gradients summed; mixed: one batch in
which the data sets are equally likely, each sample going to its own decision maker (Mormont et al.)."""
SELECT = ("last", "best")
"""Which state a phase leaves behind: its last, or the one with the best validation AUROC."""
PLATEAU = {"kind", "factor", "patience", "watch"}
WATCH = ("validation", "paper")
"""validation: the AUROC of validation should rise. paper: as the public code had it, that of training should
fall, and rates below 1.1e-8 are never reduced."""
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
    learning_rate: float | Mapping[str, float]
    """Of Adam; one number, or one per data set."""
    batches: int | None
    """Per data set and epoch; None is a full pass."""
    dropout: float
    """Probability that an activation is dropped, in extractor and decision makers alike."""
    frozen: bool = False
    """Train the decision makers alone, on features of the extractor in eval mode."""
    step: str = "turns"
    select: str = "last"
    head: Mapping[str, str] = field(default_factory=dict)
    """Where a data set's decision maker comes from as the phase begins: ``new`` has it start anew, the name
    of another data set lets both share that one's from here on; otherwise it is kept."""
    schedule: Mapping[str, Any] | None = None
    """How the rate changes; None keeps it. See model.schedule."""

    def rate(self, dataset: str) -> float:
        """Learning rate of a data set's optimizer."""
        rate = self.learning_rate
        return float(rate[dataset] if isinstance(rate, Mapping) else rate)


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
                remedy=f"did you mean {near[0]}?" if near else "give its store, or mend the name",
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
            remedy=f"did you mean {', '.join(near)}?" if near else "mend the method",
        )
    phase = Phase(**{**entry, "datasets": tuple(entry["datasets"])})
    for expected, found in _problems(phase):
        raise ConfigError(str(found), file=f"phase {phase.name}", expected=expected)
    _check_schedule(phase.schedule, f"phase {phase.name}")
    return phase


def _problems(phase: Phase) -> Iterable[tuple[str, object]]:
    """What is expected, and what was found instead."""
    if not phase.datasets or len(set(phase.datasets)) < len(phase.datasets):
        yield "distinct data sets", phase.datasets
    for key in ("epochs", "batch_size", "batches"):
        value = getattr(phase, key)
        if value is not None and value < 1:
            yield f"{key} of 1 or more", value
    if not 0 <= phase.dropout < 1:
        yield "a dropout from 0 to below 1", phase.dropout
    for key, allowed in (("step", STEPS), ("select", SELECT)):
        if getattr(phase, key) not in allowed:
            yield f"{key}: {', '.join(allowed)}", getattr(phase, key)
    if isinstance(phase.learning_rate, Mapping):
        if missing := sorted(set(phase.datasets) - set(phase.learning_rate)):
            yield "a learning_rate per data set", f"none for {missing}"
            return
        if phase.step != "turns":
            yield f"one learning_rate, as a {phase.step} step has one optimizer", dict(phase.learning_rate)
    if not all(phase.rate(dataset) > 0 for dataset in phase.datasets):
        yield "a learning_rate above 0", phase.learning_rate


def _check_schedule(schedule: Mapping[str, Any] | None, where: str) -> None:
    """Raise ConfigError unless a schedule is one that is known."""
    if schedule is None:
        return
    wrong = set(schedule) - PLATEAU or {"kind", "factor", "patience"} - set(schedule)
    if (
        wrong
        or schedule["kind"] != "plateau"
        or not 0 < schedule["factor"] < 1
        or schedule["patience"] < 0
        or schedule.get("watch", WATCH[0]) not in WATCH
    ):
        raise ConfigError(
            str(dict(schedule)),
            file=where,
            expected="schedule: {kind: plateau, factor: between 0 and 1, patience: 0 or more}",
            remedy=f"watch, if given, is one of {', '.join(WATCH)}",
        )
