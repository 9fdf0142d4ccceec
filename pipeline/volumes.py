"""NIfTI and MetaImage volumes: voxels as [i, j, k] and their place in the patient (LPS, mm)."""

import gzip
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)

from pipeline import metaimage
from pipeline.errors import NotDicomError, TimeError, UnplacedError, VolumeError
from pipeline.pool import in_child

NIFTI_MAGIC = (b"n+1\0", b"n+2\0")
MOST_INFLATED = 1100
"""Deflate makes a byte of at most 1,032."""
TAIL = 2**16
"""Bytes that may follow the voxels of a compressed file; more are a bomb."""
MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Millimetres per unit of length by its code, the low three bits of xyzt_units (nifti1.h); 0 is unknown."""
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_nifti(name: str) -> bool:
    """Whether a file of this name is read as NIfTI; other volumes are MetaImages."""
    return name.lower().endswith((".nii", ".nii.gz"))


def is_volume(start: bytes, name: str) -> bool:
    """Whether a file that begins with these bytes is NIfTI (also compressed) or MetaImage."""
    lower = name.lower()
    gzipped = start.startswith(b"\x1f\x8b") and lower.endswith(".nii.gz")
    nifti = start[344:348] in NIFTI_MAGIC or start[4:8] in NIFTI_MAGIC
    return gzipped or nifti or (lower.endswith((".mhd", ".mha")) and b"NDims" in start)


@dataclass(frozen=True)
class Volume:
    """Voxels float32 [i, j, k], and the matrix (4, 4) from zero-based voxel indices to LPS mm.

    Where the file does not say where it lies in the patient (``placed``), the matrix knows the spacing alone.
    """

    voxels: np.ndarray
    affine: np.ndarray
    placed: bool = True

    @property
    def spacing_mm(self) -> np.ndarray:
        """From voxel to voxel along i, j and k."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))


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


def _meta_header(path: Path) -> sitk.ImageFileReader:
    metaimage.check(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("MetaImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise NotDicomError(f"an unreadable MetaImage ({str(error).splitlines()[-1]})", file=path) from error
    values = reader.GetNumberOfComponents()
    _shape(path, (*reader.GetSize(), 1, values) if values > 1 else reader.GetSize())
    return reader


def _nifti(path: Path) -> nib.Nifti1Image:
    try:
        image: Any = nib.load(path)  # NIfTI-1 or NIfTI-2
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            raw = type(image.header).from_fileobj(file, check=False)
    except Exception as error:  # nibabel raises many kinds of its own, and what gzip and struct raise
        raise NotDicomError(f"an unreadable NIfTI ({error})", file=path) from error
    _shape(path, image.shape)
    if (unit := int(raw["xyzt_units"]) & 7) not in MM:
        raise UnplacedError(f"xyzt_units {unit}", file=path, expected="a unit of length: m, mm or µm")
    sides = raw["pixdim"][1:4].astype(float)
    # What nibabel has put right by itself: a sign would turn left into right.
    if (sides < 0).any() or (not image.header["sform_code"] and not (sides > 0).all()):
        found = f"pixdim {' × '.join(f'{side:g}' for side in sides)}"
        raise UnplacedError(found, file=path, expected="a positive spacing in mm")
    slope, intercept = float(raw["scl_slope"]), float(raw["scl_inter"])
    if not np.isfinite([slope, intercept if slope else 0.0]).all():  # nifti1.h: a slope of 0 scales nothing
        raise VolumeError(
            f"scl_slope {slope:g}, scl_inter {intercept:g}", file=path, expected="numbers to scale by",
            remedy="correct them; a scl_slope of 0 scales nothing",
        )  # fmt: skip
    return image


def _unzipped(path: Path, voxels: Any) -> bytes:
    """A compressed file to its end, where the checksum is, but no more than its header says of its voxels."""
    announced = int(voxels.offset) + math.prod(map(int, voxels.shape)) * voxels.dtype.itemsize
    if announced > MOST_INFLATED * path.stat().st_size:
        raise ValueError(f"a header that announces {announced:,} bytes, more than so few can hold")
    with gzip.open(path) as file:
        content = file.read(announced + TAIL)
    if len(content) == announced + TAIL:
        raise ValueError(f"more than the {announced:,} bytes that its header announces")
    return content


@in_child
def read_header(path: Path) -> dict[str, Any]:
    """Columns (i), rows (j), slices (k) of a volume, without reading voxels."""
    shape = _nifti(path).shape if is_nifti(path.name) else _meta_header(path).GetSize()
    return {"columns": shape[0], "rows": shape[1], "slices": shape[2]}


@in_child
def read_times(path: Path) -> list[Volume]:
    """Every time of a file in physical units (NIfTI's slope and intercept applied); one if it has no time.

    NIfTI's RAS becomes LPS. Raises NotDicomError or VolumeError.
    """
    if is_nifti(path.name):
        image = _nifti(path)
        try:
            if path.suffix.lower() == ".gz":  # read to its end, where the checksum is
                image = type(image).from_bytes(_unzipped(path, image.dataobj))
            with warnings.catch_warnings(action="ignore"):  # of numbers that are none: those are looked for
                voxels = np.asarray(image.dataobj, "f4")
        except Exception as error:  # as above
            raise VolumeError(str(error), file=path, expected="whole voxel data") from error
        affine = RAS_TO_LPS @ image.affine
        affine[:3] *= MM[int(image.header["xyzt_units"]) & 7]
        placed = bool(image.header["sform_code"] or image.header["qform_code"])
    else:
        reader = _meta_header(path)
        try:
            data = reader.Execute()
        except RuntimeError as error:
            raise VolumeError(str(error).splitlines()[-1], file=path, expected="whole voxel data") from error
        dimensions = data.GetDimension()
        stored = sitk.GetArrayViewFromImage(data)
        metaimage.check_byte_order(path, stored)
        voxels, affine, placed = stored.T.astype("f4"), np.eye(4), True
        direction = np.reshape(data.GetDirection(), (dimensions, dimensions))[:3, :3]
        affine[:3, :3] = direction * data.GetSpacing()[:3]
        affine[:3, 3] = data.GetOrigin()[:3]
    _check_affine(path, affine)
    voxels = voxels.reshape(_shape(path, voxels.shape))
    times = np.moveaxis(voxels, -1, 0) if voxels.ndim == 4 else [voxels]
    return [Volume(each, affine, placed) for each in times]


def read_volume(path: Path, time: int | None = None) -> Volume:
    """Read a volume, of a file with four dimensions that of one ``time``, counted from 0.

    Raises TimeError where the time is not told or not there, or what :func:`read_times` raises.
    """
    return at_time(read_times(path), time, path)


def at_time(volumes: Sequence[Volume], time: int | None, path: Path) -> Volume:
    """The volume of one time; the only one where there is no time. Raises TimeError."""
    if (time is None and len(volumes) > 1) or not 0 <= (time or 0) < len(volumes):
        found = "none" if time is None else f"time {time}"
        last = len(volumes) - 1
        expected = f"a time from 0 to {last}" if last else "time 0 or none: the file has three dimensions"
        raise TimeError(found, file=path, expected=expected)
    return volumes[time or 0]
