"""A training history as TensorBoard shows it; the files hold no clock and no host."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from pipeline.cli import run_cli
from pipeline.files import atomic, read_csv

FILE = "events.out.tfevents.0"
"""TensorBoard finds a file by this name; others put the time and the host into it."""


def write_events(history: Path, out: Path) -> None:
    """Write ``{out}/{split}/events…`` from a history.csv.

    A split is a TensorBoard run, so that training and validation share a chart, tagged
    ``{phase}/{data set}/{metric}``. Records stay in their order; an empty value writes nothing.
    """
    table = read_csv(history)
    table["value"] = pd.to_numeric(table["value"])
    for split, records in table.dropna(subset="value").groupby("split", sort=False):
        path = out / str(split) / FILE
        with atomic(path) as beside, beside.open("wb") as file:
            writer = RecordWriter(file)
            writer.write(Event(file_version="brain.Event:2").SerializeToString())
            for row in records.itertuples():
                tag = "/".join(filter(None, (row.phase, row.dataset, row.metric)))
                value = Summary.Value(tag=tag, simple_value=row.value)
                writer.write(Event(step=int(row.epoch), summary=Summary(value=[value])).SerializeToString())
            writer.flush()


def main(argv: Sequence[str] | None = None) -> None:
    """Write the event files of one run."""
    parser = argparse.ArgumentParser(prog="python -m model.report.tensorboard", description=__doc__)
    parser.add_argument("--history", type=Path, required=True, metavar="CSV", help="history.csv of a run")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for tensorboard --logdir"
    )
    args = parser.parse_args(argv)
    write_events(args.history, args.out)


if __name__ == "__main__":
    run_cli(main)
