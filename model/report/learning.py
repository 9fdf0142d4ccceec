"""Learning curves: the test AUROC of methods by the number of findings that they may learn from."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from model.report.drawing import COLOURS, STYLE, figure, save
from model.report.tabular import write_table
from pipeline.cli import run_cli
from pipeline.splits.split import LEARNED, read_splits

SPREAD = 0.012
"""Methods of one number of findings stand beside each other, by this share of it."""


def points(methods: Sequence[str], findings: Sequence[int], results: Sequence[Path]) -> list[dict[str, Any]]:
    """A row for each result: method, findings, AUROC over its runs with 95 % interval, splits and runs."""
    rows = []
    for method, number, path in zip(methods, findings, results, strict=True):
        result = json.loads(path.read_text(encoding="utf-8"))
        tested = next(
            part for part in result["summary"]
            if (part["split"], part["dataset"], part["state"]) == ("test", result["target"], result["state"])
        )  # fmt: skip
        rows.append({
            "method": method, "findings": number, "auroc": result["auroc"], "ci95": result["ci95"],
            "splits": tested["folds"], "runs": tested["runs"],
        })  # fmt: skip
    return sorted(rows, key=lambda row: (methods.index(row["method"]), row["findings"]))


def plot(rows: Sequence[dict[str, Any]], target: str, counted: Sequence[str] = LEARNED) -> Figure:
    """A line per method over the findings on a logarithmic axis, with the 95 % interval of each point."""
    made = figure(7.6, 4.8)
    axes = made.add_subplot(xscale="log")
    names = list(dict.fromkeys(row["method"] for row in rows))
    for place, name in enumerate(names):
        own = [row for row in rows if row["method"] == name and row["auroc"] is not None]
        x = np.array([row["findings"] for row in own]) * (1 + SPREAD) ** (place - (len(names) - 1) / 2)
        colour, marker = COLOURS[place % len(COLOURS)], "os^Dv<>P"[place // len(COLOURS) % 8]
        axes.plot(x, [row["auroc"] for row in own], color=colour, marker=marker, markersize=5, label=name)
        for at, row in zip(x, own, strict=True):
            if row["ci95"]:
                axes.plot([at, at], row["ci95"], color=colour, linewidth=1.2, alpha=0.6)
    ticks = sorted({row["findings"] for row in rows})
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    words = " and ".join({"train": "training"}.get(split, split) for split in counted)
    axes.set(xlabel=f"{words} findings of {target}", ylabel="test AUROC per finding")
    axes.set_title("What more findings bring", loc="left")
    axes.legend(loc="lower right")
    return made


def learned_from(splits: Sequence[Path], counted: Sequence[str] = LEARNED) -> int:
    """How many findings there are to learn from in these splits, mean over split tables."""
    return round(np.mean([read_splits(path)["split"].isin(counted).sum() for path in splits]))


def add_counted(parser: argparse.ArgumentParser) -> None:
    """Add the option that says which splits :func:`learned_from` counts."""
    parser.add_argument(
        "--counted",
        nargs="+",
        choices=LEARNED,
        default=list(LEARNED),
        help="splits whose findings the numbers count",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Write the learning curves as a table and a picture."""
    parser = argparse.ArgumentParser(prog="python -m model.report.learning", description=main.__doc__)
    parser.add_argument("--target", required=True, help="name of the data set")
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="…_auc.json of each point")
    parser.add_argument("--methods", nargs="+", required=True, help="method of each point")
    parser.add_argument(
        "--findings",
        type=int,
        nargs="+",
        required=True,
        help="findings to learn from at each point; 0 is all",
    )
    parser.add_argument(
        "--splits", type=Path, nargs="+", required=True, help="splits of the target, all folds"
    )
    add_counted(parser)
    parser.add_argument("--out", type=Path, required=True, help="curve.csv; other tables beside it")
    parser.add_argument("--picture", type=Path, required=True, help="PNG to write")
    options = parser.parse_args(argv)
    everything = learned_from(options.splits, options.counted)
    rows = points(options.methods, [number or everything for number in options.findings], options.results)
    caption = f"Test AUROC of {options.target} by findings to learn from, mean over splits and seeds"
    formats = {"auroc": ".3f", "ci95": ".3f"}
    write_table(pd.DataFrame(rows), options.out.with_suffix(""), caption, formats=formats)
    with mpl.rc_context(STYLE):
        save(plot(rows, options.target, options.counted), options.picture)


if __name__ == "__main__":
    run_cli(main)
