"""What a predicted score stands for: a probability, and positive or negative at the thresholds of the runs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from model.evaluation.platt import Platt
from model.files.operating import OperatingSummary
from model.inference.in_use import Use, as_lines, shares_of
from pipeline.classes import UNNAMED, Classes
from pipeline.errors import ConfigError

POINT = {"point": "youden", "threshold": 0.5, "sensitivity": 0.8, "sensitivity95": [0.6, 0.9],
         "specificity": None, "specificity95": None}  # fmt: skip
HALF = Platt(1, 0, 0.5)
"""Leaves scores as they are where half of all are positive."""


def run(
    threshold: float, line: Platt | None = HALF, prevalence: float = 0.2, *ends: tuple[float, float, float]
) -> dict[str, OperatingSummary]:
    points = (POINT | {"threshold": threshold}, {"point": "sensitivity 0.9", "threshold": 0.7})
    sets = tuple(dict(zip(("coverage", "positive", "negative"), end, strict=True)) for end in ends)
    return {"": OperatingSummary(prevalence, line, "" if line else "too few", points, sets)}


def test_a_probability_is_for_the_prevalence_of_training_and_for_another_one() -> None:
    """Odds of .8 are 4. The line of one half is the score itself; one in five are odds of 1/4, one in 101 of 1/100."""
    found = Use(UNNAMED, (run(0.5),), prevalence={"": 1 / 101}).of_each(np.array([[0.8]]))["label 1"]
    assert (found["probability"], found["prevalence"]) == (pytest.approx(0.5), 0.2)
    assert found["given"] == {"prevalence": 1 / 101, "probability": pytest.approx(4 / 104)}


def test_an_ensemble_takes_mean_probabilities_and_the_mean_threshold() -> None:
    """Odds of 4 and of 1 by a quarter: 1/2 and 1/5. The mean score is .65, the mean threshold .6."""
    found = Use(UNNAMED, (run(0.5), run(0.7))).of_each(np.array([[0.8], [0.5]]))["label 1"]
    assert found["probability"] == pytest.approx((0.5 + 0.2) / 2)
    youden, sensitive = found["points"]
    assert (youden["threshold"], youden["positive"]) == (pytest.approx(0.6), True)
    assert (sensitive["threshold"], sensitive["positive"]) == (0.7, False)


def test_one_run_without_a_line_leaves_the_ensemble_without_a_probability() -> None:
    found = Use(UNNAMED, (run(0.5), run(0.7, None))).of_each(np.array([[0.8], [0.5]]))["label 1"]
    assert (found["probability"], found["probability_reason"], len(found["points"])) == (None, "too few", 2)


THREE = Classes(("a", "b", "c"))
SHARES = {"a": 0.2, "b": 0.4, "c": 0.4}
"""Of the classes in training."""


def of_three(
    intercepts: Sequence[float] = (0, 0, 0), *, together: bool = True
) -> dict[str, OperatingSummary]:
    """A run whose temperature is 1, fitted where classes are equally frequent."""
    lines = [Platt(1, intercept, 1 / 3) for intercept in intercepts]
    return {
        name: OperatingSummary(SHARES[name], line, "", (POINT,), together=together)
        for name, line in zip(THREE.names, lines, strict=True)
    }


def test_classes_become_probabilities_together_for_the_shares_of_training_and_for_others() -> None:
    """Scores .5, .25, .25 by shares .2, .4, .4 are equal; by .5, .25, .25 they are 4 : 1 : 1."""
    other = {"a": 0.5, "b": 0.25, "c": 0.25}
    found = Use(THREE, (of_three(),), prevalence=other).of_each(np.array([[0.5, 0.25, 0.25]]))
    assert [found[name]["probability"] for name in THREE.names] == pytest.approx([1 / 3] * 3)
    assert [found[name]["prevalence"] for name in THREE.names] == pytest.approx([0.2, 0.4, 0.4])
    assert [found[name]["given"]["probability"] for name in THREE.names] == pytest.approx([4 / 6, 1 / 6, 1 / 6])  # fmt: skip
    assert as_lines(found["a"], 1)[:2] == [
        "probability 0.333 where 20 % of all are, as in training", "probability 0.667 where 50 % of all are",
    ]  # fmt: skip
    assert not found["a"]["points"][0]["positive"]


def test_an_ensemble_of_classes_takes_mean_probabilities() -> None:
    """The second run doubles the odds of a: 2 : 1 : 1."""
    runs = of_three(), of_three((np.log(2), 0, 0))
    found = Use(THREE, runs).of_each(np.array([[0.5, 0.25, 0.25]] * 2))
    expected = [(1 / 3 + 1 / 2) / 2, (1 / 3 + 1 / 4) / 2, (1 / 3 + 1 / 4) / 2]
    assert [found[name]["probability"] for name in THREE.names] == pytest.approx(expected)


def test_classes_that_were_calibrated_one_by_one_have_no_probability() -> None:
    found = Use(THREE, (of_three(together=False),)).of_each(np.array([[0.5, 0.25, 0.25]]))
    assert {(figures["probability"], figures["probability_reason"]) for figures in found.values()} == {
        (None, "calibrated by an older version: run results/operating.csv again")
    }


def test_a_label_without_a_line_leaves_the_others_their_probability() -> None:
    signs = Classes(("x", "y"), multilabel=True)
    about = {"x": run(0.5)[""], "y": run(0.5, None)[""]}
    found = Use(signs, (about,), prevalence={"x": 0.5}).of_each(np.array([[0.8, 0.8]]))
    assert (found["x"]["probability"], found["x"]["given"]["probability"]) == pytest.approx((0.5, 0.8))
    assert (found["y"]["probability"], found["y"]["probability_reason"]) == (None, "too few")


@pytest.mark.parametrize(
    ("classes", "told", "message"),
    [
        (UNNAMED, {"label 0": 0.5}, "expected one share, of label 1, found label 0"),
        (UNNAMED, 1.0, "expected a share between 0 and 1, found 1"),
        (THREE, 0.5, "expected all of a, b, c, as NAME=SHARE, found 0.5"),
        (THREE, {"a": 0.5, "b": 0.5}, "expected all of a, b, c, as NAME=SHARE, found a, b"),
        (THREE, {"a": 0.5, "b": 0.5, "c": 0.5}, "expected shares that add up to 1, found 1.5"),
        (Classes(("x", "y"), multilabel=True), {"z": 0.5}, "expected some of x, y, as NAME=SHARE, found z"),
    ],
)
def test_shares_that_cannot_be_are_refused(
    classes: Classes, told: float | dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        shares_of(classes, told)


def test_shares_may_be_rounded_and_of_some_labels() -> None:
    assert shares_of(THREE, {"a": 0.333, "b": 0.333, "c": 0.333}) == {"a": 0.333, "b": 0.333, "c": 0.333}
    assert shares_of(Classes(("x", "y"), multilabel=True), {"y": 0.1}) == {"y": 0.1}
    assert shares_of(UNNAMED, {"label 1": 0.1}) == shares_of(UNNAMED, 0.1) == {"": 0.1}


@pytest.mark.parametrize(
    ("score", "positive", "negative", "said"),
    [(0.8, True, False, "positive"), (0.5, True, True, "undecided"), (0.2, False, True, "negative")],
)
def test_a_set_is_what_cannot_be_ruled_out(score: float, positive: bool, negative: bool, said: str) -> None:
    """Two runs whose sets end at .3 and .5 (mean .4), and .5 and .7 (mean .6); one alone has 80 %."""
    runs = run(0.5, HALF, 0.2, (0.9, 0.3, 0.5), (0.8, 0.4, 0.4)), run(0.5, HALF, 0.2, (0.9, 0.5, 0.7))
    found = Use(UNNAMED, runs).of_each(np.array([[score], [score]]))["label 1"]
    assert found["sets"] == [{"coverage": 0.9, "positive": positive, "negative": negative}]
    one = Use(UNNAMED, (run(0.5, HALF, 0.2, (0.9, 0.4, 0.6)),)).of_each(np.array([[score]]))["label 1"]
    assert as_lines(one, 1)[-1] == f"{said} by a set that holds 90 % of new patients of each class"
    mean = "the mean of the 90 % sets of 2 single runs"
    assert as_lines(found, 2)[-1] == f"{said} by {mean}; nothing is promised for the mean"


def test_what_a_terminal_shows() -> None:
    found = Use(UNNAMED, (run(0.5),), prevalence={"": 0.01}).of_each(np.array([[0.8]]))["label 1"]
    assert as_lines(found, 1) == [
        "probability 0.500 where 20 % of all are, as in training",
        "probability 0.039 where 1 % of all are",
        "positive at threshold 0.500, youden in validation; on the test sensitivity 0.800 [0.600, 0.900]",
        "positive at threshold 0.700, sensitivity 0.9 in validation",
    ]


def test_an_ensemble_says_that_the_rates_on_the_test_are_those_of_single_runs() -> None:
    found = Use(UNNAMED, (run(0.5), run(0.7))).of_each(np.array([[0.8], [0.8]]))["label 1"]
    assert as_lines(found, 2)[1:] == [
        "positive at mean threshold 0.600, youden in validation; "
        "on the test, single runs have sensitivity 0.800 [0.600, 0.900]",
        "positive at mean threshold 0.700, sensitivity 0.9 in validation",
    ]


def test_runs_of_several_methods_have_no_rates_on_the_test_in_common() -> None:
    other = replace(run(0.7)[""], points=(POINT | {"threshold": 0.7, "sensitivity": 0.6},))
    (found,) = Use(UNNAMED, (run(0.5), {"": other})).of_each(np.array([[0.8], [0.8]]))["label 1"]["points"]
    assert (found["threshold"], found["sensitivity"]) == (pytest.approx(0.6), None)
    lines = as_lines({"probability": 0.5, "prevalence": 0.5, "points": [found], "sets": []}, 2)
    assert lines[1:] == ["positive at mean threshold 0.600, youden in validation"]
