"""What a network is made of: its extractor, and the parts and steps that extractors have in common.

A module of this folder is a network, or a family of them: it has a class ``Extractor``, see there, and may
have a function ``head(width, outputs)`` that makes the decision maker of one data set; without it that is one
linear layer. What the plan has to know of it stands in literals, see ``model.networks``.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import ConfigError

Features = Callable[[Tensor], Tensor]
"""Patches (n, channels, side, side) to features (n, width)."""


class Extractor(nn.Module):
    """Patches (n, channels, side, side) to features (n, width): what a network has to be.

    A subclass is made with ``channels`` and ``side``, and in a family with what ``MEMBERS`` says of one. It
    calls ``super().__init__(width)`` and has a ``forward``. It uses :class:`Dropout` where a phase is to set
    the dropout.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        """Number of features."""

    def groups(self) -> list[list[nn.Module]]:
        """Its layers from the image to the head, each as the modules that make it up.

        Each parameter lies in one of them. By default every child that has parameters is a layer.
        """
        return [[child] for child in self.children() if next(child.parameters(), None) is not None]

    def core(self) -> "Extractor":
        """What has the weights: itself, or what it wraps."""
        return self

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of others under the names of this one, without the classifier that it may have."""
        return dict(state)

    def fixed(self) -> "Extractor":
        """A copy in eval mode, for features alone: nobody trains it.

        A network that knows a faster way to the same features, within 1e-5 of their size, has its own.
        """
        return copy.deepcopy(self).eval()

    def evaluated(self) -> Features:
        """The features of the extractor as it is now, whatever becomes of it."""
        copied = self.fixed()
        return lambda patches: copied(channels_last(patches))


PLANES = 3
"""Of the pictures that published weights have seen."""
CLIP = 3.0


def planes(channels: int) -> int:
    """Input planes of the first convolution of a network of pictures: grey is repeated."""
    return PLANES if channels == 1 else channels


def pictures(patches: Tensor, planes: int, scale: float = 1.0) -> Tensor:
    """What a network of pictures (n, planes, side, side) sees of patches (n, channels, side, side).

    Z-scores are clipped to ±3 and multiplied by ``scale``. With 1 they are near what most networks have
    seen: pictures less the mean over ImageNet, in its standard deviations.
    """
    x = patches.clamp(-CLIP, CLIP) * scale
    return x.expand(-1, planes, -1, -1).contiguous(memory_format=torch.channels_last)


def check_side(side: int, smallest: int) -> None:
    """Raise ConfigError for patches that a network has no pixel left of."""
    if side < smallest:
        raise ConfigError(f"{side} pixels", file="patch", expected=f"at least {smallest} for this network")


def layers_of(network: nn.Module) -> list[list[nn.Module]]:
    """Layers of a network of others: what is before its longest row of blocks, each block, what is after."""
    rows = [part for part in network.modules() if isinstance(part, nn.ModuleList | nn.Sequential)]
    row = max(rows, key=len, default=nn.ModuleList())
    blocks = [block for block in row if next(block.parameters(), None) is not None]
    within = {id(parameter) for parameter in row.parameters()}
    before, after = nn.ParameterList(), nn.ParameterList()
    met = False
    for parameter in network.parameters():
        met = met or id(parameter) in within
        if id(parameter) not in within:
            (after if met else before).append(parameter)
    return [[part] for part in (before, *blocks, after) if next(part.parameters(), None) is not None]


class Wrapper(Extractor):
    """An extractor around another one, whose weights and layers it has."""

    def __init__(self, inner: Extractor, width: int) -> None:
        super().__init__(width)
        self.inner = inner

    def core(self) -> Extractor:
        """That of the inner one."""
        return self.inner.core()

    def groups(self) -> list[list[nn.Module]]:
        """Those of the inner one."""
        return self.inner.groups()

    def fixed(self) -> Extractor:
        """The same around a fixed copy of the inner one."""
        return copy.deepcopy(self, {id(self.inner): self.inner.fixed()}).eval()


class Resized(Wrapper):
    """An extractor that sees patches of another side: bilinear, smoothed where they get smaller."""

    def __init__(self, inner: Extractor, side: int) -> None:
        super().__init__(inner, inner.width)
        self.side = side

    def forward(self, patches: Tensor) -> Tensor:
        """Features (n, width)."""
        features: Tensor = self.inner(_resize(patches, self.side))
        return features

    def evaluated(self) -> Features:
        """The inner one as it is, after resizing."""
        inner, side = self.inner.evaluated(), self.side
        return lambda patches: inner(_resize(patches, side))


class Apart(Wrapper):
    """An extractor of grey patches that sees each channel by itself; the features stand side by side."""

    def __init__(self, inner: Extractor, channels: int) -> None:
        super().__init__(inner, inner.width * channels)

    def forward(self, patches: Tensor) -> Tensor:
        """Features (n, width), channel after channel."""
        return _apart(self.inner, patches)

    def evaluated(self) -> Features:
        """The inner one as it is, channel by channel."""
        inner = self.inner.evaluated()
        return lambda patches: _apart(inner, patches)


def _apart(features: Features, patches: Tensor) -> Tensor:
    # One after another: all at once would take as many times the memory, and is slower on a CPU.
    return torch.cat([features(channel) for channel in patches.split(1, dim=1)], dim=1)


class Layered(Wrapper):
    """An extractor whose features are also those of its layers before the last.

    Of each channel that such a layer puts out, the mean and the standard deviation over all places.
    Parameters are as in :class:`Extractor`. Raises ConfigError where no such layer puts out anything.
    """

    def __init__(self, inner: Extractor, channels: int, side: int) -> None:
        super().__init__(inner, inner.width)
        with torch.no_grad(), modes_kept(self):
            self.width = self.eval()(torch.zeros(1, channels, side, side)).shape[1]
        if self.width == inner.width:
            raise ConfigError(
                "layers", file="features",
                expected="last for this network: no layer before the last puts out maps or tokens",
            )  # fmt: skip

    def forward(self, patches: Tensor) -> Tensor:
        """Features (n, width): those of the inner one, then means and deviations layer by layer."""
        found: list[Tensor] = []
        hooks = [
            _end(layer).register_forward_hook(lambda _layer, _inputs, output: found.extend(_moments(output)))
            for layer in self.groups()[:-1]
        ]
        try:
            features = self.inner(patches)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat([features, *found], dim=1)


CONSTANT = 1e-3
"""Deviation as a share of the mean below which a channel counts as constant: less is rounding in float32."""
SMALL = 1e-12
"""Least variance: the root has no slope at 0."""


def _end(layer: Sequence[nn.Module]) -> nn.Module:
    """The module that puts out what a layer does: of a list, which is never called, the last in it."""
    end = layer[-1]
    while isinstance(end, nn.ModuleList):
        end = end[-1]
    return end


def _moments(output: Any) -> tuple[Tensor, ...]:
    """Mean and standard deviation (n, channels) over the places of an output; none of what has no places.

    Places are those of maps (n, channels, rows, columns), or (n, rows, columns, channels) as in Swin, or
    tokens (n, tokens, channels). Of an output of several parts the first counts.
    """
    x = output
    while not isinstance(x, Tensor):
        x = x[0]
    if x.ndim not in (3, 4):
        return ()
    if x.ndim == 4 and not x.shape[1] == x.shape[2] != x.shape[3]:  # maps of a patch are square
        x = x.permute(0, 2, 3, 1)  # as they lie in memory
    places = x.flatten(1, 2) if x.ndim == 4 else x
    mean = places.mean(1)
    variance = (places - mean[:, None]).square().mean(1)  # in an eighth of the time of Tensor.var
    return mean, torch.maximum(variance, (CONSTANT * mean).square().clamp(min=SMALL)).sqrt()


def _resize(patches: Tensor, side: int) -> Tensor:
    smaller = side < patches.shape[-1]
    return functional.interpolate(patches, (side, side), mode="bilinear", antialias=smaller)


class Dropout(nn.Module):
    """Set each value to 0 with a probability and scale the rest, as nn.Dropout does, in a third of its time.

    On the CPU four values share one random word, so the probability is rounded to 1/65536. Random numbers
    come from torch's global generator.
    """

    def __init__(self, probability: float = 0.0) -> None:
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


@torch.no_grad()
def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias that do the work of a convolution without bias and the batch norm after it.

    They are rounded once.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    weight = (conv.weight.double() * scale[:, None, None, None]).to(conv.weight.dtype)
    bias = (norm.bias.double() - norm.running_mean.double() * scale).to(conv.weight.dtype)
    return channels_last(weight), bias


def channels_last(x: Tensor) -> Tensor:
    """Copy a tensor (n, c, h, w) into channels-last memory, in which convolutions are fastest.

    With one channel both layouts look the same to ``contiguous``, which then keeps the strides that make
    the convolution work channels-first and its result be copied.
    """
    return torch.empty_like(x, memory_format=torch.channels_last).copy_(x)


def set_dropout(network: nn.Module, probability: float) -> None:
    """Set the dropout of all parts of a network, or of a part of one, 0 included."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.p = probability


@contextmanager
def modes_kept(network: nn.Module) -> Iterator[None]:
    """Put all parts back into training or eval mode, as they were before."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
