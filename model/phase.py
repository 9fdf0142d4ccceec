"""A phase: which data sets are visited in turn, how often and how. A method is a list of phases."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from pipeline.errors import ConfigError


@dataclass(frozen=True)
class Phase:
    """One stretch of training under one setting.

    In each of ``epochs`` rounds every data set gives ``batches`` batches in its turn.
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

    def rate(self, dataset: str) -> float:
        """Learning rate of a data set's optimizer."""
        rate = self.learning_rate
        return float(rate[dataset] if isinstance(rate, Mapping) else rate)


def parse_phases(text: str) -> tuple[Phase, ...]:
    """Read the JSON list of phases that a method wrote; a ConfigError names what does not fit."""
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise ConfigError(str(error), file="--phases", expected="a JSON list of phases") from error
    if not isinstance(entries, list) or not entries:
        raise ConfigError(repr(entries), file="--phases", expected="a JSON list of phases")
    phases = tuple(_parse(entry) for entry in entries)
    if len({phase.name for phase in phases}) < len(phases):
        raise ConfigError(str([phase.name for phase in phases]), file="--phases", expected="distinct names")
    return phases


def _parse(entry: Mapping[str, Any]) -> Phase:
    known = {field.name for field in fields(Phase)}
    needed = {field.name for field in fields(Phase) if field.default is MISSING}
    if wrong := set(entry) ^ (set(entry) & known | needed):
        raise ConfigError(
            f"missing {sorted(wrong - set(entry))}, unknown {sorted(wrong & set(entry))}",
            file=f"phase {entry.get('name')}",
            expected=f"the keys {sorted(known)}",
        )
    phase = Phase(**{**entry, "datasets": tuple(entry["datasets"])})
    _check(phase)
    return phase


def _check(phase: Phase) -> None:
    where = f"phase {phase.name}"
    if not phase.datasets or len(set(phase.datasets)) < len(phase.datasets):
        raise ConfigError(str(phase.datasets), file=where, expected="distinct data sets")
    for key, value in (
        ("epochs", phase.epochs),
        ("batch_size", phase.batch_size),
        ("batches", phase.batches),
    ):
        if value is not None and value < 1:
            raise ConfigError(str(value), file=where, expected=f"{key} of 1 or more")
    if not 0 <= phase.dropout < 1:
        raise ConfigError(str(phase.dropout), file=where, expected="a dropout from 0 to below 1")
    if isinstance(phase.learning_rate, Mapping) and (
        missing := set(phase.datasets) - set(phase.learning_rate)
    ):
        raise ConfigError(f"none for {sorted(missing)}", file=where, expected="a learning_rate per data set")
    if not all(phase.rate(dataset) > 0 for dataset in phase.datasets):
        raise ConfigError(str(phase.learning_rate), file=where, expected="a learning_rate above 0")
