import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model.report.plots import main, plot_bootstrap, plot_curves, plot_roc
from pipeline.files import write_csv

PREDICTIONS = ("dataset", "split", "patient_id", "finding_id", "view", "label", "score")
HISTORY = ("phase", "epoch", "dataset", "split", "metric", "value")


def table(path: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> Path:
    write_csv(path, columns, [dict(zip(columns, row, strict=True)) for row in rows])
    return path


def figures_of(runs: int, auroc: float | None = 0.75) -> dict[str, Any]:
    common = {"dataset": "a", "split": "test", "state": "last"}
    return {
        "method": "typhon", "target": "a", "state": "last", "auroc": auroc,
        "auroc_reason": "no positive finding",
        "ci95_kind": None if auroc is None else "logit",
        "ci95": None if auroc is None else [0.5, 1.0], "corrected95": None,
        "runs": [{"fold": 0, "seed": seed, "auroc": auroc, **common} for seed in range(runs)],
        "summary": [{**common, "findings": 4, "positives": 2, "groups": 3}],
    }  # fmt: skip


def predictions(folder: Path, seed: int, labels: tuple[int, ...] = (1, 1, 0, 0)) -> Path:
    scores = (0.9, 0.3, 0.4, 0.1)
    rows = [("a", "test", f"p{n}", "1", 0, label, scores[n]) for n, label in enumerate(labels)]
    rows += [("b", "test", "q", "1", 0, 1, 0.5), ("a", "validation", "q", "1", 0, 1, 0.5)]
    return table(folder / f"fold0/seed{seed}/predictions.csv", PREDICTIONS, rows)


def history(folder: Path, seed: int) -> Path:
    rows: list[tuple[object, ...]] = []
    for phase, datasets in (("training", "ab"), ("specialization", "a")):
        for epoch in (10, 20):
            rows += [(phase, epoch, name, "train", "loss", 0.5) for name in datasets]
            rows += [(phase, epoch, name, "validation", "auroc", epoch / 25) for name in datasets]
            seen = {"a": epoch * 8 + (160 if phase == "specialization" else 0), "b": epoch * 8}
            rows += [(phase, epoch, name, "train", "samples", seen[name]) for name in datasets]
            rows += [(phase, epoch, "b", "validation", "auroc", "")]
    return table(folder / f"seed{seed}/history.csv", HISTORY, rows)


def legend(made: Any) -> list[str]:
    (found,) = made.legends if hasattr(made, "legends") else [made.get_legend()]
    return [text.get_text() for text in found.get_texts()]


def test_roc_names_each_run_and_the_mean_with_its_interval(tmp_path: Path) -> None:
    made = plot_roc(figures_of(2), [predictions(tmp_path, 0), predictions(tmp_path, 1)])
    assert legend(made.axes[0]) == [
        "chance", "fold 0, seed 0: 0.750", "fold 0, seed 1: 0.750",
        "mean 0.750\n95 %, patients [0.500, 1.000]",
    ]  # fmt: skip
    assert "2 positive and 2 negative findings in 3 groups" in made.axes[0].get_title(loc="left")


def test_roc_names_newcombes_interval_and_the_one_over_splits(tmp_path: Path) -> None:
    more = {"ci95": [0.25, 1.0], "ci95_kind": "newcombe", "corrected95": [0.5, 0.875]}
    made = plot_roc(figures_of(1) | more, [predictions(tmp_path, 0)])
    shown = "AUROC 0.750\n95 % (Newcombe) [0.250, 1.000]\n95 %, splits [0.500, 0.875]"
    assert legend(made.axes[0]) == ["chance", shown]  # a single run is its own mean


def test_roc_of_many_runs_names_their_range(tmp_path: Path) -> None:
    made = plot_roc(figures_of(9), [predictions(tmp_path, seed) for seed in range(9)])
    assert legend(made.axes[0])[1] == "9 runs: 0.750 to 0.750"


def test_roc_of_one_class_says_why_it_is_empty(tmp_path: Path) -> None:
    made = plot_roc(figures_of(1, None), [predictions(tmp_path, 0, (0, 0, 0, 0))])
    assert [text.get_text() for text in made.axes[0].texts] == ["no positive finding"]


def test_curves_have_a_column_per_phase_and_a_line_between(tmp_path: Path) -> None:
    made = plot_curves([history(tmp_path, 0), history(tmp_path, 1)])
    titles = [axes.get_title(loc="left").strip() for axes in made.axes]
    assert titles[:2] == ["training: 320 training samples", "specialization: 160 training samples"]
    assert legend(made) == ["a", "b", "validation", "train"]
    assert made.axes[1].spines["left"].get_linewidth() > 1


def test_bootstrap_rings_the_picked_candidate(tmp_path: Path) -> None:
    columns = ("candidate", "a", "b", "minimum", "mean", "accepted", "picked")
    rows: list[tuple[object, ...]] = [
        (0, 0.5, 0.7, 0.5, 0.6, 1, 0), (1, 0.6, 0.6, 0.6, 0.6, 1, 1), (2, 0.4, "", 0.4, 0.4, 0, 0),
    ]  # fmt: skip
    made = plot_bootstrap(table(tmp_path / "scores.csv", columns, rows))
    assert made.axes[0].get_title(loc="left") == "candidate 1 of 3 picked: a 0.600, b 0.600"
    assert list(made.axes[0].lines[-1].get_xdata()) == [1, 1]  # first by its minimum


def test_bootstrap_leaves_out_what_a_staged_search_did_not_score_in_full(tmp_path: Path) -> None:
    columns = ("candidate", "a", "b", "minimum", "mean", "accepted", "picked")
    rows: list[tuple[object, ...]] = [
        (0, 0.5, 0.7, 0.5, 0.6, 1, 0), (1, 0.4, "", "", "", 0, 0), (2, "", "", "", "", 0, 0), (3, 0.6, 0.6, 0.6, 0.6, 1, 1),
    ]  # fmt: skip
    made = plot_bootstrap(table(tmp_path / "scores.csv", columns, rows))
    assert made.axes[0].get_title(loc="left") == "candidate 3 of 4 picked: a 0.600, b 0.600"
    assert made.axes[0].get_xlabel().startswith("the 2 candidates scored in full, by the lowest")


def test_same_figure_same_bytes(tmp_path: Path) -> None:
    figures = tmp_path / "auc.json"
    figures.write_text(json.dumps(figures_of(1)))
    run = predictions(tmp_path, 0).parent
    for name in ("one.png", "two.png"):
        main(["roc", "--figures", str(figures), "--runs", str(run), "--out", str(tmp_path / name)])
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        assert min(image.size) > 600
        assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 20  # not blank


@pytest.mark.parametrize("module", ["model.report.plots", "model.report.tensorboard"])
def test_figures_need_no_torch_and_no_window(module: str) -> None:
    code = f"import sys, {module}; sys.exit(bool({{'torch', 'matplotlib.pyplot'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
