"""Fast evaluation: the network without what only training needs.

Its logits are within 1e-5 of their size of those of ``model.eval()``.
Batch norm is folded into the convolution before it, pooling comes before the activation (ELU grows
monotonically, so the maximum is the same, on a quarter of the values), tensors are channels-last and a
batch of 16 stays in the cache.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.network import Block, Typhon, channels_last
from model.statistics import rows

BATCH = {"cpu": 16, "cuda": 1024}


class Folded:
    """A network as it was when this was made, for one data set and its statistics table."""

    def __init__(self, network: Typhon, dataset: str, table: Tensor) -> None:
        statistics = rows(network, table)
        # Weight and bias of each layer: of the convolutions by block, and of the linear layers after them.
        self.blocks = [
            [_fold(conv, norm, *next(statistics)) for conv, norm in block.convolutions()]
            for block in network.extractor
            if isinstance(block, Block)
        ]
        self.tail = _linears(network.extractor)
        self.maker = _linears(network.maker(dataset))

    def __call__(self, patches: Tensor) -> Tensor:
        """Logits (n, 2) of patches (n, channels, 65, 65)."""
        return _decide(self.maker, self.features(patches))

    @torch.no_grad()
    def features(self, patches: Tensor) -> Tensor:
        """Features (n, 256) of patches (n, channels, 65, 65)."""
        size = BATCH[patches.device.type]
        return torch.cat([self._extract(batch) for batch in patches.split(size)])

    def _extract(self, x: Tensor) -> Tensor:
        x = channels_last(x)
        for *convs, (weight, bias) in self.blocks:
            for inner_weight, inner_bias in convs:
                x = functional.elu_(functional.conv2d(x, inner_weight, inner_bias))
            x = functional.elu_(functional.max_pool2d(functional.conv2d(x, weight, bias), 2))
        x = x.flatten(1)
        for weight, bias in self.tail:
            x = functional.elu_(functional.linear(x, weight, bias))
        return x


def decide(maker: nn.Module, features: Tensor) -> Tensor:
    """Logits (n, 2) that a decision maker as it is gives to features (n, 256), without dropout."""
    return _decide(_linears(maker), features)


@torch.no_grad()
def _decide(linears: list[tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    for weight, bias in linears[:-1]:
        x = functional.elu_(functional.linear(x, weight, bias))
    return functional.linear(x, *linears[-1])


def _linears(part: nn.Module) -> list[tuple[Tensor, Tensor]]:
    layers = [layer for layer in part.children() if isinstance(layer, nn.Linear)]
    return [(layer.weight.detach().clone(), layer.bias.detach().clone()) for layer in layers]


@torch.no_grad()
def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias that do the work of a convolution and the batch norm after it; rounded once."""
    scale = norm.weight.double() / (variance.double() + norm.eps).sqrt()
    weight = (conv.weight.double() * scale[:, None, None, None]).float()
    bias = (norm.bias.double() - mean.double() * scale).float()
    return channels_last(weight), bias
