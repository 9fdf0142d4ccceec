"""Gradient flow: whether every layer learns (thesis 5.2.4)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter

from model.report.drawing import COLOURS, STYLE, figure, save
from pipeline.cli import run_cli
from pipeline.errors import EmptyError
from pipeline.files import read_csv

COLUMNS = ("phase", "epoch", "batch", "dataset", "layer", "mean", "max")
MEAN, MAX, BROKEN = COLOURS[0], COLOURS[5], COLOURS[1]


def read_gradients(path: Path) -> pd.DataFrame:
    """A gradients.csv with its numbers as numbers; an empty cell is NaN."""
    table = read_csv(path)
    return table.assign(mean=pd.to_numeric(table["mean"]), max=pd.to_numeric(table["max"]))


def gradient_flow(table: pd.DataFrame) -> Figure:
    """Mean and largest |gradient| of each layer, a panel per step and data set.

    Parameters
    ----------
    table : the columns of gradients.csv; layers in the order of the network. A mean of 0 is a black bar,
        one that is not finite an orange one.

    Raises
    ------
    ValueError : a table without rows.
    """
    if table.empty:
        raise ValueError("no gradients to draw")
    parts = list(table.groupby(["phase", "epoch", "batch", "dataset"], sort=False))
    most = max(len(part) for _, part in parts)
    made = figure(max(6.5, 0.24 * most + 1.6), 1.1 + 3.1 * len(parts))
    for axes, ((phase, epoch, batch, dataset), part) in zip(
        made.subplots(len(parts), 1, squeeze=False)[:, 0], parts, strict=True
    ):
        _panel(axes, part)
        axes.set_title(f"{phase}, epoch {epoch}, batch {batch}, {dataset}", loc="left")
    kinds = {"mean": MEAN, "largest": MAX, "zero": "black", "not finite": BROKEN}
    made.legend(handles=[Patch(color=colour, label=name) for name, colour in kinds.items()],
                loc="outside upper right", ncols=len(kinds))  # fmt: skip
    return made


def _panel(axes: Axes, part: pd.DataFrame) -> None:
    means, largest = part["mean"].to_numpy(float), part["max"].to_numpy(float)
    places = np.arange(len(part))
    broken = ~(np.isfinite(means) & np.isfinite(largest))
    zero = ~broken & (means == 0)
    rest = ~broken & ~zero
    floor, top = (means[rest].min() / 3, largest[rest].max() * 2) if rest.any() else (1e-6, 1.0)
    axes.set_yscale("log")
    axes.set_ylim(floor, top)
    # matplotlib's powers of ten are mathematical text, which STYLE leaves as it is.
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.bar(places[rest], largest[rest] - floor, bottom=floor, color=MAX, width=0.8)
    axes.bar(places[rest], means[rest] - floor, bottom=floor, color=MEAN, width=0.8)
    axes.bar(places[zero], (top / floor) ** 0.05 * floor - floor, bottom=floor, color="black", width=0.8)
    axes.bar(places[broken], top - floor, bottom=floor, color=BROKEN, width=0.8)
    axes.set_xticks(places, list(part["layer"]), rotation=90, fontsize=7)
    axes.set_xlim(-0.7, len(part) - 0.3)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("|gradient|")


def draw_gradient_flow(table: pd.DataFrame, out: str | Path) -> None:
    """Write the figure of a table with the columns of gradients.csv, such as of a batch whose loss is NaN."""
    with mpl.rc_context(STYLE):
        save(gradient_flow(table), out)


def chosen(table: pd.DataFrame, steps: Sequence[str], file: Path) -> pd.DataFrame:
    """The rows of the steps ``phase/epoch/batch`` of a gradients.csv; all of them where none is named.

    Raises EmptyError with the steps that were recorded.
    """
    names = table["phase"] + "/" + table["epoch"] + "/" + table["batch"]
    rows = table[names.isin(steps)] if steps else table
    missing = [step for step in steps if step not in set(names)]
    if missing or rows.empty:
        raise EmptyError(
            ", ".join(dict.fromkeys(names)) or "none", file=file,
            expected=f"step {', '.join(missing)}" if missing else "a recorded step",
            remedy="name it in evaluation/gradients of the config, and train again",
        )  # fmt: skip
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the steps that a run recorded."""
    parser = argparse.ArgumentParser(prog="python -m model.report.gradients", description=__doc__)
    parser.add_argument("--gradients", type=Path, required=True, metavar="CSV", help="gradients.csv of a run")
    parser.add_argument(
        "--step", nargs="*", default=[], metavar="PHASE/EPOCH/BATCH", help="steps to draw; default: all"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="PNG", help="picture to write")
    args = parser.parse_args(argv)
    draw_gradient_flow(chosen(read_gradients(args.gradients), args.step, args.gradients), args.out)


if __name__ == "__main__":
    run_cli(main)
