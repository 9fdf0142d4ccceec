"""DICOM files of a few pixels to change and break, for tests."""

from pathlib import Path

import numpy as np
import pydicom

from pipeline.errors import InputError
from pipeline.phantom import Geometry, write_ct_series, write_mr_series
from pipeline.readers.index import read_row
from pipeline.readers.pixels import read_pixels

STORED = np.array([[0, 1, 2, 3, 4], [10, 200, 3000, 4000, 4095], [7, 7, 7, 7, 7], [9, 8, 7, 6, 5]])
OBLIQUE = Geometry((-10.0, 20.0, 30.0), (1.0, 0.0, 0.0), (0.0, 0.8, -0.6), (0.5, 0.75), 3.0)


def change(path: Path, stored: np.ndarray | None = None, **tags: object) -> Path:
    """Rewrite a file with other stored values and tags; None removes a tag."""
    ds = pydicom.dcmread(path)
    if stored is not None:
        ds.PixelData = stored.tobytes()
        ds.Rows, ds.Columns = stored.shape[:2]
        ds.BitsAllocated = ds.BitsStored = 8 * stored.dtype.itemsize
        ds.HighBit = ds.BitsStored - 1
        ds.PixelRepresentation = int(stored.dtype.kind == "i")
        ds["PixelData"].VR = "OW"
    for tag, value in tags.items():
        if value is None:
            del ds[tag]
        else:
            setattr(ds, tag, value)
    ds.save_as(path, enforce_file_format=False)
    return path


def code(path: Path) -> str:
    """The code of the error that the index lists for a file, or of what its pixels raise, or nothing."""
    row = read_row(path.name, path.parent)
    if isinstance(row, InputError):
        assert row.file == path.name
        return f"{row.code}: {row.reason}"
    try:
        read_pixels(path)
    except InputError as error:
        return f"{error.code}: {error.reason}"
    return ""


def write_mr(folder: Path) -> Path:
    """One slice of MR with the values STORED."""
    (path,) = write_mr_series(
        folder / "mr", STORED[None], OBLIQUE, description="t2_tse_tra", number=4, patient_id="P1"
    )
    return path


def write_ct(folder: Path) -> Path:
    """One slice of CT whose stored values are STORED."""
    (path,) = write_ct_series(folder / "ct", STORED[None] - 1024.0, OBLIQUE, patient_id="P2")
    return path
