"""Reading back what ``model.evaluation.score`` wrote."""

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
