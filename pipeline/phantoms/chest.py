"""Chest X-rays in the layouts of ChestX-ray14 and CheXpert: two lungs, a heart, ribs, and signs of labels.

Each label has a sign of its own, more or less clear, on either side where the body has two. Most patients
have a label in some of their images and not in others, and some patients never have it.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.files import write_csv
from pipeline.phantoms.shapes import ellipse, waves
from pipeline.seeds import stream


class Sign(NamedTuple):
    """What a label looks like: an ellipse, its place and half axes in halves of the image, and its shade."""

    u: float
    v: float
    half_u: float
    half_v: float
    shade: float
    sides: int = 1
    """0 in the middle, 1 on one side, 2 on both."""


SIGNS = {
    "Atelectasis": Sign(0.42, 0.45, 0.28, 0.06, 70),
    "Cardiomegaly": Sign(0.05, 0.35, 0.50, 0.32, 50, 0),
    "Effusion": Sign(0.45, 0.64, 0.30, 0.14, 80),
    "Infiltration": Sign(0.40, 0.02, 0.25, 0.26, 40),
    "Mass": Sign(0.36, -0.15, 0.15, 0.15, 80),
    "Nodule": Sign(0.46, 0.15, 0.07, 0.07, 100),
    "Pneumonia": Sign(0.40, 0.30, 0.26, 0.17, 60),
    "Pneumothorax": Sign(0.44, -0.48, 0.22, 0.15, -50),
    "Consolidation": Sign(0.38, -0.36, 0.20, 0.13, 75),
    "Edema": Sign(0.22, 0.00, 0.16, 0.32, 55, 2),
    "Emphysema": Sign(0.42, -0.05, 0.34, 0.66, -35, 2),
    "Fibrosis": Sign(0.42, 0.55, 0.28, 0.10, 45, 2),
    "Pleural_Thickening": Sign(0.70, 0.00, 0.06, 0.50, 65),
    "Hernia": Sign(-0.05, 0.68, 0.18, 0.14, 80, 0),
}
"""In the order of ChestX-ray14."""
STRENGTH = (0.55, 1.0)
HOLDERS, RARE = 2 / 3, {"Emphysema": 0.45, "Hernia": 0.45}
"""Share of the patients who have a label in some image; less of those without which a source is made."""
TESTED = 1 / 4
"""Share of the patients in the official test or validation."""
IMAGES = 4
SIDE = 96
WIDTHS, HEIGHT = (78, 96), 80
HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
CHEXPERT_COLUMNS = (
    "Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding", "Enlarged Cardiomediastinum",
    "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis",
    "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
READ = {"Atelectasis": "Atelectasis", "Cardiomegaly": "Cardiomegaly", "Consolidation": "Consolidation",
        "Edema": "Edema", "Pleural Effusion": "Effusion"}  # fmt: skip
"""Columns of CheXpert with a sign."""
DOUBT, SILENT = 0.1, 0.5
"""Of labels, the share that is uncertain; of negative ones that a report does not mention."""


def picture(rng: np.random.Generator, width: int, height: int, signs: Collection[str]) -> np.ndarray:
    """A chest of grey values (height, width) uint8 with these signs."""
    u, v = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    u, v = u * rng.uniform(0.94, 1.06) + rng.uniform(-0.05, 0.05), v + rng.uniform(-0.05, 0.05)

    def spot(place: float, sign: Sign, scale: float = 1.0) -> np.ndarray:
        return ellipse(u - place, v - sign.v, sign.half_u * scale, sign.half_v * scale, 0.08)

    grey = 150 + 12 * waves(rng, 0.8)(u, v)
    for side in (-1, 1):
        lung = ellipse(u - side * 0.42, v + 0.05, 0.32, 0.64, 0.08)
        grey += lung * (14 * np.cos(18 * v - side * 2 * u) - 80 + 8 * waves(rng, 0.15)(u, v))
    grey += 45 * ellipse(u - 0.1, v - 0.35, 0.28, 0.26, 0.1) + 30 * (np.abs(u) < 0.08)
    for name in sorted(signs):
        sign = SIGNS[name]
        either = float(rng.choice([-1, 1]))
        places = {0: [sign.u], 1: [either * sign.u], 2: [-sign.u, sign.u]}[sign.sides]
        shade = sign.shade * rng.uniform(*STRENGTH)
        for place in places:
            grey += shade * spot(place + rng.uniform(-0.03, 0.03), sign, rng.uniform(0.85, 1.15))
    return np.clip(grey + 5 * rng.normal(size=grey.shape), 0, 255).astype("u1")


def held(
    rng: np.random.Generator, parts: Sequence[int], names: Collection[str], images: int
) -> list[list[set[str]]]:
    """The labels of each image of each patient: of each part some patients have a label, in some images."""
    found: list[list[set[str]]] = [[set() for _ in range(images)] for _ in range(sum(parts))]
    for name in names:
        start = 0
        for part in parts:
            for patient in rng.permutation(part)[: round(RARE.get(name, HOLDERS) * part)] + start:
                for image in rng.permutation(images)[: rng.integers(1, max(images // 2, 1) + 1)]:
                    found[patient][image].add(name)
            start += part
    return found


def write_chestxray14(out: Path, patients: int, seed: int) -> None:
    """Write ``patients`` with IMAGES images each, both tables and both lists below ``out``."""
    rng = stream("chestxray14", seed)
    tested = max(round(TESTED * patients), 1)
    labels = held(rng, (patients - tested, tested), SIGNS, IMAGES)
    rows: dict[int, list[str]] = {2020: [HEADER], 2017: [HEADER + ","]}
    lists: dict[str, list[str]] = {"train_val_list.txt": [], "test_list.txt": []}
    for number, own in enumerate(labels):
        patient = 3 * number + 1
        for follow_up, signs in enumerate(own):
            name = f"{patient:08d}_{follow_up:03d}.png"
            path = out / f"images_{number % 2 + 1:03d}" / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(picture(stream("chestxray14", seed, name), SIDE, SIDE, signs))
            image.convert("RGBA" if (number + follow_up) % 11 == 5 else "L").save(path)
            lists["test_list.txt" if number >= patients - tested else "train_val_list.txt"].append(name)
            # A few labels changed from the first version to the second.
            earlier = signs ^ {"Pneumonia"} if rng.random() < 0.05 else signs
            for version, marks, end in ((2020, signs, ""), (2017, earlier, ",")):
                words = "|".join(one for one in SIGNS if one in marks) or "No Finding"
                cells = f"{name},{words},{follow_up:03d},{patient},{40 + number % 40},{'MF'[number % 2]},PA"
                rows[version].append(f"{cells},{SIDE},{SIDE},0.143,0.143{end}")
    for version, file in ((2020, "Data_Entry_2017_v2020.csv"), (2017, "Data_Entry_2017.csv")):
        (out / file).write_text("\n".join([*rows[version], ""]), encoding="utf-8")
    for file, names in lists.items():
        (out / file).write_text("\n".join(names), encoding="utf-8")


def write_chexpert(out: Path, patients: int, seed: int) -> None:
    """Write ``patients`` with two studies each, one of them with a lateral view, and both lists."""
    rng = stream("chexpert", seed)
    valid = max(round(TESTED * patients), 1)
    labels = held(rng, (patients - valid, valid), READ, 2)
    rows: dict[str, list[dict[str, object]]] = {"train": [], "valid": []}
    for number, own in enumerate(labels):
        part = "valid" if number >= patients - valid else "train"
        for study, signs in enumerate(own, 1):
            cells = _cells(rng, signs, sure=part == "valid")
            for view, projection in enumerate(("frontal", "lateral")[: 1 + (number + study) % 2], 1):
                name = f"{part}/patient{number + 1:05d}/study{study}/view{view}_{projection}.jpg"
                path = out / "CheXpert-v1.0-small" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                width = WIDTHS[0] if projection == "lateral" else WIDTHS[1]
                shown = {READ[sign] for sign in signs}
                image = picture(stream("chexpert", seed, name), width, HEIGHT, shown)
                Image.fromarray(image).save(path, quality=90)
                rows[part].append({
                    "Path": f"CheXpert-v1.0-small/{name}", "Sex": ("Male", "Female")[number % 2],
                    "Age": 40 + number % 40, "Frontal/Lateral": projection.capitalize(),
                    "AP/PA": "AP" if projection == "frontal" else "", **cells,
                })  # fmt: skip
    for part, table in rows.items():
        columns: dict[str, object] = dict.fromkeys(CHEXPERT_COLUMNS, "")
        write_csv(
            out / "CheXpert-v1.0-small" / f"{part}.csv", CHEXPERT_COLUMNS, [columns | row for row in table]
        )


def _cells(rng: np.random.Generator, signs: Collection[str], *, sure: bool) -> Mapping[str, str]:
    """What a report is read to say of each label: 1.0, 0.0, -1.0 for uncertain, or nothing."""
    cells = {}
    for name in READ:
        doubt, silent = rng.random(2)
        cells[name] = "1.0" if name in signs else "0.0"
        if not sure and doubt < DOUBT:
            cells[name] = "-1.0"
        elif not sure and name not in signs and silent < SILENT:
            cells[name] = ""
    return cells
