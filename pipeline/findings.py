"""Find every finding: its label, its slice and its pixel, and the group that no split may cut."""

import argparse
import functools
import itertools
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import datasets, options
from pipeline.classes import LABEL, label_columns
from pipeline.cli import run_cli
from pipeline.errors import ConfigError, EmptyError, InputError, LimitError
from pipeline.files import EXTENT, FINDING_COLUMNS, SKIPPED_COLUMNS, write_csv
from pipeline.pool import parallel
from pipeline.readers.index import documents, on_disk, read_index
from pipeline.readers.pixels import read_pixels
from pipeline.splits import duplicates, people

log = logging.getLogger("typhon")

CHUNK = 8
"""Slices that a process compares at a time: those of one volume are neighbours, and it is read once."""
PAIR_COLUMNS = ("patient_id_1", "file_1", "patient_id_2", "file_2", "distance", "merged")


def _hash(key: tuple[str, str], raw: Path) -> int | InputError:
    """The perceptual hash of a slice, or why it cannot be read."""
    try:
        return duplicates.phash(read_pixels(raw / key[0], key[1]).values)
    except InputError as error:
        return error


def _lost(key: tuple[str, str]) -> InputError:
    return LimitError("the end of the process that read it", file=key[0])


def _hashes(
    rows: list[dict[str, Any]], raw: Path, found: datasets.Findings, processes: int
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """The rows whose image can be read and the perceptual hash of each; the others are left out."""
    keys = list(dict.fromkeys((row["file"], row.get("slice", "")) for row in rows))
    hashed = parallel(functools.partial(_hash, raw=raw), keys, processes=processes, label="comparing images",
                      chunk=CHUNK, lost=_lost)  # fmt: skip
    known = dict(zip(keys, hashed, strict=True))
    kept, hashes = [], []
    for row in rows:
        value = known[row["file"], row.get("slice", "")]
        if isinstance(value, InputError):
            value.file = row["file"]
            found.leave_out(value, **{name: row[name] for name in ("patient_id", "finding_id", "channel")})
        else:
            kept.append(row)
            hashes.append(value)
    return kept, np.array(hashes, "u8")


def _joins(rows: list[dict[str, Any]], index: pd.DataFrame, unknown: np.ndarray) -> np.ndarray:
    """Pairs (n, 2) of rows in one file, DICOM series or study, or of one patient in the header.

    Only where a patient is unknown among those who share it.
    """
    files = [row["file"] for row in rows]
    used = index[index["file"].isin(files)]
    used = used.assign(on_disk=on_disk(used), person=people.persons(used["patient_id"])).set_index("file")
    place, pairs = pd.Series(range(len(rows))), [np.empty((0, 2), int)]
    for name in ("on_disk", "series_uid", "study_uid", "person"):
        value = used[name].reindex(files, fill_value="").reset_index(drop=True)
        shared = place[value.isin(value[unknown]) & (value != "")]
        pairs.append(np.column_stack([shared.groupby(value).transform("first"), shared]))
    return np.concatenate(pairs)


def group(
    found: datasets.Findings, source: datasets.Source, *, compare: bool = True, processes: int = 1
) -> list[dict[str, Any]]:
    """Give each row its group, called after the first patient_id in it, and return the near-duplicate pairs.

    A group is a person, however spelt, or, where the patient is unknown (no group_id, or a word that says
    so), a cluster of images that are near-duplicates, or share a file, a DICOM series or study, or the
    patient in the header. Such a pair of which a patient is unknown joins what both belong to, even two
    people, so that no split cuts it. Near pairs of known patients are reported, not merged: two healthy
    chests may look the same, and only a person can tell. Without ``compare`` no image is opened, and there
    are no pairs; ConfigError where a patient is unknown.
    """
    hashes = np.array([], "u8")
    if compare:
        found.rows, hashes = _hashes(found.rows, source.raw, found, processes)
    pairs = duplicates.near_pairs(hashes)
    rows = found.rows
    who = [people.person(row["group_id"]) for row in rows]
    unknown = np.array([not person for person in who], bool)
    if unknown.any() and not compare:
        expected = "true, for near-duplicates are the groups of findings whose patient is unknown"
        raise ConfigError(
            f"false, and {unknown.sum()} such findings", file="near_duplicates", expected=expected
        )
    # What has one patient_id belongs together anyhow: the slices of one volume, say.
    keys = [person or row["patient_id"] for person, row in zip(who, rows, strict=True)]
    number = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    unit = np.array([number[key] for key in keys], int)
    joins = pairs[unknown[pairs[:, :2]].any(axis=1), :2]
    if unknown.any():
        joins = np.concatenate([joins, _joins(rows, source.index, unknown)])
    cluster = duplicates.clusters(len(number), unit[joins])[unit]
    first: dict[int, str] = {}
    for place in np.argsort(unknown, kind="stable"):  # a known patient gives the group its name
        row = rows[place]
        name = row["patient_id"] if unknown[place] else row["group_id"]
        row["group_id"] = first.setdefault(cluster[place], name)
        row["group_kind"] = people.IMAGES if unknown[place] else people.PATIENT
    near: dict[frozenset[tuple[str, str]], dict[str, Any]] = {}
    for i, j, distance in pairs:
        if unit[i] == unit[j] or rows[i]["channel"] != rows[j]["channel"]:
            continue
        ends = [(rows[place]["patient_id"], rows[place]["file"]) for place in (i, j)]
        # Colours, and several findings of one image, give the same pair again: it is one, as near as any.
        known = near.get(frozenset(ends))
        if known is None or distance < known["distance"]:
            cells = dict(zip(PAIR_COLUMNS[:4], itertools.chain(*ends), strict=True))
            merged = bool(cluster[i] == cluster[j])
            near[frozenset(ends)] = {**cells, "distance": int(distance), "merged": merged}
    return list(near.values())


def main(argv: Sequence[str] | None = None) -> None:
    """Locate the findings of a data set in its raw folder."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.findings", description=main.__doc__)
    commands = parser.add_subparsers(dest="kind", required=True)
    kinds = datasets.kinds()
    for name, kind in kinds.items():
        sub = commands.add_parser(name, help=(kind.__doc__ or "").split("\n")[0])
        sub.add_argument("--dataset", required=True, help="name of the data set in the config")
        sub.add_argument("--raw", type=Path, required=True, help="folder of the downloads; never written to")
        sub.add_argument("--index", type=Path, required=True, help="index.parquet of that folder")
        sub.add_argument("--out", type=Path, required=True, help="findings.csv")
        sub.add_argument("--skipped", type=Path, required=True, help="skipped/findings.csv")
        sub.add_argument(
            "--choices", type=Path, required=True, help="choices.csv: which series and slice, and why"
        )
        sub.add_argument("--near-duplicates", type=Path, required=True, help="near_duplicates.csv")
        sub.add_argument(
            "--no-compare", dest="compare", action="store_false", help="do not look for near-duplicates"
        )
        sub.add_argument("--processes", type=int, default=1)
        options.add_flags(sub, kind.Options)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    source = datasets.Source(args.dataset, args.raw, read_index(args.index), sorted(documents(args.index)))
    found = kinds[args.kind].find(source, options.given(kinds[args.kind].Options, args))
    pairs = group(found, source, compare=args.compare, processes=args.processes)
    write_csv(args.skipped, SKIPPED_COLUMNS, found.skipped)
    if not found.rows:
        # The skipped table of a failed job does not outlive it, so the message says it all.
        reasons = Counter(f"{row['code']}: {row['reason']}" for row in found.skipped)
        why = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common(3))
        raise EmptyError(f"none ({why or 'no labels'})", file=args.raw, expected="findings")
    write_csv(args.choices, datasets.CHOICE_COLUMNS, found.choices)
    write_csv(args.near_duplicates, PAIR_COLUMNS, pairs)
    labels = label_columns(found.rows[0])
    columns = [each for name in FINDING_COLUMNS for each in (labels if name == LABEL else [name])]
    own = [EXTENT] if EXTENT in found.rows[0] else []
    write_csv(args.out, [*columns, *own], found.rows)
    groups = len({row["group_id"] for row in found.rows})
    log.info(
        "%s: %d rows in %d groups, %d left out", args.dataset, len(found.rows), groups, len(found.skipped)
    )
    for line in people.remarks(pd.DataFrame(found.rows)):
        log.info("%s: %s", args.dataset, line)


if __name__ == "__main__":
    run_cli(main)
