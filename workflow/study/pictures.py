"""The pictures of the study, from ``docs/study/`` alone."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from model.evaluation.paired import Difference
from model.report.drawing import COLOURS, GREY, STYLE, entry, figure, save
from model.report.forest import plot_differences
from workflow.study import steps
from workflow.study.cells import ALL, Cell
from workflow.study.record import Record
from workflow.study.tables import Compared, alike, areas, compare, leaky

APART = 0.03
"""Between methods with the same number of findings, as a share of it."""


def draw(cells: Sequence[Cell], record: Record, out: Path) -> None:
    """Draw AUROCs over findings to learn from, and for each family differences, and AUROCs over steps."""
    compared = compare(cells, record)
    with mpl.rc_context(STYLE):
        if panels := _curved(cells, record):
            save(plot_curves(panels), out / "curves.png")
        if len(table := leaky(cells, record)):
            save(plot_leaks(table), out / "leaky.png")
        for family in dict.fromkeys(cell.family for cell in cells):
            own = [
                each for each in compared
                if each.asked.cell.family == family and each.asked.cell.findings == ALL
            ]  # fmt: skip
            if own:
                title = f"{family}, all findings to learn from"
                save(plot_differences(list(map(_named, own)), title), out / f"{family}.png")
            if curves := _steps([cell for cell in cells if cell.family == family], record):
                save(steps.plot(curves, f"{family}, validation of all splits"), out / f"{family}-steps.png")


def plot_curves(panels: dict[str, pd.DataFrame]) -> Figure:
    """A panel for each target: the AUROC of each method by the findings to learn from, with its ``ci95``."""
    made = figure(1.2 + 2.9 * len(panels), 4.2)
    methods = dict.fromkeys(name for table in panels.values() for name in table["method"])
    looks = dict(zip(methods, itertools.cycle(zip(COLOURS, "os^Dv<", strict=True)), strict=False))
    drawn = made.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (target, table) in zip(drawn, panels.items(), strict=True):
        axes.set_xscale("log")
        for place, (name, (colour, marker)) in enumerate(looks.items()):
            own = table[table["method"] == name].sort_values("findings")
            x = own["findings"].to_numpy() * (1 + APART) ** (place - (len(looks) - 1) / 2)
            axes.plot(x, own["auroc"], color=colour, marker=marker, markersize=5)
            for at, interval in zip(x, own["ci95"], strict=True):
                axes.plot([at, at], interval, color=colour, linewidth=1.2, alpha=0.6)
        ticks = sorted(set(table["findings"]))
        axes.set_xticks(ticks, map(str, ticks))
        axes.minorticks_off()
        axes.set(xlabel="findings to learn from", title=target)
    drawn[0].set_ylabel("test AUROC per finding")
    handles = [entry(name, color=colour, marker=marker) for name, (colour, marker) in looks.items()]
    made.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return made


def plot_leaks(table: pd.DataFrame) -> Figure:
    """A row for each target and leaky protocol: the honest AUROC, the claimed one, and the difference."""
    made = figure(8.4, 1.4 + 0.45 * len(table))
    axes = made.add_subplot()
    for place, row in enumerate(table.to_dict("records")):
        axes.plot([row["honest"], row["claimed"]], [place, place], color=GREY, linewidth=2, zorder=1)
        axes.plot(row["honest"], place, "o", color=COLOURS[0])
        axes.plot(row["claimed"], place, "o", color=COLOURS[1])
        shown = f"{row['inflation']:+z.3f}".replace("-", "−")
        axes.annotate(shown, (1.01, place), xycoords=("axes fraction", "data"), va="center")
    axes.set_yticks(range(len(table)), [f"{row.target}: {row.protocol}" for row in table.itertuples()])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("test AUROC per finding of a probe")
    words = (("honest", COLOURS[0]), ("claimed", COLOURS[1]))
    handles = [entry(word, color=colour, marker="o", linestyle="") for word, colour in words]
    made.legend(handles=handles, loc="outside lower center", ncols=2)
    return made


def _curved(cells: Sequence[Cell], record: Record) -> dict[str, pd.DataFrame]:
    """The complete cells of methods that have curves, of targets with more than one number of findings."""
    curved = {cell.method for cell in cells if cell.findings != ALL}
    table = areas([cell for cell in alike(cells) if cell.method in curved], record)
    if not len(table):
        return {}
    parts = {str(target): own for target, own in table.groupby("target", sort=False)}
    return {target: own for target, own in parts.items() if own["findings"].nunique() > 1}


def _steps(cells: Sequence[Cell], record: Record) -> dict[str, dict[str, pd.DataFrame]]:
    """The curves of cells that have all their runs, by target and method."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for cell in cells:
        if not record.left(cell) and (table := record.curves(cell)) is not None:
            found.setdefault(cell.target, {})[cell.method] = table
    return found


def _named(each: Compared) -> Difference:
    """With the target in its name."""
    made = each.difference
    return Difference(
        f"{each.asked.cell.target}: {made.method}", made.reference, made.value, ci95=made.ci95,
        corrected95=made.corrected95,
    )  # fmt: skip
