"""Pictures that are made smaller when they are read, so that a large collection fits a disk."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from PIL import Image

Width = Annotated[int, Ge(16), Le(16384)]
"""Columns of a picture as it is kept."""


def scale(columns: float, width: int | None) -> float:
    """How many pixels of the smaller picture one of ``columns`` becomes; 1 where it stays as it is."""
    return 1.0 if width is None or columns <= width else width / columns


def size(columns: float, rows: float, width: int | None) -> tuple[int, int]:
    """Columns and rows of a picture that is at most ``width`` wide and as high as its aspect has it."""
    by = scale(columns, width)
    return round(columns * by), max(round(rows * by), 1)


def shrink(values: np.ndarray, width: int | None) -> np.ndarray:
    """A picture (rows, columns) float32 of at most ``width`` columns: means weighted by a triangle.

    >>> shrink(np.array([[0, 0, 4, 4]], "f4"), 2).shape
    (1, 2)
    """
    rows, columns = values.shape
    if scale(columns, width) == 1:
        return values
    small = Image.fromarray(values.astype("f4")).resize(size(columns, rows, width), Image.Resampling.BILINEAR)
    return np.asarray(small, "f4")


def point(column: float, row: float, by: float) -> tuple[float, float]:
    """Where a point lies in the smaller picture; pixel centres are at integers in both."""
    return (column + 0.5) * by - 0.5, (row + 0.5) * by - 0.5
