"""Several classes whose scores become probabilities together."""

import numpy as np
import pandas as pd
import pytest

from model.evaluation import temperature
from model.evaluation.assessed import CALIBRATED, PREVALENCE, Assessed, problems
from model.evaluation.calibration import platt
from model.evaluation.platt import Platt
from model.evaluation.temperature import Temperature
from pipeline.seeds import stream
from tests.test_several_statistics import THREE, evaluated


def test_of_two_classes_it_is_platts_line() -> None:
    rng = stream("temperature", 2)
    labels = rng.integers(0, 2, 40)
    scores = 1 / (1 + np.exp(-rng.normal(size=40) * 2 - labels))
    line, found = platt(labels, scores), temperature.fit(labels, np.stack([1 - scores, scores], axis=1))
    assert isinstance(line, Platt)
    assert isinstance(found, Temperature)
    assert (found.slope, found.intercepts[1]) == pytest.approx((line.slope, line.intercept), rel=1e-4)
    assert found.prevalence[1] == line.prevalence
    both = found(np.array([[0.3, 0.7]]), [0.9, 0.1])
    assert both[0, 1] == pytest.approx(float(line(np.array(0.7), 0.1)), rel=1e-4)


def test_the_temperature_by_hand() -> None:
    """Of five findings that score .6 for a class three are of it. Targets are 6/8 and 1/8, whose means are 1/2 for
    that class and 1/4 for the others: odds of 2 where scores have 3.
    """
    asked = np.repeat([0, 1, 2], 5)
    labels = np.concatenate([[own, own, own, (own + 1) % 3, (own + 2) % 3] for own in range(3)])
    found = temperature.fit(labels, np.where(np.eye(3)[asked] == 1, 0.6, 0.2))
    assert isinstance(found, Temperature)
    assert found.slope == pytest.approx(np.log(2) / np.log(3), rel=1e-5)
    assert found.intercepts == pytest.approx((0, 0, 0), abs=1e-5)
    assert found.prevalence == pytest.approx([1 / 3] * 3)
    assert found(np.array([0.2, 0.6, 0.2])) == pytest.approx([0.25, 0.5, 0.25], rel=1e-4)


def test_other_shares_multiply_the_odds() -> None:
    """.5, .25, .25 by .2, .4, .4 are equal."""
    moved = temperature.as_they_are([1 / 3] * 3)(np.array([0.5, 0.25, 0.25]), [0.2, 0.4, 0.4])
    assert moved == pytest.approx([1 / 3] * 3)


def test_scores_that_are_twice_as_sure_as_they_should_be_are_halved() -> None:
    rng = stream("temperature", 3)
    logits = rng.normal(size=(4000, 3)) + np.array([1.0, 0, -1])
    labels = np.array([rng.choice(3, p=p) for p in THREE.probabilities(logits)])
    found = temperature.fit(labels, THREE.probabilities(2 * logits))
    assert isinstance(found, Temperature)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.intercepts == pytest.approx((0, 0, 0), abs=0.15)


@pytest.mark.parametrize(
    ("labels", "scores", "why"),
    [
        ([0, 0, 1, 1], np.full((4, 3), 1 / 3), "the validation findings lack a class"),
        ([0, 1, 2], np.full((3, 3), 1 / 3), "all validation findings score alike"),
        ([0, 1, 2], (1 - np.eye(3)) / 2, "validation findings score no higher for their own class than for others"),
    ],
)  # fmt: skip
def test_there_is_none_where_validation_says_nothing(labels: list[int], scores: np.ndarray, why: str) -> None:
    assert temperature.fit(np.array(labels), scores) == why


def assessed(training: list[int], *by_views: str, **others: list[int]) -> list[Assessed]:
    """Two runs of three classes with findings of these classes in training, and in other splits.

    The first finding has one view, the next one two, and so on.
    """
    rng = stream("temperature", 4)
    parts = {}
    for part in ("validation", "test"):
        labels = np.arange(30) // 2 % 3
        logits = [3 * (rng.normal(size=(30, 3)) + np.eye(3)[labels]) for _ in range(2)]
        parts[part] = [
            evaluated(THREE, labels, THREE.probabilities(own), seed=seed) for seed, own in enumerate(logits)
        ]
    rows = [(split, label) for split, own in {"train": training, **others}.items() for label in own]
    splits = pd.DataFrame(rows, columns=["split", "label"]).assign(
        dataset="t", fold=0, views=range(1, len(rows) + 1)
    )
    return problems("m", parts, splits, by_views)


def test_probabilities_of_a_finding_add_up_to_1_and_are_for_the_shares_of_training() -> None:
    classes = assessed([0, 1, 1, 2, 2])
    for kind in (PREVALENCE, CALIBRATED):
        folds = [one.tested(kind) for one in classes]
        scores = np.array([fold[0].scores for fold in folds if fold is not None])
        assert scores.shape == (3, 2, 30)
        np.testing.assert_allclose(scores.sum(axis=0), 1)
    plain = np.array([one.test[0].scores for one in classes])
    moved = plain * np.array([0.2, 0.4, 0.4])[:, None, None]
    found = np.array([fold[0].scores for one in classes if (fold := one.tested(PREVALENCE)) is not None])
    np.testing.assert_allclose(found, moved / moved.sum(axis=0), atol=1e-5)
    # Three times too sure: the mean squared error of all classes falls.
    truth = np.array([one.test[0].labels for one in classes])[:, None]
    assert ((scores - truth) ** 2).mean() < ((plain - truth) ** 2).mean()


def test_probabilities_move_from_the_shares_that_a_network_saw() -> None:
    """Views 1, 2 + 3 and 4 + 5 of findings with the shares .2, .4 and .4: by 3, 6/5 and 2/3 of those."""
    classes = assessed([0, 1, 1, 2, 2], "m")
    plain = np.array([one.test[0].scores for one in classes])
    moved = plain * np.array([3, 6 / 5, 2 / 3])[:, None, None]
    found = np.array([fold[0].scores for one in classes if (fold := one.tested(PREVALENCE)) is not None])
    np.testing.assert_allclose(found, moved / moved.sum(axis=0), atol=1e-5)


def test_where_the_split_balances_the_test_probabilities_are_for_its_classes() -> None:
    """Equal scores in .5, .25 and .25 of the test; training has other shares."""
    classes = assessed([0, 1, 1, 2, 2], test=[0, 0, 1, 2], unused=[1])
    plain = np.array([one.test[0].scores for one in classes])
    moved = plain * np.array([0.5, 0.25, 0.25])[:, None, None]
    found = np.array([fold[0].scores for one in classes if (fold := one.tested(PREVALENCE)) is not None])
    np.testing.assert_allclose(found, moved / moved.sum(axis=0), atol=1e-5)
    assert [one.prevalence for one in classes] == [(0.2,), (0.4,), (0.4,)]


def test_a_class_that_training_lacks_leaves_all_without_a_probability() -> None:
    for one in assessed([0, 1, 1]):
        assert one.tested(CALIBRATED) is one.tested(PREVALENCE) is None
        assert one.uncalibrated == "the training findings lack a class"
