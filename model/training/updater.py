"""What moves the weights: the network, its running statistics and the optimizers of the phase at hand.

Which samples a step sees, and what moves by them, is up to the kind of step (``model.training.steps``).
"""

import functools
import itertools
import logging
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from model.files import weights
from model.inference import batch_norm
from model.network import Network
from model.networks.base import Extractor, channels_last, set_dropout
from model.training import schedule
from model.training.data import Part
from model.training.losses import loss
from model.training.online import Views
from model.training.phase import NEW, Phase
from model.training.schedule import Plateau
from model.training.settings import Settings
from model.training.steps import KINDS, Batch, PhaseSteps
from pipeline.errors import ConfigError
from pipeline.seeds import seed

log = logging.getLogger("typhon")
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
"""By name, as model.training.phase.OPTIMIZERS has them."""
LOST_SHARE = 0.01
"""Share of weights that rounding may hold still without a warning."""


class Updater:
    """A network in training and the optimizers that update it, on data that stays where it is."""

    def __init__(
        self,
        network: Network,
        train: Mapping[str, Part],
        settings: Settings,
        device: torch.device,
        tables: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.network = network.to(device)
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.schedules: dict[str, Plateau] = {}
        self._train = train
        self._settings = settings
        self._device = device
        new = batch_norm.initial(self.network)
        self.running = {name: tables[name].to(new) if tables else new.clone() for name in train}
        if settings.batch_norm != "per_set":
            self.running = dict.fromkeys(train, self.running[settings.target])
        self.together: dict[str, tuple[str, ...]] = {name: (name,) for name in train}
        """The data sets that share batches with each one, since the last phase that trained it; none where
        that phase normalised by running statistics."""
        self._attached: Tensor | None = None
        self._dropout: Mapping[str, float] = {}
        self._total = 0
        """Steps of the phase at hand."""
        self._moving: list[bool] | None = None
        """Which groups of layers move now."""
        self._inputs: dict[str, Tensor | Views] = {}
        """What batches are taken from: patches, or features of a fixed extractor."""

    def arrange(self, phase: Phase) -> None:
        """Put heads and running statistics into the places that a phase gives them; once per phase."""
        for name, source in phase.head.items():
            if source == NEW:
                self.network.renew(name, "head", self._settings.seed, phase.name, name)
            else:
                self.network.share(name, source)
        mixes = KINDS[phase.step].MIXES
        for name in phase.datasets:
            self.together[name] = phase.datasets if mixes else (name,)
            if phase.batch_norm == "eval":
                self.together[name] = ()
            if mixes:  # such a batch has one mean for all of its data sets
                self.running[name] = self.running[phase.datasets[0]]

    def fixed(self, phase: Phase) -> bool:
        """Whether the extractor does not change at all in a phase."""
        return phase.frozen and self._settings.frozen == "eval"

    def begin(
        self, phase: Phase, total: int, dropout: Mapping[str, float], features: Callable[[str], Tensor]
    ) -> None:
        """Get ready for the next step of a phase.

        Parameters
        ----------
        total : steps of the phase.
        dropout : of each data set.
        features : gives those of a training part.
        """
        if not self.optimizers:
            self.set_optimizers(phase)
            self._warn_of_rounding(phase)
        self._total, self._dropout = total, dropout
        self._attached = self._moving = None
        self.network.train()
        self.network.extractor.requires_grad_(not phase.frozen)
        if phase.batch_norm == "eval":
            for norm in batch_norm.norms(self.network):
                norm.eval()
        if self.fixed(phase):
            self.network.extractor.eval()
            # A fixed extractor gives the same features every time: compute them once.
            self._inputs = {name: features(name).clone() for name in phase.datasets}
        else:
            self._inputs = {name: self._train[name].patches for name in phase.datasets}

    def end(self) -> None:
        """Forget what belongs to the phase."""
        self.network.extractor.requires_grad_(True)
        self.optimizers, self.schedules, self._inputs = {}, {}, {}

    def set_optimizers(self, phase: Phase) -> None:
        """New ones, by the names that the kind of step gives them."""
        self.optimizers = {
            name: _optimizer(phase, name, self._groups(phase, name))
            for name in KINDS[phase.step].optimizers(phase)
        }
        rule = phase.schedule
        if rule is not None and rule["kind"] == "plateau":
            self.schedules = {name: Plateau(rule, each) for name, each in self.optimizers.items()}

    def parameters(self, phase: Phase, optimizer: str) -> list[nn.Parameter]:
        """What an optimizer moves."""
        return [parameter for group, _ in self._groups(phase, optimizer) for parameter in group]

    def _groups(self, phase: Phase, optimizer: str) -> list[tuple[list[nn.Parameter], float]]:
        """The same by groups, each with its share of the phase's rate; nothing of what never moves."""
        names = KINDS[phase.step].optimizers(phase)[optimizer]
        makers = dict.fromkeys(self.network.maker(name) for name in names)  # shared ones once
        heads = [parameter for maker in makers for parameter in maker.parameters()]
        if phase.frozen:
            return [(heads, 1.0)]
        if phase.layers is None:
            return [([*self.network.extractor.parameters(), *heads], 1.0)]
        parts = grouped(self.network.extractor, phase.layers.groups)
        numbers = zip(phase.layers.factors(len(parts)), phase.layers.starts(len(parts)), strict=True)
        moved = [(part, share) for part, (share, start) in zip(parts, numbers, strict=True) if start <= 1]
        return [*moved, (heads, 1.0)]

    def _unfreeze(self, phase: Phase, number: int) -> None:
        """Let those layers have gradients that move in step ``number`` of a phase."""
        if phase.layers is None or phase.frozen:
            return
        parts = grouped(self.network.extractor, phase.layers.groups)
        moving = [number >= start * self._total for start in phase.layers.starts(len(parts))]
        if moving != self._moving:
            self._moving = moving
            for part, moves in zip(parts, moving, strict=True):
                for parameter in part:
                    parameter.requires_grad_(moves)
            log.info("%s: step %d moves %d of %d layers", phase.name, number, sum(moving), len(moving))

    def step(self, phase: Phase, steps: PhaseSteps, batch: Batch, number: int) -> Tensor:
        """One step on a batch, step ``number`` of its phase; the loss of each data set in it."""
        self._unfreeze(phase, number)
        # Dropout of each step has a stream of its own, so no random state needs to be kept.
        torch.manual_seed(seed("dropout", self._settings.seed, phase.name, number))
        # All gradients, not the optimizer's alone: what another data set left is not of this step.
        self.network.zero_grad()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._settings.bfloat16):
            logits = self._logits(phase, steps, batch, number)
            losses = torch.stack([
                loss(self._train[name].classes, self._settings.loss, found, self._train[name].labels[samples])
                for (name, samples), found in zip(batch, logits, strict=True)
            ])  # fmt: skip
        steps.loss(losses, batch).backward()
        steps.adjust(batch, self.network)
        name = steps.optimizer(batch)
        if setting := schedule.curve(phase.schedule, number, self._total):
            schedule.apply(setting, self.optimizers[name], phase.rate(name))
        self.optimizers[name].step()
        return losses.detach()

    def _input(self, phase: Phase, number: int, name: str, samples: Tensor) -> Tensor:
        inputs = self._inputs[name]
        if isinstance(inputs, Views):
            return inputs.drawn(samples, "augmentation", self._settings.seed, phase.name, name, number)
        return inputs[samples]

    def _logits(self, phase: Phase, steps: PhaseSteps, batch: Batch, number: int) -> list[Tensor]:
        """Logits of each data set's samples in a batch."""
        inputs = [(name, self._input(phase, number, name, samples)) for name, samples in batch]
        pieces = steps.features(functools.partial(self._features, phase), inputs)
        return [self._decide(name, piece) for (name, _), piece in zip(batch, pieces, strict=True)]

    def _decide(self, name: str, features: Tensor) -> Tensor:
        set_dropout(self.network.maker(name), self._dropout[name])
        logits: Tensor = self.network.maker(name)(features)
        return logits

    def _features(self, phase: Phase, name: str, inputs: Tensor) -> Tensor:
        if self.fixed(phase):
            return inputs
        if self._attached is not self.running[name]:
            self._attached = self.running[name]
            batch_norm.attach(self.network, self._attached)
        set_dropout(self.network.extractor, self._dropout[name])
        features: Tensor = self.network.extractor(channels_last(inputs))
        return features

    def gradients(self) -> list[tuple[str, float, float]]:
        """Mean and maximum size of the gradient of each layer in the last step; 0 where there was none."""
        layers: dict[Tensor, str] = {}
        for name, parameter in weights.weights(self.network).items():
            layers.setdefault(parameter, name)
        sizes = {
            name: torch.zeros(1) if parameter.grad is None else parameter.grad.detach().abs()
            for parameter, name in layers.items()
        }
        return [(name, float(size.mean()), float(size.max())) for name, size in sizes.items()]

    def _warn_of_rounding(self, phase: Phase) -> None:
        """Warn where an Adam step, about as long as the rate, is less than half a unit in the last place."""
        for name in self.optimizers:
            lost = np.concatenate([
                np.spacing(value.detach().abs().cpu().numpy().ravel()) / 2 > phase.rate(name) * share
                for group, share in self._groups(phase, name) for value in group
            ]).mean()  # fmt: skip
            if lost > LOST_SHARE:
                log.warning(
                    "%s: a rate of %g cannot move %.0f %% of the weights of %s: float32 rounds the step away",
                    phase.name,
                    phase.rate(name),
                    100 * lost,
                    name,
                )

    def state(self) -> dict[str, Tensor]:
        """The tensors that the network consists of now, by name; not copies."""
        network = {f"network.{name}": value for name, value in weights.weights(self.network).items()}
        return network | {f"running.{name}": value for name, value in self.running.items()}

    @torch.no_grad()
    def go_back(self, state: Mapping[str, Tensor], *, heads: bool = True) -> None:
        """Set the network to what :meth:`state` gave, with or without its heads."""
        for name, value in self.state().items():
            if heads or not name.startswith("network.makers."):
                value.copy_(state[name])

    def moments(self, phase: Phase) -> dict[str, Tensor]:
        """The state of the optimizers, by name; not copies."""
        return {
            f"optimizer.{dataset}.{number}.{name}": value
            for dataset, optimizer in self.optimizers.items()
            for number, parameter in enumerate(self.parameters(phase, dataset))
            for name, value in optimizer.state.get(parameter, {}).items()
            if value is not None
        }

    def restore_moments(self, phase: Phase, tensors: Mapping[str, Tensor]) -> None:
        """New optimizers in the state that :meth:`moments` gave."""
        self.set_optimizers(phase)
        for dataset, optimizer in self.optimizers.items():
            for number, parameter in enumerate(self.parameters(phase, dataset)):
                prefix = f"optimizer.{dataset}.{number}."
                optimizer.state[parameter] = {
                    # Moments lie in memory like the weights they belong to; what is a number has no layout.
                    name.removeprefix(prefix): torch.empty_like(parameter).copy_(value)
                    if value.shape == parameter.shape and name != f"{prefix}step"
                    else value.to(self._device)
                    for name, value in tensors.items()
                    if name.startswith(prefix)
                }


def grouped(extractor: Extractor, count: int | None) -> list[list[nn.Parameter]]:
    """The parameters of an extractor's layers, in ``count`` groups or layer by layer, from the image on.

    Raises ConfigError if there are fewer layers, or if they do not make up the extractor.
    """
    layers = [[value for part in layer for value in part.parameters()] for layer in extractor.groups()]
    if sorted(id(value) for layer in layers for value in layer) != sorted(map(id, extractor.parameters())):
        raise ConfigError("groups() with others", file="network",
                          expected="each parameter of the extractor in one of its groups()")  # fmt: skip
    if count is None:
        return layers
    if count > len(layers):
        raise ConfigError(f"{count} groups", file="layers", expected=f"at most {len(layers)}, one a layer")
    bounds = [round(number * len(layers) / count) for number in range(count + 1)]
    return [
        [value for layer in layers[first:last] for value in layer]
        for first, last in itertools.pairwise(bounds)
    ]


def _optimizer(
    phase: Phase, name: str, groups: list[tuple[list[nn.Parameter], float]]
) -> torch.optim.Optimizer:
    """That of a phase by its name, over groups of parameters with their shares of the rate."""
    more = {"momentum": phase.momentum} if phase.optimizer == "sgd" else {}
    rate = phase.rate(name)
    return OPTIMIZERS[phase.optimizer](
        [{"params": group, "lr": rate * share, "share": share} for group, share in groups],
        lr=rate, weight_decay=phase.weight_decay, fused=True, **more,
    )  # fmt: skip
