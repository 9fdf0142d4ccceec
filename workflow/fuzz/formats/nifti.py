"""NIfTI: the fields of its header by name, each with a value at which something ends."""

import math
import struct
from random import Random

FIELDS = {
    b"n+1\0": {"sizeof_hdr": (0, "i"), "dim": (40, "8h"), "datatype": (70, "h"), "bitpix": (72, "h"),
               "pixdim": (76, "8f"), "vox_offset": (108, "f"), "scl": (112, "2f"), "xyzt_units": (123, "B"),
               "codes": (252, "2h"), "quatern": (256, "6f"), "srow": (280, "12f"), "extension": (348, "B")},
    b"n+2\0": {"sizeof_hdr": (0, "i"), "dim": (16, "8q"), "datatype": (12, "h"), "bitpix": (14, "h"),
               "pixdim": (104, "8d"), "vox_offset": (168, "q"), "scl": (176, "2d"), "xyzt_units": (500, "i"),
               "codes": (344, "2i"), "quatern": (352, "6d"), "srow": (400, "12d"), "extension": (540, "B")},
}  # fmt: skip
"""Offset and values of each field, of NIfTI-1 (nifti1.h) and NIfTI-2 (nifti2.h)."""
WHOLE = (
    0, 1, -1, 2, 3, 4, 5, 7, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536, 1792, 2304, 30000, 2**15, 2**31,
    2**62,
)  # fmt: skip
FLOATS = (0.0, -1.0, 1.0, 1e-30, 1e30, 352.0, 1e9, -1e9, math.nan, math.inf, -math.inf)


def field(content: bytes, random: Random) -> bytes:
    """A number of a field of the header replaced."""
    version = next((magic for magic in FIELDS if magic in (content[344:348], content[4:8])), None)
    if version is None:
        return content
    offset, kind = random.choice(sorted(FIELDS[version].values()))
    kind = f"<{kind}"
    if offset + struct.calcsize(kind) > len(content):
        return content
    values = list(struct.unpack_from(kind, content, offset))
    place = random.randrange(len(values))
    bits = 8 * struct.calcsize(kind[-1])
    wrapped = random.choice(WHOLE) & (1 << bits) - 1
    signed = wrapped - (1 << bits) if kind[-1].islower() and wrapped >> bits - 1 else wrapped
    values[place] = random.choice(FLOATS) if kind[-1] in "fd" else signed
    made = bytearray(content)
    struct.pack_into(kind, made, offset, *values)
    return bytes(made)
