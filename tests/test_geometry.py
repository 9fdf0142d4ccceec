"""World ↔ pixel and the slice of a point, on series made of numbers alone."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pipeline.errors import (
    DuplicatePositionError,
    GapError,
    InputError,
    MissingTagError,
    OrientationError,
    OutOfImageError,
)
from pipeline.readers.geometry import (
    ORIENTATION,
    POSITION,
    SPACING,
    is_transverse,
    locate,
    ordered,
    plane,
    try_locate,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def series(
    heights: list[float], axes: tuple[float, ...] = AXIAL, spacing: tuple[float, float] = (2.0, 0.5)
) -> pd.DataFrame:
    """Slices of 10 columns and 8 rows at these mm along the normal; spacing between rows, between columns."""
    normal = np.cross(axes[:3], axes[3:])
    table = pd.DataFrame(
        {
            "file": [f"{number}.dcm" for number in range(len(heights))],
            "series_uid": "1.2.3",
            "instance_number": np.arange(len(heights), dtype=float) + 1,
            "columns": 10.0,
            "rows": 8.0,
            "slice_thickness_mm": 3.0,
        }
    )
    table[POSITION] = np.outer(heights, normal) + np.array((100.0, 200.0, 0.0))
    table[ORIENTATION] = axes
    table[SPACING] = spacing
    return table


finite = st.floats(-300, 300)


angle = st.floats(-180, 180)
rotations = st.builds(
    lambda *angles: Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), angle, angle, angle
)


@given(rotations, st.floats(0.1, 5), st.floats(0.1, 5), finite, finite, st.floats(-50, 50))
@settings(max_examples=50)
def test_world_and_pixel_undo_each_other_on_any_oblique_plane(
    axes: np.ndarray, down: float, across: float, column: float, row: float, distance: float
) -> None:
    one = series([7.0], tuple(axes[:2].ravel()), (down, across))
    there = plane(one.iloc[0])
    point = there.to_world(column, row, distance)
    assert there.to_pixel(point) == pytest.approx((column, row, distance), abs=1e-6)
    expected = one[POSITION].to_numpy(float)[0] + axes.T @ (column * across, row * down, distance)
    assert point == pytest.approx(expected, abs=1e-6)


@given(
    rotations,
    st.permutations(range(5)),
    st.floats(-0.49, 4.49),
    st.floats(-0.49, 9.49),
    st.floats(-0.49, 7.49),
)
@settings(max_examples=50)
def test_the_nearest_plane_is_found_in_any_order_of_files(
    axes: np.ndarray, order: list[int], depth: float, column: float, row: float
) -> None:
    slices = series([3.0 * number for number in order], tuple(axes[:2].ravel()))
    first = slices[POSITION].to_numpy(float)[order.index(0)]
    place = locate(slices, first + axes.T @ (0.5 * column, 2.0 * row, 3.0 * depth))
    assert abs(place.distance_mm) == pytest.approx(
        3 * min(abs(depth - number) for number in range(5)), abs=1e-6
    )
    number = order[int(place.instance["instance_number"]) - 1]
    assert place.distance_mm == pytest.approx(3 * (depth - number), abs=1e-6)
    assert (place.column, place.row) == pytest.approx((column, row), abs=1e-6)


def test_column_counts_along_the_row_vector_and_row_down_the_columns() -> None:
    # Rows are 2 mm apart, columns 0.5 mm: x = 100 + 0.5·3, y = 200 + 2·4.
    assert plane(series([0.0]).iloc[0]).to_pixel(np.array([101.5, 208.0, 1.25])) == (3.0, 4.0, 1.25)


@pytest.mark.parametrize(
    ("height", "slice_number", "distance"),
    [(0.0, 1, 0.0), (1.4, 1, 1.4), (1.6, 2, -1.4), (4.4, 2, 1.4), (-1.5, 1, -1.5), (7.5, 3, 1.5)],
)
def test_a_point_belongs_to_the_slice_within_half_a_spacing(
    height: float, slice_number: int, distance: float
) -> None:
    place = locate(series([0.0, 3.0, 6.0]), np.array([102.0, 204.0, height]))
    assert (place.instance["instance_number"], place.distance_mm) == (slice_number, pytest.approx(distance))


@pytest.mark.parametrize(("height", "mm"), [(-1.6, "0.1"), (-13.0, "11.5"), (19.0, "11.5")])
def test_a_point_beyond_the_slab_is_told_with_its_distance(height: float, mm: str) -> None:
    with pytest.raises(OutOfImageError, match=f"^E-LESION-OOB \\d.dcm: .* {mm} mm beyond the slab"):
        locate(series([0.0, 3.0, 6.0]), np.array([102.0, 204.0, height]))


@pytest.mark.parametrize(
    ("x", "y", "inside"),
    [
        (99.75, 204, True), (99.74, 204, False),  # half of 0.5 mm left of the first column
        (104.75, 204, True), (104.76, 204, False),  # columns end at 100 + 9.5 · 0.5
        (102, 199.0, True), (102, 198.98, False),  # half of 2 mm above the first row
        (102, 215.0, True), (102, 215.02, False),  # rows end at 200 + 7.5 · 2
    ],
)  # fmt: skip
def test_an_image_ends_half_a_pixel_beyond_its_pixel_centres(x: float, y: float, inside: bool) -> None:
    found = try_locate(series([0.0, 3.0]), np.array([x, y, 0.0]))
    assert isinstance(found, OutOfImageError) is not inside


def test_a_point_outside_the_image_is_told_with_its_distance() -> None:
    # 3 mm left of the edge and 4 mm above it: 5 mm.
    with pytest.raises(OutOfImageError, match=r"5.0 mm outside the image"):
        locate(series([0.0, 3.0]), np.array([99.75 - 3, 199.0 - 4, 0.0]))


@pytest.mark.parametrize("height", [8.0, 9.0, 10.4])
def test_a_point_where_a_slice_is_missing_is_no_slice_of_its_neighbours(height: float) -> None:
    # ProstateX-0038: one of 19 slices is missing, which leaves 6 mm. Elsewhere the series is good.
    gappy = series([0.0, 3.0, 6.0, 12.0, 15.0])
    with pytest.raises(GapError, match=r"E-GEO-GAP \d.dcm: expected a slice at the point"):
        locate(gappy, np.array([102.0, 204.0, height]))
    for good, number in ((7.4, 3), (10.6, 4)):
        assert locate(gappy, np.array([102.0, 204.0, good])).instance["instance_number"] == number


def test_two_slices_at_one_position_are_refused() -> None:
    with pytest.raises(DuplicatePositionError, match=r"E-GEO-DUP \d.dcm: .* 2 at .*, the first at 3.00 mm"):
        ordered(series([0.0, 3.0, 6.0, 3.0, 6.0]))


def test_slices_come_along_the_normal_whatever_their_numbers() -> None:
    slices, positions = ordered(series([6.0, 0.0, 3.0]))
    assert list(slices["instance_number"]) == [2, 3, 1]
    assert positions.tolist() == [0, 3, 6]


@pytest.mark.parametrize(
    ("columns", "values", "found"),
    [
        (ORIENTATION, SAGITTAL, "several orientations"),
        (SPACING, (2.0, 0.6), "several pixel spacings"),
        (["rows"], (9.0,), "several image sizes"),
    ],
)
def test_mixed_series_are_refused(columns: list[str], values: tuple[float, ...], found: str) -> None:
    mixed = series([0.0, 3.0, 6.0])
    mixed.loc[1, columns] = values
    with pytest.raises(OrientationError, match=f"E-GEO-ORIENT 0.dcm: .*{found}"):
        ordered(mixed)


def test_rounding_of_a_headers_cosines_does_not_move_a_point_to_another_slice() -> None:
    slices = series([0.0, 3.0, 6.0, 9.0])
    slices["position_z"] += 900.0
    # 0.0005 of tilt in one header would be 0.1 mm at a position 200 mm from the origin.
    slices.loc[[3], ORIENTATION] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0005)
    place = locate(slices.iloc[::-1], np.array([102.0, 204.0, 904.45]))
    assert place.instance["instance_number"] == 2


@pytest.mark.parametrize(
    ("columns", "tags"),
    [
        (POSITION[:1], "ImagePositionPatient"),
        (ORIENTATION, "ImageOrientationPatient"),
        (SPACING + POSITION, "ImagePositionPatient, PixelSpacing"),
    ],
)
def test_tags_that_a_slice_lacks_are_named_with_its_file(columns: list[str], tags: str) -> None:
    slices = series([0.0, 3.0, 6.0])
    slices.loc[1, columns] = np.nan
    with pytest.raises(MissingTagError, match=f"E-DCM-TAG 1.dcm: expected tags {tags}, found none"):
        locate(slices, np.array([102.0, 204.0, 6.0]))


@pytest.mark.parametrize("axes", [(0.0,) * 6, (1.0, 0, 0, 1, 0, 0), (2.0, 0, 0, 0, 1, 0)])
def test_axes_that_span_no_plane_are_refused(axes: tuple[float, ...]) -> None:
    slices = series([0.0])
    slices[ORIENTATION] = axes
    with pytest.raises(OrientationError, match="expected two perpendicular unit vectors"):
        plane(slices.iloc[0])


def test_a_spacing_of_zero_is_refused() -> None:
    with pytest.raises(MissingTagError, match="expected a positive PixelSpacing"):
        plane(series([0.0], spacing=(0.0, 1.0)).iloc[0])


def test_a_lone_slice_reaches_half_its_thickness() -> None:
    lone = series([0.0])
    assert locate(lone, np.array([102.0, 204.0, 1.5])).distance_mm == 1.5
    with pytest.raises(OutOfImageError, match=r"18.5 mm beyond the slab"):
        locate(lone, np.array([102.0, 204.0, 20.0]))
    lone["slice_thickness_mm"] = np.nan
    with pytest.raises(MissingTagError, match="expected tag SliceThickness"):
        locate(lone, np.array([102.0, 204.0, 0.0]))


def test_a_reason_may_take_the_place_of_an_exception() -> None:
    reason = try_locate(series([0.0, 3.0]), np.array([0.0, 0.0, 0.0]))
    assert isinstance(reason, InputError)
    assert reason.code == "E-LESION-OOB"


@pytest.mark.parametrize(
    ("axes", "transverse"),
    [
        (AXIAL, True),
        (SAGITTAL, False),
        ((1.0, 0.0, 0.0, 0.0, 0.0, -1.0), False),
        ((1.0, 0.0, 0.0, 0.0, 0.8, -0.6), True),  # tilted by 37°
        ((1.0, 0.0, 0.0, 0.0, 0.6, -0.8), False),  # by 53°: nearer to coronal
        ((np.nan,) * 6, True),  # so that the missing tag is told instead of a missing series
    ],
)
def test_transverse_is_what_lies_nearest_to_it(axes: tuple[float, ...], transverse: bool) -> None:
    one = series([0.0])
    one[ORIENTATION] = axes
    assert is_transverse(one.iloc[0]) is transverse
