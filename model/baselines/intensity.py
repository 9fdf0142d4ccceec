"""Intensity features of a patch, for a baseline without a network."""

from collections.abc import Sequence

import numpy as np

from pipeline.patches.views import centre

SHARE = 8
"""The side of a patch by the radius of its central disc: 8 mm in a patch of 65 mm. The surround is the ring
up to twice as far."""
FEATURES = {
    "mean": "mean of the patch",
    "sd": "standard deviation of the patch",
    "p10": "10th percentile of the patch",
    "p90": "90th percentile of the patch",
    "skewness": "third standardised moment of the patch",
    "kurtosis": "fourth standardised moment of the patch, 0 for a normal distribution",
    "gradient": "mean squared gradient of the patch, per pixel",
    "disc mean": "mean of the central disc",
    "disc sd": "standard deviation of the disc",
    "disc p10": "10th percentile of the disc",
    "disc p90": "90th percentile of the disc",
    "disc skewness": "third standardised moment of the disc",
    "disc kurtosis": "fourth standardised moment of the disc",
    "disc gradient": "mean squared gradient of the disc",
    "contrast": "mean of the disc minus the mean of the ring around it",
}
"""What each number of a channel is. Patches are Z-scores, so all are in standard deviations of the series."""


def disc_and_ring(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels (side · side,) are those of the central disc, and of the ring around it."""
    across = np.arange(side) - centre(side)
    distance = np.hypot(*np.meshgrid(across, across)).ravel()
    radius = side // SHARE
    return distance <= radius, (distance > radius) & (distance <= 2 * radius)


def names(channels: Sequence[str]) -> list[str]:
    """The name of each column of :func:`measure`, such as ``dwi disc mean``."""
    return [f"{channel} {feature}" for channel in channels for feature in FEATURES]


def measure(patches: np.ndarray) -> np.ndarray:
    """The FEATURES of each channel of patches (n, channels, side, side): float64 (n, channels · features)."""
    rows, columns = np.gradient(patches.astype(float), axis=(2, 3))
    gradient = (rows**2 + columns**2).reshape(*patches.shape[:2], -1)
    values = patches.reshape(*patches.shape[:2], -1).astype(float)
    inner, ring = disc_and_ring(patches.shape[-1])
    whole, disc = _moments(values), _moments(values[..., inner])
    contrast = values[..., inner].mean(-1) - values[..., ring].mean(-1)
    features = [*whole, gradient.mean(-1), *disc, gradient[..., inner].mean(-1), contrast]
    return np.stack(features, axis=-1).reshape(len(patches), -1)


def _moments(values: np.ndarray) -> list[np.ndarray]:
    """Mean, sd, two percentiles, skewness and kurtosis of the last axis; those of one value alone are 0."""
    mean, sd = values.mean(-1), values.std(-1)
    standard = (values - mean[..., None]) / np.where(sd > 0, sd, 1)[..., None]
    low, high = np.quantile(values, [0.1, 0.9], axis=-1)
    kurtosis = np.where(sd > 0, (standard**4).mean(-1) - 3, 0)
    return [mean, sd, low, high, (standard**3).mean(-1), kurtosis]
