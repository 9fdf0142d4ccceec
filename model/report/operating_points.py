"""The picture of operating points: the test's ROC curve, and where thresholds of validation lie beside it."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.evaluation.assessed import SCORE, Assessed
from model.evaluation.operating import OperatingPoint
from model.evaluation.ranking import UNITS
from model.evaluation.roc import mean_curve, roc
from model.report.drawing import CHANCE, COLOURS, GREY, entry, figure

Row = Mapping[str, Any]
COLUMNS = 3
"""Panels beside each other."""
SMALLEST = 4.5
"""Marker of the last point; one that lies under others is larger."""


def plot(
    problems: Sequence[Assessed], rows: Sequence[Row], points: Sequence[OperatingPoint], title: str
) -> Figure:
    """A panel per method and problem; ``rows`` are those of the table of operating points."""
    columns = min(COLUMNS, len(problems))
    lines = -(-len(problems) // columns)
    made = figure(1.6 + max(4.2, 3.5 * columns), 0.7 + 3.6 * lines)
    grid = made.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    sizes = np.linspace(SMALLEST + 2.5 * (len(points) - 1), SMALLEST, len(points)).tolist()
    looks = dict(
        zip([point.name for point in points], zip(cycle(COLOURS[1:]), sizes, strict=False), strict=True)
    )
    for axes, one in zip(grid, problems, strict=False):
        axes.set_title(one.called, loc="left")
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=CHANCE)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        if one.gap:
            axes.text(0.5, 0.5, one.gap, ha="center", fontsize="small", wrap=True)
            continue
        folds = one.tested(SCORE) or []
        curves = [roc(fold.labels, scores) for fold in folds for scores in fold.scores]
        axes.plot(*mean_curve(curves), color=COLOURS[0], linewidth=1.4)
        own = [row for row in rows if (row["method"], row.get("class", "")) == (one.method, one.problem)]
        for row in own:
            if row["per"] == UNITS[0] and row.get("sensitivity") is not None:
                _draw(axes, row, *looks[row["point"]])
        for point in points:
            _asked(axes, point, looks[point.name][0])
    for axes in grid[len(problems) :]:
        axes.set_visible(False)
    made.supxlabel("1 − specificity")
    made.supylabel("sensitivity")
    made.suptitle(title, x=0.01, ha="left", fontsize=11)
    handles = [
        entry(name, color=colour, marker="o", markersize=size, linestyle="")
        for name, (colour, size) in looks.items()
    ]
    made.legend(handles=handles, loc="outside right upper", title="threshold by\nvalidation")
    return made


def _draw(axes: Axes, row: Row, colour: str, size: float) -> None:
    """A point with the intervals of both rates."""
    x, y = 1 - row["specificity"], row["sensitivity"]
    low, high = row["specificity95"]
    axes.hlines(y, 1 - high, 1 - low, color=colour, linewidth=1.2)
    axes.vlines(x, *row["sensitivity95"], color=colour, linewidth=1.2)
    axes.plot([x], [y], "o", color=colour, markersize=size, clip_on=False)  # at 1 it would lose its half


def _asked(axes: Axes, point: OperatingPoint, colour: str) -> None:
    """The rate that was asked of validation."""
    style: dict[str, Any] = {"color": colour, "linewidth": 0.8, "linestyle": (0, (1, 2))}
    if point.rate == "sensitivity":
        axes.axhline(point.floor, **style)
    elif point.rate == "specificity":
        axes.axvline(1 - point.floor, **style)
