"""A map of what a fixed network sees in a data set: findings near each other look alike to it.

The two directions of largest variance, coloured by class, by group and by scanner. Where colours of scanners
or groups lie apart, a classifier can tell them, and with them perhaps the label: a shortcut.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.baselines.logistic import spread
from model.report.drawing import COLOURS, GREY, STYLE, entry, figure, save
from pipeline.cli import run_cli
from pipeline.errors import StoreError
from pipeline.files import read_csv, sha256
from pipeline.store import read_embeddings, read_info

COMPONENTS, NEAREST = 10, 5
"""Directions in which neighbours are looked for, and how many of them."""
BLOCK = 512
"""Findings whose distances to all others are worked out together."""
KEY = ["patient_id", "finding_id"]
INDEX_COLUMNS = ["file", "format", "manufacturer", "model", "rows", "columns"]


def components(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of rows (n, width): coordinates (n, at most COMPONENTS), shares of variance.

    Features are standardised; a constant one counts for nothing. The sign is such that the largest coordinate
    is positive, so that the same data give the same map.
    """
    values = features.astype(float)
    values = (values - values.mean(axis=0)) / spread(values, features.dtype)
    left, sizes, _ = np.linalg.svd(values, full_matrices=False)
    places = (left * sizes)[:, :COMPONENTS]
    largest = places[np.abs(places).argmax(axis=0), np.arange(places.shape[1])]
    shares = sizes**2 / max((sizes**2).sum(), np.finfo(float).tiny)
    return places * np.where(largest < 0, -1, 1), shares[:COMPONENTS]


def agreement(places: np.ndarray, names: np.ndarray, groups: np.ndarray | None = None) -> tuple[float, float]:
    """How often one of the nearest findings has the same name, and how often any other one.

    With ``groups`` only findings of other groups are looked at. NaN where there is nobody else.
    """
    square = (places**2).sum(axis=1)
    apart = np.arange(len(names)) if groups is None else groups
    alike, near, same, pairs = 0, 0, 0, 0
    for rows in np.array_split(np.arange(len(names)), -(-len(names) // BLOCK)):  # not all pairs at a time
        distances = square - 2 * places[rows] @ places.T
        alike_here = names[rows, None] == names
        allowed = apart[rows, None] != apart
        nearest = np.argsort(np.where(allowed, distances, np.inf), axis=1, kind="stable")[:, :NEAREST]
        kept = np.take_along_axis(allowed, nearest, 1)
        alike += int(np.take_along_axis(alike_here, nearest, 1)[kept].sum())
        near += int(kept.sum())
        same += int(alike_here[allowed].sum())
        pairs += int(allowed.sum())
    return (alike / near, same / pairs) if pairs else (float("nan"), float("nan"))


def scanners(findings: Path, index: Path) -> pd.DataFrame:
    """For each finding manufacturer and model; of pictures, which have none, format and size."""
    sizes = {"rows": "Int64", "columns": "Int64"}
    files = pd.read_parquet(index, columns=INDEX_COLUMNS).astype(sizes).astype(str).fillna("")
    maker = (files["manufacturer"] + " " + files["model"]).str.strip()
    size = files["format"] + " " + files["columns"] + " × " + files["rows"]
    files = files.assign(scanner=maker.where(maker != "", size))[["file", "scanner"]]
    rows = read_csv(findings)[[*KEY, "file"]].assign(file=lambda table: table["file"].str.split("#").str[0])
    found = rows.drop_duplicates(KEY).merge(files.drop_duplicates("file"), how="left", on="file")
    return found.assign(scanner=found["scanner"].fillna("unknown"))[[*KEY, "scanner"]]


def draw(places: np.ndarray, shares: np.ndarray, names: dict[str, np.ndarray], title: str) -> Figure:
    """A panel per kind of name, the six most frequent ones in colour; the names of groups are not shown."""
    made = figure(4.2 * len(names), 4.9)
    for axes, (kind, own) in zip(made.subplots(1, len(names), squeeze=False)[0], names.items(), strict=True):
        _panel(axes, places, own, kind, None if kind == "group" else names["group"])
        axes.set_xlabel(f"first component, {shares[0]:.0%} of the variance")
    made.axes[0].set_ylabel(f"second component, {shares[1]:.0%}" if len(shares) > 1 else "")
    made.suptitle(title, x=0.01, ha="left")
    return made


def _panel(axes: Axes, places: np.ndarray, own: np.ndarray, kind: str, groups: np.ndarray | None) -> None:
    second = places[:, 1] if places.shape[1] > 1 else np.zeros(len(places))
    counts = pd.Series(own).value_counts(sort=True)
    shown = [str(name) for name in sorted(counts.index, key=lambda name: (-counts[name], str(name)))][
        : len(COLOURS)
    ]
    rest = ~np.isin(own, shown)
    axes.scatter(places[rest, 0], second[rest], s=9, color=GREY, alpha=0.5, linewidths=0)
    handles = []
    for name, colour in zip(shown, COLOURS, strict=False):
        rows = own == name
        axes.scatter(places[rows, 0], second[rows], s=12, color=colour, alpha=0.75, linewidths=0)
        handles.append(entry(f"{name[:28]} ({counts[name]})", color=colour, marker="o", linestyle=""))
    near, anywhere = agreement(places, own, groups)
    axes.set_title(
        f"by {kind}: {near:.0%} of the {NEAREST} nearest alike, by chance {anywhere:.0%}", fontsize=9
    )
    if kind != "group":
        axes.legend(handles=handles, fontsize=7, loc="best")
    axes.set_xticks([])
    axes.set_yticks([])


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the map of a data set."""
    parser = argparse.ArgumentParser(prog="python -m model.report.embedding_map", description=main.__doc__)
    parser.add_argument("--embeddings", type=Path, required=True, help="features of the store")
    parser.add_argument("--store", type=Path, required=True, help="patches.h5")
    parser.add_argument("--findings", type=Path, required=True, help="findings.csv")
    parser.add_argument("--index", type=Path, required=True, help="index.parquet")
    parser.add_argument("--out", type=Path, required=True, metavar="PNG")
    options = parser.parse_args(argv)
    known, info = read_embeddings(options.embeddings), read_info(options.store)
    if known.about.get("store") != sha256(options.store):
        raise StoreError(
            "those of another one", file=known.path, expected=f"the embeddings of {options.store}"
        )
    places, shares = components(known.features[:, 0])
    table = info.findings.merge(scanners(options.findings, options.index), how="left", on=KEY)
    classes = np.array(["none", *info.classes.names])
    label = classes[info.classes.strata(table) + (0 if info.classes.multilabel else 1)]
    names = {
        "class": label, "group": table["group_id"].to_numpy(str), "scanner": table["scanner"].to_numpy(str)
    }  # fmt: skip
    with mpl.rc_context(STYLE):
        save(draw(places, shares, names, f"{info.dataset}, as {known.about['encoder']} sees it"), options.out)


if __name__ == "__main__":
    run_cli(main)
