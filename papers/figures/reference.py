"""The target through the reference decision maker while everything else is trained."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model.report import histories
from model.report.drawing import (  # fmt: skip
    COLOUR_OF,
    PUBLISHED,
    draw_chance,
    draw_published,
    draw_runs,
    entry,
    panels_of_phases,
)

METRIC = "reference_auroc"


def plot_reference(
    table: pd.DataFrame,
    published: pd.DataFrame | None = None,
    splits: Sequence[str] = ("validation", "train"),
) -> Figure:
    """Each phase beside the next (Hydra, Figure 4b; thesis, Figure 6.11); shaded where features are frozen.

    The reference is the decision maker that the first phase left, so a curve moves only where the features
    do. Grey: what was published, each phase as wide as ours.
    """
    names = histories.phases(table)
    size = max(6.5, 1.45 * len(names) + 1), 4.8
    made, (row,) = panels_of_phases(1, len(names), size=size, right=0.15, bottom=0.21, top=0.88)
    if histories.runs_of(table, splits[0], METRIC).empty:
        row[0].text(0, 1.1, "these histories know no reference decision maker (evaluation: {follow: true})",
                    transform=row[0].transAxes)  # fmt: skip
    for column, (axes, name) in enumerate(zip(row, names, strict=True)):
        ours = table[table["phase"] == name]
        last = int(ours["epoch"].max())
        for split in reversed(splits):
            if published is not None:
                theirs = published[published["phase"] == name]
                draw_published(axes, *_curve(theirs, split, last), split)
            x, values = _curve(ours, split, last)
            if split != "validation":  # bands of both would hide each other
                values = values.mean(axis=1).to_frame()
            draw_runs(axes, x, values, color=COLOUR_OF[split])
        draw_chance(axes)
        if name.endswith("Frozen"):
            axes.set_facecolor("#f4f4f4")
        axes.set_title(f" {name}\n {', '.join(histories.trained(table, name))}", loc="left", fontsize=9)
        axes.set_xlim(0, last * 1.06)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True, prune="lower" if column else None))
    row[0].set_ylabel("AUROC of the target, reference head")
    made.supxlabel("epoch of the phase", y=0.105, fontsize=10)
    entries = [entry(f"ours, {split}", color=COLOUR_OF[split], linewidth=2) for split in splits]
    if published is not None:
        entries += [entry(f"published, {split}", color=PUBLISHED[split]) for split in splits]
    made.legend(handles=entries, loc="lower center", ncols=len(entries))
    return made


def _curve(table: pd.DataFrame, split: str, last: int) -> tuple[pd.Series, pd.DataFrame]:
    """Epochs and values, the former such that the phase ends at ``last``."""
    values = histories.runs_of(table, split, METRIC)
    return histories.epochs(table, last)[values.index], values
