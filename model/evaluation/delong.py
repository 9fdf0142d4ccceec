"""AUROCs of several sets of scores on the same findings, with their covariance, in closed form.

DeLong, DeLong & Clarke-Pearson 1988 by the midranks of Sun & Xu 2014; where a group (a patient) has several
findings, their components are summed by group first (Obuchowski 1997). Like the resampling of groups it
answers "what if other patients had been tested": the networks stay as they are.

A variance from a handful of patients is itself uncertain, so its quantile is that of t, with one degree of
freedom less than the rarer class has groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtr, stdtrit

from model.evaluation.intervals import LEVEL, Fold, newcombe

LOGIT, NEWCOMBE = "logit", "newcombe"
"""Kinds of ``clustered_interval``."""
_ZERO = 1e-12
"""Below this a variance or a difference is what rounding left of 0."""


@dataclass(frozen=True)
class Areas:
    """Mean AUROCs of k methods and the covariance of their errors, or None and the reason."""

    areas: np.ndarray
    """(k,)."""
    covariance: np.ndarray | None
    """(k, k)."""
    freedom: int
    """Degrees of freedom: the smaller number of groups with a positive, with a negative finding, less 1; of
    several problems that of the one with the fewest."""
    reason: str = ""

    def interval(self, number: int = 0) -> tuple[float, float] | None:
        """95 % interval of one AUROC on the scale of its logit; None where it has no width.

        On that scale it stays within (0, 1) and holds the truth more often in small sets and near 1 than the
        plain one does (Pepe 2003). Where all pairs are ranked rightly use ``intervals.newcombe``.
        """
        if self.covariance is None or self.covariance[number, number] < _ZERO:
            return None
        area = float(self.areas[number])
        half = self._quantile * float(np.sqrt(self.covariance[number, number])) / (area * (1 - area))
        low, high = expit(logit(area) + np.array([-half, half]))
        return float(low), float(high)

    def difference(self, first: int, second: int) -> tuple[tuple[float, float] | None, float | None]:
        """95 % interval of ``first`` less ``second``, within [-1, 1], and the two-sided p of no difference.

        A difference may be 0 or negative, so no logit. Methods that rank all pairs of findings alike have
        the interval (0, 0) and p = 1; where the difference is not 0 but has no variance there is neither.
        """
        if self.covariance is None:
            return None, None
        value = float(self.areas[first] - self.areas[second])
        contrast = np.eye(len(self.areas))[first] - np.eye(len(self.areas))[second]
        variance = float(contrast @ self.covariance @ contrast)
        if variance < _ZERO:
            return ((0.0, 0.0), 1.0) if abs(value) < _ZERO else (None, None)
        error = float(np.sqrt(variance))
        half = self._quantile * error
        p = float(2 * stdtr(self.freedom, -abs(value) / error))
        return (max(-1.0, value - half), min(1.0, value + half)), p

    @property
    def _quantile(self) -> float:
        return float(stdtrit(self.freedom, (1 + LEVEL) / 2))


def components(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Structural components of k score vectors (k, n): of the positives (k, n1) and the negatives (k, n0).

    That of a positive is the share of the negatives which it beats, that of a negative the share of the
    positives which beat it, ties one half; the mean of either is the AUROC. A rank among all less the rank
    within the class is what was beaten of the other class, so sorting is all it takes.

    Raises
    ------
    ValueError : a class is missing.
    """
    truth = labels == 1
    positive, negative = scores[:, truth], scores[:, ~truth]
    ones, zeros = positive.shape[1], negative.shape[1]
    if not ones or not zeros:
        raise ValueError("an AUROC needs both classes")
    ranks = _ranks(np.concatenate([positive, negative], axis=1))
    beaten = (ranks[:, :ones] - _ranks(positive)) / zeros
    beating = 1 - (ranks[:, ones:] - _ranks(negative)) / ones
    return beaten, beating


def _ranks(scores: np.ndarray) -> np.ndarray:
    """The rank of each score in its row, from 1; equal ones share the mean of theirs."""
    # Not scipy.stats.rankdata: to import scipy.stats takes most of the time of a short step.
    ordered = np.sort(scores, axis=1)
    ranks = [
        np.searchsorted(known, row, "left") + np.searchsorted(known, row, "right")
        for known, row in zip(ordered, scores, strict=True)
    ]
    return (np.array(ranks, float).reshape(scores.shape) + 1) / 2


def delong(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None) -> Areas:
    """AUROCs and covariance of k score vectors (k, n) on one test set; without groups DeLong's own."""
    own = np.arange(len(labels)).astype(str) if groups is None else groups
    return mean_areas([[Fold(own, labels, vector[None])] for vector in scores])


def mean_areas(methods: Sequence[Sequence[Fold]]) -> Areas:
    """Mean AUROC of each method over its runs, folds and problems, with their covariance.

    Parameters
    ----------
    methods : the folds of each method, all on the same findings in the same order.

    Notes
    -----
    With x the sum of the centred components of a group's positives over the number of all positives, y that
    of its negatives, and I1, I0, I the numbers of groups with a positive, with a negative, and of both kinds
    together, Obuchowski's covariance is the sum over groups of
    I1/(I1-1) x x' + I0/(I0-1) y y' + I/(I-1) (x y' + y x').
    With groups of one this is DeLong's. Components are linear, so those of the runs of a fold are averaged,
    and those of a group that stands in several folds are added, each fold with its factor: a patient who is
    tested twice is one patient.

    Raises
    ------
    ValueError : a fold holds one class.
    """
    first = methods[0]
    names, member = np.unique(np.concatenate([fold.groups for fold in first]), return_inverse=True)
    members = np.split(member, np.cumsum([len(fold.labels) for fold in first])[:-1])
    runs = sum(len(fold.scores) for fold in first)
    areas = np.zeros(len(methods))
    # By group: x and y under factors of their own, then both under the one that they share.
    x, y, shared_x, shared_y = np.zeros((4, len(names), len(methods)))
    reason = ""
    for number, (fold, own) in enumerate(zip(first, members, strict=True)):
        truth, weight = fold.labels == 1, len(fold.scores) / runs
        counts = [len(np.unique(own[part])) for part in (truth, ~truth, slice(None))]
        if min(counts) < 2:
            reason = "a class is of one group alone"
        of_x, of_y, of_both = (weight * np.sqrt(count / max(count - 1, 1)) for count in counts)
        for column, folds in enumerate(methods):
            beaten, beating = (part.mean(axis=0) for part in components(fold.labels, folds[number].scores))
            area = float(beaten.mean())
            areas[column] += weight * area
            positive, negative = (
                np.bincount(own[part], (values - area) / len(values), len(names))
                for part, values in ((truth, beaten), (~truth, beating))
            )
            x[:, column] += of_x * positive
            y[:, column] += of_y * negative
            shared_x[:, column] += of_both * positive
            shared_y[:, column] += of_both * negative
    freedom = min(groups_by_label(first)) - 1
    if reason:
        return Areas(areas, None, freedom, reason)
    cross = shared_x.T @ shared_y
    return Areas(areas, x.T @ x + y.T @ y + cross + cross.T, freedom)


def groups_by_label(folds: Sequence[Fold]) -> tuple[int, int]:
    """How many groups have a positive finding, and how many a negative one, in any of the folds.

    Of several problems those of the one where either is the fewest.
    """
    counts = []
    for problem in dict.fromkeys(fold.problem for fold in folds):
        own = [fold for fold in folds if fold.problem == problem]
        positive, negative = (
            len(np.unique(np.concatenate([fold.groups[fold.labels == label] for fold in own])))
            for label in (1, 0)
        )
        counts.append((positive, negative))
    return min(counts, key=lambda pair: (min(pair), pair))


def clustered_interval(folds: Sequence[Fold]) -> tuple[tuple[float, float], str]:
    """95 % interval of the mean AUROC over runs and folds, for other patients, and its kind.

    The logit's, and where that has no width or a class is of one group alone Newcombe's of as many groups.

    Raises
    ------
    ValueError : a fold holds one class.
    """
    made = mean_areas([folds])
    interval = made.interval()
    if interval is not None:
        return interval, LOGIT
    return newcombe(float(made.areas[0]), *groups_by_label(folds)), NEWCOMBE
