"""Views that are drawn when they are needed, from one stored patch with a margin around it.

The stored patch is the un-augmented one of view 0; each view is one resampling of it. A view is a function of
its names alone, so neither the order of work nor the number of processes changes it.
"""

import math
from collections.abc import Sequence

import numpy as np

from pipeline.patches.views import Frame, View, centre, resample
from pipeline.seeds import stream
from pipeline.store import Margins

ROTATION = 20.0
"""Degrees to either side, as in the stored views."""
SCALE = 0.12
"""A view shows up to this share more of the image, or of itself less."""
SHIFT = 0.04
"""Of the side, to each of the four sides."""
BRIGHTNESS = 0.2
"""Standard deviations of the series, up or down; in training alone."""


def margin(side: int) -> int:
    """Pixels around a stored patch of ``side`` pixels, so that every view of an isotropic one lies within.

    >>> margin(65), margin(128)
    (19, 36)
    """
    angle = math.radians(ROTATION)
    reach = (math.cos(angle) + math.sin(angle)) * (1 + SCALE) * side / 2 + SHIFT * side
    return math.ceil(reach - side / 2) + 2


def draw(side: int, *names: object) -> View:
    """The view that belongs to ``names``; shifts are in pixels of a patch of ``side``."""
    rng = stream(*names)
    rotation, shift, drop, zoom = rng.uniform(-1, 1, 4)
    return View(
        rotation=ROTATION * rotation,
        flip=bool(rng.integers(2)),
        shift=SHIFT * side * shift,
        drop=SHIFT * side * drop,
        zoom=math.exp(math.log1p(SCALE) * zoom),
    )


def brightness(*names: object) -> float:
    """What training adds to the Z-scores of the view of ``names``."""
    return float(stream("brightness", *names).uniform(-BRIGHTNESS, BRIGHTNESS))


def cut(stored: np.ndarray, side: int, aspect: float, view: View) -> np.ndarray:
    """A view (channels, side, side) float32 of a stored patch (channels, side + 2 margins, the same).

    ``aspect`` is the height of a pixel over its width, in mm, so that rotations turn in mm.
    """
    rim = (stored.shape[-1] - side) // 2
    if view == View():
        return stored[:, rim : rim + side, rim : rim + side]
    middle = centre(stored.shape[-1])
    frame = Frame(middle, middle, 1.0, 1.0, aspect, side)
    return np.stack([resample(plane, frame, [view])[0] for plane in stored])


def evaluation_table(
    numbers: int | Sequence[int], side: int, view_seed: object, patient_id: str, finding_id: str
) -> list[View]:
    """Views of a finding over which scores are averaged, by number, or the first ones; 0 is un-augmented."""
    names = ("online", view_seed, patient_id, finding_id)
    wanted = range(numbers) if isinstance(numbers, int) else numbers
    return [draw(side, *names, number) if number else View() for number in wanted]


def evaluation_views(of: Margins, numbers: Sequence[Sequence[int]]) -> np.ndarray:
    """Views ``numbers[i]`` of finding i, one after another: those over which scores are averaged.

    Returns float32 (as many, channels, side, side). View 0 is the un-augmented patch.
    """
    out = np.empty((sum(map(len, numbers)), of.patches.shape[1], of.side, of.side), "f4")
    places = iter(range(len(out)))
    for stored, aspect, names, wanted in zip(of.patches, of.aspects, of.names, numbers, strict=True):
        for view in evaluation_table(wanted, of.side, of.view_seed, *names):
            out[next(places)] = cut(stored, of.side, float(aspect), view)
    return out


def training_views(of: Margins, *names: object) -> np.ndarray:
    """A view of each finding, float32 (n, channels, side, side): view i belongs to ``names`` and i."""
    out = np.empty((len(of.patches), of.patches.shape[1], of.side, of.side), "f4")
    for place, (stored, aspect) in enumerate(zip(of.patches, of.aspects, strict=True)):
        out[place] = cut(stored, of.side, float(aspect), draw(of.side, *names, place))
        out[place] += np.float32(brightness(*names, place))
    return out
