"""Budgets: which findings a method may learn from, and learning curves over them."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.baselines import fit
from model.budget import within
from model.dataset import load
from model.evaluation import predictions
from model.report import learning
from pipeline.errors import SplitError
from pipeline.files import read_csv
from tests.stores import make_store
from tests.test_workflow import DEMO, bare_project, plan, snakemake
from workflow.config import checked
from workflow.plan import curve, training


def table(
    train: int, validation: int, test: int = 4, *, positives: int = 2, per_group: int = 1
) -> pd.DataFrame:
    """A split table in which every ``positives``-th finding is positive."""
    splits = ["train"] * train + ["validation"] * validation + ["test"] * test
    places = [*range(train), *range(validation), *range(test)]
    groups = [f"{split}{place // per_group}" for split, place in zip(splits, places, strict=True)]
    return pd.DataFrame({
        "patient_id": groups, "group_id": groups, "finding_id": [str(place % per_group) for place in places],
        "label": [int(place % positives == 0) for place in places], "split": splits,
    })  # fmt: skip


def counts(kept: pd.DataFrame) -> dict[tuple[str, int], int]:
    return kept.groupby(["split", "label"]).size().to_dict()


def test_both_splits_and_classes_keep_their_share_and_the_test_is_as_it_was() -> None:
    kept = within(table(30, 10, positives=5), "a", {"a": 20})
    # 20 of 40: 15 of 30 and 5 of 10, of which a fifth is positive
    assert counts(kept) == {
        ("train", 0): 12, ("train", 1): 3, ("validation", 0): 4, ("validation", 1): 1, ("test", 0): 3, ("test", 1): 1,
    }  # fmt: skip


def test_a_data_set_without_a_budget_is_as_it_was() -> None:
    everything = table(10, 5)
    assert within(everything, "a", {"b": 4}) is everything


@settings(max_examples=30)
@given(st.integers(8, 40), st.integers(4, 20), st.integers(1, 4), st.data())
def test_a_small_budget_is_part_of_a_larger_one_whatever_the_order(
    train: int, validation: int, per_group: int, data: st.DataObject
) -> None:
    everything = table(train, validation, per_group=per_group).assign(label=0)
    small, large = sorted(data.draw(st.lists(st.integers(8, train + validation), min_size=2, max_size=2)))
    shuffled = everything.sample(frac=1, random_state=data.draw(st.integers(0, 9)))
    kept = [set(within(one, "a", {"a": n}).index) for one, n in ((everything, small), (shuffled, large))]
    assert kept[0] <= kept[1]
    assert [len(one) for one in kept] == [small + 4, large + 4]


def test_groups_are_taken_one_after_another() -> None:
    kept = within(table(24, 8, per_group=4), "a", {"a": 16})
    sizes = kept[kept["split"] == "train"].groupby("group_id").size()
    assert sizes.tolist() == [4, 4, 4]


def test_numbers_that_are_drawn_anew_have_no_more_in_common_than_luck_has_it() -> None:
    everything = table(200, 100).assign(label=0)
    kept = [within(everything, "a", {"a": n}, ["anew"]) for n in (60, 60, 120)]
    pd.testing.assert_frame_equal(kept[0], kept[1])
    counts = [kept[n]["split"].value_counts().to_dict() for n in (0, 2)]
    assert counts == [{"train": 40, "validation": 20, "test": 4}, {"train": 80, "validation": 40, "test": 4}]
    small, large = ({*kept[n].index[kept[n]["split"] != "test"]} for n in (0, 2))
    # 60 and 120 of 300 have 24 in common on average, with a standard deviation of 3.4
    assert 10 <= len(small & large) <= 38


def test_a_budget_of_training_findings_leaves_validation_as_it_is() -> None:
    kept = within(table(30, 10, positives=5), "a", {"a": 20}, ["training"])
    assert counts(kept) == {
        ("train", 0): 16, ("train", 1): 4, ("validation", 0): 8, ("validation", 1): 2, ("test", 0): 3, ("test", 1): 1,
    }  # fmt: skip
    with pytest.raises(SplitError, match="expected at least 31, found 30 training findings"):
        within(table(30, 10), "a", {"a": 31}, ["training"])


@pytest.mark.parametrize(("number", "found"), [(6, (3, 3)), (20, (14, 6)), (30, (24, 6))])
def test_as_many_of_each_class_as_long_as_there_are_some(number: int, found: tuple[int, int]) -> None:
    """A fifth of 30 training findings, six, are positive."""
    kept = within(table(30, 10, positives=5), "a", {"a": number}, ["training", "equal"])
    assert tuple(counts(kept)["train", label] for label in (0, 1)) == found


@pytest.mark.parametrize(
    ("number", "views"),
    [
        (20, {0: 4, 1: 4}),  # ten of each
        (36, {0: 4, 1: 5}),  # the 16 positive ones that there are and 20 others: 80 views of each
        (48, {0: 4, 1: 8}),  # 16 and 32
    ],
)
def test_views_balance_the_classes_within_a_budget_of_equal_ones(number: int, views: dict[int, int]) -> None:
    """The split has 16 positive findings of 80, so it grants them four times as many views."""
    whole = table(80, 10, positives=5)
    whole["views"] = np.where(whole["split"] == "train", np.where(whole["label"] == 1, 16, 4), 11)
    kept = within(whole, "a", {"a": number}, ["training", "equal"])
    train = kept[kept["split"] == "train"]
    assert train.groupby("label")["views"].unique().explode().to_dict() == views
    assert set(kept.loc[kept["split"] != "train", "views"]) == {11}


@pytest.mark.parametrize("way", ["equal", "training"])
def test_a_small_budget_is_part_of_a_larger_one_in_other_ways_too(way: str) -> None:
    everything = table(40, 20, positives=4, per_group=2)
    kept = [{*within(everything, "a", {"a": n}, [way]).index} for n in (12, 20, 36)]
    assert kept[0] < kept[1] < kept[2]


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(
        SplitError, match="budget of a: expected at least 16, found 15 training and validation"
    ):
        within(table(10, 5), "a", {"a": 16})


def test_a_budget_that_loses_a_class_is_refused() -> None:
    with pytest.raises(SplitError, match=r"found \d validation findings, which lack a class; raise it"):
        within(table(40, 10, positives=5), "a", {"a": 8})


def test_data_sets_are_read_within_their_budget(tmp_path) -> None:
    stores, splits = zip(*(make_store(tmp_path, name, train=8, validation=4) for name in "ab"), strict=True)
    found = load(stores, splits, budget={"b": 6})
    assert [len(found[name].findings("train")) for name in "ab"] == [8, 4]
    assert [len(found[name].findings("validation")) for name in "ab"] == [4, 2]
    assert [len(found[name].findings("test")) for name in "ab"] == [4, 4]
    assert np.array_equal(found["b"].table.index, range(10))


CURVE = ("--config", "methods=[probe, typhon]", "curve={methods: [probe, typhon], findings: [20, 30]}")


@pytest.fixture
def project(tmp_path):
    return bare_project(tmp_path)


class TestCurve:
    def test_each_number_is_a_run_of_its_own_and_all_findings_another(self, project) -> None:
        rules = plan(project, *DEMO, *CURVE, "curve")
        assert rules["fit_probe"] == rules["train_model"] == rules["predict_findings"] == 3
        # Training and heads see fewer findings, so each number has its own start.
        assert rules["bootstrap_network"] == 3
        assert rules["split_findings"] == 3
        assert rules["draw_learning_curves"] == 1

    def test_it_is_no_part_of_all(self, project) -> None:
        assert "draw_learning_curves" not in plan(project, *DEMO, *CURVE)

    def test_the_budget_reaches_every_step_that_reads_findings(self, project) -> None:
        printed = snakemake(project, *DEMO, *CURVE, "curve", "-np")
        commands = re.findall(r"workflow\.job logs/results/curve/\S+ (\S+) (.*)", printed)
        steps = {step for step, words in commands if re.search(r"--budget prostatex=(20|30)\b", words)}
        assert steps == {"model.bootstrap.guess", "model.training.train", "model.inference.score_views",
                         "model.baselines.probe"}  # fmt: skip

    def test_the_way_of_choosing_them_goes_with_it(self) -> None:
        mine = checked({"datasets": ["a"], "target": "a", "collections": {"a": {"kind": "brain"}}})
        assert training.reading_of(mine, {"a": 50}, ["a"]) == "--leak refuse --budget a=50"
        mine["subset"] = {"nested": False, "counts": "training", "classes": "equal"}
        assert training.reading_of(mine, {"a": 50}, ["a"]).endswith(
            "--budget a=50 --subset anew training equal"
        )
        assert training.reading_of(mine, {"b": 50}, ["a"]) == "--leak refuse"
        assert curve.counted(mine) == "--counted train"

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["curve={methods: [prob]}"], "E-CONFIG curve/methods: expected known methods, found prob"),
            (["curve={}"], "E-CONFIG curve/methods: expected methods to draw, found nothing"),
            (["budget={brian: 3}"], "E-CONFIG budget/brian"),
            (["curve={methods: [probe], findings: [0]}"], "E-CONFIG curve/findings/0"),
        ],
    )
    def test_a_curve_that_cannot_be_is_one_line(self, project, words, told) -> None:
        assert told in snakemake(project, *DEMO, "--config", *words, "curve", "-n", status=1)


def test_results_are_drawn_by_findings(tmp_path) -> None:
    files = []
    for number, auroc in ((20, 0.7), (0, 0.9)):
        summary = [{"split": "test", "dataset": "a", "state": "last", "folds": 2, "runs": 4}]
        result = {
            "target": "a",
            "state": "last",
            "auroc": auroc,
            "ci95": [auroc - 0.1, auroc + 0.05],
            "summary": summary,
        }
        files.append(tmp_path / f"{number}_auc.json")
        files[-1].write_text(json.dumps(result))
    splits = []
    for fold, train in enumerate((30, 34)):
        splits.append(make_store(tmp_path / str(fold), "a", train=train, validation=10)[1])
    words = [
        "--target",
        "a",
        "--methods",
        "m",
        "m",
        "--findings",
        "20",
        "0",
        "--out",
        str(tmp_path / "curve.csv"),
    ]
    words += [
        "--results",
        *map(str, files),
        "--splits",
        *map(str, splits),
        "--picture",
        str(tmp_path / "curve.png"),
    ]
    learning.main(words)
    rows = read_csv(tmp_path / "curve.csv").to_dict("records")
    # all findings: the mean of 40 and 44
    assert rows == [
        {
            "method": "m",
            "findings": "20",
            "auroc": "0.700",
            "ci95": "[0.600, 0.750]",
            "splits": "2",
            "runs": "4",
        },
        {
            "method": "m",
            "findings": "42",
            "auroc": "0.900",
            "ci95": "[0.800, 0.950]",
            "splits": "2",
            "runs": "4",
        },
    ]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("ways", "validated", "untrue"), [((), 4, {}), (("training", "anew"), 6, {"budget": {"a": 12}})]
)
def test_a_run_within_a_budget_is_scored_on_what_it_might_see_and_the_whole_test(
    tmp_path, ways, validated, untrue
) -> None:
    store, split = make_store(tmp_path / "data/a", "a", train=12, validation=6, test=4)
    folder = tmp_path / "data/a/splits"
    folder.mkdir(parents=True)
    split = split.rename(folder / "fold0.csv")
    run = tmp_path / "results/logistic/fold0/seed0"
    (run / "best").mkdir(parents=True)
    words = ["logistic", "--stores", str(store), "--splits", str(split), "--budget", "a=12"]
    words += ["--subset", *ways] if ways else []
    fit.main([*words, "--out", str(run / "predictions.csv"), "--run", str(run / "run.json")])
    validation, test = predictions.evaluate(run, "last", predictions.read_splits([split]))
    assert [len(validation.findings), len(test.findings)] == [validated, 4]
    assert json.loads((run / "run.json").read_text())["budget"] == {"a": 12}
    (run / "run.json").write_text(json.dumps(untrue))
    with pytest.raises(predictions.PredictionsError, match="finding"):
        predictions.evaluate(run, "last", predictions.read_splits([split]))
