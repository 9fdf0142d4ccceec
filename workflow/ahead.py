"""What can be told of all data sets before any job starts: their tables, labels, names and points.

Within seconds, without an image's pixels and without torch. What is found here would end a job after minutes
of others' work; what a job finds besides (volumes, DICOM series) is in ``skipped.csv``.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.classes import Classes
from pipeline.datasets import listed
from pipeline.errors import InputError, LabelError, OutOfImageError
from pipeline.readers import images, labels
from pipeline.readers.scan import scan
from workflow import columns, raw, side_collections
from workflow.config.collections import KINDS, classes_of, own_keys

MOST = 10
"""Faults of a data set that are named."""
MOST_OPENED = 200
"""Pictures whose size is read: a table with x and y swapped shows in the first."""


def faults(config: Mapping[str, Any]) -> str:
    """A line for each fault of the data sets of the experiment, the target's first; empty if there is none.

    Before them are columns that the config names and no table has.
    Of data that are there: not of phantoms, nor where the raw folder is gone since it was indexed.
    """
    if "phantom" in config:
        return ""
    lines = list(map(str, columns.faults(config)))
    for dataset in dict.fromkeys([config["target"], *config["datasets"], *side_collections.needed(config)]):
        found = list(of(config, dataset))
        lines += map(str, found[:MOST])
        if len(found) > MOST:
            lines.append(f"… and {len(found) - MOST} more in {dataset}")
    return "\n".join(lines)


def of(config: Mapping[str, Any], dataset: str) -> Iterator[InputError]:
    """The faults of one data set, those of its table as a whole before those of single rows."""
    folder, collection = raw.folder(config, dataset), config["collections"][dataset]
    files = [name for name, size, _ in scan(folder) if size >= 0] if folder.is_dir() else []
    try:
        if files and collection["kind"] == "table":
            yield from _table(folder, files, collection)
            if dataset == config["target"]:
                _check_split(config["split"], folder, files, collection)
        elif files and not Path(config["data"], dataset, "index.parquet").exists():
            yield from _published(folder, files, collection)
            if config["split"]["kind"] == "official":
                _check_lists(folder, files, collection)
    except InputError as error:
        yield error


def listed_in(folder: Path, files: Collection[str], collection: Mapping[str, Any]) -> listed.Listed:
    """What a user's own table or folders list; raises what :func:`listed.from_csv` raises."""
    if collection["folders"]:
        from pipeline.readers.index import is_document  # with all its readers, which a table does not need

        pictures = [file for file in files if not is_document(file)]
        options = (collection[key] for key in ("folders", "patient_pattern", "exclude"))
        return listed.from_folders(folder, pictures, *options)
    named = listed.headers(collection["columns"], collection["channels"])
    words, several, sized = (collection[key] for key in ("labels", "label_columns", "extent_column"))
    return listed.from_csv(folder, Path(collection["table"]), files, words, named, several or (), sized or "")


def _table(folder: Path, files: Collection[str], collection: Mapping[str, Any]) -> Iterator[InputError]:
    """The faults of a user's own data; those of single rows where ``max_skipped`` allows fewer."""
    found = listed_in(folder, files, collection)
    yield from found.problems
    if collection["folders"]:
        return
    path = folder / collection["table"]
    if not found.problems:
        yield from _lacking(path, found.table, classes_of(collection))
    rows = list(_rows(folder, path, found))
    if len(rows) > collection["max_skipped"]:
        yield from rows


def _check_split(
    split: Mapping[str, Any], folder: Path, files: Collection[str], collection: Mapping[str, Any]
) -> None:
    """Raise what is wrong with the column of the target's table that tells the split, if one does."""
    if split["column"] and collection["table"]:
        from pipeline.splits import given  # with all of a store, which other splits do not need

        path = folder / collection["table"]
        named = listed.headers(collection["columns"], collection["channels"])
        rows = given.read(path, folder, files, split["column"], named)
        given.places(rows, split["kind"], split["n"], path)


def _check_lists(folder: Path, files: Sequence[str], collection: Mapping[str, Any]) -> None:
    """Raise what is wrong with the lists of a collection that has some."""
    kind = KINDS[collection["kind"]]
    if official := getattr(kind, "official", None):
        from pipeline.splits import given  # with all of a store, which other splits do not need

        asked = kind.Options(**{key: collection[key] for key in own_keys(collection["kind"])})
        given.places(official(folder, files, asked), "official", 1, folder)


def _lacking(path: Path, table: pd.DataFrame, classes: Classes) -> Iterator[InputError]:
    """Classes of which there is no finding; labels that all findings have, or none."""
    if classes.two and table["label"].nunique() < 2:
        label, count = table["label"].iloc[0], len(table)
        yield LabelError(f"{label} alone ({count})", file=path, expected="findings of both labels, 0 and 1")
    elif classes.multilabel:
        for name, truth in zip(classes.names, classes.truth(table).T, strict=True):
            if not {0, 1} <= set(truth.tolist()):
                found = f"{int((truth == 1).sum())} with and {int((truth == 0).sum())} without"
                yield LabelError(found, file=path, expected=f"findings with and without {name}")
    elif none := [name for name, count in classes.counts(table).items() if not count]:
        yield LabelError(f"no {', no '.join(none)}", file=path, expected="findings of each class")


def _rows(folder: Path, path: Path, found: listed.Listed) -> Iterator[InputError]:
    """What is wrong with single rows: one fault of each."""
    sizes: dict[str, tuple[int, int] | None] = {}
    points = [name for name in (*listed.PIXELS, *listed.WORLD) if name in found.table.columns]
    for number, row in enumerate(found.table.to_dict("records")):
        if number in found.missing:
            error: InputError = found.missing[number]
            error.expected, error.file = f"{error.file!r} in the raw folder", str(path)
            yield error
            continue
        try:
            at = {name: labels.number(row[name], path) for name in points if row[name]}
            _check_inside(folder, row["image"], at, sizes)
        except InputError as error:
            error.file = str(path)
            error.found += f" in the row of {row['image']}, {row['finding_id']}"
            yield error


def _check_inside(
    folder: Path, image: str, at: Mapping[str, float], sizes: dict[str, tuple[int, int] | None]
) -> None:
    """Raise OutOfImageError where a point in pixels is negative or, in a picture, beyond its far sides."""
    for name in listed.PIXELS:
        if at.get(name, 0) < -0.5:
            raise OutOfImageError(f"{name} {at[name]:g}", expected=f"{name} of at least 0")
    if not {"x", "y"} <= at.keys():
        return
    if image not in sizes and len(sizes) < MOST_OPENED:
        sizes[image] = _size(folder / image)
    columns, rows = sizes.get(image) or (float("inf"), float("inf"))
    if at["x"] > columns - 0.5 or at["y"] > rows - 0.5:
        point = f"column {at['x']:g}, row {at['y']:g}"
        raise OutOfImageError(point, expected=f"a point in {columns} columns × {rows} rows")


def _size(path: Path) -> tuple[int, int] | None:
    """Columns and rows of a picture, from its header; None for other files, and for the index to tell."""
    try:
        with path.open("rb") as file:
            if not images.is_image(file.read(352)):
                return None
        header = images.read_header(path)
        return int(header["columns"]), int(header["rows"])
    except (OSError, InputError):
        return None


def _published(folder: Path, files: list[str], collection: Mapping[str, Any]) -> Iterator[InputError]:
    """Label files of the published collections that are not there, or lack a column."""
    if collection["kind"] == "brain":
        from pipeline.datasets import Source, brain  # with the library that finds heads

        brain.centres(Source("brain", folder, pd.DataFrame(), files))
        return
    from pipeline.download.labels import Needed, missing
    from pipeline.download.labels import files as label_files

    part = str(collection.get("part") or collection.get("version") or "")
    for row in label_files(Needed(collection["kind"], part, folder)):
        try:
            path = labels.find(files, row.file, folder)
        except InputError:
            yield missing(row, folder)
            continue
        try:
            if not row.columns:
                continue
            if path.suffix.lower() == ".xlsx":
                labels.read_xlsx(path, row.columns.split(";"))
            else:
                labels.read_table(path, row.columns.split(";"), brackets=True)
        except InputError as error:
            yield error
