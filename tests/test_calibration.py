"""Whether scores are probabilities, and the line that makes them so."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from model.evaluation.calibration import (
    bins,
    brier,
    calibration_error,
    intercept,
    log_loss,
    platt,
    slope,
)
from model.evaluation.clustered import Linear
from model.evaluation.intervals import Fold
from model.evaluation.platt import Platt
from model.report import probabilities
from pipeline.seeds import stream

TRUTH = np.array([0, 1, 1, 0, 1])
SCORES = np.array([0.1, 0.9, 0.4, 0.6, 0.7])


def value(found: Linear | None) -> float:
    assert found is not None
    assert found.influence.sum() == pytest.approx(0, abs=1e-6)
    return found.value


def test_brier_score_and_log_loss_are_those_of_scikit_learn() -> None:
    assert value(brier(TRUTH, SCORES)) == pytest.approx(brier_score_loss(TRUTH, SCORES))
    assert value(log_loss(TRUTH, SCORES)) == pytest.approx(sklearn_log_loss(TRUTH, SCORES))


def test_a_score_of_one_for_a_negative_finding_costs_much_but_not_all() -> None:
    assert value(log_loss(np.array([0]), np.array([1.0]))) == pytest.approx(6 * np.log(10), rel=1e-6)


def test_intercept_and_slope_by_hand() -> None:
    """Half of one's odds are expected where three to one are found: log 3. Where the scores .25 and .75 have
    one and two of three positives, log odds of ±log 3 should be ±log 2.
    """
    assert value(intercept(np.array([1, 1, 1, 0]), np.full(4, 0.5))) == pytest.approx(np.log(3))
    truth, scores = np.array([1, 0, 0, 1, 1, 0]), np.repeat([0.25, 0.75], 3)
    assert value(slope(truth, scores)) == pytest.approx(np.log(2) / np.log(3), rel=1e-4)
    assert value(intercept(truth, scores)) == pytest.approx(0, abs=1e-9)


def test_there_is_no_slope_where_scores_part_the_classes_or_say_nothing() -> None:
    assert slope(np.array([0, 0, 1]), np.array([0.1, 0.2, 0.2])) is None
    assert slope(np.array([0, 1]), np.array([0.5, 0.5])) is None
    assert slope(np.array([1, 1]), np.array([0.4, 0.5])) is None
    assert intercept(np.array([1, 1]), np.array([0.4, 0.5])) is None


def test_the_influence_of_a_finding_is_what_its_weight_changes() -> None:
    """A finding that stands there a hundred times less one weighs 1 % more."""
    for figure in (intercept, slope):
        found = figure(TRUTH, SCORES)
        assert found is not None
        for place in range(len(TRUTH)):
            counts = np.full(len(TRUTH), 500)
            counts[place] += 5
            more = figure(np.repeat(TRUTH, counts), np.repeat(SCORES, counts))
            assert more is not None
            assert (more.value - found.value) * 100 == pytest.approx(
                found.influence[place], rel=0.03, abs=0.01
            )


def test_the_line_of_two_findings_by_hand() -> None:
    """Of one positive and one negative the targets are 2/3 and 1/3: log odds of ±log 4 become ±log 2."""
    line = platt(np.array([0, 1]), np.array([0.2, 0.8]))
    assert isinstance(line, Platt)
    assert (line.slope, line.intercept) == (pytest.approx(0.5, rel=1e-4), pytest.approx(0, abs=1e-6))
    assert line(np.array([0.8])) == pytest.approx(2 / 3, rel=1e-4)


def test_another_prevalence_moves_the_odds_by_as_much() -> None:
    """One half is odds of 1, one in ten odds of 1/9: 2 becomes 2/9."""
    line = Platt(slope=0.5, intercept=0.0, prevalence=0.5)
    assert line(np.array([0.8]), 0.1) == pytest.approx(2 / 11)
    assert line(np.array([0.8]), 0.5) == pytest.approx(2 / 3)


def test_there_is_no_line_through_one_class_or_one_score_or_against_the_score() -> None:
    assert platt(np.array([1, 1]), np.array([0.2, 0.8])) == "the validation findings are of one class"
    assert platt(np.array([1, 0]), np.array([0.4, 0.4])) == "all validation findings score alike"
    against = platt(np.array([1, 0]), np.array([0.2, 0.8]))
    assert against == "positive validation findings score no higher than negative ones"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_every_score_has_a_bin_and_equal_ones_the_same(scores: list[float]) -> None:
    found = bins(np.array(scores))
    assert sorted(set(found)) == list(range(found.max() + 1))
    assert found.max() < 10
    assert all(
        a == b or s != t
        for s, a in zip(scores, found, strict=True)
        for t, b in zip(scores, found, strict=True)
    )


def test_the_calibration_error_by_hand() -> None:
    """Two bins of two: none of .1 + .1 is positive, one of .9 + .9 is: (.2 + .8) / 4."""
    groups = np.array(["a", "b", "c", "d"])
    fold = Fold(groups, np.array([0, 0, 1, 0]), np.array([[0.1, 0.1, 0.9, 0.9]]))
    found = calibration_error([fold], stream("test"), 200)
    assert found.value == pytest.approx(0.25)
    assert found.ci95 is not None
    assert 0 <= found.ci95[0] < 0.25 < found.ci95[1] <= 1


def test_scores_that_are_probabilities_have_an_error_that_may_be_none_and_others_have_not() -> None:
    random = stream("test", "calibration")
    scores = random.random(400)
    truth = (random.random(400) < scores).astype(int)
    groups = np.arange(400).astype(str)
    right = calibration_error([Fold(groups, truth, scores[None])], stream("test"), 300)
    wrong = calibration_error([Fold(groups, truth, scores[None] ** 3)], stream("test"), 300)
    assert right.ci95 is not None
    assert wrong.ci95 is not None
    assert right.ci95[0] == 0 < right.value
    assert wrong.ci95[0] > 0.1
    assert right.chance == pytest.approx(right.value, abs=0.03)


def test_a_test_of_one_class_has_an_error_without_an_interval() -> None:
    fold = Fold(np.array(["a", "b"]), np.array([1, 1]), np.array([[0.5, 0.9]]))
    found = calibration_error([fold], stream("test"), 20)
    assert (found.value, found.ci95, found.chance) == (pytest.approx(0.3), None, None)


def test_a_line_that_lies_under_others_is_wider_than_they_are() -> None:
    for count in (1, 2, 7):
        widths = [width for _, _, width in probabilities._drawn([object()] * count)]  # type: ignore[list-item]  # any will do
        assert len(widths) == count
        assert widths[-1] == pytest.approx(1.6)
        assert all(first > second for first, second in itertools.pairwise(widths))
