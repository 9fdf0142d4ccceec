"""Masks of findings: where in a segmentation a finding lies, and how large it is there."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.datasets.listed import time_of
from pipeline.errors import ImageMissingError, NoCentreError, NoSeriesError
from pipeline.pool import in_child
from pipeline.readers import labels
from pipeline.readers.dicom import frames, is_dicom, segmentations
from pipeline.readers.pixels import read_pixels
from pipeline.readers.volumes import Grid, at_time, is_volume, read_times

WHOLE = 1e-3
"""How far a number of a mask may be from a whole one: a slope such as 1/255 makes 1 of 255."""


@dataclass(frozen=True)
class Mask:
    """The slice of a mask in which it is largest."""

    inside: np.ndarray
    """Where the finding is, bool (the earlier axis, the later one)."""
    axis: int
    number: int
    shape: tuple[int, ...]
    """That of the whole mask."""
    grid: Grid | None
    """That of the mask, if it is a volume."""
    frame: str = ""
    """The frame of reference of a DICOM mask."""

    @property
    def middle(self) -> np.ndarray:
        """Of the finding, as a voxel (i, j, k)."""
        return np.insert(np.argwhere(self.inside).mean(axis=0), self.axis, self.number)

    def side(self) -> tuple[float, str]:
        """The longer side of the box around it, in mm, or in the pixels of a picture."""
        sides = np.ptp(np.argwhere(self.inside), axis=0) + 1
        if self.grid is None:
            return float(sides.max()), "px"
        return float((sides * np.delete(self.grid.spacing_mm, self.axis)).max()), "mm"


def _file(path: Path) -> Path:
    """The file of a mask, itself or alone in its folder. Raises InputError where there is none."""
    file = frames.named(path)[0]
    if file.is_dir():
        inside = [each for each in file.iterdir() if each.is_file()]
        if len(inside) == 1:
            return inside[0]
        raise NoSeriesError(f"a folder of {len(inside)}", expected="one file with the whole mask",
                            remedy="name the file, or convert the series to NIfTI")  # fmt: skip
    if not file.is_file():
        raise ImageMissingError("no file of that name", expected="a mask", remedy="correct the name")
    return path


def _start(path: Path) -> bytes:
    """The first bytes of a mask, by which readers know it."""
    with frames.named(path)[0].open("rb") as opened:
        return opened.read(352)


def _numbers(voxels: np.ndarray) -> np.ndarray:
    """Voxels that are not 0 as the whole numbers that they are, 0 for NaN.

    Raises NoCentreError for others, such as probabilities.
    """
    known = np.nan_to_num(voxels)
    whole = np.rint(known)
    if (odd := np.abs(known - whole) > WHOLE).any():
        raise NoCentreError(f"{known[odd][0]:g} in it", expected="a mask of whole numbers",
                            remedy="threshold it, if these are probabilities")  # fmt: skip
    return whole


@in_child
def read(path: Path, value: str, time: str, axis: int, normal: np.ndarray | None) -> Mask:
    """A mask in the slice in which it is largest, so that the slice shows the finding.

    Parameters
    ----------
    value : the number of the finding in the mask; empty for all but 0. In DICOM SEG and RTSTRUCT the number
        or name of its segment or ROI; empty for the only one.
    time : which volume of a file with four dimensions, counted from 0; it counts only there.
    axis : along which a mask is sliced that does not know its place in mm.
    normal : what the slices of the image are perpendicular to (LPS), which decides the axis of other masks.

    Raises NoCentreError where the mask has no such voxel, or other numbers than whole ones, and what is wrong
    with the file.
    """
    path = _file(path)
    start, frame, volume = _start(path), "", None
    if is_volume(start, path.name):
        volumes = read_times(path)
        volume = at_time(volumes, time_of(time, len(volumes), path), path)
    elif is_dicom(start) and (segment := segmentations.read(path, value)):
        volume, frame, value = segment.volume, segment.frame, ""
    grid = volume.grid if volume else None
    voxels = volume.voxels if volume else read_pixels(path).values.T[..., None]
    if grid is None:
        axis = 2
    elif grid.placed and normal is not None:
        axis = int(np.abs(normal @ (grid.affine[:3, :3] / grid.spacing_mm)).argmax())
    inside = voxels != 0
    numbers = _numbers(voxels[inside])
    inside[inside] = numbers == labels.number(value, path) if value else numbers != 0
    areas = inside.sum(axis=tuple(number for number in range(3) if number != axis))
    if not areas.any():
        values = np.unique(np.append(numbers, [] if len(numbers) == voxels.size else 0))
        more = " …" if len(values) > labels.MOST_SHOWN else ""
        shown = ", ".join(f"{each:g}" for each in values[: labels.MOST_SHOWN])
        wanted = f"value {value}" if value else "a value but 0"
        raise NoCentreError(f"values {shown}{more}", expected=f"a mask with voxels of {wanted}",
                            remedy="correct the mask or its value, or give a point")  # fmt: skip
    number = int(areas.argmax())
    return Mask(np.moveaxis(inside, axis, 0)[number].copy(), axis, number, voxels.shape, grid, frame)
