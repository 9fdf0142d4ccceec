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
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt, MaxLen, MinLen

from pipeline.classes import MOST, UNNAMED, Classes, as_cells
from pipeline.datasets import Findings, Source, neighbours, places
from pipeline.datasets.listed import Column, from_csv, from_folders, headers, names_of
from pipeline.errors import ConfigError, InputError
from pipeline.readers import labels
from pipeline.readers.index import on_disk
from pipeline.readers.pixels import COLOURS

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
    mask_extent: Annotated[float, Gt(0)] | None = None
    """with masks, how many times as long as the longer side of its mask each patch is, such as 1.5; for a
    finding without a mask, `extent` counts"""
    axis: Literal[0, 1, 2] | None = None
    """axis of a volume along which slices are taken; null is the last"""
    colour: Literal["rgb"] | None = None
    """`rgb` reads pictures in three channels, red, green and blue; null makes them grey"""
    neighbours: str | None = None
    """distance such as `3 mm`, for volumes and DICOM series: the slice of a finding and the slices at this
    distance on both sides become three channels"""
    channels: Annotated[list[Annotated[str, MinLen(1)]], MinLen(2)] | None = None
    """with `table`, its columns of images that become the channels of a finding, in place of `image`: `[t2,
    adc]`; the point is in the first, the others are cut at the same place"""

    def __post_init__(self) -> None:
        """Raise ConfigError, with the key as its file, for options that do not fit together."""
        neighbours.offsets(self.neighbours)
        given = [key for key in ("colour", "neighbours", "channels") if getattr(self, key)]
        if len(given) > 1:
            raise ConfigError(str(getattr(self, given[1])), file=given[1],
                              expected=f"nothing beside {given[0]}")  # fmt: skip
        for key in ("label_columns", "channels"):
            named = getattr(self, key) or ()
            if len(set(named)) < len(named):
                raise ConfigError(json.dumps(named), file=key, expected="each column once")
        if self.channels:
            self._check_channels(self.channels)
        if self.extent_column and self.mask_extent:
            raise ConfigError(
                str(self.mask_extent), file="mask_extent", expected="nothing beside extent_column"
            )
        if (self.table is None) == (self.folders is None):
            raise ConfigError("both or none", expected="either table or folders")
        for key, numbered in (("folders", self.folders), ("labels", self.labels)):
            if numbered is not None:
                self._check_numbers(key, numbered)
        for key in ("labels", "columns", "label_columns", "extent_column", "channels", "mask_extent"):
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

    def _check_channels(self, names: Sequence[str]) -> None:
        if odd := [name for name in names if name in COLOURS or "=" in name or not places.are_images(names)]:
            raise ConfigError(odd[0], file="channels", expected=f"columns not called {', '.join(COLOURS)}, as"
                              " distances in mm, or with a sign of equality")  # fmt: skip
        if "image" in (self.columns or ()):
            raise ConfigError(
                "image", file="columns", expected="no image: channels names the columns of images"
            )

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


def channels_of(options: Options) -> tuple[str, ...]:
    """What the channels of a finding are called."""
    if options.colour:
        return COLOURS
    return tuple(options.channels or neighbours.offsets(options.neighbours))


def find(source: Source, options: Options) -> Findings:
    """Locate every row of the table, or every image below the labelled folders."""
    result = Findings()
    files = sorted(on_disk(source.index).unique())
    if options.table is not None:
        columns = headers(options.columns, options.channels)
        several = options.label_columns or ()
        sized = options.extent_column or ""
        listed = from_csv(
            source.raw, Path(options.table), files, options.labels, columns, several, sized, source.documents
        ).found()
    else:
        folders = options.folders or {}
        listed = from_folders(source.raw, files, folders, options.patient_pattern, options.exclude).found()
    axis = 2 if options.axis is None else options.axis
    table = as_cells(listed.table)
    of_labels = classes(options).label_columns
    channels = channels_of(options)
    # An image whose patient nobody knows stands for itself, until near-duplicates are looked for.
    names = names_of(table)
    for (patient_id, finding_id, person), (number, row) in zip(
        names.itertuples(index=False), table.iterrows(), strict=True
    ):
        case = {"patient_id": patient_id, "finding_id": finding_id, "channel": channels[0]}
        try:
            if number in listed.missing:
                raise listed.missing[number]
            mask = places.mask_of(source, row, axis)
            each = places.locate(source, row, axis, channels, mask)
            if options.mask_extent:
                row["extent"] = places.extent_of_mask(mask, options.mask_extent)
        except InputError as error:
            error.file = error.file or row["image"]
            result.leave_out(error, **case)
            continue
        group = {"group_id": patient_id if person else "", "centre": places.centre_of(row)}
        marks = {**group, **row[of_labels].to_dict()}
        if options.extent_column or options.mask_extent:
            marks["extent"] = row["extent"]
        result.rows += [{**case, "channel": name, **marks, **own} for name, own in each.items()]
    return result
