"""A mask of a finding in place of its point: the middle of the slice in which it is largest."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model import api
from model.predict import main as predict
from pipeline.datasets.table import Options
from pipeline.errors import ConfigError, InputError
from pipeline.files import read_csv
from pipeline.phantom import Geometry, write_mr_series
from pipeline.store import read_info, read_patches
from tests import made_runs
from tests.test_channels import FINE, MR, save_nifti
from tests.test_table import place, run

HEADER = "image,mask,mask_value,patient_id,finding_id,label,x,y,z\n"


def save_mask(path: Path, boxes: dict[int, tuple[slice, slice, slice]], affine: np.ndarray | None = FINE,
              shape: tuple[int, int, int] = (20, 30, 10)) -> None:  # fmt: skip
    voxels = np.zeros(shape, "i2")
    for value, box in boxes.items():
        voxels[box] = value
    nib.Nifti1Image(voxels, affine).to_filename(path)


LESION = {1: (slice(3, 6), slice(6, 9), slice(2, 4)), 2: (slice(9, 12), slice(20, 22), slice(7, 8))}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A volume, and a mask with a lesion of value 1 on slices 2 and 3, larger on 3, and another of value 2."""
    folder = tmp_path / "raw"
    folder.mkdir()
    save_nifti(folder / "v.nii.gz", FINE)
    save_mask(folder / "m.nii.gz", LESION | {3: (slice(3, 8), slice(6, 9), slice(3, 4))})
    return folder


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("m.nii.gz,", (5, 7, "2:3")),  # all values together: five by three voxels on slice 3
        ("m.nii.gz,1", (4, 7, "2:2")),  # value 3 covers value 1 on slice 3
        ("m.nii.gz,2", (10, 20.5, "2:7")),
    ],
)
def test_the_point_is_the_middle_of_the_slice_where_the_mask_is_largest(raw: Path, cells, expected) -> None:
    (row,) = run(raw, HEADER + f"v.nii.gz,{cells},p,1,1,,,\n").rows
    assert (place(row), row["centre"], row["plane_distance_mm"]) == (expected, "mask", "0.000")


def test_a_point_counts_before_a_mask_and_the_middle_where_there_is_neither(raw: Path) -> None:
    lines = "v.nii.gz,m.nii.gz,,p,1,1,2,3,4\nv.nii.gz,,,q,1,0,,,\nv.nii.gz,no file,,r,1,0,2,3,4\n"
    found = run(raw, HEADER + lines)
    assert [(place(row), row["centre"]) for row in found.rows] == [
        ((2, 3, "2:4"), "given"), ((9.5, 14.5, "2:4"), "image"), ((2, 3, "2:4"), "given")
    ]  # fmt: skip


def test_along_another_axis_the_largest_slice_is_another(raw: Path) -> None:
    (row,) = run(raw, HEADER + "v.nii.gz,m.nii.gz,2,p,1,1,,,\n", "--axis", "1").rows
    assert place(row) == (10, 7, "1:20")


def test_the_slices_are_those_of_the_image_however_the_mask_is_stored(raw: Path) -> None:
    """A lesion of three voxels on slice 3 and of two on slice 4, in a mask whose first axis runs along slices."""
    voxels = np.zeros((20, 30, 10), "i2")
    voxels[4, 7:10, 3] = voxels[4, 8:10, 4] = voxels[12, 9, 3:5] = 1
    stored = np.moveaxis(voxels, 2, 0)[::-1]
    affine = np.column_stack([-FINE[:, 2], FINE[:, 0], FINE[:, 1], FINE @ [0, 0, 9, 1]])
    nib.Nifti1Image(stored, affine).to_filename(raw / "turned.nii.gz")
    nib.Nifti1Image(voxels, FINE).to_filename(raw / "plain.nii.gz")
    lines = "v.nii.gz,turned.nii.gz,,p,1,1,,,\nv.nii.gz,plain.nii.gz,,q,1,1,,,\n"
    # On slice 3 the columns are 4, 4, 4, 12 and the rows 7, 8, 9, 9.
    assert [place(row) for row in run(raw, HEADER + lines).rows] == [(6, 8.25, "2:3")] * 2


@settings(max_examples=20)
@given(
    corner=st.tuples(*[st.integers(0, 6)] * 3),
    size=st.tuples(*[st.integers(1, 3)] * 3),
    shift=st.integers(1, 5),
)
def test_a_mask_on_another_grid_means_the_same_place(
    tmp_path_factory: pytest.TempPathFactory, corner, size, shift
) -> None:
    """A mask cut out of the image's grid says the same as one on the whole grid."""
    folder = tmp_path_factory.mktemp("cropped")
    save_nifti(folder / "v.nii.gz", FINE)
    box = tuple(slice(start, start + length) for start, length in zip(corner, size, strict=True))
    moved = tuple(slice(one.start + shift, one.stop + shift) for one in box)
    cropped = FINE.copy()
    cropped[:3, 3] = (FINE @ [shift, shift, shift, 1])[:3]
    save_mask(folder / "whole.nii.gz", {1: moved}, shape=(20, 30, 20))
    save_mask(folder / "cut.nii.gz", {1: box}, cropped, shape=(9, 9, 9))
    lines = "".join(f"v.nii.gz,{name}.nii.gz,,{name},1,1,,,\n" for name in ("whole", "cut"))
    found = run(folder, HEADER + lines)
    assert [row["code"] for row in found.skipped] in ([], ["E-LESION-OOB"] * 2)
    if not found.skipped:
        assert place(found.rows[0]) == place(found.rows[1])


def test_a_nifti_mask_marks_a_series_of_dicom(raw: Path) -> None:
    geometry = Geometry((-9.0, 26.0, 23.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.5, 0.5), 2.0)
    write_mr_series(raw / "s", np.ones((12, 60, 60)), geometry, description="t2", number=1, patient_id="p")
    save_mask(raw / "one.nii.gz", {1: (slice(4, 5), slice(7, 8), slice(3, 4))})
    (row,) = run(raw, HEADER + "s,one.nii.gz,,p,1,1,,,\n").rows
    # Voxel (4, 7, 3) is RAS (−2, 1, 17), so LPS (2, −1, 17): 11 mm along rows, 27 mm against y, of 0.5 mm each.
    assert place(row) == (22, 54, "")


def test_a_picture_marks_a_picture_of_its_size(raw: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60), dtype="u1")).save(raw / "a.png")
    mask = np.zeros((40, 60), "u1")
    mask[10:15, 30:41] = 255
    Image.fromarray(mask).save(raw / "m.png")
    Image.fromarray(mask[10:30, 20:50]).save(raw / "small.png")
    found = run(raw, HEADER + "a.png,m.png,,p,1,1,,,\na.png,small.png,,q,1,0,,,\n")
    assert place(found.rows[0]) == (35, 12, "")
    (line,) = found.skipped
    assert (line["code"], line["file"]) == ("E-LESION-NOCENTRE", "small.png")
    assert "found 60 × 40 × 1 and 30 × 20 × 1" in line["reason"]


@pytest.mark.parametrize(
    ("cells", "code", "words"),
    [
        (
            "m.nii.gz,7",
            "E-LESION-NOCENTRE",
            "expected a mask with voxels of value 7, found values 0, 1, 2, 3;",
        ),
        ("m.nii.gz,one", "E-LABEL", "expected a number"),
        (
            "empty.nii.gz,",
            "E-LESION-NOCENTRE",
            "expected a mask with voxels of a value but 0, found values 0;",
        ),
        ("probable.nii.gz,", "E-LESION-NOCENTRE", "expected a mask of whole numbers, found 0.25 in it;"),
        ("four.nii.gz,", "E-VOL-TIME", "expected a time from 0 to 1, found none"),
        ("folder,", "E-LESION-NOSERIES", "expected one file with the whole mask, found a folder"),
        ("gone.nii.gz,", "E-IMG-MISSING", "no readable file of that name"),
        ("far.nii.gz,", "E-LESION-OOB", "expected a point in"),
        ("a.png,", "E-LESION-NOCENTRE", "found 20 × 30 × 10 and 60 × 40 × 1"),
    ],
)
def test_a_bad_mask_leaves_its_finding_out_with_the_reason(
    raw: Path, cells: str, code: str, words: str
) -> None:
    save_mask(raw / "empty.nii.gz", {})
    far = FINE.copy()
    far[:3, 3] = 500
    save_mask(raw / "far.nii.gz", LESION, far)
    Image.fromarray(np.ones((40, 60), "u1")).save(raw / "a.png")
    likely = np.zeros((20, 30, 10), "f4")
    likely[4, 7, 3] = 0.25
    nib.Nifti1Image(likely, FINE).to_filename(raw / "probable.nii.gz")
    nib.Nifti1Image(np.ones((20, 30, 10, 2), "u1"), FINE).to_filename(raw / "four.nii.gz")
    write_mr_series(raw / "folder", np.ones((12, 60, 60)), MR, description="mask", number=2, patient_id="p")
    found = run(raw, HEADER + f"v.nii.gz,{cells},p,1,1,,,\n")
    (line,) = found.skipped
    assert line["code"] == code
    assert words in line["reason"]
    assert line["file"] == ("v.nii.gz" if code == "E-LESION-OOB" else cells.split(",")[0])


def test_a_patch_may_be_as_large_as_its_mask_and_so_many_times_that(raw: Path) -> None:
    """Value 2 has 3 × 2 voxels of 2 × 3 mm: 6 mm. Value 1 has 3 × 3: 9 mm. In a picture pixels count."""
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60), dtype="u1")).save(raw / "a.png")
    mask = np.zeros((40, 60), "u1")
    mask[10:15, 30:41] = 255
    Image.fromarray(mask).save(raw / "m.png")
    lines = (
        "v.nii.gz,m.nii.gz,2,p,1,1,,,\nv.nii.gz,m.nii.gz,1,q,1,1,,,\na.png,m.png,,r,1,0,,,\n"
        "v.nii.gz,m.nii.gz,2,s,1,1,2,3,4\nv.nii.gz,,,t,1,1,,,\n"
    )
    found = run(raw, HEADER + lines, "--mask-extent", "1.5")
    assert [row["extent"] for row in found.rows] == ["9 mm", "13.5 mm", "16.5 px", "", ""]
    (row,) = run(raw, HEADER + "v.nii.gz,m.nii.gz,2,p,1,1,,,\n", "--axis", "0", "--mask-extent", "1").rows
    assert row["extent"] == "6 mm"  # 2 × 3 mm along j, 1 × 4 mm along k
    assert "extent" not in run(raw, HEADER + lines).rows[0]


def test_sizes_come_from_a_column_or_from_masks_and_not_from_both() -> None:
    with pytest.raises(ConfigError, match=r"mask_extent: expected nothing beside extent_column, found 1\.5"):
        Options(table="t.csv", extent_column="size_mm", mask_extent=1.5)


def test_a_picture_marks_no_series_of_dicom(raw: Path) -> None:
    """It has the size of each slice, but says nothing of which slice it marks."""
    write_mr_series(raw / "s", np.ones((12, 60, 60)), MR, description="t2", number=1, patient_id="p")
    mask = np.zeros((60, 60), "u1")
    mask[10:15, 30:41] = 255
    Image.fromarray(mask).save(raw / "m.png")
    found = run(raw, HEADER + "s,m.png,,p,1,1,,,\ns/1-07.dcm,m.png,,q,1,0,,,\n")
    assert "found 60 × 60 × 12 and 60 × 60 × 1" in found.skipped[0]["reason"]
    (row,) = found.rows
    assert (row["file"], place(row)) == ("s/1-07.dcm", (35, 12, ""))


@pytest.mark.parametrize("image", ["a.png", "bare.nii.gz"])
def test_a_mask_in_mm_marks_no_image_without_a_place(raw: Path, image: str) -> None:
    """The reason is not that of a table with x_mm: there is none."""
    Image.fromarray(np.eye(60, dtype="u1")).save(raw / "a.png")
    save_mask(raw / "bare.nii.gz", LESION, None)
    (line,) = run(raw, HEADER + f"{image},m.nii.gz,,p,1,1,,,\n").skipped
    assert (line["code"], line["file"]) == ("E-LESION-NOCENTRE", image)
    assert "expected a place in mm, as the first image or the mask has one, found none" in line["reason"]


@pytest.mark.parametrize("kind", ["nan", "slope", "time"])
def test_numbers_of_a_mask_are_whole_and_of_its_time(raw: Path, kind: str) -> None:
    """NaN is no finding, 255 times a slope of 1/255 is 1, and of several times the one of the row counts."""
    lesion = np.zeros((20, 30, 10))
    lesion[3:6, 6:9, 3] = 1
    if kind == "nan":
        mask = nib.Nifti1Image(np.where(lesion == 1, 1, np.nan).astype("f4"), FINE)
    elif kind == "slope":
        mask = nib.Nifti1Image((lesion * 255).astype("u1"), FINE)
        mask.header.set_slope_inter(1 / 255, 0)
    else:
        mask = nib.Nifti1Image(np.stack([lesion[::-1], lesion], axis=-1).astype("u1"), FINE)
    mask.to_filename(raw / "own.nii.gz")
    header = HEADER.replace("mask_value", "time,mask_value")
    value = "1" if kind == "slope" else ""
    (row,) = run(raw, header + f"v.nii.gz,own.nii.gz,1,{value},p,1,1,,,\n").rows
    assert place(row) == (4, 7, "2:3")


@pytest.mark.parametrize("times", [None, 2.0])
def test_a_new_case_with_its_mask_is_cut_as_in_training(tmp_path: Path, times: float | None) -> None:
    rows = [HEADER.strip()]
    rng = np.random.default_rng(0)
    for number in range(12):
        folder = tmp_path / f"raw/p{number}"
        folder.mkdir(parents=True)
        nib.Nifti1Image(rng.normal(100, 20, (20, 30, 10)).astype("f4"), FINE).to_filename(folder / "v.nii.gz")
        save_mask(folder / "m.nii.gz", LESION)
        rows.append(f"p{number}/v.nii.gz,p{number}/m.nii.gz,2,P{number},1,{number % 2},,,")
    (tmp_path / "raw/own.csv").write_text("\n".join(rows) + "\n")
    data, out = tmp_path / "data/mine", tmp_path / "out"
    size = [] if times is None else ["--mask-extent", str(times)]
    find = ["--table", "own.csv", *size]
    store = made_runs.write_patches(data, "table", tmp_path / "raw", "24 mm", find=find)
    made_runs.write_card(data, "table", *size)
    widths = {12.0} if times else {24.0}  # twice 6 mm
    assert set(read_info(store).findings["width_mm"]) == widths
    made = made_runs.train(tmp_path / "data", tmp_path / "results", ["mine"], 1)
    case, mask = (str(tmp_path / f"raw/p0/{name}.nii.gz") for name in ("v", "m"))
    call = ["--model", str(made), "--out", str(out)]
    predict([case, "--mask", mask, "--mask-value", "2", "--patient-id", "P0", *call])
    assert np.load(out / "patches.npy") == pytest.approx(
        read_patches(store, [0], [len(np.load(out / "patches.npy"))]), abs=1e-5
    )
    (where,) = json.loads((out / "prediction.json").read_text())["places"]
    assert (where["column"], where["row"], where["slice"]) == ("10.0000", "20.5000", "2:7")
    assert where["reason"] == "the only image or series"
    save_mask(tmp_path / "raw/two.nii.gz", {2: LESION[2]})
    again = api.predict(api.load_run(made), case, mask=tmp_path / "raw/two.nii.gz")
    assert again["places"] == [where]
    with pytest.raises(ConfigError, match="at: expected either a point or mask"):
        api.predict(api.load_run(made), case, (10, 20, 7), mask=mask)
    for words, line in (
        (["--mask-value", "2"], "E-CONFIG --mask-value: expected --mask beside it, found 2"),
        (["--mask", mask, "--at", "3,4,5"], "E-CONFIG --at: expected either a point or --mask, found 3,4,5"),
        (["--mask", mask + "x"], "expected a mask, found no file of that name; correct the name"),
    ):
        with pytest.raises(InputError, match=line):
            predict([case, *words, *call])
    predict([str(tmp_path / "raw/own.csv"), *call])
    assert len(read_csv(out / "predictions.csv")) == 12
    views = np.load(out / "0005/patches.npy")
    assert views == pytest.approx(read_patches(store, [4], [len(views)]), abs=1e-5)
