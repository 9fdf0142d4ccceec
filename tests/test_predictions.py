from pathlib import Path

import numpy as np
import pytest

from model.evaluation.predictions import (
    COLUMNS,
    PredictionsError,
    columns,
    evaluate,
    numbered,
    read_predictions,
    read_splits,
)
from pipeline.classes import UNKNOWN, UNNAMED, Classes
from pipeline.errors import ConfigError
from pipeline.files import write_csv

ROWS = [
    ("a", "test", "0005", "1a", 0, 1, "0.9"),
    ("a", "test", "0005", "1a", 1, 1, "0.6"),
    ("a", "test", "0005", "1b", 0, 0, "0.25"),
    ("a", "validation", "7", "1", 0, 0, "0.125"),
    ("b", "test", "9", "1", 0, 1, "0.5"),
]
SPLIT_COLUMNS = ("patient_id", "group_id", "finding_id", "label", "split", "views")


def write(path: Path, rows: list[tuple[object, ...]], columns: list[str] = COLUMNS) -> Path:
    write_csv(path, columns, [dict(zip(columns, row, strict=True)) for row in rows])
    return path


def write_splits(folder: Path) -> list[Path]:
    of_a = [
        ("0005", "g", "1a", 1, "test", 11),
        ("0005", "g", "1b", 0, "test", 11),
        ("7", "h", "1", 0, "validation", 11),
        ("8", "i", "1", 1, "train", 60),
    ]
    paths = {"a": of_a, "b": [("9", "9", "1", 1, "test", 11)]}
    return [
        write(folder / "data" / name / "splits/fold0.csv", rows, list(SPLIT_COLUMNS))
        for name, rows in paths.items()
    ]


def test_findings_get_the_mean_of_their_views_and_view_zero(tmp_path: Path) -> None:
    found = read_predictions(write(tmp_path / "p.csv", ROWS))
    findings = found["a"].findings.set_index(["patient_id", "finding_id"])
    assert findings.loc[("0005", "1a"), "score"] == 0.75
    assert findings.loc[("0005", "1a"), "single"] == 0.9
    assert (len(findings), len(found["b"].findings)) == (3, 1)


def test_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    rows = [("a", "test", "1", "1", view, 1, f"{0.1 * view:.3g}") for view in range(11)]
    first = read_predictions(write(tmp_path / "p.csv", rows))
    order = np.random.default_rng(0).permutation(11)
    other = read_predictions(write(tmp_path / "q.csv", [rows[n] for n in order]))
    assert other["a"].findings.equals(first["a"].findings)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (
            [("a", "test", "1", "1", 0, 1, "1.5")],
            r"expected scores in \[0, 1\], found a test patient 1 finding 1",
        ),
        ([("a", "test", "1", "1", 0, 1, "nan")], r"scores in \[0, 1\]"),
        ([("a", "test", "1", "1", 0, 1, "x")], "expected numbers"),
        ([("a", "test", "1", "1", 0, 2, "0.5")], "labels 0 and 1"),
        ([("a", "test", "1", "1", 0, 1, "0.5")] * 3, "each view once.*and 1 more"),
        (
            [("a", "test", "1", "1", 0, 1, "0.5"), ("a", "test", "1", "1", 1, 0, "0.5")],
            "one label per finding",
        ),
        ([("a", "test", "1", "1", 3, 1, "0.5")], "view 0 of each finding"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: list[tuple[object, ...]], match: str) -> None:
    with pytest.raises(PredictionsError, match=f"E-PREDICTIONS .*p.csv: .*{match}"):
        read_predictions(write(tmp_path / "p.csv", rows))


def test_other_columns_are_refused(tmp_path: Path) -> None:
    wanted = (
        "expected the columns dataset, split, patient_id, finding_id, view, then label, or label_… of each label,"
        " and score, or score_… of each class or label, found dataset"
    )
    with pytest.raises(PredictionsError, match=wanted):
        read_predictions(write(tmp_path / "p.csv", [("a",)], ["dataset"]))


def test_fold_and_seed_come_from_the_path() -> None:
    run = Path("results/search/fold9/candidate2/fold3/seed14/best/predictions.csv")
    assert (numbered(run, "fold"), numbered(run, "seed")) == (3, 14)
    assert numbered(Path("data/scaffold7/splits/fold0.csv"), "fold") == 0
    with pytest.raises(PredictionsError, match="a path with seed and a number"):
        numbered(Path("results/run"), "seed")


def test_runs_are_joined_with_the_groups_of_the_splits(tmp_path: Path) -> None:
    run = tmp_path / "fold0/seed3"
    write(run / "predictions.csv", ROWS)
    parts = evaluate(run, "last", read_splits(write_splits(tmp_path)))
    assert [(part.dataset, part.split, len(part.findings)) for part in parts] == [
        ("a", "validation", 1), ("a", "test", 2), ("b", "validation", 0), ("b", "test", 1),
    ]  # fmt: skip
    assert (parts[1].fold, parts[1].seed, parts[1].state) == (0, 3, "last")
    assert list(parts[1].findings["group_id"]) == ["g", "g"]


def test_a_data_set_without_predictions_is_left_out(tmp_path: Path) -> None:
    run = tmp_path / "fold0/seed0"
    write(run / "predictions.csv", ROWS[:4])
    assert {part.dataset for part in evaluate(run, "last", read_splits(write_splits(tmp_path)))} == {"a"}


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (ROWS[1:], "view 0"),
        (ROWS[2:], "every finding of fold 0, found a test patient 0005 finding 1a"),
        (
            [*ROWS, ("a", "test", "8", "1", 0, 1, "0.5")],
            "only findings that are in a split of fold 0.*patient 8",
        ),
        ([*ROWS[:4], ("b", "test", "9", "1", 0, 0, "0.5")], "the labels of the splits"),
    ],
)
def test_predictions_that_do_not_fit_the_splits(
    tmp_path: Path, rows: list[tuple[object, ...]], match: str
) -> None:
    write(tmp_path / "fold0/seed0/predictions.csv", rows)
    with pytest.raises(PredictionsError, match=match):
        evaluate(tmp_path / "fold0/seed0", "last", read_splits(write_splits(tmp_path)))


def test_a_number_that_no_integer_holds_is_told(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(",".join(COLUMNS) + "\na,test,P,1,9223372036854775808,1,0.5\n")
    with pytest.raises(
        PredictionsError, match=r"^E-PREDICTIONS .*predictions\.csv: expected numbers, found "
    ):
        read_predictions(path)


# --- several classes or labels

THREE, SIGNS = Classes(("no", "low", "high")), Classes(("mass", "nodule"), multilabel=True)
OF_BOTH = columns([THREE, UNNAMED, SIGNS])
SEVERAL = [
    {"dataset": "three", "split": "test", "patient_id": "1", "view": 0, "label": 2, "score_no": "0.1", "score_low": "0.2", "score_high": "0.7"},
    {"dataset": "three", "split": "test", "patient_id": "1", "view": 1, "label": 2, "score_no": "0.3", "score_low": "0.4", "score_high": "0.3"},
    {"dataset": "two", "split": "test", "patient_id": "2", "view": 0, "label": 1, "score": "0.5"},
    {"dataset": "signs", "split": "test", "patient_id": "3", "view": 0, "label_mass": "", "label_nodule": 1, "score_mass": "0.25", "score_nodule": "0.5"},
    {"dataset": "signs", "split": "test", "patient_id": "4", "view": 0, "label_mass": 0, "label_nodule": 0, "score_mass": "0.5", "score_nodule": "0.5"},
]  # fmt: skip


def several(path: Path) -> Path:
    write_csv(path, OF_BOTH, [{"finding_id": "1", **row} for row in SEVERAL])
    return path


def test_a_table_of_data_sets_with_two_with_three_classes_and_with_labels_is_read_back(
    tmp_path: Path,
) -> None:
    found = read_predictions(several(tmp_path / "p.csv"))
    assert {name: each.classes for name, each in found.items()} == {
        "three": THREE,
        "two": UNNAMED,
        "signs": SIGNS,
    }
    (three,) = found["three"].findings.to_dict("records")
    assert three["label"] == 2
    assert [three[name] for name in THREE.columns()] == pytest.approx([0.2, 0.3, 0.5])
    assert [three[name] for name in THREE.columns("single")] == [0.1, 0.2, 0.7]
    assert found["signs"].findings["label_mass"].tolist() == [UNKNOWN, 0]


def test_labels_of_the_splits_and_of_the_predictions_are_compared_one_by_one(tmp_path: Path) -> None:
    several(tmp_path / "fold0/seed0/predictions.csv")
    texts = ("patient_id", "group_id", "finding_id")
    signs = [("3", "3", "1", "", 1, "test", 2), ("4", "4", "1", 0, 0, "test", 2)]
    of_signs, of_classes = (
        [*texts, *labels, "split", "views"] for labels in (SIGNS.label_columns, ["label"])
    )
    paths = [
        write(tmp_path / "data/signs/splits/fold0.csv", signs, of_signs),
        write(tmp_path / "data/two/splits/fold0.csv", [("2", "2", "1", 1, "test", 2)], of_classes),
        write(tmp_path / "data/three/splits/fold0.csv", [("1", "1", "1", 2, "test", 2)], of_classes),
    ]
    parts = evaluate(tmp_path / "fold0/seed0", "last", read_splits(paths))
    truth = {part.dataset: part.truth.tolist() for part in parts if part.split == "test"}
    assert truth == {"signs": [[UNKNOWN, 1], [0, 0]], "two": [[1]], "three": [[0, 0, 1]]}
    write(paths[0], [("3", "3", "1", "", 0, "test", 2), signs[1]], of_signs)
    with pytest.raises(PredictionsError, match="the labels of the splits, found signs test patient 3"):
        evaluate(tmp_path / "fold0/seed0", "last", read_splits(paths))


def test_classes_of_one_name_in_contrary_orders_have_no_table() -> None:
    with pytest.raises(ConfigError, match="expected classes of one name in one order"):
        columns([THREE, Classes(("high", "low", "other"))])
