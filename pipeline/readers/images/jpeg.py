"""JPEG: whether all pixels are there, and how strongly it was compressed.

The decoder takes blocks that are missing for grey, without a word.
"""

import functools
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.errors import TruncatedError

END = b"\xff\xd9"
MISSING = 128
"""The grey of a block of which nothing is known: all coefficients are 0 (ITU-T T.81, A.3.1)."""
BLOCK = 8
"""Pixels across and down that have their coefficients in common."""
MORE = b"\x55" * 4096
"""Bytes that are no marker, and no end of a block."""


def longer(content: bytes) -> bytes:
    """A JPEG with more pixel data before its end: they change a picture that lacks some, and no other."""
    return content[: content.rfind(END)] + MORE + END


def check_whole(path: Path) -> None:
    """Raise TruncatedError where pixels of a picture are missing."""
    content = path.read_bytes()
    if _decoded(content) != _decoded(longer(content)):
        raise TruncatedError("an end among its pixels", file=path, expected="a whole image")


def may_lack(stored: np.ndarray) -> bool:
    """Whether decoded values (rows, columns, …) end in a mid-grey: 128, 2048 or another power of two."""
    last = stored[-1, -BLOCK:].view(f"u{stored.dtype.itemsize}")
    grey = int(last.flat[0])
    return grey >= MISSING and grey.bit_count() == 1 and bool((last == grey).all())


def _decoded(content: bytes) -> bytes:
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            return image.tobytes()
    except (OSError, SyntaxError, ValueError):
        return b""


def luminance(image: Image.Image) -> list[int] | None:
    """The quantization table of an opened JPEG that its luminance has, row by row; None where it has none."""
    tables = getattr(image, "quantization", None) or {}
    table = tables.get(0)
    return list(table) if table is not None and len(table) == BLOCK**2 else None


def read_luminance(content: bytes) -> list[int] | None:
    """The same of a JPEG in memory; None of bytes that are none."""
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            return luminance(image)
    except (OSError, SyntaxError, ValueError):
        return None


def quality(table: Sequence[int]) -> int:
    """The quality, 1 to 100, whose luminance table of the Independent JPEG Group is nearest to a table.

    It is that of files from libjpeg and its kin. Cameras and Photoshop have tables of their own, for which
    it is the quality that loses about as much. Of equally near ones the highest.
    """
    found = np.abs(_tables() - np.array(table)).sum(axis=1)
    return len(found) - int(found[::-1].argmin())


@functools.cache
def _tables() -> np.ndarray:
    """Those of quality 1 to 100, (100, 64), as the library that Pillow has writes them."""
    made = []
    for number in range(1, 101):
        content = io.BytesIO()
        Image.new("L", (BLOCK, BLOCK)).save(content, "JPEG", quality=number)
        made.append(read_luminance(content.getvalue()))
    return np.array(made)
