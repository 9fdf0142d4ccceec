"""Label tables in every dialect that people and spreadsheets write."""

import datetime
from pathlib import Path

import openpyxl
import pytest

from pipeline.errors import ColumnError, LabelError
from pipeline.readers import labels
from pipeline.splits.people import is_rounded


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("ProxID,fid,position,ClinSig\n")
    with pytest.raises(
        ColumnError, match=r"E-CSV-COL .*: expected pos, found columns ProxID, fid, position, ClinSig"
    ):
        labels.read_table(path, ["ProxID", "fid", "pos", "ClinSig"])


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
    table = labels.read_table(path, ["id", "x"], numbers=["x"])
    assert table["id"].tolist() == ["A", "B"]
    assert [labels.number(cell, path) for cell in table["x"]] == [1.5, 2]


@pytest.mark.parametrize("cell", ["1,234", "1,5", "1,234.5", "-0,5", "1,234,567", "1 234", "1_234"])
def test_a_comma_is_refused_where_commas_separate(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f'id,x\nA,"{cell}"\n')
    table = labels.read_table(path, ["id", "x"], numbers=["x"])
    with pytest.raises(LabelError, match=r"E-LABEL .*expected a number"):
        labels.number(table["x"][0], path)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_decimal_comma_changes_no_text_beside_it(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(separator.join(["id", "x", "y"]) + "\n" + separator.join(["A,1", "1,234", "-0,5"]) + "\n")
    table = labels.read_table(path, ["id"], numbers=["x", "y"])
    assert table["id"].tolist() == ["A,1"]
    assert [labels.number(table[name][0], path) for name in "xy"] == [1.234, -0.5]


@pytest.mark.parametrize(
    ("separator", "cells", "meant"),
    [
        (";", ["1,234", "2"], [1.234, 2]),
        (";", ["1,234", "2.5"], None),  # 1.234 and 25, or 1234 and 2.5
        (";", ["12,5", "1.234"], None),
        (";", ["1.234", "2.5"], [1.234, 2.5]),
        ("\t", ["1,234", "2"], None),
        ("\t", ["1,234", "-2,345,678"], None),
        ("\t", ["1,234", "0,25"], [1.234, 0.25]),
        ("\t", ["12,50", "3"], [12.5, 3]),
    ],
)
def test_a_comma_is_read_only_where_it_cannot_mark_thousands(
    tmp_path: Path, separator: str, cells: list[str], meant: list[float] | None
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("".join(separator.join(row) + "\n" for row in (["x", "y"], cells)))
    row = labels.read_table(path, ["x"], numbers=["x", "y"]).loc[0]
    if meant is not None:
        assert [labels.number(row[name], path) for name in "xy"] == meant
        return
    with pytest.raises(LabelError, match="with a point for its decimals"):
        [labels.number(row[name], path) for name in "xy"]


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
        labels.read_table(path, ["id", "x"])


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


def workbook(path: Path, *rows: list[object], others: list[list[object]] | None = None) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    for row in others or []:
        book.create_sheet().append(row)
    book.save(path)
    return path


def test_the_first_sheet_of_a_workbook_is_read_as_a_csv_is(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "t.xlsx",
        ["id", " x ", "seen", "label", None],
        ["0014", 1.5, datetime.date(2026, 3, 1), "NA", None],
        [None, None, None, None, None],
        [14.0, 3, None, True, ""],
        [" Müller ", "2,5", "nan", "None", None],
        others=[["id", "nothing of this"]],
    )
    table = labels.read_table(path, ["id", "x"], numbers=["x"])
    assert table.to_dict("list") == {
        "id": ["0014", "14", "Müller"],
        "x": ["1.5", "3", "2,5"],  # a comma is refused where other numbers have a point
        "seen": ["2026-03-01 00:00:00", "", "nan"],
        "label": ["NA", "True", "None"],
    }


def test_a_comma_marks_decimals_in_the_texts_of_a_workbook_where_it_cannot_mark_thousands(
    tmp_path: Path,
) -> None:
    path = workbook(tmp_path / "t.xlsx", ["x", "y"], ["2,5", 3], ["1,234", 4])
    assert labels.read_table(path, ["x"], numbers=["x", "y"])["x"].tolist() == ["2.5", "1.234"]
    path = workbook(tmp_path / "t.xlsx", ["x"], ["1,234"])
    assert labels.read_table(path, ["x"], numbers=["x"])["x"].tolist() == ["1,234"]


def test_an_id_that_a_workbook_has_rounded_looks_so(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", ["id"], [1234567890123456789], [123456789012345], [1.5e15])
    found = labels.read_table(path, ["id"])["id"].tolist()
    assert found == ["1.23457E+18", "123456789012345", "1.50000E+15"]
    assert [is_rounded(name) for name in found] == [True, False, True]


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_workbook_of_another_kind_is_one_line(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "t.xls"
    path.write_bytes(start + bytes(60))
    with pytest.raises(ColumnError, match="expected an XLSX file, found an unreadable workbook"):
        labels.read_table(path, ["id"])


def test_text_in_another_encoding_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("id;x\nMüller;1,5\n".encode("cp1252"))
    with pytest.raises(ColumnError, match=r"expected UTF-8 text, .*\(in Excel: CSV UTF-8\)"):
        labels.read_table(path, ["id"])
