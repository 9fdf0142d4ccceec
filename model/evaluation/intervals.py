"""Intervals around a mean AUROC: groups resampled, and one that never closes.

Both answer "what if other patients had been tested"; they vary neither the split nor the start of the
network. ``model.evaluation.corrected`` does, and ``model.evaluation.delong`` has the headline.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from model.evaluation.metrics import auroc

REPLICATES = 2000
LEVEL = 0.95
POSITIVES, NEGATIVES = 4, 15
"""Findings of the test set on which every published result stands; all its AUROCs are whole sixtieths."""
_TRIES = 100
"""Give up when more than this many draws per replicate lack a class."""
_BLOCK = 256
"""Replicates or positives at a time: bounds memory at any number of findings."""


@dataclass(frozen=True)
class Fold:
    """One test set of n findings and the scores that each of its r runs gave them, in one problem.

    Of several problems each has a Fold, of the findings where its truth is known; those of a split follow
    each other. Everything here takes the mean over all of them.
    """

    groups: np.ndarray
    """(n,) what may not be torn apart: a patient, or a cluster of near-duplicate images."""
    labels: np.ndarray
    """(n,) 0 or 1."""
    scores: np.ndarray
    """(r, n)."""
    problem: str = ""
    findings: np.ndarray | None = None
    """(n,) which findings they are, the same in every fold; None where nobody counts them over folds."""


@dataclass(frozen=True)
class Resampled:
    """Percentile interval of the mean AUROC, or None and the reason."""

    interval: tuple[float, float] | None
    redrawn: int
    reason: str = ""


def by_split(folds: Sequence[Fold]) -> list[list[Fold]]:
    """The problems of each split."""
    splits: list[list[Fold]] = []
    for fold in folds:
        if fold.problem == folds[0].problem:
            splits.append([])
        splits[-1].append(fold)
    return splits


def mean_auroc(folds: Sequence[Fold]) -> float | None:
    """Mean over all runs of all folds; None where one of them has no AUROC."""
    values = [auroc(fold.labels, scores) for fold in folds for scores in fold.scores]
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined and len(defined) == len(values) else None


@dataclass(frozen=True)
class Draws:
    """Resamples of the groups of some folds; each leaves every fold both classes."""

    counts: np.ndarray
    """(replicates, groups) how often each group of the union of all folds was drawn; none, with a reason."""
    members: list[np.ndarray]
    """Per fold (n,) which group each finding belongs to."""
    redrawn: int
    reason: str = ""


def draw(folds: Sequence[Fold], generator: np.random.Generator, replicates: int = REPLICATES) -> Draws:
    """Resample the union of the groups of all folds with replacement (Obuchowski 1997 by resampling).

    A draw that leaves a fold with one class is drawn again and counted. The draws know nothing of the
    scores, so they serve every run of every method on these findings.
    """
    names, member = np.unique(np.concatenate([fold.groups for fold in folds]), return_inverse=True)
    members = np.split(member, np.cumsum([len(fold.labels) for fold in folds])[:-1])
    none = np.zeros((0, len(names)), np.uint16)
    if any(len(np.unique(fold.labels)) < 2 for fold in folds):
        return Draws(none, members, 0, "a test set holds one class")
    kept: list[np.ndarray] = []
    done = redrawn = 0
    while done < replicates:
        counts = _draw(len(names), generator)
        whole = np.ones(len(counts), bool)
        for fold, own in zip(folds, members, strict=True):
            for label in (0, 1):
                whole &= counts[:, own[fold.labels == label]].any(axis=1)
        # Only draws up to the last replicate count, so that the size of a block does not show.
        used = int(np.searchsorted(np.cumsum(whole), replicates - done)) + 1
        kept.append(counts[:used][whole[:used]])
        done += len(kept[-1])
        redrawn += len(whole[:used]) - len(kept[-1])
        if redrawn > _TRIES * replicates:
            why = "nearly every resample of the groups leaves a test set with one class"
            return Draws(none, members, redrawn, why)
    return Draws(np.concatenate(kept), members, redrawn)


def bootstrap(
    folds: Sequence[Fold], generator: np.random.Generator, replicates: int = REPLICATES
) -> Resampled:
    """95 % percentile interval of the mean AUROC over resampled groups; see ``draw``."""
    draws = draw(folds, generator, replicates)
    if draws.reason:
        return Resampled(None, draws.redrawn, draws.reason)
    return Resampled(percentile(weighted_means(folds, draws)), draws.redrawn)


def percentile(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the values of all replicates."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _draw(groups: int, generator: np.random.Generator) -> np.ndarray:
    """How often each group was drawn in each resample of a block: (_BLOCK, groups)."""
    drawn = generator.integers(groups, size=(_BLOCK, groups))
    drawn += np.arange(_BLOCK)[:, None] * groups
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.uint16)


def weighted_means(folds: Sequence[Fold], draws: Draws) -> np.ndarray:
    """Mean over all runs of the AUROC in which each group counts as often as it was drawn: (replicates,).

    The runs of a fold share their weights, so their comparison matrices (2 won, 1 tied, 0 lost) are
    summed first. All products are of whole numbers, hence exact in float64 and in any order.
    """
    runs, counts = sum(len(fold.scores) for fold in folds), draws.counts
    total = np.zeros(len(counts))
    for fold, own in zip(folds, draws.members, strict=True):
        positive, negative = (np.flatnonzero(fold.labels == label) for label in (1, 0))
        won = np.zeros(len(counts))
        for start in range(0, len(positive), _BLOCK):
            rows = positive[start : start + _BLOCK]
            duels = np.zeros((len(rows), len(negative)))
            for scores in fold.scores:
                duels += np.sign(scores[rows, None] - scores[None, negative]) + 1
            for first in range(0, len(counts), _BLOCK):
                some = counts[first : first + _BLOCK, own].astype(float)
                won[first : first + _BLOCK] += ((some[:, rows] @ duels) * some[:, negative]).sum(axis=1)
        pairs = np.prod(
            [counts[:, own[rows]].sum(axis=1, dtype=float) for rows in (positive, negative)], axis=0
        )
        total += won / (2 * pairs)
    return total / runs


def hanley_mcneil_variance(area: float, positives: float, negatives: float) -> float:
    """Variance of an AUROC of ``area`` from independent findings (Hanley & McNeil 1982)."""
    right = area / (2 - area) - area**2
    left = 2 * area**2 / (1 + area) - area**2
    spread = area * (1 - area) + (positives - 1) * right + (negatives - 1) * left
    return spread / (positives * negatives)


def newcombe(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """95 % interval of all areas that do not contradict ``area``: method 5 of Newcombe (2006), score type.

    It is Hanley & McNeil's variance at the bound, with (m + n)/2 − 1 in place of both m − 1 and n − 1.

    Unlike the bootstrap it keeps its width at 0 and 1, where every resample gives the same area.
    """
    z = float(ndtri((1 + LEVEL) / 2))

    mean = (positives + negatives) / 2

    def variance(area: float) -> float:
        return hanley_mcneil_variance(area, mean, mean) * mean**2 / (positives * negatives)

    def bound(edge: float) -> float:
        inside, outside = area, edge
        for _ in range(60):
            middle = (inside + outside) / 2
            if (middle - area) ** 2 <= z**2 * variance(middle):
                inside = middle
            else:
                outside = middle
        return inside

    return bound(0.0), bound(1.0)


def published_interval(area: float) -> tuple[float, float]:
    """95 % interval that a published test AUROC deserves: Newcombe's, of 4 positive and 15 negative lesions.

    >>> "%.2f to %.2f" % published_interval(48 / 60)
    '0.47 to 0.94'
    """
    return newcombe(area, POSITIVES, NEGATIVES)
