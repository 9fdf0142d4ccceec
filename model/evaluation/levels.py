"""Of each finding the level of columns that people ask about: age, sex, scanner, site, size.

Columns are of a table of the user's, by patient or by finding, and of what the index of the raw files and
findings.csv say. Nothing here knows a label or a score.
"""

import itertools
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import ConfigError
from pipeline.files import read_csv
from pipeline.readers import labels
from pipeline.readers.index import read_index
from pipeline.splits.people import person

log = logging.getLogger("typhon")

KEY = ["patient_id", "finding_id"]
UNKNOWN, OTHER = "(unknown)", "(other)"
FEW = 8
"""A column of numbers with more different ones is cut into ranges."""
MOST = 12
"""Levels of a column; the rarest beyond them are taken together."""
EXACT = 17
"""Significant digits that write any number without loss."""


def known(
    findings: Path, index: Path, table: Path | None, names: Mapping[str, str], asked: Collection[str] = ()
) -> pd.DataFrame:
    """All columns there are, a row per finding: KEY, then text, empty where unknown.

    Parameters
    ----------
    table : of the user's: patient_id, where it tells findings apart finding_id, and columns.
    names : its headers by our names, where they differ.
    asked : its columns in which a comma may mark decimals, if all that they hold are numbers.

    Raises
    ------
    ColumnError : the table has no patient_id, or its header is no header.
    ConfigError : it has a patient or finding twice.
    """
    rows = read_csv(findings).drop_duplicates(KEY)
    of_files = read_index(index).drop_duplicates("file").drop(columns=KEY, errors="ignore")
    more = [name for name in of_files if name == "file" or name not in rows]
    found = rows.merge(of_files[more], "left", "file")
    if table is None:
        return found
    own = of_people(table, names)
    numbers = [name for name in asked if name in own and _are_numbers(own[name][own[name] != ""]).all()]
    own, keys = of_people(table, names, numbers), [name for name in KEY if name in own]
    there = found[[name for name in found if name in KEY or name not in own]]
    joined = there.assign(person=there["patient_id"].map(person)).merge(
        own.rename(columns={"patient_id": "person"}), "left", ["person", *keys[1:]]
    )
    return joined.drop(columns="person")


def of_people(table: Path, names: Mapping[str, str], numbers: Collection[str] = ()) -> pd.DataFrame:
    """A user's table of patients, or of findings where it has finding_id; as :func:`known` reads it.

    ``numbers`` are columns in which a comma may mark decimals. Raises what that raises.
    """
    own = labels.read_table(table, ["patient_id"], columns=names, numbers=numbers)
    keys = [name for name in KEY if name in own]
    own = own.assign(patient_id=own["patient_id"].map(person))
    if own.duplicated(keys).any():
        row = own[own.duplicated(keys)].iloc[0]
        raise ConfigError(
            " ".join(f"{name} {row[name]}" for name in keys) + " twice", file=table,
            expected="a row per patient, or per finding with a column finding_id", remedy="leave one of them",
        )  # fmt: skip
    return own


def levels(found: pd.DataFrame, columns: Sequence[str], cuts: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """KEY, and of each of ``columns`` the level that a finding has, as text.

    Numbers are cut at ``cuts``, else into thirds if there are more than FEW different ones.

    Raises
    ------
    ConfigError : there is no such column, or cuts are of one that holds no numbers.
    """
    if missing := [name for name in [*columns, *cuts] if name not in found]:
        raise ConfigError(
            ", ".join(missing), file="subgroups",
            expected=f"columns among {', '.join(name for name in found if name not in KEY)}",
            remedy="correct the name, or name a table that has it: subgroups/table",
        )  # fmt: skip
    for name in columns:
        warn_of_words(name, found[name])
    return found[KEY].assign(**{name: _levels(found[name], cuts.get(name)) for name in columns})


def warn_of_words(name: str, values: pd.Series) -> None:
    """Log a column that counts as words although more than half of its cells are numbers."""
    cells = values[values.notna()].astype(str).str.strip()
    cells = cells[cells != ""]
    words, numbers = pd.to_numeric(cells, errors="coerce").isna(), _are_numbers(cells)
    if words.any() and 2 * numbers.sum() > len(cells):
        other = cells[words & ~numbers] if (words & ~numbers).any() else cells[words]
        log.warning(
            "%s counts as words because of %r, but %d of %d cells are numbers: empty or correct that cell, "
            "and write decimals with a point", name, other.iloc[0], numbers.sum(), len(cells),
        )  # fmt: skip


def _are_numbers(cells: pd.Series) -> pd.Series:
    """Whether each cell is a number, with a point or a comma for its decimals."""
    return pd.to_numeric(cells.str.replace(",", ".", regex=False), errors="coerce").notna()


def order(values: pd.Series) -> list[str]:
    """The levels of a column: ranges from low to high, words by the alphabet, unknown ones last."""

    def place(level: str) -> tuple[bool, float, str]:
        number = pd.to_numeric(level.split()[-1], errors="coerce")
        below = -0.5 if level.startswith("<") else 0.0
        return level in (UNKNOWN, OTHER), below + float(np.nan_to_num(number, nan=np.inf)), level

    return sorted(values.unique(), key=place)


def _levels(values: pd.Series, cuts: Sequence[float] | None) -> pd.Series:
    cells = values.astype(object).where(values.notna(), "").astype(str).str.strip()
    numbers = pd.to_numeric(cells.where(cells != "", None), errors="coerce")
    numeric = bool((numbers.notna() | (cells == "")).all() and numbers.notna().any())
    if cuts is not None and not numeric:
        words = [cell for cell in cells if cell and pd.isna(pd.to_numeric(cell, errors="coerce"))]
        raise ConfigError(
            words[0] if words else "no value",
            file=f"subgroups/cuts/{values.name}",
            expected="a column of numbers",
        )
    if numeric and (cuts is not None or numbers.nunique() > FEW):
        thirds = [_rounded(edge, numbers) for edge in numbers.quantile([1 / 3, 2 / 3])]
        return _ranges(numbers, sorted({*(thirds if cuts is None else cuts)}))
    if numeric:
        cells = numbers.map(lambda number: UNKNOWN if pd.isna(number) else f"{number:g}")
    cells = cells.where(cells != "", UNKNOWN)
    kept = cells.value_counts().index[:MOST]
    return cells.where(cells.isin(kept), OTHER)


def _rounded(edge: float, numbers: pd.Series) -> float:
    """The edge with three significant digits, or with as many more as keep each number on its side."""
    few = (float(f"{edge:.{digits}g}") for digits in range(3, EXACT))
    return next((cut for cut in few if ((numbers >= cut) == (numbers >= edge)).all()), edge)


def _text(edge: float) -> str:
    """The edge with six significant digits, or with as many more as tell it from any other number."""
    few = (f"{edge:.{digits}g}" for digits in range(6, EXACT))
    return next((text for text in few if float(text) == edge), f"{edge:.{EXACT}g}")


def _ranges(numbers: pd.Series, edges: Sequence[float]) -> pd.Series:
    between = [f"{_text(low)} to < {_text(high)}" for low, high in itertools.pairwise(edges)]
    texts = [f"< {_text(edges[0])}", *between, f"from {_text(edges[-1])}"]
    places = np.searchsorted(edges, numbers.fillna(edges[0]), "right")
    return pd.Series(np.array(texts, object)[places], numbers.index).where(numbers.notna(), UNKNOWN)
