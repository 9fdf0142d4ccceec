"""DICOM SEG and RTSTRUCT as masks of findings: they mean the place that their voxels and contours have."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import ExplicitVRLittleEndian

from model.predict import main as predict
from pipeline.datasets import masks
from pipeline.errors import InputError
from pipeline.phantom import Geometry, write_mr_series
from pipeline.readers import index, labels, limits
from pipeline.readers.dicom import segmentations
from tests import made_runs
from tests.test_table import place, run

OBLIQUE = Geometry((-10.0, 20.0, 30.0), (1.0, 0.0, 0.0), (0.0, 0.8, -0.6), (0.5, 0.75), 3.0)
SIZE = (8, 20, 24)
"""Slices, rows and columns."""
HEADER = "image,mask,mask_value,patient_id,finding_id,label\n"
FRAME = "1.2.3"


def _save(path: Path, ds: Dataset, modality: str) -> Path:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.Modality, ds.SOPClassUID = (
        modality,
        f"1.2.840.10008.5.1.4.1.1.{66.4 if modality == 'SEG' else '481.3'}",
    )
    ds.SOPInstanceUID, ds.SeriesInstanceUID = f"1.2.{len(path.name)}", f"1.2.9.{len(path.name)}"
    ds.save_as(path, enforce_file_format=True)
    return path


def _item(**tags: object) -> Dataset:
    ds = Dataset()
    for tag, value in tags.items():
        setattr(ds, tag, value)
    return ds


def write_seg(
    path: Path, segments: dict[int, tuple[str, np.ndarray]], geometry: Geometry = OBLIQUE,
    kind: str = "BINARY", frame: str = FRAME,
) -> Path:  # fmt: skip
    """A file with a frame for each slice (8, 20, 24) of a segment that is not empty, as most software does."""
    shown = [
        (number, layer)
        for number, (_, mask) in segments.items()
        for layer in np.flatnonzero(mask.any((1, 2)))
    ]
    if kind == "LABELMAP":
        shown = sorted({(0, layer): None for _, layer in shown})
    numbers = sum(number * mask.astype("u1") for number, (_, mask) in segments.items())
    slices = [(segments[number][1] if number else numbers)[layer] for number, layer in shown]
    ds = _item(
        SegmentationType=kind, FrameOfReferenceUID=frame, NumberOfFrames=len(shown), Rows=SIZE[1],
        Columns=SIZE[2], SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", PixelRepresentation=0,
        SegmentSequence=[_item(SegmentNumber=n, SegmentLabel=name) for n, (name, _) in segments.items()],
    )  # fmt: skip
    if kind == "FRACTIONAL":
        ds.MaximumFractionalValue, ds.SegmentationFractionalType = 200, "OCCUPANCY"
        slices = [200 * each for each in slices]
    bits = 1 if kind == "BINARY" else 8
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    pixels = np.array(slices, "u1")
    ds.PixelData = pack_bits(pixels.ravel()) if bits == 1 else pixels.tobytes() + b"\0" * (pixels.size % 2)
    ds["PixelData"].VR = "OB"
    spacing = _item(PixelSpacing=[*geometry.spacing[::-1]], SliceThickness=geometry.slice_spacing)
    orientation = _item(ImageOrientationPatient=[*geometry.row, *geometry.column])
    ds.SharedFunctionalGroupsSequence = [
        _item(PixelMeasuresSequence=[spacing], PlaneOrientationSequence=[orientation])
    ]
    ds.PerFrameFunctionalGroupsSequence = [
        _item(
            PlanePositionSequence=[_item(ImagePositionPatient=[*geometry.world(0, 0, layer)])],
            **({"SegmentIdentificationSequence": [_item(ReferencedSegmentNumber=number)]} if number else {}),
        )
        for number, layer in shown
    ]
    return _save(path, ds, "SEG")


def write_rtstruct(
    path: Path, rois: dict[str, list[np.ndarray]], kind: str = "CLOSED_PLANAR", frame: str = FRAME
) -> Path:
    """A file with the contours (points, 3) of ROIs 1, 2 and so on."""
    return _save(path, _item(
        ReferencedFrameOfReferenceSequence=[_item(FrameOfReferenceUID=frame)],
        StructureSetROISequence=[_item(ROINumber=n, ROIName=name) for n, name in enumerate(rois, 1)],
        ROIContourSequence=[
            _item(ReferencedROINumber=n, ContourSequence=[
                _item(ContourGeometricType=kind, NumberOfContourPoints=len(points),
                      ContourData=[f"{number:.6g}" for number in points.ravel()])
                for points in contours
            ])
            for n, contours in enumerate(rois.values(), 1)
        ],
    ), "RTSTRUCT")  # fmt: skip


def box(layers: slice, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[layers, rows, columns] = True
    return mask


TWO = {
    1: ("Lesion", box(slice(2, 4), slice(5, 8), slice(9, 14)) | box(slice(3, 4), slice(5, 10), slice(9, 14))),
    2: ("Other", box(slice(6, 7), slice(1, 3), slice(1, 5))),
}
"""Lesion: five rows by five columns on slice 3, three rows on slice 2."""


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A series of MR whose slices are oblique."""
    folder = tmp_path / "raw"
    tags = {"FrameOfReferenceUID": FRAME}
    write_mr_series(
        folder / "t2", np.ones(SIZE), OBLIQUE, description="t2", number=1, patient_id="p", tags=tags
    )
    return folder


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize(
    ("value", "expected", "third"), [("Lesion", (11, 7), 3), ("1", (11, 7), 3), ("other", (2.5, 1.5), 6)]
)
def test_a_segment_marks_the_slice_on_which_it_is_largest(raw: Path, kind, value, expected, third) -> None:
    write_seg(raw / "m.dcm", TWO, kind=kind)
    found = run(raw, HEADER + f"t2,m.dcm,{value},p,1,1\n", "--mask-extent", "1")
    assert found.skipped == []
    (row,) = found.rows
    assert (place(row)[:2], row["centre"], row["plane_distance_mm"]) == (expected, "mask", "0.000")
    ds = pydicom.dcmread(raw / row["file"])
    assert ds.ImagePositionPatient == pytest.approx(OBLIQUE.world(0, 0, third))
    # Five rows of 0.75 mm; or four columns of 0.5 mm.
    assert row["extent"] == ("3.75 mm" if third == 3 else "2 mm")


def test_a_mask_may_be_named_by_its_folder_and_a_change_of_it_changes_the_index(raw: Path) -> None:
    (raw / "seg").mkdir()
    write_seg(raw / "seg/1-1.dcm", {1: TWO[1]})
    (row,) = run(raw, HEADER + "t2,seg,,p,1,1\n").rows
    assert place(row)[:2] == (11, 7)
    before = index.build(raw, *index.nothing(), processes=1)[2]
    write_seg(raw / "seg/1-1.dcm", {1: TWO[2]})
    after = index.build(raw, *index.nothing(), processes=1)[2]
    assert before.keys() == after.keys() >= {"seg/1-1.dcm"}
    assert before["seg/1-1.dcm"] != after["seg/1-1.dcm"]


def circle(
    radius: float, centre: tuple[float, float], plane: float, geometry: Geometry = OBLIQUE
) -> np.ndarray:
    """Contour around a point (column, row) of a slice, its radius in mm."""
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    middle = geometry.world(*centre, plane)
    return middle + radius * (
        np.outer(np.cos(angles), geometry.row) + np.outer(np.sin(angles), geometry.column)
    )


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_contours_mark_the_slice_on_which_they_enclose_most(raw: Path, kind: str) -> None:
    contours = {
        "Body": [circle(40, (11, 7), plane) for plane in range(8)],
        "GTV": [circle(2, (8, 9), 3), circle(3, (10, 6), 4), circle(1, (10, 6), 5)],
    }
    write_rtstruct(raw / "rt.dcm", contours, kind)
    (row,) = run(raw, HEADER + "t2,rt.dcm,gtv,p,1,1\n", "--mask-extent", "2").rows
    assert place(row)[:2] == pytest.approx((10, 6), abs=0.05)
    assert pydicom.dcmread(raw / row["file"]).ImagePositionPatient == pytest.approx(OBLIQUE.world(0, 0, 4))
    assert float(row["extent"].removesuffix(" mm")) == pytest.approx(12, abs=0.1)


def test_a_contour_within_another_is_a_hole_and_one_beside_it_is_not() -> None:
    square = np.array([[0, 0, 5], [40, 0, 5], [40, 20, 5], [0, 20, 5.0]])
    hole = np.array([[10, 5, 5], [30, 5, 5], [30, 15, 5], [10, 15, 5.0]])
    beside = np.array([[50, 0, 5], [60, 0, 5], [60, 20, 5], [50, 20, 5.0]])
    volume = segmentations.filled([square, hole, beside])
    pixel = np.prod(volume.grid.spacing_mm[:2])
    assert volume.voxels.sum() * pixel == pytest.approx(40 * 20 - 20 * 10 + 10 * 20, rel=0.01)
    at = {
        point: volume.voxels[tuple(np.rint(np.linalg.solve(volume.affine, [*point, 5, 1])[:3]).astype(int))]
        for point in [(5, 10), (20, 10), (55, 10), (45, 10)]
    }
    assert at == {(5, 10): 1, (20, 10): 0, (55, 10): 1, (45, 10): 0}


@settings(max_examples=40)
@given(
    normal=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1),
    centre=st.tuples(*[st.floats(-200, 200)] * 3),
    radius=st.floats(0.5, 50),
    layers=st.lists(st.integers(0, 12), min_size=1, max_size=5, unique=True),
    reverse=st.booleans(),
)
def test_the_middle_of_a_ball_of_contours_is_that_of_the_ball(
    normal, centre, radius, layers, reverse
) -> None:
    """In planes of any direction, with gaps between them, drawn in either direction."""
    normal = np.array(normal) / np.linalg.norm(normal)
    row = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    row /= np.linalg.norm(row)
    flat = Geometry(centre, tuple(row), tuple(np.cross(normal, row)), slice_spacing=2.5)
    contours = [circle(radius / (2 + abs(n - layers[0])), (0, 0), n, flat) for n in layers]
    volume = segmentations.filled([points[::-1] for points in contours] if reverse else contours)
    largest = int(volume.voxels.sum(axis=(0, 1)).argmax())
    middle = [*np.argwhere(volume.voxels[..., largest]).mean(axis=0), largest, 1]
    assert (volume.affine @ middle)[:3] == pytest.approx(flat.world(0, 0, layers[0]), abs=0.02 * radius)
    area = volume.voxels[..., largest].sum() * np.prod(volume.grid.spacing_mm[:2])
    assert area == pytest.approx(np.pi * radius**2 / 4, rel=0.02)


def test_a_real_structure_set_is_read() -> None:
    """Of 400 × 300 mm, on three slices 10 mm apart; its other ROIs are points."""
    segment = segmentations.read(Path(get_testdata_file("rtstruct.dcm", read=False)), "")
    assert segment is not None
    assert segment.volume.voxels.sum() * np.prod(segment.volume.grid.spacing_mm) == pytest.approx(
        400 * 300 * 30
    )
    assert segment.frame == "1.2.826.0.1.3680043.8.498.2010020400001.2"


@pytest.mark.parametrize(
    ("cells", "code", "words"),
    [
        ("m.dcm,", "E-LESION-NOCENTRE", "expected one segment, found segments 1 Lesion, 2 Other; write the"),
        ("m.dcm,7", "E-LESION-NOCENTRE", "expected segment 7, found segments 1 Lesion, 2 Other;"),
        ("rt.dcm,", "E-LESION-NOCENTRE", "expected one ROI, found ROIs 1 Body, 2 GTV;"),
        ("points.dcm,", "E-LESION-NOCENTRE", "expected a mask with an inside, found no closed contour;"),
        ("line.dcm,", "E-LESION-NOCENTRE", "expected a mask with an inside, found contours without an area;"),
        ("turned.dcm,", "E-GEO-ORIENT", "expected contours in parallel planes, found contours in several"),
        ("uneven.dcm,", "E-GEO-GAP", "expected slices of one spacing, found steps from 3 to 5.06 mm;"),
        ("half.dcm,", "E-LESION-NOCENTRE", "expected a mask of whole numbers, found 0.5 in it;"),
        (
            "strange.dcm,1",
            "E-LESION-NOCENTRE",
            "expected the frame of reference of the image, found another;",
        ),
        ("cut.dcm,1", "E-DCM-NOTDICOM", "an unreadable header"),
        ("unnumbered.dcm,1", "E-DCM-TAG", "expected tag ReferencedSegmentNumber of each frame, found none"),
        (
            "several.dcm,gtv",
            "E-LESION-NOCENTRE",
            "expected one ROI gtv, found ROIs 1 GTV, 2 gtv; write the number of",
        ),
        ("several.dcm,Isocentre", "E-LESION-NOCENTRE", "expected a mask with an inside, found no closed"),
        ("twice.dcm,", "E-LESION-NOCENTRE", "expected a mask with an inside, found contours that cancel"),
        (
            "short.dcm,",
            "E-LESION-NOCENTRE",
            "expected a mask with an inside, found contours without an area;",
        ),
        ("empty.dcm,2", "E-LESION-NOCENTRE", "expected voxels in segment 2 Other, found none; correct"),
        ("label.dcm,other", "E-LESION-NOCENTRE", "expected voxels in segment 2 Other, found none; correct"),
        ("own.dcm,", "E-LESION-NOCENTRE", "expected the frame of reference of the image, found another;"),
        ("two,", "E-LESION-NOSERIES", "expected one file with the whole mask, found a folder of 2;"),
    ],
)
def test_a_bad_mask_leaves_its_finding_out_with_the_reason(raw: Path, cells, code, words) -> None:
    seg = write_seg(raw / "m.dcm", TWO)
    write_seg(raw / "strange.dcm", TWO, frame="9.8.7")
    write_seg(raw / "half.dcm", {1: TWO[1]}, kind="FRACTIONAL")
    ds = pydicom.dcmread(raw / "half.dcm")
    ds.PixelData = ds.PixelData.replace(b"\xc8", b"\x64")
    ds.save_as(raw / "half.dcm")
    (raw / "cut.dcm").write_bytes(seg.read_bytes()[:-20])
    ds = pydicom.dcmread(seg)
    for group in ds.PerFrameFunctionalGroupsSequence:
        del group.SegmentIdentificationSequence
    ds.save_as(raw / "unnumbered.dcm")
    ball = circle(2, (10, 6), 3)
    write_rtstruct(raw / "rt.dcm", {"Body": [circle(9, (10, 6), 3)], "GTV": [ball]})
    write_rtstruct(raw / "points.dcm", {"Isocentre": [ball[:1]]}, "POINT")
    write_rtstruct(raw / "line.dcm", {"GTV": [ball[[0, 1, 0]]]})
    write_rtstruct(raw / "turned.dcm", {"GTV": [ball, ball[:, [1, 2, 0]]]})
    write_rtstruct(
        raw / "uneven.dcm", {"GTV": [circle(2, (10, 6), plane) for plane in (0, 1, 2.3137, 4, 5.2071)]}
    )
    write_rtstruct(raw / "several.dcm", {"GTV": [ball], "gtv": [ball], "Isocentre": [ball]})
    ds = pydicom.dcmread(raw / "several.dcm")
    ds.ROIContourSequence[2].ContourSequence[0].ContourGeometricType = "POINT"
    ds.save_as(raw / "several.dcm")
    write_rtstruct(raw / "twice.dcm", {"GTV": [ball, ball]})
    write_rtstruct(raw / "short.dcm", {"GTV": [ball[:2]]})
    for name, kind in (("empty.dcm", "BINARY"), ("label.dcm", "LABELMAP")):
        write_seg(raw / name, TWO | {2: ("Other", np.zeros(SIZE, bool))}, kind=kind)
    write_rtstruct(raw / "own.dcm", {"GTV": [ball]})
    ds = pydicom.dcmread(raw / "own.dcm")
    ds.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "9.8.7"
    ds.save_as(raw / "own.dcm")
    (raw / "two").mkdir()
    for name in ("a.dcm", "b.dcm"):
        (raw / "two" / name).write_bytes(seg.read_bytes())
    (line,) = run(raw, HEADER + f"t2,{cells},p,1,1\n").skipped
    assert line["code"] == code
    assert words in line["reason"]
    assert line["file"] == cells.split(",")[0]


@pytest.mark.parametrize(
    ("value", "centre"), [("2", 10), ("2.0", 10), ("1", 14), ("1.0", 14), ("3", 18), ("La\u0308sion", 18)]
)
def test_a_name_counts_before_a_number_however_a_spreadsheet_writes_it(raw: Path, value, centre) -> None:
    rois = {name: [circle(2, (column, 6), 3)] for name, column in (("2", 10), ("1", 14), ("L\u00e4sion", 18))}
    ds = pydicom.dcmread(write_rtstruct(raw / "rt.dcm", rois))
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.StructureSetROISequence[2].ROIName = "L\u00e4sion"
    ds.save_as(raw / "rt.dcm")
    (row,) = run(raw, HEADER + f"t2,rt.dcm,{value},p,1,1\n").rows
    assert place(row)[0] == pytest.approx(centre, abs=0.05)


def test_points_and_lines_do_not_part_the_layers_of_a_roi(raw: Path) -> None:
    planes = [circle(2, (10, 6), plane) for plane in (0, 1, 4)]
    rest = [circle(3, (10, 6), plane)[:count] for plane, count in ((2.3137, 1), (5.2071, 2))]
    write_rtstruct(raw / "rt.dcm", {"GTV": [*planes, *rest]})
    (row,) = run(raw, HEADER + "t2,rt.dcm,,p,1,1\n").rows
    assert place(row)[:2] == pytest.approx((10, 6), abs=0.05)


def test_a_segment_is_read_without_the_frames_of_a_hundred_others(raw: Path, monkeypatch) -> None:
    """All of them would take 100 times 8 MiB."""
    whole = np.ones(SIZE, bool)
    path = write_seg(raw / "m.dcm", {number: (f"Organ {number}", whole) for number in range(1, 101)})
    ds = pydicom.dcmread(path)
    ds.Rows, ds.Columns = 1024, 1024
    pixels = bytearray(100 * 8 * 2**17)
    pixels[(49 * 8 + 5) * 2**17 : (49 * 8 + 6) * 2**17] = b"\xff" * 2**17  # slice 5 of organ 50
    ds.PixelData = bytes(pixels)
    ds.save_as(path)
    monkeypatch.setattr(limits, "MEMORY", 2**28)
    segment = segmentations.read(path, "organ 50")
    assert segment is not None
    assert segment.volume.voxels.sum(axis=(0, 1)).tolist() == [0, 0, 0, 0, 0, 2**20, 0, 0]


def test_frames_that_begin_within_a_byte_are_read(tmp_path: Path) -> None:
    path = write_seg(tmp_path / "m.dcm", {1: ("A", np.ones(SIZE, bool)), 2: ("B", np.ones(SIZE, bool))})
    ds = pydicom.dcmread(path)
    ds.Rows, ds.Columns = 3, 5
    frames = np.random.default_rng(0).integers(0, 2, (16, 3, 5)).astype("u1")
    ds.PixelData = pack_bits(frames.ravel())
    ds.save_as(path)
    segment = segmentations.read(path, "B")
    assert segment is not None
    assert np.array_equal(segment.volume.voxels, frames[8:].transpose(2, 1, 0))


@given(
    st.dictionaries(
        st.integers(0, 12),
        st.one_of(st.sampled_from(["GTV", "gtv", " GTV", "", "2.0"]), st.integers(0, 12).map(str)),
        max_size=6,
    )
)
def test_what_calls_a_segment_means_that_segment(names: dict[int, str]) -> None:
    values = segmentations.values_of(names)
    assert len(values) == len(names)
    for number, value in zip(names, values, strict=True):
        if value or len(names) == 1:
            assert segmentations.meant(names, value, "segment") == number
        else:  # neither its name nor its number is its own
            assert any(other != number for other, name in names.items() if labels.word(name) == str(number))


@pytest.mark.parametrize("kind", ["seg", "rt"])
def test_layers_that_nearly_touch_and_a_distant_one_take_no_gigabytes(raw: Path, kind: str) -> None:
    """Steps of 0.2 mm over 12 m are 60,000 layers."""
    if kind == "seg":
        path = write_seg(raw / "m.dcm", {1: ("Lesion", np.ones(SIZE, bool))})
        ds = pydicom.dcmread(path)
        at = [0.0, 0.2, *(12000.0 + 0.2 * n for n in range(6))]
        ds.Rows = ds.Columns = 100
        ds.PixelData = bytes(8 * 100 * 100 // 8)[:-1] + b"\xff"
        for group, height in zip(ds.PerFrameFunctionalGroupsSequence, at, strict=True):
            group.PlanePositionSequence[0].ImagePositionPatient = [*(height * OBLIQUE.normal)]
        ds.save_as(path)
    else:
        write_rtstruct(raw / "m.dcm", {"GTV": [circle(2, (8, 9), plane) for plane in (0, 0.2 / 3, 4000)]})
    (line,) = run(raw, HEADER + "t2,m.dcm,,p,1,1\n").skipped
    assert (line["code"], line["file"]) == ("E-DCM-LIMIT", "m.dcm")
    assert "voxels, which take" in line["reason"]


def test_a_new_case_is_marked_by_a_segment_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [HEADER]
    for number in range(12):
        folder = tmp_path / f"raw/p{number}"
        write_mr_series(folder / "t2", rng.normal(100, 20, SIZE).clip(0), OBLIQUE, description="t2", number=1,
                        patient_id=f"P{number}", tags={"FrameOfReferenceUID": FRAME})  # fmt: skip
        write_seg(folder / "seg.dcm", TWO)
        rows.append(f"p{number}/t2,p{number}/seg.dcm,Lesion,P{number},1,{number % 2}\n")
    (tmp_path / "raw/own.csv").write_text("".join(rows))
    data, out = tmp_path / "data/mine", tmp_path / "out"
    made_runs.write_patches(data, "table", tmp_path / "raw", "6 mm", find=["--table", "own.csv"])
    made_runs.write_card(data, "table")
    made = made_runs.train(tmp_path / "data", tmp_path / "results", ["mine"], 1)
    case = tmp_path / "raw/p0"
    call = ["--model", str(made), "--out", str(out)]
    predict([str(case / "t2"), "--mask", str(case / "seg.dcm"), "--mask-value", "lesion", *call])
    text = (out / "prediction.json").read_text()
    assert '"column": "11.0000"' in text
    with pytest.raises(InputError, match="expected one segment, found segments 1 Lesion, 2 Other"):
        predict([str(case / "t2"), "--mask", str(case / "seg.dcm"), *call])

    # A table may name the series by their UIDs, though those of other patients are in the folder.
    scores = []
    for by_uid in (False, True):
        table = tmp_path / "raw/cases.csv"
        lines = ["image,mask,mask_value,patient_id,finding_id\n"]
        for name in ("p0", "p1"):
            first = next((tmp_path / f"raw/{name}/t2").iterdir())
            image = pydicom.dcmread(first).SeriesInstanceUID if by_uid else f"{name}/t2"
            lines.append(f"{image},{name}/seg.dcm,Lesion,{name},1\n")
        table.write_text("".join(lines))
        predict([str(table), *call])
        scores.append((out / "predictions.csv").read_text())
    assert scores[0] == scores[1]
    with pytest.raises(InputError, match=r"E-IMG-MISSING 1\.2\.3\.4\.5\.6\.7: .* no series of that UID;"):
        predict([str(tmp_path / "raw/1.2.3.4.5.6.7"), *call])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_is_sliced_as_its_image_lies(tmp_path: Path, axis: int) -> None:
    path = write_seg(tmp_path / "m.dcm", {1: TWO[1]})
    sides = (OBLIQUE.row, OBLIQUE.column, OBLIQUE.normal)
    assert masks.read(path, "", "", 2, np.array(sides[axis])).axis == axis
