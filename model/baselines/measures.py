"""What can be measured of a patch without a network, by name."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from model.baselines import intensity, radiomics


class Measure(NamedTuple):
    """Numbers of a patch."""

    of: Callable[[np.ndarray], np.ndarray]
    """Patches (n, channels, side, side) to (n, channels · features)."""
    names: Callable[[Sequence[str]], list[str]]
    """What these are called, from the names of the channels."""


MEASURES = {
    "radiomics": Measure(radiomics.measure, radiomics.names),
    "intensity": Measure(intensity.measure, intensity.names),
}
