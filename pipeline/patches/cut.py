"""Cut the views of every finding out of its slices into the patch store."""

import argparse
import functools
import importlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.classes import Classes, as_numbers
from pipeline.cli import run_cli
from pipeline.errors import ConstantImageError, EmptyError, InputError, MissingTagError
from pipeline.files import EXTENT, SKIPPED_COLUMNS, read_csv, sha256, skip, write_csv
from pipeline.patches import online
from pipeline.patches.ranges import USUAL, Ranges
from pipeline.patches.views import MOST_VIEWS, frame_of, resample, view_table
from pipeline.pool import parallel
from pipeline.slice_store import SourceSlice, read_slice
from pipeline.store import AUGMENTATIONS, PATCH_SIDE, write_store

log = logging.getLogger("typhon")

SPOT_COLUMNS = ("column", "row", "spacing_column_mm", "spacing_row_mm")
"""The columns of findings.csv that place a patch."""
LEAST_CONTRAST = 1e-3
"""Range of a patch, in standard deviations of its series, below which it shows nothing."""


@dataclass(frozen=True)
class Spot:
    """Where a finding lies on one channel: its row of findings.csv, and that row's number."""

    number: int
    file: str
    column: float
    row: float
    spacing_column_mm: float
    spacing_row_mm: float


@dataclass(frozen=True)
class LocatedFinding:
    """One finding with a spot per channel, in the order of the channels."""

    patient_id: str
    finding_id: str
    spots: tuple[Spot, ...]
    extent: str = ""
    """Of its own patch; empty where it has that of its data set."""


@dataclass(frozen=True)
class Cut:
    """The patches (views, channels, side, side) of a finding, and the size in mm of what they show."""

    patches: np.ndarray
    width_mm: float
    height_mm: float
    aspect: float
    """Height of a pixel over its width, in mm (or in pixels of the image where it has no scale)."""


def cut(
    finding: LocatedFinding, slices: Path, extent: str, side: int, views: int, view_seed: int, margin: int
) -> Cut | InputError | None:
    """All views of one finding; None where a channel was left out before."""
    sources = [source for spot in finding.spots if (source := read_slice(slices, spot.number)) is not None]
    if len(sources) < len(finding.spots):
        return None
    return cut_views(finding, sources, extent, side, views, view_seed, margin)


def cut_views(
    finding: LocatedFinding,
    sources: Sequence[SourceSlice],
    extent: str,
    side: int,
    views: int,
    view_seed: int,
    margin: int = 0,
) -> Cut | InputError:
    """All views of one finding from its slices, one per spot; or why there are none.

    With a ``margin`` (pixels) it is view 0 alone, with so much more on each side.
    """
    table = view_table(1 if margin else views, view_seed, finding.patient_id, finding.finding_id)
    channels = []
    for spot, source in zip(finding.spots, sources, strict=True):
        place = (spot.column, spot.row, spot.spacing_column_mm, spot.spacing_row_mm)
        try:
            frame = frame_of(finding.extent or extent, source.pixels.shape, *place, side=side)
        except MissingTagError as error:
            error.file = spot.file
            return error
        channels.append(resample(source.normalized, replace(frame, side=side + 2 * margin), table))
        if not np.ptp(channels[-1][0][margin : margin + side, margin : margin + side]) >= LEAST_CONTRAST:
            found = "a patch of one value"
            return ConstantImageError(found, file=spot.file, expected="tissue around the finding")
        size = np.array([frame.step_column, frame.step_row]) * side * place[2:]
    aspect = frame.aspect * frame.step_row / frame.step_column
    width, height = map(float, size)
    return Cut(np.stack(channels, axis=1), width, height, aspect)


def located_findings(findings: pd.DataFrame, channels: Sequence[str]) -> list[LocatedFinding]:
    """The findings that were found on all channels, each with its spots in their order."""
    numbered = findings.assign(number=range(len(findings)))
    found = []
    for (patient_id, finding_id), rows in numbered.groupby(["patient_id", "finding_id"], sort=False):
        by_channel = rows.set_index("channel")
        if set(channels) <= set(by_channel.index):
            spots = tuple(
                Spot(int(row["number"]), row["file"], *(float(row[name] or "nan") for name in SPOT_COLUMNS))
                for _, row in by_channel.loc[channels].iterrows()
            )
            extent = str(rows[EXTENT].iloc[0]) if EXTENT in rows else ""
            found.append(LocatedFinding(str(patient_id), str(finding_id), spots, extent))
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Cut the patches of a data set into its store."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.patches.cut", description=main.__doc__)
    parser.add_argument("kind", help="kind of data set; knows what the extent 'paper' means")
    parser.add_argument("--dataset", required=True, help="name of the data set in the config")
    parser.add_argument(
        "--channels", nargs="+", help="channels and their order; default: all, as first found"
    )
    parser.add_argument(
        "--classes", type=json.loads, help="what labels 0, 1 … are called, JSON; default: as the kind has it"
    )
    parser.add_argument(
        "--multilabel", action="store_true", help="--classes are labels of which a finding may have several"
    )
    parser.add_argument("--findings", type=Path, required=True)
    parser.add_argument("--slices", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="patches.h5")
    parser.add_argument("--skipped", type=Path, required=True, help="skipped/patches.csv")
    parser.add_argument(
        "--extent",
        required=True,
        help="'65 mm', '85 px', '15/56 side', '2/7 width, 1/4 height', whole, paper",
    )
    parser.add_argument("--side", type=int, default=PATCH_SIDE, help="width and height of a patch in pixels")
    parser.add_argument(
        "--views", type=int, default=MOST_VIEWS, help=f"views stored of each finding, 1 to {MOST_VIEWS}"
    )
    parser.add_argument("--view-seed", type=int, default=0)
    parser.add_argument(
        "--augmentation", choices=AUGMENTATIONS, default=AUGMENTATIONS[0],
        help="store all views, or one with a margin, from which views are drawn when they are needed",
    )  # fmt: skip
    parser.add_argument(
        "--online", type=json.loads, default={},
        help="how far such views may be from the stored patch, JSON: rotation, scale, shift, brightness",
    )  # fmt: skip
    parser.add_argument(
        "--intensity", default="series", help="written into the store: how slices were normalised"
    )
    parser.add_argument(
        "--collection",
        type=json.loads,
        default={},
        help="written into the store: licence, doi and so on, JSON",
    )
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    extent = args.extent
    if extent == "paper":
        extent = importlib.import_module(f"pipeline.datasets.{args.kind}").PAPER_EXTENT
    findings = read_csv(args.findings)
    channels = args.channels or list(dict.fromkeys(findings["channel"]))
    todo = located_findings(findings, channels)
    wanted = f"findings on all channels ({', '.join(channels)})"
    nothing = functools.partial(EmptyError, file=args.findings, expected=wanted)
    if not todo:
        raise nothing("none")
    keys = ["patient_id", "finding_id"]
    table = findings.drop_duplicates(keys).set_index(keys).loc[[(t.patient_id, t.finding_id) for t in todo]]
    of_kind = importlib.import_module(f"pipeline.datasets.{args.kind}").CLASSES
    classes = Classes(tuple(args.classes or of_kind), multilabel=args.multilabel)
    table = as_numbers(table[["group_id", *classes.label_columns]].reset_index())
    table = table.assign(width_mm=np.nan, height_mm=np.nan, aspect=np.nan)
    ranges = Ranges(**args.online)
    margin = online.margin(args.side, ranges) if args.augmentation == "online" else 0
    skipped: list[dict[str, str]] = []
    kept: list[int] = []  # not those that a slice was missing for, which are listed already

    def blocks() -> Iterator[np.ndarray | None]:
        work = functools.partial(
            cut, slices=args.slices, extent=extent, side=args.side, views=args.views,
            view_seed=args.view_seed, margin=margin,
        )  # fmt: skip
        results = parallel(work, todo, processes=args.processes, label="cutting patches")
        for number, (finding, result) in enumerate(zip(todo, results, strict=True)):
            if isinstance(result, InputError):
                skipped.append(
                    skip("patches", result, patient_id=finding.patient_id, finding_id=finding.finding_id)
                )
            if not isinstance(result, Cut):
                yield None
                continue
            columns = ["width_mm", "height_mm", "aspect"]
            table.loc[number, columns] = result.width_mm, result.height_mm, result.aspect
            kept.append(number)
            yield result.patches
        if not kept:
            first = f" ({skipped[0]['code']} {skipped[0]['file']}: {skipped[0]['reason']})" if skipped else ""
            raise nothing(f"none{first}")

    write_store(
        args.out,
        table,
        blocks(),
        views=args.views,
        side=args.side,
        margin=margin,
        dataset=args.dataset,
        channels=channels,
        classes=classes,
        normalization=args.intensity,
        provenance={
            "extent": extent,
            "views": args.views,
            "view_seed": args.view_seed,
            "intensity": args.intensity,
            "findings_sha256": sha256(args.findings),
            "slices_sha256": sha256(args.slices),
            **({"online": asdict(ranges)} if margin and ranges != USUAL else {}),
            **({"extents": True} if EXTENT in findings else {}),
        },
        collection=args.collection,
    )
    write_csv(args.skipped, SKIPPED_COLUMNS, skipped)
    log.info(
        "%s: %d findings × %d views, %s; %d left out",
        args.out,
        len(kept),
        args.views,
        json.dumps(channels),
        len(todo) - len(kept),
    )


if __name__ == "__main__":
    run_cli(main)
