"""Patches that are read and drawn when a batch asks for them: memory does not grow with the store."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.patches import online
from pipeline.store import read_margins

AT_ONCE = 64
"""Stored patches that are in memory at a time; with their margins they are larger than what is cut."""


class Views:
    """Views of findings of a store with a margin; view ``view[i]`` of finding ``finding[i]`` is number i.

    Asked by index they are those by which findings are evaluated; :meth:`drawn` are those of training.
    """

    def __init__(self, store: Path, finding: np.ndarray, view: np.ndarray, device: torch.device) -> None:
        self._store = store
        self._finding = finding
        self._view = view
        self.device = device

    def __len__(self) -> int:
        return len(self._finding)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Patches (n, channels, side, side) float32 on the device."""
        places = index.cpu().numpy()
        pieces = [self._cut(places[start : start + AT_ONCE]) for start in range(0, len(places), AT_ONCE)]
        return torch.from_numpy(np.concatenate(pieces)).to(self.device)

    def _cut(self, places: np.ndarray) -> np.ndarray:
        pairs = zip(self._finding[places].tolist(), self._view[places].tolist(), strict=True)
        runs = [(finding, [view for _, view in run]) for finding, run in groupby(pairs, lambda pair: pair[0])]
        margins = read_margins(self._store, [finding for finding, _ in runs])
        return online.evaluation_views(margins, [views for _, views in runs])

    def some(self, index: np.ndarray) -> "Views":
        """Some of them, still unread."""
        return Views(self._store, self._finding[index], self._view[index], self.device)

    def split(self, size: int) -> Iterator[Tensor]:
        """All of them, ``size`` at a time."""
        return (self[places] for places in torch.arange(len(self)).split(size))

    def drawn(self, index: Tensor, *names: object) -> Tensor:
        """New views (n, channels, side, side) of their findings; number i belongs to ``names`` and i."""
        margins = read_margins(self._store, self._finding[index.cpu().numpy()].tolist())
        return torch.from_numpy(online.training_views(margins, *names)).to(self.device)
