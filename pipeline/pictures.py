"""Pictures to look at before believing a number: contact sheet, red dots, alignment of channels."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from pipeline.errors import EmptyError, InputError, run_cli
from pipeline.files import atomic, read_csv
from pipeline.store import PATCH_SIDE, StoreInfo, read_info, read_patches, read_slice
from pipeline.views import CENTRE, Frame, View, resample, view_table

mpl.use("Agg")
log = logging.getLogger("typhon")

DPI = 110
GAP = 3
"""Pixels between patches in a mosaic."""
RED = "#e6002d"
STYLE = {
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.titlesize": 11.0,
}


def save(figure: Figure, path: str | Path) -> None:
    """Write a PNG whose bytes hold neither a clock nor a version, and close the figure."""
    with atomic(path) as beside:
        figure.savefig(beside, format="png", dpi=DPI, metadata={"Software": None})
    plt.close(figure)


def spread(numbers: Sequence[int] | np.ndarray, count: int) -> list[int]:
    """Up to ``count`` of ``numbers``, evenly spread and in order: not only the first patients.

    >>> spread([3, 5, 7, 9, 11], 3)
    [3, 7, 11]
    """
    chosen = np.linspace(0, len(numbers) - 1, min(count, len(numbers))).round().astype(int)
    return [int(numbers[i]) for i in chosen]


def mosaic(patches: np.ndarray, background: float = np.nan) -> np.ndarray:
    """Patches (rows, columns, height, width) side by side in one image, GAP pixels between them."""
    rows, columns, height, width = patches.shape
    image = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), background)
    for i, j in np.ndindex(rows, columns):
        image[i * (height + GAP) :, j * (width + GAP) :][:height, :width] = patches[i, j]
    return image


def limits(values: np.ndarray) -> tuple[float, float]:
    """The grey window from the 0.5th to the 99.5th percentile: one bright pixel must not hide the rest."""
    low, high = np.percentile(values, (0.5, 99.5))
    return float(low), float(max(high, low + 1e-6))


def counts(info: StoreInfo) -> str:
    """What a store holds, in a line."""
    table = info.findings
    positive = int(table["label"].sum())
    people = "patients" if (table["group_id"] == table["patient_id"]).all() else "groups"
    return (
        f"{len(table)} findings ({positive} of label 1, {len(table) - positive} of label 0) "
        f"in {table['group_id'].nunique()} {people}, {info.views} views of each"
    )


def _gray(axes: Axes, image: np.ndarray, window: tuple[float, float], aspect: float = 1.0) -> None:
    axes.imshow(image, cmap="gray", vmin=window[0], vmax=window[1], interpolation="nearest", aspect=aspect)
    axes.set_axis_off()


def _finish(figure: Figure, title: str, licence: str) -> None:
    """The title above and the licence line below, each in a strip of its own."""
    height = figure.get_figheight()
    figure.suptitle(title, x=0.01, y=1 - 0.08 / height, ha="left", va="top", weight="bold")
    if licence:
        figure.text(0.99, 0.06 / height, licence, ha="right", va="bottom", fontsize=6.5, color="0.35")
    figure.get_layout_engine().set(rect=(0, 0.2 / height, 1, 1 - 0.55 / height))  # type: ignore[union-attr]


def _names(table: pd.DataFrame, numbers: Sequence[int]) -> list[str]:
    rows = table.iloc[list(numbers)]
    shared = rows["finding_id"].nunique() == 1
    return [
        patient if shared else f"{patient} · {finding}"
        for patient, finding in zip(rows["patient_id"], rows["finding_id"], strict=True)
    ]


def contact_sheet(
    store: str | Path, *, findings: int = 6, views: int = 6, channel: str = "", licence: str = ""
) -> Figure:
    """View 0 of ``findings`` findings of each label beside ``views`` of their augmented views.

    Raises InputError for a channel that the store does not have.
    """
    info = read_info(store)
    plane = _channel(info, channel or info.channels[0])
    chosen = {label: _of_label(info, label, findings) for label in (0, 1)}
    shown = [number for numbers in chosen.values() for number in numbers]
    if not shown:
        raise EmptyError("none", file=store, expected="findings")
    views = min(views, info.views - 1)
    patches = read_patches(store, shown, [views + 1] * len(shown))[:, plane]
    patches = patches.reshape(len(shown), views + 1, PATCH_SIDE, PATCH_SIDE)
    window = limits(patches[:, 0])
    tallest = max(map(len, chosen.values()))
    figure, blocks = plt.subplots(
        1, 4, figsize=(2.2 + 2 * 0.62 * (views + 1), 0.9 + 0.62 * tallest), layout="constrained",
        width_ratios=[1.25, max(views, 1)] * 2,
    )  # fmt: skip
    for axes in blocks:
        axes.set_axis_off()
    for label, (first, others) in zip((0, 1), (blocks[:2], blocks[2:]), strict=True):
        part = patches[[shown.index(number) for number in chosen[label]]]
        if not len(part):
            continue
        blank = np.full((tallest - len(part), *part.shape[1:]), np.nan)
        part = np.concatenate([part, blank])
        _gray(first, mosaic(part[:, :1]), window)
        first.set_title(f"label {label}, as it is", loc="right")
        for row, name in enumerate(_names(info.findings, chosen[label])):
            middle = row * (PATCH_SIDE + GAP) + PATCH_SIDE / 2
            first.text(-4, middle, name, ha="right", va="center", fontsize=6.5)
        if views:
            _gray(others, mosaic(part[:, 1:]), window)
            others.set_title("turned, flipped and shifted")
    _finish(figure, f"{info.dataset}, {info.channels[plane]}: {counts(info)}", licence)
    return figure


def _channel(info: StoreInfo, name: str) -> int:
    if name not in info.channels:
        raise InputError(f"{name!r}", file=info.path, expected=f"a channel of {', '.join(info.channels)}")
    return info.channels.index(name)


def _of_label(info: StoreInfo, label: int, count: int) -> list[int]:
    return spread(np.flatnonzero(info.findings["label"] == label), count)


def paint_dot(shape: tuple[int, ...], frame: Frame) -> np.ndarray:
    """A round dot at the centre of ``frame`` in an empty slice (rows, columns), 1 in the middle.

    A Gaussian of about one patch pixel: what is smooth on both grids keeps its centroid when resampled.
    """
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    wide = np.maximum(1.2 * np.array([frame.step_row, frame.step_column]), 1.2)
    distance = ((rows - frame.row) / wide[0]) ** 2 + ((columns - frame.column) / wide[1]) ** 2
    return np.exp(-distance / 2)


def dot_offsets(shape: tuple[int, ...], frame: Frame, views: Sequence[View]) -> np.ndarray:
    """Paint a dot at the finding and send it through crop and augmentation.

    Returns (views, 2): how far, in patch pixels along columns and rows, its centroid lies from where the
    view is meant to put it, which is the patch centre but for the shift of at most one pixel.
    """
    patches = resample(paint_dot(shape, frame).astype("f4"), frame, list(views)).astype("f8")
    weights = np.where(patches > 0.05 * patches.max(axis=(1, 2), keepdims=True), patches, 0)
    axis = np.arange(PATCH_SIDE) - CENTRE
    total = weights.sum(axis=(1, 2))
    offsets = np.stack([(weights.sum(axis=1) * axis).sum(axis=1), (weights.sum(axis=2) * axis).sum(axis=1)], axis=1)
    return offsets / total[:, None]
