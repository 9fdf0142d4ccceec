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
    signal: float = 2.0,
    labelled: bool = True,
) -> tuple[Path, Path]:
    """Write a store of noise, with a bright spot where the label is 1, and its split table.

    Labels alternate within each split, beginning with 0; unless ``labelled`` the store keeps them back. Returns
    the paths of store and split table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    splits = ["train"] * train + ["validation"] * validation + ["test"] * test
    places = [*range(train), *range(validation), *range(test)]
    names = [f"{number:04d}" for number in range(len(splits))]
    labels = [place % 2 for place in places]
    findings = pd.DataFrame(
        {
            "patient_id": names,
            "group_id": names,
            "finding_id": "1",
            "label": labels if labelled else UNKNOWN,
            "width_mm": 65.0,
            "height_mm": 65.0,
        }
    )
    rng = stream("store", dataset)

    def block(label: int) -> np.ndarray:
        patches = rng.standard_normal((views, channels, 65, 65)).astype("f4")
        patches[..., 24:41, 24:41] += signal * label
        return patches

    store, split = folder / f"{dataset}.h5", folder / f"{dataset}.csv"
    write_store(
        store, findings, (block(label) for label in labels), views=views, dataset=dataset,
        channels=[f"channel{number}" for number in range(channels)], normalization="none", provenance={},
    )  # fmt: skip
    table = findings[["patient_id", "group_id", "finding_id", "label"]].assign(split=splits, views=views)
    write_csv(split, SPLIT_COLUMNS, table.to_dict("records"))
    return store, split
