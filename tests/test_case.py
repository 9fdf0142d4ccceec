"""Where a new case is looked at, and the one line where it is not."""

import dataclasses
import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)
from PIL import Image

from pipeline.card import Preprocessing, fingerprint, outside
from pipeline.case import Case, prepare
from pipeline.errors import InputError
from pipeline.phantom import Geometry, write_ct_series, write_mr_series
from pipeline.store import AUGMENTATIONS, read_info, read_patches
from tests.collection import ADC, HIGH_B, T2
from tests.made_runs import VIEWS, write_patches

RNG = np.random.default_rng(0)
GRID = Geometry((0.0, 0.0, 0.0), spacing=(2.0, 2.0), slice_spacing=3.0)
"""9 planes of 20 rows × 24 columns, 2 mm pixels, 3 mm apart from z = 0 upwards."""


def how(kind: str = "prostatex", channels: tuple[str, ...] = ("t2",), extent: str = "20 mm") -> Preprocessing:
    return Preprocessing(kind, channels, extent, None, "series", "geometry", 2, 0, VIEWS)


def mr(folder: Path, description: str, number: int, *, patient: str = "P", level: int = 100) -> list[Path]:
    """A series of noise around ``level``; its files from the highest plane to the lowest."""
    volume = RNG.integers(level, level + 50, (9, 20, 24))
    b_values = {ADC: (800,), HIGH_B: (1400,)}.get(description)
    return write_mr_series(folder / f"{patient}-{number}", volume, GRID, description=description, number=number,
                           patient_id=patient, b_values=b_values)  # fmt: skip


def at(*point: float) -> dict[str, str]:
    """A row with a point in pixels."""
    cells = dict(zip(("x", "y", "z"), map(str, point), strict=False))
    return {"patient_id": "case", "finding_id": "1", **cells}


def at_mm(*point: float) -> dict[str, str]:
    """A row with a point in mm (LPS)."""
    cells = dict(zip(("x_mm", "y_mm", "z_mm"), map(str, point), strict=True))
    return {"patient_id": "case", "finding_id": "1", **cells}


def refused(path: Path, row: dict[str, str], wanted: Preprocessing) -> str:
    """The line that a case is refused with."""
    with pytest.raises(InputError) as caught:
        prepare(path, row, wanted)
    line = str(caught.value)
    assert "\n" not in line
    return line


def place(case: Case, channel: int = 0) -> tuple[float, float, float]:
    row = case.rows.iloc[channel]
    return float(row["column"]), float(row["row"]), float(row["plane_distance_mm"])


def test_a_pixel_and_its_point_in_mm_are_the_same_case(tmp_path: Path) -> None:
    mr(tmp_path, T2, 4)
    # Column 10, row 7 of plane 5: 2·10, 2·7 and 3·5 mm.
    pixel, world = (prepare(tmp_path, row, how()) for row in (at(10, 7, 5), at_mm(20, 14, 15)))
    assert place(pixel) == place(world) == (10, 7, 0)
    assert pixel.rows["file"].tolist() == world.rows["file"].tolist() == ["P-4/1-04.dcm"]
    np.testing.assert_array_equal(pixel.patches, world.patches)
    assert pixel.patches.shape == (3, 1, 65, 65)
    assert pixel.patches.dtype == np.float32


def test_of_two_series_that_hold_the_point_the_last_is_taken_as_in_training(tmp_path: Path) -> None:
    mr(tmp_path, T2, 4)
    mr(tmp_path, T2, 7)
    case = prepare(tmp_path, at_mm(20, 14, 15), how())
    assert case.rows["file"].tolist() == ["P-7/1-04.dcm"]
    assert case.rows["reason"].tolist() == ["the last of 2 series that contain the finding, among 2"]


def test_a_pixel_in_one_of_two_series_that_fit_is_refused(tmp_path: Path) -> None:
    mr(tmp_path, T2, 4)
    mr(tmp_path, T2, 7)
    line = refused(tmp_path, at(10, 7, 5), how())
    assert re.match(r"E-LESION-NOSERIES .*: expected one series of t2 that a pixel can belong to, found 2: "
                    r"4 t2_tse_tra, 7 t2_tse_tra; give the point in mm", line)  # fmt: skip


def test_several_channels_are_found_by_their_names(tmp_path: Path) -> None:
    for number, description in ((4, T2), (5, ADC), (6, HIGH_B)):
        mr(tmp_path, description, number, level=100 * number)
    case = prepare(tmp_path, at(10, 7, 5), how(channels=("t2", "dwi", "adc")))
    assert [file.split("/")[0] for file in case.rows["file"]] == ["P-4", "P-6", "P-5"]
    assert [round(source.mean, -2) for source in case.sources] == [400, 600, 500]
    assert case.patches.shape == (3, 3, 65, 65)


def test_a_series_of_any_name_will_do_for_one_channel(tmp_path: Path) -> None:
    mr(tmp_path, "ax T2 from elsewhere", 4)
    assert place(prepare(tmp_path, at(10, 7, 5), how())) == (10, 7, 0)


def test_a_lone_file_counts_as_a_series(tmp_path: Path) -> None:
    path = mr(tmp_path, T2, 4)[3]
    case = prepare(path, at(10, 7), how())
    assert case.measured["slices"].tolist() == [1]
    assert case.sources[0].mean == pytest.approx(pydicom.dcmread(path).pixel_array.mean())


def test_a_screenshot_beside_the_series_is_not_meant(tmp_path: Path) -> None:
    mr(tmp_path, T2, 4)
    Image.fromarray(RNG.integers(0, 255, (20, 24), dtype="u1")).save(tmp_path / "a.png")
    for kind in ("prostatex", "table"):
        assert prepare(tmp_path, at(10, 7, 5), how(kind)).rows["file"].tolist() == ["P-4/1-04.dcm"]


@pytest.mark.parametrize("kind", ["prostatex", "lungx", "table"])
def test_two_patients_in_a_folder_are_refused(tmp_path: Path, kind: str) -> None:
    mr(tmp_path, T2, 4)
    mr(tmp_path, T2, 4, patient="Q")
    assert "expected the images of one patient, found those of 2;" in refused(
        tmp_path, at(1, 1, 1), how(kind)
    )


@pytest.mark.parametrize("kind", ["prostatex", "lungx", "table"])
def test_a_mask_is_the_point_for_a_model_of_any_kind(tmp_path: Path, kind: str) -> None:
    """A box of LPS x 10 to 14, y 6 to 8 mm at 15 mm has its middle at pixel (6, 3.5) of 2 mm, on plane 5."""
    if kind == "lungx":  # of a case with two series, the longer one is meant
        for name, planes in (("a-4", 9), ("a-5", 4)):
            volume = RNG.integers(-900, 0, (planes, 20, 24)).astype(float)
            number = int(name[-1])
            write_ct_series(tmp_path / "case" / name, volume, GRID, patient_id="P", number=number)
    else:
        mr(tmp_path / "case", T2, 4)
    voxels = np.zeros((24, 20, 9), "u1")
    voxels[5:8, 3:5, 5] = 1
    nib.Nifti1Image(voxels, np.diag([-2.0, -2.0, 3.0, 1.0])).to_filename(tmp_path / "m.nii.gz")
    row = {"patient_id": "case", "finding_id": "1", "mask": str(tmp_path / "m.nii.gz")}
    (cells,) = prepare(tmp_path / "case", row, how(kind)).rows.to_dict("records")
    assert (cells["column"], cells["row"], cells["file"][4:]) == ("6.0000", "3.5000", "1-04.dcm")


def test_a_point_outside_says_how_far(tmp_path: Path) -> None:
    mr(tmp_path, T2, 4)
    # The highest plane is at 24 mm and 3 mm thick; the last column's edge is at 2·23.5 = 47 mm.
    assert "E-LESION-OOB" in (line := refused(tmp_path, at_mm(20, 14, 30), how()))
    assert "found one 4.5 mm beyond the slab" in line
    assert "found one 3.0 mm outside the image" in refused(tmp_path, at_mm(50, 14, 15), how())
    assert "expected z from 0 to 8" in refused(tmp_path, at(10, 7, 12), how())
    assert "expected a point in 24 columns × 20 rows" in refused(tmp_path, at(30, 7, 5), how())


def test_a_point_where_a_slice_is_missing_says_how_far_the_next_one_is(tmp_path: Path) -> None:
    mr(tmp_path, T2, 4)[3].unlink()  # plane 5, at 15 mm
    line = refused(tmp_path, at_mm(20, 14, 15), how())
    assert re.match(r"E-GEO-GAP .*: expected a slice at the point.*, found the nearest 3.0 mm away", line)


def test_a_model_of_other_channels_says_what_it_wants_and_what_is_there(tmp_path: Path) -> None:
    three = how(channels=("t2", "dwi", "adc"))
    Image.fromarray(RNG.integers(0, 255, (20, 24), dtype="u1")).save(tmp_path / "a.png")
    assert "expected DICOM series of t2, dwi, adc, found none of them" in refused(
        tmp_path / "a.png", at(5, 5), three
    )
    mr(tmp_path / "one", T2, 4)
    line = refused(tmp_path / "one", at(10, 7, 5), three)
    assert line.startswith("E-LESION-NOSERIES")
    assert "expected a matching series (dwi), found none" in line
    mr(tmp_path / "other", "ax T2 from elsewhere", 4)
    line = refused(tmp_path / "other", at(10, 7, 5), three)
    assert "expected DICOM series of t2, dwi, adc, found series 4 ax T2 from elsewhere" in line


def test_a_volume_of_several_times_needs_to_be_told_which(tmp_path: Path) -> None:
    voxels = RNG.integers(0, 255, (24, 20, 9, 2), dtype="u1")
    nib.Nifti1Image(voxels, np.diag([2.0, 2, 3, 1])).to_filename(tmp_path / "v.nii")
    line = refused(tmp_path / "v.nii", at(10, 7, 5), how("table"))
    assert "expected a time from 0 to 1, found none" in line
    case = prepare(tmp_path / "v.nii", {**at(10, 7, 5), "time": "1"}, how("table"))
    np.testing.assert_array_equal(case.sources[0].pixels, voxels[:, :, 5, 1].T)


@pytest.mark.parametrize("name", ["v.nii.gz", "v.mha"])
def test_millimetres_mean_the_same_whether_the_volume_or_its_folder_is_named(
    tmp_path: Path, name: str
) -> None:
    voxels = RNG.integers(0, 255, (24, 20, 9), dtype="u1")
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.T))
    image.SetSpacing((2.0, 2.0, 3.0))
    image.SetOrigin((-20.0, -20.0, 0.0))
    sitk.WriteImage(image, tmp_path / name)
    # Voxel 12, 15, 4: -20 + 2·12, -20 + 2·15 and 3·4 mm, in LPS; those of NIfTI are RAS.
    sign = -1 if "nii" in name else 1
    for path in (tmp_path / name, tmp_path):
        assert place(prepare(path, at_mm(sign * 4, sign * 10, 12), how("table"))) == (12, 15, 0)


def test_metaimage_and_dicom_of_the_same_voxels_give_the_same_patches(tmp_path: Path) -> None:
    mr(tmp_path, T2, 4)
    dicom = prepare(tmp_path, at(10, 7, 5), how())
    files = sorted((tmp_path / "P-4").iterdir(), reverse=True)
    image = sitk.GetImageFromArray(np.stack([pydicom.dcmread(path).pixel_array for path in files]))
    image.SetSpacing((2.0, 2.0, 3.0))
    sitk.WriteImage(image, tmp_path / "v.mha")
    np.testing.assert_allclose(
        prepare(tmp_path / "v.mha", at(10, 7, 5), how()).patches, dicom.patches, atol=1e-5
    )


@pytest.mark.parametrize(
    ("augmentation", "ranges"), [*((name, None) for name in AUGMENTATIONS), ("online", {"rotation": 5.0})]
)
def test_a_window_that_clips_gives_the_patches_of_the_store(
    tmp_path: Path, augmentation: str, ranges: dict[str, float] | None
) -> None:
    raw, window = tmp_path / "raw", (-200.0, 100.0)
    volume = RNG.integers(-900, 400, (9, 20, 24)).astype(float)
    write_ct_series(raw / "ct", volume, GRID, patient_id="P", description="chest")
    rows = ["image,patient_id,finding_id,label,x,y,z", "ct,P,1,0,10,7,5", "ct,P,2,1,12,9,4"]
    (raw / "own.csv").write_text("\n".join(rows) + "\n")
    store = write_patches(tmp_path / "own", "table", raw, "20 mm", find=["--table", "own.csv"],
                          read=["--window", *map(str, window)], cut_as=["--augmentation", augmentation, "--online", json.dumps(ranges or {})])  # fmt: skip
    wanted = dataclasses.replace(how("table", ("image",)), augmentation=augmentation, online=ranges)
    row = {**at(10, 7, 5), "patient_id": "P"}
    case = prepare(raw / "ct", row, dataclasses.replace(wanted, window=window))
    assert (case.sources[0].pixels.min(), case.sources[0].pixels.max()) == window
    np.testing.assert_array_equal(case.patches, read_patches(store, [0], [VIEWS]))
    assert np.abs(case.patches - prepare(raw / "ct", row, wanted).patches).max() > 0.1


def test_of_two_chest_ct_series_the_longest_is_taken_but_a_pixel_is_of_neither(tmp_path: Path) -> None:
    for number, planes in (("a", 5), ("b", 9)):
        volume = RNG.integers(-900, 100, (planes, 20, 24)).astype(float)
        write_ct_series(tmp_path / number, volume, GRID, patient_id="P", description=number)
    case = prepare(tmp_path, at_mm(20, 14, 6), how("lungx", ("ct",)))
    assert case.rows["file"].str.startswith("b/").all()
    assert case.rows["reason"].tolist() == ["the longest of 2 series"]
    line = refused(tmp_path, at(10, 7, 2), how("lungx", ("ct",)))
    expected = "expected one series of one contrast in the folder, found 2 that differ in SeriesInstanceUID"
    assert (
        f"{tmp_path.name}: {expected}, SeriesDescription; name the folder of one: a (a, images: 5), b (b, images: 9)"
        in line
    )


def test_a_compression_without_its_codec_is_named(tmp_path: Path) -> None:
    path = mr(tmp_path, T2, 4)[3]
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = "1.2.3.4.5.6"
    data.save_as(path, enforce_file_format=False, implicit_vr=False, little_endian=True)
    line = refused(path, at(10, 7), how())
    assert line.startswith("E-DCM-SYNTAX")
    assert "found 1.2.3.4.5.6, unknown; convert the file" in line


def test_files_that_cannot_be_read_are_told_beside_the_case(tmp_path: Path) -> None:
    path = mr(tmp_path, T2, 4)[0]  # plane 8: not where the point is
    path.write_bytes(path.read_bytes()[:-100])
    case = prepare(tmp_path, at_mm(20, 14, 15), how())
    assert [(error.code, error.file) for error in case.left_out] == [("E-DCM-TRUNC", "P-4/1-01.dcm")]
    assert case.measured["slices"].tolist() == [8]


def test_other_refusals_are_one_line_too(tmp_path: Path) -> None:
    assert "E-IMG-MISSING" in refused(tmp_path / "nothing", at(1, 1), how())
    assert "E-EMPTY" in refused(tmp_path, at(1, 1), how())
    (tmp_path / "a.png").write_text("no picture")
    assert "E-DCM-NOTDICOM a.png" in refused(tmp_path / "a.png", at(1, 1), how("table"))
    Image.new("L", (24, 20), 7).save(tmp_path / "a.png")
    assert "E-IMG-CONST a.png" in refused(tmp_path / "a.png", at(1, 1), how("table", extent="5 px"))
    Image.fromarray(RNG.integers(0, 255, (20, 24), dtype="u1")).save(tmp_path / "a.png")
    assert "x_mm" in refused(tmp_path / "a.png", at_mm(1, 1, 1), how("table", extent="5 px"))
    assert "found no y; fill it in" in refused(tmp_path / "a.png", at(1), how("table", extent="5 px"))
    assert "E-DCM-TAG a.png: expected a pixel spacing" in refused(tmp_path / "a.png", at(1, 1), how("table"))
    paper = Preprocessing("brain", ("image",), "5 px", None, "paper", "geometry", 2, 0, 3)
    assert "expected a run whose Z-scores are those of each series" in refused(
        tmp_path / "a.png", at(1, 1), paper
    )


def test_a_case_beyond_the_ranges_of_the_training_is_told_so(tmp_path: Path) -> None:
    mr(tmp_path / "a", T2, 4)
    mr(tmp_path / "c", T2, 4, level=1000)
    trained = prepare(tmp_path / "a", at(10, 7, 5), how())
    known = fingerprint(trained.measured)
    assert known["t2"]["modality"] == ["MR"]
    assert known["t2"]["spacing_column_mm"] == [2, 2]
    assert known["t2"]["slice_thickness_mm"] == [3, 3]
    assert known["t2"]["slices"] == [9, 9]
    assert list(outside(known, trained.measured)) == []
    wider = trained.measured.assign(image_width=512.0)  # with a spacing, its size says nothing of its scale
    assert list(outside(known, wider)) == []
    (tmp_path / "c/P-4/1-01.dcm").unlink()
    notes = list(outside(known, prepare(tmp_path / "c", at(10, 7, 5), how()).measured))
    assert "t2: slices in the series 8, in training 9" in notes
    assert any(note.startswith("t2: mean intensity of the series 102") for note in notes)
    assert not any("spacing" in note or "thickness" in note or "modality" in note for note in notes)


def test_a_picture_of_another_size_is_told_if_the_card_knows_the_sizes_of_training(tmp_path: Path) -> None:
    """Of 60 px it shows the same at any size of the picture, but of what is on it only a quarter."""
    pixels = RNG.integers(100, 150, (80, 90), dtype="u1")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels.repeat(2, 0).repeat(2, 1)).save(tmp_path / "b.png")
    known = fingerprint(prepare(tmp_path / "a.png", at(45, 40), how("table", extent="60 px")).measured)
    assert (known["t2"]["image_width"], known["t2"]["image_height"]) == ([90, 90], [80, 80])
    larger = prepare(tmp_path / "b.png", at(90, 80), how("table", extent="60 px")).measured
    notes = [note for note in outside(known, larger) if "image" in note]
    assert notes == [
        "t2: image width 180 px, in training 90 px",
        "t2: image height 160 px, in training 80 px",
    ]
    older = {"t2": {name: value for name, value in known["t2"].items() if not name.startswith("image_")}}
    assert not any("image" in note for note in outside(older, larger))


def test_another_modality_and_an_image_without_scale_are_told(tmp_path: Path) -> None:
    mr(tmp_path, T2, 4)
    known = fingerprint(prepare(tmp_path, at(10, 7, 5), how("table", extent="10 px")).measured)
    Image.fromarray(RNG.integers(100, 150, (20, 24), dtype="u1")).save(tmp_path / "a.png")
    picture = prepare(tmp_path / "a.png", at(10, 7), how("table", extent="10 px"))
    notes = list(outside(known, picture.measured))
    assert "t2: file format image, in training dicom" in notes
    assert "t2: modality unknown, in training MR" in notes
    assert "t2: pixel spacing across unknown, in training 2 mm" in notes


def test_findings_of_a_real_patient_get_the_patches_of_their_store(shared: Path, tmp_path: Path) -> None:
    raw, wanted = shared / "prostatex", how(channels=("t2", "dwi", "adc"), extent="65 mm")
    store = write_patches(tmp_path, "prostatex", raw, "65 mm", channels=wanted.channels)
    info = read_info(store)
    labels = pd.read_csv(raw / "ProstateX-Findings-Train.csv", dtype=str).set_index(["ProxID", "fid"])
    for number, finding in info.findings.iterrows():
        ids = finding[["patient_id", "finding_id"]].to_dict()
        pos = labels.loc[tuple(ids.values()), "pos"].split()
        point = dict(zip(("x_mm", "y_mm", "z_mm"), pos, strict=True))
        case = prepare(raw / finding["patient_id"], ids | point, wanted)
        np.testing.assert_array_equal(case.patches, read_patches(store, [number], [VIEWS]))
    assert len(info.findings) >= 1
