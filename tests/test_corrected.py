"""Intervals and tests over splits, and what they can find."""

from itertools import pairwise
from math import inf

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from model.evaluation.corrected import (
    area_interval,
    detectable,
    difference_interval,
    missing,
    overlap,
    runs_needed,
    standard_error,
)
from pipeline.seeds import stream


def test_overlap_is_of_findings_and_the_mean_over_splits() -> None:
    """Two to four, then three to three; the other data set and validation do not count."""
    rows = [("a", fold, split) for fold, split, n in (
        (0, "train", 4), (0, "test", 2), (0, "validation", 1), (1, "train", 3), (1, "test", 3),
    ) for _ in range(n)]  # fmt: skip
    splits = pd.DataFrame([*rows, ("b", 0, "test")], columns=["dataset", "fold", "split"])
    assert overlap(splits, "a") == 0.75
    assert overlap(splits, "a", "validation") == pytest.approx((1 / 4 + 0) / 2)
    assert overlap(splits, "b") == 0


def test_difference_by_hand() -> None:
    """Mean .04, s² = .0002 · 4 / 3, four splits that test a quarter of what they train on: s² · (1/4 + 1/4)."""
    values, error = [0.02, 0.04, 0.04, 0.06], (0.0008 / 3 / 2) ** 0.5
    assert standard_error(values, 0.25) == pytest.approx(error)
    interval, p = difference_interval(values, 0.25)
    assert interval == pytest.approx((0.04 - 3.182446 * error, 0.04 + 3.182446 * error), abs=1e-7)
    assert p == pytest.approx(2 * stats.t.sf(0.04 / error, 3))
    assert difference_interval(values, 0)[1] == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_area_by_hand_on_the_scale_of_the_logit() -> None:
    """Mean .8, s² = .02 / 3, s² · (1/4 + 1/4) = .01 / 3; the logit's derivative is 1 / (.8 · .2)."""
    low, high = area_interval([0.7, 0.8, 0.8, 0.9], 0.25) or (0, 0)
    half = 3.182446 * (0.01 / 3) ** 0.5 / 0.16
    assert np.log(low / (1 - low)) == pytest.approx(np.log(4) - half)
    assert np.log(high / (1 - high)) == pytest.approx(np.log(4) + half)


@given(st.lists(st.integers(0, 60), min_size=4, max_size=12), st.floats(0, 1))
def test_an_area_stays_between_0_and_1_and_a_difference_between_minus_1_and_1(
    sixtieths: list[int], ratio: float
) -> None:
    areas = [value / 60 for value in sixtieths]
    interval = area_interval(areas, ratio)
    if interval is not None:
        assert 0 <= interval[0] <= np.mean(areas) <= interval[1] <= 1
    else:
        assert len(set(sixtieths)) == 1
    apart, p = difference_interval([2 * area - 1 for area in areas], ratio)
    if apart is not None:
        assert -1 <= apart[0] <= apart[1] <= 1
        assert p is not None
        assert 0 <= p <= 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.7], "one split"),
        ([0.6, 0.7], "fewer than 4 splits"),
        ([0.6, 0.7, 0.9], "fewer than 4 splits"),
        ([0.7] * 4, "the same in every split"),
        ([0.1 + 0.2, 0.3, 0.3, 0.3], "the same in every split"),  # apart by rounding alone
    ],
)
def test_what_has_no_interval_says_why(values: list[float], reason: str) -> None:
    assert missing(values) == reason
    assert area_interval(values, 0.25) is None
    assert difference_interval(values, 0.25) == (None, None)


def test_no_difference_in_any_split_is_certain() -> None:
    assert difference_interval([0.0] * 4, 0.25) == ((0.0, 0.0), 1.0)
    assert difference_interval([0.0] * 3, 0.25) == (None, None)


def splits_of(
    random: np.random.Generator, shape: tuple[int, int], deviation: float, difference: float, ratio: float
) -> np.ndarray:
    """Values (trials, splits) of splits that share data: their correlation is ratio / (1 + ratio), so that the
    spread that a trial shows is ``deviation`` and the variance of its mean that² · (1/n + ratio)."""
    shared = random.normal(size=(shape[0], 1)) * deviation * ratio**0.5
    return difference + shared + random.normal(size=shape) * deviation


class TestPower:
    @pytest.mark.parametrize(
        ("deviation", "ratio"), [(0.03, 0.0), (0.03, 0.05), (0.05, 0.02), (0.08, 0.0), (0.015, 0.05)]
    )
    def test_as_many_runs_as_needed_find_the_difference_with_the_test_of_the_docs(
        self, deviation: float, ratio: float
    ) -> None:
        count = runs_needed(deviation, ratio, 0.03)
        assert count is not None
        values = splits_of(stream("power", deviation, ratio), (2000, count), deviation, 0.03, ratio)
        found = [p is not None and p < 0.05 for _, p in (difference_interval(row, ratio) for row in values)]
        assert 0.77 < np.mean(found) < 0.87  # a whole number of runs has more than 80 %
        assert detectable(deviation, ratio, count - 1) > 0.03

    @pytest.mark.parametrize("deviation", [0.03, 0.05, 0.061, 0.08])
    def test_three_test_findings_to_nine_of_training_never_find_a_small_one(self, deviation: float) -> None:
        """The numbers given before, 10, 24, 35 and 58, had a power of 27, 15, 12 and 9 % by this test."""
        ratio = 1 / 3
        assert runs_needed(deviation, ratio, 0.03) is None
        values = splits_of(stream("power", deviation), (2000, 1000), deviation, 0.03, ratio)
        found = [p is not None and p < 0.05 for _, p in (difference_interval(row, ratio) for row in values)]
        assert np.mean(found) < 0.45
        least = detectable(deviation, ratio, inf)
        assert least == pytest.approx(2.801585 * deviation / 3**0.5, rel=1e-6)
        assert runs_needed(deviation, ratio, 1.01 * least) is not None

    @pytest.mark.parametrize("splits", [4, 5, 10, 40])
    def test_the_smallest_detectable_difference_is_found_four_times_in_five(self, splits: int) -> None:
        ratio, deviation = 1 / 3, 0.05
        least = detectable(deviation, ratio, splits)
        values = splits_of(stream("detectable", splits), (4000, splits), deviation, least, ratio)
        found = [p is not None and p < 0.05 for _, p in (difference_interval(row, ratio) for row in values)]
        assert np.mean(found) == pytest.approx(0.8, abs=0.03)

    def test_more_splits_find_less_but_never_nothing(self) -> None:
        found = [detectable(0.05, 0.25, splits) for splits in (4, 5, 10, 100, 10_000, inf)]
        assert all(more > less > 0 for more, less in pairwise(found))
        assert found[-2] == pytest.approx(found[-1], rel=1e-3)

    def test_no_spread_needs_the_least_splits_that_have_an_interval(self) -> None:
        assert runs_needed(0.0, 0.25, 0.03) == 4
