"""The papers' numbers, and what of ours is set beside them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from papers import numbers, recount
from papers.numbers import TableCell, read_cells
from papers.ours import Experiment, best, samples, spelt
from papers.tables import main, notes_of, paper_table
from pipeline.files import read_csv
from pipeline.provenance import ROOT


def cell(
    measure: str, method: str = "hydra", phase: str = "", dataset: str = "", value: str = "0.5"
) -> TableCell:
    return TableCell("hydra", "t", "r", "c", value, "", method, phase, dataset, measure, "", "s")


def result(method: str, test: float | None, validation: float = 0.6, **more: Any) -> dict[str, Any]:
    """The file of a method with two runs, as far as tables read it."""
    lines = [
        {
            "dataset": dataset, "split": split, "state": state, "auroc": value, "ci95": (0.25, 0.75),
            "ci95_kind": "logit", "runs": 2, "findings": 20, "positives": 5,
            "auroc_reason": "no positive finding",
        }
        for dataset, split, state, value in (
            ("brain", "test", "last", 0.99), ("target", "test", "best", 0.98),
            ("target", "validation", "last", validation), ("target", "test", "last", test),
        )
    ]  # fmt: skip
    runs = [
        {
            "dataset": "target",
            "split": "test",
            "state": state,
            "accuracy": accuracy,
            "precision": precision,
            "recall": 0.5,
            "f1": 0.5,
            "specificity": 0.5,
        }
        for state, accuracy, precision in (("last", 0.5, 0.5), ("last", 0.7, None), ("best", 1.0, 1.0))
    ]
    seen = {"bootstrap": 900, "training": 200, "specialization": 100, "evaluation": 900}
    about = {"method": method, "target": "target", "state": "last", "auroc": test, "ci95_kind": "logit"}
    return about | {"summary": lines, "runs": runs, "samples_seen": seen} | more


def history(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["phase", "epoch", "dataset", "split", "metric", "value"])


class TestNumbers:
    def test_every_number_stands_once(self) -> None:
        keys = [(each.paper, each.table, each.row, each.column) for each in read_cells()]
        assert len(keys) == len(set(keys))
        assert all(each.value and each.source for each in read_cells())

    def test_every_table_but_the_last_has_numbers(self) -> None:
        assert [name for name in numbers.TABLES if not read_cells(name)] == ["inconsistencies"]

    def test_every_measure_is_known(self) -> None:
        known = (
            r"|learning_rate|dropout|batch_size|epochs|batches|candidates|runs|samples(/[a-z]+)?"
            r"|test@\d+|challenge@(all|split)"
            r"|best_(epoch|validation|accuracy)|(test|validation)(-[a-z]+)?"
            r"|test_(accuracy|precision|recall|f1|specificity)"
        )
        methods = {"typhon", "classical", "transfer", "hydra", "rwg"}
        for each in read_cells():
            assert re.fullmatch(known, each.measure)
            assert each.method in methods or not each.measure
            assert set(numbers.compared(each.measure)[1:]) <= methods | {"validation"}

    def test_hydras_table_2_is_that_of_the_public_summaries(self, shared: Path) -> None:
        for method in ("hydra", "transfer"):
            path = shared / "hydra-published" / f"{method}-test-summary.txt"
            if not path.exists():
                pytest.skip(f"no published summary at {path}")
            text = path.read_text()
            for name, word in (("accuracy", "Accuracy"), ("precision", "Precision"), ("recall", "Recall"),
                               ("F1", "F1 score"), ("specificity", "Specificity"), ("AUROC, all digits", "AUC")):  # fmt: skip
                printed = re.search(rf"{word}: *([\d.]+)", text)
                own = [
                    each
                    for each in read_cells("hydra_2")
                    if (each.row, each.column) == (method, f"test {name}")
                ]
                assert printed is not None
                assert float(own[0].value) == pytest.approx(float(printed[1]), abs=1e-6)

    @pytest.mark.parametrize("table", ["typhon_2", "hydra_2", "thesis_6_3"])
    def test_every_published_test_result_is_a_share_of_60_pairs(self, table: str) -> None:
        found = [each for each in read_cells(table) if each.measure == "test"]
        assert found
        for each in found:
            pairs = round(float(each.value) * 60)
            assert float(each.value) == pytest.approx(pairs / 60, abs=0.005)
            if re.match(r"\d+/60", each.note):
                assert each.note == f"{pairs}/60"

    def test_what_is_marked_is_what_the_recount_gives(self) -> None:
        marked = {
            (each.row, each.column): each.corrected for each in read_cells("typhon_2") if each.corrected
        }
        counts = recount.trained()
        assert marked["transfer", "samples seen"] == f"{counts['transfer'] / 1e6:.0f}M" == "204M"
        assert marked["typhon", "samples seen"] == f"{counts['typhon'] / 1e6:.2f}M" == "7.83M"
        for column in ("samples seen, abstract", "samples seen, caption"):
            fewer = 1 - counts["typhon"] / counts["classical"]
            assert marked["typhon against classical", column] == f"{fewer:.0%} fewer".replace("%", " %")
        fewer = 1 - counts["typhon"] / counts["hydra"]
        assert marked["typhon against hydra", "samples seen, caption"] == f"{fewer:.0%} fewer".replace(
            "%", " %"
        )
        assert float(marked["typhon over classical", "test AUROC"]) == pytest.approx(0.87 - 0.68)
        assert float(marked["typhon over transfer", "test AUROC"]) == pytest.approx(0.87 - 0.72)
        unmarked = {each.row for each in read_cells("typhon_2") if each.column == "samples seen"}
        assert unmarked - {row for row, _ in marked} == {"classical", "hydra"}  # which hold

    def test_hydras_gain_of_two_tenths_is_three_hundredths(self) -> None:
        marked = [each for each in read_cells("hydra_2") if each.corrected]
        assert [(each.value, each.corrected) for each in marked] == [("0.2", "0.03")]
        assert float(marked[0].corrected) == pytest.approx(0.80 - 0.77)

    def test_the_thesis_table_6_3_against_its_text(self) -> None:
        cells = {(each.row.split(" (")[0], each.column): each for each in read_cells("thesis_6_3")}
        gain = (float(cells["DS3/Full", "validation AUROC"].value)
                - float(cells["DS3/Frozen", "validation AUROC"].value))  # fmt: skip
        said = cells["DS3/Full over DS3/Frozen", "validation AUROC"]
        assert (said.value, float(said.corrected)) == ("0.2", pytest.approx(gain, abs=5e-4))
        # .7333 is 11 of 15 before and after
        assert {cells[step, "test specificity"].value for step in ("DS1/Full", "DS4/Full")} == {"0.7333"}

    def test_all_inconsistencies_are_listed(self) -> None:
        lines = numbers.read_inconsistencies()
        assert {int(re.sub("[a-z]", "", line["number"])) for line in lines} == set(range(1, 33))
        assert len({line["number"] for line in lines}) == len(lines)
        assert all(line.values() for line in lines)

    def test_a_key_that_deals_with_an_inconsistency_exists(self) -> None:
        keys = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
        for line in numbers.read_inconsistencies():
            if line["here"].startswith("config "):
                named = line["here"].removeprefix("config ").partition(":")[0].split(", ")
                assert [key for key in named if f"| `{key}" not in keys] == []


class TestOurs:
    experiment = Experiment(
        "target",
        ["lungx", "target", "other"],
        {"hydra": result("hydra", 0.75), "classical": result("classical", 0.5)},
    )

    @pytest.mark.parametrize(
        ("measure", "text", "interval"),
        [
            ("test", "0.750", "[0.250, 0.750]"),
            ("validation", "0.600", "[0.250, 0.750]"),
            ("test-classical", "+0.250", ""),
            ("validation-classical", "+0.000", ""),
            ("test-validation", "+0.150", ""),
            ("test_accuracy", "0.600", ""),
            ("samples", "150", ""),  # of one of two runs: (200 + 100) / 2
            ("samples/classical", "0 % more", ""),
            ("runs", "2", ""),
            ("test-transfer", "not run", ""),
            ("", "", ""),
        ],
    )
    def test_a_result(self, measure: str, text: str, interval: str) -> None:
        value = self.experiment.value(cell(measure))
        assert (value.text, value.interval) == (text, interval)

    def test_a_method_that_was_not_run(self) -> None:
        for measure in ("test", "samples", "learning_rate", "best_epoch", "test@3", "candidates"):
            assert self.experiment.value(cell(measure, "transfer")).text == "not run"

    def test_a_metric_that_a_run_lacks_says_so(self) -> None:
        value = self.experiment.value(cell("test_precision"))
        assert (value.text, value.note) == ("–", "undefined in 1 of 2 runs")

    def test_no_auroc_says_why(self) -> None:
        experiment = Experiment("target", ["target"], {"hydra": result("hydra", None)})
        value = experiment.value(cell("test"))
        assert (value.text, value.interval, value.note) == ("–", "", "no AUROC: no positive finding")
        assert experiment.value(cell("test-validation")).text == "–"

    def test_newcombes_interval_is_marked(self) -> None:
        made = result("hydra", 1.0)
        made["summary"][-1] |= {"ci95": (0.125, 0.875), "ci95_kind": "newcombe"}
        value = Experiment("target", ["target"], {"hydra": made}).value(cell("test"))
        assert value.interval == "[0.125, 0.875] n"

    def test_samples_are_those_that_runs_count_themselves_where_they_do(self) -> None:
        assert samples(result("hydra", 0.5, trained={"a": 30.0, "b": 12.5})) == 42.5
        assert samples(result("hydra", 0.5, trained=None)) == 150
        few, many = (result(name, 0.5, trained={"a": n}) for name, n in (("hydra", 25), ("classical", 100)))
        experiment = Experiment("target", [], {"hydra": few, "classical": many})
        assert experiment.value(cell("samples/classical")).text == "75 % fewer"

    def test_a_support_set_goes_by_its_name_then_by_its_place(self) -> None:
        assert self.experiment.roles() == {"target": "target", "support2": "lungx", "support1": "other"}
        assert Experiment("lungx", ["lungx", "brain"]).roles() == {"target": "lungx", "support1": "brain"}

    def test_settings_are_those_of_the_phase(self) -> None:
        phases = [
            {"name": "training", "datasets": ["target", "lungx", "other"], "epochs": 7, "batches": None,
             "learning_rate": {"target": 1e-8, "lungx": 5e-7, "other": 3e-4}},
            {"name": "specialization", "datasets": ["target"], "epochs": 2, "batches": 1, "learning_rate": 0.01},
        ]  # fmt: skip
        experiment = Experiment(
            "target", ["target", "lungx", "other"], phases={"hydra": phases}, candidates={"hydra": 200}
        )

        def said(measure: str, phase: str = "training", role: str = "target") -> str:
            return experiment.value(cell(measure, "hydra", phase, role)).text

        assert [said("learning_rate", role=role) for role in ("target", "support1", "support2")] == [
            "1e-8", "3e-4", "5e-7",
        ]  # fmt: skip
        assert (said("epochs"), said("batches"), said("candidates")) == ("7", "full pass", "200")
        assert said("learning_rate", "specialization") == "0.01"
        assert said("learning_rate", "specialization", "support1") == "not trained"
        assert said("epochs", "DS4/Full") == "no such step"

    def test_the_best_epoch_is_the_first_maximum_of_the_phase_in_validation(self) -> None:
        table = history(
            ("DS1/Full", 1, "a", "validation", "auroc", 0.6), ("DS1/Full", 1, "a", "validation", "accuracy", 0.1),
            ("DS1/Full", 2, "a", "validation", "auroc", 0.7), ("DS1/Full", 2, "a", "validation", "accuracy", 0.2),
            ("DS1/Full", 3, "a", "validation", "auroc", 0.7), ("DS1/Full", 3, "a", "train", "auroc", 0.9),
            ("DS1/Full", 3, "a", "validation", "reference_auroc", 0.9), ("DS2/Full", 9, "b", "validation", "auroc", 1),
            ("DS1/Full", 4, "a", "validation", "auroc", np.nan),
        )  # fmt: skip
        assert best(table, "DS1/Full") == {"epoch": 2, "validation": 0.7, "accuracy": 0.2}
        assert best(table, "DS3/Full") is None

    def test_histories_of_several_runs_give_a_median_with_its_range_and_a_mean(self) -> None:
        tables = [
            history(
                ("DS1/Full", epoch, "target", "validation", "auroc", value),
                ("DS1/Full", 5, "target", "test", "auroc", value / 2),
            )
            for epoch, value in ((3, 0.6), (10, 0.8), (4, 0.7))
        ]
        experiment = Experiment("target", ["target"], histories={"hydra": tables})
        said = {
            measure: experiment.value(cell(measure, "hydra", "DS1/Full")).text
            for measure in ("best_epoch", "best_validation", "best_accuracy", "test@5", "test@6")
        }
        assert said == {
            "best_epoch": "4 (3 to 10)", "best_validation": "0.700", "best_accuracy": "–", "test@5": "0.350",
            "test@6": "no such epoch",
        }  # fmt: skip

    def test_the_challenge_counts_for_the_line_of_what_was_trained_on(self) -> None:
        challenge = {"classical": {"auroc": 0.7, "ci95": (0.6, 0.8), "ci95_kind": "logit"}}
        for split, own, other in (("holdout", "split", "all"), ("all", "all", "split")):
            experiment = Experiment("target", [], challenge=challenge, split=split)
            value = experiment.value(cell(f"challenge@{own}", "classical"))
            assert (value.text, value.interval) == ("0.700", "[0.600, 0.800]")
            assert experiment.value(cell(f"challenge@{other}", "classical")).text == "not run"
            assert experiment.value(cell(f"challenge@{own}", "hydra")).text == "not run"

    @pytest.mark.parametrize(
        ("value", "text"),
        [(3e-4, "3e-4"), (1e-8, "1e-8"), (8e-10, "8e-10"), (2.5e-3, "2.5e-3"), (0.3, "0.3"), (0, "0"), (0.0, "0"),
         (10_000, "10000"), (128, "128"), ("–", "–")],
    )  # fmt: skip
    def test_settings_are_spelt_as_in_papers(self, value: float, text: str) -> None:
        assert spelt(value) == text


class TestTable:
    def test_a_published_test_result_has_its_interval_and_a_mark_its_reason(self) -> None:
        table = paper_table("typhon_2", Experiment("brain", ["brain"]), {})
        assert list(table) == ["row", "column", "paper", "paper 95 %", "ours", "ours 95 %", "note"]
        rows = table.set_index(["row", "column"])
        # Newcombe's interval of 48/60 with 4 and 15 lesions
        assert rows.loc[("hydra", "test AUROC"), "paper 95 %"] == "[0.474, 0.941]"
        assert rows.loc[("hydra", "validation AUROC"), "paper 95 %"] == ""
        samples_of_typhon = rows.loc[("typhon", "samples seen")]
        assert samples_of_typhon["paper"] == "78M †"
        assert samples_of_typhon["note"].startswith("† 7.83M; 10,000 × 3 × 8 + 300 × 25,314")
        assert set(table["ours"]) == {"not run"}

    def test_a_public_log_is_told_in_place_of_a_quotation(self) -> None:
        log = {"hydra": history(("DS2/Full", 166, "brain", "validation", "auroc", 0.85961634))}
        rows = paper_table("hydra_1", Experiment("brain", []), log).set_index(["row", "column"])["note"]
        assert rows["DS2/Full (Brain)", "best epoch"] == "from the public log: 166"
        assert rows["DS2/Full (Brain)", "validation AUROC"] == "from the public log: 0.859616"
        assert rows["DS3/Full (Lung)", "best epoch"].startswith("quoted")
        assert rows["DS2/Full (Brain)", "dropout"] == ""

    @pytest.mark.parametrize(
        ("kind", "said"),
        [
            ("phantom", "synthetic data"),
            ("brain", "on other data"),
            ("prostatex", "other splits than the published"),
        ],
    )
    def test_the_first_note_says_on_what_data_ours_are(self, kind: str, said: str) -> None:
        assert said in notes_of("typhon_2", Experiment("a", ["a", "b"]), kind)[0]

    def test_notes_tell_the_test_set_and_which_step_is_which_data_set(self) -> None:
        phases = [{"name": "DS1/Full", "datasets": ["a"]}, {"name": "DS2/Full", "datasets": ["b"]}]
        experiment = Experiment("a", ["a", "b"], {"hydra": result("hydra", 0.5)}, phases={"hydra": phases})
        notes = " ".join(notes_of("thesis_6_3", experiment, "brain"))
        assert "5 positive of 20 test findings" in notes
        assert "Ours, hydra: DS1 is a, DS2 is b." in notes
        assert "not run" in notes  # best epochs: there is no history

    def test_the_methods_of_a_table_are_those_it_names_and_compares_with(self) -> None:
        run = ["classical", "hydra", "typhon", "adc"]
        assert numbers.methods_of("typhon_2", run) == ["classical", "hydra", "typhon"]
        assert numbers.methods_of("typhon_1", run) == ["typhon"]
        assert numbers.methods_of("thesis_6_3", run) == ["classical", "hydra"]
        assert numbers.methods_of("inconsistencies", run) == []
        assert numbers.with_histories("thesis_6_3", run) == ["hydra"]
        assert numbers.with_histories("thesis_5_2", run) == ["classical"]
        assert numbers.with_histories("typhon_2", run) == []
        assert [numbers.with_challenge(name, run) for name in ("thesis_5_2", "hydra_2")] == [
            ["classical"],
            [],
        ]


@pytest.mark.parametrize("name", numbers.TABLES)
def test_every_table_is_written_in_three_forms(tmp_path: Path, name: str) -> None:
    runs = tmp_path / "results"
    (runs / "hydra" / "fold0" / "seed0").mkdir(parents=True)
    curve = runs / "hydra" / "fold0" / "seed0" / "history.csv"
    history(("DS1/Full", 3, "target", "validation", "auroc", 0.625)).to_csv(curve, index=False)
    (runs / "hydra_auc.json").write_text(json.dumps(result("hydra", 0.75)))
    phases = {"hydra": [{"name": "DS1/Full", "datasets": ["target"], "learning_rate": 1e-3, "dropout": 0.25,
                         "batch_size": 64, "epochs": 9}]}  # fmt: skip
    main([
        name, "--results", str(runs / "hydra_auc.json"), "--histories", str(curve), "--published",
        "--phases", json.dumps(phases), "--target", "target", "--datasets", "target", "--kind", "phantom",
        "--out", str(tmp_path / f"{name}.csv"),
    ])  # fmt: skip
    table = read_csv(tmp_path / f"{name}.csv")
    assert numbers.TABLES[name] in (tmp_path / f"{name}.md").read_text()
    assert r"\begin{tabular}" in (tmp_path / f"{name}.tex").read_text()
    if name == "inconsistencies":
        assert len(table) == len(numbers.read_inconsistencies())
        return
    assert len(table) == len(read_cells(name))
    ours = table.set_index(["row", "column"])["ours"]
    expected = {
        "hydra_1": (("DS1/Full (Prostate)", "best epoch"), "3"),
        "hydra_2": (("hydra", "test AUROC"), "0.750"),
        "thesis_6_2": (("DS1/Full (PROSTATEx)", "dropout"), "0.25"),
        "thesis_6_3": (("DS1/Full (PROSTATEx)", "validation AUROC"), "0.625"),
    }
    if name in expected:
        where, value = expected[name]
        assert ours[where] == value
