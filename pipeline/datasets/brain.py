"""Kaggle brain MRI: JPEG and PNG in folders ``yes`` and ``no``, without patients, centres from a CSV.

Centres come in two forms: one row per image and annotator (kaggle_file, source, cx, cy), or the thesis'
table (PatientID, Nodule Center Position, fid, Diagnosis). An image without a lesion has no centre. Taking
the middle of the head would give the label away by geometry, so its centre is drawn from where the lesions
lie relative to their heads (``no_lesion_centre="matched"``).
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)
from annotated_types import Ge

from pipeline.datasets import Findings, Source, pixel_row
from pipeline.errors import ColumnError, InputError, LabelError, NoCentreError
from pipeline.readers import labels
from pipeline.readers.pixels import read_pixels
from pipeline.seeds import stream

FOLDERS = {"yes": 1, "no": 0}
ANNOTATOR_COLUMNS = ("kaggle_file", "source", "cx", "cy")
THESIS_COLUMNS = ("PatientID", "Nodule Center Position")
CLASSES = ("no tumour", "tumour")
EXTENT = "15/56 side"
PAPER_EXTENT = "2/7 width, 1/4 height"

Point = tuple[float, float]


@dataclass(frozen=True)
class Options:
    """The Kaggle brain MRI images, folders `yes` and `no`, with a CSV of lesion centres."""

    no_lesion_centre: Literal["matched", "head"] = "matched"
    """centre of the patch in images without a lesion: drawn from the offsets of lesions (matched), or the
    centre of the head, which gives the label away (head)"""
    seed: Annotated[int, Ge(0)] = 0
    """random seed of the matched centres"""


def _annotators(table: pd.DataFrame, path: Path) -> dict[str, Point]:
    """Mean over the annotators of the first centre that each gives for an image."""
    table = table.assign(
        name=[PurePosixPath(file).name.casefold() for file in table["kaggle_file"]],
        annotator=table["source"].str.replace(r" \d+$", "", regex=True),  # "… polygon 1" is a second lesion
        cx=[labels.number(cell, path) for cell in table["cx"]],
        cy=[labels.number(cell, path) for cell in table["cy"]],
    ).drop_duplicates(["name", "annotator"])
    mean = table.groupby("name")[["cx", "cy"]].mean()
    return {str(name): (float(x), float(y)) for name, x, y in mean.itertuples()}


def _thesis(table: pd.DataFrame, path: Path) -> dict[str, Point]:
    """Mean centre by PatientID, which is the file name without its suffix."""
    points: dict[str, list[Point]] = {}
    for name, cell in zip(table["PatientID"], table["Nodule Center Position"], strict=True):
        match = re.fullmatch(r"\(?\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*\)?", cell)
        if cell and not match:
            raise LabelError(repr(cell), file=path, expected="a position such as (120, 84)")
        if match:  # an image without a lesion has an empty cell
            points.setdefault(name.casefold(), []).append(
                (labels.number(match[1], path), labels.number(match[2], path))
            )
    return {name: tuple(np.mean(found, axis=0)) for name, found in points.items()}


def centres(source: Source) -> dict[str, Point]:
    """Zero-based (column, row) by file name or stem, lower-case, from the first CSV of a known form.

    Raises ColumnError where no CSV has the columns of one of the two forms.
    """
    seen = []
    for name in sorted(file for file in source.documents if file.lower().endswith(".csv")):
        path = source.raw / name
        table = labels.read_table(path, [], numbers=["cx", "cy"])
        if set(ANNOTATOR_COLUMNS) <= set(table.columns):
            return _annotators(table, path)
        if set(THESIS_COLUMNS) <= set(table.columns):
            return _thesis(table, path)
        seen.append(name)
    forms = f"a CSV of centres with columns {', '.join(ANNOTATOR_COLUMNS)} or {', '.join(THESIS_COLUMNS)}"
    raise ColumnError(f"CSV files: {', '.join(seen) or 'none'}", file=source.raw, expected=forms)


def head_box(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre (column, row) and half size of the head: the box of the largest bright part (Otsu)."""
    bright = sitk.OtsuThreshold(sitk.GetImageFromArray(values), 0, 1)
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(bright), sortByObjectSize=True)
    rows, columns = np.nonzero(sitk.GetArrayFromImage(parts) == 1)
    if not rows.size:
        rows, columns = (np.array([0, side - 1]) for side in values.shape)
    low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
    return (low + high) / 2, np.maximum((high - low) / 2, 1.0)


def _images(source: Source) -> pd.DataFrame:
    """Images below a folder yes or no; the archive holds the set twice, of which the first is taken."""
    index = source.index[source.index["format"] == "image"]
    paths = [PurePosixPath(file) for file in index["file"]]
    table = index.assign(
        folder=[path.parent.name.casefold() for path in paths],
        name=[path.name for path in paths],
        depth=[len(path.parts) for path in paths],
    )
    table = table[table["folder"].isin(FOLDERS)].sort_values(["depth", "file"])
    return table.drop_duplicates(["folder", "name"]).sort_values("file", ignore_index=True)


def find(source: Source, options: Options) -> Findings:
    """One finding per image: at the annotated centre, or at a centre for an image without a lesion."""
    result = Findings()
    known = centres(source)
    table = _images(source)
    rows, heads, offsets = [], {}, []
    for image in table.itertuples():
        path = PurePosixPath(image.file)
        label = FOLDERS[image.folder]
        case = {
            "patient_id": str(path.relative_to(path.parent.parent)),
            "finding_id": "1",
            "channel": "image",
        }
        point = known.get(path.name.casefold(), known.get(path.stem.casefold()))
        try:
            if label and point is None:
                raise NoCentreError("none for this image", file=image.file)
            middle, half = head_box(read_pixels(source.raw / image.file).values)
        except InputError as error:
            error.file = image.file
            result.leave_out(error, **case)
            continue
        if label and point is not None:
            offsets.append((np.array(point) - middle) / half)
        heads[image.file] = (middle, half)
        rows.append((case, image, label, point))
    for case, image, label, point in rows:
        centre = "given"
        if point is None:
            middle, half = heads[image.file]
            centre = options.no_lesion_centre if offsets else "head"
            draw = stream("no_lesion_centre", options.seed, case["patient_id"]).integers(max(len(offsets), 1))
            point = tuple(middle + half * offsets[draw]) if centre == "matched" else tuple(middle)
        column = float(np.clip(point[0], 0, image.columns - 1))
        row = float(np.clip(point[1], 0, image.rows - 1))
        result.rows.append(
            {**case, "group_id": "", "label": label, "centre": centre, "file": image.file}
            | pixel_row(column, row)
        )
    return result
