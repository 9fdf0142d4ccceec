"""Tables of a user's, of a collection, or of the program itself, and workbooks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from model.evaluation.predictions import read_predictions
from pipeline import files
from pipeline.datasets import Findings, Source, chestxray14, lungx, table
from pipeline.readers import index
from pipeline.splits import split
from workflow.fuzz import changes
from workflow.fuzz.formats import zips
from workflow.fuzz.inputs import tables
from workflow.fuzz.reader import DisagreementError, Reader

WAYS: dict[str, Callable[[Path], object]] = {
    "splits.csv": split.read_splits,
    "findings.csv": files.read_csv,
    "predictions.csv": read_predictions,
    "chest.csv": chestxray14.entries,
}
"""The tables that are not of the kind ``table``, by name, and what reads them."""


def read_table(path: Path) -> None:
    """A table of a user's, of a collection, or of the program itself."""
    if path.name in WAYS:
        WAYS[path.name](path)
        return
    size = {"format": "image", "rows": 9.0, "columns": 9.0}
    known = index.as_table([{"file": f"{name}.png", **size} for name in "ab"])
    found = table.find(Source("mine", path.parent, known, []), table.Options(table=path.name))
    if not {row["label"] for row in found.rows} <= {0, 1}:
        raise DisagreementError("labels that are not 0 or 1")


def read_workbook(path: Path) -> None:
    """The nodules of the published workbooks of LUNGx."""
    names = [lungx.CALIBRATION_FILE, lungx.TEST_FILE]
    source = Source("lungx", path.parent, pd.DataFrame(), names)
    for nodule in lungx.nodules(source, Findings()):
        if not np.isfinite([nodule.column, nodule.row, nodule.number]).all():
            raise DisagreementError(f"a nodule at {nodule}")


READERS = {
    "tables": Reader(read_table, tables.inputs, changes.TEXT * 2),
    "spreadsheets": Reader(read_workbook, tables.workbooks, zips.CHANGES * 2),
}
