"""Whether scores are probabilities, and the line that makes them so, fitted on validation findings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, xlogy

from model.evaluation.clustered import Interval, Linear, mean
from model.evaluation.intervals import LEVEL, REPLICATES, Fold, draw
from model.evaluation.platt import EDGE, Platt, logits

BIN, MOST_BINS = 10, 10
"""Findings of a bin of the reliability curve on average, and the most bins; the least are two."""


def _line(x: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Slope and intercept of the log odds of ``labels`` over ``x``, which must vary; without a penalty."""
    from sklearn.linear_model import LogisticRegression  # only here: it takes a while to import

    mean, sd = float(x.mean()), float(x.std())
    line = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
    line.fit(((x - mean) / sd)[:, None], labels, sample_weight=weights)
    slope = float(line.coef_[0, 0]) / sd
    return slope, float(line.intercept_[0]) - slope * mean


def platt(labels: np.ndarray, scores: np.ndarray) -> Platt | str:
    """The line fitted on these findings, or why there is none.

    Targets are Platt's, (positives + 1) / (positives + 2) for 1 and 1 / (negatives + 2) for 0, so that few
    findings, or ones that scores part wholly, give no infinite slope.
    """
    truth = labels == 1
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return "the validation findings are of one class"
    target = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    x = logits(scores)
    if not np.ptp(x):
        return "all validation findings score alike"
    both, weights = np.repeat([1, 0], len(x)), np.concatenate([target, 1 - target])
    slope, intercept = _line(np.tile(x, 2), both, weights)
    if slope <= 0:
        return "positive validation findings score no higher than negative ones"
    return Platt(slope, intercept, positives / len(x))


def brier(labels: np.ndarray, scores: np.ndarray) -> Linear | None:
    """The mean squared distance from 0 or 1 (Brier 1950)."""
    return mean((scores - labels) ** 2)


def log_loss(labels: np.ndarray, scores: np.ndarray) -> Linear | None:
    """The mean negative log likelihood, in nats."""
    p = np.clip(scores, EDGE, 1 - EDGE)
    return mean(-xlogy(labels, p) - xlogy(1 - labels, 1 - p))


def intercept(labels: np.ndarray, scores: np.ndarray) -> Linear | None:
    """Calibration in the large: what to add to the log odds so that as many are expected as there are.

    Above 0 the scores are too low on average, below 0 too high. None where one class is missing.
    """
    if len(np.unique(labels)) < 2:
        return None
    x = logits(scores)
    value = float(brentq(lambda add: (labels - expit(x + add)).sum(), -40, 40))
    p = expit(x + value)
    return Linear(value, (labels - p) / (p * (1 - p)).sum(), np.ones(len(x), bool))


def slope(labels: np.ndarray, scores: np.ndarray) -> Linear | None:
    """By what to multiply the log odds (Cox 1958): below 1 the scores are too extreme, above 1 too timid.

    None where one class is missing, where all score alike, or where scores part the classes wholly.
    """
    truth, x = labels == 1, logits(scores)
    if truth.all() or not truth.any() or not np.ptp(x):
        return None
    if x[truth].min() >= x[~truth].max() or x[truth].max() <= x[~truth].min():
        return None
    value, start = _line(x, labels)
    design = np.stack([np.ones(len(x)), x])
    p = expit(start + value * x)
    bread = np.linalg.inv((design * (p * (1 - p))) @ design.T)
    return Linear(value, bread[1] @ (design * (labels - p)), np.ones(len(x), bool))


def bins(scores: np.ndarray) -> np.ndarray:
    """The bin of each score, from 0: between quantiles of the scores, so that bins hold about as many."""
    count = int(np.clip(len(scores) // BIN, 2, MOST_BINS))
    edges = np.unique(np.quantile(scores, np.arange(1, count) / count))
    return np.unique(np.searchsorted(edges, scores, "right"), return_inverse=True)[1]


@dataclass(frozen=True)
class CalibrationError:
    """The expected calibration error (Naeini 2015), and what it is to be held against."""

    value: float
    """Mean distance between share of positives and mean score of a bin, weighted by its findings."""
    chance: float | None
    """What a perfectly calibrated score has on average with findings as few as these: more than 0."""
    ci95: Interval | None


def calibration_error(
    folds: Sequence[Fold], generator: np.random.Generator, replicates: int = REPLICATES
) -> CalibrationError:
    """Mean over the runs of folds, with an interval of all errors that do not contradict it.

    A mean of distances is too large, and the more so the fewer findings there are, so percentiles of
    resamples miss a score that is calibrated. Here the gaps of the bins are made c times as large, c from 0
    on, and what resampled groups add is put on top: c is contradicted where 97.5 % of the errors that come
    out are below the one that was found, or above it.
    """
    draws = draw(folds, generator, replicates)
    runs, counts = sum(len(fold.scores) for fold in folds), draws.counts.astype(float)
    gaps, noises = [], []
    for fold, own in zip(folds, draws.members, strict=True):
        sizes = counts @ np.bincount(own, minlength=counts.shape[1])
        for scores in fold.scores:
            bin_of = bins(scores)
            sums = np.zeros((counts.shape[1], bin_of.max() + 1))
            np.add.at(sums, (own, bin_of), (fold.labels - scores) / runs)
            gaps.append(sums.sum(axis=0) / len(scores))
            noises.append(counts @ sums / sizes[:, None] - gaps[-1])
    gap, noise = np.concatenate(gaps), np.concatenate(noises, axis=1)
    value = float(np.abs(gap).sum())
    if draws.reason:
        return CalibrationError(value, None, None)

    def quantile(times: float, part: float) -> float:
        return float(np.quantile(np.abs(times * gap + noise).sum(axis=1), part))

    tail = (1 - LEVEL) / 2
    low = _first(lambda times: quantile(times, 1 - tail) >= value)
    high = _first(lambda times: quantile(times, tail) > value)
    chance = float(np.abs(noise).sum(axis=1).mean())
    return CalibrationError(value, chance, (low * value, min(high * value, 1.0)))


def _first(holds: Callable[[float], bool], most: float = 4.0) -> float:
    """The least number from 0 on for which something holds that goes on holding; at most ``most``."""
    if holds(0.0):
        return 0.0
    low, high = 0.0, most
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
