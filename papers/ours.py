"""What of our runs belongs beside a number of a paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from model.evaluation.delong import NEWCOMBE
from papers.numbers import TableCell, compared, needs_history

NOT_RUN = "not run"
SUPPORTS = {"support1": "brain", "support2": "lungx"}
"""The support sets of the papers, in the order of Hydra."""


@dataclass(frozen=True)
class Value:
    """A cell of ours: its text, its interval and what is to be said of it."""

    text: str
    interval: str = ""
    note: str = ""


@dataclass(frozen=True)
class Experiment:
    """All that tables read of an experiment; each mapping is by method, of those that were run."""

    target: str
    datasets: Sequence[str]
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Content of ``results/{method}_auc.json``."""
    histories: Mapping[str, Sequence[pd.DataFrame]] = field(default_factory=dict)
    """history.csv of each run, epochs and values as numbers."""
    phases: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    candidates: Mapping[str, int] = field(default_factory=dict)
    """Random networks that were scored."""
    challenge: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Content of ``results/{method}_challenge.json``."""
    split: str = "holdout"
    """Kind of the splits; with all, nothing is left to test but the challenge's findings."""

    def value(self, cell: TableCell) -> Value:
        """What belongs beside ``cell``; nothing where there is nothing to compare."""
        if not cell.measure:
            return Value("")
        if cell.measure == "candidates" or cell.measure in _SETTINGS:
            known: Any = self.candidates if cell.measure == "candidates" else self.phases
            return self._setting(cell) if cell.method in known else Value(NOT_RUN)
        if cell.measure.startswith("challenge@"):
            asked = cell.measure == f"challenge@{'all' if self.split == 'all' else 'split'}"
            known = cell.method in self.challenge and asked
            return _area(self.challenge[cell.method]) if known else Value(NOT_RUN)
        measure, *other = compared(cell.measure)
        read: Mapping[str, Any] = self.histories if needs_history(measure) else self.results
        if cell.method not in read or (other and other != ["validation"] and other[0] not in read):
            return Value(NOT_RUN)
        if other:
            return self._compared(cell, measure, other[0])
        return self._measured(cell, measure)

    def _setting(self, cell: TableCell) -> Value:
        if cell.measure == "candidates":
            return Value(f"{self.candidates[cell.method]}")
        phase = next((phase for phase in self.phases[cell.method] if phase["name"] == cell.phase), None)
        if phase is None:
            return Value("no such step")
        if cell.dataset != "target" and list(phase["datasets"]) == [self.target]:
            return Value("not trained")
        value = phase[cell.measure]
        if isinstance(value, Mapping):
            name = phase["datasets"][0] if len(phase["datasets"]) == 1 else self.roles().get(cell.dataset)
            value = value.get(name, "–")
        return Value("full pass" if value is None else spelt(value))

    def roles(self) -> dict[str, str]:
        """Which data set stands where the papers have prostate, brain and lung.

        A support set goes by its name if that is one of theirs, else by its place.
        """
        supports = [name for name in self.datasets if name != self.target]
        found = {role: name for role, name in SUPPORTS.items() if name in supports}
        others = iter(name for name in supports if name not in found.values())
        free = (role for role in SUPPORTS if role not in found)
        return {"target": self.target, **found, **dict(zip(free, others, strict=False))}

    def _measured(self, cell: TableCell, measure: str) -> Value:
        if needs_history(measure):
            return self._of_histories(cell, measure)
        result = self.results[cell.method]
        if measure == "runs":
            return Value(f"{_line(result, 'test')['runs']}")
        if measure == "samples":
            return Value(f"{samples(result):,.0f}")
        if measure in ("test", "validation"):
            return _area(_line(result, measure))
        values = [
            run[measure.removeprefix("test_")]
            for run in result["runs"]
            if (run["dataset"], run["split"], run["state"]) == (result["target"], "test", result["state"])
        ]
        return _mean(values)

    def _compared(self, cell: TableCell, measure: str, other: str) -> Value:
        own, theirs = self.results[cell.method], self.results[cell.method if other == "validation" else other]
        if measure == "samples":
            ratio = samples(own) / samples(theirs) if samples(theirs) else float("nan")
            return Value(f"{abs(ratio - 1):.0%} {'more' if ratio >= 1 else 'fewer'}".replace("%", " %"))
        areas = [
            _line(own, measure)["auroc"],
            _line(theirs, "validation" if other == "validation" else measure)["auroc"],
        ]
        if None in areas:
            return Value("–", note="no AUROC")
        note = "" if other == "validation" else "intervals: differences.csv"
        return Value(f"{areas[0] - areas[1]:+.3f}", note=note)

    def _of_histories(self, cell: TableCell, measure: str) -> Value:
        if measure.startswith("test@"):
            epoch = int(measure.removeprefix("test@"))
            values = [self._at(table, epoch) for table in self.histories[cell.method]]
            found = [value for value in values if value is not None]
            return Value("no such epoch") if not found else _mean(found)
        bests = [best(table, cell.phase) for table in self.histories[cell.method]]
        own = [each for each in bests if each is not None]
        if not own:
            return Value("no such step")
        figures = [each[measure.removeprefix("best_")] for each in own]
        if measure == "best_epoch":
            spread = f" ({min(figures):.0f} to {max(figures):.0f})" if len(figures) > 1 else ""
            return Value(f"{np.median(figures):.0f}{spread}")
        return _mean(figures)

    def _at(self, table: pd.DataFrame, epoch: int) -> float | None:
        rows = table[
            (table["dataset"] == self.target) & (table["split"] == "test") & (table["metric"] == "auroc")
            & (table["epoch"] == epoch)
        ]  # fmt: skip
        return float(rows["value"].iloc[0]) if len(rows) else None


_SETTINGS = ("learning_rate", "dropout", "batch_size", "epochs", "batches")


def best(table: pd.DataFrame, phase: str) -> dict[str, float] | None:
    """Epoch, AUROC (``validation``) and accuracy where a phase is best in validation, or None.

    The first maximum of the AUROC of the data set that the phase trains.
    """
    rows = table[(table["phase"] == phase) & (table["split"] == "validation")]
    areas = rows[rows["metric"] == "auroc"].dropna(subset="value")
    if areas.empty:
        return None
    top = areas.loc[areas["value"].idxmax()]
    accuracy = rows[
        (rows["metric"] == "accuracy") & (rows["epoch"] == top["epoch"]) & (rows["dataset"] == top["dataset"])
    ]
    return {
        "epoch": float(top["epoch"]),
        "validation": float(top["value"]),
        "accuracy": float(accuracy["value"].iloc[0]) if len(accuracy) else float("nan"),
    }


def samples(result: Mapping[str, Any]) -> float:
    """Training samples of one run, of all data sets; bootstrap and evaluation do not count."""
    if result.get("trained"):
        return float(sum(result["trained"].values()))
    seen = [n for kind, n in result["samples_seen"].items() if kind not in ("bootstrap", "evaluation")]
    return float(sum(seen) / _line(result, "test")["runs"])


def spelt(value: float | str) -> str:
    """A setting as papers write it.

    >>> [spelt(value) for value in (3e-4, 1e-8, 0.3, 128, 5e-7)]
    ['3e-4', '1e-8', '0.3', '128', '5e-7']
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int) or value == 0 or abs(value) >= 0.01:
        return f"{value:g}" if abs(value) < 1e5 else f"{value:.0f}"
    digits, power = f"{value:.2e}".split("e")
    return f"{float(digits):g}e{int(power)}"


def _line(result: Mapping[str, Any], split: str) -> Mapping[str, Any]:
    key = (result["target"], split, result["state"])
    found = (row for row in result["summary"] if (row["dataset"], row["split"], row["state"]) == key)
    return next(found, {"auroc": None, "auroc_reason": "no findings", "runs": 1})


def _area(line: Mapping[str, Any]) -> Value:
    """An AUROC with its interval for other patients; n marks Newcombe's."""
    if line["auroc"] is None:
        return Value("–", note=f"no AUROC: {line['auroc_reason']}")
    interval, mark = line["ci95"], " n" if line["ci95_kind"] == NEWCOMBE else ""
    return Value(f"{line['auroc']:.3f}", f"[{interval[0]:.3f}, {interval[1]:.3f}]{mark}")


def _mean(values: Sequence[float | None]) -> Value:
    numbers = [value for value in values if value is not None and not np.isnan(value)]
    if not numbers or len(numbers) < len(values):
        return Value("–", note=f"undefined in {len(values) - len(numbers)} of {len(values)} runs")
    return Value(f"{np.mean(numbers):.3f}")
