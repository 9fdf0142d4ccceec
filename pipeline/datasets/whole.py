"""Collections of pictures each of which is one finding: nothing says where, so the point is the middle."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from pipeline.datasets import Findings, Source, pixel_row
from pipeline.errors import UnlabelledError
from pipeline.patches import reduced


class Picture(NamedTuple):
    """A picture of the raw folder."""

    file: str
    columns: float
    rows: float


def listed(source: Source, names: Iterable[str], result: Findings, parts: int = 1) -> dict[str, Picture]:
    """The pictures at hand, by the last ``parts`` of their paths; leaves out those that no list has."""
    found = pictures(source.index, parts)
    for name in sorted(found.keys() - set(names)):
        error = UnlabelledError("an image that no list has", file=found[name].file)
        result.leave_out(error, kind="excluded")
    return found


def official(images: pd.DataFrame) -> pd.DataFrame:
    """Where each finding belongs by the ``list`` that has it: ``train`` trains, and ``valid`` tests."""
    place = images["list"].map({"train": "train", "valid": "test"})
    return images[["patient_id", "finding_id"]].assign(place=place)


def pictures(index: pd.DataFrame, parts: int = 1) -> dict[str, Picture]:
    """The pictures of an index by the last ``parts`` of their paths; of several the first."""
    table = index[index["format"] == "image"].sort_values("file")
    found: dict[str, Picture] = {}
    for picture in map(Picture._make, zip(table["file"], table["columns"], table["rows"], strict=True)):
        found.setdefault(tail(picture.file, parts), picture)
    return found


def tail(path: str, parts: int) -> str:
    """The last ``parts`` of a path.

    >>> tail("MURA-v1.1/train/XR_HAND/a.png", 2)
    'XR_HAND/a.png'
    """
    return "/".join(PurePosixPath(path).parts[-parts:])


def row(
    case: dict[str, str], picture: Picture, marks: dict[str, int], width: int | None = None
) -> dict[str, Any]:
    """The row of findings.csv of a picture of a known patient, kept at most ``width`` wide.

    ``marks`` are its label columns.
    """
    where = {"group_id": case["patient_id"], "centre": "image", "file": picture.file}
    columns, rows = reduced.size(picture.columns, picture.rows, width)
    return {**case, **where, **marks, **pixel_row((columns - 1) / 2, (rows - 1) / 2)}
