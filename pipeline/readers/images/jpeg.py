"""JPEG: whether all pixels are there. The decoder takes blocks that are missing for grey, without a word."""

import io
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
