"""What a score depends on: squares that are smoothed away, and whom to show."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.inference.saliency import log_odds, occlusion
from model.report.saliency import chosen
from pipeline.classes import Classes

APART = np.array(list("abcdefg"))
TWO, THREE = Classes(("no", "yes")), Classes(("a", "b", "c"))


def sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)))


def test_the_fall_is_that_of_the_log_odds_where_the_squares_are_what_counts() -> None:
    """Ten pixels, squares of 2 in steps of 1; the score looks at the one pixel that is not 0."""
    patch = np.zeros((1, 10, 10), "f4")
    patch[0, 4, 7] = 3.0
    smooth = 3.0 / np.exp(-(np.arange(-8, 9) ** 2) / (2 * 2**2)).sum() ** 2  # 4 widths of 2 to either side
    falls = occlusion(lambda each: sigmoid(each[:, 0, 4, 7].astype("f8"))[:, None], patch)
    assert falls.shape == (1, 10, 10)
    # Each of the 4 squares over the pixel changes the log odds from 3 to what is left, the others by nothing.
    expected = np.zeros((10, 10))
    for top in (3, 4):
        for left in (6, 7):
            expected[top : top + 2, left : left + 2] += (3.0 - smooth) / 4
    np.testing.assert_allclose(falls[0], expected, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(side=st.integers(2, 40), channels=st.integers(1, 3))
def test_every_pixel_is_smoothed_in_a_patch_of_any_side(side: int, channels: int) -> None:
    """A score that falls by 1 wherever anything changes: the map is 1 everywhere."""
    patch = np.random.default_rng(side).normal(size=(channels, side, side)).astype("f4")
    falls = occlusion(lambda each: sigmoid(1.0 * (each == patch).all((1, 2, 3)))[:, None], patch)
    np.testing.assert_allclose(falls, 1.0, atol=1e-9)


def test_what_speaks_against_is_negative_and_a_sure_score_has_an_end() -> None:
    patch = np.ones((1, 20, 20), "f4")
    patch[0, :4] = -1.0
    falls = occlusion(lambda each: sigmoid(each[:, 0, :4].mean((1, 2)).astype("f8"))[:, None], patch)
    assert falls[0, :4].max() < 0
    assert falls[0, 10:].tolist() == np.zeros((10, 20)).tolist()
    assert log_odds(np.array([0.0, 0.5, 1.0])).tolist() == pytest.approx([-20.7233, 0, 20.7233], abs=1e-3)


def test_the_surest_right_and_the_surest_wrong_of_each_class_are_shown() -> None:
    table = pd.DataFrame({"label": [1, 0, 1, 1, 0, 1, 1]})
    scores = np.array([0.9, 0.8, 0.1, 0.5, 0.3, 0.7, 0.9])[:, None]
    assert chosen(TWO, table, scores, APART) == [(0, [0, 6, 3, 2], True), (0, [1, 4], False)]
    scores = np.array([[0.1, 0.9, 0], [0.8, 0.1, 0.1], [0.6, 0.3, 0.1]])
    assert chosen(THREE, pd.DataFrame({"label": [1, 0, 0]}), scores, APART) == [
        (0, [1, 2], True),
        (1, [0], True),
    ]


def test_of_several_labels_those_are_shown_that_are_known_to_have_one() -> None:
    classes = Classes(("x", "y"), multilabel=True)
    table = pd.DataFrame({"label_x": [1, 255, 0], "label_y": [1, 1, 0]})
    assert chosen(classes, table, np.array([[0.2, 0.1], [0.9, 0.8], [0.9, 0.9]]), APART) == [(0, [0], True), (1, [1, 0], True)]  # fmt: skip


def test_of_a_group_one_finding_is_shown_at_either_end() -> None:
    """Three pictures of one tumour have the highest scores; one of another patient the lowest but one."""
    scores = np.array([0.9, 0.8, 0.95, 0.5, 0.4, 0.3])[:, None]
    shown = chosen(TWO, pd.DataFrame({"label": [1] * 6}), scores, np.array(list("aaabbc")))
    assert shown == [(0, [2, 3, 4, 5], True)]
