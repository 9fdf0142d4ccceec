"""The test metrics before and after transfer, beside the paper's."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from model.evaluation.intervals import published_interval
from model.report.drawing import COLOURS, GREY, entry, figure
from papers.figures.printed import AFTER, BEFORE, METRICS

NAMES = {"f1": "F1", "auroc": "AUROC"}
WIDTH = 0.2
LIGHT = "#d4d4d4"


def plot_summary(before: Mapping[str, Any], after: Mapping[str, Any]) -> Figure:
    """Bars of the target's test metrics (thesis, Figure 6.12); a dot is a run, a line a 95 % interval.

    Parameters
    ----------
    before, after : ``results/{method}_auc.json`` of a method without transfer and of one with it.
    """
    made = figure(9.2, 4.6)
    axes = made.add_subplot()
    entries: list[Any] = []
    for place, (name, colour, printed, ours) in enumerate(
        (
            ("thesis, before transfer", LIGHT, BEFORE, None),
            (f"ours, {before['method']}", COLOURS[0], None, before),
            ("thesis, after transfer", GREY, AFTER, None),
            (f"ours, {after['method']}", COLOURS[1], None, after),
        )
    ):
        x = np.arange(len(METRICS)) + (place - 1.5) * WIDTH
        if printed:
            _bars(axes, x, printed, colour)
            _interval(axes, x[-1], published_interval(printed["auroc"]))
        elif ours:
            runs = runs_by_metric(ours)
            _bars(axes, x, {metric: _mean(values) for metric, values in runs.items()}, colour)
            for at, values in zip(x, runs.values(), strict=True):
                axes.plot(np.full(len(values), at), values, "o", color="black", markersize=2.5)
            _interval(axes, x[-1], ours["ci95"])
        entries.append(Patch(color=colour, label=name))
    axes.set_xticks(range(len(METRICS)), [NAMES.get(metric, metric) for metric in METRICS])
    axes.grid(visible=False, axis="x")
    axes.set_ylim(0, 1.06)
    axes.set_title(f"{after['target']}, test findings, {after['state']} state", loc="left")
    entries += [
        entry("one run", color="black", marker="o", markersize=2.5, linestyle=""),
        entry("95 % interval of the AUROC", color="black", linewidth=1.2),
    ]
    made.legend(handles=entries, loc="outside lower center", ncols=3)
    return made


def runs_by_metric(figures: Mapping[str, Any]) -> dict[str, list[float]]:
    """Each metric of the runs on the target's test set in the headline state; undefined ones are left out."""
    key = {"dataset": figures["target"], "split": "test", "state": figures["state"]}
    runs = [run for run in figures["runs"] if key.items() <= run.items()]
    return {metric: [run[metric] for run in runs if run[metric] is not None] for metric in METRICS}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _bars(axes: Axes, x: np.ndarray, values: Mapping[str, float], colour: str) -> None:
    ink = "black" if colour == LIGHT else "white"
    axes.bar(x, [values[metric] for metric in METRICS], width=WIDTH * 0.92, color=colour)
    for at, metric in zip(x, METRICS, strict=True):
        if np.isfinite(values[metric]):
            axes.text(at, 0.015, f"{values[metric]:.2f}", ha="center", va="bottom", fontsize=7, color=ink,
                      rotation=90)  # fmt: skip


def _interval(axes: Axes, x: float, interval: tuple[float, float] | None) -> None:
    if interval:
        axes.plot([x, x], list(interval), color="black", linewidth=1.2)
