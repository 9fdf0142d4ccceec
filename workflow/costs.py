"""Run times and memory: what every job took by its log, summed up by rule, as a table and a picture."""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from model.report.drawing import COLOURS, STYLE, figure, save
from model.report.tabular import add_out, write_table
from pipeline.cli import run_cli
from pipeline.errors import EmptyError

ENDED = re.compile(r"done after (?P<seconds>[\d.]+) s(?: \(CPU (?P<cpu>[\d.]+) s, (?P<memory>\d+) MB\))?$")
"""The last line of a job's log, see :mod:`workflow.execute`; older ones have the seconds alone."""
CAPTION = "Run times and memory"
NOTES = (
    "seconds: of all jobs of a rule, one after another; longest: of one job; CPU seconds: of all their "
    "processes.",
    "memory: the largest resident set of any process of any job.",
    "A job that ran several times counts with its last run; jobs of former settings count while their "
    "logs lie in logs/.",
)


def read_logs(folder: Path, rules: Mapping[str, str]) -> pd.DataFrame:
    """A row per job that is done: rule, seconds, CPU seconds, memory (MB); what was not measured is NaN.

    ``rules`` holds, by rule, the path of its logs from the working directory, with wildcards in braces; where
    several fit, the one with the most literal signs does. Logs of no known rule are left out. Raises
    EmptyError if none is left.
    """
    rows = []
    parts = {name: re.split(r"\{\w+\}", pattern) for name, pattern in rules.items()}
    order = sorted(parts, key=lambda name: -sum(map(len, parts[name])))
    likes = {name: ".+".join(map(re.escape, parts[name])) for name in order}
    for path in sorted(folder.rglob("*.log")):
        rule = next((name for name, like in likes.items() if re.fullmatch(like, path.as_posix())), None)
        last = path.read_text(encoding="utf-8", errors="replace").rstrip().rpartition("\n")[2]
        if rule is not None and (ended := ENDED.match(last)):
            seconds, cpu, memory = (float(number or "nan") for number in ended.groups())
            rows.append({"rule": rule, "seconds": seconds, "CPU seconds": cpu, "memory, MB": memory})
    if not rows:
        raise EmptyError("no job of a known rule that is done", file=folder)
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
    """Sum up what all jobs took by rule."""
    parser = argparse.ArgumentParser(prog="python -m workflow.costs", description=main.__doc__)
    parser.add_argument("--logs", type=Path, required=True, metavar="DIR", help="folder of the logs")
    parser.add_argument(
        "--rules", type=json.loads, required=True, metavar="JSON", help="pattern of the logs of each rule"
    )
    add_out(parser)
    parser.add_argument("--picture", type=Path, required=True, metavar="PNG")
    args = parser.parse_args(argv)
    table = summed(read_logs(args.logs, args.rules))
    formats = {"seconds": ".1f", "longest": ".1f", "CPU seconds": ".1f", "memory, MB": ".0f"}
    write_table(table, args.out.with_suffix(""), CAPTION, NOTES, formats=formats)
    with mpl.rc_context(STYLE):
        save(plot(table), args.picture)


if __name__ == "__main__":
    run_cli(main)
