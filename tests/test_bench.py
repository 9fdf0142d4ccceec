"""The bench runs and compares like with like; it is never timed here."""

import json
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from scipy.special import ndtri
from sklearn.metrics import average_precision_score

from model.bootstrap.staged import PILOT
from model.evaluation.calibration import calibration_error, slope
from model.evaluation.clustered import estimate
from model.evaluation.intervals import Fold
from model.evaluation.metrics import auroc
from model.network import FEATURES
from pipeline.patches.views import View
from pipeline.readers.index import read_index
from tests.contenders import Counter, Failing
from workflow.bench import __main__ as bench_main
from workflow.bench import (  # fmt: skip
    bootstrap,
    collection,
    coverage,
    features,
    headers,
    in_use,
    intervals,
    jobs,
    memory,
    network,
    patches,
    plain_network,
    records,
    window,
)
from workflow.bench.__main__ import as_table, main
from workflow.bench.guesses import Sizes
from workflow.bench.measure import Result, Size, compare, once, watch
from workflow.bench.trials import Trials


def test_both_sides_run_as_often_after_one_run_that_does_not_count() -> None:
    result = Result("counting", "runs/s")
    assert compare(result, Counter, Counter, 2, rounds=2) == (6, 6)
    assert len(result.plain) == len(result.ours) == 2
    assert all(ratio > 0 for ratio in result.ratios)


def test_a_contender_that_fails_ends_the_bench() -> None:
    with pytest.raises(RuntimeError, match="a contender failed"):
        compare(Result("failing", "runs/s"), Failing, Failing, rounds=1)


def test_one_run_that_is_too_long_for_rounds() -> None:
    rate, answer = once(Counter, 2)
    assert rate > 0
    assert answer == 2


def test_table_shows_median_range_and_goal() -> None:
    result = Result("x", "units/s", [1.0, 1.0, 2.0], [3.0, 2.0, 2.0], goal=2.5, notes={"peak_mib": 1234.5})
    assert as_table(result) == (
        "x\n  2.00 x (1.00 to 3.00), goal 2.5: NOT met; plain 1 units/s, ours 2\n  peak mib  1,234"
    )


@pytest.mark.parametrize(("goal", "ends"), [(None, False), (2.0, False), (2.5, True)])
def test_a_goal_that_is_not_met_ends_the_bench_with_1(
    goal: float | None, ends: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = Result("x", "units/s", [1.0], [2.0], goal=goal)
    monkeypatch.setitem(bench_main.SECTIONS, "metrics", lambda _: [result])
    if ends:
        with pytest.raises(SystemExit, match="goals not met: x"):
            main(["--only", "metrics"])
    else:
        main(["--only", "metrics"])
    main(["--only", "metrics", "--quick"])  # tiny sizes say nothing of speed
    assert ("NOT met" in capsys.readouterr().out) == ends


def test_watch_sees_children_and_their_memory(tmp_path: Path) -> None:
    child = "data = bytearray(150_000_000); import time; time.sleep(0.3)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    seconds, peak = watch([sys.executable, "-c", parent], tmp_path)
    assert seconds > 0.3
    assert peak > 150e6 / 2**20
    with pytest.raises(RuntimeError, match="boom"):
        watch([sys.executable, "-c", "raise SystemExit('boom')"], tmp_path)


@pytest.mark.parametrize("way", [patches.Plain, patches.PlainOnce, patches.Ours])
def test_all_ways_of_cutting_make_the_same_patches(way: type[patches.Contender]) -> None:
    made = way()
    made.views = [View(17, True, 1), View(-20, False, -1)]
    made.run()
    assert made.answer() < 0.01  # of the picture's standard deviation, so rotation, flip and shift agree


def test_both_ways_to_a_z_score_agree() -> None:
    plain, ours = window.Plain(2), window.Ours(2)
    assert plain.run() == ours.run() == 2
    assert np.abs(plain.answer() - ours.answer()).max() < 0.02  # the published way has 256 values
    assert ours.answer().std() > 0.5


def test_training_without_dropout_is_the_same_algorithm(tmp_path: Path) -> None:
    """One batch of each set holds all its samples, so their order makes no difference but rounding."""
    plain, ours = (make(tmp_path, 1, 8, 0.0) for make in (network.PlainTraining, network.OurTraining))
    ours.prepare()
    assert plain.run() == ours.run() == 3 * 8
    start = plain_network.extractor()
    plain_network.fill([start])
    before, after, by_us = (
        torch.cat([values.detach().flatten() for values in part.parameters()])
        for part in (start, plain.network, ours.trainer.network.extractor)
    )
    assert (after - before).abs().median() > 1e-4
    # Adam turns the sign of a vanishing gradient into a whole step, so a few weights may differ.
    assert ((by_us - after).abs() > 1e-5).float().mean() < 0.01


def test_evaluations_agree() -> None:
    plain, ours = network.PlainEvaluation(20), network.OurEvaluation(20)
    assert plain.run() == ours.run() == 20
    np.testing.assert_allclose(plain.answer(), ours.answer(), atol=1e-5)
    assert np.std(plain.answer()) > 0.01


@pytest.mark.parametrize("kind", FEATURES)
def test_features_of_the_last_layer_agree(tmp_path: Path, kind: str) -> None:
    plain, ours = (make(tmp_path, 3, kind) for make in (features.PlainFeatures, features.OurFeatures))
    assert plain.run() == ours.run() == 3
    np.testing.assert_allclose(plain.answer(), ours.answer(), atol=1e-4)
    assert np.std(plain.answer()) > 0.01


@pytest.mark.parametrize("calibration", [0, 40])
def test_both_score_candidates_alike(calibration: int) -> None:
    sizes = Sizes({"one": 10, "two": 6}, calibration)
    plain, ours = (make(sizes, 2) for make in (bootstrap.Plain, bootstrap.Ours))
    for _ in range(2):
        for side in (plain, ours):
            side.prepare()
            assert side.run() == 2
    assert len(plain.answer()) == 4
    for one, other in zip(plain.answer(), ours.answer(), strict=True):
        assert one == pytest.approx(other, abs=1e-12)
    assert len({scores["one"] for scores in plain.answer()}) > 1


def test_a_staged_search_counts_its_patches() -> None:
    staged = bootstrap.Staged(Sizes({"one": 4, "two": 4}, 32, candidates=PILOT))
    assert staged.run() == PILOT
    scores, share = staged.answer()
    assert [len(one) for one in scores] == [2] * PILOT
    assert share == (16 + 4 + 32 + 4) / (32 + 4)  # the pilot takes both stages


def test_trials_have_candidates_of_their_own_scored_in_two_stages() -> None:
    sizes = Sizes({"one": 8, "two": 6}, 32, candidates=30)
    made = Trials(sizes, 2)
    first, second = made.table(0), made.table(1)
    assert first.shape == (30, 2, 2)
    assert (first == made.table(0)).all()
    assert (first != second).any()
    assert (first[:, 0] != first[:, 1]).any()
    assert 0 <= first.min() < 0.5 < first.max() <= 1
    assert np.abs(first[:, 0] - first[:, 1]).mean() < first[:, 1].std()
    assert (first[..., 0] * 16 % 1 == 0).all()  # 4 positive and 4 negative findings: 16 pairs
    figures = made.run(3)
    assert figures["trials"] == 3
    assert 0 <= figures["trials_with_the_same_pick"] <= 3


def test_both_histories_hold_what_was_added(tmp_path: Path) -> None:
    ours, plain = records.Ours(tmp_path, 10), records.Plain(tmp_path, 10)
    for history, rows in ((ours, 10 + 7000), (plain, 10 + 14)):
        history.prepare()
        history.run()
        lines = history.path.read_text().splitlines()
        assert len(lines) == 1 + rows
        assert lines[-1] == "training,100,prostatex,validation,auroc,0.75"


def test_both_ways_of_resampling_differ_by_rounding_alone() -> None:
    ours, plain = (way(30, 24) for way in (intervals.Ours, intervals.Plain))
    assert ours.run() == plain.run() == 30
    np.testing.assert_allclose(ours.answer(), plain.answer(), atol=1e-12)
    assert len(set(ours.answer())) > 20


def test_made_headers_differ_and_are_whole() -> None:
    with headers.raw_folder(45) as folder:
        files = sorted((folder / "raw").rglob("*.dcm"))
        first, last = pydicom.dcmread(files[0]), pydicom.dcmread(files[-1])
        assert (first.PatientID, last.PatientID) == ("Patient-000000", "Patient-000000")
        assert (last.InstanceNumber, last.ImagePositionPatient[2]) == (5, 12)
        assert last.file_meta.MediaStorageSOPInstanceUID == last.SOPInstanceUID
        assert last.pixel_array.std() > 0
        ours = headers.Ours(folder)
        ours.prepare()
        assert ours.run() == headers.Plain(folder).run() == headers.Rows(folder).run() == 45
        index = read_index(folder / "index.parquet")
    assert index["sop_instance_uid"].nunique() == 45
    assert index["series_uid"].nunique() == 3


def test_jobs_of_the_memory_section_fit_their_commands(tmp_path: Path) -> None:
    steps = memory.commands(tmp_path, 3, 2)
    assert list(steps) == ["index", "findings", "slices", "patches"]
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 4


def test_every_section_is_asked_for() -> None:
    modules = (
        bootstrap, collection, coverage, features, headers, intervals, jobs, memory, network, patches, records,
        window,
    )  # fmt: skip
    sections = {
        value for module in modules for name, value in vars(module).items() if name.startswith("bench")
    }
    assert len(sections) == 14
    assert sections == set(bench_main.SECTIONS.values())


def test_smoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    main(["--quick", "--only", "metrics", "--out", str(out)])
    figures = json.loads(out.read_text())
    assert [result["name"] for result in figures["results"]] == [
        "metrics, added to 1,000 rows", "metrics, added to 2,000 rows",
    ]  # fmt: skip
    assert figures["machine"]["python"] in capsys.readouterr().out


def test_forked_jobs_are_measured_with_what_forks_them(capsys: pytest.CaptureFixture[str]) -> None:
    (result,) = jobs.bench(Size(rounds=1, files=0, quick=True))
    assert 0.05 < result.plain[0] < 20
    assert 0.05 < result.ours[0] < 20
    main(["--quick", "--only", "jobs"])
    assert "start of a job that imports PyTorch and pandas" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [network.OurTraining, network.OurFrozen])
def test_training_is_timed_without_scoring_any_finding(
    kind: type[network.OurTraining], tmp_path: Path
) -> None:
    """The frozen phase computes the features of its 40 findings once; no other finding is scored."""
    made = kind(tmp_path, 2, 40)
    made.prepare()
    assert made.run() == (2 * 3 * 8 if kind is network.OurTraining else 2 * 40)
    scored = made.trainer.progress.samples.get("evaluation", 0)
    assert scored == (0 if kind is network.OurTraining else 40)
    assert made.trainer.progress.loss  # checked, and not taken by a validation


class TestCoverage:
    def test_a_cohort_is_what_the_docs_say(self) -> None:
        """2.5 findings per patient, a third of them positive, an AUROC of .9; scores of a patient are alike."""
        groups, labels, scores = coverage.cohort(np.random.default_rng(0), 20_000, 0.9)
        assert np.bincount(groups).min() == 1
        assert np.bincount(groups).max() == 4
        assert len(groups) / 20_000 == pytest.approx(2.5, abs=0.03)
        assert labels.mean() == pytest.approx(1 / 3, abs=0.01)
        assert auroc(labels, scores) == pytest.approx(0.9, abs=0.005)
        again = coverage.rescored(np.random.default_rng(1), groups, labels, scores, 0.9)
        assert auroc(labels, again) == pytest.approx(0.9, abs=0.005)
        noise = scores - scores[labels == 0].mean() - 1.8124 * labels
        pairs = groups[1:] == groups[:-1]
        assert np.corrcoef(noise[1:][pairs], noise[:-1][pairs])[0, 1] == pytest.approx(0.5, abs=0.03)

    def test_every_interval_that_is_printed_has_a_row_for_every_size(self) -> None:
        results = coverage.bench(Size(1, 80, True))
        assert len(results) == len(coverage.PATIENTS) * len(coverage.AREAS)
        for result in results:
            assert list(result.notes) == [
                "ci95", "newcombe", "difference, ci95", "bootstrap95", "difference, bootstrap95",
                "10 splits, ci95", "10 splits, corrected95", "10 splits, difference, corrected95",
                "sensitivity", "specificity", "likelihood ratio", "average precision", "Brier score", "log loss",
                "calibration intercept", "calibration slope", "calibration error", "calibration error of 0",
                "sensitivity of a subgroup, difference", "AUROC of a subgroup, difference",
                "set of 90%, positives", "set of 90%, negatives",
                "external, as good", "external, 0.1 worse", "corrupted",
            ]  # fmt: skip
            assert all(0 <= value <= 100 for value in result.notes.values())
        assert coverage.bench(Size(1, 80, True)) == results  # seeded

    def test_the_headline_holds_its_promise_in_the_smallest_tests_where_percentiles_do_not(self) -> None:
        """3,000 simulations gave 97 % and 86 %."""
        random = np.random.default_rng(2)
        found = [coverage.one_split(random, 15, 0.9) for _ in range(300)]
        assert np.mean([each["ci95"] for each in found]) > 0.93
        assert np.mean([each["bootstrap95"] for each in found]) < 0.91

    def test_the_truths_of_scores_in_use_are_those_of_a_large_cohort(self) -> None:
        groups, labels, scores = coverage.cohort(np.random.default_rng(3), 40_000, 0.9)
        truths = in_use.truths(0.9, coverage.POSITIVE, 10)
        assert (scores[labels == 1] > ndtri(0.8)).mean() == pytest.approx(truths["sensitivity"], abs=0.01)
        assert average_precision_score(labels, scores) == pytest.approx(truths["average precision"], abs=0.01)
        right = in_use.probabilities(scores, 0.9, coverage.POSITIVE)
        fold = Fold(groups.astype(str), labels, in_use.doubled(right)[None])
        line = estimate([fold], slope, compares=True)
        assert line is not None
        assert line.value == pytest.approx(0.5, abs=0.01)
        assert calibration_error([fold], np.random.default_rng(0), 10).value == pytest.approx(
            truths["calibration error"], abs=0.005
        )

    def test_intervals_of_scores_in_use_hold_what_they_promise(self) -> None:
        """3,000 simulations gave 93 to 98 %."""
        random = np.random.default_rng(4)
        found = [coverage.in_use(random, 40, 0.7) for _ in range(80)]
        for name in found[0]:
            assert np.mean([each[name] for each in found if name in each]) > 0.87, name

    def test_intervals_of_differences_between_test_sets_hold_what_they_promise(self) -> None:
        """3,000 simulations gave 94 to 98 %."""
        random = np.random.default_rng(5)
        found = [coverage.apart(random, 40, 0.7) for _ in range(150)]
        for name in found[0]:
            assert np.mean([each[name] for each in found]) > 0.9, name
