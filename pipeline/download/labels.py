"""Label files: those of ``config/labels.csv`` that are there are checked, those with an address are fetched.

A file counts as there wherever it lies below the raw folder, as for the steps that read it. Nothing that is
there is ever replaced: a file that is not the published one may be somebody's work.
"""

import argparse
import csv
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.cli import run_cli
from pipeline.download.http import PassingError, Patience, again, save
from pipeline.errors import ChecksumError, InputError, NetError, RawMissingError
from pipeline.files import atomic, sha256
from pipeline.provenance import ROOT
from pipeline.readers import labels
from pipeline.readers.scan import scan

log = logging.getLogger("typhon")

FILES = ROOT / "config" / "labels.csv"
MOST_BYTES = 20_000_000
"""Far more than any label file has."""


class LabelFile(NamedTuple):
    """A row of ``config/labels.csv``: a file of a kind and part of a data set, and how one comes by it."""

    kind: str
    part: str
    file: str
    sha256: str
    columns: str
    url: str
    by_hand: str


class Needed(NamedTuple):
    """The label files of one part of a data set belong into this raw folder."""

    kind: str
    part: str
    raw: Path


def files(needed: Needed) -> list[LabelFile]:
    """The label files of a kind and part; those without a part belong to every part."""
    with FILES.open(encoding="utf-8", newline="") as file:
        rows = [LabelFile(**row) for row in csv.DictReader(file)]
    return [row for row in rows if row.kind == needed.kind and row.part in ("", needed.part)]


def place(row: LabelFile, raw: Path) -> Path | None:
    """Where below ``raw`` the steps find the file, None where it is not there."""
    try:
        return labels.find((name for name, size, _ in scan(raw) if size >= 0), row.file, raw)
    except RawMissingError:
        return None


def check(row: LabelFile, path: Path) -> None:
    """Raise ChecksumError unless the file is the published one; where that is not known, ColumnError.

    ColumnError names the columns that the table lacks. A list without a heading has none to look at.
    """
    if not row.sha256 and not row.columns:
        return
    if not row.sha256:
        labels.read_table(path, row.columns.split(";"), brackets=True)
    elif (found := sha256(path)) != row.sha256:
        expected = f"{row.file} with SHA-256 {row.sha256}"
        remedy = "" if row.url else f"remove the file; {row.by_hand}"
        raise ChecksumError(f"SHA-256 {found}", file=path, expected=expected, remedy=remedy)


def fetch(row: LabelFile, raw: Path, patience: Patience) -> Path:
    """Fetch a file to ``raw``, which appears when it is right; raises NetError, or one that may pass."""

    def once() -> Path:
        with atomic(raw / row.file) as beside:
            save(row.url, beside, most=MOST_BYTES, patience=patience)
            try:
                check(row, beside)
            except InputError as error:
                raise PassingError(error.found, file=row.url, expected=error.expected) from error
        return raw / row.file

    return again(once, patience)


def missing(row: LabelFile, raw: Path, found: str = "no such file") -> RawMissingError:
    """What to say where a file has to be put there by hand."""
    return RawMissingError(found, file=raw, expected=row.file, remedy=row.by_hand)


def by_hand(needed: Sequence[Needed]) -> Iterator[RawMissingError]:
    """One for each file that is not there and that no address gives."""
    for one in needed:
        for row in files(one):
            if not row.url and place(row, one.raw) is None:
                yield missing(row, one.raw)


def provide(needed: Sequence[Needed], patience: Patience) -> list[InputError]:
    """Check what is there and fetch what is not; returns what remains to be done by hand."""
    problems: list[InputError] = []
    for one in needed:
        for row in files(one):
            path = place(row, one.raw)
            try:
                if path is not None:
                    check(row, path)
                    log.info("%s: there and right", path)
                elif row.url:
                    log.info("%s: fetched from %s", fetch(row, one.raw, patience), row.url)
                else:
                    problems.append(missing(row, one.raw))
            except NetError as error:
                problems.append(missing(row, one.raw, f"none, nor at {error.file} ({error.found})"))
            except InputError as error:
                problems.append(error)
    return problems


def main(argv: Sequence[str] | None = None) -> None:
    """Check the label files of data sets and fetch those that are not there."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.download.labels", description=main.__doc__)
    parser.add_argument(
        "--data-set", nargs=3, action="append", required=True, metavar=("KIND", "PART", "RAW"),
        help="kind and part of a data set ('' for none), and its raw folder; may come several times",
    )  # fmt: skip
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    problems = provide([Needed(kind, part, Path(raw)) for kind, part, raw in args.data_set], Patience())
    for problem in problems[:-1]:
        log.error("%s", problem)
    if problems:
        raise problems[-1]


if __name__ == "__main__":
    run_cli(main)
