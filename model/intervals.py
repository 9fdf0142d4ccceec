"""Intervals around a mean AUROC: groups resampled, t over splits, and one that never closes.

Resampling patients answers "what if other patients had been tested"; it varies neither the split nor the
start of the network. The t interval over splits does. Both belong beside an AUROC.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from model.metrics import auroc

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
    """One test set of n findings and the scores that each of its r runs gave them."""

    groups: np.ndarray
    """(n,) what may not be torn apart: a patient, or a cluster of near-duplicate images."""
    labels: np.ndarray
    """(n,) 0 or 1."""
    scores: np.ndarray
    """(r, n)."""


@dataclass(frozen=True)
class Resampled:
    """Percentile interval of the mean AUROC, or None and the reason."""

    interval: tuple[float, float] | None
    redrawn: int
    reason: str = ""


def mean_auroc(folds: Sequence[Fold]) -> float | None:
    """Mean over all runs of all folds; None where one of them has no AUROC."""
    values = [auroc(fold.labels, scores) for fold in folds for scores in fold.scores]
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined and len(defined) == len(values) else None


def bootstrap(
    folds: Sequence[Fold], generator: np.random.Generator, replicates: int = REPLICATES
) -> Resampled:
    """95 % percentile interval of the mean AUROC over resampled groups (Obuchowski 1997 by resampling).

    The union of the groups of all folds is drawn with replacement; one draw serves every run. A draw
    that leaves a fold with one class is drawn again and counted.
    """
    if mean_auroc(folds) is None:
        return Resampled(None, 0, "a test set holds one class")
    names, member = np.unique(np.concatenate([fold.groups for fold in folds]), return_inverse=True)
    members = np.split(member, np.cumsum([len(fold.labels) for fold in folds])[:-1])
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
            return Resampled(
                None, redrawn, "nearly every resample of the groups leaves a test set with one class"
            )
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(_weighted_means(folds, members, np.concatenate(kept)), [tail, 1 - tail])
    return Resampled((float(low), float(high)), redrawn)


def _draw(groups: int, generator: np.random.Generator) -> np.ndarray:
    """How often each group was drawn in each resample of a block: (_BLOCK, groups)."""
    drawn = generator.integers(groups, size=(_BLOCK, groups))
    drawn += np.arange(_BLOCK)[:, None] * groups
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.uint16)


def _weighted_means(folds: Sequence[Fold], members: Sequence[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """Mean over all runs of the AUROC in which group g counts ``counts[:, g]`` times: (replicates,).

    The runs of a fold share their weights, so their comparison matrices (2 won, 1 tied, 0 lost) are
    summed first. All products are of whole numbers, hence exact in float64 and in any order.
    """
    runs = sum(len(fold.scores) for fold in folds)
    total = np.zeros(len(counts))
    for fold, own in zip(folds, members, strict=True):
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


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % t interval of the mean of ``values``, one per split; None for fewer than two.

    It takes the splits for independent. Overlapping training sets make it somewhat too narrow
    (Nadeau & Bengio 2003), and it may reach beyond [0, 1].
    """
    count = len(values)
    if count < 2:
        return None
    half = float(stdtrit(count - 1, (1 + LEVEL) / 2) * np.std(values, ddof=1) / np.sqrt(count))
    mean = float(np.mean(values))
    return mean - half, mean + half


def hanley_mcneil_variance(area: float, positives: int, negatives: int) -> float:
    """Variance of an AUROC of ``area`` from independent findings (Hanley & McNeil 1982)."""
    right = area / (2 - area) - area**2
    left = 2 * area**2 / (1 + area) - area**2
    spread = area * (1 - area) + (positives - 1) * right + (negatives - 1) * left
    return spread / (positives * negatives)


def newcombe(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """95 % interval of all areas that do not contradict ``area`` (Newcombe 2006, solved for the area).

    Unlike the bootstrap it keeps its width at 0 and 1, where every resample gives the same area.
    """
    z = float(ndtri((1 + LEVEL) / 2))

    def bound(edge: float) -> float:
        inside, outside = area, edge
        for _ in range(60):
            middle = (inside + outside) / 2
            if (middle - area) ** 2 <= z**2 * hanley_mcneil_variance(middle, positives, negatives):
                inside = middle
            else:
                outside = middle
        return inside

    return bound(0.0), bound(1.0)


def published_interval(area: float) -> tuple[float, float]:
    """95 % interval that a published test AUROC deserves: Newcombe's, of 4 positive and 15 negative lesions.

    >>> "%.2f to %.2f" % published_interval(48 / 60)
    '0.48 to 0.95'
    """
    return newcombe(area, POSITIVES, NEGATIVES)
