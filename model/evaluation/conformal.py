"""Sets of classes that hold the truth as often as was asked: split conformal prediction, class by class.

Calibrated on the patients (groups) of validation, since findings of a patient are alike and do not count one
by one: what a set promises is about a new patient. Of each class by itself (Vovk 2012; Sadinle, Lei and
Wasserman 2019), so that the promise holds for positives and for negatives, however frequent they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.evaluation.clustered import Linear, mean
from model.evaluation.intervals import Fold

NEGATIVE, POSITIVE = 1, 2
"""What a finding may be, as bits: 0 is neither, 3 undecided."""


@dataclass(frozen=True)
class Sets:
    """From which score on a finding may be positive, and up to which it may be negative."""

    positive: float
    """The least score of what may be positive; 0 where too few patients have a positive to leave out any."""
    negative: float
    """The largest score of what may be negative; 1 likewise."""

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """What each finding may be: bits of NEGATIVE and POSITIVE."""
        return NEGATIVE * (scores <= self.negative) + POSITIVE * (scores >= self.positive)


def calibrate(groups: np.ndarray, labels: np.ndarray, scores: np.ndarray, coverage: float) -> Sets:
    """The sets that hold all positives of at least ``coverage`` of new patients, and all their negatives.

    A patient counts with the worst finding of a class. Of n patients who have one, and a new one, each is as
    likely as the others to be among the k worst of n + 1, so a share of k / (n + 1) may be left out: k is the
    largest that does not exceed 1 - coverage.
    """
    positive = _cut(groups[labels == 1], scores[labels == 1], coverage)
    negative = _cut(groups[labels == 0], -scores[labels == 0], coverage)
    return Sets(0.0 if positive is None else positive, 1.0 if negative is None else -negative)


def rulings(
    groups: np.ndarray, labels: np.ndarray, scores: np.ndarray, new: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of new scores (n,) what they speak for, NEGATIVE or POSITIVE, and up to which coverage they do (n,).

    The p value of a class is the share of patients, with the new one, whose worst finding of it is no better.
    A finding is of the class with the larger one, of equal ones positive, as long as the other is ruled out:
    at a coverage of at most 1 less the smaller one.
    """
    worst = _worst(groups[labels == 1], scores[labels == 1])
    positive = (1 + np.searchsorted(worst, new, "right")) / (len(worst) + 1)
    worst = _worst(groups[labels == 0], -scores[labels == 0])
    negative = (1 + np.searchsorted(worst, -new, "right")) / (len(worst) + 1)
    return np.where(positive >= negative, POSITIVE, NEGATIVE), 1 - np.minimum(positive, negative)


def _worst(groups: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The least score of each group, sorted."""
    names, own = np.unique(groups, return_inverse=True)
    worst = np.full(len(names), np.inf)
    np.minimum.at(worst, own, scores)
    return np.sort(worst)


def _cut(groups: np.ndarray, scores: np.ndarray, coverage: float) -> float | None:
    """The least score of what may be of a class; None where there is none that may not."""
    worst = _worst(groups, scores)
    left_out = int((1 - coverage) * (len(worst) + 1) + 1e-9)
    return float(worst[left_out - 1]) if left_out else None


def taken(fold: Fold, sets: Sequence[Sets]) -> Fold:
    """The fold with what each of its runs says a finding may be in place of its scores."""
    said = [each(scores).astype(float) for each, scores in zip(sets, fold.scores, strict=True)]
    return replace(fold, scores=np.stack(said))


def _covered(labels: np.ndarray, said: np.ndarray) -> np.ndarray:
    return (said.astype(int) & np.where(labels == 1, POSITIVE, NEGATIVE)) > 0


def covered_positive(labels: np.ndarray, said: np.ndarray) -> Linear | None:
    """The share of positives that may be positive."""
    return mean(_covered(labels, said).astype(float), labels == 1)


def covered_negative(labels: np.ndarray, said: np.ndarray) -> Linear | None:
    """The share of negatives that may be negative."""
    return mean(_covered(labels, said).astype(float), labels == 0)


def decided(labels: np.ndarray, said: np.ndarray) -> Linear | None:
    """The share of findings that may be one class alone."""
    del labels
    return mean(((said == NEGATIVE) | (said == POSITIVE)).astype(float))


def wrong(labels: np.ndarray, said: np.ndarray) -> Linear | None:
    """The share of the decided that are of the other class; None where nothing is decided."""
    alone = (said == NEGATIVE) | (said == POSITIVE)
    return mean((~_covered(labels, said)).astype(float), alone)


def by_patient(fold: Fold, label: int) -> Fold:
    """A row per patient with a finding of a class: whether all of them are in their sets."""
    here = fold.labels == label
    names, own = np.unique(fold.groups[here], return_inverse=True)
    held = np.ones((len(fold.scores), len(names)))
    for row, said in zip(held, fold.scores, strict=True):
        np.minimum.at(row, own, _covered(fold.labels, said)[here].astype(float))
    return replace(fold, groups=names, labels=np.full(len(names), label), scores=held, findings=names)


def share(labels: np.ndarray, held: np.ndarray) -> Linear | None:
    """The share of the rows of :func:`by_patient` that hold."""
    del labels
    return mean(held)
