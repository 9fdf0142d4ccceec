"""Label tables as people and spreadsheets write them."""

import csv
import difflib
import io
import itertools
import math
import re
import string
import unicodedata
import warnings
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import ColumnError, DuplicateFindingError, InputError, LabelError, RawMissingError
from pipeline.readers.limits import limited
from pipeline.system import of_system

POSITIVE = {"true", "1", "yes", "malignant", "positive"}
NEGATIVE = {"false", "0", "no", "benign", "negative"}
WORDS = {**dict.fromkeys(POSITIVE, 1), **dict.fromkeys(NEGATIVE, 0)}
THOUSANDS = re.compile(r"[-+]?[0-9]{1,3}(,[0-9]{3})+")
"""Numbers whose commas may part thousands."""
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How files of Excel and LibreOffice begin: XLSX and ODS are ZIP archives, XLS a compound file."""
EXACT = 10**15
"""Numbers of a workbook have 15 digits."""
MOST_SHOWN = 12
"""Labels that a message names: a column of something else has as many as rows."""


def find(documents: Iterable[str], name: str, raw: Path) -> Path:
    """The document called ``name`` (any case, in any folder); raises RawMissingError."""
    matches = sorted(file for file in documents if PurePosixPath(file).name.lower() == name.lower())
    if not matches:
        raise RawMissingError(
            "no such file", file=raw, expected=name, remedy="put it anywhere below the folder"
        )
    return raw / matches[0]


def check_columns(
    path: Path, found: Sequence[str], needed: Iterable[str], columns: Mapping[str, str] | None = None
) -> None:
    """Raise ColumnError naming the needed columns that are missing or repeated, and those found.

    ``columns`` are those that the user calls otherwise; None where a table has the names as published.
    """
    headers = {name: (columns or {}).get(name, name) for name in [*needed, *(columns or {})]}
    missing = {name: header for name, header in headers.items() if found.count(header) != 1}
    if not missing:
        return
    remedy = ""
    if columns is not None:
        near = {name: _nearest(header, found) for name, header in missing.items()}
        meant = ", ".join(f"{name}: {header or '…'}" for name, header in near.items())
        remedy = (
            f"say what they are called, columns: {{{meant}}} in the config, or --columns "
            f"{meant.replace(': ', '=').replace(',', '')} of model.predict, or correct the header"
        )
    expected = ", ".join(name if name == header else f"{header} ({name})" for name, header in missing.items())
    names = ", ".join(map(str, found)) or "none"
    raise ColumnError(f"columns {names}", file=path, expected=expected, remedy=remedy)


def _nearest(header: str, found: Sequence[str]) -> str:
    """The column most like one that is not there; empty where none is alike."""
    # With the same first letter: age looks much like image.
    folded = {name.casefold(): name for name in found if found.count(name) == 1}
    known = {name: folded[name] for name in folded if name[:1] == header.casefold()[:1]}
    close = difflib.get_close_matches(header.casefold(), known, n=1, cutoff=0.7)
    return known[close[0]] if close else ""


def read_table(
    path: Path,
    needed: Iterable[str],
    *,
    numbers: Iterable[str] = (),
    brackets: bool = False,
    columns: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """A CSV in any dialect, or the first sheet of an XLSX workbook, every cell stripped text.

    A CSV may have a byte-order mark, CRLF, and commas, semicolons or tabs. A comma in the columns ``numbers``
    that marks decimals becomes a point. One that may mark thousands is left for :func:`number` to refuse:
    where commas separate, where there are points besides, and in a table with tabs, or a workbook, where all
    look like ``1,234``. With ``brackets`` a quoted heading such as ``Size[Width,Height]`` stands for two
    columns, as it does without the quotes. ``columns`` says by name which header a user's own table has for
    it. Raises ColumnError.
    """
    with path.open("rb") as file:
        start = file.read(4)
    rows, separator = _sheet(path) if start in WORKBOOKS else _lines(path)
    cells: list[list[str]] = []
    _, first = next(rows, (0, []))
    header = [name.strip() for name in first]
    if brackets:
        header = [part for name in header for part in (name.split(",") if "[" in name else [name])]
    check_columns(path, header, needed, columns)
    for line, row in rows:
        stripped = [cell.strip() for cell in row]
        while len(stripped) > len(header) and not stripped[-1]:
            stripped.pop()
        if any(stripped) and len(stripped) != len(header):
            raise ColumnError(f"{len(stripped)}", file=path, expected=f"{len(header)} cells in line {line}")
        cells += [stripped] if any(stripped) else []
    table = pd.DataFrame(cells, columns=header, dtype=str)
    if columns:
        meant = {name: table[header] for name, header in columns.items()}
        table = table.drop(columns=meant.keys() & set(header)).assign(**meant)
    numeric = [name for name in dict.fromkeys(numbers) if name in table.columns]
    if _marks_decimals([cell for name in numeric for cell in table[name]], separator):
        for name in numeric:
            table[name] = table[name].str.replace(",", ".", regex=False)
    return table


def _lines(path: Path) -> tuple[Iterator[tuple[int, list[str]]], str]:
    """The lines of a CSV, numbered, and what separates their cells. Raises ColumnError."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ColumnError(
            str(error),
            file=path,
            expected="UTF-8 text",
            remedy="save the table as UTF-8 (in Excel: CSV UTF-8)",
        ) from error
    first = content.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)

    def lines() -> Iterator[tuple[int, list[str]]]:
        # Strict: a quote that is never closed would swallow all rows after it.
        reader = csv.reader(io.StringIO(content), delimiter=separator, strict=True)
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise ColumnError(f"{error} in line {reader.line_num}", file=path, expected="a CSV") from error

    return lines(), separator


def _sheet(path: Path) -> tuple[Iterator[tuple[int, list[str]]], str]:
    """The same of the first sheet of a workbook; its numbers have no commas, and its texts those of tabs."""
    sheet = _excel(path, header=None, na_filter=False)
    rows = [[_cell(cell) for cell in row] for row in sheet.itertuples(index=False)]
    while rows and not rows[0][-1].strip() and not any(row[-1].strip() for row in rows):
        rows = [row[:-1] for row in rows]
    return iter(enumerate(rows, start=1)), "\t"


def _cell(cell: object) -> str:
    """A cell as text. Of whole numbers of more than 15 digits the program that wrote them lost the last."""
    if isinstance(cell, int | float) and abs(cell) >= EXACT:
        return f"{cell:.5E}"
    return text(cell)


def _marks_decimals(cells: Sequence[str], separator: str) -> bool:
    """Whether a comma in the numbers of a table marks decimals for certain, not thousands."""
    if separator == "," or any("." in cell for cell in cells):
        return False
    # Software writes semicolons where the comma marks decimals; tabs it writes anywhere.
    return separator == ";" or any("," in cell and not THOUSANDS.fullmatch(cell) for cell in cells)


def read_xlsx(path: Path, needed: Sequence[str]) -> pd.DataFrame:
    """The first sheet of a workbook, its cells as they are, without empty rows and the footnotes below.

    A footnote is a row after the last one that fills any of the ``needed`` columns but the first; a row with
    gaps above that is kept, so that its finding can be listed with the reason. Raises ColumnError.
    """
    table = _excel(path)
    table.columns = table.columns.map(lambda name: str(name).strip())
    check_columns(path, list(table.columns), needed)
    filled = table[list(needed)].map(lambda cell: bool(text(cell))).to_numpy(bool)
    last = np.flatnonzero(filled[:, 1:].any(axis=1)).max(initial=-1)
    return table[filled.any(axis=1) & (np.arange(len(table)) <= last)]


def _excel(path: Path, **how: Any) -> pd.DataFrame:
    """The first sheet of a workbook. Raises ColumnError."""
    pd.array(["a"], dtype="str")  # at its first use Arrow takes 1 GiB of addresses, which no file asked for
    try:
        with warnings.catch_warnings(), limited(path):
            # The published LUNGx workbooks carry an extension that openpyxl drops; it holds no cell.
            warnings.filterwarnings("ignore", "Unknown extension is not supported", UserWarning)
            table = pd.read_excel(path, sheet_name=0, dtype=object, engine="openpyxl", **how)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # zip, zlib, XML and openpyxl each raise their own, also mere OSErrors
        if isinstance(error, OSError) and (told := of_system(error, path)):
            raise told from error
        kind = "" if isinstance(error, ValueError | KeyError) else f"{type(error).__name__}: "
        found = f"an unreadable workbook ({kind}{error})"
        raise ColumnError(found, file=path, expected="an XLSX file") from error
    return table


def text(cell: object) -> str:
    """A cell of a workbook as text: empty for an empty one, and 3 for 3.0, as a column with gaps has it."""
    if cell is None or cell != cell:
        return ""
    return str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell).strip()


def whole(value: float) -> str:
    """A whole number that a table keeps as a float; NaN is the empty text."""
    return "" if math.isnan(value) else f"{value:.0f}"


def number(cell: object, path: Path) -> float:
    """A finite number; raises LabelError, also for a comma, which may mark decimals or thousands."""
    try:
        # Python reads 1_000 as a number; no spreadsheet does.
        value = math.nan if "_" in str(cell) else float(str(cell).strip())
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        comma = ", with a point for its decimals" if "," in str(cell) else ""
        raise LabelError(repr(cell), file=path, expected=f"a number{comma}", remedy="correct the cell")
    return value


def word(cell: object) -> str:
    """A label as it is compared: without case, blanks around it, and the ``.0`` of a spreadsheet's number.

    >>> word(" Benign\u00a0 tumour"), word("1.0"), word("1.5")
    ('benign tumour', '1', '1.5')
    """
    folded = " ".join(unicodedata.normalize("NFKC", str(cell)).casefold().split())
    return folded.removesuffix(".0") if re.fullmatch(r"[-+]?[0-9]+\.0", folded) else folded


def binary(cell: object, path: Path, words: Mapping[str, int] | None = None) -> int:
    """1 or 0 from the words for positive and negative, however written; raises LabelError."""
    known = words or WORDS
    if word(cell) not in known:
        raise LabelError(repr(cell), file=path, expected=f"one of {', '.join(sorted(known))}")
    return known[word(cell)]


def numbers(
    cells: Sequence[str], path: Path, words: Mapping[str, int] | None = None, *, unknown: int | None = None
) -> list[int]:
    """The same of a user's column, in which every label has to be known; ``words`` are the user's own.

    ``unknown`` is what an empty cell means, where there may be any. Raises LabelError, with all labels that
    there are and how often: a class is never dropped for its name.
    """
    known = WORDS if words is None else {word(name): label for name, label in words.items()}
    if unknown is not None:
        known = {**known, "": unknown}
    folded = [word(cell) for cell in cells]
    if known.keys() >= set(folded):
        return [known[name] for name in folded]
    counts = Counter(cells).most_common()
    shown = ", ".join(f"{cell or 'nothing'} ({count})" for cell, count in counts[:MOST_SHOWN])
    more = f" and {len(counts) - MOST_SHOWN} more" if len(counts) > MOST_SHOWN else ""
    spelt = {word(cell): cell for cell, _ in reversed(counts) if cell}
    remedy = "fill in those that are empty, or take these rows out"
    if spelt.keys() - known.keys():
        meant = ", ".join(
            f'"{cell}": {known.get(name, "…")}' for name, cell in sorted(spelt.items())[:MOST_SHOWN]
        )
        more_classes = len(spelt) > 2 and unknown is None and max(known.values()) < 2 and not words
        which = "which are 0, which are 1, and so on" if more_classes else "which are 0 and which are 1"
        remedy = f"say in the config {which}: labels: {{{meant}}}"
    expected = f"labels {', '.join(filter(None, sorted(known)) if words is None else words)}"
    raise LabelError(f"{shown}{more}", file=path, expected=expected, remedy=remedy)


def unique_ids(keys: Sequence[tuple[str, str]]) -> list[str]:
    """Finding ids from (patient, id) pairs; repeated ones get a, b … in their order.

    >>> unique_ids([("p", "1"), ("p", "2"), ("p", "1"), ("q", "1")])
    ['1a', '2', '1b', '1']
    """
    counts, taken = Counter(keys), set(keys)
    letters = {key: _letters() for key in counts}
    names = []
    for patient, name in keys:
        if counts[patient, name] > 1:
            repeated = (name + letter for letter in letters[patient, name])
            name = next(new for new in repeated if (patient, new) not in taken)
        names.append(name)
    return names


def _letters() -> Iterator[str]:
    """Every text of lower-case letters, the shorter first: a … z, aa, ab …."""
    for length in itertools.count(1):
        yield from map("".join, itertools.product(string.ascii_lowercase, repeat=length))


def repeats(keys: Sequence[Hashable], labels: Sequence[str]) -> list[DuplicateFindingError | None]:
    """For each row the reason to leave it out: an earlier one says the same, or another contradicts it.

    ``keys`` say which finding a row is about. Of rows that agree the first is kept, of others none.
    """
    rows: dict[Hashable, list[int]] = {}
    for number, key in enumerate(keys):
        rows.setdefault(key, []).append(number)
    reasons: list[DuplicateFindingError | None] = [None] * len(keys)
    for same in rows.values():
        agree = len({labels[number] for number in same}) == 1
        for number in same[1:] if agree else same:
            found = f"{len(same)} rows that {'repeat' if agree else 'contradict'} each other"
            reasons[number] = DuplicateFindingError(found, expected="one row per finding")
    return reasons
