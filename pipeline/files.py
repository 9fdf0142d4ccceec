"""Files that appear whole or not at all, and the two kinds of tables made of them."""

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import InputError

FINDING_COLUMNS = (
    "patient_id", "group_id", "finding_id", "label", "channel", "study_uid", "series_uid",
    "sop_instance_uid", "file", "column", "row", "spacing_column_mm", "spacing_row_mm",
    "plane_distance_mm", "slice", "centre",
)  # fmt: skip
SKIPPED_COLUMNS = ("step", "kind", "patient_id", "finding_id", "channel", "file", "code", "reason")


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
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and not error.filename:
            error.filename = str(path)  # a full disk does not say which file it has no room for
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")


def write_csv(path: str | Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write ``rows`` under ``columns`` with Unix line ends, atomically; a missing key is empty."""
    with atomic(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: str | Path) -> pd.DataFrame:
    """One of our own tables with every cell as text: ids like ``0005`` stay what they are."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


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
