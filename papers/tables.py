"""The tables of the papers with ours beside theirs."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from model.evaluation.intervals import NEGATIVES, POSITIVES, newcombe, published_interval
from model.evaluation.results import counted, read_all
from model.report.tabular import add_out, write_table
from papers.numbers import TABLES, TableCell, read_cells, read_inconsistencies
from papers.ours import NOT_RUN, Experiment, best
from pipeline.cli import run_cli
from pipeline.files import read_csv

MARK = "†"
PAIRS = POSITIVES * NEGATIVES
CHALLENGE = (47, 161)
"""Positive and negative findings of the challenge's test, as its truth has it."""


def paper_table(name: str, experiment: Experiment, published: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A line per number: row, column, paper, paper 95 %, ours, ours 95 %, note.

    ``published`` are histories of the public logs, by method: what they hold is computed again.
    """
    lines = []
    for cell in read_cells(name):
        value = experiment.value(cell)
        notes = [f"{MARK} {cell.corrected}"] if cell.corrected else []
        notes += [_replayed(cell, published) or cell.note, value.note]
        lines.append({
            "row": cell.row, "column": cell.column,
            "paper": f"{cell.value} {MARK}" if cell.corrected else cell.value,
            "paper 95 %": _interval(cell),
            "ours": value.text, "ours 95 %": value.interval,
            "note": "; ".join(filter(None, notes)),
        })  # fmt: skip
    return pd.DataFrame(lines)


def _interval(cell: TableCell) -> str:
    """The interval of a published AUROC: of a test, which is a whole number of pairs, or of the challenge."""
    if cell.measure == "test":
        low, high = published_interval(round(float(cell.value) * PAIRS) / PAIRS)
    elif cell.measure.startswith(("test@", "challenge@")):
        low, high = newcombe(float(cell.value), *CHALLENGE)
    else:
        return ""
    return f"[{low:.3f}, {high:.3f}]"


def _replayed(cell: TableCell, published: Mapping[str, pd.DataFrame]) -> str:
    if not cell.measure.startswith("best_") or cell.paper != "hydra" or cell.method not in published:
        return ""
    found = best(published[cell.method], cell.phase)
    if found is None:
        return ""
    measure = cell.measure.removeprefix("best_")
    return f"from the public log: {found[measure]:{'.0f' if measure == 'epoch' else '.6f'}}"


def notes_of(name: str, experiment: Experiment, kind: str) -> list[str]:
    """What has to be known to read a table, the data first."""
    cells = read_cells(name)
    measures = {cell.measure for cell in cells}
    notes = [_data(experiment, kind)]
    if any(cell.corrected for cell in cells):
        notes.append(f"{MARK} The paper's own numbers give what stands in the note instead.")
    if "test" in measures:
        notes.append(
            f"paper 95 %: Newcombe's interval for {POSITIVES} positive and {NEGATIVES} negative lesions, on"
            " which all published test results stand; the papers give none."
        )
    if measures & {"test", "validation"} and experiment.results:
        result = next(iter(experiment.results.values()))
        line = next(row for row in result["summary"]
                    if (row["dataset"], row["split"]) == (result["target"], "test"))  # fmt: skip
        runs = sorted({row["runs"] for each in experiment.results.values() for row in each["summary"]})
        notes.append(
            f"ours: mean over {' or '.join(map(str, runs))} run(s), {result['state']} state, per finding;"
            f" {counted(line)} positive of {line['findings']} test findings."
            " ours 95 %: for other patients, by group, logit and t; n: Newcombe's, where that is empty."
        )
    if any("validation" in measure for measure in measures):
        notes.append(
            "Published validation is per augmented patch, ours per finding: mean of its views' scores."
        )
    notes += _steps(cells, experiment)
    if any(experiment.value(cell).text == NOT_RUN for cell in cells):
        notes.append(f"{NOT_RUN}: the method is not among methods in the config.")
    return notes + list(NOTES.get(name, ()))


def _data(experiment: Experiment, kind: str) -> str:
    names = ", ".join(experiment.datasets)
    if kind == "phantom":
        return f"Ours are on synthetic data ({names}): they show that it runs, nothing else."
    if kind != "prostatex":
        own = f"target {experiment.target} among {names}"
        return (
            f"Ours are on other data ({own}): methods can be compared with each other, not with the papers."
        )
    return f"Ours: target {experiment.target} among {names}; other splits than the published one."


def _steps(cells: Sequence[TableCell], experiment: Experiment) -> list[str]:
    """Which data set of ours stands for which of theirs."""
    said = []
    for method in dict.fromkeys(cell.method for cell in cells if cell.phase):
        phases = experiment.phases.get(method, ())
        sets = {phase["name"].split("/")[0]: phase["datasets"][0] for phase in phases}
        if method == "typhon" and phases:
            theirs = {"target": "Prostate", "support1": "Brain", "support2": "Lung"}
            sets = {theirs[role]: name for role, name in experiment.roles().items()}
        if sets:
            said.append(
                f"Ours, {method}: " + ", ".join(f"{step} is {name}" for step, name in sets.items()) + "."
            )
    return said


NOTES: Mapping[str, Sequence[str]] = {
    "typhon_2": (
        "samples seen: training samples of a run, of all data sets; bootstrap and evaluation left out.",
        "Published counts again: 25,314, 36,000 and 15,600 training patches of prostate, brain and lung.",
    ),
    "hydra_1": ("Epochs of the paper count from 0, ours from 1.", "The paper cuts to four digits."),
    "hydra_2": (
        "hydra and classical share every thresholded metric of the test; 7 of 60 pairs are all that differs.",
    ),
    "transfer_log": ("Not in the paper, which has the last AUROC in its Table II alone.",),
    "thesis_5_2": (
        f"Theirs: the challenge's {sum(CHALLENGE)} test findings, {CHALLENGE[0]} of them positive;"
        " paper 95 %: Newcombe's interval for that many. By epoch: after training on all other findings.",
        "Ours by epoch: own test findings after so many epochs of classical. The last two lines: ours on the"
        " challenge's findings, where the config names their truth.",
    ),
    "thesis_6_3": (
        "Ours, test of DS1/Full: of the method classical, which is that step by itself.",
        "The run of the thesis is another one than that of the Hydra paper.",
    ),
}


def _read_history(path: Path) -> pd.DataFrame:
    table = read_csv(path)
    return table.assign(epoch=table["epoch"].astype(int), value=pd.to_numeric(table["value"]))


def _by_method(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    return {result["method"]: result for result in read_all(paths)}


def main(argv: Sequence[str] | None = None) -> None:
    """Write a table of the papers as CSV, Markdown and LaTeX."""
    parser = argparse.ArgumentParser(prog="python -m papers.tables", description=main.__doc__)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument(
        "--results", nargs="*", type=Path, default=[], metavar="JSON", help="…/{method}_auc.json"
    )
    parser.add_argument(
        "--histories",
        nargs="*",
        type=Path,
        default=[],
        metavar="CSV",
        help="…/{method}/fold0/seed0/history.csv",
    )
    parser.add_argument(
        "--published", nargs="*", type=Path, default=[], metavar="CSV", help="published/{method}/history.csv"
    )
    parser.add_argument(
        "--challenge", nargs="*", type=Path, default=[], metavar="JSON", help="…/{method}_challenge.json"
    )
    parser.add_argument("--split", default="holdout", help="kind of the splits")
    parser.add_argument("--phases", type=json.loads, default={}, help="JSON: the phases of each method")
    parser.add_argument(
        "--candidates", type=json.loads, default={}, help="JSON: random networks of each method"
    )
    parser.add_argument("--target", required=True)
    parser.add_argument("--datasets", nargs="+", required=True, help="in the order of their turns")
    parser.add_argument("--kind", default="prostatex", help="kind of the target's collection, or phantom")
    add_out(parser, ".md and .tex")
    args = parser.parse_args(argv)
    stem = args.out.with_suffix("")
    if args.table == "inconsistencies":
        write_table(pd.DataFrame(read_inconsistencies()), stem, TABLES[args.table])
        return
    histories: dict[str, list[pd.DataFrame]] = {}
    for path in args.histories:
        histories.setdefault(path.parents[2].name, []).append(_read_history(path))
    experiment = Experiment(
        args.target, args.datasets, _by_method(args.results), histories,
        args.phases, args.candidates, _by_method(args.challenge), args.split,
    )  # fmt: skip
    published = {path.parent.name: _read_history(path) for path in args.published}
    write_table(
        paper_table(args.table, experiment, published), stem, TABLES[args.table],
        notes_of(args.table, experiment, args.kind),
    )  # fmt: skip


if __name__ == "__main__":
    run_cli(main)
