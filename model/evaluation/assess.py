"""What a score is worth in use: calibration, operating points, precision, decisions and sets, with intervals.

Tables and pictures of all methods together, and ``operating.json`` beside each run: the line that
makes its scores probabilities and the thresholds that it takes, all chosen on validation findings. The docs
say what each figure means: docs/statistics.md.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

from model.evaluation import results
from model.evaluation.assessed import Assessed, add_arguments, learned_from, problems, read
from model.evaluation.assessment import (
    TABLES,
    Row,
    calibration_rows,
    conformal_rows,
    lacking,
    operating_rows,
    ranking_rows,
    units,
)
from model.evaluation.operating import FILE, SCHEMA, OperatingPoint, points
from model.evaluation.platt import Platt
from model.evaluation.predictions import numbered, read_splits
from model.evaluation.ranking import UNITS
from model.evaluation.temperature import Temperature
from model.report import operating_points
from model.report.drawing import STYLE, save
from model.report.probabilities import plot_abstain, plot_decisions, plot_precision, plot_reliability
from model.report.tabular import write_table
from pipeline.cli import run_cli
from pipeline.files import write_text

CLASSES = (
    "Scores of three or more classes become probabilities together: by one temperature, and an intercept of"
    " each class, in place of a line."
)  # fmt: skip
BALANCED = "The split leaves out test findings so that the classes are equally frequent in the test."


def points_of_run(
    one: Assessed,
    number: int,
    points: Sequence[OperatingPoint],
    rows: Sequence[Row],
    coverages: Sequence[float],
) -> dict[str, Any]:
    """What operating.json of a method's run has of one problem; ``rows`` are its rows of the table."""
    places = [(fold, run) for fold, runs in enumerate(one.lines) for run in range(len(runs))]
    fold, run = places[number]
    line, labels = one.lines[fold][run], one.validation[fold].labels
    tested = {row["point"]: row for row in rows if row["per"] == UNITS[0]}
    kept = ("sensitivity", "sensitivity95", "specificity", "specificity95")
    return {
        "prevalence": one.prevalence[fold],
        "validation": {"findings": len(labels), "positives": int(labels.sum())},
        "calibration": _line(one, line),
        **({"calibration_reason": line} if isinstance(line, str) else {}),
        "points": [
            {"point": point.name, "threshold": thresholds[fold][run]}
            | {key: tested[point.name].get(key) for key in kept}
            for point in points
            if (thresholds := one.thresholds(point))[fold][run] is not None
        ],
        "sets": [
            {"coverage": coverage} | asdict(sets[fold][run])
            for coverage in coverages
            if (sets := one.sets(coverage)) is not None
        ],
    }


def _line(one: Assessed, line: Platt | Temperature | str) -> dict[str, Any] | None:
    """What makes scores of a problem probabilities; ``together``: all classes are needed for it."""
    if isinstance(line, str):
        return None
    if isinstance(line, Platt):
        return vars(line)
    own = {"intercept": line.intercepts[one.place], "prevalence": line.prevalence[one.place]}
    return {"slope": line.slope, **own, "together": True}


def write_points(
    problems: Sequence[Assessed], figures: results.Figures, runs: Sequence[Path],
    points: Sequence[OperatingPoint], rows: Sequence[Row], coverages: Sequence[float],
) -> None:  # fmt: skip
    """Write operating.json into the folder of each run of a method."""
    places = {(numbered(run, "fold"), numbered(run, "seed")): run for run in runs}
    for number, key in enumerate(problems[0].keys):
        found = {
            "schema": SCHEMA, "dataset": figures["target"], "state": figures["state"],
            "problems": {
                one.problem: points_of_run(
                    one, number, points, [row for row in rows if row.get("class", "") == one.problem],
                    coverages,
                )
                for one in problems
            },
        }  # fmt: skip
        write_text(places[key] / FILE, json.dumps(found, indent=2, allow_nan=False) + "\n")


def table(rows: Sequence[Row], columns: Sequence[str]) -> pd.DataFrame:
    """The rows with these columns, behind those that say whose they are."""
    names = ["method", *(["class"] if any("class" in row for row in rows) else []), *columns]
    return pd.DataFrame([[row.get(name) for name in names] for row in rows], columns=names, dtype=object)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluation.assess", description=__doc__)
    add_arguments(parser)
    for rate in ("sensitivity", "specificity"):
        parser.add_argument(
            f"--{rate}", nargs="*", type=float, default=[0.9], metavar="SHARE",
            help=f"take the best threshold with at least this {rate} in validation (default 0.9)",
        )  # fmt: skip
    parser.add_argument(
        "--prevalence",
        type=float,
        metavar="SHARE",
        help="prevalence for predictive values (default: that of the test)",
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed of the resampling (default 0)")
    parser.add_argument(
        "--coverage", nargs="*", type=float, default=[0.9], metavar="SHARE",
        help="coverage of conformal sets (default 0.9)",
    )  # fmt: skip
    for name in TABLES:
        parser.add_argument(
            f"--out-{name}", type=Path, required=True, metavar="CSV",
            help="the same as .md, .tex and .html beside it",
        )  # fmt: skip
    for name in ("reliability", "precision", "points", "decisions", "abstain"):
        parser.add_argument(f"--out-{name}", type=Path, required=True, metavar="PNG")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the tables, the pictures, and operating.json of each run."""
    args = parse(argv)
    figures, splits = results.read_all(args.results), read_splits(args.splits)
    chosen = points(args.sensitivity, args.specificity)
    every: list[Assessed] = []
    rows: dict[str, list[Row]] = {name: [] for name in TABLES}
    for about in figures:
        runs = [run for run in args.runs if run.parents[1].name == about["method"]]
        learned = learned_from(runs, splits, about["target"])
        mine = problems(about["method"], read(about, runs, splits), splits, args.by_views, learned)
        own = [row for one in mine for row in operating_rows(one, chosen, args.prevalence)]
        write_points(mine, about, runs, chosen, own, args.coverage)
        every += mine
        rows["calibration"] += [row for one in mine for row in calibration_rows(one, args.seed)]
        rows["ranking"] += [row for one in mine for row in ranking_rows(one)]
        rows["operating"] += own
        rows["conformal"] += [row for one in mine for row in conformal_rows(one, args.coverage)]
    target = figures[0]["target"]
    for name, (title, columns, _) in TABLES.items():
        path, caption = getattr(args, f"out_{name}"), f"{title}, {target}, test findings"
        below = [*notes(name, every), *(lacking(rows[name]) if name == "operating" else ())]
        write_table(table(rows[name], columns), path.with_suffix(""), caption, below)
    with mpl.rc_context(STYLE):
        title = f"{target}, test findings"
        save(plot_reliability(every, title), args.out_reliability)
        save(plot_precision(every, title), args.out_precision)
        save(operating_points.plot(every, rows["operating"], chosen, title), args.out_points)
        save(plot_decisions(every, title), args.out_decisions)
        save(plot_abstain(every, title), args.out_abstain)


def notes(name: str, problems: Sequence[Assessed]) -> list[str]:
    """What stands below one of TABLES."""
    more, balanced = [], any(one.balanced for one in problems)
    if name == "calibration":
        more += [CLASSES] if any(one.together for one in problems) else []
        more += [BALANCED] if balanced else []
    where = "in the test of each split" if balanced else "in training"
    return [*(note.format(where=where) for note in TABLES[name][2]), *more, *gaps(problems)]


def gaps(problems: Sequence[Assessed]) -> list[str]:
    """Why cells are empty, a note for each method and problem that lacks something."""
    found = []
    for one in problems:
        if one.gap:
            found.append(f"No figures of {one.called}: {one.gap}.")
        elif one.uncalibrated:
            found.append(f"No calibrated probabilities of {one.called}: {one.uncalibrated}.")
    if all(units(one) == [UNITS[0]] for one in problems):
        found.append("Nobody has several findings, so what is per finding is per patient.")
    return found


if __name__ == "__main__":
    run_cli(main)
