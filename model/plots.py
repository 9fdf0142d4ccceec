"""Figures of the report: ROC curves, learning curves, bootstrap candidates."""

import argparse
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from model import results
from model.delong import NEWCOMBE
from model.predictions import STATES, numbered, read_predictions
from model.roc import mean_curve, roc
from pipeline.errors import run_cli
from pipeline.files import atomic, read_csv

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Told apart with every kind of colour vision (Okabe & Ito 2008)."""
GREY = "#8a8a8a"
CHANCE = (0, (4, 3))
DASHES: tuple[tuple[Literal["-", ":"], str], ...] = (("-", "validation"), (":", "train"))
STYLE: dict[Any, Any] = {
    "font.size": 10, "axes.titlesize": 11, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#e6e6e6", "grid.linewidth": 0.8, "axes.axisbelow": True,
    "legend.frameon": False, "figure.dpi": 110, "savefig.dpi": 160, "svg.hashsalt": "typhon",
    "text.parse_math": False,
}  # fmt: skip
_NAMED_RUNS = 6
"""Runs that fit into a legend one by one."""


def figure(width: float, height: float) -> Figure:
    """An empty figure of this many inches; no window and no global state, so it works in any process."""
    return Figure((width, height), layout="constrained")


def save(made: Figure, path: str | Path) -> None:
    """Write a PNG atomically; the same figure gives the same bytes."""
    with atomic(path) as beside:
        made.savefig(beside, format="png", metadata={"Software": None})


def plot_roc(figures: dict[str, Any], predictions: Sequence[Path]) -> Figure:
    """ROC of the target's test set for each run and their mean, with the figures of ``*_auc.json``.

    ``predictions`` are the files of the state that ``figures`` is about.
    """
    made = figure(5.4, 5.8)
    axes = made.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=CHANCE, label="chance")
    curves, entries = [], []
    for path in predictions:
        table = read_predictions(path)
        test = table[(table["dataset"] == figures["target"]) & (table["split"] == "test")]
        if test["label"].nunique() == 2:
            curves.append(roc(test["label"], test["score"]))
            entries.append(_entry(figures, numbered(path, "fold"), numbered(path, "seed")))
    for number, (curve, entry) in enumerate(zip(curves, entries, strict=True)):
        named = f"fold {entry['fold']}, seed {entry['seed']}: {entry['auroc']:.3f}"
        label = named if len(curves) <= _NAMED_RUNS else None
        axes.plot(*curve, color=COLOURS[1 + number % 5], linewidth=1, alpha=0.6, label=label)
    if len(curves) > _NAMED_RUNS:
        values = [entry["auroc"] for entry in entries]
        axes.plot(
            [],
            [],
            color=GREY,
            linewidth=1,
            label=f"{len(curves)} runs: {min(values):.3f} to {max(values):.3f}",
        )
    if curves:
        axes.plot(*mean_curve(curves), color=COLOURS[0], linewidth=2.5, label=_headline(figures))
        axes.legend(loc="lower right")
    else:
        axes.text(0.5, 0.5, figures.get("auroc_reason", "no curve"), ha="center", va="center", wrap=True)
    axes.set(
        xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal"
    )
    axes.set_title(_test_set(figures), loc="left")
    return made


def _entry(figures: dict[str, Any], fold: int, seed: int) -> dict[str, Any]:
    key = {
        "fold": fold,
        "seed": seed,
        "dataset": figures["target"],
        "split": "test",
        "state": figures["state"],
    }
    return next(run for run in figures["runs"] if key.items() <= run.items())


def _headline(figures: dict[str, Any]) -> str:
    text = "mean" if figures["auroc"] is None else f"mean {figures['auroc']:.3f}"
    patients = "95 % (Newcombe)" if figures["ci95_kind"] == NEWCOMBE else "95 %, patients"
    for key, name in (("ci95", patients), ("corrected95", "95 %, splits")):
        if figures[key] is not None:
            text += f"\n{name} [{figures[key][0]:.3f}, {figures[key][1]:.3f}]"
    return text


def _test_set(figures: dict[str, Any]) -> str:
    line = next(
        row for row in figures["summary"]
        if (row["dataset"], row["split"], row["state"]) == (figures["target"], "test", figures["state"])
    )  # fmt: skip
    negatives = line["findings"] - line["positives"]
    return (
        f"{figures['method']} on {figures['target']}, test, {figures['state']} state\n"
        f"{line['positives']} positive and {negatives} negative findings in {line['groups']} groups"
    )


def plot_curves(histories: Sequence[Path]) -> Figure:
    """AUROC above, losses below, a column per phase; bold: mean of the runs, thin: each run."""
    runs = [read_csv(path).assign(run=number) for number, path in enumerate(histories)]
    table = pd.concat(runs, ignore_index=True)
    table["epoch"] = table["epoch"].astype(int)
    table["value"] = pd.to_numeric(table["value"])
    phases = list(dict.fromkeys(table["phase"]))
    datasets = list(dict.fromkeys(table.loc[table["metric"] == "auroc", "dataset"]))
    width = max(6.5, 3.6 * len(phases) + 1.4)
    made = Figure((width, 6.4))
    edges = {"left": 0.75 / width, "right": 1 - 0.25 / width, "bottom": 0.165, "top": 0.94}
    grid = made.subplots(
        2,
        len(phases),
        squeeze=False,
        sharey="row",
        sharex="col",
        gridspec_kw={"wspace": 0, "hspace": 0.08, **edges},
    )
    for column, phase in enumerate(phases):
        part = table[table["phase"] == phase]
        for colour, dataset in zip(cycle(COLOURS), datasets, strict=False):
            of_set = part[part["dataset"] == dataset]
            for axes, metric in zip(grid[:, column], ("auroc", "loss"), strict=True):
                for dash, split in DASHES:
                    _lines(axes, of_set, split, metric, colour, dash)
        grid[0, column].set_title(f" {phase}{_samples(table, phases[: column + 1])}", loc="left")
        grid[0, column].axhline(0.5, color=GREY, linewidth=1, linestyle=CHANCE)
        grid[1, column].set_xlabel("epoch")
        grid[1, column].margins(x=0.09)  # room for the numbers at the line between phases
        grid[1, column].xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if column:  # the line between two phases
            for axes in grid[:, column]:
                axes.spines["left"].set(color="black", linewidth=1.4)
                axes.tick_params(axis="y", length=0)
    grid[0, 0].set_ylabel("AUROC per finding")
    grid[1, 0].set_ylabel("cross-entropy")
    named = [Line2D([], [], color=colour, linewidth=2, label=name)
             for colour, name in zip(cycle(COLOURS), datasets, strict=False)]  # fmt: skip
    kinds = [Line2D([], [], color="black", linestyle=dash, label=split)
             for dash, split in DASHES]  # fmt: skip
    made.legend(handles=[*named, *kinds], loc="lower center", ncols=len(named) + 2)
    return made


def _samples(table: pd.DataFrame, phases: Sequence[str]) -> str:
    """Training samples of all data sets in the last of ``phases``; the history counts from the first."""
    counts = table[(table["metric"] == "samples") & (table["run"] == 0)]
    if counts.empty:
        return ""
    seen = [counts[counts["phase"].isin(phases[:end])].groupby("dataset")["value"].max().sum()
            for end in (len(phases) - 1, len(phases))]  # fmt: skip
    return f": {seen[1] - seen[0]:,.0f} training samples"


def _lines(axes: Axes, table: pd.DataFrame, split: str, metric: str, colour: str, dash: str) -> None:
    chosen = table[(table["split"] == split) & (table["metric"] == metric)].dropna(subset="value")
    if chosen.empty:
        return
    runs = chosen.pivot_table(index="epoch", columns="run", values="value")
    if runs.shape[1] > 1:
        axes.plot(runs.index, runs, color=colour, linewidth=0.7, alpha=0.3, linestyle=dash)
    marker = "o" if len(runs) < 2 else None
    axes.plot(runs.index, runs.mean(axis=1), color=colour, linewidth=1.8, linestyle=dash, marker=marker)


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
    axes.axhline(0.5, color=GREY, linewidth=1, linestyle=CHANCE)
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
    parser = argparse.ArgumentParser(prog="python -m model.plots", description=__doc__)
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
