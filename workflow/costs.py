"""Run times and memory: Snakemake's benchmark of every job, summed up by rule, as a table and a picture."""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from model.report.drawing import COLOURS, STYLE, figure, save
from model.report.tabular import write_table
from pipeline.cli import run_cli
from pipeline.errors import EmptyError

MEASURED = {"seconds": "s", "CPU seconds": "cpu_time", "memory, MB": "max_rss"}
"""Our names, and those of Snakemake's benchmark files; memory is the largest resident set, in MB."""
CAPTION = "Run times and memory"
NOTES = (
    "seconds: of all jobs of a rule, one after another; longest: of one job; CPU seconds: of all their "
    "processes.",
    "memory: the largest resident set of any job. A job of a second or less is over before it is "
    "measured: its memory and CPU seconds may be missing.",
    "A job that ran several times counts with its last run; jobs of former settings count while their "
    "files lie in benchmarks/.",
)


def read_benchmarks(folder: Path, rules: Mapping[str, str]) -> pd.DataFrame:
    """A row per job: rule, seconds, CPU seconds, memory (MB); what was not measured is NaN.

    ``rules`` holds, by rule, the path of its benchmark files from the working directory, with wildcards in
    braces; where several fit, the one with the most literal signs does. Files of no known rule are left out.
    Raises EmptyError if none is left.
    """
    rows = []
    parts = {name: re.split(r"\{\w+\}", pattern) for name, pattern in rules.items()}
    order = sorted(parts, key=lambda name: -sum(map(len, parts[name])))
    likes = {name: ".+".join(map(re.escape, parts[name])) for name in order}
    for path in sorted(folder.rglob("*.tsv")):
        rule = next((name for name, like in likes.items() if re.fullmatch(like, path.as_posix())), None)
        if rule is not None:
            table = pd.read_csv(path, sep="\t")
            numbers = {name: pd.to_numeric(table[key], "coerce") for name, key in MEASURED.items()}
            rows.append({
                "rule": rule,
                "seconds": numbers["seconds"].sum(min_count=1),
                "CPU seconds": numbers["CPU seconds"].sum(min_count=1),
                "memory, MB": numbers["memory, MB"].max(),
            })  # fmt: skip
    if not rows:
        raise EmptyError("no benchmark of a known rule", file=folder)
    return pd.DataFrame(rows)


def summed(jobs: pd.DataFrame) -> pd.DataFrame:
    """A row per rule, the longest first."""
    groups = jobs.groupby("rule", sort=True)
    table = pd.DataFrame({
        "jobs": groups.size(),
        "seconds": groups["seconds"].sum(),
        "longest": groups["seconds"].max(),
        "CPU seconds": groups["CPU seconds"].sum(min_count=1),
        "memory, MB": groups["memory, MB"].max(),
    })  # fmt: skip
    return table.sort_values("seconds", ascending=False, kind="stable").reset_index()


def plot(table: pd.DataFrame) -> Figure:
    """A bar per rule for its time, and one for its memory."""
    made = figure(9.0, 1.2 + 0.26 * len(table))
    times, memory = made.subplots(1, 2, sharey=True, width_ratios=[2, 1])
    places = range(len(table))
    times.barh(places, table["seconds"], color=COLOURS[0], height=0.7)
    times.set_yticks(
        places, [f"{rule} × {jobs}" for rule, jobs in zip(table["rule"], table["jobs"], strict=True)]
    )
    times.invert_yaxis()
    times.set_xlabel("seconds, all jobs")
    memory.barh(places, table["memory, MB"].fillna(0), color=COLOURS[1], height=0.7)
    memory.set_xlabel("largest memory of a job, MB")
    for axes in (times, memory):
        axes.grid(visible=False, axis="y")
    return made  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Sum up the benchmarks of all jobs by rule."""
    parser = argparse.ArgumentParser(prog="python -m workflow.costs", description=main.__doc__)
    parser.add_argument("--benchmarks", type=Path, required=True, metavar="DIR", help="folder of the files")
    parser.add_argument("--rules", type=json.loads, required=True, metavar="JSON", help="{rule: pattern}")
    parser.add_argument("--out", type=Path, required=True, metavar="CSV", help="with .md, .tex, .html beside")
    parser.add_argument("--picture", type=Path, required=True, metavar="PNG")
    args = parser.parse_args(argv)
    table = summed(read_benchmarks(args.benchmarks, args.rules))
    formats = {"seconds": ".1f", "longest": ".1f", "CPU seconds": ".1f", "memory, MB": ".0f"}
    write_table(table, args.out.with_suffix(""), CAPTION, NOTES, formats=formats)
    with mpl.rc_context(STYLE):
        save(plot(table), args.picture)


if __name__ == "__main__":
    run_cli(main)
