"""More than two classes, and several labels: losses, balance, regressions, means and their intervals."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from model.baselines.logistic import Measured, Several, choose, fit_any, inner_folds
from model.bootstrap.guess import rankable
from model.evaluation.delong import groups_by_label, mean_areas
from model.evaluation.intervals import Fold, by_split, draw, mean_auroc, weighted_means
from model.evaluation.metrics import aurocs, decisions, macro
from model.evaluation.paired import collect
from model.evaluation.predictions import Predictions
from model.evaluation.summary import describe, folds_of, summarize
from model.training.batches import LoopLoader
from model.training.data import Part
from model.training.losses import loss
from pipeline.classes import UNKNOWN, UNNAMED, Classes
from pipeline.errors import EmptyError, SplitError
from pipeline.seeds import stream

THREE = Classes(("normal", "benign", "malignant"))
SIGNS = Classes(("mass", "nodule"), multilabel=True)


def evaluated(
    classes: Classes, labels: np.ndarray, scores: np.ndarray, fold: int = 0, seed: int = 0
) -> Predictions:
    """A run that gives findings these scores; two findings of each patient."""
    names = [f"p{number // 2}" for number in range(len(labels))]
    table = pd.DataFrame({"patient_id": names, "group_id": names, "finding_id": range(len(labels))}).astype(
        str
    )
    table[classes.label_columns] = labels.reshape(len(labels), -1)
    for what in ("score", "single"):
        table[classes.columns(what)] = scores
    return Predictions(fold, seed, "t", "test", "last", table, classes)


def drawn(number: int, findings: int = 60) -> Predictions:
    """Three classes with scores that tell them apart a little."""
    rng = stream("several", number)
    labels = np.arange(findings) // 2 % 3
    logits = rng.normal(size=(findings, 3)) + np.eye(3)[labels]
    return evaluated(THREE, labels, THREE.probabilities(logits))


class TestMeans:
    def test_each_class_is_ranked_against_the_rest_and_all_weigh_the_same(self) -> None:
        labels = np.array([0, 0, 1, 1, 2, 2])
        scores = np.array(
            [
                [0.6, 0.2, 0.2],
                [0.3, 0.4, 0.3],
                [0.4, 0.5, 0.1],
                [0.1, 0.3, 0.6],
                [0.2, 0.1, 0.7],
                [0.5, 0.1, 0.4],
            ]
        )
        run = describe(evaluated(THREE, labels, scores))
        # normal: .6 beats all four, .3 beats .1 and .2: 6 of 8. benign: .5 beats all, .3 beats .2, .1, .1: 7 of 8.
        # malignant: .7 beats all, .4 beats .2, .3 and .1: 7 of 8.
        assert run["auroc_by"] == {"normal": 6 / 8, "benign": 7 / 8, "malignant": 7 / 8}
        assert run["auroc"] == pytest.approx(20 / 24)
        assert run["accuracy"] == 3 / 6
        assert run["positives_by"] == {"normal": 2, "benign": 2, "malignant": 2}
        assert run["positives"] is None
        assert "precision" not in run

    def test_scikit_learn_finds_the_same(self) -> None:
        run = drawn(0)
        theirs = roc_auc_score(run.findings["label"], run.scores(), multi_class="ovr", average="macro")
        assert describe(run)["auroc"] == pytest.approx(theirs)

    def test_a_label_counts_where_it_is_known(self) -> None:
        labels = np.array([[1, 0], [0, UNKNOWN], [UNKNOWN, 1], [0, 0]])
        scores = np.array([[0.9, 0.5], [0.8, 0.9], [0.1, 0.5], [0.95, 0.1]])
        run = describe(evaluated(SIGNS, labels, scores))
        assert run["auroc_by"] == {"mass": 0.5, "nodule": 0.75}
        assert run["auroc"] == 0.625

    def test_a_class_that_is_missing_leaves_no_mean_and_says_which(self) -> None:
        run = describe(evaluated(THREE, np.array([0, 1, 0, 1]), np.full((4, 3), 1 / 3)))
        assert run["auroc"] is None
        assert run["auroc_reason"] == "malignant: no positive finding among 4"
        assert run["auroc_by"]["normal"] == 0.5

    def test_metrics_of_nothing_are_none(self) -> None:
        assert macro([]) is None
        assert macro([0.5, None]) is None
        assert decisions(THREE, pd.DataFrame({"label": []}), np.empty((0, 3))) == {"accuracy": None}
        assert aurocs(np.empty((0, 2)), np.empty((0, 2))) == [None, None]


class TestIntervals:
    def test_two_classes_asked_about_from_both_sides_are_as_sure_as_one_question(self) -> None:
        rng, groups = stream("sides"), np.repeat(np.arange(20), 2).astype(str)
        labels, scores = rng.integers(0, 2, 40), rng.normal(size=(2, 40))
        one = Fold(groups, labels, scores)
        other = Fold(groups, 1 - labels, -scores, "the other")
        single, both = mean_areas([[one]]), mean_areas([[one, other]])
        assert both.areas == pytest.approx(single.areas)
        # But for the small-sample factors, which positives and negatives exchange.
        assert both.covariance == pytest.approx(single.covariance, rel=0.01)
        assert both.freedom == single.freedom

    def test_the_closed_form_agrees_with_resampled_patients(self) -> None:
        folds = folds_of([drawn(1, 300)])
        spread = weighted_means(folds, draw(folds, stream("drawn"), 2000)).std()
        closed = mean_areas([folds])
        assert closed.covariance is not None
        assert np.sqrt(closed.covariance[0, 0]) == pytest.approx(spread, rel=0.08)

    def test_degrees_of_freedom_are_those_of_the_class_with_the_fewest_groups(self) -> None:
        labels = np.array([0] * 12 + [1] * 12 + [2] * 6)
        run = evaluated(THREE, labels, THREE.probabilities(stream("few").normal(size=(30, 3))))
        folds = folds_of([run])
        assert groups_by_label(folds) == (3, 12)
        assert mean_areas([folds]).freedom == 2

    def test_a_line_has_the_mean_over_classes_and_each_with_its_interval(self) -> None:
        runs = [drawn(number) for number in range(2)]
        line = summarize(runs, stream("score"), 0.3).plain()
        each = [describe(run)["auroc_by"] for run in runs]
        assert line["auroc_by"] == pytest.approx(
            {name: np.mean([one[name] for one in each]) for name in THREE.names}
        )
        assert line["auroc"] == pytest.approx(np.mean(list(line["auroc_by"].values())))
        for name, (low, high) in line["ci95_by"].items():
            assert low < line["auroc_by"][name] < high
        # The classes share their patients, but not all of their errors: the mean is surer than any of them.
        widths = [high - low for low, high in line["ci95_by"].values()]
        assert line["ci95"][1] - line["ci95"][0] < min(widths)
        assert (line["positives"], line["positives_reason"]) == (None, f"{THREE}: see positives_by")

    def test_two_classes_have_no_further_keys(self) -> None:
        run = evaluated(UNNAMED, np.arange(20) % 2, stream("two").uniform(size=(20, 1)))
        assert not [key for key in summarize([run], stream("score"), 0.3).plain() if key.endswith("_by")]
        assert not [key for key in describe(run) if key.endswith("_by")]

    @given(st.integers(0, 50))
    def test_splits_are_averaged_over_their_classes(self, number: int) -> None:
        runs = [drawn(2 * number + fold) for fold in range(2)]
        runs = [
            Predictions(fold, 0, "t", "test", "last", run.findings, THREE) for fold, run in enumerate(runs)
        ]
        folds = folds_of(runs)
        assert [len(split) for split in by_split(folds)] == [3, 3]
        areas = collect("m", runs).areas()
        assert areas is not None
        assert [float(area[0]) for area in areas] == pytest.approx(
            [mean_auroc(split) for split in by_split(folds)]
        )


class TestLosses:
    def test_of_classes_it_is_the_cross_entropy(self) -> None:
        logits, labels = torch.log(torch.tensor([[1.0, 2.0, 5.0], [1.0, 1.0, 2.0]])), torch.tensor([2, 0])
        assert loss(THREE, "logits", logits, labels).item() == pytest.approx((np.log(8 / 5) + np.log(4)) / 2)

    @pytest.mark.parametrize("kind", ["logits", "l1", "mse"])
    def test_a_label_that_nobody_knows_has_no_part_in_it(self, kind: str) -> None:
        logits = torch.tensor([[0.5, -1.0], [2.0, 0.3]], requires_grad=True)
        known = loss(SIGNS, kind, logits, torch.tensor([[1, UNKNOWN], [0, 1]]))
        known.backward()
        assert logits.grad is not None
        assert (logits.grad != 0).tolist() == [[True, False], [True, True]]
        value = logits.detach().sigmoid().numpy()
        errors = {"logits": [-np.log(value[0, 0]), -np.log(1 - value[1, 0]), -np.log(value[1, 1])],
                  "l1": [1 - value[0, 0], value[1, 0], 1 - value[1, 1]],
                  "mse": [(1 - value[0, 0]) ** 2, value[1, 0] ** 2, (1 - value[1, 1]) ** 2]}[kind]  # fmt: skip
        assert known.item() == pytest.approx(np.mean(errors), rel=1e-5)

    def test_a_batch_of_unknown_labels_moves_nothing(self) -> None:
        logits = torch.zeros(2, 2, requires_grad=True)
        loss(SIGNS, "logits", logits, torch.full((2, 2), UNKNOWN)).backward()
        assert logits.grad is not None
        assert not logits.grad.any()


class TestBalance:
    def test_undersampling_takes_as_many_of_each_of_three_classes_in_turn(self) -> None:
        labels = np.array([0] * 9 + [1] * 4 + [2] * 7)
        loader = LoopLoader(labels, 6, "x", balance="undersample")
        indices = np.concatenate([loader.batch(number).numpy() for number in range(len(loader))])
        assert labels[indices].tolist() == [0, 1, 2] * 4
        assert len(set(indices)) == 12

    def test_draws_of_mixed_batches_are_in_balance(self) -> None:
        labels = np.array([0] * 90 + [1] * 5 + [2] * 5)
        taken = labels[LoopLoader(labels, 6, "x", balance="undersample").draw(stream("mix"), 3000)]
        assert np.bincount(taken) / 3000 == pytest.approx(np.full(3, 1 / 3), abs=0.04)

    def test_a_class_without_samples_is_said(self) -> None:
        with pytest.raises(
            SplitError, match=r"expected every class, found classes of \[2, 0, 1\] training samples"
        ):
            LoopLoader(np.array([0, 0, 2]), 2, "x", balance="undersample")


def test_a_search_counts_the_steps_of_a_mean_over_classes() -> None:
    table = pd.DataFrame({"label": [0, 0, 0, 1, 2]})
    part = Part(torch.zeros(5, 1, 1, 1), torch.zeros(5), np.arange(5), np.zeros(5), table, THREE)
    # One against the rest has 3 x 2, 1 x 4 and 1 x 4 pairs: the mean of the three moves by 1/3 of 1/6 at least.
    assert rankable({"three": [part]}) == {"three": 18}
    lacking = Part(
        part.patches, part.labels, part.finding, part.view, table.replace({"label": {2: 1}}), THREE
    )
    with pytest.raises(SplitError, match="three: 5 negative, 0 positive findings to score"):
        rankable({"three": [lacking]})


def measured(classes: Classes, labels: np.ndarray, values: np.ndarray) -> Measured:
    names = [f"p{number}" for number in range(len(labels))]
    table = pd.DataFrame({"patient_id": names, "group_id": names, "finding_id": "1"})
    table[classes.label_columns] = labels.reshape(len(labels), -1)
    return Measured(values, np.arange(len(labels)), np.zeros(len(labels), int), table, classes)


class TestRegressions:
    def test_of_three_classes_it_is_a_softmax(self) -> None:
        rng = stream("softmax")
        labels = np.arange(60) % 3
        values = rng.normal(3, 2, (60, 4)) + np.eye(3, 4)[labels]
        model = fit_any(measured(THREE, labels, values), 0.5)
        standard = (values - values.mean(0)) / values.std(0)
        theirs = LogisticRegression(C=0.5, class_weight="balanced", max_iter=10_000, tol=1e-6).fit(
            standard, labels
        )
        assert model.scores(values) == pytest.approx(theirs.predict_proba(standard), abs=1e-6)

    def test_each_label_is_fitted_on_the_findings_where_it_is_known(self) -> None:
        rng = stream("known")
        labels = rng.integers(0, 2, (80, 2))
        values = rng.normal(size=(80, 3))
        values[:, :2] += labels
        labels[:30, 1] = UNKNOWN
        model = fit_any(measured(SIGNS, labels, values), 1.0)
        assert isinstance(model, Several)
        standard = (values - values.mean(0)) / values.std(0)
        alone = LogisticRegression(C=1.0, class_weight="balanced", max_iter=10_000, tol=1e-6)
        alone.fit(standard[30:], labels[30:, 1])
        assert model.scores(values)[:, 1] == pytest.approx(alone.predict_proba(standard)[:, 1], abs=1e-6)

    def test_its_penalty_is_chosen_by_the_mean_over_classes(self) -> None:
        rng = stream("penalty")
        labels = np.arange(90) % 3
        values = np.concatenate(
            [np.eye(3)[labels] + rng.normal(0, 0.6, (90, 3)), rng.normal(size=(90, 60))], axis=1
        )
        data = measured(THREE, labels, values)
        assert choose(data, [1e-3, 1e3], inner_folds(data.table, 5, 0, THREE)) == 1e-3

    def test_a_class_that_is_missing_is_an_error(self) -> None:
        with pytest.raises(EmptyError, match="4 without one of 3 classes"):
            fit_any(measured(THREE, np.array([0, 1, 0, 1]), np.zeros((4, 2))), 1.0)

    def test_what_json_holds_is_by_class_and_feature(self) -> None:
        labels = np.arange(30) % 3
        model = fit_any(measured(THREE, labels, stream("json").normal(size=(30, 2))), 1.0)
        plain = model.plain(["a", "b"])
        assert list(plain["coefficients"]) == list(plain["intercept"]) == list(THREE.names)
        assert list(plain["coefficients"]["benign"]) == list(plain["mean"]) == ["a", "b"]
