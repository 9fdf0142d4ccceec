"""Thresholds chosen on validation findings, and what they come to on test findings, with intervals.

A finding is positive if it scores above the threshold. What a run *says* is 1 for positive and 0 for
negative.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit

from model.evaluation.clustered import ZERO, Estimate, Interval, Linear, mean
from model.evaluation.intervals import Fold

FILE = "operating.json"
"""Beside each run: what was chosen on its validation findings; ``model.files.operating`` reads it."""
SCHEMA = 1
YOUDEN = "youden"


@dataclass(frozen=True)
class OperatingPoint:
    """An operating point, by how its threshold is chosen: Youden's index, or a rate of at least ``floor``."""

    rate: str = YOUDEN
    """youden, sensitivity or specificity."""
    floor: float = 0.0

    @property
    def name(self) -> str:
        """What tables and files call it.

        >>> OperatingPoint().name, OperatingPoint("sensitivity", 0.95).name
        ('youden', 'sensitivity 0.95')
        """
        return self.rate if self.rate == YOUDEN else f"{self.rate} {self.floor:g}"


def points(sensitivity: Sequence[float], specificity: Sequence[float]) -> list[OperatingPoint]:
    """The Youden index, and these least rates."""
    return [
        OperatingPoint(),
        *(OperatingPoint("sensitivity", floor) for floor in sensitivity),
        *(OperatingPoint("specificity", floor) for floor in specificity),
    ]


def threshold(labels: np.ndarray, scores: np.ndarray, point: OperatingPoint) -> float | None:
    """The threshold that a point takes on these (validation) findings.

    It lies half-way between two scores (or a score and 0 or 1). Of those that keep a least sensitivity it is
    the highest, of those that keep a least specificity the lowest, and of equal Youden indices the lowest.
    None where one class is missing, or no threshold keeps the rate: none lies below a score of 0, above which
    a positive finding would have to be, nor above a score of 1.
    """
    truth = labels == 1
    if truth.all() or not truth.any():
        return None
    ends = np.unique(np.concatenate([[0.0], scores, [1.0]]))
    cuts = (ends[1:] + ends[:-1]) / 2
    sensitivity, specificity = (
        1 - np.searchsorted(np.sort(scores[truth]), cuts, "right") / truth.sum(),
        np.searchsorted(np.sort(scores[~truth]), cuts, "right") / (~truth).sum(),
    )  # right: a finding at the cut is negative, such as one of two scores that no number lies between
    if point.rate == YOUDEN:
        index = np.round(sensitivity + specificity, 12)
        return float(cuts[index.argmax()])
    rate, end = (sensitivity, -1) if point.rate == "sensitivity" else (specificity, 0)
    kept = cuts[rate >= point.floor - 1e-12]
    return float(kept[end]) if len(kept) else None


def said(fold: Fold, thresholds: Sequence[float]) -> Fold:
    """The fold with what each of its runs says at its threshold in place of its scores."""
    return replace(fold, scores=(fold.scores > np.array(thresholds)[:, None]).astype(float))


def judged(folds: Sequence[Fold], thresholds: Sequence[Sequence[float | None]]) -> list[Fold]:
    """What the runs that have a threshold say, without the folds none of whose runs has one."""
    made = []
    for fold, of_runs in zip(folds, thresholds, strict=True):
        known = [value for value in of_runs if value is not None]
        if known:
            here = [value is not None for value in of_runs]
            made.append(said(replace(fold, scores=fold.scores[here]), known))
    return made


def sensitivity(labels: np.ndarray, positive: np.ndarray) -> Linear | None:
    """The share of the positives that are found."""
    return mean(positive, labels == 1)


def specificity(labels: np.ndarray, positive: np.ndarray) -> Linear | None:
    """The share of the negatives that are not taken for positives."""
    return mean(1 - positive, labels == 0)


def false_alarms(labels: np.ndarray, positive: np.ndarray) -> Linear | None:
    """The share of the negatives that are taken for positives."""
    return mean(positive, labels == 0)


def missed(labels: np.ndarray, positive: np.ndarray) -> Linear | None:
    """The share of the positives that are not found."""
    return mean(1 - positive, labels == 1)


@dataclass(frozen=True)
class Ratio:
    """A likelihood ratio, and the predictive value that it gives; infinite where its lower rate is 0."""

    value: float
    ci95: Interval

    def predictive(self, prevalence: float) -> tuple[float, Interval]:
        """The share of those called so who are so, where ``prevalence`` of all are, with its interval."""
        value, low, high = (
            float(expit(logit(prevalence) + np.log(ratio))) if ratio else 0.0
            for ratio in (self.value, *self.ci95)
        )
        return value, (low, high)


def likelihood_ratio(rate: Estimate, other: Estimate) -> Ratio | None:
    """``rate`` over ``other``, of the same folds, with a 95 % interval on the log scale (Simel 1991).

    Where a rate is 0 that scale has no end: then from the least to the most that both intervals allow. None
    where both are 0.
    """
    if not rate.value and not other.value:
        return None
    if rate.value and other.value:
        moved = rate.moved / rate.value - other.moved / other.value
        freedom = min(rate.freedom, other.freedom)
        made = Estimate(float(np.log(rate.value / other.value)), moved, len(moved), freedom)
        ends = made.plain()
        if made.variance > ZERO and ends is not None:
            low, high = np.exp(ends)
            return Ratio(rate.value / other.value, (float(low), float(high)))
    (low, high), (least, most) = rate.proportion(), other.proportion()
    value = rate.value / other.value if other.value else np.inf
    return Ratio(value, (low / most, high / least if least else np.inf))
