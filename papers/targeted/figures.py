"""Figures 3 to 8: test AUROC by training findings; and 1 and 2: how rate and momentum change."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from model.report.drawing import COLOURS, GREY, STYLE, figure, save
from model.report.learning import add_counted, learned_from, plot
from model.training.layers import Layers
from model.training.schedule import one_cycle
from papers.targeted import POLICIES, STAGES
from papers.targeted.points import Curves, auroc_of_chosen, choose, read_points
from pipeline.cli import run_cli

ITERATIONS = 500
"""Of the paper's figures 1 and 2."""
GROUPS = Layers(groups=3, decay=1 / 3, unfreeze=[0.1, 0.2])
CHOSEN = "chosen in validation, inside each number"


def stage(name: str, curves: Curves, target: str, counted: Sequence[str]) -> Figure:
    """A line for each method that was run, with the interval of each point, and one for what is chosen."""
    about = STAGES[name]
    rows = [
        {"method": label, "findings": number, "auroc": point.auroc, "ci95": point.result["ci95"]}
        for method, label in about.methods.items()
        for number, point in curves.get(method, {}).items()
    ]
    made = plot(rows, target, counted)
    axes = made.axes[0]
    if found := auroc_of_chosen(curves, choose(curves)):
        axes.plot(
            list(found), list(found.values()), color=GREY, linestyle=(0, (2, 2)), linewidth=1.2, label=CHOSEN
        )
        axes.legend(loc="lower right")
    axes.set_title(f"Romero et al., {about.paper}: {about.about}", loc="left")
    return made


def policy() -> Figure:
    """Figure 1: rate, as a share of the highest, and momentum of each of 500 iterations."""
    settings = [one_cycle(step, ITERATIONS) for step in range(ITERATIONS)]
    made = figure(9.2, 3.6)
    rates, momenta = made.subplots(1, 2)
    rates.plot([setting.rate for setting in settings], color=COLOURS[0])
    rates.set(xlabel="iteration", ylabel="learning rate / its highest")
    momenta.plot([setting.momentum for setting in settings], color=COLOURS[1])
    momenta.set(xlabel="iteration", ylabel="momentum")
    return made


def groups() -> Figure:
    """Figure 2: the rates of three groups of layers, each from the step on at which it moves."""
    rates = np.array([one_cycle(step, ITERATIONS).rate for step in range(ITERATIONS)])
    steps = np.arange(ITERATIONS)
    made = figure(7.6, 4.4)
    axes = made.add_subplot()
    numbers = zip(GROUPS.factors(3), GROUPS.starts(3), strict=True)
    for number, (share, start) in enumerate(numbers, start=1):
        moving = steps >= start * ITERATIONS
        label = f"group {number}{', nearest the image' if number == 1 else ''}"
        axes.plot(steps[moving], share * rates[moving], color=COLOURS[number - 1], label=label)
        if start:
            axes.axvline(start * ITERATIONS, color="#c00000", linewidth=1)
    axes.set(xlabel="iteration", ylabel="learning rate / highest of the last group")
    axes.set_title("One-cycle with three groups, unfrozen at 10 % and 20 %", loc="left")
    axes.legend(loc="upper right")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Draw figures of the targeted transfer."""
    parser = argparse.ArgumentParser(prog="python -m papers.targeted.figures", description=main.__doc__)
    parser.add_argument("names", nargs="+", choices=[*POLICIES, *STAGES])
    parser.add_argument("--target", default="", help="name of the data set")
    parser.add_argument("--results", type=Path, nargs="*", default=[], help="…_auc.json of each point")
    parser.add_argument("--methods", nargs="*", default=[], help="method of each point")
    parser.add_argument(
        "--findings", type=int, nargs="*", default=[], help="findings to learn from at each point; 0 is all"
    )
    parser.add_argument("--splits", type=Path, nargs="*", default=[], help="splits of the target, all folds")
    add_counted(parser)
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="PNG to write, for each name")
    options = parser.parse_args(argv)
    everything = learned_from(options.splits, options.counted) if options.splits else 0
    curves = read_points(options.methods, options.findings, options.results, everything)
    exact = {"targeted_1": policy, "targeted_2": groups}
    with mpl.rc_context(STYLE):
        for name, path in zip(options.names, options.out, strict=True):
            made = exact[name]() if name in exact else stage(name, curves, options.target, options.counted)
            save(made, path)


if __name__ == "__main__":
    run_cli(main)
