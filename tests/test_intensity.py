"""Intensities: statistics worked out by hand, padding left out, and the published way to 8 bits."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from pipeline.errors import ConstantImageError
from pipeline.patches.normalization import (
    BLANK_SHARE,
    Statistics,
    check_not_blank,
    clip_window,
    paper_bytes,
)
from pipeline.readers.dicom import rescale
from pipeline.readers.pixels import Pixels


def statistics_of(*parts: list[float]) -> Statistics:
    statistics = Statistics()
    for part in parts:
        statistics.add(np.array(part, "f4"))
    return statistics


def test_mean_and_std_over_all_slices_of_a_series() -> None:
    # 1, 2, 3, 6: mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5
    assert statistics_of([1, 2], [3, 6]).mean_std() == pytest.approx((3, 3.5**0.5))


@given(st.floats(-3e4, 3e4), st.floats(0.1, 1e4))
def test_statistics_hold_far_from_zero(mean: float, std: float) -> None:
    values = mean + std * np.tile([-1.0, 1.0], 500)
    found = Statistics()
    found.add(values)
    assert found.mean_std() == pytest.approx((mean, std), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("size", [0, 1, 2**15, 2**15 + 1, 2**16 + 9, 100_003, 2**18, 2**22 - 5])
def test_sums_have_the_bits_of_one_sum_over_all_values(size: int) -> None:
    values = np.random.default_rng(size).normal(-600, 400, size).astype("f4")
    found = Statistics()
    found.add(values)
    wide = values.astype("f8")
    assert (found.count, found.total, found.squares) == (size, wide.sum(), np.square(wide).sum())


@pytest.mark.parametrize("values", [[0.0] * 9, [-1024.0] * 9, [1e-3] * 9])
def test_no_contrast_is_an_error(values: list[float]) -> None:
    with pytest.raises(
        ConstantImageError, match="E-IMG-CONST: expected an image with contrast, found the one value"
    ):
        statistics_of(values).mean_std()


def test_nothing_but_padding_is_an_error() -> None:
    with pytest.raises(ConstantImageError, match="nothing but padding"):
        Statistics().mean_std()


def test_a_nearly_blank_slice_is_an_error() -> None:
    # As the ADC map of ProstateX-0052: 98.8 % zeros.
    values = np.zeros(1000)
    values[:12] = np.arange(1, 13)
    with pytest.raises(ConstantImageError, match=r"one value in 98\.8% of the slice"):
        check_not_blank(values)
    values[:200] = np.arange(1, 201)
    check_not_blank(values)


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.9, 1), st.integers(0, 2**32 - 1))
def test_a_slice_is_blank_by_all_its_values_and_not_by_some(
    rows: int, columns: int, share: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(0, 9, (rows, columns)).astype("f4")
    values[random.random(values.shape) < share] = 5
    most = np.unique(values, return_counts=True)[1].max() / values.size
    if most > BLANK_SHARE:
        with pytest.raises(ConstantImageError, match=f"one value in {most:.1%} of the slice"):
            check_not_blank(values)
    else:
        check_not_blank(values)


@given(
    st.sampled_from(["u1", "i2", "u2", "i4"]),
    st.sampled_from([1.0, -1.0, 2.0, 0.5, 1.7, 255.0, 300.0, 1e-3]),
    st.sampled_from([0.0, -1024.0, 0.25, 3.3, 8e6, 2.0**24]),
)
def test_rescaled_values_are_rounded_once(dtype: str, slope: float, intercept: float) -> None:
    stored = np.array([0, 1, 2, 77, 99, 127, 255, 4095, 32767, 65535]).astype(dtype)
    ds = Dataset()
    ds.Modality, ds.RescaleSlope, ds.RescaleIntercept = "CT", slope, intercept
    exact = (stored.astype("f8") * slope + intercept).astype("f4")
    found = rescale.physical(ds, stored)
    assert found.dtype == "f4"
    assert found.tobytes() == exact.tobytes()
    assert not np.shares_memory(found, stored)


def test_padding_is_left_out_and_darkest_in_a_slice() -> None:
    values, valid = np.array([[1.0, -9.0], [3.0, 2.0]], "f4"), np.array([[True, False], [True, True]])
    pixels = Pixels(values, valid)
    assert pixels.real(values).tolist() == [1, 3, 2]
    assert pixels.unpadded(values).tolist() == [[1, 1], [3, 2]]
    whole = Pixels(values, np.ones((2, 2), bool))
    assert whole.real(values).ravel().tolist() == [1, -9, 3, 2]
    assert whole.unpadded(values).tolist() == values.tolist()


def test_window_limits_in_physical_units() -> None:
    assert clip_window(np.array([-3000.0, -1000, 300]), (-1400, 200)).tolist() == [-1400, -1000, 200]
    assert clip_window(np.array([-3000.0]), None).tolist() == [-3000]


def header(**tags: object) -> Dataset:
    ds = Dataset()
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


def test_published_window_by_hand() -> None:
    # Equation 4.3 with c = 50, w = 101 on 0…100: ((x − 49.5) / 100 + 0.5) · 255, limited to 0…255.
    # 0 → 1.275, 25 → 65.025, 100 → 255 (limited). The largest is 255 already; then whole numbers.
    stored = np.array([[0, 25, 100]], "u2")
    found = paper_bytes(header(WindowCenter=["50", "9"], WindowWidth=["101", "9"]), stored)
    assert found.tolist() == [[1, 65, 255]]


def test_published_stretch_makes_slices_incomparable() -> None:
    # The same tissue (25) becomes darker where the slice has something bright: the point of a paper option.
    dark = paper_bytes(header(WindowCenter="50", WindowWidth="101"), np.array([[0, 25, 50]], "u2"))
    assert dark.tolist() == [[2, 128, 255]]  # 65.025 · 255 / 128.775 = 128.8


def test_published_way_without_window_is_minimum_to_maximum() -> None:
    found = paper_bytes(header(RescaleSlope="2", RescaleIntercept="-10"), np.array([[5, 6, 9]], "i2"))
    assert found.tolist() == [[0, 63, 255]]  # 0, 2, 8 of 8 → 0, 63.75, 255


def test_published_way_survives_a_black_slice() -> None:
    assert (
        paper_bytes(header(WindowCenter="50", WindowWidth="10"), np.zeros((2, 2), "u2")).tolist()
        == [[0, 0]] * 2
    )


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_sums_of_a_large_image_take_a_fraction_of_its_memory(order: str) -> None:
    values = np.asarray(np.arange(2**25, dtype="f4").reshape(2**12, -1) % 7, order=order)
    statistics = Statistics()
    tracemalloc.start()
    statistics.add(values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < values.nbytes  # as float64, and their squares, they are four times that
    mean, std = statistics.mean_std()
    assert statistics.count == 2**25
    assert mean == pytest.approx(3, abs=1e-6)
    assert std == pytest.approx(2, abs=1e-6)
