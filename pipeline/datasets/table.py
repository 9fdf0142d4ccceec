"""A user's own data: a CSV of findings, or folders that carry the label.

The CSV has ``image, patient_id, finding_id, label`` and optionally a point: ``x, y, z`` (zero-based pixels,
z along the slice normal; voxel i, j, k of a volume) or ``x_mm, y_mm, z_mm`` (LPS, or RAS for NIfTI), and for
volumes of four dimensions ``time``, counted from 0. An image
is a picture (PNG, JPEG, TIFF …) or DICOM file, a folder with one DICOM series, or a volume (NIfTI, MetaImage,
NRRD). Without a point the centre of the image is taken and marked so (column ``centre`` of findings.csv).
"""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Ge, Lt, MaxLen, MinLen

from pipeline.classes import MOST, UNNAMED, Classes, as_cells
from pipeline.datasets import Findings, Source, instance_row, neighbours, pixel_row
from pipeline.datasets.listed import PIXELS, WORLD, Column, from_csv, from_folders, names_of
from pipeline.errors import (
    ConfigError,
    ImageMissingError,
    InputError,
    LabelError,
    NoCentreError,
    NoSeriesError,
    OutOfImageError,
    TimeError,
    UnplacedError,
)
from pipeline.readers import geometry, labels, stacks
from pipeline.readers.index import on_disk
from pipeline.readers.pixels import COLOURS
from pipeline.readers.volumes import RAS_TO_LPS, at_time, is_nifti, read_times

CLASSES = UNNAMED.names
EXTENT = "whole"
PAPER_EXTENT = "1/6 width"

Class = Annotated[int, Ge(0), Lt(MOST)]
"""The number of a class."""


@dataclass(frozen=True)
class Options:
    """Your own images, with a CSV of findings or with one folder per class."""

    table: Annotated[str, MinLen(1)] | None = None
    """CSV of findings (`image, patient_id, finding_id, label` and a point), relative to the raw folder or
    absolute"""
    labels: dict[str, Class] | None = None
    """with `table`, what its labels mean, if they are not 0 and 1 or words for them: `{B: 0, M: 1}`, or
    `{normal: 0, benign: 1, malignant: 2}`; every label of the table has to be among them, in any case of
    letters"""
    label_columns: Annotated[list[Annotated[str, MinLen(1)]], MinLen(2), MaxLen(MOST)] | None = None
    """with `table`, its columns of labels in place of `label`, if a finding may have several: `[mass,
    nodule]`; each cell is 0, 1 or a word for them, or empty if the label is unknown"""
    columns: Annotated[dict[Column, Annotated[str, MinLen(1)]], MinLen(1)] | None = None
    """with `table`, the names of its columns, if they are called otherwise: `{image: file, patient_id:
    case}`; one column may serve as two"""
    folders: dict[str, Class] | None = None
    """instead of a CSV, the label (0, 1 and so on) of all images in a folder of that name, at any depth"""
    exclude: str | None = None
    """with `folders`, a regular expression; files whose names match, such as masks, do not count as images"""
    patient_pattern: str | None = None
    """with `folders`, a regular expression whose first group, matched against the file name, is the patient;
    one with a / is matched against the path below the raw folder; without a pattern, patients are unknown,
    and near-duplicates form the groups"""
    extent_column: Annotated[str, MinLen(1)] | None = None
    """with `table`, its column that says how large the patch of each finding is, such as `40 mm` or `60 px`;
    a number alone has the unit at the end of the header, `size_mm`; for an empty cell, `extent` counts"""
    axis: Literal[0, 1, 2] | None = None
    """axis of a volume along which slices are taken; null is the last"""
    colour: Literal["rgb"] | None = None
    """`rgb` reads pictures in three channels, red, green and blue; null makes them grey"""
    neighbours: str | None = None
    """distance such as `3 mm`, for volumes and DICOM series: the slice of a finding and the slices at this
    distance on both sides become three channels"""

    def __post_init__(self) -> None:
        """Raise ConfigError, with the key as its file, for options that do not fit together."""
        neighbours.offsets(self.neighbours)
        if self.colour and self.neighbours:
            raise ConfigError(self.neighbours, file="neighbours", expected="nothing beside colour")
        if (self.table is None) == (self.folders is None):
            raise ConfigError("both or none", expected="either table or folders")
        for key, numbered in (("folders", self.folders), ("labels", self.labels)):
            if numbered is not None:
                self._check_numbers(key, numbered)
        if len(set(self.label_columns or ())) < len(self.label_columns or ()):
            raise ConfigError(
                json.dumps(self.label_columns), file="label_columns", expected="each column once"
            )
        for key in ("labels", "columns", "label_columns", "extent_column"):
            if self.folders and getattr(self, key):
                raise ConfigError("folders", file=key, expected="a table beside it")
        known: dict[str, int] = {}
        for name, label in (self.labels or {}).items():
            if known.setdefault(labels.word(name), label) != label:
                both = sorted([known[labels.word(name)], label])
                found = f"{both[0]} and {both[1]} for one word in two spellings"
                raise ConfigError(found, file=f"labels/{name}", expected="one of them")
        if self.patient_pattern is not None:
            self._check_pattern(self.patient_pattern)

    def _check_numbers(self, key: str, numbered: Mapping[str, int]) -> None:
        used = sorted(set(numbered.values()))
        shown = json.dumps(numbered, ensure_ascii=False)
        if used in ([0], [1]) or (self.label_columns and used != [0, 1]):
            raise ConfigError(shown, file=key, expected="both labels, 0 and 1")
        if used != list(range(len(used))):
            raise ConfigError(shown, file=key, expected="classes counted from 0, none left out")

    def _check_pattern(self, pattern: str) -> None:
        error = functools.partial(ConfigError, file="patient_pattern")
        if self.folders is None:
            raise error(pattern, expected="nothing beside table, which has patient_id")
        try:
            groups = re.compile(pattern).groups
        except re.error as why:
            raise error(f"{pattern}: {why}", expected="a regular expression") from None
        if groups != 1:
            raise error(pattern, expected="one group in brackets, the patient")


def classes(options: Options) -> Classes:
    """The columns of labels; or the classes, called by the first word for each."""
    if options.label_columns:
        return Classes(tuple(options.label_columns), multilabel=True)
    words = options.labels or options.folders
    if not words:
        return UNNAMED
    return Classes(tuple(next(word for word in words if words[word] == n) for n in sorted({*words.values()})))


def point_of(row: pd.Series, names: tuple[str, ...]) -> np.ndarray | None:
    """The numbers in these columns, NaN for an empty one, or None if all are empty or absent."""
    cells = [str(row.get(name, "")).strip() for name in names]
    if not any(cells):
        return None
    return np.array([labels.number(cell, Path(row["image"])) if cell else np.nan for cell in cells])


def _check_inside(column: float, row: float, columns: int, rows: int) -> None:
    if not (-0.5 <= column <= columns - 0.5 and -0.5 <= row <= rows - 0.5):
        raise OutOfImageError(
            f"column {column:g}, row {row:g}", expected=f"a point in {columns} columns × {rows} rows"
        )


def _needed(point: np.ndarray, count: int) -> np.ndarray:
    missing = [name for name, value in zip(PIXELS, point[:count], strict=False) if np.isnan(value)]
    if missing:
        names = " and ".join(PIXELS[:count])
        raise NoCentreError(f"no {' and no '.join(missing)}", expected=names, remedy="fill it in")
    return point[:count]


def _in_image(image: pd.Series, pixel: np.ndarray | None, world: np.ndarray | None) -> dict[str, Any]:
    if world is not None:
        raise NoCentreError(
            "x_mm", expected="x and y in pixels: the image has no scale", remedy="fill in x and y"
        )
    size = np.array([image["columns"], image["rows"]])
    column, row = (size - 1) / 2 if pixel is None else _needed(pixel, 2)
    _check_inside(column, row, *map(int, size))
    return {"file": image["file"], **pixel_row(column, row)}


def in_series(series: pd.DataFrame, pixel: np.ndarray | None, world: np.ndarray | None) -> dict[str, Any]:
    """The same in one DICOM series: at a pixel (column, row, slice along the normal), at a point in mm (LPS).

    Without either it is the middle of the middle slice. Raises OutOfImageError and what geometry.locate
    raises.
    """
    if world is not None:
        place = geometry.locate(series, _needed(world, 3))
        return instance_row(place.instance) | pixel_row(place.column, place.row, place.distance_mm)
    if len(series) == 1:
        instance, distance = series.iloc[0], 0.0
        if pixel is not None and abs(pixel[2]) > 0.5:
            raise OutOfImageError(f"z {pixel[2]:g}", expected="z 0 in a series of one slice")
    else:
        along, positions = geometry.ordered(series)
        if pixel is not None:
            geometry.check_regular(positions, along["file"].iloc[0])
        depth = (len(along) - 1) / 2 if pixel is None else float(_needed(pixel, 3)[2])
        if not -0.5 <= depth <= len(along) - 0.5:
            raise OutOfImageError(f"z {depth:g}", expected=f"z from 0 to {len(along) - 1}")
        number = min(max(round(depth), 0), len(along) - 1)
        instance = along.iloc[number]
        distance = float(np.interp(depth, np.arange(len(along)), positions) - positions[number])
    size = np.array([instance["columns"], instance["rows"]])
    column, row = (size - 1) / 2 if pixel is None else _needed(pixel, 2)
    _check_inside(column, row, *map(int, size))
    return instance_row(instance) | pixel_row(column, row, distance)


def _whole(cell: str, path: Path) -> int:
    value = labels.number(cell, path)
    if value != int(value):
        raise LabelError(repr(cell), file=path, expected="a whole number", remedy="correct the cell")
    return int(value)


def _at(series: list[pd.DataFrame], time: int, name: str) -> pd.DataFrame:
    if not 0 <= time < len(series):
        raise TimeError(f"time {time}", file=name, expected=f"a time from 0 to {len(series) - 1}")
    return series[time]


def _in_volume(
    source: Source,
    image: pd.Series,
    pixel: np.ndarray | None,
    world: np.ndarray | None,
    axis: int,
    time: str,
) -> dict[str, Any]:
    path = source.raw / image["file"]
    volumes = read_times(path)
    # A column of that name may mean something else: it counts where there are several times.
    when = _whole(time, path) if time and len(volumes) > 1 else None
    volume = at_time(volumes, when, path)
    shape = np.array(volume.voxels.shape)
    if world is not None:
        if not volume.placed:
            raise UnplacedError(
                "sform_code and qform_code 0", file=image["file"],
                expected="a volume that says where it lies",
                remedy="give x, y and z, in voxels, in place of x_mm, y_mm and z_mm",
            )  # fmt: skip
        point = np.append(_needed(world, 3), 1.0)
        if is_nifti(image["file"]):
            point = RAS_TO_LPS @ point
        voxel = np.linalg.solve(volume.affine, point)[:3]
    else:
        voxel = (shape - 1) / 2 if pixel is None else _needed(pixel, 3)
    if not ((voxel >= -0.5) & (voxel <= shape - 0.5)).all():
        raise OutOfImageError(
            f"voxel {np.round(voxel, 1).tolist()}", expected=f"a point in {shape.tolist()} voxels"
        )
    across, down = (i for i in range(3) if i != axis)
    index = int(np.clip(round(voxel[axis]), 0, shape[axis] - 1))
    spacing = volume.spacing_mm
    return {
        "file": image["file"],
        "slice": f"{axis}:{index}" + ("" if when is None else f":{when}"),
        "spacing_column_mm": f"{spacing[across]:.9g}",
        "spacing_row_mm": f"{spacing[down]:.9g}",
    } | pixel_row(voxel[across], voxel[down], (voxel[axis] - index) * spacing[axis])


def _choice(series: Sequence[pd.DataFrame]) -> str:
    """What to do about several series in a folder: which to name, if each has a folder of its own."""
    files = [sorted(set(on_disk(each))) for each in series]
    if all(len(each) == 1 for each in files) and len(set().union(*files)) == len(series):
        return "name a file, in a row for each that is meant"
    folders = [{PurePosixPath(file).parent.name for file in each} for each in files]
    if len(set().union(*folders)) < len(series) or any(len(each) > 1 for each in folders):
        return "give each a folder of its own, and name that"
    # Without the folders above, which may be called as people: a reason is also on pages to pass on.
    listed = sorted(
        f"{folder} ({each['series_description'].iloc[0] or 'no description'}, images: {len(each)})"
        for each, (folder,) in zip(series, folders, strict=True)
    )
    more = f" and {len(listed) - labels.MOST_SHOWN} more" if len(listed) > labels.MOST_SHOWN else ""
    return f"name the folder of one: {', '.join(listed[: labels.MOST_SHOWN])}{more}"


def locate(source: Source, row: pd.Series, axis: int) -> dict[str, Any]:
    """Where a row of a table lies: the cells of findings.csv that say which slice, and which point of it.

    Of the row ``image`` counts, relative to the raw folder ("." is the folder itself), and its point.
    Its millimetres are LPS, but RAS for NIfTI.
    """
    pixel, world = point_of(row, PIXELS), point_of(row, WORLD)
    name = str(PurePosixPath(row["image"]))
    found = source.named(name)
    if found.empty:
        raise ImageMissingError("no readable file of that name", file=name)
    kind = found["format"].iloc[0]
    if kind == "dicom":
        series = stacks.split(found)
        time = str(row.get("time", "")).strip()
        if time and len(series) > 1 and stacks.are_times(series):
            return in_series(_at(stacks.in_time(series), _whole(time, Path(name)), name), pixel, world)
        if len(series) > 1:
            raise NoSeriesError(
                stacks.difference(series), file=name, expected="one series of one contrast in the folder",
                remedy="say which in the column time, counted from 0"
                if stacks.are_times(series)
                else _choice(series),
            )  # fmt: skip
        return in_series(series[0], pixel, world)
    if len(found) > 1:
        raise NoSeriesError(
            f"a folder with {len(found)} images", file=name, expected="one file, or a DICOM series",
            remedy="name the file",
        )  # fmt: skip
    if kind == "volume":
        time = str(row.get("time", "")).strip()
        return _in_volume(source, found.iloc[0], pixel, world, axis, time)
    return _in_image(found.iloc[0], pixel, world)


def on_channels(
    source: Source, image: str, cells: dict[str, Any], channels: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """What :func:`locate` gives, for each of the channels of a table: colours, neighbouring slices, or one.

    Raises NoSeriesError where a picture has no neighbours, or what is no picture no colours.
    """
    if tuple(channels) != COLOURS:
        apart = neighbours.of_channels(channels) or dict.fromkeys(channels, 0.0)
        return {name: neighbours.moved(source, image, cells, mm) for name, mm in apart.items()}
    if cells.get("slice") or cells.get("series_uid"):
        raise NoSeriesError("a volume or DICOM", file=image, expected="a picture, for its colours",
                            remedy="leave colour out, or these images")  # fmt: skip
    return {name: {**cells, "slice": name} for name in COLOURS}


def find(source: Source, options: Options) -> Findings:
    """Locate every row of the table, or every image below the labelled folders."""
    result = Findings()
    files = sorted(on_disk(source.index).unique())
    if options.table is not None:
        columns = {str(name): header for name, header in (options.columns or {}).items()}
        several = options.label_columns or ()
        sized = options.extent_column or ""
        listed = from_csv(
            source.raw, Path(options.table), files, options.labels, columns, several, sized
        ).found()
    else:
        folders = options.folders or {}
        listed = from_folders(source.raw, files, folders, options.patient_pattern, options.exclude).found()
    axis = 2 if options.axis is None else options.axis
    table = as_cells(listed.table)
    of_labels = classes(options).label_columns
    channels = COLOURS if options.colour else tuple(neighbours.offsets(options.neighbours))
    # An image whose patient nobody knows stands for itself, until near-duplicates are looked for.
    names = names_of(table)
    for (patient_id, finding_id, person), (number, row) in zip(
        names.itertuples(index=False), table.iterrows(), strict=True
    ):
        case = {"patient_id": patient_id, "finding_id": finding_id, "channel": channels[0]}
        try:
            if number in listed.missing:
                raise listed.missing[number]
            cells = locate(source, row, axis)
            each = on_channels(source, row["image"], cells, channels)
        except InputError as error:
            error.file = error.file or row["image"]
            result.leave_out(error, **case)
            continue
        marked = point_of(row, PIXELS) is not None or point_of(row, WORLD) is not None
        group = {"group_id": patient_id if person else "", "centre": "given" if marked else "image"}
        marks = {**group, **row[of_labels].to_dict()}
        if options.extent_column:
            marks["extent"] = row["extent"]
        result.rows += [{**case, "channel": name, **marks, **own} for name, own in each.items()]
    return result
