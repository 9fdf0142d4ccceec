"""Make the runs of the study that are not kept yet, in the order of the plan, and keep them."""

import itertools
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from pipeline.provenance import ROOT
from workflow.study.cells import Cell
from workflow.study.record import Record, commit

log = logging.getLogger("typhon")


def command(
    cells: Sequence[Cell], left: Mapping[str, Sequence[int]], raw: str, words: Sequence[str]
) -> list[str]:
    """What follows ``./run`` for some cells of one method, target and config."""
    files = [f"{cell.run(fold)}/predictions.csv" for cell in cells for fold in left[cell.name]]
    configs = [str(ROOT / "config" / f"{name}.yaml") for name in cells[0].configs]
    return [
        "--configfile", *configs, "--config", f"target={cells[0].target}", f"raw={raw}", *words, "--", *files,
    ]  # fmt: skip


def make(cells: Sequence[Cell], record: Record, folder: Path, raw: str, words: Sequence[str]) -> int:
    """Call ``./run`` for one method and target after the other; the exit status of the first that fails."""
    for (method, where), group in itertools.groupby(cells, lambda cell: (cell.method, cell.folder)):
        some = list(group)
        left = {cell.name: record.left(cell) for cell in some}
        if not any(left.values()):
            continue
        log.info("%s in %s: %d runs", method, where, sum(map(len, left.values())))
        (folder / where).mkdir(parents=True, exist_ok=True)
        line, now = [sys.executable, "-m", "workflow.run", "--directory", str(folder / where)], commit()
        status = subprocess.run([*line, *command(some, left, raw, words)], check=False).returncode
        keep(some, record, folder, now)
        if status:
            return status
    return 0


def keep(cells: Sequence[Cell], record: Record, folder: Path, made_by: str) -> int:
    """Keep what is finished of some cells below ``folder``, by a commit's code; returns how many runs."""
    return sum(record.keep(cell, folder / cell.folder, made_by, split_seed(cell)) for cell in cells)


def split_seed(cell: Cell) -> int:
    """The seed of a cell's splits, that of the last of its configs that has one."""
    found = 0
    for name in cell.configs:
        split = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text(encoding="utf-8")).get(
            "split", {}
        )
        found = split.get("seed", found)
    return int(found)
