"""Choosing and stacking on inner folds: what counts, and that nothing is judged by what it was chosen on."""

import numpy as np
import pandas as pd
import pytest

from model.baselines import learners, stack
from model.baselines.learners import Learner
from model.baselines.logistic import Measured, per_finding
from model.baselines.stack import Candidate, choose, stacked
from model.evaluation.metrics import auroc

L2 = (Learner("l2", 0.01), Learner("l2", 1))


def measured(labels: np.ndarray, columns: np.ndarray, views: int = 2, group: int = 1) -> Measured:
    """Findings (n, features), each with ``views`` equal views; ``group`` neighbours are of one group."""
    number = np.arange(len(labels))
    table = pd.DataFrame({"patient_id": number.astype(str), "finding_id": "1", "label": labels})
    table["group_id"] = (number // group).astype(str)
    return Measured(np.repeat(columns, views, axis=0), np.repeat(number, views), np.tile(np.arange(views), len(labels)), table)  # fmt: skip


def signals(count: int, strengths: dict[str, float], seed: int = 0) -> dict[str, Candidate]:
    """Candidates that each see labels through noise of their own."""
    rng = np.random.default_rng(seed)
    labels = np.tile([0, 1, 0], count)[:count]
    return {
        name: Candidate(measured(labels, rng.normal(size=(count, 3)) + strength * labels[:, None]), L2)
        for name, strength in strengths.items()
    }


class TestStacked:
    def test_weights_add_up_to_one_and_are_never_negative(self) -> None:
        rng = np.random.default_rng(0)
        labels = np.tile([0, 1], 100)
        right = 0.5 + 0.1 * (labels - 0.5) + 0.05 * rng.normal(size=200)
        weights = stacked(np.stack([right, 1 - right, rng.uniform(size=200)], axis=1), labels)
        assert weights.sum() == pytest.approx(1)
        assert weights[0] > 0.8
        assert weights[1] == 0

    def test_of_two_independent_ones_each_counts_by_what_it_tells(self) -> None:
        """Equally good, one on half the scale: its weight is twice that of the other."""
        rng = np.random.default_rng(0)
        labels = np.tile([0, 1], 4000)
        one, other = (0.5 + 0.05 * (labels - 0.5) + 0.1 * rng.normal(size=8000) for _ in range(2))
        weights = stacked(np.stack([one, 0.5 + (other - 0.5) / 2], axis=1), labels)
        assert weights[1] / weights[0] == pytest.approx(2, rel=0.15)
        mixed = auroc(labels, weights @ np.stack([one, 0.5 + (other - 0.5) / 2]))
        assert mixed is not None
        assert mixed > max(auroc(labels, one) or 0, auroc(labels, other) or 0) + 0.02

    def test_who_gives_all_the_same_score_counts_for_nothing(self) -> None:
        labels = np.tile([0, 1], 20)
        assert stacked(np.stack([np.full(40, 0.7), labels * 0.2 + 0.4], axis=1), labels).tolist() == [0, 1]

    def test_without_any_that_helps_all_count_alike(self) -> None:
        labels = np.tile([0, 1], 20)
        wrong = 0.6 - 0.2 * labels
        assert stacked(np.stack([wrong, wrong / 2], axis=1), labels).tolist() == [0.5, 0.5]


class TestChoose:
    def test_a_candidate_of_noise_does_not_count(self) -> None:
        chosen = choose(signals(120, {"noise": 0.0, "signal": 2.0}), 5, 0)
        assert chosen.weights.get("signal", 0) > 0.9
        assert chosen.estimates["signal"] > 0.9 > 0.7 > chosen.estimates["noise"]  # type: ignore[operator]
        assert sum(chosen.weights.values()) == pytest.approx(1)

    def test_two_that_see_different_things_are_stacked_where_that_wins(self) -> None:
        chosen = choose(signals(240, {"one": 0.5, "two": 0.5}), 5, 0)
        assert set(chosen.weights) == {"one", "two"}
        assert chosen.inner == chosen.stack > chosen.best  # type: ignore[operator]

    def test_the_same_twice_is_no_stack_but_the_first(self) -> None:
        one = signals(90, {"one": 1.0})["one"]
        chosen = choose({"one": one, "again": one}, 5, 0)
        assert chosen.weights == {"one": 1.0}
        assert chosen.inner == chosen.best

    def test_too_few_groups_for_folds_take_the_first_candidate_and_the_learner_in_the_middle(self) -> None:
        labels = np.array([0, 0, 0, 1])
        few = Candidate(
            measured(labels, np.arange(4.0)[:, None]), [Learner("l2", value) for value in (1, 2, 3)]
        )
        chosen = choose({"few": few, "more": few}, 5, 0)
        assert (chosen.weights, chosen.learners["few"].setting, chosen.inner) == ({"few": 1.0}, 2, None)
        assert chosen.parts == []

    def test_what_is_promised_of_noise_is_chance_however_many_candidates_there_are(self) -> None:
        """The best of five on all folds looks better than chance; judged on folds that chose nothing it does not."""
        promised, looked = [], []
        for seed in range(8):
            chosen = choose(signals(60, {f"c{number}": 0.0 for number in range(5)}, seed), 3, seed)
            promised.append(chosen.inner)
            looked.append(max(value for value in chosen.estimates.values() if value is not None))
        assert np.mean(looked) > 0.54
        assert abs(float(np.mean(promised)) - 0.5) < 0.05  # type: ignore[arg-type]

    def test_no_score_comes_from_a_fit_that_saw_the_group(self, monkeypatch: pytest.MonkeyPatch) -> None:
        labels = np.tile([0, 0, 1, 1], 10)
        data = measured(labels, np.arange(40.0)[:, None] // 2, group=2)  # a number per group
        seen: list[set[float]] = []

        class Spy:
            def __init__(self, inner: Measured, _: float) -> None:
                self.fitted = set(inner.values[:, 0])

            def scores(self, values: np.ndarray) -> np.ndarray:
                assert not self.fitted & set(values[:, 0])
                seen.append(set(values[:, 0]))
                return values[:, 0] / 100

        monkeypatch.setitem(learners.KINDS, "l2", Spy)
        choose({"a": Candidate(data, L2), "b": Candidate(data, L2)}, 5, 0)
        assert len(seen) == 5 * 2 * 2 * (1 + stack.NESTED)
        assert set().union(*seen) == set(data.values[:, 0])


def test_features_that_know_the_training_labels_are_judged_on_validation() -> None:
    """As those of a network that was trained there: on inner folds they win, and promise what no test keeps."""
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 75)
    training, validation = np.arange(100), np.arange(100, 150)
    known = rng.normal(size=(150, 3))
    known[training] += 5 * labels[training, None]
    clean = rng.normal(size=(150, 3)) + labels[:, None]
    candidates = {
        "known": Candidate(measured(labels, known), L2),
        "clean": Candidate(measured(labels, clean), L2),
    }
    fooled = choose(candidates, 5, 0)
    assert fooled.weights["known"] > 0.3
    assert fooled.inner > 0.85  # type: ignore[operator]
    chosen = choose(candidates, 5, 0, [(training, validation)])
    assert chosen.weights.get("clean", 0) > 0.9
    assert chosen.estimates["known"] < 0.7 < chosen.inner  # type: ignore[operator]


def test_what_a_fold_promises_does_not_know_its_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """With some labels of one fold turned round, the scores that it is judged by stay: nothing had seen them."""
    before = signals(150, {"one": 1.0, "two": 1.0})
    table = before["one"].measured.table
    real, parts = stack.inner_folds, stack.inner_folds(table, 5, 0)
    monkeypatch.setattr(
        stack, "inner_folds", lambda some, *rest: parts if len(some) == 150 else real(some, *rest)
    )
    inside = parts[0][1]
    turned = table["label"].to_numpy().copy()
    turned[inside[:6]] = 1 - turned[inside[:6]]
    after = {
        name: Candidate(Measured(one.measured.values, one.measured.finding, one.measured.view, table.assign(label=turned)), L2)
        for name, one in before.items()
    }  # fmt: skip
    judged: list[np.ndarray] = []

    def noted(measured: Measured, scores: np.ndarray) -> np.ndarray:
        means = per_finding(measured, scores)
        if not np.isnan(means).any() and len(means) == 150:
            judged.append(means)
        return means

    monkeypatch.setattr(stack, "per_finding", noted)
    choose(before, 5, 0)
    first, count = judged[-4:], len(judged)  # the stack, the best, and each of the two
    choose(after, 5, 0)
    second = judged[count:][-4:]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(other[inside], one[inside], atol=1e-6)
        assert np.abs(other - one).max() > 0.01
