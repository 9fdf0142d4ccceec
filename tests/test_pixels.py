"""Pixels of DICOM files in physical units; the oracle for real ones is SimpleITK."""

import io
import re
import struct
from collections.abc import Callable
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate, generate_frames

from pipeline.errors import InputError, MissingTagError, MultiFrameError, TruncatedError
from pipeline.patches import slices
from pipeline.phantom import write_mr_series
from pipeline.readers import dicom
from pipeline.readers.images import read_gray
from pipeline.readers.pixels import read_pixels
from tests.dicoms import OBLIQUE, STORED, change, code, write_ct, write_mr


@pytest.fixture
def mr(tmp_path: Path) -> Path:
    return write_mr(tmp_path)


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    return write_ct(tmp_path)


def _gdcm(syntax: int) -> Callable[[Path], object]:
    def convert(path: Path) -> None:
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        changer = gdcm.ImageChangeTransferSyntax()
        changer.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        changer.SetInput(reader.GetImage())
        assert changer.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(changer.GetOutput())
        assert writer.Write()

    return convert


def _rle(path: Path) -> None:
    ds = pydicom.dcmread(path)
    ds.compress(uid.RLELossless)
    ds.save_as(path)


def _encoded(syntax: uid.UID) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        ds = pydicom.dcmread(path)
        if not syntax.is_little_endian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(
            path, ds, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian,
            enforce_file_format=True,
        )  # fmt: skip

    return write


SYNTAXES = {
    uid.ImplicitVRLittleEndian: _encoded(uid.ImplicitVRLittleEndian),
    uid.ExplicitVRBigEndian: _encoded(uid.ExplicitVRBigEndian),
    uid.DeflatedExplicitVRLittleEndian: _encoded(uid.DeflatedExplicitVRLittleEndian),
    uid.RLELossless: _rle,
    uid.JPEGLosslessSV1: _gdcm(gdcm.TransferSyntax.JPEGLosslessProcess14_1),
    uid.JPEGLSLossless: _gdcm(gdcm.TransferSyntax.JPEGLSLossless),
    uid.JPEG2000Lossless: _gdcm(gdcm.TransferSyntax.JPEG2000Lossless),
}


@pytest.mark.parametrize("modality", ["mr", "ct"])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_every_transfer_syntax_gives_the_same_values_and_row(
    request: pytest.FixtureRequest, syntax: uid.UID, modality: str
) -> None:
    path = request.getfixturevalue(modality)
    # JPEG 2000 has no way to halve five columns five times.
    stored = np.tile(STORED, (16, 13)).astype("<u2" if modality == "mr" else "<i2")
    row = dicom.read_header(change(path, stored))
    SYNTAXES[syntax](path)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    assert (read_pixels(path).values == (stored if modality == "mr" else stored - 1024.0)).all()
    changed = dicom.read_header(path)
    different = {name for name in row if repr(row[name]) != repr(changed[name])}
    assert different <= {"image_type", "sop_instance_uid"}  # of which gdcm notes that it derived the image


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEG2000Lossless])
def test_compressed_pixels_cut_short_are_told(mr: Path, syntax: uid.UID) -> None:
    SYNTAXES[syntax](change(mr, np.tile(STORED, (16, 13)).astype("<u2")))
    ds = pydicom.dcmread(mr)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    ds.PixelData = encapsulate([frame[: len(frame) // 4 * 2]])
    ds.save_as(mr)
    assert code(mr).startswith("E-DCM-TRUNC: expected whole pixel data, found what")
    mr.write_bytes(mr.read_bytes()[:-20])
    assert code(mr).startswith("E-DCM-TRUNC: expected a whole file, found no end of its pixel data")


def test_a_decoder_that_ends_its_process_costs_one_file(mr: Path) -> None:
    # A precision that no JPEG has: GDCM throws in C++, which nobody catches.
    SYNTAXES[uid.JPEGLosslessSV1](change(mr, np.tile(STORED, (16, 13)).astype("<u2")))
    content = bytearray(mr.read_bytes())
    content[content.index(b"\xff\xc3") + 4] = 243
    damaged = mr.with_name("damaged.dcm")
    damaged.write_bytes(content)
    for _ in range(2):
        assert code(damaged).startswith("E-DCM-LIMIT: ")
        assert "found the end of the process that read it" in code(damaged)
    row = ("damaged.dcm", "")
    read = slices.read_series(slices.Task((row[0],), ((0, *row),)), mr.parent, None, "paper")
    assert isinstance(read, list)
    assert [error.code for error in read] == ["E-DCM-LIMIT"]
    assert (read_pixels(mr).values[:4, :5] == STORED).all()


def test_twelve_bits_of_lossy_jpeg_are_named_not_read_wrong(mr: Path) -> None:
    # Black and white pixels in turns: GDCM gives thousands where it overshoots below 0.
    change(mr, np.where(np.random.default_rng(0).random((64, 64)) < 0.5, 0, 4095).astype("<u2"), BitsStored=12,
           HighBit=11)  # fmt: skip
    _gdcm(gdcm.TransferSyntax.JPEGExtendedProcess2_4)(mr)
    assert code(mr).startswith(
        "E-DCM-SYNTAX: expected a compression that is read without error, found JPEG Extended (Process 2 and 4), 12 bits"
    )
    assert "dcmdjpeg" in code(mr)


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEG2000Lossless])
def test_compressed_pixels_without_their_closing_delimiter_are_read(mr: Path, syntax: uid.UID) -> None:
    stored = np.tile(STORED, (16, 13)).astype("<u2")
    SYNTAXES[syntax](change(mr, stored))
    content = mr.read_bytes()
    at = content.rindex(b"\xfe\xff\xdd\xe0\0\0\0\0")
    mr.write_bytes(content[:at])
    assert not code(mr)
    assert (read_pixels(mr).values == stored).all()
    mr.write_bytes(content[: at - 2])
    assert code(mr).startswith("E-DCM-TRUNC: expected a whole file, found no end of its pixel data")


def test_an_oserror_of_a_parser_is_no_fault_of_the_disk(mr: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("broken data stream")

    mr.write_bytes(mr.read_bytes()[132:])  # without preamble, so that the index asks pydicom
    monkeypatch.setattr(pydicom, "dcmread", broken)
    assert code(mr).startswith("E-DCM-NOTDICOM")
    assert "an unreadable header (broken data stream)" in code(mr)


def test_deflated_pixels_cut_short_are_told(mr: Path) -> None:
    _encoded(uid.DeflatedExplicitVRLittleEndian)(mr)
    mr.write_bytes(mr.read_bytes()[:-30])
    assert re.match("E-DCM-(TRUNC|NOTDICOM)", code(mr))


@pytest.mark.parametrize(
    ("words", "bits", "high", "signed", "expected"),
    [
        ([0x0FFF, 0x0800, 0x07FF, 0], 12, 11, 1, [-1, -2048, 2047, 0]),  # sign in bit 11, none above
        ([0xFFFF, 0xF800, 0x07FF, 0], 12, 11, 1, [-1, -2048, 2047, 0]),  # the same, with the sign carried on
        ([0xF123, 0x1123, 0x0123, 0], 12, 11, 0, [291, 291, 291, 0]),  # overlays in bits 12 to 15
        ([0xABC7, 0x0010, 0xFFF0, 0xF], 12, 15, 0, [0xABC, 1, 0xFFF, 0]),  # left-aligned, overlay below
        ([0x8000, 0xFFF0, 0x7FF0, 0], 12, 15, 1, [-2048, -1, 2047, 0]),
        ([0xFFFF, 0x8000, 1, 0], 16, 15, 1, [-1, -32768, 1, 0]),
        ([0xFFFF, 0x8000, 1, 0], 16, 15, 0, [65535, 32768, 1, 0]),
    ],
)
def test_only_the_bits_that_count_are_read(
    mr: Path, words: list[int], bits: int, high: int, signed: int, expected: list[int]
) -> None:
    change(mr, np.array([words], "<u2"), BitsStored=bits, HighBit=high, PixelRepresentation=signed)
    assert read_pixels(mr).values.tolist() == [expected]


@given(
    stored=st.lists(st.integers(-2048, 2047), min_size=4, max_size=4),
    slope=st.floats(-10, 10).map(lambda x: round(x, 4)).filter(bool),
    intercept=st.floats(-2000, 2000).map(lambda x: round(x, 2)),
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rescaling_is_slope_times_stored_plus_intercept(
    ct: Path, stored: list[int], slope: float, intercept: float
) -> None:
    path = ct.with_name("other.dcm")
    path.write_bytes(ct.read_bytes())
    change(path, np.array([stored], "<i2"), RescaleSlope=slope, RescaleIntercept=intercept)
    expected = [[float(np.float32(value * slope + intercept)) for value in stored]]
    assert read_pixels(path).values.tolist() == pytest.approx(np.array(expected), rel=1e-6, abs=1e-4)
    assert read_pixels(path).values.dtype == np.float32


def test_each_slice_has_its_own_slope(tmp_path: Path) -> None:
    paths = write_mr_series(
        tmp_path, np.full((2, 1, 2), 10.0), OBLIQUE, description="adc", number=4, descending=False,
        tags={"RescaleSlope": lambda plane: ["0.5", "-2"][plane], "RescaleIntercept": "1"},
    )  # fmt: skip
    assert [read_pixels(path).values[0, 0] for path in paths] == [6, -19]


def test_mr_without_rescale_keeps_its_values_and_ct_without_is_refused(mr: Path, ct: Path) -> None:
    assert read_pixels(mr).values.tolist() == STORED.tolist()
    assert read_pixels(change(mr, RescaleSlope=2)).values[1, 0] == 20
    assert code(change(ct, RescaleSlope=None)).startswith("E-DCM-TAG: expected tags RescaleSlope, found none")
    change(ct, RescaleIntercept="")
    assert code(ct).startswith("E-DCM-TAG: expected tags RescaleSlope, RescaleIntercept, found none")


def test_monochrome1_is_turned_round_but_hounsfield_units_stay(mr: Path, ct: Path) -> None:
    assert (
        read_pixels(change(mr, PhotometricInterpretation="MONOCHROME1")).values.tolist() == (-STORED).tolist()
    )
    assert read_pixels(change(ct, PhotometricInterpretation="MONOCHROME1")).values[1, 0] == 10 - 1024
    assert dicom.read_header(mr)["photometric"] == "MONOCHROME1"


@pytest.mark.parametrize(
    ("stored", "dtype", "padding", "vr", "limit", "real"),
    [
        ([-2000, 0, 5], "<i2", -2000, "SS", None, [0, 5]),
        ([-2000, 0, 5], "<i2", 63536, "US", None, [0, 5]),  # the same 16 bits, read as unsigned
        ([63536, 0, 5], "<u2", -2000, "SS", None, [0, 5]),
        ([0, 1, 5], "<u2", 0, "US", None, [1, 5]),
        ([-20, -15, -14, 7], "<i2", -20, "SS", -15, [-14, 7]),
        ([-20, -15, -14, 7], "<i2", -15, "SS", -20, [-14, 7]),
        ([0, 5], "<u2", None, "", None, [0, 5]),
        ([-1024, 0, 5], "<i2", -2000, "SS", None, [0, 5]),  # −2048 HU: not declared, but nothing real
    ],
)
def test_padding_is_known_by_its_bits(
    ct: Path, stored: list[int], dtype: str, padding: int | None, vr: str, limit: int | None, real: list[int]
) -> None:
    ds = pydicom.dcmread(change(ct, np.array([stored], dtype)))
    if padding is not None:
        ds.add_new("PixelPaddingValue", vr, padding)
    if limit is not None:
        ds.add_new("PixelPaddingRangeLimit", vr, limit)
    ds.save_as(ct)
    pixels = read_pixels(ct)
    assert (pixels.values[pixels.valid] + 1024).tolist() == real


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "planar", "palette"])
def test_colour_becomes_the_grey_that_a_png_of_it_would_have(mr: Path, photometric: str) -> None:
    rgb = np.array([[(100, 150, 50), (255, 255, 255)], [(0, 0, 0), (255, 0, 0)]], "u1")
    # 0.299·100 + 0.587·150 + 0.114·50 = 123.65; 0.299·255 = 76.2
    grey = [[124, 255], [0, 76]]
    change(mr, rgb[..., 0], SamplesPerPixel=3, PhotometricInterpretation="RGB")
    ds = pydicom.dcmread(mr)
    ds.PixelData, ds.PlanarConfiguration = rgb.tobytes(), 0
    if photometric == "YBR_FULL":
        ycc = np.array(Image.fromarray(rgb).convert("YCbCr"))
        ds.PixelData, ds.PhotometricInterpretation = ycc.tobytes(), "YBR_FULL"
    elif photometric == "planar":
        ds.PixelData, ds.PlanarConfiguration = np.moveaxis(rgb, 2, 0).tobytes(), 1
    elif photometric == "palette":
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "PALETTE COLOR"
        ds.PixelData = bytes([0, 1, 2, 3])
        for channel, name in enumerate(("Red", "Green", "Blue")):
            ds.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [4, 0, 8])
            setattr(ds, f"{name}PaletteColorLookupTableData", rgb[..., channel].tobytes())
    ds.save_as(mr)
    assert np.abs(read_pixels(mr).values - grey).max() <= (1 if photometric == "YBR_FULL" else 0)
    Image.fromarray(rgb).save(mr.with_suffix(".png"))
    assert read_gray(mr.with_suffix(".png")).tolist() == grey
    assert dicom.read_header(mr)["columns"] == 2


def test_a_colour_image_cut_short_is_told(mr: Path) -> None:
    change(
        mr, np.zeros((2, 3), "u1"), SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0
    )
    assert code(mr).startswith("E-DCM-TRUNC: expected 18 bytes of pixel data, found 6")


def test_not_a_number_is_told_with_its_place(mr: Path) -> None:
    ds = pydicom.dcmread(mr)
    del ds.PixelData
    ds.FloatPixelData = np.array([[1, 2, 3], [4, np.nan, 6]], "<f4").tobytes()
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored = 2, 3, 32, 32
    ds.save_as(mr)
    assert code(mr).startswith("E-IMG-NAN: expected finite pixel values, found nan at index (1, 1)")


@pytest.mark.parametrize("error", [MissingTagError, MultiFrameError, TruncatedError])
def test_errors_come_through_a_process_pool_whole(error: type[InputError]) -> None:
    kind, arguments = error("found", file="f", expected="e", remedy="r").__reduce__()
    assert str(kind(*arguments)) == f"{error.code} f: expected e, found found; r"


# --- real files


def _same_as_simpleitk(path: Path) -> None:
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))[0]
    assert (read_pixels(path).values == theirs).all(), path


def test_real_mr_has_the_values_of_simpleitk(shared: Path) -> None:
    folders = sorted((shared / "prostatex" / "ProstateX-0000").glob("*/*"))
    assert len(folders) == 7
    for folder in folders:
        _same_as_simpleitk(sorted(folder.glob("*.dcm"))[7])


def test_real_ct_has_the_hounsfield_units_of_simpleitk_and_its_padding_is_known(shared: Path) -> None:
    for path in sorted((shared / "ct" / "LIDC-IDRI-0001").glob("*.dcm"))[::30]:
        _same_as_simpleitk(path)
        pixels = read_pixels(path)
        # Declared is 63536, that is −2000, or −3024 HU; outside the field of view stands −2048 HU.
        assert (pixels.values[~pixels.valid] == -2048).all()
        assert 0.2 < (~pixels.valid).mean() < 0.22  # 1 − π/4
        assert pixels.values[pixels.valid].min() >= -1024


@pytest.mark.parametrize("syntax", list(SYNTAXES)[3:], ids=lambda syntax: syntax.name)
def test_a_real_slice_survives_every_compression(shared: Path, tmp_path: Path, syntax: uid.UID) -> None:
    source = sorted((shared / "ct" / "LIDC-IDRI-0001").glob("*.dcm"))[60]
    path = tmp_path / "slice.dcm"
    path.write_bytes(source.read_bytes())
    SYNTAXES[syntax](path)
    assert (read_pixels(path).values == read_pixels(source).values).all()


MODALITY_LUT, REAL_WORLD = 0x00283000, 0x00409096
ODD = {
    "one byte of a number": ("US", b"\1"),
    "text where items are meant": ("UN", b"abcdefgh"),
    "numbers where items are meant": ("DS", b"1\\2 "),
    "an item of another element": ("SQ", b"\xff\xfe\0\xe0\x08\0\0\0\x08\0\x60\0\x02\0\0\0MR"),
    "an infinite whole number": ("IS", b"1e400 "),
    "a tag where items are meant": ("AT", b"\x10\0\x10\0"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("tag", [MODALITY_LUT, REAL_WORLD])
def test_whatever_stands_where_values_are_mapped_costs_its_own_file_alone(
    tmp_path: Path, tag: int, odd: str
) -> None:
    # A real-world mapping counts where there is no rescale, as in this MR.
    path = write_ct(tmp_path) if tag == MODALITY_LUT else write_mr(tmp_path)
    vr, value = ODD[odd]
    length = struct.pack("<HI", 0, len(value)) if vr in ("SQ", "UN") else struct.pack("<H", len(value))
    element = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode() + length + value
    content = path.read_bytes()
    # Between the header, all of whose tags are lower, and the pixels.
    place = content.index(b"\xe0\x7f\x10\x00OW")
    path.write_bytes(content[:place] + element + content[place:])
    assert tag in pydicom.dcmread(path)
    assert code(path).startswith(("E-DCM-VALUE: expected ", "E-DCM-TRUNC: expected "))


def _baseline(path: Path) -> None:
    ds = pydicom.dcmread(path)
    file = io.BytesIO()
    Image.fromarray(ds.pixel_array.astype("u1")).save(file, "JPEG")
    ds.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    ds.PixelData = encapsulate([file.getvalue()])
    ds["PixelData"].VR = "OB"
    ds.save_as(path)


@pytest.mark.parametrize(
    ("compress", "kind", "grey"),
    [
        (_baseline, "u1", 128),
        (_gdcm(gdcm.TransferSyntax.JPEGLosslessProcess14_1), "u1", 128),
        (_gdcm(gdcm.TransferSyntax.JPEGLosslessProcess14_1), "<u2", 2048),
        (_gdcm(gdcm.TransferSyntax.JPEGLosslessProcess14_1), "<u2", 32768),
        (_gdcm(gdcm.TransferSyntax.JPEGLosslessProcess14), "<u2", 32768),
    ],
)
def test_a_jpeg_whose_pixels_end_too_early_is_no_grey_image(
    mr: Path, compress: Callable[[Path], object], kind: str, grey: int
) -> None:
    noise = np.random.default_rng(0).integers(1, 250, (64, 64)).astype(kind)
    noise[40:] = grey
    compress(change(mr, noise))  # it ends in grey, and is whole
    assert read_pixels(mr).values[-1].tolist() == [grey] * 64
    noise = np.random.default_rng(1).integers(1, 250, (64, 64)).astype(kind)
    path = change(write_mr(mr.parent), noise)
    compress(path)
    ds = pydicom.dcmread(path)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    for share in (0.3, 0.6, 0.95):
        cut = frame[: int(len(frame) * share)].rstrip(b"\xff") + b"\xff\xd9"
        ds.PixelData = encapsulate([cut])
        ds.save_as(path)
        assert code(path).startswith("E-DCM-TRUNC: expected whole pixel data, found what")
