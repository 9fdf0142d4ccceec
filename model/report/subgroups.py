"""The picture of subgroups: a forest plot of each figure, a row per level, with counts."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.report.drawing import CHANCE, COLOURS, GREY, entry, figure

Row = Mapping[str, Any]
FIGURES = ("auroc", "sensitivity", "specificity")
SHARE = 0.6
"""Of the height of a row that the intervals of methods take."""
LONG = 34
"""Signs of a level that are shown."""


def plot(rows: Sequence[Row], title: str) -> Figure:
    """Rows of the table of subgroups: a line per level (and class), a colour per method."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    keys = list(dict.fromkeys(_key(row) for row in rows))
    # A column begins with a line of its name.
    places: dict[tuple[str, ...], int] = {}
    ticks: list[tuple[int, str]] = []
    for number, key in enumerate(keys):
        if not number or keys[number - 1][0] != key[0]:
            ticks.append((len(ticks), key[0]))
        places[key] = len(ticks)
        ticks.append((len(ticks), ""))
    first = {_key(row): row for row in reversed(rows)}
    names = {place: _named(first[key]) for key, place in places.items()}
    height = 1.6 + max(0.3, 0.16 * len(methods)) * len(ticks)
    made = figure(12.5, height)
    grid = made.subplots(1, len(FIGURES), sharey=True, squeeze=False).ravel()
    for axes, name in zip(grid, FIGURES, strict=True):
        if name == "auroc":
            axes.axvline(0.5, color=GREY, linewidth=1, linestyle=CHANCE)
        for number, (method, colour) in enumerate(zip(methods, cycle(COLOURS), strict=False)):
            away = SHARE * ((number + 0.5) / len(methods) - 0.5)
            for row in rows:
                if row["method"] == method:
                    _draw(axes, row, name, places[_key(row)] + away, colour)
        axes.set(xlim=(-0.03, 1.03), xlabel=f"{name.replace('auroc', 'AUROC')}, 95 %")
        axes.grid(visible=False, axis="y")
    grid[0].set_ylim(len(ticks) - 0.4, -0.6)
    grid[0].set_yticks([place for place, _ in ticks], [names.get(place, text) for place, text in ticks])
    for label, (place, _) in zip(grid[0].get_yticklabels(), ticks, strict=True):
        label.set_fontweight("normal" if place in names else "bold")
    made.suptitle(title, x=0.01, ha="left", fontsize=11)
    handles = [
        entry(method, color=colour, marker="o", linewidth=1.4)
        for method, colour in zip(methods, cycle(COLOURS), strict=False)
    ]
    made.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
    return made


def _key(row: Row) -> tuple[str, ...]:
    return row["column"], row["level"], row.get("class", "")


def _named(row: Row) -> str:
    """The level with its findings and the positive ones; the class where there are several."""
    of = f", {row['class']}" if row.get("class") else ""
    level = row["level"] if len(row["level"]) <= LONG else f"{row['level'][: LONG - 1]}…"
    few = "" if row.get("auroc") is not None else ", too few"
    return f"{level}{of} ({row['count']}, {row['positives']} positive{few})"


def _draw(axes: Axes, row: Row, name: str, place: float, colour: str) -> None:
    if row.get(name) is not None:
        axes.hlines(place, *row[f"{name}95"], color=colour, linewidth=1.4)
        axes.plot([row[name]], [place], "o", color=colour, markersize=4.5)
