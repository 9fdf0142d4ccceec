"""Headers and pixels of DICOM files: whole, odd and broken; the oracle for real ones is SimpleITK."""

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
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from pipeline import dicom
from pipeline.errors import InputError, MissingTagError, MultiFrameError, TruncatedError
from pipeline.images import read_gray
from pipeline.index import read_row
from pipeline.phantom import Geometry, write_ct_series, write_mr_series
from pipeline.pixels import read_pixels

STORED = np.array([[0, 1, 2, 3, 4], [10, 200, 3000, 4000, 4095], [7, 7, 7, 7, 7], [9, 8, 7, 6, 5]])
OBLIQUE = Geometry((-10.0, 20.0, 30.0), (1.0, 0.0, 0.0), (0.0, 0.8, -0.6), (0.5, 0.75), 3.0)


@pytest.fixture
def mr(tmp_path: Path) -> Path:
    (path,) = write_mr_series(
        tmp_path / "mr", STORED[None], OBLIQUE, description="t2_tse_tra", number=4, patient_id="P1"
    )
    return path


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    (path,) = write_ct_series(tmp_path / "ct", STORED[None] - 1024.0, OBLIQUE, patient_id="P2")
    return path


def change(path: Path, stored: np.ndarray | None = None, **tags: object) -> Path:
    """Rewrite a file with other stored values and tags; None removes a tag."""
    ds = pydicom.dcmread(path)
    if stored is not None:
        ds.PixelData = stored.tobytes()
        ds.Rows, ds.Columns = stored.shape[:2]
        ds.BitsAllocated = ds.BitsStored = 8 * stored.dtype.itemsize
        ds.HighBit = ds.BitsStored - 1
        ds.PixelRepresentation = int(stored.dtype.kind == "i")
        ds["PixelData"].VR = "OW"
    for tag, value in tags.items():
        if value is None:
            del ds[tag]
        else:
            setattr(ds, tag, value)
    ds.save_as(path, enforce_file_format=False)
    return path


def code(path: Path) -> str:
    """The code of the error that the index lists for a file, or of what its pixels raise, or nothing."""
    row = read_row(path.name, path.parent)
    if isinstance(row, InputError):
        assert row.file == path.name
        return f"{row.code}: {row.reason}"
    try:
        read_pixels(path)
    except InputError as error:
        return f"{error.code}: {error.reason}"
    return ""


# --- headers


def test_a_header_becomes_one_flat_row(mr: Path) -> None:
    row = dicom.read_header(mr)
    assert (row["patient_id"], row["modality"], row["series_description"]) == ("P1", "MR", "t2_tse_tra")
    assert (row["rows"], row["columns"], row["instance_number"], row["series_number"]) == (4, 5, 1, 4)
    assert (row["position_x"], row["position_y"], row["position_z"]) == (-10, 20, 30)
    assert (row["spacing_row_mm"], row["spacing_column_mm"], row["slice_thickness_mm"]) == (0.75, 0.5, 3)
    assert [row[name] for name in dicom.VECTOR_TAGS["ImageOrientationPatient"]] == [1, 0, 0, 0, 0.8, -0.6]
    assert row["image_type"] == "ORIGINAL\\PRIMARY\\M\\NORM"
    assert np.isnan(row["b_value"])


def _write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _cut(size: int) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[:size])


def _tags(**tags: object) -> Callable[[Path], object]:
    return lambda path: change(path, **tags)


def _syntax(name: str) -> Callable[[Path], object]:
    def patch(path: Path) -> None:
        # In place of Explicit VR Little Endian, whose UID takes 20 bytes with its padding.
        old = struct.pack("<HHHH", 2, 0x10, 0x4955, 20)
        new = struct.pack("<HHHH", 2, 0x10, 0x4955, len(name))
        content = path.read_bytes().replace(old + b"1.2.840.10008.1.2.1\0", new + name.encode())
        ds_length = struct.unpack("<I", content[140:144])[0] + len(name) - 20
        path.write_bytes(content[:140] + struct.pack("<I", ds_length) + content[144:])

    return patch


BROKEN = {
    "empty": (_write(b""), "E-DCM-NOTDICOM: .* found an empty file"),
    "a web page": (_write(b"<html>404</html>"), "E-DCM-NOTDICOM: .* found 16 bytes of something else"),
    "no preamble": (lambda p: p.write_bytes(p.read_bytes()[132:]), "E-DCM-NOTDICOM"),
    "nothing after the preamble": (_cut(132), "E-DCM-TAG: expected tags SOPInstanceUID"),
    "cut in the meta header": (_cut(150), "E-DCM-(TAG|TRUNC|NOTDICOM)"),
    "cut in the header": (_cut(600), "E-DCM-(TAG|TRUNC|NOTDICOM)"),
    "cut in the pixels": (_cut(-8), "E-DCM-TRUNC: expected 40 bytes of pixel data, found 32"),
    "no pixels": (_tags(PixelData=None), "E-DCM-TAG: expected an image, found no PixelData"),
    "no rows": (_tags(Rows=None), "E-DCM-TAG: expected tags Rows, found none"),
    "zero columns": (_tags(Columns=0), "E-DCM-TAG: expected tags Columns, found none"),
    "no bits": (
        _tags(BitsAllocated=None, BitsStored=None),
        "E-DCM-TAG: expected tags BitsAllocated, BitsStored, found none",
    ),
    "no series": (_tags(SeriesInstanceUID=None), "E-DCM-TAG: expected tags SeriesInstanceUID, found none"),
    "enhanced": (_tags(NumberOfFrames=3), "E-DCM-MULTIFRAME: expected one image per file, found 3 frames"),
    "mosaic": (_tags(ImageType=["ORIGINAL", "MOSAIC"]), "E-DCM-NOTIMAGE: .* found a MOSAIC of slices"),
    "report": (_tags(Modality="SR"), "E-DCM-NOTIMAGE: expected an image, found modality SR"),
    "segmentation": (_tags(Modality="SEG", NumberOfFrames=9), "E-DCM-NOTIMAGE: .* found modality SEG"),
    "unknown syntax": (_syntax("1.2.3.4.5.6"), "E-DCM-SYNTAX: .* found 1.2.3.4.5.6, unknown; convert"),
    "no codec": (
        _syntax(uid.HTJ2KLossless),
        "E-DCM-SYNTAX: .* found High-Throughput .*1.2.840.10008.1.2.4.201.*, needs pylibjpeg",
    ),
    "a film": (_syntax(uid.MPEG4HP41), "E-DCM-SYNTAX: .*1.2.840.10008.1.2.4.102"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_listed_with_its_code(mr: Path, kind: str) -> None:
    break_it, reason = BROKEN[kind]
    break_it(mr)
    found = code(mr)
    assert re.match(reason, found), found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_ends_the_index(mr: Path, data: st.DataObject) -> None:
    whole = mr.read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(128, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = mr.with_name("damaged.dcm")
    path.write_bytes(damaged[: data.draw(st.integers(132, len(whole)))])
    code(path)  # a row, or an error of ours; anything else ends the test


def test_a_file_without_an_instance_number_is_no_broken_file(mr: Path) -> None:
    assert np.isnan(dicom.read_header(change(mr, InstanceNumber=None))["instance_number"])
    assert np.isnan(dicom.read_header(change(mr, PixelSpacing=None))["spacing_row_mm"])


@pytest.mark.parametrize(
    ("private", "standard", "creator", "expected"),
    [
        (b"400 ", None, "SIEMENS MR HEADER", 400),
        (b"1400\0", None, "SIEMENS MR HEADER", 1400),
        (b"400 ", 800.0, "SIEMENS MR HEADER", 800),
        (b"rest", None, "SIEMENS MR HEADER", np.nan),
        (b"12", None, "GEMS_ACQU_01", np.nan),  # another maker keeps another thing there
        (None, 0.0, None, 0),
        (None, None, None, np.nan),
    ],
)
def test_b_values_come_from_the_standard_or_from_siemens(
    private: bytes | None, standard: float | None, creator: str | None, expected: float
) -> None:
    ds = Dataset()
    if creator:
        ds.private_block(0x0019, creator, create=True).add_new(0x0C, "UN", private)
    if standard is not None:
        ds.DiffusionBValue = standard
    assert dicom.b_value(ds) == pytest.approx(expected, nan_ok=True)


# --- pixels


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
    slope=st.floats(-10, 10).map(lambda x: round(x, 4)),
    intercept=st.floats(-2000, 2000).map(lambda x: round(x, 2)),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    assert code(mr).startswith("E-IMG-NAN: expected finite pixel values, found nan at column 1, row 1")


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
