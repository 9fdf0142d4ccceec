"""World (LPS, mm) ↔ pixel, and which slice of a series a point lies in (PS3.3 C.7.6.2.1.1).

A series is a table of index rows. Slices are ordered by their position along the normal, never by
InstanceNumber, which runs either way.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.errors import (
    DuplicatePositionError,
    GapError,
    InputError,
    MissingTagError,
    OrientationError,
    OutOfImageError,
)
from pipeline.readers.dicom import VECTOR_TAGS

POSITION = list(VECTOR_TAGS["ImagePositionPatient"])
ORIENTATION = list(VECTOR_TAGS["ImageOrientationPatient"])
SPACING = list(VECTOR_TAGS["PixelSpacing"])

ORIENTATION_TOLERANCE = 1e-3
"""Largest difference of direction cosines between slices that count as parallel."""
SPACING_TOLERANCE = 1e-3
"""Largest difference of pixel spacings of one series, in mm."""
STEP_TOLERANCE = 0.05
"""Share by which the steps of a regular stack may differ."""
POSITION_TOLERANCE_MM = 1e-2
"""Slices nearer than this are at the same position."""


@dataclass(frozen=True)
class Plane:
    """One slice in space: the centre of its first pixel, its two axes (unit vectors) and its grid.

    ``row`` points along a row (towards larger column indices), ``column`` down a column.
    """

    origin: np.ndarray
    row: np.ndarray
    column: np.ndarray
    spacing_column_mm: float
    spacing_row_mm: float
    columns: int
    rows: int

    @property
    def normal(self) -> np.ndarray:
        """Unit vector perpendicular to the slice: row × column."""
        return np.cross(self.row, self.column)

    def to_pixel(self, point: np.ndarray) -> tuple[float, float, float]:
        """Column, row (zero-based, pixel centres at integers) and distance along the normal in mm."""
        offset = np.asarray(point, float) - self.origin
        return (
            float(offset @ self.row / self.spacing_column_mm),
            float(offset @ self.column / self.spacing_row_mm),
            float(offset @ self.normal),
        )

    def to_world(self, column: float, row: float, distance_mm: float = 0.0) -> np.ndarray:
        """The point in mm (LPS) at a column and row, ``distance_mm`` along the normal."""
        return (
            self.origin
            + column * self.spacing_column_mm * self.row
            + row * self.spacing_row_mm * self.column
            + distance_mm * self.normal
        )

    def outside_mm(self, column: float, row: float) -> float:
        """How far a pixel position lies outside the image, in mm; 0 inside (edges are half a pixel out)."""
        over_columns = max(-0.5 - column, column - (self.columns - 0.5), 0.0) * self.spacing_column_mm
        over_rows = max(-0.5 - row, row - (self.rows - 0.5), 0.0) * self.spacing_row_mm
        return float(np.hypot(over_columns, over_rows))


def plane(instance: pd.Series) -> Plane:
    """The plane of one index row; raises MissingTagError where position, orientation or spacing is absent."""
    # One by one: pandas takes a millisecond to look up a list.
    numbers = np.array([instance[name] for name in POSITION + ORIENTATION + SPACING], float)
    if not np.isfinite(numbers).all():
        lacking = [tag for tag, names in VECTOR_TAGS.items() if instance[list(names)].isna().any()]
        raise MissingTagError("none", file=instance["file"], expected=f"tags {', '.join(lacking)}")
    row, column = numbers[3:6], numbers[6:9]
    if np.abs([row @ row - 1, column @ column - 1, row @ column]).max() > ORIENTATION_TOLERANCE:
        raise OrientationError(
            f"{row} and {column}", file=instance["file"], expected="two perpendicular unit vectors"
        )
    if numbers[9:].min() <= 0:
        raise MissingTagError(f"{numbers[9:]} mm", file=instance["file"], expected="a positive PixelSpacing")
    return Plane(
        origin=numbers[:3],
        row=row / np.linalg.norm(row),
        column=column / np.linalg.norm(column),
        spacing_row_mm=numbers[9],
        spacing_column_mm=numbers[10],
        columns=int(instance["columns"]),
        rows=int(instance["rows"]),
    )


def is_transverse(instance: pd.Series) -> bool:
    """Whether a slice's normal lies nearer to the patient's long axis than to the others.

    A slice without an orientation counts, so that whoever looks for its plane hears what is missing.
    """
    cosines = instance[ORIENTATION].to_numpy(float)
    normal = np.abs(np.cross(cosines[:3], cosines[3:]))
    return bool(np.isnan(cosines).any() or np.argmax(normal) == 2)


def ordered(series: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """The slices of a series sorted along the normal, and their positions along it in mm.

    Raises MissingTagError, OrientationError (slices not parallel or of several spacings or sizes) or
    DuplicatePositionError.
    """
    first = plane(series.iloc[0])
    numbers = series[POSITION + ORIENTATION + SPACING].to_numpy(float)
    for number in np.flatnonzero(~np.isfinite(numbers).all(axis=1)):
        plane(series.iloc[number])  # names the tags that this slice lacks
    file = series["file"].iloc[0]  # stands for the whole series
    if np.ptp(numbers[:, 3:9], axis=0).max() > ORIENTATION_TOLERANCE:
        raise OrientationError("several orientations", file=file)
    if np.ptp(numbers[:, 9:], axis=0).max() > SPACING_TOLERANCE:
        raise OrientationError("several pixel spacings", file=file)
    if len(series[["rows", "columns"]].drop_duplicates()) > 1:
        raise OrientationError("several image sizes", file=file)
    positions = numbers[:, :3] @ first.normal
    order = np.argsort(positions, kind="stable")
    positions = positions[order]
    close = np.flatnonzero(np.diff(positions) < POSITION_TOLERANCE_MM)
    if close.size:
        raise DuplicatePositionError(
            f"{close.size} at a position already taken, the first at {positions[close[0]]:.2f} mm",
            file=file,
        )
    return series.iloc[order], positions


def is_regular(positions: np.ndarray) -> bool:
    """Whether sorted positions along the normal (mm) lie at one distance, so that an index means a place."""
    steps = np.diff(positions)
    return not steps.size or bool(np.abs(steps - np.median(steps)).max() <= _slack(np.median(steps)))


def _slack(step: np.ndarray | float) -> np.ndarray:
    """By how much steps may differ and count as equal: headers round, tables move not quite evenly."""
    return np.asarray(STEP_TOLERANCE * np.asarray(step) + POSITION_TOLERANCE_MM)


def steps_meant(steps: np.ndarray) -> np.ndarray:
    """How far slices lie apart at each step of a stack, in mm, were none missing.

    A step that is longer than steps on both sides of it, or one alone at an end, has lost slices; where the
    spacing changes once and for all, nothing is missing.
    """
    if steps.size < 2:
        return steps
    before, after = steps.copy(), steps.copy()
    before[0], after[-1] = steps[:2].min(), steps[-2:].min()
    return np.maximum(np.minimum.accumulate(before), np.minimum.accumulate(after[::-1])[::-1])


def check_regular(positions: np.ndarray, file: str) -> None:
    """Raise GapError, and say what is true, where an index into a stack would not mean a place."""
    if is_regular(positions):
        return
    steps = np.diff(positions)
    meant = steps_meant(steps)
    gaps = np.flatnonzero(steps > meant + _slack(meant))
    if gaps.size:
        at = gaps[0]
        found = f"no slice between {positions[at]:.1f} and {positions[at + 1]:.1f} mm"
        raise GapError(
            f"{found}, where others are {meant[at]:.3g} mm apart", file=file,
            expected="slices that an index can count",
            remedy="download the missing slices, or give the point in mm",
        )  # fmt: skip
    raise GapError(
        f"a spacing that changes from {steps.min():.3g} to {steps.max():.3g} mm", file=file,
        expected="slices that an index can count", remedy="give the point in mm",
    )  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a point lies in a series: the index row of its slice, and its pixel position there."""

    instance: pd.Series
    plane: Plane
    column: float
    row: float
    distance_mm: float


def locate(series: pd.DataFrame, point: np.ndarray) -> Place:
    """The slice of a series that is nearest to ``point`` (mm, LPS), and the pixel position in it.

    A point belongs to the nearest slice of its stack, unless one is missing there; beyond the first and the
    last slice it may lie half a slice spacing, or half a lone slice's thickness.
    Raises OutOfImageError (with the distance in mm), GapError (a slice is missing there), MissingTagError
    or what :func:`ordered` raises.
    """
    slices, positions = ordered(series)
    here = float(np.asarray(point, float) @ plane(series.iloc[0]).normal)
    nearest = int(np.abs(positions - here).argmin())
    instance = slices.iloc[nearest]
    place = plane(instance)
    column, row, distance = place.to_pixel(point)
    thickness = _reach(positions, here) if len(slices) > 1 else float(instance["slice_thickness_mm"])
    if np.isnan(thickness):
        raise MissingTagError(
            "none", file=instance["file"], expected="tag SliceThickness in a series of one slice"
        )
    if abs(distance) > thickness / 2 + POSITION_TOLERANCE_MM:
        if positions[0] < here < positions[-1]:
            raise GapError(
                f"the nearest {abs(distance):.1f} mm away, where others are {thickness:.3g} mm apart",
                file=instance["file"],
                expected="a slice at the point",
            )
        raise OutOfImageError(
            f"one {abs(distance) - thickness / 2:.1f} mm beyond the slab", file=instance["file"]
        )
    outside = place.outside_mm(column, row)
    if outside:
        raise OutOfImageError(f"one {outside:.1f} mm outside the image", file=instance["file"])
    return Place(instance, place, column, row, distance)


def _reach(positions: np.ndarray, here: float) -> float:
    """Up to half of how many mm a point at ``here`` along the normal may lie from its slice."""
    steps = np.diff(positions)
    meant = steps_meant(steps)
    at = int(np.clip(np.searchsorted(positions, here) - 1, 0, len(steps) - 1))
    inside = positions[0] < here < positions[-1]
    # Between neighbours whose distance is as it should be, the nearest slice is the right one.
    return float(steps[at] if inside and steps[at] <= meant[at] + _slack(meant[at]) else meant[at])


def try_locate(series: pd.DataFrame, point: np.ndarray) -> Place | InputError:
    """:func:`locate`, with the reason in place of an exception, to choose among several series."""
    try:
        return locate(series, point)
    except InputError as error:
        return error
