"""LUNGx: chest CT in the classic download layout, with the challenge's two spreadsheets.

Malignant nodules tend to be large and spiculated, benign ones small, smooth and denser; the two overlap.
"""

import re
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from openpyxl import Workbook

from pipeline.phantoms.dicom import Geometry, uid, write_ct_series
from pipeline.phantoms.shapes import Lesion, Waves, ellipse, labels, lesion, waves
from pipeline.seeds import seed as digits
from pipeline.seeds import stream

PATTERNS = ((1,), (0,), (0, 1), (1,), (0,))
RADIUS, DENSITY = (3.0, 11.0), (140.0, 0.0)
"""mm and Hounsfield units, from the least to the most malignant look."""
SIDE, PLANES = 192, 10
POSITION = "Nodule Center x,y Position*"
CALIBRATION_COLUMNS = ("Scan Number", POSITION, "Nodule Center Image", "Diagnosis")
TEST_COLUMNS = ("Scan Number", "Nodule Number", POSITION, "Nodule Center Image", "Final Diagnosis")
FOOTNOTES = (
    "*specified in pixels, where position (1,1) corresponds to the upper-leftmost pixel in an image",
    f"All images are in DICOM format with a matrix size of {SIDE}x{SIDE} pixels.",
)
SUSPICIOUS = "Suspicious malignant nodule"


def write_lungx(out: Path, patients: int, seed: int) -> None:
    """Write ``patients`` scans, a quarter of them for calibration, and the two spreadsheets below ``out``."""
    calibration: list[tuple[object, ...]] = []
    test: list[tuple[object, ...]] = []
    classes = labels(stream("lungx", seed), PATTERNS, patients)
    counts = {"LC": 0, "BE": 0, "LUNGx-CT": 0}
    for number, nodules in enumerate(classes):
        training = number % 4 == 0 and len(nodules) == 1
        kind = ("LC" if nodules[0] else "BE") if training else "LUNGx-CT"
        counts[kind] += 1
        patient = f"CT-Training-{kind}{counts[kind]:03d}" if training else f"{kind}{counts[kind]:03d}"
        # The first scan of the calibration set has its position typed as the number 120325.
        as_number = training and not calibration
        places = _write_scan(out, patient, nodules, stream("lungx", seed, number), far=as_number)
        for place, (label, (x, y, image)) in enumerate(zip(nodules, places, strict=True), 1):
            if training:
                position = x * 1000 + y if as_number else f"{x}, {y}"
                # The sheet has the kind in lower case, the DICOM PatientID has not.
                scan = patient.replace(kind, kind.lower())
                calibration.append((scan, position, image, "malignant" if label else "benign"))
            else:
                test.append((patient, place, f"{x}, {y}", image, _diagnosis(label, len(test))))
    # Second nodules may have no certain truth; here the last one has none.
    second = [i for i, row in enumerate(test) if row[1] == 2]
    if second:
        test[second[-1]] = (*test[second[-1]][:-1], SUSPICIOUS)
    _write_sheet(
        out / "CalibrationSet_NoduleData.xlsx", ("FinalTo", "Sheet1"), CALIBRATION_COLUMNS, calibration
    )
    _write_sheet(out / "TestSet_NoduleData_PublicRelease_wTruth.xlsx", ("Sheet1",), TEST_COLUMNS, test)


def _diagnosis(label: int, row: int) -> str:
    if not label:
        return "Benign nodule"
    return "Primary lung cancer " if row % 2 else "Primary lung cancer"


def _write_scan(
    out: Path, patient: str, classes: Sequence[int], rng: np.random.Generator, far: bool
) -> list[tuple[int, int, int]]:
    """Write one scan and return (x, y, image) of each nodule, counted from 1."""
    mm, gap = float(rng.choice([0.65, 0.7, 0.75])), float(rng.choice([1.5, 2.0]))
    half = (SIDE - 1) / 2
    geometry = Geometry(
        (-half * mm, -half * mm - 20, float(rng.uniform(-300, -100))), spacing=(mm, mm), slice_spacing=gap
    )
    descending, signed = bool(rng.random() < 0.5), bool(rng.random() < 0.6)
    spots, places = [], []
    for label, plane in zip(classes, (2, 7), strict=False):
        low, high = (12, 18) if far else (-18, 18)
        column, row = (round(half + v / mm) for v in rng.uniform(low, high, size=2))
        centre = ((column - half) * mm, (row - half) * mm, plane * gap)
        spots.append(lesion(rng, centre, bool(label), radius=RADIUS))
        places.append((column + 1, row + 1, PLANES - plane if descending else plane + 1))
    volume = _hounsfield(spots, geometry, rng, padded=signed)
    study = "01-01-2006-NA-CT Thorax-" + str(digits(patient) % 100000).zfill(5)
    folder = out / patient / study / f"3.000000-Lung-{digits(patient, 3) % 100000:05d}"
    write_ct_series(
        folder, volume, geometry, patient_id=patient, study=uid(patient, "study"), descending=descending,
        signed=signed, padding=-2000 if signed else None,
    )  # fmt: skip
    return places


def _hounsfield(
    spots: Sequence[Lesion], geometry: Geometry, rng: np.random.Generator, padded: bool
) -> np.ndarray:
    """A lung with vessels in a chest wall, (planes, rows, columns), HU; NaN where nothing was scanned."""
    axis = (np.arange(SIDE) - (SIDE - 1) / 2) * geometry.spacing[0]
    u, v = np.meshgrid(axis, axis)
    vessels: Waves = waves(rng, 14, dimensions=3, count=4)
    lung = ellipse(u, v, float(rng.uniform(56, 62)), float(rng.uniform(50, 58)), 2)
    planes = []
    for plane in range(PLANES):
        w = plane * geometry.slice_spacing
        density = -870 + 25 * vessels(u, v, w) + 500 * np.clip(vessels(u, v, w) - 1.9, 0, 0.6)
        hu = 40 * (1 - lung) + density * lung
        for spot in spots:
            inside = spot.membership(u, v, w, edge=1.0)
            hu += inside * (DENSITY[0] + (DENSITY[1] - DENSITY[0]) * spot.signal - hu)
        planes.append(hu + 20 * rng.normal(size=hu.shape))
    volume = np.clip(np.stack(planes), -1024, 2000)
    if padded:
        volume[:, np.hypot(u, v) > 1.02 * axis[-1]] = np.nan
    return volume


def _write_sheet(
    path: Path, sheets: Sequence[str], columns: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """A workbook without a clock in it: openpyxl stamps the properties and each member of the archive."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for name in sheets:
        book.create_sheet(name)
    for row in (columns, *rows, (), *((note,) for note in (FOOTNOTES[0], None, FOOTNOTES[1], None, None))):
        book.worksheets[0].append(row)
    stamped = BytesIO()
    book.save(stamped)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(stamped) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2015-01-01T00:00:00Z", content)
            target.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
