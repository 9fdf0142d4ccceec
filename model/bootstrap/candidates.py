"""Random networks and the data that scores them, in full or in cheaper stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from model.evaluation.metrics import aurocs, macro
from model.inference import batch_norm
from model.inference.scores import evaluate
from model.network import Network, initialize
from model.training.data import Part

FIRST_PATCHES = 16
"""Patches for batch-norm statistics in the first stage: the full 256 take eight times as long as scoring 40
findings, and these 16 move the AUROC by a hundredth or two."""
FACTOR = 4
"""How many times as many views and patches each stage has as the one before."""


@dataclass(frozen=True)
class Stage:
    """What candidates are scored on."""

    parts: Mapping[str, Sequence[Part]]
    """By data set; all stages have the same findings."""
    calibration: Mapping[str, Tensor] | None
    """Training patches of every data set for batch-norm statistics; None leaves these as in a new network."""

    def patches(self, name: str) -> int:
        """How many patches scoring one candidate on a data set takes."""
        calibration = 0 if self.calibration is None else len(self.calibration[name])
        return calibration + sum(len(part.labels) for part in self.parts[name])


def stages(full: Stage) -> list[Stage]:
    """Stages from the cheapest to the full one, each with the first views and patches of the next."""
    most_views = max(1 + part.view.max() for parts in full.parts.values() for part in parts if len(part.view))
    most_patches = max(map(len, (full.calibration or {}).values()), default=0)
    cheap: list[Stage] = []
    views, patches = 1, FIRST_PATCHES
    while views < most_views or (not cheap and patches < most_patches):
        parts = {name: [first_views(part, views) for part in several] for name, several in full.parts.items()}
        calibration = full.calibration and {name: some[:patches] for name, some in full.calibration.items()}
        cheap.append(Stage(parts, calibration))
        views, patches = views * FACTOR, patches * FACTOR
    return [*cheap, full]


def first_views(part: Part, views: int) -> Part:
    """The same findings with at most ``views`` views each."""
    return part.some(np.flatnonzero(part.view < views))


class Candidates:
    """Random networks: the weights of candidate n are a function of (seed, n)."""

    def __init__(self, network: Network, seed: int, stages: Sequence[Stage], by: str = "usual") -> None:
        self.network = network
        self._by = by
        self.stages = stages
        self._seed = seed
        self._made: int | None = None

    def make(self, number: int) -> None:
        """Turn the network into a candidate."""
        if number != self._made:
            initialize(self.network, "bootstrap", self._seed, number, by=self._by)
            self._made = number

    def table(self, name: str, stage: int = -1) -> Tensor:
        """The batch-norm statistics of a data set in the network as it is."""
        calibration = self.stages[stage].calibration
        if calibration is None:
            return batch_norm.initial(self.network)
        # The blocks are shared, but each data set has statistics of its own in them.
        return batch_norm.recalibrate(self.network, calibration[name])

    def score(self, number: int, name: str, stage: int = -1) -> float | None:
        """AUROC per finding of a candidate on a data set, all its parts together; None if a class is missing.

        Raises FloatingPointError if a logit is not finite.
        """
        self.make(number)
        table = self.table(name, stage)
        parts = [part for part in self.stages[stage].parts[name] if len(part.table)]
        if not parts:
            return None
        truth = np.concatenate([part.classes.truth(part.table) for part in parts])
        scores = np.concatenate([evaluate(self.network, name, table, part).findings for part in parts])
        return macro(aurocs(truth, scores))
