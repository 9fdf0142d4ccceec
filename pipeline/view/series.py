"""A DICOM series as a stack: by geometry, b-values and repeated positions apart as times."""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.readers import geometry
from pipeline.readers.pixels import read_pixels
from pipeline.view.stacks import Sheets, Stack, Voxels, instance_name

log = logging.getLogger("typhon")


def of_files(name: str, files: Sequence[Path], captions: Sequence[str], unit: str = "") -> Sheets:
    """Slices that share no grid, one per file, with a caption each."""
    read = functools.lru_cache(maxsize=4)(lambda number: read_pixels(files[number]).values)
    return Sheets(
        name, len(files), lambda number, _: read(number), lambda number, _: captions[number],
        files=files, unit=unit,
    )  # fmt: skip


def split_times(series: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The times of a series: one per b-value, and one per round where positions come again.

    Raises MissingTagError or OrientationError where the series has no geometry.
    """
    normal = geometry.plane(series.iloc[0]).normal
    parts = []
    for b_value, group in series.groupby("b_value", dropna=False):
        group = group.sort_values(["acquisition_number", "instance_number"])
        along = np.round(group[geometry.POSITION].to_numpy(float) @ normal / geometry.POSITION_TOLERANCE_MM)
        rounds = group.groupby(along).cumcount().to_numpy()
        for number in range(rounds.max() + 1):
            words = [f"b {b_value:g}"] if b_value == b_value else []
            words += [f"time {number}"] if rounds.max() else []
            parts.append((", ".join(words), group[rounds == number]))
    return parts


def of_series(series: pd.DataFrame, raw: Path) -> Stack:
    """A DICOM series (rows of an index) in the order of its geometry.

    Where it has none that holds for all its slices, in the order of InstanceNumber; the log says why. A
    slice that cannot be read is blank; if none can, the first one's error is raised.
    """
    first = series.iloc[0]
    name = first["series_description"] or first["modality"] or first["file"]
    unit = "HU" if first["modality"] == "CT" else ""
    try:
        parts = [(words, *geometry.ordered(part)) for words, part in split_times(series)]
        geometry.ordered(series.drop_duplicates(geometry.POSITION))  # one grid for all times
    except InputError as error:
        log.warning("in the order of InstanceNumber, because not in that of a geometry: %s", error)
        rows = series.sort_values(["instance_number", "file"])
        files = [raw / file for file in rows["file"]]
        names = [f"instance {number:.0f}" for number in rows["instance_number"]]
        return of_files(name, files, names, unit)
    keys = [np.round(positions / geometry.POSITION_TOLERANCE_MM) for *_, positions in parts]
    levels = np.unique(np.concatenate(keys))
    shape = int(first["columns"]), int(first["rows"]), len(levels), len(parts)
    values = np.full(shape, np.nan, "f4")
    origins = np.empty((len(levels), 3))
    names_of: dict[str, tuple[int, int]] = {}
    captions: dict[tuple[int, int], str] = {}
    errors = []
    for time, ((_, rows, _), key) in enumerate(zip(parts, keys, strict=True)):
        for level, (_, row) in zip(np.searchsorted(levels, key), rows.iterrows(), strict=True):
            k = int(level)
            origins[k] = row[geometry.POSITION].to_numpy(float)
            names_of[instance_name(row)] = k, time
            number, word = row["frame"], "frame"
            if number != number:
                number, word = row["instance_number"], "instance"
            captions[k, time] = f"{word} {number:.0f}"
            try:
                values[:, :, k, time] = read_pixels(raw / row["file"]).values.T
            except InputError as error:
                errors.append(error)
    if len(errors) == len(series):
        raise errors[0]
    if errors:
        log.warning("%d of %d slices cannot be read and are blank: %s", len(errors), len(series), errors[0])
    plane = geometry.plane(first)
    between = float(np.median(np.diff(levels))) * geometry.POSITION_TOLERANCE_MM if len(levels) > 1 else 1.0
    spacing = np.array([plane.spacing_column_mm, plane.spacing_row_mm, between])
    steps = np.stack([plane.row, plane.column], axis=1) * spacing[:2]
    times = tuple(words for words, *_ in parts)
    return Voxels(name, values, spacing, times, steps, origins, unit, names_of, captions=captions)
