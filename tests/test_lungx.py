"""LUNGx: the spreadsheets as they are, and the reading of the slice number that a check decides."""

import contextlib
import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

from pipeline.datasets import Findings, Source, lungx
from pipeline.errors import ColumnError, LabelError, RawMissingError
from pipeline.phantom import Geometry, write_ct_series, write_phantom
from pipeline.provenance import ROOT
from pipeline.readers import index, labels
from workflow.fuzz import changes
from workflow.fuzz.formats import zips

PLANES, SIDE = 8, 16
CALIBRATION = ("Scan Number", lungx.POSITION_COLUMN, lungx.IMAGE_COLUMN, "Diagnosis")
TEST = ("Scan Number", "Nodule Number", lungx.POSITION_COLUMN, lungx.IMAGE_COLUMN, "Final Diagnosis")
Row = Sequence[object]


def write_sheet(path: Path, columns: Row, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    for row in (columns, *rows):
        book.worksheets[0].append(list(row))
    book.create_sheet("Sheet2")
    book.save(path)


def write_scan(raw: Path, patient: str, plane: int, *, descending: bool = False, **options: Any) -> None:
    """Air (−1000 HU) and a 5 × 5 nodule (20 HU) about column 6, row 10 of one plane; z rises with planes."""
    volume = np.full((PLANES, SIDE, SIDE), -1000.0)
    volume[plane, 8:13, 4:9] = 20
    grid = Geometry((0.0, 0.0, -50.0), spacing=(0.7, 0.7), slice_spacing=2.0)
    write_ct_series(raw / patient, volume, grid, patient_id=patient, descending=descending, **options)


def find(raw: Path, calibration: Sequence[Row] = (), test: Sequence[Row] = ()) -> Findings:
    """Write both spreadsheets, index and locate."""
    write_sheet(raw / lungx.CALIBRATION_FILE, CALIBRATION, calibration)
    write_sheet(raw / lungx.TEST_FILE, TEST, test)
    table, _, documents, _ = index.build(raw, *index._previous(raw / "no", raw / "no"), processes=1)
    return lungx.find(Source("lungx", raw, table, sorted(documents)), lungx.Options())


def codes(found: Findings) -> list[tuple[str, str, str, str]]:
    return [(row["patient_id"], row.get("finding_id", ""), row["kind"], row["code"]) for row in found.skipped]


# --- the spreadsheets


@pytest.mark.parametrize(
    ("cell", "column_row"),
    [
        ("120, 325", (119, 324)), ("120,325", (119, 324)), (" 120 , 325 ", (119, 324)),
        ("(120, 325)", (119, 324)), (120325, (119, 324)), (120325.0, (119, 324)), (95328, (94, 327)),
        (405096, (404, 95)), ("1, 1", (0, 0)),
    ],
)  # fmt: skip
def test_positions_count_from_one_and_may_have_become_numbers(
    cell: object, column_row: tuple[int, int]
) -> None:
    assert lungx.parse_position(cell, Path("sheet")) == column_row


@pytest.mark.parametrize(
    "cell", ["", None, "120", "120, 325, 7", "a, b", 120.325, 12, 7_000_000, float("nan")]
)
def test_other_positions_are_refused(cell: object) -> None:
    with pytest.raises(LabelError, match="E-LABEL sheet: expected a position such as '120, 325'"):
        lungx.parse_position(cell, Path("sheet"))


def test_rows_of_every_dialect_are_read_and_footnotes_are_not(tmp_path: Path) -> None:
    for name in ("CT-Training-LC001", "CT-Training-BE001", "LUNGx-CT001", "LUNGx-CT002"):
        write_scan(tmp_path, name, 2)
    found = find(
        tmp_path,
        [
            ("CT-Training-lc001", 7011, 3, "malignant"),  # 7, 11 as a number
            ("CT-Training-be001 ", "7, 11", "3", "benign"),
            (),
            ("*specified in pixels, where position (1,1) is the upper-leftmost pixel",),
            (),
            ("All images are in DICOM format",),
        ],
        [
            ("LUNGx-CT001", 1, "7, 11", 3, "Primary lung cancer "),
            (),
            ("LUNGx-CT001", 2.0, "6, 12", 3.0, "Suspicious malignant nodule"),
            ("LUNGx-CT002", 1, "8, 11", 3, "Benign nodule"),
            (None, None, None, None, None),
            ("legend",),
        ],
    )
    rows = [(row["patient_id"], row["finding_id"], row["label"], row["column"]) for row in found.rows]
    assert rows == [
        ("CT-Training-lc001", "1", 1, "6.0000"), ("CT-Training-be001", "1", 0, "6.0000"),
        ("LUNGx-CT001", "1", 1, "6.0000"), ("LUNGx-CT002", "1", 0, "7.0000"),
    ]  # fmt: skip
    assert {row["row"] for row in found.rows} == {"10.0000"}
    assert {row["group_id"] for row in found.rows} == {row["patient_id"] for row in found.rows}
    assert codes(found) == [("LUNGx-CT001", "2", "excluded", "E-LABEL")]
    assert "expected a proven diagnosis" in found.skipped[0]["reason"]


def test_a_row_with_gaps_is_listed_and_those_below_it_are_read(tmp_path: Path) -> None:
    write_scan(tmp_path, "LUNGx-CT001", 2)
    found = find(
        tmp_path,
        test=[
            ("LUNGx-CT001", None, "7, 11", 3, "Benign nodule"),
            ("LUNGx-CT001", "2", None, 3, "Benign nodule"),
            ("LUNGx-CT001", 3, "7, 11", None, "Benign nodule"),
            ("LUNGx-CT001", 4, "7, 11", 2.5, "Benign nodule"),
            ("LUNGx-CT001", 5, "6, 11", 3, None),
            ("LUNGx-CT001", 6, "6, 10", 3, "Perhaps"),
            ("LUNGx-CT001", 7, "6, 12", 3, "Benign nodule"),
        ],
    )
    assert [row["finding_id"] for row in found.rows] == ["", "7"]
    assert sorted(codes(found)) == [("LUNGx-CT001", str(i), "failed", "E-LABEL") for i in range(2, 7)]


def test_repeated_nodules_count_once_and_contradictions_not_at_all(tmp_path: Path) -> None:
    write_scan(tmp_path, "LUNGx-CT001", 2)
    write_scan(tmp_path, "LUNGx-CT002", 2)
    found = find(
        tmp_path,
        test=[
            ("LUNGx-CT001", 1, "7, 11", 3, "Benign nodule"),
            ("LUNGx-CT001", 1, "7, 11", 3, "Benign nodule"),
            ("LUNGx-CT002", 1, "7, 11", 3, "Benign nodule"),
            ("LUNGx-ct002 ", 2, "7, 11 ", 3.0, "Primary lung cancer"),
        ],
    )
    assert [(row["patient_id"], row["finding_id"]) for row in found.rows] == [("LUNGx-CT001", "1a")]
    assert {code for *_, code in codes(found)} == {"E-CSV-DUP"}
    assert len(found.skipped) == 3


def test_a_scan_without_a_nodule_and_a_nodule_without_a_scan_are_listed(tmp_path: Path) -> None:
    write_scan(tmp_path, "LUNGx-CT001", 2)
    write_scan(tmp_path, "LUNGx-CT009", 2)
    rows = [(f"LUNGx-CT00{i}", 1, "7, 11", 3, "Benign nodule") for i in (1, 2)]
    found = find(tmp_path, test=rows)
    assert [row["patient_id"] for row in found.rows] == ["LUNGx-CT001"]
    assert codes(found) == [
        ("LUNGx-CT002", "1", "failed", "E-LESION-NOSERIES"),
        ("LUNGx-CT009", "", "excluded", "E-LABEL-NONE"),
    ]


def test_a_damaged_workbook_a_missing_column_and_a_missing_sheet_are_told(tmp_path: Path) -> None:
    write_scan(tmp_path, "LUNGx-CT001", 2)
    table, _, documents, _ = index.build(
        tmp_path, *index._previous(tmp_path / "no", tmp_path / "no"), processes=1
    )
    with pytest.raises(
        RawMissingError, match=r"E-RAW .*: expected CalibrationSet_NoduleData\.xlsx, found no such"
    ):
        lungx.find(Source("lungx", tmp_path, table, sorted(documents)), lungx.Options())
    path = tmp_path / "sheet.xlsx"
    path.write_bytes(b"PK\3\4 half of it")
    with pytest.raises(ColumnError, match=r"E-CSV-COL .*sheet\.xlsx: expected an XLSX file"):
        labels.read_xlsx(path, CALIBRATION)
    write_sheet(path, CALIBRATION[:3], [])
    with pytest.raises(
        ColumnError, match=r"expected Diagnosis, found columns Scan Number, Nodule Center x,y"
    ):
        labels.read_xlsx(path, CALIBRATION)


def rewritten(path: Path, member: str, old: bytes, new: bytes) -> bytes:
    """A workbook with another content of one member."""
    content = io.BytesIO()
    with zipfile.ZipFile(path) as book, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as changed:
        for name in book.namelist():
            text = book.read(name)
            assert name != member or old in text
            changed.writestr(name, text.replace(old, new) if name == member else text)
    return content.getvalue()


def inflating_wrongly(path: Path) -> bytes:
    """A workbook whose first sheet begins with a block of a kind that deflate does not have."""
    with zipfile.ZipFile(path) as book:
        info = book.getinfo("xl/worksheets/sheet1.xml")
    content = bytearray(path.read_bytes())
    content[info.header_offset + 30 + len(info.filename)] = 0b111
    return bytes(content)


def packed_as(path: Path, method: int) -> bytes:
    """A workbook whose members say that they are packed by another method."""
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        for found in re.finditer(re.escape(mark), bytes(content)):
            content[found.start() + offset] = method
    return bytes(content)


WORKBOOK, SHEET, PARTS = "xl/workbook.xml", "xl/worksheets/sheet1.xml", "[Content_Types].xml"
DAMAGED: dict[str, Callable[[Path], bytes]] = {
    "error: Error -3 while decompressing data": inflating_wrongly,
    "ParseError: mismatched tag": lambda path: rewritten(path, SHEET, b"</sheetData>", b"</row>"),
    "OSError: File contains no valid workbook part": lambda path: rewritten(path, PARTS, b"sheet.main+xml", b"none"),
    "TypeError: ": lambda path: rewritten(path, WORKBOOK, b" sheetId=", b" shietId="),
    "NotImplementedError: ": lambda path: packed_as(path, 99),
    "BadZipFile: ": lambda path: path.read_bytes()[:-200],
    "'There is no item named": lambda path: rewritten(path, WORKBOOK, b"", b"").replace(b"xl/workbook.xml", b"xl/wirkbook.xml"),
}  # fmt: skip


@pytest.mark.parametrize("reason", DAMAGED)
def test_whatever_a_damaged_workbook_makes_its_readers_raise_is_one_line(tmp_path: Path, reason: str) -> None:
    path = tmp_path / "sheet.xlsx"
    write_sheet(path, CALIBRATION, [("CT-1", "120, 325", 85, "benign")])
    assert len(labels.read_xlsx(path, CALIBRATION)) == 1
    path.write_bytes(DAMAGED[reason](path))
    with pytest.raises(ColumnError) as raised:
        labels.read_xlsx(path, CALIBRATION)
    said = str(raised.value).replace('"', "'")
    assert said.startswith(f"E-CSV-COL {path}: expected an XLSX file, found an unreadable workbook ({reason}")


def test_a_workbook_cut_or_changed_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "sheet.xlsx"
    write_sheet(path, CALIBRATION, [("CT-1", "120, 325", 85, "benign")])
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for place in random.integers(0, len(whole), 150):
        content = bytearray(whole)
        content[place] ^= int(random.integers(1, 256))
        path.write_bytes(content if place % 3 else whole[:place])
        with contextlib.suppress(ColumnError):
            labels.read_xlsx(path, CALIBRATION)


# --- the slice


@pytest.mark.parametrize(
    ("numbering", "readings"),
    [("instance number", "100% 0% 0%"), ("from the feet", "0% 100% 0%"), ("from the head", "0% 0% 100%")],
)
@pytest.mark.parametrize("descending", [True, False])
def test_the_reading_whose_centres_lie_in_tissue_is_used(
    tmp_path: Path, numbering: str, readings: str, descending: bool
) -> None:
    planes = {"LUNGx-CT001": 1, "LUNGx-CT002": 5, "LUNGx-CT003": 6}
    rows = []
    for patient, plane in planes.items():
        # Numbers that begin at 11 are neither of the other two countings.
        write_scan(tmp_path, patient, plane, descending=descending, first=11)
        instance = 11 + (PLANES - 1 - plane if descending else plane)
        number = {"instance number": instance, "from the feet": plane + 1, "from the head": PLANES - plane}[
            numbering
        ]
        rows.append((patient, 1, "7, 11", number, "Benign nodule"))
    found = find(tmp_path, test=rows)
    heights = pd.Series({row["patient_id"]: row["file"] for row in found.rows})
    table, *_ = index.build(tmp_path, *index._previous(tmp_path / "no", tmp_path / "no"), processes=1)
    z = table.set_index("file")["position_z"]
    assert {patient: z[file] for patient, file in heights.items()} == {
        p: -50 + 2 * n for p, n in planes.items()
    }
    shares = dict(zip(lungx.READINGS, readings.split(), strict=True))
    verdict = ", ".join(f"{name} {share}" for name, share in shares.items())
    assert {choice["reason"] for choice in found.choices} == {
        f"slice by {numbering}; centres in soft tissue: {verdict}; here 20 HU"
    }


def test_the_majority_decides_and_centres_in_air_are_listed(tmp_path: Path) -> None:
    rows = []
    for number, plane in enumerate((1, 2, 6), 1):
        write_scan(tmp_path, f"LUNGx-CT00{number}", plane, descending=True)
        rows.append((f"LUNGx-CT00{number}", 1, "7, 11", PLANES - plane, "Benign nodule"))
    rows.append(
        ("LUNGx-CT001", 2, "7, 11", 2, "Benign nodule")
    )  # plane 1 from the feet, but InstanceNumber 7
    rows.append(("LUNGx-CT002", 2, "2, 2", 6, "Primary lung cancer"))
    found = find(tmp_path, test=rows)
    assert [row["patient_id"] for row in found.rows] == ["LUNGx-CT001", "LUNGx-CT002", "LUNGx-CT003"]
    assert codes(found) == [
        ("LUNGx-CT001", "2", "failed", "E-LESION-AIR"),
        ("LUNGx-CT002", "2", "failed", "E-LESION-AIR"),
    ]
    assert "found -1000 HU at column 2, row 2 of image 6" in found.skipped[1]["reason"]
    assert found.skipped[1]["file"].startswith("LUNGx-CT002/")


@pytest.mark.parametrize(
    ("position", "number"), [("7, 11", 9), ("7, 11", 0), ("17, 11", 3), ("7, 17", 3), ("0, 5", 3)]
)
def test_a_centre_outside_the_scan_is_listed(tmp_path: Path, position: str, number: int) -> None:
    write_scan(tmp_path, "LUNGx-CT001", 2)
    found = find(tmp_path, test=[("LUNGx-CT001", 1, position, number, "Benign nodule")])
    assert codes(found) == [("LUNGx-CT001", "1", "failed", "E-LESION-OOB")]
    assert f"of image {number}" in found.skipped[0]["reason"]


def test_a_scan_without_hounsfield_units_is_listed(tmp_path: Path) -> None:
    write_scan(tmp_path, "LUNGx-CT001", 2, tags={"RescaleSlope": None})
    write_scan(tmp_path, "LUNGx-CT002", 2)
    rows = [(f"LUNGx-CT00{i}", 1, "7, 11", 3, "Benign nodule") for i in (1, 2)]
    found = find(tmp_path, test=rows)
    assert [row["patient_id"] for row in found.rows] == ["LUNGx-CT002"]
    assert codes(found) == [("LUNGx-CT001", "1", "failed", "E-DCM-TAG")]
    assert found.skipped[0]["file"].startswith("LUNGx-CT001/")


def test_localizers_of_the_patient_are_not_taken_for_the_scan(tmp_path: Path) -> None:
    write_scan(tmp_path, "LUNGx-CT001", 2)
    grid = Geometry((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
    write_ct_series(tmp_path / "scout", np.zeros((1, 16, 16)), grid, patient_id="LUNGx-CT001", number=1)
    found = find(tmp_path, test=[("LUNGx-CT001", 1, "7, 11", 3, "Benign nodule")])
    assert [row["plane_distance_mm"] for row in found.rows] == ["0.000"]
    assert not found.skipped


def test_every_nodule_of_the_phantom_is_found(tmp_path: Path) -> None:
    write_phantom("lungx", tmp_path, 8, 0)
    table, _, documents, _ = index.build(
        tmp_path, *index._previous(tmp_path / "no", tmp_path / "no"), processes=1
    )
    found = lungx.find(Source("lungx", tmp_path, table, sorted(documents)), lungx.Options())
    assert (len(found.rows), [code for *_, code in codes(found)]) == (9, ["E-LABEL"])
    assert all(choice["reason"].startswith("slice by instance number;") for choice in found.choices)


# --- real files


def test_all_83_published_nodules_are_read_and_81_have_a_label(shared: Path, tmp_path: Path) -> None:
    documents = [str(path.relative_to(shared)) for path in sorted((shared / "lungx").glob("*.xlsx"))]
    source = Source("lungx", shared, pd.DataFrame(columns=index.COLUMNS), documents)
    problems = Findings()
    nodules = list(lungx.nodules(source, problems))
    assert (len(nodules), len({nodule.patient_id.casefold() for nodule in nodules}), problems.skipped) == (
        83,
        70,
        [],
    )
    assert len({(nodule.patient_id, nodule.finding_id) for nodule in nodules}) == 83
    by_patient = {nodule.patient_id: nodule for nodule in nodules}
    # Known values: BE001 image 169 at (405, 296), LC008 image 65 at (95, 328), counted from 1.
    assert by_patient["CT-Training-be001"][3:6] == (404, 295, 169)
    assert by_patient["CT-Training-lc008"][3:6] == (94, 327, 65)
    diagnoses = [" ".join(nodule.diagnosis.lower().split()) for nodule in nodules]
    known = [labels.binary(word, tmp_path, lungx.DIAGNOSES) for word in diagnoses if word != lungx.EXCLUDED]
    assert (known.count(0), known.count(1), len(nodules) - len(known)) == (42, 39, 2)
    found = lungx.find(source, lungx.Options())
    assert [kind for _, _, kind, _ in codes(found)].count("excluded") == 2
    assert [code for *_, code in codes(found)].count("E-LESION-NOSERIES") == 81


def _nodule(folder: Path) -> tuple[str, float, float]:
    """Instance, column and row (from 0) of the largest outline of the first nodule in the annotations."""
    space = "{http://www.nih.gov}"
    root = ET.parse(folder / "069.xml").getroot()
    outlines = []
    for roi in next(root.iter(f"{space}unblindedReadNodule")).iter(f"{space}roi"):
        points = [
            (float(edge[0].text or 0), float(edge[1].text or 0)) for edge in roi.iter(f"{space}edgeMap")
        ]
        outlines.append((len(points), roi.findtext(f"{space}imageSOP_UID") or "", np.mean(points, axis=0)))
    _, instance, (column, row) = max(outlines, key=lambda outline: outline[0])
    return instance, float(column), float(row)


def test_the_nodule_of_a_real_scan_lies_in_tissue_and_the_room_outside_in_air(
    shared: Path, tmp_path: Path
) -> None:
    folder = shared / "ct" / "LIDC-IDRI-0001"
    (tmp_path / "ct").symlink_to(folder)
    table, *_ = index.build(tmp_path, *index._previous(tmp_path / "no", tmp_path / "no"), processes=1)
    instance, column, row = _nodule(folder)
    number = int(table.set_index("sop_instance_uid")["instance_number"][instance])
    found = find(
        tmp_path,
        [("lidc-idri-0001", f"{round(column) + 1}, {round(row) + 1}", number, "malignant")],
        [("LIDC-IDRI-0001", 2, "256, 30", number, "Benign nodule")],
    )
    (located,) = found.rows
    assert located["sop_instance_uid"] == instance
    assert (float(located["column"]), float(located["row"])) == (round(column), round(row))
    (choice,) = found.choices
    assert -100 < float(choice["reason"].split("here ")[1].split()[0]) < 100
    assert choice["reason"].startswith("slice by instance number;")
    assert codes(found) == [("LIDC-IDRI-0001", "2", "failed", "E-LESION-AIR")]


def test_the_first_workbook_that_a_process_reads_is_within_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "sheet.xlsx"
    write_sheet(path, CALIBRATION, [["CT-1", "120, 325", 20, "benign"]])
    code = f"from pipeline.readers import labels; from pathlib import Path; labels.read_xlsx(Path({str(path)!r}), ['Diagnosis'])"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("change", [zips.member, zips.lost, changes.cut, changes.flip])
def test_a_damaged_workbook_is_one_line_whatever_its_parsers_raise(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "sheet.xlsx"
    write_sheet(path, CALIBRATION, [["CT-1", "120, 325", 20, "benign"]])
    whole, refused = path.read_bytes(), 0
    for number in range(60):
        path.write_bytes(change(whole, Random(number)))
        try:
            labels.read_xlsx(path, CALIBRATION)
        except ColumnError as error:
            refused += str(error).startswith("E-CSV-COL")
    assert refused > 5
