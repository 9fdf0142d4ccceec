"""The assessment as its rule runs it: from predictions and splits to tables, pictures and operating.json."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.evaluation import assess
from model.evaluation.assessed import Assessed
from model.evaluation.assessment import operating_rows
from model.evaluation.intervals import Fold
from model.evaluation.operating import OperatingPoint
from model.files import operating
from model.report import operating_points
from model.report.probabilities import plot_abstain
from tests.test_compare import HALF, RIGHT, THREE_QUARTERS, Experiment


def assessed(experiment: Experiment, *more: str) -> dict[str, list[dict[str, str]]]:
    """The rows of the three tables."""
    results = experiment.folder / "results"
    tables = ("calibration", "ranking", "operating", "conformal")
    assess.main(
        ["--results", *(str(experiment.result(name)) for name in experiment.names),
         "--runs", *(str(run) for name in experiment.names for run in experiment.runs(name)),
         "--splits", *map(str, experiment.splits), *more,
         *(word for name in tables for word in (f"--out-{name}", str(results / f"{name}.csv"))),
         *(word for name in ("reliability", "precision", "points", "decisions", "abstain")
           for word in (f"--out-{name}", str(results / f"{name}.png")))]
    )  # fmt: skip
    return {name: list(csv.DictReader((results / f"{name}.csv").read_text().splitlines())) for name in tables}


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Two runs: one ranks all rightly, one has a of the positives a and b below the threshold."""
    made = Experiment(tmp_path, folds=2)
    made.add("typhon", RIGHT, THREE_QUARTERS)
    return made


def of_run(experiment: Experiment, number: int) -> Any:
    return json.loads((experiment.runs("typhon")[number] / "operating.json").read_text())


def test_thresholds_of_validation_are_judged_on_the_test_by_hand(experiment: Experiment) -> None:
    """Validation scores .7 (positive) and .3: .5 by any point but the least specific, .5 too. On the test a
    and b are found by the first run, b alone by the second: sensitivity 3/4, specificity 1 of four.
    """
    (youden, *_), rows = assessed(experiment)["operating"], assessed(experiment)["ranking"]
    assert (youden["point"], youden["threshold"], youden["count"], youden["positives"]) == (
        "youden", "0.5000", "4", "2",
    )  # fmt: skip
    assert (youden["sensitivity"], youden["specificity"], youden["prevalence"]) == (
        "0.7500",
        "1.0000",
        "0.5000",
    )
    assert (youden["ppv"], youden["npv"], youden["lr_positive"]) == ("1.0000", "0.8000", "inf")
    assert youden["lr_negative"] == "0.2500"
    # AUROC 1 and 3/4; average precision 1 and, b first and a behind c, (1 + 2/3) / 2.
    assert [(row["per"], row["auroc"], row["average_precision"]) for row in rows] == [
        ("finding", "0.8750", "0.9167")
    ]


def test_thresholds_lie_beside_the_test_curve_with_both_intervals() -> None:
    """Of the positives .9 and .2 one is above .5; the negatives .3 and .1 are both below: (0, 1/2)."""
    test = Fold(np.array(list("abcd")), np.array([1, 1, 0, 0]), np.array([[0.9, 0.2, 0.3, 0.1]]))
    known = Fold(np.array(list("ef")), np.array([1, 0]), np.array([[0.7, 0.3]]))
    one = Assessed("m", "", ((0, 0),), (known,), (test,), (0.5,), (0.5,))
    points = [OperatingPoint(), OperatingPoint("specificity", 0.8)]
    (axes,) = operating_points.plot([one], operating_rows(one, points, None), points, "title").axes
    drawn = [np.asarray(line.get_xydata(), float) for line in axes.lines]
    marked = [line.tolist() for line in drawn if len(line) == 1]
    assert marked == [[[0, 0.5]], [[0, 0.5]]]
    # Chance, the curve (its first positive is above all, its second above one of two negatives), what was asked.
    assert [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]] in [
        np.unique(line, axis=0).tolist() for line in drawn
    ]
    assert [line.get_xdata() for line in axes.lines][-1] == pytest.approx([0.2, 0.2])


def test_training_findings_that_inner_folds_scored_count_beside_validation(experiment: Experiment) -> None:
    """Validation alone puts the threshold at .5; with g at .45 and the others of training at .4 it is at .425."""
    for run in experiment.runs("typhon"):
        lines = [f"t,train,{who},1,0,{label},{score}" for who, label, score in
                 (("g", 1, 0.45), ("h", 0, 0.4), ("i", 0, 0.4), ("j", 0, 0.4))]  # fmt: skip
        for path in (run / "predictions.csv", run / "best/predictions.csv"):
            path.write_text(path.read_text() + "\n".join(lines) + "\n")
    youden = assessed(experiment)["operating"][0]
    assert (youden["point"], youden["threshold"]) == ("youden", "0.4250")
    about = of_run(experiment, 0)["problems"][""]
    assert about["validation"] == {"findings": 6, "positives": 2}


def test_the_interval_of_wrong_decisions_is_in_the_picture_to_its_end() -> None:
    """Twelve findings, two on the wrong side: where few are decided the interval is several times as high as the line."""
    labels = np.tile([1, 0], 6)
    scores = np.where(labels == 1, 0.7, 0.3) + np.linspace(-0.15, 0.15, 12)
    scores[[0, 1]] = scores[[1, 0]]
    folds = tuple(
        Fold(np.array([f"{part}{number}" for number in range(12)]), labels, scores[None]) for part in "vt"
    )
    one = Assessed("m", "", ((0, 0),), folds[:1], folds[1:], (0.5,), (0.5,))
    (axes,) = plot_abstain([one], "title").axes
    (band,) = axes.collections
    top = band.get_paths()[0].vertices[:, 1].max()
    assert top > 1.5 * max(axes.lines[0].get_ydata())
    assert axes.get_ylim()[1] >= top


def test_predictive_values_are_for_the_prevalence_that_was_given(experiment: Experiment) -> None:
    """3/4 of 20 % positives are called so and no negative: of the others 1/4 · .2 / (.8 + .05) are positive."""
    youden = assessed(experiment, "--prevalence", "0.2")["operating"][0]
    assert (youden["prevalence"], youden["npv"]) == ("0.2000", f"{0.8 / 0.85:.4f}")


def test_scores_are_moved_to_the_prevalence_of_training_and_calibrated(experiment: Experiment) -> None:
    """One of four training findings is positive: odds by a third. The line of .7 and .3: slope log 2 over
    log 7/3, fitted at a prevalence of one half.
    """
    rows = {row["scores"]: row for row in assessed(experiment)["calibration"]}
    slope = np.log(2) / np.log(7 / 3)
    truth = np.array([1, 1, 0, 0])
    scores = [np.array([0.9, 0.8, 0.2, 0.1]), np.array([0.15, 0.8, 0.2, 0.1])]
    expected = {"score": (1, 1), "prevalence": (1, 3), "calibrated": (slope, 3)}
    for kind, (power, down) in expected.items():
        odds = [(one / (1 - one)) ** power / down for one in scores]
        brier = np.mean([np.mean((odd / (1 + odd) - truth) ** 2) for odd in odds])
        assert float(rows[kind]["brier"]) == pytest.approx(brier, abs=1e-4)
    assert rows["score"]["slope"] == ""  # the first run parts the classes wholly
    notes = experiment.notes("calibration")
    assert "prevalence, moved to the shares of the classes in training;" in notes
    assert "leaves out" not in notes


def test_scores_are_moved_from_the_shares_that_a_network_saw(experiment: Experiment) -> None:
    """Of as many views of each finding one in four is positive, as of the findings: nothing moves. With three
    views of the positive one, half is.
    """
    rows = {row["scores"]: row for row in assessed(experiment, "--by-views", "typhon")["calibration"]}
    assert rows["prevalence"]["brier"] == rows["score"]["brier"]
    equal = assessed(experiment)
    for path in experiment.splits:
        path.write_text(path.read_text().replace("g,g,1,1,train,2", "g,g,1,1,train,6"))
    assert assessed(experiment, "--by-views", "typhon") == equal


def test_what_a_network_saw_are_the_findings_within_its_budget(experiment: Experiment) -> None:
    """One finding of each class, of four in training of which one is positive: half of what it saw is positive."""
    equal = assessed(experiment)
    for run in experiment.runs("typhon"):
        facts = json.loads((run / "run.json").read_text())
        facts |= {"budget": {"t": 2}, "subset": ["training", "equal"]}
        (run / "run.json").write_text(json.dumps(facts))
    assert assessed(experiment, "--by-views", "typhon") == equal


def test_where_the_split_balances_the_test_probabilities_are_for_the_classes_of_the_test(
    experiment: Experiment,
) -> None:
    """Two of four test findings are positive, and one in four of training: nothing moves but operating.json."""
    for path in experiment.splits:
        path.write_text(path.read_text() + "k,k,1,0,unused,2\n")
    rows = {row["scores"]: row for row in assessed(experiment)["calibration"]}
    slope = np.log(2) / np.log(7 / 3)
    scores = [np.array([0.9, 0.8, 0.2, 0.1]), np.array([0.15, 0.8, 0.2, 0.1])]
    odds = [(one / (1 - one)) ** slope for one in scores]
    brier = np.mean([np.mean((odd / (1 + odd) - np.array([1, 1, 0, 0])) ** 2) for odd in odds])
    assert float(rows["calibrated"]["brier"]) == pytest.approx(brier, abs=1e-4)
    assert rows["prevalence"]["brier"] == rows["score"]["brier"]
    notes = experiment.notes("calibration")
    assert "prevalence, moved to the shares of the classes in the test of each split;" in notes
    assert "The split leaves out test findings" in notes
    assert "in training" not in notes
    assert of_run(experiment, 1)["problems"][""]["prevalence"] == 0.25


def test_each_run_keeps_its_line_and_its_thresholds(experiment: Experiment) -> None:
    assessed(experiment, "--sensitivity", "0.8", "--specificity")
    found = of_run(experiment, 1)
    assert (found["dataset"], found["state"]) == ("t", "last")
    about = found["problems"][""]
    assert (about["prevalence"], about["validation"]) == (0.25, {"findings": 2, "positives": 1})
    assert about["calibration"]["slope"] == pytest.approx(np.log(2) / np.log(7 / 3), rel=1e-4)
    assert [(point["point"], point["threshold"], point["sensitivity"]) for point in about["points"]] == [
        ("youden", 0.5, 0.75), ("sensitivity 0.8", 0.5, 0.75),
    ]  # fmt: skip
    # One validation patient of each class: nothing is ruled out at 90 %.
    assert about["sets"] == [{"coverage": 0.9, "positive": 0.0, "negative": 1.0}]
    read = operating.read(experiment.runs("typhon")[1], "t", "last")[""]
    assert read.sets == ({"coverage": 0.9, "positive": 0.0, "negative": 1.0},)
    assert read.line is not None
    assert (read.prevalence, read.line.prevalence, read.points[0]["threshold"]) == (0.25, 0.5, 0.5)
    assert operating.read(experiment.runs("typhon")[1], "t", "best") == {}
    assert operating.read(experiment.folder, "t", "last") == {}


def test_a_validation_that_says_nothing_gives_no_probabilities_and_says_so(tmp_path: Path) -> None:
    made = Experiment(tmp_path, folds=1)
    made.add("typhon", HALF | {"e": 0.3, "f": 0.7})
    rows = {row["scores"]: row["brier"] for row in assessed(made)["calibration"]}
    assert rows == {"score": "0.2500", "prevalence": "0.3125", "calibrated": ""}
    why = "positive validation findings score no higher than negative ones"
    assert f"No calibrated probabilities of typhon: {why}." in made.notes("calibration")
    about = of_run(made, 0)["problems"][""]
    assert (about["calibration"], about["calibration_reason"]) == (None, why)


def test_a_test_of_one_class_has_no_figures_but_pictures_that_say_so(tmp_path: Path) -> None:
    made = Experiment(tmp_path, folds=1, positive="e")
    made.add("typhon", RIGHT)
    rows = assessed(made)
    assert {row["brier"] for row in rows["calibration"]} == {""}
    assert {row["sensitivity"] for row in rows["operating"]} == {""}
    assert "No figures of typhon: a test set holds one class." in made.notes("operating")
    assert (tmp_path / "results/decisions.png").stat().st_size > 5000


@pytest.mark.parametrize(("folds", "seeds"), [(1, 2), (2, 1)])
def test_a_row_is_of_the_runs_that_have_a_threshold_and_a_note_says_how_many(
    tmp_path: Path, folds: int, seeds: int
) -> None:
    """The positive validation finding of the second run scores 0, so no threshold finds it. On the test the first
    run finds a and b above .5; the second, which finds b alone, does not count. That is so if both
    are of one split, and if each has its own.
    """
    made = Experiment(tmp_path, folds=folds, seeds=seeds)
    made.add("typhon", RIGHT, THREE_QUARTERS | {"e": 0.0})
    rows = {row["point"]: row for row in assessed(made)["operating"]}
    row = rows["sensitivity 0.9"]
    assert (row["threshold"], row["sensitivity"], row["specificity"]) == ("0.5000", "1.0000", "1.0000")
    assert (row["count"], row["positives"]) == ("4", "2")
    assert rows["youden"]["sensitivity"] == "0.7500"
    names = [
        [point["point"] for point in of_run(made, number)["problems"][""]["points"]] for number in range(2)
    ]
    assert names == [["youden", "sensitivity 0.9", "specificity 0.9"], ["youden", "specificity 0.9"]]
    notes = made.notes("operating")
    assert "1 of 2 runs of typhon have no threshold for sensitivity 0.9 (per finding): " in notes
    assert "The row is of the other runs." in notes
    assert "for youden" not in notes


def test_where_no_run_has_a_threshold_the_cells_are_empty_and_a_note_says_why(tmp_path: Path) -> None:
    made = Experiment(tmp_path, folds=1)
    made.add("typhon", RIGHT | {"e": 0.0})
    row = next(row for row in assessed(made)["operating"] if row["point"] == "sensitivity 0.9")
    assert (row["count"], row["threshold"], row["sensitivity"], row["ppv"]) == ("4", "", "", "")
    notes = made.notes("operating")
    assert "1 of 1 runs of typhon have no threshold for sensitivity 0.9" in notes
    assert "The row has no figures." in notes


def test_sets_are_of_validation_patients_and_judged_on_the_test(experiment: Experiment) -> None:
    """One validation patient of each class: at 90 % nothing can be ruled out. At 50 % half of two may be: from
    .7 on a finding may be positive, up to .3 negative. The second run has a positive at .15: neither by its class.
    """
    sure, even = assessed(experiment, "--coverage", "0.9", "0.5")["conformal"]
    assert (sure["decided"], sure["patients_positive"], sure["wrong"]) == ("0.0000", "1.0000", "")
    assert (even["positives_covered"], even["negatives_covered"]) == ("0.7500", "1.0000")
    assert (even["decided"], even["wrong"]) == ("1.0000", "0.1250")
    assert (even["patients_positive"], even["patients_negative"]) == ("0.7500", "1.0000")
    assert "no score can rule it out" in experiment.notes("conformal")


def test_the_same_input_gives_the_same_bytes(experiment: Experiment) -> None:
    def written() -> dict[str, bytes]:
        assessed(experiment)
        return {
            path.name: path.read_bytes()
            for path in (experiment.folder / "results").iterdir()
            if path.is_file()
        }

    assert written() == written()


def test_an_operating_file_that_is_none_is_told(experiment: Experiment) -> None:
    assessed(experiment)
    path = experiment.runs("typhon")[0] / "operating.json"
    path.write_text(path.read_text().replace('"slope": ', '"slope": -'))
    with pytest.raises(ValueError, match="problems//calibration"):
        operating.read(path.parent, "t", "last")
    path.write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        operating.read(path.parent, "t", "last")
