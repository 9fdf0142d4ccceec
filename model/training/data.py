"""A data set as training sees it: its views as tensors."""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from model import dataset
from model.dataset import (
    KEY,
    Dataset,
    channels,
    given,
    granted,
    load,
    match,
    outputs,
    people_of,
    side,
    view_numbers,
)
from model.training.online import Views
from pipeline.classes import UNNAMED, Classes
from pipeline.store import read_info, read_patches

__all__ = [
    "KEY",
    "Dataset",
    "Part",
    "add_arguments",
    "channels",
    "given",
    "granted",
    "load",
    "match",
    "outputs",
    "people_of",
    "read_part",
    "side",
    "unlabelled",
]


@dataclass(frozen=True)
class Part:
    """The views of one split: view i belongs to row ``finding[i]`` of ``table``."""

    patches: Tensor | Views
    """(n, channels, side, side) float32"""
    labels: Tensor
    """int64, (n,) of classes or (n, labels) of labels"""
    finding: np.ndarray
    view: np.ndarray
    table: pd.DataFrame
    """patient_id, finding_id and labels of each finding"""
    classes: Classes = UNNAMED

    def some(self, kept: np.ndarray) -> "Part":
        """Some of the views, of the same findings."""
        index = torch.from_numpy(kept).to(self.labels.device)
        patches = self.patches.some(kept) if isinstance(self.patches, Views) else self.patches[index]
        return replace(
            self, patches=patches, labels=self.labels[index], finding=self.finding[kept], view=self.view[kept]
        )

    def names(self, samples: Iterable[int]) -> Iterator[str]:
        """What people call samples: patient/finding/view."""
        for sample in samples:
            patient, finding = self.table.loc[self.finding[sample], KEY]
            yield f"{patient}/{finding}/{self.view[sample]}"


def read_part(dataset: Dataset, split: str, device: torch.device, *, views: int | None = None) -> Part:
    """Read what the split table of a data set grants, at most ``views`` views of each finding."""
    return _read(dataset.store, dataset.findings(split), dataset.classes, device, views)


def _read(
    store: Path, table: pd.DataFrame, classes: Classes, device: torch.device, views: int | None = None
) -> Part:
    counts = table["views"].to_numpy()
    if views is not None:
        counts = np.minimum(counts, views)
    finding, view = view_numbers(counts)
    patches: Tensor | Views
    if read_info(store).margin:
        patches = Views(store, table["row"].to_numpy(int)[finding], view, device)
    else:
        patches = torch.from_numpy(read_patches(store, table["row"].tolist(), counts.tolist())).to(device)
    return Part(
        patches=patches,
        labels=torch.from_numpy(classes.labels(table)[finding]).to(device),
        finding=finding,
        view=view,
        table=table[[*KEY, *classes.label_columns]],
        classes=classes,
    )


def unlabelled(store: Path, views: int, like: Dataset, device: torch.device) -> tuple[str, Part]:
    """The name of a store without labels that is cut as ``like``, and the first views of all its findings."""
    info = read_info(store)
    table = dataset.unlabelled(info, views, like.channels, like.side)
    return info.dataset, _read(store, table, info.classes, device)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of every command that reads patches into tensors."""
    dataset.add_arguments(parser)
    parser.add_argument(
        "--gpu",
        type=int,
        default=0,
        help="GPUs that the job may use: 0 is the CPU, 1 is CUDA if there is a GPU",
    )
