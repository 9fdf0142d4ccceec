"""What is said about data before any job starts."""

import copy
import csv
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.phantom import write_phantom
from pipeline.provenance import ROOT
from workflow import ahead
from workflow.config import checked

HEADER = "image,patient_id,finding_id,label,x,y,z,x_mm\n"
GOOD = ["a.png,p,1,0,3,4,,", "b/c.png,q,1,1,59,39,,"]


@pytest.fixture
def config(tmp_path, monkeypatch):
    """One table, target of the experiment, with two pictures of 60 columns and 40 rows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw/mine/b").mkdir(parents=True)
    for name in ("a.png", "b/c.png"):
        Image.fromarray(np.zeros((40, 60), "u1")).save(tmp_path / "data/raw/mine" / name)
    return made({"mine": {"kind": "table", "table": "t.csv"}})


def made(collections, **settings):
    base = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    names = list(collections)
    return checked({**base, "datasets": names, "target": names[-1], "collections": collections, **settings})


def said(config, *lines, header=HEADER):
    """The lines about a table of these rows, each as code and the rest."""
    (ahead.raw.folder(config, "mine") / "t.csv").write_text(header + "\n".join(lines) + "\n")
    return ahead.faults(config).splitlines()


def test_of_a_table_without_faults_nothing_is_said(config):
    assert said(config, *GOOD) == []


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("c.png,p,2,1,,,,",
         "E-IMG-MISSING data/raw/mine/t.csv: expected 'c.png' in the raw folder, found no readable file of that name; "
         "did you mean b/c.png?"),
        (",p,2,1,,,,", "E-IMG-MISSING data/raw/mine/t.csv: expected '' in the raw folder, found no name"),
        ("a.png,p,2,2,,,,", "E-LABEL data/raw/mine/t.csv: expected labels 0, 1"),
        ("a.png,p,1,1,,,,", "E-CSV-DUP data/raw/mine/t.csv: found p 1 twice for a.png"),
        ("A.PNG,P,1,1,,,,", "E-CSV-DUP data/raw/mine/t.csv: found P 1 twice for a.png"),
        ("a.png,p,2,1,three,4,,", "E-LABEL data/raw/mine/t.csv: expected a number, found 'three' in the row of a.png, 2"),
        ("a.png,p,2,1,,,,nan", "E-LABEL data/raw/mine/t.csv: expected a number, found 'nan' in the row of a.png, 2"),
        ("a.png,p,2,1,-1,-2,-3,", "E-LESION-OOB data/raw/mine/t.csv: expected x of at least 0, found x -1 in the row of"),
        ("a.png,p,2,1,-1,4,,", "E-LESION-OOB data/raw/mine/t.csv: expected x of at least 0, found x -1 in the row of"),
        ("a.png,p,2,1,3,4,-2,", "expected z of at least 0, found z -2"),
        ("a.png,p,2,1,39,59,,",
         "E-LESION-OOB data/raw/mine/t.csv: expected a point in 60 columns × 40 rows, found column 39, row 59"),
        ("b/c.png,p,2,1,60,4,,", "expected a point in 60 columns × 40 rows, found column 60, row 4"),
        ("b/c.png,p,2,1,4", "E-CSV-COL data/raw/mine/t.csv: expected 8 cells in line 4, found 5"),
    ],
)  # fmt: skip
def test_a_faulty_row_is_one_line(config, row, line):
    (found,) = said(config, *GOOD, row)
    assert line in found


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (
            "file,patient_id,finding_id,label\n",
            "E-CSV-COL data/raw/mine/t.csv: expected image, found columns file",
        ),
        ("image,patient_id,finding_id,label\n", "E-EMPTY data/raw/mine/t.csv: expected a row per finding"),
    ],
)
def test_a_faulty_header_and_an_empty_table_are_one_line(config, header, line):
    (found,) = said(config, header=header)
    assert found.startswith(line)


def test_a_table_that_is_not_there_is_one_line(config):
    assert ahead.faults(config) == (
        "E-EMPTY data/raw/mine/t.csv: expected a CSV of findings, found no such file; "
        "check the raw folder and the skipped table"
    )


def test_one_label_alone_is_no_two_classes(config):
    (found,) = said(config, "a.png,p,1,1,3,4,,", "b/c.png,q,1,1,9,9,,")
    assert found.startswith(
        "E-LABEL data/raw/mine/t.csv: expected findings of both labels, 0 and 1, found 1 alone (2)"
    )


def test_labels_and_columns_of_the_user_are_understood(config):
    config["collections"]["mine"] |= {"labels": {"B": 0, "M": 1}, "columns": {"image": "file"}}
    rows = [row.replace(",0,", ",B,", 1).replace(",1,1,", ",1,m,") for row in GOOD]
    header = HEADER.replace("image", "file")
    assert said(config, *rows, header=header) == []
    (found,) = said(config, *rows, "a.png,p,2,U,,,,", header=header)
    assert (
        'found B (1), m (1), U (1); say in the config which are 0 and which are 1: labels: {"B": 0, ' in found
    )


def test_a_class_or_label_that_no_finding_has_is_told(config):
    config["collections"]["mine"]["labels"] = {"0": 0, "1": 1, "2": 2}
    (found,) = said(config, *GOOD)
    assert found.startswith("E-LABEL data/raw/mine/t.csv: expected findings of each class, found no 2")
    assert said(config, *GOOD, "a.png,r,2,2,,,,") == []
    mine = {"kind": "table", "table": "t.csv", "label_columns": ["mass", "nodule"]}
    config = made({"mine": mine})
    header = HEADER.replace("label", "mass,nodule")
    rows = ["a.png,p,1,yes,,3,4,,", "b/c.png,q,1,0,1,,,,"]
    assert said(config, *rows, "a.png,r,1,,no,,,,", header=header) == []
    (found,) = said(config, *rows, header=header)
    assert "expected findings with and without nodule, found 1 with and 0 without" in found
    (found,) = said(config, *rows, "a.png,r,1,,,,,,", header=header)
    assert "expected a label in each row, found none in 1 rows, such as a.png, 1" in found
    (found,) = said(config, *rows, "a.png,r,1,U,0,,,,", header=header)
    assert "found yes (1), 0 (1), U (1) in mass; say in the config which are 0 and which are 1" in found


def test_all_faults_of_a_table_are_told_and_hundreds_are_counted(config):
    missing = [f"x{number}.png,p,{number},1,,,," for number in range(30)]
    lines = said(config, *GOOD, "a.png,p,1,U,,,,", "a.png,r,1,1,99,4,,", *missing)
    assert [line.split()[0] for line in lines] == [
        "E-LABEL", "E-CSV-DUP", "E-LESION-OOB", *["E-IMG-MISSING"] * 7, "…"
    ]  # fmt: skip
    assert lines[-1] == "… and 23 more in mine"


def test_single_rows_that_max_skipped_allows_are_left_to_the_job_but_no_label_is(config):
    config["collections"]["mine"]["max_skipped"] = 2
    faulty = ["x.png,p,2,1,,,,", "a.png,p,3,1,99,4,,"]
    assert said(config, *GOOD, *faulty) == []
    assert len(said(config, *GOOD, *faulty, "y.png,p,5,1,,,,")) == 3
    assert len(said(config, *GOOD, "a.png,p,2,U,,,,")) == 1


def test_the_target_comes_first_and_every_data_set_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("first", "second", "third")
    for name in names:
        (tmp_path / "data/raw" / name).mkdir(parents=True)
        (tmp_path / "data/raw" / name / "other.png").write_bytes(b"")
    config = made({name: {"kind": "table", "table": "t.csv"} for name in names})
    found = [line.split()[1] for line in ahead.faults(config).splitlines()]
    assert found == [f"data/raw/{name}/t.csv:" for name in ("third", "first", "second")]


@pytest.mark.parametrize("what", ["phantom", "no folder", "empty folder"])
def test_data_that_are_not_there_yet_have_no_faults(config, tmp_path, what):
    if what == "phantom":
        config["phantom"] = {"patients": 8}
    else:
        (tmp_path / "data/raw/mine").rename(tmp_path / "gone")
    if what == "empty folder":
        (tmp_path / "data/raw/mine").mkdir()
    assert ahead.faults(config) == ""


class TestColumns:
    """Columns of subgroups and covariates, which only the last steps read."""

    TABLE = "case;sex;age\n1;f;50\n"

    @pytest.fixture
    def config(self, config, tmp_path):
        (tmp_path / "clinical.csv").write_text(self.TABLE)
        said(config, *GOOD)
        return config

    def said(self, config, *columns, section="subgroups", **more):
        own = {"columns": list(columns), "table": "clinical.csv", "names": {"patient_id": "case"}, **more}
        methods = ["covariates"] if section == "covariates" else config["methods"]
        return ahead.faults(checked(config | {"methods": methods, section: own})).splitlines()

    @pytest.mark.parametrize("section", ["subgroups", "covariates"])
    def test_a_misspelt_column_is_told_with_the_nearest_name_there_is(self, config, section):
        assert self.said(config, "sexe", section=section) == [
            f"E-CONFIG {section}/columns: expected a column of clinical.csv, findings.csv or index.parquet, "
            "found sexe; did you mean sex?"
        ]
        (found,) = self.said(config, "sex", "manufacture", section=section)
        assert found.endswith("found manufacture; did you mean manufacturer?")

    @pytest.mark.parametrize("section", ["subgroups", "covariates"])
    def test_columns_of_the_table_of_findings_and_of_the_index_are_known(self, config, section):
        assert self.said(config, "age", "manufacturer", "file", "centre", section=section) == []

    def test_of_labels_and_sizes_there_are_those_of_the_target(self, config):
        (found,) = self.said(config, "extent")
        assert "found extent" in found
        config["collections"]["mine"]["label_columns"] = ["mass", "nodule"]
        (found, *_) = self.said(config, "label_mas")
        assert found.endswith("did you mean label_mass?")

    def test_a_column_to_cut_and_a_table_that_are_not_there_are_told(self, config):
        (found,) = self.said(config, "sex", cuts={"agee": [50.0]})
        assert found.startswith("E-CONFIG subgroups/cuts/agee: expected a column of clinical.csv")
        (found,) = self.said(config, "sex", names={"patient_id": "cas"})
        assert found.startswith("E-CSV-COL clinical.csv: expected cas")
        (found,) = self.said(config, "sex", table="clinic.csv")
        assert found.startswith("E-CONFIG clinic.csv: expected the table that subgroups/table names")
        assert found.endswith("give its path from the folder in which the run works, or an absolute one")

    @pytest.mark.parametrize("section", ["subgroups", "covariates"])
    def test_a_patient_with_two_rows_is_told_before_anything_runs(self, config, section, tmp_path):
        (tmp_path / "clinical.csv").write_text(self.TABLE + "2;m;61\n 1;f;51\n")
        assert self.said(config, "sex", section=section) == [
            "E-CONFIG clinical.csv: expected a row per patient, or per finding with a column finding_id, "
            "found patient_id 1 twice; leave one of them"
        ]
        (tmp_path / "clinical.csv").write_text("case;finding_id;sex\n1;1;f\n1;2;f\n")
        assert self.said(config, "sex", section=section) == []

    def test_covariates_count_only_where_a_method_learns_from_them(self, config):
        own = {"columns": ["sexe"], "table": "clinical.csv", "names": {"patient_id": "case"}}
        assert ahead.faults(checked(config | {"covariates": own})) == ""


class TestFolders:
    @pytest.fixture
    def config(self, config, tmp_path):
        (tmp_path / "data/raw/mine/benign").mkdir()
        (tmp_path / "data/raw/mine/a.png").rename(tmp_path / "data/raw/mine/benign/case1_a.png")
        (tmp_path / "data/raw/mine/b/c.png").rename(tmp_path / "data/raw/mine/b/case2_c.png")
        (tmp_path / "data/raw/mine/b/Thumbs.db").write_bytes(b"")
        return config

    def said(self, config, **options):
        config = copy.deepcopy(config)
        config["collections"] = {"mine": {"kind": "table", **options}}
        return ahead.faults(checked(config)).splitlines()

    def test_folders_that_are_there_have_no_faults(self, config):
        assert self.said(config, folders={"benign": 0, "B": 1}, patient_pattern="^(case[0-9]+)_") == []

    def test_a_folder_that_is_not_there_is_named_with_those_that_are(self, config):
        (found,) = self.said(config, folders={"benign": 0, "malignant": 1})
        assert found == (
            "E-EMPTY data/raw/mine: expected images in folders malignant, found folders b, benign; "
            "name the folders as they are"
        )

    def test_a_folder_that_holds_documents_alone_has_no_images(self, config, tmp_path):
        (tmp_path / "data/raw/mine/b/case2_c.png").unlink()
        (found,) = self.said(config, folders={"benign": 0, "b": 1})
        assert "expected images in folders b, found folders benign" in found

    def test_names_that_the_pattern_does_not_fit_are_counted(self, config):
        (found,) = self.said(config, folders={"benign": 0, "b": 1}, patient_pattern="^(kase[0-9]+)_")
        assert "expected a name that matches ^(kase[0-9]+)_, found 'case2_c.png' and 1 more" in found


class TestPublished:
    """Label files of the collections that everybody has."""

    def said(self, tmp_path, monkeypatch, kind, *, without="", spoilt="", **options):
        monkeypatch.chdir(tmp_path)
        raw = tmp_path / "data/raw" / kind
        if kind == "chestxray14":
            raw.mkdir(parents=True)
            (raw / "00000001_000.png").write_bytes(b"")
            (raw / "Data_Entry_2017_v2020.csv").write_text(
                "Image Index,Finding Labels,Patient ID,Original[Width,Height]\n"
            )
        else:
            write_phantom(kind, raw, patients=2, seed=0)
        if without:
            next(raw.rglob(without)).unlink()
        if spoilt:
            path = next(raw.rglob(spoilt))
            path.write_text(path.read_text().replace(",", ",x", 1))
        return ahead.faults(made({kind: {"kind": kind, **options}})).splitlines()

    @pytest.mark.parametrize("kind", ["prostatex", "lungx", "brain", "chestxray14"])
    def test_what_is_as_published_is_without_faults(self, tmp_path, monkeypatch, kind):
        options = {"label": "Mass"} if kind == "chestxray14" else {}
        assert self.said(tmp_path, monkeypatch, kind, **options) == []

    @pytest.mark.parametrize(
        ("kind", "without"),
        [("prostatex", "ProstateX-Images-Train.csv"), ("lungx", "CalibrationSet_NoduleData.xlsx"),
         ("chestxray14", "Data_Entry_2017_v2020.csv")],
    )  # fmt: skip
    def test_a_label_file_that_is_not_there_is_named(self, tmp_path, monkeypatch, kind, without):
        options = {"label": "Mass"} if kind == "chestxray14" else {}
        (found,) = self.said(tmp_path, monkeypatch, kind, without=without, **options)
        assert found.startswith(f"E-RAW data/raw/{kind}: expected {without}, found no such file; ")

    def test_a_header_that_is_not_the_published_one_is_named(self, tmp_path, monkeypatch):
        (found,) = self.said(tmp_path, monkeypatch, "prostatex", spoilt="ProstateX-Findings-Train.csv")
        assert "E-CSV-COL" in found
        assert "ProstateX-Findings-Train.csv: expected fid, found columns ProxID, xfid" in found

    def test_a_collection_that_was_indexed_is_left_to_its_jobs(self, tmp_path, monkeypatch):
        (tmp_path / "data/prostatex").mkdir(parents=True)
        (tmp_path / "data/prostatex/index.parquet").write_bytes(b"")
        assert self.said(tmp_path, monkeypatch, "prostatex", without="ProstateX-Images-Train.csv") == []


def test_official_lists_that_are_not_there_or_share_a_patient_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = tmp_path / "data/raw/chest"
    raw.mkdir(parents=True)
    images = ["00000001_000.png", "00000001_001.png"]
    for image in images:
        (raw / image).touch()
    cells = "".join(f"{image},No Finding,1\n" for image in images)
    (raw / "Data_Entry_2017_v2020.csv").write_text("Image Index,Finding Labels,Patient ID\n" + cells)
    chest = made({"chest": {"kind": "chestxray14"}}, split={"kind": "official"})
    assert ahead.faults(chest).startswith(
        "E-RAW data/raw/chest: expected train_val_list.txt, found no such file"
    )
    for name, image in zip(("train_val_list.txt", "test_list.txt"), images, strict=True):
        (raw / name).write_text(image)
    assert "found 1 patients in both lists: 00000001" in ahead.faults(chest)


def test_twenty_thousand_rows_take_seconds_and_no_torch(config, tmp_path):
    names = [f"{number:05}.png" for number in range(20_000)]
    for name in names:
        (tmp_path / "data/raw/mine" / name).touch()
    with (tmp_path / "data/raw/mine/t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "patient_id", "finding_id", "label", "x", "y"])
        writer.writerows([name.upper(), f"P{n}", n, n % 2, 3, 4] for n, name in enumerate(names))
    started = time.process_time()
    assert ahead.faults(config) == ""
    assert time.process_time() - started < 10
    code = "import sys, workflow.ahead; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
