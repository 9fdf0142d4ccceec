"""The fingerprint of a data set as one picture."""

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.drawing import STYLE

MOST_BARS = 8
MOST_REASONS = 5
LONGEST_BAR, LONGEST_LINE = 36, 200
"""Characters; a scanner may call itself what it likes, and must not push the picture aside."""
INK, PALE = "#2b4c7e", "#b9c7dc"
COLORS = (INK, "#c8553d", "#5b8c5a", "0.4")


def shorten(text: str, most: int) -> str:
    """At most so many characters, the last one an ellipsis where some are lost.

    >>> shorten("SIEMENS Skyra", 8)
    'SIEMENS…'
    """
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _bars(
    axes: Axes, names: Sequence[str], values: Sequence[float], colors: Sequence[str] | str = INK
) -> None:
    places = -np.arange(len(names))
    axes.barh(places, values, color=colors, height=0.65)
    axes.set_yticks(places, [shorten(name, LONGEST_BAR) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.margins(x=0.18)
    axes.set_ylim(min(-len(names), -MOST_BARS / 2) + 0.5, 0.5)
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            f"{value:g}", (value, place), (3, 0), textcoords="offset points", va="center", fontsize=7
        )


def _draw_steps(axes: Axes, table: pd.DataFrame) -> None:
    steps = table[(table["group"] == "step") & table["statistic"].str.startswith("findings")]
    before, *after = (int(steps["value"].iloc[i]) for i in (0, *range(1, len(steps), 2)))
    names = ["labelled", *(f"after {step}" for step in steps["item"].unique())]
    values = [before, *after]
    _bars(axes, names, values, [PALE, *[INK] * len(after)])
    axes.set_title("findings, step by step")


def _reasons(table: pd.DataFrame) -> str:
    """What was left out, the most frequent first, in a few lines."""
    lost = table[table["group"] == "left out"]
    lost = lost.assign(value=lost["value"].astype(int)).sort_values("value", ascending=False, kind="stable")
    lines = [shorten(f"{row.value} × {row.item}: {row.statistic}", LONGEST_LINE) for row in lost.itertuples()]
    if len(lines) > MOST_REASONS:
        lines[MOST_REASONS - 1 :] = [f"and {len(lines) - MOST_REASONS + 1} other reasons"]
    return (
        "\n".join(f"Left out {line}" if n == 0 else line for n, line in enumerate(lines))
        or "Nothing left out"
    )


def _draw_counts(axes: Axes, table: pd.DataFrame, group: str, title: str, statistic: str = "slices") -> None:
    part = table[(table["group"] == group) & (table["statistic"] == statistic)]
    part = part.assign(value=part["value"].astype(float))
    if statistic == "slices":
        part = part.sort_values("value", ascending=False, kind="stable")
    several = part["channel"].nunique() > 1
    names = [f"{row.channel}: {row.item}" if several else str(row.item) for row in part.itertuples()]
    values = part["value"].tolist()
    if len(names) > MOST_BARS:
        names[MOST_BARS - 1 :] = [f"{len(names) - MOST_BARS + 1} others"]
        values[MOST_BARS - 1 :] = [sum(values[MOST_BARS - 1 :])]
    axes.set_title(title)
    if not names:
        axes.set_axis_off()
        axes.text(0, 0.8, "not known", transform=axes.transAxes, color="0.4")
        return
    _bars(axes, names, values)


def _draw_people(axes: Axes, table: pd.DataFrame) -> None:
    """Findings per patient; where nobody is known, per group of near-duplicates."""
    nobody = table.loc[table["group"] == "patients unknown", "value"].tolist()
    known = (table["group"] == "findings per patient").any()
    title = f"patients unknown: {nobody[0]} groups" if nobody else "findings per patient: patients"
    if nobody and known:
        title = f"findings per patient: patients\n({title})"
    elif nobody:
        title = f"{title}\nfindings per group: groups"
    group = "findings per group, patients unknown" if nobody and not known else "findings per patient"
    _draw_counts(axes, table, group, title, "groups" if nobody and not known else "patients")


def _draw_intensity(axes: Axes, table: pd.DataFrame, group: str, title: str, unit: str) -> None:
    part = table[table["group"] == group]
    for color, (channel, rows) in zip(COLORS, part.groupby("channel", sort=False), strict=False):
        percentiles, values = rows["item"].str.rstrip("%").astype(float), rows["value"].astype(float)
        axes.plot(percentiles, values, "o-", color=color, markersize=3, linewidth=1.2, label=channel)
    axes.set_xticks([1, 25, 50, 75, 99])
    axes.set_xlabel("percentile")
    axes.set_ylabel(unit)
    axes.set_title(title)
    axes.legend(frameon=False, fontsize=7)


@mpl.rc_context(STYLE)
def draw(table: pd.DataFrame, dataset: str) -> Figure:
    """The fingerprint as one picture."""
    figure, axes = plt.subplots(2, 4, figsize=(13.5, 5.6), layout="constrained")
    _draw_steps(axes[0, 0], table)
    _draw_counts(axes[0, 1], table, "class", "class balance: findings", "findings")
    _draw_people(axes[0, 2], table)
    _draw_counts(axes[0, 3], table, "scanner", "scanners: slices")
    _draw_counts(axes[1, 0], table, "spacing", "pixel spacing, column × row: slices")
    _draw_counts(axes[1, 1], table, "size", "image size, columns × rows: slices")
    _draw_intensity(axes[1, 2], table, "intensity of slices", "slices", "physical units")
    _draw_intensity(axes[1, 3], table, "intensity of patches", "patches, view 0", "Z-score")
    figure.suptitle(f"Fingerprint of {dataset}", x=0.01, ha="left", weight="bold")
    figure.supxlabel(_reasons(table), x=0.01, ha="left", fontsize=7, color="0.25")
    return figure
