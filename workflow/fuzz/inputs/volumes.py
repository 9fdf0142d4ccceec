"""Volumes of a few voxels: NIfTI of both versions, also compressed and with time, MetaImage and NRRD."""

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813

from pipeline.seeds import stream
from workflow.fuzz.formats.zips import gzipped
from workflow.fuzz.reader import Input

SHAPE = (5, 4, 3)


def _voxels(*more: int) -> np.ndarray:
    return stream("fuzz", "volume").integers(0, 1000, (*SHAPE, *more)).astype("i2")


def _nifti(kind: type[nib.Nifti1Image], voxels: np.ndarray, slope: float | None = None) -> bytes:
    image = kind(voxels, np.diag([0.5, 0.75, 3.0, 1.0]))
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(slope, None if slope is None else 0)
    return bytes(image.to_bytes())


def _by_itk() -> list[Input]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = sitk.GetImageFromArray(_voxels().T)
        image.SetSpacing((0.5, 0.75, 3.0))
        sitk.WriteImage(image, str(folder / "local.mha"))
        sitk.WriteImage(image, str(folder / "packed.mha"), useCompression=True)
        sitk.WriteImage(image, str(folder / "local.nrrd"))
        sitk.WriteImage(image, str(folder / "packed.nrrd"), useCompression=True)
        whole = [Input(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]
        sitk.WriteImage(image, str(folder / "apart.mhd"))
        sitk.WriteImage(image, str(folder / "parted.nhdr"))
        beside = {name: (folder / name).read_bytes() for name in ("apart.raw", "parted.raw")}
        return [
            *whole,
            Input("apart.mhd", (folder / "apart.mhd").read_bytes(), beside),
            Input("parted.nhdr", (folder / "parted.nhdr").read_bytes(), beside),
        ]


def inputs() -> list[Input]:
    """One file of each kind."""
    plain = _nifti(nib.Nifti1Image, _voxels(), 2.0)
    return [
        Input("plain.nii", plain),
        Input("packed.nii.gz", gzipped(plain)),
        Input("second.nii", _nifti(nib.Nifti2Image, _voxels())),
        Input("times.nii", _nifti(nib.Nifti1Image, _voxels(2))),
        Input("float.nii", _nifti(nib.Nifti1Image, _voxels().astype("f4"))),
        *_by_itk(),
    ]
