"""One new case: from its files and a point to patches, by the functions that made the patches of training."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.card import Preprocessing, measure, moments
from pipeline.datasets import Source, instance_row, lungx, pixel_row, places, prostatex
from pipeline.datasets.listed import extent_of, image_columns
from pipeline.datasets.masks import Mask
from pipeline.errors import ConfigError, InputError, NoCentreError, NoSeriesError
from pipeline.files import EXTENT, FINDING_COLUMNS
from pipeline.patches import online, reduced, slices
from pipeline.patches.cut import cut_views, located_findings
from pipeline.patches.normalization import check_not_blank
from pipeline.patches.ranges import Ranges
from pipeline.patches.views import Frame, View, frame_of, view_table
from pipeline.readers import index
from pipeline.readers.geometry import Place, plane
from pipeline.slice_store import SourceSlice
from pipeline.splits.people import persons

log = logging.getLogger("typhon")

Cells = dict[str, Any]
"""The cells of a row of findings.csv that place it, and ``reason``: why in that series."""


@dataclass(frozen=True)
class Case:
    """A case as the network sees it."""

    rows: pd.DataFrame
    """One row of findings.csv per channel, in their order, and the column ``reason``."""
    sources: tuple[SourceSlice, ...]
    """The slice of each row."""
    frames: tuple[Frame, ...]
    """Where the patch lies in each slice."""
    views: list[View]
    patches: np.ndarray
    """(views, channels, side, side) float32"""
    measured: pd.DataFrame
    """What each row is like, see ``pipeline.card.measure``."""
    left_out: list[InputError]
    """Files that could not be read."""


def prepare(path: Path, row: Mapping[str, str], how: Preprocessing) -> Case:
    """Cut the views of a case.

    Parameters
    ----------
    path : a file, or a folder with the series of one patient.
    row : ``patient_id`` and ``finding_id``, from which the order of the views is drawn, and the point as in a
        table of findings: ``x, y, z`` in pixels or ``x_mm, y_mm, z_mm`` (LPS, or RAS for NIfTI); and
        ``extent``, where its patch has one of its own. Where each channel is an image, ``image`` and the
        columns after it (see :func:`pipeline.datasets.listed.image_columns`) say which, relative to ``path``.

    Raises InputError with the reason where there are none.
    """
    try:
        return _prepare(path, row, how)
    except InputError as error:
        error.file = path.name if error.file in ("", ".") else error.file
        raise


def _prepare(path: Path, row: Mapping[str, str], how: Preprocessing) -> Case:
    if how.intensity == "paper":
        raise ConfigError(
            "intensity: paper", expected="a run whose Z-scores are those of each series",
            remedy="train with intensity: series; the published way takes statistics from other patients",
        )  # fmt: skip
    if has_images(how):
        named = image_columns(how.channels)
        _check_named(path, row, dict(zip(how.channels, named, strict=True)))
        raw, known, left_out = index.look_at(path, [row[name] for name in named])
        image = pd.Series(row)
    else:
        raw, known, left_out = index.look(path)
        image = pd.Series({**row, "image": "." if path.is_dir() else path.name})
    dicom = known[known["format"] == "dicom"]
    # A screenshot or a report beside DICOM is not meant.
    source = Source("case", raw, dicom if len(dicom) and not has_images(how) else known, [])
    mask = places.mask_of(source, image, how.axis)
    located = _locate(source, image, how, mask)
    located = {name: _reduced(cells, known, how.width) for name, cells in located.items()}
    ids = {"patient_id": row["patient_id"], "finding_id": row["finding_id"]}
    of_image = places.centre_of(image) == "image"
    found = [
        {**ids, "channel": name, **located[name], "image": _image(known, located[name]["file"])}
        | ({"reason": f"{located[name]['reason']}; no point given: the middle"} if of_image else {})
        for name in how.channels
    ]
    extent = extent_of(row.get(EXTENT, "")) if how.extents else ""
    if how.mask_extent and not extent:
        extent = places.extent_of_mask(mask, how.mask_extent)
    if how.extents and not extent:
        raise ConfigError("none", file=path.name, expected="the extent of its patch: each finding of the "
                          "training has its own", remedy="give it, such as --extent '40 mm'")  # fmt: skip
    columns = (*FINDING_COLUMNS, "image", "reason")
    rows = pd.DataFrame([[str(one.get(name, "")) for name in columns] for one in found], columns=columns)
    sources = _read(rows, known, raw, how)
    (finding,) = located_findings(rows.assign(extent=extent), list(how.channels))
    drawn = how.augmentation == "online"
    ranges = Ranges(**how.online or {})
    margin = online.margin(how.side, ranges) if drawn else 0
    cut = cut_views(finding, sources, how.extent, how.side, how.views, how.view_seed, margin)
    if isinstance(cut, InputError):
        raise cut
    frames = [
        frame_of(
            finding.extent or how.extent,
            source.pixels.shape,
            spot.column,
            spot.row,
            spot.spacing_column_mm,
            spot.spacing_row_mm,
            side=how.side,
        )
        for spot, source in zip(finding.spots, sources, strict=True)
    ]
    names = (how.view_seed, row["patient_id"], row["finding_id"])
    if drawn:
        aspect = float(np.float32(cut.aspect))  # as a store keeps it
        views = online.evaluation_table(how.views, how.side, *names, ranges)
        patches = np.stack([online.cut(cut.patches[0], how.side, aspect, view) for view in views])
    else:
        views, patches = view_table(how.views, *names), cut.patches
    measured = measure(
        rows, known, [source.facts for source in sources], [moments(patch) for patch in patches[0]]
    )
    return Case(rows, tuple(sources), tuple(frames), views, patches, measured, left_out)


def _read(rows: pd.DataFrame, index_: pd.DataFrame, raw: Path, how: Preprocessing) -> list[SourceSlice]:
    """The slice of each row, as pipeline.patches.slices stores it."""
    sources: dict[int, SourceSlice] = {}
    for task in slices.tasks(rows, index_):
        read = slices.read_series(task, raw, how.window, how.intensity, how.width)
        if isinstance(read, list):
            raise read[0]
        if read.note:
            log.warning("%s: %s", task.rows[0][1], read.note)
        for number, values in read.slices.items():
            check_not_blank(values)
            sources[number] = SourceSlice(values, *read.statistics.mean_std(), read.greyed)
    return [sources[number] for number in range(len(rows))]


def _reduced(cells: Cells, index_: pd.DataFrame, width: int | None) -> Cells:
    """The same place in a picture that is reduced to ``width`` columns."""
    columns = float(index_.set_index("file")["columns"][cells["file"]]) if width else 0.0
    by = reduced.scale(columns, width)
    if by == 1:
        return cells
    return cells | pixel_row(*reduced.point(float(cells["column"]), float(cells["row"]), by))


def _locate(source: Source, row: pd.Series, how: Preprocessing, mask: Mask | None) -> dict[str, Cells]:
    """The place of the case on each channel."""
    dicom = source.index[source.index["format"] == "dicom"]
    if (patients := persons(dicom["patient_id"]).nunique()) > 1:
        raise NoSeriesError(
            f"those of {patients}", expected="the images of one patient", remedy="give the folder of one"
        )
    if how.kind == "prostatex" and _is_named(dicom, how.channels):
        return _prostatex(dicom, places.point(source, row, mask), how.channels)
    if how.kind == "table":
        reason = "as named" if has_images(how) else "the only image or series"
        found = places.locate(source, row, how.axis, how.channels, mask)
        return {name: {**cells, "reason": reason} for name, cells in found.items()}
    if len(how.channels) > 1:
        raise NoSeriesError(
            "none of them" if dicom.empty else f"series {_names(dicom)}",
            expected=f"DICOM series of {', '.join(how.channels)}",
            remedy="give a folder that holds them all, or a model of other channels",
        )
    several = how.kind == "lungx" and dicom["series_uid"].nunique() > 1
    if several and (world := places.point(source, row, mask)[1]) is not None:
        series = lungx.series_of(source, dicom["patient_id"].iloc[0])
        reason = f"the longest of {dicom['series_uid'].nunique()} series"
        return {how.channels[0]: {**places.in_series(series, None, world), "reason": reason}}
    (cells,) = places.locate(source, row, how.axis, how.channels, mask).values()
    return {how.channels[0]: {**cells, "reason": "the only image or series"}}


def has_images(how: Preprocessing) -> bool:
    """Whether each channel of a case is an image of its own, which somebody has to name."""
    return how.kind == "table" and places.are_images(how.channels)


def _check_named(path: Path, row: Mapping[str, str], columns: Mapping[str, str]) -> None:
    """Raise ConfigError unless the case names the image of each channel."""
    if lacking := [name for name, column in columns.items() if not row.get(column)]:
        wanted = " ".join(f"{name}=FILE" for name in columns)
        raise ConfigError(
            f"none of {', '.join(lacking)}", file=path.name, expected="an image of each channel",
            remedy=f"name the files below the folder: --channels {wanted}",
        )  # fmt: skip


def _is_named(dicom: pd.DataFrame, channels: tuple[str, ...]) -> bool:
    """Whether PROSTATEx's rules find a series for any of the channels."""
    return not dicom.empty and any(
        prostatex.candidates(acquired, channel)
        for acquired in [prostatex.acquisitions(dicom)]
        for channel in channels
    )


def _prostatex(
    dicom: pd.DataFrame, point: tuple[np.ndarray | None, np.ndarray | None], channels: tuple[str, ...]
) -> dict[str, Cells]:
    """The series that training would choose for a point, as a pixel of the first channel or in mm (LPS)."""
    pixel, world = point
    if world is None:
        world = _to_world(dicom, pixel, channels[0])
    if np.isnan(world).any():
        raise NoCentreError("an empty one", expected="three coordinates in mm", remedy="give all three")
    found = {}
    for channel, (place, reason, _) in prostatex.by_study(
        prostatex.studies(dicom), list(channels), world
    ).items():
        if not isinstance(place, Place):
            place.expected = f"{place.expected} ({channel})"
            if isinstance(place, NoSeriesError):
                place.remedy = "give a folder that holds all channels, or a model of other channels"
            raise place
        cells = instance_row(place.instance) | pixel_row(place.column, place.row, place.distance_mm)
        found[channel] = {**cells, "reason": reason}
    return found


def _to_world(dicom: pd.DataFrame, pixel: np.ndarray | None, channel: str) -> np.ndarray:
    """The point in mm (LPS) of a pixel in the one series that may serve as a channel."""
    found = prostatex.candidates(prostatex.acquisitions(dicom), channel)
    if len(found) != 1:
        raise NoSeriesError(
            f"{len(found)}: {_names(pd.concat(found)) if found else 'none'}",
            expected=f"one series of {channel} that a pixel can belong to",
            remedy="give the point in mm (LPS), or a folder with one of them",
        )
    cells = places.in_series(found[0], pixel, None)
    instance = found[0].set_index("file", drop=False).loc[cells["file"]]
    return plane(instance).to_world(float(cells["column"]), float(cells["row"]))


def _image(index_: pd.DataFrame, file: str) -> str:
    """Which image of a DICOM series a file is, by numbers alone: texts of a header may name somebody."""
    image = index_.set_index("file").loc[file]
    if image["format"] != "dicom":
        return ""
    return f"series {image['series_number']:.0f}, instance {image['instance_number']:.0f}"


def _names(dicom: pd.DataFrame) -> str:
    """Series by number and description."""
    series = dicom.drop_duplicates("series_uid")
    return ", ".join(
        f"{number:.0f} {text}"
        for number, text in zip(series["series_number"], series["series_description"], strict=True)
    )
