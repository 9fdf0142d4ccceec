"""How the highest learning rate of a method was found: the loss of the trials over their growing rate."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from model.report.drawing import COLOURS, GREY, STYLE, entry, figure, save
from model.training import finder
from pipeline.cli import run_cli

ROOM = 1.6
"""Of the losses, how many times the highest one at the lowest rates is drawn; those of divergence are not."""


def plot(rates: Sequence[Mapping[str, Mapping[str, Any]]]) -> Figure:
    """A panel for each phase: loss by rate of each run, its smoothed curve, and where that is least.

    ``rates`` are what ``run.json`` of each run says: by phase the ``rate`` and the ``losses``.
    """
    phases = list(dict.fromkeys(name for run in rates for name in run))
    made = figure(6.4, 3.6 * len(phases) + 0.4)
    for axes, phase in zip(made.subplots(len(phases), 1, squeeze=False)[:, 0], phases, strict=True):
        top = 0.0
        for run in (run[phase] for run in rates if phase in run):
            x = [finder.rate(step) for step in range(len(run["losses"]))]
            axes.plot(x, run["losses"], color=GREY, linewidth=0.6, alpha=0.5)
            means = finder.smoothed(run["losses"])
            axes.plot(x, means, color=COLOURS[0], linewidth=1.4)
            axes.axvline(run["rate"], color=COLOURS[1], linewidth=1.2, linestyle=":")
            top = max(top, ROOM * max(run["losses"][: finder.AROUND + 1]))
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss of the batch", ylim=(0, top))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # not powers, which are set as formulas
        axes.set_title(phase, loc="left")
    found = entry("highest rate of the phase", color=COLOURS[1], linewidth=1.2, linestyle=":")
    mean = entry(f"mean of {2 * finder.AROUND + 1} steps", color=COLOURS[0], linewidth=1.4)
    steps = entry("each step", color=GREY, linewidth=0.6)
    made.legend(handles=[steps, mean, found], loc="outside lower center", ncols=3)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the trials of all runs of a method."""
    parser = argparse.ArgumentParser(prog="python -m model.report.rates", description=main.__doc__)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="run.json of each run")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    options = parser.parse_args(argv)
    told = [json.loads(path.read_text(encoding="utf-8"))["rates"] for path in options.runs]
    with mpl.rc_context(STYLE):
        save(plot(told), options.out)


if __name__ == "__main__":
    run_cli(main)
