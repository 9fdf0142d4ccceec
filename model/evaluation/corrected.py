"""Over splits: the corrected resampled t (Nadeau & Bengio 2003), and how many splits a difference takes.

Splits of one data set share training findings, so their values go together: n splits are worth less than n
independent ones, and no number of them is worth more than training / test findings. Each function takes one
value per split (mean over seeds) and ``overlap``, the test findings over the training findings of a split.
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import pandas as pd
from scipy.special import expit, logit, nctdtrinc, ndtri, stdtr, stdtrit

from model.evaluation.intervals import LEVEL

LEAST = 4
"""Splits for an interval. Of three, t(0.975, 2) = 4.3 times a spread known to ± 50 % says nothing."""
POWER = 0.8
MOST = 10_000
"""Splits that nobody runs; what needs more is out of reach."""
FEW = f"fewer than {LEAST} splits"
ALIKE = "the same in every split"
_ZERO = 1e-12
"""A spread below this is what rounding left of 0."""


def overlap(splits: pd.DataFrame, dataset: str, part: str = "test") -> float:
    """Findings of ``part`` over training findings of a data set, mean over splits; 0 without training."""
    counts = splits[splits["dataset"] == dataset].groupby(["fold", "split"]).size().unstack(fill_value=0)
    if not {"train", part} <= set(counts) or not counts["train"].all():
        return 0.0
    return float((counts[part] / counts["train"]).mean())


def missing(values: Sequence[float]) -> str:
    """Why there is no interval over these splits, or an empty text."""
    if len(values) < LEAST:
        return "one split" if len(values) == 1 else FEW
    return "" if np.ptp(values) > _ZERO else ALIKE


def area_interval(values: Sequence[float], overlap: float) -> tuple[float, float] | None:
    """95 % interval of a mean AUROC, or None for the reason that ``missing`` gives.

    On the scale of the logit it stays within (0, 1); the plain one ends beyond 1 for three quarters of small
    sets with an AUROC of .9. By simulation both cover alike (``./run bench --only coverage``).
    """
    if missing(values):
        return None
    mean = float(np.mean(values))
    half = _quantile(len(values)) * standard_error(values, overlap) / (mean * (1 - mean))
    low, high = expit(logit(mean) + np.array([-half, half]))
    return float(low), float(high)


def difference_interval(
    values: Sequence[float], overlap: float
) -> tuple[tuple[float, float] | None, float | None]:
    """95 % interval of a mean difference of AUROCs, within [-1, 1], and the p-value of no difference.

    (0, 0) and 1 where all values are 0; both None for the reason that ``missing`` gives.
    """
    why = missing(values)
    if why == ALIKE and abs(values[0]) < _ZERO:
        return (0.0, 0.0), 1.0
    if why:
        return None, None
    mean, error = float(np.mean(values)), standard_error(values, overlap)
    half = _quantile(len(values)) * error
    p = float(2 * stdtr(len(values) - 1, -abs(mean) / error))
    return (max(-1.0, mean - half), min(1.0, mean + half)), p


def standard_error(values: Sequence[float], overlap: float) -> float:
    """Of the mean over splits; √(1/n + overlap) in place of √(1/n)."""
    return float(np.std(values, ddof=1) * sqrt(1 / len(values) + overlap))


def detectable(deviation: float, overlap: float, splits: float) -> float:
    """The smallest difference that ``difference_interval`` finds with 80 % power, two-sided 5 %.

    Parameters
    ----------
    deviation : standard deviation of one split's value.
    splits : how many, at least 2; infinity for what no number of them goes below.
    """
    if np.isinf(splits):
        return float(ndtri((1 + LEVEL) / 2) + ndtri(POWER)) * deviation * sqrt(overlap)
    shift = float(nctdtrinc(splits - 1, 1 - POWER, _quantile(splits)))
    return shift * deviation * sqrt(1 / splits + overlap)


def runs_needed(deviation: float, overlap: float, difference: float) -> int | None:
    """How many runs, each on a split of its own, find ``difference`` with 80 % power by the corrected t.

    None where no number of splits will, since they are all of one data set. It takes the deviation of one
    run for known; with few splits it is not.
    """
    if detectable(deviation, overlap, MOST) > difference:
        return None
    low, high = LEAST, MOST
    while low < high:
        middle = (low + high) // 2
        if detectable(deviation, overlap, middle) <= difference:
            high = middle
        else:
            low = middle + 1
    return low


def _quantile(splits: float) -> float:
    return float(stdtrit(splits - 1, (1 + LEVEL) / 2))
