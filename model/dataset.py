"""A data set as a method sees it: the findings of its split table, matched with its patch store. No torch."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.budget import WAYS, within
from pipeline.classes import Classes, label_columns
from pipeline.errors import EmptyError, InputError, SplitError
from pipeline.splits.leakage import UNUSED, assert_no_leak, images, leaks_across, refuse
from pipeline.splits.split import read_splits
from pipeline.store import StoreInfo, read_info

KEY = ["patient_id", "finding_id"]
LEAKS = ("refuse", "warn")


@dataclass(frozen=True)
class Dataset:
    """A patch store and a split of it."""

    name: str
    channels: tuple[str, ...]
    side: int
    """Of a patch in pixels."""
    store: Path
    classes: Classes
    table: pd.DataFrame
    """patient_id, group_id, finding_id, labels, split, views, row: the finding's place in the store, and, if
    :func:`load` has read them, image: the digest of view 0"""

    def findings(self, split: str) -> pd.DataFrame:
        """Findings of a split, in the order of the split table."""
        return self.table[self.table["split"] == split].reset_index(drop=True)


def view_numbers(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The finding and the view of each sample, where finding i has ``counts[i]`` views.

    >>> [numbers.tolist() for numbers in view_numbers(np.array([2, 1]))]
    [[0, 0, 1], [0, 1, 0]]
    """
    finding = np.repeat(np.arange(len(counts)), counts)
    return finding, np.concatenate([np.arange(count) for count in counts]) if len(counts) else finding


def over_views(finding: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean over the views of each finding (thesis 5.2.5): (findings, …) of samples (n, …).

    ``finding`` is as in :func:`view_numbers`.

    >>> over_views(np.array([0, 0, 1]), np.array([[1.0], [2.0], [5.0]])).tolist()
    [[1.5], [5.0]]
    """
    counts = np.bincount(finding)
    return np.stack([np.bincount(finding, own) / counts for own in values.T], axis=-1)


def load(
    stores: Sequence[Path],
    splits: Sequence[Path],
    *,
    leak: str = "refuse",
    people: Sequence[str] | None = None,
    budget: Mapping[str, int] | None = None,
    subset: Sequence[str] = (),
) -> dict[str, Dataset]:
    """Match each store with its split table; see :func:`match` for what is checked in each.

    ``budget`` says of a data set how many findings may be learned from, and ``subset`` which, see
    :func:`model.budget.within`.

    Raises LeakError, too, if stores of one name in ``people`` (a name for each store) do not have a person in
    the same split, or if an image trains in one store and is validated or tested in another.
    """
    if len(stores) != len(splits):
        raise InputError(
            f"{len(stores)} stores and {len(splits)} splits", expected="one split table per store"
        )
    if people is not None and len(people) != len(stores):
        raise InputError(f"{len(stores)} stores and {len(people)} names", expected="one name per store")
    seen = [images(store) for store in stores]
    found = [
        match(read_info(store), split, leak, own)
        for store, split, own in zip(stores, splits, seen, strict=True)
    ]
    datasets = {dataset.name: dataset for dataset in found}
    if len(datasets) < len(found):
        raise InputError(str([dataset.name for dataset in found]), expected="stores of different data sets")
    if len({len(dataset.channels) for dataset in found}) > 1:
        raise InputError(
            ", ".join(f"{dataset.name}: {'+'.join(dataset.channels)}" for dataset in found),
            expected="as many channels in every data set",
        )
    if len({dataset.side for dataset in found}) > 1:
        raise InputError(
            ", ".join(f"{dataset.name}: {dataset.side}" for dataset in found),
            expected="patches of one side in every data set",
            remedy="make the stores again with one value of patch",
        )
    tables = {
        dataset.name: dataset.table.assign(image=np.array(own)[dataset.table["row"]])
        for dataset, own in zip(found, seen, strict=True)
    }
    names = dict(zip(tables, people or tables, strict=True))
    if len(tables) > 1:
        refuse(leaks_across(tables, names), leak, ", ".join(map(str, splits)))
    granted = {name: within(table, name, budget or {}, subset) for name, table in tables.items()}
    return {name: replace(one, table=granted[name].reset_index(drop=True)) for name, one in datasets.items()}


def people_of(
    datasets: Mapping[str, Dataset], options: argparse.Namespace
) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The tables of loaded data sets, and the names of their people, for ``pipeline.splits.seen``."""
    names = dict(zip(datasets, options.people or datasets, strict=True))
    return {name: dataset.table for name, dataset in datasets.items()}, names


def channels(datasets: Mapping[str, Dataset]) -> int:
    """How many channels every data set has."""
    return len(next(iter(datasets.values())).channels)


def outputs(datasets: Mapping[str, Dataset]) -> dict[str, int]:
    """How many logits the head of each data set has."""
    return {name: dataset.classes.outputs for name, dataset in datasets.items()}


def side(datasets: Mapping[str, Dataset]) -> int:
    """Width and height in pixels of the patches of every data set."""
    return next(iter(datasets.values())).side


def match(info: StoreInfo, path: Path, leak: str = "refuse", seen: Sequence[str] | None = None) -> Dataset:
    """Find each finding of a split table in the store, whose images are ``seen`` (``splits.leakage``).

    Raises SplitError if a finding is not in the store, has another label there or too few views, LeakError
    if a group or an image is in several splits (with ``leak="warn"`` that is only said), EmptyError if there
    is nothing to train on.
    """
    splits = read_splits(path)
    labels = info.classes.label_columns
    rows = info.findings[KEY].assign(row=np.arange(len(info.findings)))
    table = splits.merge(rows, on=KEY, how="left", validate="one_to_one")
    same = label_columns(splits) == labels
    if same:
        stored = info.findings[labels].reindex(table["row"]).to_numpy()
        wrong = table[(table[labels] != stored).any(axis=1) | (table["views"] > info.views)]
    if not same or len(wrong):
        wrong = wrong if same else table
        raise SplitError(
            f"{len(wrong)} others: {_names(wrong)}", file=path, remedy="make the split table again",
            expected=f"findings, labels and at most {info.views} views as in {info.path}",
        )  # fmt: skip
    if not (table["split"] == "train").any():
        raise EmptyError("no training findings", file=path)
    assert_no_leak(info.path, splits, leak, seen)
    columns = [*KEY, "group_id", *labels, "split", "views"]
    table = table[columns].assign(row=table["row"].astype(int))
    table = table[table["split"] != UNUSED].reset_index(drop=True)
    return Dataset(info.dataset, info.channels, info.side, info.path, info.classes, table)


def unlabelled(info: StoreInfo, views: int, channels: Iterable[str], side: int) -> pd.DataFrame:
    """All findings of a store that needs no labels, as :attr:`Dataset.table` has them, of no split.

    Raises InputError unless its channels and the side of its patches are what the method was trained on.
    """
    names = tuple(channels)
    ours, theirs = (f"channels {', '.join(names)}", f"channels {', '.join(info.channels)}")
    if info.channels == names:
        ours, theirs = (f"patches of {own} pixels" for own in (side, info.side))
    if ours != theirs:
        raise InputError(theirs, file=info.path, expected=ours, remedy="cut both data sets alike")
    if views > info.views:
        raise InputError(f"{info.views} views", file=info.path, expected=f"at least {views} of each finding")
    columns = [*KEY, "group_id", *info.classes.label_columns]
    return info.findings[columns].assign(split="", views=views, row=np.arange(len(info.findings)))


def _names(findings: pd.DataFrame) -> str:
    return " ".join("/".join(key) for key in findings[KEY].head(5).itertuples(index=False))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of every command that reads patches."""
    parser.add_argument(
        "--stores",
        type=Path,
        nargs="+",
        required=True,
        help="patches.h5 of each data set, in the order of turns",
    )
    parser.add_argument(
        "--splits",
        type=Path,
        nargs="+",
        required=True,
        help="split table of each data set, in the same order",
    )
    parser.add_argument(
        "--people",
        nargs="+",
        metavar="NAME",
        help="name of the people in each data set, in the same order; equal names are the same people",
    )
    parser.add_argument(
        "--leak",
        choices=LEAKS,
        default="refuse",
        help="what to do about patients in several splits; warn is for splits of kind paper",
    )
    parser.add_argument(
        "--budget", type=_budget, nargs="+", default=[], metavar="NAME=N",
        help="how many training and validation findings of a data set may be learned from",
    )  # fmt: skip
    parser.add_argument(
        "--subset", nargs="+", choices=WAYS, default=[],
        help="how --budget draws: each number by itself, from training beside the whole validation, or as "
        "many of each class",
    )  # fmt: skip


def _budget(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    return name, int(number)


def granted(options: argparse.Namespace) -> dict[str, Any]:
    """What run.json says of the budget; nothing where there is none."""
    ways = {"subset": sorted(options.subset)} if options.subset else {}
    return {"budget": dict(options.budget), **ways} if options.budget else {}


def given(options: argparse.Namespace) -> dict[str, Dataset]:
    """The data sets that the flags of :func:`add_arguments` name."""
    return load(
        options.stores, options.splits, leak=options.leak, people=options.people,
        budget=dict(options.budget), subset=options.subset,
    )  # fmt: skip
