"""Adding the metrics of an epoch to a history that is short or long: ours against a table written anew."""

import tempfile
from pathlib import Path

import pandas as pd

from model.training.records import HISTORY_COLUMNS, Records
from workflow.bench.measure import Contender, Result, Size, compare

ROW = ("training", 100, "prostatex", "validation", "auroc", 0.75)
METRICS = 14
"""Rows per epoch and data set: seven metrics of training and validation."""


class _History(Contender):
    def __init__(self, folder: Path, rows: int) -> None:
        self.rows = rows
        self.path = folder / "history.csv"


class Ours(_History):
    """Appended to the file."""

    def prepare(self) -> None:
        """A history of that many rows, open."""
        self.records = Records(self.path, HISTORY_COLUMNS)
        for _ in range(self.rows):
            self.records.add(*ROW)
        self.records.sync()

    def run(self) -> int:
        """Many epochs: one takes microseconds."""
        for _ in range(500 * METRICS):
            self.records.add(*ROW)
        self.records.close()
        return 500 * METRICS


class Plain(_History):
    """A data frame that grows and is written anew, as the published code does."""

    def prepare(self) -> None:
        """A history of that many rows."""
        self.table = pd.DataFrame([ROW] * self.rows, columns=list(HISTORY_COLUMNS))

    def run(self) -> int:
        """One epoch."""
        table = pd.concat([self.table, pd.DataFrame([ROW] * METRICS, columns=list(HISTORY_COLUMNS))])
        table.to_csv(self.path, index=False)
        return METRICS


def bench(size: Size) -> list[Result]:
    """Rows per second with a short and a long history; ours must not depend on its length."""
    results = []
    for rows in (1_000, 2_000) if size.quick else (1_000, 100_000):
        result = Result(f"metrics, added to {rows:,} rows", "rows/s")
        with tempfile.TemporaryDirectory(prefix="typhon-bench-") as folder:
            compare(result, Plain, Ours, Path(folder), rows, rounds=size.rounds)
        results.append(result)
    short, long = (result.medians["ours"] for result in results)
    results[-1].notes = {"our_time_per_row_long_over_short": short / long}
    return results
