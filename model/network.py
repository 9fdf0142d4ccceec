"""A network: an extractor that all data sets share, and their decision makers; and how to build it."""

import functools
import importlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from model.networks import module_of, modules
from model.networks.base import Apart, Extractor, Layered, Resized, channels_last
from pipeline.errors import ConfigError
from pipeline.seeds import seed

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
    apart: bool = False
    """Whether the extractor sees each channel by itself, in grey; the features stand side by side."""
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
        for name in ("linear", "apart"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} {getattr(self, name)!r}")
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
        # Not written: files from before have none of these.
        usual = {"options": {}, "features": FEATURES[0], "apart": False}
        return {key: value for key, value in asdict(self).items() if key not in usual or value != usual[key]}


DEFAULT = Description()
"""The network of the papers, for grey patches."""


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
    return f"model.networks.{module}"


def build(datasets: Iterable[str], description: Description = DEFAULT) -> Network:
    """A network with one decision maker per data set, its weights still meaningless.

    Raises ConfigError if there is no network of that name, or it takes no patches of that kind.
    """
    module = importlib.import_module(module_name(description.network))
    seen = description.resized or description.side
    made_with = getattr(module, "MEMBERS", {}).get(description.network, {})
    if hasattr(module, "options"):
        made_with = {"name": description.network.partition(":")[2], "options": description.options}
    channels = 1 if description.apart else description.channels
    extractor: Extractor = module.Extractor(channels, seen, **made_with)
    if description.features == "layers":
        extractor = Layered(extractor, channels, seen)
    if seen != description.side:
        extractor = Resized(extractor, seen)
    if description.apart:
        extractor = Apart(extractor, description.channels)
    outputs = {dataset: description.logits(dataset) for dataset in datasets}
    makers = {name: _head(description, extractor.width, count) for name, count in outputs.items()}
    if makers:
        description = description.of(outputs)
    network = Network(extractor, makers, description)
    check_buffers(network)
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data = channels_last(part.weight.data)
    return network


def check_buffers(network: Network) -> None:
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
