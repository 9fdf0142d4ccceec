"""The official screenshots of PROSTATEx as an oracle: in which slice of the series is what they show (F-076).

``ProstateX-Screenshots-Train.zip`` holds a piece of the image around each finding, named for example
``ProstateX-0000-Finding1-t2_tse_tra0.bmp``. Neither slice rule had a hand in them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image
from scipy.signal import fftconvolve

from pipeline.errors import InputError
from pipeline.readers.geometry import POSITION_TOLERANCE_MM, ordered
from pipeline.readers.pixels import read_pixels
from pipeline.verify.checks import NONE, OK, WARNING, Check, named

NAME = re.compile(r"(?P<patient>ProstateX-\d+)-Finding(?P<finding>\d+)-(?P<series>.+)\.bmp", re.IGNORECASE)
LEAST_CORRELATION = 0.8
"""A screenshot counts as found in a slice from this correlation on."""


@dataclass(frozen=True)
class Match:
    """Where a screenshot was found: its correlation, the slice, and how far the slices of both rules are."""

    patient_id: str
    finding_id: str
    channel: str
    correlation: float
    instance: int
    geometry_mm: float
    paper_mm: float
    half_spacing_mm: float


@dataclass(frozen=True)
class Shots:
    """The screenshots looked for in their series, those not read, and how many are of no chosen series."""

    found: list[Match]
    unread: list[str]
    others: int = 0


def correlation(image: np.ndarray, piece: np.ndarray) -> float:
    """The largest correlation coefficient of ``piece`` with any part of ``image`` of its size (−1 … 1)."""
    template = piece - piece.mean()
    norm = float(np.sqrt((template**2).sum()))
    ones = np.ones(piece.shape)
    image = image - image.mean()
    sums = fftconvolve(image, ones, mode="valid")
    energy = fftconvolve(image**2, ones, mode="valid") - sums**2 / piece.size
    product = fftconvolve(image, template[::-1, ::-1], mode="valid")
    # Where a part has (almost) one value, rounding would be divided by rounding.
    known = energy > 1e-6 * max(float(energy.max()), 1e-12)
    if norm == 0 or not known.any():
        return 0.0
    return float((product[known] / np.sqrt(energy[known])).max() / norm)


def fitted(picture: Image.Image, shape: tuple[int, ...]) -> np.ndarray:
    """A screenshot as grey values (rows, columns); one larger than the image is taken for all of it."""
    grey = picture.convert("L")
    if grey.height > shape[0] or grey.width > shape[1]:
        grey = grey.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(grey, float)


def listed(documents: Iterable[str]) -> dict[tuple[str, str], dict[str, str]]:
    """The screenshots among the documents of a raw folder, by patient and finding, then series and number."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for file in sorted(documents):
        match = NAME.fullmatch(PurePosixPath(file).name)
        if match:
            patient, finding, series = (part.casefold() for part in match.groups())
            found.setdefault((patient, finding), {}).setdefault(series, file)
    return found


def match(choice: pd.Series, series: pd.DataFrame, raw: Path, file: str) -> Match:
    """Find a screenshot in the series that was chosen for its finding; raises what readers raise."""
    slices, positions = ordered(series)
    values = [read_pixels(raw / name).values for name in slices["file"]]
    with Image.open(raw / file, formats=("BMP",)) as picture:
        piece = fitted(picture, values[0].shape)
    scores = [correlation(image, piece) for image in values]
    best = int(np.argmax(scores))
    numbers = slices["instance_number"].to_numpy(float)

    def away(instance: object) -> float:
        places = positions[numbers == float(str(instance) or "nan")]
        return float(abs(places[0] - positions[best])) if len(places) else float("nan")

    return Match(
        choice["patient_id"], choice["finding_id"], choice["channel"], scores[best], int(numbers[best]),
        away(choice["geometry_instance"]), away(choice["paper_instance"]),
        float(np.median(np.diff(positions))) / 2 if len(positions) > 1 else float("nan"),
    )  # fmt: skip


def matches(choices: pd.DataFrame, index: pd.DataFrame, raw: Path, documents: Iterable[str]) -> Shots:
    """Look for every screenshot that belongs to a row of choices.csv in the series chosen there."""
    pictures = listed(documents)
    others = {file for files in pictures.values() for file in files.values()}
    found: list[Match] = []
    unread: list[str] = []
    for _, choice in choices.iterrows() if pictures else ():
        files = pictures.get((choice["patient_id"].casefold(), choice["finding_id"]), {})
        numbered = re.compile(re.escape(choice["chosen_description"].casefold()) + r"\d+")
        own = sorted(filter(numbered.fullmatch, files), key=lambda name: (len(name), name))
        if not own:
            continue
        others -= {files[name] for name in own}
        file = files[own[0]]
        series = index[index["series_uid"] == choice["chosen_series_uid"]]
        series = series[series["b_value"].isna() | (series["b_value"] == series["b_value"].max())]
        try:
            found.append(match(choice, series, raw, file))
        except (InputError, OSError, ValueError, Image.DecompressionBombError) as error:
            unread.append(f"{file} ({error})")
    return Shots(found, unread, len(others))


def check(shots: Shots) -> Check:
    """Whether the slices by geometry are those of the screenshots."""
    found, unread = shots.found, shots.unread
    if not found and not unread and not shots.others:
        return Check("screenshots", NONE, 0, "no official screenshots (….bmp) below the raw folder")
    sure = [one for one in found if one.correlation >= LEAST_CORRELATION]
    off = [one for one in sure if not one.geometry_mm <= one.half_spacing_mm + POSITION_TOLERANCE_MM]
    paper = sum(not one.paper_mm <= one.half_spacing_mm + POSITION_TOLERANCE_MM for one in sure)
    detail = (
        f"{len(sure)} of {len(found)} found in a slice; another one than geometry's in {len(off)}, "
        f"than the published rule's in {paper}"
    )
    if off:
        detail += f": {named([f'{one.patient_id} {one.finding_id} {one.channel}' for one in off])}"
    if unread:
        detail += f"; not read: {named(unread)}"
    if shots.others:
        detail += f"; of no chosen series: {shots.others}"
    bad = bool(off or unread or len(sure) < len(found) or not found)
    return Check("screenshots", WARNING if bad else OK, len(off), detail)
