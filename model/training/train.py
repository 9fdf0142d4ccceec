"""Train a network through the phases of a method.

``--phases`` is a JSON list whose keys model.training.phase describes, for example::

    [{"name": "training", "datasets": ["a", "b"], "epochs": 1000, "batches": 1, "batch_size": 8,
      "learning_rate": 3e-4, "dropout": 0.3}]
"""

import argparse
import importlib
import json
import logging
import platform
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd
import torch

from model.device import describe, set_up, told
from model.files import weights
from model.files.locked import digest
from model.inference import batch_norm
from model.network import module_name
from model.training import data
from model.training.batches import BALANCES
from model.training.checkpoint import Folder
from model.training.checks import judged_in, misfits, unlike_heads
from model.training.phase import Phase, check_names, parse_phases
from model.training.records import GRADIENTS_COLUMNS, StepSelector
from model.training.settings import Settings
from model.training.trainer import Trainer
from pipeline.classes import Classes
from pipeline.cli import run_cli
from pipeline.errors import ConfigError, LossError
from pipeline.files import atomic, sha256, write_text
from pipeline.provenance import code
from pipeline.splits import seen

log = logging.getLogger("typhon")

CHOICES = {
    "loss": ("logits", "paper", "l1", "mse"),
    "frozen": ("eval", "paper"),
    "handover": ("best", "paper"),
    "zero-dropout": ("zero", "paper"),
    "selection": ("auroc", "loss", "accuracy", "precision", "recall", "f1", "specificity", "paper"),
}
"""Flags of how to train, the right value first; ``paper`` is what the public code did."""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m model.training.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data.add_arguments(parser)
    parser.add_argument(
        "--network",
        type=Path,
        required=True,
        help="model file to start from, such as that of model.bootstrap.guess",
    )
    parser.add_argument("--phases", type=parse_phases, required=True, help="JSON list of phases")
    parser.add_argument("--seed", type=int, required=True, help="seed of batches and dropout")
    parser.add_argument(
        "--target", required=True, help="data set whose validation AUROC decides which state is best"
    )
    parser.add_argument(
        "--batch-norm",
        choices=batch_norm.MODES,
        default="recalibrated",
        help="statistics for evaluation: running ones of all data sets together or of each, or recomputed on "
        "training patches",
    )
    parser.add_argument("--every", type=int, default=100, help="epochs between validations")
    parser.add_argument(
        "--balance", choices=BALANCES, default="views", help="how classes are balanced in a pass"
    )
    parser.add_argument(
        "--follow",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="put the target's test AUROC, and its AUROC with the head of the first phase, into the "
        "history; nothing is chosen by them",
    )
    for name, values in CHOICES.items():
        parser.add_argument(
            f"--{name}", choices=values, default=values[0],
            help={
                "loss": "cross-entropy of the logits; or, as published, of a softmax mistaken for logits; or "
                "the absolute or squared error of the softmax",
                "frozen": "a frozen extractor does not change, or its batch norm moves and its dropout is on",
                "handover": "a phase that selects its best state hands on all of it, or its extractor with "
                "the last heads",
                "zero-dropout": "a dropout of 0 means none, or keeps the former value",
                "selection": "metric that makes a state better; as published, neither AUROC nor "
                "accuracy may be lower",
            }[name],
        )  # fmt: skip
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="arithmetic of training on CUDA; the CPU always uses float32",
    )
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="folder for progress, removed on success"
    )
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0, help="seconds between checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="model file of the last state")
    parser.add_argument("--best", type=Path, required=True, help="model file of the best state")
    parser.add_argument("--history", type=Path, required=True, help="history.csv to write")
    parser.add_argument("--gradients", type=Path, required=True, help="gradients.csv to write")
    parser.add_argument(
        "--record", type=step, nargs="*", default=[StepSelector("*", 1, 6)], metavar="PHASE/EPOCH/BATCH",
        help="steps whose gradients are written there, counted from 1; phase * is each",
    )  # fmt: skip
    parser.add_argument("--run", type=Path, required=True, help="run.json to write")
    parser.add_argument(
        "--seen", type=Path, help="list to write of whom the network has seen; --network has one beside it"
    )
    return parser.parse_args(argv)


def step(text: str) -> StepSelector:
    """A step of training as the command line names it."""
    try:
        return StepSelector.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not PHASE/EPOCH/BATCH") from error


def settings(options: argparse.Namespace, device: torch.device) -> Settings:
    """What the options mean on a device."""
    if options.precision == "bfloat16" and device.type == "cpu":
        log.warning("bfloat16 is for CUDA: the CPU trains in float32")
    return Settings(
        seed=options.seed,
        target=options.target,
        batch_norm=options.batch_norm,
        every=options.every,
        balance=options.balance,
        bfloat16=options.precision == "bfloat16" and device.type == "cuda",
        follow=options.follow,
        gradients=tuple(options.record),
        **{key: vars(options)[key] for key in (name.replace("-", "_") for name in CHOICES)},
    )


@contextmanager
def on_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let ``handler`` deal with SIGTERM and Ctrl-C for a while."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Write the last and the best model, the history and facts about the run."""
    options = parse(argv)
    device = set_up(options.gpu)
    chosen = settings(options, device)
    datasets = data.given(options)
    check_names(options.phases, chosen.target, datasets)
    check_classes(options.phases, chosen, {name: each.classes for name, each in datasets.items()})
    network, tables = weights.read(
        options.network,
        datasets,
        data.channels(datasets),
        side=data.side(datasets),
        outputs=data.outputs(datasets),
        among=True,
    )
    if options.seen:
        known = seen.read(seen.beside(options.network))
        seen.write(options.seen, [*known, seen.entry(*data.people_of(datasets, options))])
    files = (*options.stores, *options.splits, options.network)
    facts = digest(
        code=code("model.training.train", module_name(network.description.network)),
        phases=options.phases,
        settings=chosen,
        device=device.type,
        files=[sha256(path) for path in files],
        budget=sorted(options.budget),
        subset=sorted(options.subset),
    )
    with Folder(options.checkpoint, facts) as folder:
        trainer = Trainer(
            network,
            datasets,
            options.phases,
            chosen,
            folder,
            device,
            tables=tables,
            checkpoint_seconds=options.checkpoint_seconds,
        )
        for each in chosen.gradients:
            if not any(
                each.phase in ("*", phase.name) and each.epoch <= phase.epochs for phase in options.phases
            ):
                log.warning("no phase of this run has step %s/%d/%d", each.phase, each.epoch, each.batch)
        with on_signals(trainer.stop):
            try:
                last = trainer.run()
            except LossError as error:
                picture = draw_gradients(trainer, folder.path)
                raise LossError(
                    error.found, remedy=f"{error.remedy}; the gradients are drawn in {picture}, "
                    f"the last checkpoint is kept beside it",
                ) from error  # fmt: skip
            for name, path in (("history", options.history), ("gradients", options.gradients)):
                with atomic(path) as beside:
                    beside.write_bytes((folder.path / f"{name}.csv").read_bytes())
            begun = weights.origin(options.network)
            weights.write(options.best, trainer.best, network.description, **begun)
            about = _about(options, trainer, device)
            write_text(options.run, json.dumps(about, indent=2, sort_keys=True) + "\n")
            weights.write(options.out, last, network.description, **begun)
            # Whoever sends a signal takes the job for failed and deletes its outputs: keep the checkpoint.
            trainer.leave_if_stopped()


def check_classes(phases: Sequence[Phase], chosen: Settings, classes: Mapping[str, Classes]) -> None:
    """Raise ConfigError for what means nothing for these classes or labels."""
    judged = judged_in(chosen.target, [(phase.select, phase.datasets) for phase in phases])
    keys = {"loss": chosen.loss, "selection": chosen.selection, "balance": chosen.balance}
    for key, found, expected in (
        *misfits(classes, judged, **keys),
        *unlike_heads([(phase.name, phase.head) for phase in phases], classes),
    ):
        raise ConfigError(found, file=key, expected=expected)


def draw_gradients(trainer: Trainer, folder: Path) -> Path:
    """Draw how the gradients flow through the layers, as the last step left them (thesis 5.2.4)."""
    # By name, so that an edit of figures makes no training anew; and only a run that fails needs matplotlib.
    draw = importlib.import_module("model.report.gradients").draw_gradient_flow
    phase = trainer.phases[trainer.progress.phase]
    at = (phase.name, *trainer.place())
    rows = [(*at, "+".join(phase.datasets), *row) for row in trainer.updater.gradients()]
    picture = folder / "gradients.png"
    draw(pd.DataFrame(rows, columns=GRADIENTS_COLUMNS), picture)
    return picture


def _about(options: argparse.Namespace, trainer: Trainer, device: torch.device) -> dict[str, Any]:
    start = weights.read_about(options.network)
    return {
        **weights.origin(options.network),
        **data.granted(options),
        "device": describe(device),
        "threads": torch.get_num_threads(),
        "seconds": {name: round(value, 3) for name, value in trainer.progress.seconds.items()},
        "samples_seen": {"bootstrap": start.get("samples_seen", 0), **trainer.progress.samples},
        "trained": trainer.progress.seen,
        "best": trainer.progress.best,
        "selected": trainer.progress.selected,
        **({"rates": trainer.progress.rates} if trainer.progress.rates else {}),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy")},
        },
    }


if __name__ == "__main__":
    run_cli(main)
