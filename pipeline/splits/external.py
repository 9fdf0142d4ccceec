"""The split of an external data set: all of it is the test, and no other data set holds anybody in it."""

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline import skipped
from pipeline.classes import as_cells
from pipeline.cli import run_cli
from pipeline.files import read_csv, write_csv
from pipeline.splits.leakage import NAMED_OFFENDERS, images, refuse
from pipeline.splits.people import persons
from pipeline.splits.split import COLUMNS, labelled
from pipeline.store import StoreInfo, read_info

log = logging.getLogger("typhon")

KEY = ["patient_id", "finding_id"]


@dataclass(frozen=True)
class StoreContents:
    """Who and what a data set holds, a value for each finding of its store."""

    name: str
    patients: pd.Series
    images: pd.Series
    """Digests of view 0."""
    studies: pd.Series
    """UIDs of DICOM studies; empty for other files."""


def contents(info: StoreInfo, findings: Path) -> StoreContents:
    """Read a store and its findings.csv."""
    rows = read_csv(findings).drop_duplicates(KEY)[[*KEY, "study_uid"]]
    kept = info.findings[KEY].astype(str).merge(rows, "left", KEY)
    return StoreContents(
        info.dataset, kept["patient_id"], pd.Series(images(info.path)), kept["study_uid"].fillna("")
    )


def shared(own: StoreContents, other: StoreContents, *, same_people: bool) -> Iterator[str]:
    """What of an external data set is in another one, a line for each kind.

    ``same_people`` says that equal ids are the same person.
    """
    ids = [persons(one.patients) for one in (own, other)]
    common = own.patients[ids[0].isin(set(ids[1]) - {""})].drop_duplicates()
    if same_people and len(common):
        yield _told("patients", common, other)
    elif len(common):
        log.warning(
            "%d patient ids are in %s too, such as %s: if they are the same people, give both data sets one"
            " name under patients", len(common), other.name, common.iloc[0],
        )  # fmt: skip
    case = own.patients
    for kind, mine, theirs in (
        ("studies of patients", own.studies, other.studies),
        ("images of patients", own.images, other.images),
    ):
        met = case[mine.isin(set(theirs) - {""})].drop_duplicates()
        if len(met):
            yield _told(kind, met, other)


def _told(kind: str, names: pd.Series, other: StoreContents) -> str:
    more = f" and {len(names) - NAMED_OFFENDERS} more" if len(names) > NAMED_OFFENDERS else ""
    return f"{kind} that {other.name} has too ({len(names)}): {', '.join(names[:NAMED_OFFENDERS])}{more}"


def main(argv: Sequence[str] | None = None) -> None:
    """Make all findings of a store the test; refuse it where the experiment's data sets hold any of them."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.splits.external", description=main.__doc__)
    parser.add_argument("--store", type=Path, required=True, help="patches.h5")
    parser.add_argument("--findings", type=Path, required=True, help="findings.csv of it")
    parser.add_argument("--others", type=Path, nargs="+", required=True, help="patches.h5 of the data sets")
    parser.add_argument("--others-findings", type=Path, nargs="+", required=True, help="findings.csv of each")
    parser.add_argument("--same", nargs="*", default=[], help="data sets with the same people")
    parser.add_argument("--skipped", type=Path, required=True, help="skipped.csv")
    parser.add_argument(
        "--max-skipped", type=int, default=0, help="number of failed findings that are accepted"
    )
    parser.add_argument("--evaluation-views", type=int, default=11)
    parser.add_argument("--out", type=Path, required=True, help="splits/fold{fold}.csv")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    skipped.check(args.skipped, args.max_skipped)
    info = labelled(args.store)
    own = contents(info, args.findings)
    for store, findings in zip(args.others, args.others_findings, strict=True):
        other = contents(read_info(store), findings)
        refuse(
            shared(own, other, same_people=other.name in args.same), "refuse", args.store,
            expected="an external data set of people whom no other data set holds",
            remedy="take them out of one of the two, or take the data set out of external",
        )  # fmt: skip
    labels = info.classes.label_columns
    table = info.findings[[*COLUMNS[:3], *labels]].assign(
        split="test", views=min(args.evaluation_views, info.views)
    )
    write_csv(args.out, table.columns, as_cells(table).to_dict("records"))
    log.info("%s: %d findings, %d groups", info.dataset, len(table), table["group_id"].nunique())


if __name__ == "__main__":
    run_cli(main)
