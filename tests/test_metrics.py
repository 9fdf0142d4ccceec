import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from model.evaluation.metrics import auroc, threshold_metrics

TIED_SCORES = st.integers(0, 5).map(lambda n: n / 5)
SETS = st.lists(st.tuples(st.integers(0, 1), TIED_SCORES), min_size=2, max_size=40)


def test_counts_pairs_by_hand() -> None:
    # Positives 0.9 and 0.4 against negatives 0.1, 0.4 and 0.6: 3 of 3 pairs, then 1 and a half of 3.
    assert auroc([1, 1, 0, 0, 0], [0.9, 0.4, 0.1, 0.4, 0.6]) == 4.5 / 6


def test_four_by_fifteen_is_a_multiple_of_one_sixtieth() -> None:
    # The published test set (findings.md 0.4): 4 positives, 15 negatives; 0.80 is 48 of 60 pairs.
    negatives = np.arange(15.0)
    positives = [14.5, 14.5, 11.5, 5.5]  # above 15, 15, 12 and 6 negatives
    assert auroc([1] * 4 + [0] * 15, [*positives, *negatives]) == 48 / 60


def test_one_score_for_all_is_a_coin() -> None:
    assert auroc([1, 0, 0, 1], [0.3] * 4) == 0.5


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
def test_one_class_has_no_auroc(labels: list[int]) -> None:
    assert auroc(labels, [0.5] * len(labels)) is None


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        auroc([0, 1], [0.5, float("nan")])


@given(SETS, st.randoms(use_true_random=False))
def test_agrees_with_sklearn_in_any_order(pairs: list[tuple[int, float]], random) -> None:
    labels, scores = zip(*pairs, strict=True)
    ours = auroc(labels, scores)
    if len(set(labels)) == 1:
        assert ours is None
        return
    assert ours == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    random.shuffle(pairs)
    assert auroc(*zip(*pairs, strict=True)) == ours
    assert auroc([1 - label for label in labels], scores) == pytest.approx(1 - ours, abs=1e-12)


def test_threshold_metrics_by_hand() -> None:
    # One hit, one miss, one false alarm, two right rejections; one half counts as 0.
    assert threshold_metrics([1, 1, 0, 0, 0], [0.8, 0.5, 0.7, 0.5, 0.1]) == {
        "accuracy": 3 / 5,
        "precision": 1 / 2,
        "recall": 1 / 2,
        "f1": 2 / 4,
        "specificity": 2 / 3,
    }


def test_undefined_ratios_are_none() -> None:
    assert threshold_metrics([0, 0], [0.1, 0.2]) == {
        "accuracy": 1.0, "precision": None, "recall": None, "f1": None, "specificity": 1.0,
    }  # fmt: skip
    assert threshold_metrics([1], [0.1]) == {
        "accuracy": 0.0, "precision": None, "recall": 0.0, "f1": 0.0, "specificity": None,
    }  # fmt: skip
    assert set(threshold_metrics([], []).values()) == {None}
