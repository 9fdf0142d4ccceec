"""The 79 radiomic features of Romero et al. (2020): grey-level co-occurrence, moments and entropy of a patch.

Co-occurrence matrices and their properties are those of scikit-image (``graycomatrix``, ``graycoprops``).
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

LEVELS = 32
"""Grey levels: a patch has some 4,000 pairs of pixels, which could not fill the 65,536 cells of 256."""
CLIP = 3.0
"""Z-scores are clipped to ± this before they become levels of one width."""
DISTANCES = (1, 2, 4, 6)
"""Between the pixels of a pair, in pixels."""
ANGLES = (0, 45, 90)
"""Degrees from the row, downwards."""
PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "ASM")
MOMENTS = (2, 3, 4, 5)
FEATURES = (
    *(f"glcm_{name}_d{far}_a{angle}" for name in PROPERTIES for far in DISTANCES for angle in ANGLES),
    "mean", "std", *(f"moment{order}" for order in MOMENTS), "entropy",
)  # fmt: skip
AT_ONCE = 64
"""Patches measured together: their matrices fit into the cache."""

_FIRST, _SECOND = (levels.ravel().astype(float) for levels in np.indices((LEVELS, LEVELS)))
_APART = _FIRST - _SECOND
_SUMS = np.stack(
    [
        _APART**2,
        np.abs(_APART),
        1 / (1 + _APART**2),
        _FIRST,
        _SECOND,
        _FIRST**2,
        _SECOND**2,
        _FIRST * _SECOND,
    ],
    axis=1,
)
"""What each cell of a matrix (LEVELS · LEVELS) counts for in each sum."""


def names(channels: Sequence[str]) -> list[str]:
    """The name of each column of :func:`measure`, such as ``dwi glcm_contrast_d1_a0``."""
    return [f"{channel} {feature}" for channel in channels for feature in FEATURES]


def measure(patches: np.ndarray) -> np.ndarray:
    """The FEATURES of each channel of patches (n, channels, side, side): float64 (n, channels · features).

    A patch of one value has entropy, moments, contrast and dissimilarity 0, and homogeneity, energy, ASM and,
    as in scikit-image, correlation 1.
    """
    images = patches.reshape(-1, *patches.shape[2:])
    parts = [_measure(images[start : start + AT_ONCE]) for start in range(0, len(images), AT_ONCE)]
    found = np.concatenate(parts) if parts else np.empty((0, len(FEATURES)))
    return found.reshape(len(patches), -1)


def levels(images: np.ndarray) -> np.ndarray:
    """Grey levels 0 … LEVELS − 1 of Z-scores."""
    share = (np.clip(images.astype(float), -CLIP, CLIP) + CLIP) / (2 * CLIP)
    return np.minimum((share * LEVELS).astype(int), LEVELS - 1)


def _measure(images: np.ndarray) -> np.ndarray:
    """The features of some images (n, side, side)."""
    grey = levels(images)
    found = {place: _properties(_matrices(grey, *place)) for place in set(_places())}
    texture = np.stack([found[place] for place in _places()], axis=-1)
    values = images.reshape(len(images), -1).astype(float)
    mean = values.mean(-1)
    apart = values - mean[:, None]
    moments = [(apart**order).mean(-1) for order in MOMENTS]
    counts = _counts(grey.reshape(len(grey), -1), LEVELS) / values.shape[-1]
    entropy = -(counts * np.log2(counts, where=counts > 0, out=np.zeros_like(counts))).sum(-1)
    rest = np.stack([mean, np.sqrt(moments[0]), *moments, entropy + 0.0], axis=-1)
    return np.concatenate([texture.reshape(len(images), -1), rest], axis=-1)


def _places() -> Iterator[tuple[int, int]]:
    """Rows and columns from the first to the second pixel of a pair, for each distance and angle.

    Rounded to whole pixels, so that at 45° a distance of 1 and one of 2 are the same neighbour.
    """
    for distance in DISTANCES:
        for angle in map(math.radians, ANGLES):
            yield round(distance * math.sin(angle)), round(distance * math.cos(angle))


def _matrices(grey: np.ndarray, down: int, right: int) -> np.ndarray:
    """How often each pair of levels occurs, as shares (n, LEVELS · LEVELS)."""
    rows, columns = grey.shape[1] - down, grey.shape[2] - right
    pairs = LEVELS * grey[:, :rows, :columns] + grey[:, down:, right:]
    return _counts(pairs.reshape(len(grey), -1), LEVELS**2) / (rows * columns)


def _counts(values: np.ndarray, kinds: int) -> np.ndarray:
    """How often each of 0 … kinds − 1 occurs in each row: (n, kinds)."""
    apart = values + kinds * np.arange(len(values))[:, None]
    return np.bincount(apart.ravel(), minlength=kinds * len(values)).reshape(-1, kinds)


def _properties(matrices: np.ndarray) -> np.ndarray:
    """The PROPERTIES of matrices (n, LEVELS · LEVELS), as (n, properties)."""
    contrast, dissimilarity, homogeneity, first, second, squares, others, products = (matrices @ _SUMS).T
    asm = (matrices**2).sum(-1)
    spread = np.sqrt(np.maximum(squares - first**2, 0) * np.maximum(others - second**2, 0))
    constant = spread < 1e-9
    correlation = np.where(constant, 1, (products - first * second) / np.where(constant, 1, spread))
    return np.stack([contrast, dissimilarity, homogeneity, np.sqrt(asm), correlation, asm], axis=-1)
