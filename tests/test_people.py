"""Two spellings of one id are one person, from the table to the check before training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model.dataset import load
from pipeline.errors import DuplicateFindingError, LabelError, LeakError
from pipeline.files import read_csv, write_csv
from pipeline.splits import split
from pipeline.splits.people import called, counted, person, units
from pipeline.splits.split import COLUMNS, assign
from pipeline.verify.overlap import headers, identity
from tests.collection import HIGH_B, Collection
from tests.etl import build

HOLDOUT = {"kind": "holdout", "n": 1, "validation": 0.2, "test": 0.2, "seed": 0, "fold": 0}


@pytest.mark.parametrize(
    "spellings",
    [
        ("Case-003", "case-003", "CASE-003", "Ｃａｓｅ－００３", "Case–003", "Case\u2011003"),
        (
            "14",
            "14.0",
            "14.",
            "0014",
            "00014.00",
            "１４",
            "14,0",
            " 14",
            "14\u00a0",
            "\ufeff14",
            "1\u200b4",
            '="0014"',
            "'14",
            '"14"',
            "‘14",
        ),
        ("0", "000", "0.0"),
        ("Müller 1", "Mu\u0308ller\u00a01", "MÜLLER  1", "müller\t1\u3000"),
        ("Strasse", "STRASSE", "Straße"),
        ("file.0", "FILE.0"),
    ],
)
def test_spellings_of_one_id_are_one_person(spellings: tuple[str, ...]) -> None:
    assert len(set(map(person, spellings))) == 1
    assert person(spellings[0])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("P1", "P10"), ("1", "10"), ("1", "-1"), ("1.0", "1.5"), ("1,0", "1,000"), ("P1", "P01"), ("P1", "P 1"),
        ("a-1", "a1"), ("a.0", "a"), ("1", "l"), ("Müller", "Muller"), ("nan", "nana"), ("0", ""), ("x", ""), ("1e5", "1e6"),
    ],
)  # fmt: skip
def test_other_ids_are_other_people(one: str, two: str) -> None:
    assert person(one) != person(two)


@pytest.mark.parametrize(
    "word",
    ["", " ", "\u00a0", "nan", "NaN", "None", "NULL", "null", "unknown", "Unknown ", "n/a", "N/A", "NA", "n. a.",
     "#N/A", "<NA>", "(unknown)", "not available", "NaT", "Anonymous", "?", "-", "--", "ｎｕｌｌ",
     ".", "..", "_", "—", "*", "[]", '""', "Anonymous^", "ANONYM", "Unknown patient", "patient-unknown", "no id",
     "not specified", "unspecified", "redacted", "REMOVED", "TBD", "-1", "-99", "-999", r"\N", "#REF!", "#VALUE!"],
)  # fmt: skip
def test_words_for_nobody_are_no_person(word: str) -> None:
    assert person(word) == ""


def test_people_who_are_spelt_in_several_ways_are_called_by_all_of_them() -> None:
    ids = pd.Series(["014", "7", "14.0", "nan", "NaN", "014"])
    assert called(ids).tolist() == ["014 = 14.0", "7", "014 = 14.0", "nan", "NaN", "014 = 14.0"]


def test_a_unit_holds_groups_that_share_a_person_and_people_that_share_a_group() -> None:
    one = pd.DataFrame({"patient_id": ["1", "2", "3"], "group_id": ["a", "a", "c"]})
    two = pd.DataFrame({"patient_id": ["02", "4", "5"], "group_id": ["x", "x", "c"]})
    # 1 and 2 are one group of the first table; 2 and 4 of the second; equal names of groups mean nothing.
    assert [numbers.tolist() for numbers in units([one, two])] == [[0, 0, 1], [0, 0, 2]]


def _blanks(name: str) -> str:
    return f"\u00a0{name} "


SPELL = [
    str,
    str.upper,
    str.lower,
    str.title,
    _blanks,
    "\ufeff{}".format,
    lambda name: name.replace("-", "‐"),
]
WHOLE = [str, "{}.0".format, "{:0>6}".format, "{}.00".format, "{:0>4}.0".format, _blanks]


@given(st.data(), st.integers(0, 3), st.sampled_from(["holdout", "folds"]))
def test_spellings_never_cross_a_split(data: st.DataObject, fold: int, kind: str) -> None:
    names = [f"Case-{number}" for number in range(10)] + [str(number) for number in range(1, 11)]
    rows = []
    for number, name in enumerate(names):
        ways = WHOLE if name.isdigit() else SPELL
        for spell in data.draw(st.lists(st.sampled_from(ways), min_size=1, max_size=4)):
            rows.append((number, spell(name), number % 2))
    table = pd.DataFrame(rows, columns=["who", "patient_id", "label"])
    table["group_id"] = table["patient_id"]  # as the steps before did
    splits = assign(table, **HOLDOUT | {"kind": kind, "n": 5, "fold": fold})
    assert (splits.groupby(table["who"]).nunique() == 1).all()


# --- from the table to the check before training


def pictures(raw: Path, ids: list[str], *, first: int = 0) -> list[str]:
    """Write a picture for each id; the rows of their table, labels alternating from person to person."""
    raw.mkdir(exist_ok=True)
    people = {name: number for number, name in enumerate(dict.fromkeys(map(person, ids)))}
    rows = []
    for number, name in enumerate(ids, first):
        pixels = np.random.default_rng(number).integers(0, 255, (70, 70), dtype="u1")
        Image.fromarray(pixels).save(raw / f"{number}.png")
        label = people[person(name)] % 2 if person(name) else number % 2
        rows.append(f'{number}.png,"{name}",1,{label}\n')
    return rows


def built(raw: Path, rows: list[str], folder: Path) -> Path:
    (raw / "own.csv").write_text("image,patient_id,finding_id,label\n" + "".join(rows), encoding="utf-8")
    return build("table", raw, folder, "--table", "own.csv", extent="whole")


def test_people_keep_together_from_the_table_to_the_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = []
    for number in range(10):
        ids += [f"Case-{number:03d}", f"case-{number:03d}", f"CASE-{number:03d}\u200b"]
        ids += [f"{number + 20}", f"{number + 20}.0", f"000{number + 20}", f"\u00a0{number + 20}"]
    caplog.set_level("INFO")
    folder = built(tmp_path / "raw", pictures(tmp_path / "raw", ids), tmp_path / "mine")
    found, table = read_csv(folder / "findings.csv"), read_csv(folder / "splits/fold0.csv")
    who = found["patient_id"].map(person)
    assert who.nunique() == 20
    assert (found.groupby(who)["group_id"].nunique() == 1).all()
    assert found["group_id"].tolist()[:7] == ["Case-000"] * 3 + ["20"] * 4  # the first spelling in the table
    assert set(found["group_kind"]) == {"patient"}
    assert (table.groupby(table["patient_id"].map(person))["split"].nunique() == 1).all()
    assert table.groupby("split")["group_id"].nunique().to_dict() == {"test": 4, "train": 12, "validation": 4}
    assert "'Case-000' = 'case-000' = 'CASE-000\\u200b'; '20' = '20.0' = '00020'" in caplog.text
    check = identity(found)
    assert (check.result, check.count) == ("warning", 20)
    assert "'20' = '20.0' = '00020'" in check.detail
    load([folder / "patches.h5"], [folder / "splits/fold0.csv"])  # as training does

    # A split that tells the spellings apart, by whoever made it, does not reach the training.
    train = table.index[(table["split"] == "train") & (table["patient_id"] == "20.0")]
    other = table.assign(split=table["split"].where(~table.index.isin(train), "test"))
    if not len(train):
        other = table.assign(split=table["split"].where(table["patient_id"] != "20.0", "train"))
    apart = other.assign(group_id=other["patient_id"])
    write_csv(folder / "other.csv", COLUMNS, apart.to_dict("records"))
    with pytest.raises(LeakError, match=r"20 = 20\.0 = 00020"):
        load([folder / "patches.h5"], [folder / "other.csv"])


@pytest.mark.parametrize("words", [("nan", "NaN", "nan"), ("None", "none", "NULL"), ("unknown", "", "N/A")])
def test_nobody_is_as_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture, words: tuple[str, ...]) -> None:
    raw = tmp_path / "raw"
    caplog.set_level("INFO")
    rows = pictures(raw, [words[number % 3] for number in range(24)])
    smooth = Image.fromarray(np.random.default_rng(99).integers(0, 255, (9, 9), dtype="u1"))
    for number, side in ((0, 90), (2, 80)):  # near-duplicates
        smooth.resize((side, side), Image.Resampling.BICUBIC).save(raw / f"{number}.png")
    folder = built(raw, rows, tmp_path / "mine")
    found = read_csv(folder / "findings.csv")
    assert found["patient_id"].tolist() == [f"{number}.png" for number in range(24)]
    assert found["group_id"].tolist()[:4] == ["0.png", "1.png", "0.png", "3.png"]
    assert set(found["group_kind"]) == {"near-duplicates"}
    said = "patients unknown: 23 groups, 24 findings"
    assert said in caplog.text
    assert (identity(found).result, identity(found).detail) == ("warning", said)


def test_an_id_that_most_findings_have_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ids = ["dummy", "Dummy"] * 6 + [f"P{number}" for number in range(10)]
    found = read_csv(
        built(tmp_path / "raw", pictures(tmp_path / "raw", ids), tmp_path / "mine") / "findings.csv"
    )
    said = "'dummy' has 12 of 22 findings: if that is nobody, leave patient_id empty"
    assert said in caplog.text
    check = identity(found)
    assert (check.result, check.count) == ("warning", 2)  # the two spellings, and this
    assert said in check.detail
    fewer = found[found["patient_id"] != "Dummy"].head(19)
    assert said not in identity(fewer).detail


@pytest.mark.parametrize("cell", ["1.23457E+11", "1.2e+05", "1,23457E+11"])
def test_ids_that_a_spreadsheet_has_rounded_are_refused(tmp_path: Path, cell: str) -> None:
    with pytest.raises(
        LabelError, match=r"whole patient ids, found 1.*rounded by a spreadsheet; format that column as text"
    ):
        built(tmp_path / "raw", pictures(tmp_path / "raw", ["a", cell]), tmp_path / "mine")


def test_a_table_may_know_some_of_its_people(tmp_path: Path) -> None:
    ids = [name for number in range(8) for name in (f"P{number}", "unknown", f"p{number}")]
    found = read_csv(
        built(tmp_path / "raw", pictures(tmp_path / "raw", ids), tmp_path / "mine") / "findings.csv"
    )
    assert found["group_id"].tolist()[:6] == ["P0", "1.png", "P0", "P1", "4.png", "P1"]
    assert found["group_kind"].value_counts().to_dict() == {"patient": 16, "near-duplicates": 8}
    detail = identity(found).detail
    assert detail.endswith("; patients unknown: 8 groups, 8 findings")


def alike(raw: Path, numbers: Sequence[int]) -> None:
    """Make these pictures copies of each other, each of its own size."""
    smooth = Image.fromarray(np.random.default_rng(numbers[0]).integers(0, 255, (9, 9), dtype="u1"))
    for place, number in enumerate(numbers):
        side = 90 - 5 * place
        smooth.resize((side, side), Image.Resampling.BICUBIC).save(raw / f"{number}.png")


def test_a_copy_without_an_id_is_in_the_group_of_the_patient(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = tmp_path / "raw"
    caplog.set_level("INFO")
    rows = pictures(raw, [*[""] * 10, *(f"P{number}" for number in range(10)), "", ""])
    for number in range(10):
        alike(raw, [number, number + 10])
    folder = built(raw, rows, tmp_path / "mine")
    found = read_csv(folder / "findings.csv")
    patients = [f"P{number}" for number in range(10)]
    assert found["group_id"].tolist() == [*patients, *patients, "20.png", "21.png"]
    kinds = {"n": "near-duplicates", "p": "patient"}
    assert found["group_kind"].tolist() == [kinds[sign] for sign in "n" * 10 + "p" * 10 + "nn"]
    assert counted(found) == "10 patients and 2 unknown groups"
    said = "patients unknown: 12 groups, 10 of them with a known patient, 12 findings"
    assert said in caplog.text
    assert identity(found).detail == said
    pairs = read_csv(folder / "near_duplicates.csv")
    assert pairs[["patient_id_1", "patient_id_2", "merged"]].to_numpy().tolist() == [
        [f"{number}.png", f"P{number}", "True"] for number in range(10)
    ]
    split = read_csv(folder / "splits/fold0.csv")
    assert (split.groupby("group_id")["split"].nunique() == 1).all()


def test_two_patients_are_one_group_only_where_an_unknown_image_is_like_both(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    rows = pictures(raw, ["P0", "P1", "", "P3", "P4", *(f"Q{number}" for number in range(8))])
    alike(raw, [0, 1, 2])
    alike(raw, [3, 4])
    folder = built(raw, rows, tmp_path / "mine")
    assert read_csv(folder / "findings.csv")["group_id"].tolist()[:5] == ["P0", "P0", "P0", "P3", "P4"]
    pairs = read_csv(folder / "near_duplicates.csv")[["patient_id_1", "patient_id_2", "merged"]]
    assert pairs.to_numpy().tolist() == [
        ["P0", "P1", "True"],
        ["P0", "2.png", "True"],
        ["P1", "2.png", "True"],
        ["P3", "P4", "False"],
    ]


@pytest.mark.parametrize(("copies", "told"), [(12, True), (11, False)])
def test_a_group_of_most_findings_is_said(tmp_path: Path, copies: int, told: bool) -> None:
    raw = tmp_path / "raw"
    rows = pictures(raw, [*[""] * copies, *(f"P{number}" for number in range(22 - copies))])
    alike(raw, range(copies))
    detail = identity(read_csv(built(raw, rows, tmp_path / "mine") / "findings.csv")).detail
    said = "the group '0.png' has 12 of 22 findings: if these are several patients, fill in patient_id"
    assert (said in detail) == told


def test_clean_ids_are_told_as_fine(tmp_path: Path) -> None:
    ids = [f"{number:04d}" for number in range(20) for _ in range(2)]
    folder = built(tmp_path / "raw", pictures(tmp_path / "raw", ids), tmp_path / "mine")
    check = identity(read_csv(folder / "findings.csv"))
    assert (check.result, check.detail) == ("ok", "20 people, each id spelt in one way")


@pytest.mark.parametrize(
    ("ids", "result", "detail"),
    [
        ("1 2 3 4 5 6", "ok", "no header contradicts the 6 patients that have one"),
        ("001 p 3 x 5 6", "ok", "no header contradicts the 6 patients that have one"),
        ("2 1 3 4 5 6", "warning", "another patient in the header: 1 has a file of 2, 2 has a file of 1"),
        ("p q p r s t", "warning", "one patient in the header: 1 = 3"),
        ("p p p p 5 6", "ok", "no header contradicts the 6 patients that have one"),  # nobody's
        ("anon  unknown   ", "not applicable", "no patient of the table with an id in a DICOM header"),
    ],
)
def test_a_header_of_another_patient_is_told(ids: str, result: str, detail: str) -> None:
    files = [f"{number}.dcm" for number in range(1, 7)]
    findings = pd.DataFrame(
        {"patient_id": list("123456"), "finding_id": "1", "file": files, "group_kind": "patient"}
    )
    index = pd.DataFrame({"file": files, "patient_id": (ids.split(" ") + [""] * 6)[:6]})
    check = headers(findings, index)
    assert (check.result, check.detail) == (result, detail)


def test_one_finding_under_two_spellings_is_a_repeated_row(tmp_path: Path) -> None:
    rows = [*pictures(tmp_path / "raw", ["Case-1"]), '0.png,"case-1 ",1,0\n']
    with pytest.raises(DuplicateFindingError, match=r"case-1 1 twice for 0\.png"):
        built(tmp_path / "raw", rows, tmp_path / "mine")


def test_the_names_of_files_spell_people_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(10):
        for name in (f"P{number}_a.png", f"p{number}_b.png", f"unknown_{number}.png"):
            place = tmp_path / "raw" / ("yes" if number % 2 else "no") / name
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (70, 70), dtype="u1")).save(place)
    words = ("--folders", "no=0", "yes=1", "--patient-pattern", "^([a-zA-Z0-9]+)_")
    folder = build("table", tmp_path / "raw", tmp_path / "mine", *words, extent="whole")
    found = read_csv(folder / "findings.csv")
    groups = found.groupby(found["patient_id"].str.lower())["group_id"].nunique()
    assert (groups == 1).all()
    assert found["group_kind"].value_counts().to_dict() == {"patient": 20, "near-duplicates": 10}


@pytest.mark.parametrize("spelt", ["PROSTATEX-0000", "prostatex-0000\u00a0", "ProstateX–0000"])
def test_the_images_of_a_patient_are_found_however_the_table_spells_the_id(
    tmp_path: Path, spelt: str
) -> None:
    collection = Collection(tmp_path)
    collection.series(HIGH_B, 5)  # of ProstateX-0000
    collection.finding("8 8 6", patient=spelt)
    assert [row["patient_id"] for row in collection.find().rows] == [spelt.strip()]


def test_two_data_sets_of_one_folder_train_together_however_they_spell_their_people(tmp_path: Path) -> None:
    raw, stores, splits = tmp_path / "raw", [], []
    for name, spell in (("mass", "{:05d}"), ("effusion", "{}.0")):
        ids = [spell.format(number) for number in range(1, 25)]
        folder = built(raw, pictures(raw, ids, first=100 * len(stores)), tmp_path / name)
        stores.append(folder / "patches.h5")
    with pytest.raises(LeakError, match="the same people: mass, effusion"):
        load(
            stores, [tmp_path / name / "splits/fold0.csv" for name in ("mass", "effusion")], people=["x", "x"]
        )
    for store, other in (stores, reversed(stores)):
        splits.append(store.with_name("together.csv"))
        split.main(["--store", str(store), "--beside", str(other), "--out", str(splits[-1]), "--seed", "3",
                    "--skipped", str(store.with_name("skipped.csv")), "--max-skipped", "99",
                    "--majority-views", "2", "--evaluation-views", "1"])  # fmt: skip
    load(stores, splits, people=["x", "x"])
