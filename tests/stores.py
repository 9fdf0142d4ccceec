"""Small patch stores and split tables for the tests of training and scoring."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.files import write_csv
from pipeline.seeds import stream
from pipeline.store import UNKNOWN, write_store

SPLIT_COLUMNS = ("patient_id", "group_id", "finding_id", "label", "split", "views")


def make_store(
    folder: Path,
    dataset: str,
    *,
    train: int = 8,
    validation: int = 4,
    test: int = 4,
    views: int = 3,
    channels: int = 1,
    side: int = 65,
    signal: float = 2.0,
    labelled: bool = True,
    turned: str = "",
    margin: int = 0,
    online: dict[str, float] | None = None,
    each: bool = False,
) -> tuple[Path, Path]:
    """Write a store of noise, with a bright spot where the label is 1, and its split table.

    Labels alternate within each split, beginning with 0; unless ``labelled`` the store keeps them back, and those
    of the split ``turned`` are the wrong ones. Where ``each``, the spot is in the channel of that number, so that
    the mean over two channels tells nothing. With a ``margin`` views are drawn from one patch of each. Returns the paths of store and split table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    splits = ["train"] * train + ["validation"] * validation + ["test"] * test
    places = [*range(train), *range(validation), *range(test)]
    names = [f"{number:04d}" for number in range(len(splits))]
    pictures = [place % 2 for place in places]
    labels = [kind ^ (split == turned) for kind, split in zip(pictures, splits, strict=True)]
    findings = pd.DataFrame(
        {
            "patient_id": names,
            "group_id": names,
            "finding_id": "1",
            "label": labels if labelled else UNKNOWN,
            "width_mm": 65.0,
            "height_mm": 65.0,
            "aspect": 1.0,
        }
    )
    whole, stored = side + 2 * margin, 1 if margin else views
    middle = slice(margin + side * 24 // 65, margin + side * 41 // 65)
    rng = stream("store", dataset)

    def block(label: int) -> np.ndarray:
        patches = rng.standard_normal((stored, channels, whole, whole)).astype("f4")
        if each:
            patches[:, label, middle, middle] += signal
        else:
            patches[..., middle, middle] += signal * label
        return patches

    store, split = folder / f"{dataset}.h5", folder / f"{dataset}.csv"
    write_store(
        store, findings, (block(kind) for kind in pictures), views=views, side=side, dataset=dataset,
        channels=[f"channel{number}" for number in range(channels)], normalization="none",
        provenance={"view_seed": 0, **({"online": online} if online else {})} if margin else {}, margin=margin,
    )  # fmt: skip
    table = findings[["patient_id", "group_id", "finding_id", "label"]].assign(split=splits, views=views)
    write_csv(split, SPLIT_COLUMNS, table.to_dict("records"))
    return store, split
