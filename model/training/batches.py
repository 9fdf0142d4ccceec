"""The loop-loader: an endless stream of batches that reshuffles itself, known by number.

Batch n is a pure function of (names, n), so resuming needs a counter and no random state.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import SplitError
from pipeline.seeds import stream

Order = Callable[[np.random.Generator], np.ndarray]


def shuffled(labels: np.ndarray) -> tuple[Order, int]:
    """Every sample once per pass."""
    return (lambda rng: rng.permutation(len(labels))), len(labels)


def undersampled(labels: np.ndarray) -> tuple[Order, int]:
    """As many samples of each class as the smallest one has, the classes in turn; a new draw per pass.

    Thesis 5.2.1. Raises SplitError if a class is missing.
    """
    classes = [np.flatnonzero(labels == label) for label in range(max(2, 1 + labels.max(initial=0)))]
    count = min(len(members) for members in classes)
    if not count:
        sizes = [len(members) for members in classes]
        found = f"{sizes[0]} negative and {sizes[1]} positive" if len(sizes) == 2 else f"classes of {sizes}"
        raise SplitError(
            f"{found} training samples",
            expected="both classes" if len(sizes) == 2 else "every class",
            remedy="undersampling needs all; use balance: views",
        )

    def draw(rng: np.random.Generator) -> np.ndarray:
        return np.stack([rng.permutation(members)[:count] for members in classes], axis=1).ravel()

    return draw, len(classes) * count


BALANCES = {"views": shuffled, "undersample": undersampled}


class LoopLoader:
    """Index batches over samples that stay where they are.

    Parameters
    ----------
    labels : (n,) numbers of classes; (n, labels) where balance is by views.
    batch_size : of all batches but the last of a pass, which is smaller, or larger by one: a remainder of
        one sample joins the batch before it, as batch norm would see a single image.
    names : of the random stream; pass p draws from (*names, p).
    balance : a key of BALANCES.
    """

    def __init__(
        self,
        labels: np.ndarray,
        batch_size: int,
        *names: object,
        balance: str = "views",
        device: torch.device | None = None,
    ) -> None:
        self._order, self.samples = BALANCES[balance](labels)
        self._labels = labels
        self._balanced = balance == "undersample"
        self._batch_size = batch_size
        self._names = names
        self.device = device
        full, rest = divmod(self.samples, batch_size)
        self._batches = max(1, full + (rest > 1))
        self._pass = -1
        self._indices = torch.empty(0)

    def __len__(self) -> int:
        """Batches of one pass."""
        return self._batches

    def batch(self, number: int) -> Tensor:
        """Sample indices of batch ``number``, counted from 0 over all passes."""
        turn, place = divmod(number, self._batches)
        if turn != self._pass:
            order = self._order(stream(*self._names, turn))
            self._indices = torch.from_numpy(order).to(self.device)
            self._pass = turn
        start = place * self._batch_size
        last = place == self._batches - 1
        return self._indices[start:] if last else self._indices[start : start + self._batch_size]

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Indices of ``count`` samples drawn one by one, with replacement; in balance if passes are."""
        # As rng.choice does, which would make the table of a large data set anew for each batch.
        return self._shares.searchsorted(rng.random(count), side="right")

    @cached_property
    def _shares(self) -> np.ndarray:
        """What a draw falls on up to each sample, of 1 in all (n,)."""
        weights = np.ones(len(self._labels))
        if self._balanced:
            weights /= np.bincount(self._labels)[self._labels]
        shares = (weights / weights.sum()).cumsum()
        return shares / shares[-1]
