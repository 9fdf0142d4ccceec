"""Make and tabulate the study of ``docs/study.md``: ``python -m workflow.study run|tune|keep|tables``."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import run_cli
from workflow.study import cells, make, pictures, tables, tuning
from workflow.study.cells import Cell
from workflow.study.record import FOLDER, Record, commit


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m workflow.study", description=__doc__)
    parser.add_argument(
        "--record", type=Path, default=FOLDER, help="folder of what is kept (default %(default)s)"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="make the runs that are not kept yet, in the order of the plan")
    tune = commands.add_parser("tune", help="make the trials of learning rates that are not kept yet")
    for each in (run, tune):
        each.add_argument(
            "--raw", required=True, help="folders of the pictures, as for ./run: '{brain: …, busi: …}'"
        )
        each.add_argument("words", nargs="*", help="further words for ./run, after --, such as -- --cores 1")
    keep = commands.add_parser("keep", help="keep the runs that are finished")
    keep.add_argument("--commit", help="commit of the code that made it (default: that of this code)")
    for each in (run, tune, keep):
        each.add_argument(
            "--folder", type=Path, default=Path("study"), help="where runs are made (default study)"
        )
        each.add_argument("--methods", nargs="+", help="only these methods")
        each.add_argument("--targets", nargs="+", help="only these targets")
    commands.add_parser("tables", help="write tables and pictures from what is kept")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Make runs, keep them, or write tables."""
    options = parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    plan, record = cells.read(), Record(options.record)
    status = 0
    if options.command == "tables":
        tables.write(plan, record, options.record)
        pictures.draw(plan, record, options.record)
        return

    def asked(run: Cell | tuning.Trial) -> bool:
        return run.method in (options.methods or [run.method]) and run.target in (
            options.targets or [run.target]
        )

    some, trials = list(filter(asked, plan)), list(filter(asked, tuning.trials()))
    folder = options.folder.resolve()
    if options.command == "keep":
        made_by = options.commit or commit()
        kept = make.keep(some, record, folder, made_by) + tuning.keep(trials, record.folder, folder, made_by)
        print(f"{kept} runs kept")
    elif options.command == "tune":
        status = tuning.make(trials, record.folder, folder, options.raw, options.words)
    else:
        status = make.make(some, record, folder, options.raw, options.words)
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    run_cli(main)
