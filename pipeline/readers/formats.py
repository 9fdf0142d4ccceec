"""What a file is that cannot be read, by how it begins: intact, it need not be downloaded again."""

import gzip
import re
import zlib
from pathlib import Path

from pipeline.errors import NotDicomError, NotImageError
from pipeline.readers import dicom, images, volumes

GZIP = b"\x1f\x8b"
REMEDY = "convert it to one of these, or remove it"
NAMES = {
    rb"\Z": "an empty file",
    rb"%PDF": "a PDF",
    rb"PK\x03\x04": "a zip archive or an office document",
    rb"\x1f\x8b": "something compressed with gzip",
    rb"BZh[1-9]": "something compressed with bzip2",
    rb"\xfd7zXZ\0": "something compressed with xz",
    rb"\x28\xb5\x2f\xfd": "something compressed with zstd",
    rb"7z\xbc\xaf\x27\x1c": "a 7z archive",
    rb"Rar!": "a RAR archive",
    rb".{257}ustar": "a tar archive",
    rb"\x89HDF": "an HDF5 file",
    rb"CDF[\x01\x02\x05]": "a NetCDF or MINC file",
    rb"\x93NUMPY": "a NumPy array",
    rb"NRRD000": "an NRRD volume",
    rb"(?:\x5c\x01\0\0|\0\0\x01\x5c).{340}ni1\0": "a NIfTI of two files (.hdr and .img)",
    rb"\x5c\x01\0\0|\0\0\x01\x5c": "an Analyze 7.5 header",
    rb"\0\0\0\x01\0\0.{22}[\0\x01]": "an MGH volume",
    rb"SIMPLE  =": "a FITS image",
    rb"8BPS": "a Photoshop picture",
    rb"....ftyp(?:heic|heix|mif1|msf1)": "a HEIC picture",
    rb"....ftypavi[fs]": "an AVIF picture",
    rb"....ftyp": "a video",
    rb"RIFF....AVI ": "a video",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "a JPEG XL picture",
    rb"\0\0\x01\0": "an icon",
    rb"# vtk DataFile": "a VTK file",
    rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old office document",
    rb"\x7fELF|MZ": "a program",
    rb"SQLite format 3\0": "a database",
}
"""Names of formats by a regular expression of their first 352 bytes."""


def unknown(path: Path, start: bytes) -> NotDicomError | NotImageError:
    """Why a file that begins with these bytes is none of our images; what gzip has packed is looked into."""
    if start.startswith(GZIP):
        try:
            with gzip.open(path) as file:
                inside = file.read(len(start))
        except (OSError, EOFError, zlib.error):
            inside = b""
        kinds = {"DICOM": dicom.is_dicom, "a picture": images.is_image, "a volume": _is_volume}
        kind = next((kind for kind, fits in kinds.items() if fits(inside)), name_of(inside))
        if not kind:
            return NotImageError("something compressed with gzip", file=path)
        return NotDicomError(f"{kind}, compressed with gzip", remedy="unpack it (gunzip), or remove it")
    if path.suffix.lower() in (".raw", ".zraw"):
        found = "raw voxels that no header (.mhd, .nhdr) in its folder names"
        return NotDicomError(found, remedy="put its header beside it, or remove it")
    name = name_of(start)
    return NotDicomError(name or f"{len(start)} bytes of something else", remedy=name and REMEDY)


def _is_volume(start: bytes) -> bool:
    return volumes.is_volume(start, ".mha")


def name_of(start: bytes) -> str:
    """What a file that begins with these bytes is, in words; empty if nobody knows."""
    return next((name for pattern, name in NAMES.items() if re.match(pattern, start, re.DOTALL)), "")
