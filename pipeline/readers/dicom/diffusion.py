"""The diffusion b-value of an image: (0018,9087), or where the maker of the scanner keeps it."""

import struct
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from pipeline.errors import TagValueError
from pipeline.readers.dicom import tags

BLOCKS = range(0x10, 0x14)
"""Blocks of a private group that are looked through for its creator (PS3.5 section 7.8.1)."""
GE_OFFSET = 1e9
"""Newer GE software adds this to a b-value."""


@dataclass(frozen=True)
class Private:
    """A private tag with a b-value in s/mm²: group, element of its block, creator, how bytes are read."""

    group: int
    element: int
    creator: str
    binary: str = ""
    """Format of struct where the value is no text."""


PRIVATE = (
    Private(0x0019, 0x0C, "SIEMENS"),
    Private(0x0043, 0x39, "GEMS_PARM_01"),
    Private(0x2001, 0x03, "PHILIPS IMAGING DD 001", "<f"),
    Private(0x0065, 0x09, "IMAGE PRIVATE HEADER", "<d"),  # United Imaging
)
"""The private tags that dcm2niix knows; a creator is known by how it begins."""
PLACES = {
    Tag(one.group, block << 8 | one.element): (Tag(one.group, block), one)
    for one in PRIVATE
    for block in BLOCKS
}
"""Where a private b-value may be, and the tag of the creator of that block."""
TAGS: list[BaseTag] = [Tag("DiffusionBValue"), *PLACES, *(creator for creator, _ in PLACES.values())]
"""All tags that :func:`b_value` looks at."""


def b_value(ds: Dataset) -> float:
    """The diffusion b-value in s/mm²; NaN where there is none. Raises TagValueError.

    (0018,9087) where it is given; else the private tag of the maker, whose value may arrive as raw bytes such
    as ``b'400 '`` because its VR is unknown (UN).
    """
    found = tags.number(ds, "DiffusionBValue")
    if found != found:
        found = _private(ds)
    if found < 0:
        raise TagValueError(f"{found:g}", expected="a b-value of 0 or more")
    return found


def _private(ds: Dataset) -> float:
    """The private b-value, NaN where there is none."""
    for tag in sorted(ds.keys() & PLACES.keys()):
        creator, one = PLACES[tag]
        # De-identified Siemens files may have lost the creator of their block.
        said = str(ds[creator].value).strip().upper() if creator in ds else ""
        if said.startswith(one.creator) or (not said and one.creator == "SIEMENS"):
            value = number(ds[tag].value, one)
            if value is not None:
                return value
    return float("nan")


def number(value: object, one: Private) -> float | None:
    """A private b-value, None where it is empty; raises TagValueError."""
    if isinstance(value, bytes) and one.binary and len(value) == struct.calcsize(one.binary):
        (value,) = struct.unpack(one.binary, value)
    said = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    if isinstance(said, MultiValue | list):
        said = said[0] if said else ""  # GE keeps other numbers behind it
    shown = str("" if said is None else said).strip("\0 ").split("\\")[0].strip("\0 ")
    if not shown:
        return None
    try:
        found = float(shown)
    except ValueError:
        found = float("nan")
    if not abs(found) < float("inf"):
        raise tags.unreadable(f"private tag ({one.group:04x},xx{one.element:02x})", shown)
    return found - GE_OFFSET if one.creator.startswith("GEMS") and found >= GE_OFFSET else found
