"""One draw for data sets with the same people, so that a person is in the same split in all of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.seeds import stream
from pipeline.splits import people


def is_shared(tables: Sequence[pd.DataFrame]) -> bool:
    """Whether any unit of a split holds findings of several data sets."""
    units = [set(numbers.tolist()) for numbers in people.units(tables)]
    return len(set().union(*units)) < sum(map(len, units))


def cells(tables: Sequence[pd.DataFrame], units: Sequence[np.ndarray]) -> np.ndarray:
    """(units, 2 · tables) bool: whether a unit has findings in a data set whose worst label there is 0, or 1.

    The columns are label 0 and label 1 of the first table, then of the second, and so on.
    """
    count = 1 + max(int(numbers.max()) for numbers in units)
    found = np.zeros((count, 2 * len(tables)), bool)
    for place, (table, numbers) in enumerate(zip(tables, units, strict=True)):
        worst = table["label"].groupby(numbers).max()
        found[worst.index, 2 * place + worst.to_numpy(int)] = True
    return found


def deal(cells: np.ndarray, wanted: np.ndarray, names: Sequence[object]) -> np.ndarray:
    """The part (units,) of each unit, so that each part gets as many units of each cell as it wants.

    Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011): the cell with the fewest units left goes
    first, each of its units to the part that wants most of this cell, then of all, then to the first.
    ``wanted`` (parts, cells) is how many units of a cell each part should have; ``names`` is the stream that
    orders the units.
    """
    order = stream(*names).permutation(len(cells))
    left, part = np.array(wanted, float), np.full(len(cells), -1)
    while (open_ := part < 0).any():
        counts = cells[open_].sum(0)
        cell = int(np.where(counts > 0, counts, len(cells) + 1).argmin())
        for unit in order[open_[order] & cells[order, cell]]:
            of_unit = left[:, cells[unit]]
            part[unit] = max(range(len(left)), key=lambda n: (left[n, cell], of_unit[n].sum(), -n))
            left[part[unit], cells[unit]] -= 1
    return part
