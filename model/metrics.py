"""AUROC and the metrics at a threshold, in NumPy alone: scoring must not need a deep-learning library."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

THRESHOLD = 0.5
METRICS = ("accuracy", "precision", "recall", "f1", "specificity")


def auroc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Area under the ROC curve: how often a positive outranks a negative, ties counting half.

    Parameters
    ----------
    labels : (n,) of 0 and 1.
    scores : (n,), higher meaning more likely 1.

    Returns None if one of the classes is missing. Raises ValueError on a score that is not a number.

    >>> auroc([0, 1, 1], [0.2, 0.2, 0.9])
    0.75
    """
    positive = np.asarray(labels).astype(bool)
    values = np.asarray(scores, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("a score is NaN")
    positives = int(positive.sum())
    negatives = positive.size - positives
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    # Mean rank of each group of ties, from 1 (Mann-Whitney).
    ranks = np.cumsum(counts) - (counts - 1) / 2
    above = ranks[place][positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def threshold_metrics(
    labels: ArrayLike, scores: ArrayLike, threshold: float = THRESHOLD
) -> dict[str, float | None]:
    """Accuracy, precision, recall, F1 and specificity when a score of ``threshold`` or more means class 1.

    A ratio whose denominator is zero is None: precision without a predicted positive, recall without
    positives, specificity without negatives.
    """
    actual = np.asarray(labels).astype(bool)
    predicted = np.asarray(scores, dtype=np.float64) >= threshold
    hit, miss = int((predicted & actual).sum()), int((~predicted & actual).sum())
    alarm, rest = int((predicted & ~actual).sum()), int((~predicted & ~actual).sum())

    def ratio(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    values: Sequence[float | None] = (
        ratio(hit + rest, actual.size),
        ratio(hit, hit + alarm),
        ratio(hit, hit + miss),
        ratio(2 * hit, 2 * hit + alarm + miss),
        ratio(rest, rest + alarm),
    )
    return dict(zip(METRICS, values, strict=True))
