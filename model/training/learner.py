"""What moves the weights: the network, its running statistics and the optimizers of the phase at hand.

In turns each data set has an Adam of its own over the shared extractor and its decision maker, so weights are
shared and moments are not (Network, Algorithm 1); joint and mixed steps have one Adam over everything.
"""

import logging
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.files import weights
from model.inference import batch_norm
from model.networks.base import Network, channels_last, set_dropout
from model.training import schedule
from model.training.data import Part
from model.training.phase import NEW, Phase
from model.training.schedule import Plateau
from model.training.settings import Settings
from model.training.steps import Batch
from pipeline.seeds import seed

log = logging.getLogger("typhon")
KINDS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
"""The optimizers of model.training.phase.OPTIMIZERS."""
LOST_SHARE = 0.01
"""Share of weights that rounding may hold still without a warning."""


class Learner:
    """A network in training, on data that stays where it is."""

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
        """The data sets that share batches with each one, since the last phase that trained it."""
        self._attached: Tensor | None = None
        self._dropout: Mapping[str, float] = {}
        self._total = 0
        """Steps of the phase at hand."""
        self._inputs: dict[str, Tensor] = {}
        """What batches are taken from: patches, or features of a fixed extractor."""

    def arrange(self, phase: Phase) -> None:
        """Put heads and running statistics into the places that a phase gives them; once per phase."""
        for name, source in phase.head.items():
            if source == NEW:
                self.network.renew(name, "head", self._settings.seed, phase.name, name)
            else:
                self.network.share(name, source)
        for name in phase.datasets:
            mixed = phase.step == "mixed"
            self.together[name] = phase.datasets if mixed else (name,)
            if mixed:  # such a batch has one mean for all of its data sets
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
        self._attached = None
        self.network.train()
        self.network.extractor.requires_grad_(not phase.frozen)
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
        """New ones, by the data set that a step begins with: one for each in turns, else one for all."""
        names = phase.datasets if phase.step == "turns" else phase.datasets[:1]
        self.optimizers = {name: _optimizer(phase, name, self.parameters(phase, name)) for name in names}
        rule = phase.schedule
        if rule is not None and rule["kind"] == "plateau":
            self.schedules = {name: Plateau(rule, each) for name, each in self.optimizers.items()}

    def parameters(self, phase: Phase, dataset: str) -> list[nn.Parameter]:
        """What the optimizer of a data set moves."""
        names = (dataset,) if phase.step == "turns" else phase.datasets
        makers = dict.fromkeys(self.network.maker(name) for name in names)  # shared ones once
        parts = [*makers] if phase.frozen else [self.network.extractor, *makers]
        return [parameter for part in parts for parameter in part.parameters()]

    def step(self, phase: Phase, batch: Batch, number: int) -> Tensor:
        """One step of Adam on a batch, step ``number`` of its phase; the loss of each data set in it."""
        # Dropout of each step has a stream of its own, so no random state needs to be kept.
        torch.manual_seed(seed("dropout", self._settings.seed, phase.name, number))
        # All gradients, not the optimizer's alone: what another data set left is not of this step.
        self.network.zero_grad()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._settings.bfloat16):
            losses = torch.stack([
                self._loss(logits, self._train[name].labels[samples])
                for (name, samples), logits in zip(batch, self._logits(phase, batch), strict=True)
            ])  # fmt: skip
        if phase.step == "mixed":
            # The mean over all samples, which a head sees as the mean over its own.
            sizes = losses.new_tensor([len(samples) for _, samples in batch])
            (losses * sizes / sizes.sum()).sum().backward()
            self._rescale_heads(batch)
        else:
            losses.sum().backward()
        name = batch[0][0] if phase.step == "turns" else phase.datasets[0]
        if setting := schedule.curve(phase.schedule, number, self._total):
            schedule.apply(setting, self.optimizers[name], phase.rate(name))
        self.optimizers[name].step()
        return losses.detach()

    def _logits(self, phase: Phase, batch: Batch) -> list[Tensor]:
        """Logits of each data set's samples in a batch."""
        inputs = [self._inputs[name][samples] for name, samples in batch]
        if phase.step == "mixed":
            pieces = self._features(phase, phase.datasets[0], torch.cat(inputs)).split(list(map(len, inputs)))
        else:
            pieces = tuple(
                self._features(phase, name, piece) for (name, _), piece in zip(batch, inputs, strict=True)
            )
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

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self._settings.loss == "logits":
            return functional.cross_entropy(logits, labels)
        probabilities = functional.softmax(logits, dim=1)
        if self._settings.loss == "paper":
            return functional.cross_entropy(probabilities, labels)
        error = functional.l1_loss if self._settings.loss == "l1" else functional.mse_loss
        return error(probabilities, functional.one_hot(labels, logits.shape[1]).to(probabilities))

    def _rescale_heads(self, batch: Batch) -> None:
        """Multiply the gradient of each head by batch / its samples (Mormont et al.)."""
        own: dict[nn.Module, int] = {}
        for name, samples in batch:
            maker = self.network.maker(name)
            own[maker] = own.get(maker, 0) + len(samples)
        for maker, count in own.items():
            for parameter in maker.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(sum(own.values()) / count)

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
            values = torch.cat([value.detach().flatten() for value in self.parameters(phase, name)])
            lost = float((np.spacing(values.abs().cpu().numpy()) / 2 > phase.rate(name)).mean())
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


def _optimizer(phase: Phase, dataset: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """That of a phase for a data set, over the given parameters."""
    more = {"momentum": phase.momentum} if phase.optimizer == "sgd" else {}
    return KINDS[phase.optimizer](
        parameters, lr=phase.rate(dataset), weight_decay=phase.weight_decay, fused=True, **more
    )
