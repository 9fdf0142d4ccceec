"""The one loop that runs any list of phases: steps, validations, the best state, checkpoints."""

import copy
import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from model.files import weights
from model.network import Network
from model.training import finder
from model.training.batches import LoopLoader
from model.training.checkpoint import Folder
from model.training.data import Dataset, read_part
from model.training.phase import FIND, Phase, dropped
from model.training.records import GRADIENTS_COLUMNS, HISTORY_COLUMNS, Records
from model.training.settings import Progress, Settings
from model.training.steps import KINDS, PhaseSteps
from model.training.updater import Updater
from model.training.validation import Judge, better
from pipeline.errors import LossError

log = logging.getLogger("typhon")
CHECK_EVERY = 25
"""Steps between looks at the losses: each look makes a GPU wait."""
ESTIMATE_AFTER = 50
"""Steps after which the log says how long the run will take."""


class Trainer:
    """A run in progress: everything that changes is in a checkpoint.

    ``tables`` are the batch-norm statistics that came with the network; None are those of a new one.
    """

    def __init__(
        self,
        network: Network,
        datasets: Mapping[str, Dataset],
        phases: Sequence[Phase],
        settings: Settings,
        folder: Folder,
        device: torch.device,
        *,
        tables: Mapping[str, Tensor] | None = None,
        checkpoint_seconds: float = 60.0,
    ) -> None:
        self.phases = list(phases)
        self.settings = settings
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        """Tensors of the best state's model file."""
        self._phase_best: dict[str, Tensor] = {}
        self._reference: nn.Module | None = None
        """The target's decision maker as the first phase left it."""
        self._folder = folder
        self._checkpoint_seconds = checkpoint_seconds
        self._train = {name: read_part(dataset, "train", device) for name, dataset in datasets.items()}
        self.updater = Updater(network, self._train, settings, device, tables)
        self.network = network
        self._judge = Judge(
            network,
            datasets,
            self._train,
            running=self.updater.running,
            recalibrate=settings.batch_norm == "recalibrated",
            together=self.updater.together,
            followed=settings.target if settings.follow else None,
            device=device,
            count=self._count_evaluated,
        )
        self._device = device
        self._arranged = 0
        self._pending: list[tuple[int, list[str], Tensor]] = []
        self._signal = 0
        self._restore()
        self._history: Records
        self._gradients: Records
        self._started = self._saved = self._clock = time.monotonic()
        self._done_here = 0
        self._done_before = self._samples_of_slow()

    def stop(self, signal: int, _frame: object = None) -> None:
        """Save and exit with 128 + ``signal`` after the step at hand."""
        self._signal = signal

    def run(self) -> dict[str, Tensor]:
        """Go on to the end of the last phase; the tensors of the last state's model file."""
        with (
            closing(self._open("history", HISTORY_COLUMNS, self.progress.history)) as self._history,
            closing(self._open("gradients", GRADIENTS_COLUMNS, self.progress.gradients)) as self._gradients,
        ):
            while self.progress.phase < len(self.phases):
                self._find_rate()
                phase = self.phases[self.progress.phase]
                self._run_phase(phase)
                self._end_phase(phase)
        self._judge.renew()
        last = weights.export(self.network, self._judge.tables(self.network.datasets))
        if self.progress.best is None:
            log.warning(
                "%s has no %s in validation: the best state is the last one",
                self.settings.target,
                "auroc" if self.settings.selection == "paper" else self.settings.selection,
            )
            self.best = last
        return last

    def _open(self, name: str, columns: Sequence[str], length: int) -> Records:
        return Records(self._folder.path / f"{name}.csv", columns, length)

    def _run_phase(self, phase: Phase) -> None:
        steps = self._plan(phase)
        total = phase.epochs * len(steps)
        self._begin_phase(phase, total)
        log.info(
            "%s: %d epochs of %d steps, %d done", phase.name, phase.epochs, len(steps), self.progress.step
        )
        with tqdm(total=total, initial=self.progress.step, desc=phase.name, unit="step", disable=None) as bar:
            while self.progress.step < total and not self._over(phase):
                epoch, place = divmod(self.progress.step, len(steps))
                self._step(phase, steps)
                if place == len(steps) - 1 and (
                    (epoch + 1) % self.settings.every == 0 or self.progress.step == total
                ):
                    self._validate(phase, epoch + 1)
                self._after_step(phase)
                bar.update()

    def _begin_phase(self, phase: Phase, total: int) -> None:
        self._arrange(self.progress.phase)
        self._judge.renew()
        self.updater.begin(phase, total, self._dropouts(phase), self._features)

    def _features(self, name: str) -> Tensor:
        return self._judge.features(name, self._train[name])

    def _find_rate(self) -> None:
        """Have a trial find the rate of the phase at hand, if it asks for that and none has yet."""
        phase = self.phases[self.progress.phase]
        if phase.learning_rate == FIND:
            self._arrange(self.progress.phase)
            self._judge.renew()
            tried = finder.trial(phase)
            found, samples = finder.find(
                self.updater, tried, self._plan(tried), self._dropouts(phase), self._features,
                self.leave_if_stopped,
            )  # fmt: skip
            self.progress.rates[phase.name], self.progress.samples[phase.name] = found, samples
            self._use_rates()

    def _use_rates(self) -> None:
        """Give phases the rates that were found for them."""
        for place, phase in enumerate(self.phases):
            if found := self.progress.rates.get(phase.name):
                self.phases[place] = replace(phase, learning_rate=found["rate"])

    def _over(self, phase: Phase) -> bool:
        """Whether a phase has gone on long enough without a better state, or all its rates are too low."""
        if phase.stop is not None and self.progress.stale >= phase.stop:
            return True
        rules = self.updater.schedules.values()
        return bool(rules) and all(rule.over for rule in rules)

    def _dropouts(self, phase: Phase) -> dict[str, float]:
        so_far, kept = self.phases[: self.progress.phase + 1], self.settings.zero_dropout == "paper"
        return {name: dropped(so_far, name, zero_keeps=kept) for name in phase.datasets}

    def _arrange(self, index: int) -> None:
        """Prepare the network for the phases up to ``index``, in their order."""
        while self._arranged <= index:
            self.updater.arrange(self.phases[self._arranged])
            self._arranged += 1

    def _end_phase(self, phase: Phase) -> None:
        if best := self.progress.phase_best:
            # Only what was handed on had the wrong heads: the file of the best state was whole.
            last = self.progress.phase == len(self.phases) - 1
            self.updater.go_back(self._phase_best, heads=last or self.settings.handover == "best")
            self.progress.selected.append(best)
            log.info("%s leaves its state of epoch %d", phase.name, best["epoch"])
        if self.progress.phase == 0 and self.settings.target in phase.datasets:
            self._reference = copy.deepcopy(self.network.maker(self.settings.target))
        self.updater.end()
        self._tick(phase)
        self.progress.phase, self.progress.step = self.progress.phase + 1, 0
        self.progress.phase_best, self._phase_best, self.progress.schedule = None, {}, {}
        self.progress.stale = 0

    def _plan(self, phase: Phase) -> PhaseSteps:
        return KINDS[phase.step](phase, self._loaders(phase), "mixture", self.settings.seed, phase.name)

    def _loaders(self, phase: Phase) -> dict[str, LoopLoader]:
        return {
            name: LoopLoader(
                part.labels.cpu().numpy(),
                phase.batch_size,
                *("loader", self.settings.seed, phase.name, name),
                balance="views" if part.classes.multilabel else phase.balance or self.settings.balance,
                device=self._device,
            )
            for name, part in ((name, self._train[name]) for name in phase.datasets)
        }

    def _step(self, phase: Phase, steps: PhaseSteps) -> None:
        batch = steps.batch(self.progress.step)
        losses = self.updater.step(phase, steps, batch, self.progress.step)
        names = [name for name, _ in batch]
        epoch, place = divmod(self.progress.step, len(steps))
        at = (phase.name, epoch + 1, place + 1)
        if any(step.is_at(*at, len(steps)) for step in self.settings.gradients):
            for row in self.updater.gradients():
                self._gradients.add(*at, "+".join(names), *row)
        self._pending.append((self.progress.step, names, losses))
        for name, samples in batch:
            for counts, key in ((self.progress.seen, name), (self.progress.samples, phase.name)):
                counts[key] = counts.get(key, 0) + len(samples)
        self.progress.step += 1
        if len(self._pending) == CHECK_EVERY:
            self._check_losses(phase)

    def _check_losses(self, phase: Phase) -> None:
        """Add the losses of the last steps to the running ones; LossError if one is not finite."""
        if not self._pending:
            return
        values = torch.cat([losses for *_, losses in self._pending]).tolist()
        entries = [(step, name) for step, names, _ in self._pending for name in names]
        for (step, name), value in zip(entries, values, strict=True):
            if not math.isfinite(value):
                steps = self._plan(phase)
                views = " ".join(self._train[name].names(dict(steps.batch(step))[name].tolist()))
                raise LossError(
                    f"{value} in phase {phase.name}, epoch {step // len(steps) + 1}, data set {name}, "
                    f"on the views (patient/finding/view) {views}"
                )
            total, count = self.progress.loss.get(name, (0.0, 0))
            self.progress.loss[name] = (total + value, count + 1)
        self._pending.clear()

    def _count_evaluated(self, samples: int) -> None:
        self.progress.samples["evaluation"] = self.progress.samples.get("evaluation", 0) + samples

    def _validate(self, phase: Phase, epoch: int) -> None:
        """Score the phase's data sets, write the history and keep the state if it is the best."""
        self._check_losses(phase)
        if not self.updater.fixed(phase):
            self._judge.renew()
        try:
            words = [self._validate_dataset(phase, epoch, name) for name in phase.datasets]
            if self.settings.follow:
                self._follow(phase, epoch)
        except FloatingPointError as error:
            raise LossError(f"{error} after epoch {epoch} of phase {phase.name}") from error
        log.info("%s %d/%d: %s", phase.name, epoch, phase.epochs, ", ".join(words))

    def _validate_dataset(self, phase: Phase, epoch: int, name: str) -> str:
        learned, scores = (self._judge.scores(name, split) for split in ("train", "validation"))
        total, count = self.progress.loss.pop(name, (0.0, 0))
        loss = total / count if count else None
        # The loss of training is that of its batches.
        train = {"loss": loss, "samples": self.progress.seen.get(name, 0), **learned.metrics(loss=False)}
        for split, metrics in (("train", train), ("validation", scores.metrics())):
            for metric, value in metrics.items():
                self._history.add(phase.name, epoch, name, split, metric, value)
        if name == (self.settings.target if self.settings.target in phase.datasets else phase.datasets[0]):
            self._keep_best(phase, epoch, scores.metrics(loss=self.settings.selection == "loss"))
            for schedule in self.updater.schedules.values():
                schedule.observe({
                    "train": learned.auroc, "validation": scores.auroc, "loss": scores.loss
                })  # fmt: skip
        return f"{name} loss {math.nan if loss is None else loss:.3f} AUROC {_text(scores.auroc)}"

    def _follow(self, phase: Phase, epoch: int) -> None:
        """Curves that decide nothing: the test findings, and the extractor as the first head sees it."""
        target = self.settings.target
        if target in phase.datasets:
            test = self._judge.scores(target, "test").auroc
            self._history.add(phase.name, epoch, target, "test", "auroc", test)
        first = self.progress.phase == 0 and target in phase.datasets
        maker = self.network.maker(target) if first else self._reference
        if maker is not None:
            for split in ("train", "validation"):
                value = self._judge.scores(target, split, maker).auroc
                self._history.add(phase.name, epoch, target, split, "reference_auroc", value)

    def _keep_best(self, phase: Phase, epoch: int, metrics: Mapping[str, float | None]) -> None:
        now = {"phase": phase.name, "epoch": epoch, **metrics}
        self.progress.stale += 1
        if phase.select == "best" and self._better(now, self.progress.phase_best):
            self.progress.phase_best, self.progress.stale = now, 0
            self._phase_best = {name: weights.plain(value) for name, value in self.updater.state().items()}
        if self.settings.target in phase.datasets and self._better(now, self.progress.best):
            self.progress.best = now
            self.best = weights.export(self.network, self._judge.tables(self.network.datasets))

    def _better(self, now: Mapping[str, Any], best: Mapping[str, Any] | None) -> bool:
        return better(now, best, self.settings.selection)

    def place(self) -> tuple[int, int]:
        """Epoch and batch of the last step in the phase at hand, counted from 1."""
        steps = len(self._plan(self.phases[self.progress.phase]))
        epoch, batch = divmod(max(0, self.progress.step - 1), steps)
        return epoch + 1, batch + 1

    def _after_step(self, phase: Phase) -> None:
        self._done_here += 1
        if self._done_here == ESTIMATE_AFTER:
            self._log_estimate(time.monotonic() - self._started)
        if self._signal or time.monotonic() - self._saved >= self._checkpoint_seconds:
            self._check_losses(phase)
            self._tick(phase)
            self._save(phase)
            self._saved = time.monotonic()
        self.leave_if_stopped()

    def leave_if_stopped(self) -> None:
        """Exit with 128 + the signal that came, if one did; the last checkpoint is there to go on from."""
        if self._signal:
            log.warning("signal %d: leaving, to go on later", self._signal)
            raise SystemExit(128 + self._signal)

    def _log_estimate(self, seconds: float) -> None:
        """Say how long the rest takes, if a sample takes as long as one did so far.

        Phases with a fixed extractor are left out on both sides: they take next to no time.
        """
        total = 0
        for phase in self._slow():
            for loader in self._loaders(phase).values():
                passes = phase.batches / len(loader) if phase.batches else 1.0
                total += round(phase.epochs * passes * loader.samples)
        done = self._samples_of_slow()
        if done > self._done_before:
            rate = (done - self._done_before) / seconds
            minutes = max(0, total - done) / rate / 60
            log.info("%.0f samples per second: about %.1f minutes to go", rate, minutes)

    def _slow(self) -> list[Phase]:
        return [phase for phase in self.phases if not self.updater.fixed(phase)]

    def _samples_of_slow(self) -> int:
        return sum(self.progress.samples.get(phase.name, 0) for phase in self._slow())

    def _tick(self, phase: Phase) -> None:
        now = time.monotonic()
        self.progress.seconds[phase.name] = self.progress.seconds.get(phase.name, 0.0) + now - self._clock
        self._clock = now

    def _save(self, phase: Phase) -> None:
        self.progress.history = self._history.sync()
        self.progress.gradients = self._gradients.sync()
        self.progress.schedule = {name: rule.state() for name, rule in self.updater.schedules.items()}
        reference = {} if self._reference is None else dict(self._reference.named_parameters())
        tensors = self.updater.state() | self.updater.moments(phase)
        for prefix, part in (("best", self.best), ("phase_best", self._phase_best), ("reference", reference)):
            tensors |= {f"{prefix}.{name}": value for name, value in part.items()}
        self._folder.save(
            {name: weights.plain(value) for name, value in tensors.items()}, asdict(self.progress)
        )

    def _restore(self) -> None:
        """Go back to the last checkpoint, if there is one."""
        found = self._folder.load()
        if not found:
            return
        tensors, progress = found
        for name in ("history", "gradients"):
            path = self._folder.path / f"{name}.csv"
            if not path.exists() or path.stat().st_size < progress[name]:
                log.warning("%s has lost rows: starting over", path)
                return
        self.progress = Progress(**progress)
        self._use_rates()
        phase = self.phases[self.progress.phase]
        self._arrange(self.progress.phase)
        self.updater.go_back(tensors)
        self.updater.restore_moments(phase, tensors)
        for name, rule in self.updater.schedules.items():
            rule.restore(self.progress.schedule[name])
        self.best, self._phase_best = _below("best.", tensors), _below("phase_best.", tensors)
        if reference := _below("reference.", tensors):
            self._reference = copy.deepcopy(self.network.maker(self.settings.target))
            self._reference.load_state_dict(reference)
        log.info("going on in phase %s after step %d", phase.name, self.progress.step)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _text(auroc: float | None) -> str:
    return "none" if auroc is None else f"{auroc:.3f}"
