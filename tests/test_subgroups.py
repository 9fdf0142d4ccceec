"""Figures of parts of the test findings, and which parts there are."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.evaluation import subgroups
from model.evaluation.clustered import Estimate, estimate
from model.evaluation.delong import mean_areas
from model.evaluation.intervals import Fold
from model.evaluation.levels import known, levels, order
from model.evaluation.metrics import auroc
from model.evaluation.subgroups import SubgroupEstimate, area, difference
from model.report.subgroups import plot
from pipeline.errors import ColumnError, ConfigError
from pipeline.files import write_csv
from tests.test_compare import PATIENTS, RIGHT, THREE_QUARTERS, Experiment


def fold(groups: str, labels: Sequence[int], scores: Sequence[float]) -> Fold:
    return Fold(np.array(list(groups)), np.array(labels), np.array([scores], float))


def part(value: float, low: float, high: float, groups: str = "abc", *moved: float) -> SubgroupEstimate:
    made = Estimate(value, np.array(moved or [0.1] * len(groups)), len(groups), len(groups) - 1)
    return SubgroupEstimate(made, (low, high), [fold(groups, [0] * len(groups), [0] * len(groups))])


class TestDifferences:
    def test_the_area_is_the_auroc_with_delongs_variance(self) -> None:
        """Of patients with one finding each: 4/5 of the sum of squares is DeLong's but for its own divisors."""
        test = fold("abcdef", [1, 1, 1, 0, 0, 0], [0.9, 0.4, 0.6, 0.5, 0.1, 0.3])
        made = estimate([test], area, compares=True)
        assert made is not None
        assert made.value == auroc(test.labels, test.scores[0])
        of_delong = mean_areas([[test]]).covariance
        assert of_delong is not None
        # Three of each class: DeLong divides by 3 · 2 each where one divisor for all six groups is 6/5 of n².
        assert made.variance / (6 / 5) * (3 / 2) == pytest.approx(of_delong[0, 0])

    def test_parts_of_other_patients_are_independent(self) -> None:
        """.5 [.2, .8] less .4 [.1, .7]: .1 ± .3 · sqrt 2."""
        low, high = difference(part(0.5, 0.2, 0.8), part(0.4, 0.1, 0.7, "def"))
        assert (low, high) == (pytest.approx(0.1 - 0.3 * 2**0.5), pytest.approx(0.1 + 0.3 * 2**0.5))

    def test_a_share_of_all_less_one_of_none_stays_below_one(self) -> None:
        low, high = difference(part(1.0, 0.6, 1.0), part(0.0, 0.0, 0.3, "def"))
        assert (low, high) == (pytest.approx(1 - 0.5), 1.0)

    def test_patients_in_both_parts_take_away_from_the_difference(self) -> None:
        """The same patients move both alike: nothing is left of it."""
        both = part(0.5, 0.2, 0.8)
        assert difference(both, both) == pytest.approx((0, 0), abs=1e-6)
        opposite = part(0.5, 0.2, 0.8, "abc", -0.1, -0.1, -0.1)
        assert difference(both, opposite) == pytest.approx((-0.6, 0.6))


class TestLevels:
    def test_numbers_are_cut_where_one_says_or_into_thirds(self) -> None:
        ages = pd.DataFrame(
            {"patient_id": list("abcdefghij"), "finding_id": "1", "age": ["", *map(str, range(1, 10))]}
        )
        cut = levels(ages, ["age"], {"age": [3, 5]})["age"]
        assert cut.tolist() == ["(unknown)", "< 3", "< 3", "3 to < 5", "3 to < 5", *["from 5"] * 5]
        assert order(cut) == ["< 3", "3 to < 5", "from 5", "(unknown)"]
        thirds = levels(ages, ["age"], {})["age"]
        assert thirds.tolist() == ["(unknown)", *["< 3.67"] * 3, *["3.67 to < 6.33"] * 3, *["from 6.33"] * 3]

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            # A third of twelve years is four; three digits would cut at 2010 and 2020.
            (range(2010, 2022), {"< 2014": 4, "2014 to < 2017.3": 4, "from 2017.3": 4}),
            (np.arange(1000.5, 1010), {"< 1003.5": 3, "1003.5 to < 1006": 3, "from 1006": 4}),
            (
                range(20180101, 20180110),
                {"< 20180104": 3, "20180104 to < 20180106.3": 3, "from 20180106.3": 3},
            ),
        ],
    )
    def test_thirds_are_rounded_only_as_far_as_they_stay_thirds(
        self, values: Sequence[float], expected: dict[str, int]
    ) -> None:
        found = pd.DataFrame({"patient_id": [str(each) for each in values], "finding_id": "1"})
        made = levels(found.assign(x=found["patient_id"]), ["x"], {})["x"]
        assert {level: int((made == level).sum()) for level in order(made)} == expected

    def test_cuts_are_named_in_full(self) -> None:
        found = pd.DataFrame({"patient_id": list("ab"), "finding_id": "1", "day": ["20180101", "20180301"]})
        cut = levels(found, ["day"], {"day": [20180101, 20180201]})["day"]
        assert cut.tolist() == ["20180101 to < 20180201", "from 20180201"]

    def test_few_numbers_and_words_are_levels_and_the_rarest_are_taken_together(self) -> None:
        found = pd.DataFrame({
            "patient_id": [str(number) for number in range(30)], "finding_id": "1",
            "grade": ["2.0", "10", "2"] * 10, "site": [*["b"] * 10, "a", "a", *map(str, range(50, 68))],
        })  # fmt: skip
        made = levels(found, ["grade", "site"], {})
        assert order(made["grade"]) == ["2", "10"]
        assert order(made["site"])[-3:] == ["a", "b", "(other)"]
        assert len(order(made["site"])) == 13

    def test_a_column_that_is_not_there_or_holds_no_numbers_is_told(self) -> None:
        found = pd.DataFrame({"patient_id": ["a"], "finding_id": ["1"], "sex": ["f"]})
        with pytest.raises(ConfigError, match="expected columns among sex, found age"):
            levels(found, ["age"], {})
        with pytest.raises(ConfigError, match="subgroups/cuts/sex: expected a column of numbers, found f"):
            levels(found, ["sex"], {"sex": [1]})


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Findings and index beside two runs; of the second, a of the positives a and b scores below all."""
    made = Experiment(tmp_path, folds=2)
    made.add("typhon", RIGHT, THREE_QUARTERS)
    columns = ("patient_id", "finding_id", "channel", "file")
    rows = [dict(zip(columns, (name, "1", "image", f"{name}.png"), strict=True)) for name in PATIENTS]
    write_csv(tmp_path / "findings.csv", columns, rows)
    index = pd.DataFrame({"file": [f"{name}.png" for name in PATIENTS], "model": [*["X"] * 3, *["Y"] * 7]})
    index.to_parquet(tmp_path / "index.parquet")
    return made


def tabulated(experiment: Experiment, *more: str) -> dict[str, dict[str, str]]:
    """The rows by level."""
    folder = experiment.folder
    subgroups.main(
        ["--results", str(experiment.result("typhon")), "--runs", *map(str, experiment.runs("typhon")),
         "--splits", *map(str, experiment.splits), "--findings", str(folder / "findings.csv"),
         "--index", str(folder / "index.parquet"), "--out", str(folder / "results/subgroups.csv"), *more]
    )  # fmt: skip
    return {
        row["level"]: row
        for row in csv.DictReader((folder / "results/subgroups.csv").read_text().splitlines())
    }


def test_levels_of_the_users_table_by_hand(experiment: Experiment) -> None:
    """Women a and c: AUROC 1, then 0; men b and d: 1 and 1. Above .5 a is found once of two times."""
    (experiment.folder / "t.csv").write_text("case;sex\nA;f\nc ;f\nb;m\nd;m\n")
    words = ["--table", str(experiment.folder / "t.csv"), "--names", '{"patient_id": "case"}']
    found = tabulated(experiment, *words, "--columns", "sex", "--minimum", "1")
    assert list(found) == ["f", "m"]
    women = found["f"]
    assert [women[name] for name in ("method", "column", "count", "positives", "groups")] == [
        "typhon", "sex", "2", "1", "2",
    ]  # fmt: skip
    assert (women["auroc"], found["m"]["auroc"], women["auroc_difference"]) == ("0.5000", "1.0000", "-0.5000")
    assert (women["sensitivity"], women["specificity"]) == ("0.5000", "1.0000")
    assert found["m"]["sensitivity_difference"] == "0.5000"


def test_columns_of_the_index_and_levels_below_the_minimum(experiment: Experiment) -> None:
    """a, b and c are of scanner X; with a minimum of one, Y has no positive finding."""
    found = tabulated(experiment, "--columns", "model", "--minimum", "1")
    assert (found["X"]["count"], found["X"]["auroc"], found["X"]["auroc_difference"]) == ("3", "0.7500", "")
    assert (found["Y"]["count"], found["Y"]["positives"], found["Y"]["auroc"]) == ("1", "0", "")
    few = tabulated(experiment, "--columns", "model")
    assert {row["auroc"] for row in few.values()} == {""}
    assert "fewer than 10 positive" in experiment.notes("subgroups")
    assert (experiment.folder / "results/subgroups.png").stat().st_size > 5000


def test_findings_of_a_patient_may_differ_and_a_row_twice_is_told(experiment: Experiment) -> None:
    table = experiment.folder / "t.csv"
    table.write_text("patient_id,finding_id,size\na,1,3\na,2,9\n")
    found = known(experiment.folder / "findings.csv", experiment.folder / "index.parquet", table, {})
    assert found.set_index("patient_id")["size"].fillna("").to_dict() == {
        **dict.fromkeys(PATIENTS, ""),
        "a": "3",
    }
    table.write_text("patient_id,size\na,3\nA,9\n")
    with pytest.raises(ConfigError, match=r"expected a row per patient, .* found patient_id a twice"):
        known(experiment.folder / "findings.csv", experiment.folder / "index.parquet", table, {})
    table.write_text("case,size\na,3\n")
    with pytest.raises(ColumnError, match="patient_id"):
        known(experiment.folder / "findings.csv", experiment.folder / "index.parquet", table, {})


@pytest.mark.parametrize(
    ("table", "sizes", "words"),
    [
        ("patient_id;size;note\na;12,5;x,y\nb;3;p\n", ["12.5", "3"], ["x,y", "p"]),
        ("patient_id\tsize\tnote\na\t12,5\tx\nb\t\tp\n", ["12.5", ""], ["x", "p"]),
        # thousands perhaps: a point elsewhere, commas between cells, or tabs and 1,234 throughout
        ("patient_id;size;note\na;12,5;1.5\nb;3;2\n", ["12,5", "3"], ["1.5", "2"]),
        ('patient_id,size,note\na,"12,5",x\nb,3,p\n', ["12,5", "3"], ["x", "p"]),
        ("patient_id\tsize\tnote\na\t1,250\tx\nb\t3,000\tp\n", ["1,250", "3,000"], ["x", "p"]),
        ("patient_id;size;note\na;12,5;x\nb;n/a;p\n", ["12,5", "n/a"], ["x", "p"]),
    ],
)
def test_a_comma_marks_decimals_in_asked_columns_of_numbers_alone(
    experiment: Experiment, table: str, sizes: list[str], words: list[str]
) -> None:
    path = experiment.folder / "t.csv"
    path.write_text(table)
    files = (experiment.folder / "findings.csv", experiment.folder / "index.parquet")
    found = known(*files, path, {}, ["size", "note", "site"]).set_index("patient_id")
    assert found.loc[["a", "b"], "size"].tolist() == sizes
    assert found.loc[["a", "b"], "note"].tolist() == words
    assert "12.5" not in known(*files, path, {}, ["note"])["size"].tolist(), "nobody asked for it"


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["1", "2,5", "n/a", "", "3"], "size counts as words because of 'n/a', but 3 of 4 cells are numbers"),
        (["12,5", "3", "4"], "size counts as words because of '12,5', but 3 of 3 cells are numbers"),
        (["1", "2", "a", "b"], ""),
        (["1", "2", "", "3.5"], ""),
        (["", ""], ""),
    ],
)
def test_a_column_of_words_that_are_mostly_numbers_is_told(
    cells: list[str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = pd.DataFrame({"patient_id": [*"abcde"][: len(cells)], "finding_id": "1", "size": cells})
    levels(found, ["size"], {})
    (line,) = [record.getMessage() for record in caplog.records] or [""]
    assert line.startswith(told) if told else not line


def test_the_picture_has_a_line_per_level_with_counts_and_a_colour_per_method() -> None:
    def row(method: str, column: str, level: str, auroc: float | None) -> dict[str, object]:
        scored = {} if auroc is None else {"auroc": auroc, "auroc95": (auroc - 0.1, auroc + 0.1)}
        return {"method": method, "column": column, "level": level, "count": 30, "positives": 12, **scored}

    rows = [
        row(method, *level)
        for method in ("typhon", "hydra")
        for level in (("sex", "f", 0.8), ("sex", "m", 0.6), ("site", "a", None))
    ]
    made = plot(rows, "title")
    area, *_ = made.axes
    texts = [label.get_text() for label in area.get_yticklabels()]
    assert texts == [
        "sex", "f (30, 12 positive)", "m (30, 12 positive)", "site", "a (30, 12 positive, too few)",
    ]  # fmt: skip
    points = [line for line in area.lines if line.get_marker() == "o"]
    data = [np.asarray(line.get_xydata(), float)[0] for line in points]
    found = sorted((round(float(y), 2), float(x)) for x, y in data)
    # Of six tenths of a line each of two methods has the middle of a half: .15 to either side.
    assert found == [(0.85, 0.8), (1.15, 0.8), (1.85, 0.6), (2.15, 0.6)]
    assert len({line.get_color() for line in points}) == 2
    assert area.get_ylim()[0] > area.get_ylim()[1]
