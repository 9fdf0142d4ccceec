"""An external data set: nobody in it has been seen, the runs that exist score it, and what they come to is told."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from model.evaluation import external as assess
from model.evaluation import score
from model.files import runs
from model.inference import external as predict
from model.report import shift
from pipeline.errors import ConfigError, InputError, LeakError, SplitError
from pipeline.files import read_csv, write_csv
from pipeline.splits import external, seen
from pipeline.splits.external import StoreContents, shared
from pipeline.store import read_info, read_patches
from tests.made_runs import train, write_card, write_patches
from workflow.config import checked
from workflow.config.external import contradictions
from workflow.plan import data, targets
from workflow.plan import external as plan

SIDES = {"a": 40, "b": 52}
"""Of the pictures of each site, in pixels."""


def write_site(raw: Path, site: str, count: int, rng: np.random.Generator) -> None:
    """Pictures of noise, two of each patient, those of every other one brighter in the middle, and a table."""
    raw.mkdir(parents=True)
    side, rows = SIDES[site], []
    for number in range(count):
        pixels = rng.normal(100, 10, (side, side))
        pixels[side // 3 : side // 2, side // 3 : side // 2] += 40 * (number // 2 % 2)
        name = f"{site}{number:02d}.png"
        Image.fromarray(pixels.clip(0, 255).astype("u1")).save(raw / name)
        rows.append(
            {
                "image": name,
                "patient_id": f"{number // 2}",
                "finding_id": number % 2,
                "label": number // 2 % 2,
            }
        )
    write_csv(raw / "t.csv", ("image", "patient_id", "finding_id", "label"), rows)


def split_args(data: Path, *more: str) -> list[str]:
    own, other = data / "b", data / "a"
    return ["--store", str(own / "patches.h5"), "--findings", str(own / "findings.csv"), "--skipped", str(own / "skipped.csv"),
            "--others", str(other / "patches.h5"), "--others-findings", str(other / "findings.csv"), "--evaluation-views", "2",
            "--out", str(own / "splits/fold0.csv"), *more]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites from pictures to patches, a run on the first, and its scores of the second."""
    folder = tmp_path_factory.mktemp("external")
    data, rng = folder / "data", np.random.default_rng(0)
    for site, count in (("a", 24), ("b", 12)):
        write_site(folder / "raw" / site, site, count, rng)
        write_patches(data / site, "table", folder / "raw" / site, "whole", find=["--table", "t.csv"])
    write_card(data / "a", "table")
    external.main(split_args(data))
    run = train(data, folder / "results", ["a"], 1)
    (run / "best/predictions.csv").write_bytes((run / "predictions.csv").read_bytes())
    (run / "run.json").write_text(json.dumps({"device": "cpu", "seconds": {}, "samples_seen": {}}))
    score.main(["--method", "typhon", "--target", "a", "--runs", str(run), "--splits", str(data / "a/splits/fold0.csv"),
                "--out", str(folder / "results/typhon_auc.json")])  # fmt: skip
    known = read_csv(data / "a/splits/fold0.csv")
    seen.write(run / "seen.json", [seen.entry({"a": known.assign(image="none")}, {"a": "a"})])
    predict.main(predict_args(folder))
    return folder


def predict_args(folder: Path, people: str = "b", split: Path | None = None) -> list[str]:
    run, own = folder / "results/typhon/fold0/seed0", folder / "data/b"
    return ["--model", str(run / "model.safetensors"), "--target", "a", "--store", str(own / "patches.h5"),
            "--split", str(split or own / "splits/fold0.csv"), "--people", people, "--seen", str(run / "seen.json"),
            "--out", str(run / "external/b.csv")]  # fmt: skip


class TestSplit:
    def test_every_finding_is_tested_with_the_views_of_an_evaluation(self, folder: Path) -> None:
        table = read_csv(folder / "data/b/splits/fold0.csv")
        assert list(table) == ["patient_id", "group_id", "finding_id", "label", "split", "views"]
        assert (len(table), set(table["split"]), set(table["views"])) == (12, {"test"}, {"2"})

    def test_equal_ids_are_a_leak_only_where_the_people_are_the_same(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        external.main(split_args(folder / "data"))
        assert (
            "6 patient ids are in a too, such as 0: if they are the same people, give both data sets"
            in caplog.text
        )
        with pytest.raises(
            LeakError, match=r"E-LEAK .*patches.h5: .*, found patients that a has too \(6\): 0, 1"
        ):
            external.main(split_args(folder / "data", "--same", "a"))

    @pytest.mark.parametrize(
        ("what", "kind"), [("images", "images of patients"), ("studies", "studies of patients")]
    )
    def test_an_image_or_a_study_of_the_data_sets_is_a_leak_under_any_id(self, what: str, kind: str) -> None:
        def contents(name: str, patients: list[str], values: list[str]) -> StoreContents:
            of: dict[str, Any] = {"images": list(patients), "studies": [""] * len(patients)} | {what: values}
            return StoreContents(name, pd.Series(patients), pd.Series(of["images"]), pd.Series(of["studies"]))

        own, other = contents("b", ["x", "y", "y"], ["1", "2", "3"]), contents("a", ["p", "q"], ["2", "3"])
        assert list(shared(own, other, same_people=False)) == [f"{kind} that a has too (1): y"]
        assert list(shared(own, contents("a", ["p"], ["4"]), same_people=True)) == []

    def test_people_whom_nobody_knows_and_files_without_a_study_are_not_the_same(self) -> None:
        one, two = (
            StoreContents(name, pd.Series(["?"]), pd.Series([name]), pd.Series([""])) for name in "ab"
        )
        assert list(shared(one, two, same_people=True)) == []


class TestScores:
    def test_they_are_those_of_the_model_for_each_view_with_the_labels(self, folder: Path) -> None:
        table = read_csv(folder / "results/typhon/fold0/seed0/external/b.csv")
        assert (len(table), set(table["dataset"]), set(table["split"])) == (24, {"b"}, {"test"})
        assert table["label"].tolist() == [f"{number // 4 % 2}" for number in range(24)]
        (run,) = runs.find([folder / "results/typhon"])
        patches = read_patches(folder / "data/b/patches.h5", [3], [2])
        mine = table[(table["patient_id"] == "1") & (table["finding_id"] == "1")]
        np.testing.assert_allclose(mine["score"].astype(float), run.score("a", patches)[:, 0], rtol=1e-6)

    def test_a_run_that_knows_one_of_them_is_refused(self, folder: Path) -> None:
        with pytest.raises(LeakError, match=r"expected an extractor that has seen nobody .*: b [0-9], b "):
            predict.main(predict_args(folder, people="a"))

    def test_other_patches_or_findings_are_refused(self, folder: Path, tmp_path: Path) -> None:
        (run,) = runs.find([folder / "results/typhon"])
        info = read_info(folder / "data/b/patches.h5")
        with pytest.raises(
            InputError, match=r"expected 1 channels, patches of 65 pixels, .*, found 1 channels, patches of 9"
        ):
            predict.check_alike(info.__class__(**vars(info) | {"side": 9}), run, "a")
        made = info.provenance
        for key, value, shown in (
            ("extent", "40 px", "extent 40 px, intensity series"),
            ("extents", True, "extent whole or its own for each finding, intensity series"),
            ("intensity", "paper", "extent whole, intensity paper"),
        ):
            with pytest.raises(
                InputError,
                match=f"expected .*, extent whole, intensity series, .*, found .*, {shown}, .*; cut it as a",
            ):
                predict.check_alike(replace(info, provenance=made | {key: value}), run, "a")
        few = read_csv(folder / "data/b/splits/fold0.csv").iloc[1:]
        write_csv(tmp_path / "fold0.csv", list(few), few.to_dict("records"))
        with pytest.raises(SplitError, match="found 11 others"):
            predict.main(predict_args(folder, split=tmp_path / "fold0.csv"))


def assessed(folder: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of the tables, as the rule makes them."""
    out = folder / "results/external"
    assess.main(
        ["--results", str(folder / "results/typhon_auc.json"), "--runs", str(folder / "results/typhon/fold0/seed0"),
         "--splits", str(folder / "data/a/splits/fold0.csv"), "--external-splits", str(folder / "data/b/splits/fold0.csv"),
         "--out-reliability", str(out / "reliability.png"),
         *(word for name in assess.NOTES for word in (f"--out-{name}", str(out / f"{name}.csv")))]
    )  # fmt: skip
    return {
        name: list(csv.DictReader((out / f"{name}.csv").read_text().splitlines())) for name in assess.NOTES
    }


@pytest.fixture(scope="module")
def tables(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Of scores by hand: .9 and .2 of the own classes; of the external set a third of the pairs in order."""
    run = folder / "results/typhon/fold0/seed0"

    def rescore(path: Path, value: Callable[[dict[str, Any]], float]) -> None:
        table = read_csv(path)
        table["score"] = [repr(value(row)) for row in table.to_dict("records")]
        write_csv(path, list(table), table.to_dict("records"))

    for path in (run / "predictions.csv", run / "best/predictions.csv"):
        rescore(path, lambda row: 0.9 if row["label"] == "1" else 0.2)
    # Of six positives four score below all negatives.
    rescore(
        run / "external/b.csv",
        lambda row: 0.4 if row["label"] == "0" else 0.8 if row["patient_id"] == "1" else 0.1,
    )
    return assessed(folder)


class TestFigures:
    def test_ranking_stands_beside_that_of_the_own_test(
        self, tables: dict[str, list[dict[str, str]]]
    ) -> None:
        row = next(row for row in tables["ranking"] if row["per"] == "finding")
        assert (row["dataset"], row["method"], row["count"], row["positives"], row["groups"]) == (
            "b",
            "typhon",
            "12",
            "6",
            "6",
        )
        assert (row["auroc"], row["internal"], row["difference"]) == ("0.3333", "1.0000", "-0.6667")
        low, high = json.loads(row["difference95"])
        assert -1 <= low < -0.66 < high < 1

    def test_thresholds_are_those_of_the_own_validation(
        self, tables: dict[str, list[dict[str, str]]]
    ) -> None:
        """Half-way between .2 and .9: .55; above it are two of six positives and no negative."""
        row = next(row for row in tables["operating"] if row["point"] == "youden" and row["per"] == "finding")
        assert (row["threshold"], row["sensitivity"], row["specificity"]) == ("0.5500", "0.3333", "1.0000")
        assert row["prevalence"] == "0.5000"

    def test_calibration_is_of_the_line_of_the_own_validation(
        self, tables: dict[str, list[dict[str, str]]]
    ) -> None:
        """Brier of the scores: six negatives .16, two positives .04, four .81, of twelve."""
        rows = {row["scores"]: row for row in tables["calibration"]}
        assert rows.keys() == {"score", "prevalence", "calibrated"}
        assert float(rows["score"]["brier"]) == pytest.approx((6 * 0.16 + 2 * 0.04 + 4 * 0.81) / 12, abs=1e-4)
        assert rows["calibrated"]["intercept"] != rows["score"]["intercept"] != ""

    @pytest.mark.usefixtures("tables")
    def test_notes_say_what_the_columns_are(self, folder: Path) -> None:
        assert "internal: the AUROC of the same runs" in (folder / "results/external/ranking.md").read_text()
        assert (folder / "results/external/reliability.png").stat().st_size > 5000


def test_the_shift_tells_what_differs_and_what_does_not(folder: Path) -> None:
    """Pictures of 52 pixels for 40: wholly apart. Both are pictures, half of both is positive."""
    out = folder / "results/external/shift.csv"
    shift.main(["--target", str(folder / "data/a"), "--splits", str(folder / "data/a/splits/fold0.csv"),
                "--external", str(folder / "data/b"), "--out", str(out)])  # fmt: skip
    rows = {row["what"]: row for row in read_csv(out).to_dict("records")}
    width = rows["image width, px"]
    assert (width["training"], width["external"]) == ("40 [40, 40]", "52 [52, 52]")
    assert (width["outside"], width["auroc"]) == ("1.0000", "1.0000")
    assert rows["share of label 1"]["external"].startswith("0.500 [")
    kind = rows["file format"]
    assert (kind["training"], kind["external"], kind["outside"]) == ("image 100%", "image 100%", "0.0000")
    assert rows["findings"]["external"] == "12"
    assert int(rows["findings"]["training"]) < 24  # without validation and test


# --- config and plan

OWN = {"kind": "table", "table": "t.csv"}


def config(**more: Any) -> dict[str, Any]:
    return checked(
        {"datasets": ["a"], "target": "a", "external": ["b"], "collections": {"a": OWN, "b": OWN}} | more
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"external": ["c"]}, "E-CONFIG external: expected an entry in collections, found c"),
        ({"external": ["a"]}, "external: expected a collection that is nothing else in the experiment, found a"),
        ({"collections": {"a": OWN, "b": OWN | {"extent": "40 px"}}}, "collections/b/extent: expected whole, as the target a has it: one network"),
        ({"collections": {"a": OWN, "b": OWN | {"window": [0.0, 9.0]}}}, "collections/b/window: expected null, as"),
        ({"collections": {"a": OWN, "b": OWN | {"axis": 0}}}, "collections/b/axis: expected 2, as the target a has it: one network sees both, found 0"),
        ({"collections": {"a": OWN | {"axis": 1}, "b": OWN}}, "collections/b/axis: expected 1, as the target a has it: .*, found 2"),
        ({"collections": {"a": OWN, "b": OWN | {"extent_column": "mm"}}}, "collections/b/extent_column: expected null, as the target a has it: one network sees both, found mm"),
        ({"collections": {"a": OWN | {"extent_column": "mm"}, "b": OWN}}, "collections/b/extent_column: expected a column with the size of each patch, as the target a has it: .*, found null"),
        ({"collections": {"a": OWN, "b": OWN | {"neighbours": "3 mm"}}}, "collections/b/neighbours: expected null, as"),
        ({"collections": {"a": {"kind": "mura", "width": 320}, "b": {"kind": "mura", "width": 640}}}, "collections/b/width: expected 320, as the target a has it: one network sees both, found 640"),
        ({"collections": {"a": {"kind": "prostatex", "slice_rule": "paper"}, "b": {"kind": "prostatex"}}}, "collections/b/slice_rule: expected paper, as the target a has it: .*, found geometry"),
        ({"collections": {"a": OWN, "b": OWN | {"labels": {"x": 0, "y": 1, "z": 2}}}}, "collections/b: expected .*label 0.*, as the target"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_before_anything_runs(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**changed)


def test_columns_of_sizes_may_have_two_names() -> None:
    one, other = (OWN | {"extent_column": name} for name in ("mm", "crop_mm"))
    assert config(collections={"a": one, "b": other})["external"] == ["b"]


def test_no_axis_is_the_last_axis() -> None:
    assert config(collections={"a": OWN, "b": OWN | {"axis": 2}})["external"] == ["b"]


def test_without_validation_findings_there_are_no_thresholds_to_carry_over() -> None:
    (problem,) = contradictions(config() | {"split": {"kind": "all"}})
    assert str(problem).startswith("E-CONFIG external: expected a split with validation findings")


def test_it_is_in_no_split_no_training_and_no_shared_raw_folder() -> None:
    mine = config(methods=["typhon", "logistic", "probe"], seeds=[0, 1])
    assert data.stored_views(mine, "b") == 11
    assert plan.methods(mine) == ["typhon", "probe"]
    assert plan.predictions(mine)[0] == "results/typhon/fold0/seed0/external/b.csv"
    assert len(plan.predictions(mine)) == 4
    assert plan.same_people(mine, "b") == []
    assert plan.same_people(config(raw={"a": "x", "b": "x"}), "b") == ["a"]
    assert plan.people_of(config(collections={"a": OWN, "b": OWN | {"patients": "a"}}), "b") == "a"
    assert plan.seen(mine, "typhon", "0", "1") == ["results/typhon/fold0/seed1/seen.json"]
    assert plan.seen(mine, "probe", "0", "1") == []
    assert "results/external/shift.html" in targets.figures(mine)
    assert "<data>/b/verify.html" in targets.figures(mine)
    assert data.others(mine, "a") == []
    with pytest.raises(ConfigError, match="external: expected collections that no step has seen"):
        plan.predictions(config(external=[]))
