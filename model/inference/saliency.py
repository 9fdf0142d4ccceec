"""Where a score comes from: by how much it falls when a part of the patch is smoothed away.

Occlusion (Zeiler & Fergus 2014) asks a model for nothing but scores, so that networks, probes, forests and
mixtures of them are all looked at alike. Blur takes away what there is to see and puts no edges in its place,
as a grey square would (Fong & Vedaldi 2017).
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

Score = Callable[[np.ndarray], np.ndarray]
"""Patches (n, channels, side, side) float32 to probabilities (n, problems)."""
SHARE = 5
"""The side of a patch is so many times that of the square that is smoothed."""
LEAST = 1e-9
"""A probability is taken to be no nearer to 0 and 1 than this: its log odds have an end."""


def occlusion(score: Score, patch: np.ndarray) -> np.ndarray:
    """By how much log odds fall where a patch is smoothed, float64 (problems, side, side).

    In ``patch`` (channels, side, side) squares everywhere, in steps of half their side, are replaced by what
    a Gaussian of that width leaves of them; each pixel has the mean over its squares. Above 0: what is there
    speaks for it.
    """
    side = patch.shape[-1]
    square = max(1, round(side / SHARE))
    steps = math.ceil((side - square) / max(1, square // 2)) + 1
    starts = np.linspace(0, side - square, steps).round().astype(int)
    smooth = gaussian_filter(patch, (0, square, square), mode="nearest")
    whole = log_odds(score(patch[None]))[0]
    falls, counts = np.zeros((len(whole), side, side)), np.zeros((side, side))
    for top in starts:
        hidden = np.repeat(patch[None], len(starts), axis=0)
        for number, left in enumerate(starts):
            place = np.s_[:, top : top + square, left : left + square]
            hidden[number][place] = smooth[place]
        found = whole - log_odds(score(hidden))
        for own, left in zip(found, starts, strict=True):
            falls[:, top : top + square, left : left + square] += own[:, None, None]
            counts[top : top + square, left : left + square] += 1
    return falls / counts


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Of probabilities of any shape, in nats."""
    inside = np.clip(probabilities, LEAST, 1 - LEAST)
    return np.asarray(np.log(inside) - np.log1p(-inside))
