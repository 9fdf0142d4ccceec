"""Classification metrics of a set of findings, in numpy alone; what is undefined is None, never 0."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pipeline.classes import LABEL, UNKNOWN, Classes


def auroc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Area under the ROC curve: the share of (positive, negative) pairs ranked rightly, ties one half.

    Parameters
    ----------
    labels : (n,) 0 or 1.
    scores : (n,) finite; larger means more likely 1.

    Returns
    -------
    A number in [0, 1], exact up to its last rounding, or None where one class is missing.

    Raises
    ------
    ValueError : a score is NaN, which has no rank.
    """
    truth, values = np.asarray(labels) == 1, np.asarray(scores)
    if np.isnan(values).any():
        raise ValueError("a score is NaN")
    positives, negatives = values[truth], np.sort(values[~truth])
    pairs = len(positives) * len(negatives)
    if not pairs:
        return None
    # Negatives strictly below count twice and ties once, in integers: no rounding until the division.
    halves = sum(int(np.searchsorted(negatives, positives, side).sum()) for side in ("left", "right"))
    return halves / (2 * pairs)


def aurocs(truth: np.ndarray, scores: np.ndarray) -> list[float | None]:
    """AUROC of each problem on the rows whose truth is known; both are (n, problems)."""
    found = []
    for answers, values in zip(truth.T, scores.T, strict=True):
        known = answers != UNKNOWN
        found.append(auroc(answers[known], values[known]))
    return found


def macro(values: Iterable[float | None]) -> float | None:
    """The mean over problems; None where one has no value."""
    values = list(values)
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def decisions(classes: Classes, table: pd.DataFrame, scores: np.ndarray) -> dict[str, float | None]:
    """The metrics of the class that each row is given by its scores (n, problems).

    Of two classes at a threshold of one half; of more the most probable class; of labels nothing.
    """
    if classes.two:
        return threshold_metrics(table[LABEL], scores[:, 0])
    if classes.multilabel:
        return {}
    right = scores.argmax(axis=1) == classes.labels(table) if len(scores) else np.zeros(0)
    return {"accuracy": float(right.mean()) if len(right) else None}


def threshold_metrics(
    labels: ArrayLike, scores: ArrayLike, threshold: float = 0.5
) -> dict[str, float | None]:
    """Accuracy, precision, recall, f1 and specificity where a score above ``threshold`` means 1.

    A score of exactly one half is 0, as argmax has it. A ratio without a denominator is None.
    """
    truth, predicted = np.asarray(labels) == 1, np.asarray(scores) > threshold
    hits = int((truth & predicted).sum())
    rejections = int((~truth & ~predicted).sum())
    wrong = len(truth) - hits - rejections

    def ratio(numerator: int, denominator: int) -> float | None:
        return numerator / denominator if denominator else None

    return {
        "accuracy": ratio(hits + rejections, len(truth)),
        "precision": ratio(hits, int(predicted.sum())),
        "recall": ratio(hits, int(truth.sum())),
        "f1": ratio(2 * hits, 2 * hits + wrong),
        "specificity": ratio(rejections, int((~truth).sum())),
    }
