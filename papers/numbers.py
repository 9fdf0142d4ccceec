"""The numbers that the papers print, and which of their tables are made of them. Imports little.

``numbers.csv`` has a line for each number: where it stands, what its own arithmetic gives where that is
something else, and what of our runs belongs beside it. ``inconsistencies.csv`` lists what does not hold.
"""

import csv
import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CELLS = Path(__file__).with_name("numbers.csv")
INCONSISTENCIES = Path(__file__).with_name("inconsistencies.csv")

TABLES = {
    "typhon_1": "Typhon, Table I: hyperparameters",
    "typhon_2": "Typhon, Table II: samples seen, validation and test of the target",
    "hydra_1": "Hydra, Table I: hyperparameters and best epoch of each step",
    "hydra_2": "Hydra, Table II: validation and test of the target",
    "transfer_log": "Standard transfer of the Hydra paper, from its public logs",
    "thesis_5_2": "Thesis, Table 5.2: test AUROC at several epochs",
    "thesis_6_2": "Thesis, Table 6.2: hyperparameters of each step",
    "thesis_6_3": "Thesis, Table 6.3: the best state of each step",
    "inconsistencies": "What the papers and their public code say that does not hold",
}
"""Caption of each table, by its name in ``results/tables/``."""


@dataclass(frozen=True)
class TableCell:
    """One number of a paper."""

    paper: str
    table: str
    row: str
    column: str
    value: str
    """As printed."""
    corrected: str
    """What the paper's own arithmetic gives, where that is something else."""
    method: str
    phase: str
    dataset: str
    """Its role: target, support1 or support2."""
    measure: str
    """What of our runs belongs beside it, see ``papers.tables``; empty for nothing."""
    note: str
    source: str


def read_cells(table: str | None = None) -> list[TableCell]:
    """The numbers of one table, or all of them, in their order."""
    return [cell for cell in _cells() if table in (None, cell.table)]


@functools.cache
def _cells() -> tuple[TableCell, ...]:
    with CELLS.open(encoding="utf-8", newline="") as file:
        return tuple(TableCell(**row) for row in csv.DictReader(file))


def methods_of(table: str, run: Iterable[str]) -> list[str]:
    """The methods, of those that are ``run``, whose results stand in a table."""
    named = {cell.method for cell in read_cells(table)}
    # typhon/classical and test-classical name a method to compare with.
    named |= {name for cell in read_cells(table) for name in compared(cell.measure)[1:]}
    return [name for name in run if name in named]


def with_histories(table: str, run: Iterable[str]) -> list[str]:
    """Those of the methods whose learning curves a table reads as well."""
    named = {cell.method for cell in read_cells(table) if needs_history(cell.measure)}
    return [name for name in run if name in named]


def needs_history(measure: str) -> bool:
    """Whether a measure comes from history.csv."""
    return measure.startswith(("best_", "test@"))


def with_challenge(table: str, run: Iterable[str]) -> list[str]:
    """Those of the methods whose score on the challenge's findings a table reads as well."""
    named = {cell.method for cell in read_cells(table) if cell.measure.startswith("challenge@")}
    return [name for name in run if name in named]


def compared(measure: str) -> list[str]:
    """A measure, and the method that it is compared with if there is one.

    >>> compared("test-classical"), compared("samples/hydra"), compared("test")
    (['test', 'classical'], ['samples', 'hydra'], ['test'])
    """
    return measure.replace("/", "-").split("-")


def digest() -> str:
    """Changes whenever a number does."""
    return hashlib.sha256(CELLS.read_bytes() + INCONSISTENCIES.read_bytes()).hexdigest()[:16]


def read_inconsistencies() -> list[dict[str, str]]:
    """Lines with number, source, where, printed, found and here."""
    with INCONSISTENCIES.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
