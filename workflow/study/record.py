"""What is kept of each run of the study in ``docs/study/``: a score for each test finding, the mean of views.

``{config}/{target}/findings.csv`` has label and group of each finding, ``{method}-n{findings}.csv`` a column
of scores for each split, ``{method}-n{findings}-steps.csv`` one of the validation AUROCs of a network, and
``runs.csv`` a line for each run: its commit and config, how many findings, how many seconds. Ids are digests,
since not every licence allows to hand on the names of pictures.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.evaluation.intervals import Fold
from model.evaluation.paired import Runs
from model.evaluation.predictions import PredictionsError, evaluate, read_splits
from pipeline.files import read_csv, sha256, typed, write_csv
from pipeline.provenance import ROOT
from workflow.study import columns, steps
from workflow.study.cells import Cell

FOLDER = ROOT / "docs" / "study"
RUNS = ("target", "method", "findings", "fold", "split_seed", "train", "validation", "test", "seconds",
        "config", "commit")  # fmt: skip
"""Columns of ``runs.csv``: ``train``, ``validation`` and ``test`` are findings of the whole split."""
FINDINGS = ("finding", "group", "label")
DIGITS = 10
"""Of a digest: 16^10 of them for a thousand findings."""


@dataclass(frozen=True)
class Record:
    """The tables of a folder such as ``docs/study``."""

    folder: Path = FOLDER

    def runs(self) -> pd.DataFrame:
        """A row for each run that is kept."""
        path = self.folder / "runs.csv"
        return _runs(path, path.stat().st_mtime_ns if path.exists() else 0)

    def kept(self, cell: Cell) -> list[int]:
        """The splits of a cell that are there, in order."""
        table = self.runs()
        own = table[
            (table["target"] == cell.target)
            & (table["method"] == cell.method)
            & (table["findings"] == cell.findings)
        ]
        return sorted(own["fold"])

    def left(self, cell: Cell) -> list[int]:
        """Those that are still to run."""
        return sorted({*range(cell.splits)} - {*self.kept(cell)})

    def of(self, cell: Cell, folds: int) -> Runs:
        """What a cell says of the test findings of its first splits; PredictionsError if one is missing."""
        path = self.folder / cell.folder / f"{cell.name}.csv"
        if not path.exists():
            raise PredictionsError("no such file", file=path, expected="the scores of a run")
        return Runs(
            cell.method,
            tuple((fold, 0) for fold in range(folds)),
            _folds(path, path.stat().st_mtime_ns, folds),
        )

    def curves(self, cell: Cell) -> pd.DataFrame | None:
        """Validation AUROC of the target (steps, splits) of a cell whose runs train a network."""
        path = self.folder / cell.folder / f"{cell.name}-steps.csv"
        return steps.read(path) if path.exists() else None

    def keep(self, cell: Cell, workflow: Path, commit: str, split_seed: int) -> int:
        """Copy the runs of a cell that ``workflow``, a working directory, has finished; returns how many.

        Raises PredictionsError for findings with another label or group than is known of them.
        """
        with alone(self.folder):
            return self._keep(cell, workflow, {
                "split_seed": split_seed, "config": digest(cell), "commit": commit,
            })  # fmt: skip

    def _keep(self, cell: Cell, workflow: Path, about: dict[str, Any]) -> int:
        tables, scores, rows, curves = [], {}, [], {}
        for fold in self.left(cell):
            run = workflow / cell.run(fold)
            if all((run / file).exists() for file in ("predictions.csv", "run.json")):
                table, row = _kept(cell, fold, run, workflow)
                tables.append(table[[*FINDINGS]].astype(str))
                scores[fold] = table.set_index("finding")["score"]
                rows.append(row | about)
                if (history := run / "history.csv").exists():
                    curves[fold] = steps.of_run(history, cell.target).map("{:.6g}".format)
        if not rows:
            return 0
        own = self.folder / cell.folder
        own.mkdir(parents=True, exist_ok=True)
        _write_findings(own / "findings.csv", tables)
        columns.write(own / f"{cell.name}.csv", "finding", scores)
        if curves:
            columns.write(own / f"{cell.name}-steps.csv", steps.STEP, curves)
        path = self.folder / "runs.csv"
        known = read_csv(path).to_dict("records") if path.exists() else []
        write_csv(path, RUNS, [*known, *rows])
        return len(rows)


@functools.lru_cache(maxsize=1)
def _runs(path: Path, written: int) -> pd.DataFrame:
    """What ``path`` held when it was ``written``; nothing before it ever was."""
    table = read_csv(path) if written else pd.DataFrame(columns=RUNS, dtype=str)
    numbers = ("fold", "split_seed", "train", "validation", "test")
    return typed(table, dict.fromkeys(numbers, int) | {"seconds": float}, path)


@functools.lru_cache(maxsize=1000)
def _folds(path: Path, written: int, folds: int) -> tuple[Fold, ...]:  # noqa: ARG001 part of the key
    """The test findings of the first splits of the cell of ``path``, as it was ``written``."""
    findings = read_csv(path.with_name("findings.csv")).set_index("finding")
    scores = read_csv(path).set_index("finding")
    if missing := [fold for fold in map(str, range(folds)) if fold not in scores]:
        expected = "a score of each test finding"
        raise PredictionsError(f"none of split {missing[0]}", file=path, expected=expected)
    known = findings.loc[scores.index]
    groups, labels = known["group"].to_numpy(str), known["label"].to_numpy(int)
    columns = [scores[str(fold)].to_numpy(str) for fold in range(folds)]
    return tuple(
        Fold(groups[tested], labels[tested], column[tested].astype(float)[None])
        for column in columns for tested in [column != ""]
    )  # fmt: skip


def _kept(cell: Cell, fold: int, run: Path, workflow: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The test findings of a run with their scores, and its line of ``runs.csv``."""
    splits = read_splits([workflow / "data" / cell.target / "splits" / f"fold{fold}.csv"])
    (tested,) = evaluate(run, "last", splits, (cell.target, "test"))
    table = tested.findings
    ids = zip(table["patient_id"], table["finding_id"], strict=True)
    found = pd.DataFrame({
        "finding": [_hidden(cell.target, *names) for names in ids],
        "group": [_hidden(cell.target, name) for name in table["group_id"]],
        "label": table["label"], "score": [f"{score:.6g}" for score in table["score"]],
    })  # fmt: skip
    counts = splits["split"].value_counts()
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return found, {
        "target": cell.target, "method": cell.method, "findings": cell.findings, "fold": fold,
        **{part: int(counts[part]) for part in ("train", "validation", "test")},
        "seconds": round(sum(facts["seconds"].values()), 1),
    }  # fmt: skip


def _write_findings(path: Path, tables: Sequence[pd.DataFrame]) -> None:
    """Add findings to those that are known; PredictionsError where one is another than it was."""
    known = [read_csv(path)] if path.exists() else []
    table = pd.concat([*known, *tables]).drop_duplicates().sort_values([*FINDINGS])
    if (twice := table["finding"].duplicated()).any():
        found = f"{table.loc[twice, 'finding'].iloc[0]} with two labels or groups"
        raise PredictionsError(found, file=path, expected="the same of a finding in every run")
    write_csv(path, FINDINGS, table.to_dict("records"))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process keeps runs in ``folder``, and have those that follow wait."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _hidden(*names: str) -> str:
    return hashlib.sha256("/".join(names).encode()).hexdigest()[:DIGITS]


def digest(cell: Cell) -> str:
    """Of all files of config that a cell is made with."""
    files = [ROOT / "config" / f"{name}.yaml" for name in ("config", *cell.configs)]
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()[:DIGITS]


def commit() -> str:
    """That of this code, with ``-dirty`` where a file outside of ``docs`` is edited; empty without git.

    Results say ``-dirty`` of any file (``model.evaluation.score``); what is kept here edits ``docs`` itself.
    """
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        edited = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("-dirty" if edited.stdout.strip() else "")


def overlap(runs: pd.DataFrame, target: str) -> float:
    """Test findings over training findings of the splits of a target, mean over splits."""
    own = runs[runs["target"] == target].drop_duplicates("fold")
    return float(np.mean(own["test"] / own["train"]))


def counts(runs: pd.DataFrame) -> Mapping[str, float]:
    """Findings to learn from with ``all``, by target, mean over splits."""
    table = runs.drop_duplicates(["target", "fold"])
    learned = (table["train"] + table["validation"]).groupby(table["target"]).mean()
    return {str(name): float(number) for name, number in learned.items()}
