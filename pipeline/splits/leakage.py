"""The proof that nothing leaks: no group, patient or image is in several splits."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from pipeline.errors import LeakError
from pipeline.splits import people
from pipeline.store import read_info, read_patches

log = logging.getLogger("typhon")

NAMED_OFFENDERS = 5
AT_ONCE = 64
"""Patches that are read at once."""
UNUSED = "unused"
"""What a split table says of a finding that is in none of the splits."""


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
    blocks = (range(start, min(start + AT_ONCE, count)) for start in range(0, count, AT_ONCE))
    return [
        hashlib.sha256(patch.tobytes()).hexdigest()
        for block in blocks
        for patch in read_patches(store, block, [1] * len(block))
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
    # A copy is named with what it is a copy of, so that a person can look at both.
    by_image = case.groupby(list(seen or images(store)))
    first, last = by_image.transform("first"), by_image.transform("last")
    alike = first.where(first == last, first + " = " + last)
    used = rows["split"] != UNUSED
    for kind, names in (
        ("groups", rows["group_id"]),
        ("patients", people.called(rows["patient_id"])),
        ("images like", alike),
    ):
        if offenders := _offenders(kind, names[used], rows["split"][used], most):
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
    trains = (every["split"] == "train").groupby(first.to_numpy()).transform("any").to_numpy()
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


def refuse(
    found: Iterator[str], leak: str, file: str | Path, *, expected: str = "", remedy: str = ""
) -> None:
    """Raise LeakError at the first offenders; with ``leak="warn"`` list them all in warnings instead."""
    for offenders in found:
        if leak == "refuse":
            raise LeakError(offenders, file=file, expected=expected, remedy=remedy)
        log.warning("LEAK, as published: %s", offenders)
