"""What was downloaded into a raw folder: each file with its size and SHA-256, to resume and to check.

``manifest.csv`` is there when a download is whole; ``.manifest.csv`` as long as it is not.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import StoreError
from pipeline.files import read_csv, sha256, write_csv

NAME, UNFINISHED = "manifest.csv", ".manifest.csv"


class Entry(NamedTuple):
    """A file, relative to the raw folder; its size in bytes; the series that it belongs to."""

    file: str
    size: int
    sha256: str
    series_uid: str


def read(raw: Path) -> dict[str, Entry]:
    """The entries of a raw folder by file, those of an interrupted download included.

    Raises StoreError where such a file is somebody else's.
    """
    entries = {}
    for path in (raw / NAME, raw / UNFINISHED):
        if not path.exists():
            continue
        table = read_csv(path)
        if tuple(table.columns) != Entry._fields:
            raise StoreError(
                f"columns {', '.join(table.columns)}", file=path, expected=", ".join(Entry._fields),
                remedy="call your own file otherwise: a download writes its manifest there",
            )  # fmt: skip
        for file, size, digest, uid in table.itertuples(index=False, name=None):
            entries[file] = Entry(file, int(size), digest, uid)
    return entries


def write(raw: Path, entries: Iterable[Entry], *, whole: bool) -> None:
    """Write the manifest, sorted; a ``whole`` one replaces that of a download under way."""
    rows = [entry._asdict() for entry in sorted(entries)]
    write_csv(raw / (NAME if whole else UNFINISHED), Entry._fields, rows)
    if whole:
        (raw / UNFINISHED).unlink(missing_ok=True)


def holds(raw: Path, entry: Entry) -> bool:
    """Whether a file is there and is what it was when it was downloaded."""
    path = raw / entry.file
    return path.is_file() and path.stat().st_size == entry.size and sha256(path) == entry.sha256
