"""Learning curves: each data set over the phases of a method, and the target's test AUROC of several."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model.evaluation.intervals import published_interval
from model.report import histories
from model.report.drawing import (
    COLOURS,
    DASHES,
    GREY,
    draw_band,
    draw_chance,
    draw_runs,
    entry,
    figure,
    spread,
)
from papers.figures import printed

METHOD_COLOURS = dict(zip(("typhon", "hydra", "transfer", "classical"), COLOURS, strict=False))


def plot_training(table: pd.DataFrame, target: str) -> Figure:
    """AUROC of every data set in training and validation over the phases of a method (Typhon, Figure 4).

    Bold: mean of the runs, over the single ones for the target. A phase of few epochs is drawn wider than its
    length.
    """
    names = histories.phases(table)
    ends = [table.loc[table["phase"] == name, "epoch"].max() for name in names]
    widths = [max(end / max(ends), 1 / 3) for end in ends]
    made = figure(9.2, 4.8)
    row = made.subplots(1, len(names), squeeze=False, sharey=True, width_ratios=widths)[0]
    datasets = sorted(histories.trained(table, names[0]), key=lambda name: name != target)
    number_of_epoch = histories.epochs(table)
    for axes, phase in zip(row, names, strict=True):
        part = table[table["phase"] == phase]
        draw_chance(axes)
        axes.axhline(printed.VALIDATION["typhon"], color=GREY, linewidth=1.2)
        for colour, dataset in reversed(list(zip(cycle(COLOURS), datasets, strict=False))):
            for dash, split in DASHES:
                values = histories.runs_of(part, split, "auroc", dataset)
                if dataset != target:
                    values = values.mean(axis=1).to_frame()
                width = 2.2 if dataset == target else 1.3
                x = number_of_epoch[values.index]
                draw_runs(axes, x, values, width=width, color=colour, linestyle=dash)
        axes.set_title(f"{phase}, {ends[names.index(phase)]:,} epochs", loc="left")
        axes.set_xlabel("epoch")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5 if axes is row[0] else 3, integer=True))
    row[0].set_ylabel("AUROC per finding")
    entries = [
        entry(f"{name}{', target' * (name == target)}", color=colour, linewidth=2)
        for colour, name in zip(cycle(COLOURS), datasets, strict=False)
    ]
    entries += [entry(split, color="black", linestyle=dash) for dash, split in DASHES]
    paper = f"published validation of PROSTATEx, {printed.VALIDATION['typhon']:.2f}"
    entries.append(entry(paper, color=GREY, linewidth=1.2))
    made.legend(handles=entries, loc="outside lower center", ncols=3)
    return made


def plot_test(tables: Mapping[str, pd.DataFrame], target: str) -> Figure:
    """Test AUROC of the target over the training of each method (Typhon, Figure 5).

    Methods differ in their epochs and batches, so the abscissa is the share of all their training samples.
    Line: mean of the runs; band: their standard deviation. Beside it: where the published curves ended.
    """
    made, axes, beside = _with_published(tables)
    for method, table in tables.items():
        values = histories.runs_of(table, "test", "auroc", target)
        if values.empty:
            continue
        mean, deviation = spread(values)
        x = histories.share_of_training(table)[mean.index]
        total, own = histories.samples(table), histories.samples(table, target)
        seen = f"{total:,.0f} training samples, {own:,.0f} of the target"
        label = f"{method}, {_runs(values)}: {seen}"
        draw_band(axes, x, mean, deviation, color=METHOD_COLOURS[method], label=label)
    axes.set_xlabel("share of the method's training samples, of all data sets, in %")
    axes.set_xlim(0, 101)
    _finish(made, axes, beside, target)
    return made


def plot_last_round(tables: Mapping[str, pd.DataFrame], target: str) -> Figure:
    """Test AUROC while the target is trained for the last time, smoothed (Hydra, Figure 4a).

    Moving mean and standard deviation over the last validations of all runs, each phase on its own. The
    window is a twentieth of a phase, as 100 of the paper's 2,000 epochs.
    """
    made, axes, beside = _with_published(tables)
    for method, table in tables.items():
        names = _last_round(table, target)
        curves = [histories.runs_of(table[table["phase"] == name], "test", "auroc", target) for name in names]
        if all(curve.empty for curve in curves):
            continue
        window = histories.window_of(max(map(len, curves)))
        label: str | None = (
            f"{method}, {_runs(curves[-1])}: {' + '.join(names)}, mean of {window} validations"
        )
        start = 0
        for name, curve in zip(names, curves, strict=True):
            x = histories.epochs(table)[curve.index] + start
            smooth = histories.moving_average(curve, window)
            draw_band(axes, x, *smooth, color=METHOD_COLOURS[method], label=label)
            if start:
                axes.axvline(start, color=METHOD_COLOURS[method], linewidth=1, linestyle=":")
            start += int(table.loc[table["phase"] == name, "epoch"].max())
            label = None
    axes.set_xlabel("epoch of the last round on the target")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    _finish(made, axes, beside, target)
    return made


def _last_round(table: pd.DataFrame, target: str) -> list[str]:
    """The phases at the end of a method that train the target alone."""
    names = histories.phases(table)
    start = len(names)
    while start and histories.trained(table, names[start - 1]) == [target]:
        start -= 1
    # Where nothing but the target is ever trained, the last round is the last phase.
    return names[start:] if start else names[-1:]


def _with_published(tables: Mapping[str, pd.DataFrame]) -> tuple[Figure, Axes, Axes]:
    """A figure of two axes, the right one with the published test AUROCs and what they are worth."""
    made = figure(9.2, 5.2)
    axes, beside = made.subplots(1, 2, sharey=True, width_ratios=[5, 0.35 * len(tables) + 0.4])
    for place, method in enumerate(tables):
        value = printed.TEST[method]
        low, high = published_interval(value)
        beside.plot([place, place], [low, high], color=METHOD_COLOURS[method], linewidth=1.4)
        beside.plot(place, value, "o", color=METHOD_COLOURS[method], markerfacecolor="white", markersize=7)
    beside.set_xticks(range(len(tables)), list(tables), rotation=60, ha="right", rotation_mode="anchor")
    beside.set_xlim(-0.6, len(tables) - 0.4)
    beside.set_title("published,\nPROSTATEx", loc="left")
    beside.grid(visible=False, axis="x")
    return made, axes, beside


def _finish(made: Figure, axes: Axes, beside: Axes, target: str) -> None:
    for each in (axes, beside):
        draw_chance(each, zorder=1)
    axes.set_ylabel("AUROC per finding")
    axes.set_title(f"{target}, test findings", loc="left")
    axes.set_ylim(top=1.02)
    handles: Sequence[Any] = axes.get_legend_handles_labels()[0]
    if not handles:
        axes.text(0.5, 0.5, "these histories have no test AUROC\n(evaluation: {follow: true})",
                  ha="center", va="center", transform=axes.transAxes)  # fmt: skip
        return
    made.legend(handles=handles, loc="outside lower center", ncols=1)


def _runs(values: pd.DataFrame) -> str:
    return f"{values.shape[1]} run{'s' * (values.shape[1] > 1)}"
