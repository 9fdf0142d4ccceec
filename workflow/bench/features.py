"""Features of EfficientNet-Lite0 for a store: ours against the bare network in eval mode, channels last."""

import itertools
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from model import device
from model.baselines.embeddings import embed, encoder, together
from model.network import FEATURES, Description
from model.networks.base import channels_last
from pipeline.store import read_info
from workflow.bench.measure import Contender, Result, Size, compare
from workflow.bench.network import noise, stored

SIDE = 160
"""To which patches are resized, as by default."""
GOAL = 0.9


class _Features(Contender):
    def __init__(self, samples: int, features: str) -> None:
        self.device = device.set_up(0)
        torch.set_num_threads(1)
        self.samples = samples
        description = Description.named("efficientnet_lite0", 1, 65, resized=SIDE, features=features)
        self.network, _ = encoder(description, "imagenet")
        self.features: list[Any] = []

    def answer(self) -> Any:
        """Features (n, width) of the last layer."""
        return torch.cat(self.features)[:, : self.network.extractor.core().width].numpy()


class PlainFeatures(_Features):
    """Its last layer, of patches in memory, in batches as large as ours."""

    def __init__(self, _folder: Path, samples: int, _features: str) -> None:
        super().__init__(samples, FEATURES[0])
        self.patches = torch.from_numpy(noise("features", samples))

    @torch.inference_mode()
    def run(self) -> int:
        """All patches."""
        network = self.network.extractor.core().eval()
        self.features = [
            network(channels_last(functional.interpolate(some, (SIDE, SIDE), mode="bilinear")))
            for some in self.patches.split(together(1, self.device))
        ]
        return self.samples


class OurFeatures(_Features):
    """The step that embeds a data set, reading the store included."""

    def __init__(self, folder: Path, samples: int, features: str) -> None:
        super().__init__(samples, features)
        self.store, _ = stored(folder, "features", samples)

    def run(self) -> int:
        """All patches of the store."""
        found = embed(self.network, read_info(self.store), 1, self.device)
        self.features = list(itertools.islice(found, self.samples))
        return self.samples


def bench(size: Size) -> list[Result]:
    """Patches per second, of the last layer and of all, and the largest difference of the last one."""
    results = []
    for features in FEATURES:
        result = Result(f"features of Lite0, {SIDE} pixels, {features}", "patches/s", goal=GOAL)
        with tempfile.TemporaryDirectory(prefix="typhon-bench-") as folder:
            amount = 32 if size.quick else 192
            plain, ours = compare(
                result, PlainFeatures, OurFeatures, Path(folder), amount, features, rounds=size.rounds
            )
        result.notes = {
            "largest_difference": float(abs(plain - ours).max()), "largest": float(abs(plain).max())
        }  # fmt: skip
        results.append(result)
    return results
