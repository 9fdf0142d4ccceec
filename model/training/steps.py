"""What one step of training is: which samples it sees, what their losses amount to, and what it moves.

Like a loop-loader's batch, a step's is a pure function of its number. A new kind of step is a class here, and
its name in ``model.training.phase.STEP_KINDS``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from model.network import Network
from model.training.batches import LoopLoader
from model.training.phase import Phase
from pipeline.seeds import stream

Batch = list[tuple[str, Tensor]]
"""Data sets, and the indices of the training samples that each gives."""
Extract = Callable[[str, Tensor], Tensor]
"""Features of inputs, with the dropout and the batch-norm statistics of a data set."""


class PhaseSteps(ABC):
    """The steps of a phase.

    ``names`` are those of the random stream, where batches are drawn from one.
    """

    MIXES: ClassVar[bool] = False
    """Whether samples of all data sets go through the extractor in one batch, so that all have one mean."""

    def __init__(self, phase: Phase, loaders: Mapping[str, LoopLoader], *names: object) -> None:
        self._phase = phase
        self._loaders = loaders
        self._names = names

    @abstractmethod
    def __len__(self) -> int:
        """Steps of one epoch."""

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """What step number ``step`` of the phase sees."""

    @classmethod
    def optimizers(cls, phase: Phase) -> dict[str, tuple[str, ...]]:
        """The optimizers of a phase, each by the data set that names it: whose heads it moves."""
        return {phase.datasets[0]: phase.datasets}

    def optimizer(self, batch: Batch) -> str:  # noqa: ARG002  (one for all batches, but in turns)
        """Which of them a batch moves."""
        return self._phase.datasets[0]

    def features(self, extract: Extract, inputs: Iterable[tuple[str, Tensor]]) -> list[Tensor]:
        """Features of each data set's part of a batch."""
        return [extract(name, piece) for name, piece in inputs]

    def loss(self, losses: Tensor, batch: Batch) -> Tensor:  # noqa: ARG002  (some steps weigh by it)
        """What is minimised, of the mean loss (k,) of each data set in a batch."""
        return losses.sum()

    def adjust(self, batch: Batch, network: Network) -> None:  # noqa: B027  (most have nothing to do)
        """Change gradients before the optimizer sees them."""


class Turns(PhaseSteps):
    """One data set per step: all batches of the first, then all of the second, and so on.

    Each data set has an optimizer of its own over the shared extractor and its head: weights are shared and
    moments are not (Typhon, Algorithm 1).
    """

    def __init__(self, phase: Phase, loaders: Mapping[str, LoopLoader], *names: object) -> None:
        super().__init__(phase, loaders, *names)
        counts = {name: phase.batches or len(loaders[name]) for name in phase.datasets}
        self._turns = [(name, place, count) for name, count in counts.items() for place in range(count)]

    def __len__(self) -> int:
        return len(self._turns)

    def batch(self, step: int) -> Batch:
        """What step number ``step`` of the phase sees."""
        epoch, turn = divmod(step, len(self))
        name, place, count = self._turns[turn]
        return [(name, self._loaders[name].batch(epoch * count + place))]

    @classmethod
    def optimizers(cls, phase: Phase) -> dict[str, tuple[str, ...]]:
        """One for each data set."""
        return {name: (name,) for name in phase.datasets}

    def optimizer(self, batch: Batch) -> str:
        """That of the data set whose turn it is."""
        return batch[0][0]


class Joint(PhaseSteps):
    """A batch of each data set per step, forwarded apart; their losses are summed, each by its weight.

    A full pass is that of the longest data set, and the others go on.
    """

    def __len__(self) -> int:
        return self._phase.batches or max(map(len, self._loaders.values()))

    def batch(self, step: int) -> Batch:
        """What step number ``step`` of the phase sees."""
        return [(name, loader.batch(step)) for name, loader in self._loaders.items()]

    def loss(self, losses: Tensor, batch: Batch) -> Tensor:
        """The weighted sum."""
        return (losses * losses.new_tensor([self._phase.weighs(name) for name, _ in batch])).sum()


class Mixed(PhaseSteps):
    """Samples of all data sets in one batch, each drawn with the weight 1 / (data sets · size of its own).

    An epoch has as many batches as there would be in turns, so that each data set gives as many samples
    (Mormont et al.).
    """

    MIXES = True

    def __len__(self) -> int:
        return sum(self._phase.batches or len(loader) for loader in self._loaders.values())

    def batch(self, step: int) -> Batch:
        """What step number ``step`` of the phase sees."""
        rng = stream(*self._names, step)
        counts = np.bincount(rng.integers(len(self._loaders), size=self._phase.batch_size), minlength=1)
        return [
            (name, torch.from_numpy(loader.draw(rng, count)).to(loader.device))
            for (name, loader), count in zip(self._loaders.items(), counts, strict=False)
            if count
        ]

    def features(self, extract: Extract, inputs: Iterable[tuple[str, Tensor]]) -> list[Tensor]:
        """Features of each data set's part of a batch that goes through the extractor as one."""
        pieces = [piece for _, piece in inputs]
        return list(extract(self._phase.datasets[0], torch.cat(pieces)).split(list(map(len, pieces))))

    def loss(self, losses: Tensor, batch: Batch) -> Tensor:
        """The mean over all samples, which a head sees as the mean over its own."""
        sizes = losses.new_tensor([len(samples) for _, samples in batch])
        return (losses * sizes / sizes.sum()).sum()

    def adjust(self, batch: Batch, network: Network) -> None:
        """Multiply the gradient of each head by batch / its samples (Mormont et al.)."""
        own: dict[nn.Module, int] = {}
        for name, samples in batch:
            maker = network.maker(name)
            own[maker] = own.get(maker, 0) + len(samples)
        for maker, count in own.items():
            for parameter in maker.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(sum(own.values()) / count)


KINDS: dict[str, type[PhaseSteps]] = {"turns": Turns, "joint": Joint, "mixed": Mixed}
"""By name, as model.training.phase.STEP_KINDS has them."""
