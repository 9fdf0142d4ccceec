"""From the scores of several classes to probabilities: a temperature, and an intercept of each class.

Of two classes it is Platt's line (``model.evaluation.calibration.platt``). One slope for all classes keeps
their order but for what is due to their shares (bias-corrected temperature scaling; Alexandari et al. 2020).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from model.evaluation.platt import EDGE


@dataclass(frozen=True)
class Temperature:
    """The line of each class, and the shares of classes for which they give probabilities."""

    slope: float
    """One over the temperature, above 0: below 1 the scores are too extreme."""
    intercepts: tuple[float, ...]
    """Of each class; that of the first is 0."""
    prevalence: tuple[float, ...]
    """Share of each class among the findings that it was fitted on."""

    def __call__(self, scores: np.ndarray, prevalence: Sequence[float] | None = None) -> np.ndarray:
        """Probabilities (…, classes) of scores of that shape where classes have the shares ``prevalence``.

        None are those of the fit. Others move log odds by as much as those of the shares do (Saerens 2002).
        """
        moved = 0.0 if prevalence is None else np.log(prevalence) - np.log(self.prevalence)
        return np.asarray(softmax(self.slope * _logs(scores) + np.array(self.intercepts) + moved, axis=-1))


def as_they_are(shares: Sequence[float]) -> Temperature:
    """Scores as they are, for classes with these shares."""
    return Temperature(1.0, (0.0,) * len(shares), tuple(shares))


def _logs(scores: np.ndarray) -> np.ndarray:
    return np.log(np.clip(scores, EDGE, 1 - EDGE))


def fit(labels: np.ndarray, scores: np.ndarray) -> Temperature | str:
    """The temperature of findings with classes (n,) and scores (n, classes), or why there is none.

    Targets are Platt's: of n findings of one of k classes (n + 1) / (n + k) for it, 1 / (n + k) for each
    other.
    """
    classes = scores.shape[1]
    counts = np.bincount(labels, minlength=classes)
    if not counts.min():
        return "the validation findings lack a class"
    own = (counts[labels] + classes)[:, None]
    target = (1 + counts[labels][:, None] * np.eye(classes)[labels]) / own
    x = _logs(scores)
    x = x - x.mean(axis=1, keepdims=True)
    sd = float(x.std())
    if sd < EDGE:
        return "all validation findings score alike"

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean cross-entropy of a slope and the intercepts of all classes but the first, and its gradient."""
        logs = log_softmax(values[0] * x / sd + np.append(0.0, values[1:]), axis=1)
        apart = (np.exp(logs) - target) / len(x)
        return -float((target * logs).sum()) / len(x), np.append((apart * x / sd).sum(), apart.sum(0)[1:])

    found = minimize(
        loss, np.append(sd, np.zeros(classes - 1)), jac=True, method="BFGS", options={"gtol": 1e-8}
    )
    slope, *intercepts = (float(value) for value in found.x)
    if slope <= 0:
        return "validation findings score no higher for their own class than for others"
    return Temperature(slope / sd, (0.0, *intercepts), tuple((counts / len(x)).tolist()))
