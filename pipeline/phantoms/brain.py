"""The Kaggle brain set: pictures of all sizes and modes in ``yes`` and ``no``, and public lesion centres.

A lesion is a ragged blob, from faint to bright; pictures without one show the same brains. Some pictures are
copies of others, re-encoded or rescaled, as in the real set.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.files import write_csv
from pipeline.phantoms.shapes import Lesion, ellipse, lesion, waves
from pipeline.seeds import stream

CENTRES = "lesion-centres-public-annotations.csv"
COLUMNS = (
    "kaggle_file",
    "source",
    "cx",
    "cy",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "width",
    "height",
    "area_fraction",
)
KINDS = (("jpg", "JPEG", "RGB"), ("JPG", "JPEG", "RGB"), ("jpg", "JPEG", "L"), ("jpeg", "JPEG", "RGB"),
         ("png", "PNG", "L"), ("jpg", "PNG", "RGBA"), ("jpg", "PNG", "P"), ("PNG", "PNG", "RGB"))  # fmt: skip
"""Extension, format and mode; the extension does not tell the format."""
LESION_SHARE = 0.6
COPIES = 0.15
RADIUS = (0.08, 0.26)
"""Of the smaller half axis of the head, from the faintest look to the clearest."""
GREY = (105, 165)
"""Of lesions, from the faintest look to the clearest; tissue has 95 ± 32."""
EDGE = 0.1
"""Over which lesions fade, in the same unit as RADIUS."""
FINE = 14
"""Fine structure of tissue and lesions, in grey values."""


def write_brain(out: Path, patients: int, seed: int) -> None:
    """Write ``patients`` different pictures, copies of some, and the centres of the lesions below ``out``."""
    rng = stream("brain", seed)
    lesions = round(LESION_SHARE * patients)
    rows: list[dict[str, object]] = []
    for number in range(patients):
        folder, index = ("yes", number + 1) if number < lesions else ("no", number - lesions + 1)
        picture, spot = _picture(stream("brain", seed, number), folder == "yes")
        rows += _write(out, folder, index, picture, spot, int(rng.integers(len(KINDS))))
        if rng.random() < COPIES:
            scale = float(rng.choice([0.75, 1.0, 1.3]))
            rows += _write(out, folder, 200 + index, picture, spot, int(rng.integers(3)), scale)
    write_csv(out / CENTRES, COLUMNS, sorted(rows, key=lambda row: str(row["kaggle_file"])))


def _picture(rng: np.random.Generator, with_lesion: bool) -> tuple[np.ndarray, Lesion | None]:
    """A grey picture (rows, columns), 0 … 255, and its lesion in pixels."""
    width, height = (int(v) for v in rng.integers(180, 420, size=2))
    half = min(width, height) * rng.uniform(0.38, 0.47, size=2)
    turn = rng.uniform(-0.5, 0.5)
    middle = np.array([width - 1, height - 1]) / 2 + rng.uniform(-0.05, 0.05, size=2) * (width, height)
    u, v = np.meshgrid(np.arange(width) - middle[0], np.arange(height) - middle[1])
    u, v = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    scale = float(half.min())
    head, brain = ellipse(u, v, half[0], half[1], 2), ellipse(u, v, half[0] * 0.88, half[1] * 0.88, 2)
    tissue = 95 + 32 * waves(rng, 0.9 * scale, count=6)(u, v) + FINE * waves(rng, 0.2 * scale)(u, v)
    for side in (-1, 1):
        half_u, half_v = scale * rng.uniform(0.06, 0.2, size=2)
        tissue -= 55 * ellipse(u - side * 0.16 * scale, v, half_u, half_v, 3)
    grey = 190 * (head - brain) + brain * tissue
    spot = None
    if with_lesion:
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.5)
        centre = (float(distance * half[0] * np.cos(angle)), float(distance * half[1] * np.sin(angle)), 0.0)
        spot = lesion(rng, centre, True, radius=(RADIUS[0] * scale, RADIUS[1] * scale))
        inside = spot.membership(u, v, 0.0, edge=EDGE * scale)
        shade = GREY[0] + (GREY[1] - GREY[0]) * spot.signal
        grey += inside * (shade + FINE * waves(rng, 0.12 * scale)(u, v) - grey)
        column = middle[0] + centre[0] * np.cos(turn) - centre[1] * np.sin(turn)
        row = middle[1] + centre[0] * np.sin(turn) + centre[1] * np.cos(turn)
        spot = Lesion((float(column), float(row), 0.0), spot.radius)
    return np.clip(grey + 4 * rng.normal(size=grey.shape), 0, 255), spot


def _write(
    out: Path, folder: str, index: int, grey: np.ndarray, spot: Lesion | None, kind: int, scale: float = 1.0
) -> list[dict[str, object]]:
    """Write one file and return its rows of the centres table, one per public source."""
    extension, form, mode = KINDS[kind]
    name = f"Y{index}.{extension}" if folder == "yes" else f"{index} no.{extension}"
    image = Image.fromarray(np.rint(grey).astype("u1"))
    if scale != 1.0:
        image = image.resize(
            (round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC
        )
    path = out / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image.convert(mode).save(path, form, **({"quality": 85} if form == "JPEG" else {}))
    if spot is None:
        return []
    # Pixel centres at integers: a picture twice as wide has its pixel 0.5 where the pixel 0 was.
    column, row = ((value + 0.5) * scale - 0.5 for value in spot.centre[:2])
    radius = spot.radius * scale
    share = np.pi * radius**2 / image.width / image.height
    rows = []
    for source, shift in (("mask", 0.0), ("polygon 0", 0.8)):
        x, y = column + shift, row - shift
        rows.append({
            "kaggle_file": f"{folder}/{name}", "source": source, "cx": f"{x:.1f}", "cy": f"{y:.1f}",
            "xmin": round(x - radius), "ymin": round(y - radius), "xmax": round(x + radius),
            "ymax": round(y + radius), "width": image.width, "height": image.height,
            "area_fraction": f"{share:.4f}" if source == "mask" else "",
        })  # fmt: skip
    return rows
