"""NRRD: what its header says of files and place, checked before SimpleITK reads it."""

import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)

from pipeline.errors import OutsideError, UnplacedError, VolumeError
from pipeline.itk import open_header
from pipeline.voxels import check_size

LONGEST_HEADER = 65536
PATIENT = {
    "right-anterior-superior", "ras", "left-anterior-superior", "las", "left-posterior-superior", "lps",
    "right-anterior-superior-time", "rast", "left-anterior-superior-time", "last",
    "left-posterior-superior-time", "lpst",
}  # fmt: skip
"""Spaces whose axes are those of a patient."""
PLAIN_NAME = re.compile(r"[^%/\\:]+")


def fields(path: Path) -> dict[str, str]:
    """The fields of a header by their names in lower case, without blanks. Raises VolumeError."""
    with path.open("rb") as file:
        header, *rest = re.split(rb"\r?\n\r?\n", file.read(LONGEST_HEADER), maxsplit=1)
    if not rest and len(header) == LONGEST_HEADER:
        raise VolumeError("no end of its header", file=path, expected=f"at most {LONGEST_HEADER:,} bytes")
    found: dict[str, str] = {}
    for line in re.split(r"[\r\n]+", header.decode("latin-1"))[1:]:
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


def open_checked(path: Path) -> sitk.ImageFileReader:
    """A reader that has read the header. Raises NotDicomError, VolumeError, OutsideError or UnplacedError."""
    data_file(path)
    said = fields(path)
    if not {"spacings", "spacedirections"} & said.keys():
        raise UnplacedError("no space directions and no spacings", file=path, expected="a spacing in mm")
    units = set(re.findall(r'"([^"]*)"', said.get("spaceunits", ""))) - {"mm", "millimeter", ""}
    if units and "space" in said:
        raise UnplacedError(f"space units {', '.join(sorted(units))}", file=path, expected="a spacing in mm")
    reader = open_header(path, "NrrdImage")
    check_size(path, reader.GetSize())
    return reader


def is_placed(path: Path) -> bool:
    """Whether a header says where its voxels lie in the patient."""
    said = fields(path)
    return said.get("space", "").lower() in PATIENT and "spacedirections" in said and "spaceorigin" in said


def read_voxels(path: Path, reader: sitk.ImageFileReader) -> np.ndarray:
    """Voxels float32 [i, j, k …]. Raises VolumeError."""
    try:
        image = reader.Execute()  # keeps what it is a view of
        return sitk.GetArrayViewFromImage(image).T.astype("f4")
    except RuntimeError as error:
        raise VolumeError(str(error).splitlines()[-1], file=path, expected="whole voxel data") from error
