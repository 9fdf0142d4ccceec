"""Index a raw folder: every file is opened once and known by its content, never by its name.

``index.parquet`` holds a row per DICOM instance, image or volume, sorted by SOP Instance UID and file.
``files.parquet`` beside it remembers size and time of each file, so that the next run reads only what
is new or changed. Documents (CSV, XLSX …) and DICOM without an image are listed with their digest in the
index's metadata: a changed label file or mask changes the index, and with it everything that depends on it.
"""

import argparse
import functools
import itertools
import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.cli import run_cli
from pipeline.errors import (
    DuplicateUidError,
    EmptyError,
    ImageMissingError,
    InputError,
    LimitError,
    NotDicomError,
    NotImageError,
    StoreError,
    UnreadableError,
)
from pipeline.files import SKIPPED_COLUMNS, atomic, sha256, skip, write_csv
from pipeline.pool import parallel
from pipeline.provenance import code
from pipeline.readers import dicom, formats, images, volumes
from pipeline.readers.dicom import frames, quick
from pipeline.readers.names import is_uid
from pipeline.readers.scan import file_state, scan
from pipeline.system import of_system

log = logging.getLogger("typhon")

DOCUMENTS = {
    ".csv", ".tsv", ".xlsx", ".xls", ".docx", ".pdf", ".txt", ".md", ".xml", ".html", ".json", ".zip",
    ".tar", ".tgz", ".log", ".ini", ".db", ".lnk", ".tcia", ".s5cmd", ".yaml", ".yml", ".doc", ".rtf", ".odt",
    ".ods", ".ppt", ".pptx", ".py", ".ipynb", ".r", ".m", ".mat", ".sh", ".bat", ".bval", ".bvec", ".aae",
    ".mov", ".mp4", ".avi",
}  # fmt: skip
"""Suffixes of files that come with a download and are no images."""
TEXT = ("file", "format", *dicom.TEXT_TAGS, "image_type")
SCREENSHOT = re.compile(r"ProstateX-\d+-Finding\d+-.+\.bmp", re.IGNORECASE)
"""Names of the official screenshots of PROSTATEx: what verify looks at, and no images of a data set."""
DOCUMENT_NAMES = {"LICENSE", "README", "DICOMDIR"}
NUMBERS = (
    *dicom.NUMBER_TAGS,
    *(name for names in dicom.VECTOR_TAGS.values() for name in names),
    "b_value",
    "frame",
    "slices",
)
COLUMNS = [*TEXT, *NUMBERS]
STATE = {"file": "str", "size": "int64", "mtime_ns": "int64"}
CHUNK = 256
ROWS_AT_ONCE = 4096


def is_document(name: str) -> bool:
    """Whether a file is no image by its suffix; hidden files and licences count as documents."""
    name = name.rpartition("/")[2]
    stem, _, suffix = name.rpartition(".")
    stem, suffix = (stem, f".{suffix.lower()}") if stem and suffix else (name, "")
    return (
        name.startswith(".")
        or suffix in DOCUMENTS
        or stem.upper() in DOCUMENT_NAMES
        or (suffix == ".gz" and is_document(stem))
        or (suffix == ".bmp" and SCREENSHOT.fullmatch(name) is not None)
    )


def images_in(files: Iterable[str], raw: Path) -> list[str]:
    """Those of the files below ``raw`` that may be images: no documents, and no raw files of a header."""
    others = [file for file in files if not is_document(file)]
    of_headers = volumes.raw_files(others, raw)
    return [file for file in others if file not in of_headers]


def read_row(file: str, raw: Path) -> dict[str, Any] | InputError:
    """What the header of one file says, or why it cannot be read; ``file`` is relative to ``raw``."""
    path = Path(f"{raw}/{file}")  # which takes less than to join them
    try:
        size, _ = file_state(path)
        if size < 0:
            raise UnreadableError("a dangling link, a closed folder, a pipe or a name that is no UTF-8")
        with path.open("rb", buffering=0) as opened:
            start = opened.read(quick.FIRST)
            row = quick.read_row(start, opened, size)
        if row is not None:
            return {"file": file, "format": "dicom", **row}
        start = start[:352]
        if dicom.is_dicom(start):
            return {"file": file, "format": "dicom", **dicom.read_header(path)}
        if images.is_image(start):
            return {"file": file, "format": "image", **images.read_header(path)}
        if volumes.is_volume(start, file):
            return {"file": file, "format": "volume", **volumes.read_header(path)}
        raise formats.unknown(path, start)
    except OSError as error:
        return UnreadableError(str(error.strerror), file=file)
    except InputError as error:
        return type(error)(error.found, file=file, expected=error.expected, remedy=error.remedy)
    except Exception as error:  # whatever else an odd file may do, it costs its own row alone
        return NotDicomError(f"an unreadable file ({type(error).__name__}: {error})", file=file)


def lost(file: str) -> LimitError:
    """What is listed of a file that ended the process which read it."""
    return LimitError("the end of the process that read it", file=file)


def _digest(file: str, raw: Path) -> str | InputError:
    try:
        return sha256(raw / file)
    except OSError as error:
        return UnreadableError(str(error.strerror), file=file)


def _merge_duplicates(table: pd.DataFrame, raw: Path) -> tuple[pd.DataFrame, list[InputError]]:
    """Keep one of several files with one SOP Instance UID if they are the same, none if they differ."""
    twice = table.duplicated(["sop_instance_uid", "frame"], keep=False)
    repeated = table[(table["format"] == "dicom") & twice].assign(file=on_disk)
    drop: list[Any] = []
    errors: list[InputError] = []
    for uid, copies in repeated.groupby("sop_instance_uid"):
        if len({_digest(file, raw) for file in copies["file"].unique()}) == 1:
            drop.extend(copies.index[copies["file"] != copies["file"].iloc[0]])
        else:
            drop.extend(copies.index)
            errors += [
                DuplicateUidError(f"different files with {uid}", file=file)
                for file in copies["file"].unique()
            ]
    return table.drop(index=drop) if drop else table, errors


def _sorted(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all parts in the order of the index. The parts lose their columns.

    It goes column by column, since a table and its sorted copy would take twice the memory.
    """
    keys = ["sop_instance_uid", "frame", "file"]
    order = pd.concat([part[keys] for part in parts], ignore_index=True).sort_values(keys).index
    return pd.DataFrame(
        {name: pd.concat([part.pop(name) for part in parts]).array.take(order) for name in COLUMNS}
    )


def build(
    raw: Path, known: pd.DataFrame, states: pd.DataFrame, digests: dict[str, str], *, processes: int
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str], list[InputError]]:
    """Index ``raw``, reading only files whose size or time differ from ``states``.

    ``known`` and ``digests`` are the index and the documents of the last time. Returns the index, the
    states of all files, the digests of the documents, and the errors.
    """
    found = pd.DataFrame(scan(raw), columns=list(STATE)).astype(STATE)
    unchanged = set(found.merge(states, on=list(STATE))["file"])
    files = found["file"][found["file"].isin(images_in(found["file"], raw))]
    if files.empty:
        raise EmptyError("none", file=raw, expected="image files")
    errors: list[InputError] = []
    kept = known[on_disk(known).isin(unchanged)]
    fresh = files[~files.isin(set(on_disk(kept)))].tolist()
    log.info("%s: %d files, %d of them new or changed", raw, len(files), len(fresh))
    read = functools.partial(read_row, raw=raw)
    results = parallel(read, fresh, processes=processes, label="reading headers", chunk=CHUNK, lost=lost)
    tables = [kept]
    # A table takes a fraction of the memory of its rows as dictionaries.
    while rows := list(itertools.islice(results, ROWS_AT_ONCE)):
        remark(rows)
        errors += [row for row in rows if isinstance(row, InputError)]
        tables.append(as_table([row for row in rows if not isinstance(row, InputError)]))
    documents: dict[str, str] = {}
    # What holds no image may be the mask of one, such as DICOM SEG.
    others = [error.file for error in errors if isinstance(error, NotImageError)]
    for file in [*found["file"].drop(files.index), *others]:
        if Path(file).name.startswith("."):
            continue
        digest = digests[file] if file in unchanged and file in digests else _digest(file, raw)
        if isinstance(digest, InputError):
            errors.append(digest)
        else:
            documents[file] = digest
    table, conflicts = _merge_duplicates(_sorted([part for part in tables if len(part)] or tables[:1]), raw)
    return table.reset_index(drop=True), found, documents, errors + conflicts


def most_frequent(errors: Sequence[InputError], most: int = 3) -> str:
    """The commonest codes, each with how often, and the first file and reason."""
    first = {error.code: error for error in reversed(errors)}
    counts = Counter(error.code for error in errors).most_common(most)
    return "; ".join(
        f"{count} × {code} such as {first[code].file}, {first[code].reason}" for code, count in counts
    )


def on_disk(table: pd.DataFrame) -> pd.Series:
    """The file of each row of an index, without the number of its frame."""
    files, framed = table["file"].copy(), table["frame"].notna()
    files[framed] = [file.rpartition("#")[0] for file in files[framed]]
    return files


def _of_frames(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of the frames of a file, called ``file#1``, ``file#2`` …, or the row of a plain one."""
    if "frames" not in row:
        yield row
    for number, one in enumerate(row.get("frames", ())):
        yield {"format": row["format"], **one, "file": frames.called(row["file"], number)}


def remark(rows: Iterable[dict[str, Any] | InputError]) -> None:
    """Say what readers note about files that they read: that there is more in one, or that it is odd."""
    for row in rows:
        if isinstance(row, dict) and "note" in row:
            log.info("%s: %s", row["file"], row["note"])


def as_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows of :func:`read_row` as a table: text is never null, a missing number is NaN."""
    each = [one for row in rows for one in _of_frames(row)]
    texts = {name: pd.array([one.get(name) or "" for one in each], dtype=str) for name in TEXT}
    numbers = {name: np.array([one.get(name) for one in each], float) for name in NUMBERS}
    return pd.DataFrame({**texts, **numbers})


@functools.lru_cache(maxsize=1)
def _read_folder(
    folder: Path,
    files: tuple[tuple[str, int, int], ...],  # noqa: ARG001  (as long as they are the same)
) -> tuple[pd.DataFrame, list[InputError]]:
    """The index of a folder, and what cannot be read; kept for the next series of a table of cases."""
    table, _, _, errors = build(folder, *nothing(), processes=1)
    return table, errors


def look(path: Path) -> tuple[Path, pd.DataFrame, list[InputError]]:
    """Index one file, that of a frame, a folder, or a series that its UID names in its folder; write nothing.

    Returns its raw folder, its index, and what cannot be read.

    Raises ImageMissingError where there is nothing of that name, and the first error where nothing can be
    read.
    """
    if path.is_dir():
        table, _, _, errors = build(path, *nothing(), processes=1)
        raw = path
    elif (file := frames.named(path)[0]).exists():
        raw, row = path.parent, read_row(file.name, path.parent)
        remark([row])
        table, errors = (as_table([]), [row]) if isinstance(row, InputError) else (as_table([row]), [])
    elif is_uid(path.name) and path.parent.is_dir():
        raw, (table, errors) = path.parent, _read_folder(path.parent, tuple(scan(path.parent)))
        table = table[table["series_uid"] == path.name].reset_index(drop=True)
        if table.empty:
            raise ImageMissingError("no series of that UID", file=path.name, remedy="correct the UID")
    else:
        raise ImageMissingError("nothing of that name", file=path, remedy="correct the name")
    if table.empty:
        raise next((error for error in errors if not isinstance(error, NotImageError)), errors[0])
    return raw, table, errors


def look_at(folder: Path, names: Iterable[str]) -> tuple[Path, pd.DataFrame, list[InputError]]:
    """The same of several files or folders, each called as ``names`` does, relative to ``folder``."""
    tables, errors = [], []
    for name in dict.fromkeys(names):
        raw, table, wrong = look(folder / name)
        above = PurePosixPath(name) if raw == folder / name else PurePosixPath(name).parent
        tables.append(table.assign(file=[(above / file).as_posix() for file in table["file"]]))
        errors += wrong
    return folder, pd.concat(tables).drop_duplicates("file").reset_index(drop=True), errors


def read_index(path: str | Path) -> pd.DataFrame:
    """The index as a table: text is never null, a missing number is NaN; raises StoreError if damaged."""
    try:
        return pq.read_table(path, page_checksum_verification=True).to_pandas()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        if isinstance(error, OSError) and (told := of_system(error, path)):
            raise told from error
        raise StoreError(str(error).splitlines()[0], file=path, expected="a whole index") from error


def documents(path: str | Path) -> dict[str, str]:
    """Relative path → SHA-256 of every document that lay in the raw folder."""
    return dict(json.loads(pq.read_schema(path).metadata[b"documents"]))


def _readers() -> bytes:
    """A digest of the code that reads headers: rows of other readers are not kept."""
    return code(*(module.__name__ for module in (dicom, frames, quick, images, volumes))).encode()


def nothing() -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """An empty index, no file states and no documents."""
    return as_table([]), pd.DataFrame(columns=list(STATE)).astype(STATE), {}


def _previous(index: Path, files: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """The last run's index, file states and documents; empty ones where absent, damaged or outdated."""
    try:
        if pq.read_schema(index).metadata[b"readers"] == _readers():
            return read_index(index), read_index(files), documents(index)
        log.info("%s was written by other readers: reading all files again", index)
    except (InputError, OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        pass
    return nothing()


def _write(path: Path, table: pd.DataFrame, metadata: dict[bytes, bytes]) -> None:
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    with atomic(path) as beside:
        arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **metadata})
        pq.write_table(arrow, beside, write_page_checksum=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the headers of a raw folder into ``index.parquet``."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.readers.index", description=main.__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="folder of the downloads; never written to")
    parser.add_argument(
        "--out", type=Path, required=True, help="index.parquet; rows of unchanged files are kept"
    )
    parser.add_argument("--files", type=Path, required=True, help="files.parquet: size and time of each file")
    parser.add_argument("--skipped", type=Path, required=True, help="skipped/index.csv")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    previous = _previous(args.out, args.files)
    table, found, digests, errors = build(args.raw, *previous, processes=args.processes)
    if table.empty:
        # The skipped table of a failed job does not outlive it, so the message says it all.
        raise EmptyError(f"none: {most_frequent(errors)}", file=args.raw, expected="a readable image",
                         remedy="see what these files are, and whether this is the right folder")  # fmt: skip
    write_csv(
        args.skipped,
        SKIPPED_COLUMNS,
        [
            skip("index", error, kind="excluded" if isinstance(error, NotImageError) else "failed")
            for error in sorted(errors, key=lambda error: error.file)
        ],
    )
    _write(args.files, found, {})
    _write(
        args.out, table, {b"documents": json.dumps(digests, sort_keys=True).encode(), b"readers": _readers()}
    )
    log.info(
        "%s: %d images of %d patients, %d left out",
        args.raw,
        len(table),
        table["patient_id"].replace("", None).nunique(),
        len(errors),
    )


if __name__ == "__main__":
    run_cli(main)
