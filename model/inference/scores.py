"""Scores per finding with enhanced prediction: the mean over its views (thesis 5.2.5)."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from model.dataset import over_views
from model.evaluation.metrics import aurocs, decisions, macro
from model.inference.evaluated import Evaluated
from model.network import Network
from model.training.data import Part


@dataclass(frozen=True)
class Scores:
    """Probabilities of the problems of a part's classes for its views, and what follows from them."""

    part: Part
    views: np.ndarray
    """(n, problems) float64"""
    loss: float | None
    """Mean cross-entropy of the views, in nats; None without views."""

    @property
    def findings(self) -> np.ndarray:
        """Mean over the views of each finding, (findings, problems)."""
        return over_views(self.part.finding, self.views)

    @property
    def auroc(self) -> float | None:
        """Per finding, mean over problems; None if a class is missing."""
        return macro(aurocs(self.part.classes.truth(self.part.table), self.findings))

    def metrics(self, *, loss: bool = True) -> dict[str, float | None]:
        """Loss (unless unwanted), AUROC and what else means something of these classes, per finding."""
        rest = decisions(self.part.classes, self.part.table, self.findings)
        return {**({"loss": self.loss} if loss else {}), "auroc": self.auroc, **rest}


def evaluate(network: Network, dataset: str, table: Tensor, part: Part) -> Scores:
    """Score a part with the network as it is and a statistics table.

    Raises FloatingPointError if a logit is not finite.
    """
    if not len(part.labels):
        return _none(part)
    return score(Evaluated(network, dataset, table)(part.patches), part)


def score(logits: Tensor, part: Part) -> Scores:
    """What logits (n, outputs) of a part's views amount to.

    Raises FloatingPointError if one is not finite.
    """
    if not len(part.labels):
        return _none(part)
    values = logits.cpu().numpy().astype(np.float64)
    if not np.isfinite(values).all():
        raise FloatingPointError("logits that are not finite")
    losses = part.classes.losses(values, part.labels.cpu().numpy())
    return Scores(part, part.classes.probabilities(values), float(losses.mean()))


def _none(part: Part) -> Scores:
    return Scores(part, np.empty((0, len(part.classes.problems))), None)
