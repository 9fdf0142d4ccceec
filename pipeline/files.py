"""Files that appear whole or not at all, and tables whose cells are text to every program that opens them."""

import csv
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from pipeline.errors import InputError, TableError
from pipeline.system import UNSUPPORTED, locate

EXTENT = "extent"
"""A further column of findings.csv, where a user's table says how large the patch of each finding is."""
FINDING_COLUMNS = (
    "patient_id", "group_id", "finding_id", "label", "channel", "study_uid", "series_uid",
    "sop_instance_uid", "file", "column", "row", "spacing_column_mm", "spacing_row_mm",
    "plane_distance_mm", "slice", "centre", "group_kind",
)  # fmt: skip
SKIPPED_COLUMNS = ("step", "kind", "patient_id", "finding_id", "channel", "file", "code", "reason")

_RUN = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
"""How a cell begins that a spreadsheet would run (CWE-1236), apostrophes before it or not."""
_MARKED = f"^'(?={_RUN.pattern})"
NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; on success it is synced and takes the final name.

    The name beside is always the same, so that what a crash left is overwritten by the next try.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        yield beside
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    except BaseException as error:
        if isinstance(error, OSError):
            locate(error, path)
        beside.unlink(missing_ok=True)
        raise
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except PermissionError:
        return  # a folder may be closed to readers and open to writers
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(folder)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give a folder beside ``path`` to fill; on success it takes the final name, free or an empty folder."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.part")
    shutil.rmtree(beside, ignore_errors=True)  # what a crash left
    beside.mkdir(parents=True)
    try:
        yield beside
        beside.replace(path)
    except BaseException as error:
        if isinstance(error, OSError):
            locate(error, path)
        shutil.rmtree(beside, ignore_errors=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")


def write_csv(path: str | Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write ``rows`` under ``columns`` with Unix line ends, atomically; a missing key is empty.

    Ids, descriptions and file names come from outside: see ``defused``. ``read_csv`` gives them back.
    """
    columns = list(columns)
    with atomic(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(_Unix(file), columns, restval="", lineterminator="\r\n")
        writer.writerow({name: defused(name) for name in columns})
        writer.writerows({name: defused(value) for name, value in row.items()} for row in rows)


class _Unix:
    """A file whose lines end in a line feed; told of both ends, csv quotes a cell that has either in it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line.removesuffix("\r\n") + "\n")


def read_csv(path: str | Path) -> pd.DataFrame:
    """One of our own tables with every cell as text: ids like ``0005`` stay what they are.

    Raises TableError if it is damaged.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, csv.Error) as error:  # pandas' own errors are among them
        raise TableError(str(error), file=path) from error
    table.columns = table.columns.str.replace(_MARKED, "", regex=True)
    for name in table.columns:
        if table[name].str.startswith("'").any():
            table[name] = table[name].str.replace(_MARKED, "", regex=True)
    return table


def typed(table: pd.DataFrame, kinds: Mapping[str, type], path: str | Path) -> pd.DataFrame:
    """One of our own tables with columns of these types; raises TableError where one is not."""
    try:
        return table.astype(dict(kinds))
    except (KeyError, ValueError, OverflowError) as error:
        names = (name if kind is str else f"{name} (a number)" for name, kind in kinds.items())
        expected = f"the columns {', '.join(names)}"
        raise TableError(str(error).strip("\"'"), file=path, expected=expected) from error


def defused(cell: Any) -> Any:
    """A cell that no spreadsheet runs: an apostrophe before text that begins as a formula and is no number.

    Text that has one there already gets another, so that nothing is lost.

    >>> defused("=1+1"), defused("'=1+1"), defused("-4.5"), defused(-4.5), defused("a=b")
    ("'=1+1", "''=1+1", '-4.5', -4.5, 'a=b')
    """
    runs = isinstance(cell, str) and _RUN.match(cell) and not NUMBER.fullmatch(cell)
    return f"'{cell}" if runs else cell


def restored(cell: str) -> str:
    """A cell as it was before :func:`defused`.

    >>> restored("'=1+1"), restored("''=1+1"), restored("'s")
    ('=1+1', "'=1+1", "'s")
    """
    return re.sub(_MARKED, "", cell) if cell[:1] == "'" else cell


def skip(step: str, error: InputError, *, kind: str = "failed", **case: str) -> dict[str, str]:
    """The row of a ``skipped`` table for a case (patient_id, finding_id, channel, file) left out."""
    return {
        "file": error.file,
        **case,
        "step": step,
        "kind": kind,
        "code": error.code,
        "reason": error.reason,
    }


def sha256(path: str | Path) -> str:
    """The hexadecimal SHA-256 digest of a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
