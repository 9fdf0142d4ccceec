"""What all figures share: colours, style, lines of several runs, and PNG files without a clock."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.files import atomic

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Told apart with every kind of colour vision (Okabe & Ito 2008)."""
GREY = "#8a8a8a"
CHANCE = (0, (4, 3))
DASHES: tuple[tuple[Literal["-", ":"], str], ...] = (("-", "validation"), (":", "train"))
COLOUR_OF = {"train": COLOURS[1], "validation": COLOURS[0]}
PUBLISHED = {"train": "#c6c6c6", "validation": GREY}
STYLE: dict[Any, Any] = {
    "font.size": 10, "axes.titlesize": 11, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#e6e6e6", "grid.linewidth": 0.8, "axes.axisbelow": True,
    "legend.frameon": False, "figure.dpi": 110, "savefig.dpi": 160, "svg.hashsalt": "typhon",
    "text.parse_math": False,
}  # fmt: skip
DENSE = 15
"""A curve with fewer points than this shows each of them."""
FEW_RUNS = 5
"""More runs than this become a band."""


def figure(width: float, height: float) -> Figure:
    """An empty figure of this many inches; no window and no global state, so it works in any process."""
    return Figure((width, height), layout="constrained")


def save(made: Figure, path: str | Path) -> None:
    """Write a PNG atomically; the same figure gives the same bytes."""
    with atomic(path) as beside:
        made.savefig(beside, format="png", metadata={"Software": None})


def panels_of_phases(
    rows: int, phases: int, *, size: tuple[float, float], right: float, bottom: float, top: float
) -> tuple[Figure, np.ndarray]:
    """A figure with a column per phase that touches the next, and its axes (rows, phases).

    ``size`` and the margin to the ``right`` are in inches, ``bottom`` and ``top`` parts of the height.
    """
    made = Figure(size)
    edges = {"left": 0.75 / size[0], "right": 1 - right / size[0], "bottom": bottom, "top": top}
    grid = made.subplots(
        rows, phases, squeeze=False, sharey="row", sharex="col",
        gridspec_kw={"wspace": 0, "hspace": 0.08, **edges},
    )  # fmt: skip
    for axes in grid[:, 1:].flat:  # the line between two phases
        axes.spines["left"].set(color="black", linewidth=1.4)
        axes.tick_params(axis="y", length=0)
    return made, grid


def roc_axes(made: Figure, label: str | None = None) -> Axes:
    """The axes of a ROC curve, with the diagonal of chance."""
    axes = made.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=CHANCE, label=label)
    axes.set(
        xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal"
    )
    return axes


def draw_chance(axes: Axes, **style: Any) -> None:
    """The AUROC of chance, beneath what is drawn."""
    axes.axhline(0.5, color=GREY, linewidth=1, linestyle=CHANCE, **style)


def entry(label: str, **style: Any) -> Line2D:
    """A line of a legend that belongs to several lines of the figure, or to none."""
    return Line2D([], [], label=label, **style)


def spread(values: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Mean over runs at each step, and the standard deviation of runs (0 for a single one)."""
    return values.mean(axis=1), values.std(axis=1, ddof=1).fillna(0.0)


def draw_runs(axes: Axes, x: pd.Series, values: pd.DataFrame, *, width: float = 1.8, **style: Any) -> None:
    """The mean of ``values`` (steps, runs), bold, over each run, thin, or over mean ± standard deviation."""
    mean, deviation = spread(values)
    if values.shape[1] > FEW_RUNS:
        draw_band(axes, x, mean, deviation, width=width, **style)
        return
    if values.shape[1] > 1:
        axes.plot(x, values, linewidth=0.7, alpha=0.3, **style)
    _draw_mean(axes, x, mean, width, style)


def draw_band(
    axes: Axes, x: pd.Series, mean: pd.Series | np.ndarray, deviation: pd.Series | np.ndarray, *,
    width: float = 1.8, **style: Any,
) -> None:  # fmt: skip
    """A mean within one standard deviation to either side."""
    edges = mean - deviation, mean + deviation
    axes.fill_between(x, *edges, color=style["color"], alpha=0.15, linewidth=0)
    _draw_mean(axes, x, mean, width, style)


def draw_published(axes: Axes, x: pd.Series, values: pd.DataFrame, split: str) -> None:
    """A curve of somebody else, to lie beneath ours."""
    axes.plot(x, values.mean(axis=1), color=PUBLISHED[split], linewidth=1, zorder=1.8)


def _draw_mean(
    axes: Axes, x: pd.Series, mean: pd.Series | np.ndarray, width: float, style: dict[str, Any]
) -> None:
    marker = "o" if len(mean) < DENSE else None
    axes.plot(x, mean, linewidth=width, marker=marker, markersize=4, **style)
