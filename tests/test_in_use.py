"""What a predicted score stands for: a probability, and positive or negative at the thresholds of the runs."""

import numpy as np
import pytest

from model.evaluation.platt import Platt
from model.files.operating import Operating
from model.inference.in_use import Use, as_lines
from pipeline.classes import UNNAMED, Classes

POINT = {"point": "youden", "threshold": 0.5, "sensitivity": 0.8, "sensitivity95": [0.6, 0.9],
         "specificity": None, "specificity95": None}  # fmt: skip
HALF = Platt(1, 0, 0.5)
"""Leaves scores as they are where half of all are positive."""


def run(
    threshold: float, line: Platt | None = HALF, prevalence: float = 0.2, *ends: tuple[float, float, float]
) -> dict[str, Operating]:
    points = (POINT | {"threshold": threshold}, {"point": "sensitivity 0.9", "threshold": 0.7})
    sets = tuple(dict(zip(("coverage", "positive", "negative"), end, strict=True)) for end in ends)
    return {"": Operating(prevalence, line, "" if line else "too few", points, sets)}


def test_a_probability_is_for_the_prevalence_of_training_and_for_another_one() -> None:
    """Odds of .8 are 4. The line of one half is the score itself; one in five are odds of 1/4, one in 101 of 1/100."""
    found = Use(UNNAMED, (run(0.5),), prevalence=1 / 101).of("label 1", np.array([0.8]))
    assert (found["probability"], found["prevalence"]) == (pytest.approx(0.5), 0.2)
    assert found["given"] == {"prevalence": 1 / 101, "probability": pytest.approx(4 / 104)}


def test_an_ensemble_takes_mean_probabilities_and_the_mean_threshold() -> None:
    """Odds of 4 and of 1 by a quarter: 1/2 and 1/5. The mean score is .65, the mean threshold .6."""
    found = Use(UNNAMED, (run(0.5), run(0.7))).of("label 1", np.array([0.8, 0.5]))
    assert found["probability"] == pytest.approx((0.5 + 0.2) / 2)
    youden, sensitive = found["points"]
    assert (youden["threshold"], youden["positive"]) == (pytest.approx(0.6), True)
    assert (sensitive["threshold"], sensitive["positive"]) == (0.7, False)


def test_one_run_without_a_line_leaves_the_ensemble_without_a_probability() -> None:
    found = Use(UNNAMED, (run(0.5), run(0.7, None))).of("label 1", np.array([0.8, 0.5]))
    assert (found["probability"], found["probability_reason"], len(found["points"])) == (None, "too few", 2)


def test_scores_of_several_classes_are_not_calibrated_one_by_one() -> None:
    classes = Classes(("a", "b", "c"))
    found = Use(classes, ({name: run(0.5)[""] for name in classes.names},)).of("b", np.array([0.8]))
    assert found["probability"] is None
    assert found["points"][0]["positive"]


@pytest.mark.parametrize(
    ("score", "positive", "negative", "said"),
    [(0.8, True, False, "positive"), (0.5, True, True, "undecided"), (0.2, False, True, "negative")],
)
def test_a_set_is_what_cannot_be_ruled_out(score: float, positive: bool, negative: bool, said: str) -> None:
    """Two runs whose sets end at .3 and .5 (mean .4), and .5 and .7 (mean .6); one alone has 80 %."""
    runs = run(0.5, HALF, 0.2, (0.9, 0.3, 0.5), (0.8, 0.4, 0.4)), run(0.5, HALF, 0.2, (0.9, 0.5, 0.7))
    found = Use(UNNAMED, runs).of("label 1", np.array([score, score]))
    assert found["sets"] == [{"coverage": 0.9, "positive": positive, "negative": negative}]
    assert as_lines(found)[-1] == f"{said} by a set that holds 90 % of new patients of each class"


def test_what_a_terminal_shows() -> None:
    found = Use(UNNAMED, (run(0.5),), prevalence=0.01).of("label 1", np.array([0.8]))
    assert as_lines(found) == [
        "probability 0.500 where 20 % of all are, as in training",
        "probability 0.039 where 1 % of all are",
        "positive at threshold 0.500, youden in validation; on the test sensitivity 0.800 [0.600, 0.900]",
        "positive at threshold 0.700, sensitivity 0.9 in validation",
    ]
