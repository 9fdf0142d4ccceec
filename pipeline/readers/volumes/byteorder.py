"""Whether the bytes of voxels stand in the order that a header says."""

from pathlib import Path

import numpy as np

from pipeline.errors import ByteOrderError

HUGE = 1e30
"""No measured number is as large; a float whose bytes are turned round often is."""


def _roughness(plane: np.ndarray) -> float:
    """How much neighbours differ, over how much all values do: about 1.1 for noise, less for an image."""
    wide = plane.astype("f8")
    spread = float(wide.std())
    return float(np.abs(np.diff(wide, axis=-1)).mean()) / spread if spread and wide.shape[-1] > 1 else 0.0


def check_byte_order(path: Path, plane: np.ndarray) -> None:
    """Raise ByteOrderError where a slice, as it is stored, is noise, and an image turned round.

    Whole numbers must both fill four times the range and be twice as rough.
    """
    if plane.dtype.itemsize == 1:
        return
    turned = plane.byteswap()
    if plane.dtype.kind == "f":
        wrong = not _plausible(plane) and _plausible(turned)
    else:
        ranges = [float(np.ptp(each.astype("f8"))) for each in (plane, turned)]
        wrong = ranges[0] > 4 * ranges[1] and _roughness(plane) > 2 * _roughness(turned)
    if wrong:
        raise ByteOrderError("noise, and an image when the bytes are turned round", file=path)


def _plausible(plane: np.ndarray) -> bool:
    return bool(np.isfinite(plane).all() and np.abs(plane).max() < HUGE)
