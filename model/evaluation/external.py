"""What runs come to on data sets that no step has seen: ranking, calibration and operating points.

Everything that is fitted or chosen is that of the target's validation findings, as on its own test: the line
that makes scores probabilities, and thresholds. Nothing looks at an external label but to judge.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from model.evaluation import results
from model.evaluation.assess import notes
from model.evaluation.assessed import Assessed, Parts, add_arguments, learned_from, problems
from model.evaluation.assessment import (
    TABLES,
    Row,
    calibration_rows,
    lacking,
    operating_rows,
    ranking_rows,
)
from model.evaluation.clustered import Estimate
from model.evaluation.intervals import Fold
from model.evaluation.operating import points
from model.evaluation.predictions import evaluate, held_out, read_splits
from model.evaluation.ranking import Unit, taken_by
from model.evaluation.results import Figures
from model.evaluation.subgroups import area, difference, part
from model.report.drawing import STYLE, save
from model.report.probabilities import plot_reliability
from model.report.tabular import write_table
from pipeline.cli import run_cli

BESIDE = ("internal", "internal95", "difference", "difference95")
"""Columns behind the AUROC: that of the target's own test, and by how much the external one is above it."""
NOTES = {
    "ranking": (
        "internal: the AUROC of the same runs on the target's own test findings; difference: external less"
        " internal, with a 95 % interval. Below 0: the networks rank these findings worse.",
    ),
    "calibration": (
        "prevalence and calibrated are for the share of positives in training: an intercept off 0 says"
        " that positives are rarer or more frequent here, or look different.",
    ),
    "operating": (
        "Thresholds are those of the target's validation findings, carried over as they are. Predictive"
        " values are for the share of positives in the external data set.",
    ),
}


def read(figures: Figures, runs: Sequence[Path], splits: pd.DataFrame, dataset: str) -> dict[str, Parts]:
    """The parts of a method on its own test, and on an external data set; validation is the same in both."""
    target, state = figures["target"], figures["state"]
    found: dict[str, Parts] = {name: {"validation": [], "test": []} for name in ("internal", "external")}
    for run in runs:
        validated = held_out(run, state, splits, target)
        for name, of, file in (("internal", target, None), ("external", dataset, f"external/{dataset}.csv")):
            found[name]["validation"] += validated
            found[name]["test"] += evaluate(run, state, splits, (of, "test"), file)
    for parts in found.values():
        for each in parts.values():
            each.sort(key=lambda one: (one.fold, one.seed))
    return found


def beside(external: Assessed, internal: Assessed, unit: Unit) -> Row:
    """The AUROC of the own test, and the difference to it; nobody is in both."""
    ours, theirs = (
        part(_apart(one.test, name, unit), area, Estimate.ranked)
        for name, one in (("external", external), ("internal", internal))
    )
    row: Row = {}
    if theirs is not None:
        row |= {"internal": theirs.made.value, "internal95": theirs.ci95}
    if ours is not None and theirs is not None:
        row |= {"difference": ours.made.value - theirs.made.value, "difference95": difference(ours, theirs)}
    return row


def _apart(folds: Sequence[Fold], name: str, unit: Unit) -> list[Fold]:
    """Folds whose groups are called after the data set: equal ids of two data sets are two people."""
    taken = [taken_by(fold, unit) for fold in folds]
    return [
        replace(fold, groups=np.array([f"{name} {group}" for group in fold.groups], object)) for fold in taken
    ]


def table(rows: Sequence[Row], columns: Sequence[str]) -> pd.DataFrame:
    """The rows with these columns, behind those that say whose they are."""
    several = any("class" in row for row in rows)
    names = ["dataset", "method", *(["class"] if several else []), *columns]
    return pd.DataFrame([[row.get(name) for name in names] for row in rows], columns=names, dtype=object)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluation.external", description=__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--external-splits", nargs="+", type=Path, required=True, metavar="CSV",
        help="data/X/splits/fold0.csv … of each external data set X, all folds",
    )  # fmt: skip
    for rate in ("sensitivity", "specificity"):
        parser.add_argument(f"--{rate}", nargs="*", type=float, default=[0.9], metavar="SHARE",
                            help=f"lowest {rate} of a threshold in validation (default 0.9)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="random seed of the resampling (default 0)")
    for name in NOTES:
        parser.add_argument(f"--out-{name}", type=Path, required=True, metavar="CSV",
                            help="the same as .md, .tex and .html beside it")  # fmt: skip
    parser.add_argument("--out-reliability", type=Path, required=True, metavar="PNG")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the tables of all methods and external data sets, and the reliability curves."""
    args = parse(argv)
    splits = read_splits([*args.splits, *args.external_splits])
    names = list(dict.fromkeys(path.parent.parent.name for path in args.external_splits))
    chosen, drawn = points(args.sensitivity, args.specificity), []
    rows: dict[str, list[Row]] = {name: [] for name in NOTES}
    for figures in results.read_all(args.results):
        runs = [run for run in args.runs if run.parents[1].name == figures["method"]]
        learned = learned_from(runs, splits, figures["target"])
        for name in names:
            read_parts = read(figures, runs, splits, name)
            found = {
                kind: problems(figures["method"], parts, splits, args.by_views, learned)
                for kind, parts in read_parts.items()
            }
            for one, own in zip(found["external"], found["internal"], strict=True):
                made: dict[str, list[dict[str, Any]]] = {
                    "ranking": [row | beside(one, own, row["per"]) for row in ranking_rows(one)],
                    "calibration": calibration_rows(one, args.seed),
                    "operating": operating_rows(one, chosen, None),
                }
                for kind, of_kind in made.items():
                    rows[kind] += [{"dataset": name} | row for row in of_kind]
                drawn.append(replace(one, method=f"{one.method}, {name}"))
    lack = lacking(rows["operating"])
    for name, more in NOTES.items():
        title, columns, _ = TABLES[name]
        below = [*more, *notes(name, drawn), *(lack if name == "operating" else ())]
        own_columns = [*columns[:6], *BESIDE, *columns[6:]] if name == "ranking" else columns
        write_table(
            table(rows[name], own_columns), getattr(args, f"out_{name}").with_suffix(""),
            f"{title}, external: {', '.join(names)}", below,
        )  # fmt: skip
    with mpl.rc_context(STYLE):
        save(plot_reliability(drawn, f"external: {', '.join(names)}"), args.out_reliability)


if __name__ == "__main__":
    run_cli(main)
