"""Which samples each step of Adam sees: the loop-loaders of a phase in turns, jointly or mixed.

Like a loop-loader's batch, a step's is a pure function of its number.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from model.training.batches import LoopLoader
from model.training.phase import Phase
from pipeline.seeds import stream

Batch = list[tuple[str, Tensor]]
"""Data sets, and the indices of the training samples that each gives."""


class Turns:
    """One data set per step: all batches of the first, then all of the second, and so on."""

    def __init__(self, phase: Phase, loaders: Mapping[str, LoopLoader]) -> None:
        self._loaders = loaders
        counts = {name: phase.batches or len(loaders[name]) for name in phase.datasets}
        self._turns = [(name, place, count) for name, count in counts.items() for place in range(count)]

    def __len__(self) -> int:
        """Steps of one epoch."""
        return len(self._turns)

    def batch(self, step: int) -> Batch:
        """What step number ``step`` of the phase sees."""
        epoch, turn = divmod(step, len(self))
        name, place, count = self._turns[turn]
        return [(name, self._loaders[name].batch(epoch * count + place))]


class Joint:
    """A batch of each data set per step; a full pass is that of the longest, and the others go on."""

    def __init__(self, phase: Phase, loaders: Mapping[str, LoopLoader]) -> None:
        self._loaders = loaders
        self._steps = phase.batches or max(map(len, loaders.values()))

    def __len__(self) -> int:
        """Steps of one epoch."""
        return self._steps

    def batch(self, step: int) -> Batch:
        """What step number ``step`` of the phase sees."""
        return [(name, loader.batch(step)) for name, loader in self._loaders.items()]


class Mixed:
    """Samples of all data sets in one batch, each drawn with the weight 1 / (data sets · size of its own).

    An epoch has as many batches as there would be in turns, so that each data set gives as many samples.
    """

    def __init__(self, phase: Phase, loaders: Mapping[str, LoopLoader], *names: object) -> None:
        self._loaders = loaders
        self._batch_size = phase.batch_size
        self._names = names
        self._steps = sum(phase.batches or len(loader) for loader in loaders.values())

    def __len__(self) -> int:
        """Steps of one epoch."""
        return self._steps

    def batch(self, step: int) -> Batch:
        """What step number ``step`` of the phase sees."""
        rng = stream(*self._names, step)
        counts = np.bincount(rng.integers(len(self._loaders), size=self._batch_size), minlength=1)
        return [
            (name, torch.from_numpy(loader.draw(rng, count)).to(loader.device))
            for (name, loader), count in zip(self._loaders.items(), counts, strict=False)
            if count
        ]


def plan(phase: Phase, loaders: Mapping[str, LoopLoader], *names: object) -> Turns | Joint | Mixed:
    """The steps of a phase; ``names`` are those of the random stream of mixed batches."""
    if phase.step == "mixed":
        return Mixed(phase, loaders, *names)
    return (Joint if phase.step == "joint" else Turns)(phase, loaders)
