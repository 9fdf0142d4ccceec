"""NIfTI, MetaImage and NRRD volumes: voxels as [i, j, k] and their place in the patient (LPS, mm)."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipeline.errors import InputError, NotDicomError, TimeError, UnplacedError, VolumeError
from pipeline.pool import in_child
from pipeline.readers.limits import limited
from pipeline.readers.scan import file_state
from pipeline.readers.volumes import itk, metaimage, nifti, nrrd
from pipeline.readers.volumes.nifti import RAS_TO_LPS
from pipeline.readers.volumes.voxels import check_size

__all__ = ["RAS_TO_LPS"]
NRRD_MAGIC = b"NRRD000"


def is_nifti(name: str) -> bool:
    """Whether a file of this name is read as NIfTI; other volumes are MetaImages or NRRD."""
    return name.lower().endswith((".nii", ".nii.gz"))


def is_volume(start: bytes, name: str) -> bool:
    """Whether a file that begins with these bytes is NIfTI (also compressed), MetaImage or NRRD."""
    lower = name.lower()
    gzipped = start.startswith(b"\x1f\x8b") and lower.endswith(".nii.gz")
    single = start[344:348] in nifti.MAGIC or start[4:8] in nifti.MAGIC
    meta = lower.endswith((".mhd", ".mha")) and b"NDims" in start
    return gzipped or single or meta or start.startswith(NRRD_MAGIC)


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a file lie: how many along i, j and k, and the matrix of :class:`Volume`."""

    shape: tuple[int, ...]
    affine: np.ndarray
    placed: bool = True
    times: int = 1

    @property
    def spacing_mm(self) -> np.ndarray:
        """From voxel to voxel along i, j and k."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))


@dataclass(frozen=True)
class Volume:
    """Voxels float32 [i, j, k], and the matrix (4, 4) from zero-based voxel indices to LPS mm.

    Where the file does not say where it lies in the patient (``placed``), the matrix knows the spacing alone.
    """

    voxels: np.ndarray
    affine: np.ndarray
    placed: bool = True

    @property
    def grid(self) -> Grid:
        """Where its voxels lie."""
        return Grid(self.voxels.shape, self.affine, self.placed)


def _shape(path: Path, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a file, (i, j, k) or (i, j, k, time)."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (3, 4) or min(shape) < 1:
        found = f"shape {'×'.join(map(str, shape))}"
        raise VolumeError(found, file=path, expected="three dimensions, or four with time")
    return shape


def _check_affine(path: Path, affine: np.ndarray) -> None:
    """A matrix that puts every voxel at a place of its own, or an UnplacedError."""
    sides = affine[:3, :3]
    # Independent of the unit: the volume of a voxel over that of a box with its sides.
    lengths = np.linalg.norm(sides, axis=0)
    if not np.isfinite(affine).all() or lengths.min() == 0 or abs(np.linalg.det(sides / lengths)) < 1e-6:
        raise UnplacedError(f"the singular matrix {np.round(affine[:3], 6).tolist()}", file=path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Within the limits; whatever a broken file makes a reader raise is an InputError."""
    try:
        with warnings.catch_warnings(action="ignore"), limited(path):
            yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise NotDicomError(f"an unreadable volume ({error})", file=path) from error


def _is_nrrd(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(NRRD_MAGIC)) == NRRD_MAGIC


@dataclass(frozen=True)
class _Opened:
    """What the header of a file says, checked, and how its voxels are read."""

    shape: tuple[int, ...]
    affine: np.ndarray
    placed: bool
    note: str
    read: Callable[[], np.ndarray]


def _open(path: Path) -> _Opened:
    if is_nifti(path.name):
        header = nifti.read_header(path)
        shape, note = _shape(path, header.get_data_shape()), nifti.note(header)
        found = _Opened(shape, *nifti.affine(header), note, lambda: nifti.read_voxels(path, header))
    elif _is_nrrd(path):
        reader = nrrd.open_checked(path)
        shape, placed = _one_value(path, reader), nrrd.is_placed(path)
        found = _Opened(shape, itk.affine(reader), placed, "", lambda: nrrd.read_voxels(path, reader))
    else:
        meta = metaimage.Header(path)
        shape = _shape(path, meta.shape)
        meta.check()
        reader = itk.open_header(path, "MetaImage")
        if _one_value(path, reader) != shape:
            raise meta.refuse("DimSize", "NDims", expected="one size")
        found = _Opened(shape, itk.affine(reader), meta.is_placed, "", meta.read)
    _check_affine(path, found.affine)
    check_size(path, found.shape)
    return found


def _one_value(path: Path, reader: Any) -> tuple[int, ...]:
    """The shape of what ITK has the header of; a voxel has one value. Raises VolumeError."""
    if (values := reader.GetNumberOfComponents()) > 1:
        raise VolumeError(f"{values} values per voxel", file=path, expected="one value per voxel")
    return _shape(path, reader.GetSize())


@in_child
def read_header(path: Path) -> dict[str, Any]:
    """Columns (i), rows (j), slices (k) of a volume, and a ``note`` where its place is odd; reads no voxels.

    Raises NotDicomError, VolumeError or LimitError.
    """
    with _reading(path):
        found = _open(path)
    size = dict(zip(("columns", "rows", "slices"), found.shape, strict=False))
    return size | ({"note": found.note} if found.note else {})


@in_child
def read_grid(path: Path) -> Grid:
    """Where the voxels of a volume lie, from its header alone.

    Raises NotDicomError, VolumeError or LimitError.
    """
    with _reading(path):
        found = _open(path)
    return Grid(found.shape[:3], found.affine, found.placed, found.shape[3] if len(found.shape) > 3 else 1)


@in_child
def read_times(path: Path) -> list[Volume]:
    """Every time of a file in physical units (NIfTI's slope and intercept applied); one if it has no time.

    NIfTI's RAS becomes LPS. Raises NotDicomError, VolumeError or LimitError.
    """
    with _reading(path):
        found = _open(path)
        voxels = found.read().reshape(found.shape, order="F")
    times = np.moveaxis(voxels, -1, 0) if voxels.ndim == 4 else [voxels]
    return [Volume(each, found.affine, found.placed) for each in times]


def raw_files(files: Iterable[str], raw: Path) -> set[str]:
    """Of files below ``raw`` those that hold the voxels of a header (.mhd, .nhdr) among them."""
    found: set[str] = set()
    for file in files:
        metaimages = file.lower().endswith((".mhd", ".mha"))
        if not metaimages and not file.lower().endswith((".nhdr", ".nrrd")):
            continue
        if file_state(raw / file)[0] < 0:  # a pipe would be waited for
            continue
        try:
            names = metaimage.Header(raw / file).files if metaimages else [nrrd.data_file(raw / file)]
        except Exception:  # whatever is wrong with a header: the index lists it
            continue
        found.update((PurePosixPath(file).parent / name).as_posix() for name in names if name)
    return found


def read_volume(path: Path, time: int | None = None) -> Volume:
    """Read a volume, of a file with four dimensions that of one ``time``, counted from 0.

    Raises TimeError where the time is not told or not there, or what :func:`read_times` raises.
    """
    return at_time(read_times(path), time, path)


def at_time(volumes: Sequence[Volume], time: int | None, path: Path) -> Volume:
    """The volume of one time; the only one where there is no time. Raises TimeError."""
    check_time(time, len(volumes), path)
    return volumes[time or 0]


def check_time(time: int | None, count: int, path: Path) -> None:
    """Raise TimeError unless ``time`` is one of so many, or None where there is only one."""
    if (time is None and count > 1) or not 0 <= (time or 0) < count:
        found = "none" if time is None else f"time {time}"
        last = count - 1
        expected = f"a time from 0 to {last}" if last else "time 0 or none: the file has three dimensions"
        raise TimeError(found, file=path, expected=expected)
