"""Equivalence of two methods over splits, and one difference from those of several targets.

Equivalence is two one-sided tests at 5 % (Schuirmann 1987), that is a 90 % interval within the margin, with
the corrected error of ``model.evaluation.corrected``. The summary over targets is one of random effects: each
target has a difference of its own. The variance between targets is that of DerSimonian & Laird (1986), the
interval that of Hartung & Knapp (2001), never narrower than without their factor (Röver, Knapp & Friede
2015).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import stdtrit

from model.evaluation.corrected import missing, standard_error
from model.evaluation.intervals import LEVEL

ONE_SIDED = 0.95
"""Level of either of the two one-sided tests."""


def equivalence_interval(values: Sequence[float], overlap: float) -> tuple[float, float] | None:
    """90 % interval of a mean difference, one value per split; None as for ``difference_interval``.

    Methods are equivalent within any margin that holds it. ``overlap`` as in ``model.evaluation.corrected``.
    """
    if missing(values):
        return None
    mean = float(np.mean(values))
    half = float(stdtrit(len(values) - 1, ONE_SIDED)) * standard_error(values, overlap)
    return mean - half, mean + half


@dataclass(frozen=True)
class Combined:
    """A difference over all targets of the kind, and how much targets differ in it."""

    value: float
    ci95: tuple[float, float] | None
    """None of one target."""
    tau: float
    """Standard deviation between targets."""


def combine(values: Sequence[float], errors: Sequence[float]) -> Combined:
    """Random effects of differences with their standard errors, one of each target.

    With weights w = 1/e², Q = Σ w (d − Σ w d / Σ w)² and k targets, tau² = (Q − k + 1) / (Σ w − Σ w² / Σ w),
    at least 0. With w = 1/(e² + tau²) the mean is Σ w d / Σ w and its variance max(1, q) / Σ w, where
    q = Σ w (d − mean)² / (k − 1); the quantile is that of t with k − 1 degrees of freedom.

    Raises
    ------
    ValueError : no value, or an error that is not above 0.
    """
    found, variances = np.asarray(values, float), np.asarray(errors, float) ** 2
    if not len(found) or not (variances > 0).all():
        raise ValueError("differences with standard errors above 0")
    freedom, weights = len(found) - 1, 1 / variances
    scale = weights.sum() - (weights**2).sum() / weights.sum()
    spread = float(weights @ (found - weights @ found / weights.sum()) ** 2)
    between = max(0.0, (spread - freedom) / scale) if freedom else 0.0
    weights = 1 / (variances + between)
    mean = float(weights @ found / weights.sum())
    if not freedom:
        return Combined(mean, None, 0.0)
    factor = max(1.0, float(weights @ (found - mean) ** 2) / freedom)
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * sqrt(factor / float(weights.sum()))
    return Combined(mean, (mean - half, mean + half), sqrt(between))
