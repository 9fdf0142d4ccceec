"""What the runs of a method say of the target's validation and test findings, and what validation brings.

Everything that is fitted or chosen (the line that makes scores probabilities, thresholds) is of each run by
itself, on validation findings. ``probe``, ``auto`` and the like learn from these as well, and score all that
they learn from on inner folds: by fits that have not seen it. So all of that is what they are calibrated on.
"""

import argparse
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from model.budget import within
from model.evaluation import results
from model.evaluation.calibration import platt
from model.evaluation.conformal import NEGATIVE, Sets, calibrate, rulings
from model.evaluation.intervals import Fold
from model.evaluation.operating import OperatingPoint, threshold
from model.evaluation.platt import Platt, logits
from model.evaluation.predictions import Predictions, budget_of, evaluate, held_out, numbered
from model.evaluation.ranking import Unit, taken_by
from model.evaluation.results import Figures
from model.evaluation.summary import folds_of
from model.evaluation.temperature import Temperature, as_they_are, fit
from pipeline.classes import UNKNOWN
from pipeline.splits.leakage import UNUSED

SCORE, PREVALENCE, CALIBRATED = KINDS = ("score", "prevalence", "calibrated")
"""As it is; moved from what training saw to the shares; on the line fitted on validation, moved likewise.

The shares are those of training, or of the test where the split balanced it.
"""


@dataclass(frozen=True)
class Together:
    """Classes of which a finding has one: their scores, which become probabilities together."""

    scores: tuple[np.ndarray, ...]
    """Of the test of each fold, (runs, n, classes)."""
    lines: tuple[tuple[Temperature | str, ...], ...]
    """Of each run of each fold what makes its scores probabilities, or why there is nothing that does."""
    shares: tuple[Sequence[float], ...]
    """Of the classes in each fold: those that probabilities are for."""
    seen: tuple[Sequence[float], ...]
    """Those among the samples of training."""

    def probabilities(self, kind: str) -> list[np.ndarray] | None:
        """For these shares, shaped as ``scores``; None where some run has none."""
        made = []
        for scores, lines, shares, seen in zip(self.scores, self.lines, self.shares, self.seen, strict=True):
            same = [as_they_are(seen)] * len(lines)
            known = [line for line in (lines if kind == CALIBRATED else same) if not isinstance(line, str)]
            if len(known) < len(lines) or not all((*shares, *seen)):
                return None
            made.append(np.stack([line(own, shares) for line, own in zip(known, scores, strict=True)]))
        return made


@dataclass(frozen=True)
class Assessed:
    """All runs of a method in one problem (of two classes the only one): folds and their runs in order."""

    method: str
    problem: str
    keys: tuple[tuple[int, int], ...]
    """Fold and seed of each run."""
    validation: tuple[Fold, ...]
    test: tuple[Fold, ...]
    prevalence: tuple[float, ...]
    """Share of positives among the training findings of each fold."""
    seen: tuple[float, ...] | None
    """Share of them among the samples of training, as the loss weighs them; unknown of labels."""
    together: Together | None = None
    """Of three or more classes: all of them."""
    place: int = 0
    """Which of them it is about."""
    balanced: tuple[float, ...] | None = None
    """Share of positives in the test of each fold, where the split left findings out to balance it."""

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of positives that probabilities are for: that of training, or of a balanced test."""
        return self.prevalence if self.balanced is None else self.balanced

    @property
    def called(self) -> str:
        """The method, and the problem where there are several."""
        return f"{self.method}, {self.problem}" if self.problem else self.method

    @property
    def gap(self) -> str:
        """Why nothing can be said of the test, or an empty text."""
        alone = any(len(np.unique(fold.labels)) < 2 for fold in self.test)
        return "a test set holds one class" if alone else ""

    @cached_property
    def lines(self) -> Sequence[Sequence[Platt | Temperature | str]]:
        """Of each run of each fold the line that makes its scores probabilities, or why there is none."""
        if self.together is not None:
            return self.together.lines
        return [
            [
                platt(fold.labels, scores) if 0 < share < 1 else "the training findings are of one class"
                for scores in fold.scores
            ]
            for fold, share in zip(self.validation, self.prevalence, strict=True)
        ]

    @property
    def uncalibrated(self) -> str:
        """Why there are no calibrated probabilities, or an empty text."""
        return next((line for lines in self.lines for line in lines if isinstance(line, str)), "")

    def tested(self, kind: str, unit: Unit = "finding") -> list[Fold] | None:
        """The test sets with scores of one of KINDS, taken by ``unit``; None where some run has none."""
        folds = [taken_by(fold, unit) for fold in self.test]
        if kind == SCORE:
            return folds
        if self.together is not None:
            every = self.together.probabilities(kind)
            if every is None:
                return None
            return [
                taken_by(replace(fold, scores=scores[..., self.place]), unit)
                for fold, scores in zip(self.test, every, strict=True)
            ]
        if kind == PREVALENCE:
            if self.seen is None or not all(0 < share < 1 for share in self.prevalence):
                return None
            seen, shares = logit(np.array(self.seen)), logit(np.array(self.shares))
            moved = zip(folds, shares - seen, strict=True)
            return [replace(fold, scores=expit(logits(fold.scores) + add)) for fold, add in moved]
        made = []
        for fold, lines, share in zip(folds, self.lines, self.shares, strict=True):
            known = [line for line in lines if isinstance(line, Platt)]
            if len(known) < len(lines):
                return None
            calibrated = [line(scores, share) for line, scores in zip(known, fold.scores, strict=True)]
            made.append(replace(fold, scores=np.stack(calibrated)))
        return made

    def sets(self, coverage: float) -> list[list[Sets]] | None:
        """Conformal sets of each run of each fold; None where validation lacks a class."""
        if any(len(np.unique(fold.labels)) < 2 for fold in self.validation):
            return None
        return [
            [calibrate(fold.groups, fold.labels, scores, coverage) for scores in fold.scores]
            for fold in self.validation
        ]

    def rulings(self) -> list[Fold] | None:
        """The test sets with up to which coverage a finding is decided as scores, of negative ones below 0.

        None where validation lacks a class.
        """
        if self.sets(0.5) is None:
            return None
        made = []
        for known, fold in zip(self.validation, self.test, strict=True):
            found = [
                rulings(known.groups, known.labels, scores, new)
                for scores, new in zip(known.scores, fold.scores, strict=True)
            ]
            signed = [np.where(said == NEGATIVE, -sure, sure) for said, sure in found]
            made.append(replace(fold, scores=np.stack(signed)))
        return made

    def thresholds(self, point: OperatingPoint, unit: Unit = "finding") -> list[list[float | None]]:
        """Of each run of each fold; None of a run that has no such threshold."""
        folds = [taken_by(fold, unit) for fold in self.validation]
        return [[threshold(fold.labels, scores, point) for scores in fold.scores] for fold in folds]


Parts = dict[str, list[Predictions]]
"""The validation and the test sets of all runs of a method, by fold and seed."""


def read(figures: Figures, paths: Iterable[Path], splits: pd.DataFrame) -> Parts:
    """Those of one method, from the folders of its runs and the splits of the target."""
    parts: Parts = {"validation": [], "test": []}
    for path in paths:
        parts["validation"] += held_out(path, figures["state"], splits, figures["target"])
        parts["test"] += evaluate(path, figures["state"], splits, (figures["target"], "test"))
    for found in parts.values():
        found.sort(key=lambda run: (run.fold, run.seed))
    return parts


def learned_from(paths: Iterable[Path], splits: pd.DataFrame, target: str) -> pd.DataFrame:
    """The splits of the target without the findings beyond the budget that runs of a method had."""
    budgets = {numbered(path, "fold"): budget_of(path) for path in paths}
    own = splits[splits["dataset"] == target]
    return pd.concat([
        within(rows, target, *budgets.get(fold, ({}, []))) for fold, rows in own.groupby("fold", sort=True)
    ])  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of every command that judges probabilities of all methods of an experiment."""
    results.add_arguments(parser)
    parser.add_argument(
        "--by-views", nargs="*", default=[], metavar="METHOD",
        help="methods that see a training finding as often as the split says; others see all classes equally",
    )  # fmt: skip


def problems(
    method: str,
    parts: Parts,
    splits: pd.DataFrame,
    by_views: Collection[str] = (),
    learned: pd.DataFrame | None = None,
) -> list[Assessed]:
    """The problems of one method; the tests may be of some of their findings, or of another data set.

    ``by_views`` are the methods that see a training finding as often as the split says, see
    :func:`add_arguments`, and ``learned`` is what they see of the splits, see :func:`learned_from`.
    """
    first = parts["validation"][0]
    folds = {split: folds_of(found) for split, found in parts.items()}
    own = splits[splits["dataset"] == first.dataset]
    shares = _shares(first, own, "train")
    balanced = (own["split"] == UNUSED).any() and parts["test"][0].dataset == first.dataset
    of_test = _shares(first, own, "test") if balanced else None
    each = [1 / len(first.classes.names)] * len(first.classes.problems)
    seen: list[Sequence[float]] = [each] * len(shares)
    if method in by_views:
        seen = _shares(first, own if learned is None else learned, "train", seen=True)
    together = _together(parts, shares, of_test or shares, seen) if first.classes.kind == "classes" else None
    return [
        Assessed(
            method,
            "" if first.classes.two else problem,
            tuple((run.fold, run.seed) for run in parts["test"]),
            validation=tuple(fold for fold in folds["validation"] if fold.problem == problem),
            test=tuple(fold for fold in folds["test"] if fold.problem == problem),
            prevalence=tuple(share[place] for share in shares),
            seen=None if first.classes.multilabel else tuple(share[place] for share in seen),
            together=together,
            place=place,
            balanced=tuple(share[place] for share in of_test) if of_test else None,
        )
        for place, problem in enumerate(first.classes.problems)
    ]


def _together(
    parts: Parts, training: Sequence[Sequence[float]], shares: Sequence[Sequence[float]],
    seen: Sequence[Sequence[float]],
) -> Together:  # fmt: skip
    """The classes of a method, whose runs are calibrated on the validation findings of each."""
    numbers = sorted({run.fold for run in parts["test"]})
    return Together(
        tuple(np.stack([run.scores() for run in parts["test"] if run.fold == each]) for each in numbers),
        tuple(
            tuple(
                fit(run.classes.labels(run.findings), run.scores()) if all(share) else
                "the training findings lack a class"
                for run in parts["validation"] if run.fold == each
            )
            for each, share in zip(numbers, training, strict=True)
        ),
        tuple(shares),
        tuple(seen),
    )  # fmt: skip


def _shares(
    run: Predictions, splits: pd.DataFrame, split: str, *, seen: bool = False
) -> list[Sequence[float]]:
    """Of each fold the share of positives in each problem among the findings of a split that have a truth.

    ``seen``: among their views.
    """
    shares: list[Sequence[float]] = []
    for _, rows in splits[splits["split"] == split].groupby("fold", sort=True):
        weights = rows["views"].to_numpy() if seen else np.ones(len(rows))
        known = [(column, column != UNKNOWN) for column in run.classes.truth(rows).T]
        shares.append([float(np.average(column[here], weights=weights[here])) for column, here in known])
    return shares
