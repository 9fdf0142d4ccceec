"""Learners on numbers: what they leave behind gives the scores of scikit-learn, and survives a model file."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import LinearSVC

from model.baselines.learners import KINDS, TREES, Forest, Learner, Neighbours, arrays, from_arrays
from model.baselines.logistic import Measured, Model
from pipeline.errors import EmptyError


def samples(labels: list[int], values: np.ndarray, views: int = 1) -> Measured:
    """``views`` equal samples of each finding; every finding is a group."""
    table = pd.DataFrame({"patient_id": map(str, range(len(labels))), "finding_id": "1", "label": labels})
    table["group_id"] = table["patient_id"]
    finding = np.repeat(np.arange(len(labels)), views)
    return Measured(np.repeat(values, views, axis=0), finding, np.tile(np.arange(views), len(labels)), table)


def noisy(count: int = 80, features: int = 6, shift: float = 1.5) -> Measured:
    """Noise, with a signal in the first feature alone; a third as many positives as negatives."""
    rng = np.random.default_rng(0)
    labels = [int(number % 4 == 0) for number in range(count)]
    values = rng.normal(size=(count, features)) * 3 + 10
    values[:, 0] += 3 * shift * np.array(labels)
    return samples(labels, values, views=2)


NEW = np.random.default_rng(1).normal(size=(40, 6)) * 3 + 10
LEARNERS = [Learner(kind, {"neighbours": 5, "forest": 2}.get(kind, 0.1)) for kind in KINDS]


@pytest.mark.parametrize("learner", LEARNERS, ids=str)
class TestEach:
    def test_it_finds_the_signal_and_scores_are_probabilities(self, learner: Learner) -> None:
        measured = noisy(shift=4.0)
        scores = learner.fit(measured).scores(measured.values)
        assert np.all((scores >= 0) & (scores <= 1))
        assert scores[measured.labels == 1].mean() > scores[measured.labels == 0].mean() + 0.05

    def test_what_it_leaves_behind_survives_a_file_and_knows_missing_numbers(self, learner: Learner) -> None:
        fitted = learner.fit(noisy())
        again = from_arrays(type(fitted).__name__, arrays(fitted))
        np.testing.assert_array_equal(again.scores(NEW), fitted.scores(NEW))
        missing = NEW.copy()
        missing[:, 1] = np.nan
        filled = NEW.copy()
        filled[:, 1] = fitted.median[1]
        np.testing.assert_array_equal(fitted.scores(missing), fitted.scores(filled))

    def test_it_is_the_same_each_time_and_says_what_it_learned(self, learner: Learner) -> None:
        one, other = (learner.fit(noisy()) for _ in range(2))
        np.testing.assert_array_equal(one.scores(NEW), other.scores(NEW))
        assert one.plain([f"f{number}" for number in range(6)])

    def test_one_class_is_refused_in_one_line(self, learner: Learner) -> None:
        with pytest.raises(EmptyError, match="expected training findings of both classes"):
            learner.fit(samples([1, 1, 1], np.arange(3.0)[:, None]))


def standardised(measured: Measured) -> tuple[np.ndarray, np.ndarray]:
    """Training and new numbers on one scale."""
    mean, sd = measured.values.mean(0), measured.values.std(0)
    return (measured.values - mean) / sd, (NEW - mean) / sd


def test_a_forest_of_arrays_scores_as_that_of_scikit_learn() -> None:
    measured = noisy()
    known, new = standardised(measured)
    reference = RandomForestClassifier(
        TREES, min_samples_leaf=3, max_samples=0.5, class_weight="balanced", random_state=0
    )  # of two views
    expected = reference.fit(known, measured.labels).predict_proba(new)[:, 1]
    np.testing.assert_allclose(Learner("forest", 3).fit(measured).scores(NEW), expected, atol=1e-12)


def test_the_support_vector_machine_is_that_of_scikit_learn() -> None:
    measured = noisy()
    known, new = standardised(measured)
    reference = LinearSVC(C=0.01, class_weight="balanced", dual=False, max_iter=10_000)
    decision = reference.fit(known, measured.labels).decision_function(new)
    np.testing.assert_allclose(Learner("svm", 0.01).fit(measured).scores(NEW), 1 / (1 + np.exp(-decision)), atol=1e-3)  # fmt: skip


def test_an_l1_penalty_leaves_features_out_and_half_of_one_fewer() -> None:
    rng = np.random.default_rng(3)
    labels = [0, 1] * 60
    values = rng.normal(size=(120, 30))
    values[:, :2] += np.array(labels)[:, None]
    kept = {
        kind: np.count_nonzero(Learner(kind, 0.1).fit(samples(labels, values)).coefficients)  # type: ignore[attr-defined]
        for kind in ("l1", "elastic_net", "l2")
    }
    assert 1 <= kept["l1"] < kept["elastic_net"] < kept["l2"] == 30


def test_neighbours_vote_as_if_classes_were_equally_frequent() -> None:
    """On a line: zeros at 0, 1, 2, 3, ones at 10 and 11. Each one weighs as two zeros."""
    measured = samples([0, 0, 0, 0, 1, 1], np.array([[0.0], [1], [2], [3], [10], [11]]), views=3)
    fitted = Learner("neighbours", 3).fit(measured)
    assert isinstance(fitted, Neighbours)
    assert fitted.points.shape == (6, 1)  # a finding is one point, however many views it has
    # 0.9: three zeros. 10.4: 10, 11 and 3, weights 2 + 2 of 5. 6.6: 3, 10 and, 4.6 away and so nearer than 11's 4.4?
    # And half a neighbour of either class: 1/2 of 4, and 4/5 of 3 and 1/2 of 4.
    np.testing.assert_allclose(fitted.scores(np.array([[0.9], [10.4]])), [0.5 / 4, 2.9 / 4], atol=1e-9)
    assert Learner("neighbours", 99).fit(measured).scores(np.array([[5.0]]))[0] == pytest.approx(0.5)


def test_equal_votes_of_neighbours_are_equal_scores() -> None:
    """All findings are asked, in another order for each row, so no sum may depend on the order."""
    assert np.unique(Learner("neighbours", 99).fit(noisy()).scores(NEW)).tolist() == [0.5]


class TestArrays:
    """Of a file that somebody damaged or forged."""

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"left": lambda old: np.zeros_like(old)}, "lead nowhere"),
            ({"right": lambda old: old + 10**6}, "lead nowhere"),
            ({"feature": lambda old: np.where(old >= 0, 6, old)}, "lead nowhere"),
            ({"roots": lambda old: old - 1}, "no trees"),
            ({"roots": lambda old: old[:0]}, "no trees"),
            ({"share": lambda old: old[1:]}, "Forest of"),
            ({"mean": lambda old: old[1:]}, "Forest of"),
        ],
    )
    def test_trees_that_could_not_end_or_leave_the_arrays_are_refused(self, change, message) -> None:  # type: ignore[no-untyped-def]
        found = arrays(Learner("forest", 5).fit(noisy()))
        ((name, made),) = change.items()
        with pytest.raises(ValueError, match=message):
            from_arrays("Forest", found | {name: made(found[name])})

    def test_neighbours_that_are_not_there_are_refused(self) -> None:
        found = arrays(Learner("neighbours", 5).fit(noisy()))
        for change in ({"number": np.array(0)}, {"number": np.array(81)}, {"labels": found["labels"] * 0}):
            with pytest.raises(ValueError, match="neighbours"):
                from_arrays("Neighbours", found | change)

    def test_what_no_learner_leaves_behind_is_refused(self) -> None:
        found = arrays(Learner("l2", 1).fit(noisy()))
        with pytest.raises(KeyError):
            from_arrays("Model", {})
        with pytest.raises((KeyError, ValueError)):
            from_arrays("Network", found)
        with pytest.raises(ValueError, match="Model of"):
            from_arrays("Model", found | {"odd": np.zeros(1)})
        assert isinstance(from_arrays("Model", found), Model)
        assert isinstance(from_arrays("Forest", arrays(Learner("forest", 5).fit(noisy()))), Forest)
