import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation.metrics import auroc
from model.evaluation.roc import mean_curve, roc

RUNS = st.lists(st.lists(st.integers(0, 4), min_size=9, max_size=9), min_size=1, max_size=4)
LABELS = [1, 0, 0, 1, 0, 0, 1, 0, 0]


def test_curve_by_hand() -> None:
    # From the top: a positive; then one of each with one score, a slanted line; then the last negative.
    false, true = roc([1, 1, 0, 0], [0.9, 0.5, 0.5, 0.1])
    assert list(false) == [0, 0, 0.5, 1]
    assert list(true) == [0, 0.5, 1, 1]


def test_one_class_has_no_curve() -> None:
    with pytest.raises(ValueError, match="both classes"):
        roc([1, 1], [0.1, 0.2])


def test_mean_of_a_perfect_and_a_worst_curve_is_flat_at_one_half() -> None:
    perfect, worst = roc([1, 0], [1, 0]), roc([1, 0], [0, 1])
    false, true = mean_curve([perfect, worst])
    assert list(zip(false, true, strict=True)) == [(0, 0), (0, 0.5), (1, 0.5), (1, 1)]


@given(RUNS)
def test_area_under_the_mean_is_the_mean_auroc(runs: list[list[int]]) -> None:
    curves = [roc(LABELS, scores) for scores in runs]
    for curve, scores in zip(curves, runs, strict=True):
        assert np.trapezoid(curve[1], curve[0]) == pytest.approx(auroc(LABELS, scores))
    false, true = mean_curve(curves)
    assert (np.diff(false) >= 0).all()
    assert (np.diff(true) >= -1e-12).all()
    assert np.trapezoid(true, false) == pytest.approx(np.mean([auroc(LABELS, scores) for scores in runs]))
