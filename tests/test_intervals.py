import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from model.evaluation.intervals import (
    Fold,
    bootstrap,
    hanley_mcneil_variance,
    mean_auroc,
    newcombe,
    published_interval,
)
from model.evaluation.metrics import auroc
from pipeline.seeds import stream


def simulated(
    random: np.random.Generator, positives: int, negatives: int, *, shift: float = 1.0, runs: int = 1
) -> Fold:
    """Two normal classes ``shift`` apart, every finding its own group: AUROC is Phi(shift / sqrt 2)."""
    labels = np.repeat([1, 0], [positives, negatives])
    scores = random.normal(size=(runs, len(labels))) + shift * labels
    return Fold(np.arange(len(labels)).astype(str), labels, scores)


def width(fold: Fold) -> float:
    interval = bootstrap([fold], stream("test")).interval
    assert interval is not None
    return interval[1] - interval[0]


def test_mean_is_over_runs_of_all_folds() -> None:
    one = Fold(np.array(["a", "b"]), np.array([1, 0]), np.array([[0.9, 0.1], [0.5, 0.5]]))
    other = Fold(np.array(["c", "d"]), np.array([1, 0]), np.array([[0.1, 0.9]]))
    assert mean_auroc([one, other]) == (1 + 0.5 + 0) / 3


def test_one_class_in_a_fold_leaves_no_mean_and_no_interval() -> None:
    fold = Fold(np.array(["a", "b"]), np.array([0, 0]), np.array([[0.1, 0.2]]))
    assert mean_auroc([fold]) is None
    result = bootstrap([fold], stream("test"))
    assert result.interval is None
    assert result.reason == "a test set holds one class"


def test_interval_equals_resampling_done_one_by_one() -> None:
    """The matrix form against copies of findings written out, on two folds with ties and three runs."""
    random = stream("slow")
    folds = []
    for fold, runs in ((0, 2), (1, 1)):
        labels = np.array([1, 0, 0, 1, 0, 0])
        groups = np.array([f"{fold}p{n // 2}" for n in range(6)])
        folds.append(Fold(groups, labels, random.integers(0, 4, size=(runs, 6)) / 4))
    names = np.unique(np.concatenate([fold.groups for fold in folds]))
    generator, values, redrawn = stream("draw"), [], 0
    while len(values) < 50:
        for row in generator.integers(len(names), size=(256, len(names))):
            drawn = names[row]
            copies = [np.concatenate([np.flatnonzero(f.groups == g) for g in drawn] or [[]]) for f in folds]
            aucs = [
                auroc(fold.labels[chosen.astype(int)], scores[chosen.astype(int)])
                for fold, chosen in zip(folds, copies, strict=True)
                for scores in fold.scores
            ]
            if None in aucs:
                redrawn += 1
                continue
            values.append(np.mean([auc for auc in aucs if auc is not None]))
            if len(values) == 50:
                break
    result = bootstrap(folds, stream("draw"), replicates=50)
    assert result.interval == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-12)
    assert result.redrawn == redrawn > 0


def test_copies_within_a_group_do_not_narrow_the_interval() -> None:
    random = stream("copies")
    single = simulated(random, 15, 25)
    patients = Fold(*(np.repeat(part, 11, axis=-1) for part in (single.groups, single.labels, single.scores)))
    naive = Fold(np.arange(440).astype(str), patients.labels, patients.scores)
    assert width(patients) == pytest.approx(width(single), abs=1e-12)
    assert width(naive) < 0.6 * width(patients)  # eleven copies taken for evidence


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_interval_does_not_depend_on_the_order_of_findings(seed: int) -> None:
    random = np.random.default_rng(seed)
    fold = simulated(random, 4, 15, runs=2)
    order = random.permutation(19)
    shuffled = Fold(fold.groups[order], fold.labels[order], fold.scores[:, order])
    same = bootstrap([shuffled], stream("test"), 200)
    assert same == bootstrap([fold], stream("test"), 200)


def test_one_positive_group_is_redrawn_and_counted() -> None:
    """A group of n is absent from a draw with (1 - 1/n)^n: about 0.35 of the draws for n = 10."""
    result = bootstrap([simulated(stream("rare"), 1, 9)], stream("test"))
    drawn = 2000 + result.redrawn
    assert result.redrawn / drawn == pytest.approx(0.9**10, abs=0.03)


def test_hopeless_draws_end_with_a_reason() -> None:
    folds = [simulated(stream("hopeless", n), 1, 1) for n in range(12)]
    renamed = [Fold(np.char.add(f"f{n}-", f.groups), f.labels, f.scores) for n, f in enumerate(folds)]
    result = bootstrap(renamed, stream("test"), 20)
    assert result.interval is None
    assert "one class" in result.reason


def test_bootstrap_agrees_with_hanley_and_mcneil() -> None:
    fold = simulated(stream("hm"), 60, 90)
    area = auroc(fold.labels, fold.scores[0])
    assert area is not None
    expected = 2 * 1.96 * hanley_mcneil_variance(area, 60, 90) ** 0.5
    assert width(fold) == pytest.approx(expected, rel=0.25)


def test_published_test_set_has_the_published_error() -> None:
    # findings.md 0.4: AUROC 0.80 of 4 positives and 15 negatives has a standard error of about 0.14.
    assert hanley_mcneil_variance(0.8, 4, 15) ** 0.5 == pytest.approx(0.14, abs=0.005)


def test_coverage_of_the_group_bootstrap() -> None:
    """Of 150 simulated test sets with known AUROC about 95 % of the intervals hold it."""
    truth = float(stats.norm.cdf(1 / np.sqrt(2)))
    random, hits = stream("coverage"), 0
    for number in range(150):
        interval = bootstrap([simulated(random, 25, 40)], stream("cover", number), 400).interval
        assert interval is not None
        hits += interval[0] <= truth <= interval[1]
    assert 0.88 <= hits / 150 <= 0.99


def test_twenty_runs_take_less_than_five_seconds() -> None:
    folds = [simulated(stream("fast", n), 60, 120, runs=4) for n in range(5)]
    start = time.process_time()
    bootstrap(folds, stream("test"))
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("sixtieths", "low", "high"),
    [(41, 0.370, 0.882), (43, 0.398, 0.900), (48, 0.474, 0.941), (52, 0.541, 0.969)],
)
def test_published_numbers_say_little(sixtieths: int, low: float, high: float) -> None:
    """Both ends solve (theta - area)² = 1.96² · variance of theta, with 8.5 for 4 - 1 and 15 - 1 (method 5)."""
    area = sixtieths / 60
    interval = published_interval(area)
    assert interval == pytest.approx((low, high), abs=5e-4)
    for end in interval:
        right, left = end / (2 - end) - end**2, 2 * end**2 / (1 + end) - end**2
        variance = (end * (1 - end) + 8.5 * (right + left)) / (4 * 15)
        assert abs(end - area) == pytest.approx(1.959964 * variance**0.5, abs=1e-6)


def test_newcombe_keeps_its_width_where_classes_are_separated() -> None:
    fold = Fold(np.arange(19).astype(str), np.repeat([1, 0], [4, 15]), np.arange(19.0)[::-1][None])
    assert bootstrap([fold], stream("test")).interval == (1.0, 1.0)
    low, high = newcombe(1.0, 4, 15)
    assert high == 1.0
    assert 0.6 < low < 0.9
    assert newcombe(1.0, 40, 150)[0] > low
    mirrored = newcombe(0.3, 7, 7)
    assert newcombe(0.7, 7, 7) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-9)
