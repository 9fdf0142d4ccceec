"""The row of a plain DICOM header from the first bytes of its file, or nothing where it is not plain.

pydicom is the reader; this one only spares it the files that leave no question. It knows

- PS3.10 7.1: the preamble, and the file meta information with one of the next two transfer syntaxes;
- PS3.5 A.1 and A.2: implicit and explicit VR little endian;
- PS3.5 7.1.2 and 7.1.3: an element is a tag, with explicit VR its VR, a length of 16 or 32 bits, and a value;
- PS3.5 7.5: sequences are skipped by their length, and with explicit VR walked through where it is undefined;
- PS3.5 6.1.2, 6.2: values of CS, DA, DS, FD, IS, LO, SH, UI and US in the default repertoire.

Whatever else a file has, or lacks of what an index needs, is left to pydicom: then there is no row here, and
never an error.
"""

import functools
import math
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from pipeline.readers.dicom import NOT_IMAGES, NUMBER_TAGS, TEXT_TAGS, VECTOR_TAGS, diffusion, frames, tags

FIRST, MOST = 2**14, 2**18
"""Bytes that are read at first, and where the header is longer."""
LONGEST = 256
"""Bytes of a value: longer ones would fill the memory of those that are kept."""
DEPTH = 8
"""Sequences within each other that are walked through."""
UNDEFINED = 0xFFFFFFFF
IMPLICIT, EXPLICIT = b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.2.1\0"
CHARACTER_SETS = {b"", b"ISO_IR 6", b"ISO_IR 100", b"ISO_IR 192"}
"""Those in which a byte of the default repertoire is itself, and no escape leads to another."""
SEVERAL = bytes(range(0x20, 0x7F))
ONE = SEVERAL.replace(b"\\", b"")
"""Characters of texts with more than one value and with one."""
WHOLE, DECIMAL = b"+-0123456789 ", b"+-0123456789 .eE"

_explicit, _implicit = struct.Struct("<IHH").unpack_from, struct.Struct("<II").unpack_from
_long, _short, _double = (
    struct.Struct("<I").unpack_from,
    struct.Struct("<H").unpack,
    struct.Struct("<d").unpack,
)


def _key(tag: str | int) -> int:
    """A tag as its four bytes read as one number: the group is the lower half."""
    number = Tag(tag)
    return number.element << 16 | number.group


def _vr(name: str) -> int:
    return int.from_bytes(name.encode(), "little")


SHORT = frozenset(_vr(vr.value) for vr in EXPLICIT_VR_LENGTH_16)
LONG = frozenset(_vr(vr.value) for vr in EXPLICIT_VR_LENGTH_32)
"""VRs whose length has 16 and 32 bits."""
SEQUENCE, UID, UNSIGNED_LONG = map(_vr, ("SQ", "UI", "UL"))
GROUP_LENGTH, SYNTAX, PIXELS = map(_key, ("FileMetaInformationGroupLength", "TransferSyntaxUID", "PixelData"))
ITEM, ITEM_END, SEQUENCE_END = map(_key, (0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD))
ODD_IN_ITEM = {ITEM_END, _key("SpecificCharacterSet")}


class _OddError(Exception):
    """A file that is not plain."""


@functools.lru_cache(maxsize=4096)
def _text(value: bytes) -> str:
    said = value.rstrip(b"\0 ")
    if said.translate(None, ONE):
        raise _OddError
    return said.decode("ascii").strip()


@functools.lru_cache(maxsize=4096)
def _texts(value: bytes) -> str:
    said = value.rstrip(b"\0 ")
    if said.translate(None, SEVERAL) or b"MOSAIC" in said:
        raise _OddError
    return said.decode("ascii")


@functools.lru_cache(maxsize=4096)
def _numbers(value: bytes, count: int = 1, *, whole: bool = False) -> tuple[float, ...]:
    """Finite numbers; NaN where there are none."""
    said, known = value.rstrip(b"\0 ").split(b"\\"), WHOLE if whole else DECIMAL
    if said == [b""]:
        return (math.nan,) * count
    if len(said) != count or any(len(one) > 32 or one.translate(None, known) for one in said):
        raise _OddError
    try:
        found = tuple(float(int(one)) if whole else float(one) for one in said)
    except ValueError as error:
        raise _OddError from error
    if not all(abs(one) < (2**31 if whole else math.inf) for one in found):
        raise _OddError
    return found


def _decimal(value: bytes) -> float:
    return _numbers(value)[0]


def _whole(value: bytes) -> float:
    return _numbers(value, whole=True)[0]


def _count(value: bytes) -> float:
    if len(value) != 2:
        raise _OddError
    return float(_short(value)[0])


def _decimal_text(value: bytes) -> str:
    """A number as it is written; a column of text has never told zero from nothing."""
    return _text(value) if _decimal(value) else ""


def _whole_text(value: bytes) -> str:
    return _text(value) if _whole(value) else ""


def _vr_of(tag: str) -> str:
    return dictionary_VR(Tag(tag))


AS_NUMBER = {"DS": _decimal, "IS": _whole, "US": _count}
AS_TEXT = {"DS": _decimal_text, "IS": _whole_text}
COUNTED = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation")
SINGLE: list[tuple[str, str, Callable[[bytes], Any]]] = [
    *((name, tag, AS_TEXT.get(_vr_of(tag), _text)) for name, tag in TEXT_TAGS.items()),
    *((name, tag, AS_NUMBER[_vr_of(tag)]) for name, tag in NUMBER_TAGS.items()),
    ("image_type", "ImageType", _texts),
]
"""Column, tag and how its value is read, of columns that have a tag of their own."""
PRIVATE = {int(tag): (int(creator), one) for tag, (creator, one) in diffusion.PLACES.items()}
"""Private b-values by tag, each with the tag of its creator."""
CREATORS = {"", "SIEMENS MR HEADER", "GEMS_PARM_01"}
"""Those whose b-values are digits, in each of these VRs."""
PRIVATE_VRS = {_vr(vr) for vr in ("IS", "UN", "OB")}
NEVER = (frames.SHARED, frames.PER_FRAME, "FloatPixelData", "DoubleFloatPixelData")
"""Elements of images that are not plain."""
_OTHERS = ("SpecificCharacterSet", "SOPClassUID", "HighBit", "NumberOfFrames", "DiffusionBValue", *NEVER)
_TAGS = (*(tag for _, tag, _ in SINGLE), *VECTOR_TAGS, *COUNTED, *_OTHERS)
WANTED: dict[int, tuple[str | int, set[int], int]] = {
    **{_key(tag): (tag, {_vr(_vr_of(tag))}, int(Tag(tag))) for tag in _TAGS},
    **{_key(tag): (tag, PRIVATE_VRS, tag) for tag in PRIVATE},
    **{_key(tag): (tag, {_vr("LO")}, tag) for tag, _ in PRIVATE.values()},
    PIXELS: ("PixelData", {_vr("OB"), _vr("OW")}, int(Tag("PixelData"))),
    ITEM_END: ("", set(), 0),  # ends a data set for pydicom, whatever its length
}
"""Elements of a row by key: their name in a table of Elements, their VRs, and what they are ordered by."""

Elements = dict[str | int, bytes]
"""Values by keyword, those of private tags by tag."""


def read_row(start: bytes, file: BinaryIO, size: int) -> dict[str, Any] | None:
    """What ``dicom.read_header`` gives for a plain file of ``size`` bytes, which begins with ``start``.

    None where the file is not plain. ``file`` is read where ``start`` is less than its header.
    """
    try:
        try:
            return _row(start, size)
        except struct.error:
            if len(start) >= size:
                return None
        file.seek(0)
        return _row(file.read(MOST), size)
    except (_OddError, struct.error):
        return None


def _row(data: bytes, size: int) -> dict[str, Any]:
    """The row of a header that lies within ``data``; else raises struct.error."""
    at, syntax = _meta(data)
    found, at, length = _elements(data, at, explicit=syntax == EXPLICIT)
    get = found.get
    if get("SpecificCharacterSet", b"").rstrip(b" ") not in CHARACTER_SETS:
        raise _OddError
    if not found.keys().isdisjoint(NEVER) or get("NumberOfFrames", b"1 ") != b"1 ":
        raise _OddError
    row = {name: read(get(tag, b"")) for name, tag, read in SINGLE}
    for tag, names in VECTOR_TAGS.items():
        row.update(zip(names, _numbers(get(tag, b""), len(names)), strict=True))
    if row["spacing_row_mm"] <= 0 or row["spacing_column_mm"] <= 0 or row["slice_thickness_mm"] < 0:
        raise _OddError
    if not row["sop_instance_uid"] or not row["series_uid"]:
        raise _OddError
    stored = _text(get("SOPClassUID", b""))
    said, meant = row["modality"].upper(), tags.MODALITIES.get(stored, "")
    if not stored or said in NOT_IMAGES or (said and meant and said != meant):
        raise _OddError
    row["modality"] = said or meant
    _check_pixels(found, row["photometric"], min(length, size - at))
    row["b_value"] = _b_value(found)
    return row


def _meta(data: bytes) -> tuple[int, bytes]:
    """Where the data set begins, and its transfer syntax."""
    if data[128:132] != b"DICM" or _explicit(data, 132) != (GROUP_LENGTH, UNSIGNED_LONG, 4):
        raise _OddError
    at, syntax = 132, b""
    while True:
        key, vr, length = _explicit(data, at)
        group = key & 0xFFFF
        if group != 2:
            if syntax not in (IMPLICIT, EXPLICIT) or group < 8:
                raise _OddError
            return at, syntax
        if vr in LONG:
            at += 4
            (length,) = _long(data, at + 4)
        elif vr not in SHORT:
            raise _OddError
        at += 8 + length
        if key == SYNTAX:
            if syntax or vr != UID:
                raise _OddError
            syntax = data[at - length : at]


def _elements(data: bytes, at: int, *, explicit: bool) -> tuple[Elements, int, int]:
    """The wanted elements of a data set; where its pixels begin, and their length.

    With implicit VR an element has the VR of the dictionary.
    """
    found: Elements = {}
    last = 0
    if not explicit and all(0x40 < letter < 0x5B for letter in data[at + 4 : at + 6]):
        raise _OddError  # it looks explicit after all
    while True:
        if explicit:
            key, vr, length = _explicit(data, at)
            at += 8
            if vr in LONG:
                (length,) = _long(data, at)
                at += 4
            elif vr not in SHORT:
                raise _OddError
        else:
            key, length = _implicit(data, at)
            vr = None
            at += 8
        if length == UNDEFINED:
            if vr != SEQUENCE or key in WANTED:
                raise _OddError
            at = _end_of_sequence(data, at, DEPTH)
            continue
        if key in WANTED:
            name, vrs, number = WANTED[key]
            if number <= last or (explicit and vr not in vrs):
                raise _OddError
            if key == PIXELS:
                return found, at, length
            if length > LONGEST:
                raise _OddError
            last = number
            found[name] = data[at : at + length]
        at += length


def _end_of_sequence(data: bytes, at: int, depth: int) -> int:
    """Where a sequence of undefined length ends whose first item is at ``at``."""
    while depth:
        key, length = _implicit(data, at)
        at += 8
        if key == SEQUENCE_END:
            return at
        if key != ITEM:
            break
        at = _end_of_item(data, at, None if length == UNDEFINED else at + length, depth - 1)
    raise _OddError


def _end_of_item(data: bytes, at: int, end: int | None, depth: int) -> int:
    """Where an item ends, whose elements must fill it; one of undefined length has no ``end``."""
    while at != end:
        key, vr, length = _explicit(data, at)
        at += 8
        if key == ITEM_END and end is None and vr == length == 0:
            return at
        if key in ODD_IN_ITEM or (vr not in SHORT and vr not in LONG) or (end is not None and at > end):
            raise _OddError
        if vr in LONG:
            (length,) = _long(data, at)
            at += 4
            if length == UNDEFINED:
                if vr != SEQUENCE:
                    raise _OddError
                at, length = _end_of_sequence(data, at, depth), 0
        at += length
    return at


def _check_pixels(found: Elements, photometric: str, present: int) -> None:
    """Raise where ``tags.check_bits`` or the length of the pixels in bytes may raise."""
    rows, columns, samples, allocated, stored, signed = (_count(found.get(tag, b"")) for tag in COUNTED)
    fitting = tags.GREY if samples == 1 else tags.COLOUR if samples == 3 else ()
    if not (rows and columns and 1 <= stored <= allocated and signed < 2) or photometric not in fitting:
        raise _OddError
    if "HighBit" in found and not stored - 1 <= _count(found["HighBit"]) < allocated:
        raise _OddError
    needed = int(rows * columns * samples * allocated) // 8
    whole = needed <= present < needed + max(needed, 1) + needed % 2
    if not whole or photometric == "YBR_FULL_422":  # of which two pixels share their colour
        raise _OddError


def _b_value(found: Elements) -> float:
    """What ``diffusion.b_value`` gives; private ones where they are digits of a creator that is known."""
    value = found.get("DiffusionBValue")
    if value is not None:
        if len(value) != 8 or not 0 <= _double(value)[0] < math.inf:
            raise _OddError
        return float(_double(value)[0])
    given = [tag for tag in PRIVATE if tag in found]
    if not given:
        return math.nan
    creator, one = PRIVATE[given[0]]
    said = _text(found.get(creator, b"")).upper()
    if len(given) > 1 or said not in CREATORS:
        raise _OddError
    if not said.startswith(one.creator) and (said or one.creator != "SIEMENS"):
        return math.nan
    value = found[given[0]]
    _numbers(value, value.count(b"\\") + 1, whole=True)
    number = diffusion.number(value, one)
    if number is not None and number < 0:
        raise _OddError
    return math.nan if number is None else number
