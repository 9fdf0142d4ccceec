"""Intervals of figures of findings, with findings of a patient taken together."""

import numpy as np
import pytest
from scipy.special import stdtrit

from model.evaluation.clustered import Estimate, Linear, estimate, mean
from model.evaluation.intervals import Fold


def fold(groups: str, labels: list[int], *scores: list[float]) -> Fold:
    return Fold(np.array(list(groups)), np.array(labels), np.array(scores, float))


def share(_labels: np.ndarray, scores: np.ndarray) -> Linear | None:
    return mean(scores)


def made(value: float, *moved: float, freedom: int | None = None) -> Estimate:
    return Estimate(value, np.array(moved), len(moved), len(moved) - 1 if freedom is None else freedom)


def test_findings_of_a_patient_count_together() -> None:
    """Mean 1/2. Each of four findings moves it by ±1/8, each of two patients by ±1/4: 2/1 · 2/16 = 1/4."""
    found = estimate([fold("aabb", [0, 0, 0, 0], [1, 1, 0, 0])], share)
    assert found is not None
    assert (found.value, found.variance, found.groups, found.freedom) == (0.5, pytest.approx(0.25), 2, 1)


def test_findings_of_many_patients_have_the_variance_of_a_share() -> None:
    """p (1 - p) / (n - 1) = 3/4 · 1/4 / 3."""
    found = estimate([fold("abcd", [0, 0, 0, 0], [1, 1, 1, 0])], share)
    assert found is not None
    assert (found.value, found.variance) == (0.75, pytest.approx(1 / 16))


def test_a_patient_who_is_tested_twice_is_one_patient() -> None:
    once = estimate([fold("abcd", [0, 0, 0, 0], [1, 1, 1, 0])], share)
    twice = estimate([fold("abcd", [0, 0, 0, 0], [1, 1, 1, 0])] * 2, share)
    assert once is not None
    assert twice is not None
    assert (twice.value, twice.variance, twice.freedom) == (once.value, pytest.approx(once.variance), 3)


def test_runs_of_a_fold_are_averaged() -> None:
    """0 and 1/2; each finding moves the mean by half of what it moves that of its run: ±1/8, 2 · 2/64."""
    found = estimate([fold("ab", [0, 0], [0, 0], [1, 0])], share)
    assert found is not None
    assert (found.value, found.variance) == (0.25, pytest.approx(2 * 2 / 64))


def test_what_compares_classes_is_as_sure_as_the_rarer_one() -> None:
    found = estimate([fold("abcde", [1, 1, 0, 0, 0], [0, 1, 0, 0, 1])], share, compares=True)
    assert found is not None
    assert (found.groups, found.freedom) == (5, 1)


def test_a_figure_that_one_run_lacks_is_none() -> None:
    found = estimate([fold("ab", [0, 0], [0, 1])], lambda labels, scores: mean(scores, labels == 1))
    assert found is None


def test_the_interval_of_a_share_is_wilsons_of_as_many_independent_findings() -> None:
    """p = 1/2 and a variance of 1/40 is that of ten findings. With q = t(.975, 7) = 2.3646 the half width is
    q / (2 sqrt(10 + q²)).
    """
    quantile = float(stdtrit(7, 0.975))
    low, high = Estimate(0.5, np.full(8, np.sqrt(7 / 8 / 40 / 8)), 8, 7).proportion()
    half = quantile / 2 / np.sqrt(10 + quantile**2)
    assert (low, high) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))


def test_a_share_of_all_has_an_interval_of_as_many_findings_as_groups() -> None:
    """Wilson's of 4 of 4 with q = t(.975, 3): from 4 / (4 + q²) to 1."""
    low, high = made(1.0, 0, 0, 0, 0).proportion()
    assert (low, high) == (pytest.approx(4 / (4 + float(stdtrit(3, 0.975)) ** 2)), 1.0)


def test_intervals_on_the_scales_of_logarithm_and_logit_by_hand() -> None:
    """Variance 2 · 2 · .01 = .04, t(.975, 1) = 12.7062: half width 2.54124; over .5 · .5 on the logit."""
    found = made(0.5, 0.1, -0.1)
    assert found.plain() == (pytest.approx(0.5 - 2.54124, abs=1e-4), pytest.approx(0.5 + 2.54124, abs=1e-4))
    low, high = found.positive() or (0, 0)
    assert (low * high, high / 0.5) == (pytest.approx(0.25), pytest.approx(np.exp(2.54124 / 0.5), rel=1e-4))
    low, high = found.ranked()
    assert (low + high, high) == (
        pytest.approx(1),
        pytest.approx(1 / (1 + np.exp(-2.54124 / 0.25)), rel=1e-6),
    )


def test_where_a_class_is_of_one_group_alone_nothing_is_known_but_that_a_share_is_a_share() -> None:
    found = made(0.5, 0.1, -0.1, freedom=0)
    assert (found.plain(), found.positive()) == (None, None)
    assert found.ranked() == found.proportion()
