"""PROSTATEx and all its oddities, on patients of a few small planes; `pos` decides, never a number."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest

from pipeline import findings, index, labels
from pipeline.datasets import Findings, Source, prostatex
from pipeline.errors import ColumnError
from pipeline.files import read_csv, write_csv
from pipeline.phantom import Geometry, write_mr_series, write_phantom
from pipeline.pixels import read_pixels

PLANES = 9
T2, ADC, HIGH_B, MULTI_B = (
    "t2_tse_tra",
    "ep2d_diff_tra_DYNDIST_ADC",
    "ep2d_diff_tra_DYNDISTCALC_BVAL",
    "ep2d_diff_tra_DYNDIST",
)
IMAGES = ("ProxID", "Name", "fid", "pos", "WorldMatrix", "ijk", "TopLevel", "DCMSerDescr", "DCMSerNum")
CORONAL = {"row": (1.0, 0.0, 0.0), "column": (0.0, 0.0, -1.0)}


class Collection:
    """Synthetic patients and the two official tables in a raw folder.

    A series has planes of 12 × 10 pixels, 3 mm apart from z = 0 upwards, 2 mm pixels from (0, 0). Each pixel
    of a plane has the value 100 · series number + plane.
    """

    def __init__(self, raw: Path) -> None:
        self.raw = raw
        self.findings: list[tuple[str, str, str, str]] = []
        self.images: list[dict[str, object]] = []

    def series(
        self,
        description: str,
        number: int,
        *,
        patient: str = "ProstateX-0000",
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
        axes: dict[str, Any] | None = None,
        drop: Sequence[int] = (),
        b_values: Sequence[int] | None = None,
        study: str = "",
        series: str = "",
        **options: Any,
    ) -> None:
        """Write a series; without the planes ``drop``."""
        if b_values is None and description != T2:
            b_values = {ADC: (800,), HIGH_B: (1400,), MULTI_B: (50, 400, 800)}.get(description)
        volume = np.broadcast_to(100 * number + np.arange(PLANES)[:, None, None], (PLANES, 10, 12))
        if b_values is not None:
            volume = np.stack([volume + 1000 * i for i in range(len(b_values))])
        grid = Geometry(origin, spacing=(2.0, 2.0), slice_spacing=3.0, **(axes or {}))
        paths = write_mr_series(
            self.raw / patient / f"{study}{number}{series}", volume, grid, description=description,
            number=number, patient_id=patient, b_values=b_values, study=study, series=series, **options,
        )  # fmt: skip
        for path in paths:
            if (int(pydicom.dcmread(path).pixel_array[0, 0]) - 100 * number) % 1000 in drop:
                path.unlink()

    def finding(
        self,
        pos: str,
        fid: str = "1",
        significant: str = "TRUE",
        *,
        patient: str = "ProstateX-0000",
        ijk: dict[tuple[str, int], str] | None = None,
    ) -> None:
        """A row of the findings table, and rows of the images table for these (description, number)."""
        self.findings.append((patient, fid, pos, significant))
        for (description, number), index_ in (ijk or {}).items():
            self.images.append(
                {"ProxID": patient, "Name": f"{description}0", "fid": fid, "pos": pos, "ijk": index_,
                 "WorldMatrix": "1,0,0,0", "TopLevel": "NA", "DCMSerDescr": description, "DCMSerNum": number}
            )  # fmt: skip

    def find(self, channels: Sequence[str] = ("dwi",), slice_rule: str = "geometry") -> Findings:
        """Index and locate as the workflow does."""
        columns = ("ProxID", "fid", "pos", "zone", "ClinSig")
        rows = [(patient, fid, pos, "PZ", label) for patient, fid, pos, label in self.findings]
        text = "".join(",".join(row) + "\r\n" for row in [columns, *rows])
        (self.raw / prostatex.FINDINGS_FILE).write_bytes(text.encode())
        write_csv(self.raw / prostatex.IMAGES_FILE, IMAGES, self.images)
        table, _, documents, errors = index.build(
            self.raw, *index._previous(self.raw / "no", self.raw / "no"), processes=1
        )
        assert not [error for error in errors if error.code != "E-DCM-NOTIMAGE"]
        source = Source("prostatex", self.raw, table, sorted(documents))
        return prostatex.find(source, argparse.Namespace(channels=list(channels), slice_rule=slice_rule))

    def value(self, row: dict[str, Any]) -> float:
        """100 · series number + plane of the slice that a row of findings.csv names."""
        return float(read_pixels(self.raw / row["file"]).values[0, 0])


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path / "raw")


def codes(found: Findings) -> list[tuple[str, str, str]]:
    return [(row["patient_id"], row["finding_id"], row["code"]) for row in found.skipped]


# --- the slice


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("plane", [0, 1, 4, 7, 8])
def test_the_slice_is_that_of_pos_whichever_way_the_numbers_run(
    collection: Collection, plane: int, descending: bool
) -> None:
    collection.series(HIGH_B, 8, descending=descending)
    # 1 mm above the plane; column 9/2 and row 7/2.
    collection.finding(f"9 7 {3 * plane + 1}", ijk={(HIGH_B, 8): f"5 4 {plane + 1}"})
    found = collection.find()
    (row,) = found.rows
    assert collection.value(row) == 800 + plane
    assert (row["column"], row["row"], row["plane_distance_mm"]) == ("4.5000", "3.5000", "1.000")
    assert (row["spacing_column_mm"], row["spacing_row_mm"]) == ("2", "2")
    (choice,) = found.choices
    # k = plane + 1, so the published rule takes InstanceNumber plane + 2.
    number = PLANES - plane if descending else plane + 1
    assert (choice["geometry_instance"], choice["paper_instance"]) == (str(number), plane + 2)
    if plane < 8:
        assert choice["distance_mm"] == f"{3 * abs(plane + 2 - number):.3f}"
    else:
        assert "distance_mm" not in choice  # there is no InstanceNumber 10


@pytest.mark.parametrize(("plane", "number"), [(2, 4), (4, 6), (7, 9)])
def test_the_published_rule_takes_instance_number_k_plus_one_and_pixel_ij(
    collection: Collection, plane: int, number: int
) -> None:
    collection.series(HIGH_B, 8, descending=True)
    collection.finding(f"9 7 {3 * plane}", ijk={(HIGH_B, 8): f"5 4 {plane + 1}"})
    (row,) = collection.find(slice_rule="paper").rows
    there = PLANES - number
    assert collection.value(row) == 800 + there
    assert (row["column"], row["row"]) == ("5.0000", "4.0000")
    assert row["plane_distance_mm"] == f"{3 * (plane - there):.3f}"


def test_what_the_published_rule_cannot_find_is_listed(collection: Collection) -> None:
    collection.series(HIGH_B, 8)
    collection.finding("9 7 24", "1", ijk={(HIGH_B, 8): "5 4 9"})
    collection.finding("9 7 3", "2", ijk={(HIGH_B, 9): "5 4 2"})
    collection.finding("22 7 3", "3", ijk={(HIGH_B, 8): "12 4 2"})
    found = collection.find(slice_rule="paper")
    assert not found.rows
    assert [
        (code, row["reason"].split(";")[0])
        for (*_, code), row in zip(codes(found), found.skipped, strict=True)
    ] == [
        ("E-LESION-OOB", "expected InstanceNumber 10, found 9 slices"),
        ("E-LESION-NOSERIES", "expected a row of the images table for the series, found none"),
        (
            "E-LESION-OOB",
            "expected a point inside the image, found column 12, row 4, 1.0 mm outside the image",
        ),
    ]
    assert len(collection.find().rows) == 3


def test_a_missing_slice_matters_only_where_it_is_missing(collection: Collection) -> None:
    # 0038 lacks instance 17 of 19 of the ADC map.
    collection.series(ADC, 7, drop=[6])
    for fid, z in (("1", 3), ("2", 16), ("3", 18), ("4", 20)):
        collection.finding(f"9 7 {z}", fid)
    found = collection.find(["adc"])
    assert [(row["finding_id"], collection.value(row)) for row in found.rows] == [
        ("1", 701),
        ("2", 705),
        ("4", 707),
    ]
    assert codes(found) == [("ProstateX-0000", "3", "E-GEO-GAP")]
    assert "the nearest 3.0 mm away" in found.skipped[0]["reason"]


# --- the series


def test_three_channels_lie_on_the_same_tissue(collection: Collection) -> None:
    collection.series(T2, 4, origin=(-3.0, -5.0, 0.0), descending=False)
    collection.series(ADC, 7)
    collection.series(HIGH_B, 8, origin=(1.0, 1.0, 3.0))
    collection.finding("9 7 12.5")
    found = collection.find(["t2", "dwi", "adc"])
    cells = {row["channel"]: (collection.value(row), row["column"], row["row"]) for row in found.rows}
    assert cells == {
        "t2": (404, "6.0000", "6.0000"),
        "dwi": (803, "4.0000", "3.0000"),  # begins 3 mm higher
        "adc": (704, "4.5000", "3.5000"),
    }


def test_other_frames_of_reference_do_not_matter(collection: Collection) -> None:
    # 0199: T2 and ADC have different ones, and the positions agree all the same.
    collection.series(T2, 4, tags={"FrameOfReferenceUID": "1.2.3"})
    collection.series(ADC, 7, tags={"FrameOfReferenceUID": "1.2.4"})
    collection.finding("9 7 12")
    found = collection.find(["t2", "adc"])
    assert [collection.value(row) for row in found.rows] == [404, 704]


@pytest.mark.parametrize("interleaved", [True, False])
def test_a_series_of_several_b_values_is_split_before_slices_are_counted(
    collection: Collection, interleaved: bool
) -> None:
    # Without CALC_BVAL the largest measured b counts; ADC carries b = 800 too and must not be taken.
    collection.series(MULTI_B, 6, interleaved=interleaved)
    collection.series(ADC, 7)
    collection.series(T2, 4)
    collection.finding("9 7 18")
    found = collection.find()
    assert [collection.value(row) for row in found.rows] == [2606]  # the third b-value, plane 6
    assert (found.choices[0]["candidates"], found.choices[0]["chosen_description"]) == (1, MULTI_B)


def test_the_calculated_b_value_wins_over_every_measured_one(collection: Collection) -> None:
    collection.series("ep2d-advdiff-3Scan-high bvalue 2000", 5, b_values=(2000,))
    collection.series(HIGH_B, 8)
    collection.finding("9 7 12")
    assert collection.value(collection.find().rows[0]) == 804


@pytest.mark.parametrize(
    "tags",
    [{}, {"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}],
    ids=["by description", "by image type"],
)
def test_maps_with_a_b_value_are_no_images_of_that_weighting(
    collection: Collection, tags: dict[str, Any]
) -> None:
    collection.series("ep2d-advdiff-3Scan-high bvalue 500", 5, b_values=(500,))
    collection.series("map of diffusion" if tags else "ADC_high bvalue", 9, b_values=(1400,), tags=tags)
    collection.series("ep2d-advdiff-MDDW-12dir_spair_511b_FA", 10, b_values=(1400,))
    collection.finding("9 7 12")
    assert collection.value(collection.find().rows[0]) == 504


def test_the_standard_b_value_counts_as_siemens_own(collection: Collection) -> None:
    collection.series("dwi", 5, b_values=(100, 1000), standard_b_value=True)
    collection.finding("9 7 12")
    assert collection.value(collection.find().rows[0]) == 1504


def test_mosaics_and_other_orientations_are_left_out(collection: Collection) -> None:
    collection.series(T2, 3, axes=CORONAL)
    collection.series(MULTI_B, 5, tags={"ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "MOSAIC"]})
    collection.series(T2, 4)
    collection.finding("9 7 12")
    found = collection.find(["t2", "dwi"])
    assert [collection.value(row) for row in found.rows] == [404]
    assert [row["code"] for row in found.skipped] == ["E-LESION-NOSERIES"]


def test_the_last_series_is_not_taken_where_it_misses_the_finding(collection: Collection) -> None:
    # 0148: of three T2 series the last ends 11.4 mm short of the finding.
    collection.series(T2, 3)
    collection.series(T2, 4)
    collection.series(T2, 6, origin=(0.0, 0.0, 30.0))
    collection.finding("9 7 12", "1")
    collection.finding("9 7 33", "2")
    found = collection.find(["t2"])
    assert [collection.value(row) for row in found.rows] == [404, 601]
    assert [(choice["candidates"], choice["reason"]) for choice in found.choices] == [
        (3, "the last of 2 series that contain the finding, among 3"),
        (3, "the only one of 3 series that contains the finding"),
    ]


def test_a_finding_in_no_series_is_told_with_its_distance(collection: Collection) -> None:
    collection.series(HIGH_B, 8)
    collection.finding("9 7 37", "1")  # 24 + 1.5 + 11.5
    collection.finding("-4 7 12", "2")  # −1 − 3
    collection.finding("9 7 25.5", "3")  # exactly half a spacing beyond the last plane
    found = collection.find()
    assert [collection.value(row) for row in found.rows] == [808]
    assert codes(found) == [("ProstateX-0000", "1", "E-LESION-OOB"), ("ProstateX-0000", "2", "E-LESION-OOB")]
    assert "11.5 mm beyond the slab" in found.skipped[0]["reason"]
    assert "3.0 mm outside the image" in found.skipped[1]["reason"]
    assert all(row["file"].startswith("series 2.25.") for row in found.skipped)


def test_of_two_studies_the_one_that_contains_the_finding_counts(collection: Collection) -> None:
    # 0025: finding 1 lies in one study, another finding called 1 and the others in the second.
    for channel, number in ((T2, 4), (HIGH_B, 8)):
        collection.series(channel, number, study="1.2.1")
        collection.series(
            channel, number, study="1.2.2", origin=(0.0, 0.0, -90.0), tags={"StudyDate": "20120101"}
        )
    collection.finding("9 7 12", "1", "FALSE")
    collection.finding("9 7 -81", "1", "FALSE")
    collection.finding("9 7 -50", "2", "FALSE")
    found = collection.find(["t2", "dwi"])
    assert [(row["finding_id"], row["study_uid"], collection.value(row)) for row in found.rows] == [
        ("1a", "1.2.1", 404), ("1a", "1.2.1", 804), ("1b", "1.2.2", 403), ("1b", "1.2.2", 803),
    ]  # fmt: skip
    # The distance is that to the later study: planes from −90 to −66.
    assert [row["reason"].split("found ")[1][:11] for row in found.skipped] == ["one 14.5 mm"] * 2


def test_channels_never_mix_studies(collection: Collection) -> None:
    collection.series(T2, 4, study="1.2.1")
    collection.series(HIGH_B, 8, study="1.2.1")
    collection.series(HIGH_B, 8, study="1.2.2", tags={"StudyDate": "20120101"})
    collection.finding("9 7 12")
    assert {row["study_uid"] for row in collection.find(["t2", "dwi"]).rows} == {"1.2.1"}
    assert {row["study_uid"] for row in collection.find(["dwi"]).rows} == {"1.2.2"}


def test_a_study_that_misses_the_finding_says_more_than_one_without_the_series(
    collection: Collection,
) -> None:
    collection.series(HIGH_B, 8, study="1.2.1")
    collection.series(T2, 4, study="1.2.2", tags={"StudyDate": "20120101"})
    collection.finding("9 7 60")
    assert codes(collection.find()) == [("ProstateX-0000", "1", "E-LESION-OOB")]


def test_a_repeated_series_number_is_no_matter(collection: Collection) -> None:
    # 0233 has 3, 4 and 5 twice in one study.
    collection.series(T2, 4, series="1.2.1", descending=False)
    collection.series(HIGH_B, 4, series="1.2.2")
    collection.finding("9 7 6", ijk={(T2, 4): "5 4 3"})
    found = collection.find(["t2", "dwi"])
    assert [(row["series_uid"], collection.value(row)) for row in found.rows] == [
        ("1.2.1", 402),
        ("1.2.2", 402),
    ]
    assert found.choices[0]["paper_instance"] == 4
    assert "paper_instance" not in found.choices[1]


def test_a_damaged_series_is_told_and_another_taken(collection: Collection) -> None:
    collection.series(T2, 4)
    collection.series(T2, 5, tags={"PixelSpacing": lambda plane: ["2", "2"] if plane else ["3", "3"]})
    collection.series(HIGH_B, 8, tags={"ImageOrientationPatient": None})
    collection.finding("9 7 12")
    found = collection.find(["t2", "dwi"])
    assert [collection.value(row) for row in found.rows] == [404]
    assert [row["code"] for row in found.skipped] == ["E-DCM-TAG"]
    assert "tags ImageOrientationPatient" in found.skipped[0]["reason"]


def test_the_same_slice_twice_in_a_series_is_refused(collection: Collection) -> None:
    collection.series(HIGH_B, 8)
    collection.series(HIGH_B, 8, series=index_uid(collection, 8), first=20)
    collection.finding("9 7 12")
    assert codes(collection.find()) == [("ProstateX-0000", "1", "E-GEO-DUP")]


def index_uid(collection: Collection, number: int) -> str:
    """The SeriesInstanceUID of what has been written."""
    file = next((collection.raw / "ProstateX-0000" / str(number)).glob("*.dcm"))
    return str(pydicom.dcmread(file).SeriesInstanceUID)


def test_absent_series_and_instance_numbers_do_not_matter(collection: Collection) -> None:
    collection.series(T2, 5, tags={"InstanceNumber": None})
    collection.series(T2, 9, tags={"SeriesNumber": None})
    collection.finding("9 7 12", ijk={(T2, 5): "5 4 5"})
    found = collection.find(["t2"])
    assert [collection.value(row) for row in found.rows] == [504]
    (choice,) = found.choices
    assert (choice["geometry_instance"], choice["paper_instance"], "distance_mm" in choice) == ("", 6, False)


# --- the tables


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


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("ProxID,fid,position,ClinSig\n")
    with pytest.raises(
        ColumnError, match=r"E-CSV-COL .*: expected pos, found columns ProxID, fid, position, ClinSig"
    ):
        labels.read_csv(path, ["ProxID", "fid", "pos", "ClinSig"])


@pytest.mark.parametrize(
    "text",
    [
        "id,x\nA,1.5\n\nB,2\n", "\ufeffid,x\r\nA,1.5\r\nB,2\r\n", "id;x\nA;1,5\nB;2\n",
        'id\tx\n"A"\t1.5\t\nB\t2\n',
        ' id , x \n A , 1.5 ,,\nB,2\n,\n',
    ],
    ids=["commas", "mark and CRLF", "semicolons and decimal comma", "tabs and quotes", "blanks"],
)  # fmt: skip
def test_a_table_is_read_in_any_dialect(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode())
    table = labels.read_csv(path, ["id", "x"])
    assert table["id"].tolist() == ["A", "B"]
    assert [labels.number(cell, path) for cell in table["x"]] == [1.5, 2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "found columns none"),
        (b"id,x\nA\n", "expected 2 cells in line 2, found 1"),
        (b"id,x\nA,1\nB,1,2\n", "expected 2 cells in line 3, found 3"),
        (b'id,x\nA,"1\nB,2\n', "unexpected end of data"),
        ("id,x\nA,1\n".encode("utf-16"), "expected UTF-8 text"),
        (b"id,x,x\nA,1,2\n", "expected x, found columns id, x, x"),
    ],
)
def test_a_damaged_table_is_refused_whole(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ColumnError, match=f"E-CSV-COL .*{reason}"):
        labels.read_csv(path, ["id", "x"])


@pytest.mark.parametrize(
    ("keys", "ids"),
    [
        ([("p", "1"), ("p", "1"), ("q", "1")], ["1a", "1b", "1"]),
        ([("p", "1"), ("p", "1a"), ("p", "1")], ["1b", "1a", "1c"]),
        ([("p", "x")] * 28, [f"x{c}" for c in "abcdefghijklmnopqrstuvwxyz"] + ["xaa", "xab"]),
    ],
)
def test_repeated_ids_get_letters_that_nobody_has(keys: list[tuple[str, str]], ids: list[str]) -> None:
    assert labels.unique_ids(keys) == ids


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
    truth = labels.read_csv(tmp_path / "raw" / prostatex.FINDINGS_FILE, ["ClinSig"])
    assert (len(tables["out"]), len(tables["skipped"])) == (3 * len(truth), 0)
    for row in tables["out"].to_dict("records"):
        values = read_pixels(tmp_path / "raw" / row["file"]).values
        column, down = round(float(row["column"])), round(float(row["row"]))
        here = values[down - 1 : down + 2, column - 1 : column + 2].mean() / np.median(values[values > 10])
        if row["label"] == "1":  # bright at a high b-value, dark in T2 and ADC
            assert here > 3 if row["channel"] == "dwi" else here < 0.75
    distances = tables["choices"]["distance_mm"].replace("", "nan").astype(float)
    assert (distances > 1).mean() > 0.5  # the published slice is another one


def test_all_official_findings_parse(shared: Path) -> None:
    folder = shared / "prostatex"
    table = labels.read_csv(folder / prostatex.FINDINGS_FILE, ["ProxID", "fid", "pos", "ClinSig"])
    images = labels.read_csv(
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
