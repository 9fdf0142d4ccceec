"""Two methods over all numbers of findings: tested as published, and over patients and splits."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import ttest_rel

from model.evaluation.delong import mean_areas
from model.evaluation.paired import Difference, Paired, Runs, check_paired, subtract

NO_DRAWS = "not resampled here"


def published_p(method: Sequence[float], reference: Sequence[float]) -> float | None:
    """The p-value of a paired two-sided t-test over the numbers of findings, as the paper has it.

    Subsets that grow, and one test set for all, are no independent samples, so it is far too small. None for
    fewer than two numbers, or differences that are all alike.
    """
    differences = np.subtract(method, reference)
    if len(differences) < 2 or np.ptp(differences) < 1e-12:
        return None
    return float(ttest_rel(method, reference).pvalue)


def paired_difference(method: Runs, reference: Runs, overlap: float) -> Difference:
    """The mean over runs and numbers of findings, for other patients in closed form and for other splits.

    In a split the values of all numbers and seeds are averaged first, so that more of them are no more
    evidence. Raises UnpairedError unless both have the same runs and findings.
    """
    check_paired([method, reference])
    whole = method.areas() is not None and reference.areas() is not None
    closed = mean_areas([method.folds, reference.folds]) if whole else None
    return subtract(Paired((method, reference), None, closed, NO_DRAWS), 0, 1, overlap=overlap)
