"""Label tables as people and spreadsheets write them."""

import csv
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.errors import ColumnError, LabelError, RawMissingError

POSITIVE = {"true", "1", "yes", "malignant", "positive"}
NEGATIVE = {"false", "0", "no", "benign", "negative"}


def find(documents: Iterable[str], name: str, raw: Path) -> Path:
    """The document called ``name`` (any case, in any folder); raises RawMissingError."""
    matches = sorted(file for file in documents if PurePosixPath(file).name.lower() == name.lower())
    if not matches:
        raise RawMissingError("no such file", file=raw, expected=name, remedy="put it anywhere below the folder")
    return raw / matches[0]


def check_columns(path: Path, found: Sequence[str], needed: Iterable[str]) -> None:
    """Raise ColumnError naming the needed columns that are missing and those found."""
    missing = [name for name in needed if name not in found]
    if missing:
        raise ColumnError(f"columns {', '.join(map(str, found))}", file=path, expected=", ".join(missing))


def read_csv(path: Path, needed: Iterable[str]) -> pd.DataFrame:
    """A CSV in any dialect (byte-order mark, CRLF, comma, semicolon or tab), every cell stripped text.

    Where semicolons separate, a comma in a number is its decimal point: see :func:`number`.
    Raises ColumnError.
    """
    text = path.read_text(encoding="utf-8-sig")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    rows = list(csv.reader(text.splitlines(), delimiter=separator))
    header = [name.strip() for name in rows[0]] if rows else []
    check_columns(path, header, needed)
    cells = [[cell.strip() for cell in row] for row in rows[1:] if any(cell.strip() for cell in row)]
    wrong = [number for number, row in enumerate(cells, 2) if len(row) != len(header)]
    if wrong:
        raise ColumnError(f"{len(cells[wrong[0] - 2])}", file=path, expected=f"{len(header)} cells in line {wrong[0]}")
    return pd.DataFrame(cells, columns=header, dtype=str)


def read_xlsx(path: Path, needed: Iterable[str]) -> pd.DataFrame:
    """The first sheet of a workbook as it is, up to the first row whose second cell is empty.

    What follows such a row in the published sheets are footnotes.
    """
    with warnings.catch_warnings():
        # The published LUNGx workbooks carry an extension that openpyxl drops; it holds no cell.
        warnings.filterwarnings("ignore", "Unknown extension is not supported", UserWarning)
        table = pd.read_excel(path, sheet_name=0, dtype=object, engine="openpyxl")
    table.columns = table.columns.map(lambda name: str(name).strip())
    check_columns(path, list(table.columns), needed)
    empty = table.iloc[:, 1].isna().to_numpy(bool)
    return table.iloc[: int(empty.argmax())] if empty.any() else table


def number(cell: object, path: Path) -> float:
    """A number that may have a decimal comma; raises LabelError."""
    try:
        return float(str(cell).strip().replace(",", "."))
    except ValueError:
        raise LabelError(repr(cell), file=path, expected="a number", remedy="correct the cell") from None


def binary(cell: object, path: Path, words: Mapping[str, int] | None = None) -> int:
    """1 or 0 from the words for positive and negative, in any case; raises LabelError."""
    word = " ".join(str(cell).lower().split())
    known = words or {**dict.fromkeys(POSITIVE, 1), **dict.fromkeys(NEGATIVE, 0)}
    if word not in known:
        raise LabelError(repr(cell), file=path, expected=f"one of {', '.join(sorted(known))}")
    return known[word]


def unique_ids(keys: Sequence[tuple[str, str]]) -> list[str]:
    """Finding ids from (patient, id) pairs; repeated ones get a, b … in their order.

    >>> unique_ids([("p", "1"), ("p", "2"), ("p", "1"), ("q", "1")])
    ['1a', '2', '1b', '1']
    """
    seen: dict[tuple[str, str], int] = {}
    names = []
    for key in keys:
        position = seen[key] = seen.get(key, -1) + 1
        names.append(key[1] + ("abcdefghijklmnopqrstuvwxyz"[position] if keys.count(key) > 1 else ""))
    return names
