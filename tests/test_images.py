"""PNG and JPEG of every kind that downloads hold: the same grey plane, or one code."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.images import read_gray, read_header
from pipeline.index import read_row
from tests.dicoms import code, write_mr

GREY = np.array([[0, 100, 200], [255, 50, 150]], "u1")  # two rows, three columns
NOISE = np.random.default_rng(0).integers(0, 255, (64, 48), dtype="u1")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def black_png(columns: int, rows: int) -> bytes:
    """A whole PNG of one bit per pixel: any size in a few kilobytes."""
    header = struct.pack(">IIBBBBB", columns, rows, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((1 + (columns + 7) // 8) * rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def with_chunk(png: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    return png[:33] + chunk(kind, content) + png[33:]


# --- sizes


@pytest.mark.parametrize("side", [20_000, 10_000])  # Pillow's limit is 89 Mpx; from twice that it is an error
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    content = black_png(side, side)
    assert len(content) < 100_000
    found = code(put(tmp_path / "bomb.png", content))
    assert found.startswith("E-IMG-BOMB: expected at most 89478485 pixels, found Image size")
    assert f"({side**2} pixels)" in found
    with pytest.raises(InputError, match=r"^E-IMG-BOMB \S+/bomb\.png: "):
        read_gray(tmp_path / "bomb.png")


def test_a_large_picture_is_no_bomb(tmp_path: Path) -> None:
    assert code(put(tmp_path / "large.png", black_png(5_000, 4_000))) == ""


def test_text_that_unpacks_without_end_is_a_code_and_no_crash(tmp_path: Path) -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(2**21))
    content = with_chunk(encoded(Image.fromarray(NOISE), "PNG"), b"zTXt", text)
    assert code(put(tmp_path / "a.png", content)).startswith("E-DCM-NOTDICOM: ")


# --- damage


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_picture_cut_in_its_pixels_is_told(tmp_path: Path, kind: str, share: float) -> None:
    content = encoded(Image.fromarray(NOISE), kind)
    found = code(put(tmp_path / "a", content[: int(share * len(content))]))
    assert found.startswith("E-DCM-TRUNC: expected a whole image, found image file is truncated")
    assert found.endswith("; download the file again")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("length", [8, 20, 40])
def test_a_picture_cut_in_its_header_is_told(tmp_path: Path, kind: str, length: int) -> None:
    content = encoded(Image.fromarray(NOISE), kind)[:length]
    assert code(put(tmp_path / "a", content)).startswith("E-DCM-NOTDICOM: ")


def test_flipped_bits_in_a_png_are_told(tmp_path: Path) -> None:
    content = bytearray(encoded(Image.fromarray(NOISE), "PNG"))
    content[len(content) // 2] ^= 0xFF
    assert code(put(tmp_path / "a.png", bytes(content))).startswith("E-DCM-TRUNC: ")


def test_exif_that_is_none_is_a_code_and_no_crash(tmp_path: Path) -> None:
    content = with_chunk(encoded(Image.fromarray(NOISE), "PNG"), b"eXIf", b"no exif at all")
    assert code(put(tmp_path / "a.png", content)).startswith("E-DCM-TRUNC: expected a whole image")


# --- modes


def palette() -> Image.Image:
    """Indices into black, 100, 200, 255, 50, 150, of which 200 and 255 are transparent."""
    image = Image.fromarray(np.arange(6, dtype="u1").reshape(2, 3), "P")
    image.putpalette([value for grey in GREY.ravel().tolist() for value in (grey, grey, grey)])
    return image


def layered(mode: str, alpha: list[list[int]]) -> Image.Image:
    grey = Image.fromarray(GREY)
    layer = Image.fromarray(np.array(alpha, "u1"))
    return Image.merge(mode, [grey] * (len(mode) - 1) + [layer])


ALPHA = [[255, 255, 255], [0, 255, 51]]
OVER_BLACK = [[0, 100, 200], [0, 50, 30]]  # 255 · 0, 150 · 51/255


@pytest.mark.parametrize(
    ("image", "options", "grey"),
    [
        (Image.fromarray(GREY), {}, GREY.tolist()),
        (Image.fromarray(GREY).convert("RGB"), {}, GREY.tolist()),
        (palette(), {}, GREY.tolist()),
        (palette(), {"transparency": bytes([255, 255, 0, 0])}, [[0, 100, 0], [0, 50, 150]]),
        (palette(), {"transparency": 1}, [[0, 0, 200], [255, 50, 150]]),
        (Image.fromarray(GREY), {"transparency": 200}, [[0, 100, 0], [255, 50, 150]]),
        (layered("LA", ALPHA), {}, OVER_BLACK),
        (layered("RGBA", ALPHA), {}, OVER_BLACK),
        (Image.fromarray(GREY > 99), {}, [[0, 255, 255], [255, 0, 255]]),
        (Image.fromarray(GREY.astype("u2") * 257), {}, (GREY * 257.0).tolist()),
    ],
    ids=[
        "L",
        "RGB",
        "P",
        "P with alpha",
        "P with one colour",
        "L with one grey",
        "LA",
        "RGBA",
        "1",
        "16 bit",
    ],
)
def test_every_mode_of_png_becomes_the_same_grey_over_black(
    tmp_path: Path, image: Image.Image, options: dict[str, Any], grey: list[list[float]]
) -> None:
    path = put(tmp_path / "a.png", encoded(image, "PNG", **options))
    assert read_header(path) == {"columns": 3, "rows": 2}
    assert read_gray(path).tolist() == grey
    assert read_gray(path).dtype == np.float32


def test_colour_weighs_as_the_eye_does(tmp_path: Path) -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], "u1")
    path = put(tmp_path / "a.png", encoded(Image.fromarray(colours), "PNG"))
    assert read_gray(path).tolist() == [[76, 150, 29]]  # 255 × .299, .587, .114


def test_a_cmyk_jpeg_is_bright_where_there_is_no_ink(tmp_path: Path) -> None:
    ink = np.zeros((16, 24, 4), "u1")
    ink[:, 8:16, 3] = 255  # black
    ink[:, 16:, :3] = 155  # 100 of 255 of each light
    path = put(tmp_path / "a.jpg", encoded(Image.fromarray(ink, "CMYK"), "JPEG", quality=100))
    with Image.open(path) as image:
        assert image.mode == "CMYK"
    assert np.abs(read_gray(path) - np.repeat([255, 0, 100], 8)).max() <= 2


# --- EXIF

TURNED = {
    1: GREY,
    2: GREY[:, ::-1],
    3: GREY[::-1, ::-1],
    4: GREY[::-1],
    5: GREY.T,
    6: np.array([[255, 0], [50, 100], [150, 200]]),  # the left column is seen as the top row
    7: GREY[::-1, ::-1].T,
    8: np.array([[200, 150], [100, 50], [0, 255]]),
}


@pytest.mark.parametrize("orientation", TURNED)
def test_a_picture_is_read_as_exif_turns_it(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = put(tmp_path / "a.png", encoded(Image.fromarray(GREY), "PNG", exif=exif))
    seen = TURNED[orientation]
    assert read_gray(path).tolist() == seen.tolist()
    assert read_header(path) == {"columns": seen.shape[1], "rows": seen.shape[0]}


def test_a_jpeg_on_its_side_has_rows_and_columns_swapped_in_header_and_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = put(tmp_path / "a.jpg", encoded(Image.fromarray(NOISE), "JPEG", exif=exif, quality=100))
    assert read_header(path) == {"columns": 64, "rows": 48}
    assert np.abs(read_gray(path) - np.rot90(NOISE, -1)).max() <= 3


# --- names


@pytest.mark.parametrize(
    ("kind", "name"), [("PNG", "a.jpg"), ("JPEG", "a.PNG"), ("PNG", "a.dcm"), ("JPEG", "a b")]
)
def test_a_picture_is_known_by_its_content(tmp_path: Path, kind: str, name: str) -> None:
    path = put(tmp_path / name, encoded(Image.fromarray(NOISE), kind))
    row = read_row(name, tmp_path)
    assert isinstance(row, dict)
    assert (row["format"], row["columns"], row["rows"]) == ("image", 48, 64)
    assert read_gray(path).shape == (64, 48)


def test_a_dicom_file_called_png_is_a_dicom_file(tmp_path: Path) -> None:
    path = write_mr(tmp_path).rename(tmp_path / "a.png")
    row = read_row(path.name, tmp_path)
    assert isinstance(row, dict)
    assert row["format"] == "dicom"


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_called_png_are_no_pictures(tmp_path: Path, kind: str) -> None:
    found = code(put(tmp_path / "a.png", encoded(Image.fromarray(NOISE), kind)))
    assert found.startswith("E-DCM-NOTDICOM: expected a DICOM file, PNG, JPEG, NIfTI or MetaImage")
