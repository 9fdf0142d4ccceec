"""Tables that grow line by line while a run goes on, and go on after a kill."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

HISTORY_COLUMNS = ("phase", "epoch", "dataset", "split", "metric", "value")
GRADIENTS_COLUMNS = ("phase", "epoch", "dataset", "layer", "mean", "max")


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
