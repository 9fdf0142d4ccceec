"""The ADC of a finding in physical units: dense tumours hinder the diffusion of water."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.errors import EmptyError
from pipeline.files import read_csv
from pipeline.slice_store import read_slice

CHANNEL = "adc"
SHARE = 0.1
"""Of the pixels of the disc lie at or below the value taken. The disc is round and centred on a point, a
tumour is neither: its darkest tenth lies inside where the mean would take in healthy tissue around it."""


class MapPosition(NamedTuple):
    """Where a finding lies on its map: the number of the slice, pixels, and mm per pixel."""

    number: int
    column: float
    row: float
    spacing_column: float
    spacing_row: float


@dataclass(frozen=True)
class Maps:
    """Where the ADC slice of each finding (patient_id, finding_id) lies."""

    slices: Path
    places: Mapping[tuple[str, str], MapPosition]


def read_maps(findings: Path, slices: Path) -> Maps:
    """The ADC slices of a findings.csv and its slices.h5; EmptyError where there is none."""
    table = read_csv(findings)
    columns = ("column", "row", "spacing_column_mm", "spacing_row_mm")
    places = {
        (row["patient_id"], row["finding_id"]): MapPosition(
            number, *(float(row[name] or "nan") for name in columns)
        )
        for number, row in enumerate(table.to_dict("records"))
        if row["channel"] == CHANNEL
    }
    if not places:
        channels = ", ".join(sorted(set(table["channel"])))
        raise EmptyError(f"channels {channels}", file=findings, expected=f"findings on the channel {CHANNEL}")
    return Maps(slices, places)


def measure(maps: Maps, finding: tuple[str, str], radius: float) -> float:
    """The 10th percentile of the ADC within ``radius`` mm of a finding, in the unit of the map.

    A value of zero or less was not computed and does not count. NaN where no pixel is left, or no map.
    """
    if finding not in maps.places:
        return float("nan")
    place = maps.places[finding]
    found = read_slice(maps.slices, place.number)
    if found is None:
        return float("nan")
    rows, columns = np.indices(found.pixels.shape)
    across, down = (columns - place.column) * place.spacing_column, (rows - place.row) * place.spacing_row
    near = np.hypot(across, down) <= radius
    values = found.pixels[near & (found.pixels > 0)]
    return float(np.quantile(values, SHARE)) if values.size else float("nan")
