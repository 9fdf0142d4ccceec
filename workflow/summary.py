"""What came out of a run, for a terminal: short tables of results and differences."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HEADING = ("method", "target", "test AUROC", "95 % interval", "findings", "splits", "seeds", "device")
DIFFERENCES = ("paired difference", "AUROC", "95 %, patients", "95 %, splits")


def summary(folder: Path) -> str:
    """A line per ``results/{method}_auc.json`` below ``folder``, and one per row of ``differences.csv``.

    The differences are left out where a result was made after them, of other splits perhaps.
    """
    results = sorted(folder.glob("results/*_auc.json"))
    tables = [table([HEADING, *(_row(result) for file in results if (result := _read(file)))])]
    file = folder / "results" / "differences.csv"
    if file.exists() and all(file.stat().st_mtime >= result.stat().st_mtime for result in results):
        with file.open(encoding="utf-8", newline="") as lines:
            tables.append(table([DIFFERENCES, *(_difference(row) for row in csv.DictReader(lines))]))
    return "\n\n".join(tables)


def _read(file: Path) -> dict[str, Any] | None:
    """A result; None for a file that is none, such as one that was cut short."""
    try:
        result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return result


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of texts in columns, for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _difference(row: Mapping[str, str]) -> tuple[str, ...]:
    return f"{row['method']} − {row['reference']}", *(
        row[key] for key in ("difference", "ci95", "corrected95")
    )


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    target = result["target"]
    tests = [run for run in result["runs"] if (run["dataset"], run["split"]) == (target, "test")]
    findings = sum({run["fold"]: run["findings"] for run in tests}.values())
    ends = result["ci95"]
    interval = "–".join(map(_number, ends)) if ends else "none"
    if "ci95_kind" not in result:  # a version whose interval meant something else
        interval = "older version"
    counts = [len({run[key] for run in tests}) for key in ("fold", "seed")]
    figures = _number(result["auroc"]), interval, *map(str, [findings, *counts])
    return result["method"], target, *figures, result["device"]


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
