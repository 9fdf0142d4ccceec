"""Patient-level splits, stratified by the labels of each group."""

import argparse
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import skipped
from pipeline.classes import LABEL, UNKNOWN, UNNAMED, Classes, as_cells, label_columns
from pipeline.cli import run_cli
from pipeline.errors import LabelError, LeakError, SplitError
from pipeline.files import read_csv, typed, write_csv
from pipeline.seeds import stream
from pipeline.splits import joint, people
from pipeline.splits.leakage import UNUSED, assert_no_leak
from pipeline.store import StoreInfo, read_info

log = logging.getLogger("typhon")

KINDS = ("holdout", "folds", "repeats", "paper", "all")
SPLITS = ("train", "validation", "test")
LEARNED = SPLITS[:2]
"""Splits that methods learn from: networks fit the first and choose by the second, probes fit both."""
COLUMNS = ("patient_id", "group_id", "finding_id", LABEL, "split", "views")
"""Of a split table; with several labels there is a column of each."""


def _share(fraction: float, count: int) -> int:
    return max(round(fraction * count), 1)


def _hold_out(count: int, validation: float, test: float) -> np.ndarray:
    """Split numbers (0 train, 1 validation, 2 test) of ``count`` shuffled groups of one stratum."""
    # Rounding must leave one group to train: 3 groups and a test of .5 are 1, 1 and 1.
    tests = min(_share(test, count), max(count - 2, 0)) if validation else _share(test, count)
    validations = min(_share(validation, count), max(count - tests - 1, 0))
    return np.repeat([2, 1, 0], [tests, validations, max(count - tests - validations, 0)])[:count]


def _fold(count: int, n: int, fold: int) -> np.ndarray:
    """Rotating parts: part ``fold`` is the test, the next one the validation, the others train."""
    return _rotated(np.arange(count), n, fold)


def _rotated(parts: np.ndarray, n: int, fold: int) -> np.ndarray:
    part = (parts - fold) % n
    return np.where(part == 0, 2, np.where(part == 1, 1, 0))


def published(findings: pd.DataFrame, validation: float, test: float) -> pd.Series:
    """The split of each finding (columns patient_id, label) as the papers' code did it.

    Each class is split apart from the other, its patients in their order: the first floor(n·training) train,
    the last floor(n·test) test. So a patient with findings of both labels may be in two splits.
    """
    splits = pd.Series("", index=findings.index)
    for _, own in findings.groupby("label"):
        patients = own["patient_id"].unique()
        # Rounded first: 0.8 · 35 must not come out below 28.
        train, tests = (
            math.floor(round(share * len(patients), 9)) for share in (1 - validation - test, test)
        )
        names = np.repeat(SPLITS, [train, len(patients) - train - tests, tests])
        splits[own.index] = own["patient_id"].map(dict(zip(patients, names, strict=True)))
    return splits


def assign(
    findings: pd.DataFrame,
    *,
    classes: Classes = UNNAMED,
    kind: str,
    n: int,
    validation: float,
    test: float,
    seed: int,
    fold: int,
) -> pd.Series:
    """The split of each finding (columns patient_id, group_id and labels), the same for a whole group.

    ``holdout`` and ``repeats`` draw the given fractions of groups anew for each fold; ``folds`` deals the
    groups into n parts once and rotates them. Of two classes groups are drawn within each class of their
    worst label, so both classes appear in each split. More classes, several labels, and two classes of which
    most groups hold both, are dealt as :func:`pipeline.splits.joint.deal` does. SplitError says how many
    groups there are where that is too few. With ``all`` every finding trains. Only ``paper`` cuts groups: see
    :func:`published`.
    """
    if kind == "all":
        return pd.Series("train", index=findings.index)
    if kind == "paper":
        if classes.multilabel:
            raise SplitError(f"split: {{kind: paper}} and {classes}", expected="classes, not labels",
                             remedy="use another kind of split")  # fmt: skip
        return published(findings, validation, test)
    # Called after its first group, a unit is a group unless one person, spelt in several ways, has several.
    unit = findings.groupby(people.units([findings])[0])["group_id"].transform("min")
    worst = findings.groupby(unit)["label"].max().sort_index() if classes.two else pd.Series(dtype=int)
    least = n if kind == "folds" else len(SPLITS)
    if min((worst == label).sum() for label in (0, 1)) < least:
        shares = {"validation": validation, "test": test}
        return _dealt([findings], [classes], "classes", kind=kind, n=n, seed=seed, fold=fold, **shares)[0]
    drawn: dict[str, str] = {}
    for label in (0, 1):
        groups = worst.index[worst == label].to_numpy(object)
        names = ("split", seed, label) if kind == "folds" else ("split", seed, label, fold)
        groups = stream(*names).permutation(groups)
        numbers = _fold(len(groups), n, fold) if kind == "folds" else _hold_out(len(groups), validation, test)
        drawn.update(zip(groups, np.array(SPLITS)[numbers], strict=True))
    return unit.map(drawn)


def assign_together(
    tables: Sequence[pd.DataFrame],
    classes: Sequence[Classes],
    *,
    kind: str,
    n: int,
    validation: float,
    test: float,
    seed: int,
    fold: int,
) -> list[pd.Series]:
    """The splits of data sets with the same people: a person is in the same split in all of them.

    One draw over the groups of all, stratified by the labels that a person has in each data set. Where
    nobody is in two data sets, each is drawn by itself, as :func:`assign` does. Raises SplitError.
    """
    keys: dict[str, Any] = {
        "kind": kind, "n": n, "validation": validation, "test": test, "seed": seed, "fold": fold
    }  # fmt: skip
    if kind in ("all", "paper") or not joint.is_shared(tables):
        return [assign(table, classes=own, **keys) for table, own in zip(tables, classes, strict=True)]
    return _dealt(tables, classes, "together", **keys)


def _dealt(
    tables: Sequence[pd.DataFrame],
    classes: Sequence[Classes],
    name: str,
    *,
    kind: str,
    n: int,
    validation: float,
    test: float,
    seed: int,
    fold: int,
) -> list[pd.Series]:
    """The splits of data sets by one draw over the groups of all, of a stream of that name."""
    units = people.units(tables)
    folds, least = kind == "folds", n if kind == "folds" else len(SPLITS)
    cells = joint.cells(tables, units, classes)
    counts = [int(count) for count in cells.sum(0)]
    if min(counts) < least:  # such as of slides that each have tiles of both classes
        cells = joint.cells(tables, units, classes, worst=False)
    if cells.sum(0).min() < least:
        left = iter(counts)
        found = "; ".join(", ".join(f"{next(left)} {cell}" for cell in joint.titles(own)) for own in classes)
        each = "in each data set" if len(tables) > 1 else ""
        raise SplitError(f"groups: {found}", expected=f"at least {least} groups of each label {each}".strip())
    parts = [np.arange(count) % n if folds else _hold_out(count, validation, test) for count in cells.sum(0)]
    wanted = np.array([np.bincount(part, minlength=least) for part in parts]).T
    dealt = joint.deal(cells, wanted, ("split", seed, name, "" if folds else fold))
    splits = np.array(SPLITS)[_rotated(dealt, n, fold) if folds else dealt]
    return [
        pd.Series(splits[numbers], index=table.index) for table, numbers in zip(tables, units, strict=True)
    ]


def thinned(
    findings: pd.DataFrame, splits: pd.Series, classes: Classes, names: Sequence[object]
) -> pd.Series:
    """The splits with as many validation findings of each class, and as many test findings (F-013).

    Of the smallest class all stay; of the others as many are drawn, from the stream ``names``, and the rest
    become UNUSED. Labels, of which a finding may have several, cannot be balanced so: their splits stay.
    """
    if classes.multilabel:
        return splits
    splits = splits.copy()
    for name in SPLITS[1:]:
        rows = findings[splits == name].sort_values(["patient_id", "finding_id"])
        counts = rows[LABEL].value_counts()
        for label, count in sorted(counts.items()):
            drawn = stream(*names, name, label).permutation(count)[counts.min() :]
            splits[rows.index[rows[LABEL] == label][drawn]] = UNUSED
    return splits


def balanced_views(
    labels: np.ndarray, majority_views: int, stored: int, *, paper: bool = False
) -> dict[int, int]:
    """Views of a finding by label, so that all classes have about as many patches (F-052).

    The largest class n0 has ``majority_views``, another n1 floor(majority_views·n0/n1), at most ``stored``;
    a cut is warned about. In print (``paper``) n0 are those of label 0 even where they are fewer.
    """
    counts = np.bincount(labels, minlength=2)
    first = 0 if paper else int(counts.argmax())
    views = {first: majority_views}
    for label in range(len(counts)):
        if label != first:
            views[label] = max(majority_views * int(counts[first]) // int(counts[label]), 1)
    for label, wanted in views.items():
        if wanted > stored:
            log.warning("label %d: %d views would balance the classes, %d are stored", label, wanted, stored)
    return {label: min(wanted, stored) for label, wanted in views.items()}


def split_table(
    info: StoreInfo,
    splits: pd.Series,
    *,
    majority_views: int,
    evaluation_views: int,
    balance: str,
    training_views: int | None = None,
    kind: str = "holdout",
) -> pd.DataFrame:
    """The table of a split: each finding of the store with its split and its number of views.

    ``training_views`` gives all training findings as many, whatever their class (F-053). ``kind="paper"``
    treats validation as training, and balances the test around ``evaluation_views`` too.
    """
    classes = info.classes
    table = info.findings[[*COLUMNS[:3], *classes.label_columns]].assign(split=splits.to_numpy())
    for name in SPLITS if kind != "all" else SPLITS[:1]:
        _check_whole(name, table[table["split"] == name], info)
    paper = kind == "paper"
    first = {"train": majority_views}
    if paper:
        first |= {"validation": majority_views, "test": evaluation_views}
    wanted = pd.Series(evaluation_views, index=table.index)
    for name, number in first.items():
        same = training_views if name != "test" else None
        rows = table[table["split"] == name]
        if balance != "views" or same is not None or classes.multilabel:
            wanted[rows.index] = same or number
            continue
        wanted[rows.index] = rows["label"].map(
            balanced_views(rows["label"].to_numpy(int), number, info.views, paper=paper)
        )
    return table.assign(views=wanted.clip(upper=info.views).astype(int))


def _check_whole(name: str, rows: pd.DataFrame, info: StoreInfo) -> None:
    """Raise SplitError where a split lacks a class, or findings with and without a label."""
    classes = info.classes
    cells = [(truth == wanted).sum() for truth in classes.truth(rows).T for wanted in (0, 1)]
    if min(cells):
        return
    if classes.multilabel:
        found = ", ".join(f"{count} {cell}" for count, cell in zip(cells, joint.titles(classes), strict=True))
        expected = "findings with and without each label in each split"
    else:
        counts = np.bincount(rows["label"].to_numpy(int), minlength=classes.outputs)
        found = ", ".join(
            f"{count} {cell}" for count, cell in zip(counts, joint.titles(classes), strict=True)
        )
        expected = f"{'both labels' if classes.two else 'each class'} in each split"
    raise SplitError(f"{name} findings: {found}", file=info.path, expected=expected)


def read_splits(path: str | Path) -> pd.DataFrame:
    """A split table with ids as text, label and views as numbers; raises TableError."""
    cells = read_csv(path)
    labels = label_columns(cells)
    texts = {name: str for name in COLUMNS if name not in (LABEL, "views")}
    if labels:
        cells = cells.assign(**{name: cells[name].replace("", str(UNKNOWN)) for name in labels})
    return typed(cells, texts | dict.fromkeys(labels or [LABEL], int) | {"views": int}, path)


def labelled(store: Path) -> StoreInfo:
    """What a store says of itself; raises LabelError where findings have no label."""
    info = read_info(store)
    if unknown := int((info.classes.truth(info.findings) == UNKNOWN).all(axis=1).sum()):
        raise LabelError(
            f"{unknown} findings without",
            file=store,
            expected="a label for each finding",
            remedy="leave the data set out of datasets: it can be cut and looked at, not trained on",
        )
    return info


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of every command that writes a split table."""
    parser.add_argument("--store", type=Path, required=True, help="patches.h5 of the data set")
    parser.add_argument(
        "--beside", type=Path, nargs="*", default=[], metavar="STORE",
        help="patches.h5 of the other data sets of the experiment that have the same people",
    )  # fmt: skip
    parser.add_argument("--skipped", type=Path, required=True, help="skipped.csv of the data set")
    parser.add_argument(
        "--max-skipped", type=int, default=0, help="number of failed findings that are accepted"
    )
    parser.add_argument("--n", type=int, default=1, help="number of folds, repeats or sites")
    parser.add_argument("--validation", type=float, default=0.2, help="share of the groups for validation")
    parser.add_argument("--test", type=float, default=0.2, help="share of the groups for the test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fold", type=int, default=0, help="which of the n folds, repeats or sites to write")
    parser.add_argument(
        "--evaluation", choices=["all", "balanced"], default="all",
        help="findings of validation and test: all, or as many of each class, drawn once",
    )  # fmt: skip
    parser.add_argument(
        "--majority-views", type=int, default=60, help="views per finding of the larger class"
    )
    parser.add_argument(
        "--training-views", type=int, help="views of every training finding, whatever its class"
    )
    parser.add_argument(
        "--evaluation-views", type=int, default=11, help="views per validation or test finding"
    )
    parser.add_argument("--balance", choices=["views", "undersample"], default="views")
    parser.add_argument("--out", type=Path, required=True, help="splits/fold{fold}.csv to write")


def views_of(args: argparse.Namespace) -> dict[str, Any]:
    """What the flags say of the views of findings, for :func:`split_table`."""
    names = ("majority_views", "evaluation_views", "balance", "training_views")
    return {name: getattr(args, name) for name in names}


def evaluated(args: argparse.Namespace, info: StoreInfo, splits: pd.Series) -> pd.Series:
    """The splits with the validation and the test that the flags ask for."""
    if args.evaluation == "all":
        return splits
    return thinned(info.findings, splits, info.classes, ("balanced", args.seed, args.fold))


def write(path: Path, table: pd.DataFrame, info: StoreInfo, leak: str = "refuse") -> None:
    """Write the split table of a store, and log what is in each split.

    Raises LeakError as :func:`pipeline.splits.leakage.assert_no_leak` does.
    """
    assert_no_leak(info.path, table, leak)
    write_csv(path, table.columns, as_cells(table).to_dict("records"))
    for name in [*SPLITS, *([UNUSED] if (table["split"] == UNUSED).any() else [])]:
        part = table[table["split"] == name]
        counts = list(info.classes.counts(part).items())
        shown = ", ".join(
            f"{count:4d} {'positive' if info.classes.two else word}"
            for word, count in counts[info.classes.two :]
        )
        log.info("%-10s %4d findings, %s, %4d groups", name, len(part), shown, part["group_id"].nunique())


def main(argv: Sequence[str] | None = None) -> None:
    """Split the findings of a store; stops first if more findings failed than max_skipped allows."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.splits.split", description=main.__doc__)
    add_arguments(parser)
    parser.add_argument("--kind", choices=KINDS, default="holdout")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    skipped.check(args.skipped, args.max_skipped)
    info, *beside = map(labelled, [args.store, *args.beside])
    # In one order, whichever of them is written: each comes to the same draw.
    stores = {one.dataset: one for one in sorted([info, *beside], key=lambda one: one.dataset)}
    splits = assign_together(
        [one.findings for one in stores.values()],
        [one.classes for one in stores.values()],
        kind=args.kind,
        n=args.n,
        validation=args.validation,
        test=args.test,
        seed=args.seed,
        fold=args.fold,
    )
    own = evaluated(args, info, splits[list(stores).index(info.dataset)])
    table = split_table(info, own, **views_of(args), kind=args.kind)
    try:
        write(args.out, table, info, "warn" if args.kind == "paper" else "refuse")
    except LeakError as error:  # the same draw puts the copies apart again
        error.remedy = (
            "give copies of one image one patient_id, or take out all but one; near_duplicates.csv of the"
            " data set has their files"
        )
        raise


if __name__ == "__main__":
    run_cli(main)
