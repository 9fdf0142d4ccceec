"""How an external data set differs from what was trained on: sizes, spacings, scanners, brightness, labels.

Nothing of it needs a network. It says beforehand where to expect that scores do not carry over.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from model.evaluation.clustered import Estimate, estimate, mean
from model.evaluation.intervals import Fold
from model.report.tabular import add_out, write_table
from pipeline.card import GREYED, KEY, KINDS, MEASURES, measured_findings, told_of_colours
from pipeline.classes import UNKNOWN, Classes
from pipeline.cli import run_cli
from pipeline.readers.index import read_index
from pipeline.report.drawing import spread
from pipeline.splits.split import read_splits
from pipeline.store import read_info
from pipeline.verify.shortcuts import MOST, interval, numeric_wins

log = logging.getLogger("typhon")

COLUMNS = ("dataset", "what", "channel", "training", "external", "outside", "auroc", "auroc95")
SCANNER = {"scanner": "scanner"}
SHOWN = 3
"""Kinds that are named."""
NOTES = (
    "training: the target's findings that train in any fold. Numbers are the median with the 5th and the 95th"
    " percentile; kinds are the most frequent ones, each with its share.",
    "outside: the share of external findings beyond the range of training, or of a kind that training lacks.",
    "auroc: how often an external value is larger than a training value, with a 95 % interval over groups:"
    " 0.5 if both are alike, near 0 or 1 if this value alone tells the two data sets apart.",
)


class Cohort(NamedTuple):
    """What is known of some findings of a data set."""

    rows: pd.DataFrame
    """Of findings.csv, with group_id: a finding has one per channel."""
    measured: pd.DataFrame
    """A row for each of them: channel, KINDS, MEASURES and SCANNER."""
    table: pd.DataFrame
    """group_id and labels of each finding."""
    classes: Classes


def read(folder: Path, splits: Sequence[Path], split: str) -> Cohort:
    """The findings of a data folder that are in a split of some fold."""
    info, index = read_info(folder / "patches.h5"), folder / "index.parquet"
    every = pd.concat([read_splits(path) for path in splits], ignore_index=True)
    some = every[every["split"] == split].drop_duplicates(KEY)[[*KEY, "split"]]
    rows, measured = measured_findings(
        info.path, folder / "findings.csv", folder / "slices.h5", index, some.reset_index(drop=True)
    )
    of_file = read_index(index).drop_duplicates("file").set_index("file").loc[rows["file"]]
    scanner = (of_file["manufacturer"].fillna("") + " " + of_file["model"].fillna("")).str.strip()
    measured = measured.assign(scanner=scanner.to_numpy())
    table = info.findings[[*KEY, "group_id", *info.classes.label_columns]].merge(some[KEY], on=KEY)
    return Cohort(rows, measured, table, info.classes)


def shifted(training: Cohort, external: Cohort) -> Iterator[dict[str, Any]]:
    """A row for each thing that is known of both, or of one of them."""
    for what, count in (("findings", len), ("groups", lambda table: table["group_id"].nunique())):
        yield {"what": what, "training": count(training.table), "external": count(external.table)}
    for place, name in enumerate(training.classes.problems):
        yield {"what": f"share of {name}", "training": _share(training, place),
               "external": _share(external, place)}  # fmt: skip
    for channel, other in zip(*(dict.fromkeys(part.measured["channel"]) for part in (training, external)),
                              strict=True):  # fmt: skip
        parts = [
            (part.measured[here], part.rows["group_id"][here.to_numpy()])
            for part, name in ((training, channel), (external, other))
            for here in [part.measured["channel"] == name]
        ]
        for key, title in (KINDS | SCANNER).items():
            yield from _kinds(title, channel, *(values[key] for values, _ in parts))
        for key, (title, unit) in MEASURES.items():
            named = title.rstrip(",") + (f", {unit}" if unit else "")
            yield from _numbers(named, channel, *((values[key], groups) for values, groups in parts))


def warn_of_colours(name: str, external: Cohort) -> None:
    """Log how many images of an external data set are in colour and are read in grey, if any."""
    files = external.rows["file"].groupby((external.measured["colours"] == GREYED).to_numpy()).nunique()
    if count := int(files.get(True, 0)):
        log.warning("%s: %s", name, told_of_colours(count, external.rows["file"].nunique()))


def _share(cohort: Cohort, place: int) -> str:
    truth = cohort.classes.truth(cohort.table)[:, place]
    known = truth != UNKNOWN
    groups, labels = cohort.table["group_id"].to_numpy(object)[known], (truth[known] == 1).astype(float)
    made = estimate([Fold(groups, labels, labels[None])], lambda _, values: mean(values))
    if made is None:
        return ""
    low, high = Estimate.proportion(made)
    return f"{made.value:.3f} [{low:.3f}, {high:.3f}]"


def _kinds(title: str, channel: str, training: pd.Series, external: pd.Series) -> Iterator[dict[str, Any]]:
    known, new = (values[values.fillna("") != ""] for values in (training, external))
    if len(known) or len(new):
        outside = float((~new.isin(set(known))).mean()) if len(new) else None
        yield {"what": title, "channel": channel, "training": _most(known), "external": _most(new),
               "outside": outside}  # fmt: skip


def _most(values: pd.Series) -> str:
    counts = values.value_counts()
    shown = [f"{name} {count / len(values):.0%}" for name, count in counts.head(SHOWN).items()]
    return ", ".join([*shown, *([f"{len(counts) - SHOWN} more"] if len(counts) > SHOWN else [])])


def _numbers(
    title: str, channel: str, training: tuple[pd.Series, pd.Series], external: tuple[pd.Series, pd.Series]
) -> Iterator[dict[str, Any]]:
    (known, ours), (new, theirs) = (
        (values[values.notna()].to_numpy(float), groups[values.notna().to_numpy()].to_numpy(object))
        for values, groups in (training, external)
    )
    if not len(known) and not len(new):
        return
    row: dict[str, Any] = {"what": title, "channel": channel, "training": _middle(known),
                           "external": _middle(new)}  # fmt: skip
    if len(known) and len(new):
        row["outside"] = float(((new < known.min()) | (new > known.max())).mean())
        (a, one), (b, other) = (
            (values[chosen], groups[chosen])
            for values, groups in ((new, theirs), (known, ours))
            for chosen in [spread(np.arange(len(values)), MOST)]
        )
        if min(len(set(one)), len(set(other))) > 1:
            codes = pd.factorize(np.array([f"e {name}" for name in one] + [f"t {name}" for name in other]))[0]
            area, low, high = interval(numeric_wins(a, b), codes[: len(one)], codes[len(one) :])
            row |= {"auroc": area, "auroc95": (low, high)}
    yield row


def _middle(values: np.ndarray) -> str:
    if not len(values):
        return ""
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:.4g} [{low:.4g}, {high:.4g}]"


def main(argv: Sequence[str] | None = None) -> None:
    """Tabulate how external data sets differ from the training findings of the target."""
    parser = argparse.ArgumentParser(prog="python -m model.report.shift", description=main.__doc__)
    parser.add_argument("--target", type=Path, required=True, help="data folder of the target")
    parser.add_argument("--splits", type=Path, nargs="+", required=True, help="its splits, all folds")
    parser.add_argument("--external", type=Path, nargs="+", required=True, help="data folders")
    add_out(parser)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    training = read(args.target, args.splits, "train")
    rows = []
    for folder in args.external:
        external = read(folder, [folder / "splits/fold0.csv"], "test")
        if GREYED not in set(training.measured["colours"]):
            warn_of_colours(folder.name, external)
        rows += [{"dataset": folder.name} | row for row in shifted(training, external)]
    frame = pd.DataFrame([[row.get(name) for name in COLUMNS] for row in rows], columns=COLUMNS, dtype=object)
    names = ", ".join(folder.name for folder in args.external)
    write_table(frame, args.out.with_suffix(""), f"{names} against the training of {args.target.name}", NOTES)


if __name__ == "__main__":
    run_cli(main)
