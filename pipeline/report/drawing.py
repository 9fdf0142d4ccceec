"""What the pictures of the report share: style, grey windows, mosaics, and PNG files without a clock."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.files import atomic
from pipeline.store import StoreInfo

mpl.use("Agg")

DPI = 110
GAP = 3
"""Pixels between patches in a mosaic."""
LONGEST_NAME = 22
"""Characters of a finding's name; of a longer one the end is shown."""
RED = "#e6002d"
STYLE: dict[Any, Any] = {
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.titlesize": 11.0,
    "text.parse_math": False,  # a dollar in an id is a dollar
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


def mosaic(patches: np.ndarray) -> np.ndarray:
    """Patches (rows, columns, height, width) side by side in one image, GAP pixels of NaN between them."""
    rows, columns, height, width = patches.shape
    image = np.full((rows * (height + GAP) - GAP, max(columns * (width + GAP) - GAP, 0)), np.nan)
    for i, j in np.ndindex(rows, columns):
        image[i * (height + GAP) :, j * (width + GAP) :][:height, :width] = patches[i, j]
    return image


def limits(values: np.ndarray) -> tuple[float, float]:
    """The grey window from the 0.5th to the 99.5th percentile: one bright pixel must not hide the rest."""
    low, high = np.percentile(values, (0.5, 99.5))
    return float(low), float(max(high, low + 1e-6))


def gray(axes: Axes, image: np.ndarray, window: tuple[float, float], aspect: float = 1.0) -> None:
    """Show an image (rows, columns) without axes; ``aspect`` is the row spacing over the column spacing."""
    axes.imshow(image, cmap="gray", vmin=window[0], vmax=window[1], interpolation="nearest", aspect=aspect)
    axes.set_axis_off()


def colour(axes: Axes, planes: Sequence[np.ndarray], window: tuple[float, float]) -> None:
    """Show red, green and blue (rows, columns) as one image without axes; white where nothing is."""
    scaled = (np.stack(planes, -1) - window[0]) / (window[1] - window[0])
    axes.imshow(np.nan_to_num(scaled.clip(0, 1), nan=1.0), interpolation="nearest")
    axes.set_axis_off()


def finish(figure: Figure, title: str, licence: str) -> None:
    """The title above and the licence line below, each in a strip of its own."""
    height = figure.get_figheight()
    figure.suptitle(title, x=0.01, y=1 - 0.08 / height, ha="left", va="top", weight="bold")
    if licence:
        figure.text(0.99, 0.06 / height, licence, ha="right", va="bottom", fontsize=6.5, color="0.35")
    figure.set_layout_engine("constrained", rect=(0, 0.2 / height, 1, 1 - 0.55 / height))


def names(table: pd.DataFrame, numbers: Sequence[int]) -> list[str]:
    """Short names of rows of a store's findings: the patient, and the finding if that tells them apart."""
    rows = table.iloc[list(numbers)]
    shared = rows["finding_id"].nunique() == 1
    shown = []
    for patient, finding in zip(rows["patient_id"], rows["finding_id"], strict=True):
        if patient in finding:
            shown.append(finding)
        elif shared or finding in PurePath(patient).stem:
            shown.append(patient)
        else:
            shown.append(f"{patient} · {finding}")
    return [name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}" for name in shown]


def of_label(info: StoreInfo, label: int, count: int) -> list[int]:
    """Up to ``count`` findings of a store that have class or label number ``label``, evenly spread."""
    return spread(np.flatnonzero(info.classes.has(info.findings)[:, label]), count)
