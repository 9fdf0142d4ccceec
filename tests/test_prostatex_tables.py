"""The official PROSTATEx tables, the command on the phantom, and the one real patient."""

from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest

from pipeline import findings
from pipeline.datasets import Source, prostatex
from pipeline.files import read_csv
from pipeline.phantom import write_phantom
from pipeline.readers import index, labels
from pipeline.readers.pixels import read_pixels
from tests.collection import HIGH_B, Collection, codes


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path / "raw")


def test_ids_are_unique_within_the_patient(collection: Collection) -> None:
    # 0005 has fid 0, and fid 1 twice, significant and not.
    collection.series(HIGH_B, 8)
    collection.finding("9 7 3", "0", "TRUE")
    collection.finding("9 7 6", "1", "TRUE")
    collection.finding("9 7 9", "1", "FALSE")
    found = collection.find()
    assert [(row["finding_id"], row["label"], collection.value(row)) for row in found.rows] == [
        ("0", 1, 801), ("1a", 1, 802), ("1b", 0, 803),
    ]  # fmt: skip


def test_blanks_in_pos_are_no_part_of_the_key(collection: Collection) -> None:
    collection.series(HIGH_B, 8)
    collection.finding(" 9   7 12 ", ijk={(HIGH_B, 8): "5 4 5"})
    found = collection.find()
    assert [collection.value(row) for row in found.rows] == [804]
    assert found.choices[0]["paper_instance"] == 6
    assert b" 9   7 12 ,PZ,TRUE\r\n" in (collection.raw / prostatex.FINDINGS_FILE).read_bytes()


def test_rows_that_contradict_each_other_are_refused_and_repeated_ones_count_once(
    collection: Collection,
) -> None:
    collection.series(HIGH_B, 8)
    collection.finding("9 7 3", "1", "TRUE")
    collection.finding("9 7 3", "1", "FALSE")
    collection.finding("9 7 6", "2", "TRUE")
    collection.finding("9 7 6", "2", "TRUE")
    found = collection.find()
    assert [(row["finding_id"], collection.value(row)) for row in found.rows] == [("2a", 802)]
    assert codes(found) == [("ProstateX-0000", fid, "E-CSV-DUP") for fid in ("1a", "1b", "2b")]
    assert "2 rows that contradict each other" in found.skipped[0]["reason"]
    assert "2 rows that repeat each other" in found.skipped[2]["reason"]


def test_a_bad_row_is_listed_and_the_others_go_on(collection: Collection) -> None:
    collection.series(HIGH_B, 8)
    collection.finding("9 7", "1")
    collection.finding("9 seven 3", "2")
    collection.finding("9 7 nan", "3")
    collection.finding("9 7 3", "4", "maybe")
    collection.finding("9 7 3", "5", patient="ProstateX-0001")
    collection.finding("9 7 3", "6")
    found = collection.find()
    assert [row["finding_id"] for row in found.rows] == ["6"]
    assert [code for *_, code in codes(found)] == ["E-LABEL"] * 4 + ["E-LESION-NOSERIES"]
    assert "expected three coordinates in mm, found '9 7'" in found.skipped[0]["reason"]
    assert "found 'maybe'" in found.skipped[3]["reason"]


def test_ids_match_in_any_case_and_patients_without_a_finding_are_listed(collection: Collection) -> None:
    collection.series(HIGH_B, 8, patient="PROSTATEX-0000")
    collection.series(HIGH_B, 8, patient="ProstateX-0204")
    collection.finding("9 7 3")
    found = collection.find()
    assert [row["patient_id"] for row in found.rows] == ["ProstateX-0000"]
    (row,) = found.skipped
    assert (row["kind"], row["patient_id"], row["code"]) == ("excluded", "ProstateX-0204", "E-LABEL-NONE")
    assert "found 9 images without one" in row["reason"]


# --- the command, the phantom and the real patient


def run(raw: Path, out: Path, *options: str) -> dict[str, pd.DataFrame]:
    """Index and findings as the workflow calls them; the tables by name."""
    named = {name: str(out / f"{name}.csv") for name in ("out", "skipped", "choices", "near-duplicates")}
    files = ["--files", str(out / "files.parquet"), "--skipped", str(out / "index.csv")]
    index.main(["--raw", str(raw), "--out", str(out / "index.parquet"), *files])
    paths = [word for name, path in named.items() for word in (f"--{name}", path)]
    findings.main(
        [
            "prostatex",
            "--dataset",
            "prostatex",
            "--raw",
            str(raw),
            "--index",
            str(out / "index.parquet"),
            *paths,
            *options,
        ]
    )
    return {name: read_csv(path) for name, path in named.items()}


def test_every_finding_of_the_phantom_is_found_at_its_signal(tmp_path: Path) -> None:
    write_phantom("prostatex", tmp_path / "raw", 3, 0)
    tables = run(tmp_path / "raw", tmp_path, "--channels", "t2", "dwi", "adc")
    truth = labels.read_table(tmp_path / "raw" / prostatex.FINDINGS_FILE, ["ClinSig"])
    assert (len(tables["out"]), len(tables["skipped"])) == (3 * len(truth), 0)
    for row in tables["out"].to_dict("records"):
        values = read_pixels(tmp_path / "raw" / row["file"]).values
        column, down = round(float(row["column"])), round(float(row["row"]))
        here = values[down - 1 : down + 2, column - 1 : column + 2].mean() / np.median(values[values > 10])
        if row["label"] == "1":  # bright at a high b-value, dark in T2 and ADC
            assert here > 1.4 if row["channel"] == "dwi" else here < 0.85
    distances = tables["choices"]["distance_mm"].replace("", "nan").astype(float)
    assert (distances > 1).mean() > 0.5  # the published slice is another one


def test_all_official_findings_parse(shared: Path) -> None:
    folder = shared / "prostatex"
    table = labels.read_table(folder / prostatex.FINDINGS_FILE, ["ProxID", "fid", "pos", "ClinSig"])
    images = labels.read_table(
        folder / prostatex.IMAGES_FILE, ["ProxID", "fid", "pos", "ijk", "DCMSerDescr", "DCMSerNum"]
    )
    assert (len(table), table["ProxID"].nunique(), len(images)) == (330, 204, 3869)
    found = [labels.binary(cell, folder) for cell in table["ClinSig"]]
    assert (sum(found), len(found) - sum(found)) == (76, 254)
    assert all(prostatex._point(cell, folder).shape == (3,) for cell in table["pos"])
    key = ["ProxID", "fid", "pos"]
    assert len(images.merge(table, on=key)) == 3869
    assert set(map(tuple, table[key].to_numpy())) == set(map(tuple, images[key].to_numpy()))
    ids = labels.unique_ids(list(zip(table["ProxID"], table["fid"], strict=True)))
    assert len(set(zip(table["ProxID"], ids, strict=True))) == 330
    repeated = {
        (p, i): c for p, i, c in zip(table["ProxID"], ids, table["ClinSig"], strict=True) if i[-1].isalpha()
    }
    assert {patient for patient, _ in repeated} == {"ProstateX-0005", "ProstateX-0025", "ProstateX-0159"}
    assert {i: c for (p, i), c in repeated.items() if p == "ProstateX-0005"} == {"1a": "TRUE", "1b": "FALSE"}
    assert not any(labels.repeats(list(map(tuple, table[key].to_numpy())), table["ClinSig"].tolist()))


@pytest.mark.parametrize(("rule", "instance", "distance"), [("geometry", 11, 1.494), ("paper", 10, -1.506)])
def test_the_real_patient_is_found_on_instance_11_of_19(
    shared: Path, tmp_path: Path, rule: str, instance: int, distance: float
) -> None:
    tables = run(shared / "prostatex", tmp_path, "--channels", "t2", "dwi", "adc", "--slice-rule", rule)
    names = [Path(file).parts[-2:] for file in tables["out"]["file"]]
    assert [(folder.split(".")[0], name) for folder, name in names] == [
        ("4", f"1-{instance}.dcm"), ("8", f"1-{instance}.dcm"), ("7", f"1-{instance}.dcm"),
    ]  # fmt: skip
    assert [
        pydicom.dcmread(shared / "prostatex" / file).InstanceNumber for file in tables["out"]["file"]
    ] == [instance] * 3
    assert tables["out"]["plane_distance_mm"].astype(float).tolist() == pytest.approx(
        [distance] * 3, abs=0.01
    )
    cells = tables["choices"][["candidates", "reason", "geometry_instance", "paper_instance", "distance_mm"]]
    assert cells.to_numpy().tolist() == [["1", "the only series", "11", "10", "3.000"]] * 3
    skipped = tables["skipped"]
    assert (len(skipped), set(skipped["code"]), set(skipped["kind"])) == (
        329,
        {"E-LESION-NOSERIES"},
        {"failed"},
    )
    assert skipped["patient_id"].nunique() == 203


def test_the_official_test_tables_name_208_findings_of_140_patients(shared: Path) -> None:
    folder = shared / "prostatex"
    index_ = pd.DataFrame({"patient_id": pd.Series(dtype=str), "series_uid": [], "b_value": []})
    source = Source("x", folder, index_, [path.name for path in folder.glob("*.csv")])
    options = prostatex.Options(part="test")
    found = prostatex.find(source, options)
    assert {row["code"] for row in found.skipped} == {"E-LESION-NOSERIES"}
    assert (len(found.skipped), len({row["patient_id"] for row in found.skipped})) == (208, 140)
