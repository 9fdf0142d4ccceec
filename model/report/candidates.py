"""Which candidates counted in the runs of a method that chooses and stacks them, as a table of the report."""

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.evaluation.predictions import numbered
from model.evaluation.results import read
from model.report.tabular import add_out, write_table
from pipeline.cli import run_cli

Runs = Mapping[tuple[int, int], Mapping[str, Any]]
"""What run.json has under ``model``, by fold and seed."""
NOTES = (
    "weight: that of the candidate in the mean of probabilities that scores a finding; counts in: the runs in"
    " which it is not 0.",
    "inner: AUROC per finding on inner folds of the findings that the run learned from, mean over folds."
    " Learner and weights were chosen without the fold that they are judged on.",
    "seconds: processor time of all fits of a run. Features are measured once per data set: see run times.",
)


def of_problems(runs: Runs) -> dict[str, Runs]:
    """The same for each class or label where there are several; else under an empty name."""
    names = next(iter(runs.values())).get("problems", {"": None})
    return {
        name: {key: model["problems"][name] if name else model for key, model in runs.items()}
        for name in names
    }


def tabulate(runs: Runs) -> pd.DataFrame:
    """First a row per candidate over all runs, the means; then a row per run and candidate.

    Where there are several classes or labels, one such table below the other.
    """
    tables = {name: _of_one(own) for name, own in of_problems(runs).items()}
    if len(tables) == 1:
        return next(iter(tables.values()))
    for name, table in tables.items():
        table.insert(0, "of", name)
    return pd.concat(tables.values(), ignore_index=True)


def _of_one(runs: Runs) -> pd.DataFrame:
    first = next(iter(runs.values()))
    whole = [_over(runs, name) for name in first["candidates"]]
    each = [
        {"run": f"fold {fold}, seed {seed}", "candidate": name, "learner": one["learner"],
         "inner": one["inner_auroc"], "weight": one["weight"], "counts in": int(one["weight"] > 0),
         "seconds": one["seconds"]}
        for (fold, seed), model in runs.items() for name, one in model["candidates"].items()
    ]  # fmt: skip
    return pd.DataFrame([*whole, *each], dtype=object)


def _over(runs: Runs, name: str) -> dict[str, Any]:
    found = [model["candidates"][name] for model in runs.values()]
    means = {key: _mean([one[key] for one in found]) for key in ("inner_auroc", "weight", "seconds")}
    return {
        "run": "all", "candidate": name,
        "learner": Counter(one["learner"] for one in found).most_common(1)[0][0],
        "inner": means["inner_auroc"], "weight": means["weight"],
        "counts in": sum(one["weight"] > 0 for one in found), "seconds": means["seconds"],
    }  # fmt: skip


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def promise(runs: Runs, auroc: float | None) -> str:
    """What the inner folds promised, beside what the test came to."""
    inner = _mean([model["inner"]["auroc"] for own in of_problems(runs).values() for model in own.values()])
    if inner is None or auroc is None:
        return "No inner AUROC: too few groups for inner folds." if inner is None else "No test AUROC."
    return f"Inner AUROC of what was taken {inner:.3f}, test AUROC {auroc:.3f}: {inner - auroc:+.3f}."


def main(argv: Sequence[str] | None = None) -> None:
    """Tabulate the candidates of all runs of a method."""
    parser = argparse.ArgumentParser(prog="python -m model.report.candidates", description=main.__doc__)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="run.json of each run")
    parser.add_argument("--result", type=Path, required=True, help="results/{method}_auc.json")
    add_out(parser)
    options = parser.parse_args(argv)
    runs = {
        (numbered(path, "fold"), numbered(path, "seed")): json.loads(path.read_text(encoding="utf-8"))[
            "model"
        ]
        for path in options.runs
    }
    figures = read(options.result)
    caption = f"Candidates of {figures['method']}, target {figures['target']}"
    notes = [promise(runs, figures["auroc"]), *NOTES]
    formats = {"inner": ".3f", "weight": ".2f", "seconds": ".1f"}
    write_table(tabulate(runs), options.out.with_suffix(""), caption, notes, formats=formats)


if __name__ == "__main__":
    run_cli(main)
