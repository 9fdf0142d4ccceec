"""What the study says with all findings to learn from, in one table that can be cited."""

from typing import Any

import pandas as pd

from model.report.tabular import text
from workflow.study.cells import ALL

OTHERS = ("leaky", "related")
"""Families that are tables of their own."""
TOGETHER = "over targets"
LEVEL = 0.05
NOTES = [
    "AUROCs have the 95 % interval for other patients, differences the corrected one over splits. AUROCs are"
    " of the splits that a family's primary comparison has, differences of all that both methods have.",
    "An asterisk: better or worse by both tests, after Holm. Over targets: random effects, without brain.",
]


def table(areas: pd.DataFrame, differences: pd.DataFrame, combined: pd.DataFrame) -> pd.DataFrame:
    """A row for each method, then for each difference; a column for each target, and for all of them."""
    rows: dict[str, dict[str, str]] = {}
    if len(areas):
        whole = areas["findings"] == areas.groupby("target")["findings"].transform("max")
        for row in areas[whole & ~areas["family"].isin(OTHERS)].to_dict("records"):
            own = rows.setdefault(row["method"], {"splits": text(row["splits"])})
            own[row["target"]] = _cell(row["auroc"], row["ci95"], ".3f")
    targets = [
        name for name in dict.fromkeys(key for row in rows.values() for key in row) if name != "splits"
    ]
    for row in _with_all(differences):
        better = all((row[name] or 1.0) < LEVEL for name in ("holm_delong", "holm_corrected"))
        cell = _cell(row["difference"], row["corrected95"], "+.3f")
        own = rows.setdefault(_name(row), {"splits": text(row["splits"])})
        own[row["target"]] = cell + "*" * better
    for row in _with_all(combined):
        rows[_name(row)].setdefault(TOGETHER, _cell(row["difference"], row["ci95"], "+.3f"))
    columns = ["splits", *targets, *([TOGETHER] if len(combined) else [])]
    return pd.DataFrame([
        {"method": name, **{column: row.get(column, "") for column in columns}} for name, row in rows.items()
    ])  # fmt: skip


def _with_all(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Those with all findings, of families that are tests."""
    if not len(rows):
        return []
    return rows[(rows["findings"] == ALL) & ~rows["family"].isin(OTHERS)].to_dict("records")


def _name(row: dict[str, Any]) -> str:
    return f"{row['method']} − {row['reference']}"


def _cell(value: float, interval: tuple[float, float] | None, spec: str) -> str:
    shown = text(value, spec) + (f" {text(interval, spec)}" if interval else "")
    return shown.replace("-", "−")
