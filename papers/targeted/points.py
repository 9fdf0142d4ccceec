"""The points of learning curves, read back: what a method is worth with so many findings."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.evaluation.paired import Runs, collect
from model.evaluation.predictions import Predictions, evaluate
from model.evaluation.results import read

RESULT = "_auc.json"


@dataclass(frozen=True)
class CurvePoint:
    """A point of a learning curve: a method with so many findings to learn from."""

    method: str
    findings: int
    result: Mapping[str, Any]
    """Content of its ``…_auc.json``."""
    folder: Path
    """Of its runs."""

    @property
    def auroc(self) -> float | None:
        """Test AUROC of the target, mean over runs."""
        value: float | None = self.result["auroc"]
        return value

    def runs(self, split: str) -> dict[tuple[int, int], float | None]:
        """AUROC of the target's split in each run, by fold and seed, of the state that counts."""
        key = (self.result["target"], split, self.result["state"])
        return {
            (run["fold"], run["seed"]): run["auroc"]
            for run in self.result["runs"]
            if (run["dataset"], run["split"], run["state"]) == key
        }


Curves = dict[str, dict[int, CurvePoint]]
"""By method and number of findings, in rising order."""


def read_points(
    methods: Sequence[str], findings: Sequence[int], results: Sequence[Path], everything: int
) -> Curves:
    """The points of each method; ``findings`` of 0 are all that there are, which are ``everything``."""
    curves: Curves = {name: {} for name in dict.fromkeys(methods)}
    for method, number, path in sorted(
        zip(methods, (n or everything for n in findings), results, strict=True)
    ):
        folder = path.with_name(path.name.removesuffix(RESULT))
        curves[method][number] = CurvePoint(method, number, read(path), folder)
    return curves


def choose(curves: Curves) -> dict[int, dict[tuple[int, int], str]]:
    """By number of findings and run (fold, seed), the method with the highest validation AUROC there.

    Of equals the first. Only numbers and runs that all methods have, each with a validation AUROC.
    """
    chosen: dict[int, dict[tuple[int, int], str]] = {}
    for number in common(curves.values()):
        areas = {name: points[number].runs("validation") for name, points in curves.items()}
        shared = sorted(set.intersection(*(set(of_runs) for of_runs in areas.values())))
        best = {
            run: max(areas, key=lambda name: areas[name][run] or 0.0)
            for run in shared
            if all(of_runs[run] is not None for of_runs in areas.values())
        }
        if best:
            chosen[number] = best
    return chosen


def common(curves: Iterable[Mapping[int, CurvePoint]]) -> list[int]:
    """The numbers of findings that all of some methods have."""
    sets = [set(points) for points in curves]
    return sorted(set.intersection(*sets)) if sets else []


def auroc_of_chosen(curves: Curves, chosen: Mapping[int, Mapping[tuple[int, int], str]]) -> dict[int, float]:
    """Test AUROC by number of findings, where each run takes the method chosen for it; mean over runs."""
    found = {}
    for number, of_runs in chosen.items():
        areas = [curves[name][number].runs("test")[run] for run, name in of_runs.items()]
        if None not in areas:
            found[number] = float(np.mean([area for area in areas if area is not None]))
    return found


class ScoredRuns:
    """The test findings of all runs, read when they are asked for."""

    def __init__(self, curves: Curves, splits: pd.DataFrame) -> None:
        self._curves = curves
        self._splits = splits
        self._read: dict[tuple[str, int], list[Predictions]] = {}

    def _evaluated(self, method: str, number: int) -> list[Predictions]:
        point = self._curves[method][number]
        if (method, number) not in self._read:
            target, state = point.result["target"], point.result["state"]
            self._read[method, number] = [
                part
                for fold, seed in sorted(point.runs("test"))
                for part in evaluate(
                    point.folder / f"fold{fold}/seed{seed}", state, self._splits, (target, "test")
                )
            ]
        return self._read[method, number]

    def runs(self, method: str, numbers: Sequence[int]) -> Runs:
        """Those of a method with these numbers of findings, each number like further seeds of its fold."""
        parts = {number: self._evaluated(method, number) for number in numbers}
        return _together(method, parts)

    def chosen(self, chosen: Mapping[int, Mapping[tuple[int, int], str]]) -> Runs:
        """The same of the methods that were chosen for each number and run."""
        parts = {
            number: [
                part
                for run, name in sorted(of_runs.items())
                for part in self._evaluated(name, number)
                if (part.fold, part.seed) == run
            ]
            for number, of_runs in chosen.items()
        }
        return _together("chosen", parts)


def _together(name: str, parts: Mapping[int, Sequence[Predictions]]) -> Runs:
    """Runs with several numbers of findings as runs of one method: on the same test findings in each fold."""
    seeds = sorted({part.seed for of_number in parts.values() for part in of_number})
    return collect(name, [
        dataclasses.replace(part, seed=place * len(seeds) + seeds.index(part.seed))
        for place, number in enumerate(sorted(parts))
        for part in parts[number]
    ])  # fmt: skip
