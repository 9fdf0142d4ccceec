"""A problem after another: which findings each learns from, and that nobody is scored by a fit that knew him."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from model.baselines import mixture
from model.baselines.learners import Learner
from model.baselines.logistic import Measured, some
from model.baselines.problems import asked, held_out, solve
from pipeline.classes import UNKNOWN, Classes
from pipeline.errors import EmptyError

SIGNS = Classes(("mass", "nodule"), multilabel=True)
L2 = [Learner("l2", 0.1)]


def measured(classes: Classes, labels: np.ndarray, values: np.ndarray) -> Measured:
    """Findings (n, features) of one view and one person each, with their labels (n, label columns)."""
    number = np.arange(len(values))
    table = pd.DataFrame(
        {"patient_id": number.astype(str), "finding_id": "1", "group_id": number.astype(str)}
    )
    table[classes.label_columns] = labels
    return Measured(values, number, np.zeros(len(values), int), table, classes)


def signs(count: int = 40) -> Measured:
    """Two features, each telling of a sign; of every fourth finding nobody knows the nodule."""
    rng = np.random.default_rng(0)
    labels = np.stack([np.arange(count) % 2, np.arange(count) // 2 % 2], axis=1)
    values = labels + 0.2 * rng.normal(size=(count, 2))
    labels[3::4, 1] = UNKNOWN
    return measured(SIGNS, labels, values)


def test_classes_are_asked_one_against_the_rest_and_labels_where_they_are_known() -> None:
    three = measured(Classes(("a", "b", "c")), np.array([[0], [1], [2], [1]]), np.zeros((4, 1)))
    found, rows = asked(three, 1)
    assert (found.table["label"].tolist(), rows.tolist()) == ([0, 1, 0, 1], [0, 1, 2, 3])
    found, rows = asked(signs(8), 1)
    assert rows.tolist() == [0, 1, 2, 4, 5, 6]
    assert found.labels.tolist() == [0, 0, 1, 0, 0, 1]
    assert found.finding.tolist() == [0, 1, 2, 3, 4, 5]


def test_what_nobody_knows_is_scored_by_all_and_the_rest_by_fits_that_have_not_seen_it() -> None:
    training = {"one": signs()}
    solved = solve(training, {"one": L2}, 1, 4, 0)
    scores, final = held_out(solved, training, training, 1, []), solved.scores(training)
    unknown = np.arange(40) % 4 == 3
    np.testing.assert_array_equal(scores[unknown], final[unknown])
    assert (scores[~unknown] != final[~unknown]).all()


def test_held_out_scores_are_of_the_final_learners_and_weights_with_other_views() -> None:
    """Learners of single folds would put them on other scales: a penalty of .01 or 1 changes log odds manifold."""
    training = {"one": signs(), "two": signs()}
    settings = [Learner("l2", 0.01), Learner("l2", 1)]
    solved = solve(training, dict.fromkeys(training, settings), 0, 4, 0)
    doubled = {
        name: replace(one, values=np.repeat(one.values, 2, axis=0) + np.tile([[0.0], [0.1]], (40, 1)), finding=np.repeat(one.finding, 2), view=np.tile([0, 1], 40))
        for name, one in training.items()
    }  # fmt: skip
    scores = held_out(solved, training, doubled, 0, [])
    for inside, outside in solved.chosen.parts:
        rows = np.isin(doubled["one"].finding, outside)
        expected = sum(
            weight * solved.chosen.learners[name].fit(some(asked(training[name], 0)[0], inside)).scores(doubled[name].values[rows])
            for name, weight in solved.chosen.weights.items()
        )  # fmt: skip
        np.testing.assert_allclose(scores[rows], expected)


def test_without_inner_folds_the_others_alone_are_learned_from() -> None:
    training = {"one": signs(8)}
    known = np.array([0, 0, 1, UNKNOWN, 0, 0, 0, UNKNOWN])  # one with a nodule: too few for two folds
    training["one"].table["label_nodule"] = known
    solved = solve(training, {"one": L2}, 1, 4, 0)
    assert solved.chosen.inner is None
    scores = held_out(solved, training, training, 1, [(np.arange(4), np.arange(4, 8))])
    alone = L2[0].fit(asked(measured(SIGNS, training["one"].labels[:4], training["one"].values[:4]), 1)[0])
    assert np.isnan(scores[:3]).all()
    np.testing.assert_allclose(scores[4:7], alone.scores(training["one"].values[4:7]))
    assert scores[7] == solved.scores(training)[7]


def test_a_class_that_training_lacks_is_named() -> None:
    three = measured(Classes(("a", "b", "c")), np.array([[0], [1]] * 6), np.zeros((12, 1)))
    with pytest.raises(
        EmptyError, match="expected training findings with c and without, found 12 that are all alike"
    ):
        solve({"one": three}, {"one": L2}, 2, 3, 0)


def test_shares_add_up_and_are_equal_where_no_class_has_any() -> None:
    shares = mixture.as_shares(np.array([[0.2, 0.6, 0.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(shares, [[0.25, 0.75, 0], [1 / 3] * 3])
