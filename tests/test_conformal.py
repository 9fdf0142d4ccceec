"""Conformal sets: what they promise of a new patient, worked out by hand and by simulation."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.evaluation.conformal import (
    NEGATIVE,
    POSITIVE,
    Sets,
    by_patient,
    calibrate,
    covered_negative,
    covered_positive,
    decided,
    rulings,
    share,
    taken,
    wrong,
)
from model.evaluation.intervals import Fold
from workflow.bench import coverage

BOTH = NEGATIVE + POSITIVE


def test_a_finding_may_be_what_its_score_allows() -> None:
    sets = Sets(positive=0.4, negative=0.6)
    assert sets(np.array([0.3, 0.4, 0.5, 0.6, 0.7])).tolist() == [NEGATIVE, BOTH, BOTH, BOTH, POSITIVE]
    apart = Sets(positive=0.6, negative=0.4)
    assert apart(np.array([0.3, 0.5, 0.7])).tolist() == [NEGATIVE, 0, POSITIVE]


def test_of_nine_patients_the_worst_may_be_left_out_at_ninety_per_cent_and_of_eight_none() -> None:
    """1/10 of nine and a new one is one; 1/10 of nine (eight and a new one) is none."""
    groups, scores = np.arange(9), np.arange(1, 10) / 10
    ones = np.ones(9, int)
    assert calibrate(groups, ones, scores, 0.9).positive == pytest.approx(0.1)
    assert calibrate(groups[:8], ones[:8], scores[:8], 0.9).positive == 0
    assert calibrate(groups, ones, scores, 0.8).positive == pytest.approx(0.2)
    assert calibrate(groups, 1 - ones, scores, 0.8).negative == pytest.approx(0.8)


def test_a_patient_counts_once_with_the_worst_finding_of_the_class() -> None:
    """Three patients: worst positives .2, .5, .7, whatever the negatives of the first score."""
    groups = np.array(["a", "a", "a", "b", "c", "c"])
    labels = np.array([1, 1, 0, 1, 1, 1])
    scores = np.array([0.9, 0.2, 0.95, 0.5, 0.7, 0.8])
    assert calibrate(groups, labels, scores, 0.75).positive == 0.2
    assert calibrate(groups, labels, scores, 0.5).positive == 0.5
    # One patient has a negative: half of two may be left out.
    assert calibrate(groups, labels, scores, 0.5).negative == pytest.approx(0.95)
    assert calibrate(groups, labels, scores, 0.75).negative == 1


def test_a_finding_is_of_the_likelier_class_up_to_the_coverage_at_which_the_other_is_ruled_out() -> None:
    """Three patients with positives of .5, .7, .9, three with negatives of .1, .3, .6. A score of .8 has two of
    them at or below, of four with the new one: p = 3/4; of the negatives none is as high: p = 1/4.
    """
    groups, labels = np.arange(6), np.array([1, 1, 1, 0, 0, 0])
    scores = np.array([0.5, 0.7, 0.9, 0.1, 0.3, 0.6])
    said, sure = rulings(groups, labels, scores, np.array([0.8, 0.2, 0.55]))
    assert said.tolist() == [POSITIVE, NEGATIVE, POSITIVE]
    # .2: positives p = 1/4, negatives (.3 and .6 are no better) 3/4. .55: 2/4 and 2/4.
    assert sure.tolist() == [0.75, 0.75, 0.5]


@example([2, 0], 2, 0.5)  # 1 - (1 - .1) is less than .1
@given(
    st.lists(st.integers(0, 20), min_size=2, max_size=20),
    st.integers(0, 20),
    st.sampled_from([0.5, 0.8, 0.9]),
)
def test_rulings_and_sets_agree(values: list[int], new: int, asked: float) -> None:
    """A class is in the set where it is not ruled out: what is decided in the set is decided by the ruling."""
    scores, labels = np.array(values) / 20, np.arange(len(values)) % 2
    sets = calibrate(np.arange(len(values)), labels, scores, asked)
    said, sure = rulings(np.arange(len(values)), labels, scores, np.array([new / 20]))
    (may_be,) = sets(np.array([new / 20]))
    if may_be in (NEGATIVE, POSITIVE):
        assert said[0] == may_be
        assert sure[0] >= asked - 1e-9
    elif may_be == BOTH:
        assert sure[0] < asked + 1e-9


def test_figures_by_hand() -> None:
    """Positives: covered, undecided, missed; negatives: covered, taken for positive."""
    labels = np.array([1, 1, 1, 0, 0])
    fold = Fold(np.array(list("aabbc")), labels, np.array([[0.9, 0.5, 0.1, 0.2, 0.8]]))
    said = taken(fold, [Sets(0.4, 0.6)])
    (row,) = said.scores
    assert row.tolist() == [POSITIVE, BOTH, NEGATIVE, NEGATIVE, POSITIVE]
    values = {what.__name__: made.value for what in (covered_positive, covered_negative, decided, wrong)
              for made in [what(labels, row)] if made}  # fmt: skip
    assert values == pytest.approx({"covered_positive": 2 / 3, "covered_negative": 1 / 2,
                                    "decided": 4 / 5, "wrong": 2 / 4})  # fmt: skip
    patients = by_patient(said, 1)
    assert patients.groups.tolist() == ["a", "b"]
    assert patients.scores.tolist() == [[1, 0]]
    found = share(patients.labels, patients.scores[0])
    assert found is not None
    assert found.value == 0.5


def test_where_nothing_is_decided_nothing_is_wrong() -> None:
    labels = np.array([1, 0])
    assert wrong(labels, np.array([BOTH, 0.0])) is None


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.sampled_from([0.5, 0.8, 0.9, 0.95]))
def test_the_promise_holds_for_each_patient_as_the_new_one(values: list[int], asked: float) -> None:
    """Left out one at a time: of n + 1 exchangeable patients at least the share asked for is covered, ties and all."""
    scores = np.array(values) / 20
    held = [
        scores[out] >= calibrate(np.arange(len(scores) - 1), np.ones(len(scores) - 1, int), np.delete(scores, out), asked).positive
        for out in range(len(scores))
    ]  # fmt: skip
    assert np.mean(held) >= asked - 1e-12


def test_of_simulated_patients_as_many_are_covered_as_was_asked() -> None:
    random = np.random.default_rng(0)
    held = [coverage.sets(random, 40, 0.7) for _ in range(1500)]
    for name in held[0]:
        # Binomial: three standard errors of 1,500 are .023; about one in forty-one more than asked is left in.
        assert 0.877 < np.mean([one[name] for one in held]) < 0.95
