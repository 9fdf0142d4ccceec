"""Splits: groups stay whole, classes are present, and leaks are found."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.dataset import match
from pipeline import skipped
from pipeline.classes import UNNAMED, Classes
from pipeline.errors import LeakError, SkippedError, SplitError
from pipeline.files import SKIPPED_COLUMNS, read_csv, write_csv
from pipeline.splits import split
from pipeline.splits.leakage import UNUSED, assert_no_leak
from pipeline.splits.split import SPLITS, assign, balanced_views, read_splits, split_table, thinned
from pipeline.store import read_info, write_store

HOLDOUT = {"kind": "holdout", "n": 1, "validation": 0.2, "test": 0.2, "seed": 0, "fold": 0}
VIEWS = {"majority_views": 4, "evaluation_views": 2, "balance": "views"}


def findings_of(labels: list[list[int]]) -> pd.DataFrame:
    """Findings of groups g0, g1 … with the given labels."""
    rows = [
        {"patient_id": f"g{group}", "group_id": f"g{group}", "finding_id": str(number), "label": label}
        for group, own in enumerate(labels)
        for number, label in enumerate(own)
    ]
    return pd.DataFrame(rows).assign(width_mm=np.nan, height_mm=np.nan)


def store_of(
    path: Path, findings: pd.DataFrame, patches: np.ndarray | None = None, dataset: str = "x"
) -> Path:
    if patches is None:
        patches = np.random.default_rng(0).normal(size=(len(findings), 6, 1, 65, 65)).astype("f4")
    about = {
        "views": 6,
        "dataset": dataset,
        "channels": ["image"],
        "normalization": "series",
        "provenance": {},
    }
    write_store(path, findings, list(patches), **about)
    return path


GROUPS = st.lists(st.lists(st.sampled_from((0, 1)), min_size=1, max_size=4), min_size=1, max_size=40)


@given(GROUPS, st.integers(0, 5))
def test_no_split_cuts_a_group_and_each_has_both_classes(labels: list[list[int]], fold: int) -> None:
    findings = findings_of([[0]] * 5 + [[0, 1]] * 5 + labels)
    for kind, n in (("holdout", 1), ("repeats", 6), ("folds", 5)):
        splits = assign(findings, **HOLDOUT | {"kind": kind, "n": n, "fold": fold % n})
        assert (splits.groupby(findings["group_id"]).nunique() == 1).all()
        worst = findings.groupby("group_id")["label"].max()
        of_group = splits.groupby(findings["group_id"]).first()
        assert pd.crosstab(of_group, worst).loc[list(SPLITS)].to_numpy().min() >= 1


@settings(max_examples=15)
@given(GROUPS, st.integers(0, 5))
def test_groups_that_all_hold_both_labels_are_dealt_by_both(labels: list[list[int]], fold: int) -> None:
    """Slides whose tiles are of both classes: none of them is of label 0 alone."""
    findings = findings_of([[0, 1, *own] for own in labels] + [[0, 1]] * 5)
    for kind, n in (("holdout", 1), ("folds", 5)):
        splits = assign(findings, **HOLDOUT | {"kind": kind, "n": n, "fold": fold % n})
        assert (splits.groupby(findings["group_id"]).nunique() == 1).all()
        assert pd.crosstab(splits, findings["label"]).loc[list(SPLITS)].to_numpy().min() >= 1


@given(st.randoms())
def test_the_order_of_findings_does_not_matter(random: object) -> None:
    findings = findings_of([[0], [1], [0, 1]] * 8)
    mixed = findings.sample(frac=1, random_state=random.randrange(1000))  # type: ignore[attr-defined]
    pd.testing.assert_series_equal(assign(findings, **HOLDOUT), assign(mixed, **HOLDOUT).sort_index())


def test_holdout_takes_the_fractions_of_each_stratum() -> None:
    findings = findings_of([[0]] * 30 + [[1]] * 10)
    table = pd.crosstab(assign(findings, **HOLDOUT), findings["label"])
    assert table.to_dict() == {
        0: {"test": 6, "train": 18, "validation": 6},
        1: {"test": 2, "train": 6, "validation": 2},
    }


def test_folds_rotate_so_that_each_group_is_tested_once() -> None:
    findings = findings_of([[0]] * 12 + [[1]] * 7)
    tests = [
        set(
            findings["group_id"][
                assign(findings, **HOLDOUT | {"kind": "folds", "n": 5, "fold": fold}) == "test"
            ]
        )
        for fold in range(5)
    ]
    assert sum(map(len, tests)) == 19
    assert set.union(*tests) == set(findings["group_id"])


def test_repeats_are_independent_and_reproducible() -> None:
    findings = findings_of([[0]] * 30 + [[1]] * 30)
    draws = [assign(findings, **HOLDOUT | {"kind": "repeats", "n": 3, "fold": fold}) for fold in (0, 1, 0)]
    assert (draws[0] == draws[2]).all()
    assert not (draws[0] == draws[1]).all()


def test_too_few_groups_of_a_class_are_counted_in_the_message() -> None:
    with pytest.raises(SplitError, match="8 of label 0, 2 of label 1"):
        assign(findings_of([[0]] * 8 + [[1]] * 2), **HOLDOUT)


def test_a_split_whose_positives_sit_in_other_findings_still_needs_both_labels(tmp_path: Path) -> None:
    # Every group is positive by its worst label, but has one negative finding only in train.
    findings = findings_of([[1]] * 8 + [[0]] * 3)
    splits = pd.Series(["train"] * 6 + ["validation", "test"] + ["train"] * 3)
    info = read_info(store_of(tmp_path / "p.h5", findings))
    with pytest.raises(SplitError, match="validation findings: 0 of label 0, 1 of label 1"):
        split_table(info, splits, **VIEWS)


@settings(max_examples=20)
@given(st.integers(2, 30), st.integers(1, 9), st.integers(1, 9), st.randoms())
def test_a_balanced_test_has_all_of_the_smaller_class_and_as_many_others(
    negatives: int, positives: int, seed: int, random: object
) -> None:
    labels = [[0]] * negatives + [[1]] * positives
    findings = pd.concat([findings_of(labels)] * 3, ignore_index=True)
    splits = pd.Series(np.repeat(SPLITS, len(labels)))
    found = thinned(findings, splits, UNNAMED, ["x", seed])
    assert (found[splits == "train"] == "train").all()
    few = min(negatives, positives)
    for name in ("validation", "test"):
        assert findings["label"][found == name].value_counts().to_dict() == {0: few, 1: few}
        assert {*found[splits == name]} <= {name, UNUSED}
    order = findings.sample(frac=1, random_state=random.randrange(1000)).index  # type: ignore[attr-defined]
    mixed = thinned(findings.loc[order], splits[order], UNNAMED, ["x", seed])
    pd.testing.assert_series_equal(mixed.sort_index(), found)


def test_a_balanced_test_of_several_labels_is_the_whole_test() -> None:
    findings = pd.DataFrame({"label_a": [0, 0, 1], "label_b": [0, 1, 1]})
    splits = pd.Series(["test"] * 3)
    assert thinned(findings, splits, Classes(("a", "b"), multilabel=True), ["x"]).tolist() == ["test"] * 3


def test_what_a_balanced_test_leaves_out_is_listed_and_seen_by_nobody(tmp_path: Path) -> None:
    """Patients with two findings of label 0 in the test: one of the findings may be used and the other not."""
    store = store_of(tmp_path / "p.h5", findings_of([[0, 0]] * 20 + [[1]] * 10))
    write_csv(tmp_path / "skipped.csv", SKIPPED_COLUMNS, [])
    out = tmp_path / "fold0.csv"
    words = ["--store", str(store), "--skipped", str(tmp_path / "skipped.csv"), "--out", str(out)]
    words += ["--majority-views", "2", "--evaluation-views", "2", "--test", "0.4"]
    split.main(words)
    whole = read_splits(out)
    split.main([*words, "--evaluation", "balanced"])
    table = read_splits(out)
    # .4 of 20 and of 10 patients are 8, with 16 findings, and 4; .2 are 4, with 8, and 2.
    counts = pd.crosstab(table["split"], table["label"])
    assert counts.loc[["validation", "test", UNUSED]].to_numpy().tolist() == [[2, 2], [4, 4], [18, 0]]
    used = table["split"] != UNUSED
    assert (table["split"][used] == whole["split"][used]).all()
    loaded = match(read_info(store), out).table
    assert loaded[["patient_id", "finding_id"]].to_numpy().tolist() == (
        table[["patient_id", "finding_id"]][used].to_numpy().tolist()
    )


def test_published_balance_rule() -> None:
    # 211 negatives at 60 views and 57 positives at floor(60·211/57) = 222 (Hydra's logs); 19 and 8: 142.
    assert balanced_views(np.repeat([0, 1], [211, 57]), 60, 246) == {0: 60, 1: 222}
    assert balanced_views(np.repeat([0, 1], [19, 8]), 60, 246) == {0: 60, 1: 142}


def test_the_minority_may_be_the_negatives_and_is_clipped_to_what_is_stored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert balanced_views(np.repeat([0, 1], [10, 100]), 60, 246) == {0: 246, 1: 60}
    assert "600 views would balance" in caplog.text


def test_views_balance_training_only(tmp_path: Path) -> None:
    findings = findings_of([[0]] * 12 + [[1]] * 6)
    info = read_info(store_of(tmp_path / "p.h5", findings))
    table = split_table(info, assign(findings, **HOLDOUT), **VIEWS | {"majority_views": 2})
    train = table[table["split"] == "train"]
    assert train.groupby("label")["views"].first().to_dict() == {0: 2, 1: 4}  # 8 negatives, 4 positives
    assert set(table.loc[table["split"] != "train", "views"]) == {2}


def test_as_many_views_of_every_finding_as_published_for_the_support_sets(tmp_path: Path) -> None:
    findings = findings_of([[0]] * 12 + [[1]] * 6)
    info = read_info(store_of(tmp_path / "p.h5", findings))
    table = split_table(info, assign(findings, **HOLDOUT), **VIEWS, training_views=5)
    assert set(table.loc[table["split"] == "train", "views"]) == {5}


def test_a_group_in_two_splits_is_a_leak_with_its_name(tmp_path: Path) -> None:
    findings = findings_of([[0, 0], [1], [1]])
    store = store_of(tmp_path / "p.h5", findings)
    table = findings.assign(split=["train", "test", "train", "test"], views=1)
    with pytest.raises(LeakError, match="groups in several splits: g0"):
        assert_no_leak(store, table)


def test_an_identical_image_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    findings = findings_of([[0], [1], [1]])
    patches = np.random.default_rng(0).normal(size=(3, 6, 1, 65, 65)).astype("f4")
    patches[2, 0] = patches[0, 0]  # the same un-augmented image under another patient
    store = store_of(tmp_path / "p.h5", findings, patches)
    with pytest.raises(LeakError, match="images like in several splits: g0 0 = g2 0"):
        assert_no_leak(store, findings.assign(split=["train", "train", "test"], views=1))
    assert_no_leak(store, findings.assign(split=["train", "test", "train"], views=1))


def test_copies_of_one_image_are_told_with_what_helps(tmp_path: Path) -> None:
    patches = np.ones((10, 6, 1, 65, 65), "f4")
    store = store_of(tmp_path / "p.h5", findings_of([[0]] * 5 + [[1]] * 5), patches)
    write_csv(tmp_path / "skipped.csv", SKIPPED_COLUMNS, [])
    with pytest.raises(LeakError, match="found images like in several splits: g0 0 = g9 0; give copies of"):
        split.main(
            f"--store {store} --skipped {tmp_path}/skipped.csv --majority-views 2 --out {tmp_path}/f".split()
        )


def skipped_table(path: Path, kinds: list[tuple[str, str, str]]) -> Path:
    rows = [
        {"kind": kind, "patient_id": patient, "finding_id": "1", "channel": channel, "code": "E-X"}
        for kind, patient, channel in kinds
    ]
    write_csv(path, SKIPPED_COLUMNS, rows)
    return path


def test_failures_count_findings_once_and_exclusions_not_at_all(tmp_path: Path) -> None:
    path = skipped_table(
        tmp_path / "skipped.csv", [("failed", "a", "t2"), ("failed", "a", "adc"), ("excluded", "b", "")]
    )
    skipped.check(path, 1)
    with pytest.raises(
        SkippedError, match=r"skipped\.csv: expected at most 0 failed \(max_skipped\), found 1 \(2 × E-X\)"
    ):
        skipped.check(path, 0)


def test_a_file_that_the_user_excludes_has_not_failed(tmp_path: Path) -> None:
    files = ["yes/a.HEIC", "HEIC/b.dcm"]  # a folder of that name says nothing
    rows = [{"step": "index", "kind": "failed", "file": file, "code": "E-X"} for file in files]
    rows.append({"step": "slices", "kind": "failed", "patient_id": "p", "file": "c.HEIC", "code": "E-X"})
    write_csv(tmp_path / "index.csv", SKIPPED_COLUMNS, rows)
    call = ["--tables", str(tmp_path / "index.csv"), "--out", str(tmp_path / "skipped.csv")]
    skipped.main([*call, "--exclude", "HEIC$"])
    assert read_csv(tmp_path / "skipped.csv")["kind"].tolist() == ["excluded", "failed", "failed"]
    skipped.main(call)
    assert set(read_csv(tmp_path / "skipped.csv")["kind"]) == {"failed"}
    write_csv(tmp_path / "index.csv", SKIPPED_COLUMNS, [])  # as where every file is an image
    skipped.main([*call, "--exclude", "HEIC$"])
    assert read_csv(tmp_path / "skipped.csv").empty


def test_too_many_failures_stop_the_split_and_write_nothing(tmp_path: Path) -> None:
    store = store_of(tmp_path / "p.h5", findings_of([[0]] * 5 + [[1]] * 5))
    table = skipped_table(tmp_path / "skipped.csv", [("failed", "a", "")])
    call = ["--store", str(store), "--skipped", str(table), "--out", str(tmp_path / "fold0.csv")]
    with pytest.raises(SkippedError, match=r"^E-SKIPPED .*skipped\.csv: "):
        split.main(call)
    assert not (tmp_path / "fold0.csv").exists()
    split.main([*call, "--max-skipped", "1", "--majority-views", "2"])
    assert list(split.read_splits(tmp_path / "fold0.csv").columns) == list(split.COLUMNS)


@pytest.mark.parametrize(
    ("groups", "validation", "test", "parts"),
    [
        (3, 0.2, 0.5, [1, 1, 1]), (3, 0.5, 0.2, [1, 1, 1]), (3, 0.5, 0.5, [1, 1, 1]), (3, 0.1, 0.9, [1, 1, 1]),
        (4, 0.4, 0.6, [1, 1, 2]), (10, 0.1, 0.2, [7, 1, 2]),
    ],
)  # fmt: skip
def test_rounding_leaves_each_split_a_group(
    groups: int, validation: float, test: float, parts: list[int]
) -> None:
    findings = findings_of([[0]] * groups + [[1]] * groups)
    splits = assign(findings, **HOLDOUT | {"validation": validation, "test": test})
    for label in (0, 1):
        found = splits[findings["label"] == label].value_counts()
        assert [found.get(name, 0) for name in ("train", "validation", "test")] == parts
