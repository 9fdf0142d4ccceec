"""LUNGx (SPIE-AAPM Lung CT Challenge): chest CT, nodule centres as pixel and slice number.

The spreadsheets count pixels from 1 ("(1,1) is the upper-leftmost pixel") and do not say how "Nodule
Center Image" counts. So all readings of it are tried on the whole collection, and the one whose centres
lie most often in soft tissue is used; nodules that then still lie in air are left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.datasets import Findings, Source, instance_row, pixel_row
from pipeline.errors import (
    DuplicatePositionError,
    InputError,
    LabelError,
    NoSeriesError,
    NotTissueError,
    OutOfImageError,
)
from pipeline.readers import labels, stacks
from pipeline.readers.geometry import check_regular, ordered
from pipeline.readers.pixels import read_pixels
from pipeline.splits.people import person, persons

CALIBRATION_FILE = "CalibrationSet_NoduleData.xlsx"
TEST_FILE = "TestSet_NoduleData_PublicRelease_wTruth.xlsx"
POSITION_COLUMN = "Nodule Center x,y Position*"
IMAGE_COLUMN = "Nodule Center Image"
DIAGNOSES = {"malignant": 1, "primary lung cancer": 1, "benign": 0, "benign nodule": 0}
EXCLUDED = "suspicious malignant nodule"
"""Two nodules without a proven diagnosis; the papers leave them out too."""
SOFT_TISSUE_HU = -500.0
"""Mean HU of the 3×3 pixels at a centre above which it counts as soft tissue."""
READINGS = ("instance number", "from the feet", "from the head")
"""What a slice number may count; the first wins a tie."""
CLASSES = ("benign", "malignant")
EXTENT = "60 mm"
PAPER_EXTENT = "1/6 width"


@dataclass(frozen=True)
class Options:
    """LUNGx (SPIE-AAPM Lung CT Challenge) as downloaded, with its two spreadsheets."""


class Nodule(NamedTuple):
    """A row of the spreadsheets; column and row zero-based, the slice number as written."""

    patient_id: str
    finding_id: str
    diagnosis: str
    column: int
    row: int
    number: int
    file: Path

    @property
    def where(self) -> str:
        """The centre as the spreadsheet has it."""
        return f"column {self.column + 1}, row {self.row + 1} of image {self.number}"


def parse_position(cell: object, path: Path) -> tuple[int, int]:
    """Zero-based column and row of a cell like ``"120, 325"``, or of the number 120325.

    Spreadsheets read "120,325" as a number with a thousands separator. Raises LabelError.

    >>> parse_position("120, 325", Path("x"))
    (119, 324)
    >>> parse_position(120325, Path("x"))
    (119, 324)
    """
    match = re.fullmatch(r"\s*\(?\s*(\d+)\s*,\s*(\d+)\s*\)?\s*", str(cell))
    if match:
        return int(match[1]) - 1, int(match[2]) - 1
    if isinstance(cell, int | float) and 1_000 <= cell < 1_000_000 and cell == int(cell):
        return int(cell) // 1000 - 1, int(cell) % 1000 - 1
    raise LabelError(repr(cell), file=path, expected="a position such as '120, 325'")


def nodules(source: Source, result: Findings) -> Iterator[Nodule]:
    """The nodules of both spreadsheets; rows that cannot be read are left out with their reason."""
    for name, column in ((CALIBRATION_FILE, "Diagnosis"), (TEST_FILE, "Final Diagnosis")):
        path = labels.find(source.documents, name, source.raw)
        cells = ["Scan Number", POSITION_COLUMN, IMAGE_COLUMN, column]
        table = labels.read_xlsx(path, cells)
        patients = [labels.text(cell) for cell in table["Scan Number"]]
        numbers = [labels.text(cell) for cell in table.get("Nodule Number", ["1"] * len(table))]
        ids = labels.unique_ids(list(zip(patients, numbers, strict=True)))
        centres = table[cells[:3]].itertuples(index=False, name=None)
        keys = [tuple(labels.text(cell).casefold() for cell in centre) for centre in centres]
        repeats = labels.repeats(keys, [labels.text(cell) for cell in table[column]])
        for patient_id, finding_id, repeat, (_, row) in zip(
            patients, ids, repeats, table.iterrows(), strict=True
        ):
            try:
                if repeat is not None:
                    raise repeat
                x, y = parse_position(row[POSITION_COLUMN], path)
                number = labels.number(row[IMAGE_COLUMN], path)
                if number != int(number):
                    raise LabelError(repr(number), file=path, expected="a whole slice number")
            except InputError as error:
                result.leave_out(error, patient_id=patient_id, finding_id=finding_id, channel="ct")
                continue
            yield Nodule(patient_id, finding_id, labels.text(row[column]), x, y, int(number), path)


def _slices(series: pd.DataFrame, number: int) -> dict[str, pd.Series | InputError]:
    """The slice that each reading of a slice number means, or why none: counting asks for a regular stack."""
    along, positions = ordered(series)  # towards the head or the feet, as the normal points
    upwards = along if along["position_z"].iloc[-1] > along["position_z"].iloc[0] else along.iloc[::-1]
    numbered = series[series["instance_number"] == number]
    slices: dict[str, pd.Series | InputError] = {}
    if len(numbered) == 1:
        slices["instance number"] = numbered.iloc[0]
    elif len(numbered):
        slices["instance number"] = DuplicatePositionError(
            f"{len(numbered)}", expected=f"one instance {number}"
        )
    try:
        check_regular(positions, series["file"].iloc[0])
    except InputError as error:
        return dict.fromkeys(READINGS, error) | slices
    if 1 <= number <= len(series):
        slices |= {"from the feet": upwards.iloc[number - 1], "from the head": upwards.iloc[-number]}
    return slices


def _centre_hu(source: Source, instance: pd.Series | InputError | None, nodule: Nodule) -> float | InputError:
    """Mean HU of the 3×3 pixels at the centre, or why there is none."""
    if isinstance(instance, InputError):
        return instance
    if instance is None or not (
        0 <= nodule.column < instance["columns"] and 0 <= nodule.row < instance["rows"]
    ):
        return OutOfImageError(f"none at {nodule.where}")
    try:
        values = read_pixels(source.raw / instance["file"]).values
    except InputError as error:
        error.file = instance["file"]
        return error
    around = values[max(nodule.row - 1, 0) : nodule.row + 2, max(nodule.column - 1, 0) : nodule.column + 2]
    return float(around.mean())


def _is_tissue(hu: float | InputError) -> bool:
    return isinstance(hu, float) and hu > SOFT_TISSUE_HU


def series_of(source: Source, patient_id: str) -> pd.DataFrame:
    """The CT stack of a patient with the most slices; raises NoSeriesError."""
    same = persons(source.index["patient_id"]) == person(patient_id)
    found = stacks.split(source.index[same & (source.index["modality"] == "CT")])
    if not found:
        raise NoSeriesError("none", expected="a CT series of the patient")
    return max(found, key=len)


def find(source: Source, options: Options) -> Findings:  # noqa: ARG001  (every kind has options)
    """Locate the nodules of both spreadsheets; see the module for how a slice number is read."""
    result = Findings()
    located: list[tuple[Nodule, int, dict[str, pd.Series | InputError], dict[str, float | InputError]]] = []
    for nodule in nodules(source, result):
        case = {"patient_id": nodule.patient_id, "finding_id": nodule.finding_id, "channel": "ct"}
        diagnosis = " ".join(nodule.diagnosis.lower().split())
        try:
            if diagnosis == EXCLUDED:
                result.leave_out(
                    LabelError(
                        repr(nodule.diagnosis),
                        expected="a proven diagnosis",
                        remedy="nothing to do: the papers leave it out too",
                    ),
                    kind="excluded",
                    **case,
                )
                continue
            label = labels.binary(diagnosis, nodule.file, DIAGNOSES)
            slices = _slices(series_of(source, nodule.patient_id), nodule.number)
            hus = {name: _centre_hu(source, slices.get(name), nodule) for name in READINGS}
            located.append((nodule, label, slices, hus))
        except InputError as error:
            result.leave_out(error, **case)
    shares = {name: np.mean([_is_tissue(hus[name]) for *_, hus in located] or [False]) for name in READINGS}
    reading = max(READINGS, key=lambda name: shares[name])
    verdict = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    for nodule, label, slices, hus in located:
        case = {"patient_id": nodule.patient_id, "finding_id": nodule.finding_id, "channel": "ct"}
        hu = hus[reading]
        if isinstance(hu, InputError):
            result.leave_out(hu, **case)
            continue
        instance = slices[reading]
        assert isinstance(instance, pd.Series)  # it has a density
        if not _is_tissue(hu):
            result.leave_out(NotTissueError(f"{hu:.0f} HU at {nodule.where}", file=instance["file"]), **case)
            continue
        result.choices.append(
            {
                **case,
                "candidates": 1,
                "chosen_series_uid": instance["series_uid"],
                "chosen_description": instance["series_description"],
                "reason": f"slice by {reading}; centres in soft tissue: {verdict}; here {hu:.0f} HU",
                "geometry_instance": labels.whole(instance["instance_number"]),
            }
        )
        result.rows.append(
            {**case, "group_id": nodule.patient_id, "label": label, "centre": "given"}
            | instance_row(instance)
            | pixel_row(nodule.column, nodule.row)
        )
    result.leave_out_unlabelled(source.index)
    return result
