"""Thresholds from validation, and what they come to; precision, patients, decisions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve

from model.evaluation.clustered import Estimate
from model.evaluation.intervals import Fold
from model.evaluation.operating import OperatingPoint, judged, likelihood_ratio, points, said, threshold
from model.evaluation.ranking import UNITS, average_precision, net_benefit, pooled, precision_at, taken_by

TRUTH = np.array([0, 0, 1, 0, 1])
SCORES = np.array([0.1, 0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (OperatingPoint(), 0.3),  # both positives, two of three negatives: as good as .7, and lower
        (OperatingPoint("sensitivity", 0.9), 0.3),  # the highest that still finds both
        (OperatingPoint("sensitivity", 0.5), 0.7),
        (OperatingPoint("specificity", 0.9), 0.7),  # the lowest above all negatives
        (OperatingPoint("specificity", 0.6), 0.3),
    ],
)
def test_thresholds_by_hand(point: OperatingPoint, expected: float) -> None:
    assert threshold(TRUTH, SCORES, point) == pytest.approx(expected)


def test_youden_takes_the_lowest_of_equal_thresholds() -> None:
    """At .3 sensitivity 1 and specificity 1/2, at .7 the other way round."""
    assert threshold(
        np.array([0, 1, 0, 1]), np.array([0.2, 0.4, 0.6, 0.8]), OperatingPoint()
    ) == pytest.approx(0.3)


def test_one_class_has_no_threshold() -> None:
    assert threshold(np.array([1, 1]), np.array([0.2, 0.4]), OperatingPoint()) is None


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10)), min_size=2, max_size=30).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    ),
    st.floats(0.05, 0.95),
)
def test_a_threshold_keeps_the_rate_that_was_asked_for(rows: list[tuple[int, int]], floor: float) -> None:
    truth, scores = np.array(rows).T[0], np.array(rows).T[1] / 10
    low, high = (
        threshold(truth, scores, OperatingPoint(rate, floor)) for rate in ("sensitivity", "specificity")
    )
    if low is None:
        assert (scores[truth == 1] > 0).mean() < floor
    else:
        assert (scores[truth == 1] > low).mean() >= floor - 1e-9
    if high is None:
        assert (scores[truth == 0] < 1).mean() < floor
    else:
        assert (scores[truth == 0] <= high).mean() >= floor - 1e-9


def test_a_rate_that_no_threshold_keeps_has_none() -> None:
    """Of ten positives four score 0, and of ten negatives two score 1: .6 and .8 are the most there is."""
    truth = np.repeat([1, 0], 10)
    scores = np.array([0.0] * 4 + [0.4] * 6 + [0.2] * 8 + [1.0] * 2)
    for rate, most in (("sensitivity", 0.6), ("specificity", 0.8)):
        assert threshold(truth, scores, OperatingPoint(rate, most)) is not None
        assert threshold(truth, scores, OperatingPoint(rate, most + 0.05)) is None


def test_two_scores_that_nothing_lies_between_have_no_threshold_between_them() -> None:
    """Half-way from the last number below 1 to 1 is 1 for a computer, above which no finding lies."""
    scores = np.array([np.nextafter(1, 0), 1.0])
    assert threshold(np.array([0, 1]), scores, OperatingPoint("sensitivity", 0.9)) == pytest.approx(0.5)


def test_points_have_names() -> None:
    assert [point.name for point in points([0.95], [0.9, 0.8])] == [
        "youden", "sensitivity 0.95", "specificity 0.9", "specificity 0.8",
    ]  # fmt: skip


def test_each_run_says_positive_above_its_own_threshold() -> None:
    fold = Fold(np.array(["a", "b"]), np.array([0, 1]), np.array([[0.2, 0.5], [0.2, 0.5]]))
    assert said(fold, [0.5, 0.1]).scores.tolist() == [[0, 0], [1, 1]]
    (kept,) = judged([fold, fold], [[None, 0.1], [None, None]])
    assert kept.scores.tolist() == [[1, 1]]


def rate(value: float, *moved: float) -> Estimate:
    return Estimate(value, np.array(moved), len(moved), len(moved) - 1)


def test_a_likelihood_ratio_and_predictive_values_by_hand() -> None:
    """.8 to .2 is 4. Influences over rates .1 / .8 and .1 / .2 of two groups: .125 - .5 and back, so the
    variance of the logarithm is 2 · 2 · .375², t is 12.706. Of one in five with odds of 1/4 times 4: one half.
    """
    found = likelihood_ratio(rate(0.8, 0.1, -0.1), rate(0.2, 0.1, -0.1))
    assert found is not None
    assert found.value == pytest.approx(4)
    assert np.log(found.ci95[1] / 4) == pytest.approx(12.7062 * 2 * 0.375, rel=1e-4)
    value, ends = found.predictive(0.2)
    assert value == pytest.approx(0.5)
    assert ends[0] < 0.001
    assert ends[1] > 0.999


def test_where_a_rate_is_zero_a_ratio_goes_from_the_least_to_the_most_of_both() -> None:
    some, none = rate(0.5, 0.01, -0.01, 0.01, -0.01), rate(0.0, 0, 0, 0, 0)
    above, below = likelihood_ratio(some, none), likelihood_ratio(none, some)
    assert above is not None
    assert below is not None
    assert (above.value, above.ci95[1], below.value, below.ci95[0]) == (np.inf, np.inf, 0, 0)
    assert above.ci95[0] == pytest.approx(some.proportion()[0] / none.proportion()[1])
    assert below.ci95[1] == pytest.approx(none.proportion()[1] / some.proportion()[0])
    assert above.predictive(0.5)[0] == 1
    assert below.predictive(0.5)[0] == 0
    assert likelihood_ratio(none, none) is None


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=20))
def test_average_precision_is_scikit_learns_and_its_influence_what_a_weight_changes(
    rows: list[tuple[int, int]],
) -> None:
    truth, scores = np.array(rows).T[0], np.array(rows).T[1] / 5
    found = average_precision(truth, scores)
    if not truth.any():
        assert found is None
        return
    assert found is not None
    assert found.value == pytest.approx(average_precision_score(truth, scores))
    step, weights = 1e-6, np.ones(len(truth))
    for place in range(len(truth)):
        more, less = weights.copy(), weights.copy()
        more[place], less[place] = 1 + step, 1 - step
        ends = [average_precision_score(truth, scores, sample_weight=weight) for weight in (more, less)]
        assert (ends[0] - ends[1]) / 2 / step == pytest.approx(found.influence[place], abs=1e-6)


def test_precision_at_a_recall_is_on_the_curve_of_scikit_learn() -> None:
    precision, recall, _ = precision_recall_curve(TRUTH, SCORES)
    assert precision_at(TRUTH, SCORES, recall[:-1]).tolist() == [
        precision[recall == share].max() for share in recall[:-1]
    ]


def test_a_patient_is_positive_if_any_finding_is_and_scores_as_the_highest_or_the_mean() -> None:
    fold = Fold(np.array(["b", "a", "b"]), np.array([1, 0, 0]), np.array([[0.2, 0.4, 0.6]]))
    highest, mean = (taken_by(fold, unit) for unit in UNITS[1:])
    assert taken_by(fold, UNITS[0]) is fold
    assert (highest.groups.tolist(), highest.labels.tolist()) == (["a", "b"], [0, 1])
    assert (highest.scores.tolist(), mean.scores.tolist()) == ([[0.4, 0.6]], [[0.4, pytest.approx(0.4)]])


def test_net_benefit_by_hand() -> None:
    """From .25 on one false alarm costs a third of a hit: of five findings two hits and one alarm."""
    found = net_benefit(TRUTH, SCORES, 0.25)
    assert found is not None
    assert found.value == pytest.approx((2 - 1 / 3) / 5)


def test_runs_under_each_other_keep_their_patients() -> None:
    fold = Fold(np.array(["a", "b"]), np.array([0, 1]), np.array([[0.1, 0.2], [0.3, 0.4]]))
    found = pooled([fold])
    assert found.groups.tolist() == ["a", "b", "a", "b"]
    assert found.scores.tolist() == [[0.1, 0.2, 0.3, 0.4]]
    assert found.labels.tolist() == [0, 1, 0, 1]
