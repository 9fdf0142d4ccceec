"""NRRD: what its header says of files and place, checked before SimpleITK reads it."""

import math
import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)

from pipeline.errors import ByteOrderError, OutsideError, UnplacedError, VolumeError
from pipeline.readers.volumes.byteorder import check_byte_order
from pipeline.readers.volumes.itk import open_header, said
from pipeline.readers.volumes.voxels import check_size

LONGEST_HEADER = 65536
PATIENT = {
    "right-anterior-superior", "ras", "left-anterior-superior", "las", "left-posterior-superior", "lps",
    "right-anterior-superior-time", "rast", "left-anterior-superior-time", "last",
    "left-posterior-superior-time", "lpst",
}  # fmt: skip
"""Spaces whose axes are those of a patient."""
PLAIN_NAME = re.compile(r"[^%/\\:]+")


def _header(path: Path) -> bytes:
    """The header with the empty line that ends it, which a header with a file of its own may lack."""
    with path.open("rb") as file:
        start = file.read(LONGEST_HEADER)
    end = re.search(rb"\r?\n\r?\n", start)
    if not end and len(start) == LONGEST_HEADER:
        raise VolumeError("no end of its header", file=path, expected=f"at most {LONGEST_HEADER:,} bytes")
    return start[: end.end()] if end else start


def fields(path: Path) -> dict[str, str]:
    """The fields of a header by their names in lower case, without blanks. Raises VolumeError."""
    found: dict[str, str] = {}
    for line in re.split(r"[\r\n]+", _header(path).decode("latin-1"))[1:]:
        name, colon, value = line.partition(":")
        key = name.strip().lower().replace(" ", "")
        if line.startswith("#") or value.startswith("=") or not colon:
            continue
        if key in found:
            raise VolumeError(f"{name.strip()} twice", file=path, expected="each field once")
        found[key] = value.strip()
    return found


def data_file(path: Path) -> str:
    """The file in the same folder that holds the voxels, or nothing. Raises OutsideError."""
    name = fields(path).get("datafile", "")
    if name and (not PLAIN_NAME.fullmatch(name) or name.startswith(("LIST", ".."))):
        raise OutsideError(
            f"data file: {name}", file=path, expected="one raw file in the folder of its header"
        )
    return name


def _check_spacing(path: Path, told: dict[str, str]) -> None:
    """Raise UnplacedError where ITK would take 1 mm for what a header does not say."""
    words = told.get("spacedirections", told.get("spacings", "no space directions and no spacings"))
    if re.search(r"\b(none|nan|no)\b", words, re.IGNORECASE):
        raise UnplacedError(words, file=path, expected="a spacing in mm along each axis")
    units = re.findall(r'"([^"]*)"', told.get("spaceunits", "") + told.get("units", ""))
    if others := set(units) - {"mm", "millimeter", "millimeters", ""}:
        found = f"units {', '.join(sorted(others))}"
        raise UnplacedError(found, file=path, expected="a spacing in mm")


def open_checked(path: Path) -> sitk.ImageFileReader:
    """A reader that has read the header. Raises NotDicomError, VolumeError, OutsideError or UnplacedError."""
    data_file(path)
    told = fields(path)
    reader = open_header(path, "NrrdImage")
    check_size(path, reader.GetSize())
    if reader.GetNumberOfComponents() == 1:  # else it is refused
        _check_spacing(path, told)
        _check_length(path, told, reader)
    return reader


def _check_length(path: Path, told: dict[str, str], reader: sitk.ImageFileReader) -> None:
    """Raise VolumeError where a file of plain voxels holds more than its header says."""
    if told.get("encoding") != "raw" or not {"byteskip", "lineskip"}.isdisjoint(told):
        return
    name = told.get("datafile", "")
    raw = path.parent / name
    present = (raw if name else path).stat().st_size - (0 if name else len(_header(path)))
    size = sitk.Image([1] * reader.GetDimension(), reader.GetPixelID()).GetSizeOfPixelComponent()
    if present > (needed := size * math.prod(reader.GetSize())):
        raise VolumeError(
            f"{present:,}", file=path, expected=f"{needed:,} bytes of voxels, as sizes and type say",
            remedy="correct the header",
        )  # fmt: skip


def is_placed(path: Path) -> bool:
    """Whether a header says where its voxels lie in the patient."""
    told = fields(path)
    return told.get("space", "").lower() in PATIENT and "spacedirections" in told and "spaceorigin" in told


def read_voxels(path: Path, reader: sitk.ImageFileReader) -> np.ndarray:
    """Voxels float32 [i, j, k …]. Raises VolumeError."""
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise VolumeError(said(error), file=path, expected="whole voxel data") from error
    stored = sitk.GetArrayViewFromImage(image)  # which goes with it
    middle = stored.reshape(-1, *stored.shape[-2:])
    try:
        check_byte_order(path, middle[len(middle) // 2])
    except ByteOrderError as error:
        error.remedy = "correct endian in the header"
        raise
    return stored.T.astype("f4")
