"""One draw for data sets with the same people, so that a person is in the same split in all of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.classes import Classes
from pipeline.seeds import stream
from pipeline.splits import people


def is_shared(tables: Sequence[pd.DataFrame]) -> bool:
    """Whether any unit of a split holds findings of several data sets."""
    units = [set(numbers.tolist()) for numbers in people.units(tables)]
    return len(set().union(*units)) < sum(map(len, units))


def cells(
    tables: Sequence[pd.DataFrame], units: Sequence[np.ndarray], classes: Sequence[Classes], *,
    worst: bool = True,
) -> np.ndarray:  # fmt: skip
    """(units, cells) bool: what a unit has in a data set, the cells of the first table before the second's.

    Of two classes, whether its worst label there is 0, and whether 1, or without ``worst`` whether it has a
    finding of each, as of more; of several labels, whether one with and one without each. :func:`titles` says
    which is which.
    """
    count = 1 + max(int(numbers.max()) for numbers in units)
    found = []
    for part, (table, numbers) in zip(classes, zip(tables, units, strict=True), strict=True):
        truth = part.truth(table)
        if part.two and worst:
            label = table["label"].groupby(numbers).max().reindex(range(count))
            found += [label == 0, label == 1]
            continue
        for answers in truth.T:
            for wanted in (0, 1) if part.multilabel or part.two else (1,):
                found.append(np.bincount(numbers[answers == wanted], minlength=count) > 0)
    return np.stack([np.asarray(cell, bool) for cell in found], axis=1)


def titles(classes: Classes) -> list[str]:
    """What the cells of a data set are called in a message."""
    if classes.two:
        return ["of label 0", "of label 1"]
    if classes.multilabel:
        return [f"{word} {name}" for name in classes.names for word in ("without", "with")]
    return [f"of {name}" for name in classes.names]


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
