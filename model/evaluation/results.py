"""Reading back what ``model.evaluation.score`` wrote."""

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from model.evaluation.predictions import PredictionsError

Figures = dict[str, Any]
"""The content of a ``results/{method}_auc.json`` or ``…_challenge.json``."""


def read(path: Path) -> Figures:
    """A result; PredictionsError if it is of a version whose ``ci95`` meant something else."""
    figures: Figures = json.loads(path.read_text(encoding="utf-8"))
    if "ci95_kind" not in figures:
        raise PredictionsError("that of an older version", file=path, expected="a result with ci95_kind")
    return figures


def counted(line: Mapping[str, Any]) -> str:
    """How many findings are positive; with several classes or labels how many are of each."""
    by = line.get("positives_by")
    return (
        str(line["positives"]) if by is None else ", ".join(f"{count} {name}" for name, count in by.items())
    )


def read_all(paths: Iterable[Path]) -> list[Figures]:
    """Results in the order of their paths."""
    return [read(path) for path in paths]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of every command that takes all methods of an experiment together."""
    parser.add_argument(
        "--results", nargs="+", type=Path, required=True, metavar="JSON", help="results/{method}_auc.json …"
    )
    parser.add_argument(
        "--runs", nargs="+", type=Path, required=True, metavar="DIR",
        help="results/{method}/fold0/seed0 … of all these methods",
    )  # fmt: skip
    parser.add_argument(
        "--splits", nargs="+", type=Path, required=True, metavar="CSV",
        help="data/X/splits/fold0.csv … of the target X, all folds",
    )  # fmt: skip
