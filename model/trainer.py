"""The one loop that runs any list of phases.

In every epoch of a phase each data set gives its batches in turn, to the shared extractor and its own
decision maker. Each data set has an Adam of its own over both, so extractor weights are shared and
moments are not (Typhon, Algorithm 1).
"""

import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from model import statistics, weights
from model.batches import LoopLoader
from model.checkpoint import Folder
from model.data import Dataset, Part
from model.evaluation import Scores, evaluate
from model.network import Typhon, channels_last, set_dropout
from model.phase import Phase
from model.records import HISTORY_COLUMNS, Records
from pipeline.errors import LossError
from pipeline.seeds import seed

log = logging.getLogger("typhon")
CHECK_EVERY = 25
"""Steps between looks at the losses: each look makes a GPU wait."""
ESTIMATE_AFTER = 50
"""Steps after which the log says how long the run will take."""
LOST_SHARE = 0.01
"""Share of weights that rounding may hold still without a warning."""


@dataclass(frozen=True)
class Settings:
    """What a run does, beside its phases."""

    seed: int
    target: str
    """Data set whose validation AUROC decides which state is best."""
    batch_norm: str = "recalibrated"
    every: int = 100
    """Epochs between validations."""
    balance: str = "views"
    bfloat16: bool = False
    """Convolutions and matrix products in bfloat16 while training."""


class Turn(NamedTuple):
    """Place of a batch in its epoch: batch ``number`` of the ``batches`` that its data set gives."""

    dataset: str
    number: int
    batches: int


@dataclass
class Progress:
    """Where a run stands; everything here is JSON."""

    phase: int = 0
    step: int = 0
    """Batches done in this phase, over all data sets."""
    loss: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Sum and number of the training losses of each data set since the last validation."""
    seen: dict[str, int] = field(default_factory=dict)
    """Training samples of each data set so far."""
    samples: dict[str, int] = field(default_factory=dict)
    """Samples through the network, by phase; and in evaluations."""
    seconds: dict[str, float] = field(default_factory=dict)
    best: dict[str, Any] | None = None
    """auroc, phase and epoch of the best state."""
    history: int = 0
    """Bytes of the history."""


class Trainer:
    """A run in progress: everything that changes is in a checkpoint."""

    def __init__(
        self,
        network: Typhon,
        datasets: Mapping[str, Dataset],
        phases: Sequence[Phase],
        settings: Settings,
        folder: Folder,
        device: torch.device,
        *,
        checkpoint_seconds: float = 60.0,
    ) -> None:
        self.network = network.to(device)
        self.phases = phases
        self.settings = settings
        self.device = device
        self._checkpoint_seconds = checkpoint_seconds
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        """Tensors of the best state's model file."""
        self._folder = folder
        self._train = {name: dataset.part("train", device) for name, dataset in datasets.items()}
        self._validation = {name: dataset.part("validation", device) for name, dataset in datasets.items()}
        # Its own findings are judged by the un-augmented view alone: a tenth of the work or less.
        self._learned = {name: dataset.part("train", device, views=1) for name, dataset in datasets.items()}
        self._calibration = {
            name: statistics.calibration_patches(part, name) for name, part in self._train.items()
        }
        shared = statistics.initial(self.network)
        own = settings.batch_norm == "per_set"
        self._running = {name: shared.clone() if own else shared for name in datasets}
        self._attached: Tensor | None = None
        self._optimizers: dict[str, torch.optim.Adam] = {}
        self._pending: list[tuple[int, Turn, Tensor]] = []
        self._signal = 0
        self._restore()
        self._records: Records
        self._started = self._saved = self._clock = time.monotonic()
        self._done_here = 0
        self._seen_before = sum(self.progress.seen.values())

    def stop(self, signal: int, _frame: object = None) -> None:
        """Save and exit with 128 + ``signal`` after the batch at hand."""
        self._signal = signal

    def run(self) -> dict[str, Tensor]:
        """Go on to the end of the last phase; the tensors of the last state's model file."""
        history = self._folder.path / "history.csv"
        with closing(Records(history, HISTORY_COLUMNS, self.progress.history)) as self._records:
            while self.progress.phase < len(self.phases):
                phase = self.phases[self.progress.phase]
                self._run_phase(phase)
                self._tick(phase)
                self.progress.phase, self.progress.step = self.progress.phase + 1, 0
                self._optimizers = {}
        last = weights.export(self.network, self._tables(self.network.datasets))
        if self.progress.best is None:
            log.warning("%s has no validation AUROC, so the best state is the last one", self.settings.target)
            self.best = last
        return last

    def _run_phase(self, phase: Phase) -> None:
        loaders = self._loaders(phase)
        turns = self._turns(phase, loaders)
        steps = phase.epochs * len(turns)
        if not self._optimizers:
            self._optimizers = self._new_optimizers(phase)
            self._warn_of_rounding(phase)
        set_dropout(self.network, phase.dropout)
        self.network.train()
        log.info(
            "%s: %d epochs of %d batches, %d done", phase.name, phase.epochs, len(turns), self.progress.step
        )
        with tqdm(
            total=steps, initial=self.progress.step, desc=phase.name, unit="batch", disable=None
        ) as bar:
            while self.progress.step < steps:
                epoch, place = divmod(self.progress.step, len(turns))
                turn = turns[place]
                batch = loaders[turn.dataset].batch(epoch * turn.batches + turn.number)
                self._train_batch(phase, turn, batch)
                self.progress.step += 1
                if len(self._pending) == CHECK_EVERY:
                    self._check_losses(phase)
                if place == len(turns) - 1 and (
                    (epoch + 1) % self.settings.every == 0 or self.progress.step == steps
                ):
                    self._validate(phase, epoch + 1)
                self._after_step(phase)
                bar.update()

    def _loaders(self, phase: Phase) -> dict[str, LoopLoader]:
        return {
            name: LoopLoader(
                self._train[name].labels.cpu().numpy(),
                phase.batch_size,
                *("loader", self.settings.seed, phase.name, name),
                balance=self.settings.balance,
                device=self.device,
            )
            for name in phase.datasets
        }

    @staticmethod
    def _turns(phase: Phase, loaders: Mapping[str, LoopLoader]) -> list[Turn]:
        counts = {name: phase.batches or len(loaders[name]) for name in phase.datasets}
        return [Turn(name, number, count) for name, count in counts.items() for number in range(count)]

    def _new_optimizers(self, phase: Phase) -> dict[str, torch.optim.Adam]:
        return {
            name: torch.optim.Adam(self._parameters(name), phase.rate(name), fused=True)
            for name in phase.datasets
        }

    def _parameters(self, dataset: str) -> list[torch.nn.Parameter]:
        return [*self.network.extractor.parameters(), *self.network.maker(dataset).parameters()]

    def _train_batch(self, phase: Phase, turn: Turn, batch: Tensor) -> None:
        name, part = turn.dataset, self._train[turn.dataset]
        if self._attached is not self._running[name]:
            self._attached = self._running[name]
            statistics.attach(self.network, self._attached)
        # Dropout of each batch has a stream of its own, so no random state needs to be kept.
        torch.manual_seed(seed("dropout", self.settings.seed, phase.name, self.progress.step))
        patches = channels_last(part.patches[batch])
        optimizer = self._optimizers[name]
        optimizer.zero_grad()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            loss = functional.cross_entropy(self.network(patches, name), part.labels[batch])
        loss.backward()
        optimizer.step()
        self._pending.append((self.progress.step, turn, loss.detach()))
        for counts, key in ((self.progress.seen, name), (self.progress.samples, phase.name)):
            counts[key] = counts.get(key, 0) + len(batch)

    def _check_losses(self, phase: Phase) -> None:
        """Add the losses of the last batches to the running ones; LossError if one is not finite."""
        if not self._pending:
            return
        values = torch.stack([loss for *_, loss in self._pending]).tolist()
        for (step, turn, _), value in zip(self._pending, values, strict=True):
            if not math.isfinite(value):
                loaders = self._loaders(phase)
                epoch = step // len(self._turns(phase, loaders))
                batch = loaders[turn.dataset].batch(epoch * turn.batches + turn.number)
                views = " ".join(self._train[turn.dataset].names(batch.tolist()))
                raise LossError(
                    f"{value} in phase {phase.name}, epoch {epoch + 1}, data set {turn.dataset}, "
                    f"on the views (patient/finding/view) {views}"
                )
            total, count = self.progress.loss.get(turn.dataset, (0.0, 0))
            self.progress.loss[turn.dataset] = (total + value, count + 1)
        self._pending.clear()

    def _tables(self, datasets: Iterable[str]) -> dict[str, Tensor]:
        """Statistics that the evaluation of each data set uses."""
        if self.settings.batch_norm != "recalibrated":
            return {name: self._running[name] for name in datasets}
        self._count_evaluated(sum(len(self._calibration[name]) for name in datasets))
        return {name: statistics.recalibrate(self.network, self._calibration[name]) for name in datasets}

    def _count_evaluated(self, samples: int) -> None:
        self.progress.samples["evaluation"] = self.progress.samples.get("evaluation", 0) + samples

    def _evaluate(self, name: str, table: Tensor, part: Part, where: str) -> Scores:
        self._count_evaluated(len(part.labels))
        try:
            return evaluate(self.network, name, table, part)
        except FloatingPointError as error:
            raise LossError(f"{error} {where}") from error

    def _validate(self, phase: Phase, epoch: int) -> None:
        """Score the phase's data sets, write the history and keep the state if it is the best."""
        self._check_losses(phase)
        tables = self._tables(phase.datasets)
        words = []
        for name in phase.datasets:
            where = f"after epoch {epoch} of phase {phase.name}"
            learned = self._evaluate(name, tables[name], self._learned[name], where)
            scores = self._evaluate(name, tables[name], self._validation[name], where)
            total, count = self.progress.loss.pop(name, (0.0, 0))
            train = total / count if count else None
            self._records.add(phase.name, epoch, name, "train", "loss", train)
            self._records.add(phase.name, epoch, name, "train", "samples", self.progress.seen[name])
            for metric, value in learned.metrics().items():
                if metric != "loss":  # the loss of training is that of its batches
                    self._records.add(phase.name, epoch, name, "train", metric, value)
            for metric, value in scores.metrics().items():
                self._records.add(phase.name, epoch, name, "validation", metric, value)
            words.append(f"{name} loss {train or math.nan:.3f} AUROC {_text(scores.auroc)}")
            if name == self.settings.target and scores.auroc is not None:
                self._keep_best(scores.auroc, phase, epoch, tables)
        log.info("%s %d/%d: %s", phase.name, epoch, phase.epochs, ", ".join(words))

    def _keep_best(self, auroc: float, phase: Phase, epoch: int, tables: Mapping[str, Tensor]) -> None:
        if self.progress.best is None or auroc > self.progress.best["auroc"]:
            self.progress.best = {"auroc": auroc, "phase": phase.name, "epoch": epoch}
            others = [name for name in self.network.datasets if name not in tables]
            self.best = weights.export(self.network, {**tables, **self._tables(others)})

    def _warn_of_rounding(self, phase: Phase) -> None:
        """Warn where an Adam step, about as long as the rate, is less than half a unit in the last place."""
        for name in phase.datasets:
            values = torch.cat([value.detach().flatten() for value in self._parameters(name)])
            lost = float((np.spacing(values.abs().cpu().numpy()) / 2 > phase.rate(name)).mean())
            if lost > LOST_SHARE:
                log.warning(
                    "%s: a rate of %g cannot move %.0f %% of the weights of %s: float32 rounds the step away",
                    phase.name,
                    phase.rate(name),
                    100 * lost,
                    name,
                )

    def _after_step(self, phase: Phase) -> None:
        self._done_here += 1
        if self._done_here == ESTIMATE_AFTER:
            self._log_estimate(time.monotonic() - self._started)
        if self._signal or time.monotonic() - self._saved >= self._checkpoint_seconds:
            self._check_losses(phase)
            self._tick(phase)
            self._save()
            self._saved = time.monotonic()
        self.leave_if_stopped()

    def leave_if_stopped(self) -> None:
        """Exit with 128 + the signal that came, if one did; the last checkpoint is there to go on from."""
        if self._signal:
            log.warning("signal %d: leaving, to go on later", self._signal)
            raise SystemExit(128 + self._signal)

    def _log_estimate(self, seconds: float) -> None:
        """Say how long the rest takes, if a sample of every phase takes as long as one did so far."""
        total = 0
        for phase in self.phases:
            for loader in self._loaders(phase).values():
                passes = phase.batches / len(loader) if phase.batches else 1.0
                total += round(phase.epochs * passes * loader.samples)
        done = sum(self.progress.seen.values())
        rate = (done - self._seen_before) / seconds
        log.info("%.0f samples per second: about %.1f minutes to go", rate, (total - done) / rate / 60)

    def _tick(self, phase: Phase) -> None:
        now = time.monotonic()
        self.progress.seconds[phase.name] = self.progress.seconds.get(phase.name, 0.0) + now - self._clock
        self._clock = now

    def _save(self) -> None:
        self.progress.history = self._records.sync()
        tensors = {f"network.{name}": value for name, value in weights.weights(self.network).items()}
        tensors |= {f"running.{name}": value for name, value in self._running.items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for dataset, optimizer in self._optimizers.items():
            for number, parameter in enumerate(self._parameters(dataset)):
                for name, value in optimizer.state.get(parameter, {}).items():
                    tensors[f"optimizer.{dataset}.{number}.{name}"] = value
        self._folder.save(
            {name: weights.plain(value) for name, value in tensors.items()}, asdict(self.progress)
        )

    def _restore(self) -> None:
        """Go back to the last checkpoint, if there is one."""
        found = self._folder.load()
        if not found:
            return
        tensors, progress = found
        history = self._folder.path / "history.csv"
        if not history.exists() or history.stat().st_size < progress["history"]:
            log.warning("%s has lost rows: starting anew", history)
            return
        self.progress = Progress(**progress)
        with torch.no_grad():
            for name, value in weights.weights(self.network).items():
                value.copy_(tensors[f"network.{name}"])
        for name, table in self._running.items():
            table.copy_(tensors[f"running.{name}"])
        self.best = {name[5:]: value for name, value in tensors.items() if name.startswith("best.")}
        phase = self.phases[self.progress.phase]
        self._optimizers = self._new_optimizers(phase)
        for dataset, optimizer in self._optimizers.items():
            for number, parameter in enumerate(self._parameters(dataset)):
                prefix = f"optimizer.{dataset}.{number}."
                if f"{prefix}step" in tensors:
                    # Moments lie in memory like the weights they belong to.
                    optimizer.state[parameter] = {
                        "step": tensors[f"{prefix}step"].to(self.device),
                        "exp_avg": torch.empty_like(parameter).copy_(tensors[f"{prefix}exp_avg"]),
                        "exp_avg_sq": torch.empty_like(parameter).copy_(tensors[f"{prefix}exp_avg_sq"]),
                    }
        log.info("going on in phase %s after batch %d", phase.name, self.progress.step)


def _text(auroc: float | None) -> str:
    return "none" if auroc is None else f"{auroc:.3f}"
