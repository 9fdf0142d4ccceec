"""Red dots: whether what the network sees is the place that was marked."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from pipeline.classes import said
from pipeline.errors import StoreError
from pipeline.files import EXTENT, read_csv
from pipeline.patches.cut import SPOT_COLUMNS
from pipeline.patches.views import Frame, View, centre, frame_of, resample, view_table
from pipeline.report.drawing import RED, STYLE, finish, gray, limits, names, of_label
from pipeline.slice_store import read_slice
from pipeline.store import read_info, read_patches

ONE_PIXEL = 1.05
"""A view shifts by at most one pixel; the rest is what a centroid on a pixel grid loses."""


def paint_dot(shape: tuple[int, ...], frame: Frame) -> np.ndarray:
    """A round dot at the centre of ``frame`` in an empty slice (rows, columns), 1 in the middle.

    A Gaussian of about one patch pixel: what is smooth on both grids keeps its centroid when resampled.
    """
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    wide = np.maximum(1.2 * np.array([frame.step_row, frame.step_column]), 1.2)
    distance = ((rows - frame.row) / wide[0]) ** 2 + ((columns - frame.column) / wide[1]) ** 2
    return np.exp(-distance / 2)


def dot_offsets(shape: tuple[int, ...], frame: Frame, views: Sequence[View]) -> np.ndarray:
    """Paint a dot at the finding, send it through crop and augmentation, and find it again.

    Returns (views, 2): its centroid minus the patch centre, in patch pixels along columns and rows. No view
    may move it by more than its shift of one pixel. The slice (rows, columns) is enlarged on all sides,
    so that a dot at its edge is whole.
    """
    margin = int(np.ceil(6 * max(frame.step_row, frame.step_column, 1)))
    wider = dataclasses.replace(frame, column=frame.column + margin, row=frame.row + margin)
    slice_ = paint_dot((shape[0] + 2 * margin, shape[1] + 2 * margin), wider)
    return centroids(resample(slice_.astype("f4"), wider, list(views)))


def centroids(patches: np.ndarray) -> np.ndarray:
    """Where the bright part of each patch (n, side, side) lies from its centre: (n, 2), columns and rows."""
    weights = np.where(patches > 0.02 * patches.max(axis=(1, 2), keepdims=True), patches, 0).astype("f8")
    side = patches.shape[-1]
    axis = np.arange(side) - centre(side)
    moments = np.stack([weights.sum(axis=1) @ axis, weights.sum(axis=2) @ axis], axis=1)
    return moments / weights.sum(axis=(1, 2))[:, None]


def _outline(frame: Frame, view: View) -> np.ndarray:
    """Corners of a view in the slice, (4, 2) as column and row."""
    edge = frame.side - 0.5
    corners = np.array([[-0.5, -0.5], [-0.5, edge], [edge, edge], [edge, -0.5]])
    matrix = frame.matrix(view)
    return (corners @ matrix[:, :2].T + matrix[:, 2])[:, ::-1]


def draw_slice(axes: Axes, pixels: np.ndarray, frame: Frame, title: str) -> None:
    """A whole slice (rows, columns) with a dot at the centre of a frame and the outline of its patch."""
    gray(axes, pixels, limits(pixels), frame.aspect)
    axes.plot(frame.column, frame.row, "o", color=RED, markersize=3, markeredgewidth=0)
    axes.add_patch(Polygon(_outline(frame, View()), fill=False, edgecolor=RED, linewidth=0.7))
    axes.set_title(title, fontsize=7)


def draw_view(
    axes: Axes, patch: np.ndarray, window: tuple[float, float], view: View, dot: np.ndarray
) -> None:
    """A patch (side, side) of a view, with a dot ``dot`` (columns, rows) off its centre."""
    gray(axes, patch, window)
    axes.plot(*(centre(patch.shape[-1]) + dot), "o", color=RED, markersize=3, markeredgewidth=0)
    flipped = ", flipped" if view.flip else ""
    axes.set_title(f"{view.rotation:.3g}°, {view.shift:.3g} px{flipped}", fontsize=6.5)


@mpl.rc_context(STYLE)
def red_dots(
    findings: str | Path,
    slices: str | Path,
    store: str | Path,
    *,
    count: int = 4,
    views: int = 4,
    licence: str = "",
) -> Figure:
    """Whole slices with a red dot at the finding, and the stored patches with the dot that came through.

    ``count`` findings of each label, on the store's first channel, with ``views`` patches of each. Raises
    RuntimeError if in any stored view of these findings the dot is more than a pixel off the centre.
    """
    info = read_info(store)
    table = read_csv(findings)
    table = table[table["channel"] == info.channels[0]]
    keys = zip(table["patient_id"], table["finding_id"], strict=True)
    numbers = dict(zip(keys, table.index, strict=True))
    each = [of_label(info, label, count) for label in range(len(info.classes.names))]
    shown = list(dict.fromkeys(itertools.chain(*each)))
    views = min(views, info.stored)
    patches = read_patches(store, shown, [views] * len(shown))[:, 0]
    patches = patches.reshape(len(shown), views, info.side, info.side)
    height = -(-len(shown) // 2)
    figure, grid = plt.subplots(
        height, 2 * (views + 1), figsize=(2 * (1.75 + 0.95 * views), 0.7 + 1.75 * height), squeeze=False,
        layout="constrained", width_ratios=[1.8, *[1.0] * views] * 2,
    )  # fmt: skip
    for axes in grid.flat:
        axes.set_axis_off()
    largest = 0.0
    for place, number in enumerate(shown):
        case = info.findings.iloc[number]
        row = numbers[case["patient_id"], case["finding_id"]]
        source = read_slice(slices, row)
        if source is None:
            raise RuntimeError(f"{store} holds a finding without a slice in {slices}: row {row}")
        spot = (float(table.at[row, name] or "nan") for name in SPOT_COLUMNS)
        extent = table.at[row, EXTENT] if EXTENT in table else ""
        frame = frame_of(extent or info.provenance["extent"], source.pixels.shape, *spot, side=info.side)
        seen = view_table(info.stored, info.provenance["view_seed"], case["patient_id"], case["finding_id"])
        if not np.allclose(resample(source.normalized, frame, seen[:views]), patches[place], atol=1e-4):
            raise StoreError("something else", file=store, expected=f"the views of row {row} of {slices}")
        dots = dot_offsets(source.pixels.shape, frame, seen)
        largest = max(largest, float(np.hypot(*dots.T).max()))
        first, *others = grid[place % height, (place // height) * (views + 1) :][: views + 1]
        title = f"{names(info.findings, [number])[0]}, {said(case.to_dict())}"
        draw_slice(first, source.pixels, frame, title)
        window = limits(patches[place])
        for axes, patch, view, dot in zip(others, patches[place], seen, dots, strict=False):
            draw_view(axes, patch, window, view, dot)
    if largest > ONE_PIXEL:
        raise RuntimeError(f"{store}: a dot painted at a finding is {largest:.2f} px off the patch centre")
    seen_in = f"in {info.stored} views of {len(shown)} finding{'s' * (len(shown) != 1)}"
    title = f"{info.dataset}, {info.channels[0]}: dots ≤ {largest:.2f} px off the patch centre {seen_in}"
    finish(figure, title, licence)
    return figure
