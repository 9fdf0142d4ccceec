"""PROSTATEx: prostate MR in the classic download layout, with the challenge's two tables.

Malignant findings tend to be dark in T2 and ADC and bright at a high b value, large and spiculated; benign
ones small, smooth and paler; the two overlap. Findings lie away from mid-slab and InstanceNumber runs in both
directions, so a rule that takes it for the slice index picks another plane. Each plane has a flare beside the
body, of any strength: who stretches planes to their own maximum loses what the findings' brightness tells.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.phantoms.dicom import Geometry, write_mr_series
from pipeline.phantoms.shapes import Lesion, Waves, ellipse, labels, lesion, waves
from pipeline.seeds import seed, stream

Row = tuple[object, ...]
PATTERNS = ((1,), (0, 0), (1, 0), (0,), (0, 1, 0), (0,))
PLANES, SLICE_MM = 13, 3.0
FINDING_PLANES = (2, 9, 11)
"""Planes of the first, second and third finding; none is another one's mirror image about mid-slab."""
RADIUS = (3.0, 9.0)
"""mm, from the least to the most malignant look."""
T2, ADC = (220.0, 80.0), (1300.0, 600.0)
"""T2 weight and diffusion coefficient (µm²/s), from the least to the most malignant look; the gland has
about 410 and 1650. Significant cancer restricts diffusion below 900 µm²/s or so."""
FLARE = (1.0, 8.0)
"""Brightness of the flare as a multiple of the series' brightest tissue."""
NOISE = {"t2": 8.0, "diffusion": 4.0, "adc": 30.0}
"""Standard deviation, in stored values."""
B_VALUES, HIGH_B = (50, 400, 800), 1400
CORONAL = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
SAGITTAL = np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])
"""Their columns are the directions of row, column and normal."""
TRUTH_FILE = "truth.csv"
FINDINGS_COLUMNS = ("ProxID", "fid", "pos", "zone", "ClinSig")
IMAGES_COLUMNS = ("ProxID", "Name", "fid", "pos", "WorldMatrix", "ijk", "TopLevel", "SpacingBetweenSlices",
                  "VoxelSpacing", "Dim", "DCMSerDescr", "DCMSerNum")  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """A pelvis in the frame of the oblique slab: u along the rows, v along the columns, w the normal, mm."""

    centre: np.ndarray
    frame: np.ndarray
    lesions: tuple[Lesion, ...]
    gland: tuple[float, float]
    fields: tuple[Waves, Waves]
    gain: float

    def maps(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """T2 weight, diffusion coefficient (µm²/s) and diffusion weight at b = 0 at LPS points."""
        u, v, w = np.moveaxis((points - self.centre) @ self.frame, -1, 0)
        body, gland = ellipse(u, v, 48, 44, 3), ellipse(u, v, *self.gland, 2)
        core = ellipse(u, v + 4, self.gland[0] * 0.6, self.gland[1] * 0.6, 2)
        coarse, fine = (field(u, v, w) for field in self.fields)
        t2 = body * (260 + 25 * coarse) + gland * (150 + 15 * fine) - core * (110 + 15 * coarse)
        adc = 1300 + 60 * coarse + gland * (350 + 40 * fine) - core * 200
        s0 = 120 + 8 * coarse + gland * (80 + 5 * fine)
        for spot in self.lesions:
            inside = spot.membership(u, v, w, edge=1.5)
            target_t2, target_adc = (low + (high - low) * spot.signal for low, high in (T2, ADC))
            t2 += inside * (target_t2 + 12 * fine - t2)
            adc += inside * (target_adc + 30 * fine - adc)
        within = body > 0.5
        return {"t2": self.gain * np.maximum(t2, 0), "adc": adc * within, "s0": self.gain * s0 * within}


def write_prostatex(out: Path, patients: int, seed: int, test: int = 0) -> None:
    """Write ``patients`` patients and the two tables below the folder ``out``.

    With ``test`` as many patients more, in the tables of the challenge's test, which have no ClinSig; what
    the challenge kept to itself is in TRUTH_FILE.
    """
    classes = labels(stream("prostatex", seed), PATTERNS, patients)
    _write_part(out, "Train", 0, classes, seed)
    if test:
        classes = labels(stream("prostatex", seed, "test"), PATTERNS, test)
        findings = _write_part(out, "Test", patients, classes, seed)
        columns = FINDINGS_COLUMNS.index("ProxID"), FINDINGS_COLUMNS.index("fid"), -1
        rows: list[Row] = [tuple(row[column] for column in columns) for row in findings]
        _write_table(out / TRUTH_FILE, ("ProxID", "fid", "ClinSig"), rows)


def _write_part(out: Path, part: str, first: int, classes: Sequence[Sequence[int]], seed: int) -> list[Row]:
    """Write patients from number ``first`` on and their two tables; the rows of findings, labels included."""
    findings: list[Row] = []
    images: list[Row] = []
    for number, own in enumerate(classes, first):
        patient_findings, patient_images = _write_patient(out, number, own, seed)
        findings += patient_findings
        images += patient_images
    count = len(FINDINGS_COLUMNS) - (part == "Test")
    shown = [row[:count] for row in findings]
    _write_table(out / f"ProstateX-Findings-{part}.csv", FINDINGS_COLUMNS[:count], shown)
    _write_table(out / f"ProstateX-Images-{part}.csv", IMAGES_COLUMNS, images)
    return findings


def _write_table(path: Path, columns: Sequence[str], rows: list[Row]) -> None:
    """The dialect of the official tables: CRLF, quotes only around cells that hold a comma."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="ascii", newline="") as file:
        csv.writer(file, lineterminator="\r\n").writerows([columns, *rows])


def _write_patient(out: Path, number: int, classes: Sequence[int], seed: int) -> tuple[list[Row], list[Row]]:
    rng = stream("prostatex", seed, number)
    patient = f"ProstateX-{number:04d}"
    centre, frame = rng.uniform((-5, 10, -40), (5, 40, 40)), _frame(rng)
    slab = Geometry((0.0, 0.0, 0.0), slice_spacing=SLICE_MM)
    points = []
    for plane in FINDING_PLANES[: len(classes)]:
        # Most findings were marked on a T2 slice, a quarter between two (datasets.md 2.6).
        off = rng.uniform(-0.05, 0.05) if rng.random() < 0.75 else rng.uniform(-0.42, 0.42)
        u, v = rng.uniform(-10, 10, size=2)
        points.append((float(u), float(v), (plane - (PLANES - 1) / 2 + float(off)) * slab.slice_spacing))
    scene = Scene(
        centre,
        frame,
        tuple(
            lesion(rng, point, bool(label), radius=RADIUS)
            for point, label in zip(points, classes, strict=True)
        ),
        (float(rng.uniform(22, 27)), float(rng.uniform(19, 24))),
        (waves(rng, 30, dimensions=3), waves(rng, 7, dimensions=3)),
        float(rng.uniform(0.7, 1.4)),
    )
    # Every fourth patient stands for the other protocol (0218): numbers rise with the position.
    series = _write_series(out / patient / "07-07-2011", patient, scene, rng, descending=number % 4 != 2)
    fids = _finding_ids(number, classes)
    findings: list[Row] = []
    images: list[Row] = []
    for fid, label, point in zip(fids, classes, points, strict=True):
        pos = " ".join(f"{x:.6g}" for x in centre + frame @ np.array(point))
        if rng.random() < 0.15:
            pos = f" {pos}" if rng.random() < 0.5 else f"{pos} "
        zone = str(rng.choice(["PZ", "PZ", "TZ", "AS"]))
        findings.append((patient, fid, pos, zone, "TRUE" if label else "FALSE"))
        images += [row for one in series for row in _image_rows(patient, fid, pos, one)]
    return findings, images


def _finding_ids(number: int, classes: Sequence[int]) -> list[int]:
    """1, 2 …; as in the real tables some count from 0, and one patient has two findings called 1."""
    if number % 8 == 5:
        return [1, 1, 2][: len(classes)]
    return list(range(len(classes))) if number % 8 == 6 else list(range(1, len(classes) + 1))


def _frame(rng: np.random.Generator) -> np.ndarray:
    """Columns: directions of row, column and normal of a slab tilted by up to 20° about the left axis."""
    tilt, turn = np.deg2rad(rng.uniform(0, 20)), rng.uniform(-0.01, 0.01)
    column = np.array([0, np.cos(tilt), -np.sin(tilt)])
    row = np.array([1, -turn * np.sin(tilt), -turn * np.cos(tilt)])
    row /= np.linalg.norm(row)
    return np.stack([row, column, np.cross(row, column)], axis=1)


@dataclass(frozen=True)
class Written:
    """What the Images table says of a series."""

    description: str
    number: int
    geometry: Geometry
    shape: tuple[int, int, int]
    volumes: int = 1


def _grid(scene: Scene, frame: np.ndarray, shape: tuple[int, int, int], mm: float, gap: float) -> Geometry:
    """A grid of (planes, rows, columns) about the centre of the scene, with the directions of ``frame``."""
    planes, rows, columns = shape
    corner = frame @ (np.array([columns - 1, rows - 1, planes - 1]) * (-0.5 * np.array([mm, mm, gap])))
    origin, row, column = (
        (float(x), float(y), float(z)) for x, y, z in (scene.centre + corner, frame[:, 0], frame[:, 1])
    )
    return Geometry(origin, row, column, (mm, mm), gap)


def _render(scene: Scene, geometry: Geometry, shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    planes = [scene.maps(geometry.points(shape[2], shape[1], plane)) for plane in range(shape[0])]
    return {name: np.stack([plane[name] for plane in planes]) for name in planes[0]}


def _write_series(
    folder: Path, patient: str, scene: Scene, rng: np.random.Generator, *, descending: bool
) -> list[Written]:
    written = []

    def noisy(volume: np.ndarray, sigma: float) -> np.ndarray:
        seen = volume + sigma * rng.normal(size=volume.shape)
        planes = seen.reshape(-1, *seen.shape[-2:])
        strength = FLARE[0] * (FLARE[1] / FLARE[0]) ** rng.random(len(planes))
        planes[:, rng.integers(planes.shape[1] // 3, planes.shape[1] // 2), 1] = strength * volume.max()
        return np.clip(np.rint(seen), 0, 4095)

    def write(description: str, number: int, geometry: Geometry, volume: np.ndarray,
              b_values: Sequence[int] = (), descending: bool = descending) -> None:  # fmt: skip
        write_mr_series(
            folder / _folder(patient, description, number), volume, geometry, description=description,
            number=number, patient_id=patient, descending=descending, b_values=b_values,
            interleaved=not descending,
        )  # fmt: skip
        planes, rows, columns = volume.shape[-3:]
        written.append(Written(description, number, geometry, (columns, rows, planes), len(b_values) or 1))

    _write_localizer(folder, patient, scene, written)
    shape = (5, 96, 96)
    grid = _grid(scene, SAGITTAL, shape, 1.125, 3.6)
    write("t2_tse_sag", 3, grid, noisy(_render(scene, grid, shape)["t2"], NOISE["t2"]), descending=False)
    shape = (PLANES, 208, 208)
    grid = _grid(scene, scene.frame, shape, 0.5, SLICE_MM)
    write("t2_tse_tra", 4, grid, noisy(_render(scene, grid, shape)["t2"], NOISE["t2"]))
    shape = (PLANES, 60, 54)
    grid = _grid(scene, scene.frame, shape, 2.0, SLICE_MM)
    maps = _render(scene, grid, shape)
    decay = [maps["s0"] * np.exp(-b * 1e-6 * maps["adc"]) for b in (*B_VALUES, HIGH_B)]
    write("ep2d_diff_tra_DYNDIST", 6, grid, noisy(np.stack(decay[:-1]), NOISE["diffusion"]), B_VALUES)
    write("ep2d_diff_tra_DYNDIST_ADC", 7, grid, noisy(maps["adc"], NOISE["adc"]), (B_VALUES[-1],))
    write("ep2d_diff_tra_DYNDISTCALC_BVAL", 8, grid, noisy(decay[-1], NOISE["diffusion"]), (HIGH_B,))
    return written


def _write_localizer(folder: Path, patient: str, scene: Scene, written: list[Written]) -> None:
    """One slice each of three orientations under one SeriesInstanceUID, as localizers are."""
    shape = (1, 64, 64)
    for number, frame in enumerate((np.eye(3), CORONAL, SAGITTAL), 1):
        grid = _grid(scene, frame, shape, 2.0, 10.0)
        write_mr_series(
            folder / _folder(patient, "t2_localizer", 1), np.rint(_render(scene, grid, shape)["t2"]), grid,
            description="t2_localizer", number=1, patient_id=patient, first=number,
        )  # fmt: skip
        if number == 1:
            written.append(Written("t2_localizer", 1, grid, (64, 64, 3)))


def _folder(patient: str, description: str, number: int) -> str:
    """The name that the download tool gives: without underscores, with five digits of the UID."""
    return f"{number}.000000-{description.replace('_', '')}-{seed(patient, number) % 100000:05d}"


def _image_rows(patient: str, fid: int, pos: str, series: Written) -> list[Row]:
    matrix = " ".join(f"{x:.6g}" for x in series.geometry.corner_matrix().ravel())
    # From the printed figures, so that the table agrees with itself: ijk = floor(W⁻¹·pos + 0.5).
    world = np.array(matrix.split(), float).reshape(4, 4)
    corner_index = np.linalg.solve(world, [*map(float, pos.split()), 1])[:3]
    spacing = [f"{x:.6g}" for x in (*series.geometry.spacing, series.geometry.slice_spacing)]
    return [
        (
            patient,
            f"{series.description}{volume}",
            fid,
            pos,
            # Exponents have three digits there: 4.0067e-010.
            ",".join(_windows(x) for x in matrix.split()),
            " ".join(str(int(i)) for i in np.floor(corner_index + 0.5)),
            1 if series.description.endswith("tra") else "NA",
            spacing[2],
            ",".join(spacing),
            "x".join(map(str, (*series.shape, 1))),
            series.description,
            series.number,
        )
        for volume in range(series.volumes)
    ]


def _windows(text: str) -> str:
    mantissa, mark, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent):+04d}" if mark else text
