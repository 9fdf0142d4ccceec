"""Coverage of the intervals of scores in use: shares at a threshold, ratios, precision, calibration.

Patients, labels and scores are those of ``workflow.bench.coverage``. A finding's label and score are of two
normal distributions, so every truth is known; the probability that a score stands for is exactly calibrated,
and the same with its log odds doubled is not.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from model.evaluation import subgroups
from model.evaluation.calibration import brier, calibration_error, intercept, log_loss, slope
from model.evaluation.clustered import Estimate, Interval, Statistic, estimate
from model.evaluation.intervals import Fold
from model.evaluation.operating import false_alarms, likelihood_ratio, said, sensitivity, specificity
from model.evaluation.ranking import average_precision
from pipeline.seeds import stream

IntervalKind = Callable[[Estimate], Interval | None]
SOMETIMES = (
    "calibration slope", "sensitivity of a subgroup, difference", "AUROC of a subgroup, difference",
)  # fmt: skip
"""Figures that small test sets may not have."""
SPECIFICITY = 0.8
"""True one of the threshold."""
DRAWN = 400_000
"""Findings for truths that have no formula."""
SUBGROUP = 0.4
"""Share of the patients in a part that is compared with the rest."""
REPLICATES = 400
"""Resamples for the calibration error, fewer than in results, to save time."""


def separation(area: float) -> float:
    """Distance between the means of positive and negative scores."""
    return float(2**0.5 * ndtri(area))


def probabilities(scores: np.ndarray, area: float, positive: float) -> np.ndarray:
    """The chance that a finding with this score is positive, where ``positive`` of all are."""
    shift = separation(area)
    return np.asarray(expit(logit(positive) + shift * scores - shift**2 / 2))


def doubled(chances: np.ndarray) -> np.ndarray:
    """Too extreme: twice the log odds."""
    return np.asarray(expit(2 * logit(chances)))


@cache
def truths(area: float, positive: float, bins: int) -> dict[str, float]:
    """What the intervals should hold."""
    shift, random = separation(area), stream("bench", "in use", area)
    threshold = float(ndtri(SPECIFICITY))
    hits = float(ndtr(shift - threshold))
    labels = (random.random(DRAWN) < positive).astype(int)
    scores = random.normal(size=DRAWN) + shift * labels
    right = probabilities(scores, area, positive)
    wrong = doubled(right)
    edges = np.quantile(wrong, np.arange(1, bins) / bins)
    gaps = np.bincount(np.searchsorted(edges, wrong, "right"), labels - wrong)
    moved, line = intercept(labels, wrong), average_precision(labels, scores)
    assert moved is not None
    assert line is not None
    return {
        "sensitivity": hits, "specificity": SPECIFICITY, "likelihood ratio": hits / (1 - SPECIFICITY),
        "average precision": line.value, "Brier score": float(((wrong - labels) ** 2).mean()),
        "log loss": -float(np.log(np.where(labels == 1, wrong, 1 - wrong)).mean()),
        "calibration intercept": moved.value, "calibration slope": 0.5,
        "calibration error": float(np.abs(gaps).sum() / DRAWN), "calibration error of 0": 0.0,
        "sensitivity of a subgroup, difference": 0.0, "AUROC of a subgroup, difference": 0.0,
    }  # fmt: skip


def intervals(
    fold: Fold, area: float, positive: float, random: np.random.Generator
) -> dict[str, Interval | None]:
    """The 95 % intervals of one test set, by the names of ``truths``; a key without one is None."""
    called = [said(fold, [float(ndtri(SPECIFICITY))])]
    hits, kept, alarms = (estimate(called, what) for what in (sensitivity, specificity, false_alarms))
    assert hits is not None
    assert kept is not None
    assert alarms is not None
    right = [Fold(fold.groups, fold.labels, probabilities(fold.scores, area, positive))]
    wrong = [Fold(fold.groups, fold.labels, doubled(right[0].scores))]
    ratio = likelihood_ratio(hits, alarms)

    def of(folds: list[Fold], figure: Statistic, kind: IntervalKind, *, compares: bool) -> Interval | None:
        made = estimate(folds, figure, compares=compares)
        return None if made is None else kind(made)

    return {
        "sensitivity": hits.proportion(),
        "specificity": kept.proportion(),
        "likelihood ratio": None if ratio is None else ratio.ci95,
        "average precision": of([fold], average_precision, Estimate.ranked, compares=True),
        "Brier score": of(wrong, brier, Estimate.proportion, compares=False),
        "log loss": of(wrong, log_loss, Estimate.positive, compares=False),
        "calibration intercept": of(wrong, intercept, Estimate.plain, compares=True),
        "calibration slope": of(wrong, slope, Estimate.plain, compares=True),
        "calibration error": calibration_error(wrong, random, REPLICATES).ci95,
        "calibration error of 0": calibration_error(right, random, REPLICATES).ci95,
        "sensitivity of a subgroup, difference": _apart(called, sensitivity, Estimate.proportion, random),
        "AUROC of a subgroup, difference": _apart([fold], subgroups.area, Estimate.ranked, random),
    }


def part_of(fold: Fold) -> subgroups.SubgroupEstimate | None:
    """The AUROC of a whole test set, to compare with that of another."""
    return subgroups.part([fold], subgroups.area, Estimate.ranked)


def difference_of(
    first: subgroups.SubgroupEstimate | None, second: subgroups.SubgroupEstimate | None
) -> Interval | None:
    """Of ``first`` less ``second``; None where one is."""
    return None if first is None or second is None else subgroups.difference(first, second)


def _apart(
    folds: list[Fold],
    figure: Statistic,
    interval: Callable[[Estimate], Interval],
    random: np.random.Generator,
) -> Interval | None:
    """Of some patients less the others, who differ in nothing; None where a part has no such figure."""
    (whole,) = folds
    names = np.unique(whole.groups)
    inside = np.isin(whole.groups, names[random.random(len(names)) < SUBGROUP])
    parts = [
        subgroups.part(
            [Fold(whole.groups[mask], whole.labels[mask], whole.scores[:, mask])], figure, interval
        )
        for mask in (inside, ~inside)
    ]
    first, second = parts
    return difference_of(first, second)
