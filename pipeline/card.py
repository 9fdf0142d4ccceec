"""The card of a data set in one fold: how its patches were cut, and what its training findings are like.

With it a trained model can be used where neither config nor data are. It holds counts and ranges, no ids.
"""

import argparse
import dataclasses
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.classes import Classes
from pipeline.cli import run_cli
from pipeline.errors import StoreError
from pipeline.files import read_csv, write_text
from pipeline.slice_store import SliceFacts, read_facts
from pipeline.splits.split import LEARNED, read_splits
from pipeline.store import AUGMENTATIONS, PATCH_SIDE, read_info, read_patches

log = logging.getLogger("typhon")

KEY = ["patient_id", "finding_id"]
KINDS = {"format": "file format", "modality": "modality", "colours": "colours"}
"""Of these a fingerprint has all values that occur."""
MEASURES = {
    "image_width": ("image width", "px"),
    "image_height": ("image height", "px"),
    "spacing_column_mm": ("pixel spacing across", "mm"),
    "spacing_row_mm": ("pixel spacing down", "mm"),
    "slice_thickness_mm": ("slice thickness", "mm"),
    "slices": ("slices in the series", ""),
    "series_mean": ("mean intensity of the series", ""),
    "series_sd": ("standard deviation of the series", ""),
    "patch_mean": ("mean of the patch, in standard deviations of the series,", ""),
    "patch_sd": ("standard deviation of the patch, in those of the series,", ""),
}
"""Of these it has the least and the largest; what they are called, and their unit."""
SIZE = ("image_width", "image_height")
"""The only scale of an image without pixel spacing; of others the spacing is the scale."""
LATER = (*SIZE, "colours")
"""Of these older cards say nothing."""
GREYED, GREY = "read in grey", "none"
"""The colours of an image of which a network sees the luminance, and of one that has none."""
AT_ONCE = 256
"""Findings whose patches are in memory at a time."""
ROOM = 1e-4
"""A value may be beyond a range by this share of it, since ranges are written with six digits."""


@dataclass(frozen=True)
class Preprocessing:
    """How a data set gets from raw files to patches: the keys of its collection, and of its patch store."""

    kind: str
    channels: tuple[str, ...]
    extent: str
    window: tuple[float, float] | None
    intensity: str
    slice_rule: str
    axis: int
    view_seed: int
    views: int
    """How many views of a finding are averaged."""
    side: int = PATCH_SIDE
    """Of a patch in pixels; cards from before there were others have none."""
    augmentation: str = AUGMENTATIONS[0]
    """How views are made; cards say it where they are drawn."""
    online: Mapping[str, float] | None = None
    """What they are drawn from; cards say it where it is not usual."""
    width: int | None = None
    """Columns that pictures are reduced to; cards say it where they are."""
    extents: bool = False
    """Whether findings have extents of their own; cards say it where they have."""
    mask_extent: float | None = None
    """By how many times a patch is as long as the mask of its finding; cards say it where it is so."""


def moments(patch: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of a patch (side, side)."""
    return float(patch.mean(dtype="f8")), float(patch.std(dtype="f8"))


def measure(
    rows: pd.DataFrame,
    index: pd.DataFrame,
    facts: Sequence[SliceFacts],
    patches: Sequence[tuple[float, float]],
) -> pd.DataFrame:
    """What each row of findings.csv is like: its channel, KINDS and MEASURES, as far as they are known.

    Parameters
    ----------
    facts : of the slice of each row, from which its patch is cut.
    patches : mean and standard deviation of the un-augmented patch of each row, see :func:`moments`.
    """
    from pipeline.readers import stacks  # whoever reads a card alone needs no readers of images
    from pipeline.readers.pixels import COLOURS

    dicoms = index[index["format"] == "dicom"]
    counts = dicoms["file"].groupby(stacks.numbers(dicoms)).transform("size")
    known = index[["file", "format", "modality", "slice_thickness_mm", "slices"]].set_index("file")
    known.loc[dicoms["file"], "slices"] = counts.to_numpy(float)
    spacings = rows[["spacing_column_mm", "spacing_row_mm"]].apply(pd.to_numeric)
    return pd.DataFrame(
        {
            "channel": rows["channel"].to_numpy(),
            "colours": [
                "" if name in COLOURS else GREYED if one.greyed else GREY
                for name, one in zip(rows["slice"], facts, strict=True)
            ],
            **{name: known[name].loc[rows["file"]].to_numpy() for name in known},
            **{name: spacings[name].to_numpy(float) for name in spacings},
            "image_width": np.array([one.columns for one in facts], float),
            "image_height": np.array([one.rows for one in facts], float),
            "series_mean": [one.mean for one in facts],
            "series_sd": [one.std for one in facts],
            "patch_mean": [mean for mean, _ in patches],
            "patch_sd": [sd for _, sd in patches],
        }
    )


def fingerprint(measured: pd.DataFrame) -> dict[str, dict[str, list[Any] | None]]:
    """For each channel the values of KINDS and the ranges of MEASURES; null where none is known."""
    found = {}
    for channel, part in measured.groupby("channel", sort=False):
        kinds: dict[str, list[Any] | None] = {name: sorted(set(part[name]) - {""}) or None for name in KINDS}
        values = {name: part[name].dropna() for name in MEASURES}
        ranges = {
            name: [float(f"{end:.6g}") for end in (value.min(), value.max())] if len(value) else None
            for name, value in values.items()
        }
        found[str(channel)] = kinds | ranges
    return found


def outside(training: Mapping[str, Mapping[str, Any]], case: pd.DataFrame) -> Iterator[str]:
    """What of a measured case lies outside the fingerprint of the training, a note for each."""
    for row in case.to_dict("records"):
        known = training[row["channel"]]
        for name, title in KINDS.items():
            if name in known and row[name] not in (known[name] or [""]):
                trained = " or ".join(known[name] or ["none"])
                yield f"{row['channel']}: {title} {row[name] or 'unknown'}, in training {trained}"
        for name, (title, unit) in MEASURES.items():
            value, ends = float(row[name]), known.get(name)
            if name in SIZE and not np.isnan(float(row["spacing_column_mm"])):
                continue
            if ends is None or np.isnan(value):
                if ends is not None:
                    yield f"{row['channel']}: {title} unknown, in training {_range(ends, unit)}"
                continue
            room = ROOM * max(abs(ends[0]), abs(ends[1]))
            if not ends[0] - room <= value <= ends[1] + room:
                said = f"{value:.4g} {unit}".strip()
                yield f"{row['channel']}: {title} {said}, in training {_range(ends, unit)}"


def are_new(training: Mapping[str, Mapping[str, Any]], case: pd.DataFrame) -> bool:
    """Whether a case has colours of which a network sees the luminance, and no training image is known to."""
    greyed = case[case["colours"] == GREYED]
    return any(GREYED not in (training[channel].get("colours") or ()) for channel in greyed["channel"])


def told_of_colours(count: int, images: int) -> str:
    """A warning about the images of which :func:`are_new` is true."""
    return f"{count} of {images} images are in colour and are read in grey; none in training is known to be"


def _range(ends: Sequence[float], unit: str) -> str:
    low, high = (f"{end:.4g}" for end in ends)
    return (low if low == high else f"{low} to {high}") + (f" {unit}" if unit else "")


def measured_findings(
    store: Path, findings: Path, slices: Path, index: Path, some: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of findings.csv of ``some`` findings (KEY and whatever else), and what :func:`measure` says.

    Raises StoreError where one of them has no slice.
    """
    from pipeline.readers.index import read_index

    info = read_info(store)
    place = {
        key: number for number, key in enumerate(zip(*(info.findings[name] for name in KEY), strict=True))
    }
    rows = read_csv(findings).reset_index(names="number")
    rows = rows[rows["channel"].isin(info.channels)].merge(some, on=KEY)
    facts = read_facts(slices, rows["number"].tolist())
    known = [each for each in facts if each is not None]
    if len(known) < len(facts):
        raise StoreError("none of some training findings", file=slices, expected="slices")
    numbers = [place[key] for key in zip(*(some[name] for name in KEY), strict=True)]
    first: dict[int, list[tuple[float, float]]] = {}
    for start in range(0, len(numbers), AT_ONCE):
        chosen = numbers[start : start + AT_ONCE]
        for number, patch in zip(chosen, read_patches(store, chosen, [1] * len(chosen)), strict=True):
            first[number] = [moments(plane) for plane in patch]
    patches = [
        first[place[row["patient_id"], row["finding_id"]]][info.channels.index(row["channel"])]
        for row in rows.to_dict("records")
    ]
    return rows, measure(rows, read_index(index), known, patches)


def training_counts(learned: pd.DataFrame, classes: Classes) -> dict[str, Any]:
    """``training`` of a card: findings, positives, groups and views of a split table to learn from."""
    counts = classes.counts(learned)
    return {
        "findings": len(learned),
        **({"positives": counts[classes.names[1]]} if classes.two else {"positives_by": counts}),
        "groups": int(learned["group_id"].nunique()),
        "views": int(learned["views"].astype(int).sum()),
    }


def describe(
    store: Path,
    findings: Path,
    slices: Path,
    index: Path,
    split: Path,
    **keys: Any,
) -> dict[str, Any]:
    """The card of a data set, from its files and those keys of its collection that no file holds.

    ``training`` and ``fingerprint`` are about the training findings; ``with_validation`` has the same of them
    and the validation findings together, for methods that learn from both.
    Raises StoreError where one of them has no slice.
    """
    info, splits = read_info(store), read_splits(split)
    learned = splits[splits["split"].isin(LEARNED)]
    rows, measured = measured_findings(store, findings, slices, index, learned[[*KEY, "split"]])
    provenance = info.provenance
    preprocessing = Preprocessing(
        channels=info.channels,
        side=info.side,
        extent=provenance["extent"],
        intensity=provenance["intensity"],
        view_seed=provenance["view_seed"],
        augmentation=AUGMENTATIONS[bool(info.margin)],
        online=provenance.get("online"),
        extents=provenance.get("extents", False),
        **keys,
    )
    told = dataclasses.asdict(preprocessing)
    if preprocessing.augmentation == AUGMENTATIONS[0]:
        del told["augmentation"]
    for key in ("online", "width", "extents", "mask_extent"):
        if not told[key]:
            del told[key]
    classes = info.classes

    def of(names: Collection[str]) -> dict[str, Any]:
        return {
            "training": training_counts(learned[learned["split"].isin(names)], classes),
            "fingerprint": fingerprint(measured[rows["split"].isin(names).to_numpy()]),
        }

    return {
        "collection": info.collection,
        "classes": list(classes.names),
        **({"multilabel": True} if classes.multilabel else {}),
        "preprocessing": told,
        **of(LEARNED[:1]),
        "with_validation": of(LEARNED),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Write the card of a data set: how it was cut, and what its training findings are like."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.card", description=main.__doc__)
    parser.add_argument("kind", help="kind of data set")
    parser.add_argument("--index", type=Path, required=True, help="index.parquet")
    parser.add_argument("--findings", type=Path, required=True, help="findings.csv")
    parser.add_argument("--slices", type=Path, required=True, help="slices.h5")
    parser.add_argument("--store", type=Path, required=True, help="patches.h5")
    parser.add_argument("--split", type=Path, required=True, help="splits/fold0.csv, whose training counts")
    parser.add_argument("--window", type=float, nargs=2, metavar=("LOW", "HIGH"))
    parser.add_argument("--slice-rule", default="geometry")
    parser.add_argument("--axis", type=int, default=2)
    parser.add_argument("--width", type=int, help="number of columns to which pictures are reduced")
    parser.add_argument("--mask-extent", type=float, help="how many times as long as its mask a patch is")
    parser.add_argument("--views", type=int, required=True, help="views of a finding that are averaged")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    window = tuple(args.window) if args.window else None
    card = describe(
        args.store, args.findings, args.slices, args.index, args.split,
        kind=args.kind, window=window, slice_rule=args.slice_rule, axis=args.axis, views=args.views,
        width=args.width, mask_extent=args.mask_extent,
    )  # fmt: skip
    write_text(args.out, json.dumps(card, indent=2, allow_nan=False) + "\n")
    log.info("%s: %d training findings", args.out, card["training"]["findings"])


if __name__ == "__main__":
    run_cli(main)
