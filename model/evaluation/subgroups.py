"""How well each method does in parts of the test findings: by age, sex, scanner, site, size.

A level is scored where it has at least ``minimum`` positive and as many negative findings, and compared with
all other findings. Thresholds are those of the largest Youden index on all validation findings.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd

from model.evaluation import results
from model.evaluation.assessed import Assessed, Parts, problems, read
from model.evaluation.assessment import counts
from model.evaluation.clustered import Estimate, Interval, Linear, Statistic, estimate
from model.evaluation.delong import components
from model.evaluation.intervals import Fold
from model.evaluation.levels import KEY, UNKNOWN, known, levels, order
from model.evaluation.operating import OperatingPoint, judged, sensitivity, specificity
from model.evaluation.predictions import read_splits
from model.evaluation.ranking import UNITS
from model.report.drawing import STYLE, save
from model.report.subgroups import plot
from model.report.tabular import add_out, write_table
from pipeline.cli import run_cli

Row = dict[str, Any]
COLUMNS = (
    "column", "level", "count", "positives", "groups",
    *(f"{name}{end}" for name in ("auroc", "sensitivity", "specificity") for end in ("", "95", "_difference",
    "_difference95")),
)  # fmt: skip
NOTES = (
    "difference: the level less all other test findings, with a 95 % interval. The two differ if 0 lies"
    " outside of it; of many levels one in twenty does so by chance.",
    "sensitivity, specificity: at the threshold with the largest Youden index on all validation findings.",
    "Intervals are for other patients, by group, with networks and thresholds as they are.",
)


def area(labels: np.ndarray, scores: np.ndarray) -> Linear | None:
    """The AUROC; None where a class is missing."""
    truth = labels == 1
    if truth.all() or not truth.any():
        return None
    beaten, beating = (part[0] for part in components(labels, scores[None]))
    value, influence = float(beaten.mean()), np.zeros(len(labels))
    influence[truth] = (beaten - value) / len(beaten)
    influence[~truth] = (beating - value) / len(beating)
    return Linear(value, influence, np.ones(len(labels), bool))


FIGURES: dict[str, tuple[Statistic, Callable[[Estimate], Interval]]] = {
    "auroc": (area, Estimate.ranked),
    "sensitivity": (sensitivity, Estimate.proportion),
    "specificity": (specificity, Estimate.proportion),
}


class SubgroupEstimate(NamedTuple):
    """A figure of some of the findings, its interval, and the folds that it stands on."""

    made: Estimate
    ci95: Interval
    folds: Sequence[Fold]


def difference(first: SubgroupEstimate, second: SubgroupEstimate) -> Interval:
    """95 % interval of ``first`` less ``second``, from the intervals of both (MOVER; Zou 2008).

    Unlike a symmetric one it keeps its width where a share is 0 or 1, and stays within [-1, 1]. A patient
    with findings in both correlates them.
    """
    (p, (low, high)), (q, (least, most)) = ((part.made.value, part.ci95) for part in (first, second))
    both = _correlation(first, second)

    def away(one: float, other: float) -> float:
        return float(np.sqrt(max(one**2 + other**2 - 2 * both * one * other, 0.0)))

    return p - q - away(p - low, most - q), p - q + away(high - p, q - least)


def _correlation(first: SubgroupEstimate, second: SubgroupEstimate) -> float:
    """Of the errors of two figures, by the groups that both stand on."""
    own, others = (
        np.unique(np.concatenate([fold.groups for fold in part.folds])) for part in (first, second)
    )
    _, here, there = np.intersect1d(own, others, assume_unique=True, return_indices=True)
    lengths = [float(np.linalg.norm(part.made.moved)) for part in (first, second)]
    if not min(lengths):
        return 0.0
    return float(first.made.moved[here] @ second.made.moved[there]) / (lengths[0] * lengths[1])


def rows(method: str, parts: Parts, splits: pd.DataFrame, table: pd.DataFrame, minimum: int) -> Iterator[Row]:
    """A row per column, level and problem of a method; ``table`` has KEY and the level of each column."""
    tested = pd.concat([run.findings[KEY] for run in parts["test"]]).drop_duplicates()
    for column in (name for name in table if name not in KEY):
        for level in order(tested.merge(table, "left", KEY)[column].fillna(UNKNOWN)):
            inside, outside = (
                problems(method, _where(parts, table, column, level, equal=equal), splits)
                for equal in (True, False)
            )
            for one, other in zip(inside, outside, strict=True):
                named = {"method": method} | ({"class": one.problem} if one.problem else {})
                yield named | {"column": column, "level": level} | _row(one, other, minimum)


def _where(parts: Parts, table: pd.DataFrame, column: str, level: str, *, equal: bool) -> Parts:
    """The same with the test findings that have a level, or with all others."""

    def some(findings: pd.DataFrame) -> pd.DataFrame:
        values = findings[KEY].merge(table, "left", KEY)[column].fillna(UNKNOWN).to_numpy()
        return findings[(values == level) == equal].reset_index(drop=True)

    return parts | {"test": [replace(run, findings=some(run.findings)) for run in parts["test"]]}


def _row(one: Assessed, other: Assessed, minimum: int) -> Row:
    """Counts, and each figure with its difference to the other findings where both have enough findings."""
    row: Row = counts(one, UNITS[0])
    thresholds = one.thresholds(OperatingPoint())
    for name, (statistic, interval) in FIGURES.items():
        first, second = (
            part(each.test if name == "auroc" else judged(each.test, thresholds), statistic, interval)
            if _enough(each, minimum)
            else None
            for each in (one, other)
        )
        if first is not None:
            row |= {name: first.made.value, f"{name}95": first.ci95}
        if first is not None and second is not None:
            row[f"{name}_difference"] = first.made.value - second.made.value
            row[f"{name}_difference95"] = difference(first, second)
    return row


def part(
    folds: Sequence[Fold], statistic: Statistic, interval: Callable[[Estimate], Interval]
) -> SubgroupEstimate | None:
    """A figure of the folds in which it is defined; None if it is in none."""
    whole = [fold for fold in folds if statistic(fold.labels, fold.scores[0]) is not None]
    made = estimate(whole, statistic, compares=statistic is area) if whole else None
    return None if made is None else SubgroupEstimate(made, interval(made), whole)


def _enough(one: Assessed, minimum: int) -> bool:
    found = counts(one, UNITS[0])
    return bool(min(found["positives"], found["count"] - found["positives"]) >= minimum)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluation.subgroups", description=__doc__)
    parser.add_argument(
        "--results", nargs="+", type=Path, required=True, metavar="JSON", help="results/{method}_auc.json …"
    )
    parser.add_argument(
        "--runs", nargs="+", type=Path, required=True, metavar="DIR", help="results/{method}/fold0/seed0 …"
    )
    parser.add_argument(
        "--splits", nargs="+", type=Path, required=True, metavar="CSV", help="splits of the target, all folds"
    )
    parser.add_argument("--findings", type=Path, required=True, help="findings.csv of the target")
    parser.add_argument("--index", type=Path, required=True, help="index.parquet of the target")
    parser.add_argument("--table", type=Path, help="CSV with patient_id, perhaps finding_id, and columns")
    parser.add_argument(
        "--names", type=json.loads, default={}, metavar="JSON", help="headers of the table by our names"
    )
    parser.add_argument("--columns", nargs="+", required=True, help="columns that make the subgroups")
    parser.add_argument(
        "--cuts",
        type=json.loads,
        default={},
        metavar="JSON",
        help="values at which to cut columns of numbers",
    )
    parser.add_argument(
        "--minimum",
        type=int,
        default=10,
        help="positive, and negative, findings that a level needs (default 10)",
    )
    add_out(parser, ".md, .tex, .html and .png")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table of all methods, columns and levels, and its picture."""
    args = parse(argv)
    figures, splits = results.read_all(args.results), read_splits(args.splits)
    every = known(args.findings, args.index, args.table, args.names, args.columns)
    table = levels(every, args.columns, args.cuts)
    found = [
        row
        for about in figures
        for runs in [[run for run in args.runs if run.parents[1].name == about["method"]]]
        for row in rows(about["method"], read(about, runs, splits), splits, table, args.minimum)
    ]
    names = ["method", *(["class"] if any("class" in row for row in found) else []), *COLUMNS]
    frame = pd.DataFrame([[row.get(name) for name in names] for row in found], columns=names, dtype=object)
    least = f"Levels with fewer than {args.minimum} positive or negative findings are counted, not scored."
    caption = f"Subgroups, {figures[0]['target']}, test findings"
    write_table(frame, args.out.with_suffix(""), caption, [*NOTES, least])
    with mpl.rc_context(STYLE):
        save(plot(found, caption), args.out.with_suffix(".png"))


if __name__ == "__main__":
    run_cli(main)
