"""The figures of several runs side by side, one task each, as the paper prints them. By hand, in the end."""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from model.report.drawing import COLOURS, STYLE, draw_chance, entry, figure, save
from papers.targeted import STAGES, drawn
from papers.targeted.points import RESULT, Curves, read_points
from pipeline.cli import run_cli
from pipeline.errors import EmptyError

POINT = re.compile(rf"n(\d+){re.escape(RESULT)}")


def find(folder: Path) -> Curves:
    """The points of the curves of a run; but for those with all findings. EmptyError if it has none."""
    paths = sorted(folder.glob(f"results/curve/*/n*{RESULT}"))
    found = [
        (path.parent.name, int(match[1]), path) for path in paths if (match := POINT.fullmatch(path.name))
    ]
    if not found:
        raise EmptyError("no results/curve", file=folder, expected="the folder of a run of ./run targeted")
    methods, findings, results = zip(*found, strict=True)
    return read_points(methods, findings, results, 0)


def panels(name: str, runs: Mapping[str, Curves]) -> Figure:
    """A panel for each task, two in a row, with a line for each method of a figure; ``runs`` are by task."""
    about = STAGES[name]
    methods = [one for one in about.methods if any(one in curves for curves in runs.values())]
    colours = dict(zip(methods, COLOURS, strict=False))
    rows = -(-len(runs) // 2)
    made = figure(9.2 if len(runs) > 1 else 7.2, 3.3 * rows + 0.6)
    grid = made.subplots(rows, min(2, len(runs)), squeeze=False, sharey=True)
    for axes in grid.flat[len(runs) :]:
        axes.set_axis_off()
    for axes, (task, curves) in zip(grid.flat, runs.items(), strict=False):
        draw_chance(axes)
        for method in drawn(name, curves):
            points = [point for point in curves[method].values() if point.auroc is not None]
            x = np.array([point.findings for point in points])
            axes.plot(x, [point.auroc for point in points], color=colours[method], marker="o", markersize=3.5)
            for at, point in zip(x, points, strict=True):
                if interval := point.result["ci95"]:
                    axes.plot([at, at], interval, color=colours[method], linewidth=0.9, alpha=0.4)
        axes.set_title(task, loc="left")
        axes.set_xlabel("findings to learn from")
    for row in grid:
        row[0].set_ylabel("test AUROC")
    entries = [
        entry(about.methods[method], color=colours[method], marker="o", markersize=3.5) for method in methods
    ]
    made.legend(handles=entries, loc="outside lower center", ncols=min(5, len(entries)))
    made.suptitle(f"Romero et al., {about.paper}: {about.about}", x=0.01, ha="left", fontsize=11)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Draw a figure of several runs, a panel for each, called as their folder."""
    parser = argparse.ArgumentParser(prog="python -m papers.targeted.panels", description=main.__doc__)
    parser.add_argument("name", choices=STAGES)
    parser.add_argument("runs", type=Path, nargs="+", help="folder of each run, as --directory had it")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    options = parser.parse_args(argv)
    with mpl.rc_context(STYLE):
        save(panels(options.name, {run.resolve().name: find(run) for run in options.runs}), options.out)


if __name__ == "__main__":
    run_cli(main)
