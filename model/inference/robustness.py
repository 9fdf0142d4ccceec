"""Scores of the target's test findings by a run, as they are and corrupted, see model.inference.corruptions.

Views are changed as they are read from the store; nothing of them is kept.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.baselines import mixture
from model.dataset import KEY, over_views, view_numbers
from model.device import set_up, told
from model.files import runs
from model.files.runs import Run
from model.inference.corruptions import LEVELS, OF, Level, corrupt
from pipeline.cli import run_cli
from pipeline.errors import SplitError
from pipeline.files import write_csv
from pipeline.splits.split import read_splits
from pipeline.store import StoreInfo, read_info, read_patches

AT_ONCE = 16
"""Findings whose patches are in memory at a time."""


def tested(info: StoreInfo, split: Path) -> pd.DataFrame:
    """The test findings of a split table, with ``row``, their places in the store.

    Raises SplitError where one is not in the store.
    """
    rows = info.findings[KEY].assign(row=np.arange(len(info.findings)))
    splits = read_splits(split)
    found = splits[splits["split"] == "test"].merge(rows, on=KEY, how="left", validate="one_to_one")
    if lost := int(found["row"].isna().sum()):
        raise SplitError(f"{lost} others", file=split, expected=f"findings of {info.path}",
                         remedy="make the split table again")  # fmt: skip
    return found.astype({"row": int})


def score(run: Run, target: str, info: StoreInfo, table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row per level and finding: its score, or that of each class or label, the mean over its views."""
    found: dict[Level, list[np.ndarray]] = {level: [] for level in LEVELS}
    for start in range(0, len(table), AT_ONCE):
        some = table.iloc[start : start + AT_ONCE]
        views = some["views"].to_numpy()
        number, _ = view_numbers(views)
        patches = np.split(read_patches(info.path, some["row"].tolist(), views.tolist()), views.cumsum()[:-1])
        keys = some[KEY].itertuples(index=False, name=None)
        own = list(zip(patches, keys, strict=True))
        for (name, strength), scores in found.items():
            changed = np.concatenate([corrupt(name, strength, views, *key) for views, key in own])
            given = mixture.score(run, target, changed)
            scores.append(over_views(number, given))
    columns = run.classes(target).columns()
    for (name, strength), scores in found.items():
        for key, values in zip(table[KEY].to_dict("records"), np.concatenate(scores).tolist(), strict=True):
            level = dict(zip(OF, (name, f"{strength:g}"), strict=True))
            yield level | key | dict(zip(columns, map(repr, values), strict=True))


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Score the test findings of the target with a run's model, as they are and corrupted."""
    parser = argparse.ArgumentParser(prog="python -m model.inference.robustness", description=main.__doc__)
    parser.add_argument(
        "--model", type=Path, required=True, help="model file of a run, with its card beside it"
    )
    parser.add_argument("--target", required=True, help="the data set whose test findings are scored")
    parser.add_argument("--store", type=Path, required=True, help="its patches.h5")
    parser.add_argument("--split", type=Path, required=True, help="its split table of the run's fold")
    parser.add_argument("--out", type=Path, required=True, help="robustness.csv of the run, to write")
    options = parser.parse_args(argv)
    set_up(0)
    (run,) = runs.find([options.model])
    info = read_info(options.store)
    columns = [*OF, *KEY, *run.classes(options.target).columns()]
    write_csv(options.out, columns, score(run, options.target, info, tested(info, options.split)))


if __name__ == "__main__":
    run_cli(main)
