"""Pictures of a comparison: the differences with their intervals, and the mean ROC curve of each method."""

from collections.abc import Mapping, Sequence
from itertools import cycle, product
from typing import Any

from matplotlib.figure import Figure

from model.evaluation.paired import Difference, Runs
from model.evaluation.roc import mean_curve, roc
from model.report.drawing import CHANCE, COLOURS, GREY, entry, figure, roc_axes

KINDS = (("ci95", "other patients", 0, 3.2, 1.0), ("bootstrap95", "the same, resampled", 0, 1.4, 0.45),
         ("corrected95", "other splits, corrected", 2, 1.4, 1.0))  # fmt: skip
"""Field of a difference, name, colour, line width and opacity."""
STEP = 0.22
"""Between the intervals of a row, in rows."""


def plot_differences(differences: Sequence[Difference], title: str) -> Figure:
    """A row per pair of methods: its difference, and each of its 95 % intervals on a line of its own."""
    made = figure(8.4, 1.5 + 0.62 * len(differences))
    axes = made.add_subplot()
    axes.axvline(0, color=GREY, linewidth=1, linestyle=CHANCE)
    for row, each in enumerate(differences):
        if each.value is None:
            axes.text(0, row, next(iter(each.reasons.values()), ""), ha="center", va="center", color=GREY)
            continue
        for place, (kind, _, colour, width, alpha) in enumerate(KINDS):
            interval, y = getattr(each, kind), row + (place - 1) * STEP
            if interval is not None:
                axes.plot(interval, [y, y], color=COLOURS[colour], linewidth=width, alpha=alpha)
        axes.plot([each.value], [row], "o", color="black", markersize=5)
        axes.annotate(
            f"{each.value:+z.3f}".replace("-", "−"),
            (1.01, row),
            xycoords=("axes fraction", "data"),
            va="center",
        )
    axes.set_yticks(range(len(differences)), [f"{each.method} − {each.reference}" for each in differences])
    axes.set_ylim(len(differences) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("difference of AUROC per finding, 95 % intervals")
    axes.set_title(title, loc="left")
    shown = [kind for kind in KINDS if any(getattr(each, kind[0]) is not None for each in differences)]
    if shown:
        handles = [
            entry(name, color=COLOURS[colour], linewidth=width, alpha=alpha)
            for _, name, colour, width, alpha in shown
        ]
        made.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return made


def plot_rocs(figures: Sequence[Mapping[str, Any]], methods: Sequence[Runs], title: str) -> Figure:
    """The mean ROC curve of each method over all its runs, with AUROC and ``ci95``."""
    labels = [_label(each) for each in figures]
    made = figure(6.4 + 0.082 * max(map(len, labels)), max(5.6, 0.4 + 0.25 * len(labels)))
    axes = roc_axes(made)
    looks = cycle(product(("-", (0, (5, 1.5)), (0, (1, 1))), COLOURS))
    for label, method, (dash, colour) in zip(labels, methods, looks, strict=False):
        whole = method.areas() is not None
        curves = [roc(fold.labels, scores) for fold in method.folds for scores in fold.scores if whole]
        line: tuple[Any, Any] = mean_curve(curves) if curves else ([], [])
        axes.plot(*line, color=colour, linestyle=dash, linewidth=1.8, label=label)
    axes.set_title(title, loc="left")
    made.legend(loc="outside right upper")
    return made


def _label(figures: Mapping[str, Any]) -> str:
    if figures["auroc"] is None:
        return f"{figures['method']}: no AUROC"
    interval = figures["ci95"]
    shown = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    return f"{figures['method']}: {figures['auroc']:.3f}{shown}"
