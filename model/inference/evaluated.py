"""Evaluation: a network as it is, in eval mode, for one data set."""

import copy

import torch
from torch import Tensor, nn

from model.inference import batch_norm
from model.network import Network
from model.networks.base import modes_kept
from model.training.online import Views

BATCH = {"cpu": 16, "cuda": 1024}
"""Patches at a time: on the CPU what stays in the cache."""


class Evaluated:
    """A network as it was when this was made, for one data set and its statistics table."""

    def __init__(self, network: Network, dataset: str, table: Tensor) -> None:
        with batch_norm.attached(network, table):
            self._extract = network.extractor.evaluated()
        self.maker = copy.deepcopy(network.maker(dataset)).eval()

    def __call__(self, patches: Tensor | Views) -> Tensor:
        """Logits (n, outputs) of patches (n, channels, side, side)."""
        return decide(self.maker, self.features(patches))

    @torch.no_grad()
    def features(self, patches: Tensor | Views) -> Tensor:
        """Features (n, width) of patches (n, channels, side, side)."""
        # In one tensor from the first batch on: small ones, kept one after the other, would lie between the
        # large ones that each batch needs, and none could take the place of the last (see model/device.py).
        found, start = torch.empty(0), 0
        for batch in patches.split(BATCH[patches.device.type]):
            features = self._extract(batch)
            if not start:
                found = features.new_empty((len(patches), *features.shape[1:]))
            found[start : start + len(features)] = features
            start += len(features)
        return found


@torch.no_grad()
def decide(maker: nn.Module, features: Tensor) -> Tensor:
    """Logits (n, outputs) that a decision maker as it is gives to features (n, width), without dropout."""
    with modes_kept(maker):
        logits: Tensor = maker.eval()(features)
    return logits
