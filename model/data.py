"""A data set as training sees it: the findings of its split table, matched with its patch store."""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.errors import EmptyError, InputError, SplitError
from pipeline.split import assert_no_leak, read_splits
from pipeline.store import StoreInfo, read_info, read_patches

KEY = ["patient_id", "finding_id"]


@dataclass(frozen=True)
class Part:
    """The views of one split: view i belongs to row ``finding[i]`` of ``table``."""

    patches: Tensor
    """(n, channels, 65, 65) float32"""
    labels: Tensor
    """(n,) int64"""
    finding: np.ndarray
    view: np.ndarray
    table: pd.DataFrame
    """patient_id, finding_id and label of each finding"""

    def names(self, samples: Iterable[int]) -> Iterator[str]:
        """What people call samples: patient/finding/view."""
        for sample in samples:
            patient, finding = self.table.loc[self.finding[sample], KEY]
            yield f"{patient}/{finding}/{self.view[sample]}"


@dataclass(frozen=True)
class Dataset:
    """A patch store and a split of it."""

    name: str
    channels: tuple[str, ...]
    store: Path
    table: pd.DataFrame
    """patient_id, group_id, finding_id, label, split, views, and row: the finding's place in the store"""

    def findings(self, split: str) -> pd.DataFrame:
        """Findings of a split, in the order of the split table."""
        return self.table[self.table["split"] == split].reset_index(drop=True)

    def part(self, split: str, device: torch.device, *, views: int | None = None) -> Part:
        """Read what the split table grants, at most ``views`` views of each finding."""
        table = self.findings(split)
        counts = table["views"].to_numpy()
        if views is not None:
            counts = np.minimum(counts, views)
        patches = read_patches(self.store, table["row"].tolist(), counts.tolist())
        finding = np.repeat(np.arange(len(table)), counts)
        return Part(
            patches=torch.from_numpy(patches).to(device),
            labels=torch.from_numpy(table["label"].to_numpy("i8")[finding]).to(device),
            finding=finding,
            view=np.concatenate([np.arange(count) for count in counts]) if len(counts) else finding,
            table=table[[*KEY, "label"]],
        )


def load(stores: Sequence[Path], splits: Sequence[Path]) -> dict[str, Dataset]:
    """Match each store with its split table; see :func:`match` for what is checked."""
    if len(stores) != len(splits):
        raise InputError(
            f"{len(stores)} stores and {len(splits)} splits", expected="one split table per store"
        )
    found = [match(read_info(store), split) for store, split in zip(stores, splits, strict=True)]
    datasets = {dataset.name: dataset for dataset in found}
    if len(datasets) < len(found):
        raise InputError(str([dataset.name for dataset in found]), expected="stores of different data sets")
    if len({len(dataset.channels) for dataset in found}) > 1:
        raise InputError(
            ", ".join(f"{dataset.name}: {'+'.join(dataset.channels)}" for dataset in found),
            expected="as many channels in every data set",
        )
    return datasets


def channels(datasets: Mapping[str, Dataset]) -> int:
    """How many channels every data set has."""
    return len(next(iter(datasets.values())).channels)


def match(info: StoreInfo, path: Path) -> Dataset:
    """Find each finding of a split table in the store.

    Raises SplitError if a finding is not in the store, has another label there or too few views, LeakError
    if a group or an image is in several splits, EmptyError if there is nothing to train on.
    """
    splits = read_splits(path)
    stored = info.findings[[*KEY, "label"]].assign(row=np.arange(len(info.findings)))
    table = splits.merge(stored, on=KEY, how="left", suffixes=("", "_stored"), validate="one_to_one")
    wrong = table[(table["label"] != table["label_stored"]) | (table["views"] > info.views)]
    if len(wrong):
        names = " ".join("/".join(key) for key in wrong[KEY].head(5).itertuples(index=False))
        raise SplitError(
            f"{len(wrong)} others: {names}", file=path, remedy="make the split table again",
            expected=f"findings, labels and at most {info.views} views as in {info.path}",
        )  # fmt: skip
    if not (table["split"] == "train").any():
        raise EmptyError("no training findings", file=path)
    assert_no_leak(info.path, splits)
    columns = [*KEY, "group_id", "label", "split", "views"]
    table = table[columns].assign(row=table["row"].astype(int))
    return Dataset(info.dataset, info.channels, info.path, table)


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
        "--gpu", type=int, default=0, help="GPUs the job may use: 0 = CPU, 1 = CUDA if there is one, else CPU"
    )
