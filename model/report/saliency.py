"""On what parts of some test findings the score of a run depends: the surest right and wrong of each class.

See ``model.inference.saliency``. It says what the model goes by, not whether it is right to do so.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.baselines import mixture
from model.device import set_up
from model.evaluation.predictions import STATES, read_predictions
from model.files.runs import Run, find
from model.inference.saliency import occlusion
from model.report.drawing import STYLE, figure, save
from pipeline.classes import Classes
from pipeline.cli import run_cli
from pipeline.errors import EmptyError
from pipeline.report.drawing import finish, gray, limits, names
from pipeline.store import read_info, read_patches

EACH = 2
"""How many findings of a class are shown at either end."""
KEY = ["patient_id", "finding_id"]
CMAP = "RdBu_r"
"""Red raises the score, blue lowers it."""


def overlay(axes: Axes, patch: np.ndarray, window: tuple[float, float], falls: np.ndarray) -> float:
    """A patch (side, side) under its map, the stronger the more opaque; the largest change, in log odds."""
    gray(axes, patch, window)
    most = float(np.abs(falls).max()) or 1.0
    axes.imshow(falls, cmap=CMAP, vmin=-most, vmax=most, alpha=0.65 * np.abs(falls) / most)
    return float(np.abs(falls).max())


def of_runs(runs: Sequence[Run], dataset: str, patch: np.ndarray) -> np.ndarray:
    """The map (problems, side, side) of a patch for runs whose probabilities are averaged."""
    return occlusion(lambda each: np.mean([mixture.score(run, dataset, each) for run in runs], axis=0), patch)


@mpl.rc_context(STYLE)
def draw_case(patch: np.ndarray, channels: Sequence[str], falls: np.ndarray, title: str, foot: str) -> Figure:
    """A patch (channels, side, side) without and with its map (side, side), a row for each channel."""
    made = figure(7, 0.9 + 3.3 * len(channels))
    grid = made.subplots(len(channels), 2, squeeze=False)
    for (plain, over), channel, own in zip(grid, channels, patch, strict=True):
        gray(plain, own, limits(own))
        most = overlay(over, own, limits(own), falls)
        plain.set_title(channel)
        over.set_title(f"up to {most:.2g} log odds")
    finish(made, title, foot)
    return made


def chosen(
    classes: Classes, findings: pd.DataFrame, scores: np.ndarray, groups: np.ndarray
) -> list[tuple[int, list[int], bool]]:
    """Whom to show: the problem, rows of findings, and whether these have its class or label.

    ``scores`` are (findings, problems). Of those that have it EACH with the highest scores and EACH with the
    lowest, in that order; of two classes also of those that have the other one. At either end one of a group,
    since near-duplicates show the same; of equals the first.
    """
    truth, found = classes.truth(findings), []
    for problem in range(len(classes.problems)):
        for answer in (1, 0) if classes.two else (1,):
            rows = np.flatnonzero(truth[:, problem] == answer)
            order = rows[np.argsort(-scores[rows, problem], kind="stable")].tolist()
            ends = [_of_groups(one, groups)[:EACH] for one in (order, order[::-1])]
            if shown := list(dict.fromkeys([*ends[0], *ends[1][::-1]])):
                found.append((problem, shown, bool(answer)))
    return found


def _of_groups(rows: Sequence[int], groups: np.ndarray) -> list[int]:
    """The first row of each group."""
    firsts: dict[str, int] = {}
    for row in rows:
        firsts.setdefault(groups[row], row)
    return list(firsts.values())


def draw(run_folder: Path, store: Path) -> Figure:
    """A row for each class or label; of each finding the first channel, without and with the map.

    Raises EmptyError where the target has no test findings.
    """
    (run,) = find([run_folder])
    target, info = run.card["target"], read_info(store)
    predicted = read_predictions(run_folder / STATES[run.card["run"]["state"]], (target, "test"))
    if target not in predicted:
        raise EmptyError("none", file=run_folder, expected=f"test findings of {target}")
    findings, classes = predicted[target].findings, run.classes(target)
    scores = findings[predicted[target].classes.columns()].to_numpy(float)
    place = {key: n for n, key in enumerate(zip(*(info.findings[name] for name in KEY), strict=True))}
    stores = [place[key] for key in zip(*(findings[name] for name in KEY), strict=True)]
    rows = chosen(classes, findings, scores, info.findings["group_id"].to_numpy()[stores])
    made = figure(2.7 * 2 * EACH, 0.5 + 1.75 * len(rows))
    grid = made.subplots(len(rows), 4 * EACH, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, (problem, shown, has) in zip(grid, rows, strict=True):
        name = classes.problems[problem]
        patches = [read_patches(store, [stores[row]], [1])[0] for row in shown]
        window = limits(np.stack([patch[0] for patch in patches]))  # one, or they could not be compared
        for number, (row, patch) in enumerate(zip(shown, patches, strict=True)):
            stored = stores[row]
            falls = of_runs([run], target, patch)[problem]
            plain, over = line[2 * number : 2 * number + 2]
            gray(plain, patch[0], window)
            most = overlay(over, patch[0], window, falls)
            plain.set_title(
                f"{'' if has else 'not '}{name}\n{names(info.findings, [stored])[0]}", fontsize=6.5
            )
            over.set_title(f"{scores[row, problem]:.3f}\nup to {most:.2g} log odds", fontsize=6.5)
    made.suptitle(f"{run.name}, {target}: what raises (red) and lowers (blue) the score", x=0.01, ha="left")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the saliency of some test findings of a run's target."""
    parser = argparse.ArgumentParser(prog="python -m model.report.saliency", description=main.__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--store", type=Path, required=True, help="patches.h5 of the target")
    parser.add_argument("--out", type=Path, required=True, metavar="PNG")
    options = parser.parse_args(argv)
    set_up(0)
    with mpl.rc_context(STYLE):
        save(draw(options.run, options.store), options.out)


if __name__ == "__main__":
    run_cli(main)
