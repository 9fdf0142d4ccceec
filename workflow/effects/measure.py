"""Run the workflow once more, in a folder of its own, with one key as published, and keep what came of it.

The run itself is measured likewise, without running it again.
"""

import argparse
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from model.evaluation.predictions import evaluate, read_splits
from pipeline.cli import run_cli
from pipeline.files import read_csv, write_text
from pipeline.provenance import ROOT

log = logging.getLogger("typhon")
TRAINING = ("train_model", "predict_findings", "score_method")
STARTING = ("bootstrap_network", *TRAINING)
"""The rules that a variant may run on patches and splits of the run, which it must not touch."""


def run_again(
    folder: Path, config: Mapping[str, Any], *, cores: int, gpu: int, rules: Sequence[str] = ()
) -> None:
    """Make the result in ``folder`` with ``config``; ends with the errors of that run if it fails.

    ``rules`` are those that may run; none are all.
    """
    file, result = folder / "config.json", f"results/{config['methods'][0]}_auc.json"
    write_text(file, json.dumps(config, indent=2, sort_keys=True) + "\n")
    allowed = ["--allowed-rules", *rules] if rules else []
    line = [
        sys.executable, "-m", "workflow.run", "--snakefile", str(ROOT / "Snakefile"),
        "--directory", str(folder), "--configfile", str(file),
        "--cores", str(cores), "--resources", f"gpu={gpu}", *allowed, "--", result,
    ]  # fmt: skip
    # A profile of the outer run may hand jobs to a cluster: this one is such a job already.
    environment = {key: value for key, value in os.environ.items() if key != "SNAKEMAKE_PROFILE"}
    done = subprocess.run(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if re.match(r"E-[A-Z]+", line)]
        print("\n".join(dict.fromkeys(errors)) or done.stdout, file=sys.stderr)
        raise SystemExit(f"The run in {folder} failed; its logs are in {folder / 'logs'}.")


def runs_of(config: Mapping[str, Any]) -> list[Path]:
    """The folders of the runs of one method, each fold and seed, below that of the workflow."""
    (method,) = config["methods"]
    folds = range(config["split"]["n"])
    return [Path("results", method, f"fold{fold}", f"seed{s}") for fold in folds for s in config["seeds"]]


def take_start(base: Path, folder: Path, config: Mapping[str, Any]) -> None:
    """Copy the networks that the runs in ``base`` started from; with their times, so that nothing reruns."""
    for run in runs_of(config):
        for name in ("network.safetensors", "scores.csv", "seen.json"):
            file = folder / run / "bootstrap" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(base / run / "bootstrap" / name, file)


def measure(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run of one method comes to, as JSON.

    ``findings`` are the target's test findings as each run scores them; ``start`` the random networks that
    the runs started from; ``loss`` the last one of training on the target and ``moved`` the mean absolute
    change of the extractor's weights, both mean over runs.
    """
    target, state = config["target"], config["evaluation"]["state"]
    folds = range(config["split"]["n"])
    splits = read_splits(folder / config["data"] / target / "splits" / f"fold{fold}.csv" for fold in folds)
    runs = [folder / run for run in runs_of(config)]
    tested = [part for run in runs for part in evaluate(run, state, splits, (target, "test"))]
    return {
        "target": target,
        "start": [_start(run) for run in runs],
        "loss": float(np.mean([_loss(run, target) for run in runs])),
        "moved": float(np.mean([_moved(run) for run in runs])),
        "findings": [
            {"fold": part.fold, "seed": part.seed, **row}
            for part in tested
            for row in part.findings.drop(columns=part.classes.columns("single")).to_dict("records")
        ],
    }


def _start(run: Path) -> int:
    scores = read_csv(run / "bootstrap" / "scores.csv")
    return int(scores.loc[scores["picked"] == "1", "candidate"].item())


def _loss(run: Path, target: str) -> float:
    history = read_csv(run / "history.csv")
    wanted = {"dataset": target, "split": "train", "metric": "loss"}
    rows = history[(history[list(wanted)] == list(wanted.values())).all(axis=1)]
    return float(pd.to_numeric(rows["value"]).iloc[-1])


def _moved(run: Path) -> float:
    before, after = (load_file(run / name) for name in ("bootstrap/network.safetensors", "model.safetensors"))
    names = [name for name in before if name.startswith("extractor.")]
    return float(np.concatenate([np.abs(after[name] - before[name]).ravel() for name in names]).mean())


def main(argv: Sequence[str] | None = None) -> None:
    """Write what a variant of the run comes to, as JSON; unless it is the run itself, run it first."""
    parser = argparse.ArgumentParser(prog="python -m workflow.effects.measure", description=main.__doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        help="folder of the variant; . is the run itself, which exists",
    )
    parser.add_argument("--config", type=json.loads, required=True, help="JSON: its config")
    parser.add_argument(
        "--borrows", action="store_true", help="patches and splits are those of the run: make no others"
    )
    parser.add_argument(
        "--start", type=Path, metavar="FOLDER", help="with --borrows: the run whose start it shares"
    )
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=0, help="GPUs that may be used at a time")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON")
    args = parser.parse_args(argv)
    if args.start:
        take_start(args.start, args.folder, args.config)
    if args.folder != Path():
        rules = (TRAINING if args.start else STARTING) if args.borrows else ()
        run_again(args.folder, args.config, cores=args.cores, gpu=args.gpu, rules=rules)
    measured = measure(args.folder, args.config)
    write_text(args.out, json.dumps(measured, indent=2) + "\n")
    log.info("%d scores of test findings", len(measured["findings"]))


if __name__ == "__main__":
    run_cli(main)
