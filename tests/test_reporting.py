"""The reporting page and the flow of findings: what is told, what is left open, and where the words come from."""

import csv
import json
import string
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from model.report import reporting
from model.report.reporting import ITEMS, TEXTS, filled, rows
from model.report.study import Study
from pipeline.files import read_csv, write_csv
from pipeline.report import flow
from pipeline.report.fingerprint import COLUMNS
from workflow.config import checked
from workflow.plan import reporting as plan

OWN = {"kind": "table", "table": "t.csv", "labels": {"benign": 0, "malignant": 1}, "licence": "CC BY 4.0"}


def config(**more: Any) -> dict[str, Any]:
    known = {
        "datasets": ["mine"],
        "target": "mine",
        "collections": {"mine": OWN, "late": OWN},
        "methods": ["typhon", "probe"],
    }
    return checked(known | more)


FINGERPRINT = [
    ("step", "index", "", "files before", "12"), ("step", "index", "", "files after", "10"),
    *((kind, step, "", f"findings {when}", count) for kind, step, when, count in (
        ("step", "findings", "before", "9"), ("step", "findings", "after", "8"), ("step", "slices", "before", "8"),
        ("step", "slices", "after", "8"), ("step", "patches", "before", "8"), ("step", "patches", "after", "7"))),
    ("left out", "index", "", "failed, E-READ: no image", "2"),
    ("left out", "findings", "", "excluded, E-LABEL: suspicious", "1"),
    ("left out", "patches", "", "failed, E-OUTSIDE: beyond the image", "1"),
    ("class", "benign", "", "findings", "4"), ("class", "malignant", "", "findings", "3"),
    ("scanner", "GE One", "image", "slices", "5"), ("scanner", "Other Two", "image", "slices", "2"),
    ("size", "64 × 64 px", "image", "slices", "7"),
]  # fmt: skip
SPLIT = [("a", 0, "train"), ("a", 1, "train"), ("b", 1, "validation"), ("c", 0, "validation"), ("d", 1, "test"),
         ("e", 0, "test"), ("f", 0, "test")]  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A fingerprint, a split and a result of one method, as the steps write them."""
    write_csv(
        tmp_path / "mine/fingerprint.csv",
        COLUMNS,
        [dict(zip(COLUMNS, row, strict=True)) for row in FINGERPRINT],
    )
    split = [{"patient_id": who, "group_id": who, "finding_id": str(number), "label": label, "split": name, "views": 2}
             for number, (who, label, name) in enumerate(SPLIT)]  # fmt: skip
    write_csv(tmp_path / "mine/splits/fold0.csv", list(split[0]), split)
    line = {"dataset": "mine", "split": "test", "state": "last", "findings": 3, "positives": 1, "groups": 3}
    figures = {"method": "typhon", "target": "mine", "state": "last", "auroc": 0.75, "ci95": [0.4, 0.95], "ci95_kind": "logit",
               "summary": [line], "target_samples": 40.0, "provenance": {"commit": "abc", "versions": {"torch": "2.1"}}}  # fmt: skip
    (tmp_path / "typhon_auc.json").write_text(json.dumps(figures))
    return tmp_path


def page(files: Path, facts: str) -> dict[tuple[str, str], dict[str, str]]:
    """The rows of the page by checklist and item."""
    reporting.main(["--facts", facts, "--fingerprints", str(files / "mine/fingerprint.csv"), "--splits", str(files / "mine/splits/fold0.csv"),
                    "--results", str(files / "typhon_auc.json"), "--out", str(files / "reporting.csv")])  # fmt: skip
    table = csv.DictReader((files / "reporting.csv").read_text(encoding="utf-8").splitlines())
    return {(row["checklist"], row["item"]): row for row in table}


class TestTexts:
    def test_a_part_in_brackets_is_left_out_where_nothing_is_known(self) -> None:
        assert filled("a {x}[, b {y}][, c {z}].", {"x": "1", "y": "", "z": "3"}) == "a 1, c 3."
        assert filled("a {x}[, b {y}].", {"x": "", "y": "2"}) == ""
        assert filled("always", {}) == "always"

    def test_what_a_value_holds_is_no_template(self) -> None:
        assert filled("a {x}[ b {y}]", {"x": "{y}", "y": "[{x}]"}) == "a {y} b [{x}]"

    def test_both_checklists_are_whole_and_every_answer_has_a_text_that_can_be_filled_in(
        self, files: Path
    ) -> None:
        items, texts = read_csv(ITEMS), read_csv(TEXTS).set_index("key")["text"]
        counts = items.groupby("checklist")["item"].agg(
            lambda names: names.str.extract(r"(\d+)")[0].nunique()
        )
        assert counts.to_dict() == {"CLAIM": 44, "TRIPOD+AI": 27}
        assert not items.duplicated(["checklist", "item"]).any()
        assert set(items["answer"]) - {""} == set(texts.index)
        assert (items.loc[items["answer"] == "", "authors"] != "").all()
        study = Study(json.loads(plan.facts(config())), {"mine": read_csv(files / "mine/fingerprint.csv")},
                      pd.DataFrame({"dataset": [], "fold": [], "split": [], "group_id": [], "label": []}), [])  # fmt: skip
        named = {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}
        assert named == set(study.values()) - {"test"} | {"test"}


class TestPage:
    def test_within_a_budget_what_was_learned_from_is_counted(self, files: Path) -> None:
        split = [{"patient_id": f"{name}{number}", "group_id": f"{name}{number}", "finding_id": "1",
                  "label": number % 2, "split": name, "views": 2}
                 for name in ("train", "validation", "test") for number in range(4)]  # fmt: skip
        write_csv(files / "mine/splits/fold0.csv", list(split[0]), split)
        found = page(files, plan.facts(config(methods=["typhon"], budget={"mine": 4})))
        assert found["TRIPOD+AI", "21"]["answer"] == (
            "of 4 findings to learn from: train 2 findings of 2 groups (1 benign, 1 malignant);"
            " validation 2 findings of 2 groups (1 benign, 1 malignant); test 4 findings of 4 groups (2 benign, 2 malignant)."
        )

    def test_what_the_run_knows_is_filled_in_by_hand(self, files: Path) -> None:
        facts = plan.facts(config(methods=["typhon"], seeds=[0, 1], evaluation_views=3))
        found = page(files, facts)
        said = {key: row["answer"] for key, row in found.items()}
        assert said["TRIPOD+AI", "4"] == "To tell apart benign, malignant in mine, by typhon."
        assert said["TRIPOD+AI", "21"] == (
            "train 2 findings of 1 groups (1 benign, 1 malignant); validation 2 findings of 2 groups (1 benign, 1 malignant);"
            " test 3 findings of 3 groups (2 benign, 1 malignant)."
        )
        assert said["TRIPOD+AI", "20a"].startswith(
            "mine: 12 files found; 10 files readable; 8 findings with a label"
        )
        assert said["TRIPOD+AI", "6b"].startswith(
            "Left out of mine: 2 at index, failed, E-READ: no image; 1 at findings"
        )
        assert said["TRIPOD+AI", "6a"] == "Scanners, by slices: GE One (5), Other Two (2)."
        assert said["CLAIM", "19"].startswith(
            "One hold-out, stratified by label: validation 0.2, test 0.2 of the groups, seed 0; 2 starts"
        )
        assert said["CLAIM", "37"].startswith(
            "Test AUROC with 95 % interval: typhon 0.750 [0.400, 0.950] (3 findings, 1 positive, 3 groups)."
        )
        assert said["CLAIM", "24"] == "typhon: the best of random networks, by validation."
        assert said["CLAIM", "9"].startswith("The whole image, resampled once to 65 × 65 pixels, in Z-scores")
        assert "mine: mine, CC BY 4.0" in said["CLAIM", "7"]

    def test_what_only_authors_know_is_open_and_what_nobody_asked_for_says_so(self, files: Path) -> None:
        found = page(files, plan.facts(config()))
        assert (found["CLAIM", "44"]["state"], found["CLAIM", "44"]["for the authors"]) == (
            "open",
            "who paid, and what part they had",
        )
        external = found["CLAIM", "33"]
        assert (external["state"], external["answer"], external["for the authors"]) == (
            "open",
            "",
            "this run has nothing of it",
        )
        states = pd.Series([row["state"] for row in found.values()]).value_counts()
        title = (files / "reporting.md").read_text(encoding="utf-8").splitlines()[0]
        assert f"{states['filled in']} filled in, {states['partly']} partly, {states['open']} open" in title

    def test_what_was_asked_for_is_told(self, files: Path) -> None:
        asked = config(
            external=["late"],
            subgroups={"columns": ["age"]},
            covariates={"columns": ["sex"]},
            robustness=True,
        )
        found = page(files, plan.facts(asked))
        assert found["CLAIM", "33"]["answer"].startswith("late, which no step has seen")
        assert (
            found["TRIPOD+AI", "12d"]["answer"]
            == "Performance by age: results/subgroups.csv; at late: results/external/."
        )
        answer = found["CLAIM", "30"]["answer"]
        assert answer.endswith(
            " Corrupted test findings (noise, blur, contrast, rotation, jpeg): results/robustness.csv."
        )
        assert "also use sex." in found["TRIPOD+AI", "9a"]["answer"]

    def test_synthetic_data_are_called_so(self, files: Path) -> None:
        facts = json.dumps(json.loads(plan.facts(config())) | {"synthetic": True})
        page(files, facts)
        assert "The data are synthetic" in (files / "reporting.html").read_text(encoding="utf-8")

    def test_the_rows_are_those_of_the_checklists_in_their_order(self, files: Path) -> None:
        study = Study(json.loads(plan.facts(config())), {"mine": read_csv(files / "mine/fingerprint.csv")},
                      read_csv(files / "mine/splits/fold0.csv").assign(dataset="mine", fold=0, label=0), [])  # fmt: skip
        assert [(row["checklist"], row["item"]) for row in rows(study)] == list(
            read_csv(ITEMS)[["checklist", "item"]].itertuples(index=False, name=None)
        )


class TestFlow:
    def test_each_stage_has_what_remains_and_what_was_left_out(self, files: Path) -> None:
        found = flow.stages(read_csv(files / "mine/fingerprint.csv"))
        assert [(stage.count, stage.title) for stage in found] == [
            (12, "files found"), (10, "files readable"), (8, "findings with a label and a place"),
            (8, "findings with a slice"), (7, "findings cut"),
        ]  # fmt: skip
        assert [stage.left_out for stage in found] == [
            [], ["2 failed, E-READ: no image"], ["1 excluded, E-LABEL: suspicious"], [], ["1 failed, E-OUTSIDE: beyond the image"],
        ]  # fmt: skip

    def test_rare_reasons_are_counted_together(self) -> None:
        rows = [("left out", "slices", "", f"failed, E-{number}: why", str(number)) for number in range(1, 6)]
        table = pd.DataFrame(FINGERPRINT + rows, columns=list(COLUMNS))
        assert flow.stages(table)[3].left_out == [
            "5 failed, E-5: why",
            "4 failed, E-4: why",
            "3 failed, E-3: why",
            "3 for other reasons",
        ]

    def test_the_picture_has_the_splits_and_is_the_same_every_time(self, files: Path) -> None:
        assert flow.parts(flow.read_splits(files / "mine/splits/fold0.csv")) == [
            ("train", 2, 1),
            ("validation", 2, 2),
            ("test", 3, 3),
        ]
        words = ["--fingerprints", str(files / "mine/fingerprint.csv"), "--folds", "3"]
        for name in ("one.png", "two.png"):
            flow.main([*words, "--out", str(files / name)])
        assert (files / "one.png").read_bytes() == (files / "two.png").read_bytes()
        assert (files / "one.png").stat().st_size > 5000


def test_the_plan_asks_for_the_target_first_and_external_sets_too() -> None:
    both = config(datasets=["late", "mine"], external=[])
    assert plan.fingerprints(both) == ["<data>/mine/fingerprint.csv", "<data>/late/fingerprint.csv"]
    assert plan.splits(config(external=["late"])) == [
        "<data>/mine/splits/fold0.csv",
        "<data>/late/splits/fold0.csv",
    ]
    assert plan.results(config()) == ["results/flow.png", "results/reporting.html"]
