"""The PROSTATEx challenge: a probability for each official test finding, and the AUROC where truth is known.

The challenge wanted a CSV ``proxid,clinsig`` with ids such as ProstateX-0204-1. It is closed; the truth of
its test has been published since, so that scores are computed here.
"""

import argparse
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.evaluation.delong import clustered_interval
from model.evaluation.intervals import REPLICATES, Fold, bootstrap, newcombe
from model.evaluation.metrics import auroc
from model.evaluation.predictions import COLUMNS, PredictionsError
from model.evaluation.summary import missing_class, with_reasons
from pipeline import skipped
from pipeline.cli import run_cli
from pipeline.datasets.prostatex import FINDINGS_FILE
from pipeline.errors import ColumnError, DuplicateFindingError, LabelError, RawMissingError
from pipeline.files import read_csv, sha256, write_csv, write_text
from pipeline.readers import labels
from pipeline.readers.index import documents
from pipeline.seeds import stream

log = logging.getLogger("typhon")

HEADER = ("proxid", "clinsig")
PROXID = re.compile(r"ProstateX-\d{4}-\d+")
"""A patient and the number of a finding. Nothing that a spreadsheet would take for a formula."""
OFFICIAL = FINDINGS_FILE.replace("Train", "Test")
FINDINGS, POSITIVES = 208, 47
"""Of the whole test, by the truth that was published."""
PUBLISHED = {
    "thesis, 80 % of the training patients": 0.71,
    "thesis, all training patients": 0.76,
    "best of 71 methods": 0.87,
    "median of 71 methods": 0.68,
}
"""AUROCs on the challenge's test: thesis 5.2.5, 5.3.2 and figure 2.1."""


def read_official(path: Path) -> pd.DataFrame:
    """The findings that the challenge asked for, in its order: patient_id, finding_id (unique) and proxid.

    Raises LabelError for an id that is no id of the challenge.
    """
    table = labels.read_table(path, ["ProxID", "fid", "pos"], numbers=["pos"])
    if not len(table):
        raise LabelError("no row", file=path, expected="the findings of the challenge's test")
    table["finding_id"] = labels.unique_ids(list(zip(table["ProxID"], table["fid"], strict=True)))
    table["proxid"] = table["ProxID"] + "-" + table["fid"]
    _check_ids(path, table["proxid"])
    table = table.drop_duplicates(["ProxID", "fid", "pos"], ignore_index=True)
    return table.rename(columns={"ProxID": "patient_id"})[["patient_id", "finding_id", "proxid"]]


def _check_ids(path: str | Path, ids: pd.Series) -> None:
    wrong = ids[~ids.map(lambda name: bool(PROXID.fullmatch(name)))]
    if len(wrong):
        raise LabelError(
            repr(wrong.iloc[0]), file=path, expected="an id such as ProstateX-0204-1",
            remedy="use the table as published",
        )  # fmt: skip


def read_run(path: Path) -> pd.Series:
    """Mean score over the views of each finding (patient_id, finding_id) of one run's table."""
    table = read_csv(path)
    if list(table.columns) != COLUMNS:
        found = ", ".join(table.columns)
        raise PredictionsError(found, file=path, expected=f"the columns {', '.join(COLUMNS)}")
    scores = pd.to_numeric(table["score"], errors="coerce")
    if not scores.between(0, 1).all():
        bad = table.loc[~scores.between(0, 1), "score"].iloc[0]
        raise PredictionsError(repr(bad), file=path, expected="scores in [0, 1]")
    if table.duplicated(["patient_id", "finding_id", "view"]).any():
        raise PredictionsError("a view twice", file=path, expected="each view once")
    return scores.groupby([table["patient_id"], table["finding_id"]]).mean()


def average(runs: Sequence[Path], official: pd.DataFrame) -> pd.Series:
    """The mean over runs of each official finding's score, in their order; NaN where no run has it.

    Raises PredictionsError for findings that are not official, or that some runs have and others have not.
    """
    table = pd.concat([read_run(run) for run in runs], axis=1)
    ragged = table[table.isna().any(axis=1)]
    keys = pd.MultiIndex.from_frame(official[["patient_id", "finding_id"]])
    unknown = table.index.difference(keys)
    for names, expected in (
        (ragged.index, "the same findings in each run"),
        (unknown, "findings of the challenge only"),
    ):
        if len(names):
            raise PredictionsError(f"{len(names)}: {'/'.join(names[0])} …", file=runs[0], expected=expected)
    return table.mean(axis=1).reindex(keys).reset_index(drop=True)


def submission(runs: Sequence[Path], official: pd.DataFrame) -> pd.DataFrame:
    """The challenge's table: every official finding once, in its order.

    A finding that could not be cut gets the median of the others, and is named in a warning.
    """
    scores = average(runs, official)
    missing = official.loc[scores.isna(), "proxid"].tolist()
    if len(missing) == len(official):
        raise PredictionsError("none", file=runs[0], expected="predictions of the challenge's findings")
    if missing:
        log.warning("no prediction, hence the median of the others: %s", ", ".join(missing))
    return pd.DataFrame({"proxid": official["proxid"], "clinsig": scores.fillna(scores.median())})


def read_submission(path: Path) -> pd.DataFrame:
    """A table of the challenge, checked: its header, its ids, and a probability in [0, 1] for each."""
    table = read_csv(path)
    if tuple(table.columns) != HEADER:
        raise ColumnError(f"columns {', '.join(table.columns)}", file=path, expected=",".join(HEADER))
    _check_ids(path, table["proxid"])
    values = [labels.number(cell, path) for cell in table["clinsig"]]
    if wrong := [value for value in values if not 0 <= value <= 1]:
        raise LabelError(repr(wrong[0]), file=path, expected="probabilities in [0, 1]")
    return table.assign(clinsig=values)


def read_truth(path: Path) -> pd.DataFrame:
    """The published labels: columns ProxID, fid, ClinSig, or proxid, clinsig. Returns proxid and label."""
    try:
        table = labels.read_table(path, [])
    except FileNotFoundError:
        raise RawMissingError("nothing", file=path, expected="the truth of the challenge") from None
    names = {name.lower(): name for name in table.columns}
    if {"proxid", "fid", "clinsig"} <= set(names):
        ids = table[names["proxid"]] + "-" + table[names["fid"]]
    elif set(HEADER) <= set(names):
        ids = table[names["proxid"]]
    else:
        raise ColumnError(
            f"columns {', '.join(table.columns)}", file=path,
            expected="ProxID, fid, ClinSig or proxid, clinsig",
        )  # fmt: skip
    _check_ids(path, ids)
    return pd.DataFrame(
        {"proxid": ids, "label": [labels.binary(cell, path) for cell in table[names["clinsig"]]]}
    )


def _numbered(table: pd.DataFrame) -> pd.DataFrame:
    """With the place of each row among those of the same id: fids may repeat within a patient."""
    return table.assign(place=table.groupby("proxid").cumcount())


def score(predicted: pd.DataFrame, truth: pd.DataFrame, file: str | Path = "") -> dict[str, Any]:
    """AUROC per finding with intervals for other patients, over the findings whose label is known.

    Rows of the truth that were not asked for, of the training say, do not count. Where an id is there more
    than once, the rows are matched in their order; DuplicateFindingError if their numbers differ.
    """
    counts = pd.DataFrame({"a": predicted["proxid"].value_counts(), "b": truth["proxid"].value_counts()})
    uneven = counts.dropna()[lambda each: each["a"] != each["b"]]
    if len(uneven):
        a, b = uneven.iloc[0].astype(int)
        raise DuplicateFindingError(f"{b} rows of {uneven.index[0]}", file=file, expected=f"{a}")
    both = _numbered(predicted).merge(_numbered(truth), on=["proxid", "place"])
    known, values = both["label"].to_numpy(int), both["clinsig"].to_numpy(float)
    groups = both["proxid"].str.rsplit("-", n=1).str[0].to_numpy(str)
    one_class = missing_class(known)
    area = auroc(known, values)
    fold = Fold(groups, known, values[None])
    resampled = bootstrap([fold], stream("challenge")) if area is not None else None
    interval, kind = (None, None) if area is None else clustered_interval([fold])
    plain = {
        "auroc": area,
        "ci95": interval,
        "ci95_kind": kind,
        "bootstrap95": resampled.interval if resampled else None,
    }
    reasons = dict.fromkeys(plain, one_class)
    if resampled:
        reasons["bootstrap95"] = resampled.reason
    return {
        **with_reasons(plain, reasons),
        "findings": len(both),
        "positives": int(known.sum()),
        "patients": len(set(groups)),
        "without_truth": len(predicted) - len(both),
        "replicates": REPLICATES,
        "published": {
            name: {"auroc": value, "newcombe95": newcombe(value, POSITIVES, FINDINGS - POSITIVES)}
            for name, value in PUBLISHED.items()
        },
    }


def write(options: argparse.Namespace) -> None:
    """Average the runs into the challenge's CSV."""
    skipped.check(options.skipped, options.max_skipped)
    path = labels.find(documents(options.index), OFFICIAL, options.raw)
    if not path.exists():
        raise RawMissingError("nothing", file=path, expected="the challenge's table")
    official = read_official(path)
    table = submission(options.runs, official)
    rows = [
        {"proxid": name, "clinsig": np.format_float_positional(value, trim="0")}
        for name, value in table.itertuples(index=False)
    ]
    write_csv(options.out, HEADER, rows)
    log.info("%s: %d findings, mean of %d runs", options.out, len(rows), len(options.runs))


def score_file(options: argparse.Namespace) -> None:
    """Score a CSV of the challenge against the truth."""
    figures = {
        "method": options.method,
        **score(read_submission(options.csv), read_truth(options.truth), options.truth),
        "truth_sha256": sha256(options.truth),
    }
    write_text(options.out, json.dumps(figures, indent=2, allow_nan=False) + "\n")
    if figures["auroc"] is not None:
        low, high = figures["ci95"]
        of = f"{figures['findings']} findings of the challenge, {figures['positives']} of them positive"
        print(f"{options.method}: AUROC {figures['auroc']:.3f} [{low:.3f}, {high:.3f}] on {of}")


def main(argv: Sequence[str] | None = None) -> None:
    """Write the challenge's CSV, or score it."""
    parser = argparse.ArgumentParser(prog="python -m papers.challenge", description=__doc__)
    kinds = parser.add_subparsers(dest="action", required=True)
    sub = kinds.add_parser("write", help="average the runs of a method into the challenge's CSV")
    sub.add_argument(
        "--runs", type=Path, nargs="+", required=True, metavar="CSV", help="…/challenge.csv of each run"
    )
    sub.add_argument("--index", type=Path, required=True, help="index.parquet of the raw folder")
    sub.add_argument("--raw", type=Path, required=True, help=f"folder of the downloads, with {OFFICIAL}")
    sub.add_argument("--skipped", type=Path, required=True, help="skipped.csv of the challenge's collection")
    sub.add_argument("--max-skipped", type=int, default=0, help="number of failed findings that are accepted")
    sub.add_argument("--out", type=Path, required=True, help="CSV to write")
    sub.set_defaults(run=write)
    sub = kinds.add_parser("score", help="AUROC of such a CSV")
    sub.add_argument("--method", required=True, help="name of the method, for the file")
    sub.add_argument("--csv", type=Path, required=True, help="CSV of the challenge")
    sub.add_argument("--truth", type=Path, required=True, help="ProxID, fid, ClinSig, or proxid, clinsig")
    sub.add_argument("--out", type=Path, required=True, help="JSON to write")
    sub.set_defaults(run=score_file)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.run(options)


if __name__ == "__main__":
    run_cli(main)
