"""Each cell of the table of tags (pipeline/readers/dicom/tags.py): a file in which it is so, and what becomes of it."""

import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from pipeline.errors import TagValueError
from pipeline.readers import dicom
from pipeline.readers.dicom import tags
from pipeline.readers.pixels import read_pixels
from tests.dicoms import change, code, write_ct, write_mr
from tests.etl import build

ROOT = Path(__file__).resolve().parent.parent
Recipe = tuple[str, Callable[[Path], object], str]
"""Which image, what is done to it, and what is seen: the start of a line, or ``name=value`` of row or pixel."""


def raw(tag: str, value: bytes, vr: str = "DS") -> Callable[[Path], object]:
    """Write bytes that pydicom would refuse to write."""

    def write(path: Path) -> None:
        ds = pydicom.dcmread(path)
        ds[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True, True)
        ds.save_as(path)

    return write


def item(**values: Any) -> Dataset:
    ds = Dataset()
    for name, value in values.items():
        setattr(ds, name, value)
    return ds


def put(**values: Any) -> Callable[[Path], object]:
    return lambda path: change(path, **values)


def many(*steps: Callable[[Path], object]) -> Callable[[Path], object]:
    def run(path: Path) -> None:
        for step in steps:
            step(path)

    return run


def group(macro: str, **values: Any) -> Callable[[Path], object]:
    """Shared functional groups with one macro."""
    return lambda path: change(
        path, SharedFunctionalGroupsSequence=Sequence([item(**{macro: Sequence([item(**values)])})])
    )


def in_group(macro: str, tag: str, value: bytes) -> Callable[[Path], object]:
    """Shared functional groups with bytes that pydicom would refuse to write."""
    given = Dataset()
    given[Tag(tag)] = RawDataElement(Tag(tag), "DS", len(value), value, 0, False, True, True)
    return lambda path: change(
        path, SharedFunctionalGroupsSequence=Sequence([item(**{macro: Sequence([given])})])
    )


def groups(name: str, count: int) -> Callable[[Path], object]:
    return put(**{name: Sequence([Dataset() for _ in range(count)])})


def lut(path: Path) -> Path:
    """(65535 − 16·v) for v from 0 to 4095."""
    table = (65535 - 16 * np.arange(4096)).astype("<u2")
    one = item(LUTDescriptor=[4096, 0, 16], ModalityLUTType="US")
    one.add_new("LUTData", "OW", table.tobytes())
    one["LUTDescriptor"].VR = "US"
    return change(path, ModalityLUTSequence=Sequence([one]))


def mapping(
    slope: Any = 0.5, intercept: Any = 1.0, units: str = "1", count: int = 1
) -> Callable[[Path], object]:
    def one() -> Dataset:
        ds = item(MeasurementUnitsCodeSequence=Sequence([item(CodeValue=units)]))
        ds.RealWorldValueSlope, ds.RealWorldValueIntercept = slope, intercept
        return ds

    return lambda path: change(path, RealWorldValueMappingSequence=Sequence([one() for _ in range(count)]))


def padding(value: int | None, limit: int | None = None, vr: str = "US") -> Callable[[Path], object]:
    def write(path: Path) -> None:
        ds = pydicom.dcmread(path)
        for tag, given in (("PixelPaddingValue", value), ("PixelPaddingRangeLimit", limit)):
            if given is not None:
                ds.add_new(tag, vr, given)
        ds.save_as(path)

    return write


def private(value: bytes) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        ds = pydicom.dcmread(path)
        ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "UN", value)
        ds.save_as(path)

    return write


VALUE, TAG = "E-DCM-VALUE: expected ", "E-DCM-TAG: expected "
ODD = (b"0,5 ", b"abc ", b"1\\2 ", b"nan ", b"inf ", b"1_0 ", b"\\ ")


def odd(tag: str, *, several: int = 1, modality: str = "mr") -> list[Recipe]:
    """A numeric tag with text, a decimal comma, another count, and what is not finite."""
    what = "one finite number" if several == 1 else f"{several} finite numbers"
    bad = (
        ODD
        if several == 1
        else (*ODD[:2], b"\\".join([b"1"] * (several + 1)), b"\\".join([b"nan"] * several))
    )
    return [(modality, raw(tag, value), f"{VALUE}{what} in {tag}, found") for value in bad]


def whole(tag: str) -> list[Recipe]:
    values = (struct.pack("<HH", 1, 2), b"\1", b"abcde ")
    return [("mr", raw(tag, value, "US"), f"{VALUE}one finite number in {tag}, found") for value in values]


WINDOW = put(RescaleSlope="2", RescaleIntercept="1")
CELLS: dict[tuple[str, str], list[Recipe]] = {
    ("RescaleSlope, RescaleIntercept", "absent"): [
        ("mr", put(), "pixel=4095"),
        ("mr", put(RescaleSlope=2), "pixel=8190"),
        ("mr", put(RescaleIntercept=5), "pixel=4100"),
        ("mr", mapping(), "pixel=2048.5"),
        ("ct", put(RescaleSlope=None), f"{TAG}tags RescaleSlope, found none"),
        ("ct", put(RescaleSlope="", RescaleIntercept=""), f"{TAG}tags RescaleSlope, RescaleIntercept, found none"),
        ("ct", many(put(RescaleSlope=None, RescaleIntercept=None), mapping(2.0, -1024.0, "[hnsf'U]")), "pixel=7166"),
        ("ct", many(put(RescaleSlope=None, RescaleIntercept=None), mapping()), f"{TAG}tags RescaleSlope"),
    ],
    ("RescaleSlope, RescaleIntercept", "unreadable"): [
        *odd("RescaleSlope"), *odd("RescaleIntercept"), *odd("RescaleSlope", modality="ct"),
    ],
    ("RescaleSlope, RescaleIntercept", "elsewhere"): [
        ("mr", group("PixelValueTransformationSequence", RescaleSlope="2", RescaleIntercept="1"), "pixel=8191"),
        ("mr", many(WINDOW, group("PixelValueTransformationSequence", RescaleSlope="2.0", RescaleIntercept="1")),
         "pixel=8191"),
        ("mr", many(WINDOW, group("PixelValueTransformationSequence", RescaleSlope="3", RescaleIntercept="1")),
         f"{VALUE}one RescaleSlope in the file and its functional groups, found 2 and 3"),
        *(("mr", in_group("PixelValueTransformationSequence", "RescaleSlope", value), f"{VALUE}one finite number in")
          for value in ODD),
    ],
    ("RescaleSlope, RescaleIntercept", "contradictory"): [
        ("mr", put(RescaleSlope=0), f"{VALUE}another RescaleSlope than 0, found 0"),
        ("ct", put(RescaleSlope="-0.0"), f"{VALUE}another RescaleSlope than 0, found 0"),
    ],
    ("ModalityLUTSequence", "absent"): [("mr", WINDOW, "pixel=8191")],
    ("ModalityLUTSequence", "unreadable"): [
        ("mr", put(ModalityLUTSequence=Sequence([Dataset()])), f"{VALUE}a readable ModalityLUTSequence"),
        ("mr", put(ModalityLUTSequence=Sequence([item(LUTDescriptor=[4096, 0, 16], LUTData=b"ab")])),
         f"{VALUE}a readable ModalityLUTSequence"),
    ],
    ("ModalityLUTSequence", "contradictory"): [
        ("mr", lut, "pixel=15"),  # 65535 − 16 · 4095
        ("mr", many(WINDOW, lut), f"{VALUE}ModalityLUTSequence or a rescale, found both"),
        *(("mr", many(put(Modality=name, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), lut), "pixel=4095")
          for name in ("XA", "RF")),
    ],
    ("RealWorldValueMappingSequence", "absent"): [("mr", WINDOW, "pixel=8191")],
    ("RealWorldValueMappingSequence", "unreadable"): [
        ("mr", put(RealWorldValueMappingSequence=Sequence([Dataset()])), f"{VALUE}a slope and an intercept"),
        ("mr", mapping(0.0), f"{VALUE}a slope and an intercept"),
        ("mr", mapping(float("nan")), f"{VALUE}one finite number in RealWorldValueSlope"),
    ],
    ("RealWorldValueMappingSequence", "elsewhere"): [
        ("mr", many(WINDOW, mapping()), "pixel=8191"),
        ("mr", many(WINDOW, mapping()), "note=RescaleSlope and RescaleIntercept are used, not its other"),
        ("mr", many(WINDOW, mapping(2.0, 1.0)), "note="),
    ],
    ("RealWorldValueMappingSequence", "contradictory"): [
        ("mr", mapping(count=2), f"{VALUE}one mapping in RealWorldValueMappingSequence, found 2"),
        ("mr", many(WINDOW, mapping(count=2)), "pixel=8191"),
    ],
    ("Modality", "absent"): [
        ("ct", put(Modality=None), "modality=CT"),
        ("ct", put(Modality=""), "modality=CT"),
        ("ct", put(Modality=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1"), "modality=CT"),
        ("mr", put(Modality=None), "modality=MR"),
        ("mr", put(Modality=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.128"), "modality=PT"),
        ("mr", put(Modality=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "modality="),
        ("ct", put(Modality=None, RescaleSlope=None), f"{TAG}tags RescaleSlope"),
    ],
    ("Modality", "unreadable"): [("ct", put(Modality=["CT", "MR"]), f"{VALUE}one value in Modality, found")],
    ("Modality", "contradictory"): [
        ("ct", put(Modality="MR"), f"{VALUE}CT, as the SOP class says, found Modality MR"),
        ("ct", put(Modality="ct"), "modality=CT"),
        ("ct", put(Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "modality=MR"),
    ],
    ("PixelPaddingValue", "absent"): [("mr", put(), "valid=20"), ("ct", put(RescaleIntercept="-2000"), "valid=3")],
    ("PixelPaddingValue", "unreadable"): [
        *odd("PixelPaddingValue"), ("mr", raw("PixelPaddingValue", b"\1", "US"), f"{VALUE}one finite number in"),
        ("mr", raw("PixelPaddingValue", struct.pack("<HH", 1, 2), "US"), f"{VALUE}one finite number in"),
    ],
    ("PixelPaddingValue", "contradictory"): [
        ("mr", padding(None, 3), f"{VALUE}PixelPaddingValue beside it, found PixelPaddingRangeLimit alone"),
        ("mr", padding(65536 + 7, vr="UL"), f"{VALUE}a PixelPaddingValue of 16 bits, found 65543"),
        ("mr", padding(7, -40000, vr="SL"), f"{VALUE}a PixelPaddingValue of 16 bits, found 7"),
        ("mr", padding(65535), "valid=20"), ("mr", padding(-7, vr="SS"), "valid=20"),
    ],
    ("PixelPaddingRangeLimit", "absent"): [("mr", padding(7), "valid=14")],
    ("PixelPaddingRangeLimit", "unreadable"): [
        ("mr", many(padding(7), recipe[1]), recipe[2]) for recipe in odd("PixelPaddingRangeLimit")
    ],
    ("DiffusionBValue", "absent"): [("mr", put(), "b_value=nan"), ("mr", private(b"800 "), "b_value=800")],
    ("DiffusionBValue", "unreadable"): [
        *odd("DiffusionBValue"),
        ("mr", raw("DiffusionBValue", bytes(7), "FD"), f"{VALUE}one finite number in DiffusionBValue"),
    ],
    ("DiffusionBValue", "elsewhere"): [
        ("mr", many(private(b"800 "), put(DiffusionBValue=400.0)), "b_value=400"),
        ("mr", group("MRDiffusionSequence", DiffusionBValue=600.0), "b_value=600"),
    ],
    ("DiffusionBValue", "contradictory"): [
        ("mr", put(DiffusionBValue=-50.0), f"{VALUE}a b-value of 0 or more, found -50"),
    ],
    ("private b-value", "absent"): [("mr", private(b""), "b_value=nan")],
    ("private b-value", "unreadable"): [
        ("mr", private(value), f"{VALUE}one finite number in private tag (0019,xx0c)") for value in (b"7,5 ", b"rest")
    ],
    ("PixelSpacing", "absent"): [("mr", put(PixelSpacing=None), "spacing_row_mm=nan")],
    ("PixelSpacing", "unreadable"): odd("PixelSpacing", several=2),
    ("PixelSpacing", "elsewhere"): [
        ("mr", many(put(PixelSpacing=None), group("PixelMeasuresSequence", PixelSpacing=["3", "4"])),
         "spacing_row_mm=3"),
        ("mr", group("PixelMeasuresSequence", PixelSpacing=["0.75", "0.50"]), "spacing_row_mm=0.75"),
        ("mr", group("PixelMeasuresSequence", PixelSpacing=["3", "4"]), f"{VALUE}one PixelSpacing in the file"),
    ],
    ("PixelSpacing", "contradictory"): [
        ("mr", put(PixelSpacing=["0", "1"]), f"{VALUE}two positive numbers in PixelSpacing"),
        ("mr", put(PixelSpacing=["1", "-1"]), f"{VALUE}two positive numbers in PixelSpacing"),
    ],
    ("ImagePositionPatient", "absent"): [("mr", put(ImagePositionPatient=None), "position_x=nan")],
    ("ImagePositionPatient", "unreadable"): odd("ImagePositionPatient", several=3),
    ("ImagePositionPatient", "elsewhere"): [
        ("mr", many(put(ImagePositionPatient=None),
                    group("PlanePositionSequence", ImagePositionPatient=["1", "2", "3"])), "position_z=3"),
        ("mr", group("PlanePositionSequence", ImagePositionPatient=["1", "2", "3"]),
         f"{VALUE}one ImagePositionPatient in the file"),
    ],
    ("ImageOrientationPatient", "absent"): [("mr", put(ImageOrientationPatient=None), "row_x=nan")],
    ("ImageOrientationPatient", "unreadable"): odd("ImageOrientationPatient", several=6),
    ("ImageOrientationPatient", "elsewhere"): [
        ("mr", many(put(ImageOrientationPatient=None),
                    group("PlaneOrientationSequence", ImageOrientationPatient=["0", "1", "0", "0", "0", "-1"])),
         "column_z=-1"),
        ("mr", group("PlaneOrientationSequence", ImageOrientationPatient=["0", "1", "0", "0", "0", "-1"]),
         f"{VALUE}one ImageOrientationPatient in the file"),
    ],
    ("ImageOrientationPatient", "contradictory"): [
        # Where its place is asked for: tests/test_geometry.py, axes that span no plane.
        ("mr", put(ImageOrientationPatient=["1", "0", "0", "1", "0", "0"]), "column_x=1"),
    ],
    ("SliceThickness", "absent"): [("mr", put(SliceThickness=None), "slice_thickness_mm=nan")],
    ("SliceThickness", "unreadable"): odd("SliceThickness"),
    ("SliceThickness", "elsewhere"): [
        ("mr", many(put(SliceThickness=None), group("PixelMeasuresSequence", SliceThickness="5")),
         "slice_thickness_mm=5"),
        ("mr", group("PixelMeasuresSequence", SliceThickness="5"), f"{VALUE}one SliceThickness in the file"),
    ],
    ("SliceThickness", "contradictory"): [
        ("mr", put(SliceThickness="-3"), f"{VALUE}a SliceThickness of 0 or more, found -3"),
    ],
    ("SeriesNumber, AcquisitionNumber, InstanceNumber", "absent"): [
        ("mr", put(InstanceNumber=None), "instance_number=nan"), ("mr", put(SeriesNumber=""), "series_number=nan"),
    ],
    ("SeriesNumber, AcquisitionNumber, InstanceNumber", "unreadable"): [
        *odd("InstanceNumber"), *odd("SeriesNumber"), *odd("AcquisitionNumber"),
    ],
    ("EchoTime", "absent"): [("mr", put(EchoTime=None), "echo_time_ms=nan")],
    ("EchoTime", "unreadable"): odd("EchoTime"),
    ("Rows, Columns, BitsAllocated, SamplesPerPixel", "absent"): [
        *(("mr", put(**{name: None}), f"{TAG}tags {name}") for name in ("Rows", "Columns", "BitsAllocated")),
        *(("mr", put(**{name: 0}), f"{TAG}tags {name}") for name in ("Rows", "Columns", "SamplesPerPixel")),
    ],
    ("Rows, Columns, BitsAllocated, SamplesPerPixel", "unreadable"): [
        *whole("Rows"), *whole("Columns"), *whole("BitsAllocated"), *whole("SamplesPerPixel"),
    ],
    ("NumberOfFrames", "absent"): [("mr", groups("PerFrameFunctionalGroupsSequence", 1), "pixel=4095")],
    ("NumberOfFrames", "unreadable"): [
        *odd("NumberOfFrames"), ("mr", put(NumberOfFrames=0), f"{VALUE}a whole number of frames"),
    ],
    ("NumberOfFrames", "contradictory"): [
        ("mr", put(PixelData=bytes(80)), f"{VALUE}40 bytes of pixel data, as the tags say, found 80"),
        ("mr", put(PixelData=bytes(78)), "pixel=0"),
        ("mr", groups("PerFrameFunctionalGroupsSequence", 5), f"{TAG}1 item in PerFrameFunctionalGroupsSequence"),
        ("mr", groups("SharedFunctionalGroupsSequence", 2), f"{TAG}1 item in SharedFunctionalGroupsSequence"),
    ],
    ("BitsStored", "absent"): [("mr", put(BitsStored=None), f"{TAG}tags BitsStored")],
    ("BitsStored", "unreadable"): whole("BitsStored"),
    ("BitsStored", "contradictory"): [
        ("mr", put(BitsStored=17), f"{VALUE}BitsStored from 1 to 16, found 17"),
        ("mr", put(BitsStored=0), f"{VALUE}BitsStored from 1 to 16, found 0"),
    ],
    ("HighBit", "absent"): [("mr", put(HighBit=None), "pixel=4095")],
    ("HighBit", "unreadable"): whole("HighBit"),
    ("HighBit", "contradictory"): [
        ("mr", put(HighBit=10), f"{VALUE}HighBit from 11 to 15, found 10"),
        ("mr", put(HighBit=16), f"{VALUE}HighBit from 11 to 15, found 16"),
    ],
    ("PixelRepresentation", "absent"): [("mr", put(PixelRepresentation=None), f"{TAG}tags PixelRepresentation")],
    ("PixelRepresentation", "unreadable"): whole("PixelRepresentation"),
    ("PixelRepresentation", "contradictory"): [
        ("mr", put(PixelRepresentation=2), f"{VALUE}0 or 1 in PixelRepresentation, found 2"),
    ],
    ("PhotometricInterpretation", "absent"): [
        ("mr", put(PhotometricInterpretation=None), f"{TAG}tags PhotometricInterpretation"),
    ],
    ("PhotometricInterpretation", "unreadable"): [
        ("mr", put(PhotometricInterpretation=["MONOCHROME1", "MONOCHROME2"]), f"{VALUE}one value in Photometric"),
    ],
    ("PhotometricInterpretation", "contradictory"): [
        ("mr", put(PhotometricInterpretation="MONOCHROME3"), f"{VALUE}a PhotometricInterpretation of 1 samples"),
        ("mr", put(PhotometricInterpretation="RGB"), f"{VALUE}a PhotometricInterpretation of 1 samples"),
        ("mr", put(SamplesPerPixel=3), f"{VALUE}a PhotometricInterpretation of 3 samples"),
    ],
}  # fmt: skip
RECIPES = [(cell, number) for cell, recipes in CELLS.items() for number in range(len(recipes))]


def test_every_cell_of_the_table_is_gone_through() -> None:
    assert set(CELLS) == set(tags.cells())
    assert all(CELLS.values())


@pytest.mark.parametrize(("cell", "number"), RECIPES, ids=lambda value: str(value).replace(" ", ""))
def test_a_file_is_read_as_the_table_says(tmp_path: Path, cell: tuple[str, str], number: int) -> None:
    image, recipe, expected = CELLS[cell][number]
    path = (write_ct if image == "ct" else write_mr)(tmp_path)
    recipe(path)
    found = code(path)
    if expected.startswith("E-"):
        assert found.startswith(expected), found
        return
    assert not found
    name, _, value = expected.partition("=")
    pixels = read_pixels(path)
    seen: dict[str, Any] = {
        **dicom.read_header(path),
        "pixel": pixels.values[1, 4],
        "valid": pixels.valid.sum(),
        "note": pixels.note,
    }
    if name == "note":
        assert seen[name].startswith(value)
        assert bool(seen[name]) is bool(value)
    elif name == "modality":
        assert seen[name] == value
    else:
        assert seen[name] == pytest.approx(float(value), nan_ok=True)


def test_the_docs_show_the_table() -> None:
    assert tags.table() in (ROOT / "docs" / "dicom.md").read_text(encoding="utf-8")


def test_a_ct_without_a_modality_loses_its_padding(tmp_path: Path) -> None:
    # Air is −1000 HU; what the scanner wrote outside its circle is no air.
    path = change(write_ct(tmp_path), np.array([[0, 1024]], "<i2"), Modality=None, RescaleIntercept="-2000")
    pixels = read_pixels(path)
    assert pixels.values[pixels.valid].tolist() == [-976]


def test_a_comma_in_the_slope_of_one_slice_leaves_its_findings_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw_folder = tmp_path / "raw"
    for name in "abcdefgh":
        path = write_mr(raw_folder / name)
        rng = np.random.default_rng(ord(name))
        change(path, rng.integers(0, 4000, (40, 40)).astype("<u2"), PatientID=name, SOPInstanceUID=f"1.2.{ord(name)}",
               SeriesInstanceUID=f"1.3.{ord(name)}")  # fmt: skip
    raw("RescaleSlope", b"2,5 ")(raw_folder / "a" / "mr" / "1-01.dcm")
    many(WINDOW, mapping())(raw_folder / "b" / "mr" / "1-01.dcm")
    rows = "".join(f"{name}/mr/1-01.dcm,{name},1,{number % 2}\n" for number, name in enumerate("abcdefgh"))
    (raw_folder / "own.csv").write_text("image,patient_id,finding_id,label\n" + rows)
    with caplog.at_level(logging.WARNING, "typhon"):
        build("table", raw_folder, tmp_path / "d", "--table", "own.csv", extent="10 px")
    skipped = (tmp_path / "d" / "skipped.csv").read_text()
    assert "E-DCM-VALUE" in skipped
    assert "one finite number in RescaleSlope, found '2,5'" in skipped
    assert "b/mr/1-01.dcm: RescaleSlope and RescaleIntercept are used" in caplog.text


def test_a_line_shows_no_more_of_a_tag_than_it_can(tmp_path: Path) -> None:
    path = write_mr(tmp_path)
    raw("RescaleSlope", b"x" * 4000)(path)
    with pytest.raises(TagValueError) as caught:
        read_pixels(path)
    assert len(str(caught.value)) < 300
