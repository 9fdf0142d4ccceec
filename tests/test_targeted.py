"""The experiments of Romero et al. from points of learning curves: tables worked out by hand, exact curves."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from snakemake.utils import update_config

from model.evaluation.predictions import read_splits
from model.training.phase import Phase, parse_phases
from papers import targeted
from papers.targeted import figures, panels, tables
from papers.targeted.differences import published_p
from papers.targeted.measures import MEASURES, Evidence
from papers.targeted.points import Curves, ScoredRuns, auroc_of_chosen, choose, read_points
from pipeline.errors import EmptyError
from pipeline.provenance import ROOT
from tests.test_compare import HALF, RIGHT, THREE_QUARTERS, Experiment
from workflow.config import checked
from workflow.plan import curve, start, training
from workflow.plan import targeted as plan

WRONG_IN_VALIDATION = {"e": 0.2}
"""The positive below the negative: an AUROC of 0."""


class Points:
    """Points of some methods at 50 and 100 findings, in four splits."""

    def __init__(self, folder: Path) -> None:
        self.made = Experiment(folder, folds=4)
        self.methods: list[str] = []
        self.findings: list[int] = []
        for method, n50, n100 in (
            ("imagenet-features", [HALF], [THREE_QUARTERS]),
            ("imagenet", [RIGHT, RIGHT, THREE_QUARTERS, THREE_QUARTERS], [RIGHT | WRONG_IN_VALIDATION]),
        ):
            for number, scores in ((50, n50), (100, n100)):
                self.made.add(f"curve/{method}/n{number}", *scores)
                self.methods.append(method)
                self.findings.append(number)

    @property
    def results(self) -> list[Path]:
        return [self.made.result(name) for name in self.made.names]

    @property
    def curves(self) -> Curves:
        return read_points(self.methods, self.findings, self.results, 4)

    @property
    def flags(self) -> list[str]:
        return ["--target", "t", "--results", *map(str, self.results), "--methods", *self.methods,
                "--findings", *map(str, self.findings), "--splits", *map(str, self.made.splits)]  # fmt: skip


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Points:
    return Points(tmp_path_factory.mktemp("points"))


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def written(points: Points) -> Path:
    folder = points.made.folder / "tables"
    tables.main([*points.flags, "--task", "Emphysema", "--out", str(folder)])
    return folder


def test_pairs_are_tested_as_published_and_over_splits(written: Path) -> None:
    """Differences 3/8 with 50 findings (1/2, 1/2, 1/4, 1/4 by split) and 1/4 with 100.

    Over the two numbers their mean is 5/16 and its standard error 1/16: t = 5 with one degree of freedom, so
    p = 1 - 2/pi · atan 5. Over splits the means of both are 3/8, 3/8, 1/4, 1/4: s² = 1/192; four test findings to
    four in training make the variance of the mean s² · (1/4 + 1), so t = sqrt 15, x = t / sqrt 3 and, with three
    degrees of freedom, p = 1 - 2/pi · (atan x + x / (1 + x²)) = .0305.
    """
    (row,) = rows(written / "targeted_tests.csv")
    assert (row["figure"], row["method"], row["reference"]) == ("Figure 5", "imagenet", "imagenet-features")
    assert (row["paper"], row["paper p"], row["numbers"]) == ("better", "0.00098", "2")
    assert float(row["difference"]) == pytest.approx(5 / 16, abs=1e-4)
    assert float(row["p over numbers"]) == pytest.approx(1 - 2 / math.pi * math.atan(5), abs=1e-4)
    x = math.sqrt(5)
    expected = 1 - 2 / math.pi * (math.atan(x) + x / (1 + x**2))
    assert float(row["p_corrected"]) == pytest.approx(expected, abs=1e-4)
    assert row["note"] == ""


def test_stages_choose_inside_each_number_by_validation(points: Points, written: Path) -> None:
    """With 100 findings the paper's choice is 0 in validation, so the other one is chosen in all four splits."""
    curves = points.curves
    chosen = choose(curves)
    assert set(chosen[50].values()) == {"imagenet-features"}  # equals in validation: the first
    assert set(chosen[100].values()) == {"imagenet-features"}
    better = {"imagenet": curves["imagenet"], "imagenet-features": curves["imagenet-features"]}
    assert set(choose(better)[50].values()) == {"imagenet"}
    assert set(choose(better)[100].values()) == {"imagenet-features"}
    assert auroc_of_chosen(better, choose(better)) == {50: 0.875, 100: 0.75}
    (row,) = rows(written / "targeted_stages.csv")
    assert (row["paper"], row["inside each number"]) == ("imagenet", "imagenet-features 8")
    assert float(row["auroc of the paper's choice"]) == pytest.approx((0.875 + 1) / 2, abs=1e-4)
    assert float(row["auroc of ours"]) == pytest.approx((0.5 + 0.75) / 2, abs=1e-4)
    assert float(row["difference"]) == pytest.approx(-5 / 16, abs=1e-4)


def test_claims_stand_beside_what_our_runs_say(written: Path) -> None:
    found = {row["claim"]: row for row in rows(written / "targeted_claims.csv")}
    assert len(found) == len(targeted.claims())
    better = found["gradual unfreezing is better than a feature extractor"]
    assert (better["paper"], better["ours"]) == ("better", "+0.312")
    above = found["from ImageNet the AUROC is above .7 from so many images on"]
    assert (above["paper"], above["ours"]) == ("500", "50")
    highest = next(row for claim, row in found.items() if claim.startswith("with any method"))
    assert (highest["paper"], highest["ours"]) == ("", "0.750 at 100")  # the paper says so of other tasks
    assert found["MURA is no better a source than ImageNet"]["ours"] == "not run"


def test_gains_and_numbers_from_which_on_something_holds(points: Points) -> None:
    curves = points.curves
    evidence = Evidence(curves, ScoredRuns(curves, read_splits(points.made.splits)), 1.0)

    def ours(measure: str, findings: int | None = None) -> str:
        claim = targeted.Claim("", (), "", measure, "imagenet", "imagenet-features", findings)
        return MEASURES[measure](claim, evidence)[0]

    assert ours("gain", 50) == "+75 %"  # .875 of .5
    assert ours("best_gain") == "+75 % at 50"
    assert ours("gain", 200) == ours("auroc", 200) == "not run"
    assert ours("auroc", 100) == "1.000"
    assert ours("matches") == "50"
    assert ours("beats") == "none up to 100"  # four test findings prove nothing


def test_positives_of_the_same_task_stand_beside_the_printed_ones(written: Path) -> None:
    """Of the first split: g in training, e in validation, a and b in the test."""
    found = {(row["data set"], row["part"]): row for row in rows(written / "targeted_1.csv")}
    assert [found["Emphysema", part]["ours"] for part in ("training", "validation", "testing")] == [
        "1",
        "1",
        "2",
    ]
    assert found["Emphysema", "testing"]["paper"] == found["Emphysema", "testing"]["official lists"] == "1093"
    misprint = found["Pneumonia", "testing"]
    assert (misprint["paper"], misprint["official lists"], misprint["ours"]) == (
        "97 †",
        "555",
        "another task",
    )


def test_the_published_test_needs_differences_that_differ() -> None:
    assert published_p([0.6, 0.7, 0.9], [0.5, 0.5, 0.6]) == pytest.approx(
        0.0742, abs=1e-4
    )  # t = 2 sqrt 3, 2 d.f.
    assert published_p([0.6, 0.7], [0.5, 0.6]) is None
    assert published_p([0.6], [0.5]) is None


def test_a_figure_has_a_line_for_each_method_and_one_for_what_is_chosen(
    points: Points, tmp_path: Path
) -> None:
    figures.main(["targeted_5", *points.flags, "--counted", "train", "--out", str(tmp_path / "x.png")])
    assert (tmp_path / "x.png").stat().st_size > 10_000
    made = figures.stage("targeted_5", points.curves, "t", ["train"])
    (axes,) = made.axes
    legend = axes.get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["feature extractor", "gradual unfreezing", figures.CHOSEN]
    assert axes.get_xlabel() == "training findings of t"


def test_tasks_stand_side_by_side_as_the_paper_prints_them(points: Points, tmp_path: Path) -> None:
    panels.main(["targeted_5", *[str(points.made.folder)] * 2, "--out", str(tmp_path / "x.png")])
    assert (tmp_path / "x.png").exists()
    found = panels.find(points.made.folder)
    assert {name: list(of) for name, of in found.items()} == {
        "imagenet": [50, 100],
        "imagenet-features": [50, 100],
    }
    made = panels.panels("targeted_5", dict.fromkeys(("Pneumonia", "Emphysema", "Hernia"), found))
    titles = [axes.get_title(loc="left") for axes in made.axes]
    assert titles == ["Pneumonia", "Emphysema", "Hernia", ""]  # the fourth place is free
    lines = [line for line in made.axes[0].lines if line.get_marker() == "o"]
    assert [list(np.asarray(line.get_ydata())) for line in lines] == [[0.5, 0.75], [0.875, 1.0]]
    with pytest.raises(EmptyError, match="the folder of a run of"):
        panels.find(tmp_path)


def test_the_curves_of_rate_and_momentum_are_exact() -> None:
    rates, momenta = (np.asarray(axes.lines[0].get_ydata(), float) for axes in figures.policy().axes)
    assert len(rates) == len(momenta) == 500
    for step, share, momentum in ((0, 1 / 25, 0.95), (75, 0.52, 0.9), (150, 1.0, 0.85), (325, 0.50002, 0.9)):
        assert (rates[step], momenta[step]) == (pytest.approx(share), pytest.approx(momentum))
    (axes,) = figures.groups().axes
    first, second, last = (line for line in axes.lines if len(np.asarray(line.get_xdata())) > 2)

    def begins(line: object) -> Sequence[float]:
        return [float(np.asarray(values)[0]) for values in line.get_data()]  # type: ignore[attr-defined]

    assert begins(first) == [100.0, pytest.approx(rates[100] / 9)]
    assert begins(second) == [50.0, pytest.approx(rates[50] / 3)]
    assert begins(last) == [0.0, pytest.approx(0.04)]


@pytest.fixture(scope="module")
def paper() -> dict[str, Any]:
    """config/targeted-transfer.yaml over config/config.yaml."""
    read = [
        yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("config", "targeted-transfer")
    ]
    update_config(read[0], read[1])
    return checked(read[0])


def test_the_config_of_the_paper_has_all_its_figures_and_every_point_of_them(paper: dict[str, Any]) -> None:
    """19 methods with 12 numbers and all images; four of them, radiomics by classifier, are of no figure."""
    assert targeted.wanted(paper["curve"]["methods"]) == list(targeted.STAGES)
    assert all(targeted.drawn(name, paper["curve"]["methods"]) == list(stage.methods)
               for name, stage in targeted.STAGES.items())  # fmt: skip
    assert len(curve.points(paper)) == 19 * 13
    some = paper | {"curve": paper["curve"] | {"whole": False}}
    assert {number for _, _, number in curve.points(some)} == set(paper["curve"]["findings"])
    assert len(plan.every_result(paper)) == 15 * 13
    assert len(plan.every_prediction(paper)) == 15 * 13 * 3 * 2  # three seeds, two states
    assert plan.task(paper) == "Emphysema"
    assert targeted.task_of(paper["collections"]["chest"], "chest") == targeted.ALL_LABELS
    assert targeted.task_of(paper["collections"]["cxr13"], "cxr13") == "cxr13"


def test_the_config_of_the_paper_trains_as_the_paper_says(paper: dict[str, Any]) -> None:
    def phase(name: str) -> Phase:
        (found,) = parse_phases(training.phases_as_json(paper, name))
        return found

    usual, regular, features = phase("imagenet"), phase("none-regular"), phase("imagenet-features")
    assert (usual.optimizer, usual.batch_size, usual.epochs, usual.batches) == ("adam", 16, 20, None)
    assert (usual.learning_rate, usual.select, usual.head) == ("find", "best", {"emphysema": "new"})
    assert usual.schedule == {"kind": "one-cycle"}
    assert usual.layers is not None
    assert usual.layers.factors(3) == pytest.approx([1 / 9, 1 / 3, 1], rel=1e-15)
    assert usual.layers.starts(3) == [0.2, 0.1, 0.0]
    assert regular.layers is None
    assert regular.schedule == {
        "kind": "plateau", "factor": 0.1, "patience": 0, "watch": "loss", "until": 1e-6
    }  # fmt: skip
    assert features.layers is not None
    assert features.layers.starts(3) == [math.inf] * 3
    assert training.setting(paper, "imagenet", "training/selection") == "loss"
    assert {name: training.setting(paper, name, "network") for name in ("mura", "resnet-mura")} == {
        "mura": "densenet121", "resnet-mura": "resnet50"
    }  # fmt: skip
    assert [phase(name).datasets for name in ("source-mura", "mura")] == [("mura",), ("emphysema",)]
    assert start.random_networks(paper, "none") == 1
    assert training.setting(paper, "none", "bootstrap/initialization") == "torch"


def test_methods_of_pairs_and_claims_stand_in_figures() -> None:
    known = {name for stage in targeted.STAGES.values() for name in stage.methods}
    for pair in targeted.pairs():
        assert {pair.method, pair.reference} <= targeted.STAGES[pair.figure].methods.keys()
        assert set(pair.tasks) <= set(targeted.TASKS)
    for claim in targeted.claims():
        assert {claim.method, claim.reference} - {""} <= known
        assert claim.measure in MEASURES
        assert set(claim.tasks) <= set(targeted.TASKS)
    assert targeted.wanted(["imagenet", "none", "other"]) == ["targeted_6", "targeted_8"]
