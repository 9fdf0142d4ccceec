"""Figures of the report: ROC curves, learning curves, bootstrap candidates."""

import argparse
from collections.abc import Sequence
from itertools import cycle, product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model.evaluation import results
from model.evaluation.delong import NEWCOMBE
from model.evaluation.predictions import STATES, numbered, read_predictions
from model.evaluation.roc import RocCurve, mean_curve, roc
from model.report import histories
from model.report.drawing import (  # fmt: skip
    COLOURS,
    DASHES,
    GREY,
    STYLE,
    draw_chance,
    draw_runs,
    entry,
    figure,
    panels_of_phases,
    roc_axes,
    save,
)
from pipeline.classes import UNKNOWN, Classes
from pipeline.cli import run_cli
from pipeline.files import read_csv

_NAMED_RUNS = 6
"""Runs that fit into a legend one by one."""


def plot_roc(figures: dict[str, Any], predictions: Sequence[Path]) -> Figure:
    """ROC of the target's test set for each run and their mean, with the figures of ``*_auc.json``.

    ``predictions`` are the files of the state that ``figures`` is about.
    """
    made = figure(5.4, 5.8)
    axes = roc_axes(made, "chance")
    curves: list[RocCurve] = []
    runs = []
    of_each: dict[str, list[RocCurve]] = {}
    for path in predictions:
        found = read_predictions(path)[figures["target"]]
        test = found.findings[found.findings["split"] == "test"]
        problems = _rocs(found.classes, test)
        curves += problems.values()
        if len(found.classes.problems) > 1:
            for name, curve in problems.items():
                of_each.setdefault(name, []).append(curve)
        elif problems:
            runs.append(_run(figures, numbered(path, "fold"), numbered(path, "seed")))
    if of_each:
        return _draw_each(made, axes, figures, of_each, curves)
    single = len(curves) == 1  # its own curve would lie under that of the mean
    for number, (curve, run) in enumerate(zip(curves, runs, strict=True) if not single else ()):
        named = f"fold {run['fold']}, seed {run['seed']}: {run['auroc']:.3f}"
        label = named if len(curves) <= _NAMED_RUNS else None
        axes.plot(*curve, color=COLOURS[1 + number % 5], linewidth=1, alpha=0.6, label=label)
    if len(curves) > _NAMED_RUNS:
        values = [run["auroc"] for run in runs]
        label = f"{len(curves)} runs: {min(values):.3f} to {max(values):.3f}"
        axes.plot([], [], color=GREY, linewidth=1, label=label)
    if curves:
        axes.plot(*mean_curve(curves), color=COLOURS[0], linewidth=2.5, label=_headline(figures, single))
        axes.legend(loc="lower right")
    else:
        axes.text(0.5, 0.5, figures.get("auroc_reason", "no curve"), ha="center", va="center", wrap=True)
    axes.set_title(_test_set(figures), loc="left")
    return made


def _rocs(classes: Classes, test: pd.DataFrame) -> dict[str, RocCurve]:
    """The ROC curve of each problem; none where one lacks a class."""
    curves = {}
    columns = zip(classes.problems, classes.truth(test).T, classes.columns(), strict=True)
    for problem, truth, column in columns:
        known = truth != UNKNOWN
        if len(np.unique(truth[known])) < 2:
            return {}
        curves[problem] = roc(truth[known], test[column][known])
    return curves


def _draw_each(
    made: Figure,
    axes: Axes,
    figures: dict[str, Any],
    of_each: dict[str, list[RocCurve]],
    every: list[RocCurve],
) -> Figure:
    """The mean curve over runs of each problem, and that of all of them."""
    for (name, curves), colour in zip(of_each.items(), cycle(COLOURS[1:])):
        area, ends = (figures[key][name] for key in ("auroc_by", "ci95_by"))
        interval = f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else ""
        label = f"{name}: {area:.3f}{interval}" if area is not None else name
        axes.plot(*mean_curve(curves), color=colour, linewidth=1.2, label=label)
    axes.plot(*mean_curve(every), color=COLOURS[0], linewidth=2.5, label=_headline(figures))
    made.set_size_inches(made.get_figwidth(), made.get_figheight() + 0.9 + 0.2 * len(of_each))
    made.legend(loc="outside lower left", fontsize="small")
    axes.set_title(_test_set(figures), loc="left")
    return made


def _run(figures: dict[str, Any], fold: int, seed: int) -> dict[str, Any]:
    key = {"fold": fold, "seed": seed} | _tested(figures)
    return next(run for run in figures["runs"] if key.items() <= run.items())


def _tested(figures: dict[str, Any]) -> dict[str, Any]:
    return {"dataset": figures["target"], "split": "test", "state": figures["state"]}


def _headline(figures: dict[str, Any], single: bool = False) -> str:
    text = "AUROC" if single else "mean"
    text += "" if figures["auroc"] is None else f" {figures['auroc']:.3f}"
    patients = "95 % (Newcombe)" if figures["ci95_kind"] == NEWCOMBE else "95 %, patients"
    for key, name in (("ci95", patients), ("corrected95", "95 %, splits")):
        if figures[key] is not None:
            text += f"\n{name} [{figures[key][0]:.3f}, {figures[key][1]:.3f}]"
    return text


def _test_set(figures: dict[str, Any]) -> str:
    line = next(row for row in figures["summary"] if _tested(figures).items() <= row.items())
    counts = f"{line['findings']} findings ({results.counted(line)})"
    if line["positives"] is not None:
        counts = f"{line['positives']} positive and {line['findings'] - line['positives']} negative findings"
    return (
        f"{figures['method']} on {figures['target']}, test, {figures['state']} state\n"
        f"{counts} in {line['groups']} groups"
    )


def plot_curves(paths: Sequence[Path]) -> Figure:
    """AUROC above, losses below, a column per phase, as ``draw_runs`` draws the runs."""
    table = histories.read_histories(paths)
    phases, epochs = histories.phases(table), histories.epochs(table)
    datasets = list(dict.fromkeys(table.loc[table["metric"] == "auroc", "dataset"]))
    colours = dict(zip(datasets, cycle(COLOURS), strict=False))
    size = max(6.5, 3.6 * len(phases) + 1.4), 6.4
    made, grid = panels_of_phases(2, len(phases), size=size, right=0.25, bottom=0.165, top=0.94)
    for (above, below), phase in zip(grid.T, phases, strict=True):
        part = table[table["phase"] == phase]
        for (dataset, colour), (dash, split) in product(colours.items(), DASHES):
            for axes, metric in ((above, "auroc"), (below, "loss")):
                values = histories.runs_of(part, split, metric, dataset)
                draw_runs(axes, epochs[values.index], values, color=colour, linestyle=dash)
        above.set_title(f" {phase}{_samples(table, phases, phase)}", loc="left")
        draw_chance(above)
        below.set_xlabel("epoch")
        below.margins(x=0.09)  # room for the numbers at the line between phases
        below.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    grid[0, 0].set_ylabel("AUROC per finding")
    grid[1, 0].set_ylabel("cross-entropy")
    named = [entry(name, color=colour, linewidth=2) for name, colour in colours.items()]
    kinds = [entry(split, color="black", linestyle=dash) for dash, split in DASHES]
    made.legend(handles=[*named, *kinds], loc="lower center", ncols=len(named) + 2)
    return made


def _samples(table: pd.DataFrame, phases: Sequence[str], phase: str) -> str:
    """Training samples of all data sets in a phase; the history counts from the first."""
    end = phases.index(phase)
    before, after = (histories.samples(table[table["phase"].isin(phases[:to])]) for to in (end, end + 1))
    return "" if np.isnan(after) else f": {after - np.nan_to_num(before):,.0f} training samples"


def plot_bootstrap(scores: Path) -> Figure:
    """AUROC of each candidate on each data set, in order of their minimum, the picked one ringed.

    Candidates that a staged search did not score in full are left out.
    """
    tried = read_csv(scores)
    table = tried[tried["minimum"] != ""]
    table = table.iloc[np.lexsort((-table["mean"].astype(float), -table["minimum"].astype(float)))]
    datasets = [name for name in table if name not in ("candidate", "minimum", "mean", "accepted", "picked")]
    values = table[datasets].apply(pd.to_numeric).to_numpy(float)
    ranks = np.arange(1, len(table) + 1)
    made = figure(8.5, 4.6)
    axes = made.add_subplot()
    draw_chance(axes)
    axes.vlines(ranks, np.nanmin(values, axis=1), np.nanmax(values, axis=1), color="#d0d0d0", linewidth=1)
    size = 4 if len(table) > 60 else 6
    for colour, name, column in zip(cycle(COLOURS), datasets, values.T, strict=False):
        axes.plot(ranks, column, "o", markersize=size, color=colour, label=name)
    rank = int(np.flatnonzero(table["picked"] == "1")[0])
    axes.plot(
        np.full(len(datasets), rank + 1), values[rank], "o-", markersize=size + 5, color="black",
        markerfacecolor="none", linewidth=1.2, label="picked",
    )  # fmt: skip
    each = ", ".join(f"{name} {value:.3f}" for name, value in zip(datasets, values[rank], strict=True))
    axes.set_title(f"candidate {table['candidate'].iloc[rank]} of {len(tried)} picked: {each}", loc="left")
    drawn = "candidates" if len(table) == len(tried) else f"the {len(table)} candidates scored in full"
    axes.set(xlabel=f"{drawn}, by the lowest AUROC of any data set", ylabel="AUROC per finding")
    axes.set(ylim=(-0.02, 1.02), xlim=(1 - 0.02 * len(table) - 0.5, 1.02 * len(table) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    made.legend(loc="outside lower center", ncols=len(datasets) + 1)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Draw one figure."""
    parser = argparse.ArgumentParser(prog="python -m model.report.plots", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    of_roc = kinds.add_parser("roc", help="ROC of the target's test set, per run and mean")
    of_roc.add_argument(
        "--figures", type=Path, required=True, metavar="JSON", help="results/{method}_auc.json"
    )
    of_roc.add_argument("--runs", nargs="+", type=Path, required=True, metavar="DIR", help="…/fold0/seed0 …")
    of_curves = kinds.add_parser("curves", help="learning curves")
    of_curves.add_argument(
        "--history", nargs="+", type=Path, required=True, metavar="CSV", help="one per run"
    )
    of_bootstrap = kinds.add_parser("bootstrap", help="scores of all bootstrap candidates")
    of_bootstrap.add_argument("--scores", type=Path, required=True, metavar="CSV")
    for kind in (of_roc, of_curves, of_bootstrap):
        kind.add_argument("--out", type=Path, required=True, metavar="PNG")
    args = parser.parse_args(argv)
    with mpl.rc_context(STYLE):
        if args.kind == "roc":
            figures = results.read(args.figures)
            made = plot_roc(figures, [run / STATES[figures["state"]] for run in args.runs])
        elif args.kind == "curves":
            made = plot_curves(args.history)
        else:
            made = plot_bootstrap(args.scores)
        save(made, args.out)


if __name__ == "__main__":
    run_cli(main)
