"""Tables with a column for each split, such as the scores of a cell."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.files import read_csv, write_csv


def read(path: Path, index: str) -> pd.DataFrame:
    """The table of ``path`` by its column ``index``, as text; an empty one before it is written."""
    return read_csv(path).set_index(index) if path.exists() else pd.DataFrame(index=pd.Index([], name=index))


def write(path: Path, index: str, columns: Mapping[int, pd.Series]) -> None:
    """Add columns of some splits to ``path``, in the place of those that it has of the same splits."""
    new = pd.DataFrame({str(fold): column for fold, column in columns.items()})
    new.index = new.index.astype(str)
    known = read(path, index).drop(columns=[*new], errors="ignore")
    table = pd.concat([known, new], axis=1).fillna("")
    table = table.loc[sorted(table.index, key=lambda name: (len(name), name)), sorted(table, key=int)]
    write_csv(path, [index, *table], table.rename_axis(index).reset_index().to_dict("records"))
