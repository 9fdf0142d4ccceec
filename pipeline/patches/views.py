"""The views of a finding, and ONE resampling from the source slice to each of them.

A view is a whole-degree rotation, a flip and a shift (thesis 5.2.1). All of it, with the crop and the change
of scale, is one affine map from patch pixel to slice pixel, evaluated once on cubic B-spline coefficients
that are computed once per slice.
"""

import itertools
import re
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from scipy import ndimage

from pipeline.errors import ConfigError, MissingTagError
from pipeline.seeds import stream
from pipeline.store import PATCH_SIDE

ROTATIONS = range(-20, 21)
SHIFTS = (-1, 0, 1)
SUPPORT = 12
"""Pixels beyond a patch that its spline still feels: the influence falls by 0.27 per pixel."""


@dataclass(frozen=True)
class View:
    """Rotation in degrees, left-right flip, and horizontal shift in patch pixels.

    Views that are drawn in training also have a vertical shift, and show ``zoom`` times as much of the image.
    """

    rotation: float = 0
    flip: bool = False
    shift: float = 0
    drop: float = 0
    zoom: float = 1


AUGMENTED = [
    View(*combination)
    for combination in itertools.product(ROTATIONS, (False, True), SHIFTS)
    if combination != (0, False, 0)
]
"""The 245 combinations (41 rotations × 2 flips × 3 shifts) besides the un-augmented view."""
MOST_VIEWS = len(AUGMENTED) + 1


def view_table(views: int, view_seed: object, patient_id: str, finding_id: str) -> list[View]:
    """The first ``views`` views of a finding: the un-augmented one, then its own order of the other 245.

    The order depends on these arguments alone, so neither on other findings nor on the process.
    """
    order = stream("views", view_seed, patient_id, finding_id).permutation(len(AUGMENTED))
    return [View(), *(AUGMENTED[number] for number in order)][:views]


def centre(side: int) -> float:
    """Row and column of the centre of a patch whose pixel centres are at integers.

    >>> centre(65), centre(4)
    (32.0, 1.5)
    """
    return (side - 1) / 2


@dataclass(frozen=True)
class Frame:
    """Where a patch lies: its centre in slice pixels, and the slice pixels per patch pixel on each axis.

    ``aspect`` is the row spacing over the column spacing, so that rotations turn in millimetres.
    """

    column: float
    row: float
    step_column: float
    step_row: float
    aspect: float = 1.0
    side: int = PATCH_SIDE
    """Of the patch, in its own pixels."""

    @property
    def middle(self) -> float:
        """Row and column of the patch's centre; pixel centres are at integers."""
        return centre(self.side)

    def matrix(self, view: View) -> np.ndarray:
        """The affine map (2, 3) from patch (row, column, 1) to slice (row, column)."""
        angle = np.deg2rad(view.rotation)
        cos, sin = np.cos(angle), np.sin(angle)
        mirror = -1.0 if view.flip else 1.0
        # patch → un-flipped, shifted, scaled offsets from the centre, in slice pixels
        down, across = self.step_row * view.zoom, self.step_column * view.zoom
        scale = np.array([
            [down, 0.0, (-self.middle + view.drop) * down],
            [0.0, mirror * across, (-mirror * self.middle + view.shift) * across],
        ])  # fmt: skip
        turn = np.array([[cos, sin / self.aspect], [-sin * self.aspect, cos]])
        matrix = turn @ scale
        matrix[:, 2] += self.row, self.column
        return matrix


TERM = re.compile(
    r"(0*[1-9][0-9]*(?:/0*[1-9][0-9]*|[.][0-9]+)?|0+[.]0*[1-9][0-9]*) (mm|px|side|width|height)"
)
"""A length of an extent: a fraction or a decimal number, more than 0, and its unit."""


def _side(term: str, columns: int, rows: int, spacing_mm: float) -> float:
    """One term of an extent, such as ``65 mm`` or ``1/6 width``, in slice pixels; see extent_pixels."""
    found = TERM.fullmatch(term)
    if not found:
        raise ConfigError(
            repr(term), file="extent", expected="whole, or more than 0 mm, px, side, width or height",
            remedy="write 65 mm, say, or 1/6 width",
        )  # fmt: skip
    value, unit = float(Fraction(found[1])), found[2]
    if unit == "mm":
        if not spacing_mm > 0:
            raise MissingTagError(
                "none", expected=f"a pixel spacing, for an extent of {term}",
                remedy="give the extent in px or as a share of the side, or leave the image out",
            )  # fmt: skip
        return value / spacing_mm
    lengths = {"px": 1.0, "side": (columns + rows) / 2, "width": columns, "height": rows}
    return value * lengths[unit]


def extent_pixels(
    extent: str, columns: int, rows: int, spacing_column_mm: float, spacing_row_mm: float
) -> tuple[float, float]:
    """Width and height of the patch in slice pixels.

    ``extent`` is one length for both (``65 mm``, ``85 px``, ``15/56 side``: of the mean image side), a width
    and a height (``2/7 width, 1/4 height``), or ``whole``: a square (in mm where the image has a scale)
    with the longer side of the image. Raises MissingTagError for mm of an image without a scale, and
    ValueError for a unit that is none.
    """
    if extent == "whole":
        across, down = (spacing_column_mm, spacing_row_mm) if spacing_column_mm > 0 else (1.0, 1.0)
        longest = max(columns * across, rows * down)
        return longest / across, longest / down
    terms = [term.strip() for term in extent.split(",")]
    width = _side(terms[0], columns, rows, spacing_column_mm)
    return width, _side(terms[-1], columns, rows, spacing_row_mm)


def frame_of(
    extent: str,
    shape: tuple[int, ...],
    column: float,
    row: float,
    spacing_column_mm: float,
    spacing_row_mm: float,
    *,
    side: int = PATCH_SIDE,
) -> Frame:
    """The frame of a patch of ``extent`` around a pixel of a slice of ``shape`` (rows, columns).

    Spacings are NaN where the image has no scale; its pixels then count as square.
    """
    width, height = extent_pixels(extent, shape[1], shape[0], spacing_column_mm, spacing_row_mm)
    aspect = spacing_row_mm / spacing_column_mm if spacing_column_mm > 0 else 1.0
    return Frame(column, row, width / side, height / side, aspect, side)


def resample(pixels: np.ndarray, frame: Frame, views: list[View]) -> np.ndarray:
    """Resample a slice (rows, columns) to patches float32 (views, side, side); what lies outside is 0.

    Where a patch pixel is larger than a slice pixel (step s > 1), a Gaussian of 0.5·√(s² − 1) pixels
    first takes out what the coarser grid cannot hold.
    """
    if any(view.zoom != 1 for view in views):
        return np.concatenate([
            resample(pixels, replace(frame, step_column=frame.step_column * view.zoom,
                                     step_row=frame.step_row * view.zoom), [replace(view, zoom=1)])
            for view in views
        ])  # fmt: skip
    steps = np.array([frame.step_row, frame.step_column])
    sigma = 0.5 * np.sqrt(np.maximum(steps**2 - 1, 0))
    centre = np.array([frame.row, frame.column])
    turned = np.hypot(*steps) * (frame.middle + 1) * max(frame.aspect, 1 / frame.aspect)
    reach = np.ceil(turned + SUPPORT + 4 * sigma)
    shape = np.array(pixels.shape)
    low = np.clip(np.floor(centre - reach), 0, shape - 1).astype(int)
    high = np.clip(np.ceil(centre + reach) + 1, low + 1, shape).astype(int)
    window = pixels[low[0] : high[0], low[1] : high[1]].astype("f8")
    if sigma.any():
        window = ndimage.gaussian_filter(window, sigma, mode="nearest")
    coefficients = ndimage.spline_filter(window, order=3, mode="mirror")
    patches = np.empty((len(views), frame.side, frame.side), "f4")
    for patch, view in zip(patches, views, strict=True):
        matrix = frame.matrix(view)
        ndimage.affine_transform(
            coefficients,
            matrix[:, :2],
            matrix[:, 2] - low,
            output=patch,
            output_shape=patch.shape,
            order=3,
            mode="constant",
            prefilter=False,
        )
    return patches
