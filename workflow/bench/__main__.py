"""Measure speed and memory beside a plain reference: ``python -m workflow.bench [--only NAME] [--quick]``.

Each ratio is ours over plain in CPU seconds of one thread, in turn, each in a process of its own; the
median of the rounds, and the lowest and highest. They carry over to other machines, rates do not. A goal that
is not met ends it with 1.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.cli import run_cli
from pipeline.files import write_text
from workflow.bench import (
    bootstrap,
    collection,
    coverage,
    features,
    headers,
    intervals,
    jobs,
    memory,
    network,
    patches,
    records,
    window,
)
from workflow.bench.measure import Result, Size, machine

log = logging.getLogger("typhon")


SECTIONS: dict[str, Callable[[Size], list[Result]]] = {
    "window": window.bench,
    "patches": patches.bench,
    "training": network.bench_training,
    "frozen": network.bench_frozen,
    "evaluation": network.bench_evaluation,
    "features": features.bench,
    "bootstrap": bootstrap.bench,
    "metrics": records.bench,
    "statistics": intervals.bench,
    "coverage": coverage.bench,
    "headers": headers.bench,
    "jobs": jobs.bench,
    "memory": memory.bench,
    "collection": collection.bench,
}


def as_table(result: Result) -> str:
    """A result in a few lines."""
    lines = [result.name]
    if middle := result.medians:
        ratio, goal = middle["ratios"], result.goal
        met = "" if goal is None else f", goal {goal:g}: {'NOT met' if result.missed else 'met'}"
        lines.append(
            f"  {ratio:.2f} x ({min(result.ratios):.2f} to {max(result.ratios):.2f}){met};"
            f" plain {middle['plain']:,.0f} {result.unit}, ours {middle['ours']:,.0f}"
        )
    width = max(map(len, result.notes), default=0)
    lines += [f"  {name.replace('_', ' '):{width}}  {_number(value)}" for name, value in result.notes.items()]
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"


def main(argv: Sequence[str] | None = None) -> None:
    """Run all sections, or some, and print what they measured."""
    parser = argparse.ArgumentParser(prog="python -m workflow.bench", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SECTIONS,
        metavar="NAME",
        help=f"sections to measure, of {', '.join(SECTIONS)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes and one round: shows that it runs, no more"
    )
    parser.add_argument("--rounds", type=int, help="default 7, with --quick 1")
    parser.add_argument("--files", type=int, help="DICOM headers to index; default 20,000, with --quick 80")
    parser.add_argument("--out", type=Path, metavar="JSON", help="also write everything here")
    args = parser.parse_args(argv)
    defaults = (1, 80) if args.quick else (7, 20_000)
    size = Size(args.rounds or defaults[0], args.files or defaults[1], args.quick)
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    results = []
    for name in args.only or SECTIONS:
        for result in SECTIONS[name](size):
            results.append(result)
            print(as_table(result), flush=True)
    if args.out:
        measured = [result.figures() for result in results]
        figures = {"machine": about, "quick": args.quick, "results": measured}
        write_text(args.out, json.dumps(figures, indent=2, allow_nan=False) + "\n")
    missed = [result.name for result in results if result.missed]
    if missed and not args.quick:
        sys.exit(f"goals not met: {'; '.join(missed)}")


if __name__ == "__main__":
    run_cli(main)
