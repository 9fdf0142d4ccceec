"""Patient-level splits, stratified by each group's worst label, and the proof that nothing leaks."""

import argparse
import functools
import hashlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import skipped
from pipeline.cli import run_cli
from pipeline.errors import LabelError, LeakError, SplitError
from pipeline.files import read_csv, typed, write_csv
from pipeline.seeds import stream
from pipeline.splits import joint, people
from pipeline.store import UNKNOWN, StoreInfo, read_info, read_patches

log = logging.getLogger("typhon")

KINDS = ("holdout", "folds", "repeats", "paper", "all")
SPLITS = ("train", "validation", "test")
COLUMNS = ("patient_id", "group_id", "finding_id", "label", "split", "views")
NAMED_OFFENDERS = 5


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
    findings: pd.DataFrame, *, kind: str, n: int, validation: float, test: float, seed: int, fold: int
) -> pd.Series:
    """The split of each finding (columns patient_id, group_id, label), the same for a whole group.

    ``holdout`` and ``repeats`` draw the given fractions of groups anew for each fold; ``folds`` deals the
    groups into n parts once and rotates them. Groups are drawn within each class of their worst label, so
    both classes appear in each split, or SplitError says how many groups there are. With ``all`` every
    finding trains. Only ``paper`` cuts groups: see :func:`published`.
    """
    if kind == "all":
        return pd.Series("train", index=findings.index)
    if kind == "paper":
        return published(findings, validation, test)
    # Called after its first group, a unit is a group unless one person, spelt in several ways, has several.
    unit = findings.groupby(people.units([findings])[0])["group_id"].transform("min")
    worst = findings.groupby(unit)["label"].max().sort_index()
    drawn: dict[str, str] = {}
    for label in (0, 1):
        groups = worst.index[worst == label].to_numpy(object)
        least = n if kind == "folds" else len(SPLITS)
        if len(groups) < least:
            counts = ", ".join(f"{(worst == value).sum()} of label {value}" for value in (0, 1))
            raise SplitError(f"groups: {counts}", expected=f"at least {least} groups of each label")
        names = ("split", seed, label) if kind == "folds" else ("split", seed, label, fold)
        groups = stream(*names).permutation(groups)
        numbers = _fold(len(groups), n, fold) if kind == "folds" else _hold_out(len(groups), validation, test)
        drawn.update(zip(groups, np.array(SPLITS)[numbers], strict=True))
    return unit.map(drawn)


def assign_together(
    tables: Sequence[pd.DataFrame],
    *,
    kind: str,
    n: int,
    validation: float,
    test: float,
    seed: int,
    fold: int,
) -> list[pd.Series]:
    """The splits of data sets with the same people: a person is in the same split in all of them.

    One draw over the groups of all, stratified by the worst label that a person has in each data set. Where
    nobody is in two data sets, each is drawn by itself, as :func:`assign` does. Raises SplitError.
    """
    if kind in ("all", "paper") or not joint.is_shared(tables):
        alone = functools.partial(
            assign, kind=kind, n=n, validation=validation, test=test, seed=seed, fold=fold
        )
        return list(map(alone, tables))
    units = people.units(tables)
    cells = joint.cells(tables, units)
    counts = [int(count) for count in cells.sum(0)]
    folds, least = kind == "folds", n if kind == "folds" else len(SPLITS)
    if min(counts) < least:
        pairs = zip(counts[::2], counts[1::2], strict=True)
        found = "; ".join(f"{no} of label 0, {yes} of label 1" for no, yes in pairs)
        raise SplitError(
            f"groups: {found}", expected=f"at least {least} groups of each label in each data set"
        )
    parts = [np.arange(count) % n if folds else _hold_out(count, validation, test) for count in counts]
    wanted = np.array([np.bincount(part, minlength=least) for part in parts]).T
    dealt = joint.deal(cells, wanted, ("split", seed, "together", "" if folds else fold))
    splits = np.array(SPLITS)[_rotated(dealt, n, fold) if folds else dealt]
    return [
        pd.Series(splits[numbers], index=table.index) for table, numbers in zip(tables, units, strict=True)
    ]


def balanced_views(
    labels: np.ndarray, majority_views: int, stored: int, *, paper: bool = False
) -> dict[int, int]:
    """Views of a finding by label, so that both classes have about as many patches (F-052).

    The majority class n0 has ``majority_views``, the minority n1 floor(majority_views·n0/n1), at most
    ``stored``; a cut is warned about. In print (``paper``) n0 are the negatives even where they are fewer.
    """
    counts = np.bincount(labels, minlength=2)
    first = 0 if paper else 1 - int(counts.argmin())
    second = max(majority_views * int(counts[first]) // int(counts[1 - first]), 1)
    views = {first: majority_views, 1 - first: second}
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
    table = info.findings[["patient_id", "group_id", "finding_id", "label"]].assign(split=splits.to_numpy())
    for name in SPLITS if kind != "all" else SPLITS[:1]:
        counts = table.loc[table["split"] == name, "label"].value_counts()
        if len(counts) < 2:
            found = ", ".join(f"{counts.get(value, 0)} of label {value}" for value in (0, 1))
            raise SplitError(
                f"{name} findings: {found}", file=info.path, expected="both labels in each split"
            )
    paper = kind == "paper"
    first = {"train": majority_views}
    if paper:
        first |= {"validation": majority_views, "test": evaluation_views}
    wanted = pd.Series(evaluation_views, index=table.index)
    for name, number in first.items():
        labels = table.loc[table["split"] == name, "label"]
        same = training_views if name != "test" else None
        views = dict.fromkeys((0, 1), same or number)
        if balance == "views" and same is None:
            views = balanced_views(labels.to_numpy(int), number, info.views, paper=paper)
        wanted[labels.index] = labels.map(views)
    return table.assign(views=wanted.clip(upper=info.views).astype(int))


def _offenders(kind: str, keys: pd.Series, splits: pd.Series, most: int) -> str:
    across = splits.groupby(keys.to_numpy()).nunique()
    names = [str(name) for name in across.index[across > 1]]
    if not names:
        return ""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    count = f"{len(names)} " if len(names) > 1 else ""
    return f"{count}{kind} in several splits: {', '.join(names[:most])}{more}"


def images(store: Path) -> list[str]:
    """The digest of view 0 of each finding of a store: equal ones are of one image."""
    count = len(read_info(store).findings)
    return [
        hashlib.sha256(read_patches(store, [number], [1]).tobytes()).hexdigest() for number in range(count)
    ]


def leaks(
    store: Path, table: pd.DataFrame, most: int = NAMED_OFFENDERS, seen: Sequence[str] | None = None
) -> Iterator[str]:
    """What is in several splits: groups, patients, identical images; each with the first ``most`` names.

    ``table`` is a split table of ``store``; ``seen`` are its :func:`images`, where they were read before.
    Raises LeakError if a finding of the store is in no split.
    """
    info = read_info(store)
    keys = ["patient_id", "finding_id"]
    rows = info.findings[keys].astype(str).merge(table.astype(dict.fromkeys(keys, str)), on=keys, how="left")
    if rows["split"].isna().any():
        lost = rows.loc[rows["split"].isna(), keys].iloc[0].tolist()
        raise LeakError(
            f"no split for finding {' '.join(lost)}", file=store, expected="a split for each finding"
        )
    case = rows["patient_id"] + " " + rows["finding_id"]
    first = case.groupby(list(seen or images(store))).transform("first").rename("image")
    for kind, names in (
        ("groups", rows["group_id"]),
        ("patients", people.called(rows["patient_id"])),
        ("images like", first),
    ):
        if offenders := _offenders(kind, names, rows["split"], most):
            yield offenders


def leaks_across(
    tables: Mapping[str, pd.DataFrame], names: Mapping[str, str], most: int = NAMED_OFFENDERS
) -> Iterator[str]:
    """What data sets share that is not in the same split in all of them; with the first ``most`` names.

    ``tables`` are split tables by data set with a column ``image``, see :func:`images`. Data sets of one name
    in ``names`` have the same people, each of whom is in one split. Equal ids of others mean nothing, but an
    image that trains in one is not validated or tested in another.
    """
    every = pd.concat(tables, names=["dataset", None]).reset_index("dataset")
    for _, part in every.groupby(every["dataset"].map(names).to_numpy()):
        if offenders := _offenders("patients", people.called(part["patient_id"]), part["split"], most):
            yield f"{offenders} (data sets with the same people: {', '.join(part['dataset'].unique())})"
    case = every["dataset"] + " " + every["patient_id"] + " " + every["finding_id"]
    first = case.groupby(every["image"].to_numpy()).transform("first")
    trains = (every["split"] == SPLITS[0]).groupby(first.to_numpy()).transform("any").to_numpy()
    if offenders := _offenders("images like", first[trains], every["split"][trains], most):
        yield offenders


def assert_no_leak(
    store: Path, table: pd.DataFrame, leak: str = "refuse", seen: Sequence[str] | None = None
) -> None:
    """Raise LeakError, with the offenders, if a group or an identical image is in several splits.

    With ``leak="warn"``, which is for the published splits, all offenders are listed in warnings instead.
    """
    most = NAMED_OFFENDERS if leak == "refuse" else len(table)
    refuse(leaks(store, table, most, seen), leak, store)


def refuse(found: Iterator[str], leak: str, file: str | Path) -> None:
    """Raise LeakError at the first offenders; with ``leak="warn"`` list them all in warnings instead."""
    for offenders in found:
        if leak == "refuse":
            raise LeakError(offenders, file=file)
        log.warning("LEAK, as published: %s", offenders)


def read_splits(path: str | Path) -> pd.DataFrame:
    """A split table with ids as text, label and views as numbers; raises TableError."""
    return typed(read_csv(path), dict.fromkeys(COLUMNS, str) | {"label": int, "views": int}, path)


def _labelled(store: Path) -> StoreInfo:
    info = read_info(store)
    if unknown := int((info.findings["label"] == UNKNOWN).sum()):
        raise LabelError(
            f"{unknown} findings without",
            file=store,
            expected="a label for each finding",
            remedy="leave the data set out of datasets: it can be cut and looked at, not trained on",
        )
    return info


def main(argv: Sequence[str] | None = None) -> None:
    """Split the findings of a store; stops first if more findings failed than max_skipped allows."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.splits.split", description=main.__doc__)
    parser.add_argument("--store", type=Path, required=True, help="patches.h5")
    parser.add_argument(
        "--beside", type=Path, nargs="*", default=[], metavar="STORE",
        help="patches.h5 of the other data sets of the experiment that have the same people",
    )  # fmt: skip
    parser.add_argument("--skipped", type=Path, required=True, help="skipped.csv")
    parser.add_argument("--max-skipped", type=int, default=0, help="failed findings that are put up with")
    parser.add_argument("--kind", choices=KINDS, default="holdout")
    parser.add_argument("--n", type=int, default=1, help="number of folds or repeats")
    parser.add_argument("--validation", type=float, default=0.2, help="fraction of groups")
    parser.add_argument("--test", type=float, default=0.2, help="fraction of groups")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fold", type=int, default=0, help="which of the n folds or repeats to write")
    parser.add_argument("--majority-views", type=int, default=60)
    parser.add_argument(
        "--training-views", type=int, help="views of every training finding, instead of balance"
    )
    parser.add_argument("--evaluation-views", type=int, default=11)
    parser.add_argument("--balance", choices=["views", "undersample"], default="views")
    parser.add_argument("--out", type=Path, required=True, help="splits/fold{fold}.csv")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    skipped.check(args.skipped, args.max_skipped)
    info, *beside = map(_labelled, [args.store, *args.beside])
    # In one order, whichever of them is written: each comes to the same draw.
    findings = {one.dataset: one.findings for one in sorted([info, *beside], key=lambda one: one.dataset)}
    splits = assign_together(
        list(findings.values()),
        kind=args.kind,
        n=args.n,
        validation=args.validation,
        test=args.test,
        seed=args.seed,
        fold=args.fold,
    )
    table = split_table(
        info,
        splits[list(findings).index(info.dataset)],
        majority_views=args.majority_views,
        evaluation_views=args.evaluation_views,
        balance=args.balance,
        training_views=args.training_views,
        kind=args.kind,
    )
    assert_no_leak(args.store, table, "warn" if args.kind == "paper" else "refuse")
    write_csv(args.out, COLUMNS, table.to_dict("records"))
    for name in SPLITS:
        part = table[table["split"] == name]
        log.info(
            "%-10s %4d findings, %4d positive, %4d groups",
            name,
            len(part),
            part["label"].sum(),
            part["group_id"].nunique(),
        )


if __name__ == "__main__":
    run_cli(main)
