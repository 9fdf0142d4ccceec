"""NIfTI and MetaImage volumes: voxels as [i, j, k] and their place in the patient (LPS, mm)."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)

from pipeline.errors import NotDicomError, VolumeError

NIFTI_MAGIC = (b"n+1\0", b"n+2\0")
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_volume(start: bytes, name: str) -> bool:
    """Whether a file that begins with these bytes is NIfTI (also compressed) or MetaImage."""
    lower = name.lower()
    gzipped = start.startswith(b"\x1f\x8b") and lower.endswith(".nii.gz")
    nifti = start[344:348] in NIFTI_MAGIC or start[4:8] in NIFTI_MAGIC
    return gzipped or nifti or (lower.endswith((".mhd", ".mha")) and b"NDims" in start)


@dataclass(frozen=True)
class Volume:
    """Voxels float32 [i, j, k], and the matrix (4, 4) from zero-based voxel indices to LPS mm."""

    voxels: np.ndarray
    affine: np.ndarray


def _check(path: Path, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise VolumeError(f"shape {'×'.join(map(str, shape))}", file=path, expected="three dimensions")


def _meta_header(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("MetaImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise NotDicomError(f"an unreadable MetaImage ({str(error).splitlines()[-1]})", file=path) from error
    values = reader.GetNumberOfComponents()
    _check(path, (*reader.GetSize(), values) if values > 1 else reader.GetSize())
    return reader


def _nifti(path: Path) -> nib.Nifti1Image:
    try:
        image: Any = nib.load(path)  # NIfTI-1 or NIfTI-2
    except Exception as error:  # nibabel raises many kinds of its own, and what gzip and struct raise
        raise NotDicomError(f"an unreadable NIfTI ({error})", file=path) from error
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    _check(path, shape)
    return image


def read_header(path: Path) -> dict[str, Any]:
    """Columns (i), rows (j), slices (k) of a volume, without reading voxels."""
    shape = (
        _nifti(path).shape
        if path.name.lower().endswith((".nii", ".nii.gz"))
        else _meta_header(path).GetSize()
    )
    return {"columns": shape[0], "rows": shape[1], "slices": shape[2]}


def read_volume(path: Path) -> Volume:
    """Read a volume in physical units (NIfTI's slope and intercept applied).

    NIfTI's RAS becomes LPS. Raises NotDicomError or VolumeError.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        image = _nifti(path)
        try:
            if path.suffix.lower() == ".gz":  # read to its end, where the checksum is
                image = type(image).from_bytes(gzip.decompress(path.read_bytes()))
            voxels = np.asarray(image.dataobj, "f4").reshape(image.shape[:3])
        except Exception as error:  # as above
            raise VolumeError(str(error), file=path, expected="whole voxel data") from error
        return Volume(voxels, RAS_TO_LPS @ image.affine)
    reader = _meta_header(path)
    try:
        data = reader.Execute()
    except RuntimeError as error:
        raise VolumeError(str(error).splitlines()[-1], file=path, expected="whole voxel data") from error
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(data.GetDirection(), (3, 3)) * data.GetSpacing()
    affine[:3, 3] = data.GetOrigin()
    return Volume(sitk.GetArrayFromImage(data).T.astype("f4"), affine)
