"""One table as CSV, Markdown, LaTeX and HTML, with the same text in every cell.

A reader of the CSV and a reader of the paper see the same digits, and what was text in one is text in all:
no spreadsheet takes a name for a formula, no page takes it for markup.
"""

import argparse
import html
import math
import re
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, SupportsFloat

import pandas as pd

from pipeline.files import NUMBER, write_csv, write_text
from pipeline.report import page

SUFFIXES = (".csv", ".md", ".tex", ".html")
_WIDE, _SIGNS = 8, 95
"""Columns, and signs in a row, that fit on a page as they are."""
_LONG = 40
"""A column of longer cells is broken into lines."""
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "−": "$-$", "×": r"$\times$",
    "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$", "≠": r"$\neq$", "≈": r"$\approx$", "·": r"$\cdot$",
    "√": r"$\surd$", "Δ": r"$\Delta$", "…": r"\ldots{}", "†": r"\textdagger{}", "‡": r"\textdaggerdbl{}",
}  # fmt: skip
"""What LaTeX with 8-bit input would run, lose or print as something else."""


def text(value: Any, spec: str | None = None) -> str:
    """What stands in a cell: nothing for None and NaN, ``[low, high]`` for a pair of numbers.

    Without ``spec`` (a format such as ``.3f``) a number keeps four decimals, one from 10 on, none from 1,000
    on, and two significant digits below .001; a whole number is written out.

    >>> text(0.91666), text((-0.04, 0.1)), text(7200.4), text(3e-4), text(12), text(None)
    ('0.9167', '[-0.0400, 0.1000]', '7200', '0.0003', '12', '')
    """
    if isinstance(value, tuple | list):
        return f"[{', '.join(text(part, spec) for part in value)}]"
    if value is None or value is pd.NA or (isinstance(value, Integral | SupportsFloat) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or type(value).__name__ == "bool":  # of numpy, which is no bool
        return "yes" if value else "no"
    if isinstance(value, Integral | SupportsFloat):
        # A column of whole numbers that lacks one holds floats.
        number = int(value) if isinstance(value, Integral) else float(value)
        made = format(round(number) if spec == "d" else number, spec or _spec(number))
        return made.lstrip("-") if NUMBER.fullmatch(made) and float(made) == 0 else made
    return " ".join(str(value).split())


def _spec(value: float) -> str:
    if isinstance(value, int):
        return "d"
    if 0 < abs(value) < 0.001:
        return ".2g"
    return ".4f" if abs(value) < 10 else ".1f" if abs(value) < 1000 else ".0f"


def add_out(parser: argparse.ArgumentParser, beside: str = ".md, .tex and .html") -> None:
    """Add the option for the CSV of a table, beside which :func:`write_table` writes the others."""
    parser.add_argument(
        "--out", type=Path, required=True, metavar="CSV", help=f"table to write, with {beside} beside it"
    )


def write_table(
    frame: pd.DataFrame, stem: str | Path, caption: str, notes: Sequence[str] = (), *,
    formats: Mapping[str, str] | None = None, suffixes: Collection[str] = SUFFIXES,
) -> None:  # fmt: skip
    """Write ``{stem}.csv``, ``.md``, ``.tex`` and ``.html``, or some of them, each whole or not at all.

    Parameters
    ----------
    frame : columns in their order; the index is left out. Cells: see ``text``.
    stem : path without suffix. Its name is the label of the LaTeX table: ``tab:{name}``.
    caption, notes : above and below the table; a CSV has cells only.
    formats : format of the numbers of a column, where that of ``text`` does not do.
    suffixes : of SUFFIXES, the files that are wanted.

    Raises
    ------
    ValueError : two columns of one name.
    """
    if frame.columns.has_duplicates:
        raise ValueError(f"columns of one name: {', '.join(map(str, frame.columns))}")
    stem = Path(stem)
    names = [text(name) for name in frame.columns]
    specs = [(formats or {}).get(name) for name in frame.columns]
    rows = [
        [text(value, spec) for value, spec in zip(row, specs, strict=True)]
        for row in frame.astype(object).itertuples(index=False, name=None)
    ]
    right = [page.flush_right([row[number] for row in rows]) for number in range(len(names))]
    path = {suffix: stem.with_name(stem.name + suffix) for suffix in suffixes}
    cells = [dict(zip(names, row, strict=True)) for row in rows]
    if ".csv" in path:
        write_csv(path[".csv"], names, cells)
    if ".md" in path:
        write_text(path[".md"], as_markdown(names, rows, right, caption, notes))
    if ".tex" in path:
        write_text(path[".tex"], as_latex(names, rows, right, caption, notes, stem.name))
    if ".html" in path:
        write_text(path[".html"], page.page(caption, [page.table(names, cells), page.bullets(notes)]))


def as_markdown(
    names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], caption: str,
    notes: Sequence[str],
) -> str:  # fmt: skip
    """A pipe table under its caption, its notes as a list."""
    grid = [[marked(cell) for cell in row] for row in (names, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*grid, strict=True)]
    lines = [
        "| " + " | ".join(
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        ) + " |"
        for row in grid
    ]  # fmt: skip
    rule = ["-" * (width - 1) + (":" if flush else "-") for width, flush in zip(widths, right, strict=True)]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    below = ["", *(f"- {marked(note)}" for note in notes)] if notes else []
    return "\n".join([f"**{marked(caption)}**", "", *lines, *below]) + "\n"


def marked(cell: str) -> str:
    """Text that Markdown shows as it is."""
    flat = html.escape(" ".join(cell.split()), quote=False)
    return re.sub(r"([\\`*|])", r"\\\1", flat).replace("](", "]\\(")


def as_latex(
    names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], caption: str,
    notes: Sequence[str], label: str,
) -> str:  # fmt: skip
    """A ``table`` for the package booktabs, its notes below in small type.

    Columns of long text have lines of their own; a table that is still wider than the page is shrunk to the
    width of the text, for which it needs graphicx.
    """
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    wide = len(names) > _WIDE or sum(min(width, _LONG) + 2 for width in widths) > _SIGNS
    shrunk = [r"  \resizebox{\textwidth}{!}{%"] if wide else []
    kinds = [
        r"p{0.4\textwidth}" if width > _LONG else "r" if flush else "l"
        for width, flush in zip(widths, right, strict=True)
    ]
    body = ["  " + " & ".join(map(_escaped, row)) + r" \\" for row in rows]
    small = [rf"  \par\smallskip\footnotesize {_escaped(note)}" for note in notes]
    lines = [
        r"\begin{table}", r"  \centering", rf"  \caption{{{_escaped(caption)}}}",
        rf"  \label{{tab:{re.sub('[^A-Za-z0-9-]+', '-', label)}}}", *shrunk,
        rf"  \begin{{tabular}}{{{''.join(kinds)}}}", r"  \toprule",
        "  " + " & ".join(map(_escaped, names)) + r" \\", r"  \midrule", *body, r"  \bottomrule",
        rf"  \end{{tabular}}{'}' * len(shrunk)}", *small, r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _escaped(cell: str) -> str:
    """Text that LaTeX prints as it is, with a minus instead of a hyphen before a number."""
    signed = re.sub(r"(?<![\w.)\]])-(?=\.?\d)", "−", " ".join(cell.split()))
    # A bracket or star right after \\ would be taken for its argument.
    first = f"{{{signed[0]}}}" if signed.startswith(("[", "*")) else ""
    return first + "".join(_LATEX.get(sign, sign) for sign in signed[1 if first else 0 :])
