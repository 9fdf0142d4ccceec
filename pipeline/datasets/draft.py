"""A first table of a folder of images, for its user to complete: a row for each image, and each of its masks.

DICOM says whose an image is, what it shows, and on which series a SEG or RTSTRUCT was drawn. The label is the
user's, and so is the choice of the rows that are findings.
"""

import argparse
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from pipeline.cli import run_cli
from pipeline.datasets import Source
from pipeline.errors import ConfigError, EmptyError, InputError, NotImageError
from pipeline.files import write_csv
from pipeline.readers import index, stacks
from pipeline.readers.dicom import segmentations

log = logging.getLogger("typhon")

COLUMNS = (
    "image", "time", "mask", "mask_value", "patient_id", "finding_id", "label", "modality", "description",
    "study_date", "b_value", "slices", "columns", "rows", "spacing_mm", "thickness_mm",
)  # fmt: skip
"""Those of a table of findings, and what helps to choose the rows."""
NUMBER = "series_number"
"""Column of the index that says in which order the series of a study were taken."""

Masks = Mapping[str, Sequence[tuple[str, str]]]
"""By the UID of the series that they were drawn on: file and ``mask_value`` of each segment or ROI.

It is empty where a mask does not say.
"""


def rows(source: Source, masks: Masks) -> list[dict[str, Any]]:
    """A row for each picture, volume and DICOM series, or for each of its masks.

    They are sorted by patient, date, number of the series and name.

    A series is called by its folder if that holds nothing else, else by its UID.
    """
    dicoms = source.index[source.index["format"] == "dicom"]
    found = [row for stack in stacks.split(dicoms) for row in _of_stack(source, stack, masks)]
    others = source.index[source.index["format"] != "dicom"]
    found += [
        {"image": row["file"], "columns": _whole(row["columns"]), "rows": _whole(row["rows"]),
         "slices": _whole(row["slices"])}
        for _, row in others.iterrows()
    ]  # fmt: skip
    found.sort(key=_place)
    count: dict[str, int] = defaultdict(int)
    for row in found:
        patient = row.setdefault("patient_id", "")
        count[patient] += 1
        row["finding_id"] = count[patient] if patient else 1
    return [{name: row.get(name, "") for name in COLUMNS} for row in found]


def _place(row: Mapping[str, Any]) -> tuple[str, str, float, str]:
    """Where a row stands in the table."""
    whose, when = (str(row.get(name, "")) for name in ("patient_id", "study_date"))
    return whose, when, row.get(NUMBER, math.inf), row["image"]


def _of_stack(source: Source, stack: pd.DataFrame, masks: Masks) -> Iterator[dict[str, Any]]:
    first = stack.iloc[0]
    image, time = _called(source, stack)
    spacing = [f"{first[name]:.4g}" for name in ("spacing_column_mm", "spacing_row_mm") if first[name] > 0]
    row = {
        "image": image, "time": time, "patient_id": first["patient_id"], "modality": first["modality"],
        "description": first["series_description"], "study_date": first["study_date"], "slices": len(stack),
        NUMBER: math.inf if pd.isna(first[NUMBER]) else first[NUMBER],
        "b_value": _whole(first["b_value"]),
        "columns": _whole(first["columns"]), "rows": _whole(first["rows"]), "spacing_mm": " × ".join(spacing),
        "thickness_mm": f"{first['slice_thickness_mm']:.4g}" if first["slice_thickness_mm"] > 0 else "",
    }  # fmt: skip
    drawn = dict.fromkeys(mask for uid in stack["series_uid"].unique() for mask in masks.get(uid, ()))
    yield from [row | {"mask": file, "mask_value": value} for file, value in drawn] or [row]


def _called(source: Source, stack: pd.DataFrame) -> tuple[str, str]:
    """What a table calls a stack: image, and its time if the image has several."""
    first, uid = index.on_disk(stack.iloc[:1]).iloc[0], stack["series_uid"].iloc[0]
    names = (first, PurePosixPath(first).parent.as_posix(), uid)

    def shortest(rows: pd.DataFrame) -> str | None:
        return next((name for name in names if source.named(name).index.equals(rows.index)), None)

    if name := shortest(stack.sort_index()):
        return name, ""
    series = source.named(uid)
    if stacks.are_times(parts := stacks.split(series)):
        ordered = [part.index[0] for part in stacks.in_time(parts)]
        return shortest(series) or uid, str(ordered.index(stack.index[0]))
    return uid, ""


def _whole(number: float) -> str:
    return "" if pd.isna(number) else str(int(number))


def masks_of(raw: Path, files: Sequence[str]) -> tuple[Masks, list[InputError]]:
    """The masks among files without an image, and what is wrong with those that cannot be read."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    broken: list[InputError] = []
    for file in files:
        try:
            contents = segmentations.look(raw / file)
        except InputError as error:
            broken.append(error)
            continue
        if contents:
            for uid in contents.series or [""]:
                found[uid] += [(file, value) for value in contents.values]
    return found, broken


def main(argv: Sequence[str] | None = None) -> None:
    """List the images of a folder and the masks drawn on them, as a table of findings to complete."""
    parser = argparse.ArgumentParser(prog="./run draft", description=main.__doc__)
    parser.add_argument("raw", type=Path, help="folder of images; never written to")
    parser.add_argument("out", type=Path, help="a new table, such as findings.csv")
    parser.add_argument("--processes", type=int, default=4)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not args.raw.is_dir():
        found = "a file" if args.raw.exists() else "nothing of that name"
        raise ConfigError(found, file=args.raw, expected="a folder of images",
                          remedy="name the folder; unpack archives")  # fmt: skip
    if args.out.exists():
        raise ConfigError("one", file=args.out, expected="no such file yet", remedy="name a new table")
    if args.out.suffix.lower() != ".csv":
        raise ConfigError(f"{args.out.suffix or 'none'}", file=args.out, expected="the suffix .csv",
                          remedy="name a CSV, which Excel opens too")  # fmt: skip
    table, _, _, errors = index.build(args.raw, *index.nothing(), processes=args.processes)
    no_images = [error.file for error in errors if isinstance(error, NotImageError)]
    masks, broken = masks_of(args.raw, sorted(no_images))
    drafted = rows(Source("draft", args.raw, table, []), masks)
    for error in [*(error for error in errors if not isinstance(error, NotImageError)), *broken]:
        log.warning("%s", error)
    listed = {row["mask"] for row in drafted} - {""}
    for file in dict.fromkeys(file for drawn in masks.values() for file, _ in drawn if file not in listed):
        log.warning("%s: a mask of a series that is not in this folder, or that it does not name", file)
    called = Counter((row["image"], row["time"], row["mask"], row["mask_value"]) for row in drafted)
    for image in dict.fromkeys(name for (name, *_), count in called.items() if count > 1):
        log.warning("%s: several rows that a table cannot tell apart; name a frame, such as scan.dcm#3, or "
                    "export each stack as a series of its own", image)  # fmt: skip
    if not drafted:
        raise EmptyError("none", file=args.raw, expected="a readable image", remedy="name another folder")
    write_csv(args.out, COLUMNS, drafted)
    marked, patients = (
        sum(bool(row["mask"]) for row in drafted),
        {row["patient_id"] for row in drafted} - {""},
    )
    log.info(
        "%s: %d rows, %d of them with a mask; patients: %d", args.out, len(drafted), marked, len(patients)
    )
    log.info("Delete the rows that are not findings, fill in the labels, and name the table in your config")


if __name__ == "__main__":
    run_cli(main)
