import copy
import csv
import json

import pytest
import yaml

from model.evaluation.predictions import PredictionsError
from model.search.choose import close, main, report, table
from model.search.grid import candidates, nested
from pipeline.errors import ConfigError
from pipeline.files import write_csv
from pipeline.provenance import ROOT
from workflow import variants
from workflow.config import MAX_CANDIDATES, checked

CONFIG = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
RATES = {"training.learning_rate": [1e-2, 1e-3], "specialization.dropout": [0.1, 0.2, 0.3]}


def with_search(**search):
    return {**copy.deepcopy(CONFIG), "search": search}


def merge(base, over):
    """As Snakemake lays one config over another."""
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        base[key] = merge(base[key], value) if both else value
    return base


class TestCandidates:
    def test_the_last_key_changes_fastest(self):
        assert [tuple(candidate.values()) for candidate in candidates(RATES)] == [
            (1e-2, 0.1), (1e-2, 0.2), (1e-2, 0.3), (1e-3, 0.1), (1e-3, 0.2), (1e-3, 0.3),
        ]  # fmt: skip
        assert all(list(candidate) == list(RATES) for candidate in candidates(RATES))

    def test_a_value_appended_to_the_first_key_leaves_the_numbers_of_the_others(self):
        longer = {**RATES, "training.learning_rate": [1e-2, 1e-3, 1e-4]}
        assert candidates(longer)[:6] == candidates(RATES)

    def test_one_value_is_one_candidate(self):
        assert candidates({"training.dropout": [0.3]}) == [{"training.dropout": 0.3}]

    def test_a_candidate_s_config_differs_in_its_settings_alone(self):
        config = checked(with_search(method="typhon", grid=copy.deepcopy(RATES)))
        before = copy.deepcopy(config)
        filled = variants.of_search(config)["search/typhon/candidate4"].settings(config)
        assert filled["hyperparameters"]["typhon"]["training"]["learning_rate"] == 1e-3
        assert filled["hyperparameters"]["typhon"]["specialization"]["dropout"] == 0.2
        assert config == before
        assert merge(before, nested(candidates(RATES)[4], "typhon")) == {
            **filled,
            "search": config["search"],
            "curve": config["curve"],
            "leave_one_out": config["leave_one_out"],
            "variants": config["variants"],
        }

    def test_a_candidate_is_checked_as_it_will_run(self):
        """Laid over the config, a curve keeps the keys of the plateau that stands there."""
        config = with_search(method="typhon", grid={"training.schedule": [{"kind": "cosine"}]})
        assert checked(copy.deepcopy(config))
        plateau = {"schedule": {"kind": "plateau", "factor": 0.1, "patience": 2}}
        config["hyperparameters"] = merge(config["hyperparameters"], {"typhon": {"training": plateau}})
        with pytest.raises(
            ConfigError, match=r"search/grid.*schedule: expected cosine with end, found factor"
        ):
            checked(config)


class TestConfig:
    @pytest.mark.parametrize(
        ("search", "message"),
        [
            ({"method": "thypon", "grid": RATES}, "search/method: expected a method, found thypon; did you mean typhon?"),
            ({"grid": RATES}, "search/method: expected a method, found null"),
            ({"method": "logistic", "grid": {"folds": [3, 5]}}, "search/method: expected a method, found logistic"),
            ({"method": "typhon"}, "search/grid: expected values for keys of typhon, found nothing"),
            ({"method": "typhon", "gird": RATES}, "search/gird: found an unknown key; did you mean grid?"),
            (
                {"method": "typhon", "grid": {"trainin.learning_rate": [1e-3]}},
                "search/grid/trainin.learning_rate: found an unknown key; did you mean training.learning_rate?",
            ),
            (
                {"method": "typhon", "grid": {"training.droput": [0.1]}},
                "search/grid/training.droput: found an unknown key; did you mean training.dropout?",
            ),
            ({"method": "typhon", "grid": {"training": [1]}}, "search/grid/training: found an unknown key"),
            ({"method": "typhon", "grid": {"training.dropout": 0.1}}, "search/grid/training.dropout: expected list"),
            ({"method": "typhon", "grid": {"training.dropout": []}}, "search/grid/training.dropout: expected list"),
            (
                {"method": "typhon", "grid": {"training.dropout": [0.1, 1.5]}},
                "search/grid/training.dropout/1: expected number or mapping, at least 0, below 1, found 1.5",
            ),
            (
                {"method": "typhon", "grid": {"training.dropout": [0.1, 0.2, 0.1]}},
                "search/grid/training.dropout: expected each value once, found 0.1 twice",
            ),
            (
                {"method": "typhon", "grid": {"training.learning_rate": [1e-3, {"brain": 1e-3}]}},
                "search/grid candidate 1: hyperparameters/typhon/training/learning_rate/prostatex: expected a learning rate",
            ),
            (
                {"method": "typhon", "grid": RATES, "skip": [6]},
                "search/skip: expected some of them, found [6]; candidates are numbered from 0 to 5",
            ),
            ({"method": "typhon", "grid": {"training.dropout": [0.1]}, "skip": [0]}, "search/skip: expected some of them"),
            (
                {"method": "typhon", "grid": {"training.batch_size": list(range(2, 3 + MAX_CANDIDATES))}},
                f"search/grid: expected at most {MAX_CANDIDATES}, found {MAX_CANDIDATES + 1} candidates",
            ),
        ],
    )  # fmt: skip
    def test_a_search_that_does_not_fit_is_one_line(self, search, message):
        with pytest.raises(ConfigError) as error:
            checked(with_search(**search))
        assert f"E-CONFIG {message}" in str(error.value)

    def test_values_get_the_type_of_their_key(self):
        grid = {"training.learning_rate": ["1e-3", {"prostatex": "1e-4", "lungx": 1, "brain": 1}]}
        values = checked(with_search(method="typhon", grid=grid))["search"]["grid"]["training.learning_rate"]
        assert values == [1e-3, {"prostatex": 1e-4, "lungx": 1, "brain": 1}]

    def test_there_is_no_search_unless_asked_for(self):
        assert checked(copy.deepcopy(CONFIG))["search"] == {"method": None, "grid": {}, "skip": []}


class TestTable:
    settings = candidates({"training.learning_rate": [1e-2, 1e-3, 1e-4], "training.dropout": [0.1]})

    def test_the_highest_mean_is_picked(self):
        rows = table(self.settings, {0: [0.5, 0.6], 1: [0.6, 0.8], 2: [0.9, 0.4]})
        assert [(row["rank"], row["picked"]) for row in rows] == [(3, 0), (1, 1), (2, 0)]
        assert rows[1]["validation_auroc"] == pytest.approx(0.7)
        assert rows[1]["sd"] == pytest.approx(0.1414, abs=1e-4)  # √(2 · 0.1²)
        assert rows[0]["training.learning_rate"] == "0.01"

    def test_of_equal_ones_the_first_is_picked(self):
        rows = table(self.settings, {0: [0.5], 1: [0.75], 2: [0.75]})
        assert [(row["rank"], row["picked"]) for row in rows] == [(3, 0), (1, 1), (2, 0)]
        assert {row["sd"] for row in rows} == {""}

    def test_what_is_left_out_keeps_its_line_and_number(self):
        rows = table(self.settings, {0: [0.5], 2: [0.4]})
        assert rows[1] == {
            "candidate": 1, "training.learning_rate": "0.001", "training.dropout": "0.1", "runs": 0, "picked": 0,
        }  # fmt: skip
        assert [row["picked"] for row in rows] == [1, 0, 0]

    def test_candidates_within_one_standard_error_are_named(self):
        rows = table(self.settings, {0: [0.6, 0.62], 1: [0.6, 0.8], 2: [0.5, 0.6]})
        error, near = close(rows)
        assert (error, near) == (pytest.approx(0.1), [0])
        assert report(rows, "typhon", "brain") == [
            "Candidate 1 picked among 3 for typhon: validation AUROC 0.7000 on brain, mean of 2 runs, sd 0.1414.",
            "Within one standard error (0.1000) of it: candidate 0.",
        ]

    def test_one_run_tells_no_error(self):
        lines = report(table(self.settings, {0: [0.5], 2: [0.5]}), "typhon", "brain")
        assert lines == [
            "Candidate 0 picked among 3 for typhon: validation AUROC 0.5000 on brain, mean of 1 run.",
            "Left out: candidate 1.",
        ]


VALIDATION = {"p1": 1, "p2": 1, "p3": 0, "p4": 0}
TEST = {"p5": 1, "p6": 0}
GRID = {"training.learning_rate": [1e-3, 1e-4]}


def write_predictions(folder, number, fold, scores, test=("0.9", "0.1"), label_of=VALIDATION):
    """A run of a candidate: ``scores`` of the validation findings, two views each; the support set is perfect."""
    rows = [
        {"dataset": "brain", "split": "validation", "patient_id": patient, "label": label, "score": score}
        for (patient, label), score in zip(label_of.items(), scores, strict=True)
    ]
    rows += [
        {"dataset": "brain", "split": "test", "patient_id": patient, "label": label, "score": score}
        for (patient, label), score in zip(TEST.items(), test, strict=True)
    ]
    rows += [
        {"dataset": "lung", "split": "validation", "patient_id": f"q{label}", "label": label, "score": label}
        for label in (0, 1)
    ]
    rows = [{**row, "finding_id": "1", "view": view} for row in rows for view in (0, 1)]
    columns = ["dataset", "split", "patient_id", "finding_id", "view", "label", "score"]
    write_csv(folder / f"candidate{number}/fold{fold}/seed0/predictions.csv", columns, rows)


@pytest.fixture
def runs(tmp_path):
    """Two candidates, two folds: AUROCs 3/4 and 1/2 (mean 5/8), then 1 and 1/4 (mean 5/8 too)."""
    for number, scores in ((0, [(0.9, 0.3, 0.4, 0.1), (0.5, 0.1, 0.4, 0.2)]),
                           (1, [(0.9, 0.8, 0.2, 0.1), (0.35, 0.1, 0.4, 0.2)])):  # fmt: skip
        for fold, values in enumerate(scores):
            write_predictions(tmp_path / "search", number, fold, values)
    for fold in (0, 1):
        everyone = {**VALIDATION, **TEST}
        rows = [
            {"patient_id": patient, "group_id": patient, "finding_id": "1", "label": label, "views": 2,
             "split": "test" if patient in TEST else "validation"}
            for patient, label in everyone.items()
        ]  # fmt: skip
        columns = ["patient_id", "group_id", "finding_id", "label", "split", "views"]
        write_csv(tmp_path / f"data/brain/splits/fold{fold}.csv", columns, rows)
    return tmp_path


def score(folder, *more, grid=GRID, folds=2):
    splits = [str(folder / f"data/brain/splits/fold{fold}.csv") for fold in range(folds)]
    main([
        "score", "--method", "typhon", "--grid", json.dumps(grid), "--target", "brain", "--seeds", "0",
        "--folds", str(folds), "--folder", str(folder / "search"), "--splits", *splits,
        "--out", str(folder / "candidates.csv"), "--best", str(folder / "best.yaml"), *more,
    ])  # fmt: skip
    return (folder / "candidates.csv").read_text(), (folder / "best.yaml").read_text()


class TestScore:
    def test_the_table_has_a_line_per_candidate(self, runs):
        rows = list(csv.DictReader(score(runs)[0].splitlines()))
        assert list(rows[0]) == [
            "candidate", "training.learning_rate", "validation_auroc", "sd", "runs", "rank", "picked",
        ]  # fmt: skip
        assert [float(row["validation_auroc"]) for row in rows] == [0.625, 0.625]
        assert [float(row["sd"]) for row in rows] == pytest.approx(
            [0.17678, 0.53033], abs=1e-5
        )  # √(2·⅛²), √(2·⅜²)
        assert [(row["runs"], row["rank"], row["picked"]) for row in rows] == [
            ("2", "1", "1"),
            ("2", "2", "0"),
        ]

    def test_the_best_is_a_config_of_what_the_grid_touches(self, runs):
        write_predictions(runs / "search", 0, 1, (0.1, 0.2, 0.3, 0.4))
        best = score(runs)[1]
        assert best.startswith("# Candidate 1 picked among 2 for typhon: validation AUROC 0.6250 on brain")
        assert yaml.safe_load(best) == nested({"training.learning_rate": 1e-4}, "typhon")
        assert checked(merge(copy.deepcopy(CONFIG), yaml.safe_load(best)))

    def test_no_test_score_is_looked_at(self, runs):
        before = score(runs)
        for number in (0, 1):
            for fold in (0, 1):
                file = runs / f"search/candidate{number}/fold{fold}/seed0/predictions.csv"
                lines = file.read_text().splitlines()
                assert sum(",test," in line for line in lines) == 4
                changed = [
                    f"{line.rpartition(',')[0]},not a number" if ",test," in line else line for line in lines
                ]
                file.write_text("\n".join(changed) + "\n")
        assert score(runs) == before
        for number in (0, 1):
            for fold in (0, 1):
                file = runs / f"search/candidate{number}/fold{fold}/seed0/predictions.csv"
                file.write_text(
                    "".join(line for line in file.read_text().splitlines(True) if ",test," not in line)
                )
        assert score(runs) == before

    def test_scores_of_other_data_sets_do_not_count(self, runs):
        before = score(runs)
        file = runs / "search/candidate0/fold0/seed0/predictions.csv"
        file.write_text(file.read_text().replace("lung,validation,q1,1,0,1,1", "lung,validation,q1,1,0,1,0"))
        assert score(runs) == before

    def test_a_validation_score_does_count(self, runs):
        before = score(runs)
        write_predictions(runs / "search", 0, 0, (0.1, 0.2, 0.3, 0.4))
        assert score(runs) != before

    def test_a_candidate_that_is_left_out_needs_no_run(self, runs):
        for file in (runs / "search/candidate0").rglob("*.csv"):
            file.unlink()
        text, best = score(runs, "--skip", "0")
        rows = list(csv.DictReader(text.splitlines()))
        assert [(row["validation_auroc"], row["runs"], row["rank"], row["picked"]) for row in rows] == [
            ("", "0", "", "0"), ("0.625", "2", "1", "1"),
        ]  # fmt: skip
        assert "# Left out: candidate 0.\n" in best

    def test_a_grid_of_one_candidate_is_picked(self, runs):
        text, best = score(runs, grid={"training.learning_rate": [1e-3]}, folds=1)
        assert text.splitlines()[1] == "0,0.001,0.75,,1,1,1"
        assert "too good" not in best  # one fold: its test patients are in no validation

    def test_folds_are_warned_about(self, runs):
        assert "too good" in score(runs)[1].replace("\n# ", " ")

    def test_runs_whose_validation_has_one_class_do_not_count(self, runs):
        ones = dict.fromkeys(VALIDATION, 1)
        file = runs / "data/brain/splits/fold1.csv"
        file.write_text(file.read_text().replace(",0,validation", ",1,validation"))
        for number in (0, 1):
            write_predictions(runs / "search", number, 1, (0.1, 0.2, 0.3, 0.4), label_of=ones)
        rows = list(csv.DictReader(score(runs)[0].splitlines()))
        assert [(row["validation_auroc"], row["runs"]) for row in rows] == [("0.75", "1"), ("1.0", "1")]

    def test_nothing_but_one_class_is_refused(self, runs):
        ones = dict.fromkeys(VALIDATION, 1)
        file = runs / "data/brain/splits/fold0.csv"
        file.write_text(file.read_text().replace(",0,validation", ",1,validation"))
        for number in (0, 1):
            write_predictions(runs / "search", number, 0, (0.1, 0.2, 0.3, 0.4), label_of=ones)
        with pytest.raises(
            PredictionsError, match=r"E-PREDICTIONS .*both classes among the validation findings of brain"
        ):
            score(runs, folds=1)

    def test_predictions_of_other_findings_are_refused(self, runs):
        write_predictions(runs / "search", 1, 1, (0.1, 0.2, 0.3), label_of={"p1": 1, "p2": 1, "p3": 0})
        with pytest.raises(
            PredictionsError,
            match=r"E-PREDICTIONS .*candidate1/fold1/seed0.*expected every finding of fold 1",
        ):
            score(runs)

    def test_the_table_is_printed_best_first(self, runs, capsys):
        write_predictions(runs / "search", 0, 1, (0.1, 0.2, 0.3, 0.4))
        score(runs)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["candidate", "training.learning_rate", "validation_auroc", "sd", "runs"]
        assert [line.split()[0] for line in lines[1:3]] == ["1", "0"]
        assert any(
            line.startswith("Within one standard error (0.3750) of it: candidate 0.") for line in lines
        )


class TestPicture:
    @pytest.mark.parametrize(
        ("grid", "skip"),
        [
            ({"training.learning_rate": [1e-2, 1e-3, 1e-4]}, [0]),
            ({"training.learning_rate": [1e-2, 1e-3], "training.dropout": [0, 0.2]}, []),
            ({"a": [1, 2], "b": [1, 2], "c": [1], "d": [{"brain": 1}, None]}, [1, 7]),
            ({"a": ["only"]}, []),
        ],
    )
    def test_every_shape_of_grid_is_drawn_in_the_same_bytes(self, tmp_path, grid, skip):
        settings = candidates(grid)
        rows = table(settings, {n: [0.5 + n / 20, 0.6] for n in range(len(settings)) if n not in skip})
        file = tmp_path / "candidates.csv"
        write_csv(file, ["candidate", *grid, "validation_auroc", "sd", "runs", "rank", "picked"], rows)
        for name in ("1.png", "2.png"):
            main(["draw", "--candidates", str(file), "--out", str(tmp_path / name)])
        assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
        assert (tmp_path / "1.png").stat().st_size > 10_000
