"""Whatever can be looked at, as one thing: planes along up to three axes, over time."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.readers.pixels import COLOURS, slice_of
from pipeline.readers.volumes import RAS_TO_LPS, is_nifti

AXES = "xyz"
"""Along i (columns), j (rows) and k (slices) of a stack."""


@dataclass(frozen=True)
class Voxels:
    """A stack of one grid, float32 [i, j, k, time], NaN where a time has no slice.

    ``steps`` (3, 2) and ``origins`` (slices, 3) lead from voxel to LPS mm: ``origins[k] + steps @ (i, j)``;
    None where the place is unknown. ``names`` tells slice and time of each SOP Instance UID, ``captions`` the
    name of a slice along z at a time.
    """

    name: str
    values: np.ndarray
    spacing_mm: np.ndarray
    times: tuple[str, ...] = ("",)
    steps: np.ndarray | None = None
    origins: np.ndarray | None = None
    unit: str = ""
    names: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    file: Path | None = None
    captions: Mapping[tuple[int, int], str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Slices along each axis; a single slice is looked at along z alone."""
        shape = dict(zip(AXES, self.values.shape[:3], strict=True))
        return shape if shape["z"] > 1 else {"z": 1}

    def plane(self, axis: str, number: int, time: int) -> np.ndarray:
        """One slice, (rows, columns): of the two other axes the later one runs down."""
        return np.take(self.values[..., time], number, axis=AXES.index(axis)).T

    def aspect(self, axis: str) -> float:
        """The row spacing over the column spacing of a slice."""
        across, down = (mm for letter, mm in zip(AXES, self.spacing_mm, strict=True) if letter != axis)
        return float(down / across)

    def world(self, voxel: Sequence[int]) -> np.ndarray | None:
        """The centre of voxel (i, j, k) in LPS mm, if that is known."""
        if self.origins is None or self.steps is None:
            return None
        return np.asarray(self.origins[voxel[2]] + self.steps @ np.asarray(voxel[:2], float))

    def caption(self, axis: str, number: int, time: int) -> str:
        """What this slice is called, beside its number."""
        own = self.captions.get((number, time), "") if axis == "z" else ""
        return ", ".join(filter(None, (self.times[time], own)))

    def spot(self, number: int, row: pd.Series) -> tuple[np.ndarray, int] | None:  # noqa: ARG002
        """Voxel and time at which row ``number`` of a findings.csv lies, if it is of this stack."""
        place = float(row["column"]), float(row["row"])
        if instance_name(row) in self.names:
            k, time = self.names[instance_name(row)]
            return np.array([*place, k]), time
        if row["slice"] in ("", *COLOURS) or self.file is None or not _is_file(self.file, row["file"]):
            return None
        axis, at, when = slice_of(row["slice"])
        return np.insert(place, axis, at), when or 0


@dataclass(frozen=True)
class Sheets:
    """A stack of slices that share no grid: each is read when it is looked at. Axis z alone."""

    name: str
    count: int
    read: Callable[[int, int], np.ndarray]
    """Slice and time → (rows, columns)."""
    captions: Callable[[int, int], str]
    rows: Mapping[int, int] = field(default_factory=dict)
    """Row of findings.csv → slice."""
    files: Sequence[Path] = ()
    """The file of each slice, where it has one."""
    times: tuple[str, ...] = ("",)
    unit: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """Slices along the only axis."""
        return {"z": self.count}

    def plane(self, axis: str, number: int, time: int) -> np.ndarray:  # noqa: ARG002  (there is one)
        """One slice, (rows, columns)."""
        return self.read(number, time)

    def aspect(self, axis: str) -> float:  # noqa: ARG002
        """Pixels of unknown size are square."""
        return 1.0

    def world(self, voxel: Sequence[int]) -> np.ndarray | None:  # noqa: ARG002
        """Nowhere: sheets have no place."""
        return None

    def caption(self, axis: str, number: int, time: int) -> str:  # noqa: ARG002
        """What this slice is called."""
        return self.captions(number, time)

    def spot(self, number: int, row: pd.Series) -> tuple[np.ndarray, int] | None:
        """Voxel and time at which row ``number`` of a findings.csv lies, if it is of this stack."""
        found = [k for k, file in enumerate(self.files) if _is_file(file, row["file"])] or (
            [self.rows[number]] if number in self.rows else []
        )
        return (np.array([float(row["column"]), float(row["row"]), found[0]]), 0) if found else None


Stack = Voxels | Sheets


def place_of(stack: Stack, voxel: Sequence[int]) -> str:
    """The centre of a voxel in mm as a table has it, LPS or RAS for NIfTI; empty if unknown."""
    world = stack.world(voxel)
    if world is None:
        return ""
    axes = "LPS"
    if isinstance(stack, Voxels) and stack.file is not None and is_nifti(stack.file.name):
        world, axes = RAS_TO_LPS[:3, :3] @ world, "RAS"
    return f"{', '.join(f'{mm:.1f}' for mm in world)} mm ({axes})"


def instance_name(row: pd.Series) -> str:
    """SOP Instance UID, and which of its frames where the file of a row names one."""
    return str(row["sop_instance_uid"]) + "".join(re.findall(r"#\d+$", row["file"]))


def _is_file(path: Path, relative: str) -> bool:
    """Whether ``path`` is the file that a table calls by its path below some raw folder."""
    return bool(relative) and f"/{path.as_posix()}".endswith(f"/{relative}")
