"""Pictures that Pillow reads: by content, in any mode, turned as EXIF says, in grey or in colours."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from pipeline.errors import BombError, InputError, NotDicomError, TruncatedError
from pipeline.pool import in_child
from pipeline.readers.colours import are_coloured
from pipeline.readers.images import deep, jpeg, png
from pipeline.readers.limits import limited
from pipeline.system import of_system

FORMATS = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "PPM": rb"P[1-6fF]\s",  # and its kin PBM, PGM and PFM
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "WEBP": rb"RIFF....WEBP",
    "BMP": rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "GIF": rb"GIF8[79]a",
    "JPEG2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
}
"""How a picture begins, by Pillow's name of its format."""
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".pbm", ".pgm", ".ppm", ".pnm", ".pfm", ".tif", ".tiff", ".webp", ".bmp", ".gif",
    ".jp2", ".j2k", ".jpf", ".jpx", ".j2c",
)  # fmt: skip
"""How the names of pictures end, as a rule."""
MAGIC = re.compile(b"|".join(FORMATS.values()), re.DOTALL)
ORIENTATION, PHOTOMETRIC = 0x0112, 0x0106
GREY = ("1", "L", "LA", "La")
"""Modes of pictures without colours."""
STRIPE = 1024
"""Rows that become grey at once: all of a large picture would take several times its memory."""

logging.getLogger("PIL").setLevel(logging.ERROR)  # odd tags are none of the user's business


def is_image(start: bytes) -> bool:
    """Whether a file that begins with these bytes is a picture that can be read."""
    return MAGIC.match(start) is not None


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile]:
    """A picture to read from; whatever a broken one makes its decoder raise is an InputError."""
    whole = False
    try:
        with warnings.catch_warnings(action="ignore"), limited(path):
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # By name Pillow would map a TIFF into memory, and take one on its side for upright.
            with path.open("rb") as file, Image.open(file, formats=list(FORMATS)) as image:
                whole = True
                yield image
    except (InputError, MemoryError):
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"at most {Image.MAX_IMAGE_PIXELS} pixels"
        raise BombError(str(error), file=path, expected=limit) from error
    except (OSError, SyntaxError) as error:
        if isinstance(error, OSError) and (told := of_system(error, path)):
            raise told from error
        if whole and not isinstance(error, UnidentifiedImageError):
            raise TruncatedError(str(error), file=path, expected="a whole image") from error
        raise NotDicomError(f"an unreadable image ({error})", file=path) from error
    except Exception as error:  # decoders are many, and what they raise is undocumented
        raise NotDicomError(f"an unreadable image ({error})", file=path) from error


def _orientation(image: Image.Image) -> int:
    """How the picture lies (EXIF and TIFF 0x0112), 1 to 8; 1 where it says nothing that makes sense."""
    value = image.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _pages(image: Image.Image) -> int:
    """How many pictures a file holds; what follows the first one need not be whole."""
    try:
        return int(getattr(image, "n_frames", 1))
    except (InputError, MemoryError):
        raise
    except Exception:
        return 1


@in_child
def read_header(path: Path) -> dict[str, Any]:
    """Rows and columns as the picture is seen, and a ``note`` where there are more in the file."""
    with _opened(path) as image:
        columns, rows = image.size
        # Pillow turns TIFF by itself; a PNG may say it behind its pixels.
        upright = image.format == "TIFF" or (image.format == "PNG" and png.is_silent(path))
        if not upright and _orientation(image) >= 5:  # 5 to 8 lie on their side
            columns, rows = rows, columns
        pages = _pages(image)
    note = {"note": f"the first of {pages} pictures in it is read"} if pages > 1 else {}
    return {"columns": columns, "rows": rows} | note


def read_quantization(path: Path) -> list[int] | None:
    """The quantization table of the luminance of a JPEG, 64 numbers row by row; None of any other picture."""
    with _opened(path) as image:
        return jpeg.luminance(image)


def _stripes(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Some rows of a loaded picture after the other, in 8-bit colours over black."""
    for top in range(0, image.height, STRIPE):
        rows = slice(top, min(top + STRIPE, image.height))
        stripe = image.crop((0, top, image.width, rows.stop))
        if "A" in image.mode or "transparency" in image.info:
            layer = stripe.convert("RGBA")
            stripe = Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer)
        yield rows, stripe.convert("RGB")


def _one_plane(image: Image.Image) -> np.ndarray | None:
    """A loaded picture that is one plane of wide numbers, as float32; None for any other."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return None
    values = np.asarray(image).astype("f4")
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        values[values == clear] = 0
    return values


class Picture(NamedTuple):
    """What was read of a picture."""

    values: np.ndarray
    """float32 (rows, columns), or (3, rows, columns) of colours."""
    greyed: bool = False
    """Whether it is in colour, and ``values`` are not."""


def _grey(image: Image.Image) -> Picture:
    """A loaded picture as float32 (rows, columns), as it is stored."""
    values, coloured = _one_plane(image), False
    if values is None:
        values = np.empty(image.size[::-1], "f4")
        for rows, stripe in _stripes(image):
            values[rows] = np.asarray(stripe.convert("L"))
            coloured = coloured or (image.mode not in GREY and are_coloured(np.asarray(stripe), 255))
    return Picture(values, coloured)


def _colours(image: Image.Image) -> Picture:
    """The same as float32 (3, rows, columns): red, green and blue, alike where it is grey."""
    values = _one_plane(image)
    if values is not None:
        return Picture(np.repeat(values[None], 3, axis=0))
    values = np.empty((3, *image.size[::-1]), "f4")
    for rows, stripe in _stripes(image):
        values[:, rows] = np.moveaxis(np.asarray(stripe), -1, 0)
    return Picture(values)


def _turned(values: np.ndarray, orientation: int) -> np.ndarray:
    """Planes as they are seen: orientations of 5 and more swap rows and columns first (EXIF 0x0112)."""
    if orientation >= 5:
        values = values.swapaxes(-1, -2)
    upside_down, mirrored = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return values[..., :: -1 if upside_down else 1, :: -1 if mirrored else 1]


@in_child
def read_picture(path: Path) -> Picture:
    """The first picture of a file as :func:`read_gray` reads it, and whether it is in colour."""
    return _read(path, lambda pixels: Picture(deep.grey(pixels), deep.is_coloured(pixels)), _grey)


@in_child
def read_gray(path: Path) -> np.ndarray:
    """The first picture of a file as float32 (rows, columns) luminance: 0…255, or 0…65535 for 16 bits.

    Colour becomes ITU-R 601 luma; what is transparent is black. Floats are as they are stored. Raises
    TruncatedError, BombError, LimitError or NotDicomError.
    """
    return _read(path, lambda pixels: Picture(deep.grey(pixels)), _grey).values


@in_child
def read_colours(path: Path) -> np.ndarray:
    """The same as float32 (3, rows, columns): red, green and blue, alike where the picture is grey."""
    return _read(path, lambda pixels: Picture(deep.colours(pixels)), _colours).values


def _read(
    path: Path, of_deep: Callable[[np.ndarray], Picture], of_loaded: Callable[[Image.Image], Picture]
) -> Picture:
    with _opened(path) as image:
        if deep.is_deep(image):
            values, greyed = of_deep(deep.read(path, image))
        else:
            image.load()
            values, greyed = of_loaded(image)
            if deep.tiff_tag(image, PHOTOMETRIC, 1) == 0 and image.mode in ("I;16", "F"):
                # White is 0, which Pillow turns round for 8 bits only.
                values = (65535 if image.mode == "I;16" else 0) - values
        # A row that is missing has one value, as many a last row has: only then is it worth the time.
        last = values[..., -1, :]
        if image.format == "PNG" and (image.info.get("interlace") or np.ptp(last) == 0):
            png.check_whole(path)
        if image.format == "JPEG" and (last[..., -jpeg.BLOCK :] == jpeg.MISSING).all():
            jpeg.check_whole(path)
        turn = 1 if image.format == "TIFF" else _orientation(image)
        return Picture(np.ascontiguousarray(_turned(values, turn)), greyed)
