"""What came out of a run, for a terminal: short tables of results and differences, or the errors."""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import MemoryShortError

HEADING = ("method", "target", "test AUROC", "95 % interval", "findings", "splits", "seeds", "device")
LOG = re.compile(r" +log: (.+?) \(check log file\(s\) for error details\)")
"""Where Snakemake names the log of a job that failed."""
DIFFERENCES = ("paired difference", "AUROC", "95 %, patients", "95 %, splits")


def summary(folder: Path) -> str:
    """A line per ``results/{method}_auc.json`` below ``folder``, and one per row of ``differences.csv``.

    The differences are left out where a result was made after them, of other splits perhaps.
    """
    results = sorted(folder.glob("results/*_auc.json"))
    tables = [table([HEADING, *(_row(json.loads(file.read_text(encoding="utf-8"))) for file in results)])]
    file = folder / "results" / "differences.csv"
    if file.exists() and all(file.stat().st_mtime >= result.stat().st_mtime for result in results):
        with file.open(encoding="utf-8", newline="") as lines:
            tables.append(table([DIFFERENCES, *(_difference(row) for row in csv.DictReader(lines))]))
    return "\n\n".join(tables)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of texts in columns, for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _difference(row: Mapping[str, str]) -> tuple[str, ...]:
    return f"{row['method']} − {row['reference']}", *(
        row[key] for key in ("difference", "ci95", "corrected95")
    )


def failures(logs: Iterable[str]) -> str:
    """The errors with a code in Snakemake's logs of a run, once each: the last that a user reads."""
    lines = [line for log in logs for line in Path(log).read_text(errors="replace").splitlines()]
    told = (line for line in lines if re.match(r"E-[A-Z]+", line))
    killed = (_killed(found[1]) for line in lines if (found := LOG.match(line)))
    return "\n".join(dict.fromkeys(filter(None, [*told, *killed])))


def _killed(log: str) -> str:
    """What to say of the job of a log that breaks off; empty if the log has an end, or there is none."""
    file = Path(log)
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    if not lines or re.match(r"(done|failed with -?\d+) after ", lines[-1]):
        return ""
    remedy = "docs/faq.md, It ran out of memory"
    found = "that the system killed it, for want of memory as a rule"
    return str(MemoryShortError(found, file=log, expected="the end of a job", remedy=remedy))


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
