"""MURA: X-rays of seven parts of the arm in the official folders, with the official lists.

Abnormal bones have a break or an implant, more or less clear.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.phantoms.shapes import labels, waves
from pipeline.seeds import stream

REGIONS = ("ELBOW", "FINGER", "FOREARM", "HAND", "HUMERUS", "SHOULDER", "WRIST")
BONES = {"ELBOW": 2, "FINGER": 1, "FOREARM": 2, "HAND": 4, "HUMERUS": 1, "SHOULDER": 1, "WRIST": 3}
PATTERNS = ((0,), (1,), (0, 1))
"""Labels of the studies of a patient."""
VALID = 1 / 4
"""Share of the patients in the official validation."""
WIDTHS, HEIGHTS = (72, 88, 96), (96, 110)
FOLDER = "MURA-v1.1"


def picture(rng: np.random.Generator, width: int, height: int, bones: int, abnormal: bool) -> np.ndarray:
    """Bones of grey values (height, width) uint8 on a dark ground."""
    u, v = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    turn = rng.uniform(-0.25, 0.25)
    u, v = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    grey = 50 + 25 * np.exp(-((u / 0.8) ** 2)) + 6 * waves(rng, 0.6)(u, v)
    half = 0.5 / (bones + 1)
    hurt = rng.integers(bones)
    for bone, middle in enumerate(np.linspace(-1, 1, bones + 2)[1:-1] * 0.9):
        shaft = np.clip((half * (1 + 0.3 * v**2) - np.abs(u - middle)) / 0.05 + 0.5, 0, 1)
        grey += shaft * (90 + 10 * waves(rng, 0.12)(u, v))
        if abnormal and bone == hurt:
            place, slope = rng.uniform(-0.5, 0.5), rng.uniform(-0.8, 0.8)
            broken = np.abs(v - place - slope * (u - middle)) < rng.uniform(0.05, 0.12)
            plate = (np.abs(u - middle) < 0.4 * half) & (np.abs(v - place) < rng.uniform(0.25, 0.45))
            grey += 90 * plate if rng.random() < 0.5 else -70 * shaft * broken
    return np.clip(grey + 5 * rng.normal(size=grey.shape), 0, 255).astype("u1")


def write_mura(out: Path, patients: int, seed: int) -> None:
    """Write ``patients`` with one or two studies of one or two images each, and the four lists."""
    rng = stream("mura", seed)
    valid = max(round(VALID * patients), 1)
    lines: dict[str, list[str]] = {}
    of_patients = labels(rng, PATTERNS, patients - valid) + labels(rng, PATTERNS, valid)
    for number, own in enumerate(of_patients):
        part, region = "valid" if number >= patients - valid else "train", REGIONS[number % len(REGIONS)]
        for study, label in enumerate(own, 1):
            verdict = ("negative", "positive")[label]
            folder = f"{part}/XR_{region}/patient{number + 1:05d}/study{study}_{verdict}"
            (out / FOLDER / folder).mkdir(parents=True)
            lines.setdefault(f"{part}_labeled_studies.csv", []).append(f"{FOLDER}/{folder}/,{label}")
            for image in range(1, 2 + (number + study) % 2):
                name = f"{folder}/image{image}.png"
                drawn = stream("mura", seed, name)
                size = int(drawn.choice(WIDTHS)), int(drawn.choice(HEIGHTS))
                grey = Image.fromarray(picture(drawn, *size, BONES[region], bool(label)))
                grey.convert("RGB" if number % 5 == 2 else "L").save(out / FOLDER / name)
                lines.setdefault(f"{part}_image_paths.csv", []).append(f"{FOLDER}/{name}")
    for name, rows in lines.items():
        (out / FOLDER / name).write_text("\n".join([*rows, ""]), encoding="utf-8")
