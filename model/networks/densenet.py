"""DenseNet (Huang et al. 2017) with torchvision's names of layers, the older ones and MONAI's known too."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks import base

MEMBERS = {
    "densenet121": {"blocks": (6, 12, 24, 16)},
    "densenet169": {"blocks": (6, 12, 32, 32)},
    "densenet201": {"blocks": (6, 12, 48, 32)},
}
SMALLEST = 32
STEM, GROWTH, BOTTLENECK = 64, 32, 4
"""Channels of the first convolution and of what a layer adds; how many times as many are inside of it."""


class Layer(nn.Module):
    """Adds channels to those that all layers before it made."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        inner = BOTTLENECK * GROWTH
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, inner, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(inner), nn.Conv2d(inner, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Values (n, inputs + GROWTH, rows, columns)."""
        new = self.conv1(functional.relu(self.norm1(x)))
        new = self.conv2(functional.relu(self.norm2(new)))
        return torch.cat([x, new], 1)


class Transition(nn.Module):
    """Half the channels and a quarter of the pixels."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, inputs // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Values (n, inputs / 2, rows / 2, columns / 2)."""
        return functional.avg_pool2d(self.conv(functional.relu(self.norm(x))), 2)


class Extractor(base.Extractor):
    """Patches (n, channels, side, side) of Z-scores to features: 1024, 1664 or 1920."""

    def __init__(self, channels: int, side: int, *, blocks: tuple[int, ...]) -> None:
        base.check_side(side, SMALLEST)
        planes, width = base.planes(channels), STEM
        parts: dict[str, nn.Module] = {
            "conv0": nn.Conv2d(planes, STEM, 7, 2, 3, bias=False), "norm0": nn.BatchNorm2d(STEM),
            "relu0": nn.ReLU(), "pool0": nn.MaxPool2d(3, 2, 1),
        }  # fmt: skip
        for number, count in enumerate(blocks, start=1):
            block = nn.Sequential()
            for place in range(1, count + 1):
                block.add_module(f"denselayer{place}", Layer(width))
                width += GROWTH
            parts[f"denseblock{number}"] = block
            if number < len(blocks):
                parts[f"transition{number}"] = Transition(width)
                width //= 2
        super().__init__(width)
        self.planes = planes
        self.features = nn.Sequential()
        for name, part in (parts | {"norm5": nn.BatchNorm2d(width)}).items():
            self.features.add_module(name, part)
        self.dropout = base.Dropout()

    def forward(self, patches: Tensor) -> Tensor:
        """Features (n, width)."""
        x = functional.relu(self.features(base.pictures(patches, self.planes)))
        return torch.as_tensor(self.dropout(x.mean((2, 3))))

    def groups(self) -> list[list[nn.Module]]:
        """The stem, four blocks, each but the last with the transition after it, and the last batch norm."""
        conv0, norm0, _, _, *parts = self.features
        pairs = [list(parts[first : first + 2]) for first in range(0, len(parts) - 2, 2)]
        return [[conv0, norm0], *pairs, [parts[-2]], [parts[-1]]]

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Without ImageNet's classifier; ``norm.1`` (once torchvision's) and ``layers.norm1`` are norm1."""
        return {
            re.sub(r"(denselayer\d+)\.(?:layers\.)?(norm|conv)\.?([12])\.", r"\1.\2\3.", name): value
            for name, value in state.items()
            if not name.startswith(("classifier.", "class_layers."))
        }
