"""PROSTATEx: prostate MRI, one finding per biopsied lesion, at a point in scanner coordinates.

The official tables give ``pos`` (LPS, mm), which is right, and ``ijk``, which is not a pixel index: it is
floor(zero-based index) + 1, and slices are numbered along the normal while InstanceNumber mostly runs
the other way. Hence the slice and the pixel come from geometry; ``slice_rule="paper"`` takes
InstanceNumber k + 1 and pixel (i, j) as published.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import MinLen

from pipeline.datasets import Findings, Source, instance_row, pixel_row
from pipeline.errors import InputError, LabelError, NoSeriesError, OutOfImageError
from pipeline.readers import labels, stacks
from pipeline.readers.geometry import Place, is_transverse, plane, try_locate
from pipeline.splits.people import person, persons

FINDINGS_FILE = "ProstateX-Findings-Train.csv"
IMAGES_FILE = "ProstateX-Images-Train.csv"
CLASSES = ("not clinically significant", "clinically significant")
EXTENT = PAPER_EXTENT = "65 mm"

# How SeriesDescription (0008,103E) names the three sequences, by all 349 studies of the collection.
DESCRIPTIONS = {
    "t2": re.compile(r"t2_tse_tra", re.IGNORECASE),
    "adc": re.compile(r"(_ADC|ADC_S3_[12]|ADC_high bvalue)$", re.IGNORECASE),
    "dwi": re.compile(r"CALC_BVAL$", re.IGNORECASE),
}
Choice = tuple[Place | InputError, str, int]
"""Where a finding lies in the chosen series or why nowhere, why that series, and among how many."""
DIFFUSION = re.compile(r"diff", re.IGNORECASE)
"""How a description says that a series was measured with diffusion weighting, where only that is known."""
DERIVED_MAPS = {"ADC", "FA"}
"""Diffusion maps that carry a b-value without being an image of that weighting."""


@dataclass(frozen=True)
class Options:
    """PROSTATEx as downloaded, with its two training CSV files."""

    channels: Annotated[list[Literal["t2", "dwi", "adc"]], MinLen(1)] = field(default_factory=lambda: ["dwi"])
    """series that become the channels of a patch, all cut around the same tissue"""
    part: Literal["train", "test"] = "train"
    """patients of the official training tables, or of the test tables; the latter have no labels, are cut
    in the same way and cannot be trained on"""
    slice_rule: Literal["geometry", "paper"] = "geometry"
    """slice of a finding: the one nearest to its position in space (geometry), or InstanceNumber k+1, as
    published (paper)"""


def needed(descriptions: Sequence[str]) -> list[bool]:
    """Which series of a study :func:`candidates` may look at, for any channel, by their descriptions alone.

    Where none is a calculated high b-value, that is each measured diffusion series.
    """
    named = [[bool(name.search(text)) for name in DESCRIPTIONS.values()] for text in descriptions]
    calculated = any(DESCRIPTIONS["dwi"].search(text) for text in descriptions)
    return [
        any(channels) or (not calculated and not _is_map(text) and bool(DIFFUSION.search(text)))
        for text, channels in zip(descriptions, named, strict=True)
    ]


def _is_map(description: str) -> bool:
    """Whether a description is that of a map computed from diffusion images."""
    return bool(DERIVED_MAPS.intersection(re.split(r"[^A-Z]", description.upper())))


def acquisitions(images: pd.DataFrame) -> list[pd.DataFrame]:
    """The transverse series of a patient or a study, one per contrast, in the order of acquisition."""
    transverse = [part for part in stacks.split(images) if is_transverse(part.iloc[0])]
    # A series without a number counts as the first; NaN would leave the order to chance.
    return sorted(
        transverse, key=lambda part: tuple(part[["study_date", "series_number"]].iloc[0].fillna(-1))
    )


def _largest_b(acquired: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Diffusion series of the largest b-value, without the maps computed from them."""
    diffusion = [
        part
        for part in acquired
        if np.isfinite(part["b_value"].iloc[0])
        and not DERIVED_MAPS.intersection(part["image_type"].iloc[0].split("\\"))
        and not _is_map(part["series_description"].iloc[0])
    ]
    largest = max((part["b_value"].iloc[0] for part in diffusion), default=0.0)
    return [part for part in diffusion if part["b_value"].iloc[0] == largest]


def candidates(acquired: list[pd.DataFrame], channel: str) -> list[pd.DataFrame]:
    """Of these :func:`acquisitions` those that may serve as ``channel``.

    t2: T2-weighted transverse; adc: apparent diffusion coefficient; dwi: the highest b-value, which is the
    calculated one (CALC_BVAL) where it exists and else the largest that was measured.
    """
    named = [part for part in acquired if DESCRIPTIONS[channel].search(part["series_description"].iloc[0])]
    return _largest_b(acquired) if channel == "dwi" and not named else named


def choose(found: list[pd.DataFrame], point: np.ndarray) -> tuple[Place | InputError, str]:
    """Of the candidates that contain ``point`` the last acquired, and why it was chosen.

    Where none contains it the reason is an error: that of the last candidate.
    """
    if not found:
        return NoSeriesError("none", expected="a matching series"), ""
    places = [try_locate(series, point) for series in found]
    inside = [place for place in places if isinstance(place, Place)]
    if not inside:
        outside = [place for place in places if isinstance(place, OutOfImageError)]
        return (outside or places)[-1], ""
    if len(found) == 1:
        return inside[-1], "the only series"
    if len(inside) == 1:
        return inside[-1], f"the only one of {len(found)} series that contains the finding"
    return inside[-1], f"the last of {len(inside)} series that contain the finding, among {len(found)}"


def studies(patient: pd.DataFrame) -> list[list[pd.DataFrame]]:
    """The :func:`acquisitions` of each study of a patient, in the order of their dates."""
    dated = sorted(patient.groupby("study_uid"), key=lambda item: (item[1]["study_date"].min(), item[0]))
    return [acquisitions(study) for _, study in dated]


def by_study(
    acquired: list[list[pd.DataFrame]], channels: Sequence[str], point: np.ndarray
) -> dict[str, Choice]:
    """Choose a series per channel, all of one study of :func:`studies`: the last that has the most."""
    best: dict[str, Choice] = {}
    most = (-1, -1)
    for study in acquired:
        chosen = {}
        for channel in channels:
            found = candidates(study, channel)
            chosen[channel] = (*choose(found, point), len(found))
        located = sum(isinstance(place, Place) for place, _, _ in chosen.values())
        # Where no study has the finding, a series that misses it says more than no series.
        present = sum(not isinstance(place, NoSeriesError) for place, _, _ in chosen.values())
        if (located, present) >= most:
            best, most = chosen, (located, present)
    return best


def _paper_index(images: pd.DataFrame, series: pd.Series) -> tuple[int, int, int] | None:
    """The published (i, j, k) of a finding in a series, or None where the tables do not list it."""
    same = images[
        (images["DCMSerNum"] == f"{series['series_number']:.0f}")
        & (images["DCMSerDescr"] == series["series_description"])
    ]
    if same.empty:
        return None
    column, row, k = map(int, same["ijk"].iloc[0].split())
    return column, row, k


def _paper_place(
    patient: pd.DataFrame, place: Place, index: tuple[int, int, int] | None, point: np.ndarray
) -> Place:
    """Where the published rule looks: InstanceNumber k + 1, pixel (i, j)."""
    if index is None:
        raise NoSeriesError("none", expected="a row of the images table for the series")
    series = patient[patient["series_uid"] == place.instance["series_uid"]]
    slices = series[series["instance_number"] == index[2] + 1]
    if slices.empty:
        raise OutOfImageError(f"{len(series)} slices", expected=f"InstanceNumber {index[2] + 1}")
    there = plane(slices.iloc[0])
    outside = there.outside_mm(index[0], index[1])
    if outside:
        raise OutOfImageError(f"column {index[0]}, row {index[1]}, {outside:.1f} mm outside the image")
    return Place(slices.iloc[0], there, index[0], index[1], there.to_pixel(point)[2])


def _point(cell: str, path: Path) -> np.ndarray:
    """The three coordinates of a ``pos`` cell, mm (LPS); raises LabelError."""
    coordinates = [labels.number(part, path) for part in cell.split()]
    if len(coordinates) != 3:
        raise LabelError(repr(cell), file=path, expected="three coordinates in mm", remedy="correct the cell")
    return np.array(coordinates)


def _tables(source: Source, part: str) -> tuple[Path, Path]:
    """The official findings and images tables of the training or the test patients."""
    names = (name.replace("Train", part.capitalize()) for name in (FINDINGS_FILE, IMAGES_FILE))
    findings, images = (labels.find(source.documents, name, source.raw) for name in names)
    return findings, images


def _listed(
    source: Source, part: str
) -> Iterator[tuple[dict[str, str], pd.Series, pd.DataFrame, InputError | None]]:
    """Each finding with its unique id, its rows of the images table, and why not to use it, if so.

    The key is (ProxID, fid, pos): fids repeat within a patient.
    """
    key = ["ProxID", "fid", "pos"]
    findings_file, images_file = _tables(source, part)
    table = labels.read_table(findings_file, [*key, "ClinSig"] if part == "train" else key, numbers=["pos"])
    images = labels.read_table(images_file, [*key, "ijk", "DCMSerDescr", "DCMSerNum"])
    ids = labels.unique_ids(list(zip(table["ProxID"], table["fid"], strict=True)))
    repeats = labels.repeats(
        list(table[key].itertuples(index=False, name=None)), table.get("ClinSig", table["fid"]).tolist()
    )
    by_key = dict(list(images.groupby(key)))
    for finding_id, repeat, (_, row) in zip(ids, repeats, table.iterrows(), strict=True):
        case = {"patient_id": row["ProxID"], "finding_id": finding_id}
        yield case, row, by_key.get(tuple(row[key]), images.iloc[:0]), repeat


def _choice(patient: pd.DataFrame, place: Place, index: tuple[int, int, int] | None) -> dict[str, Any]:
    """The cells of choices.csv for a located finding: both rules' slices, and how far apart they are."""
    instance = place.instance
    cells: dict[str, Any] = {
        "chosen_series_uid": instance["series_uid"],
        "chosen_description": instance["series_description"],
        "geometry_instance": labels.whole(instance["instance_number"]),
    }
    if index is not None:
        cells["paper_instance"] = index[2] + 1
        series = patient[patient["series_uid"] == instance["series_uid"]]
        published = series[series["instance_number"] == index[2] + 1]
        if len(published):
            cells["distance_mm"] = f"{abs(plane(published.iloc[0]).to_pixel(place.plane.origin)[2]):.3f}"
    return cells


def find(source: Source, options: Options) -> Findings:
    """Locate every finding of the official tables on each channel; those of the test have no label."""
    result = Findings()
    patients = dict(list(source.index.groupby(persons(source.index["patient_id"]))))
    patients.pop("", None)  # of images without an id nobody knows whose they are
    path, _ = _tables(source, options.part)
    known: dict[str, list[list[pd.DataFrame]]] = {}
    for case, row, images, repeat in _listed(source, options.part):
        try:
            if repeat is not None:
                raise repeat
            label = labels.binary(row["ClinSig"], path) if "ClinSig" in row else ""
            point = _point(row["pos"], path)
            patient = patients.get(name := person(row["ProxID"]))
            if patient is None:
                raise NoSeriesError("none", expected="images of the patient")
            if name not in known:
                known[name] = studies(patient)
        except InputError as error:
            result.leave_out(error, **case)
            continue
        for channel, (place, reason, count) in by_study(known[name], options.channels, point).items():
            try:
                if isinstance(place, InputError):
                    raise place
                index = _paper_index(images, place.instance)
                choice = {**case, "channel": channel, "candidates": count, "reason": reason}
                result.choices.append(choice | _choice(patient, place, index))
                used = _paper_place(patient, place, index, point) if options.slice_rule == "paper" else place
            except InputError as error:
                result.leave_out(error, channel=channel, **case)
                continue
            result.rows.append(
                {**case, "group_id": row["ProxID"], "label": label, "channel": channel, "centre": "given"}
                | instance_row(used.instance)
                | pixel_row(used.column, used.row, used.distance_mm)
            )
    result.leave_out_unlabelled(source.index)
    return result
