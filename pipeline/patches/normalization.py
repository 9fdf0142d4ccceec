"""From physical values to Z-scores: float32 throughout, statistics per series and without padding.

So a patch depends on neither the split nor the label. ``paper`` goes the published way through 8 bits.
"""

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from pipeline.errors import ConstantImageError
from pipeline.readers.dicom import tags

BLANK_SHARE = 0.98
"""A slice of which more than this share has one value is blank (ProstateX-0052 has such an ADC map)."""
EVERY = 16
"""Of the values that are looked at first."""
AT_ONCE = 2**22
"""Values of one sum; another number would change the last bit in large pictures."""
IN_CACHE = 2**15
"""Values that are float64 at a time: these fit into the cache of a core."""


@dataclass
class Statistics:
    """Sums over many pixels, in float64; from them mean and standard deviation."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: np.ndarray) -> None:
        """Take in the values of one slice."""
        flat = values.ravel(order="K")
        for start in range(0, flat.size, AT_ONCE):
            part = flat[start : start + AT_ONCE]
            total, squares = _sums(part)
            self.count += part.size
            self.total += total
            self.squares += squares

    def mean_std(self) -> tuple[float, float]:
        """Mean and standard deviation; raises ConstantImageError where there is no contrast."""
        if not self.count:
            raise ConstantImageError("nothing but padding")
        mean = self.total / self.count
        variance = self.squares / self.count - mean**2
        if variance <= 1e-12 * max(mean**2, 1e-12):
            raise ConstantImageError(f"the one value {mean:g}")
        return mean, float(np.sqrt(variance))


def _sums(values: np.ndarray) -> tuple[float, float]:
    """The sum of the values and that of their squares, in float64.

    The halves are those of NumPy's pairwise sum, so the bits are those of one sum over all values.
    """
    if values.size <= IN_CACHE:
        wide = values.astype("f8")
        return float(wide.sum()), float(np.square(wide, out=wide).sum())
    half = values.size // 2
    half -= half % 8
    (total, squares), (other_total, other_squares) = _sums(values[:half]), _sums(values[half:])
    return total + other_total, squares + other_squares


def check_not_blank(values: np.ndarray) -> None:
    """Raise ConstantImageError for a slice of (almost) one value."""
    # Less than 2 % of all values are other ones in a blank slice, so less than 32 % of every 16th.
    if _largest_share(values.ravel()[::EVERY]) < 1 - EVERY * (1 - BLANK_SHARE):
        return
    share = _largest_share(values)
    if share > BLANK_SHARE:
        raise ConstantImageError(f"one value in {share:.1%} of the slice")


def _largest_share(values: np.ndarray) -> float:
    """Share of the most frequent value."""
    _, counts = np.unique(values, return_counts=True)
    return float(counts.max() / values.size)


def clip_window(values: np.ndarray, window: tuple[float, float] | None) -> np.ndarray:
    """Values limited to ``window`` = (low, high) in physical units; unchanged without one."""
    return values if window is None else np.clip(values, *window)


def paper_bytes(ds: Dataset, stored: np.ndarray) -> np.ndarray:
    """The published way to 8 bits (thesis 4.3.3, equations 4.1–4.4), as float32 of whole numbers.

    Rescale, the linear window of the first (0028,1050)/(0028,1051) to 0…255, then each slice stretched to
    its own maximum and cut to whole numbers. Without a window: minimum to maximum.
    """
    values = stored.astype("f8")
    slope, intercept = (tags.number(ds, tag) for tag in ("RescaleSlope", "RescaleIntercept"))
    if np.isfinite(slope) and np.isfinite(intercept):
        values = values * slope + intercept
    centre, width = (tags.first_number(ds, tag) for tag in ("WindowCenter", "WindowWidth"))
    if np.isfinite(centre) and np.isfinite(width):
        values = np.clip(((values - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5) * 255, 0, 255)
    else:
        values = (values - values.min()) * (255 / max(float(np.ptp(values)), 1e-9))
    top = values.max()
    return np.floor(values * (255 / top) if top else values).astype("f4")
