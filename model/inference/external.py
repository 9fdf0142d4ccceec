"""Scores of an external data set, whose findings no step of the run has seen, by its model file."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.baselines import fit, mixture
from model.baselines.logistic import Measured
from model.dataset import KEY, view_numbers
from model.device import set_up, told
from model.evaluation.predictions import columns
from model.files import runs
from model.files.runs import Run
from pipeline.classes import Classes
from pipeline.cli import run_cli
from pipeline.errors import InputError, SplitError
from pipeline.files import write_csv
from pipeline.splits import seen
from pipeline.splits.leakage import images
from pipeline.splits.split import read_splits
from pipeline.store import StoreInfo, read_info, read_patches

AT_ONCE = 64
"""Findings whose patches are in memory at a time."""


def check_alike(info: StoreInfo, run: Run, target: str) -> None:
    """Raise InputError unless the patches of a store are of the kind, and its classes those, of a run."""
    how = run.preprocessing(target)
    theirs = _kind(info.channels, info.side, info.classes, info.provenance)
    ours = _kind(how.channels, how.side, run.classes(target), asdict(how))
    if theirs != ours:
        raise InputError(theirs, file=info.path, expected=ours, remedy=f"cut it as {target} was cut")


def _kind(channels: Sequence[str], side: int, classes: Classes, made: Mapping[str, Any]) -> str:
    """What patches are like and how they were ``made``, in words."""
    sized = " or its own for each finding" if made.get("extents") else ""
    cut = f"extent {made['extent']}{sized}, intensity {made['intensity']}"
    return f"{len(channels)} channels, patches of {side} pixels, {cut}, {classes}"


def table_of(info: StoreInfo, split: Path) -> pd.DataFrame:
    """The findings of a split table that tests a whole store, with ``row``, their places there."""
    splits = read_splits(split)
    keys = [*KEY, *info.classes.label_columns]
    stored = info.findings[[*keys, "group_id"]].reset_index(drop=True)
    if len(splits) != len(stored) or (splits[keys].astype(str) != stored[keys].astype(str)).any(axis=None):
        raise SplitError(f"{len(splits)} others", file=split, expected=f"the findings of {info.path}",
                         remedy="make the split table again")  # fmt: skip
    return splits.assign(row=np.arange(len(splits)))


def score(run: Run, target: str, info: StoreInfo, table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of predictions.csv, one per view, by the decision maker of the target."""
    scores = []
    for start in range(0, len(table), AT_ONCE):
        some = table.iloc[start : start + AT_ONCE]
        patches = read_patches(info.path, some["row"].tolist(), some["views"].tolist())
        scores.append(mixture.score(run, target, patches))
    finding, view = view_numbers(table["views"].to_numpy())
    measured = Measured(np.empty((len(finding), 0)), finding, view, table, info.classes)
    yield from fit.scored(np.concatenate(scores), measured, info.dataset, "test")


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Score every view of an external data set with a run's model, which knows nobody in it."""
    parser = argparse.ArgumentParser(prog="python -m model.inference.external", description=main.__doc__)
    parser.add_argument(
        "--model", type=Path, required=True, help="model file of a run, with its card beside it"
    )
    parser.add_argument("--target", required=True, help="the data set whose head scores")
    parser.add_argument("--store", type=Path, required=True, help="patches.h5 of the external data set")
    parser.add_argument("--split", type=Path, required=True, help="its splits/fold0.csv")
    parser.add_argument("--people", required=True, help="a name for its people")
    parser.add_argument("--seen", type=Path, nargs="*", default=[], help="seen.json of the networks in it")
    parser.add_argument("--out", type=Path, required=True, help="external/{dataset}.csv of the run, to write")
    options = parser.parse_args(argv)
    set_up(0)
    (run,) = runs.find([options.model])
    info = read_info(options.store)
    check_alike(info, run, options.target)
    table = table_of(info, options.split)
    if options.seen:
        known = {info.dataset: table.assign(image=images(info.path))}
        for file in options.seen:
            names = {info.dataset: options.people}
            seen.check(seen.read(file), known, names, leak="refuse", model=options.model)
    write_csv(options.out, columns([info.classes]), score(run, options.target, info, table))


if __name__ == "__main__":
    run_cli(main)
