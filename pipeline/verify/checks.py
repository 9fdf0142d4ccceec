"""Checks of one data set that a number stands or falls with: dots, cuts, finite values, crops, places.

Each is a :class:`Check`: a row of verify.csv.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist

from pipeline.card import moments
from pipeline.datasets.neighbours import of_channels
from pipeline.errors import InputError, StoreError
from pipeline.files import EXTENT
from pipeline.patches.cut import SPOT_COLUMNS
from pipeline.patches.normalization import BLANK_SHARE
from pipeline.patches.views import Frame, View, frame_of, resample, view_table
from pipeline.pool import parallel
from pipeline.readers import stacks
from pipeline.readers.geometry import POSITION_TOLERANCE_MM, ordered, plane, steps_meant
from pipeline.report.red_dots import ONE_PIXEL, dot_offsets
from pipeline.slice_store import SourceSlice, read_slice
from pipeline.store import StoreInfo, read_patches

OK, WARNING, FAILED, NONE = "ok", "warning", "failed", "not applicable"
COLUMNS = ("check", "result", "count", "detail")
KEY = ["patient_id", "finding_id"]
NAMED = 5
"""Cases that a check names."""
RECUT_TOLERANCE = 1e-4
"""Largest difference of a stored patch from the same cut made again, in standard deviations."""
BLACK = 0.02
"""Part of a slice's range above its darkest value that counts as black."""
ALIGNED_MM = 0.1
"""Largest distance between the points of one finding on several channels; files round to 1/10,000 px."""


@dataclass(frozen=True)
class Check:
    """One check: ok, warning, failed or not applicable; how many cases it is about; what was seen."""

    check: str
    result: str
    count: int
    detail: str


def named(cases: Sequence[object]) -> str:
    """The first few of some cases, and how many more there are.

    >>> named(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    more = f" and {len(cases) - NAMED} more" if len(cases) > NAMED else ""
    return ", ".join(map(str, cases[:NAMED])) + more


@dataclass(frozen=True)
class Look:
    """What the patches of a finding on one channel show.

    ``dot_px`` is the largest distance of a painted dot from the patch centre over all stored views,
    ``difference`` that of stored patches from the same cuts made again; ``black`` and ``outside`` are the
    shares of view 0 that are black or outside the slice; ``facts`` are what :func:`facts` knows.
    """

    row: int
    """Of findings.csv."""
    case: str
    not_finite: int
    dot_px: float
    difference: float
    black: float
    outside: float
    facts: dict[str, float]


def border_share(pixels: np.ndarray) -> float:
    """The share of a slice (rows, columns) outside the smallest box that holds all that is not black."""
    bright = pixels > float(pixels.min()) + BLACK * float(np.ptp(pixels))
    box = [np.flatnonzero(bright.any(axis)) for axis in (0, 1)]
    inside = np.prod([places[-1] - places[0] + 1 if places.size else 0 for places in box])
    return float(1 - inside / pixels.size)


def facts(source: SourceSlice, patch: np.ndarray, frame: Frame) -> dict[str, float]:
    """Numbers of a slice, its un-augmented patch and the patch's place, by what they are called."""
    rows, columns = source.pixels.shape
    with np.errstate(invalid="ignore"):  # what is not finite has a check of its own
        of_slice, of_patch = moments(source.pixels), moments(patch)
    # The middle of an even number of pixels is half a pixel off that of an odd one, which is no place.
    across, down = (round((at + 0.5) / size, 2) for at, size in ((frame.column, columns), (frame.row, rows)))
    return {
        "image width": columns, "image height": rows, "aspect": columns / rows,
        "black border": border_share(source.pixels),
        "place of the patch, across": across, "place of the patch, down": down,
        "place of the patch, from the middle": float(np.hypot(across - 0.5, down - 0.5).round(6)),
        "series mean": source.mean, "series SD": source.std,
        "slice mean": of_slice[0], "slice SD": of_slice[1],
        "patch mean": of_patch[0], "patch SD": of_patch[1],
    }  # fmt: skip


def outside_share(frame: Frame, shape: tuple[int, ...]) -> float:
    """The share of the un-augmented patch that lies outside a slice of ``shape`` (rows, columns)."""
    matrix = frame.matrix(View())
    grid = np.indices((frame.side, frame.side)).reshape(2, -1)
    places = matrix[:, :2] @ grid + matrix[:, 2:]
    inside = (places >= -0.5).all(axis=0) & (places[0] < shape[0] - 0.5) & (places[1] < shape[1] - 0.5)
    return float(1 - inside.mean())


def look(
    numbers: tuple[int, tuple[int, ...]], info: StoreInfo, findings: pd.DataFrame, slices: Path
) -> list[Look]:
    """Look at one finding: its number in the store, and the row numbers of findings.csv of its channels.

    Raises StoreError where the store holds a finding without a slice, or a checksum does not hold.
    """
    number, rows = numbers
    patches = read_patches(info.path, [number], [info.stored])
    patient, finding = (str(info.findings[name].iloc[number]) for name in KEY)
    views = view_table(info.stored, info.provenance["view_seed"], patient, finding)
    again = sorted({0, info.stored - 1})
    looks = []
    for channel, row in enumerate(rows):
        source = read_slice(slices, row)
        if source is None:
            raise StoreError("none", file=slices, expected=f"the slice of row {row} of findings.csv")
        spot = (float(findings[name].iloc[row] or "nan") for name in SPOT_COLUMNS)
        extent = findings[EXTENT].iloc[row] if EXTENT in findings else ""
        frame = frame_of(extent or info.provenance["extent"], source.pixels.shape, *spot, side=info.side)
        stored, normalized = patches[:, channel], source.normalized
        recut = resample(normalized, frame, [views[view] for view in again])
        darkest = float(normalized.min()) + BLACK * float(np.ptp(normalized))
        outside = outside_share(frame, source.pixels.shape)
        looks.append(
            Look(
                row=row,
                case=f"{patient} {finding} {info.channels[channel]}",
                not_finite=int((~np.isfinite(stored)).sum() + (~np.isfinite(source.pixels)).sum()),
                dot_px=float(np.hypot(*dot_offsets(source.pixels.shape, frame, views).T).max()),
                difference=float(np.abs(recut - stored[again]).max()),
                # What lies outside the slice is 0, the series' mean: it is as empty as what is black.
                black=min(float((stored[0] <= darkest).mean()) + outside, 1.0),
                outside=outside,
                facts=facts(source, stored[0], frame),
            )
        )
    return looks


def looks(info: StoreInfo, findings: pd.DataFrame, slices: Path, *, processes: int = 1) -> list[Look]:
    """A look at every finding of the store on every channel; ``findings`` is findings.csv."""
    keys = zip(findings["patient_id"], findings["finding_id"], findings["channel"], strict=True)
    row_of = dict(zip(keys, range(len(findings)), strict=True))
    cases = info.findings[KEY].itertuples(index=False, name=None)
    todo = [
        (number, tuple(row_of[*case, channel] for channel in info.channels))
        for number, case in enumerate(cases)
    ]
    work = functools.partial(look, info=info, findings=findings, slices=slices)
    found = parallel(work, todo, processes=processes, label="looking at patches")
    return [one for several in found for one in several]


def patch_checks(seen: Sequence[Look]) -> Iterator[Check]:
    """What patches have to pass: finite values, cuts as the code makes them, centred dots, not black."""
    bad = [one.case for one in seen if one.not_finite]
    detail = f"NaN or Inf in {named(bad)}" if bad else f"all values of {len(seen)} slices and their patches"
    yield Check("finite", FAILED if bad else OK, len(bad), detail)
    worst = max((one.difference for one in seen), default=0.0)
    # Written so that a NaN counts as a difference.
    bad = [one.case for one in seen if not one.difference <= RECUT_TOLERANCE]
    detail = (
        f"other patches than the code cuts now: {named(bad)}"
        if bad
        else f"recut patches differ by ≤ {worst:.1g}"
    )
    yield Check("cuts", FAILED if bad else OK, len(bad), detail)
    worst = max((one.dot_px for one in seen), default=0.0)
    bad = [one.case for one in seen if not one.dot_px <= ONE_PIXEL]
    detail = (
        f"a dot is up to {worst:.2f} px off the centre: {named(bad)}"
        if bad
        else f"dots ≤ {worst:.2f} px off the centre"
    )
    yield Check("red dots", FAILED if bad else OK, len(bad), detail)
    bad = [one.case for one in seen if one.black > BLANK_SHARE]
    darkest = max((one.black for one in seen), default=0.0)
    detail = f"nothing but black: {named(bad)}" if bad else f"at most {darkest:.0%} of a patch is black"
    yield Check("black crops", FAILED if bad else OK, len(bad), detail)
    bad = [f"{one.case} ({one.outside:.0%})" for one in seen if one.outside > 0.5]
    farthest = max((one.outside for one in seen), default=0.0)
    detail = (
        f"more than half outside the image: {named(bad)}"
        if bad
        else f"at most {farthest:.0%} of a patch is outside"
    )
    yield Check("crops inside", WARNING if bad else OK, len(bad), detail)


def alignment(findings: pd.DataFrame, index: pd.DataFrame) -> Check:
    """Whether the channels of each finding show the same point in space (F-071); LPS, mm."""
    name = "alignment"
    if of_channels([*findings["channel"].unique()]):
        return Check(name, NONE, 0, "channels are slices beside each other, and meant to lie apart")
    files = index[index["format"] == "dicom"].set_index("file", drop=False)
    rows = findings[findings["file"].isin(files.index)]
    rows = rows[rows.groupby(KEY)["channel"].transform("size") > 1]
    if rows.empty:
        return Check(name, NONE, 0, "no finding on several channels of DICOM")
    spots = rows[["column", "row", "plane_distance_mm"]].astype(float).to_numpy()
    points = np.array(
        [plane(files.loc[file]).to_world(*spot) for file, spot in zip(rows["file"], spots, strict=True)]
    )
    apart = {
        " ".join(case): float(pdist(points[numbers]).max(initial=0))
        for case, numbers in rows.groupby(KEY).indices.items()
    }
    studies = rows.groupby(KEY)["study_uid"].nunique()
    off = [f"{case} ({mm:.1f} mm)" for case, mm in apart.items() if mm > ALIGNED_MM]
    mixed = [" ".join(case) for case in studies.index[studies > 1]]
    parts = [f"channels agree to {max(apart.values()):.3f} mm; findings: {len(apart)}"]
    if off:
        parts = [f"channels at other points: {named(off)}"]
    if mixed:
        parts.append(f"channels of several studies: {named(mixed)}")
    return Check(name, WARNING if off or mixed else OK, len(off) + len(mixed), "; ".join(parts))


def half_spacings(findings: pd.DataFrame, index: pd.DataFrame) -> np.ndarray:
    """Half the slice spacing in mm of the series of each row of findings.csv; NaN where it is not known."""
    dicoms = index[index["format"] == "dicom"]
    numbers = stacks.numbers(dicoms)
    key_of = dict(zip(dicoms["file"], numbers, strict=True))
    wanted = {key_of[file] for file in findings["file"] if file in key_of}
    half: dict[object, float] = {}
    for key, series in dicoms.groupby(numbers):
        if key in wanted:
            try:
                _, positions = ordered(series)
            except InputError:
                continue  # slices of one place by the published rule, which asks for no geometry
            half[key] = float(steps_meant(np.diff(positions)).max()) / 2 if len(positions) > 1 else np.nan
    return np.array([half.get(key_of.get(file), np.nan) for file in findings["file"]], float)


def slice_places(findings: pd.DataFrame, index: pd.DataFrame) -> Check:
    """Whether each finding lies within half a slice spacing of the slice that was taken.

    Not of slices beside it, which are the nearest on their side.
    """
    beside = [name for name, mm in of_channels([*findings["channel"].unique()]).items() if mm]
    findings = findings[~findings["channel"].isin(beside)].reset_index(drop=True)
    distance = pd.to_numeric(findings["plane_distance_mm"], errors="coerce").abs().to_numpy(float)
    half = half_spacings(findings, index)
    known = np.isfinite(half) & np.isfinite(distance)
    if not known.any():
        return Check("slices", NONE, 0, "no finding in a series of known geometry")
    off = known & (distance > half + POSITION_TOLERANCE_MM)
    cases = findings[[*KEY, "channel"]].agg(" ".join, axis=1)
    numbers = np.flatnonzero(off)[np.argsort(-distance[off], kind="stable")]
    away = named([f"{cases.iloc[number]} ({distance[number]:.1f} mm)" for number in numbers])
    seen, middle = distance[known], np.median(distance[known])
    detail = f"{len(seen)} points lie {middle:.2f} mm from their slices (median), at most {seen.max():.2f} mm"
    if off.any():
        detail = f"more than half a slice spacing away: {away}"
    return Check("slices", WARNING if off.any() else OK, int(off.sum()), detail)


def failed(table: pd.DataFrame) -> str:
    """The failed checks of a verify.csv in a line; empty where there is none."""
    bad = table[table["result"] == FAILED]
    return "; ".join(f"{name}: {detail}" for name, detail in zip(bad["check"], bad["detail"], strict=True))
