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
from pydicom.pixels.utils import pixel_array

from pipeline.errors import GapError, MissingTagError, NoCentreError, OrientationError
from pipeline.readers import dicom, geometry
from pipeline.readers.dicom import frames, tags
from pipeline.readers.geometry import POSITION_TOLERANCE_MM, STEP_TOLERANCE
from pipeline.readers.labels import MOST_SHOWN
from pipeline.readers.volumes import Volume

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
        kind, frame = tags.text(ds, "Modality").upper(), frame_of(ds)
        if kind == "SEG":
            slices = _slices(ds, value)
        elif kind == "RTSTRUCT":
            contours = _contours(ds, value)
        else:
            return None
    # Outside of its limits: pandas asks for a GiB of addresses when it is first used.
    return Segment(stacked(*slices) if kind == "SEG" else filled(contours), frame)


@dataclass(frozen=True)
class Contents:
    """What a DICOM mask has: the series that it was drawn on, and its segments or ROIs by number."""

    series: tuple[str, ...]
    names: Mapping[int, str]


def look(path: Path) -> Contents | None:
    """What is in a DICOM mask, None for another file; raises what is wrong with the file."""
    with path.open("rb") as file:
        if not dicom.is_dicom(file.read(352)):
            return None
    with dicom.parsing(path):
        ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        kind = tags.text(ds, "Modality").upper()
        if kind == "SEG":
            return Contents(_series(ds.get("ReferencedSeriesSequence")), _segments(ds))
        if kind == "RTSTRUCT":
            studies = [
                study for frame in ds.get("ReferencedFrameOfReferenceSequence") or ()
                for study in frame.get("RTReferencedStudySequence") or ()
            ]  # fmt: skip
            drawn = [each for study in studies for each in study.get("RTReferencedSeriesSequence") or ()]
            return Contents(_series(drawn), _rois(ds)[0])
        return None


def _series(items: Iterable[Dataset] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags.text(item, "SeriesInstanceUID") for item in items or ()))


def frame_of(ds: Dataset) -> str:
    """The frame of reference that the places in a data set are of, empty where it says none."""
    for each in (ds, *(ds.get("ReferencedFrameOfReferenceSequence") or ())):
        if found := tags.text(each, "FrameOfReferenceUID"):
            return found
    return ""


def _meant(names: Mapping[int, str], value: str, what: str) -> int:
    """The number that ``value`` means, itself a number or a name; raises NoCentreError."""
    fits = [number for number, name in names.items() if name.casefold() == value.casefold()]
    with contextlib.suppress(ValueError):
        fits = fits or [number for number in names if number == float(value)]
    if not value:
        fits = [*names]
    if len(fits) == 1:
        return fits[0]
    shown = ", ".join(f"{number} {name}".strip() for number, name in [*names.items()][:MOST_SHOWN])
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    raise NoCentreError(
        f"{what}s {shown}{more}", expected=f"{what} {value}" if value else f"one {what}",
        remedy="write the number or the name of one in mask_value",
    )  # fmt: skip


def _segments(ds: Dataset) -> dict[int, str]:
    names = {
        int(item.SegmentNumber): tags.text(item, "SegmentLabel") for item in ds.get("SegmentSequence") or ()
    }
    names.pop(0, None)  # the background of a label map
    return names


def _slices(ds: Dataset, value: str) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """The frames of a segment, as rows of an index, and their values (rows, columns), 1 within."""
    number = _meant(_segments(ds), value, "segment")
    count, kind = frames.count(ds), tags.text(ds, "SegmentationType").upper()
    own = [frame for frame in range(count) if kind == "LABELMAP" or _segment(ds, frame) == number]
    if not own:
        raise NoCentreError(f"no frame of segment {number}", expected="a mask with voxels",
                            remedy="correct the mask or its value, or give a point")  # fmt: skip
    stored = pixel_array(ds).reshape(count, ds.Rows, ds.Columns)[own]
    if kind == "LABELMAP":
        stored = stored == number
    elif kind == "FRACTIONAL":
        stored = stored / tags.number(ds, "MaximumFractionalValue")
    return [dicom.row_of(frames.flat(ds, frame)) for frame in own], [*stored]


def stacked(rows: Sequence[Mapping[str, Any]], slices: Sequence[np.ndarray]) -> Volume:
    """Slices (rows, columns) as one volume, 0 where layers are left out.

    Raises GapError and OrientationError where they are no stack, DuplicatePositionError and MissingTagError.
    """
    along, positions = geometry.ordered(pd.DataFrame(rows).assign(file=""))
    first = geometry.plane(along.iloc[0])
    layers, step = _layers(positions, float(along["slice_thickness_mm"].iloc[0]))
    shifts = along[geometry.POSITION].to_numpy(float) - first.origin
    if np.abs(shifts @ np.stack([first.row, first.column]).T).max() > POSITION_TOLERANCE_MM:
        raise OrientationError("frames beside each other", expected="frames that lie on one another")
    voxels = np.zeros((first.columns, first.rows, layers[-1] + 1), "f4")
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


def _affine(origin: np.ndarray, *sides: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3] = np.column_stack([*sides, origin])
    return matrix


def _rois(ds: Dataset) -> tuple[dict[int, str], dict[int, list[np.ndarray]]]:
    """The ROIs that have closed contours: what they are called, and the contours (points, 3)."""
    closed: dict[int, list[np.ndarray]] = {}
    for roi in ds.get("ROIContourSequence") or ():
        for item in roi.get("ContourSequence") or ():
            if tags.text(item, "ContourGeometricType").upper() in CLOSED:
                count = 3 * int(tags.number(item, "NumberOfContourPoints"))
                points = np.reshape(tags.numbers(item, "ContourData", count) or [], (-1, 3))
                closed.setdefault(int(roi.ReferencedROINumber), []).append(points)
    all_names = {
        int(item.ROINumber): tags.text(item, "ROIName") for item in ds.get("StructureSetROISequence") or ()
    }
    return {number: name for number, name in all_names.items() if number in closed}, closed


def _contours(ds: Dataset, value: str) -> list[np.ndarray]:
    names, closed = _rois(ds)
    if not names:
        raise NoCentreError("no closed contour", expected="a mask with an inside",
                            remedy="give the point")  # fmt: skip
    return closed[_meant(names, value, "ROI")]


def filled(contours: Sequence[np.ndarray]) -> Volume:
    """What lies within closed contours (points, 3) in parallel planes (LPS, mm).

    A contour within another one of its plane is a hole. Raises OrientationError and GapError.
    """
    around = [np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0) for points in contours]
    normal = max(around, key=lambda area: float(area @ area))
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
    voxels = np.zeros((columns, rows, layers[-1] + 1), "f4")
    for layer in layers:
        here = [(flat[number] - corner) / pixel for number in np.flatnonzero(layer_of == layer)]
        voxels[..., layer] = _inside(here, columns, rows).T
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
