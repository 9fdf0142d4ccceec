"""ROC curves of findings and their exact mean."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

RocCurve = tuple[np.ndarray, np.ndarray]
"""False positive rate and true positive rate, both (points,), from (0, 0) to (1, 1), never falling."""


def roc(labels: ArrayLike, scores: ArrayLike) -> RocCurve:
    """The ROC curve; findings with one score make one slanted line, so that its area is the AUROC.

    Raises
    ------
    ValueError : one class is missing.
    """
    truth, values = np.asarray(labels) == 1, np.asarray(scores)
    if truth.all() or not truth.any():
        raise ValueError("a ROC curve needs both classes")
    levels = -np.unique(-values)
    rates = [(values[truth == kind][None] >= levels[:, None]).mean(axis=1) for kind in (False, True)]
    false, true = (np.concatenate([[0.0], rate]) for rate in rates)
    return false, true


def mean_curve(curves: Sequence[RocCurve]) -> RocCurve:
    """True positive rates averaged at each false positive rate; its area is the mean of their areas.

    A vertical step has two true positive rates at one false positive rate: both ends are averaged.
    """
    grid = np.unique(np.concatenate([false for false, _ in curves]))
    lower = np.mean([_limit(curve, grid, 0) for curve in curves], axis=0)
    upper = np.mean([_limit(curve, grid, -1) for curve in curves], axis=0)
    return np.repeat(grid, 2), np.stack([lower, upper], axis=1).ravel()


def _limit(curve: RocCurve, grid: np.ndarray, side: int) -> np.ndarray:
    """True positive rate at the lower (side 0) or upper (side -1) end of what stands above each abscissa."""
    false, true = curve
    corners, first = np.unique(false, return_index=True)
    lower, upper = true[first], true[np.append(first[1:], len(false)) - 1]
    at = np.searchsorted(corners, grid)
    before = np.maximum(at - 1, 0)
    width = np.maximum(corners[at] - corners[before], np.finfo(float).tiny)
    between = upper[before] + (grid - corners[before]) / width * (lower[at] - upper[before])
    return np.where(corners[at] == grid, (lower, upper)[side][at], between)
