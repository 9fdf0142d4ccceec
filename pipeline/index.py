"""Index a raw folder: every file is opened once and known by its content, never by its name.

``index.parquet`` holds a row per DICOM instance, image or volume, sorted by SOP Instance UID and file.
``files.parquet`` beside it remembers size and time of each file, so that the next run reads only what
is new or changed. Documents (CSV, XLSX …) are listed with their digest in the index's metadata: a changed
label file changes the index, and with it everything that depends on it.
"""

import argparse
import functools
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import dicom, images, volumes
from pipeline.errors import DuplicateUidError, EmptyError, InputError, NotDicomError, NotImageError, run_cli
from pipeline.files import SKIPPED_COLUMNS, atomic, sha256, skip, write_csv
from pipeline.pool import parallel

log = logging.getLogger("typhon")

DOCUMENTS = {
    ".csv", ".tsv", ".xlsx", ".xls", ".docx", ".pdf", ".txt", ".md", ".xml", ".html", ".json", ".zip", ".gz", ".raw",
}  # fmt: skip
"""Suffixes of files that come with a download and are no images; .raw belongs to its .mhd."""
TEXT = ("file", "format", *dicom.TEXT_TAGS, "image_type")
NUMBERS = (*dicom.NUMBER_TAGS, *(name for names in dicom.VECTOR_TAGS.values() for name in names), "b_value", "slices")
COLUMNS = [*TEXT, *NUMBERS]
CHUNK = 256


def is_document(name: str) -> bool:
    """Whether a file is no image by its suffix; hidden files and licences count as documents."""
    path = Path(name)
    if path.name.lower().endswith(".nii.gz"):
        return False
    return path.name.startswith(".") or path.suffix.lower() in DOCUMENTS or path.stem.upper() in ("LICENSE", "DICOMDIR")


def scan(raw: Path) -> Iterator[tuple[str, int, int]]:
    """Every file below ``raw``, links followed: its path relative to it, its size and time (ns), sorted."""
    for folder, folders, files in os.walk(raw, followlinks=True):
        folders.sort()
        for name in sorted(files):
            path = Path(folder, name)
            state = path.stat()
            yield path.relative_to(raw).as_posix(), state.st_size, state.st_mtime_ns


def read_row(file: str, raw: Path) -> dict[str, Any] | InputError:
    """What the header of one file says, or why it cannot be read; ``file`` is relative to ``raw``."""
    path = raw / file
    try:
        with path.open("rb") as opened:
            start = opened.read(352)
        if dicom.is_dicom(start):
            return {"file": file, "format": "dicom", **dicom.read_header(path)}
        if images.is_image(start):
            return {"file": file, "format": "image", **images.read_header(path)}
        if volumes.is_volume(start, file):
            return {"file": file, "format": "volume", **volumes.read_header(path)}
        raise NotDicomError(f"{len(start)} bytes of something else" if start else "an empty file")
    except InputError as error:
        return type(error)(error.found, file=file, expected=error.expected, remedy=error.remedy)


def _merge_duplicates(table: pd.DataFrame, raw: Path) -> tuple[pd.DataFrame, list[InputError]]:
    """Keep one of several files with one SOP Instance UID if they are the same, none if they differ."""
    repeated = table[(table["format"] == "dicom") & table.duplicated("sop_instance_uid", keep=False)]
    drop: list[Any] = []
    errors: list[InputError] = []
    for uid, copies in repeated.groupby("sop_instance_uid"):
        if len({sha256(raw / file) for file in copies["file"]}) == 1:
            drop.extend(copies.index[1:])
        else:
            drop.extend(copies.index)
            errors += [DuplicateUidError(f"different files with {uid}", file=file) for file in copies["file"]]
    return table.drop(index=drop), errors


def build(
    raw: Path, known: pd.DataFrame, states: pd.DataFrame, *, processes: int
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str], list[InputError]]:
    """Index ``raw``, reading only files whose size or time differ from ``states``.

    Returns the index, the states of all image files, the digests of the documents, and the errors.
    """
    found = pd.DataFrame(scan(raw), columns=["file", "size", "mtime_ns"])
    document = found["file"].map(is_document).to_numpy(bool)
    digests = {file: sha256(raw / file) for file in found["file"][document] if not Path(file).name.startswith(".")}
    found = found[~document]
    if found.empty:
        raise EmptyError("none", file=raw, expected="image files")
    unchanged = found.merge(states, on=["file", "size", "mtime_ns"])["file"]
    kept = known[known["file"].isin(set(unchanged))]
    fresh = found["file"][~found["file"].isin(set(kept["file"]))].tolist()
    log.info("%s: %d files, %d of them new or changed", raw, len(found), len(fresh))
    rows, errors = [], []
    read = functools.partial(read_row, raw=raw)
    for row in parallel(read, fresh, processes=processes, label="reading headers", chunk=CHUNK):
        if isinstance(row, InputError):
            errors.append(row)
        else:
            rows.append(row)
    table = pd.concat([kept, _table(rows)]) if rows else kept
    table = table.sort_values(["sop_instance_uid", "file"], ignore_index=True)
    table, conflicts = _merge_duplicates(table, raw)
    return table.reset_index(drop=True), found, digests, errors + conflicts


def _table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows), columns=COLUMNS)
    table[list(TEXT)] = table[list(TEXT)].astype(object).fillna("").astype(str)
    table[list(NUMBERS)] = table[list(NUMBERS)].astype(float)
    return table


def read_index(path: str | Path) -> pd.DataFrame:
    """The index as a table: text is never null, a missing number is NaN."""
    return pd.read_parquet(path)


def documents(path: str | Path) -> dict[str, str]:
    """Relative path → SHA-256 of every document that lay in the raw folder."""
    return dict(json.loads(pq.read_schema(path).metadata[b"documents"]))


def _readers() -> bytes:
    """A digest of the code that reads headers: rows of other readers are not kept."""
    sources = sorted(Path(str(module.__file__)) for module in (dicom, images, volumes))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest().encode()


def _previous(index: Path, files: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The last run's index and file states; empty ones where they are absent, damaged or outdated."""
    try:
        if pq.read_schema(index).metadata[b"readers"] == _readers():
            return read_index(index), pd.read_parquet(files)
        log.info("%s was written by other readers: reading all files again", index)
    except (OSError, pa.ArrowInvalid, KeyError, TypeError):
        pass
    return _table([]), pd.DataFrame({"file": pd.Series(dtype=str), "size": [], "mtime_ns": []})


def _write(path: Path, table: pd.DataFrame, metadata: dict[bytes, bytes]) -> None:
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    with atomic(path) as beside:
        pq.write_table(arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **metadata}), beside)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the headers of a raw folder into ``index.parquet``."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.index", description=main.__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="folder of the downloads; never written to")
    parser.add_argument("--out", type=Path, required=True, help="index.parquet; rows of unchanged files are kept")
    parser.add_argument("--files", type=Path, required=True, help="files.parquet: size and time of each file")
    parser.add_argument("--skipped", type=Path, required=True, help="skipped/index.csv")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    known, states = _previous(args.out, args.files)
    table, found, digests, errors = build(args.raw, known, states, processes=args.processes)
    write_csv(
        args.skipped,
        SKIPPED_COLUMNS,
        [
            skip("index", error, kind="excluded" if isinstance(error, NotImageError) else "failed")
            for error in sorted(errors, key=lambda error: error.file)
        ],
    )
    _write(args.files, found, {})
    _write(args.out, table, {b"documents": json.dumps(digests, sort_keys=True).encode(), b"readers": _readers()})
    log.info("%s: %d images of %d patients, %d left out", args.raw, len(table), table["patient_id"].nunique(), len(errors))


if __name__ == "__main__":
    run_cli(main)
