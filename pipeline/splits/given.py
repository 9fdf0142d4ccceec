"""Splits that a column of the user's table tells: the parts themselves, or sites of which one is left out.

``given``: the column says train, validation or test of each finding. ``sites``: in fold k the test is all
findings of the k-th site, and the groups of the others are parted into training and validation.
``official``: lists that come with a collection say train and test, and of its patients who train a share
validates.
"""

import argparse
import importlib
import logging
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import options, skipped
from pipeline.classes import UNNAMED, Classes
from pipeline.cli import run_cli
from pipeline.datasets.listed import names_of
from pipeline.errors import ColumnError, EmptyError, ImageMissingError, LeakError, SplitError
from pipeline.readers import labels
from pipeline.readers.index import documents, on_disk, read_index
from pipeline.readers.names import Names
from pipeline.seeds import stream
from pipeline.splits import joint, people
from pipeline.splits.leakage import NAMED_OFFENDERS
from pipeline.splits.split import (
    SPLITS,
    add_arguments,
    assign_together,
    evaluated,
    labelled,
    split_table,
    views_of,
    write,
)
from pipeline.store import StoreInfo

log = logging.getLogger("typhon")

KINDS = ("given", "sites", "official")
WORDS = {
    "train": "train", "training": "train", "test": "test", "testing": "test", "validation": "validation",
    "valid": "validation", "val": "validation", "dev": "validation", "development": "validation",
    "train_val": "train",
}  # fmt: skip
KEY = ["patient_id", "finding_id"]


def read(
    path: Path, raw: Path, files: Collection[str], column: str, columns: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """A row per finding: KEY as findings.csv has them, and ``place``: what ``column`` says, to be compared.

    ``columns`` are the headers by our names where a user has others, ``files`` those of the folder ``raw``.
    Raises EmptyError (there is no such table) and ColumnError.
    """
    if not path.is_file():
        raise EmptyError("no such file", file=path, expected="a CSV of findings")
    headers = {name: unicodedata.normalize("NFC", header) for name, header in (columns or {}).items()}
    table = labels.read_table(path, ["image", *KEY], columns=headers)
    column = unicodedata.normalize("NFC", column)
    if (count := list(table.columns).count(column)) != 1:
        raise ColumnError(
            f"{count} of it among {', '.join(table)}", file=path, expected=f"one column {column}",
            remedy="correct split/column, or add the column",
        )  # fmt: skip
    images = Names(files, raw, table["image"])
    named = names_of(table.assign(image=[_found(images, image) for image in table["image"]]))
    return named[KEY].assign(place=table[column].map(labels.word))


def official(rows: pd.DataFrame, validation: float, names: Sequence[object]) -> pd.DataFrame:
    """Lists of a whole collection (patient_id, finding_id, ``place``), part of whose training validates.

    Its patients are drawn, whatever their labels and whoever of them is at hand: so they are the same for all
    data sets, labels and runs of this collection. Lists that have a validation stay as they are.
    """
    who, place = people.persons(rows["patient_id"]), rows["place"].map(WORDS)
    if (place == "validation").any():
        return rows
    learned = np.sort(who[place == "train"].unique())
    count = min(max(round(validation * len(learned)), 1), len(learned) - 1)
    drawn = stream(*names).permutation(learned)[:count]
    return rows.assign(place=place.mask(who.isin(drawn), "validation"))


def _found(images: Names, image: str) -> str:
    try:
        return images.find(image)
    except ImageMissingError:
        return image


def places(rows: pd.DataFrame, kind: str, n: int, path: Path) -> list[str]:
    """The sites of a table in their order, or SPLITS; ``rows`` are of :func:`read`.

    Raises SplitError for an empty cell, an unknown word, no training or test rows, or another number of sites
    than ``n``, and LeakError for a patient in several.
    """
    if len(bare := rows[rows["place"] == ""]):
        found = f"{len(bare)} empty cells, such as of {' '.join(bare[KEY].iloc[0])}"
        raise SplitError(
            found, file=path, expected=_wanted(kind), remedy="fill them in, or take the rows out"
        )
    there = sorted(rows["place"].unique())
    if kind != "sites":
        if strange := [word for word in there if word not in WORDS]:
            raise SplitError(
                ", ".join(strange[: labels.MOST_SHOWN]), file=path, expected=_wanted(kind),
                remedy="correct the column that split/column names",
            )  # fmt: skip
        if lacking := {"train", "test"} - {WORDS[word] for word in there}:
            expected, remedy = "rows of train and of test", "add some to the column that split/column names"
            raise SplitError(f"none of {' and '.join(sorted(lacking))}", file=path, expected=expected,
                             remedy=remedy)  # fmt: skip
    elif len(there) != n:
        raise SplitError(
            f"{len(there)}: {', '.join(there[: labels.MOST_SHOWN])}", file=path,
            expected=f"as many sites as split/n, which is {n}", remedy=f"set split/n to {len(there)}",
        )  # fmt: skip
    several = rows["place"].map(str if kind == "sites" else WORDS).groupby(people.called(rows["patient_id"]))
    if names := [str(name) for name, count in several.nunique().items() if count > 1]:
        shown, more = ", ".join(names[:NAMED_OFFENDERS]), len(names) - NAMED_OFFENDERS
        raise LeakError(
            f"{len(names)} in several: {shown}{f' and {more} more' if more > 0 else ''}", file=path,
            expected=f"all findings of a patient in one {'site' if kind == 'sites' else 'split'}",
            remedy="correct the column that split/column names, or take these rows out",
        )  # fmt: skip
    return there if kind == "sites" else list(SPLITS)


def _wanted(kind: str) -> str:
    return "a site for each finding" if kind == "sites" else "train, validation or test for each finding"


def assign(
    findings: pd.DataFrame,
    place: pd.Series,
    *,
    classes: Classes = UNNAMED,
    site: str | None = None,
    validation: float,
    names: Sequence[object],
) -> pd.Series:
    """The split of each finding (columns patient_id, group_id and labels), whose ``place`` is told.

    With ``site`` the test is all findings there; without, places are WORDS. Where nothing validates, the
    share ``validation`` of the training groups does, of each label as hold-out takes it, drawn from the
    stream ``names``. Raises SplitError where less than two training groups have a label.
    """
    splits = place.map(WORDS) if site is None else (place == site).map({True: "test", False: "train"})
    if (splits == "validation").any():
        return splits
    training = splits == "train"
    units = people.units([findings[training]])[0]
    cells = joint.cells([findings[training]], [units], [classes])
    counts = cells.sum(0)
    if counts.min() < 2:
        of_each = zip(counts, joint.titles(classes), strict=True)
        raise SplitError(", ".join(f"{count} {cell}" for count, cell in of_each),
                         expected="two groups of each label to train and to validate with",
                         remedy="mark validation findings in the column, or add groups")  # fmt: skip
    taken = [min(max(round(validation * int(count)), 1), int(count) - 1) for count in counts]
    dealt = joint.deal(cells, np.array([counts - taken, taken]), names)
    return splits.mask(training, pd.Series(np.array(SPLITS)[dealt[units]], findings.index[training]))


def _joined(info: StoreInfo, rows: pd.DataFrame) -> pd.Series:
    """What the table tells of each finding of a store."""
    told = info.findings[KEY].astype(str).merge(rows, "left", KEY)["place"]
    if told.isna().any():
        lost = " ".join(info.findings.loc[told.isna().to_numpy(), KEY].astype(str).iloc[0])
        raise SplitError(f"no row for finding {lost}", file=info.path, expected="findings of the table",
                         remedy="locate the findings again: --forcerun locate_findings")  # fmt: skip
    return told.set_axis(info.findings.index)


def _told(args: argparse.Namespace, own: Sequence[str]) -> pd.DataFrame | None:
    """What tables tell, or None where a data set may do without and does; ``own`` are flags of its kind."""
    if args.official is not None:
        kind = importlib.import_module(f"pipeline.datasets.{args.official}")
        parser = argparse.ArgumentParser(prog=f"--official {args.official}", allow_abbrev=False)
        options.add_flags(parser, kind.Options)
        asked = options.given(kind.Options, parser.parse_args(own))
        rows: pd.DataFrame = kind.official(args.raw, sorted(documents(args.index)), asked)
        return rows
    if args.table is None:
        return None
    files = sorted(on_disk(read_index(args.index)).unique())
    columns = dict(pair.split("=", 1) for pair in args.columns)
    try:
        return read(args.raw / args.table, args.raw, files, args.column, columns)
    except ColumnError:
        if args.or_drawn:
            return None
        raise


def main(argv: Sequence[str] | None = None) -> None:
    """Split the findings of a store by a column of its table; without one, as hold-outs are drawn."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.splits.given", description=main.__doc__, allow_abbrev=False
    )
    add_arguments(parser)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument(
        "--official", metavar="KIND", help="kind with lists to go by; its keys are flags, too"
    )
    parser.add_argument(
        "--column", default="", help="column of the table: train, validation, test; or the site"
    )
    parser.add_argument("--table", type=Path, help="the user's CSV, relative to the raw folder or absolute")
    parser.add_argument("--columns", action="append", default=[], metavar="NAME=HEADER")
    parser.add_argument(
        "--or-drawn", action="store_true", help="draw hold-outs where there is no such column"
    )
    parser.add_argument("--raw", type=Path, required=True, help="raw folder")
    parser.add_argument("--index", type=Path, required=True, help="index.parquet")
    args, own = parser.parse_known_args(argv)
    if own and args.official is None:
        parser.error(f"unrecognized arguments: {' '.join(own)}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    skipped.check(args.skipped, args.max_skipped)
    info, *beside = map(labelled, [args.store, *args.beside])
    if beside and joint.is_shared([one.findings for one in (info, *beside)]):
        raise SplitError(
            f"people of {info.dataset} in {', '.join(one.dataset for one in beside)}", file=args.store,
            expected=f"with split: {{kind: {args.kind}}} data sets of other people each",
            remedy="leave one of the data sets out, or draw the split: kind: holdout",
        )  # fmt: skip
    told, classes = _told(args, own), info.classes
    if told is None:
        log.info("%s has no column %s: drawn as a hold-out", info.dataset, args.column or "of splits")
        splits = assign_together(
            [info.findings], [classes], kind="repeats", n=args.n, validation=args.validation, test=args.test,
            seed=args.seed, fold=args.fold,
        )[0]  # fmt: skip
    else:
        known = places(told, args.kind, args.n, args.raw / (args.table or ""))
        site = known[args.fold] if args.kind == "sites" else None
        if site is not None:
            log.info("the test is %s %s", args.column, site)
        names = ("split", args.seed, args.kind, args.fold)
        if args.kind == "official":
            told = official(told, args.validation, names)
        place = _joined(info, told)
        splits = assign(info.findings, place, classes=classes, site=site, validation=args.validation,
                        names=names)  # fmt: skip
    try:
        table = split_table(info, evaluated(args, info, splits), **views_of(args))
    except SplitError as error:
        if told is not None:
            error.remedy = "look at the column that split/column names"
        if args.kind == "official":
            error.remedy = "raise split/validation, or get more of the images"
        raise
    try:
        write(args.out, table, info)
    except LeakError as error:
        if told is not None and args.kind != "official":  # the same column makes the same split again
            error.remedy = (
                "correct the column that split/column names, or take these rows out; for copies of images see"
                " near_duplicates.csv of the data set"
            )
        raise


if __name__ == "__main__":
    run_cli(main)
