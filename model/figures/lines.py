"""How the runs of one curve are drawn."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from model.figures.histories import spread
from model.plots import COLOURS, GREY

DENSE = 15
"""A curve with fewer points than this shows each of them."""
FEW_RUNS = 5
"""More runs than this become a band."""
COLOUR_OF = {"train": COLOURS[1], "validation": COLOURS[0]}
PUBLISHED = {"train": "#c6c6c6", "validation": GREY}


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
