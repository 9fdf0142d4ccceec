"""Tables that grow line by line while a run goes on and go on after a kill, and which steps they tell of."""

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HISTORY_COLUMNS = ("phase", "epoch", "dataset", "split", "metric", "value")
GRADIENTS_COLUMNS = ("phase", "epoch", "batch", "dataset", "layer", "mean", "max")


@dataclass(frozen=True)
class StepSelector:
    """Selects a step of training by the name of its phase (``*``: of each), its epoch and its batch, from 1.

    In an epoch with fewer batches its last one is meant.
    """

    phase: str
    epoch: int
    batch: int

    @classmethod
    def parse(cls, text: str) -> "StepSelector":
        """A selector from ``phase/epoch/batch``; the phase may hold a slash. Raises ValueError."""
        phase, epoch, batch = text.rsplit("/", 2)
        step = cls(phase, int(epoch), int(batch))
        if not phase or min(step.epoch, step.batch) < 1:
            raise ValueError(text)
        return step

    def is_at(self, phase: str, epoch: int, batch: int, batches: int) -> bool:
        """Whether this is batch ``batch`` of the ``batches`` of an epoch of a phase."""
        return self.phase in ("*", phase) and self.epoch == epoch and min(self.batch, batches) == batch


class Records:
    """A CSV file that only grows: adding a row costs the same however many there are."""

    def __init__(self, path: Path, columns: Iterable[str], length: int = 0) -> None:
        """Open the file, cut to ``length`` bytes: what a checkpoint knows of; 0 starts anew."""
        self.path = path
        self._file: IO[str] = path.open("a", encoding="utf-8", newline="")
        self._file.truncate(length)
        self._writer = csv.writer(self._file, lineterminator="\n")
        if not length:
            self._writer.writerow(columns)

    def add(self, *row: object) -> None:
        """Append a row; None is an empty cell."""
        self._writer.writerow(row)

    def sync(self) -> int:
        """Put everything on the disk and tell the length in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Write what is left."""
        self._file.close()
