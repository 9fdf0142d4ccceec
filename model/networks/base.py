"""What a network is made of, whatever its layers are: an extractor that all data sets share, and their heads.

A module of this folder is a network, or a family of them: it has a class ``Extractor``, see there, and may
have a function ``head(width, outputs)`` that makes the decision maker of one data set; without it that is one
linear layer. What the plan has to know of it stands in literals, see ``model.networks``.
"""

import copy
import functools
import importlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks import module_of, modules
from pipeline.errors import ConfigError
from pipeline.seeds import seed

Features = Callable[[Tensor], Tensor]
"""Patches (n, channels, side, side) to features (n, width)."""


MOST = {"channels": 64, "side": 1024, "outputs": 1000, "resized": 1024}
"""So that a damaged file cannot ask for all memory."""
FEATURES = ("last", "layers")
"""last: what a network ends in; layers: besides, what :class:`Layered` adds."""


@dataclass(frozen=True)
class Description:
    """Which network it is: all that it takes to build it; model files carry it.

    Raises ValueError for numbers that no network has.
    """

    network: str = "papers"
    """Its name in the config."""
    channels: int = 1
    side: int = 65
    """Of a patch, in pixels."""
    outputs: int | Mapping[str, int] = 2
    """Logits of each head; by data set where they differ."""
    resized: int | None = None
    """Side to which patches are resized before the extractor sees them; None as they are."""
    linear: bool = False
    """Whether a head is one linear layer even if the network has heads of its own."""
    features: str = "last"
    """One of FEATURES."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What a network of others is built with besides, as JSON can hold it."""

    @classmethod
    def named(cls, network: str, channels: int, side: int, **others: Any) -> "Description":
        """That of a network as the config names it; ConfigError where it is not there."""
        module = importlib.import_module(module_name(network))
        if not hasattr(module, "options"):
            return cls(network, channels, side, **others)
        kind, _, argument = network.partition(":")
        name, options = module.options(argument)
        return cls(f"{kind}:{name}", channels, side, options=options, **others)

    def __post_init__(self) -> None:
        if not isinstance(self.network, str):
            raise ValueError(f"network {self.network!r}")
        if not isinstance(self.linear, bool):
            raise ValueError(f"linear {self.linear!r}")
        if self.features not in FEATURES:
            raise ValueError(f"features {self.features!r}")
        if not isinstance(self.options, dict):
            raise ValueError(f"options {self.options!r}")
        for name, most in MOST.items():
            value = getattr(self, name)
            if name == "resized" and value is None:
                continue
            for number in value.values() if name == "outputs" and isinstance(value, dict) else [value]:
                if type(number) is not int or not 1 <= number <= most:
                    raise ValueError(f"{name} {number!r}, not a number from 1 to {most}")

    def logits(self, dataset: str) -> int:
        """Those of a data set's head; ValueError where it has none."""
        if isinstance(self.outputs, int):
            return self.outputs
        if dataset not in self.outputs:
            raise ValueError(f"no head of {dataset}")
        return self.outputs[dataset]

    def of(self, outputs: Mapping[str, int]) -> "Description":
        """The same network with heads of so many logits: one number where all have as many."""
        alike = set(outputs.values())
        return replace(self, outputs=alike.pop() if len(alike) == 1 else dict(outputs))

    def to_json(self) -> dict[str, Any]:
        """As a model file has it."""
        usual = {"options": {}, "features": FEATURES[0]}  # not written: files from before have neither
        return {key: value for key, value in asdict(self).items() if key not in usual or value != usual[key]}


DEFAULT = Description()
"""The network of the papers, for grey patches."""


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

    def evaluated(self) -> Features:
        """The extractor as it is now in eval mode, whatever becomes of this one.

        A network that knows a faster way to the same features has its own.
        """
        copied = copy.deepcopy(self).eval()
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


class Layered(Wrapper):
    """An extractor whose features are also those of its layers before the last.

    Of each channel that such a layer puts out, the mean and the standard deviation over all places.
    Parameters are as in :class:`Extractor`.
    """

    def __init__(self, inner: Extractor, channels: int, side: int) -> None:
        super().__init__(inner, inner.width)
        with torch.no_grad(), modes_kept(self):
            self.width = self.eval()(torch.zeros(1, channels, side, side)).shape[1]

    def forward(self, patches: Tensor) -> Tensor:
        """Features (n, width): those of the inner one, then means and deviations layer by layer."""
        found: list[Tensor] = []
        hooks = [
            layer[-1].register_forward_hook(lambda _layer, _inputs, output: found.extend(_moments(output)))
            for layer in self.groups()[:-1]
        ]
        try:
            features = self.inner(patches)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat([features, *found], dim=1)


SMALL = 1e-12
"""Variance below which a channel counts as constant: the root has no slope at 0."""


def _moments(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Mean and standard deviation (n, channels) over the places of an output; none of what has no places.

    Places are those of maps (n, channels, rows, columns), or tokens (n, tokens, channels).
    """
    x = output if isinstance(output, Tensor) else output[0]
    if x.ndim not in (3, 4):
        return ()
    places = x.flatten(2) if x.ndim == 4 else x.transpose(1, 2)
    return places.mean(-1), places.var(-1, correction=0).clamp(min=SMALL).sqrt()


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


class Network(nn.Module):
    """One extractor shared by the decision makers of all data sets."""

    def __init__(
        self,
        extractor: Extractor,
        makers: Mapping[str, nn.Module],
        description: Description,
    ) -> None:
        super().__init__()
        self.extractor = extractor
        self.description = description
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
        outputs = self.description.logits(dataset)
        new = _head(self.description, self.extractor.width, outputs).to(next(old.parameters()))
        _initialize(new, seed(*names))
        self.makers[self.datasets.index(dataset)] = new

    def forward(self, patches: Tensor, dataset: str) -> Tensor:
        """Logits (n, outputs) of patches (n, channels, side, side) that belong to ``dataset``."""
        logits: Tensor = self.maker(dataset)(self.extractor(patches))
        return logits


def module_name(network: str) -> str:
    """The module of a network; ConfigError if there is none of that name."""
    if (module := module_of(network)) is None:
        expected = f"one of {', '.join(sorted(modules()))}"
        raise ConfigError(network, file="network", expected=expected)
    return f"{__package__}.{module}"


def build(datasets: Iterable[str], description: Description = DEFAULT) -> Network:
    """A network with one decision maker per data set, its weights still meaningless.

    Raises ConfigError if there is no network of that name, or it takes no patches of that kind.
    """
    module = importlib.import_module(module_name(description.network))
    seen = description.resized or description.side
    made_with = getattr(module, "MEMBERS", {}).get(description.network, {})
    if hasattr(module, "options"):
        made_with = {"name": description.network.partition(":")[2], "options": description.options}
    extractor: Extractor = module.Extractor(description.channels, seen, **made_with)
    if description.features == "layers":
        extractor = Layered(extractor, description.channels, seen)
    if seen != description.side:
        extractor = Resized(extractor, seen)
    outputs = {dataset: description.logits(dataset) for dataset in datasets}
    makers = {name: _head(description, extractor.width, count) for name, count in outputs.items()}
    if makers:
        description = description.of(outputs)
    network = Network(extractor, makers, description)
    _check_buffers(network)
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data = channels_last(part.weight.data)
    return network


def _check_buffers(network: Network) -> None:
    """Raise ConfigError for state that model files do not hold: all but parameters and batch norm."""
    kept = {
        f"extractor.{part}.{name}"
        for part, module in network.extractor.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for name in ("running_mean", "running_var", "num_batches_tracked")
    }
    if odd := set(network.state_dict()) - dict(network.named_parameters()).keys() - kept:
        raise ConfigError(
            f"buffers {', '.join(sorted(odd)[:4])}", file=f"network {network.description.network}",
            expected="no state but parameters, and batch norm (BatchNorm2d) in the extractor",
        )  # fmt: skip


def _head(description: Description, width: int, outputs: int) -> nn.Module:
    module = importlib.import_module(module_name(description.network))
    own = nn.Linear if description.linear else getattr(module, "head", nn.Linear)
    made: nn.Module = own(width, outputs)
    return made


def channels_last(x: Tensor) -> Tensor:
    """Copy a tensor (n, c, h, w) into channels-last memory, in which convolutions are fastest.

    With one channel both layouts look the same to ``contiguous``, which then keeps the strides that make
    the convolution work channels-first and its result be copied.
    """
    return torch.empty_like(x, memory_format=torch.channels_last).copy_(x)


INITIALIZATIONS: dict[str, Callable[..., Tensor]] = {
    "usual": nn.init.xavier_uniform_,
    "torch": functools.partial(nn.init.kaiming_uniform_, a=math.sqrt(5)),
}
"""How random weights of convolutions and linear layers are drawn: as published, or as torch does it."""


@torch.no_grad()
def initialize(network: Network, *names: object, by: str = "usual") -> None:
    """Fill in the random weights that belong to ``names``, drawn as INITIALIZATIONS has it.

    Each part draws from a stream of its own, so the extractor of a one-headed network starts like that
    of a three-headed one, and methods can be compared in pairs.
    """
    _initialize(network.extractor, seed(*names, "extractor"), by)
    for dataset in network.datasets:
        _initialize(network.maker(dataset), seed(*names, "maker", dataset), by)


def _initialize(part: nn.Module, number: int, by: str = "usual") -> None:
    """Random weights for convolutions and linear layers; what else there is as torch has it."""
    generator = torch.Generator().manual_seed(number)
    for place, module in enumerate(part.modules()):
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            # Drawn in a plain tensor: filling a channels_last one would follow its memory order.
            plain = torch.empty(module.weight.shape)
            module.weight.copy_(INITIALIZATIONS[by](plain, generator=generator))
            if module.bias is not None:
                bound = 1 / math.sqrt(plain[0].numel())
                module.bias.copy_(torch.empty(module.bias.shape).uniform_(-bound, bound, generator=generator))
        elif next(module.parameters(recurse=False), None) is not None:
            _reset(module, seed(number, place))


def _reset(module: nn.Module, number: int) -> None:
    """Let a layer draw its own weights, all generators as before afterwards; ConfigError if it cannot."""
    reset = getattr(module, "reset_parameters", getattr(module, "_reset_parameters", None))
    if reset is None:
        raise ConfigError(
            f"parameters in {type(module).__name__}", file="network",
            expected="reset_parameters in each layer that has parameters of its own",
        )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(number)
        reset()


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
