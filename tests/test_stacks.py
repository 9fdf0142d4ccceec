"""Any path as a stack: values, order, times and places worked out by hand."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)
from PIL import Image

from pipeline.errors import InputError
from pipeline.phantom import Geometry, write_ct_series, write_mr_series
from pipeline.slice_store import write_slices
from pipeline.view.opening import open_stack
from pipeline.view.stacks import Sheets, Voxels
from tests.dicoms import change
from tests.stores import make_store

GRID = np.ogrid[:2, :3, :4, :5]
MULTI = (1000 * GRID[0] + 100 * GRID[1] + 10 * GRID[2] + GRID[3]).astype("f4")  # b, plane, row, column
OBLIQUE = Geometry((-10.0, 20.0, 30.0), (1.0, 0.0, 0.0), (0.0, 0.8, -0.6), (0.5, 0.75), 3.0)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One patient: two b-values interleaved, a series in two rounds, and a CT, beside a note and a broken file."""
    raw = tmp_path_factory.mktemp("study")
    write_mr_series(
        raw / "a", MULTI, OBLIQUE, description="ep2d", number=6, b_values=[50, 800], interleaved=True
    )
    for turn in (0, 1):
        write_mr_series(
            raw / "b", MULTI[turn] + 7, OBLIQUE, description="dynamic", number=9, first=1 + 3 * turn
        )
    write_ct_series(raw / "c", MULTI[0] - 1000, OBLIQUE, number=6, study="2.25.99", descending=False)
    (raw / "notes.txt").write_text("no image")
    (raw / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"cut")
    return raw


def test_a_folder_with_several_series_is_one_line_that_lists_them(
    study: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InputError) as caught:
        open_stack(study)
    assert str(caught.value) == (
        f"E-SERIES {study}: expected one series, found 3: 6a (ep2d, 6 images), 6b (Lung, 3 images), "
        "9 (dynamic, 6 images); choose one with --series"
    )
    assert "1 file is left out: E-DCM-" in caplog.text
    with pytest.raises(InputError, match="expected series '7', found 3: 6a"):
        open_stack(study, "7")


def test_b_values_of_a_series_are_times_in_the_order_of_the_geometry(study: Path) -> None:
    stack = open_stack(study, "6a")
    assert isinstance(stack, Voxels)
    assert stack.times == ("b 50", "b 800")
    assert stack.counts == {"x": 5, "y": 4, "z": 3}
    # Written with a falling InstanceNumber; plane 0 comes first all the same.
    assert np.array_equal(stack.values, MULTI.T)
    assert np.array_equal(stack.plane("z", 2, 1), MULTI[1, 2])
    assert stack.caption("z", 2, 1) == "b 800, instance 2"  # the second file of the last plane
    assert stack.caption("x", 2, 1) == "b 800"
    assert stack.plane("x", 4, 0).tolist() == MULTI[0, :, :, 4].tolist()  # j to the right, k down
    assert [stack.aspect(axis) for axis in "xyz"] == [3 / 0.75, 3 / 0.5, 0.75 / 0.5]


def test_every_voxel_of_a_series_knows_its_place(study: Path) -> None:
    stack = open_stack(study, "6a")
    # The normal of row (1, 0, 0) and column (0, .8, −.6) is (0, .6, .8).
    expected = [-10 + 4 * 0.5, 20 + 2 * 0.75 * 0.8 + 3 * 0.6, 30 - 2 * 0.75 * 0.6 + 3 * 0.8]
    assert stack.world([4, 2, 1]) == pytest.approx(expected)


def test_positions_that_come_again_are_times(study: Path) -> None:
    # Two writings of a series have the same UIDs unless their numbers differ: these do.
    stack = open_stack(study, "9")
    assert stack.times == ("time 0", "time 1")
    assert np.array_equal(stack.plane("z", 0, 1), MULTI[1, 0] + 7)


def test_hounsfield_units_are_named(study: Path) -> None:
    stack = open_stack(study, "6b")
    assert stack.unit == "HU"
    assert stack.plane("z", 1, 0)[2, 3] == 123 - 1000


def test_a_slice_that_one_time_lacks_is_blank(tmp_path: Path) -> None:
    paths = write_mr_series(
        tmp_path, MULTI, OBLIQUE, description="ep2d", number=6, b_values=[50, 800], descending=False
    )
    paths[4].unlink()  # b 800, plane 1
    stack = open_stack(tmp_path)
    assert np.isnan(stack.plane("z", 1, 1)).all()
    assert np.array_equal(stack.plane("z", 2, 1), MULTI[1, 2])


def test_slices_without_a_common_geometry_are_shown_in_their_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    turned = Geometry((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
    same = {"description": "localizer", "number": 1, "series": "2.25.7"}
    write_mr_series(tmp_path / "2", MULTI[0, :1], turned, first=2, **same)
    write_mr_series(tmp_path / "1", MULTI[1, :1], OBLIQUE, first=1, **same)
    stack = open_stack(tmp_path)
    assert isinstance(stack, Sheets)
    assert stack.counts == {"z": 2}
    assert np.array_equal(stack.plane("z", 0, 0), MULTI[1, 0])
    assert stack.caption("z", 1, 0) == "instance 2"
    assert "in the order of InstanceNumber, because not in that of a geometry: E-GEO-ORIENT" in caplog.text


def test_a_slice_that_cannot_be_read_is_blank_and_the_others_are_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = write_mr_series(tmp_path, MULTI[0], OBLIQUE, description="t2", number=4, descending=False)
    for path in paths[1:]:
        change(path, BitsAllocated=12)
    stack = open_stack(tmp_path)
    assert np.isnan(stack.plane("z", 1, 0)).all()
    assert np.array_equal(stack.plane("z", 0, 0), MULTI[0, 0])
    assert "2 of 3 slices cannot be read and are blank: E-DCM-" in caplog.text
    with pytest.raises(InputError, match="E-DCM-"):
        open_stack(paths[1])


def test_t2_of_the_real_patient_lies_where_simpleitk_puts_it(shared: Path) -> None:
    folder = next((shared / "prostatex" / "ProstateX-0000").rglob("4.*t2tsetra*"))
    stack = open_stack(folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    assert stack.counts == dict(zip("xyz", image.GetSize(), strict=True))
    assert np.array_equal(stack.values[..., 0], sitk.GetArrayFromImage(image).T)
    for voxel in ([0, 0, 0], [383, 10, 18], [190, 200, 9]):
        assert stack.world(voxel) == pytest.approx(image.TransformIndexToPhysicalPoint(voxel), abs=1e-3)


def test_one_dicom_file_is_one_slice_with_its_place(study: Path) -> None:
    stack = open_stack(sorted((study / "c").iterdir())[1])
    assert stack.counts == {"z": 1}
    assert stack.world([0, 0, 0]) == pytest.approx([-10, 20 + 1.8, 30 + 2.4])


@pytest.mark.parametrize("name", ["v.nii.gz", "v.mha", "v.mhd", "v.raw"])
def test_volumes_of_four_dimensions_have_times(tmp_path: Path, name: str) -> None:
    voxels = MULTI.T.astype("i2")  # i, j, k, time
    if ".nii" in name:
        nib.Nifti1Image(voxels, np.diag([-2.0, -3, 4, 1])).to_filename(tmp_path / name)
    else:
        image = sitk.JoinSeries([sitk.GetImageFromArray(volume.astype("i2")) for volume in MULTI])
        image.SetSpacing((2, 3, 4, 1))
        sitk.WriteImage(image, tmp_path / name.replace("raw", "mhd"))
    stack = open_stack(tmp_path / name)
    assert stack.times == ("time 0", "time 1")
    assert np.array_equal(stack.plane("y", 2, 1), MULTI[1, :, 2, :])
    assert stack.world([1, 2, 2]) == pytest.approx([2, 6, 8])


def test_a_nifti_without_a_place_shows_none(tmp_path: Path) -> None:
    image = nib.Nifti1Image(MULTI[0].T, None)
    image.header.set_zooms((2, 3, 4))
    image.to_filename(tmp_path / "v.nii")
    stack = open_stack(tmp_path / "v.nii")
    assert stack.world([0, 0, 0]) is None
    assert stack.aspect("x") == pytest.approx(4 / 3)


@pytest.mark.parametrize(
    ("shape", "counts", "times"),
    [
        ((4, 5), {"z": 1}, 1),
        ((3, 6, 7), {"x": 7, "y": 6, "z": 3}, 1),
        ((6, 7, 3), {"x": 7, "y": 6, "z": 3}, 1),  # stacked channels
        ((2, 3, 6, 7), {"x": 7, "y": 6, "z": 3}, 2),
    ],
)
def test_arrays_are_rows_and_columns_behind_slices_and_times(
    tmp_path: Path, shape: tuple[int, ...], counts: dict[str, int], times: int
) -> None:
    array = np.arange(np.prod(shape)).reshape(shape)
    np.save(tmp_path / "a.npy", array)
    stack = open_stack(tmp_path / "a.npy")
    assert (stack.counts, len(stack.times)) == (counts, times)
    last = array[..., 2] if shape[-1] == 3 else array.reshape(-1, *shape[-2:])[-1]
    assert np.array_equal(stack.plane("z", counts["z"] - 1, times - 1), last)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([{"a": 1}], dtype=object), "E-PICKLE .*found a pickle, which could run anything"),
        (np.zeros(3), "E-VOL .*found float64 of shape 3;"),
        (np.zeros((2, 2), complex), "E-VOL .*found complex128 of shape 2×2;"),
        (np.zeros((0, 4)), "E-VOL .*found float64 of shape 0×4;"),
    ],
)
def test_arrays_that_are_no_image_are_one_line(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError) as caught:
        open_stack(tmp_path / "a.npy")
    assert pd.Series([str(caught.value)]).str.match(words).all(), str(caught.value)


def test_an_array_that_promises_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((99, 99)))
    content = (tmp_path / "a.npy").read_bytes()
    huge = content.replace(b"(99, 99)", b"(9" + b"9" * 11 + b", 99)").replace(b" " * 12 + b"\n", b" \n")
    (tmp_path / "a.npy").write_bytes(huge)
    with pytest.raises(InputError, match=r"E-READ .*: expected a whole NumPy array"):
        open_stack(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "damaged",
    [
        lambda content: content[:200],
        lambda content: content.replace(b"}", b" "),
        lambda content: content.replace(b"}", b"\0"),
        lambda content: content.replace(b"{", b"{\n  1\n "),
    ],
)
def test_a_damaged_array_is_one_line(tmp_path: Path, damaged: Callable[[bytes], bytes]) -> None:
    np.save(tmp_path / "a.npy", np.zeros((9, 9)))
    (tmp_path / "a.npy").write_bytes(damaged((tmp_path / "a.npy").read_bytes()))
    with pytest.raises(InputError, match=r"E-READ .*: expected a whole NumPy array"):
        open_stack(tmp_path / "a.npy")


def test_pictures_of_a_folder_are_one_stack_by_name(tmp_path: Path) -> None:
    for name, value in (("b.png", 20), ("a.png", 10)):
        Image.new("L", (4, 3), value).save(tmp_path / name)
    stack = open_stack(tmp_path)
    assert [stack.caption("z", number, 0) for number in (0, 1)] == ["a.png", "b.png"]
    assert stack.plane("z", 1, 0).tolist() == [[20] * 4] * 3
    row = pd.Series({"file": "b.png", "column": "1", "row": "2"})
    spot = stack.spot(0, row)
    assert spot is not None
    assert spot[0].tolist() == [1, 2, 1]


def test_the_slices_of_a_store_go_by_their_row_of_findings(tmp_path: Path) -> None:
    slices = [(0, np.zeros((3, 4), "f4")), (5, np.ones((5, 6), "f4"))]
    write_slices(tmp_path / "slices.h5", slices, lambda _: (0.0, 1.0), {})
    stack = open_stack(tmp_path / "slices.h5")
    assert stack.plane("z", 1, 0).shape == (5, 6)
    assert stack.caption("z", 1, 0) == "row 5 of findings.csv"
    row = pd.Series({"file": "elsewhere.dcm", "column": "1.5", "row": "2"})
    spot = stack.spot(5, row)
    assert spot is not None
    assert spot[0].tolist() == [1.5, 2, 1]
    assert stack.spot(3, row) is None


def test_the_views_of_a_patch_store_are_times_and_its_channels_slices(tmp_path: Path) -> None:
    path, _ = make_store(tmp_path, "d", train=2, validation=0, test=0, channels=2, views=3)
    stack = open_stack(path)
    assert stack.counts == {"z": 4}
    assert stack.times == ("view 0", "view 1", "view 2")
    assert stack.caption("z", 3, 2) == "0001, finding 1, label 1, channel1, view 2"
    assert stack.plane("z", 3, 2)[32, 32] != stack.plane("z", 2, 2)[32, 32]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "E-READ"),
        (b"", "E-DCM-NOTDICOM"),
        (b"\x89HDF\r\n\x1a\n no", "E-STORE"),
        (b"\x93NUMPY", "E-READ"),
    ],
)
def test_what_cannot_be_shown_is_one_line_with_its_file(
    tmp_path: Path, content: bytes | None, code: str
) -> None:
    path = tmp_path / "thing"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_stack(path)
    assert str(caught.value).startswith(f"{code} {path}: ")


def test_a_folder_without_images_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match="expected images, found none; give a file"):
        open_stack(tmp_path)
