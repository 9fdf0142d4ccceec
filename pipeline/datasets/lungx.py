"""LUNGx (SPIE-AAPM Lung CT Challenge): chest CT, nodule centres as pixel and slice number.

The spreadsheets count pixels from 1 ("(1,1) is the upper-leftmost pixel") and do not say how "Nodule
Center Image" counts. So all readings of it are tried on the whole collection, and the one whose centres
lie most often in soft tissue is used; nodules that then still lie in air are left out.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline import labels
from pipeline.datasets import Findings, Source, instance_row, pixel_row
from pipeline.errors import InputError, LabelError, NoSeriesError, NotTissueError, OutOfImageError
from pipeline.geometry import ordered
from pipeline.pixels import read_pixels

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
PAPER_EXTENT = "1/6 width"


def add_options(parser: argparse.ArgumentParser) -> None:
    """This kind has no options of its own."""


class Nodule(NamedTuple):
    """A row of the spreadsheets; column and row zero-based, the slice number as written."""

    patient_id: str
    finding_id: str
    diagnosis: str
    column: int
    row: int
    number: int
    file: Path


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
        table = labels.read_xlsx(path, ["Scan Number", POSITION_COLUMN, IMAGE_COLUMN, column])
        ids = table.get("Nodule Number", pd.Series(1, index=table.index))
        for nodule_id, (_, row) in zip(ids, table.iterrows(), strict=True):
            case = {"patient_id": str(row["Scan Number"]).strip(), "finding_id": f"{float(nodule_id):.0f}"}
            try:
                x, y = parse_position(row[POSITION_COLUMN], path)
                number = int(labels.number(row[IMAGE_COLUMN], path))
            except InputError as error:
                result.leave_out(error, **case)
                continue
            yield Nodule(**case, diagnosis=str(row[column]), column=x, row=y, number=number, file=path)


def _slices(series: pd.DataFrame, number: int) -> dict[str, pd.Series | None]:
    """The slice that each reading of a slice number means."""
    numbered = series[series["instance_number"] == number]
    along, _ = ordered(series)  # towards the head or the feet, as the normal points
    upwards = along if along["position_z"].iloc[-1] > along["position_z"].iloc[0] else along.iloc[::-1]
    within = 1 <= number <= len(series)
    return {
        "instance number": numbered.iloc[0] if len(numbered) else None,
        "from the feet": upwards.iloc[number - 1] if within else None,
        "from the head": upwards.iloc[-number] if within else None,
    }


def _centre_hu(source: Source, instance: pd.Series | None, nodule: Nodule) -> float:
    """Mean HU of the 3×3 pixels at the centre; NaN where there is no such pixel."""
    if instance is None or not (0 <= nodule.column < instance["columns"] and 0 <= nodule.row < instance["rows"]):
        return float("nan")
    values = read_pixels(source.raw / instance["file"]).values
    around = values[max(nodule.row - 1, 0) : nodule.row + 2, max(nodule.column - 1, 0) : nodule.column + 2]
    return float(around.mean())


def _series_of(source: Source, patient_id: str) -> pd.DataFrame:
    same = source.index["patient_id"].str.casefold() == patient_id.casefold()
    found = [part for _, part in source.index[same & (source.index["modality"] == "CT")].groupby("series_uid")]
    if not found:
        raise NoSeriesError("none", expected="a CT series of the patient")
    return max(found, key=len)


def find(source: Source, options: argparse.Namespace) -> Findings:  # noqa: ARG001  (every kind has options)
    """Locate the nodules of both spreadsheets; see the module for how a slice number is read."""
    result = Findings()
    located: list[tuple[Nodule, int, dict[str, pd.Series | None], dict[str, float]]] = []
    for nodule in nodules(source, result):
        case = {"patient_id": nodule.patient_id, "finding_id": nodule.finding_id, "channel": "ct"}
        diagnosis = " ".join(nodule.diagnosis.lower().split())
        try:
            if diagnosis == EXCLUDED:
                result.leave_out(LabelError(repr(nodule.diagnosis), expected="a proven diagnosis"), kind="excluded", **case)
                continue
            label = labels.binary(diagnosis, nodule.file, DIAGNOSES)
            slices = _slices(_series_of(source, nodule.patient_id), nodule.number)
            located.append((nodule, label, slices, {name: _centre_hu(source, slices[name], nodule) for name in READINGS}))
        except InputError as error:
            result.leave_out(error, **case)
    shares = {name: np.mean([hu[name] > SOFT_TISSUE_HU for *_, hu in located] or [0.0]) for name in READINGS}
    reading = max(READINGS, key=lambda name: shares[name])
    verdict = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    for nodule, label, slices, hu in located:
        case = {"patient_id": nodule.patient_id, "finding_id": nodule.finding_id, "channel": "ct"}
        instance = slices[reading]
        where = f"column {nodule.column + 1}, row {nodule.row + 1} of image {nodule.number}"
        if instance is None or np.isnan(hu[reading]):
            result.leave_out(OutOfImageError(f"none at {where}"), **case)
            continue
        if not hu[reading] > SOFT_TISSUE_HU:
            result.leave_out(NotTissueError(f"{hu[reading]:.0f} HU at {where}", file=instance["file"]), **case)
            continue
        result.choices.append(
            {
                **case,
                "candidates": 1,
                "chosen_series_uid": instance["series_uid"],
                "chosen_description": instance["series_description"],
                "reason": f"slice by {reading}; centres in soft tissue: {verdict}; here {hu[reading]:.0f} HU",
                "geometry_instance": f"{instance['instance_number']:.0f}",
                "paper_instance": nodule.number,
            }
        )
        result.rows.append(
            {**case, "group_id": nodule.patient_id, "label": label, "centre": "given"}
            | instance_row(instance)
            | pixel_row(nodule.column, nodule.row)
        )
    return result
