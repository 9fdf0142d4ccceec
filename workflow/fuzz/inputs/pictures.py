"""Pictures of a few pixels in every format and most modes that are read."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from pipeline.card import Preprocessing
from pipeline.seeds import stream
from workflow.fuzz.formats.pictures import PNG, chunk
from workflow.fuzz.reader import Input

ROWS, COLUMNS = 12, 10
NAMED = {"patient_id": "P1", "finding_id": "1"}
HOW = Preprocessing("table", ("image",), "40 px", None, "series", "geometry", 2, 0, 3)
"""How a case is cut."""
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
"""On its side (0x0112 is 6)."""
WAYS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "grey.png": ("PNG", "L", {}),
    "deep.png": ("PNG", "I;16", {}),
    "bits.png": ("PNG", "1", {}),
    "palette.png": ("PNG", "P", {"transparency": 3}),
    "alpha.png": ("PNG", "RGBA", {}),
    "grey.jpg": ("JPEG", "L", {"exif": EXIF}),
    "colour.jpg": ("JPEG", "RGB", {"progressive": True}),
    "ink.jpg": ("JPEG", "CMYK", {}),
    "deep.tif": ("TIFF", "I;16", {}),
    "float.tif": ("TIFF", "F", {}),
    "packed.tif": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "deflated.tif": ("TIFF", "L", {"compression": "tiff_adobe_deflate"}),
    "colour.webp": ("WEBP", "RGB", {}),
    "exact.webp": ("WEBP", "RGBA", {"lossless": True}),
    "grey.bmp": ("BMP", "L", {}),
    "colour.gif": ("GIF", "P", {}),
    "grey.jp2": ("JPEG2000", "L", {}),
    "grey.pgm": ("PPM", "L", {}),
    "deep.pgm": ("PPM", "I;16", {}),
    "colour.ppm": ("PPM", "RGB", {}),
    "float.pfm": ("PPM", "F", {}),
}
"""Format, mode and options of each file that Pillow writes."""


def _picture(mode: str) -> Image.Image:
    values = stream("fuzz", "picture").integers(0, 250, (ROWS, COLUMNS, 4)).astype("u1")
    if mode == "I;16":
        return Image.fromarray(values[..., 0].astype("u2") * 257)
    if mode == "F":
        return Image.fromarray(values[..., 0].astype("f4"))
    image = Image.fromarray(values)
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


def _saved(kind: str, mode: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    _picture(mode).save(file, kind, **options)
    return file.getvalue()


def _deep(kind: int, channels: int) -> bytes:
    """A PNG of 16 bits per channel and a colour type that Pillow does not write."""
    values = stream("fuzz", "deep").integers(0, 65535, (ROWS, COLUMNS * channels)).astype(">u2")
    lines = b"".join(b"\0" + line.tobytes() for line in np.asarray(values))
    head = struct.pack(">IIBBBBB", COLUMNS, ROWS, 16, kind, 0, 0, 0)
    return PNG + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def _pages() -> bytes:
    file = io.BytesIO()
    _picture("L").save(file, "TIFF", save_all=True, append_images=[_picture("L")])
    return file.getvalue()


def inputs() -> list[Input]:
    """One file of each way."""
    made = [Input(name, _saved(*way)) for name, way in WAYS.items()]
    numbers = stream("fuzz", "text").integers(0, 1000, 3 * ROWS * COLUMNS)
    text = f"P3\n# text\n{COLUMNS} {ROWS}\n1000\n{' '.join(map(str, numbers))}\n".encode()
    return [
        *made,
        Input("deep_colour.png", _deep(2, 3)),
        Input("deep_alpha.png", _deep(4, 2)),
        Input("pages.tif", _pages()),
        Input("text.ppm", text),
    ]
