"""NIfTI-1 and NIfTI-2 in one file: header, place (RAS becomes LPS) and voxels in physical units."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError, NotDicomError, UnplacedError, VolumeError
from pipeline.readers.volumes.voxels import check_size, fill, opened

MAGIC = (b"n+1\0", b"n+2\0")
TAIL = 2**16
"""Bytes that may follow the voxels of a compressed file; more are a bomb."""
MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Millimetres per unit of length by its code, the low three bits of xyzt_units (nifti1.h); 0 is unknown."""
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ALIKE = 0.1
"""Of a voxel: how far apart the two places that a header gives may be."""


def read_header(path: Path) -> Any:
    """The header as nibabel puts it right, its extensions unread. Raises NotDicomError or VolumeError."""
    import nibabel as nib  # when there is a volume: it takes a fifth of a second

    try:
        with opened(path) as file:
            start = file.read(540)
        long = 540 in (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
        kind: Any = nib.Nifti2Header if long else nib.Nifti1Header
        block = start[: kind.template_dtype.itemsize]
        raw, header = kind(block, check=False), kind(block)
        if bytes(raw["magic"].item())[:3] not in (b"n+1", b"n+2"):
            raise ValueError("no NIfTI in one file")
        dtype = header.get_data_dtype()
    except Exception as error:  # nibabel raises many kinds of its own, and what gzip and struct raise
        raise NotDicomError(f"an unreadable NIfTI ({error})", file=path) from error
    _check(path, raw, dtype, bool(header["sform_code"]))
    return header


def _check(path: Path, raw: Any, dtype: np.dtype, has_sform: bool) -> None:
    if dtype.kind not in "biuf":
        what = "complex numbers" if dtype.kind == "c" else f"voxels of type {dtype}"
        raise VolumeError(
            what, file=path, expected="one real number per voxel",
            remedy="save the part that is meant, such as the magnitude, as a volume of its own",
        )  # fmt: skip
    if (unit := int(raw["xyzt_units"]) & 7) not in MM:
        raise UnplacedError(f"xyzt_units {unit}", file=path, expected="a unit of length: m, mm or µm")
    sides = raw["pixdim"][1:4].astype(float)
    # What nibabel has put right by itself: a sign would turn left into right.
    if (sides < 0).any() or (not has_sform and not (sides > 0).all()):
        found = f"pixdim {' × '.join(f'{side:g}' for side in sides)}"
        raise UnplacedError(found, file=path, expected="a positive spacing in mm")
    slope, intercept = float(raw["scl_slope"]), float(raw["scl_inter"])
    if not np.isfinite([slope, intercept if slope else 0.0]).all():  # nifti1.h: a slope of 0 scales nothing
        raise VolumeError(
            f"scl_slope {slope:g}, scl_inter {intercept:g}", file=path, expected="numbers to scale by",
            remedy="correct them; a scl_slope of 0 scales nothing",
        )  # fmt: skip


def affine(header: Any) -> tuple[np.ndarray, bool]:
    """The matrix (4, 4) from voxels to LPS mm, and whether it says where they lie in the patient."""
    matrix = RAS_TO_LPS @ header.get_best_affine()
    matrix[:3] *= MM[int(header["xyzt_units"]) & 7]
    return matrix, bool(header["sform_code"] or header["qform_code"])


def note(header: Any) -> str:
    """What is odd about the place of a volume whose sform counts: another one is given too."""
    if not header["sform_code"]:
        return ""
    mm = MM[int(header["xyzt_units"]) & 7]
    sform, shape = header.get_sform(), header.get_data_shape()[:3]
    spacing = np.linalg.norm(sform[:3, :3], axis=0)
    if not header["qform_code"]:
        other = np.asarray(header.get_zooms()[:3], float)
        if (other <= 0).any() or np.allclose(other, spacing, rtol=0.01):
            return ""
        said, counts = (" × ".join(f"{side * mm:.4g}" for side in sides) for sides in (other, spacing))
        return f"pixdim says {said} mm, sform {counts} mm: the sform counts"
    try:
        qform = header.get_qform()
    except Exception as error:  # a quaternion that is none
        return f"an unreadable qform ({error}): the sform counts"
    corners = np.array([[*corner, 1] for corner in itertools.product(*((0, size - 1) for size in shape))])
    apart = float(np.linalg.norm((corners @ (qform - sform).T)[:, :3], axis=1).max())
    if apart <= ALIKE * spacing.min():
        return ""
    return f"qform and sform put its voxels up to {apart * mm:.3g} mm apart: the sform counts"


def read_voxels(path: Path, header: Any) -> np.ndarray:
    """Voxels float32, slope and intercept applied. Raises LimitError or VolumeError."""
    from nibabel.volumeutils import apply_read_scaling

    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    values = np.empty(check_size(path, shape), "f4")
    try:
        # As arrays, so that nibabel chooses the precision as where it reads by itself.
        scale: Any = [None if one is None else np.asarray(one) for one in header.get_slope_inter()]
        offset = int(header.get_data_offset())
        with opened(path) as file:
            if file.seek(offset) != offset:
                raise ValueError(f"its end before byte {offset:,}, where voxels begin")
            fill(values, file, dtype, path, lambda stored: apply_read_scaling(stored, *scale))
            # To its end, where the checksum of gzip is.
            if path.suffix.lower() == ".gz" and len(file.read(TAIL)) == TAIL:
                announced = offset + len(values) * dtype.itemsize
                raise ValueError(f"more than the {announced:,} bytes that its header announces")
    except (InputError, MemoryError):
        raise
    except Exception as error:  # as above
        raise VolumeError(str(error), file=path, expected="whole voxel data") from error
    return values.reshape(shape, order="F")
