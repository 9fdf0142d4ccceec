"""Pictures of every kind that downloads hold: the same grey plane, or one code."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError, TruncatedError
from pipeline.readers import images, index
from pipeline.readers.images import png, read_gray, read_header
from pipeline.readers.index import read_row
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


def test_what_says_how_a_png_lies_counts_behind_its_pixels_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = encoded(Image.fromarray(NOISE), "PNG")
    turned = plain[:-12] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + plain[-12:]
    assert read_header(put(tmp_path / "a.png", turned)) == {"columns": 64, "rows": 48}
    assert not png.is_silent(tmp_path / "a.png")
    assert png.is_silent(put(tmp_path / "b.png", plain))


def test_a_png_that_says_nothing_is_not_unpacked_for_its_size(tmp_path: Path) -> None:
    """Its pixels are not those that its checksum is of, which is told when they are read."""
    content = bytearray(encoded(Image.fromarray(NOISE), "PNG"))
    content[len(content) // 2] ^= 0xFF
    path = put(tmp_path / "a.png", bytes(content))
    assert read_header(path) == {"columns": 48, "rows": 64}
    with pytest.raises(InputError, match="E-DCM-TRUNC"):
        read_gray(path)


def test_a_png_that_is_cut_anywhere_is_not_silent(tmp_path: Path) -> None:
    content = encoded(Image.fromarray(NOISE[:6, :6]), "PNG")
    assert not any(png.is_silent(put(tmp_path / "a.png", content[:end])) for end in range(len(content)))


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


# --- other formats

LOSSLESS = {
    "a.png": ("PNG", {}), "a.pgm": ("PPM", {}), "a.tif": ("TIFF", {}), "b.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "c.tif": ("TIFF", {"compression": "tiff_adobe_deflate", "big_tiff": True}), "a.webp": ("WEBP", {"lossless": True}),
    "a.bmp": ("BMP", {}), "a.gif": ("GIF", {}), "a.jp2": ("JPEG2000", {"irreversible": False}),
    "a.j2k": ("JPEG2000", {"no_jp2": True}), "under the name of a PNG.png": ("TIFF", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSLESS)
def test_every_format_gives_the_same_grey(tmp_path: Path, name: str) -> None:
    kind, options = LOSSLESS[name]
    path = put(tmp_path / name, encoded(Image.fromarray(NOISE), kind, **options))
    assert code(path) == ""
    row = read_row(name, tmp_path)
    assert isinstance(row, dict)
    assert (row["format"], row["columns"], row["rows"], row.get("note")) == ("image", 48, 64, None)
    assert np.array_equal(read_gray(path), NOISE)


@pytest.mark.parametrize("kind", ["PPM", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000"])
def test_any_format_cut_short_is_told(tmp_path: Path, kind: str) -> None:
    content = encoded(Image.fromarray(NOISE), kind)
    found = code(put(tmp_path / "a", content[: len(content) // 2])).split(":")[0]
    assert found in ("E-DCM-TRUNC", "E-DCM-NOTDICOM")


@pytest.mark.parametrize("text", ["P2\n# by hand\n3 2\n255\n0 100 200\n255 50 150\n", "P5 3 2 255\n"])
def test_a_pgm_as_text_or_as_bytes(tmp_path: Path, text: str) -> None:
    binary = GREY.tobytes() if text.startswith("P5") else b""
    assert read_gray(put(tmp_path / "mdb001.pgm", text.encode() + binary)).tolist() == GREY.tolist()


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_of_several_pages_the_first_is_read_and_a_line_says_so(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE), Image.fromarray(NOISE[::-1])]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    path = put(tmp_path / "a.x", encoded(pages[0], kind, save_all=True, append_images=pages[1:], **lossless))
    assert np.abs(read_gray(path) - NOISE).max() <= (2 if kind == "GIF" else 0)
    with caplog.at_level("INFO", "typhon"):
        index.look(path)
        index.look(tmp_path)
    assert caplog.messages.count("a.x: the first of 3 pictures in it is read") == 2


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"%PDF-1.7", "a PDF"),
        (b"8BPS\0\1", "a Photoshop picture"),
        (b"\0\0\0\x18ftypheic", "a HEIC picture"),
        (b"CDF\1", "a NetCDF or MINC file"),
        (struct.pack("<i340x", 348) + b"ni1\0", "a NIfTI of two files (.hdr and .img)"),
    ],
)
def test_a_format_that_cannot_be_read_is_named(tmp_path: Path, start: bytes, name: str) -> None:
    found = code(put(tmp_path / "a.png", start))
    assert found.startswith("E-DCM-NOTDICOM: expected DICOM, a picture (PNG,")
    assert f"found {name}; " in found
    assert "download" not in found


# --- 16 bits

DEEP = 30000 + np.random.default_rng(0).integers(-60, 60, (64, 48, 4)).astype("u2")  # no two alike in 8 bits
GREY_DEEP = DEEP[..., :3] @ np.array([0.299, 0.587, 0.114])
OPAQUE = DEEP[..., 3] / 65535


def deep_png(pixels: np.ndarray, kind: int, *more: bytes) -> bytes:
    """A PNG of 16 bits per channel, of a colour type (PNG 11.2.2); the filters of its rows vary."""
    rows, columns = pixels.shape[:2]
    width = pixels[0].size * 2
    content = pixels.astype(">u2").view("u1").reshape(rows, width)
    filtered = content.copy()
    filtered[1::2] -= content[:-1:2]  # Up
    lines = b"".join(bytes([row % 2 * 2]) + line.tobytes() for row, line in enumerate(filtered))
    header = struct.pack(">IIBBBBB", columns, rows, 16, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *more, chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_tiff(pixels: np.ndarray, **tags: int) -> bytes:
    """A TIFF of 16 bits per channel in one strip: colours (photometric 2), or grey."""
    rows, columns, channels = pixels.shape
    entries = {256: columns, 257: rows, 259: 1, 262: 2 if channels > 2 else 1, 277: channels, 278: rows,
               279: pixels.nbytes, **{int(tag[1:]): value for tag, value in tags.items()}}  # fmt: skip
    start = 8 + 2 + 12 * (len(entries) + 2) + 4 + 8
    bits = struct.pack("<4H", 16, 16, 16, 16)
    fields = {tag: (4, 1, struct.pack("<I", value)) for tag, value in entries.items()}
    where = struct.pack("<I", start - 8) if channels > 2 else struct.pack("<HH", 16, 16)
    fields |= {258: (3, channels, where), 273: (4, 1, struct.pack("<I", start))}
    ifd = struct.pack("<H", len(fields)) + b"".join(
        struct.pack("<HHI", tag, kind, count) + value for tag, (kind, count, value) in sorted(fields.items())
    )
    return struct.pack("<2sHI", b"II", 42, 8) + ifd + bytes(4) + bits + pixels.astype("<u2").tobytes()


def ppm(text: bool) -> bytes:
    colours = DEEP[..., :3]
    if text:
        return b"P3\n# deep\n48 64\n65535\n" + " ".join(map(str, colours.ravel())).encode()
    return b"P6 48 64 65535\n" + colours.astype(">u2").tobytes()


@pytest.mark.parametrize(
    ("content", "grey"),
    [
        (deep_png(DEEP[..., :3], 2), GREY_DEEP),
        (deep_png(DEEP[..., ::3], 4), DEEP[..., 0] * OPAQUE),
        (deep_png(DEEP, 6), GREY_DEEP * OPAQUE),
        (deep_png(DEEP[..., :1], 0), DEEP[..., 0]),
        (deep_png(DEEP[..., :3], 2, chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))), GREY_DEEP),
        (deep_tiff(DEEP[..., :3]), GREY_DEEP),
        (deep_tiff(DEEP, _338=2), GREY_DEEP * OPAQUE),
        (deep_tiff(DEEP, _338=1), GREY_DEEP),
        (deep_tiff(DEEP[..., :1]), DEEP[..., 0]),
        (deep_tiff(DEEP[..., :1], _262=0), 65535.0 - DEEP[..., 0]),
        (ppm(text=False), GREY_DEEP),
        (ppm(text=True), GREY_DEEP),
        (b"P5 48 64 65535\n" + DEEP[..., 0].astype(">u2").tobytes(), DEEP[..., 0]),
    ],
    ids=["RGB", "grey and alpha", "RGBA", "grey", "RGB with one clear colour", "TIFF RGB", "TIFF RGBA",
         "TIFF RGB, premultiplied", "TIFF grey", "TIFF grey, white is 0", "PPM", "PPM as text", "PGM"],
)  # fmt: skip
def test_sixteen_bits_stay_sixteen(tmp_path: Path, content: bytes, grey: np.ndarray) -> None:
    path = put(tmp_path / "a", content)
    assert code(path) == ""
    assert np.abs(read_gray(path) - grey).max() < 0.02


def test_what_is_clear_in_sixteen_bits_is_black(tmp_path: Path) -> None:
    colour, grey = DEEP[5, 7, :3].tolist(), int(DEEP[5, 7, 0])
    one = deep_png(DEEP[..., :3], 2, chunk(b"tRNS", struct.pack(">3H", *colour)))
    other = deep_png(DEEP[..., :1], 0, chunk(b"tRNS", struct.pack(">H", grey)))
    assert read_gray(put(tmp_path / "a", one))[5, 7] == 0
    assert read_gray(put(tmp_path / "b", other))[5, 7] == 0
    assert read_gray(put(tmp_path / "a", one)).max() > 29_000


def test_a_deep_tiff_on_its_side_is_refused_and_no_8_bits_are_taken(tmp_path: Path) -> None:
    found = code(put(tmp_path / "a.tif", deep_tiff(DEEP[..., :3], _274=6)))
    assert found.startswith(
        "E-DCM-NOTDICOM: expected a picture whose depth can be kept, found a TIFF of more"
    )


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}], ids=["raw", "lzw"])
@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_a_tiff_is_turned_as_it_says(
    tmp_path: Path, kind: str, orientation: int, options: dict[str, Any]
) -> None:
    content = encoded(Image.fromarray(GREY.astype(kind)), "TIFF", tiffinfo={274: orientation}, **options)
    path = put(tmp_path / "a.tif", content)
    seen = TURNED[orientation]
    assert read_gray(path).tolist() == seen.tolist()
    assert read_header(path) == {"columns": seen.shape[1], "rows": seen.shape[0]}


# --- odd files


@pytest.mark.parametrize("value", [(7, b"\6\0\0\0"), (2, b"6\0\0\0"), (5, b"\x1a\0\0\0"), (3, b"\x63\0\0\0")],
                         ids=["undefined", "ascii", "a fraction", "99"])  # fmt: skip
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_orientation_that_is_no_number_from_1_to_8_turns_nothing(
    tmp_path: Path, kind: str, value: tuple[int, bytes]
) -> None:
    entry = struct.pack("<HHI", 0x0112, value[0], 1) + value[1]
    tiff = struct.pack("<2sHIH", b"II", 42, 8, 1) + entry + bytes(12)
    path = put(tmp_path / "a", encoded(Image.fromarray(NOISE), kind, exif=b"Exif\0\0" + tiff))
    row = read_row("a", tmp_path)
    assert not isinstance(row, InputError), row
    assert (row["columns"], row["rows"]) == (48, 64)
    assert read_gray(path).shape == (64, 48)


def test_text_that_unpacks_behind_the_pixels_costs_its_own_file_alone(tmp_path: Path) -> None:
    png = encoded(Image.fromarray(NOISE), "PNG")
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80 << 20)))
    put(tmp_path / "a.png", png[:-12] + text + png[-12:])
    put(tmp_path / "b.png", png)
    _, table, errors = index.look(tmp_path)
    assert sorted([*table["file"], *(error.file for error in errors)]) == ["a.png", "b.png"]
    assert "b.png" in set(table["file"])


def test_whatever_a_reader_raises_costs_one_row(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_this_process: None,  # noqa: ARG001
) -> None:
    whole = images.read_header

    def odd(path: Path) -> dict[str, Any]:
        if path.name == "a.png":
            raise RecursionError("too deep")
        return whole(path)

    monkeypatch.setattr(images, "read_header", odd)
    for name in ("a.png", "b.png"):
        put(tmp_path / name, encoded(Image.fromarray(NOISE), "PNG"))
    _, table, errors = index.look(tmp_path)
    assert table["file"].tolist() == ["b.png"]
    assert str(errors[0]).startswith("E-DCM-NOTDICOM a.png: expected DICOM, a picture (PNG, JPEG, TIFF")
    assert "found an unreadable file (RecursionError: too deep)" in str(errors[0])


def test_a_large_picture_with_alpha_is_read_within_the_promised_memory(tmp_path: Path) -> None:
    side = 9400
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    line = b"\0" + bytes([0, 0, 0, 255]) * side
    squeeze = zlib.compressobj(1)
    pixels = b"".join(squeeze.compress(line) for _ in range(side)) + squeeze.flush()
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    path = put(tmp_path / "a.png", png)
    assert read_header(path) == {"columns": side, "rows": side}
    assert read_gray(path).shape == (side, side)


def png_of(
    columns: int, rows: int, depth: int, colour: int, interlaced: bool, content: bytes, parts: int = 1
) -> bytes:
    """A PNG whose unpacked pixel data are these, whatever its header promises."""
    head = struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, interlaced)
    packed = zlib.compress(content)
    step = -(-len(packed) // parts)
    chunks = [chunk(b"IDAT", packed[start : start + step]) for start in range(0, len(packed), step)]
    palette = [chunk(b"PLTE", bytes(range(90, 90 + 48)))] if colour == 3 else []
    return b"\x89PNG\r\n\x1a\n" + b"".join([chunk(b"IHDR", head), *palette, *chunks, chunk(b"IEND", b"")])


@pytest.mark.parametrize(
    ("depth", "colour", "interlaced", "needed"),
    [
        (8, 0, False, 7 * 6), (16, 0, False, 7 * 11), (1, 0, False, 7 * 2), (2, 3, False, 7 * 3), (4, 3, False, 7 * 4),
        (8, 2, False, 7 * 16), (16, 2, False, 7 * 31), (8, 4, False, 7 * 11), (16, 4, False, 7 * 21),
        (8, 6, False, 7 * 21), (16, 6, False, 7 * 41),
        # Passes of 5 × 7 pixels: 1×1, 1×1, 2×1, 1×2, 3×2, 2×4 and 5×3; each row has a byte more.
        (8, 0, True, 2 + 2 + 3 + 4 + 8 + 12 + 18),
    ],
)  # fmt: skip
@pytest.mark.parametrize("parts", [1, 3])
def test_a_png_whose_pixels_end_too_early_is_no_black_picture(
    tmp_path: Path, depth: int, colour: int, interlaced: bool, needed: int, parts: int
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_of(5, 7, depth, colour, interlaced, bytes(needed), parts))
    assert images.read_gray(path).shape == (7, 5)
    path.write_bytes(png_of(5, 7, depth, colour, interlaced, bytes(needed + 9), parts))
    assert images.read_gray(path).shape == (7, 5)  # what follows is nobody's
    for present in (needed - 1, needed // 2, 0):
        path.write_bytes(png_of(5, 7, depth, colour, interlaced, bytes(present), parts))
        with pytest.raises(TruncatedError, match=r"^E-DCM-TRUNC .*a\.png: expected "):
            images.read_gray(path)


def test_a_png_of_a_few_bytes_may_not_ask_for_millions_of_rows(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_of(10, 8_000_000, 8, 0, False, bytes(100)))
    with pytest.raises(TruncatedError):
        images.read_gray(tmp_path / "a.png")


def cut_among_the_pixels(content: bytes, share: float) -> bytes:
    """A JPEG of which a share of the pixel data is left, with the marker of its end."""
    start = content.index(b"\xff\xda") + 2
    return content[: start + int((len(content) - start) * share)].rstrip(b"\xff") + b"\xff\xd9"


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("options", [{}, {"quality": 40}, {"restart_marker_rows": 2}, {"subsampling": 0}])
def test_a_jpeg_whose_pixels_end_too_early_is_no_grey_picture(
    tmp_path: Path, mode: str, options: dict[str, Any]
) -> None:
    whole = encoded(Image.fromarray(NOISE).convert(mode), "JPEG", **options)
    assert images.read_gray(put(tmp_path / "a.jpg", whole)).shape == NOISE.shape
    for share in (0.2, 0.5, 0.9):
        with pytest.raises(TruncatedError, match=r"^E-DCM-TRUNC .*a\.jpg: expected a whole image, found "):
            images.read_gray(put(tmp_path / "a.jpg", cut_among_the_pixels(whole, share)))


@pytest.mark.parametrize("value", [128, 0, 255])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 1}]
)
def test_a_jpeg_that_is_grey_at_its_end_is_whole(tmp_path: Path, value: int, options: dict[str, Any]) -> None:
    picture = NOISE.copy()
    picture[30:] = value
    for content in (picture, np.full_like(NOISE, value)):
        path = put(tmp_path / "a.jpg", encoded(Image.fromarray(content), "JPEG", **options))
        assert images.read_gray(path)[-1, -1] == value
        put(path, path.read_bytes() + b"behind it")  # as some cameras write
        assert images.read_gray(path)[-1, -1] == value
