"""Enhanced multi-frame DICOM: each frame as its functional groups say, in the order of space."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from model.predict import _places
from pipeline.case import prepare
from pipeline.datasets import listed
from pipeline.errors import InputError
from pipeline.files import read_csv
from pipeline.patches import slices
from pipeline.readers import geometry, index, stacks
from pipeline.readers.pixels import read_pixels
from pipeline.view.opening import open_stack
from tests.dicoms import code
from tests.etl import build
from tests.test_case import at, at_mm, how
from tests.test_table import run, source_of

CLASSES = {
    "CT": uid.EnhancedCTImageStorage,
    "MR": uid.EnhancedMRImageStorage,
    "PT": uid.EnhancedPETImageStorage,
}
HEADER = "image,patient_id,finding_id,label,x,y,z,x_mm,y_mm,z_mm,time\n"
ROW, COLUMN = np.array([0.0, 1.0, 0.0]), np.array([0.6, 0.0, -0.8])
NORMAL = np.cross(ROW, COLUMN)


def item(**values: Any) -> Dataset:
    ds = Dataset()
    for name, value in values.items():
        setattr(ds, name, value)
    return ds


def items(**values: Any) -> Items:
    return Items([item(**values)])


def frame(plane: int, *, slope: float = 1, intercept: float = 0, b: float | None = None, time: int | None = None,
          echo: float | None = None, shared: bool = False) -> Dataset:  # fmt: skip
    position = [f"{value:.6g}" for value in np.array([1.0, 2, 3]) + 3.0 * plane * NORMAL]
    group = item(PlanePositionSequence=items(ImagePositionPatient=position))
    group.PixelValueTransformationSequence = items(
        RescaleSlope=str(slope), RescaleIntercept=str(intercept), RescaleType="US"
    )
    content = item(StackID="1", InStackPositionNumber=plane + 1)
    if time is not None:
        content.TemporalPositionIndex = time
    group.FrameContentSequence = Items([content])
    if b is not None:
        group.MRDiffusionSequence = items(DiffusionBValue=float(b))
    if echo is not None:
        group.MREchoSequence = items(EffectiveEchoTime=float(echo))
    if not shared:
        group.update(_grid())
    return group


def _grid() -> Dataset:
    return item(
        PixelMeasuresSequence=items(PixelSpacing=["0.75", "0.5"], SliceThickness="3"),
        PlaneOrientationSequence=items(ImageOrientationPatient=[str(v) for v in (*ROW, *COLUMN)]),
    )


def write(
    path: Path, values: np.ndarray, groups: Sequence[Dataset], *, modality: str = "MR", patient: str = "P",
    shared: bool = False, **tags: Any,
) -> Path:  # fmt: skip
    """One enhanced file of stored values (frames, rows, columns)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds = Dataset()
    ds.update(item(
        SOPClassUID=CLASSES[modality], SOPInstanceUID=uid.generate_uid(entropy_srcs=[str(path)]), Modality=modality,
        PatientID=patient, StudyInstanceUID="2.25.1", SeriesInstanceUID=f"2.25.{ord(patient[0])}", SeriesNumber=5,
        SeriesDescription="enhanced", InstanceNumber=1, ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        NumberOfFrames=len(values), Rows=values.shape[1], Columns=values.shape[2], SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2", BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=0,
    ))  # fmt: skip
    ds.SharedFunctionalGroupsSequence = Items([_grid() if shared else Dataset()])
    ds.PerFrameFunctionalGroupsSequence = Items(list(groups))
    for name, value in tags.items():
        setattr(ds, name, value)
    ds.PixelData = values.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
        ds.SOPClassUID,
        ds.SOPInstanceUID,
    )
    ds.save_as(path, enforce_file_format=True)
    return path


def volume(count: int, seed: int = 0) -> np.ndarray:
    """Noise; row 0 of each plane has 100 + its number, 9 rows × 12 columns."""
    values = np.random.default_rng(seed).integers(0, 4000, (count, 9, 12))
    values[:, 0] = 100 + np.arange(count)[:, None]
    return values


def table_of(folder: Path) -> pd.DataFrame:
    rows, _, _, errors = index.build(folder, *index.nothing(), processes=1)
    assert not errors
    return rows


def seen(raw: Path, cells: str, image: str = "e.dcm") -> float | str:
    found = run(raw, HEADER + f"{image},p,1,1,{cells}\n")
    if found.skipped:
        return f"{found.skipped[0]['code']}: {found.skipped[0]['reason']}"
    return float(read_pixels(raw / found.rows[0]["file"]).values[0, 0])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]])
def test_frames_are_ordered_by_position_each_with_its_own_rescale(
    tmp_path: Path, order: list[int], shared: bool
) -> None:
    groups = [frame(plane, slope=plane + 1, intercept=-plane, shared=shared) for plane in order]
    write(tmp_path / "e.dcm", volume(5)[order], groups, shared=shared)
    rows = table_of(tmp_path)
    assert rows["file"].tolist() == [f"e.dcm#{number}" for number in range(1, 6)]
    assert rows["frame"].tolist() == [1, 2, 3, 4, 5]
    (stack,) = stacks.split(rows)
    along, positions = geometry.ordered(stack)
    assert np.diff(positions) == pytest.approx([3] * 4)
    for plane, (_, row) in enumerate(along.iterrows()):
        expected = volume(5)[plane] * (plane + 1.0) - plane
        assert (read_pixels(tmp_path / row["file"]).values == expected).all()
        assert (row["spacing_row_mm"], row["spacing_column_mm"]) == (0.75, 0.5)
    assert seen(tmp_path, "5,5,3,,,,") == 103 * 4 - 3
    point = np.array([1.0, 2, 3]) + 5 * 0.5 * ROW + 5 * 0.75 * COLUMN + 3 * 3.1 * NORMAL
    assert seen(tmp_path, f",,,{','.join(map(str, point))},") == 103 * 4 - 3
    assert seen(tmp_path, "5,5,,,,,", f"e.dcm#{order.index(2) + 1}") == 102 * 3 - 2


def test_one_frame_with_its_geometry_in_the_functional_groups(tmp_path: Path) -> None:
    write(tmp_path / "e.dcm", volume(1), [frame(0, slope=2, intercept=1)])
    (row,) = table_of(tmp_path).to_dict("records")
    assert (row["file"], row["spacing_row_mm"], row["position_z"]) == ("e.dcm", 0.75, 3)
    assert seen(tmp_path, "5,5,,,,,") == 201


@pytest.mark.parametrize("name", ["b", "time"])
@pytest.mark.parametrize("turns", [False, True])
def test_b_values_and_times_are_told_apart_and_one_is_named(tmp_path: Path, name: str, turns: bool) -> None:
    values = [800, 0] if name == "b" else [2, 1]
    pairs = [(value, plane) for value in values for plane in range(4)]
    if turns:
        pairs.sort(key=lambda pair: pair[1])
    stored = np.stack([volume(4)[plane] + value for value, plane in pairs])
    write(tmp_path / "e.dcm", stored, [frame(plane, **{name: value}) for value, plane in pairs])
    tag = {"b": "DiffusionBValue", "time": "TemporalPositionIdentifier"}[name]
    assert seen(tmp_path, "5,5,2,,,,") == (
        f"E-LESION-NOSERIES: expected one series of one contrast in the folder, found 2 that differ in {tag}; "
        "say which in the column time, counted from 0"
    )
    assert [seen(tmp_path, f"5,5,2,,,,{time}") for time in (0, 1)] == [
        102 + value for value in sorted(values)
    ]
    assert str(seen(tmp_path, "5,5,2,,,,2")).startswith(
        "E-VOL-TIME: expected a time from 0 to 1, found time 2"
    )
    rows = source_of(tmp_path).index
    (task,) = slices.tasks(rows.iloc[:1].assign(slice=""), rows)
    assert len(task.files) == 4
    assert len(open_stack(tmp_path / "e.dcm").times) == 2


def test_echoes_of_one_file_cannot_be_mixed(tmp_path: Path) -> None:
    pairs = [(echo, plane) for plane in range(3) for echo in (30, 80)]
    write(
        tmp_path / "e.dcm",
        np.concatenate([volume(3)] * 2),
        [frame(plane, echo=echo) for echo, plane in pairs],
    )
    assert "found 2 that differ in EchoTime; name a frame, such as scan.dcm#3" in str(
        seen(tmp_path, "5,5,2,,,,0")
    )


def test_a_missing_frame_is_a_gap(tmp_path: Path) -> None:
    write(tmp_path / "e.dcm", volume(5), [frame(plane) for plane in (0, 1, 3, 4, 5)])
    assert str(seen(tmp_path, "5,5,3,,,,")).startswith("E-GEO-GAP: expected slices that an index can count")


@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_ct_and_pet_are_as_simpleitk_reads_them(tmp_path: Path, modality: str) -> None:
    groups = [frame(plane, slope=0.5, intercept=-1000) for plane in range(5)]
    path = write(tmp_path / "e.dcm", volume(5), groups, modality=modality)
    theirs = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
    along, _ = geometry.ordered(table_of(tmp_path))
    ours = np.stack([read_pixels(tmp_path / file).values for file in along["file"]])
    np.testing.assert_array_equal(ours, sitk.GetArrayFromImage(theirs))
    for voxel in ((0, 0, 0), (11, 8, 4)):
        place = geometry.plane(along.iloc[voxel[2]]).to_world(voxel[0], voxel[1])
        assert place == pytest.approx(theirs.TransformIndexToPhysicalPoint(voxel), abs=1e-4)
    assert along["modality"].unique().tolist() == [modality]


def test_a_case_is_cut_from_its_frames(tmp_path: Path) -> None:
    write(tmp_path / "e.dcm", volume(5)[::-1], [frame(plane) for plane in range(4, -1, -1)])
    for row in (at(5, 5, 3), at_mm(*(np.array([1.0, 2, 3]) + 2.5 * ROW + 3.75 * COLUMN + 9 * NORMAL))):
        case = prepare(tmp_path / "e.dcm", row, how("table", ("image",), extent="4 px"))
        assert case.rows["file"].tolist() == ["e.dcm#2"]
        assert case.sources[0].mean == pytest.approx(volume(5).mean())
        assert case.measured["slices"].tolist() == [5]


def test_one_frame_is_named_in_a_table_and_to_a_prediction(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    write(raw / "e.dcm", volume(5), [frame(plane) for plane in range(5)])
    rows = "e.dcm#3,p,1,0,5,5,,,,,\nE.DCM#4,q,1,1,5,5,,,,,\ne.dcm#9,r,1,1,5,5,,,,,\n"
    found = run(raw, HEADER + rows)
    assert [row["file"] for row in found.rows] == ["e.dcm#3", "e.dcm#4"]
    assert [row["code"] for row in found.skipped] == ["E-IMG-MISSING"]
    # Before the index knows the frames, their file is enough.
    files = ["e.dcm"]
    (raw / "t.csv").write_text(HEADER + rows)
    assert not listed.from_csv(raw, Path("t.csv"), files).missing
    case = prepare(raw / "e.dcm#3", at(5, 5), how("table", ("image",), extent="4 px"))
    assert case.rows["file"].tolist() == ["e.dcm#3"]
    assert case.sources[0].mean == pytest.approx(volume(5).mean())  # of the whole stack, as in training
    with pytest.raises(InputError, match="E-IMG-MISSING"):
        prepare(raw / "e.dcm#9", at(5, 5), how("table", ("image",), extent="4 px"))
    assert _places(raw / "t.csv", ["e.dcm#3", "E.dcm#4"]) == [raw / "e.dcm#3", raw / "e.dcm#4"]


def test_the_whole_way_from_enhanced_files_to_a_split(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for number, name in enumerate("abcdefgh"):
        write(raw / f"{name}.dcm", volume(5, number), [frame(plane) for plane in range(5)], patient=name)
    (raw / "twice.dcm").write_bytes((raw / "a.dcm").read_bytes())
    rows = "".join(
        f"{name}.dcm,{name},1,{number % 2},5,5,{number % 5}\n" for number, name in enumerate("abcdefgh")
    )
    (raw / "own.csv").write_text("image,patient_id,finding_id,label,x,y,z\n" + rows)
    build("table", raw, tmp_path / "d", "--table", "own.csv", extent="4 px")
    found = read_csv(tmp_path / "d" / "findings.csv")
    assert found["file"].tolist() == [
        f"{name}.dcm#{number % 5 + 1}" for number, name in enumerate("abcdefgh")
    ]
    assert read_csv(tmp_path / "d" / "skipped.csv").empty
    before = (tmp_path / "d" / "index.parquet").read_bytes()
    build("table", raw, tmp_path / "d", "--table", "own.csv", extent="4 px")
    assert (tmp_path / "d" / "index.parquet").read_bytes() == before
    assert len(index.read_index(tmp_path / "d" / "index.parquet")) == 40


@pytest.mark.parametrize(
    ("tags", "line"),
    [
        ({"NumberOfFrames": 6}, "E-DCM-TRUNC: expected 1296 bytes of pixel data, found 1080"),
        ({"NumberOfFrames": 0}, "E-DCM-VALUE: expected a whole number of frames in NumberOfFrames, found 0"),
        ({"PerFrameFunctionalGroupsSequence": Items([frame(0)])},
         "E-DCM-TAG: expected 5 items in PerFrameFunctionalGroupsSequence, found 1"),
        ({"NumberOfFrames": None}, "E-DCM-VALUE: expected 216 bytes of pixel data, as the tags say, found 1080"),
        ({"NumberOfFrames": 4}, "E-DCM-VALUE: expected 864 bytes of pixel data, as the tags say, found 1080"),
        ({"PerFrameFunctionalGroupsSequence": Items([frame(plane) for plane in range(6)])},
         "E-DCM-TAG: expected 5 items in PerFrameFunctionalGroupsSequence, found 6"),
        ({"PixelSpacing": ["9", "9"]}, "E-DCM-VALUE: expected one PixelSpacing in the file and its functional groups"),
        ({"Rows": 0}, "E-DCM-TAG: expected tags Rows"),
    ],
)  # fmt: skip
def test_contradictory_files_are_one_line(tmp_path: Path, tags: dict[str, Any], line: str) -> None:
    path = write(tmp_path / "e.dcm", volume(5), [frame(plane) for plane in range(5)], **tags)
    assert code(path).startswith(line)


@pytest.mark.parametrize("name", ["e.dcm", "e.dcm#0", "e.dcm#6"])
def test_pixels_of_no_frame_are_one_line(tmp_path: Path, name: str) -> None:
    write(tmp_path / "e.dcm", volume(5), [frame(plane) for plane in range(5)])
    with pytest.raises(InputError, match=r"E-DCM-MULTIFRAME .*found 5 frames"):
        read_pixels(tmp_path / name)


def test_a_file_whose_own_name_ends_like_a_frame_is_itself(tmp_path: Path) -> None:
    write(tmp_path / "e#2", volume(1), [frame(0)])
    assert table_of(tmp_path)["file"].tolist() == ["e#2"]
    assert seen(tmp_path, "5,5,,,,,", "e#2") == 100


# --- real files


def _same_as_nifti(
    folder: Path, rows: pd.DataFrame, reference: np.ndarray, affine: np.ndarray, tolerance: float = 1e-3
) -> None:
    """Every frame has the values of the volume at its place, and the volume has no more slices."""
    assert len(rows) == reference.shape[2]
    for _, row in rows.iterrows():
        plane = geometry.plane(row)
        corners = [plane.to_world(*place) for place in ((0, 0), (plane.columns - 1, 0), (0, plane.rows - 1))]
        ras = np.array(corners) * (-1, -1, 1)
        i, j, k = (np.linalg.inv(affine) @ np.c_[ras, np.ones(3)].T)[:3]
        assert np.abs(np.stack([i, j, k]) - np.rint([i, j, k])).max() < 2e-3
        first, right, down = np.rint(np.stack([i, j, k]).T).astype(int)
        assert first[2] == right[2] == down[2]
        values = reference[:, :, first[2]].T
        values = values[:: 1 if down[1] > first[1] else -1, :: 1 if right[0] > first[0] else -1]
        np.testing.assert_allclose(
            read_pixels(folder / row["file"]).values, values, rtol=1e-5, atol=tolerance
        )


def test_the_real_siemens_series_is_its_nifti_at_each_time(shared: Path) -> None:
    folder, reference = (
        shared / "enhanced/In/Siemens/XA10",
        nib.load(shared / "enhanced/Ref/Siemens_REST1_w_SMS_PF7-8_6.nii"),
    )
    times = stacks.in_time(stacks.split(table_of(folder)))
    assert stacks.are_times(times)
    assert len(times) == reference.shape[3] == 4
    for time, rows in enumerate(times):
        _same_as_nifti(folder, rows, reference.get_fdata()[..., time], reference.affine)


@pytest.mark.parametrize(
    ("kind", "name", "scale"),
    # dcm2niix undoes the display scale of Philips: slope · (2005,100E), in float32.
    [("M", "e1", 1.27985347985347 * 8.448640073766e-06), ("FIELD_MAP", "e2_fieldmaphz", 1.0)],
)
def test_the_real_philips_field_map_is_its_two_niftis(
    shared: Path, kind: str, name: str, scale: float
) -> None:
    folder = shared / "enhanced/In/Philips"
    reference = nib.load(shared / f"enhanced/Ref/Philips_WIP_B0_NS_801_{name}.nii")
    found = [part for part in stacks.split(table_of(folder)) if part["image_type"].iloc[0].endswith(kind)]
    assert len(found) == 1
    _same_as_nifti(folder, found[0], reference.get_fdata() * scale, reference.affine, tolerance=4e-3)
