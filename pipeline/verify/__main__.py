"""Can the patches of a data set be trusted? All checks on one page, verify.html, and as a table.

``python -m pipeline.verify data/prostatex --raw data/raw/prostatex`` reads what the steps before left in the
folder and ends with an error where a result could not be trusted: a leak, a NaN, a dot off its place.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from pipeline.cli import run_cli
from pipeline.errors import VerifyError
from pipeline.files import read_csv, write_csv, write_text
from pipeline.readers.index import documents
from pipeline.verify import overlap, screenshots, shortcuts
from pipeline.verify.checks import COLUMNS, Check, Look, alignment, failed, looks, patch_checks, slice_places
from pipeline.verify.page import Tables, read_tables, write_page

log = logging.getLogger("typhon")


def checks(
    tables: Tables,
    seen: Sequence[Look],
    cues: Sequence[shortcuts.Cue],
    own: overlap.DataFolder,
    others: Sequence[overlap.DataFolder],
    shots: screenshots.Shots,
    *,
    leak: str = "refuse",
) -> Iterator[Check]:
    """Every check of a data set, in the order of the page."""
    yield from patch_checks(seen)
    yield alignment(tables.findings, tables.index)
    yield slice_places(tables.findings, tables.index)
    yield screenshots.check(shots)
    yield shortcuts.check(cues)
    yield overlap.identity(tables.findings)
    yield overlap.headers(tables.findings, tables.index)
    yield overlap.split_leaks(own, leak)
    yield overlap.exact_duplicates(own)
    yield overlap.near_duplicates(own)
    yield from overlap.across(own, others, leak)


def main(argv: Sequence[str] | None = None) -> None:
    """Check a data set; end with an error if its results could not be trusted."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.verify", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="folder of the data set, such as data/prostatex")
    parser.add_argument("--raw", type=Path, required=True, help="folder of the downloads; never written to")
    parser.add_argument("--beside", type=Path, nargs="*", default=[],
                        help="folders of the other data sets of the experiment")  # fmt: skip
    parser.add_argument(
        "--people",
        nargs="*",
        metavar="NAME",
        help="name of the people in the data set and in each of --beside; equal names are the same people",
    )
    parser.add_argument("--folds", type=int, help="splits of the experiment; default: all in the folder")
    parser.add_argument("--leak", choices=["refuse", "warn"], default="refuse",
                        help="warn is for the published splits, which are known to leak")  # fmt: skip
    parser.add_argument("--licence", default="", help="a line of attribution below the pictures")
    parser.add_argument("--out", type=Path, help="verify.html; default: in the folder")
    parser.add_argument("--table", type=Path, help="verify.csv; default: in the folder")
    parser.add_argument(
        "--exit-zero",
        action="store_true",
        help="exit with 0 even if a check fails; the table has the verdicts",
    )
    parser.add_argument("--processes", type=int, default=1, help="processes at once")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    out, written = args.out or args.folder / "verify.html", args.table or args.folder / "verify.csv"
    tables = read_tables(args.folder)
    folders = [args.folder, *args.beside]
    own, *others = (
        overlap.read_folder(folder, args.folds, people, processes=args.processes)
        for folder, people in zip(folders, args.people or [""] * len(folders), strict=True)
    )
    pictures = documents(args.folder / "index.parquet")
    shots = screenshots.matches(tables.choices, tables.index, args.raw, pictures)
    slices = args.folder / "slices.h5"
    seen = looks(tables.info, tables.findings, slices, processes=args.processes)
    cues = shortcuts.cues(tables.info, tables.findings, tables.index, seen, args.raw)
    results = list(checks(tables, seen, cues, own, others, shots, leak=args.leak))
    write_csv(written, COLUMNS, map(asdict, results))
    write_text(out, write_page(tables, own, results, cues, shots, args.licence))
    counts = pd.Series([check.result for check in results]).value_counts()
    log.info("%s: %s", out, ", ".join(f"{count} {result}" for result, count in counts.items()))
    if bad := failed(read_csv(written)):
        if not args.exit_zero:
            raise VerifyError(bad, file=written)
        log.warning("%s", bad)


if __name__ == "__main__":
    run_cli(main)
