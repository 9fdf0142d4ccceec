"""The fingerprint of a data set: what came in, what was left out and why, and what the rest looks like.

Only allow-listed columns are read, and none that could point to a person: no ids, dates or file names.
"""

import argparse
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.classes import UNNAMED, Classes
from pipeline.cli import run_cli
from pipeline.files import read_csv, write_csv
from pipeline.report.drawing import save, spread
from pipeline.report.fingerprint_plot import draw
from pipeline.slice_store import read_slice
from pipeline.splits.people import of_findings, strangers
from pipeline.store import read_info, read_patches

log = logging.getLogger("typhon")

COLUMNS = ("group", "item", "channel", "statistic", "value")
INDEX_COLUMNS = ("file", "format", "manufacturer", "model", "modality", "rows", "columns", "b_value")
"""The only columns of the index that are read; ``file`` joins the tables and is not written."""
FINDING_STEPS = ("findings", "slices", "patches")
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SAMPLE = 4096
"""Pixels taken from each slice and patch for the quantiles."""
SAMPLED_FINDINGS = 512
"""Findings whose pixels are taken, evenly spread, so that memory does not grow with the data set."""
KEY = ["patient_id", "finding_id"]

Row = dict[str, object]


def _row(group: str, item: object, statistic: str, value: object, channel: str = "") -> Row:
    return {"group": group, "item": item, "channel": channel, "statistic": statistic, "value": value}


def general(reason: str) -> str:
    """A reason without its numbers (UIDs too) and without the advice, so that equal reasons count together.

    >>> general("expected a point inside the image, found one 11.4 mm beyond the slab; check it")
    'expected a point inside the image, found one # mm beyond the slab'
    """
    return re.sub(r"\d+(\.\d+)*", "#", reason.split(";")[0])


def step_rows(
    index: pd.DataFrame, findings: pd.DataFrame, skipped: pd.DataFrame, kept: pd.DataFrame
) -> Iterator[Row]:
    """Counts before and after each step, and what was left out by code and reason.

    The index counts files; the other steps count findings, whatever their number of channels. ``kept`` are
    the findings of the patch store.
    """
    unread = skipped[skipped["step"] == "index"]
    yield _row("step", "index", "files before", len(index) + len(unread))
    yield _row("step", "index", "files after", len(index))
    left_out = [unread.assign(number=unread["file"])]
    named = skipped.assign(number=[" ".join(key) for key in skipped[KEY].to_numpy()])
    located = {" ".join(key) for key in findings[KEY].to_numpy()}
    labelled = (named["step"] == "findings") & (named["finding_id"] != "")  # a patient may have none
    remaining = located | set(named["number"][labelled])
    final = {" ".join(key) for key in kept[KEY].to_numpy()}
    for step in FINDING_STEPS:
        yield _row("step", step, "findings before", len(remaining))
        here = named[named["step"] == step]
        remaining = {"findings": located, "slices": remaining - set(here["number"]), "patches": final}[step]
        yield _row("step", step, "findings after", len(remaining))
        left_out.append(here)
    every = pd.concat(left_out)
    every = every.assign(reason=every["reason"].map(general))
    for (step, kind, code, reason), cases in every.groupby(["step", "kind", "code", "reason"], sort=False):
        yield _row("left out", step, f"{kind}, {code}: {reason}", cases["number"].nunique())


def class_rows(kept: pd.DataFrame, findings: pd.DataFrame, classes: Classes = UNNAMED) -> Iterator[Row]:
    """Class balance, groups, and findings per patient of the store's findings; ``findings`` is findings.csv.

    Groups without a known patient are counted apart.
    """
    has = classes.has(kept)
    for name, own in zip(classes.titles, has.T, strict=True):
        if own.any() or not classes.two:
            yield _row("class", name, "findings", int(own.sum()))
            yield _row("class", name, "groups", kept["group_id"][own].nunique())
    several = pd.DataFrame(has).groupby(kept["group_id"].to_numpy()).any().sum(axis=1) > 1
    yield _row("class", "both labels" if classes.two else "several", "groups", int(several.sum()))
    yield _row("class", "all", "groups", kept["group_id"].nunique())
    nobody = strangers(of_findings(kept, findings)).to_numpy()
    if nobody.any():
        yield _row("patients unknown", "all", "groups", kept["group_id"][nobody].nunique())
    for what, statistic, groups in (
        ("findings per patient", "patients", kept["group_id"][~nobody]),
        ("findings per group, patients unknown", "groups", kept["group_id"][nobody]),
    ):
        for size, count in groups.value_counts().value_counts().sort_index().items():
            yield _row(what, size, statistic, int(count))


def source_rows(index: pd.DataFrame, findings: pd.DataFrame) -> Iterator[Row]:
    """Scanners, image sizes, pixel spacings, b values and plane distances of the slices used."""
    used = findings.merge(index, on="file", how="left")
    for channel, part in used.groupby("channel", sort=False):
        scanner = (part["manufacturer"].fillna("") + " " + part["model"].fillna("")).str.strip()
        spacing = _pair(part["spacing_column_mm"], part["spacing_row_mm"], "mm")
        size = _pair(part["columns"], part["rows"], "px")
        b_value = part["b_value"].map(lambda b: f"{b:g} s/mm²" if b == b else "")
        for group, values in {
            "scanner": scanner,
            "spacing": spacing,
            "size": size,
            "b value": b_value,
        }.items():
            for item, count in values[values != ""].value_counts(sort=False).sort_index().items():
                yield _row(group, item, "slices", int(count), str(channel))
        distance = pd.to_numeric(part["plane_distance_mm"], errors="coerce").abs()
        for statistic, value in (("median", distance.median()), ("largest", distance.max())):
            yield _row("distance to plane (mm)", "", statistic, f"{value:.3f}", str(channel))


def _pair(columns: pd.Series, rows: pd.Series, unit: str) -> pd.Series:
    across, down = pd.to_numeric(columns, errors="coerce"), pd.to_numeric(rows, errors="coerce")
    text = across.map("{:.4g}".format) + " × " + down.map("{:.4g}".format) + f" {unit}"
    return text.where(across.notna() & down.notna(), "")


def intensity_rows(findings: pd.DataFrame, slices: str | Path, store: str | Path) -> Iterator[Row]:
    """Quantiles of the slices in physical units and of the un-augmented patches, per channel."""
    for channel, numbers in findings.groupby("channel", sort=False).indices.items():
        samples = []
        for number in spread(numbers, SAMPLED_FINDINGS):
            source = read_slice(slices, number)
            if source is not None:
                samples.append(_sample(source.pixels))
        if samples:
            yield from _quantile_rows("intensity of slices", np.concatenate(samples), str(channel))
    info = read_info(store)
    sampled = [
        [_sample(plane) for plane in read_patches(store, [number], [1])[0]]
        for number in spread(range(len(info.findings)), SAMPLED_FINDINGS)
    ]
    for plane, channel in enumerate(info.channels):
        values = np.concatenate([patch[plane] for patch in sampled])
        yield from _quantile_rows("intensity of patches", values, channel)


def _sample(pixels: np.ndarray) -> np.ndarray:
    flat = pixels.ravel()
    return flat[:: max(1, flat.size // SAMPLE)]


def _quantile_rows(group: str, values: np.ndarray, channel: str) -> Iterator[Row]:
    for quantile, value in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True):
        yield _row(group, f"{quantile:.0%}", "quantile", f"{value:.6g}", channel)


def choice_rows(choices: pd.DataFrame) -> Iterator[Row]:
    """How series and slices were chosen, and how often."""
    reasons = choices["reason"].str.split("; here ").str[0]
    for (channel, reason), part in choices.groupby(["channel", reasons], sort=False):
        yield _row("choice", reason, "findings", len(part), str(channel))


def fingerprint(
    index: str | Path,
    findings: str | Path,
    slices: str | Path,
    skipped: str | Path,
    store: str | Path,
    choices: str | Path | None = None,
) -> pd.DataFrame:
    """The fingerprint as a long table with the columns group, item, channel, statistic, value."""
    table = pd.read_parquet(index, columns=list(INDEX_COLUMNS))
    found, info = read_csv(findings), read_info(store)
    rows = [
        *step_rows(table, found, read_csv(skipped), info.findings),
        *class_rows(info.findings, found, info.classes),
        *source_rows(table, found),
        *(choice_rows(read_csv(choices)) if choices else ()),
        *intensity_rows(found, slices, store),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def main(argv: Sequence[str] | None = None) -> None:
    """Write the fingerprint of a data set as a table and a picture."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.report.fingerprint", description=main.__doc__)
    parser.add_argument("--index", type=Path, required=True, help="index.parquet")
    parser.add_argument("--findings", type=Path, required=True, help="findings.csv")
    parser.add_argument("--slices", type=Path, required=True, help="slices.h5")
    parser.add_argument("--skipped", type=Path, required=True, help="skipped.csv of all steps")
    parser.add_argument("--store", type=Path, required=True, help="patches.h5")
    parser.add_argument("--choices", type=Path, help="choices.csv: how series and slices were chosen")
    parser.add_argument("--out", type=Path, required=True, help="fingerprint.csv")
    parser.add_argument("--picture", type=Path, required=True, help="fingerprint.png")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    table = fingerprint(args.index, args.findings, args.slices, args.skipped, args.store, args.choices)
    write_csv(args.out, COLUMNS, table.to_dict("records"))
    save(draw(table, read_info(args.store).dataset), args.picture)
    log.info("%s: %d lines", args.out, len(table))


if __name__ == "__main__":
    run_cli(main)
