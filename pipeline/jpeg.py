"""JPEG: whether all pixels are there. The decoder takes blocks that are missing for grey, without a word."""

import io
from pathlib import Path

from PIL import Image

from pipeline.errors import TruncatedError

END = b"\xff\xd9"
MISSING = 128
"""The grey of a block of which nothing is known: all coefficients are 0 (ITU-T T.81, A.3.1)."""
BLOCK = 8
"""Pixels across and down that have their coefficients in common."""
MORE = b"\x55" * 4096
"""Bytes that are no marker, and no end of a block."""


def check_whole(path: Path) -> None:
    """Raise TruncatedError where more pixel data would change the picture: then some are missing."""
    content = path.read_bytes()
    place = content.rfind(END)
    if _decoded(content) != _decoded(content[:place] + MORE + END):
        raise TruncatedError("an end among its pixels", file=path, expected="a whole image")


def _decoded(content: bytes) -> bytes:
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            return image.tobytes()
    except (OSError, SyntaxError, ValueError):
        return b""
