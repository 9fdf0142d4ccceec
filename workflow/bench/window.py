"""From stored values of a CT series to Z-scores: as a job does it against the published way."""

from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from pipeline.patches.normalization import Statistics, clip_window
from pipeline.readers.pixels import of_stored
from pipeline.seeds import stream
from pipeline.slice_store import SourceSlice
from workflow.bench.measure import Contender, Result, Size, compare

SIDE, SLICES = 512, 20
CENTRE, WIDTH = -600.0, 1600.0
"""The window of lungs, in Hounsfield units."""
GOAL = 15.0


class _Series(Contender):
    """A decoded series of CT, without padding."""

    def __init__(self, slices: int) -> None:
        self.ds = Dataset()
        self.ds.Modality, self.ds.PhotometricInterpretation = "CT", "MONOCHROME2"
        self.ds.RescaleSlope, self.ds.RescaleIntercept = "1", "-1024"
        self.ds.WindowCenter, self.ds.WindowWidth = str(CENTRE), str(WIDTH)
        self.stored = stream("bench", "window").integers(0, 2000, (slices, SIDE, SIDE)).astype("i2")
        self.scores: Any = None

    def answer(self) -> Any:
        """Z-scores of some pixels (slices, 8, 8)."""
        return np.stack([one[:8, :8] for one in self.scores])


class Plain(_Series):
    """The published window to 8 bits, slice by slice, then Z-scores of all of them."""

    def run(self) -> int:
        """In float64, as whole numbers in between (thesis 4.3.3)."""
        middle, width = float(self.ds.WindowCenter) - 0.5, float(self.ds.WindowWidth) - 1
        stretched = []
        for stored in self.stored:
            values = stored * float(self.ds.RescaleSlope) + float(self.ds.RescaleIntercept)
            sides = [values <= middle - width / 2, values > middle + width / 2]
            shown = np.piecewise(values, sides, [0, 255, lambda hu: ((hu - middle) / width + 0.5) * 255])
            stretched.append((shown / (shown.max() / 255)).astype("u1"))
        mean, std = np.mean(stretched), np.std(stretched)
        self.scores = [(one - mean) / std for one in stretched]
        return len(stretched)


class Ours(_Series):
    """In float32, sums in float64, padding looked for."""

    def run(self) -> int:
        """What the step ``slices`` does once it has decoded a file, and what ``cut`` does with its slice."""
        statistics, slices = Statistics(), []
        for stored in self.stored:
            pixels = of_stored(self.ds, stored)
            values = clip_window(pixels.values, (CENTRE - WIDTH / 2, CENTRE + WIDTH / 2))
            statistics.add(pixels.real(values))
            slices.append(pixels.unpadded(values))
        mean, std = statistics.mean_std()
        self.scores = [SourceSlice(values, mean, std).normalized for values in slices]
        return len(slices)


def bench(size: Size) -> list[Result]:
    """Slices per second of window and Z-score, files not counted; and how far both are apart."""
    result = Result("window and Z-scores of a CT series", "slices/s", goal=GOAL)
    plain, ours = compare(result, Plain, Ours, 2 if size.quick else SLICES, rounds=size.rounds)
    result.notes = {"largest_difference": float(np.abs(plain - ours).max())}
    return [result]
