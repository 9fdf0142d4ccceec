"""Neighbouring slices as channels: that of a finding, and one at a distance in mm on either side of it."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.datasets import Source, instance_row, pixel_row
from pipeline.errors import ConfigError, NoSeriesError
from pipeline.readers import geometry, stacks
from pipeline.readers.volumes import read_grid

OWN = "image"
"""The channel of a data set without neighbours."""
DISTANCE = re.compile(r"([0-9]+(?:\.[0-9]+)?) mm")
MIDDLE = "0 mm"


def offsets(neighbours: str | None) -> dict[str, float]:
    """The channels of a table, and how far along the normal each lies in mm; ConfigError for no distance."""
    if neighbours is None:
        return {OWN: 0.0}
    match = DISTANCE.fullmatch(neighbours)
    if not match or not float(match[1]):
        raise ConfigError(neighbours, file="neighbours", expected="a distance above 0, such as 3 mm")
    mm = float(match[1])
    return {f"-{mm:g} mm": -mm, MIDDLE: 0.0, f"+{mm:g} mm": mm}


def of_channels(channels: Sequence[str]) -> dict[str, float]:
    """The same of channels that are called so; none where they are others."""
    if len(channels) == 3 and channels[1] == MIDDLE and (made := offsets(channels[2].lstrip("+"))):
        return made if list(made) == list(channels) else {}
    return {}


def moved(source: Source, name: str, cells: dict[str, Any], mm: float) -> dict[str, Any]:
    """The cells of findings.csv of a slice ``mm`` along the normal of where ``cells`` lie, at the same pixel.

    ``name`` is the image of the finding. It is the nearest slice on that side, and at the end of a stack the
    last one; ``plane_distance_mm`` says how far it is off. Raises NoSeriesError for a picture or one slice.
    """
    if not mm:
        return cells
    spot = float(cells["column"]), float(cells["row"])
    if "slice" in cells:
        axis, number, *when = map(int, cells["slice"].split(":"))
        path = source.raw / cells["file"]
        grid = read_grid(path)
        place, off = _place(np.arange(grid.shape[axis]) * grid.spacing_mm[axis], number, mm)
        where = ":".join(map(str, [axis, place, *when]))
        return {**cells, "slice": where, **pixel_row(*spot, off)}
    found = source.named(name)
    for series in stacks.split(found[found["format"] == "dicom"]):
        if cells["file"] in set(series["file"]) and len(series) > 1:
            along, positions = geometry.ordered(series)
            own = int(np.flatnonzero(along["file"] == cells["file"])[0])
            place, off = _place(positions, own, mm)
            return {**instance_row(along.iloc[place]), **pixel_row(*spot, off)}
    raise NoSeriesError("one slice", file=name, expected="a volume or a DICOM series, for its neighbours",
                        remedy="leave neighbours out, or these images")  # fmt: skip


def _place(positions: np.ndarray, own: int, mm: float) -> tuple[int, float]:
    """The slice nearest to ``mm`` beyond slice ``own``, another one if there is any; how far it is off."""
    wanted = positions[own] + mm
    side = np.flatnonzero((positions - positions[own]) * mm > 0)
    place = int(side[np.abs(positions[side] - wanted).argmin()]) if len(side) else own
    return place, float(wanted - positions[place])
