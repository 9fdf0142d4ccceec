"""Equivalence over splits, and one difference from those of several targets."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation.combined import combine, equivalence_interval

DIFFERENCES = st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=6)
ERRORS = st.lists(st.floats(0.01, 0.2), min_size=6, max_size=6)


def test_equivalence_by_hand() -> None:
    """Four splits with s² = .0004 / 3 that test a quarter of what they train on; t(.95, 3) = 2.3534."""
    half = 2.3534 * sqrt(0.0004 / 3 * (1 / 4 + 1 / 4))
    found = equivalence_interval([0.01, -0.01, 0.01, -0.01], 0.25)
    assert found == pytest.approx((-half, half), rel=1e-4)


def test_too_few_splits_are_no_test_of_equivalence() -> None:
    assert equivalence_interval([0.01, -0.01, 0.01], 0.25) is None


def test_random_effects_by_hand() -> None:
    """w = 100 each: Q = 2, tau² = (2 − 1) / (200 − 100) = .01; then w = 50, q = 1, error .1, t(.975, 1) = 12.706."""
    found = combine([0.1, 0.3], [0.1, 0.1])
    assert (found.value, found.tau) == pytest.approx((0.2, 0.1))
    assert found.ci95 == pytest.approx((0.2 - 1.2706, 0.2 + 1.2706), rel=1e-4)


def test_targets_that_agree_are_weighed_by_their_errors() -> None:
    """Weights 100 and 25: mean (.02 · 100 + .07 · 25) / 125 = .03; Q = .05 is below 1, so nothing is between them."""
    found = combine([0.02, 0.07], [0.1, 0.2])
    assert found.tau == 0
    assert found.value == pytest.approx(0.03)
    assert found.ci95 == pytest.approx((0.03 - 12.7062 / sqrt(125), 0.03 + 12.7062 / sqrt(125)), rel=1e-4)


def test_one_target_has_no_interval() -> None:
    assert combine([0.02], [0.1]).ci95 is None


def test_a_difference_without_an_error_cannot_be_weighed() -> None:
    with pytest.raises(ValueError, match="above 0"):
        combine([0.02, 0.03], [0.1, 0])


@given(DIFFERENCES, ERRORS, st.floats(-0.4, 0.4))
def test_a_shift_of_all_targets_shifts_the_mean_and_nothing_else(
    values: list[float], errors: list[float], shift: float
) -> None:
    errors = errors[: len(values)]
    one, other = combine(values, errors), combine(np.add(values, shift).tolist(), errors)
    assert other.value == pytest.approx(one.value + shift, abs=1e-9)
    assert other.tau == pytest.approx(one.tau, abs=1e-6)
    assert one.ci95 is not None
    assert one.ci95[0] < one.value < one.ci95[1]
    assert min(values) - 1e-9 <= one.value <= max(values) + 1e-9
