"""Intervals, for other patients, of means over findings and of smooth functions of such means.

Each figure comes with its influence: how much it moves with the weight of each finding. Influences are summed
by group, so findings of a patient count together, and their squares give the variance (the linearized or
sandwich variance: Binder 1983; Obuchowski's of an AUROC is of this kind). Runs of a fold are averaged and
folds added by group first, as in ``model.evaluation.delong``: a patient who is tested twice is one patient.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, stdtrit

from model.evaluation.intervals import LEVEL, Fold

Interval = tuple[float, float]
ZERO = 1e-12
"""Below this a variance is what rounding left of 0."""


class Linear(NamedTuple):
    """A figure of some findings and what each of them adds to its error."""

    value: float
    influence: np.ndarray
    """(n,) derivative by the weight of each finding; their sum is 0."""
    among: np.ndarray
    """(n,) whether the figure is about this finding."""


Statistic = Callable[[np.ndarray, np.ndarray], Linear | None]
"""Of labels (n,) and what one run says of them (n,); None where it is not defined."""


@dataclass(frozen=True)
class Estimate:
    """The mean of a figure over all runs and folds, and how sure it is for other patients."""

    value: float
    moved: np.ndarray
    """(groups of all folds,) the influence of each group, in the order of their names."""
    groups: int
    """That the figure is about."""
    freedom: int
    """Degrees of freedom: these groups less one; where positives are compared with negatives, the rarer."""

    @property
    def variance(self) -> float:
        """Of the value."""
        return float(self.moved @ self.moved) * self.groups / max(self.groups - 1, 1)

    @property
    def error(self) -> float:
        """Half of the width of a 95 % interval where errors are symmetric."""
        return self.quantile * float(np.sqrt(self.variance))

    @property
    def quantile(self) -> float:
        """Of t."""
        return float(stdtrit(max(self.freedom, 1), (1 + LEVEL) / 2))

    def proportion(self) -> Interval:
        """95 % interval of a share: Wilson's of as many independent findings as have this variance.

        Where all findings say the same there is no variance: then of as many as there are groups, of those of
        the rarer class where classes are compared.
        """
        p = min(max(self.value, 0.0), 1.0)
        count = p * (1 - p) / self.variance if self.variance > ZERO else self.freedom + 1.0
        square = self.quantile**2 / count
        middle = (p + square / 2) / (1 + square)
        half = np.sqrt(square * (p * (1 - p) + square / 4)) / (1 + square)
        return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))

    def ranked(self) -> Interval:
        """95 % interval of what an order of findings comes to, on the logit scale; at its ends Wilson's."""
        if not 0 < self.value < 1 or self.variance < ZERO or self.freedom < 1:
            return self.proportion()
        half = self.error / (self.value * (1 - self.value))
        low, high = expit(logit(self.value) + np.array([-half, half]))
        return float(low), float(high)

    def plain(self) -> Interval | None:
        """95 % interval of a figure without bounds; None where a class is of one group alone."""
        if self.freedom < 1:
            return None
        return self.value - self.error, self.value + self.error

    def positive(self) -> Interval | None:
        """95 % interval of a figure above 0, on the scale of its logarithm; None as for ``plain``."""
        if self.freedom < 1:
            return None
        ratio = float(np.exp(self.error / self.value))
        return self.value / ratio, self.value * ratio


def estimate(folds: Sequence[Fold], statistic: Statistic, *, compares: bool = False) -> Estimate | None:
    """A figure of all runs of some folds; None where one of them has none.

    ``compares`` says that it compares positives with negatives, so that the rarer of them limits what is
    known.
    """
    names, member = np.unique(np.concatenate([fold.groups for fold in folds]), return_inverse=True)
    members = np.split(member, np.cumsum([len(fold.labels) for fold in folds])[:-1])
    runs = sum(len(fold.scores) for fold in folds)
    value, moved = 0.0, np.zeros(len(names))
    about = {label: np.zeros(len(names), bool) for label in (0, 1)}
    for fold, own in zip(folds, members, strict=True):
        for scores in fold.scores:
            found = statistic(fold.labels, scores)
            if found is None:
                return None
            value += found.value / runs
            moved += np.bincount(own, found.influence / runs, len(names))
            for label, there in about.items():
                there[own[found.among & (fold.labels == label)]] = True
    groups = int((about[0] | about[1]).sum())
    freedom = min(int(there.sum()) for there in about.values()) - 1 if compares else groups - 1
    return Estimate(value, moved, groups, freedom)


def mean(values: np.ndarray, among: np.ndarray | None = None) -> Linear | None:
    """The mean of ``values`` (n,) over the findings ``among`` them, or over all; None of no finding."""
    chosen = np.ones(len(values), bool) if among is None else among
    if not chosen.any():
        return None
    value = float(values[chosen].mean())
    return Linear(value, np.where(chosen, values - value, 0.0) / chosen.sum(), chosen)
