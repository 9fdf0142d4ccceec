"""Shortcuts: what a network could tell the classes apart by without looking at the disease.

Each cue alone, such as image size, scanner or black border, gets the AUROC that it reaches against the label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
from scipy.special import expit, logit, stdtrit

from pipeline.card import measure
from pipeline.classes import UNKNOWN
from pipeline.errors import InputError
from pipeline.readers import dicom, images
from pipeline.readers.images import jpeg
from pipeline.report.drawing import spread
from pipeline.slice_store import SliceFacts
from pipeline.store import StoreInfo
from pipeline.verify.checks import NONE, OK, WARNING, Check, Look, named

KINDS = ("file format", "scanner", "modality", "image size")
"""Cues that are one of several kinds."""
PLAIN = {
    "spacing_column_mm": "pixel spacing across",
    "spacing_row_mm": "pixel spacing down",
    "slice_thickness_mm": "slice thickness",
    "slices": "slices in the series",
}
"""Numbers of :func:`pipeline.card.measure` that are cues, and what they are called."""
QUALITY = "JPEG quality"
BRIGHTNESS = ("series mean", "series SD", "slice mean", "slice SD", "patch mean", "patch SD")
"""What may be the disease itself: told, and never a warning."""
LEAST = 10
"""Groups with a finding of the class, and without, below which no AUROC is told."""
MOST = 2000
"""Findings that are looked at, evenly spread: pairs are compared one by one."""
SUSPICIOUS = 0.65
"""AUROC from which on a cue is a warning, where its interval lies above one half."""
CAPTION = (
    "Each row is one cue alone: the AUROC is how often it ranks a finding of the class above one of the "
    "rest, with a 95 % interval over groups. 0.5 says nothing. Numbers are turned so that they reach at "
    "least 0.5. Kinds, such as scanners, are ranked by their share of the class among the other groups; "
    "below 0.5 that share does not carry over. A warning (0.65 or more, and an interval above 0.5) "
    "means that a network may learn the cue in place of the disease: find out how the classes were "
    "collected. Brightness may be the disease itself, so it is told without a verdict. In a small set "
    "a single weak warning may be chance: there are many cues."
)


@dataclass(frozen=True)
class Cue:
    """What one cue tells of one class against the rest, on one channel."""

    name: str
    channel: str
    of: str
    """The class."""
    findings: int
    area: float
    """AUROC; of numbers at least one half."""
    low: float
    high: float
    """Ends of the 95 % interval; both are ``area`` where it has no width."""
    direction: str = ""
    """Of numbers: larger or smaller in the class."""

    @property
    def suspicious(self) -> bool:
        """Whether it is a warning."""
        return self.name not in BRIGHTNESS and self.area >= SUSPICIOUS and self.low > 0.5

    def __str__(self) -> str:
        way = f", {self.direction} in {self.of}" if self.direction else f" for {self.of}"
        return f"{self.name} ({self.channel}) {self.area:.2f} [{self.low:.2f}, {self.high:.2f}]{way}"


def numeric_wins(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Of each pair of a positive (n1,) and a negative (n0,): 1 where the positive is larger, half a tie."""
    wins: np.ndarray = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return wins


def kind_wins(kinds: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Of each pair of a positive and a negative finding whether the positive's kind has more positives.

    Shares of positives are those among all *other* groups than the two of the pair (leave-pair-out, Airola et
    al. 2011), so that no finding vouches for itself. Pairs of one kind are ties, and so are those with a kind
    that no other group has.

    Parameters
    ----------
    kinds, truth, groups : (n,) codes from 0; truth is bool.

    Returns
    -------
    (positives, negatives) of 0, one half or 1.
    """
    shape = groups.max() + 1, kinds.max() + 1
    of_class = []
    for chosen in (truth, ~truth):
        counts = np.zeros(shape, "i4")
        np.add.at(counts, (groups[chosen], kinds[chosen]), 1)
        of_class.append(counts)
    ones, zeros = np.flatnonzero(truth)[:, None], np.flatnonzero(~truth)
    other = groups[ones] != groups[zeros]

    def share(kind: np.ndarray) -> np.ndarray:
        """Of positives among a kind's findings without the groups of the pair; NaN where none is left."""
        positives, negatives = (
            counts.sum(0)[kind] - counts[groups[ones], kind] - other * counts[groups[zeros], kind]
            for counts in of_class
        )
        every = positives + negatives
        found: np.ndarray = np.divide(positives, every, out=np.full(every.shape, np.nan), where=every > 0)
        return found

    left, right = share(kinds[ones]), share(kinds[zeros])
    wins = (left > right) + 0.5 * (left == right)
    return np.where((kinds[ones] == kinds[zeros]) | np.isnan(left) | np.isnan(right), 0.5, wins)


def interval(wins: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> tuple[float, float, float]:
    """AUROC of pairs (n1, n0) and the ends of its 95 % interval for other groups, on the scale of the logit.

    Obuchowski's (1997) variance and the quantile of t, as ``model.evaluation.delong`` has them of ranks;
    ``positive`` (n1,) and ``negative`` (n0,) are the groups as codes from 0. At least two on either side.
    """
    area = float(wins.mean())
    size = max(positive.max(), negative.max()) + 1
    x = np.bincount(positive, (wins.mean(1) - area) / len(positive), size)
    y = np.bincount(negative, (wins.mean(0) - area) / len(negative), size)
    ones, zeros = np.unique(positive).size, np.unique(negative).size
    both = np.union1d(positive, negative).size
    variance = float(ones / (ones - 1) * x @ x + zeros / (zeros - 1) * y @ y + 2 * both / (both - 1) * x @ y)
    if variance < 1e-12 or not 0 < area < 1:
        return area, area, area
    half = stdtrit(min(ones, zeros) - 1, 0.975) * np.sqrt(variance) / (area * (1 - area))
    low, high = expit(logit(area) + np.array([-half, half]))
    return area, float(low), float(high)


def quality(path: Path, kind: str) -> float:
    """The JPEG quality of a picture, or of a DICOM file; NaN where it is no JPEG or cannot be read."""
    try:
        if kind == "dicom":
            content = dicom.read_jpeg(path)
            known = None if content is None else jpeg.read_luminance(content)
        else:
            known = images.read_quantization(path) if kind == "image" else None
    except (InputError, OSError):
        return np.nan
    return np.nan if known is None else float(jpeg.quality(known))


def qualities(rows: pd.DataFrame, kinds: Sequence[str], raw: Path) -> np.ndarray:
    """Those of the files of rows, all channels of one finding after another.

    The files of MOST findings are opened, evenly spread: no more count.
    """
    found, channels = np.full(len(rows), np.nan), rows["channel"].nunique()
    for first in spread(np.arange(0, len(rows), channels), MOST):
        for number in range(first, first + channels):
            found[number] = quality(raw / rows["file"].iloc[number], kinds[number])
    return found


def table(
    findings: pd.DataFrame, index: pd.DataFrame, seen: Sequence[Look], raw: Path | None = None
) -> pd.DataFrame:
    """All cues of each look, text for kinds and numbers for the rest, with its channel."""
    rows = findings.iloc[[one.row for one in seen]]
    facts = pd.DataFrame([one.facts for one in seen])
    slices = [
        SliceFacts(int(height), int(width), mean, sd)
        for height, width, mean, sd in facts[
            ["image height", "image width", "series mean", "series SD"]
        ].to_numpy()
    ]
    patches = list(zip(facts["patch mean"], facts["patch SD"], strict=True))
    measured = measure(rows, index, slices, patches)
    of_file = index.set_index("file").loc[rows["file"]]
    suffix = np.array([PurePath(file).suffix.lower() for file in rows["file"]], object)
    made = {
        "channel": measured["channel"],
        "file format": np.where(measured["format"] == "image", suffix, measured["format"]),
        "scanner": (of_file["manufacturer"] + " " + of_file["model"]).to_numpy(),
        "modality": measured["modality"],
        "image size": facts["image width"].astype(str) + " × " + facts["image height"].astype(str),
        **({} if raw is None else {QUALITY: qualities(rows, measured["format"].tolist(), raw)}),
        **{title: measured[name].astype(float) for name, title in PLAIN.items()},
    }
    return pd.concat([pd.DataFrame(made), facts], axis=1)


def _cue(
    name: str, channel: str, of: str, values: pd.Series, truth: np.ndarray, groups: np.ndarray
) -> Cue | None:
    known = truth != UNKNOWN
    if name not in KINDS:
        known &= np.isfinite(values.to_numpy(float))
    chosen = spread(np.flatnonzero(known), MOST) if known.any() else []
    some, own = values.iloc[chosen], pd.factorize(groups[chosen])[0]
    has = truth[chosen] == 1
    if some.nunique() < 2 or min(np.unique(own[part]).size for part in (has, ~has)) < LEAST:
        return None
    direction = ""
    if name in KINDS:
        wins = kind_wins(pd.factorize(some)[0], has, own)
    else:
        numbers = some.to_numpy(float)
        wins = numeric_wins(numbers[has], numbers[~has])
        direction = "larger" if wins.mean() >= 0.5 else "smaller"
        wins = wins if direction == "larger" else 1 - wins
    return Cue(name, channel, of, len(chosen), *interval(wins, own[has], own[~has]), direction)


def cues(
    info: StoreInfo,
    findings: pd.DataFrame,
    index: pd.DataFrame,
    seen: Sequence[Look],
    raw: Path | None = None,
) -> list[Cue]:
    """What each cue that varies tells of the findings of a store, on each channel, in the order of the page.

    Of several classes or labels it is the one that the cue tells best. Cues with fewer than LEAST groups on
    either side are left out. With ``raw``, the folder of the files, JPEG quality is one of them.
    """
    if not seen:
        return []
    every = table(findings, index, seen, raw)
    # Looks follow the findings of the store, all channels of one after another.
    truth, groups = info.classes.truth(info.findings), info.findings["group_id"].to_numpy(object)
    found = []
    for name in every.columns.drop("channel"):
        for number, channel in enumerate(info.channels):
            values = every[name].iloc[number :: len(info.channels)]
            made = [
                _cue(name, channel, of, values, truth[:, place], groups)
                for place, of in enumerate(info.classes.problems)
            ]
            found.append(max((cue for cue in made if cue), key=lambda cue: cue.area, default=None))
    return [cue for cue in found if cue]


def check(cues: Sequence[Cue]) -> Check:
    """Whether a cue alone tells the classes apart."""
    judged = sorted((cue for cue in cues if cue.name not in BRIGHTNESS), key=lambda cue: -cue.area)
    if not judged:
        detail = f"no cue that varies, or fewer than {LEAST} groups of a class"
        return Check("shortcuts", NONE, 0, detail)
    bad = [cue for cue in judged if cue.suspicious]
    if bad:
        return Check("shortcuts", WARNING, len(bad), f"alone tells the classes apart, AUROC: {named(bad)}")
    return Check("shortcuts", OK, 0, f"largest AUROC of a cue alone: {judged[0]}; cues: {len(judged)}")


def cue_rows(cues: Sequence[Cue]) -> list[dict[str, object]]:
    """Rows of the page, the verdict last."""
    rows: list[dict[str, object]] = []
    for cue in cues:
        told = "told only" if cue.name in BRIGHTNESS else WARNING if cue.suspicious else OK
        row = {
            "cue": cue.name, "channel": cue.channel, "class": cue.of, "findings": cue.findings,
            "AUROC": f"{cue.area:.3f}", "95 % interval": f"[{cue.low:.3f}, {cue.high:.3f}]",
            "in the class": cue.direction, "result": told,
        }  # fmt: skip
        rows.append(row)
    return rows
