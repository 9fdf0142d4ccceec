"""Read the source slice of each finding in physical units, and the statistics of its Z-score.

The statistics are those of the whole series (of the image, for pictures), so each series is read once.
"""

import argparse
import functools
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.cli import run_cli
from pipeline.errors import EmptyError, InputError, LimitError
from pipeline.files import SKIPPED_COLUMNS, read_csv, sha256, skip, write_csv
from pipeline.patches.normalization import Statistics, check_not_blank, clip_window, paper_bytes
from pipeline.patches.reduced import shrink
from pipeline.pool import in_child, parallel
from pipeline.readers import dicom, stacks
from pipeline.readers.dicom import frames
from pipeline.readers.index import read_index
from pipeline.readers.pixels import read_pixels, read_whole, time_of
from pipeline.slice_store import write_slices

log = logging.getLogger("typhon")


@dataclass(frozen=True)
class Task:
    """One series or image: its files, and the rows (number, file, slice) of findings.csv in it."""

    files: tuple[str, ...]
    rows: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True)
class Read:
    """What a task gave: slices by row number, and the statistics of the series."""

    slices: dict[int, np.ndarray]
    statistics: Statistics
    note: str = ""
    """What a reader should hear about how the values of the series were made."""
    greyed: bool = False
    """Whether a slice is in colour, and its values are its luminance."""


def tasks(findings: pd.DataFrame, index: pd.DataFrame) -> list[Task]:
    """One task per stack of DICOM images, picture, or volume and time; in the order of findings.csv."""
    dicoms = index[index["format"] == "dicom"]
    keys = stacks.numbers(dicoms).tolist()
    files, key_of = defaultdict(list), dict(zip(dicoms["file"], keys, strict=True))
    for file, key in zip(dicoms["file"], keys, strict=True):
        files[key].append(file)
    rows: dict[Any, list[tuple[int, str, str]]] = {}
    for number, file, name in zip(range(len(findings)), findings["file"], findings["slice"], strict=True):
        rows.setdefault(key_of.get(file, (file, time_of(name))), []).append((number, file, name))
    return [Task(tuple(sorted(files.get(key) or key[:1])), tuple(wanted)) for key, wanted in rows.items()]


@in_child
def _paper_dicom(path: Path) -> tuple[np.ndarray, bool]:
    ds, stored, coloured = dicom.read_image(path)
    return paper_bytes(ds, stored), coloured


def _paper(path: Path, name: str) -> tuple[np.ndarray, bool]:
    """The values of a slice, and whether they are the luminance of colours."""
    with frames.named(path)[0].open("rb") as file:
        start = file.read(132)
    if dicom.is_dicom(start):
        return _paper_dicom(path)
    pixels = read_pixels(path, name)
    values = pixels.values
    if values.max() > 255:
        values = np.floor(values * (255 / max(float(values.max()), 1e-9)))
    return values, pixels.greyed


def read_series(
    task: Task, raw: Path, window: tuple[float, float] | None, intensity: str, width: int | None = None
) -> Read | list[InputError]:
    """Read one series: its statistics, and the slices that findings lie in; one error per row on failure.

    Slices are reduced to at most ``width`` columns, see :mod:`pipeline.patches.reduced`.
    """
    try:
        wanted = {(file, name): number for number, file, name in task.rows}
        statistics = Statistics()
        slices = {}
        note, greyed = "", False
        if intensity == "paper":
            for (file, name), number in wanted.items():
                slices[number], coloured = _paper(raw / file, name)
                greyed = greyed or coloured
        else:
            whole = any(name for _, name in wanted)
            for file in task.files if not whole else ():
                pixels = read_pixels(raw / file)
                note = note or pixels.note
                values = clip_window(pixels.values, window)
                statistics.add(pixels.real(values))
                if (file, "") in wanted:
                    slices[wanted[file, ""]] = pixels.unpadded(values)
                    greyed = greyed or pixels.greyed
            if whole:
                statistics.add(clip_window(read_whole(raw / task.files[0], task.rows[0][2]), window))
                for (file, name), number in wanted.items():
                    slices[number] = clip_window(read_pixels(raw / file, name).values, window)
            statistics.mean_std()
        # Several findings may lie in one slice; each row has its own copy in the store.
        slices = {number: shrink(slices[wanted[file, name]], width) for number, file, name in task.rows}
    except InputError as error:
        return [_named(error, file, raw) for _, file, _ in task.rows]
    return Read(slices, statistics, note, greyed)


def _lost(task: Task) -> Read | list[InputError]:
    return [LimitError("the end of the process that read it", file=file) for _, file, _ in task.rows]


def _named(error: InputError, file: str, raw: Path) -> InputError:
    """The error with a path relative to the raw folder, as the tables have it."""
    path = Path(error.file) if error.file else Path(file)
    name = path.relative_to(raw).as_posix() if path.is_relative_to(raw) else str(path)
    return type(error)(error.found, file=name, expected=error.expected, remedy=error.remedy)


def _paper_group(kind: str, row: pd.Series) -> tuple[str, ...]:
    """Whose slices share statistics in print: a patient's of one class in PROSTATEx, else the data set's."""
    if kind == "prostatex":
        return (row["patient_id"], row["label"], row["channel"])
    return (row["channel"],)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the slices of the findings of a data set into slices.h5."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.patches.slices", description=main.__doc__)
    parser.add_argument("kind", help="kind of data set")
    parser.add_argument("--raw", type=Path, required=True, help="folder of the downloads; never written to")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--findings", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="slices.h5")
    parser.add_argument("--skipped", type=Path, required=True, help="skipped/slices.csv")
    parser.add_argument(
        "--window", type=float, nargs=2, metavar=("LOW", "HIGH"), help="limits in physical units"
    )
    parser.add_argument("--intensity", choices=["series", "paper"], default="series")
    parser.add_argument("--width", type=int, help="number of columns to which pictures are reduced")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    findings = read_csv(args.findings)
    window = tuple(args.window) if args.window else None
    todo = tasks(findings, read_index(args.index))
    read = functools.partial(
        read_series, raw=args.raw, window=window, intensity=args.intensity, width=args.width
    )
    skipped: dict[int, dict[str, str]] = {}
    groups: dict[tuple[str, ...], Statistics] = defaultdict(Statistics)
    group_of: dict[int, tuple[str, ...]] = {}
    greyed: set[int] = set()

    def leave_out(number: int, error: InputError) -> None:
        case = {name: findings[name].iloc[number] for name in ("patient_id", "finding_id", "channel")}
        skipped[number] = skip("slices", error, **case)

    def slices() -> Iterator[tuple[int, np.ndarray]]:
        results = parallel(read, todo, processes=args.processes, label="reading slices", lost=_lost)
        for task, result in zip(todo, results, strict=True):
            if isinstance(result, list):
                for (number, _, _), error in zip(task.rows, result, strict=True):
                    leave_out(number, error)
                continue
            if result.note:
                log.warning("%s: %s", task.rows[0][1], result.note)
            for number, values in result.slices.items():
                try:
                    check_not_blank(values)
                except InputError as error:
                    error.file = findings["file"].iloc[number]
                    leave_out(number, error)
                    continue
                if args.intensity == "paper":
                    group_of[number] = _paper_group(args.kind, findings.iloc[number])
                    groups[group_of[number]].add(values)
                else:
                    group_of[number] = (str(task.rows[0][0]),)
                    groups[group_of[number]] = result.statistics
                if result.greyed:
                    greyed.add(number)
                yield number, values

    provenance = {
        "intensity": args.intensity,
        "window": args.window,
        "findings_sha256": sha256(args.findings),
        "index_sha256": sha256(args.index),
        **({"width": args.width} if args.width else {}),
    }
    write_slices(
        args.out, slices(), lambda number: groups[group_of[number]].mean_std(), provenance, greyed=greyed
    )
    write_csv(args.skipped, SKIPPED_COLUMNS, [skipped[number] for number in sorted(skipped)])
    if len(skipped) == len(findings):
        raise EmptyError(
            f"{len(skipped)} rows, all left out ({skipped[0]['reason']})",
            file=args.findings,
            expected="slices",
        )
    if greyed:
        pictures = any(not findings["sop_instance_uid"].iloc[number] for number in greyed)
        keep = "; colour: rgb keeps colours" if args.kind == "table" and pictures else ""
        log.info("%d of %d slices are in colour and are read in grey%s", len(greyed), len(group_of), keep)
    log.info("%s: %d slices of %d series, %d left out", args.out, len(group_of), len(todo), len(skipped))


if __name__ == "__main__":
    run_cli(main)
