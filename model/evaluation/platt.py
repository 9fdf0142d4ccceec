"""From a score to a probability: a line on the scale of log odds (Platt 1999)."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

EDGE = 1e-6
"""Scores nearer to 0 or 1 count as this far away, so that they have a logit."""


def logits(scores: np.ndarray) -> np.ndarray:
    """Log odds of scores, finite."""
    return np.asarray(logit(np.clip(scores, EDGE, 1 - EDGE)))


@dataclass(frozen=True)
class Platt:
    """The line, and the prevalence for which it gives probabilities."""

    slope: float
    """Above 0, so that it keeps the order of findings."""
    intercept: float
    prevalence: float
    """Share of positives among the findings that it was fitted on."""

    def __call__(self, scores: np.ndarray, prevalence: float | None = None) -> np.ndarray:
        """Probabilities where ``prevalence`` of all findings are positive; None is that of the fit.

        For another one the log odds move by as much as those of the prevalence do (Saerens 2002), which holds
        where positives and negatives look as before and only their shares differ.
        """
        moved = 0.0 if prevalence is None else logit(prevalence) - logit(self.prevalence)
        return np.asarray(expit(self.slope * logits(scores) + self.intercept + moved))
