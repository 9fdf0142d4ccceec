"""The split of the published code, which cuts patients, and the one that leaves nothing to test."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.training import data
from pipeline.errors import LeakError, SplitError
from pipeline.files import SKIPPED_COLUMNS, write_csv
from pipeline.splits import split
from pipeline.splits.split import assign, balanced_views, split_table
from pipeline.store import read_info
from tests.test_split import HOLDOUT, VIEWS, findings_of, store_of

PAPER = HOLDOUT | {"kind": "paper", "validation": 0.2, "test": 0.2}


def command(tmp_path: Path, findings: pd.DataFrame, *words: str) -> Path:
    """Split a store of ``findings`` as the rule does."""
    store = store_of(tmp_path / "p.h5", findings)
    write_csv(tmp_path / "skipped.csv", SKIPPED_COLUMNS, [])
    out = tmp_path / "fold0.csv"
    split.main(["--store", str(store), "--skipped", str(tmp_path / "skipped.csv"), "--out", str(out), *words])
    return out


class TestPaper:
    # Ten patients with a benign and five with a malignant finding; g9 has both. Benign patients in order:
    # g0 … g9, so g8 and g9 test; malignant: g9, g10 … g13, so g9 trains.
    straddling = findings_of([[0]] * 9 + [[0, 1]] + [[1]] * 4)

    def test_each_class_is_cut_in_the_order_of_its_patients(self) -> None:
        splits = assign(self.straddling, **PAPER)
        of = self.straddling.assign(split=splits).groupby(["label", "split"])["group_id"].agg(list).to_dict()
        assert of == {
            (0, "train"): ["g0", "g1", "g2", "g3", "g4", "g5"],
            (0, "validation"): ["g6", "g7"],
            (0, "test"): ["g8", "g9"],
            (1, "train"): ["g9", "g10", "g11"],
            (1, "validation"): ["g12"],
            (1, "test"): ["g13"],
        }

    def test_a_patient_of_both_classes_straddles_as_published_and_never_otherwise(self) -> None:
        both = self.straddling["group_id"] == "g9"
        assert assign(self.straddling, **PAPER)[both].tolist() == ["test", "train"]
        assert assign(self.straddling, **HOLDOUT)[both].nunique() == 1

    @pytest.mark.parametrize(("count", "train", "test"), [(204, 163, 20), (35, 28, 3), (10, 8, 1), (9, 7, 0)])
    def test_shares_are_rounded_down_and_validation_gets_the_rest(
        self, count: int, train: int, test: int
    ) -> None:
        splits = assign(findings_of([[0]] * count), **PAPER | {"validation": 0.1, "test": 0.1})
        assert (
            splits.tolist() == ["train"] * train + ["validation"] * (count - train - test) + ["test"] * test
        )

    def test_validation_and_test_are_balanced_too(self, tmp_path: Path) -> None:
        # The published counts of validation and test: 19 and 8, 15 and 4 lesions.
        labels = [[0]] * (211 + 19 + 15) + [[1]] * (57 + 8 + 4)
        names = np.repeat(["train", "validation", "test"] * 2, [211, 19, 15, 57, 8, 4])
        info = read_info(store_of(tmp_path / "p.h5", findings_of(labels)))
        many = dataclasses.replace(info, views=246)
        numbers = {"majority_views": 60, "evaluation_views": 11, "balance": "views"}
        table = split_table(many, pd.Series(names), **numbers, kind="paper")
        assert table.groupby(["split", "label"])["views"].agg(lambda views: views.unique().item()).to_dict() == {
            ("train", 0): 60, ("train", 1): 222, ("validation", 0): 60, ("validation", 1): 142,
            ("test", 0): 11, ("test", 1): 41,
        }  # fmt: skip
        assert table[table["split"] == "train"].groupby("label")["views"].sum().tolist() == [12660, 12654]
        right = split_table(many, pd.Series(names), **numbers)
        assert set(right.loc[right["split"] != "train", "views"]) == {11}

    def test_support_sets_have_as_many_views_in_validation_as_in_training(self, tmp_path: Path) -> None:
        info = read_info(store_of(tmp_path / "p.h5", findings_of([[0]] * 9 + [[1]] * 9)))
        splits = assign(info.findings, **PAPER)
        table = split_table(info, splits, **VIEWS, training_views=5, kind="paper")
        assert table.groupby("split")["views"].unique().map(list).to_dict() == {
            "train": [5], "validation": [5], "test": [2],
        }  # fmt: skip

    def test_fewer_negatives_give_the_positives_fewer_views(self) -> None:
        labels = np.repeat([0, 1], [10, 40])
        assert balanced_views(labels, 60, 246, paper=True) == {0: 60, 1: 15}
        assert balanced_views(labels, 60, 246) == {0: 240, 1: 60}

    def test_the_leak_is_listed_with_all_names_and_goes_on(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = command(tmp_path, self.straddling, "--kind", "paper")
        assert "LEAK, as published: groups in several splits: g9" in caplog.text
        caplog.clear()
        with pytest.raises(LeakError, match="groups in several splits: g9"):
            data.load([tmp_path / "p.h5"], [path])
        assert list(data.load([tmp_path / "p.h5"], [path], leak="warn")) == ["x"]
        assert "LEAK, as published: groups in several splits: g9" in caplog.text

    def test_a_class_too_small_for_a_test_is_refused_with_counts(self, tmp_path: Path) -> None:
        with pytest.raises(SplitError, match="test findings: 2 of label 0, 0 of label 1"):
            command(tmp_path, findings_of([[0]] * 10 + [[1]] * 4), "--kind", "paper")
        assert not (tmp_path / "fold0.csv").exists()


class TestAll:
    def test_every_finding_trains(self, tmp_path: Path) -> None:
        table = split.read_splits(
            command(tmp_path, findings_of([[0]] * 4 + [[1]] * 2), "--kind", "all", "--majority-views", "2")
        )
        assert set(table["split"]) == {"train"}
        assert table["views"].tolist() == [2] * 4 + [4] * 2

    def test_data_can_be_loaded_and_the_other_parts_are_empty(self, tmp_path: Path) -> None:
        path = command(tmp_path, findings_of([[0]] * 4 + [[1]] * 2), "--kind", "all")
        loaded = data.load([tmp_path / "p.h5"], [path])["x"]
        assert [len(loaded.findings(name)) for name in split.SPLITS] == [6, 0, 0]

    def test_one_class_is_refused_with_counts(self, tmp_path: Path) -> None:
        with pytest.raises(SplitError, match="train findings: 3 of label 0, 0 of label 1"):
            command(tmp_path, findings_of([[0]] * 3), "--kind", "all")


def test_more_folds_than_groups_of_a_class_are_refused_with_counts(tmp_path: Path) -> None:
    with pytest.raises(
        SplitError,
        match="expected at least 6 groups of each label, found groups: 12 of label 0, 5 of label 1",
    ):
        command(tmp_path, findings_of([[0]] * 12 + [[1]] * 5), "--kind", "folds", "--n", "6")
