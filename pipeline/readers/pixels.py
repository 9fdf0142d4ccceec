"""The pixels of one slice of any format, in physical units, with a mask of what is no padding."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from pipeline.errors import InputError, NotFiniteError, TagValueError
from pipeline.pool import in_child
from pipeline.readers import dicom, images, volumes
from pipeline.readers.dicom import frames, rescale, tags

UNDECLARED_PADDING_HU = -1500.0
"""Nothing is lighter than air (−1000 HU, less some noise): what is lower lies outside the scan.

The value there need not be the declared Pixel Padding Value: −2048 and −3024 HU in LIDC-IDRI-0001.
"""


COLOURS = ("red", "green", "blue")
"""Channels of a picture that is read in colours, and what each is called where a slice is named."""


@dataclass(frozen=True)
class Pixels:
    """Physical values, float32 (rows, columns), and where they are real (not padding)."""

    values: np.ndarray
    valid: np.ndarray
    note: str = ""
    """What a reader should hear about how the values were made."""
    greyed: bool = False
    """Whether the image is in colour, and the values are its luminance."""

    @functools.cached_property
    def complete(self) -> bool:
        """Whether nothing is padding."""
        return bool(self.valid.all())

    def real(self, values: np.ndarray) -> np.ndarray:
        """Those of ``values`` (rows, columns) that are no padding."""
        return values if self.complete else values[self.valid]

    def unpadded(self, values: np.ndarray) -> np.ndarray:
        """``values`` with the darkest real one as padding: in a patch it must not outweigh the tissue."""
        if self.complete:
            return values
        return np.where(self.valid, values, values.min(where=self.valid, initial=values.max()))


def check_finite(values: np.ndarray, path: Path) -> None:
    """Raise NotFiniteError with the first index of a NaN or Inf."""
    if not np.isfinite(values).all():
        place = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
        raise NotFiniteError(f"{values[place]} at index {place}", file=path)


@functools.lru_cache(maxsize=1)
def read_volume(path: Path, time: int | None = None) -> volumes.Volume:
    """A volume of finite numbers; the last one is kept for the next slice."""
    volume = volumes.read_volume(path, time)
    check_finite(volume.voxels, path)
    return volume


@functools.lru_cache(maxsize=1)
def _read_colours(path: Path) -> np.ndarray:
    """The planes of a picture; the last one is kept for the next colour."""
    planes = images.read_colours(path)
    check_finite(planes, path)
    return planes


def read_whole(path: Path, name: str) -> np.ndarray:
    """All values of which the slice that is called ``name`` is a part: a volume at a time, or all colours."""
    return _read_colours(path) if name in COLOURS else read_volume(path, time_of(name)).voxels


def time_of(name: str) -> int | None:
    """The time of a slice that is called so; None where it has none."""
    return slice_of(name)[2] if name and name not in COLOURS else None


def slice_of(name: str) -> tuple[int, int, int | None]:
    """Axis, index and time of a slice that is called ``axis:index``, or ``axis:index:time``."""
    axis, index, *time = map(int, name.split(":"))
    return axis, index, time[0] if time else None


def plane_of(voxels: np.ndarray, axis: int, index: int) -> np.ndarray:
    """Slice ``index`` along ``axis`` of voxels [i, j, k] as (rows, columns): the later axis runs down."""
    return np.take(voxels, index, axis=axis).T


def of_stored(ds: Dataset, stored: np.ndarray, *, greyed: bool = False) -> Pixels:
    """The pixels of a plain data set with these stored values; raises MissingTagError or TagValueError."""
    values, valid = rescale.physical(ds, stored), rescale.real(ds, stored)
    if tags.modality(ds) == "CT":
        valid &= values > UNDECLARED_PADDING_HU
    return Pixels(values, valid, rescale.note(ds), greyed)


@in_child
def _read_dicom(path: Path) -> Pixels:
    """A DICOM file or frame; a decoder that is at a loss may end its process."""
    ds, stored, coloured = dicom.read_image(path)
    try:
        return of_stored(ds, stored, greyed=coloured)
    except InputError as error:
        error.file = error.file or str(path)
        raise
    except MemoryError:
        raise
    except Exception as error:  # an element is parsed when it is first asked for, and may be anything
        found = f"{type(error).__name__}: {error}"
        raise TagValueError(found, file=path, expected="readable tags of rescale and padding") from error


def read_pixels(path: Path, slice_name: str = "") -> Pixels:
    """Read one slice: of DICOM a file or frame, a picture or one of its COLOURS, or a slice of a volume.

    A slice of a volume is called as in :func:`slice_of`.

    Raises the readers' errors, or NotFiniteError with the first place of a NaN or Inf.
    """
    with frames.named(path)[0].open("rb") as file:
        start = file.read(132)
    note, greyed = "", False
    if slice_name in COLOURS:
        values = _read_colours(path)[COLOURS.index(slice_name)]
        valid = np.ones(values.shape, bool)
    elif slice_name:
        axis, index, time = slice_of(slice_name)
        values = plane_of(read_volume(path, time).voxels, axis, index)
        valid = np.ones(values.shape, bool)
    elif dicom.is_dicom(start):
        read = _read_dicom(path)
        values, valid, note, greyed = read.values, read.valid, read.note, read.greyed
    else:
        values, greyed = images.read_picture(path)
        valid = np.ones(values.shape, bool)
    check_finite(values, path)
    return Pixels(np.ascontiguousarray(values, "f4"), valid, note, greyed)
