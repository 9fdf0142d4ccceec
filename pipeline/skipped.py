"""Put the skipped tables of the steps together, so that there is one file to look at."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from pipeline.cli import run_cli
from pipeline.errors import SkippedError
from pipeline.files import SKIPPED_COLUMNS, read_csv, write_csv


def failures(skipped: pd.DataFrame) -> int:
    """How many findings or files failed: a finding that fails on several channels is one."""
    failed = skipped[skipped["kind"] == "failed"]
    keys = failed[["patient_id", "finding_id"]].assign(
        file=failed["file"].where(failed["patient_id"] == "", "")
    )
    return len(keys.drop_duplicates())


def check(path: Path, most: int) -> None:
    """Raise SkippedError where more than ``most`` findings or files failed."""
    skipped = read_csv(path)
    failed = failures(skipped)
    if failed > most:
        codes = skipped.loc[skipped["kind"] == "failed", "code"].value_counts()
        summary = ", ".join(f"{count} × {code}" for code, count in codes.items())
        raise SkippedError(
            f"{failed} ({summary})", file=path, expected=f"at most {most} failed (max_skipped)"
        )


def set_aside(skipped: pd.DataFrame, exclude: str) -> pd.DataFrame:
    """The same table, in which files of the index whose names match ``exclude`` are excluded, not failed."""
    named = [bool(re.search(exclude, PurePosixPath(file).name)) for file in skipped["file"]]
    matched = (skipped["step"] == "index") & np.array(named, bool)
    return skipped.assign(kind=skipped["kind"].mask(matched, "excluded"))


def main(argv: Sequence[str] | None = None) -> None:
    """Join the skipped tables of a data set's steps."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.skipped", description=main.__doc__)
    parser.add_argument(
        "--tables", type=Path, nargs="+", required=True, help="skipped/*.csv in the order of the steps"
    )
    parser.add_argument("--out", type=Path, required=True, help="skipped.csv")
    parser.add_argument(
        "--exclude", help="regular expression: files whose names match do not count as images"
    )
    args = parser.parse_args(argv)
    table = pd.concat([read_csv(path) for path in args.tables])
    if args.exclude:
        table = set_aside(table, args.exclude)
    write_csv(args.out, SKIPPED_COLUMNS, table.to_dict("records"))


if __name__ == "__main__":
    run_cli(main)
