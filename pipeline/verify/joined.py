"""Put the checks of all data sets of an experiment together, and judge them."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import run_cli
from pipeline.errors import VerifyError
from pipeline.files import read_csv, write_csv
from pipeline.verify.checks import COLUMNS, failed


def main(argv: Sequence[str] | None = None) -> None:
    """Join verify.csv of several data sets, and end with an error where a check of one has failed."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.verify.joined", description=main.__doc__)
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="verify.csv of each data set")
    parser.add_argument("--out", type=Path, help="checks.csv; default: none, only the verdict")
    parser.add_argument("--exit-zero", action="store_true", help="only the table, no verdict")
    args = parser.parse_args(argv)
    tables = {path: read_csv(path) for path in args.tables}
    rows = [
        {"dataset": path.parent.name, **row}
        for path, table in tables.items()
        for row in table.to_dict("records")
    ]
    if args.out:
        write_csv(args.out, ("dataset", *COLUMNS), rows)
    for path, table in tables.items():
        if not args.exit_zero and (bad := failed(table)):
            raise VerifyError(bad, file=path)


if __name__ == "__main__":
    run_cli(main)
