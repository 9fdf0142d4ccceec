"""Scores per finding with enhanced prediction: the mean over its views (thesis 5.2.5)."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from model.evaluation.metrics import auroc, threshold_metrics
from model.inference.evaluated import Evaluated
from model.networks.base import Network
from model.training.data import Part


@dataclass(frozen=True)
class Scores:
    """Probabilities of class 1 of the views of a part, and what follows from them."""

    part: Part
    views: np.ndarray
    """(n,) float64"""
    loss: float | None
    """Mean cross-entropy of the views, in nats; None without views."""

    @property
    def findings(self) -> np.ndarray:
        """Mean over the views of each finding."""
        number = self.part.finding
        return np.bincount(number, self.views) / np.bincount(number)

    @property
    def auroc(self) -> float | None:
        """Per finding; None if a class is missing."""
        return auroc(self.part.table["label"], self.findings) if len(self.part.table) else None

    def metrics(self, *, loss: bool = True) -> dict[str, float | None]:
        """Loss (unless unwanted), AUROC and the metrics at 0.5, per finding."""
        rest = threshold_metrics(self.part.table["label"], self.findings)
        return {**({"loss": self.loss} if loss else {}), "auroc": self.auroc, **rest}


def evaluate(network: Network, dataset: str, table: Tensor, part: Part) -> Scores:
    """Score a part with the network as it is and a statistics table.

    Raises FloatingPointError if a logit is not finite.
    """
    if not len(part.labels):
        return Scores(part, np.empty(0), None)
    return score(Evaluated(network, dataset, table)(part.patches), part)


def score(logits: Tensor, part: Part) -> Scores:
    """What logits (n, 2) of a part's views amount to.

    Raises FloatingPointError if one is not finite.
    """
    if not len(part.labels):
        return Scores(part, np.empty(0), None)
    values = logits.cpu().numpy().astype(np.float64)
    if not np.isfinite(values).all():
        raise FloatingPointError("logits that are not finite")
    margin = values[:, 1] - values[:, 0]
    labels = part.labels.cpu().numpy()
    # -log of the probability of the true class, without overflow.
    losses = np.logaddexp(0, np.where(labels == 1, -margin, margin))
    return Scores(part, probabilities(margin), float(losses.mean()))


def probabilities(margin: np.ndarray) -> np.ndarray:
    """The probability of class 1 whose logit is larger by ``margin``: softmax, without overflow."""
    return np.exp(-np.logaddexp(0, -margin))
