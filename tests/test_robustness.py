"""What noise, blur, less contrast, turns and JPEG do to patches, to scores and to the AUROC."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.evaluation import robustness as assess
from model.evaluation.predictions import PredictionsError
from model.inference import robustness
from model.inference.corruptions import CLEAN, CORRUPTIONS, LEVELS, corrupt
from pipeline.errors import ConfigError, SplitError
from pipeline.files import read_csv, write_csv
from tests.made_runs import train, write_card, write_patches
from tests.test_compare import RIGHT, THREE_QUARTERS, Experiment
from tests.test_external import write_site
from workflow.config import checked
from workflow.plan import targets

GREYS = np.kron(np.array([[0, 255], [50, 101]]), np.ones((8, 8)))
"""Four blocks as JPEG has them, each of one grey."""


def views(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(1, 2, shape).astype("f4")


class TestCorruptions:
    @settings(max_examples=10, deadline=None)
    @given(name=st.sampled_from(list(CORRUPTIONS)), side=st.integers(2, 20), channels=st.integers(1, 3))
    def test_of_strength_0_nothing_changes_and_else_shape_and_kind_stay(
        self, name: str, side: int, channels: int
    ) -> None:
        patches = views(2, channels, side, side)
        assert corrupt(name, 0, patches, "p", "1").tobytes() == patches.tobytes()
        for strength in CORRUPTIONS[name].strengths:
            changed = corrupt(name, strength, patches, "p", "1")
            assert (changed.shape, changed.dtype) == (patches.shape, patches.dtype)
            assert np.isfinite(changed).all()
            assert changed.tobytes() == corrupt(name, strength, patches.copy(), "p", "1").tobytes()

    def test_noise_is_the_findings_own_more_of_it_the_stronger_and_in_sds_of_the_patch(self) -> None:
        patches = views(2, 2, 40, 40)
        weak, strong, other = (
            corrupt("noise", strength, patches, "p", finding) - patches
            for strength, finding in ((0.25, "1"), (1, "1"), (1, "2"))
        )
        np.testing.assert_allclose(strong, 4 * weak, atol=1e-5)
        np.testing.assert_allclose(strong.std(axis=(2, 3)), patches.std(axis=(2, 3)), rtol=0.1)
        assert abs(np.corrcoef(strong.ravel(), other.ravel())[0, 1]) < 0.05
        assert abs(np.corrcoef(strong[0].ravel(), strong[1].ravel())[0, 1]) < 0.05
        # As many views as are asked for have the noise of the first of more.
        assert corrupt("noise", 1, patches[:1], "p", "1").tobytes() == (patches + strong)[:1].tobytes()

    def test_contrast_is_taken_from_what_lies_beside_the_mean_of_a_patch(self) -> None:
        patch = np.array([[[[0, 4], [2, 2]]]], "f4")
        assert corrupt("contrast", 0.75, patch).tolist() == [[[[1.5, 2.5], [2, 2]]]]

    def test_blur_spreads_a_point_and_takes_nothing_from_one_grey(self) -> None:
        patch = np.zeros((1, 2, 41, 41), "f4")
        patch[0, 0, 20, 20], patch[0, 1] = 1, 3
        blurred = corrupt("blur", 2, patch)
        whole = np.exp(-(np.arange(-8, 9) ** 2) / 8).sum() ** 2  # 4 SDs to either side
        assert blurred[0, 0, 20, 20] == pytest.approx(1 / whole, rel=1e-4)
        np.testing.assert_allclose(blurred[0, 1], 3, rtol=1e-6)

    def test_a_quarter_turn_goes_to_either_side_each_view_to_its_own(self) -> None:
        patches = np.repeat(np.arange(9, dtype="f4").reshape(1, 1, 3, 3), 16, axis=0)
        turned = corrupt("rotation", 90, patches, "p", "1").round(4)
        sides = [np.rot90(patches[0], times, (1, 2)).tolist() for times in (1, -1)]
        assert [one.tolist() for one in turned if one.tolist() not in sides] == []
        assert {sides.index(one.tolist()) for one in turned} == {0, 1}

    def test_jpeg_rounds_a_grey_block_to_steps_of_the_tables(self) -> None:
        """DC is 8 · (grey − 128) in steps of 16 at quality 50: greys of 2; of 80 at quality 10: greys of 10.

        (50 − 128)/10 = −7.8 becomes −8, a grey of 48; (101 − 128)/10 = −2.7 becomes −3, one of 98.
        """
        patch = (GREYS / 255 * 4 - 1)[None, None].astype("f4")

        def greys(strength: float) -> list[int]:
            changed = (corrupt("jpeg", strength, patch)[0, 0] + 1) / 4 * 255
            return [round(float(changed[row, column])) for row in (0, 8) for column in (0, 8)]

        assert [greys(50)[place] for place in (0, 2)] == [0, 50]
        assert greys(90) == [0, 255, 48, 98]

    def test_jpeg_leaves_a_patch_of_one_grey_alone(self) -> None:
        assert (
            corrupt("jpeg", 90, np.full((1, 1, 8, 8), 7, "f4")).tolist() == np.full((1, 1, 8, 8), 7).tolist()
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, patches, and a run on them."""
    folder = tmp_path_factory.mktemp("robustness")
    raw, data = folder / "raw", folder / "data/a"
    write_site(raw, "a", 16, np.random.default_rng(0))
    write_patches(data, "table", raw, "whole", find=["--table", "t.csv"])
    write_card(data, "table")
    run = train(folder / "data", folder / "results", ["a"], 1)
    robustness.main(args(folder, run / "robustness.csv"))
    return folder


def args(folder: Path, out: Path, split: Path | None = None) -> list[str]:
    data, run = folder / "data/a", folder / "results/typhon/fold0/seed0"
    return ["--model", str(run / "model.safetensors"), "--target", "a", "--store", str(data / "patches.h5"),
            "--split", str(split or data / "splits/fold0.csv"), "--out", str(out)]  # fmt: skip


class TestScores:
    def test_clean_ones_are_those_of_the_run_and_each_level_has_every_test_finding(
        self, folder: Path
    ) -> None:
        run = folder / "results/typhon/fold0/seed0"
        found, known = read_csv(run / "robustness.csv"), read_csv(run / "predictions.csv")
        tested = known[known["split"] == "test"].astype({"score": float})
        means = tested.groupby(["patient_id", "finding_id"])["score"].mean()
        assert len(found) == len(LEVELS) * len(means) == 16 * len(means) > 16
        clean = found[found["corruption"] == CLEAN[0]].set_index(["patient_id", "finding_id"])
        np.testing.assert_allclose(clean["score"].astype(float)[means.index], means, rtol=1e-6)
        changed = found.astype({"score": float}).groupby(["corruption", "strength"])["score"].mean()
        assert changed.nunique() == len(LEVELS)

    def test_they_are_the_same_whatever_is_scored_beside_them(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(robustness, "AT_ONCE", 3)
        robustness.main(args(folder, tmp_path / "again.csv"))
        one, other = read_csv(tmp_path / "again.csv"), read_csv(folder / "results/typhon/fold0/seed0/robustness.csv")  # fmt: skip
        np.testing.assert_allclose(
            one.pop("score").astype(float), other.pop("score").astype(float), rtol=1e-5
        )
        assert one.equals(other)

    def test_another_split_is_refused(self, folder: Path, tmp_path: Path) -> None:
        rows = read_csv(folder / "data/a/splits/fold0.csv").to_dict("records")
        rows = [row | {"finding_id": f"x{row['finding_id']}"} for row in rows]
        write_csv(tmp_path / "fold0.csv", list(rows[0]), rows)
        with pytest.raises(SplitError, match=r"expected findings of .*patches.h5, found \d+ others"):
            robustness.main(args(folder, tmp_path / "out.csv", tmp_path / "fold0.csv"))


def write_scores(experiment: Experiment) -> None:
    """Those of a run at all levels: right, but at the strongest noise a is below one of two negatives."""
    for run in experiment.runs("typhon"):
        rows = [
            {"corruption": name, "strength": f"{strength:g}", "patient_id": who, "finding_id": "1", "score": value}
            for name, strength in LEVELS
            for who, value in (THREE_QUARTERS if (name, strength) == ("noise", 1) else RIGHT).items()
        ]  # fmt: skip
        write_csv(run / "robustness.csv", list(rows[0]), rows)


def assessed(experiment: Experiment) -> dict[tuple[str, str], dict[str, str]]:
    out = experiment.folder / "results/robustness.csv"
    assess.main(
        ["--results", str(experiment.result("typhon")), "--runs", *map(str, experiment.runs("typhon")),
         "--splits", *map(str, experiment.splits), "--out", str(out), "--out-picture", str(out.with_suffix(".png"))]
    )  # fmt: skip
    return {(row["corruption"], row["strength"]): row for row in csv.DictReader(out.read_text().splitlines())}


class TestFigures:
    def test_the_difference_to_the_clean_findings_is_paired(self, tmp_path: Path) -> None:
        """AUROC 1 and 3/4. Components of the positives fall by 1/2 and 0, those of the negatives by 1/2 and 0:
        of patients with one finding the covariance is 2 · 2 · (1/8)² = 1/16 of each class, so the variance of
        two classes 1/8, and t of one degree of freedom takes the interval beyond −1 and up to what is above 1.
        """
        made = Experiment(tmp_path, folds=2)
        made.add("typhon", RIGHT)
        write_scores(made)
        rows = assessed(made)
        assert len(rows) == len(LEVELS)
        assert [rows["none", "0"][name] for name in ("auroc", "count", "groups", "difference")] == [
            "1.0000", "4", "4", "",
        ]  # fmt: skip
        fallen = rows["noise", "1"]
        assert (fallen["auroc"], fallen["difference"], fallen["unit"]) == (
            "0.7500",
            "-0.2500",
            "SD of the patch",
        )
        assert json.loads(fallen["difference95"]) == [-1, 1]
        assert rows["jpeg", "90"]["difference"] == "0.0000"
        assert json.loads(rows["jpeg", "90"]["difference95"]) == [0, 0]
        assert (tmp_path / "results/robustness.png").stat().st_size > 20_000

    def test_a_run_that_lacks_a_finding_is_refused_and_one_class_has_no_auroc(self, tmp_path: Path) -> None:
        made = Experiment(tmp_path, folds=1, positive="abcdeg")
        made.add("typhon", RIGHT)
        write_scores(made)
        assert {row["auroc"] for row in assessed(made).values()} == {""}
        (run,) = made.runs("typhon")
        rows = read_csv(run / "robustness.csv").to_dict("records")
        write_csv(run / "robustness.csv", list(rows[0]), rows[:-1])
        with pytest.raises(
            PredictionsError, match="expected the 4 test findings of the split, found 3 at jpeg 90"
        ):
            assessed(made)


def test_the_report_has_it_where_it_is_asked_for_and_a_model_can_score() -> None:
    own = {"datasets": ["a"], "target": "a", "collections": {"a": {"kind": "table", "table": "t.csv"}}}
    items = {"results/robustness.html", "results/robustness.png"}
    assert items <= set(targets.figures(checked(own | {"robustness": True})))
    assert not items & set(targets.figures(checked(own)))
    assert targets.corrupted(checked(own | {"seeds": [0]})) == ["results/typhon/fold0/seed0/robustness.csv"]
    without = checked(own | {"robustness": True, "methods": ["logistic"]})
    assert not items & set(targets.figures(without))
    with pytest.raises(ConfigError, match="methods: expected one that leaves a model, found logistic"):
        targets.corrupted(without)
