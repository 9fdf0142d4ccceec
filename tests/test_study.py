"""The study: its plan, what is kept of its runs, and tables that follow from what is kept."""

import json
import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from model.evaluation.predictions import COLUMNS, PredictionsError
from pipeline.files import read_csv, write_csv
from pipeline.provenance import ROOT
from workflow import variants
from workflow.config import checked
from workflow.study import cells, make, pictures, steps, summary, tables, tuning
from workflow.study.cells import Cell
from workflow.study.record import Record

PROBE = Cell("features", False, "chest", ("three-sets", "study"), "probe", "all", 4, ("intensities",), True)
OTHER = replace(PROBE, method="intensities", references=(), primary=False)
FINDINGS = [
    ("p1", "g1", 0),
    ("p2", "g1", 1),
    ("p3", "g2", 0),
    ("p4", "g3", 1),
    ("p5", "g4", 0),
    ("p6", "g5", 1),
]
"""Patient, group and label of what is tested in every split."""


def run(
    folder: Path, cell: Cell, fold: int, scores: list[float], findings: list[tuple[str, str, int]]
) -> None:
    """A run that has ended: its split, two views of each test finding a tenth apart, and what it took."""
    rows = [
        {
            "patient_id": patient,
            "group_id": group,
            "finding_id": "1",
            "label": label,
            "split": "test",
            "views": 2,
        }
        for patient, group, label in findings
    ]
    rows += [
        {
            "patient_id": f"t{n}",
            "group_id": f"t{n}",
            "finding_id": "1",
            "label": n % 2,
            "split": split,
            "views": 2,
        }
        for n, split in enumerate(["train"] * 18 + ["validation"] * 6)
    ]
    data = folder / cell.folder / "data" / cell.target / "splits" / f"fold{fold}.csv"
    data.parent.mkdir(parents=True, exist_ok=True)
    write_csv(data, rows[0], rows)
    made = folder / cell.folder / cell.run(fold)
    made.mkdir(parents=True)
    views = [
        {"dataset": cell.target, "split": "test", "patient_id": patient, "finding_id": "1", "view": view,
         "label": label, "score": score + (0.05 if view else -0.05)}
        for (patient, _, label), score in zip(findings, scores, strict=True) for view in (0, 1)
    ]  # fmt: skip
    write_csv(made / "predictions.csv", COLUMNS, views)
    (made / "run.json").write_text(json.dumps({"seconds": {"training": 1.25, "evaluation": 0.5}}))


@pytest.fixture
def kept(tmp_path: Path) -> Record:
    """Four splits of two methods: the probe ranks all pairs rightly, the other one or two of nine wrongly."""
    record = Record(tmp_path / "kept")
    wrong = [[0.5, 0.4], [0.5, 0.4], [0.7, 0.6], [0.5, 0.4]]
    for fold in range(4):
        run(tmp_path, PROBE, fold, [0.1, 0.6, 0.2, 0.7, 0.3, 0.8], FINDINGS)
        first, second = wrong[fold]
        run(tmp_path, OTHER, fold, [first, second, 0.2, 0.65 if fold == 2 else 0.7, 0.3, 0.8], FINDINGS)
    for cell in (PROBE, OTHER):
        assert record.keep(cell, tmp_path / cell.folder, "abc", 15) == 4
    return record


def test_a_run_is_kept_as_the_mean_over_views_of_each_test_finding(kept: Record) -> None:
    (fold, *_) = kept.of(PROBE, 4).folds
    scores = {label: sorted(fold.scores[0][fold.labels == label]) for label in (0, 1)}
    assert scores == {0: pytest.approx([0.1, 0.2, 0.3]), 1: pytest.approx([0.6, 0.7, 0.8])}
    first = kept.runs().iloc[0]
    assert first[["target", "method", "findings", "fold", "split_seed", "commit"]].tolist() == [
        "chest", "probe", "all", 0, 15, "abc",
    ]  # fmt: skip
    assert first[["train", "validation", "test", "seconds"]].tolist() == [18, 6, 6, 1.8]


def test_no_id_of_a_patient_is_kept(kept: Record) -> None:
    text = "".join(path.read_text() for path in kept.folder.rglob("*.csv"))
    assert [name for row in FINDINGS for name in row[:2] if f"{name}," in text] == []


def test_what_is_kept_is_not_run_or_kept_again(kept: Record, tmp_path: Path) -> None:
    longer = replace(PROBE, splits=6)
    assert kept.left(longer) == [4, 5]
    assert kept.keep(longer, tmp_path / PROBE.folder, "def", 15) == 0
    words = make.command([longer], {longer.name: kept.left(longer)}, "{chest: raw}", ["--cores", "1"])
    assert words[words.index("--") + 1 :] == [
        f"results/probe/fold{fold}/seed0/predictions.csv" for fold in (4, 5)
    ]
    assert words[words.index("--config") + 1 :][:2] == ["target=chest", "raw={chest: raw}"]


def test_processes_that_keep_the_same_runs_keep_them_once(tmp_path: Path) -> None:
    for fold in range(4):
        run(tmp_path, PROBE, fold, [0.1, 0.6, 0.2, 0.7, 0.3, 0.8], FINDINGS)
    record = Record(tmp_path / "kept")
    arguments = (PROBE, tmp_path / PROBE.folder, "abc", 15)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(record.keep, *arguments) for _ in range(2)]
        assert sorted(job.result() for job in jobs) == [0, 4]
    assert record.runs()["fold"].tolist() == [0, 1, 2, 3]


def test_a_run_that_is_kept_anew_takes_the_place_of_its_scores(kept: Record, tmp_path: Path) -> None:
    (kept.folder / "runs.csv").unlink()  # as a checkout of an earlier one leaves it
    shutil.rmtree(tmp_path / PROBE.folder / PROBE.run(0))
    run(tmp_path, PROBE, 0, [0.35, 0.6, 0.2, 0.7, 0.15, 0.8], FINDINGS)
    assert kept.keep(PROBE, tmp_path / PROBE.folder, "abc", 15) == 4
    table = read_csv(kept.folder / PROBE.folder / f"{PROBE.name}.csv")
    assert table.columns.tolist() == ["finding", "0", "1", "2", "3"]
    (fold, *_) = kept.of(PROBE, 4).folds
    assert sorted(fold.scores[0][fold.labels == 0]) == pytest.approx([0.15, 0.2, 0.35])


def test_a_finding_whose_label_has_changed_is_refused(kept: Record, tmp_path: Path) -> None:
    run(tmp_path, PROBE, 4, [0.1] * 6, [("p1", "g1", 1), *FINDINGS[1:]])
    with pytest.raises(PredictionsError, match="two labels or groups"):
        kept.keep(replace(PROBE, splits=5), tmp_path / PROBE.folder, "abc", 15)


def test_a_comparison_by_hand(kept: Record) -> None:
    """Of nine pairs 1, 1, 2 and 1 are wrong: differences 1/9, 1/9, 2/9, 1/9 with s = 1/18, six test to 18 training."""
    (row,) = tables.differences(tables.compare([PROBE, OTHER], kept), tables.ask([PROBE, OTHER])).to_dict(
        "records"
    )
    half = 2.3534 / 18 * (1 / 4 + 6 / 18) ** 0.5
    assert (row["kind"], row["splits"]) == ("primary", 4)
    assert row["difference"] == pytest.approx(5 / 36)
    assert row["equivalence90"] == pytest.approx((5 / 36 - half, 5 / 36 + half), rel=1e-4)
    assert not row["equivalent"]
    assert row["p_corrected"] == row["holm_corrected"]


def test_nothing_is_adjusted_or_summed_up_before_it_is_complete(kept: Record) -> None:
    plan = [PROBE, OTHER, *(replace(cell, target="skin") for cell in (PROBE, OTHER))]
    compared = tables.compare(plan, kept)
    table = tables.differences(compared, tables.ask(plan))
    assert len(table) == 1
    assert table[["holm_delong", "holm_corrected"]].isna().all(axis=None)
    assert not len(tables.combined(compared, tables.ask(plan)))


def test_pictures_are_of_what_is_complete(kept: Record, tmp_path: Path) -> None:
    few = replace(PROBE, findings="12", references=())
    pictures.draw([PROBE, OTHER, few], kept, tmp_path / "before")
    for fold in range(4):
        run(tmp_path, few, fold, [0.5, 0.4, 0.2, 0.7, 0.3, 0.8], FINDINGS)
    kept.keep(few, tmp_path / few.folder, "abc", 15)
    pictures.draw([PROBE, OTHER, few], kept, tmp_path / "after")
    drawn = {name: sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("before", "after")}
    assert drawn == {"before": ["features.png"], "after": ["curves.png", "features.png"]}


def test_one_table_has_methods_differences_and_what_they_come_to_over_targets() -> None:
    """Of the findings of a target the most; an asterisk where both p-values are below .05 after Holm."""
    about = {"family": "features", "method": "probe", "splits": 4}
    areas = pd.DataFrame([
        {**about, "target": "chest", "findings": 25, "auroc": 0.6, "ci95": (0.5, 0.7)},
        {**about, "target": "chest", "findings": 99, "auroc": 0.8, "ci95": (0.7, 0.9)},
        {**about, "target": "skin", "findings": 50, "auroc": 0.75, "ci95": None},
        {**about, "family": "leaky", "target": "chest", "findings": 99, "auroc": 1.0, "ci95": None},
    ])  # fmt: skip
    about |= {"reference": "intensities", "findings": "all"}
    differences = pd.DataFrame([
        {**about, "target": "chest", "difference": 0.1, "corrected95": (0.05, 0.15), "holm_delong": 0.04,
         "holm_corrected": 0.01},
        {**about, "target": "skin", "difference": -0.02, "corrected95": (-0.05, 0.01), "holm_delong": 0.04,
         "holm_corrected": None},
    ])  # fmt: skip
    combined = pd.DataFrame([{**about, "difference": 0.04, "ci95": (-0.02, 0.1)}])
    table = summary.table(areas, differences, combined)
    assert table.to_numpy().tolist() == [
        ["probe", "4", "0.800 [0.700, 0.900]", "0.750", ""],
        [
            "probe − intensities", "4", "+0.100 [+0.050, +0.150]*", "−0.020 [−0.050, +0.010]",
            "+0.040 [−0.020, +0.100]",
        ],
    ]  # fmt: skip
    assert list(table) == ["method", "splits", "chest", "skin", summary.TOGETHER]


def test_areas_that_stand_side_by_side_are_of_no_more_splits_than_the_primary_comparison_has() -> None:
    few, many, leak = (
        replace(PROBE, splits=2), replace(OTHER, splits=4), replace(OTHER, family="leaky", splits=4)
    )  # fmt: skip
    assert [cell.splits for cell in tables.alike([few, many, leak])] == [2, 2, 4]


def test_a_cell_that_lacks_a_split_is_in_no_table(kept: Record) -> None:
    longer = replace(PROBE, splits=5)
    assert tables.compare([longer, OTHER], kept) == []
    assert list(tables.areas([longer, OTHER], kept)["method"]) == ["intensities"]
    assert tables.progress([longer, OTHER], kept)[["runs", "of"]].to_numpy().tolist() == [[4, 4], [4, 5]]


def test_holm_is_of_comparisons_of_one_kind_and_not_of_what_is_shown_apart(
    kept: Record, tmp_path: Path
) -> None:
    brain = [replace(cell, target="brain", apart=True) for cell in (PROBE, OTHER)]
    for cell in brain:
        for fold in range(4):
            scores = [0.1, 0.6, 0.2, 0.7, 0.3, 0.8] if fold else [0.5, 0.4, 0.2, 0.7, 0.3, 0.8]
            run(tmp_path, cell, fold, scores if cell.references else scores[::-1], FINDINGS)
        kept.keep(cell, tmp_path / cell.folder, "abc", 15)
    compared = tables.compare([PROBE, OTHER, *brain], kept)
    plan = tables.ask([PROBE, OTHER, *brain])
    table = tables.differences(compared, plan).set_index("target")
    assert table["holm_corrected"].isna().to_dict() == {"chest": False, "brain": True}
    both = tables.combined(compared, plan)
    assert list(both["targets"]) == ["chest, brain"]  # of one target alone there is nothing to sum up


def test_leaks_are_counted_against_the_honest_probe(kept: Record, tmp_path: Path) -> None:
    """The best of four has all pairs right in each split where one of them has; without leaks it is 1 − 5/36."""
    honest = replace(OTHER, method=tables.HONEST, target="skin")
    four = [replace(honest, method=name) for name in tables.CHOSEN]
    torn = replace(honest, method=tables.TORN)
    for cell in (honest, *four, torn):
        for fold in range(4):
            right = cell is torn or cell.method == tables.CHOSEN[fold]
            scores = [0.1, 0.6, 0.2, 0.7, 0.3, 0.8] if right else [0.5, 0.4, 0.2, 0.7, 0.3, 0.8]
            run(tmp_path, cell, fold, scores, FINDINGS)
        kept.keep(cell, tmp_path / cell.folder, "abc", 15)
    table = tables.leaky([honest, *four, torn], kept)
    assert table["inflation"].tolist() == pytest.approx([1 / 9, 1 / 9])
    # Nothing varies from split to split: neither the honest one nor what is claimed.
    assert [end for interval in table["corrected95"] for end in interval] == pytest.approx([1 / 9] * 4)


def test_the_interval_of_an_inflation_is_paired_where_splits_are_the_same(
    kept: Record, tmp_path: Path
) -> None:
    """Honest 8/9, 8/9, 7/9, 8/9 (s = 1/18) against 1: the best of four on these splits; torn ones have others."""
    honest = replace(OTHER, method=tables.HONEST, target="skin")
    four = [replace(honest, method=name) for name in tables.CHOSEN]
    torn = replace(honest, method=tables.TORN)
    for cell in (honest, *four, torn):
        for fold in range(4):
            right = cell is not honest and (cell is not torn or fold)
            wrong = [0.7, 0.6, 0.2, 0.65, 0.3, 0.8] if fold == 2 else [0.5, 0.4, 0.2, 0.7, 0.3, 0.8]
            run(tmp_path, cell, fold, [0.1, 0.6, 0.2, 0.7, 0.3, 0.8] if right else wrong, FINDINGS)
        kept.keep(cell, tmp_path / cell.folder, "abc", 15)
    by_picture, best = tables.leaky([honest, *four, torn], kept).to_dict("records")
    factor = 3.1824 * (1 / 4 + 6 / 18) ** 0.5
    half = best["corrected95"][1] - best["inflation"]
    assert (best["inflation"], half) == (pytest.approx(5 / 36), pytest.approx(factor / 18, rel=1e-4))
    half = by_picture["corrected95"][1] - by_picture["inflation"]
    assert by_picture["inflation"] == pytest.approx(1 / 9)
    assert half == pytest.approx(factor * (2 / 18**2) ** 0.5, rel=1e-4)
    (axes,) = pictures.plot_leaks(pd.DataFrame([by_picture, best])).axes
    assert [text.get_text() for text in axes.texts] == ["+0.111", "+0.139"]


HISTORY = [
    ("training", 2, "chest", "validation", "auroc", "0.6"),
    ("training", 2, "skin", "validation", "auroc", "0.9"),
    ("training", 2, "chest", "train", "auroc", "0.8"),
    ("training", 4, "chest", "validation", "loss", "0.7"),
    ("training", 4, "chest", "validation", "auroc", "0.625"),
    ("specialization", 3, "chest", "validation", "auroc", "0.75"),
]  # fmt: skip
"""Of four epochs on two data sets and three on one."""


def write_history(path: Path) -> None:
    columns = ("phase", "epoch", "dataset", "split", "metric", "value")
    write_csv(path, columns, [dict(zip(columns, row, strict=True)) for row in HISTORY])


def test_validation_of_a_network_is_kept_by_its_steps_over_all_phases(tmp_path: Path) -> None:
    record, net = Record(tmp_path / "kept"), replace(OTHER, method="typhon", splits=2)
    for fold in (1, 0):
        run(tmp_path, net, fold, [0.1, 0.6, 0.2, 0.7, 0.3, 0.8], FINDINGS)
        write_history(tmp_path / net.folder / net.run(fold) / "history.csv")
        assert record.keep(net, tmp_path / net.folder, "abc", 15) == 1
        assert bool(pictures._steps([net], record)) == (fold == 0)  # of a part of the splits nothing is drawn
    curves = record.curves(net)
    assert curves is not None
    assert curves.to_dict() == {fold: {2: 0.6, 4: 0.625, 7: 0.75} for fold in ("0", "1")}
    drawn = steps.plot({"chest": {"typhon": curves}}, "chest").axes[0]
    assert drawn.lines[-1].get_xydata().tolist() == [[2, 0.6], [4, 0.625], [7, 0.75]]


def test_a_trial_of_a_rate_is_kept_with_its_last_step_and_that_at_half(tmp_path: Path) -> None:
    some = [trial for trial in tuning.trials() if trial.method == "finetune"]
    assert len(some) == 9
    for trial in some:
        made = trial.folder(tmp_path) / "results" / trial.method / tuning.SPLIT
        made.mkdir(parents=True)
        columns = ("phase", "epoch", "dataset", "split", "metric", "value")
        last = {"low": 0.7, "middle": 0.9, "high": 0.8}[trial.rate] + (trial.target == "brain") * 0.03
        rows = [(2, 0.6), (3, 0.65), (6, last)]
        write_csv(
            made / "history.csv",
            columns,
            [
                dict(
                    zip(columns, ("training", epoch, trial.target, "validation", "auroc", value), strict=True)
                )
                for epoch, value in rows
            ],
        )
        (made / "run.json").write_text(json.dumps({"seconds": {"training": 2}}))
    (tmp_path / "kept").mkdir()
    assert tuning.keep(some[:-1], tmp_path / "kept", tmp_path, "abc") == 8
    assert tuning.table(tmp_path / "kept")["taken"].isna().all()
    assert tuning.keep(some, tmp_path / "kept", tmp_path, "abc") == 1
    table = tuning.table(tmp_path / "kept").set_index("rate")
    assert table["taken"].to_dict() == {"low": False, "middle": True, "high": False}
    assert table.loc["middle", ["half", "last"]].tolist() == pytest.approx([0.65, 0.91])
    assert tuning.left(some, tmp_path / "kept") == []


def test_transfer_from_one_support_is_shown_beside_fine_tuning(kept: Record, tmp_path: Path) -> None:
    """The pair has all pairs of findings right, fine-tuning 31 of 36."""
    pair = replace(
        PROBE,
        family="related",
        apart=True,
        method="chest-skin",
        references=("intensities",),
        primary=False,
    )
    for fold in range(4):
        run(tmp_path, pair, fold, [0.1, 0.6, 0.2, 0.7, 0.3, 0.8], FINDINGS)
    kept.keep(pair, tmp_path / pair.folder, "abc", 15)
    (row,) = tables.related(tables.compare([OTHER, PROBE, pair], kept)).to_dict("records")
    assert (row["support"], row["target"], row["splits"]) == ("skin", "chest", 4)
    assert row["difference"] == pytest.approx(5 / 36)
    assert row["corrected95"][0] < 5 / 36 < row["corrected95"][1]


@pytest.fixture(scope="module")
def configs() -> dict[tuple[str, ...], dict]:
    """The config of each cell of the plan."""
    made = {}
    for names in dict.fromkeys(cell.configs for cell in cells.read()):
        config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
        for name in names:
            config = variants.laid(
                config, yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8"))
            )
        made[names] = checked(config)
    return made


def test_every_cell_of_the_plan_is_a_method_of_its_config_on_its_splits(configs: dict) -> None:
    plan = cells.read()
    assert len({(cell.folder, cell.name) for cell in plan}) == len(plan)
    for cell in plan:
        config = configs[cell.configs]
        assert cell.target in config["datasets"]
        assert cell.method in config["methods"], cell
        assert cell.splits <= config["split"]["n"]
        assert config["split"]["seed"] == make.split_seed(cell) == 15
        if cell.findings != cells.ALL:
            assert cell.method in config["curve"]["methods"]
            assert int(cell.findings) in config["curve"]["findings"]


def test_pairs_of_sets_have_the_recipe_of_typhon_and_no_other_set(configs: dict) -> None:
    for cell in cells.read():
        if cell.family == tables.RELATED:
            config = configs[cell.configs]
            assert set(config["datasets"]) == set(cell.method.split("-"))
            assert config["variants"][cell.method] == config["variants"]["typhon-lite0"]


def test_methods_that_are_compared_are_in_the_plan_on_the_same_target_with_the_same_findings() -> None:
    plan = cells.read()
    known = {(cell.target, cell.method, cell.findings) for cell in plan}
    wanted = {(cell.target, name, cell.findings) for cell in plan for name in cell.references}
    assert wanted <= known


def test_the_tables_of_the_study_follow_from_the_scores_that_are_kept(tmp_path: Path) -> None:
    record = Record()
    tables.write(cells.read(), record, tmp_path)
    there = {path.name: path.read_text() for path in record.folder.glob("*.md")}
    assert there == {path.name: path.read_text() for path in tmp_path.glob("*.md")}, (
        "run: python -m workflow.study tables"
    )
    for name in there:
        made, known = (read_csv((folder / name).with_suffix(".csv")) for folder in (tmp_path, record.folder))
        pd.testing.assert_frame_equal(made, known)


def test_the_page_of_results_has_the_table_of_the_study() -> None:
    rows = [line for line in (Record().folder / "summary.md").read_text().splitlines() if line[:1] == "|"]
    assert "\n".join(rows) in (ROOT / "docs" / "results.md").read_text(), "copy docs/study/summary.md"


def test_every_run_of_the_study_has_scores_and_every_score_a_run() -> None:
    record = Record()
    for cell in cells.read():
        path = record.folder / cell.folder / f"{cell.name}.csv"
        scored = read_csv(path).columns.tolist()[1:] if path.exists() else []
        assert scored == [str(fold) for fold in record.kept(cell)], path


def test_every_kept_run_is_of_a_commit_that_was_not_edited_and_of_the_splits_of_the_plan() -> None:
    runs = Record().runs()
    assert [commit for commit in runs["commit"] if len(commit) != 40] == []
    assert set(runs["split_seed"]) <= {15}
    assert not runs.duplicated(["target", "method", "findings", "fold"]).any()
    assert np.isfinite(runs["seconds"]).all()
    tuned = tuning.read(Record().folder)
    assert [commit for commit in tuned["commit"] if len(commit) != 40] == []
    assert not tuned.duplicated(["method", "rate", "target"]).any()
