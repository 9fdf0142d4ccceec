"""Tables of the targeted transfer: positives, tests of pairs, what stages choose, and claims."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from model.evaluation.corrected import overlap
from model.evaluation.predictions import read_splits
from model.report.learning import add_counted, learned_from
from model.report.tabular import write_table
from papers.numbers import read_cells
from papers.targeted import STAGES, TABLES, TASKS, claims, drawn, pairs
from papers.targeted.differences import paired_difference, published_p
from papers.targeted.measures import Evidence, ours
from papers.targeted.points import ScoredRuns, auroc_of_chosen, choose, read_points
from pipeline.classes import LABEL
from pipeline.cli import run_cli

PARTS = {"training": "train", "validation": "validation", "testing": "test"}
"""What the paper calls the parts of a split."""
MARK = "†"


def positives(splits: pd.DataFrame, target: str, task: str) -> pd.DataFrame:
    """T-Ro I: as printed, as the official lists have it, and of our split (the first) of the same task."""
    own = splits[(splits["dataset"] == target) & (splits["fold"] == splits["fold"].min())]

    def count(row: str, part: str) -> int | str:
        labels = [LABEL] if row == task else [name for name in own if name == f"{LABEL}_{row}"]
        found = own.loc[own["split"] == PARTS[part], [name for name in labels if name in own]]
        return int((found == 1).any(axis=1).sum()) if found.shape[1] else "another task"

    rows: list[dict[str, Any]] = []
    for cell in read_cells("targeted_1"):
        rows.append({
            "data set": cell.row, "part": cell.column,
            "paper": f"{cell.value} {MARK}" if cell.corrected else cell.value,
            "official lists": cell.corrected or cell.value,
            "ours": count(cell.row, cell.column), "note": cell.note,
        })  # fmt: skip
    return pd.DataFrame(rows)


def tests(evidence: Evidence, task: str) -> pd.DataFrame:
    """A row for each pair that the paper compares and that was run here."""
    rows = []
    for pair in pairs():
        numbers = evidence.numbers(pair.method, pair.reference)
        if not numbers:
            continue
        curves = [[evidence.curves[name][n].auroc for n in numbers] for name in (pair.method, pair.reference)]
        whole = all(value is not None for curve in curves for value in curve)
        found = evidence.difference(pair.method, pair.reference, numbers)
        printed = dict(part.rsplit(" ", 1) for part in pair.p.split("; ") if part)
        rows.append({
            "figure": STAGES[pair.figure].paper, "method": pair.method, "reference": pair.reference,
            "paper": pair.said if task in pair.tasks or not pair.tasks else "",
            "paper p": printed.get(task, printed.get("any", "")),
            "numbers": len(numbers), "difference": found.value,
            "p over numbers": published_p(*curves) if whole else None,  # type: ignore[arg-type]
            "ci95": found.ci95, "p_delong": found.p_delong,
            "corrected95": found.corrected95, "p_corrected": found.p_corrected,
            "note": "" if found.corrected95 else found.reasons.get("corrected95", ""),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=TESTS_COLUMNS, dtype=object)


TESTS_COLUMNS = (
    "figure", "method", "reference", "paper", "paper p", "numbers", "difference", "p over numbers", "ci95",
    "p_delong", "corrected95", "p_corrected", "note",
)  # fmt: skip


def stages(evidence: Evidence) -> pd.DataFrame:
    """A row for each stage: the paper's choice once for all, and one inside each number, by validation."""
    rows = []
    for name, stage in STAGES.items():
        methods = drawn(name, evidence.curves)
        if stage.chosen not in methods or len(methods) < 2:
            continue
        curves = {method: evidence.curves[method] for method in methods}
        chosen = choose(curves)
        areas = auroc_of_chosen(curves, chosen)
        known = [curves[stage.chosen][number].auroc for number in areas]
        if not areas or None in known:
            continue
        some = {number: chosen[number] for number in areas}
        counts = Counter(method for of_runs in some.values() for method in of_runs.values())
        found = paired_difference(
            evidence.scored.chosen(some), evidence.scored.runs(stage.chosen, list(areas)), evidence.overlap
        )
        rows.append({
            "stage": stage.about, "paper": stage.chosen,
            "inside each number": ", ".join(f"{method} {count}" for method, count in counts.most_common()),
            "auroc of the paper's choice": sum(value for value in known if value is not None) / len(known),
            "auroc of ours": sum(areas.values()) / len(areas),
            "difference": found.value, "ci95": found.ci95,
        })  # fmt: skip
    return pd.DataFrame(rows, columns=STAGES_COLUMNS, dtype=object)


STAGES_COLUMNS = (
    "stage", "paper", "inside each number", "auroc of the paper's choice", "auroc of ours", "difference",
    "ci95",
)  # fmt: skip


def claims_table(evidence: Evidence, task: str) -> pd.DataFrame:
    """A row for each claim: the paper's number where it is about this task, and ours."""
    rows = []
    for claim in claims():
        text, interval = ours(claim, evidence)
        here = not claim.tasks or task in claim.tasks
        methods = " - ".join(filter(None, (claim.method, claim.reference)))
        rows.append({
            "claim": claim.claim, "of": ", ".join(claim.tasks), "paper": claim.paper if here else "",
            "ours": text, "interval": interval, "methods": methods,
        })  # fmt: skip
    return pd.DataFrame(rows)


def notes(table: str, task: str) -> list[str]:
    """What has to be known to read a table."""
    known = (
        "" if task in TASKS else ", none of the paper's tasks: methods can be compared with each other alone"
    )
    return [f"Ours: {task}{known}.", *NOTES[table]]


NOTES = {
    "targeted_1": [
        f"{MARK} Misprinted: 779 + 97 is the official training list, and the official test has 555.",
        "The abstract says a random split of 70/10/20; the printed tests are those of the official list.",
    ],
    "targeted_tests": [
        "difference: mean over numbers of findings, splits and seeds, on the same test findings.",
        "p over numbers: as published, a paired two-sided t over the numbers of findings. They share one test"
        " and, where nested, their findings, so they are no independent samples, and it is far too small.",
        "ci95, p_delong: for other patients, in closed form, by group. corrected95, p_corrected: for other"
        " splits (the mean over numbers and seeds in each), a t that allows for training sets that overlap"
        " (Nadeau and Bengio 2003).",
    ],
    "targeted_stages": [
        "paper: the method with which the paper goes on, whatever the number. inside each number: how often"
        " the highest validation AUROC chooses a method, over numbers, splits and seeds. Nothing is chosen by"
        " the test.",
        "difference: chosen inside each number, less the paper's choice.",
    ],
    "targeted_claims": [
        "paper: where it says so of this task. ours: AUROC, difference of AUROCs (mean over numbers), gain in"
        " percent, or the number of findings from which on it holds. interval: 95 %, for other patients.",
    ],
}
"""Of each table."""


def main(argv: Sequence[str] | None = None) -> None:
    """Write the tables of the targeted transfer."""
    parser = argparse.ArgumentParser(prog="python -m papers.targeted.tables", description=main.__doc__)
    parser.add_argument("--target", required=True, help="name of the data set")
    parser.add_argument("--task", required=True, help="name of the task in the paper")
    parser.add_argument("--results", type=Path, nargs="*", default=[], help="…_auc.json of each point")
    parser.add_argument("--methods", nargs="*", default=[], help="method of each point")
    parser.add_argument(
        "--findings", type=int, nargs="*", default=[], help="findings to learn from at each point; 0 is all"
    )
    parser.add_argument(
        "--splits", type=Path, nargs="+", required=True, help="splits of the target, all folds"
    )
    add_counted(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the tables")
    options = parser.parse_args(argv)
    splits = read_splits(options.splits)
    everything = learned_from(options.splits, options.counted)
    curves = read_points(options.methods, options.findings, options.results, everything)
    evidence = Evidence(curves, ScoredRuns(curves, splits), overlap(splits, options.target))
    made = {
        "targeted_1": lambda: positives(splits, options.target, options.task),
        "targeted_tests": lambda: tests(evidence, options.task),
        "targeted_stages": lambda: stages(evidence),
        "targeted_claims": lambda: claims_table(evidence, options.task),
    }
    for name, table in made.items():
        write_table(table(), options.out / name, TABLES[name], notes(name, options.task))


if __name__ == "__main__":
    run_cli(main)
