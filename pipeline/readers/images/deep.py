"""Pictures of more than 8 bits per colour, which Pillow would cut to 8: luminance and colours in 16 bits."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)
from PIL.ImageFile import ImageFile

from pipeline.errors import NotDicomError, TruncatedError
from pipeline.readers.colours import are_coloured

LUMA = np.array([0.299, 0.587, 0.114], "f4")
"""Weights of red, green and blue in grey (ITU-R 601)."""
ORIENTATION, EXTRA_SAMPLES = 274, 338


def tiff_tag(image: ImageFile, tag: int, absent: Any) -> Any:
    """The value of a tag of a TIFF; ``absent`` for other formats too."""
    return getattr(image, "tag_v2", {}).get(tag, absent)


def is_deep(image: ImageFile) -> bool:
    """Whether an opened picture, whose pixels are not loaded yet, has colours of more than 8 bits."""
    if image.mode.startswith("I") or image.mode == "F":
        return False
    if image.format == "JPEG2000":
        return _jpeg2000_bits(image) > 8
    if image.format == "PPM":
        return _maximum(image) > 255
    return any(";16" in str(tile.args) for tile in image.tile)


def read(path: Path, image: ImageFile) -> np.ndarray:
    """Such a picture as it is stored, (rows, columns, channels); a second or fourth channel is opacity."""
    if image.format == "PPM":
        return _ppm(path, image)
    if any(tile.args == "LA;16B" for tile in image.tile):
        return _grey_alpha(image)
    if image.format == "JPEG2000" or image.mode == "CMYK" or tiff_tag(image, ORIENTATION, 1) != 1:
        kind = f"a {image.format} of more than 8 bits per colour"
        raise NotDicomError(
            f"{kind} that is CMYK or lies on its side" if image.format == "TIFF" else kind, file=path,
            expected="a picture whose depth can be kept", remedy="save it as a 16-bit PNG",
        )  # fmt: skip
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(f"{image.format}ImageIO")
    try:
        pixels = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        found = str(error).splitlines()[-1]
        raise TruncatedError(found, file=path, expected="a whole image") from error
    if pixels.shape[:2] != (image.height, image.width) or pixels.ndim != 3 or pixels.shape[2] < 3:
        raise NotDicomError(f"pixels of shape {pixels.shape}", file=path)
    if tiff_tag(image, EXTRA_SAMPLES, (2,))[0] != 2:
        pixels = pixels[..., :3]  # no transparency, or colours that it has dimmed already
    return pixels


def grey(pixels: np.ndarray) -> np.ndarray:
    """Luminance of what :func:`read` gives, float32 (rows, columns), over black."""
    channels = pixels.shape[2]
    grey = pixels[..., 0].astype("f4") if channels < 3 else np.zeros(pixels.shape[:2], "f4")
    for number, weight in enumerate(LUMA if channels > 2 else ()):
        grey += pixels[..., number] * weight
    if channels in (2, 4):
        grey *= pixels[..., -1] * np.float32(1 / 65535)
    return grey


def is_coloured(pixels: np.ndarray) -> bool:
    """Whether it has colours, and they differ."""
    return pixels.shape[2] > 2 and are_coloured(pixels, 65535)


def colours(pixels: np.ndarray) -> np.ndarray:
    """Its red, green and blue, float32 (3, rows, columns), over black; alike where it is grey."""
    channels = pixels.shape[2]
    planes = np.moveaxis(pixels[..., [0, 0, 0] if channels < 3 else [0, 1, 2]], -1, 0).astype("f4")
    if channels in (2, 4):
        planes *= pixels[..., -1] * np.float32(1 / 65535)
    return planes


def _grey_alpha(image: ImageFile) -> np.ndarray:
    """16-bit grey and alpha of a PNG. Four bytes per pixel are what 8-bit colours with alpha have too."""
    image._mode = "RGBA"
    image.tile = [tile._replace(args="RGBA") for tile in image.tile]
    image.load()
    return np.ascontiguousarray(np.asarray(image)).view(">u2")


def _maximum(image: ImageFile) -> int:
    """The number that is white in a PPM."""
    args = image.tile[0].args
    return int(args[-1]) if isinstance(args, tuple) and isinstance(args[-1], int) else 255


def _ppm(path: Path, image: ImageFile) -> np.ndarray:
    """Colours of a PPM of up to 16 bits, of 65535: two bytes each, the higher first, or as text."""
    (tile,) = image.tile
    count = image.width * image.height * 3
    content = path.read_bytes()
    if content[:2] == b"P3":
        text = re.sub(rb"#[^\n]*", b"", content[tile.offset :])
        values = np.array(text.split()[:count], "f4")
    else:
        values = np.frombuffer(content, ">u2", count, tile.offset).astype("f4")
    return values.reshape(image.height, image.width, 3) * (65535 / _maximum(image))


def _jpeg2000_bits(image: ImageFile) -> int:
    """Bits of the deepest colour, from the SIZ marker of the code stream (ISO 15444-1, A.5.1)."""
    assert image.fp is not None  # it is open
    image.fp.seek(0)
    content = image.fp.read()
    place = content.find(b"\xff\x4f\xff\x51")
    count = int.from_bytes(content[place + 40 : place + 42], "big")
    depths = content[place + 42 : place + 42 + 3 * count : 3]
    return max(((depth & 0x7F) + 1 for depth in depths), default=8)
