"""How far networks have come at each step: validation AUROCs of the target, as runs of the study wrote them.

An epoch of the study's networks is one step (``batches: 1``), so steps are epochs, counted over all phases.
"""

import itertools
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from model.report.drawing import COLOURS, draw_runs, entry, figure
from pipeline.files import read_csv
from workflow.study import columns

STEP = "step"
HIGH = 3.4
"""Inches of a panel."""


def of_run(history: Path, target: str) -> pd.Series:
    """Validation AUROC of ``target`` by step, from the ``history.csv`` of a run."""
    table = read_csv(history)
    table["epoch"] = table["epoch"].astype(int)
    lengths = table.groupby("phase", sort=False)["epoch"].max()
    before = lengths.cumsum() - lengths
    own = table[
        (table["dataset"] == target) & (table["split"] == "validation") & (table["metric"] == "auroc")
    ]
    steps = own["epoch"] + own["phase"].map(before).astype(int)
    return pd.Series(own["value"].astype(float).to_numpy(), index=steps.to_numpy())


def read(path: Path) -> pd.DataFrame:
    """The curves of a cell (steps, splits)."""
    return columns.read(path, STEP).rename(index=int).apply(pd.to_numeric)


def plot(curves: Mapping[str, Mapping[str, pd.DataFrame]], title: str) -> Figure:
    """A panel for each target; in it the mean over splits of each method, over each split or their spread."""
    made = figure(1.2 + 3.6 * len(curves), HIGH)
    methods = dict.fromkeys(name for own in curves.values() for name in own)
    colours = dict(zip(methods, itertools.cycle(COLOURS), strict=False))
    panels = made.subplots(1, len(curves), squeeze=False)[0]
    for axes, (target, own) in zip(panels, curves.items(), strict=True):
        for name, table in own.items():
            draw_runs(axes, table.index.to_series(), table, color=colours[name])
        axes.set(xlabel="steps", title=target)
    panels[0].set_ylabel("validation AUROC")
    made.suptitle(title, x=0.01, ha="left", fontsize=11)
    handles = [entry(name, color=colour) for name, colour in colours.items()]
    made.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return made
