"""Data sets: which findings, with which label, at which point of which image.

A kind of data set is a module of this folder, see :class:`Kind`; everything after that is common, and nothing
else has to be edited for a further one.
"""

import functools
import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import pandas as pd

from pipeline.classes import Classes
from pipeline.errors import InputError, UnlabelledError
from pipeline.files import skip
from pipeline.readers.index import on_disk
from pipeline.splits.people import person

CHOICE_COLUMNS = (
    "patient_id", "finding_id", "channel", "candidates", "chosen_series_uid", "chosen_description", "reason",
    "geometry_instance", "paper_instance", "distance_mm",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A raw folder, its index and the relative paths of its documents."""

    dataset: str
    raw: Path
    index: pd.DataFrame
    documents: list[str]

    @functools.cached_property
    def _places(self) -> dict[str, list[int]]:
        """Which rows of the index a name means: a frame, a file, a folder above it, or a DICOM series."""
        places: dict[str, list[int]] = {}
        for place, (row, file, series) in enumerate(
            zip(self.index["file"], on_disk(self.index), self.index["series_uid"], strict=True)
        ):
            names, folder = {row, file, ".", series or "."}, file
            while folder := folder.rpartition("/")[0]:
                names.add(folder)
            for name in names:
                places.setdefault(name, []).append(place)
        return places

    def named(self, name: str) -> pd.DataFrame:
        """The rows of the index of a file, frame or series (UID), or below a folder ("." is the raw one)."""
        return self.index.iloc[self._places.get(name, [])]


@dataclass
class Findings:
    """Rows of findings.csv, of skipped/findings.csv and of choices.csv, in the order of the labels."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    choices: list[dict[str, Any]] = field(default_factory=list)

    def leave_out(self, error: InputError, *, kind: str = "failed", **case: str) -> None:
        """List a finding as failed, or as excluded where that was planned."""
        self.skipped.append(skip("findings", error, kind=kind, **case))

    def leave_out_unlabelled(self, index: pd.DataFrame) -> None:
        """List the patients of the index of whom the labels say nothing, located or left out."""
        named = {person(row["patient_id"]) for row in [*self.rows, *self.skipped]}
        for patient_id, images in index.groupby("patient_id"):
            if person(patient_id) not in named:
                error = UnlabelledError(f"{len(images)} images without one")
                self.leave_out(error, kind="excluded", patient_id=str(patient_id))


class Kind(Protocol):
    """What the module of a kind of data set holds."""

    __doc__: str | None
    Options: type
    """A dataclass of its own keys in ``collections`` of the config, see :mod:`pipeline.options`."""
    CLASSES: tuple[str, ...]
    """What the labels 0, 1 and so on mean; ``{label}`` stands for the option of that name. Where they depend
    on more, the module has a function ``classes`` of its options. One whose collection has lists has
    ``official`` of raw folder, documents and options: ``patient_id``, ``finding_id`` and ``place`` of all."""
    EXTENT: str
    """Side of the patch where the config does not say."""
    PAPER_EXTENT: str
    """The published one, which the config calls ``paper``."""

    def find(self, source: Source, options: Any) -> Findings:
        """Every finding of the raw folder, with its label and its point."""


def kinds() -> dict[str, Kind]:
    """The kinds of data sets by name: the modules of this folder that find something."""
    names = sorted(path.stem for folder in __path__ for path in Path(folder).glob("[a-z]*.py"))
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: cast(Kind, module) for name, module in modules.items() if hasattr(module, "find")}


def classes_of(kind: Kind, options: Any) -> Classes:
    """The classes, or labels, of a data set of a kind with these options."""
    own: Callable[[Any], Classes] | None = getattr(kind, "classes", None)
    if own:
        return own(options)
    return Classes(tuple(name.format(**vars(options)) for name in kind.CLASSES))


def pixel_row(column: float, row: float, plane_distance_mm: float = 0.0) -> dict[str, str]:
    """The position cells of a row of findings.csv: 1/10,000 px and µm are finer than any annotation."""
    return {
        "column": f"{column:.4f}",
        "row": f"{row:.4f}",
        "plane_distance_mm": f"{round(plane_distance_mm, 3) + 0.0:.3f}",
    }


def instance_row(instance: pd.Series) -> dict[str, str]:
    """The cells of a row of findings.csv that say which DICOM instance it is, and its spacing if known."""
    spacing = {name: instance[name] for name in ("spacing_column_mm", "spacing_row_mm")}
    return {
        "study_uid": instance["study_uid"],
        "series_uid": instance["series_uid"],
        "sop_instance_uid": instance["sop_instance_uid"],
        "file": instance["file"],
        **{name: "" if math.isnan(mm) else f"{mm:.9g}" for name, mm in spacing.items()},
    }
