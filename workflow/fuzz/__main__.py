"""Look for inputs that break a reader: ``./run fuzz SECONDS [--only READER …] [--seed N]``."""

import argparse
import logging
import math
import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event

from tqdm import tqdm

from pipeline.cli import run_cli
from pipeline.files import atomic_folder
from pipeline.system import INTERRUPTED
from workflow.fuzz.readers import READERS
from workflow.fuzz.session import Failure, Tally, fuzz

log = logging.getLogger("typhon")


def write(folder: Path, name: str, failure: Failure, start: int) -> Path:
    """Write the input of a failure, with a line about it and its traceback, to a folder of its own."""
    kind = re.sub(r"[^A-Za-z0-9]+", "-", str(failure.outcome.kind)).strip("-")[:100]
    place = folder / name / kind
    shutil.rmtree(place, ignore_errors=True)  # of the last time
    about = (
        f"{name}: {failure.outcome.kind}: {failure.outcome.said} "
        f"({failure.given.name}, {len(failure.given.content):,} bytes; seed {start}, try {failure.number})\n"
    )
    with atomic_folder(place) as beside:
        for file, content in {failure.given.name: failure.given.content, **failure.given.beside}.items():
            (beside / file).write_bytes(content)
        (beside / "about.txt").write_text(about + failure.outcome.trace, encoding="utf-8")
    return place


def as_table(tallies: Sequence[Tally]) -> str:
    """A line per reader: tries, fine reads, refused, and kinds of failure; then each kind."""
    lines = [f"{'reader':14}{'seconds':>9}{'tries':>9}{'fine':>9}{'refused':>9}{'kinds of failure':>18}"]
    lines += map(_row, tallies)
    for tally in tallies:
        lines += [f"{tally.name}: {kind}, {one.times} times" for kind, one in tally.failures.items()]
    return "\n".join(lines)


def _row(tally: Tally) -> str:
    states = tally.states
    return (
        f"{tally.name:14}{tally.seconds:>9.0f}{tally.tries:>9,}{states['fine']:>9,}{states['refused']:>9,}"
        f"{len(tally.failures):>18}"
    )


def _run(name: str, place: int, args: argparse.Namespace, stop: Event) -> Tally:
    """Fuzz one reader, with a bar on a terminal and a line in a log for each new kind."""
    with tqdm(desc=name, unit=" tries", position=place, leave=False, disable=None) as bar:

        def seen(tally: Tally, failure: Failure | None) -> None:
            bar.update()
            if failure is not None:
                bar.set_postfix(failures=len(tally.failures), refresh=False)
                told = f"{name}: {failure.outcome.kind}: {failure.outcome.said}"
                bar.write(f"{told}; {write(args.out, name, failure, args.seed)}")

        return fuzz(
            name, seconds=args.seconds, tries=args.tries, start=args.seed, seen=seen, stop=stop.is_set
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Read small valid files, changed at random, as the steps do; what is neither read nor refused fails."""
    parser = argparse.ArgumentParser(prog="./run fuzz", description=main.__doc__)
    parser.add_argument("seconds", type=float, metavar="SECONDS", help="seconds for each reader")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=READERS,
        metavar="READER",
        help=f"readers to fuzz, of {', '.join(READERS)}",
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same inputs; default 0")
    parser.add_argument("--tries", type=float, default=math.inf, help="largest number of inputs per reader")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="readers at a time; default: one per core"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("results/fuzz"), help="folder for the inputs that fail, one per kind"
    )
    args = parser.parse_args(argv)
    names, stop = list(args.only or READERS), Event()
    with ThreadPoolExecutor(args.processes) as threads:
        jobs = [threads.submit(_run, name, place, args, stop) for place, name in enumerate(names)]
        try:
            wait(jobs)
        except KeyboardInterrupt:  # what was found so far is told
            stop.set()
            threads.shutdown(cancel_futures=True)
    tallies = [job.result() for job in jobs if not job.cancelled()]
    print(as_table(tallies))
    if stop.is_set() or any(tally.failures for tally in tallies):
        raise SystemExit(INTERRUPTED if stop.is_set() else 1)


if __name__ == "__main__":
    run_cli(main)
