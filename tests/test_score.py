import json
import math
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.evaluation import results
from model.evaluation.intervals import newcombe
from model.evaluation.predictions import PredictionsError
from model.evaluation.score import commit, main
from pipeline.files import write_csv

SPLIT_COLUMNS = ("patient_id", "group_id", "finding_id", "label", "split", "views")
PREDICTION_COLUMNS = ("dataset", "split", "patient_id", "finding_id", "view", "label", "score")
SETS = {
    "target": {"p1": (1, "test"), "p2": (0, "test"), "p3": (0, "test"),
               "p4": (1, "validation"), "p5": (0, "validation"), "p6": (1, "train"), "p7": (0, "train")},
    "support": {"q1": (0, "test"), "q2": (0, "test"), "q3": (1, "validation"), "q4": (0, "validation")},
}  # fmt: skip


def table(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    write_csv(path, columns, [dict(zip(columns, row, strict=True)) for row in rows])


def write_run(folder: Path, fold: int, seed: int, scores: dict[str, list[float]]) -> Path:
    """A run scoring patient p with ``scores[p]``, one per view, else 0.25; the best state is its opposite."""
    run = folder / f"results/typhon/fold{fold}/seed{seed}"
    for state, opposite in (("", False), ("best/", True)):
        rows = [
            (dataset, split, patient, "1", view, label, 1 - score if opposite else score)
            for dataset, patients in SETS.items()
            for patient, (label, split) in patients.items()
            if split != "train"
            for view, score in enumerate(scores.get(patient, [0.25]))
        ]
        table(run / f"{state}predictions.csv", PREDICTION_COLUMNS, rows)
    facts = {
        "device": "cpu", "threads": 1, "seconds": {"training": 2.5}, "versions": {"torch": "2"},
        "trained": {"target": 12 + 8 * seed, "support": 12},
        "samples_seen": {
            "bootstrap": None if seed else 9, "training": 24, "specialization": 8, "evaluation": 100 + seed,
        },
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(facts))
    return run


def write_splits(folder: Path, folds: int) -> list[Path]:
    paths = []
    for dataset, patients in SETS.items():
        for fold in range(folds):
            path = folder / f"data/{dataset}/splits/fold{fold}.csv"
            rows = [(name, name, "1", label, split, 2) for name, (label, split) in patients.items()]
            table(path, SPLIT_COLUMNS, rows)
            paths.append(path)
    return paths


def run_score(folder: Path, runs: list[Path], folds: int, *more: str) -> dict[str, Any]:
    out = folder / "results/typhon_auc.json"
    splits = map(str, write_splits(folder, folds))
    main(["--method", "typhon", "--target", "target", "--runs", *map(str, runs), "--splits", *splits,
          "--out", str(out), *more])  # fmt: skip
    return json.loads(out.read_text(), parse_constant=pytest.fail)


def test_a_result_names_every_device_and_version_that_its_runs_had(tmp_path: Path) -> None:
    scores = {"p1": [0.5], "p2": [0.6], "p3": [0.1]}
    runs = [write_run(tmp_path, 0, seed, scores) for seed in (0, 1)]
    facts = json.loads((runs[1] / "run.json").read_text())
    other = facts | {"device": "NVIDIA H200", "versions": {"torch": "3"}}
    (runs[1] / "run.json").write_text(json.dumps(other))
    figures = run_score(tmp_path, runs, 1)
    assert figures["device"] == "NVIDIA H200, cpu"
    assert figures["provenance"]["versions"]["torch"] == "2, 3"


def test_figures_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seed 0: p1 has view 0 below p2's and a mean above all; seed 1: p1 beats p3 and loses to p2.

    Enhanced AUROC 1 and 1/2, mean 3/4; view 0 alone 1/2 and 1/2.
    """
    runs = [
        write_run(tmp_path, 0, 0, {"p1": [0.5, 1.0], "p2": [0.6, 0.6], "p3": [0.1, 0.1]}),
        write_run(tmp_path, 0, 1, {"p1": [0.5], "p2": [0.6], "p3": [0.1]}),
    ]
    figures = run_score(tmp_path, runs, 1)
    assert (figures["method"], figures["target"], figures["state"]) == ("typhon", "target", "last")
    assert figures["auroc"] == 0.75
    assert figures["auroc_single"] == 0.5
    assert figures["bootstrap95"] == [0.5, 1.0]  # p2 or p3 or both are drawn: 1/2, 3/4 or 1 on the mean
    assert figures["ci95"] == pytest.approx(newcombe(0.75, 1, 2))  # p1 is the only positive patient
    assert figures["ci95_kind"] == "newcombe"
    assert figures["corrected95"] is None
    assert figures["corrected95_reason"] == "one split"
    assert not {"t95", "delong95", "newcombe95"} & set(figures)
    assert figures["resampling"]["replicates"] == 2000
    # Of the 27 draws 8 lack p1 and 1 lacks p2 and p3: 9 of 27 are drawn again.
    assert figures["resampling"]["redrawn"] / (2000 + figures["resampling"]["redrawn"]) == pytest.approx(
        1 / 3, abs=0.03
    )
    assert figures["samples_seen"] == {
        "bootstrap": 9,
        "training": 48,
        "specialization": 16,
        "evaluation": 201,
    }
    assert figures["target_samples"] == 16.0  # the mean of 12 and 20
    assert figures["trained"] == {"target": 16.0, "support": 12.0}
    assert figures["seconds"] == 5.0
    assert figures["device"] == "cpu"
    assert figures["provenance"]["versions"]["torch"] == "2"
    assert len(figures["runs"]) == 2 * 2 * 2 * 2  # seeds, data sets, splits, states
    first = next(
        r for r in figures["runs"] if (r["dataset"], r["split"], r["state"]) == ("target", "test", "last")
    )
    assert first == {
        "fold": 0, "seed": 0, "dataset": "target", "split": "test", "state": "last",
        "auroc": 1.0, "auroc_single": 0.5, "findings": 3, "positives": 1, "patients": 3, "groups": 3,
        "accuracy": 2 / 3, "precision": 0.5, "recall": 1.0, "f1": 2 / 3, "specificity": 0.5,
    }  # fmt: skip
    shown = capsys.readouterr().out
    low, high = newcombe(0.75, 1, 2)
    line = f"target *    test         0.750  [{low:.3f}, {high:.3f}] n   0.500         3         1         3"
    assert line in shown
    assert "support test: no AUROC, fold 0: no positive finding among 2" in shown
    assert "target *    validation   0.500  [0.055, 0.945] n   0.500         2         1         2" in shown
    assert "n Newcombe's interval: all pairs are ranked alike, or a class is of one group alone" in shown


def test_best_state_is_the_headline_on_demand(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, 0, 0, {"p1": [0.5, 1.0], "p2": [0.6, 0.6], "p3": [0.1, 0.1]})]
    assert run_score(tmp_path, runs, 1, "--state", "best")["auroc"] == 0.0


def test_one_class_is_null_with_the_reason_beside_it(tmp_path: Path) -> None:
    figures = run_score(tmp_path, [write_run(tmp_path, 0, 0, {})], 1)
    run = next(r for r in figures["runs"] if (r["dataset"], r["split"]) == ("support", "test"))
    assert run["auroc"] is run["auroc_single"] is run["recall"] is None
    assert run["auroc_reason"] == "no positive finding among 2"
    assert run["recall_reason"] == "no positive finding"
    line = next(r for r in figures["summary"] if (r["dataset"], r["split"]) == ("support", "test"))
    for key in ("auroc", "ci95", "ci95_kind", "bootstrap95", "corrected95"):
        assert line[key] is None
        assert line[f"{key}_reason"] == "fold 0: no positive finding among 2"


BEST, HALF, WORST = {"p1": [0.9]}, {"p1": [0.5], "p2": [0.6]}, {"p1": [0.0]}
"""AUROC 1, 1/2 and 0 of the target's test."""


def test_interval_over_splits_is_of_means_over_seeds_on_the_scale_of_the_logit(tmp_path: Path) -> None:
    """Folds have 1 and 1/2, 1/2 and 0, and so on: means 3/4, 1/4, 3/4, 1/4; standard deviation 1/sqrt 12.

    Three test findings to two of training (p6, p7): s² · (1/4 + 3/2). By the derivative of the logit at 1/2,
    which is 4, the half width is t(.975, 3) = 3.1824 times 4 sqrt(1.75/12).
    """
    runs = [
        write_run(tmp_path, fold, seed, scores)
        for fold in range(4)
        for seed, scores in enumerate((HALF, WORST) if fold % 2 else (BEST, HALF))
    ]
    figures = run_score(tmp_path, runs, 4)
    assert figures["auroc"] == 0.5
    end = 1 / (1 + math.exp(-3.182446 * 4 * (1.75 / 12) ** 0.5))
    assert figures["corrected95"] == pytest.approx([1 - end, end], abs=1e-6)
    assert "corrected95_reason" not in figures


@pytest.mark.parametrize("folds", [2, 3])
def test_two_or_three_splits_have_no_interval_over_splits(tmp_path: Path, folds: int) -> None:
    """Of two a t interval was [-1.31, 2.29]."""
    runs = [write_run(tmp_path, fold, 0, WORST if fold else BEST) for fold in range(folds)]
    figures = run_score(tmp_path, runs, folds)
    assert (figures["corrected95"], figures["corrected95_reason"]) == (None, "fewer than 4 splits")


def test_perfect_splits_have_newcombes_interval_and_none_over_splits(tmp_path: Path) -> None:
    figures = run_score(tmp_path, [write_run(tmp_path, fold, 0, BEST) for fold in range(5)], 5)
    assert (figures["auroc"], figures["bootstrap95"]) == (1.0, [1.0, 1.0])
    assert (figures["ci95_kind"], figures["ci95"]) == ("newcombe", pytest.approx(newcombe(1.0, 1, 2)))
    assert (figures["corrected95"], figures["corrected95_reason"]) == (None, "the same in every split")


def test_a_result_of_an_older_version_is_one_clear_line(tmp_path: Path) -> None:
    """Its ci95 was that of the resamples."""
    path = tmp_path / "typhon_auc.json"
    path.write_text(json.dumps({"method": "typhon", "auroc": 0.8, "ci95": [0.7, 0.9], "t95": None}))
    with pytest.raises(PredictionsError) as caught:
        results.read(path)
    assert str(caught.value) == (
        f"E-PREDICTIONS {path}: expected a result with ci95_kind, found that of an older version;"
        " delete the file and run again; its rule makes it again"
    )


def test_same_seed_same_bytes_and_another_seed_other_draws(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, 0, 0, {f"p{n}": [n / 10] for n in range(1, 6)})]
    first = run_score(tmp_path, runs, 1)
    assert run_score(tmp_path, runs, 1) == first
    assert run_score(tmp_path, runs, 1, "--seed", "1")["resampling"] != first["resampling"]


def test_seconds_of_other_jobs_come_from_their_benchmarks(tmp_path: Path) -> None:
    benchmark = tmp_path / "benchmarks/typhon/fold0/seed0/bootstrap.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\tmax_rss\n4.5\t0:00:04\t100\n")
    figures = run_score(tmp_path, [write_run(tmp_path, 0, 0, {})], 1, "--benchmarks", str(benchmark))
    assert figures["seconds"] == 7.0
    assert figures["seconds_by_step"] == {"training": 2.5, "bootstrap": 4.5}
    benchmark.unlink()  # of no rule's output, so it may be gone
    figures = run_score(
        tmp_path, [tmp_path / "results/typhon/fold0/seed0"], 1, "--benchmarks", str(benchmark)
    )
    assert figures["seconds"] == 2.5


def test_runs_that_do_not_count_their_samples_leave_null_and_the_reason(tmp_path: Path) -> None:
    """Those of a version before the counts; one of them is enough, as the mean of a part misleads."""
    runs = [write_run(tmp_path, 0, seed, {}) for seed in (0, 1)]
    facts = json.loads((runs[1] / "run.json").read_text())
    del facts["trained"]
    (runs[1] / "run.json").write_text(json.dumps(facts))
    figures = run_score(tmp_path, runs, 1)
    for key in ("target_samples", "trained"):
        assert figures[key] is None
        assert figures[f"{key}_reason"] == "a run does not say how many samples it trained on"


def test_target_without_predictions_is_an_error(tmp_path: Path) -> None:
    run = write_run(tmp_path, 0, 0, {})
    with pytest.raises(
        PredictionsError, match="predictions of the target other, found those of support, target"
    ):
        main(["--method", "m", "--target", "other", "--runs", str(run), "--out", str(tmp_path / "x.json"),
              "--splits", *map(str, write_splits(tmp_path, 1))])  # fmt: skip
    assert not (tmp_path / "x.json").exists()


def test_commit_is_that_of_the_code_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    found = commit()
    assert found is None or len(found.removesuffix("-dirty")) == 40

    def absent(*_args: object, **_options: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", absent)
    assert commit() is None


def test_scoring_needs_no_torch() -> None:
    code = "import sys, model.evaluation.score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_four_by_fifteen_steps_in_sixtieths(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    rows, splits = [], []
    for number in range(19):
        score = random.random()
        splits.append((f"p{number}", f"p{number}", "1", int(number < 4), "test", 1))
        rows.append(("target", "test", f"p{number}", "1", 0, int(number < 4), score))
    table(tmp_path / "target/splits/fold0.csv", SPLIT_COLUMNS, splits)
    run = write_run(tmp_path, 0, 0, {})
    for state in ("", "best/"):
        table(run / f"{state}predictions.csv", PREDICTION_COLUMNS, rows)
    main(["--method", "m", "--target", "target", "--runs", str(run), "--out", str(tmp_path / "x.json"),
          "--splits", str(tmp_path / "target/splits/fold0.csv")])  # fmt: skip
    figures = json.loads((tmp_path / "x.json").read_text())
    sixtieths = figures["auroc"] * 60
    assert sixtieths == pytest.approx(round(sixtieths), abs=1e-9)
    assert figures["ci95"][0] < figures["auroc"] < figures["ci95"][1]
