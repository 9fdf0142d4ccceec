"""Every image as a PNG: values by hand, names that never meet, and nothing of a header."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from pipeline import to_png
from pipeline.phantom import write_mr_series
from pipeline.to_png import to_bytes, write_pngs
from tests.dicoms import OBLIQUE, STORED, change, write_ct, write_mr

ROOT = Path(__file__).resolve().parent.parent
VOXELS = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype("i2")  # i, j, k


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def pixels(path: Path) -> list[list[int]]:
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image).tolist()


# --- 16 → 8 bit


def test_16_bits_become_8_by_the_published_algorithm() -> None:
    # (p − 1000) · 255 / 2000 = 0, 31.875, 127.5, 255: cut, not rounded
    assert to_bytes(np.array([[1000, 1250], [2000, 3000]])).tolist() == [[0, 31], [127, 255]]


@pytest.mark.parametrize("value", [0, 7, -1024, 65535])
def test_an_image_of_one_value_is_black(value: int) -> None:
    assert to_bytes(np.full((3, 4), value)).tolist() == [[0] * 4] * 3


@given(
    st.one_of(
        arrays.arrays("i4", (3, 4), elements=st.integers(-(2**31), 2**31 - 1)),
        arrays.arrays("f4", (3, 4), elements=st.floats(-1e6, 1e6, width=32)),
    )
)
@example(np.array([[0.0, 0.5436249914654229]]))  # · 255 / itself is 254.99999999999997
def test_any_image_fills_the_range_and_keeps_its_order(values: np.ndarray) -> None:
    made = to_bytes(values)
    if np.ptp(values.astype("f8")):
        assert (made.min(), made.max()) == (0, 255)
    order = np.argsort(values, axis=None)
    assert (np.diff(made.ravel()[order].astype(int)) >= 0).all()


# --- names


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """One image of each format."""
    folder = tmp_path / "raw"
    (folder / "deep").mkdir(parents=True)
    write_mr(folder)  # mr/1-01.dcm
    nib.Nifti1Image(VOXELS, np.eye(4)).to_filename(folder / "a.nii.gz")
    nib.Nifti1Image(np.stack([VOXELS, VOXELS + 9], axis=-1), np.eye(4)).to_filename(folder / "deep" / "t.nii")
    sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(VOXELS.T)), folder / "m.mhd")
    np.save(folder / "n.npy", VOXELS.T)
    Image.new("RGB", (4, 3), (9, 9, 9)).save(folder / "deep" / "p.jpg")
    (folder / "table.csv").write_text("a,b\n")
    return folder


NAMES = [
    *(f"a_z_slice{n}.png" for n in range(4)),
    *(f"deep/t_z_time{t}_slice{n}.png" for t in range(2) for n in range(4)),
    *(f"m_z_{n}.png" for n in range(4)),
    "mr/Instance1_1-01.png",
    *(f"n_z_{n}.png" for n in range(4)),
]


def test_pictures_lie_beside_their_sources_under_the_published_names(raw: Path) -> None:
    assert write_pngs(raw, None) == (21, [])
    assert names(raw) == NAMES


def test_below_another_folder_they_lie_in_the_same_tree_and_pictures_among_them(raw: Path) -> None:
    assert write_pngs(raw, raw.parent / "out") == (22, [])
    assert names(raw) == []
    assert names(raw.parent / "out") == sorted([*NAMES, "deep/p.png"])


def test_a_second_call_replaces_what_the_first_wrote_and_takes_it_for_no_source(raw: Path) -> None:
    assert write_pngs(raw, raw / "out")[0] == 22
    before = {name: (raw / name).read_bytes() for name in names(raw)}
    assert write_pngs(raw, raw / "out") == (22, [])
    assert {name: (raw / name).read_bytes() for name in names(raw)} == before


def test_slices_are_those_of_the_axis_and_flip_turns_them_over(raw: Path) -> None:
    write_pngs(raw, raw.parent / "out", axis="all")
    assert pixels(raw.parent / "out" / "a_x_slice1.png") == to_bytes(VOXELS[1].T).tolist()
    assert len(names(raw.parent / "out")) == 1 + 1 + 3 * 9 + 2 * 9
    write_pngs(raw, raw.parent / "flipped", axis="y", flip=True)
    assert pixels(raw.parent / "flipped" / "n_y_2.png") == to_bytes(VOXELS[:, 2].T[::-1]).tolist()
    assert pixels(raw.parent / "flipped" / "mr" / "Instance1_1-01.png") == to_bytes(STORED[::-1]).tolist()


def test_a_long_instance_number_is_written_out(tmp_path: Path) -> None:
    change(write_mr(tmp_path), InstanceNumber=12345678)
    write_pngs(tmp_path, None)
    assert names(tmp_path) == ["mr/Instance12345678_1-01.png"]


def test_high_values_are_bright_whatever_monochrome_says(tmp_path: Path) -> None:
    change(write_mr(tmp_path), PhotometricInterpretation="MONOCHROME1")
    write_pngs(tmp_path, None)
    assert pixels(tmp_path / "mr" / "Instance1_1-01.png") == to_bytes(-STORED).tolist()


# --- names that meet


def test_sources_that_would_make_the_same_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for name, value in (("a.nii", 0), ("a.nii.gz", 1), ("A.nii", 2)):
        nib.Nifti1Image(VOXELS * (value == 0) + VOXELS[::-1] * (value == 1), np.eye(4)).to_filename(
            tmp_path / name
        )
    np.save(tmp_path / "a.npy", VOXELS.T)
    assert write_pngs(tmp_path, None) == (16, [])
    assert names(tmp_path) == sorted(
        f"{name}{n}.png"
        for name in ("A_z_slice", "a.nii_z_slice", "a.nii.gz_z_slice", "a_z_")
        for n in range(4)
    )
    assert pixels(tmp_path / "a.nii_z_slice0.png") == to_bytes(VOXELS[:, :, 0].T).tolist()
    assert pixels(tmp_path / "a.nii.gz_z_slice0.png") == to_bytes(VOXELS[::-1, :, 0].T).tolist()


def test_no_file_of_somebody_else_is_overwritten(tmp_path: Path) -> None:
    write_mr(tmp_path)
    theirs = tmp_path / "mr" / "Instance1_1-01.png"
    Image.new("L", (2, 2), 7).save(theirs)
    before = theirs.read_bytes()
    for _ in range(2):
        assert write_pngs(tmp_path, None) == (1, [])
        assert theirs.read_bytes() == before
        assert names(tmp_path) == ["mr/Instance1_1-01.dcm.png", "mr/Instance1_1-01.png"]


def test_the_same_names_whatever_the_number_of_processes(tmp_path: Path) -> None:
    for turn in range(2):
        write_mr_series(
            tmp_path / str(turn), np.arange(60).reshape(3, 4, 5), OBLIQUE, description="t2", number=turn
        )
    for processes in (1, 2):
        write_pngs(tmp_path, tmp_path.parent / f"out{processes}", processes=processes)
    one, two = (tmp_path.parent / f"out{processes}" for processes in (1, 2))
    assert len(names(one)) == 6
    assert {name: (one / name).read_bytes() for name in names(one)} == {
        name: (two / name).read_bytes() for name in names(two)
    }


# --- nothing of a header, and bad files


def test_nothing_of_a_header_is_in_a_picture(tmp_path: Path) -> None:
    path = change(write_ct(tmp_path), PatientName="Roe^Jane", PatientID="SECRET-7", StudyDate="19991231")
    write_pngs(tmp_path, None)
    (made,) = path.parent.glob("*.png")
    content = made.read_bytes()
    found, place = [], 8
    while place < len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        found.append(content[place + 4 : place + 8 + (length if content[place + 4 :][:4] == b"tEXt" else 0)])
        place += length + 12
    assert found == [b"IHDR", b"tEXtSoftware\0pipeline.to_png", b"IDAT", b"IEND"]


def test_bad_files_are_a_line_each_and_the_exit_status_says_so(tmp_path: Path) -> None:
    write_mr(tmp_path)
    change(write_ct(tmp_path), Modality="SR")
    (tmp_path / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"cut")
    np.save(tmp_path / "nan.npy", np.array([[1.0, np.nan]]))
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.to_png", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert [line.split(":")[0] for line in lines] == [
        "E-DCM-TAG broken.dcm", "E-IMG-NAN nan.npy", "E-DCM-NOTIMAGE ct/1-01.dcm",
        "1 pictures, 2 files unreadable, 1 without an image",
    ]  # fmt: skip
    assert names(tmp_path) == ["mr/Instance1_1-01.png"]


def test_a_pipe_is_not_waited_for_and_a_folder_in_the_way_is_gone_round(tmp_path: Path) -> None:
    write_mr(tmp_path)
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "mr" / "Instance1_1-01.png").mkdir()
    written, errors = write_pngs(tmp_path, None)
    assert (written, [str(error).split(":")[0] for error in errors]) == (1, ["E-READ pipe.dcm"])
    assert (tmp_path / "mr" / "Instance1_1-01.dcm.png").is_file()


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    write_mr(tmp_path)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(
        to_png.InputError, match=r"E-READ .*out/mr: expected a folder to write to, found .*--out"
    ):
        write_pngs(tmp_path / "mr", tmp_path / "out" / "mr")


def test_what_holds_no_image_is_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_mr(tmp_path)
    change(write_ct(tmp_path), Modality="SR")
    caplog.set_level("INFO")
    to_png.main([str(tmp_path)])
    assert "1 pictures, 0 files unreadable, 1 without an image" in caplog.text


@pytest.mark.parametrize(
    ("made", "line"), [(False, "expected a folder, found none"), (True, "expected images, found none")]
)
def test_nothing_to_convert_is_one_line(tmp_path: Path, made: bool, line: str) -> None:
    if made:
        (tmp_path / "in").mkdir()
    with pytest.raises(to_png.InputError, match=line):
        to_png.main([str(tmp_path / "in")])
