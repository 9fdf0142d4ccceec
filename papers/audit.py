"""The audit of PROSTATEx as it really is: our own choice of series over the metadata of every real series.

No pixel is needed. The archive's list of series (IDC: ids, descriptions, numbers, instances) says what there
is, the official tables (WorldMatrix, Dim) where each listed series lies. Together they make an index as the
index step would, and :func:`pipeline.datasets.prostatex.find` runs on it as it runs on downloads.

    python -m papers.audit --series idc/prostatex.csv --tables prostatex --out audit.csv
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.cli import run_cli
from pipeline.datasets import Findings, Source, prostatex
from pipeline.files import SKIPPED_COLUMNS, write_csv
from pipeline.readers import labels
from pipeline.readers.dicom import VECTOR_TAGS
from pipeline.readers.index import COLUMNS, NUMBERS
from pipeline.report.fingerprint import general

log = logging.getLogger("typhon")

AUDIT_COLUMNS = ("part", "channel", "measure", "item", "count")
CHANNELS = ("t2", "adc", "dwi")
SERIES_COLUMNS = [
    "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "StudyDate", "SeriesNumber", "SeriesDescription",
    "instanceCount",
]  # fmt: skip
KEY = ["PatientID", "SeriesNumber", "SeriesDescription"]


def read_series(path: Path) -> pd.DataFrame:
    """The archive's list of series, every cell as text."""
    return labels.read_table(path, SERIES_COLUMNS)


def read_images(tables: Path, part: str) -> pd.DataFrame:
    """The official images table of ``Train`` or ``Test``, keyed as the archive is."""
    path = tables / prostatex.IMAGES_FILE.replace("Train", part)
    images = labels.read_table(path, ["ProxID", "WorldMatrix", "Dim", "DCMSerDescr", "DCMSerNum"])
    names = {"ProxID": "PatientID", "DCMSerNum": "SeriesNumber", "DCMSerDescr": "SeriesDescription"}
    return images.rename(columns=names)


def matrix_of(cell: str) -> np.ndarray:
    """The official (4, 4) matrix from voxel corners to LPS mm."""
    return np.array(cell.split(","), float).reshape(4, 4)


def placed(series: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """The series that the tables list, each with its WorldMatrix and Dim.

    In the two studies of 0025 the same numbers and descriptions recur. Then the number of slices tells the
    matrices apart, and where it is the same the axes of what that study has already.
    """
    listed = images.drop_duplicates([*KEY, "WorldMatrix"])[[*KEY, "WorldMatrix", "Dim"]]
    pairs = series.merge(listed, on=KEY)
    slices = pairs["Dim"].str.split("x").str[2].astype(int)
    several = pairs.duplicated("SeriesInstanceUID", keep=False)
    counts = pairs["instanceCount"].astype(int)
    sure = pairs[~several | (counts == slices)]
    sure = sure[~sure.duplicated("SeriesInstanceUID", keep=False)]
    studies = zip(sure["StudyInstanceUID"], sure["WorldMatrix"].map(matrix_of), strict=True)
    axes = {study: matrix[:3, 2] for study, matrix in studies if matrix[2, 2] > 0}
    rest = pairs[~pairs["SeriesInstanceUID"].isin(sure["SeriesInstanceUID"])]

    def angle(row: pd.Series) -> float:
        normal = matrix_of(row["WorldMatrix"])[:3, 2]
        other = axes[row["StudyInstanceUID"]]
        return float(
            np.arccos(np.clip(normal @ other / np.linalg.norm(normal) / np.linalg.norm(other), -1, 1))
        )

    if rest.empty:
        return sure
    rest = rest.assign(angle=rest.apply(angle, axis=1)).sort_values("angle", kind="stable")
    return pd.concat([sure, rest.drop_duplicates("SeriesInstanceUID").drop(columns="angle")])


def planes(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The index rows of a series, one per position; without a matrix one row that lies nowhere.

    InstanceNumber falls along the normal, as in nearly all transverse series that could be looked at.
    """
    header = {
        "format": "dicom", "patient_id": row["PatientID"], "study_uid": row["StudyInstanceUID"],
        "series_uid": row["SeriesInstanceUID"], "study_date": row["StudyDate"].replace("-", ""),
        "series_number": float(row["SeriesNumber"]), "series_description": row["SeriesDescription"],
        "modality": "MR", "file": f"{row['SeriesInstanceUID']}/0",
    }  # fmt: skip
    if not isinstance(row["WorldMatrix"], str):
        return [header]
    matrix = matrix_of(row["WorldMatrix"])
    columns, rows, count, _ = map(int, row["Dim"].split("x"))
    steps = np.linalg.norm(matrix[:3, :3], axis=0)
    directions = (matrix[:3, :2] / steps[:2]).T.ravel()
    header |= {
        "columns": columns, "rows": rows, "slice_thickness_mm": steps[2],
        **dict(zip(VECTOR_TAGS["ImageOrientationPatient"], directions, strict=True)),
        **dict(zip(VECTOR_TAGS["PixelSpacing"], (steps[1], steps[0]), strict=True)),
    }  # fmt: skip
    origins = [(matrix @ [0.5, 0.5, k + 0.5, 1])[:3] for k in range(count)]
    return [
        header
        | dict(zip(VECTOR_TAGS["ImagePositionPatient"], origin, strict=True))
        | {"file": f"{row['SeriesInstanceUID']}/{k}", "instance_number": float(count - k)}
        for k, origin in enumerate(origins)
    ]


def index_of(series: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """An index of all series, with the geometry of those that the tables list."""
    where = placed(series, images)[["SeriesInstanceUID", "WorldMatrix", "Dim"]]
    rows = series.merge(where, on="SeriesInstanceUID", how="left").to_dict("records")
    table = pd.DataFrame([plane for row in rows for plane in planes(row)], columns=COLUMNS)
    text = [name for name in COLUMNS if name not in NUMBERS]
    table[text] = table[text].astype(object).fillna("")
    table[list(NUMBERS)] = table[list(NUMBERS)].astype(float)
    return table


def located(series: pd.DataFrame, tables: Path, part: str) -> Findings:
    """Every finding of a part's official tables, located on all three channels by the step's own code."""
    index = index_of(series, read_images(tables, part))
    documents = [name.replace("Train", part) for name in (prostatex.FINDINGS_FILE, prostatex.IMAGES_FILE)]
    options = prostatex.Options(channels=["t2", "adc", "dwi"], part="test" if part == "Test" else "train")
    return prostatex.find(Source("prostatex", tables, index, documents), options)


def image_rows(series: pd.DataFrame, images: pd.DataFrame) -> Iterator[tuple[str, str, str, int]]:
    """How many rows of an images table are found in the archive, and which series lack instances."""
    found = images.merge(series[KEY].drop_duplicates(), on=KEY)
    yield "", "rows of the images table", "all", len(images)
    yield "", "rows of the images table", "found in the archive", len(found)
    for channel, pattern in prostatex.DESCRIPTIONS.items():
        mine = images["SeriesDescription"].map(lambda name, p=pattern: bool(p.search(name)))
        there = found["SeriesDescription"].map(lambda name, p=pattern: bool(p.search(name)))
        yield channel, "rows of the images table", "all", int(mine.sum())
        yield channel, "rows of the images table", "found in the archive", int(there.sum())
    pairs = placed(series, images)
    single = (
        images.drop_duplicates([*KEY, "Name"]).groupby(KEY)["Name"].size().rename("volumes").reset_index()
    )
    pairs = pairs.merge(single, on=KEY)
    pairs["expected"] = pairs["Dim"].str.split("x").str[2].astype(int) * pairs["volumes"]
    short = pairs[pairs["instanceCount"].astype(int) < pairs["expected"]]
    for _, row in short.iterrows():
        name = f"{row['PatientID']} {row['SeriesDescription']}: {row['instanceCount']} of {row['expected']}"
        yield "", "series that lack instances", name, 1


def not_last(found: Findings, series: pd.DataFrame, channel: str) -> list[str]:
    """The findings whose series is not the last of its name in its study, as ``patient finding``."""
    named = series[
        series["SeriesDescription"].map(lambda name: bool(prostatex.DESCRIPTIONS[channel].search(name)))
    ]
    numbers = named.assign(number=named["SeriesNumber"].astype(int)).set_index("SeriesInstanceUID")
    last = numbers.groupby("StudyInstanceUID")["number"].max()
    return [
        f"{row['patient_id']} {row['finding_id']}"
        for row in found.choices
        if row["channel"] == channel
        for chosen in [numbers.loc[row["chosen_series_uid"]]]
        if chosen["number"] < last[chosen["StudyInstanceUID"]]
    ]


def finding_rows(found: Findings, series: pd.DataFrame) -> Iterator[tuple[str, str, str, int]]:
    """Per channel: findings located, among how many series, and why the others are not."""
    choices = pd.DataFrame(found.choices)
    left = pd.DataFrame(found.skipped, columns=list(SKIPPED_COLUMNS), dtype=object).fillna("")
    choices["mm"] = pd.to_numeric(choices.get("distance_mm"), errors="coerce")
    for channel in CHANNELS:
        mine = choices[choices["channel"] == channel]
        yield channel, "findings", "located", len(mine)
        for candidates, count in mine["candidates"].value_counts().sort_index().items():
            yield channel, "series to choose from", str(candidates), int(count)
        for reason, count in mine["reason"].value_counts().items():
            yield channel, "why the series", str(reason), int(count)
        here = left[(left["finding_id"] != "") & left["channel"].isin(["", channel])]
        reasons = here["code"] + ": " + here["reason"].map(general)
        yield channel, "findings", "left out", len(reasons)
        for case in not_last(found, series, channel):
            yield channel, "not the last series of its name", case, 1
        for reason, count in reasons.value_counts().items():
            yield channel, "why left out", str(reason), int(count)
        far = mine["mm"].dropna()
        for limit in (3, 6, 15):
            yield (
                channel,
                "slice k + 1 at least so far off, if numbers fall",
                f"{limit} mm",
                int((far >= limit).sum()),
            )
    yield "", "patients", "without a finding in the table", int((left["finding_id"] == "").sum())


def audit(series: pd.DataFrame, tables: Path) -> list[dict[str, object]]:
    """The rows of the audit for both parts of the collection."""
    rows = []
    for part in ("Train", "Test"):
        measured = [
            *image_rows(series, read_images(tables, part)),
            *finding_rows(located(series, tables, part), series),
        ]
        rows += [dict(zip(AUDIT_COLUMNS, (part.lower(), *row), strict=True)) for row in measured]
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Run the choice of series over the archive's metadata and the official tables."""
    parser = argparse.ArgumentParser(prog="python -m papers.audit", description=main.__doc__)
    parser.add_argument("--series", type=Path, required=True, help="the archive's list of series, a CSV")
    parser.add_argument("--tables", type=Path, required=True, help="folder of the four official tables")
    parser.add_argument("--out", type=Path, required=True, help="CSV to write")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = audit(read_series(args.series), args.tables)
    write_csv(args.out, AUDIT_COLUMNS, rows)
    log.info("%s: %d lines", args.out, len(rows))


if __name__ == "__main__":
    run_cli(main)
