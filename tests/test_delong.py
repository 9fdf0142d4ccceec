"""DeLong's and Obuchowski's variances: by hand, by their definitions, and by leaving findings out."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from model.evaluation.delong import Areas, clustered_interval, components, delong, groups_by_label, mean_areas
from model.evaluation.intervals import Fold, bootstrap, hanley_mcneil_variance, newcombe
from pipeline.seeds import stream

LABELS = np.array([1, 1, 0, 0])
SCORES = np.array([[3.0, 2, 2, 1], [1, 3, 2, 2]])
"""Method 0 ties one pair and wins three; method 1 loses two pairs and wins two."""


def case(seed: int, *, methods: int = 3, findings: int = 30, groups: int = 12) -> tuple[np.ndarray, ...]:
    """Labels, scores with many ties, and groups that hold both classes."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(findings) % 3 == 0).astype(int)
    scores = random.integers(0, 6, size=(methods, findings)) + 2.0 * labels * (random.random(findings) < 0.5)
    return labels, scores, random.integers(0, groups, findings).astype(str)


def by_definition(
    labels: np.ndarray, scores: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Obuchowski 1997, written down pair by pair and group by group."""
    ones, zeros = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    m, n, k = len(ones), len(zeros), len(scores)

    def duel(row: int, i: int, j: int) -> float:
        return 1.0 if scores[row, i] > scores[row, j] else 0.5 if scores[row, i] == scores[row, j] else 0.0

    areas = [sum(duel(row, i, j) for i in ones for j in zeros) / (m * n) for row in range(k)]
    x, y = {}, {}
    for row, name in product(range(k), set(groups)):
        mine = [i for i in ones if groups[i] == name], [j for j in zeros if groups[j] == name]
        x[row, name] = sum(sum(duel(row, i, j) for j in zeros) / n - areas[row] for i in mine[0])
        y[row, name] = sum(sum(duel(row, i, j) for i in ones) / m - areas[row] for j in mine[1])
    all_groups, with_ones, with_zeros = set(groups), set(groups[ones]), set(groups[zeros])
    i10, i01, i = len(with_ones), len(with_zeros), len(all_groups)
    covariance = np.zeros((k, k))
    for r, s in product(range(k), repeat=2):
        s10 = i10 / ((i10 - 1) * m) * sum(x[r, g] * x[s, g] for g in with_ones)
        s01 = i01 / ((i01 - 1) * n) * sum(y[r, g] * y[s, g] for g in with_zeros)
        s11 = [i / (i - 1) * sum(x[a, g] * y[b, g] for g in all_groups) for a, b in ((r, s), (s, r))]
        covariance[r, s] = s10 / m + s01 / n + sum(s11) / (m * n)
    return np.array(areas), covariance


def by_leaving_out(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The jackknife of both classes, which for an AUROC is DeLong's covariance exactly; areas by sklearn."""
    k = len(scores)
    covariance = np.zeros((k, k))
    full = np.array([roc_auc_score(labels, row) for row in scores])
    for kind in (0, 1):
        members = np.flatnonzero(labels == kind)
        less = []
        for member in members:
            kept = np.arange(len(labels)) != member
            less.append([roc_auc_score(labels[kept], row[kept]) for row in scores])
        away = np.array(less) - full
        covariance += (len(members) - 1) / len(members) * away.T @ away
    return covariance


def test_two_methods_by_hand() -> None:
    """Method 0: pairs 1, 1, 1/2, 1. V10 = (1, 3/4), V01 = (3/4, 1), both of variance 1/32 around 7/8.

    Method 1: pairs 0, 0, 1, 1. V10 = (0, 1) of variance 1/2, V01 = (1/2, 1/2) of variance 0.
    Covariance of the V10: (1/8 · -1/2) + (-1/8 · 1/2) = -1/8, of the V01 0. Each is divided by 2 findings.
    """
    beaten, beating = components(LABELS, SCORES)
    assert beaten.tolist() == [[1, 0.75], [0, 1]]
    assert beating.tolist() == [[0.75, 1], [0.5, 0.5]]
    made = delong(LABELS, SCORES)
    assert made.areas.tolist() == [0.875, 0.5]
    assert made.covariance == pytest.approx(np.array([[1 / 32, -1 / 16], [-1 / 16, 1 / 4]]))
    # The difference of 3/8 has the variance 1/32 + 1/4 + 2/16 = 13/32: t = 0.5883, of two groups of either
    # class and thus one degree of freedom, where p is 1 - 2/pi · atan t and t(.975) is 12.7062.
    assert made.freedom == 1
    interval, p = made.difference(0, 1)
    assert interval == (-1, 1)  # 0.375 ± 8.1
    assert p == pytest.approx(1 - 2 / np.pi * np.arctan(0.375 / (13 / 32) ** 0.5))
    # logit(7/8) = ln 7 = 1.9459; half width 12.706205 · (1/32)^(1/2) / (7/8 · 1/8) = 20.5363.
    low, high = made.interval() or (0, 0)
    assert np.log(low / (1 - low)) == pytest.approx(1.945910 - 20.536267, abs=1e-4)
    assert 1 - high == pytest.approx(np.exp(-1.945910 - 20.536267), rel=1e-4)


def test_groups_by_hand() -> None:
    """Group a holds the better positive (+1/8) and the worse negative (-1/8), b and c one finding each.

    Divided by the 2 of their class they are ±1/16. Positives lie in 2 groups: 2/1 · 2/16² = 4/256, negatives
    too. Both classes lie in 3: 3/2 · (1/16 · -1/16) = -3/512, which counts twice. Together 5/256.
    """
    made = delong(LABELS, SCORES[:1], np.array(["a", "b", "a", "c"]))
    assert made.covariance == pytest.approx(np.array([[5 / 256]]))
    assert made.freedom == 1


def test_degrees_of_freedom_are_of_the_groups_of_the_rarer_class_in_all_folds() -> None:
    """Positives lie in a, b, then b, c, d: four groups; negatives in a, e, f, then e, g, h: five of them."""
    one = Fold(np.array(list("abaef")), np.array([1, 1, 0, 0, 0]), np.arange(5.0)[None])
    other = Fold(np.array(list("bcdegh")), np.array([1, 1, 1, 0, 0, 0]), np.arange(6.0)[None])
    assert groups_by_label([one, other]) == (4, 5)
    assert mean_areas([[one, other]]).freedom == 3


@pytest.mark.parametrize("seed", range(8))
def test_covariance_is_that_of_the_definition_group_by_group(seed: int) -> None:
    labels, scores, groups = case(seed)
    areas, covariance = by_definition(labels, scores, groups)
    made = delong(labels, scores, groups)
    assert made.areas == pytest.approx(areas, abs=1e-12)
    assert made.covariance == pytest.approx(covariance, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_without_groups_it_is_the_jackknife_of_findings(seed: int) -> None:
    labels, scores, _ = case(seed)
    made = delong(labels, scores)
    assert made.areas == pytest.approx([roc_auc_score(labels, row) for row in scores], abs=1e-12)
    assert made.covariance == pytest.approx(by_leaving_out(labels, scores), abs=1e-12)


def test_variance_agrees_with_hanley_and_mcneil_and_with_resampling() -> None:
    """Hanley and McNeil's is of exponential scores, where their formula is exact on average."""
    random = stream("delong", "exponential")
    labels = np.repeat([1, 0], [80, 120])
    scores = random.exponential(np.where(labels == 1, 4.0, 1.0))[None]
    made = delong(labels, scores)
    assert made.covariance is not None
    assert made.areas[0] == pytest.approx(0.8, abs=0.05)
    theirs = hanley_mcneil_variance(float(made.areas[0]), 80, 120)
    assert made.covariance[0, 0] == pytest.approx(theirs, rel=0.2)
    drawn = bootstrap([Fold(np.arange(200).astype(str), labels, scores)], stream("test")).interval
    assert made.interval() == pytest.approx(drawn, abs=0.015)


class TestHeadline:
    def test_it_is_the_logits_with_a_quantile_of_t(self) -> None:
        """Five positive and nine negative patients: t(.975, 4) = 2.776445."""
        labels = np.repeat([1, 0], [5, 9])
        fold = Fold(np.arange(14).astype(str), labels, stream("headline").normal(size=(1, 14)) + labels)
        interval, kind = clustered_interval([fold])
        made = delong(labels, fold.scores)
        assert made.covariance is not None
        area = made.areas[0]
        half = 2.776445 * made.covariance[0, 0] ** 0.5 / (area * (1 - area))
        assert kind == "logit"
        assert interval == pytest.approx(1 / (1 + (1 - area) / area * np.exp([half, -half])), rel=1e-6)

    def test_a_difference_has_the_same_quantile(self) -> None:
        labels = np.repeat([1, 0], [5, 9])
        scores = stream("difference").normal(size=(2, 14)) + labels
        made = delong(labels, scores)
        assert made.covariance is not None
        error = (made.covariance[0, 0] + made.covariance[1, 1] - 2 * made.covariance[0, 1]) ** 0.5
        value = made.areas[0] - made.areas[1]
        interval, p = made.difference(0, 1)
        assert interval == pytest.approx((value - 2.776445 * error, value + 2.776445 * error), rel=1e-6)
        assert p == pytest.approx(2 * stats.t.sf(abs(value) / error, 4))

    @pytest.mark.parametrize("area", [0.0, 1.0])
    def test_separated_classes_have_newcombes_of_as_many_groups(self, area: float) -> None:
        """Eight findings of four patients are no more evidence than four."""
        labels = np.repeat([1, 0], [4, 4])
        groups = np.array(list("aabbccdd"))
        scores = (labels if area else 1 - labels)[None].astype(float)
        assert clustered_interval([Fold(groups, labels, scores)]) == (newcombe(area, 2, 2), "newcombe")

    def test_a_class_of_one_patient_has_newcombes(self) -> None:
        fold = Fold(np.array(list("aabc")), LABELS, SCORES[:1])
        assert clustered_interval([fold]) == (newcombe(0.875, 1, 2), "newcombe")


class TestSeveralRunsAndFolds:
    def test_a_run_that_stands_twice_changes_nothing(self) -> None:
        labels, scores, groups = case(1, methods=1)
        once = mean_areas([[Fold(groups, labels, scores)]])
        twice = mean_areas([[Fold(groups, labels, np.repeat(scores, 2, axis=0))]])
        assert once.areas == pytest.approx(twice.areas)
        assert once.covariance == pytest.approx(twice.covariance)

    def test_a_fold_that_stands_twice_is_no_more_evidence(self) -> None:
        labels, scores, groups = case(2, methods=1)
        fold = Fold(groups, labels, scores)
        assert mean_areas([[fold, fold]]).covariance == pytest.approx(mean_areas([[fold]]).covariance)

    def test_folds_of_other_patients_are_independent(self) -> None:
        """The variance of a mean of two independent values is a quarter of the sum of theirs."""
        folds = []
        for seed in (3, 4):
            labels, scores, groups = case(seed, methods=1)
            folds.append(Fold(np.char.add(f"{seed}-", groups), labels, scores))
        alone = [mean_areas([[fold]]).covariance for fold in folds]
        assert alone[0] is not None
        assert alone[1] is not None
        made = mean_areas([folds])
        assert made.covariance == pytest.approx((alone[0] + alone[1]) / 4)
        assert made.areas == pytest.approx(np.mean([mean_areas([[fold]]).areas for fold in folds]))

    def test_runs_of_a_fold_are_the_mean_of_their_covariances(self) -> None:
        """Of a mean of k runs the variance is the sum of their covariance matrix over k²."""
        labels, scores, groups = case(5, methods=4)
        made = mean_areas([[Fold(groups, labels, scores)]])
        each = delong(labels, scores, groups)
        assert each.covariance is not None
        assert made.covariance == pytest.approx(np.array([[each.covariance.sum() / 16]]))
        assert made.areas == pytest.approx([each.areas.mean()])


def test_methods_that_rank_alike_differ_by_nothing_with_certainty() -> None:
    labels, scores, groups = case(6, methods=1)
    made = delong(labels, np.concatenate([scores, np.exp(scores)]), groups)
    assert made.difference(0, 1) == ((0.0, 0.0), 1.0)


def test_separated_classes_have_no_interval() -> None:
    made = delong(LABELS, np.array([[2.0, 2, 1, 1], [1, 1, 2, 2], [1, 1, 1, 1]]))
    assert made.areas.tolist() == [1.0, 0.0, 0.5]
    assert [made.interval(number) for number in range(3)] == [None, None, None]
    assert made.difference(0, 1) == (None, None)  # different, yet no spread to tell how surely


def test_one_class_is_an_error_and_one_group_a_reason() -> None:
    with pytest.raises(ValueError, match="both classes"):
        delong(np.zeros(4), SCORES)
    made = delong(LABELS, SCORES, np.array(["a", "a", "b", "c"]))
    assert made.areas.tolist() == [0.875, 0.5]
    assert (made.covariance, made.reason) == (None, "a class is of one group alone")
    assert made.interval() is None
    assert made.difference(0, 1) == (None, None)


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_only_ranks_matter(seed: int) -> None:
    labels, scores, groups = case(seed)
    same(delong(labels, scores, groups), delong(labels, np.expm1(scores / 3) * 7 - 2, groups))


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_order_of_findings_and_names_of_groups_do_not_matter(seed: int) -> None:
    labels, scores, groups = case(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    renamed = np.char.add("z", groups[order])
    same(delong(labels, scores, groups), delong(labels[order], scores[:, order], renamed))


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_swapping_methods_negates_the_difference_and_swapping_classes_changes_nothing(seed: int) -> None:
    labels, scores, groups = case(seed)
    made = delong(labels, scores, groups)
    same(made, delong(1 - labels, -scores, groups))
    (interval, p), (mirrored, same_p) = made.difference(0, 1), made.difference(1, 0)
    assert p == same_p
    if interval is not None and mirrored is not None:
        assert interval == (-mirrored[1], -mirrored[0])


def same(one: Areas, other: Areas) -> None:
    assert one.areas == pytest.approx(other.areas, abs=1e-12)
    assert one.covariance == pytest.approx(other.covariance, abs=1e-12)


def normal_set(random: np.random.Generator, patients: int, each: int, share: float) -> Fold:
    """Every patient has ``each`` findings of one label; ``share`` of the spread is the patient's. AUROC .76."""
    groups = np.repeat(np.arange(patients), each)
    labels = (groups % 3 == 0).astype(int)
    own = np.repeat(random.normal(size=patients), each)
    noise = random.normal(size=len(groups))
    return Fold(groups.astype(str), labels, (share**0.5 * own + (1 - share) ** 0.5 * noise + labels)[None])


def test_coverage_of_the_logit_interval_is_better_than_of_the_plain_one() -> None:
    """Small sets (10 positive, 20 negative): of 400 intervals about 95 % hold the truth."""
    truth, random = float(stats.norm.cdf(1 / np.sqrt(2))), stream("delong", "coverage")
    on_logit = plain = 0
    for _ in range(400):
        fold = normal_set(random, 30, 1, 0.0)
        made = delong(fold.labels, fold.scores)
        low, high = made.interval() or (0, 0)
        on_logit += low <= truth <= high
        assert made.covariance is not None
        plain += abs(made.areas[0] - truth) <= 1.959964 * made.covariance[0, 0] ** 0.5
    assert 0.93 <= on_logit / 400 <= 0.99
    assert plain < on_logit


def test_coverage_with_several_findings_per_patient_needs_their_groups() -> None:
    truth, random = float(stats.norm.cdf(1 / np.sqrt(2))), stream("delong", "groups")
    grouped = naive = 0
    for _ in range(300):
        fold = normal_set(random, 45, 4, 0.8)
        for counted, groups in (("grouped", fold.groups), ("naive", None)):
            low, high = delong(fold.labels, fold.scores, groups).interval() or (0, 0)
            if counted == "grouped":
                grouped += low <= truth <= high
            else:
                naive += low <= truth <= high
    assert 0.91 <= grouped / 300 <= 0.99
    assert naive / 300 < 0.80


def test_size_of_the_paired_test() -> None:
    """Two methods of one AUROC on the same findings: of 400 tests about 5 % are below 5 %."""
    random, hits = stream("delong", "size"), 0
    labels = np.repeat([1, 0], [25, 40])
    for _ in range(400):
        shared = random.normal(size=65) + labels
        scores = np.stack([shared + random.normal(size=65) for _ in range(2)])
        _, p = delong(labels, scores).difference(0, 1)
        assert p is not None
        hits += p < 0.05
    assert 0.025 <= hits / 400 <= 0.08
