"""The network of the papers: one feature extractor, and one decision maker per data set.

Thesis figure 5.4 and Typhon's public code (conv without bias, Xavier weights, raw logits)::

    (1|3, 65, 65) ─ Block 32 ─ Block 64 ─ Block 128 ─ flatten 2048 ─ Linear 256 ─┬─ DecisionMaker A ─ 2 logits
                    └──────────────── FeatureExtractor ────────────────────────┘ └─ DecisionMaker B ─ 2 logits
"""

import math
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.seeds import seed

FEATURES = 256
CLASSES = 2


class Dropout(nn.Module):
    """Set each value to 0 with a probability and scale the rest, as nn.Dropout does, in a third of its time.

    On the CPU four values share one random word, so the probability is rounded to 1/65536. Random numbers
    come from torch's global generator.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.p = probability

    def forward(self, x: Tensor) -> Tensor:
        """Values of the same shape and layout in memory."""
        if x.is_cuda or not self.training:
            return functional.dropout(x, self.p, self.training)
        threshold = round(self.p * 2**16)
        if not threshold:
            return x
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.int16)[: x.numel()] >= threshold - 2**15
        mask = kept.to(x.dtype).mul_(2**16 / (2**16 - threshold))
        return x * mask.as_strided(x.shape, x.stride())


class Block(nn.Sequential):
    """Two 3x3 convolutions and one 1x1, unpadded, each with batch norm and ELU; then dropout and pooling."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, bias=False), nn.BatchNorm2d(outputs), nn.ELU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, bias=False), nn.BatchNorm2d(outputs), nn.ELU(inplace=True),
            nn.Conv2d(outputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ELU(inplace=True),
            Dropout(dropout), nn.MaxPool2d(2),
        )  # fmt: skip

    def convolutions(self) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """Each convolution with the batch norm after it."""
        convs = [layer for layer in self if isinstance(layer, nn.Conv2d)]
        norms = [layer for layer in self if isinstance(layer, nn.BatchNorm2d)]
        return zip(convs, norms, strict=True)


class FeatureExtractor(nn.Sequential):
    """Patches (n, channels, 65, 65) to features (n, 256)."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__(
            Block(channels, 32, dropout),
            Block(32, 64, dropout),
            Block(64, 128, dropout),
            nn.Flatten(),
            nn.Linear(128 * 4 * 4, FEATURES),
            nn.ELU(inplace=True),
            Dropout(dropout),
        )


class DecisionMaker(nn.Sequential):
    """Features (n, 256) to logits (n, 2) of one data set."""

    def __init__(self, dropout: float) -> None:
        super().__init__(
            nn.Linear(FEATURES, 64), nn.ELU(inplace=True), Dropout(dropout),
            nn.Linear(64, 16), nn.ELU(inplace=True),
            nn.Linear(16, CLASSES),
        )  # fmt: skip


class Typhon(nn.Module):
    """One extractor shared by the decision makers of all data sets."""

    def __init__(self, extractor: FeatureExtractor, makers: Mapping[str, DecisionMaker]) -> None:
        super().__init__()
        self.extractor = extractor
        # Names beside a list, not an nn.ModuleDict: that refuses names like "a.b", "keys" or "type".
        self.datasets = tuple(makers)
        self.makers = nn.ModuleList(makers.values())

    def maker(self, dataset: str) -> nn.Module:
        """Decision maker of a data set."""
        return self.makers[self.datasets.index(dataset)]

    def share(self, dataset: str, other: str) -> None:
        """Let a data set use the decision maker of another one from here on."""
        self.makers[self.datasets.index(dataset)] = self.maker(other)

    @torch.no_grad()
    def renew(self, dataset: str, *names: object) -> None:
        """Give a data set a decision maker of its own, with the random weights that belong to ``names``."""
        old = self.maker(dataset)
        new = DecisionMaker(0.0).to(next(old.parameters()))
        _initialize(new, seed(*names))
        self.makers[self.datasets.index(dataset)] = new

    def forward(self, patches: Tensor, dataset: str) -> Tensor:
        """Logits (n, 2) of patches (n, channels, 65, 65) that belong to ``dataset``."""
        logits: Tensor = self.maker(dataset)(self.extractor(patches))
        return logits


def build(datasets: Iterable[str], channels: int, dropout: float = 0.0) -> Typhon:
    """A network with one decision maker per data set, its weights still meaningless."""
    makers = {dataset: DecisionMaker(dropout) for dataset in datasets}
    network = Typhon(FeatureExtractor(channels, dropout), makers)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = channels_last(module.weight.data)
    return network


def channels_last(x: Tensor) -> Tensor:
    """Copy a tensor (n, c, h, w) into channels-last memory, in which convolutions are fastest.

    With one channel both layouts look the same to ``contiguous``, which then keeps the strides that make
    the convolution work channels-first and its result be copied.
    """
    return torch.empty_like(x, memory_format=torch.channels_last).copy_(x)


@torch.no_grad()
def initialize(network: Typhon, *names: object) -> None:
    """Fill in the random weights that belong to ``names``.

    Each part draws from a stream of its own, so the extractor of a one-headed network starts like that
    of a three-headed one, and methods can be compared in pairs.
    """
    _initialize(network.extractor, seed(*names, "extractor"))
    for dataset in network.datasets:
        _initialize(network.maker(dataset), seed(*names, "maker", dataset))


def _initialize(part: nn.Module, number: int) -> None:
    generator = torch.Generator().manual_seed(number)
    for module in part.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            # Drawn in a plain tensor: filling a channels_last one would follow its memory order.
            plain = torch.empty(module.weight.shape)
            module.weight.copy_(nn.init.xavier_uniform_(plain, generator=generator))
            if module.bias is not None:
                bound = 1 / math.sqrt(plain[0].numel())
                module.bias.copy_(torch.empty(module.bias.shape).uniform_(-bound, bound, generator=generator))


def set_dropout(network: Typhon, probability: float) -> None:
    """Set the dropout of all parts, 0 included."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.p = probability
