"""Images, from their header to the pixels of a slice, or from their name to the patches of a prediction."""

from pathlib import Path

import numpy as np

from pipeline import case
from pipeline.errors import InputError
from pipeline.patches import slices
from pipeline.readers import index
from pipeline.readers.dicom import frames
from pipeline.store import PATCH_SIDE
from workflow.fuzz import changes
from workflow.fuzz.formats import dicom, nifti, pictures, zips
from workflow.fuzz.inputs import dicom as dicoms
from workflow.fuzz.inputs import pictures as images
from workflow.fuzz.inputs import volumes
from workflow.fuzz.inputs.pictures import HOW, NAMED
from workflow.fuzz.reader import DisagreementError, Input, Reader


def read_image(path: Path) -> None:
    """A DICOM, picture or volume from its header to the pixels of a slice."""
    row = index.read_row(path.name, path.parent)
    if isinstance(row, InputError):
        raise row
    name = "2:0:0" if row["format"] == "volume" else ""
    framed = {frames.called(path.name, number): one for number, one in enumerate(row.get("frames", ()))}
    for file, image in list((framed or {path.name: row}).items())[:: max(len(framed) - 1, 1)]:
        task = slices.Task((file,), ((0, file, name),))
        read = slices.read_series(task, path.parent, None, "series")
        if isinstance(read, list):
            raise read[0]
        pixels, said = read.slices[0], (image["rows"], image["columns"])
        if pixels.shape != said or pixels.dtype != np.float32 or not np.isfinite(pixels).all():
            raise DisagreementError(f"{pixels.dtype} pixels of {pixels.shape}, the header says {said}")


def read_case(path: Path) -> None:
    """The same from its name to the patches of a prediction."""
    cut = case.prepare(path, NAMED, HOW).patches
    if cut.shape != (HOW.views, 1, PATCH_SIDE, PATCH_SIDE) or not np.isfinite(cut).all():
        raise DisagreementError(f"patches of {cut.shape}, or not finite")


def _cases() -> list[Input]:
    """Every image, but for what needs a time to be named."""
    return [*dicoms.inputs(), *images.inputs(), *(one for one in volumes.inputs() if one.name != "times.nii")]


_IMAGE = (dicom.element, pictures.png_chunk, pictures.jpeg_segment, pictures.tiff_entry)
_VOLUME = (nifti.field, zips.within(nifti.field, changes.number), *changes.TEXT)
READERS = {
    "dicom": Reader(read_image, dicoms.inputs, (dicom.element,) * 4),
    "pictures": Reader(read_image, images.inputs, _IMAGE[1:] * 2),
    "volumes": Reader(read_image, volumes.inputs, (*_VOLUME, *_VOLUME)),
    "cases": Reader(read_case, _cases, (*_IMAGE, dicom.element, *_VOLUME)),
}
