"""Splits that a column of the user's table tells: the parts themselves, or sites of which one is left out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from PIL import Image

from pipeline.classes import Classes
from pipeline.errors import ColumnError, LeakError, SplitError
from pipeline.files import SKIPPED_COLUMNS, write_csv
from pipeline.readers.index import main as index
from pipeline.splits import given
from pipeline.splits.given import WORDS as KNOWN
from pipeline.splits.given import assign, official, places, read
from pipeline.splits.split import read_splits
from tests.test_split import GROUPS, findings_of, store_of
from tests.test_workflow import bare_project, plan, snakemake

PATH = Path("t.csv")
WORDS = ["train", "validation", "test"]


def table(folder: Path, *lines: str, header: str = "image,patient_id,finding_id,label,split") -> Path:
    (folder / "t.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder / "t.csv"


def rows(*places_of: tuple[str, str]) -> pd.DataFrame:
    """Patients and what the table says of a finding of each."""
    each = [(patient, str(number), place) for number, (patient, place) in enumerate(places_of)]
    return pd.DataFrame(each, columns=["patient_id", "finding_id", "place"])


class TestReading:
    def test_findings_are_called_as_the_reader_of_tables_calls_them(self, tmp_path: Path) -> None:
        """A finding listed in two images is 1a and 1b; whose patient nobody knows is called after its image."""
        lines = ["a.png,P1,1,0, Train ", "b.png,P1,1,1,TRAIN", "C.PNG,n/a,1,1,Val"]
        found = read(table(tmp_path, *lines), tmp_path, ["a.png", "b.png", "c.png"], "split")
        assert found.to_numpy().tolist() == [
            ["P1", "1a", "train"], ["P1", "1b", "train"], ["c.png", "1", "val"]
        ]  # fmt: skip

    def test_headers_of_the_user_count(self, tmp_path: Path) -> None:
        path = table(tmp_path, "a.png;P1;0;A", header="file;case;label;clinic")
        headers = {"image": "file", "patient_id": "case", "finding_id": "file"}
        found = read(path, tmp_path, ["a.png"], "clinic", headers)
        assert found.to_numpy().tolist() == [["P1", "a.png", "a"]]

    @pytest.mark.parametrize(("header", "count"), [("site", 0), ("split,split", 2)])
    def test_a_missing_column_and_one_twice_are_one_line(
        self, tmp_path: Path, header: str, count: int
    ) -> None:
        path = table(tmp_path, header=f"image,patient_id,finding_id,label,{header}")
        with pytest.raises(ColumnError, match=f"expected one column split, found {count} of it among image,"):
            read(path, tmp_path, [], "split")


class TestOfficial:
    def test_a_share_of_the_patients_who_train_validates_and_all_their_findings_with_them(self) -> None:
        """Of ten patients with two findings each a fifth are two; the test and its patient stay."""
        lists = rows(*((f"P{number}", "train_val") for number in [*range(10), *range(10)]), ("T", "test"))
        drawn = official(lists, 0.2, ["x"])
        split = drawn["place"].map(KNOWN)
        assert split.value_counts().to_dict() == {"train": 16, "validation": 4, "test": 1}
        assert (split.groupby(drawn["patient_id"]).nunique() == 1).all()
        assert split.iloc[-1] == "test"
        other = official(lists, 0.2, ["y"])["place"].map(KNOWN)
        assert (other != split).any()

    @drawn(st.sets(st.integers(1, 99), min_size=2, max_size=20), st.randoms())
    def test_who_validates_depends_neither_on_order_nor_on_findings_nor_on_spelling(
        self, patients: set[int], random: object
    ) -> None:
        once = rows(*((f"{number:08d}", "train") for number in patients))
        more = [(str(number), "train") for number in [*patients, *patients]]
        random.shuffle(more)  # type: ignore[attr-defined]
        who = [
            {*lists["patient_id"][lists["place"] == "validation"].astype(int)}
            for lists in (official(once, 0.3, ["x"]), official(rows(*more), 0.3, ["x"]))
        ]
        assert who[0] == who[1]
        assert 0 < len(who[0]) < len(patients)

    def test_lists_with_a_validation_stay_as_they_are(self) -> None:
        lists = rows(("a", "train"), ("b", "valid"), ("c", "test"))
        assert official(lists, 0.5, ["x"])["place"].tolist() == ["train", "valid", "test"]

    def test_all_tasks_of_a_collection_have_each_patient_in_one_place(self, chest: Path) -> None:
        """The stores have other findings and labels, one of them half of the patients."""
        tables = []
        for name, few in (("all", 12), ("some", 8)):
            findings = findings_of([[number % 2] for number in range(few)])
            who = [f"{number + 1:08d}" for number in range(few)]
            named = findings.assign(patient_id=who, group_id=who, finding_id=[f"{one}_000" for one in who])
            store_of(chest / "p.h5", named, dataset=name)
            words = ("--official", "chestxray14", "--label", "Mass", "--version", "2020")
            tables.append(command(chest, "--kind", "official", *words, "--validation", "0.4"))
        merged = tables[0].merge(tables[1], on="patient_id")
        assert len(merged) == 8
        assert (merged["split_x"] == merged["split_y"]).all()
        # Of the nine patients in train_val_list.txt .4 are four.
        assert tables[0]["split"].value_counts().to_dict() == {"train": 5, "validation": 4, "test": 3}
        assert (tables[0]["split"][[3, 4, 11]] == "test").all()


class TestPlaces:
    def test_words_for_the_parts_in_any_of_their_spellings(self) -> None:
        told = rows(("a", "training"), ("b", "valid"), ("c", "dev"), ("d", "test"))
        assert places(told, "given", 1, PATH) == ["train", "validation", "test"]

    def test_sites_come_in_their_order_as_text(self) -> None:
        assert places(rows(("a", "west"), ("b", "10"), ("c", "2"), ("d", "west")), "sites", 3, PATH) == [
            "10", "2", "west"
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("kind", "told", "line"),
        [
            ("given", ["train", "test", "hold"], "E-SPLIT t.csv: expected train, validation or test for each finding, found hold"),
            ("given", ["train", "test", ""], "E-SPLIT t.csv: expected train, validation or test for each finding, found 1 empty cells, such as of p2 2"),
            ("given", ["train", "val"], "E-SPLIT t.csv: expected rows of train and of test, found none of test"),
            ("given", ["test", "val"], "E-SPLIT t.csv: expected rows of train and of test, found none of train"),
            ("sites", ["a", "b", "a"], "E-SPLIT t.csv: expected as many sites as split/n, which is 3, found 2: a, b; set split/n to 2"),
            ("sites", ["a", "", "c"], "E-SPLIT t.csv: expected a site for each finding, found 1 empty cells"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_one_line(self, kind: str, told: list[str], line: str) -> None:
        with pytest.raises(SplitError) as caught:
            places(rows(*((f"p{number}", place) for number, place in enumerate(told))), kind, 3, PATH)
        assert str(caught.value).startswith(line)

    @pytest.mark.parametrize(("kind", "told"), [("given", ("train", "test")), ("sites", ("a", "b"))])
    def test_a_patient_in_several_however_spelt_is_a_leak(self, kind: str, told: tuple[str, str]) -> None:
        with pytest.raises(LeakError, match=r"E-LEAK t\.csv: .* found 1 in several: 14 = 014\.0"):
            places(rows(("14", told[0]), ("014.0", told[1]), ("b", told[0])), kind, 2, PATH)

    def test_two_words_for_one_part_are_no_leak(self) -> None:
        assert places(rows(("a", "val"), ("a", "dev"), ("b", "test"), ("c", "train")), "given", 1, PATH)


class TestAssigning:
    def test_the_column_is_the_split_where_it_marks_all_three(self) -> None:
        findings = findings_of([[0], [1], [0, 1]])
        told = pd.Series(["train", "dev", "test", "test"])
        splits = assign(findings, told, validation=0.5, names=["x"])
        assert splits.tolist() == ["train", "validation", "test", "test"]

    def test_without_validation_rows_its_share_of_each_label_is_drawn_from_training(self) -> None:
        """Of 20 training groups of label 0 and 10 of label 1 a fifth validates; the test stays."""
        findings = findings_of([[0]] * 20 + [[1]] * 10 + [[0], [1]])
        told = pd.Series(["train"] * 30 + ["test"] * 2)
        splits = assign(findings, told, validation=0.2, names=["x"])
        assert pd.crosstab(splits, findings["label"]).to_dict() == {
            0: {"test": 1, "train": 16, "validation": 4}, 1: {"test": 1, "train": 8, "validation": 2},
        }  # fmt: skip
        again = assign(findings, told, validation=0.2, names=["x"])
        pd.testing.assert_series_equal(splits, again)
        assert (assign(findings, told, validation=0.2, names=["y"]) != splits).any()

    def test_the_site_left_out_is_the_test_and_nothing_else(self) -> None:
        findings = findings_of([[0], [1]] * 9)
        told = pd.Series(["a"] * 6 + ["b"] * 6 + ["c"] * 6)
        for site in "abc":
            splits = assign(findings, told, site=site, validation=0.3, names=["x"])
            assert ((splits == "test") == (told == site)).all()
            # Six groups of each label are left: .3 of them are two.
            counts = pd.crosstab(splits, findings["label"]).loc[["train", "validation"]]
            assert counts.to_numpy().tolist() == [[4, 4], [2, 2]]

    def test_one_training_group_of_a_label_cannot_be_parted(self) -> None:
        told = pd.Series(["train"] * 3 + ["test"] * 2)
        with pytest.raises(SplitError, match="found 2 of label 0, 1 of label 1; mark validation findings"):
            assign(findings_of([[0], [0], [1], [0], [1]]), told, validation=0.2, names=["x"])

    @drawn(GROUPS, st.integers(0, 9), st.booleans(), st.randoms())
    def test_no_split_cuts_a_group_in_any_order_of_findings(
        self, more: list[list[int]], seed: int, several: bool, random: object
    ) -> None:
        findings = findings_of([[0]] * 4 + [[1]] * 4 + more)
        number = findings["group_id"].str[1:].astype(int)
        classes = Classes(("no", "some", "much")) if several else given.UNNAMED
        if several:
            findings = findings.assign(label=np.where(number % 4 == 3, 2, findings["label"]))
        told = pd.Series(np.where(number % 4 < 3, "here", "there"), findings.index)
        told[number < 8] = "here"
        if several:
            told[:] = np.where(number == 8, "there", "here")
        keys = {"classes": classes, "site": "there", "validation": 0.3, "names": ["split", seed]}
        splits = assign(findings, told, **keys)
        assert (splits.groupby(findings["group_id"]).nunique() == 1).all()
        assert ((splits == "test") == (told == "there")).all()
        assert {"train", "validation"} <= {*splits}
        order = findings.sample(frac=1, random_state=random.randrange(1000)).index  # type: ignore[attr-defined]
        mixed = assign(findings.loc[order], told[order], **keys)
        pd.testing.assert_series_equal(mixed.sort_index(), splits)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with pictures, table, index and store of 12 patients at two sites, six of each label at one."""
    (tmp_path / "raw").mkdir()
    lines = []
    for number in range(12):
        Image.fromarray(np.full((9, 9), number, "u1")).save(tmp_path / f"raw/{number}.png")
        split = "test" if number >= 8 else "train"
        lines.append(f"{number}.png,P{number},1,{number % 2},{split},{'ab'[number >= 8]}")
    table(tmp_path / "raw", *lines, header="image,patient_id,finding_id,label,split,site")
    files = ["--out", "index.parquet", "--files", "files.parquet", "--skipped", "index.csv"]
    words = [str(tmp_path / word) if "." in word else word for word in files]
    index(["--raw", str(tmp_path / "raw"), *words, "--processes", "1"])
    patients = findings_of([[number % 2] for number in range(12)])
    names = [f"P{number}" for number in range(12)]
    findings = patients.assign(patient_id=names, group_id=names, finding_id="1")
    store_of(tmp_path / "p.h5", findings)
    store_of(tmp_path / "other.h5", findings, dataset="other")
    write_csv(tmp_path / "skipped.csv", SKIPPED_COLUMNS, [])
    return tmp_path


@pytest.fixture
def chest(made: Path) -> Path:
    """The same with the table and lists of ChestX-ray14: of 12 patients the 4th, 5th and 12th are tested."""
    images = [f"{number + 1:08d}_000.png" for number in range(12)]
    cells = "".join(f"{image},No Finding,{number + 1}\n" for number, image in enumerate(images))
    (made / "raw/Data_Entry_2017_v2020.csv").write_text("Image Index,Finding Labels,Patient ID\n" + cells)
    tested = [images[number] for number in (3, 4, 11)]
    (made / "raw/test_list.txt").write_text("\n".join(tested))
    (made / "raw/train_val_list.txt").write_text("\n".join(sorted({*images} - {*tested})))
    files = {name: str(made / file) for name, file in
             (("out", "index.parquet"), ("files", "files.parquet"), ("skipped", "index.csv"))}  # fmt: skip
    index(["--raw", str(made / "raw"), *(word for name in files for word in (f"--{name}", files[name]))])
    return made


def command(made: Path, *words: str, fold: int = 0) -> pd.DataFrame:
    """Split as the rule does."""
    out = made / f"fold{fold}.csv"
    paths = {
        "store": "p.h5",
        "skipped": "skipped.csv",
        "raw": "raw",
        "index": "index.parquet",
        "out": out.name,
    }
    flags = [word for name, file in paths.items() for word in (f"--{name}", str(made / file))]
    given.main([*flags, "--fold", str(fold), "--majority-views", "2", "--evaluation-views", "2", *words])
    return read_splits(out)


class TestCommand:
    def test_the_table_tells_the_test_and_training_is_parted(self, made: Path) -> None:
        splits = command(made, "--kind", "given", "--column", "split", "--table", "t.csv")["split"]
        assert (splits[8:] == "test").all()
        assert splits[:8].value_counts().to_dict() == {"train": 6, "validation": 2}
        first = (made / "fold0.csv").read_bytes()
        command(made, "--kind", "given", "--column", "split", "--table", "t.csv")
        assert (made / "fold0.csv").read_bytes() == first

    def test_each_site_is_the_test_once(self, made: Path) -> None:
        words = ("--kind", "sites", "--column", "site", "--table", "t.csv", "--n", "2")
        tests = [set(np.flatnonzero(command(made, *words, fold=fold)["split"] == "test")) for fold in (0, 1)]
        assert tests == [{*range(8)}, {*range(8, 12)}]

    def test_a_group_of_images_in_two_splits_is_a_leak(self, made: Path) -> None:
        findings = findings_of([[number % 2] for number in range(12)])
        names = [f"P{number}" for number in range(12)]
        findings = findings.assign(patient_id=names, group_id=[*names[:11], "P1"], finding_id="1")
        store_of(made / "p.h5", findings)
        with pytest.raises(LeakError, match="groups in several splits: P1"):
            command(made, "--kind", "given", "--column", "split", "--table", "t.csv")

    @pytest.mark.parametrize("words", [(), ("--table", "t.csv", "--or-drawn")])
    def test_a_data_set_without_the_column_is_drawn_and_the_log_says_so(
        self, made: Path, words: tuple[str, ...], caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level("INFO"):
            splits = command(made, "--kind", "given", "--column", "part", *words, "--test", "0.3")["split"]
        assert splits.value_counts().to_dict() == {"train": 6, "test": 4, "validation": 2}
        assert "x has no column part: drawn as a hold-out" in caplog.messages

    def test_the_target_has_to_have_it(self, made: Path) -> None:
        with pytest.raises(ColumnError, match="expected one column part"):
            command(made, "--kind", "given", "--column", "part", "--table", "t.csv")

    def test_data_sets_with_the_same_people_are_refused(self, made: Path) -> None:
        words = (
            "--kind",
            "given",
            "--column",
            "split",
            "--table",
            "t.csv",
            "--beside",
            str(made / "other.h5"),
        )
        with pytest.raises(SplitError, match="found people of x in other"):
            command(made, *words)


def test_a_run_of_sites_is_planned_and_a_wrong_number_is_told_before_any_job(tmp_path: Path) -> None:
    project = bare_project(tmp_path)
    (project / "data/raw/mine").mkdir(parents=True)
    lines = [f"{number}.png,P{number},1,{number % 2},{'abc'[number % 3]}" for number in range(6)]
    for number in range(6):
        (project / f"data/raw/mine/{number}.png").write_bytes(b"")
    table(project / "data/raw/mine", *lines, header="image,patient_id,finding_id,label,site")
    settings = "datasets: [mine]\ntarget: mine\ncollections:\n  mine: {kind: table, table: t.csv}\n"
    own = project / "own.yaml"
    own.write_text(settings + "split: {kind: sites, column: site, n: 3}\n")
    call = ("--configfile", "own.yaml", "results/typhon_auc.json")
    rules = plan(project, *call)
    assert rules["split_as_given"] == 3
    assert "split_findings" not in rules
    own.write_text(settings + "split: {kind: sites, column: site, n: 4}\n")
    line = "E-SPLIT data/raw/mine/t.csv: expected as many sites as split/n, which is 4, found 3: a, b, c"
    assert line in snakemake(project, *call, "-n", status=1)
