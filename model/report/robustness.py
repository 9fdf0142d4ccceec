"""The picture of robustness: for each corruption the AUROC of each method over its strength."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from model.inference.corruptions import CLEAN, CORRUPTIONS
from model.report.drawing import COLOURS, draw_chance, figure

Row = Mapping[str, Any]
COLUMNS = 3
"""Panels beside each other."""
APART = 0.06
"""Between methods, of the distance between two strengths, so that no interval hides another."""


def plot(rows: Sequence[Row], title: str) -> Figure:
    """A panel per corruption: AUROC with its interval over strengths, which stand at equal distances."""
    made = figure(3.5 * COLUMNS, 7.0)
    grid = made.subplots(-(-len(CORRUPTIONS) // COLUMNS), COLUMNS, sharey=True).ravel()
    methods = list(dict.fromkeys(row["method"] for row in rows))
    for axes, (name, corruption) in zip(grid, CORRUPTIONS.items(), strict=False):
        draw_chance(axes, label="chance")
        for number, (method, colour) in enumerate(zip(methods, cycle(COLOURS), strict=False)):
            shown = [row for row in rows if row["method"] == method and row["corruption"] in (CLEAN[0], name)]
            own = [row for row in shown if row.get("auroc") is not None]
            areas, ends = [row["auroc"] for row in own], np.array([row["auroc95"] for row in own])
            places = np.arange(len(own)) + APART * (number - (len(methods) - 1) / 2)
            label = method if own else f"{method}: a test set holds one class"
            axes.plot(places, areas, marker="o", markersize=4, color=colour, linewidth=1.6, label=label)
            if own:
                axes.vlines(places, *ends.T, color=colour, linewidth=1, alpha=0.6)
        axes.set_xticks(
            range(len(corruption.strengths) + 1), [f"{one:g}" for one in (0, *corruption.strengths)]
        )
        axes.set(title=name, xlabel=corruption.unit)
        axes.grid(visible=False, axis="x")
    for axes in grid[::COLUMNS]:
        axes.set_ylabel("AUROC, 95 %")
    last = grid[len(CORRUPTIONS)]
    last.set_axis_off()
    last.legend(*grid[0].get_legend_handles_labels(), loc="upper left")
    made.suptitle(title, x=0.01, ha="left", fontsize=11)
    return made
