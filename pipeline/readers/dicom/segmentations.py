"""Masks that are DICOM: segments of a segmentation (SEG, PS3.3 C.8.20), ROIs of a structure set (RTSTRUCT).

Either becomes a volume, 1 within and 0 outside. Contours (PS3.3 C.8.8.6) get a grid of their own.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels, pixel_array

from pipeline.errors import GapError, MissingTagError, NoCentreError, OrientationError
from pipeline.files import restored
from pipeline.readers import dicom, geometry, labels
from pipeline.readers.dicom import frames, tags
from pipeline.readers.geometry import POSITION_TOLERANCE_MM, STEP_TOLERANCE
from pipeline.readers.volumes import Volume
from pipeline.readers.volumes.voxels import check_size

CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}
"""Contour geometric types (3006,0042) that have an inside."""
PIXELS = 256
"""Pixels along the longer side of all contours of a ROI, which has no grid of its own."""
MOST_LEFT_OUT = 11
"""Layers left out between any two of a mask."""
FLAT_MM = 0.1
"""How far the points of a contour may lie from its plane: they are written with few digits."""


@dataclass(frozen=True)
class Segment:
    """One segment or ROI of a file, and the frame of reference (0020,0052) of its millimetres, if known."""

    volume: Volume
    frame: str


def read(path: Path, value: str) -> Segment | None:
    """The segment or ROI of a DICOM file that ``value`` numbers or names; None for DICOM of another kind.

    An empty ``value`` means the only one. Segments may overlap, so that one voxel may be in several.

    Raises NoCentreError where none or several are meant, where a ROI has no closed contour, GapError and
    OrientationError where its slices are no stack, and what is wrong with the file.
    """
    with dicom.parsing(path):
        ds = pydicom.dcmread(path, force=True)
        kind = tags.text(ds, "Modality").upper()
        if kind == "SEG":
            slices, frame = _slices(ds, value), frame_of(ds)
        elif kind == "RTSTRUCT":
            contours, frame = _contours(ds, value)
        else:
            return None
    # Outside of its limits: pandas asks for a GiB of addresses when it is first used.
    return Segment(stacked(*slices) if kind == "SEG" else filled(contours), frame)


@dataclass(frozen=True)
class Contents:
    """What a DICOM mask has: the series that it was drawn on, and what calls each of its segments or ROIs."""

    series: tuple[str, ...]
    values: Sequence[str]
    """For ``mask_value``: the name, which people know; the number where several have that name; empty for the
    only one, and for one that another has the number of as its name."""


def look(path: Path) -> Contents | None:
    """What is in a DICOM mask, None for another file; raises what is wrong with the file."""
    with path.open("rb") as file:
        if not dicom.is_dicom(file.read(352)):
            return None
    with dicom.parsing(path):
        ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        kind = tags.text(ds, "Modality").upper()
        if kind == "SEG":
            return Contents(_series(ds.get("ReferencedSeriesSequence")), values_of(_segments(ds)))
        if kind == "RTSTRUCT":
            studies = [
                study for frame in ds.get("ReferencedFrameOfReferenceSequence") or ()
                for study in frame.get("RTReferencedStudySequence") or ()
            ]  # fmt: skip
            drawn = [each for study in studies for each in study.get("RTReferencedSeriesSequence") or ()]
            closed = _closed(ds)
            names = {number: name for number, name in _names(ds).items() if number in closed}
            return Contents(_series(drawn), values_of(names))
        return None


def _series(items: Iterable[Dataset] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags.text(item, "SeriesInstanceUID") for item in items or ()))


def frame_of(ds: Dataset) -> str:
    """The frame of reference that the places in a data set are of, empty where it says none."""
    for each in (ds, *(ds.get("ReferencedFrameOfReferenceSequence") or ())):
        if found := tags.text(each, "FrameOfReferenceUID"):
            return found
    return ""


def _fitting(names: Mapping[int, str], value: str) -> list[int]:
    """The numbers that ``value`` may mean, a name or else a number, as spreadsheets and people write them."""
    # A table of ours marks a name that a spreadsheet would run.
    meant = {labels.word(value), labels.word(restored(value))}
    fits = [number for number, name in names.items() if labels.word(name) in meant]
    with contextlib.suppress(ValueError):
        fits = fits or [number for number in names if number == float(value)]
    return fits


def values_of(names: Mapping[int, str]) -> list[str]:
    """What calls each segment or ROI in ``mask_value``, see :class:`Contents`."""
    if len(names) == 1:
        return [""]
    return [
        next((value for value in (name, str(number)) if value and _fitting(names, value) == [number]), "")
        for number, name in names.items()
    ]


def meant(names: Mapping[int, str], value: str, what: str) -> int:
    """The number that ``value`` means, itself a number or a name; raises NoCentreError."""
    fits = _fitting(names, value) if value else [*names]
    if len(fits) == 1:
        return fits[0]
    shown = [f"{number} {names[number]}".strip() for number in fits or names]
    most = labels.MOST_SHOWN
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    several = "one " if fits else ""
    called = "the number" if fits and value else "the number or the name"
    raise NoCentreError(
        f"{what}s {', '.join(shown[:most])}{more}" if shown else "none",
        expected=f"{several}{what} {value}".strip(), remedy=f"write {called} of one in mask_value",
    )  # fmt: skip


def _segments(ds: Dataset) -> dict[int, str]:
    names = {
        int(item.SegmentNumber): tags.text(item, "SegmentLabel") for item in ds.get("SegmentSequence") or ()
    }
    names.pop(0, None)  # the background of a label map
    return names


def _slices(ds: Dataset, value: str) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """The frames of a segment, as rows of an index, and their values (rows, columns), 1 within."""
    names = _segments(ds)
    number = meant(names, value, "segment")
    count, kind = frames.count(ds), tags.text(ds, "SegmentationType").upper()
    own = [frame for frame in range(count) if kind == "LABELMAP" or _segment(ds, frame) == number]
    slices = _stored(ds, own, count)
    if kind == "LABELMAP":
        slices = [each == number for each in slices]
    elif kind == "FRACTIONAL":
        most = tags.number(ds, "MaximumFractionalValue")
        slices = [each / most for each in slices]
    if not any(each.any() for each in slices):
        raise NoCentreError(
            "none", expected=f"voxels in segment {number} {names[number]}".strip(),
            remedy="correct the mask or its value, or give a point",
        )  # fmt: skip
    return [dicom.row_of(frames.flat(ds, frame)) for frame in own], slices


def _stored(ds: Dataset, own: Sequence[int], count: int) -> list[np.ndarray]:
    """Stored values (rows, columns) of some of so many frames."""
    if ds.BitsAllocated == 1 and ds.Rows * ds.Columns % 8:
        # pydicom finds a frame that begins within a byte only among all of them.
        return [*pixel_array(ds).reshape(count, ds.Rows, ds.Columns)[own]]
    # Those alone: all frames of a hundred organs take gigabytes.
    return [*iter_pixels(ds, indices=own)] if own else []


def stacked(rows: Sequence[Mapping[str, Any]], slices: Sequence[np.ndarray]) -> Volume:
    """Slices (rows, columns) as one volume, 0 where layers are left out.

    Raises GapError and OrientationError where they are no stack, DuplicatePositionError, MissingTagError and
    LimitError.
    """
    along, positions = geometry.ordered(pd.DataFrame(rows).assign(file=""))
    first = geometry.plane(along.iloc[0])
    layers, step = _layers(positions, float(along["slice_thickness_mm"].iloc[0]))
    shifts = along[geometry.POSITION].to_numpy(float) - first.origin
    if np.abs(shifts @ np.stack([first.row, first.column]).T).max() > POSITION_TOLERANCE_MM:
        raise OrientationError("frames beside each other", expected="frames that lie on one another")
    voxels = _empty(first.columns, first.rows, layers[-1] + 1)
    for layer, number in zip(layers, along.index, strict=True):
        voxels[..., layer] = slices[number].T
    return Volume(voxels, _affine(
        first.origin, first.row * first.spacing_column_mm, first.column * first.spacing_row_mm,
        first.normal * step,
    ))  # fmt: skip


def _segment(ds: Dataset, frame: int) -> int:
    """Which segment a frame shows; raises MissingTagError."""
    for group in frames.groups(ds, frame):
        for item in group.get("SegmentIdentificationSequence") or ():
            return int(item.ReferencedSegmentNumber)
    raise MissingTagError("none", expected="tag ReferencedSegmentNumber of each frame")


def _layers(positions: np.ndarray, thickness: float) -> tuple[list[int], float]:
    """Which layers of a regular stack sorted positions (mm) are, counted from 0, and how far these lie apart.

    Layers without anything in them are often left out, so the smallest step may be of several layers.
    Raises GapError where no stack has these positions.
    """
    if len(positions) == 1:
        return [0], thickness if thickness > 0 else 1.0
    heights, steps = positions - positions[0], np.diff(positions)
    for parts in range(1, MOST_LEFT_OUT + 2):
        layers = np.append(0, np.cumsum(np.rint(parts * steps / steps.min())))
        step = heights[-1] / layers[-1]
        if np.abs(heights - layers * step).max() <= STEP_TOLERANCE * step + POSITION_TOLERANCE_MM:
            return layers.astype(int).tolist(), float(step)
    raise GapError(
        f"steps from {steps.min():.3g} to {steps.max():.3g} mm", expected="slices of one spacing",
        remedy="export the mask on the grid of its image",
    )  # fmt: skip


def _empty(*shape: int) -> np.ndarray:
    """Room for a mask; LimitError where layers that nearly touch, and a distant one, ask for gigabytes."""
    check_size(Path(), shape)
    return np.zeros(shape, "f4")


def _affine(origin: np.ndarray, *sides: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3] = np.column_stack([*sides, origin])
    return matrix


def _names(ds: Dataset) -> dict[int, str]:
    """What the ROIs are called, by their numbers."""
    items = ds.get("StructureSetROISequence") or ()
    return {int(item.ROINumber): tags.text(item, "ROIName") for item in items}


def _closed(ds: Dataset) -> dict[int, list[Dataset]]:
    """The closed contours of the ROIs that have some, by their numbers."""
    closed: dict[int, list[Dataset]] = {}
    for roi in ds.get("ROIContourSequence") or ():
        for item in roi.get("ContourSequence") or ():
            if tags.text(item, "ContourGeometricType").upper() in CLOSED:
                closed.setdefault(int(roi.ReferencedROINumber), []).append(item)
    return closed


def _contours(ds: Dataset, value: str) -> tuple[list[np.ndarray], str]:
    """The closed contours (points, 3) of a ROI, and its frame of reference."""
    every, closed = _names(ds), _closed(ds)
    names = {number: name for number, name in every.items() if number in closed}
    if not names or (value and not _fitting(names, value) and _fitting(every, value)):
        raise NoCentreError("no closed contour", expected="a mask with an inside",
                            remedy="give the point")  # fmt: skip
    number = meant(names, value, "ROI")
    (roi,) = (item for item in ds.StructureSetROISequence if int(item.ROINumber) == number)
    frame = tags.text(roi, "ReferencedFrameOfReferenceUID") or frame_of(ds)
    return [_points(item) for item in closed[number]], frame


def _points(item: Dataset) -> np.ndarray:
    """Those of a contour (points, 3)."""
    count = 3 * int(tags.number(item, "NumberOfContourPoints"))
    raw = item.get_item("ContourData").value if "ContourData" in item else None
    if isinstance(raw, bytes) and b"_" not in raw:  # as in tags.numbers
        # A structure set has a million numbers, and pydicom makes an object of each.
        with contextlib.suppress(ValueError):
            points = np.array(raw.split(b"\\")).astype(float)
            if len(points) == count and np.isfinite(points).all():
                return points.reshape(-1, 3)
    return np.reshape(tags.numbers(item, "ContourData", count) or [], (-1, 3))


def filled(contours: Sequence[np.ndarray]) -> Volume:
    """What lies within closed contours (points, 3) in parallel planes (LPS, mm).

    A contour within another one of its plane is a hole, and one of less than three points is none.
    Raises NoCentreError, OrientationError, GapError and LimitError.
    """
    contours = [points for points in contours if len(points) > 2]
    around = [np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0) for points in contours]
    normal = max(around, key=lambda area: float(area @ area), default=np.zeros(3))
    if not normal.any():
        raise NoCentreError("contours without an area", expected="a mask with an inside",
                            remedy="give a point")  # fmt: skip
    normal = normal / np.linalg.norm(normal) * np.sign(normal[np.abs(normal).argmax()])
    row = np.eye(3)[np.abs(normal).argmin()]
    row = row - row @ normal * normal
    row /= np.linalg.norm(row)
    axes = np.stack([row, np.cross(normal, row)])
    if any(np.ptp(points @ normal) > 2 * FLAT_MM for points in contours):
        raise OrientationError("contours in several directions", expected="contours in parallel planes")
    heights = np.array([(points @ normal).mean() for points in contours])
    order = np.argsort(heights, kind="stable")
    first = np.diff(heights[order], prepend=-np.inf) > FLAT_MM
    positions = heights[order][first]
    layers, step = _layers(positions, 1.0)
    layer_of = np.empty(len(contours), int)
    layer_of[order] = np.array(layers)[np.cumsum(first) - 1]
    flat = [points @ axes.T for points in contours]
    every = np.concatenate(flat)
    pixel = float(np.ptp(every, axis=0).max()) / PIXELS
    corner = every.min(axis=0) + pixel / 2
    columns, rows = (np.ceil(np.ptp(every, axis=0) / pixel - 1e-6)).astype(int).clip(1)
    voxels = _empty(columns, rows, layers[-1] + 1)
    for layer in layers:
        here = [(flat[number] - corner) / pixel for number in np.flatnonzero(layer_of == layer)]
        voxels[..., layer] = _inside(here, columns, rows).T
    if not voxels.any():
        raise NoCentreError("contours that cancel each other", expected="a mask with an inside",
                            remedy="draw each contour once, or give a point")  # fmt: skip
    origin = np.append(corner, positions[0]) @ np.stack([*axes, normal])
    return Volume(voxels, _affine(origin, axes[0] * pixel, axes[1] * pixel, normal * step))


def _inside(polygons: Sequence[np.ndarray], columns: int, rows: int) -> np.ndarray:
    """Which pixels (rows, columns) have their centre within polygons (points, 2), by the even-odd rule."""
    flips = np.zeros((rows, columns + 1), int)
    for start in polygons:
        end = np.roll(start, -1, axis=0)
        centres = np.arange(rows)[:, None]
        rise = end[:, 1] - start[:, 1]
        row, edge = np.nonzero((start[:, 1] <= centres) != (end[:, 1] <= centres))
        share = (row - start[edge, 1]) / rise[edge]
        crossing = start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
        np.add.at(flips, (row, np.ceil(crossing).astype(int).clip(0, columns)), 1)
    return np.cumsum(flips, axis=1)[:, :-1] % 2 == 1
