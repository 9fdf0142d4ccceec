"""The table of what each published way changes, one key at a time."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from model.evaluation.paired import Difference, Runs, UnpairedError, collect, pair, subtract
from model.evaluation.predictions import Predictions
from model.report.tabular import add_out, text, write_table
from pipeline.classes import of_columns
from pipeline.cli import run_cli
from pipeline.seeds import stream
from workflow.plain import spell

Measured = Mapping[str, Any]
"""What ``workflow.effects.measure`` writes of a variant."""
FACTS = {"start": "start", "loss": "training loss", "moved": "weights moved"}


def read_runs(name: str, measured: Measured) -> Runs:
    """The target's test findings as the runs of a variant score them."""
    table = pd.DataFrame(measured["findings"])
    return collect(name, [
        Predictions(int(fold), int(seed), measured["target"], "test", "", rows, of_columns(table.columns))
        for (fold, seed), rows in table.groupby(["fold", "seed"])
    ])  # fmt: skip


def row(name: str, entry: Mapping[str, Any], right: Measured, paper: Measured) -> dict[str, Any]:
    """An effect: the key, both AUROCs, and their difference where both are of the same test findings."""
    ours, theirs = read_runs(entry["base"], right), read_runs(name, paper)
    difference, apart, remarks = _subtract(ours, theirs, right["target"])
    facts = {what: [_fact(side[key]) for side in (paper, right)] for key, what in FACTS.items()}
    remarks += [f"{what} {one} ({other})" for what, (one, other) in facts.items() if one != other]
    changes = entry["changes"]
    return {
        "key": _common(list(changes)),
        "right": _values([before for before, _ in changes.values()]),
        "paper": _values([after for _, after in changes.values()]),
        "method": entry["base"],
        "AUROC right": _mean(ours), "AUROC paper": _mean(theirs),
        "difference": difference.value, "95 %": difference.ci95, "scores": apart,
        "besides": "; ".join(remarks),
    }  # fmt: skip


def notes(about: Mapping[str, Any]) -> list[str]:
    """How to read the table."""
    synthetic = " On synthetic data, which show that a key does something, not how much."
    shared = {name: _as_yaml(changes) for name, changes in about["bases"].items() if changes}
    return [
        f"Each line: the run once more with this key alone changed.{synthetic if about['synthetic'] else ''}",
        "difference: AUROC of paper less that of right, per finding, on the same findings, splits and seeds;"
        " 95 %: for other patients, by group. It says nothing of other splits and starts, and"
        " is not adjusted for the number of lines.",
        "scores: mean absolute difference of the test findings' scores.",
        "besides: paper, in brackets right. start: the random network that training started from; training"
        " loss: the last one on the target; weights moved: mean absolute change of the extractor's weights"
        " from start to end.",
        *(f"Both sides of {name} have {changes}." for name, changes in shared.items()),
    ]


def _subtract(right: Runs, paper: Runs, target: str) -> tuple[Difference, float | None, list[str]]:
    """Paper less right, the mean absolute difference of their scores, and why something is missing."""
    try:
        paired = pair([paper, right], stream("score", 0, target, "test"))
    except UnpairedError:
        return Difference(paper.name, right.name), None, ["other test findings"]
    found = subtract(paired, 0, 1, overlap=0.0)  # the overlap matters to intervals over splits alone
    sides = zip(paper.folds, right.folds, strict=True)
    apart = np.concatenate([np.abs(one.scores - other.scores).ravel() for one, other in sides])
    missing = [found.reasons[key] for key in ("difference", "ci95") if key in found.reasons]
    return found, float(apart.mean()), list(dict.fromkeys(missing))


def _mean(runs: Runs) -> float | None:
    areas = runs.areas()
    return None if areas is None else float(np.concatenate(areas).mean())


def _fact(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else text(value)


def _as_yaml(changes: Mapping[str, Any]) -> str:
    return yaml.safe_dump(changes, default_flow_style=True, width=math.inf).strip()


def _common(keys: Sequence[str]) -> str:
    """One key for several: a star where they differ, if they have as many parts."""
    parts = [key.split("/") for key in keys]
    if len({len(part) for part in parts}) > 1:
        return ", ".join(keys)
    return "/".join(names[0] if len(set(names)) == 1 else "*" for names in zip(*parts, strict=True))


def _values(values: Sequence[Any]) -> str:
    return ", ".join(dict.fromkeys(spell(value) for value in values))


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table as CSV, Markdown and LaTeX."""
    parser = argparse.ArgumentParser(prog="python -m workflow.effects.tabulate", description=main.__doc__)
    parser.add_argument(
        "--measured", nargs="*", type=Path, required=True, metavar="JSON", help="{variant}.json …"
    )
    parser.add_argument("--about", type=json.loads, required=True, help="JSON: the effects and their bases")
    add_out(parser, ".md and .tex")
    args = parser.parse_args(argv)
    measured = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in args.measured}
    about = args.about
    table = pd.DataFrame(
        [
            row(name, entry, measured[entry["base"]], measured[name])
            for name, entry in about["effects"].items()
        ]
    )
    write_table(
        table,
        args.out.with_suffix(""),
        f"What each published way changes, target {about['target']}",
        notes(about),
    )
    print(args.out.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_cli(main)
