"""Source slices: slices.h5, and how it is read and written."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.hdf5 import created, get, leads_to, opened


@dataclass(frozen=True)
class SliceFacts:
    """What is known of a slice without its pixels."""

    rows: int
    columns: int
    mean: float
    """Of its series or image, as the Z-score takes it."""
    std: float
    greyed: bool = False
    """Whether the image is in colour, and the slice is its luminance."""


@dataclass(frozen=True)
class SourceSlice:
    """A slice in physical units, float32 (rows, columns), and the statistics of its Z-score."""

    pixels: np.ndarray
    mean: float
    std: float
    greyed: bool = False
    """Whether it is the luminance of an image in colour."""

    @property
    def facts(self) -> SliceFacts:
        """The same without the pixels."""
        rows, columns = self.pixels.shape
        return SliceFacts(rows, columns, self.mean, self.std, self.greyed)

    @property
    def normalized(self) -> np.ndarray:
        """Z-scores, float32 (rows, columns)."""
        scores = self.pixels - np.float32(self.mean)
        scores /= np.float32(self.std)
        return scores


def write_slices(
    path: str | Path,
    slices: Iterable[tuple[int, np.ndarray]],
    statistics: Callable[[int], tuple[float, float]],
    provenance: Mapping[str, Any],
    greyed: Collection[int] = (),
) -> None:
    """Write slices, each with its row number in findings.csv; rows that were skipped are absent.

    ``statistics`` gives mean and standard deviation of a row, and ``greyed`` has the rows whose slices are
    the luminance of colours; both are asked when all slices are written.
    """
    with created(path) as file:
        file.attrs["provenance"] = json.dumps(provenance, sort_keys=True)
        numbers = []
        for number, pixels in slices:
            numbers.append(number)
            file.create_dataset(f"slices/{number:06d}", data=pixels, chunks=pixels.shape, fletcher32=True)
        for number in numbers:
            attrs = file[f"slices/{number:06d}"].attrs
            attrs["mean"], attrs["std"] = statistics(number)
            if number in greyed:
                attrs["greyed"] = True


def read_slice(path: str | Path, number: int) -> SourceSlice | None:
    """The slice of row ``number`` of findings.csv, or None where that row was skipped."""
    with opened(path) as file:
        data = get(file, f"slices/{number:06d}")
        if data is None:
            return None
        about = _facts(data)
        return SourceSlice(data[:], about.mean, about.std, about.greyed)


def slice_numbers(path: str | Path) -> list[int] | None:
    """The rows of findings.csv whose slices a file holds; None where it is no file of slices."""
    with opened(path) as file:
        if leads_to(file, "slices", h5py.Group):
            return sorted(map(int, file["slices"]))
        return None if "patches" in file else []


def read_facts(path: str | Path, numbers: Sequence[int]) -> list[SliceFacts | None]:
    """What is known of the slices of these rows of findings.csv; None where one was skipped."""
    with opened(path) as file:
        found = [get(file, f"slices/{number:06d}") for number in numbers]
        return [None if data is None else _facts(data) for data in found]


def _facts(data: h5py.Dataset) -> SliceFacts:
    rows, columns = data.shape
    mean, std = (float(data.attrs[name]) for name in ("mean", "std"))
    return SliceFacts(rows, columns, mean, std, bool(data.attrs.get("greyed", False)))
