"""Headers of DICOM files: whole, odd and broken."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset

from pipeline.errors import TagValueError
from pipeline.readers import dicom
from pipeline.readers.dicom import diffusion
from pipeline.readers.pixels import read_pixels
from tests.dicoms import change, code, write_mr


@pytest.fixture
def mr(tmp_path: Path) -> Path:
    return write_mr(tmp_path)


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
    "no preamble": (lambda p: p.write_bytes(p.read_bytes()[132:]), "$"),
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
    "enhanced": (
        _tags(NumberOfFrames=3),
        "E-DCM-MULTIFRAME: expected one image per file, or functional groups.* found 3 frames",
    ),
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


@pytest.mark.parametrize("preamble", [b"", bytes(128) + b"DICM"])
@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_a_file_without_meta_header_is_read_in_the_encoding_that_it_has(
    mr: Path, implicit: bool, little: bool, preamble: bytes
) -> None:
    values = read_pixels(mr).values
    ds = pydicom.dcmread(mr)
    if not little:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    ds.preamble = None
    del ds.file_meta
    pydicom.dcmwrite(mr, ds, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    mr.write_bytes(preamble + mr.read_bytes())
    assert np.array_equal(read_pixels(mr).values, values)
    assert code(mr) == ""


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_listed_with_its_code(mr: Path, kind: str) -> None:
    break_it, reason = BROKEN[kind]
    break_it(mr)
    found = code(mr)
    assert re.match(reason, found), found


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    ("private", "standard", "expected"),
    [
        ((0x0019, 0x0C, "SIEMENS MR HEADER", "UN", b"400 "), None, 400),
        ((0x0019, 0x0C, "SIEMENS MR HEADER", "UN", b"1400\0"), None, 1400),
        ((0x0019, 0x0C, "SIEMENS MR HEADER", "UN", b"400 "), 800.0, 800),
        ((0x0019, 0x0C, "SIEMENS MR HEADER", "UN", b"  "), None, np.nan),
        (
            (0x0019, 0x0C, "GEMS_ACQU_01", "UN", b"12"),
            None,
            np.nan,
        ),  # another maker keeps another thing there
        ((0x0043, 0x39, "GEMS_PARM_01", "IS", [1000000800, 8, 0, 0]), None, 800),
        ((0x0043, 0x39, "GEMS_PARM_01", "UN", b"1000000800\\8\\0\\0"), None, 800),
        ((0x0043, 0x39, "GEMS_PARM_01", "IS", [50, 8, 0, 0]), None, 50),
        ((0x0043, 0x39, "GEMS_IDEN_01", "IS", [50, 8, 0, 0]), None, np.nan),
        ((0x2001, 0x03, "Philips Imaging DD 001", "FL", 600.0), None, 600),
        ((0x2001, 0x03, "Philips Imaging DD 001", "UN", struct.pack("<f", 600)), None, 600),
        ((0x2001, 0x03, "Philips Imaging DD 002", "FL", 600.0), None, np.nan),
        ((0x0065, 0x09, "Image Private Header", "FD", 1200.0), None, 1200),
        ((0x0065, 0x09, "Image Private Header", "UN", struct.pack("<d", 1200)), None, 1200),
        (None, 0.0, 0),
        (None, None, np.nan),
    ],
)
@pytest.mark.parametrize("before", [0, 2])
def test_b_values_come_from_the_standard_or_from_the_maker(
    mr: Path,
    private: tuple[int, int, str, str, object] | None,
    standard: float | None,
    expected: float,
    before: int,
) -> None:
    ds = pydicom.dcmread(mr)
    if private:
        group, element, creator, vr, value = private
        for other in range(before):  # so that the maker's block is not the first of its group
            ds.private_block(group, f"OTHER {other}", create=True).add_new(0x01, "LO", "x")
        ds.private_block(group, creator, create=True).add_new(element, vr, value)
    if standard is not None:
        ds.DiffusionBValue = standard
    ds.save_as(mr)
    assert dicom.read_header(mr)["b_value"] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("value", [b"rest", b"7,5 ", b"nan ", b"inf "])
def test_a_private_b_value_that_is_no_number_is_refused(value: bytes) -> None:
    ds = Dataset()
    ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "UN", value)
    with pytest.raises(TagValueError, match=r"E-DCM-VALUE.*one finite number in private tag \(0019,xx0c\)"):
        diffusion.b_value(ds)


def test_a_siemens_b_value_counts_where_its_creator_is_lost() -> None:
    ds = Dataset()
    ds.add_new(0x0019100C, "UN", b"800 ")
    assert diffusion.b_value(ds) == 800
