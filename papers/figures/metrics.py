"""Every metric of one phase over its epochs, in training and validation."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model.report import histories
from model.report.drawing import COLOUR_OF, GREY, PUBLISHED, draw_published, draw_runs, entry, figure

PANELS = {
    "auroc": "AUROC", "loss": "cross-entropy", "accuracy": "accuracy", "f1": "F1",
    "precision": "precision", "recall": "recall", "specificity": "specificity",
}  # fmt: skip


def plot_metrics(
    table: pd.DataFrame,
    phase: str,
    published: pd.DataFrame | None = None,
    printed: tuple[int, float, float] | None = None,
) -> Figure:
    """Seven panels and a legend (thesis, Figures 5.6 and 6.4 to 6.10).

    The dashed line is the epoch of the highest validation AUROC, of the mean over runs.

    Parameters
    ----------
    phase : drawn for the first data set that it trains.
    published : rows of the same phase of a published history, drawn in grey as wide as ours.
    printed : best epoch, accuracy and AUROC in validation that the paper prints.
    """
    ours = table[table["phase"] == phase]
    dataset = histories.trained(table, phase)[0]
    last = int(ours["epoch"].max())
    best = best_epoch(ours, dataset)
    made = figure(11, 5.4)
    grid = made.subplots(2, 4, sharex=True).ravel()
    logged: set[str] = set()
    for axes, (metric, title) in zip(grid, PANELS.items(), strict=False):
        for split, colour in COLOUR_OF.items():
            if published is not None:
                values = histories.runs_of(published, split, metric)
                if len(values):
                    draw_published(axes, histories.epochs(published, last)[values.index], values, split)
                    logged.add(split)
            values = histories.runs_of(ours, split, metric, dataset)
            draw_runs(axes, histories.epochs(ours)[values.index], values, color=colour)
        if best:
            axes.axvline(best[0], color="black", linewidth=1, linestyle="--")
        if printed and metric in ("accuracy", "auroc"):
            value = printed[1 if metric == "accuracy" else 2]
            axes.axhline(value, color=GREY, linewidth=1.2, linestyle="-.", zorder=1.9)
        axes.set_title(title, loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.tick_params(labelbottom=True)
        axes.set_xlim(0, last * 1.03)
    for axes in grid[3:7]:
        axes.set_xlabel("epoch")
    _explain(grid[7], best, [split for split in COLOUR_OF if split in logged], printed)
    made.suptitle(f"{phase}: {dataset}", x=0.01, ha="left", fontsize=12)
    return made


def best_epoch(table: pd.DataFrame, dataset: str) -> tuple[int, float] | None:
    """Epoch and value of the highest validation AUROC of a phase, the mean over runs; the first of equals."""
    values = histories.runs_of(table, "validation", "auroc", dataset).mean(axis=1)
    if values.empty:
        return None
    return int(histories.epochs(table)[values.idxmax()]), float(values.max())


def _explain(
    axes: Axes, best: tuple[int, float] | None, published: list[str], printed: tuple[int, float, float] | None
) -> None:
    axes.set_axis_off()
    entries = [entry(split, color=colour, linewidth=2) for split, colour in COLOUR_OF.items()]
    if best:
        what = f"best epoch, {best[0]}:\nvalidation AUROC {best[1]:.3f}"
        entries.append(entry(what, color="black", linewidth=1, linestyle="--"))
    if printed:
        what = f"thesis, epoch {printed[0]}: validation\naccuracy {printed[1]:.3f}, AUROC {printed[2]:.3f}"
        entries.append(entry(what, color=GREY, linewidth=1.2, linestyle="-."))
    entries += [entry(f"Hydra's public log, {split}", color=PUBLISHED[split]) for split in published]
    axes.legend(handles=entries, loc="upper left", borderaxespad=0)
