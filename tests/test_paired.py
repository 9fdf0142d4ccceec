from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from model.evaluation.intervals import Fold, draw
from model.evaluation.paired import (
    Difference,
    Runs,
    Spread,
    UnpairedError,
    bootstrap_p,
    check_paired,
    collect,
    holm,
    pair,
    spread_of,
    subtract,
)
from model.evaluation.predictions import Predictions
from pipeline.seeds import stream


def method(name: str, *folds: list[list[float]], labels: tuple[int, ...] = (1, 1, 0, 0)) -> Runs:
    """Each fold a list of runs; every finding a patient of its own, the same in all folds."""
    keys = [(number, seed) for number, runs in enumerate(folds) for seed in range(len(runs))]
    groups, truth = np.array([f"p{n}" for n in range(len(labels))]), np.array(labels)
    return Runs(name, tuple(keys), tuple(Fold(groups, truth, np.array(runs)) for runs in folds))


def simulated(name: str, seed: int, *, folds: int = 4, seeds: int = 2, skill: float = 1.0) -> Runs:
    """Patients of two findings each, other ones in each fold but for some; scores with ties."""
    made = []
    for number in range(folds):
        random = stream("findings", seed, number)
        groups = np.repeat(random.permutation(20)[:12], 2)
        labels = (groups % 2) ^ (random.random(24) < 0.2)
        noise = stream("scores", seed, number, name).normal(size=(seeds, 24))
        made.append(Fold(groups.astype(str), labels.astype(int), np.round(skill * labels + noise, 1)))
    keys = [(number, start) for number in range(folds) for start in range(seeds)]
    return Runs(name, tuple(keys), tuple(made))


def difference(one: Runs, other: Runs, *, overlap: float = 0.25, replicates: int = 200) -> Difference:
    return subtract(pair([one, other], stream("test"), replicates), 0, 1, overlap=overlap)


RIGHT, HALF, WRONG = [0.9, 0.8, 0.2, 0.1], [0.5, 0.5, 0.5, 0.5], [0.1, 0.2, 0.8, 0.9]
"""AUROC 1, 1/2 and 0 of two positives and two negatives."""


def test_four_splits_of_two_seeds_by_hand() -> None:
    """AUROCs 1, 1/2 and 1, 0 less 1/2, 1/2 and 0, 0, both twice: differences 1/2, 0 and 1, 0.

    Splits 1/4 and 1/2, twice: mean 3/8, s² = 1/48. Four splits that test a quarter of what they train on:
    s² · (1/4 + 1/4) = 1/96. Within splits the squares are twice 1/8 and 1/2, of 4 degrees of freedom: variance
    5/16. Between: 2 · 4/8² / 3 = 1/24, less than within, so no variance of splits.
    """
    made = difference(
        method("a", *[[RIGHT, HALF], [RIGHT, WRONG]] * 2), method("b", *[[HALF, HALF], [WRONG, WRONG]] * 2)
    )
    assert (made.method, made.reference, made.value) == ("a", "b", 0.375)
    half = 3.182446 / 96**0.5
    assert made.corrected95 == pytest.approx((0.375 - half, 0.375 + half), abs=1e-6)
    x = 0.375 * 96**0.5 / 3**0.5  # two-sided p of t with three degrees of freedom, in closed form
    assert made.p_corrected == pytest.approx(1 - 2 / np.pi * (np.arctan(x) + x / (1 + x**2)))
    assert made.spread == Spread(0.0, pytest.approx((5 / 16) ** 0.5))
    # One run has a standard deviation of sqrt(5/16); at any number of splits sqrt(1/4) of it stays.
    least = (1.959964 + 0.841621) * (5 / 64) ** 0.5
    assert made.reasons == {
        "ci95": "it is the same whichever group is left out",
        "runs_needed": "not reachable on these data, where no number of splits finds a difference below"
        f" {least:.3f}",
    }


def test_interval_and_p_are_those_of_resampling_done_one_by_one() -> None:
    """Every draw written out as copies of findings, every AUROC by sklearn, methods subtracted run by run."""
    one, other = simulated("one", 1), simulated("other", 1, skill=0.5)
    draws = draw(one.folds, stream("test"), 60)
    values = []
    for counts in draws.counts:
        runs = []
        for number, own in enumerate(draws.members):
            copies = np.repeat(np.arange(24), counts[own])
            for start in range(2):
                areas = [
                    roc_auc_score(made.folds[number].labels[copies], made.folds[number].scores[start, copies])
                    for made in (one, other)
                ]
                runs.append(areas[0] - areas[1])
        values.append(np.mean(runs))
    made = difference(one, other, replicates=60)
    assert made.bootstrap95 == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-12)
    assert made.sd_groups == pytest.approx(np.std(values, ddof=1))
    below = sum(value <= 1e-12 for value in values)
    assert made.p_groups == pytest.approx(2 * (min(below, 60 - below) + 1) / 61, abs=1e-12)
    every = [
        roc_auc_score(a.labels, x) - roc_auc_score(b.labels, y)
        for a, b in zip(one.folds, other.folds, strict=True)
        for x, y in zip(a.scores, b.scores, strict=True)
    ]
    assert made.value == pytest.approx(np.mean(every))
    free = difference(one, other, overlap=0.0, replicates=60)  # independent splits have the usual t
    assert free.p_corrected == pytest.approx(
        stats.ttest_1samp(np.reshape(every, (4, 2)).mean(axis=1), 0).pvalue
    )


def test_a_method_is_not_different_from_itself() -> None:
    same = simulated("a", 2)
    made = difference(same, Runs("copy", same.keys, same.folds))
    assert made.value == 0
    assert made.ci95 == made.bootstrap95 == made.corrected95 == (0, 0)
    assert made.p_groups == made.p_delong == made.p_corrected == 1
    assert (made.sd_groups, made.spread, made.detectable, made.runs_needed) == (0, Spread(0, 0), 0, 4)


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_swapping_the_methods_negates_the_difference(seed: int) -> None:
    one, other = simulated("one", seed), simulated("other", seed)
    there, back = difference(one, other), difference(other, one)
    assert there.value == -(back.value or 0)
    for kind in ("ci95", "bootstrap95", "corrected95"):
        low, high = getattr(there, kind)
        assert (-high, -low) == pytest.approx(getattr(back, kind), abs=1e-12)
    for kind in ("p_groups", "p_delong", "p_corrected"):
        assert getattr(there, kind) == pytest.approx(getattr(back, kind))
    assert (there.spread, there.runs_needed) == (back.spread, back.runs_needed)


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_order_of_findings_and_other_methods_beside_do_not_matter(seed: int) -> None:
    one, other = simulated("one", seed), simulated("other", seed)
    order = np.random.default_rng(seed).permutation(24)
    shuffled = [
        Runs(
            made.name,
            made.keys,
            tuple(Fold(f.groups[order], f.labels[order], f.scores[:, order]) for f in made.folds),
        )
        for made in (one, other)
    ]
    usual = difference(one, other)
    close(difference(*shuffled), usual)
    three = pair([simulated("third", seed), other, one], stream("test"), 200)
    close(subtract(three, 2, 1, overlap=0.25), usual)


def test_order_of_runs_does_not_matter() -> None:
    def run(fold: int, seed: int) -> Predictions:
        scores = stream("run", fold, seed).random(4)
        table = pd.DataFrame({"patient_id": list("abcd"), "finding_id": "1", "group_id": list("abcd"),
                              "label": [1, 0, 1, 0], "score": scores, "single": scores})  # fmt: skip
        return Predictions(fold, seed, "t", "test", "last", table)

    runs = [run(fold, seed) for fold in (0, 10, 2) for seed in (1, 0)]
    first = collect("a", runs)
    assert first.keys == ((0, 0), (0, 1), (2, 0), (2, 1), (10, 0), (10, 1))
    for order in list(permutations(runs))[::97]:
        again = collect("a", order)
        assert again.keys == first.keys
        assert all((x.scores == y.scores).all() for x, y in zip(again.folds, first.folds, strict=True))


def close(one: Difference, other: Difference) -> None:
    assert (one.method, one.reference) == (other.method, other.reference)
    for kind in (
        "value",
        "ci95",
        "p_delong",
        "bootstrap95",
        "p_groups",
        "sd_groups",
        "corrected95",
        "detectable",
    ):
        assert getattr(one, kind) == pytest.approx(getattr(other, kind), abs=1e-12)
    assert one.spread.seeds == pytest.approx(other.spread.seeds)


class TestWhatCannotBePaired:
    def test_all_missing_runs_are_named_at_once(self) -> None:
        whole = method("typhon", [RIGHT, RIGHT], [RIGHT, RIGHT])
        lacking = Runs("hydra", ((0, 0), (0, 1), (1, 0)), whole.folds)
        other = Runs("joint", ((0, 0), (1, 0), (1, 1)), whole.folds)
        with pytest.raises(UnpairedError) as error:
            check_paired([whole, lacking, other])
        assert str(error.value) == (
            "E-PAIR: expected the same splits, seeds and findings of every method, found no fold 1 seed 1 of hydra,"
            " no fold 0 seed 1 of joint; run what is missing, or compare without that method"
        )

    def test_many_missing_runs_are_counted(self) -> None:
        whole = method("a", *[[RIGHT]] * 9)
        with pytest.raises(UnpairedError, match=r"no fold 5 seed 0 of b, and 3 more;"):
            check_paired([whole, Runs("b", (), ())])

    def test_other_findings_are_refused(self) -> None:
        one = method("a", [RIGHT])
        other = Runs("b", one.keys, (Fold(np.array(list("wxyz")), one.folds[0].labels, one.folds[0].scores),))
        with pytest.raises(UnpairedError, match="other test findings of b than of a"):
            check_paired([one, other])

    def test_one_class_in_a_fold_leaves_no_difference_but_its_reason(self) -> None:
        one, other = (method(name, [RIGHT], labels=(0, 0, 0, 0)) for name in "ab")
        made = difference(one, other)
        assert made == Difference("a", "b", reasons={"difference": "a test set holds one class"})


class TestSpread:
    def test_balanced_by_hand(self) -> None:
        """Means 2 and 6 around 4. Within: 4 · 1 / 2 = 2. Between: 2 · (4 + 4) / 1 = 16 = 2 + 2 · 7."""
        assert spread_of([np.array([1.0, 3]), np.array([5.0, 7])]) == Spread(
            pytest.approx(7**0.5), pytest.approx(2**0.5)
        )
        assert spread_of([np.array([1.0, 3]), np.array([5.0, 7])]).run == pytest.approx(3)

    def test_unbalanced_by_hand(self) -> None:
        """Means 2 (of 2) and 5 (of 1) around 3. Within: 2 / 1. Between: 2 · 1 + 1 · 4 = 6.

        Usual number of seeds: (3 - (4 + 1) / 3) / 1 = 4/3, so (6 - 2) / (4/3) = 3.
        """
        assert spread_of([np.array([1.0, 3]), np.array([5.0])]) == Spread(
            pytest.approx(3**0.5), pytest.approx(2**0.5)
        )

    def test_one_seed_per_split_holds_both(self) -> None:
        made = spread_of([np.array([1.0]), np.array([3.0])])
        assert made == Spread(pytest.approx(2**0.5), None)
        assert made.run == pytest.approx(2**0.5)

    def test_one_split_does_not_say_how_others_differ(self) -> None:
        made = spread_of([np.array([1.0, 3])])
        assert made == Spread(None, pytest.approx(2**0.5))
        assert made.run is None

    def test_it_finds_what_was_put_in(self) -> None:
        """Variances .04² between splits and .03² between seeds; mean of 200 estimates from 10 splits of 5."""
        random, found = stream("spread"), []
        for _ in range(200):
            made = spread_of(list(random.normal(0, 0.04, (10, 1)) + random.normal(0, 0.03, (10, 5))))
            assert made.splits is not None
            assert made.seeds is not None
            found.append((made.splits**2, made.seeds**2))
        assert np.mean(found, axis=0) == pytest.approx([0.04**2, 0.03**2], rel=0.1)


class TestFamilies:
    def test_holm_by_hand(self) -> None:
        """3 · .01, then 2 · .03, then the higher of that and 1 · .04."""
        assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])

    def test_what_is_no_test_does_not_count(self) -> None:
        assert holm([None, 0.02, None, 0.5]) == [None, 0.04, None, 0.5]
        assert holm([0.9, 0.8]) == [1.0, 1.0]

    @given(st.lists(st.floats(0, 1), max_size=8))
    def test_holm_keeps_the_order_and_lies_between_plain_and_bonferroni(self, values: list[float]) -> None:
        adjusted = [value for value in holm(values) if value is not None]
        assert len(adjusted) == len(values)
        for value, more in zip(values, adjusted, strict=True):
            assert value <= more <= min(1, len(values) * value + 1e-15)
        assert [adjusted[n] for n in np.argsort(values)] == sorted(adjusted)


def test_p_of_replicates_by_hand() -> None:
    assert bootstrap_p(np.zeros(99)) == 1
    assert bootstrap_p(np.full(99, 0.1)) == 2 / 100
    assert bootstrap_p(np.array([-0.1] * 4 + [0.1] * 95)) == 2 * 5 / 100
    assert bootstrap_p(np.array([-0.1] * 50 + [0.1] * 49)) == 1


def test_size_of_the_resampled_test() -> None:
    """Two methods of one AUROC on the same 60 findings: of 200 tests about 5 % are below 5 %."""
    random, labels, hits = stream("size"), (1,) * 20 + (0,) * 40, 0
    for number in range(200):
        shared = random.normal(size=60) + np.array(labels)
        one, other = (method(name, [list(shared + random.normal(size=60))], labels=labels) for name in "ab")
        made = subtract(pair([one, other], stream("cover", number), 400), 0, 1, overlap=0.0)
        assert made.bootstrap95 is not None
        assert made.p_groups is not None
        hits += made.p_groups < 0.05
        # Interval and test say the same but for the quantile's interpolation.
        assert (made.p_groups < 0.04) <= (not made.bootstrap95[0] <= 0 <= made.bootstrap95[1])
        assert (made.p_groups > 0.06) <= (made.bootstrap95[0] <= 0 <= made.bootstrap95[1])
    assert 0.02 <= hits / 200 <= 0.10
