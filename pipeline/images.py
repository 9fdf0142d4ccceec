"""PNG and JPEG: by content, in any mode, turned as EXIF says, as one grey plane."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import BombError, NotDicomError, TruncatedError
from pipeline.pool import in_child

MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
FORMATS = ("PNG", "JPEG")


def is_image(start: bytes) -> bool:
    """Whether a file that begins with these bytes is a PNG or a JPEG."""
    return start.startswith(MAGIC)


def _open(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            return Image.open(path, formats=FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"at most {Image.MAX_IMAGE_PIXELS} pixels"
        raise BombError(str(error), file=path, expected=limit) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise NotDicomError(f"an unreadable image ({error})", file=path) from error


@in_child
def read_header(path: Path) -> dict[str, Any]:
    """Rows and columns as the image is seen (EXIF orientation applied)."""
    with _open(path) as image:
        columns, rows = image.size
        try:
            turned = image.getexif().get(0x0112, 1) >= 5  # orientations 5 to 8 lie on their side
        except (OSError, SyntaxError) as error:  # a PNG may have it behind its pixels
            raise TruncatedError(str(error), file=path, expected="a whole image") from error
    return {"columns": rows, "rows": columns} if turned else {"columns": columns, "rows": rows}


@in_child
def read_gray(path: Path) -> np.ndarray:
    """The image as float32 (rows, columns) luminance: 0…255, or 0…65535 for 16-bit PNG.

    Colour becomes ITU-R 601 luma; what is transparent is black. Raises TruncatedError, BombError or
    NotDicomError.
    """
    with _open(path) as opened:
        try:
            opened.load()
            image = ImageOps.exif_transpose(opened)
        except (OSError, SyntaxError) as error:
            raise TruncatedError(str(error), file=path, expected="a whole image") from error
        if image.mode.startswith("I") or image.mode == "F":
            return np.asarray(image, "f4")
        if "A" in image.mode or "transparency" in image.info:
            layer = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer)
        return np.asarray(image.convert("RGB").convert("L"), "f4")
