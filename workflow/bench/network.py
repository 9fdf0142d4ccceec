"""Training and evaluation of the network: ours against plain PyTorch, data in memory on both sides."""

import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from model import device
from model.inference.evaluated import Evaluated
from model.network import build
from model.training.checkpoint import Folder
from model.training.data import load
from model.training.phase import Phase
from model.training.settings import Settings
from model.training.trainer import Trainer
from pipeline.files import write_csv
from pipeline.seeds import stream
from pipeline.store import write_store
from workflow.bench import plain_network
from workflow.bench.measure import Contender, Result, Size, compare

NAMES = ("one", "two", "three")
BATCH = 8
SPLIT_COLUMNS = ("patient_id", "group_id", "finding_id", "label", "split", "views")


def noise(name: str, count: int) -> np.ndarray:
    """Patches (count, 1, 65, 65) float32."""
    return stream("bench", name).standard_normal((count, 1, 65, 65)).astype("f4")


def labels(count: int) -> np.ndarray:
    """Labels 0 and 1 in turn."""
    return np.arange(count) % 2


class PlainTraining(Contender):
    """Plain PyTorch on tensors."""

    def __init__(
        self, _folder: Path, epochs: int, samples: int, dropout: float = plain_network.DROPOUT
    ) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.epochs = epochs
        truth = torch.from_numpy(labels(samples))
        self.data = [(torch.from_numpy(noise(name, samples)), truth) for name in NAMES]
        self.network = plain_network.extractor(1, dropout)
        self.heads = [plain_network.head(dropout) for _ in NAMES]
        plain_network.fill([self.network, *self.heads])

    def run(self) -> int:
        """Three heads in turn."""
        return plain_network.train(self.network, list(self.heads), self.data, self.epochs, BATCH)


class Unjudged(Trainer):
    """The trainer without its scores of findings, which plain PyTorch here has not."""

    def _validate(self, phase: Phase, _epoch: int) -> None:
        self._check_losses(phase)


class OurTraining(Contender):
    """The trainer as ``model.training.train`` runs it, without validation."""

    def __init__(
        self, folder: Path, epochs: int, samples: int, dropout: float = plain_network.DROPOUT
    ) -> None:
        self.device = device.set_up(0)
        logging.getLogger("typhon").setLevel(logging.ERROR)
        self.phase = Phase(
            name="training", datasets=NAMES, epochs=epochs, batches=1, batch_size=BATCH, learning_rate=3e-4,
            dropout=dropout,
        )  # fmt: skip
        self.folder = folder
        files = [stored(folder, name, samples) for name in NAMES]
        self.datasets = load(*map(list, zip(*files, strict=True)))
        self.runs = 0

    def prepare(self) -> None:
        """A new network and trainer, as each job has."""
        self.runs += 1
        network = build(NAMES)
        plain_network.fill([network.extractor, *map(network.maker, NAMES)])
        checkpoint = Folder(self.folder / f"checkpoint{self.runs}", "bench")
        settings = Settings(
            seed=0, target=NAMES[0], batch_norm="mixed", every=self.phase.epochs, follow=False
        )
        self.trainer = Unjudged(network, self.datasets, [self.phase], settings, checkpoint, self.device)

    def run(self) -> int:
        """All epochs."""
        self.trainer.run()
        return self.trainer.progress.samples["training"]


FROZEN_BATCH = 128
"""Hydra's."""


class PlainFrozen(PlainTraining):
    """A frozen phase as published: each batch through the extractor, gradients back through it too."""

    def __init__(self, folder: Path, _epochs: int, samples: int) -> None:
        super().__init__(folder, 1, samples)

    def run(self) -> int:
        """One pass: its rate is the same in each."""
        (patches, truth), part = self.data[0], self.heads[0]
        adam = torch.optim.Adam(part.parameters(), 3e-4)
        self.network.eval()
        part.train()
        for batch in torch.randperm(len(truth)).split(FROZEN_BATCH):
            adam.zero_grad()
            torch.nn.functional.cross_entropy(part(self.network(patches[batch])), truth[batch]).backward()
            adam.step()
        return len(truth)


class OurFrozen(OurTraining):
    """The trainer's frozen phase, all of it: features once, then every epoch on them."""

    def __init__(self, folder: Path, epochs: int, samples: int) -> None:
        super().__init__(folder, epochs, samples)
        self.phase = replace(
            self.phase, datasets=NAMES[:1], batches=None, batch_size=FROZEN_BATCH, frozen=True
        )


def stored(folder: Path, name: str, samples: int) -> tuple[Path, Path]:
    """A store of noise with a view of each finding, and its split: two findings more, for validation."""
    count = samples + 2
    ids = [str(number) for number in range(count)]
    findings = pd.DataFrame({"patient_id": ids, "group_id": ids, "finding_id": "1", "label": labels(count)})
    table = findings.assign(split=["train"] * samples + ["validation"] * 2, views=1)
    store, split = folder / f"{name}.h5", folder / f"{name}.csv"
    write_store(
        store, findings.assign(width_mm=65.0, height_mm=65.0), iter(noise(name, count)[:, None]), views=1,
        dataset=name, channels=["noise"], normalization="none", provenance={},
    )  # fmt: skip
    write_csv(split, SPLIT_COLUMNS, table.to_dict("records"))
    return store, split


class _Evaluation(Contender):
    def __init__(self, samples: int) -> None:
        self.patches = torch.from_numpy(noise("evaluation", samples))
        self.table = plain_network.batch_norm_table()
        self.logits: Any = None

    def answer(self) -> np.ndarray:
        """Logits (n, 2)."""
        return self.logits.numpy()


class PlainEvaluation(_Evaluation):
    """``model.eval()`` in batches of 8."""

    def __init__(self, samples: int) -> None:
        torch.set_num_threads(1)
        super().__init__(samples)
        self.network, self.head = plain_network.extractor(), plain_network.head()
        plain_network.fill([self.network, self.head])
        plain_network.attach(self.network, self.table)

    def run(self) -> int:
        """All patches."""
        self.logits = plain_network.predict(self.network, self.head, self.patches, BATCH)
        return len(self.logits)


class OurEvaluation(_Evaluation):
    """The folded network, folding included."""

    def __init__(self, samples: int) -> None:
        device.set_up(0)
        super().__init__(samples)
        self.network = build(NAMES[:1])
        plain_network.fill([self.network.extractor, self.network.maker(NAMES[0])])

    def run(self) -> int:
        """All patches."""
        self.logits = Evaluated(self.network, NAMES[0], torch.from_numpy(self.table))(self.patches)
        return len(self.logits)


def bench_training(size: Size) -> list[Result]:
    """Samples per second of the same algorithm."""
    result = Result("training, batch 8, three heads in turn", "samples/s", goal=1.5)
    return _on_stores(result, PlainTraining, OurTraining, size, (2, 32) if size.quick else (20, 400))


def bench_frozen(size: Size) -> list[Result]:
    """Samples per second of a frozen phase of 2,000 epochs."""
    result = Result("frozen phase of 2,000 epochs, batch 128", "samples/s", goal=500)
    return _on_stores(result, PlainFrozen, OurFrozen, size, (2, 130) if size.quick else (2000, 512))


def _on_stores(
    result: Result, plain: type[Contender], ours: type[Contender], size: Size, amounts: tuple[int, int]
) -> list[Result]:
    """Both on some epochs of some samples, in a folder for stores and checkpoints."""
    with tempfile.TemporaryDirectory(prefix="typhon-bench-") as folder:
        compare(result, plain, ours, Path(folder), *amounts, rounds=size.rounds)
    return [result]


def bench_evaluation(size: Size) -> list[Result]:
    """Samples per second, and the largest difference of a logit."""
    result = Result("evaluation, against model.eval() in batches of 8", "samples/s", goal=1.7)
    plain, ours = compare(
        result, PlainEvaluation, OurEvaluation, 32 if size.quick else 800, rounds=size.rounds
    )
    result.notes = {
        "largest_logit_difference": float(abs(plain - ours).max()),
        "largest_logit": float(abs(plain).max()),
    }
    return [result]
