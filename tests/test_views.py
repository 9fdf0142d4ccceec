"""Views: which ones, and that each shows the right tissue."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.errors import ConfigError, MissingTagError
from pipeline.patches.views import (
    AUGMENTED,
    MOST_VIEWS,
    Frame,
    View,
    extent_pixels,
    frame_of,
    resample,
    view_table,
)
from pipeline.store import PATCH_SIDE

CENTRE = PATCH_SIDE // 2

VIEWS = st.builds(View, st.integers(-20, 20), st.booleans(), st.sampled_from((-1, 0, 1)))


def gaussians(frame: Frame, view: View, points: np.ndarray, width: float) -> np.ndarray:
    """The exact patch of a sum of Gaussian blobs at slice (row, column) points: no resampling at all."""
    rows, columns = np.mgrid[: frame.side, : frame.side]
    at = frame.matrix(view) @ np.stack([rows.ravel(), columns.ravel(), np.ones(rows.size)])
    distance = ((at[:, :, None] - points.T[:, None, :]) ** 2).sum(axis=0)
    return np.exp(-distance / (2 * width**2)).sum(axis=1).reshape(frame.side, frame.side)


def blobs(shape: tuple[int, int], points: np.ndarray, width: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distance = (rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2
    return np.exp(-distance / (2 * width**2)).sum(axis=-1)


def test_there_are_246_views_and_the_first_is_not_augmented() -> None:
    table = view_table(MOST_VIEWS, 0, "ProstateX-0000", "1")
    assert MOST_VIEWS == 41 * 2 * 3
    assert table[0] == View(0, False, 0)
    assert len(set(table)) == 246
    assert View() not in AUGMENTED


def test_fewer_views_are_the_first_of_more() -> None:
    assert view_table(20, 0, "a", "1") == view_table(246, 0, "a", "1")[:20]


def test_findings_and_seeds_have_their_own_order() -> None:
    orders = [tuple(view_table(50, seed, patient, "1")) for seed in (0, 1) for patient in "ab"]
    assert len(set(orders)) == 4


def test_the_unaugmented_view_of_a_matching_grid_is_the_image_itself() -> None:
    image = np.random.default_rng(0).normal(size=(100, 90)).astype("f4")
    patch = resample(image, Frame(44, 50, 1, 1), [View()])[0]
    np.testing.assert_allclose(patch, image[50 - 32 : 50 + 33, 44 - 32 : 44 + 33], atol=1e-5)


def test_flip_mirrors_left_and_right() -> None:
    image = np.random.default_rng(1).normal(size=(90, 90)).astype("f4")
    plain, flipped = resample(image, Frame(45, 45, 1, 1), [View(), View(flip=True)])
    np.testing.assert_allclose(flipped, plain[:, ::-1], atol=1e-5)


def test_shift_moves_by_one_patch_pixel() -> None:
    image = np.random.default_rng(2).normal(size=(90, 90)).astype("f4")
    plain, right = resample(image, Frame(45, 45, 1, 1), [View(), View(shift=1)])
    np.testing.assert_allclose(right[:, :-1], plain[:, 1:], atol=1e-5)


def test_rotation_keeps_right_angles_in_millimetres_where_pixels_are_not_square() -> None:
    # Rows are 2 mm apart, columns 1 mm: a turned patch axis must keep its length in mm.
    frame = Frame(50, 30, step_column=1.0, step_row=0.5, aspect=2.0)
    matrix = frame.matrix(View(rotation=20))[:, :2] * np.array([[2.0], [1.0]])  # columns now in mm
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(2), atol=1e-12)


@given(VIEWS, st.floats(30, 60), st.floats(30, 60), st.floats(0.4, 1.0))
def test_the_lesion_centre_stays_in_the_middle_up_to_the_shift(
    view: View, column: float, row: float, step: float
) -> None:
    frame = Frame(column, row, step, step)
    at = frame.matrix(view) @ [CENTRE, CENTRE - (-view.shift if view.flip else view.shift), 1]
    np.testing.assert_allclose(at, [row, column], atol=1e-9)


@given(VIEWS, st.sampled_from((0.5, 0.8, 1.0, 1.6, 2.4)))
def test_a_red_dot_stays_within_a_pixel_of_the_centre(view: View, step: float) -> None:
    column, row = 83.3, 79.6
    image = blobs((160, 170), np.array([[row, column]]), 2.0).astype("f4")
    patch = resample(image, Frame(column, row, step, step), [view])[0]
    found = ndimage.center_of_mass(np.maximum(patch - 0.1, 0))
    assert np.abs(np.array(found) - CENTRE).max() <= 1.01  # the shift itself is one pixel


def test_one_resampling_is_close_to_the_exact_image() -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform(30, 98, (25, 2))
    image = blobs((128, 128), points, 3.0).astype("f4")
    frame = Frame(63.7, 64.2, 0.5, 0.5)
    for view in view_table(12, 0, "p", "1"):
        patch = resample(image, frame, [view])[0]
        assert np.sqrt(np.mean((patch - gaussians(frame, view, points, 3.0)) ** 2)) < 2e-4


def test_shrinking_takes_out_what_the_coarser_grid_cannot_hold() -> None:
    # A checkerboard is above the limit of a grid four times as coarse: it must become even grey.
    rows, columns = np.mgrid[:400, :400]
    board = ((rows + columns) % 2).astype("f4")
    patch = resample(board, Frame(200, 200, 4, 4), [View(rotation=7)])[0]
    np.testing.assert_allclose(patch, 0.5, atol=1e-3)


def test_outside_the_image_is_the_mean_of_a_z_scored_slice() -> None:
    patch = resample(np.ones((40, 40), "f4"), Frame(0, 0, 1, 1), [View()])[0]
    assert (patch[:30, :30] == 0).all()
    np.testing.assert_allclose(patch[CENTRE + 1 :, CENTRE + 1 :], 1, atol=1e-6)


def test_a_finding_at_the_corner_of_a_large_slice_equals_one_cut_without_the_window() -> None:
    image = np.random.default_rng(4).normal(size=(300, 300)).astype("f4")
    frame, view = Frame(250.3, 40.8, 0.9, 0.9), View(rotation=-13, shift=1)
    matrix = frame.matrix(view)
    whole = ndimage.affine_transform(
        image.astype("f8"), matrix[:, :2], matrix[:, 2], output_shape=(65, 65), order=3
    )
    np.testing.assert_allclose(resample(image, frame, [view])[0], whole, atol=1e-4)


@pytest.mark.parametrize(
    ("extent", "size"),
    [
        ("65 mm", (130, 65)),  # spacing 0.5 mm across, 1 mm down
        ("85 px", (85, 85)),
        ("15/56 side", (75, 75)),  # mean side (320 + 240) / 2 = 280
        ("2/7 width, 1/4 height", (640 / 7, 60)),
        ("whole", (480, 240)),  # 160 mm × 240 mm: a square of 240 mm
    ],
)
def test_extents(extent: str, size: tuple[float, float]) -> None:
    assert extent_pixels(extent, 320, 240, 0.5, 1.0) == pytest.approx(size)


@pytest.mark.parametrize(
    "extent",
    [
        "", "65", "mm", "65mm", "65 miles", "0 px", "0.0 mm", "-1 px", "1/0 width", "0/6 width", "1.5/2 width",
        "nan px", "whole, 1 px", "1 px,",
    ],
)  # fmt: skip
def test_an_extent_that_is_none_is_told(extent: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^E-CONFIG extent: expected whole, or more than 0 mm, px, side, width"
    ):
        extent_pixels(extent, 320, 240, 0.5, 1.0)


def test_millimetres_need_a_spacing() -> None:
    with pytest.raises(
        MissingTagError, match=r"expected a pixel spacing, for an extent of 65 mm, found none"
    ):
        extent_pixels("65 mm", 320, 240, float("nan"), float("nan"))


@pytest.mark.parametrize("side", [50, 64, 65, 160])
def test_a_patch_of_any_side_shows_its_frame_by_value(side: int) -> None:
    points = np.array([[48.0, 61.0], [80.0, 30.0], [60.0, 70.0]])
    image = blobs((120, 110), points, 4.0).astype("f4")
    frame, view = Frame(58.3, 62.7, 50 / side, 50 / side, side=side), View(rotation=11, flip=True, shift=-1)
    found = resample(image, frame, [view])[0]
    assert found.shape == (side, side)
    assert np.abs(found - gaussians(frame, view, points, 4.0)).max() < 0.002


def test_an_even_side_has_its_centre_between_four_pixels() -> None:
    image = np.random.default_rng(0).normal(size=(100, 90)).astype("f4")
    patch = resample(image, Frame(44.5, 50.5, 1, 1, side=40), [View()])[0]
    np.testing.assert_allclose(patch, image[31:71, 25:65], atol=1e-5)


@pytest.mark.parametrize("side", [65, 130, 224])
def test_an_extent_is_the_same_piece_of_the_image_on_any_side(side: int) -> None:
    frame = frame_of("40 mm", (100, 90), 44.0, 50.0, 0.5, 0.8, side=side)
    assert (frame.step_column * side, frame.step_row * side) == pytest.approx((80, 50))
    corners = frame.matrix(View()) @ [[-0.5, side - 0.5], [-0.5, side - 0.5], [1, 1]]
    np.testing.assert_allclose(corners, [[25, 75], [4, 84]])
