"""The comparison as its rule runs it: from results and predictions to tables and pictures."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from model.evaluation import score
from model.evaluation.compare import main, read_results, read_runs
from model.evaluation.comparison import choose_reference, pairs, samples_mark
from model.evaluation.corrected import overlap
from model.evaluation.intervals import newcombe, percentile
from model.evaluation.paired import UnpairedError, pair
from model.evaluation.predictions import PredictionsError, read_splits
from pipeline.files import write_csv
from pipeline.seeds import stream

SPLIT = ("patient_id", "group_id", "finding_id", "label", "split", "views")
PREDICTION = ("dataset", "split", "patient_id", "finding_id", "view", "label", "score")
PATIENTS = {"a": (1, "test"), "b": (1, "test"), "c": (0, "test"), "d": (0, "test"), "e": (1, "validation"),
            "f": (0, "validation"), "g": (1, "train"), "h": (0, "train"), "i": (0, "train"), "j": (0, "train")}  # fmt: skip
RIGHT = {"a": 0.9, "b": 0.8, "c": 0.2, "d": 0.1}
"""AUROC 1; where a is 0.15 it beats one of two negatives: 3/4."""
THREE_QUARTERS = {**RIGHT, "a": 0.15}
HALF = dict.fromkeys("abcd", 0.5)


class Experiment:
    """Splits, runs and results of some methods in a folder."""

    def __init__(
        self, folder: Path, folds: int = 2, seeds: int = 1, positive: Sequence[str] = "abeg"
    ) -> None:
        self.folder, self.folds, self.seeds, self.positive = folder, folds, seeds, positive
        self.names: list[str] = []
        self.splits = [folder / f"data/t/splits/fold{fold}.csv" for fold in range(folds)]
        for path in self.splits:
            rows = [
                (name, name, "1", int(name in positive), split, 2) for name, (_, split) in PATIENTS.items()
            ]
            write_csv(path, SPLIT, [dict(zip(SPLIT, row, strict=True)) for row in rows])

    def runs(self, name: str) -> list[Path]:
        return [
            self.folder / f"results/{name}/fold{fold}/seed{seed}"
            for fold in range(self.folds)
            for seed in range(self.seeds)
        ]

    def add(
        self, name: str, *scores: dict[str, float], samples: int | None = 1000, state: str = "last"
    ) -> None:
        """A method whose runs score as given, in order of folds, then seeds; the last holds for the rest."""
        for number, run in enumerate(self.runs(name)):
            values = {"e": 0.7, "f": 0.3, **scores[min(number, len(scores) - 1)]}
            rows = [("t", split, who, "1", 0, int(who in self.positive), values[who])
                    for who, (_, split) in PATIENTS.items() if split != "train"]  # fmt: skip
            for file in ("predictions.csv", "best/predictions.csv"):
                write_csv(run / file, PREDICTION, [dict(zip(PREDICTION, row, strict=True)) for row in rows])
            facts = {"device": "cpu", "seconds": {"training": 3.0}, "samples_seen": {"training": 1}}
            trained = (
                {} if samples is None else {"trained": {"t": samples, "support": 500} if samples else {}}
            )
            (run / "run.json").write_text(json.dumps({**facts, **trained}))
        score.main(["--method", name, "--target", "t", "--state", state, "--runs", *map(str, self.runs(name)),
                    "--splits", *map(str, self.splits), "--out", str(self.result(name))])  # fmt: skip
        self.names.append(name)

    def result(self, name: str) -> Path:
        return self.folder / f"results/{name}_auc.json"

    def compare(
        self, *more: str, names: Sequence[str] = (), backwards: bool = False
    ) -> dict[str, list[dict[str, str]]]:
        names = names or self.names
        runs = [str(run) for name in names for run in self.runs(name) if run.exists()]
        out = {name: self.folder / f"results/{name}" for name in ("comparison.csv", "differences.csv")}
        main(["--results", *(str(self.result(name)) for name in names), "--runs", *(runs[::-1] if backwards else runs),
              "--splits", *map(str, self.splits), "--out-comparison", str(out["comparison.csv"]),
              "--out-differences", str(out["differences.csv"]), "--out-forest", str(self.folder / "results/comparison.png"),
              "--out-roc", str(self.folder / "results/roc.png"), *more])  # fmt: skip
        return {name: list(csv.DictReader(path.read_text().splitlines())) for name, path in out.items()}

    def notes(self, name: str) -> str:
        return (self.folder / f"results/{name}.md").read_text()


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Classical: AUROC 1/2 and 3/4, twice; typhon: 1 and 3/4, twice."""
    made = Experiment(tmp_path, folds=4)
    made.add("classical", *[HALF, THREE_QUARTERS] * 2)
    made.add("typhon", *[RIGHT, THREE_QUARTERS] * 2)
    return made


def test_both_tables_by_hand(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    """Differences 1/2, 0, 1/2, 0: mean 1/4, s² = 1/12. Four test findings to four in training: the mean's
    variance is s² · (1/4 + 1) = 5/48, t = sqrt(3/5), of three degrees of freedom: x = t / sqrt 3,
    p = 1 - 2/pi · (atan x + x / (1 + x²)) = .4950, half width 3.1824 · .3227 = 1.0271, cut at 1.
    The mean of classical is 5/8, s² = 1/48: on the logit .5108 ± 3.1824 · .1614 · 64/15.
    No number of splits takes the standard error below s: .84162 + 1.95996 times .2887 is .809.
    One pair is a family of one, so Holm changes nothing.
    """
    tables = experiment.compare()
    first, second = tables["comparison.csv"]
    assert (first["method"], first["auroc"], second["method"], second["auroc"]) == (
        "classical",
        "0.6250",
        "typhon",
        "0.8750",
    )
    assert (first["runs"], first["splits"], first["seeds"]) == ("4", "4", "1")
    assert first["corrected95"] == "[0.1570, 0.9371]"
    assert first["ci95_kind"] == "logit"
    assert first["sd_splits"] == "0.1443"  # 1 / sqrt 48
    assert (first["validation_auroc"], first["target_samples"], first["training_samples"]) == (
        "1.0000",
        "1000",
        "1500",
    )
    assert (first["against_reference"], second["against_reference"]) == ("reference", "equal")
    assert first["seconds"] == "3.0"
    (row,) = tables["differences.csv"]
    assert (row["method"], row["reference"], row["difference"]) == ("typhon", "classical", "0.2500")
    assert (row["corrected95"], row["p_corrected"], row["holm_corrected"]) == (
        "[-0.7771, 1.0000]", "0.4950", "0.4950",
    )  # fmt: skip
    assert (row["sd_splits"], row["sd_seeds"], row["runs_needed"]) == ("0.2887", "", "")
    assert not {"t95", "p_t", "holm_t", "delong95"} & {*row, *first}
    assert row["target_samples"] == "equal"
    notes = experiment.notes("differences")
    assert (
        "- No runs_needed: not reachable on these data, where no number of splits finds a difference below 0.809.\n"
        in notes
    )
    assert "Holm for the family of 1 comparison with classical" in notes
    assert "- No sd_seeds: one seed per split; its spread is within that over splits.\n" in notes
    assert "Target samples are equal (within 5 %)" in notes
    assert notes in capsys.readouterr().out
    for stem in ("comparison", "differences"):
        assert r"\toprule" in (experiment.folder / f"results/{stem}.tex").read_text()


def test_interval_of_a_method_is_that_of_its_result_and_of_the_paired_draws(experiment: Experiment) -> None:
    figures = read_results([experiment.result(name) for name in experiment.names])
    runs = [run for name in experiment.names for run in experiment.runs(name)]
    methods = read_runs(figures, runs, read_splits(experiment.splits))
    paired = pair(methods, stream("score", 0, "t", "test"))
    assert paired.drawn is not None
    for each, drawn in zip(figures, paired.drawn, strict=True):
        assert percentile(drawn) == pytest.approx(each["bootstrap95"], abs=1e-12)


def test_order_of_runs_does_not_matter_and_the_same_input_gives_the_same_bytes(
    experiment: Experiment,
) -> None:
    experiment.compare()
    files = sorted(path for path in (experiment.folder / "results").iterdir() if path.is_file())
    assert len(files) == 2 + 2 * 4 + 2  # results, two tables as csv, md, tex and html, two pictures
    before = [path.read_bytes() for path in files]
    experiment.compare(backwards=True)
    assert [path.read_bytes() for path in files] == before


def test_order_of_methods_changes_the_order_of_rows_alone(experiment: Experiment) -> None:
    usual, other = experiment.compare(), experiment.compare(names=["typhon", "classical"])
    assert other["comparison.csv"] == usual["comparison.csv"][::-1]
    assert other["differences.csv"] == usual["differences.csv"]


def test_a_missing_run_is_one_error_that_names_it(experiment: Experiment) -> None:
    experiment.add("hydra", RIGHT)
    run = experiment.runs("hydra")[1]
    with pytest.raises(
        UnpairedError, match=r"^E-PAIR: expected the same .*, found no fold 1 seed 0 of hydra; run what"
    ):
        main(["--results", *(str(experiment.result(name)) for name in experiment.names), "--runs",
              *(str(each) for name in experiment.names for each in experiment.runs(name) if each != run),
              "--splits", *map(str, experiment.splits), "--out-comparison", "x.csv", "--out-differences", "y.csv",
              "--out-forest", "x.png", "--out-roc", "y.png"])  # fmt: skip


def test_states_and_targets_are_not_mixed(experiment: Experiment) -> None:
    experiment.add("hydra", RIGHT, state="best")
    with pytest.raises(
        UnpairedError, match="expected one state, found last of classical, last of typhon, best of hydra"
    ):
        experiment.compare()


def test_a_run_of_no_method_is_named(experiment: Experiment) -> None:
    figures = read_results([experiment.result("classical")])
    with pytest.raises(
        UnpairedError, match=r"typhon/fold0/seed0: expected .* found a run of none of classical"
    ):
        read_runs(figures, experiment.runs("typhon"), read_splits(experiment.splits))


def test_predictions_of_other_findings_are_refused(experiment: Experiment) -> None:
    path = experiment.runs("typhon")[0] / "predictions.csv"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if ",a," not in line) + "\n")
    with pytest.raises(PredictionsError, match="every finding of fold 0"):
        experiment.compare()


def test_a_name_within_another_is_told_apart(tmp_path: Path) -> None:
    """Candidates of a search are methods too, in folders below."""
    made = Experiment(tmp_path)
    for name in ("typhon", "search/typhon/candidate1", "search/typhon/candidate11"):
        made.add(name, RIGHT)
    assert [row["method"] for row in made.compare()["comparison.csv"]] == made.names


class TestTargetSamples:
    def test_what_differs_by_more_than_five_percent_is_marked_and_warned_about(
        self, experiment: Experiment
    ) -> None:
        for name, samples in (
            ("hydra", 2400),
            ("joint", 1050),
            ("pooled", 949),
            ("rwg", 0),
            ("logistic", 77),
            ("old", None),
        ):
            experiment.add(name, RIGHT, samples=samples)
        tables = experiment.compare("--untrained", "rwg", "logistic")
        assert [row["against_reference"] for row in tables["comparison.csv"]] == [
            "reference", "equal", "2.40 × the reference's", "equal", "0.95 × the reference's", "no network trained",
            "no network trained", "unknown",
        ]  # fmt: skip
        assert [row["training_samples"] for row in tables["comparison.csv"]][-3:] == ["0", "577", ""]
        assert [row["target_samples"] for row in tables["differences.csv"]][1] == "2.40 × the reference's"
        for name in ("comparison", "differences"):
            notes = experiment.notes(name)
            assert (
                "UNEQUAL target samples, more than 5 % from those of classical: hydra (2.40 ×), pooled (0.95 ×)."
                in notes
            )
            assert "No network is trained by rwg, logistic." in notes
            assert "Target samples unknown: old." in notes

    def test_without_those_of_the_reference_nothing_is_called_equal(self) -> None:
        assert samples_mark("typhon", 1000, "logistic", None) == "unknown"
        assert samples_mark("typhon", 1000, "logistic", 0) == "unknown"
        assert samples_mark("p96", 10, "typhon", 1000) == "0.01 × the reference's"
        assert samples_mark("p96", 10, "typhon", 1000, {"p96"}) == "no network trained"


def test_a_method_that_ranks_alike_differs_by_nothing_with_certainty(experiment: Experiment) -> None:
    experiment.add(
        "squared",
        *({who: value**2 for who, value in scores.items()} for scores in [HALF, THREE_QUARTERS] * 2),
    )
    row = experiment.compare()["differences.csv"][1]
    assert row["difference"] == "0.0000"
    assert row["ci95"] == row["bootstrap95"] == row["corrected95"] == "[0.0000, 0.0000]"
    assert row["p_groups"] == row["p_delong"] == row["p_corrected"] == "1.0000"


def test_one_split_has_no_interval_over_splits_and_says_so(tmp_path: Path) -> None:
    made = Experiment(tmp_path, folds=1, seeds=2)
    made.add("classical", HALF)
    made.add("typhon", RIGHT, THREE_QUARTERS)
    (row,) = made.compare()["differences.csv"]
    assert (row["difference"], row["sd_seeds"]) == ("0.3750", "0.1768")
    keys = ("corrected95", "p_corrected", "holm_corrected", "detectable", "runs_needed", "sd_splits")
    assert {row[key] for key in keys} == {""}
    assert "- No corrected95, detectable, runs_needed, sd_splits: one split.\n" in made.notes("differences")
    assert "- No corrected95: one split.\n" in made.notes("comparison")


def test_one_class_in_the_test_leaves_reasons_and_whole_pictures(tmp_path: Path) -> None:
    made = Experiment(tmp_path, positive="eg")
    for name in ("classical", "typhon"):
        made.add(name, RIGHT)
    tables = made.compare()
    assert [row["auroc"] for row in tables["comparison.csv"]] == ["", ""]
    assert tables["differences.csv"][0]["difference"] == ""
    assert "fold 0: no positive finding among 4" in made.notes("comparison")
    assert "No difference: a test set holds one class." in made.notes("differences")
    assert (tmp_path / "results/roc.png").stat().st_size > 5000


def test_separated_classes_show_the_interval_that_has_a_width(tmp_path: Path) -> None:
    made = Experiment(tmp_path)
    for name in ("classical", "typhon"):
        made.add(name, RIGHT)
    row = made.compare()["comparison.csv"][0]
    low, high = newcombe(1.0, 2, 2)
    assert (row["ci95"], row["ci95_kind"]) == (f"[{low:.4f}, {high:.4f}]", "newcombe")
    assert row["bootstrap95"] == "[1.0000, 1.0000]"


def test_a_result_of_an_older_version_is_named(experiment: Experiment) -> None:
    path = experiment.result("classical")
    figures = json.loads(path.read_text())
    del figures["ci95_kind"]
    path.write_text(json.dumps(figures))
    with pytest.raises(PredictionsError, match=r"classical_auc\.json: .* found that of an older version"):
        experiment.compare()


class TestPairs:
    def test_reference_is_classical_unless_there_is_none_or_another_is_named(
        self, experiment: Experiment
    ) -> None:
        assert choose_reference(["typhon", "classical"]) == "classical"
        assert choose_reference(["typhon", "hydra"]) == "typhon"
        (row,) = experiment.compare("--reference", "typhon")["differences.csv"]
        assert (row["method"], row["reference"], row["difference"]) == ("classical", "typhon", "-0.2500")

    def test_all_pairs_are_one_family(self, experiment: Experiment) -> None:
        experiment.add("hydra", RIGHT)
        rows = experiment.compare("--pairs", "all")["differences.csv"]
        assert [(row["method"], row["reference"]) for row in rows] == [
            ("typhon", "classical"), ("hydra", "classical"), ("hydra", "typhon"),
        ]  # fmt: skip
        assert "the family of all 3 pairs of the 3 methods, each kind of test by itself" in experiment.notes(
            "differences"
        )
        plain, adjusted = ([float(row[key]) for row in rows] for key in ("p_groups", "holm_groups"))
        assert min(adjusted) == pytest.approx(min(1, 3 * min(plain)), abs=2e-4)

    def test_each_pair_stands_once_with_the_reference_below(self) -> None:
        assert pairs(["a", "b", "c"], "b", "reference") == [(0, 1), (2, 1)]
        assert pairs(["a", "b", "c"], "b", "all") == [(0, 1), (2, 1), (2, 0)]

    def test_one_method_is_no_comparison(self, experiment: Experiment) -> None:
        with pytest.raises(UnpairedError, match="expected classical and another method, found classical"):
            experiment.compare(names=["classical"])
        with pytest.raises(UnpairedError, match="expected hydra and another method, found classical, typhon"):
            experiment.compare("--reference", "hydra")

    def test_runs_needed_are_for_the_difference_that_is_asked_for(self, experiment: Experiment) -> None:
        some, fewer = (
            experiment.compare("--difference", size)["differences.csv"][0] for size in ("0.82", "0.9")
        )
        assert int(some["runs_needed"]) > 30 > int(fewer["runs_needed"]) > 4
        assert "find 0.9 so" in experiment.notes("differences")


def test_overlap_is_test_over_training_findings_of_the_target(experiment: Experiment) -> None:
    splits = read_splits(experiment.splits)
    assert overlap(splits, "t") == 1.0
    assert overlap(splits[splits["split"] != "train"], "t") == 0.0
    assert overlap(splits, "other") == 0.0
