"""The network of the papers.

Thesis figure 5.4 and Typhon's public code (conv without bias, Xavier weights, raw logits)::

(1|3, 65, 65) ─ Block 32 ─ Block 64 ─ Block 128 ─ flatten 2048 ─ Linear 256 ─┬─ DecisionMaker A ─ 2 logits
└───────────────────── Extractor ────────────────────────────┘ └─ DecisionMaker B ─ 2 logits
"""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional

from model.networks import base
from model.networks.base import Dropout, Features, channels_last, fold

SMALLEST = 36
"""Side of a patch in pixels of which the last block leaves one."""
WIDTHS = (32, 64, 128)
"""Channels of the blocks."""
FEATURES = 256


class Block(nn.Sequential):
    """Two 3x3 convolutions and one 1x1, unpadded, each with batch norm and ELU; then dropout and pooling."""

    LAYERS = (*[nn.Conv2d, nn.BatchNorm2d, nn.ELU] * 3, Dropout, nn.MaxPool2d)

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, bias=False), nn.BatchNorm2d(outputs), nn.ELU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, bias=False), nn.BatchNorm2d(outputs), nn.ELU(inplace=True),
            nn.Conv2d(outputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ELU(inplace=True),
            Dropout(), nn.MaxPool2d(2),
        )  # fmt: skip

    def convolutions(self) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """Each convolution with the batch norm after it."""
        convs = [layer for layer in self if isinstance(layer, nn.Conv2d)]
        norms = [layer for layer in self if isinstance(layer, nn.BatchNorm2d)]
        return zip(convs, norms, strict=True)


class Extractor(base.Extractor, nn.Sequential):
    """Patches (n, channels, side, side) to features (n, 256)."""

    LAYERS = (*[Block] * len(WIDTHS), nn.Flatten, nn.Linear, nn.ELU, Dropout)

    def __init__(self, channels: int, side: int) -> None:
        super().__init__(FEATURES)
        last = side
        for _ in WIDTHS:
            last = (last - 4) // 2
        base.check_side(side, SMALLEST)
        blocks = zip((channels, *WIDTHS), WIDTHS, strict=False)
        self.extend([
            *(Block(inputs, outputs) for inputs, outputs in blocks),
            nn.Flatten(),
            nn.Linear(WIDTHS[-1] * last * last, FEATURES),
            nn.ELU(inplace=True),
            Dropout(),
        ])  # fmt: skip

    def evaluated(self) -> Features:
        """The extractor as it is, folded; one with other layers in it just in eval mode."""
        parts = [
            (self, self.LAYERS),
            *((layer, Block.LAYERS) for layer in self if type(layer) is Block),
        ]
        as_built = all(tuple(map(type, part)) == layers for part, layers in parts)
        return Folded(self) if as_built else super().evaluated()


def head(width: int, outputs: int) -> nn.Sequential:
    """A decision maker: features (n, width) to logits (n, outputs) of one data set."""
    return nn.Sequential(
        nn.Linear(width, 64), nn.ELU(inplace=True), Dropout(),
        nn.Linear(64, 16), nn.ELU(inplace=True),
        nn.Linear(16, outputs),
    )  # fmt: skip


class Folded:
    """An extractor as it was when this was made, without what only training needs.

    Its features are within 1e-5 of their size of those of eval mode. Batch norm is folded into the
    convolution before it and pooling comes before the activation: ELU grows monotonically, so the maximum is
    the same, on a quarter of the values.
    """

    def __init__(self, extractor: Extractor) -> None:
        self._blocks = [
            [fold(conv, norm) for conv, norm in block.convolutions()]
            for block in extractor
            if isinstance(block, Block)
        ]
        (linear,) = (layer for layer in extractor if isinstance(layer, nn.Linear))
        self._linear = linear.weight.detach().clone(), linear.bias.detach().clone()

    def __call__(self, x: Tensor) -> Tensor:
        """Features (n, 256) of patches (n, channels, side, side)."""
        x = channels_last(x)
        for *convs, (weight, bias) in self._blocks:
            for inner_weight, inner_bias in convs:
                x = functional.elu_(functional.conv2d(x, inner_weight, inner_bias))
            x = functional.elu_(functional.max_pool2d(functional.conv2d(x, weight, bias), 2))
        return functional.elu_(functional.linear(x.flatten(1), *self._linear))
