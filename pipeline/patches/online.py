"""Views that are drawn when they are needed, from one stored patch with a margin around it.

The stored patch is the un-augmented one of view 0; each view is one resampling of it. A view is a function of
its names alone, so neither the order of work nor the number of processes changes it.
"""

import math
from collections.abc import Sequence

import numpy as np

from pipeline.patches.ranges import USUAL, Ranges
from pipeline.patches.views import Frame, View, centre, resample
from pipeline.seeds import stream
from pipeline.store import Margins


def margin(side: int, ranges: Ranges = USUAL) -> int:
    """Pixels around a stored patch of ``side`` pixels, so that every view of an isotropic one lies within.

    >>> margin(65), margin(128), margin(236, Ranges(rotation=10, scale=0, shift=7 / 236, brightness=0))
    (19, 36, 28)
    """
    angle = math.radians(ranges.rotation)
    reach = (math.cos(angle) + math.sin(angle)) * (1 + ranges.scale) * side / 2 + ranges.shift * side
    return math.ceil(reach - side / 2) + 2


def draw(side: int, *names: object, ranges: Ranges = USUAL) -> View:
    """The view that belongs to ``names``; shifts are in pixels of a patch of ``side``."""
    rng = stream(*names)
    rotation, shift, drop, zoom = rng.uniform(-1, 1, 4)
    return View(
        rotation=ranges.rotation * rotation,
        flip=bool(rng.integers(2)),
        shift=ranges.shift * side * shift,
        drop=ranges.shift * side * drop,
        zoom=math.exp(math.log1p(ranges.scale) * zoom),
    )


def brightness(*names: object, ranges: Ranges = USUAL) -> float:
    """What training adds to the Z-scores of the view of ``names``."""
    return float(stream("brightness", *names).uniform(-ranges.brightness, ranges.brightness))


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
    numbers: int | Sequence[int], side: int, view_seed: object, patient_id: str, finding_id: str,
    ranges: Ranges = USUAL,
) -> list[View]:  # fmt: skip
    """Views of a finding over which scores are averaged, by number, or the first ones; 0 is un-augmented."""
    names = ("online", view_seed, patient_id, finding_id)
    wanted = range(numbers) if isinstance(numbers, int) else numbers
    return [draw(side, *names, number, ranges=ranges) if number else View() for number in wanted]


def evaluation_views(of: Margins, numbers: Sequence[Sequence[int]]) -> np.ndarray:
    """Views ``numbers[i]`` of finding i, one after another: those over which scores are averaged.

    Returns float32 (as many, channels, side, side). View 0 is the un-augmented patch.
    """
    out = np.empty((sum(map(len, numbers)), of.patches.shape[1], of.side, of.side), "f4")
    places = iter(range(len(out)))
    for stored, aspect, names, wanted in zip(of.patches, of.aspects, of.names, numbers, strict=True):
        for view in evaluation_table(wanted, of.side, of.view_seed, *names, of.ranges):
            out[next(places)] = cut(stored, of.side, float(aspect), view)
    return out


def training_views(of: Margins, *names: object) -> np.ndarray:
    """A view of each finding, float32 (n, channels, side, side): view i belongs to ``names`` and i."""
    out = np.empty((len(of.patches), of.patches.shape[1], of.side, of.side), "f4")
    for place, (stored, aspect) in enumerate(zip(of.patches, of.aspects, strict=True)):
        out[place] = cut(stored, of.side, float(aspect), draw(of.side, *names, place, ranges=of.ranges))
        out[place] += np.float32(brightness(*names, place, ranges=of.ranges))
    return out
