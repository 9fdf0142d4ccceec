"""What SimpleITK says of a header, without reading voxels."""

import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)

from pipeline.errors import NotDicomError


def open_header(path: Path, kind: str) -> sitk.ImageFileReader:
    """A reader of ITK's ``kind`` that has read the header of a file. Raises NotDicomError."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(f"{kind}IO")
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise NotDicomError(f"an unreadable {kind} ({said(error)})", file=path) from error
    return reader


def said(error: RuntimeError) -> str:
    """The reason that ITK gives, without the addresses that differ from run to run."""
    return re.sub(r"\(0x[0-9a-f]+\)", "", str(error).splitlines()[-1])


def affine(reader: sitk.ImageFileReader) -> np.ndarray:
    """The matrix (4, 4) from voxels to LPS mm of an image of three dimensions or more."""
    matrix, dimensions = np.eye(4), reader.GetDimension()
    direction = np.reshape(reader.GetDirection(), (dimensions, dimensions))[:3, :3]
    matrix[:3, :3] = direction * reader.GetSpacing()[:3]
    matrix[:3, 3] = reader.GetOrigin()[:3]
    return matrix
