"""Gradient flow: whether every layer learns (thesis 5.2.4)."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from model.plots import COLOURS, STYLE, figure, save
from pipeline.files import read_csv

COLUMNS = ("phase", "epoch", "dataset", "layer", "mean", "max")
MEAN, MAX, BROKEN = COLOURS[0], COLOURS[5], COLOURS[1]


def read_gradients(path: Path) -> pd.DataFrame:
    """A gradients.csv with its numbers as numbers; an empty cell is NaN."""
    table = read_csv(path)
    return table.assign(mean=pd.to_numeric(table["mean"]), max=pd.to_numeric(table["max"]))


def gradient_flow(table: pd.DataFrame) -> Figure:
    """Mean and largest |gradient| of each layer of one batch, a panel per phase and data set.

    Parameters
    ----------
    table : the columns of gradients.csv; layers in the order of the network. A mean of 0 is a black bar,
        one that is not finite a red one.

    Raises
    ------
    ValueError : a table without rows.
    """
    if table.empty:
        raise ValueError("no gradients to draw")
    parts = list(table.groupby(["phase", "epoch", "dataset"], sort=False))
    most = max(len(part) for _, part in parts)
    made = figure(max(6.5, 0.24 * most + 1.6), 1.1 + 3.1 * len(parts))
    for axes, ((phase, epoch, dataset), part) in zip(
        made.subplots(len(parts), 1, squeeze=False)[:, 0], parts, strict=True
    ):
        _panel(axes, part)
        axes.set_title(f"{phase}, epoch {epoch}, {dataset}", loc="left")
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
