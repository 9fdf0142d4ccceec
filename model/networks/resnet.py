"""ResNet (He et al. 2016) as torchvision has it: its names of layers, its stride in the 3x3 convolutions."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks import base

MEMBERS = {
    "resnet18": {"blocks": (2, 2, 2, 2), "bottleneck": False},
    "resnet34": {"blocks": (3, 4, 6, 3), "bottleneck": False},
    "resnet50": {"blocks": (3, 4, 6, 3), "bottleneck": True},
}
SMALLEST = 32
STEM = 64
EXPANSION = 4
"""Of a bottleneck: how many times as many channels leave it as are inside."""


class Block(nn.Module):
    """Two 3x3 convolutions, or a 3x3 one between two of 1x1, and a way around them."""

    def __init__(self, inputs: int, inner: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        self.bottleneck = bottleneck
        if bottleneck:
            outputs = inner * EXPANSION
            self.conv1, self.bn1 = nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner)
            self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(inner)
            self.conv3, self.bn3 = nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        else:
            outputs = inner
            self.conv1 = nn.Conv2d(inputs, inner, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(inner)
            self.conv2, self.bn2 = nn.Conv2d(inner, inner, 3, 1, 1, bias=False), nn.BatchNorm2d(inner)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Values (n, outputs, rows, columns)."""
        around = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        if self.bottleneck:
            x = self.bn3(self.conv3(functional.relu(x)))
        return functional.relu(x + around)


class Extractor(base.Extractor):
    """Patches (n, channels, side, side) of Z-scores to features (n, 512), or (n, 2048) of bottlenecks."""

    def __init__(self, channels: int, side: int, *, blocks: tuple[int, ...], bottleneck: bool) -> None:
        widths = [STEM * 2**number for number in range(len(blocks))]
        expansion = EXPANSION if bottleneck else 1
        super().__init__(widths[-1] * expansion)
        base.check_side(side, SMALLEST)
        self.planes = base.planes(channels)
        self.conv1, self.bn1 = nn.Conv2d(self.planes, STEM, 7, 2, 3, bias=False), nn.BatchNorm2d(STEM)
        inputs = STEM
        for number, (count, inner) in enumerate(zip(blocks, widths, strict=True)):
            stage = nn.Sequential()
            for place in range(count):
                stride = 2 if number and not place else 1
                stage.append(Block(inputs, inner, stride, bottleneck))
                inputs = inner * expansion
            self.add_module(f"layer{number + 1}", stage)
        self.dropout = base.Dropout()

    def stages(self) -> list[nn.Module]:
        """``layer1`` and so on, as torchvision calls them."""
        return [child for name, child in self.named_children() if name.startswith("layer")]

    def forward(self, patches: Tensor) -> Tensor:
        """Features (n, width)."""
        x = base.pictures(patches, self.planes)
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in self.stages():
            x = stage(x)
        return torch.as_tensor(self.dropout(x.mean((2, 3))))

    def groups(self) -> list[list[nn.Module]]:
        """The stem and each block: 9, or 17 from ResNet34 on."""
        return [[self.conv1, self.bn1], *([block] for stage in self.stages() for block in stage.children())]

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Without ImageNet's classifier."""
        return {name: value for name, value in state.items() if not name.startswith("fc.")}
