"""What phantoms are made of: smooth random fields and lesions of two kinds, hard to tell apart."""

from dataclasses import dataclass

import numpy as np

MALIGNANT, BENIGN = (0.35, 1.0), (0.0, 0.65)
"""How malignant a trait of a lesion looks, drawn from these ranges, which overlap: one trait alone has an
AUROC of 0.89, two a little more than 0.96 together. Closer ranges make the phantoms harder."""
SPIKE_DEPTH = 0.3
"""Length of the longest spicules as a part of the radius."""


def trait(rng: np.random.Generator, malignant: bool) -> float:
    """How malignant a lesion looks in one respect, 0 … 1; each respect is drawn apart."""
    return float(rng.uniform(*(MALIGNANT if malignant else BENIGN)))


@dataclass(frozen=True)
class Lesion:
    """A ball whose outline waves in the plane of the image; all lengths in mm (or pixels).

    Parameters
    ----------
    centre : (3,) in the frame of the scene: along the row, along the column, along the normal.
    spikes : number of spicules; 0 is a smooth ball.
    depth : length of the spicules as a part of the radius.
    flatness : how much faster the ball ends along the normal than in the plane.
    signal : how malignant it looks by its intensity, 0 … 1.
    """

    centre: tuple[float, float, float]
    radius: float
    spikes: int = 0
    depth: float = 0.2
    phase: float = 0.0
    flatness: float = 2.0
    signal: float = 1.0

    def membership(self, u: np.ndarray, v: np.ndarray, w: np.ndarray | float, edge: float) -> np.ndarray:
        """1 inside, 0 outside, falling over ``edge`` mm at the outline."""
        du, dv, dw = u - self.centre[0], v - self.centre[1], (w - self.centre[2]) * self.flatness
        angle = self.spikes * np.arctan2(dv, du) + self.phase
        wave = 0.7 * np.cos(angle) + 0.5 * np.cos(1 + 2 * angle) if self.spikes else 0.0
        outline = self.radius * (1 + self.depth * wave)
        return np.clip((outline - np.sqrt(du**2 + dv**2 + dw**2)) / edge + 0.5, 0, 1)


def lesion(
    rng: np.random.Generator,
    centre: tuple[float, float, float],
    malignant: bool,
    *,
    radius: tuple[float, float],
) -> Lesion:
    """A lesion that is more or less large (from and to ``radius``), spiculated and intense.

    Malignant ones tend to be more of each.
    """
    low, high = radius
    return Lesion(
        centre,
        low + (high - low) * trait(rng, malignant),
        spikes=int(rng.integers(5, 9)),
        depth=SPIKE_DEPTH * trait(rng, malignant),
        phase=float(rng.uniform(0, 2 * np.pi)),
        signal=trait(rng, malignant),
    )


def ellipse(u: np.ndarray, v: np.ndarray, half_u: float, half_v: float, edge: float) -> np.ndarray:
    """Soft membership, 0 … 1, of an ellipse about the origin."""
    return np.clip((1 - np.hypot(u / half_u, v / half_v)) * min(half_u, half_v) / edge + 0.5, 0, 1)


@dataclass(frozen=True)
class Waves:
    """A smooth random field of mean 0 and variance 1: plane waves with random directions and phases."""

    vectors: np.ndarray
    phases: np.ndarray

    def __call__(self, *coordinates: np.ndarray | float) -> np.ndarray:
        """The field at the coordinates (u, v) or (u, v, w)."""
        waves = [
            np.cos(sum(k * x for k, x in zip(vector, coordinates, strict=True)) + phase)
            for vector, phase in zip(self.vectors, self.phases, strict=True)
        ]
        return np.asarray(np.sqrt(2 / len(waves)) * np.sum(waves, axis=0))


def waves(rng: np.random.Generator, wavelength: float, count: int = 5, dimensions: int = 2) -> Waves:
    """Waves of about ``wavelength`` in the unit of the coordinates."""
    directions = rng.normal(size=(count, dimensions))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = wavelength * rng.uniform(0.7, 1.4, size=(count, 1))
    return Waves(2 * np.pi * directions / lengths, rng.uniform(0, 2 * np.pi, size=count))


def labels(
    rng: np.random.Generator, patterns: tuple[tuple[int, ...], ...], patients: int
) -> list[tuple[int, ...]]:
    """The labels of the findings of each patient: the patterns in turn, then shuffled."""
    repeated = [patterns[i % len(patterns)] for i in range(patients)]
    return [repeated[i] for i in rng.permutation(patients)]
