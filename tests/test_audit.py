"""Our choice of series over the metadata of every real series, and over a few made-up ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from papers import audit
from pipeline.datasets import Findings
from pipeline.files import write_csv

Rows = dict[tuple[str, str, str, str], int]
FLAT = "2,0,0,-1,0,2,0,-1,0,0,3,-1.5,0,0,0,1"
"""Pixels of 2 mm, slices 3 mm apart; the first voxel's centre is (0, 0, 0)."""


@pytest.fixture(scope="module")
def rows(shared: Path) -> Rows:
    series = audit.read_series(shared / "idc" / "prostatex.csv")
    found = audit.audit(series, shared / "prostatex")
    return {(row["part"], row["channel"], row["measure"], row["item"]): row["count"] for row in found}  # type: ignore[misc]


def test_all_rows_of_the_official_tables_are_looked_for_in_the_archive(rows: Rows) -> None:
    name = "rows of the images table"
    counts = {
        part: (rows[part, "", name, "all"], rows[part, "", name, "found in the archive"])
        for part in ("train", "test")
    }
    assert counts == {"train": (3869, 3769), "test": (1771, 1700)}
    for part, expected in (("train", (414, 343, 341)), ("test", (209, 211, 207))):
        for channel, count in zip(audit.CHANNELS, expected, strict=True):
            assert (
                rows[part, channel, name, "all"] == rows[part, channel, name, "found in the archive"] == count
            )


def test_rows_that_the_archive_lacks_are_of_dynamic_series_but_for_one(shared: Path) -> None:
    known = set(
        audit.read_series(shared / "idc" / "prostatex.csv")[audit.KEY].itertuples(index=False, name=None)
    )
    tables = [audit.read_images(shared / "prostatex", part)[audit.KEY] for part in ("Train", "Test")]
    lost = [row for table in tables for row in table.itertuples(index=False, name=None) if row not in known]
    assert len(lost) == 171
    static = [row for row in lost if not row[2].startswith(("Perfusie_t1_twist", "Twist_dynamic"))]
    assert static == [("ProstateX-0299", "5", "t2_tse_cor")]


def test_every_finding_has_its_series_or_a_reason(rows: Rows) -> None:
    located = {key[:2]: count for key, count in rows.items() if key[2:] == ("findings", "located")}
    left = {key[:2]: count for key, count in rows.items() if key[2:] == ("findings", "left out")}
    assert located == {
        **{("train", channel): 330 for channel in audit.CHANNELS},
        ("test", "t2"): 208, ("test", "adc"): 207, ("test", "dwi"): 205,
    }  # fmt: skip
    assert {key: located[key] + left[key] for key in located} == {
        key: 330 if key[0] == "train" else 208 for key in located
    }
    reasons = {
        (key[1], key[3].split(":")[0]): count for key, count in rows.items() if key[2] == "why left out"
    }
    assert reasons == {
        ("adc", "E-LESION-OOB"): 1,
        ("dwi", "E-LESION-OOB"): 1,
        ("dwi", "E-LESION-NOSERIES"): 2,
    }


def test_several_series_are_as_rare_as_they_were_counted(rows: Rows) -> None:
    several = {
        (part, channel): {int(key[3]): count for key, count in rows.items() if key[:3] == (part, channel, "series to choose from")}
        for part in ("train", "test") for channel in audit.CHANNELS
    }  # fmt: skip
    assert several == {
        ("train", "t2"): {1: 254, 2: 73, 3: 3}, ("train", "adc"): {1: 325, 2: 4, 5: 1},
        ("train", "dwi"): {1: 325, 2: 4, 3: 1}, ("test", "t2"): {1: 163, 2: 44, 3: 1},
        ("test", "adc"): {1: 205, 2: 1, 3: 1}, ("test", "dwi"): {1: 204, 2: 1},
    }  # fmt: skip
    earlier = {(key[0], key[3]) for key in rows if key[2] == "not the last series of its name"}
    assert earlier == {
        ("train", "ProstateX-0148 1"), ("train", "ProstateX-0148 2"), ("test", "ProstateX-0206 1"),
        ("test", "ProstateX-0224 2"), ("test", "ProstateX-0261 1"),
    }  # fmt: skip


def test_slices_that_the_archive_lacks_are_known(rows: Rows) -> None:
    assert {key[3] for key in rows if key[2] == "series that lack instances"} == {
        "ProstateX-0027 t2_tse_sag: 20 of 21", "ProstateX-0038 ep2d_diff_tra_DYNDIST_ADC: 18 of 19",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "counts"), [(3, (308, 303, 303)), (6, (257, 255, 255)), (15, (157, 153, 153))]
)
def test_the_published_slices_would_be_far_off(rows: Rows, limit: int, counts: tuple[int, ...]) -> None:
    name = "slice k + 1 at least so far off, if numbers fall"
    assert tuple(rows["train", channel, name, f"{limit} mm"] for channel in audit.CHANNELS) == counts


# --- the same on made-up series


def series(*rows: tuple[str, str, str, int]) -> pd.DataFrame:
    """Series of (study, number, description, instances) of one patient."""
    table = [
        {"PatientID": "ProstateX-0000", "StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{number}",
         "StudyDate": "2011-07-07", "SeriesNumber": number, "SeriesDescription": name, "instanceCount": str(count)}
        for study, number, name, count in rows
    ]  # fmt: skip
    return pd.DataFrame(table)


def tables(folder: Path, *rows: tuple[str, str, str, str]) -> Path:
    """Official tables of one finding at (10, 6, 12) mm; images of (number, description, matrix, slices)."""
    case = {"ProxID": "ProstateX-0000", "fid": "1", "pos": "10 6 12"}
    write_csv(folder / "ProstateX-Findings-Train.csv", [*case, "ClinSig"], [{**case, "ClinSig": "TRUE"}])
    columns = [*case, "Name", "WorldMatrix", "ijk", "Dim", "DCMSerDescr", "DCMSerNum"]
    images = [
        {**case, "Name": f"{name}0", "WorldMatrix": matrix, "ijk": "6 4 5", "Dim": f"20x20x{slices}x1",
         "DCMSerDescr": name, "DCMSerNum": number}
        for number, name, matrix, slices in rows
    ]  # fmt: skip
    write_csv(folder / "ProstateX-Images-Train.csv", columns, images)
    return folder


def places(found: Findings) -> dict[str, tuple[str, str, str]]:
    return {row["channel"]: (row["file"], row["column"], row["row"]) for row in found.rows}


def test_a_finding_lies_where_the_official_matrix_puts_it(tmp_path: Path) -> None:
    # x 10 mm is column 5, y 6 mm row 3, z 12 mm the fifth plane, /4; the second T2 is in no table.
    archive = series(
        ("1", "4", "t2_tse_tra", 9), ("1", "9", "t2_tse_tra", 9), ("1", "7", "ep2d_diff_tra_DYNDIST_ADC", 9)
    )
    folder = tables(tmp_path, ("4", "t2_tse_tra", FLAT, "9"), ("7", "ep2d_diff_tra_DYNDIST_ADC", FLAT, "9"))
    found = audit.located(archive, folder, "Train")
    assert places(found) == {"t2": ("1.4/4", "5.0000", "3.0000"), "adc": ("1.7/4", "5.0000", "3.0000")}
    assert [(row["channel"], row["code"]) for row in found.skipped] == [("dwi", "E-LESION-NOSERIES")]
    assert audit.not_last(found, archive, "t2") == ["ProstateX-0000 1"]
    # Numbers fall, so that plane 4 of 9 is number 5, and k + 1 = 6 is plane 3, 3 mm below.
    (t2, _) = found.choices
    assert (t2["geometry_instance"], t2["paper_instance"], t2["distance_mm"]) == ("5", 6, "3.000")


def test_two_studies_are_told_apart_by_slices_and_axes(tmp_path: Path) -> None:
    tilted = "2,0,0,-1,0,1.92,0.84,-1,0,-0.56,2.88,-1.5,0,0,0,1"
    names = (("4", "t2_tse_tra"), ("7", "ep2d_diff_tra_DYNDIST_ADC"))
    archive = series(*((study, number, name, slices if number == "4" else 9) for study, slices in (("1", 9), ("2", 11))
                       for number, name in names))  # fmt: skip
    rows = [(number, name, matrix, slices if number == "4" else "9") for matrix, slices in ((FLAT, "9"), (tilted, "11"))
            for number, name in names]  # fmt: skip
    images = audit.read_images(tables(tmp_path, *rows), "Train")
    found = audit.placed(archive, images).set_index("SeriesInstanceUID")["WorldMatrix"]
    assert found.to_dict() == {"1.4": FLAT, "1.7": FLAT, "2.4": tilted, "2.7": tilted}


def test_a_channel_on_which_nothing_is_located_has_its_reasons(tmp_path: Path) -> None:
    archive = series(("1", "7", "ep2d_diff_tra_DYNDIST_ADC", 9))
    folder = tables(tmp_path, ("7", "ep2d_diff_tra_DYNDIST_ADC", FLAT, "9"))
    rows = list(audit.finding_rows(audit.located(archive, folder, "Train"), archive))
    left = {channel: count for channel, *name, count in rows if name == ["findings", "left out"]}
    assert left == {"t2": 1, "adc": 0, "dwi": 1}


def test_series_that_lack_instances_are_told(tmp_path: Path) -> None:
    folder = tables(tmp_path, ("4", "t2_tse_tra", FLAT, "9"))
    found = audit.image_rows(series(("1", "4", "t2_tse_tra", 8)), audit.read_images(folder, "Train"))
    assert ("", "series that lack instances", "ProstateX-0000 t2_tse_tra: 8 of 9", 1) in list(found)
    assert np.allclose(audit.matrix_of(FLAT) @ [0.5, 0.5, 0.5, 1], [0, 0, 0, 1])
