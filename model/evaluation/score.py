"""The figures of a method on a target: AUROC per finding, with intervals, over folds and seeds.

``auroc`` is the mean over runs of the target's test AUROC; a finding's score is the mean over its views
(enhanced prediction). Every null has its reason beside it, under ``{key}_reason``.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.evaluation.corrected import overlap
from model.evaluation.delong import NEWCOMBE
from model.evaluation.intervals import REPLICATES
from model.evaluation.predictions import STATES, Predictions, PredictionsError, evaluate, read_splits
from model.evaluation.results import counted
from model.evaluation.summary import describe, summarize, with_reasons
from pipeline.cli import run_cli
from pipeline.files import sha256, write_text
from pipeline.provenance import ROOT
from pipeline.seeds import stream

SAMPLES = ("bootstrap", "training", "specialization", "evaluation")
NEWCOMBE_NOTE = "Newcombe's interval: all pairs are ranked alike, or a class is of one group alone"


def collect_costs(runs: Iterable[Path], benchmarks: Iterable[Path]) -> dict[str, Any]:
    """Samples seen and seconds of all runs, by kind, mean training samples of a run, and the devices.

    Seconds come from ``run.json``; those of the bootstrap, a job of its own, from Snakemake's benchmark
    tables ``…/bootstrap.tsv`` if all of them are there.
    """
    samples = dict.fromkeys(SAMPLES, 0)
    seconds: dict[str, float] = {}
    devices: set[str] = set()
    versions: dict[str, set[str]] = {}
    trained: list[dict[str, int] | None] = []
    for run in runs:
        facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
        devices.add(facts["device"])
        trained.append(facts.get("trained"))
        for kind, number in facts["samples_seen"].items():
            samples[kind] = samples.get(kind, 0) + (number or 0)
        for step, number in facts["seconds"].items():
            seconds[step] = seconds.get(step, 0.0) + number
        for name, version in facts.get("versions", {}).items():
            versions.setdefault(name, set()).add(str(version))
    tables = [path for path in benchmarks if path.stem == "bootstrap"]
    # Benchmarks are no outputs and may have been deleted: a part of them would be a wrong sum.
    if "bootstrap" not in seconds and tables and all(path.exists() for path in tables):
        seconds["bootstrap"] = float(sum(pd.read_csv(path, sep="\t")["s"].sum() for path in tables))
    return {
        "samples_seen": samples,
        "trained": _mean_trained(trained),
        "seconds": sum(seconds.values()),
        "seconds_by_step": seconds,
        "device": ", ".join(sorted(devices)),
        "versions": {name: ", ".join(sorted(found)) for name, found in sorted(versions.items())},
    }


def _mean_trained(runs: Sequence[Mapping[str, int] | None]) -> dict[str, float] | None:
    """Mean over runs of the training samples of each data set; None where a run does not say."""
    known = [run for run in runs if run is not None]
    if not known or len(known) < len(runs):
        return None
    names = dict.fromkeys(name for run in known for name in run)
    return {name: sum(run.get(name, 0) for run in known) / len(known) for name in names}


def commit() -> str | None:
    """The commit of this code, with ``-dirty`` if it was edited, or that of an archive of git.

    None elsewhere. An archive does not tell whether its files were edited.
    """
    command = ["git", f"--git-dir={ROOT / '.git'}", f"--work-tree={ROOT}", "describe"]
    try:
        found = subprocess.run(
            [*command, "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, check=True, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        file = ROOT / "COMMIT"
        filled_in = file.read_text(encoding="ascii").strip() if file.is_file() else "$"
        return None if filled_in.startswith("$") else filled_in
    return found.stdout.strip()


def score(
    method: str, target: str, runs: Sequence[Path], splits: Sequence[Path], *,
    state: str = "last", seed: int = 0, benchmarks: Sequence[Path] = (),
) -> dict[str, Any]:  # fmt: skip
    """All figures of ``results/{method}_auc.json``, ready for JSON.

    Parameters
    ----------
    runs : folders ``…/fold{f}/seed{s}`` with predictions.csv, best/predictions.csv and run.json.
    splits : ``…/{dataset}/splits/fold{f}.csv`` of all data sets and folds.
    state : last or best; which state of the runs the headline figures are about.
    seed : of the resampling; the same seed draws the same groups for every method.

    Raises
    ------
    PredictionsError : predictions that do not fit the splits, or none of the target.
    """
    table = read_splits(splits)
    evaluated = [part for run in runs for name in STATES for part in evaluate(run, name, table)]
    together: dict[tuple[str, str, str], list[Predictions]] = {}
    for part in evaluated:
        together.setdefault((part.dataset, part.split, part.state), []).append(part)
    if (target, "test", state) not in together:
        raise PredictionsError(
            f"those of {', '.join(sorted({part.dataset for part in evaluated}))}",
            file=runs[0] / STATES[state], expected=f"predictions of the target {target}",
        )  # fmt: skip
    # Named by data set and split alone: both states and all methods are judged on the same draws.
    lines = {
        key: summarize(parts, stream("score", seed, *key[:2]), overlap(table, *key[:2]))
        for key, parts in together.items()
    }
    head = lines[target, "test", state]
    headline = {key: value for key, value in head.plain().items()
                if key.startswith(("auroc", "ci95", "bootstrap95", "corrected95"))}  # fmt: skip
    costs = collect_costs(runs, benchmarks)
    trained = costs["trained"]
    samples = with_reasons(
        {"target_samples": None if trained is None else trained.get(target, 0), "trained": trained},
        dict.fromkeys(("target_samples", "trained"), "a run does not say how many samples it trained on"),
    )
    inputs = [*splits, *(run / file for run in runs for file in STATES.values())]
    return {
        "method": method, "target": target, "state": state, **headline,
        "resampling": {
            "replicates": REPLICATES, "redrawn": head.redrawn, "groups": head.groups, "seed": seed,
        },
        "runs": [describe(part) for part in evaluated],
        "summary": [line.plain() for line in lines.values()],
        **samples,
        **{key: value for key, value in costs.items() if key not in ("trained", "versions")},
        "provenance": provenance(inputs, costs["versions"]),
    }  # fmt: skip


def provenance(inputs: Iterable[Path], versions: dict[str, str]) -> dict[str, Any]:
    """Commit of the code, versions of the libraries, and one digest of all inputs in sorted order."""
    digest = hashlib.sha256("".join(sorted(sha256(path) for path in inputs)).encode()).hexdigest()
    found = commit()
    return {
        "commit": found,
        **({} if found else {"commit_reason": "the code is not in a git checkout"}),
        "versions": {"python": platform.python_version(), "numpy": np.__version__, **versions},
        "inputs_sha256": digest,
    }


def as_table(figures: dict[str, Any]) -> str:
    """The headline state of all data sets and splits, for a terminal."""
    rows = [row for row in figures["summary"] if row["state"] == figures["state"]]
    width = max(len("data set"), *(len(row["dataset"]) for row in rows)) + 2
    lines = [
        f"{figures['method']}, target {figures['target']}, {figures['state']} state: "
        f"AUROC per finding (mean of its views' scores), mean of {rows[0]['runs']} runs",
        f"{'data set':{width}}  {'split':10}  {'AUROC':>6}  {'95 % interval':16}  {'view 0':>6}"
        f"  {'findings':>8}  {'positive':>8}  {'groups':>8}",
    ]
    resampling = figures["resampling"]
    notes = [f"* target; intervals are for other patients than the {resampling['groups']} groups of its test"]
    wide = max(8, *(len(counted(row)) for row in rows))
    lines[1] = lines[1].replace(f"{'positive':>8}", f"{'positive':>{wide}}")
    for row in rows:
        name = row["dataset"] + (" *" if row["dataset"] == figures["target"] else "")
        what = f"{row['dataset']} {row['split']}"
        interval = _range(row["ci95"])
        if row["auroc"] is None:
            notes.append(f"{what}: no AUROC, {row['auroc_reason']}")
        elif row["ci95_kind"] == NEWCOMBE:
            interval += " n"
            notes.append(f"n {NEWCOMBE_NOTE}")
        for each, area in row.get("auroc_by", {}).items():
            notes.append(f"{what}, {each}: {_number(area)} {_range(row['ci95_by'][each])}")
        if row["corrected95"] is not None:
            notes.append(f"{what}: for other splits than these {row['folds']} {_range(row['corrected95'])}")
        lines.append(
            f"{name:{width}}  {row['split']:10}  {_number(row['auroc']):>6}  {interval:16}"
            f"  {_number(row['auroc_single']):>6}"
            f"  {row['findings']:8}  {counted(row):>{wide}}  {row['groups']:8}"
        )
    return "\n".join([*lines, *dict.fromkeys(notes)])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _range(interval: Sequence[float] | None) -> str:
    return "-" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def main(argv: Sequence[str] | None = None) -> None:
    """Write ``results/{method}_auc.json`` and print its table."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluation.score", description=__doc__)
    parser.add_argument("--method", required=True, help="name of the method, for the file")
    parser.add_argument("--target", required=True, help="data set whose test AUROC is the headline")
    parser.add_argument("--runs", nargs="+", type=Path, required=True, metavar="DIR", help="…/fold0/seed0 …")
    parser.add_argument(
        "--splits", nargs="+", type=Path, required=True, metavar="CSV",
        help="data/X/splits/fold0.csv … of all data sets and folds",
    )  # fmt: skip
    parser.add_argument(
        "--benchmarks", nargs="*", type=Path, default=[], metavar="TSV",
        help="Snakemake's …/bootstrap.tsv, for the seconds of the bootstrap",
    )  # fmt: skip
    parser.add_argument(
        "--state", choices=STATES, default="last", help="state of a run that the result takes (default last)"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed of the resampling (default 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON")
    args = parser.parse_args(argv)
    figures = score(
        args.method, args.target, args.runs, args.splits,
        state=args.state, seed=args.seed, benchmarks=args.benchmarks,
    )  # fmt: skip
    write_text(args.out, json.dumps(figures, indent=2, allow_nan=False) + "\n")
    print(as_table(figures))
    print(args.out)


if __name__ == "__main__":
    run_cli(main)
