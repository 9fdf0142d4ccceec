"""Views of a finding: one spline resampling against three successive Pillow resamplings per view."""

from typing import Any

import numpy as np
from PIL import Image

from pipeline.patches.views import Frame, View, resample, view_table
from pipeline.seeds import stream
from pipeline.store import PATCH_SIDE
from workflow.bench.measure import Contender, Result, Size, compare

COLUMNS, ROWS = 84, 128
SPACING_MM = 2.0
"""A diffusion slice of PROSTATEx."""
EXTENT_MM = 65.0
CENTRE = 41.5, 63.5
"""Of the finding, between pixels, where Pillow can crop symmetrically."""
VIEWS = 60


class KnownPicture:
    """A sum of Gaussians with standard deviation 1 over the slice, known at every point."""

    def __init__(self) -> None:
        random = stream("bench", "picture")
        self.places = random.uniform((0, 0), (ROWS, COLUMNS), (60, 2))
        self.widths = random.uniform(1.5, 8, 60)
        self.heights = random.normal(size=60)
        values = self._sum(*np.mgrid[:ROWS, :COLUMNS])
        self.mean, self.std = values.mean(), values.std()

    def at(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Value at continuous pixel positions."""
        return (self._sum(row, column) - self.mean) / self.std

    def _sum(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        total = np.zeros(np.shape(row))
        for (y, x), width, height in zip(self.places, self.widths, self.heights, strict=True):
            total += height * np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * width**2))
        return total

    def slice(self) -> np.ndarray:
        """The picture at the pixel centres, float32 (rows, columns)."""
        return self.at(*np.mgrid[:ROWS, :COLUMNS]).astype("f4")

    def truth(self, frame: Frame, view: View) -> np.ndarray:
        """The picture at the pixel centres of a patch (65, 65)."""
        patch = np.mgrid[:PATCH_SIDE, :PATCH_SIDE].reshape(2, -1)
        row, column = frame.matrix(view) @ np.vstack([patch, np.ones(patch.shape[1])])
        return self.at(row, column).reshape(PATCH_SIDE, PATCH_SIDE)


class _Patches(Contender):
    def __init__(self) -> None:
        self.picture = KnownPicture()
        self.slice = self.picture.slice()
        step = EXTENT_MM / SPACING_MM / PATCH_SIDE
        self.frame = Frame(*CENTRE, step, step)
        self.views = view_table(VIEWS, 0, "patient", "finding")
        self.made: Any = None

    def answer(self) -> float:
        """Root mean square error against the analytic picture, in its standard deviations."""
        truth = np.stack([self.picture.truth(self.frame, view) for view in self.views])
        return float(np.sqrt(np.mean((np.stack(self.made) - truth) ** 2)))


class Ours(_Patches):
    """All views of a finding as a job cuts them."""

    def run(self) -> int:
        """One spline prefilter, then one interpolation per view."""
        for _ in range(10):
            self.made = resample(self.slice, self.frame, self.views)
        return 10 * len(self.views)


class Plain(_Patches):
    """Hydra's way: enlarge the surroundings to 400 x 400, rotate, crop and shrink, all bicubic."""

    def enlarge(self) -> Image.Image:
        """The 100 x 100 pixels (200 mm) around the finding at half a millimetre per pixel."""
        column, row = (round(value + 0.5) for value in CENTRE)
        box = (column - 50, row - 50, column + 50, row + 50)
        return Image.fromarray(self.slice).crop(box).resize((400, 400), Image.Resampling.BICUBIC)

    def cut(self, large: Image.Image, view: View) -> np.ndarray:
        """The other two resamplings; a shift of one patch pixel is one of two pixels here."""
        turned = large.rotate(view.rotation, Image.Resampling.BICUBIC)
        left = 200 - PATCH_SIDE + 2 * view.shift
        patch = turned.crop((left, 200 - PATCH_SIDE, left + 2 * PATCH_SIDE, 200 + PATCH_SIDE))
        if view.flip:
            patch = patch.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.asarray(patch.resize((PATCH_SIDE, PATCH_SIDE), Image.Resampling.BICUBIC))

    def run(self) -> int:
        """Three resamplings per view."""
        self.made = [self.cut(self.enlarge(), view) for view in self.views]
        return len(self.views)


class PlainOnce(Plain):
    """The same, but all views of a finding share one enlargement."""

    def run(self) -> int:
        """Two resamplings per view."""
        large = self.enlarge()
        self.made = [self.cut(large, view) for view in self.views]
        return len(self.views)


def bench(size: Size) -> list[Result]:
    """Patches per second, and the error of both against the analytic picture."""
    results = []
    for plain, name, goal in (
        (Plain, "patches, against three Pillow resamplings per view", 60.0),
        (PlainOnce, "patches, against Pillow with one enlargement per finding", None),
    ):
        result = Result(name, "patches/s", goal=goal)
        errors = compare(result, plain, Ours, rounds=size.rounds)
        result.notes = dict(zip(("rmse_plain", "rmse_ours"), errors, strict=True))
        results.append(result)
    return results
