"""The picture of a grid search: a row of points where one key varies, else a heat map."""

import math
import textwrap

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from model.report.drawing import CHANCE, COLOURS, GREY, figure

FIGURE = "validation_auroc"
"""Column of candidates.csv that decides."""
COLOURS_OF_CELLS = "Blues"
MOST_WRITTEN = 400
"""Cells into which a figure is written; in more it could not be read."""


def plot_candidates(table: pd.DataFrame) -> Figure:
    """Draw candidates.csv, whose cells are text: the mean of each candidate's runs, the picked one ringed."""
    keys = list(table.columns[1 : table.columns.get_loc(FIGURE)])
    varied = [key for key in keys if table[key].nunique() > 1] or keys[:1]
    drawn = table.assign(
        value=pd.to_numeric(table[FIGURE]), sd=pd.to_numeric(table["sd"]), runs=pd.to_numeric(table["runs"])
    )
    made = _points(drawn, varied[0]) if len(varied) == 1 else _heat_map(drawn, varied)
    best = table[table["picked"] == "1"].iloc[0]
    settings = ", ".join(f"{key} {best[key]}" for key in keys)
    title = f"candidate {best['candidate']} picked among {len(table)}: {settings}"
    below = f"validation AUROC {float(best[FIGURE]):.3f}, mean of {best['runs']} run"
    title = textwrap.fill(title, int(12 * made.get_figwidth()))
    made.suptitle(f"{title}\n{below}{'' if best['runs'] == '1' else 's'}", x=0.01, ha="left", fontsize=11)
    return made


def _points(table: pd.DataFrame, key: str) -> Figure:
    """A point per candidate with its standard error; the dashed line is one error below the picked one."""
    made = figure(max(5.0, 1.6 + 0.9 * len(table)), 4.4)
    axes = made.add_subplot()
    places = range(len(table))
    errors = table["sd"] / table["runs"].clip(lower=1) ** 0.5
    axes.errorbar(places, table["value"], errors, fmt="o", color=COLOURS[0], markersize=7, capsize=4)
    place = int((table["picked"] == "1").argmax())
    best, error = table["value"].iloc[place], errors.iloc[place]
    axes.plot(place, best, "o", markersize=14, color="black", markerfacecolor="none")
    if not math.isnan(error):
        axes.axhline(best - error, color=GREY, linewidth=1, linestyle=CHANCE)
    for number in np.flatnonzero(table["value"].isna()):
        axes.text(float(number), best, "left out", rotation=90, ha="center", va="top", color=GREY)
    axes.set_xticks(places, table[key])
    axes.set(xlabel=key, ylabel="validation AUROC ± standard error", xlim=(-0.5, len(table) - 0.5))
    return made


def _heat_map(table: pd.DataFrame, keys: list[str]) -> Figure:
    """Columns: the last key. Rows: every combination of the others."""
    *others, last = keys
    rows = list(dict.fromkeys(zip(*(table[key] for key in others), strict=True)))
    columns = list(dict.fromkeys(table[last]))
    made = figure(min(30.0, 2.6 + 1.0 * len(columns)), min(30.0, 1.9 + 0.6 * len(rows)))
    axes = made.add_subplot()
    combined = zip(*(table[key] for key in others), strict=True)
    places = [(columns.index(x), rows.index(y)) for x, y in zip(table[last], combined, strict=True)]
    values = table["value"].set_axis(pd.MultiIndex.from_tuples(places)).unstack(0)
    colours = mpl.colormaps[COLOURS_OF_CELLS].with_extremes(bad="#eeeeee")
    image = axes.imshow(values, cmap=colours, aspect="auto")
    _write(axes, table, places, float(values.min().min()), float(values.max().max()))
    x, y = places[int((table["picked"] == "1").argmax())]
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=2.5))
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), [", ".join(row) for row in rows])
    axes.set(xlabel=last, ylabel=", ".join(others))
    axes.grid(visible=False)
    made.colorbar(image, label="validation AUROC (± sd of the runs)")
    return made


def _write(axes: Axes, table: pd.DataFrame, places: list[tuple[int, int]], low: float, high: float) -> None:
    """Write the figures into their cells, in white on a dark one."""
    if len(table) > MOST_WRITTEN:
        return
    for (x, y), value, sd in zip(places, table["value"], table["sd"], strict=True):
        text = "left out" if math.isnan(value) else f"{value:.3f}"
        text += "" if math.isnan(sd) else f"\n± {sd:.3f}"
        dark = not math.isnan(value) and value > (low + high) / 2
        axes.text(x, y, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
