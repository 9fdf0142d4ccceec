"""Learning rates of the study's networks, each tried on one split of each target that nothing is tested on.

``docs/study/tuning.csv`` has a row for each run: validation AUROC of the target at the last step, and at half
of the steps. The rate with the highest mean over targets is taken for all of them, by hand, in the config.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.files import read_csv, typed, write_csv
from pipeline.provenance import ROOT
from workflow.study import steps
from workflow.study.record import alone, commit

log = logging.getLogger("typhon")
METHODS = {
    "pretrained": ("finetune", "typhon-lite0", "joint-lite0", "multitask-lite0"),
    "scratch": ("classical", "typhon"),
}
CONFIGS = {"pretrained": ("three-sets", "study"), "scratch": ("three-sets", "study", "study-scratch")}
RATES = ("low", "middle", "high")
TARGETS = ("busi", "nih1000", "brain")
COLUMNS = ("method", "rate", "target", "steps", "half", "last", "seconds", "commit")
SPLIT = "fold0/seed0"


@dataclass(frozen=True)
class Trial:
    """A run with one candidate of a rate."""

    family: str
    method: str
    target: str
    rate: str

    def folder(self, folder: Path) -> Path:
        """Where its workflow runs."""
        return folder / "tuning" / f"{self.family}-{self.rate}" / self.target

    def command(self, folder: Path, raw: str, words: Sequence[str]) -> list[str]:
        """What follows ``./run``; trials of a family share their data."""
        names = (*CONFIGS[self.family], "study-tuning", f"study-{self.rate}")
        configs = [str(ROOT / "config" / f"{name}.yaml") for name in names]
        data = folder / "tuning" / f"{self.family}-data"
        return [
            "--configfile", *configs, "--config", f"target={self.target}", f"raw={raw}", f"data={data}",
            *words, "--", f"results/{self.method}/{SPLIT}/history.csv",
        ]  # fmt: skip


def trials() -> Iterator[Trial]:
    """All of the plan, method after method."""
    for family, methods in METHODS.items():
        for method in methods:
            for target in TARGETS:
                for rate in RATES:
                    yield Trial(family, method, target, rate)


def read(record: Path) -> pd.DataFrame:
    """The trials that are kept in the folder of a record."""
    path = record / "tuning.csv"
    table = read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS, dtype=str)
    return typed(table, {"steps": int, "half": float, "last": float, "seconds": float}, path)


def left(some: Sequence[Trial], record: Path) -> list[Trial]:
    """Those that are not kept yet."""
    known = read(record)
    kept = set(zip(known["method"], known["rate"], known["target"], strict=True))
    return [trial for trial in some if (trial.method, trial.rate, trial.target) not in kept]


def keep(some: Sequence[Trial], record: Path, folder: Path, made_by: str) -> int:
    """Keep the trials that ended below ``folder``, by a commit's code; returns how many."""
    rows = []
    with alone(record):
        for trial in left(some, record):
            run = trial.folder(folder) / "results" / trial.method / SPLIT
            if (run / "run.json").exists():
                curve = steps.of_run(run / "history.csv", trial.target)
                facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
                last = int(curve.index[-1])
                rows.append({
                    "method": trial.method, "rate": trial.rate, "target": trial.target, "steps": last,
                    "half": f"{curve[curve.index <= last / 2].iloc[-1]:.6g}", "last": f"{curve.iloc[-1]:.6g}",
                    "seconds": round(sum(facts["seconds"].values()), 1), "commit": made_by,
                })  # fmt: skip
        if rows:
            write_csv(record / "tuning.csv", COLUMNS, [*read(record).to_dict("records"), *rows])
    return len(rows)


def make(some: Sequence[Trial], record: Path, folder: Path, raw: str, words: Sequence[str]) -> int:
    """Call ``./run`` for each trial that is not kept, and keep it; the exit status of the first to fail."""
    for trial in left(some, record):
        log.info("%s at the %s rate on %s", trial.method, trial.rate, trial.target)
        where, now = trial.folder(folder), commit()
        where.mkdir(parents=True, exist_ok=True)
        line = [sys.executable, "-m", "workflow.run", "--directory", str(where)]
        if status := subprocess.run([*line, *trial.command(folder, raw, words)], check=False).returncode:
            return status
        keep([trial], record, folder, now)
    return 0


def table(record: Path) -> pd.DataFrame:
    """A row per method and rate: the mean over targets, and which is taken where all are there."""
    known = read(record)
    rows = []
    for method, own in known.groupby("method", sort=False):
        means = own.pivot_table(index="rate", columns="target", values="last").dropna().mean(axis=1)
        whole = len(own) == len(RATES) * len(TARGETS)
        for rate in RATES:
            part = own[own["rate"] == rate]
            if len(part):
                rows.append({
                    "method": method, "rate": rate, "targets": ", ".join(part["target"]),
                    "half": part["half"].mean(), "last": part["last"].mean(),
                    "taken": rate == means.idxmax() if whole else None,
                })  # fmt: skip
    return pd.DataFrame(rows)
