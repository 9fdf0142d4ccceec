"""The flow of findings as a picture: found, readable, labelled, cut, in which split; what was left out."""

import argparse
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.cli import run_cli
from pipeline.files import read_csv
from pipeline.report.drawing import STYLE, save
from pipeline.splits.split import SPLITS, read_splits

STEP_TITLES = {
    "index": "readable",
    "findings": "with a label and a place",
    "slices": "with a slice",
    "patches": "cut",
}
"""Steps of a fingerprint, and what remains after each of them."""
REASONS = 3
"""Reasons of a step that are told; the rest are counted together."""
SHOWN = 44
"""Signs of a line of a reason, which has two at most."""
WIDTH, HEIGHT = 6.4, 5.6
"""Of the panel of a data set, in inches."""
SPLIT_COLOURS = {"train": "#e8f1f8", "validation": "#fdf1e3", "test": "#e6f4ef"}


@dataclass(frozen=True)
class FlowStage:
    """What is left after a step; a box of the flow chart."""

    title: str
    count: int
    left_out: list[str]
    """Lines of what the step left out."""


def stages(fingerprint: pd.DataFrame) -> list[FlowStage]:
    """The stages of a data set, from the rows of its fingerprint.csv; the first two count files."""
    steps = fingerprint[fingerprint["group"] == "step"]
    values = {(row["item"], row["statistic"]): int(row["value"]) for row in steps.to_dict("records")}
    left_out = fingerprint[fingerprint["group"] == "left out"]
    found = [FlowStage("files found", values["index", "files before"], [])]
    for step, title in STEP_TITLES.items():
        kind = "files" if step == "index" else "findings"
        found.append(FlowStage(f"{kind} {title}", values[step, f"{kind} after"], _reasons(left_out, step)))
    return found


def _reasons(left_out: pd.DataFrame, step: str) -> list[str]:
    own = left_out[left_out["item"] == step].assign(count=lambda rows: rows["value"].astype(int))
    own = own.sort_values("count", ascending=False, kind="stable")
    lines = [
        "\n".join(textwrap.wrap(f"{count} {reason}", SHOWN, max_lines=2, placeholder=" …"))
        for reason, count in zip(own["statistic"], own["count"], strict=True)
    ]
    rest = int(own["count"].iloc[REASONS:].sum())
    return [*lines[:REASONS], *([f"{rest} for other reasons"] if rest else [])]


def parts(split: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Split, findings and groups of the splits that there are."""
    rows = [(name, split[split["split"] == name]) for name in SPLITS]
    return [(name, len(part), part["group_id"].nunique()) for name, part in rows if len(part)]


def draw(datasets: dict[str, tuple[list[FlowStage], list[tuple[str, int, int]]]], folds: int) -> Figure:
    """A panel per data set; splits are those of the first of ``folds``."""
    figure, grid = plt.subplots(
        1, len(datasets), figsize=(WIDTH * len(datasets), HEIGHT), squeeze=False, layout="constrained"
    )
    for axes, (name, (found, split)) in zip(grid[0], datasets.items(), strict=True):
        axes.set(xlim=(0, 10), ylim=(-0.4, len(found) + 0.45))
        axes.set_axis_off()
        axes.set_title(name, weight="bold")
        for place, stage in enumerate(found):
            y = len(found) - place
            _box(axes, 2.2, y, 4.0, f"{stage.count:,}\n{stage.title}")
            if place:
                _arrow(axes, (2.2, y + 0.66), (2.2, y + 0.34))
            if stage.left_out:
                _arrow(axes, (2.2, y + 0.5), (5.0, y + 0.5))
                axes.text(5.1, y + 0.5, "\n".join(stage.left_out), va="center", fontsize=7, color="0.3")
        wide = 9.6 / max(len(split), 3)
        for place, (title, findings, groups) in enumerate(split):
            x = 0.2 + wide * (place + 0.5)
            _box(axes, x, 0.0, wide - 0.3, f"{findings:,}\n{title}, {groups:,} groups", SPLIT_COLOURS[title])
            _arrow(axes, (2.2, 0.66), (x, 0.34))
    if folds > 1:
        figure.supxlabel(f"splits: the first of {folds}", fontsize=8)
    return figure


def _box(axes: Axes, x: float, y: float, width: float, words: str, colour: str = "#f4f6f8") -> None:
    axes.add_patch(
        mpl.patches.FancyBboxPatch(
            (x - width / 2, y - 0.3), width, 0.6, boxstyle="round,pad=0.02", facecolor=colour, edgecolor="0.4"
        )
    )
    axes.text(x, y, words, ha="center", va="center", fontsize=8)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "0.4", "linewidth": 0.9})


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the flow of findings of some data sets."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.report.flow", description=main.__doc__)
    parser.add_argument(
        "--fingerprints", type=Path, nargs="+", required=True, help="data/X/fingerprint.csv …"
    )
    parser.add_argument("--folds", type=int, default=1, help="how many splits there are")
    parser.add_argument("--out", type=Path, required=True, metavar="PNG")
    args = parser.parse_args(argv)
    found = {
        path.parent.name: (stages(read_csv(path)), parts(read_splits(path.parent / "splits/fold0.csv")))
        for path in args.fingerprints
    }
    with mpl.rc_context(STYLE):
        save(draw(found, args.folds), args.out)


if __name__ == "__main__":
    run_cli(main)
