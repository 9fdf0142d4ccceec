"""How many findings of a data set a method may learn from, and which."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from pipeline.classes import LABEL
from pipeline.errors import SplitError
from pipeline.seeds import stream
from pipeline.splits.split import LEARNED, balanced_views

WAYS = ("anew", "training", "equal")
"""How a budget may be taken otherwise: each number drawn anew; of training findings alone, with all of
validation beside them; as many of each class."""


def within(
    table: pd.DataFrame, dataset: str, budget: Mapping[str, int], ways: Collection[str] = ()
) -> pd.DataFrame:
    """A split table without training and validation findings beyond the budget of its data set, if any.

    Both splits lose the same share of each class, group after group. The findings of a small budget are among
    those of a larger one, whatever the order of the table, and the same for all methods and seeds. The test
    is as it was. ``ways`` are some of WAYS. Raises SplitError where there are fewer, or where a class would
    be missing.
    """
    if dataset not in budget:
        return table
    cut = LEARNED[:1] if "training" in ways else LEARNED
    sizes = [int((table["split"] == split).sum()) for split in cut]
    most = budget[dataset]
    if most > sum(sizes):
        raise SplitError(f"{sum(sizes)} {' and '.join(_named(cut))} findings", file=f"budget of {dataset}",
                         expected=f"at least {most}", remedy="lower it")  # fmt: skip
    train = round(most * sizes[0] / sum(sizes))
    kept = ~table["split"].isin(cut)
    names = ("budget", dataset, most) if "anew" in ways else ("budget", dataset)
    for split, count in zip(cut, (train, most - train), strict=False):
        part = table[table["split"] == split]
        some = part.loc[_in_turn(part, names, equal="equal" in ways)[:count]]
        if LABEL in part and some[LABEL].nunique() < part[LABEL].nunique():
            raise SplitError(f"{count} {split} findings, which lack a class", file=f"budget of {dataset}",
                             expected="findings of each class in each split", remedy="raise it")  # fmt: skip
        kept[some.index] = True
    return _balanced(table[kept]) if "equal" in ways and {LABEL, "views"} <= {*table} else table[kept]


def _balanced(table: pd.DataFrame) -> pd.DataFrame:
    """A split table whose views balance the classes that its training has now, not those that it had."""
    train = table["split"] == LEARNED[0]
    labels, views = table.loc[train, LABEL].to_numpy(int), table.loc[train, "views"]
    if labels.size:
        own = balanced_views(labels, int(views.min()), int(views.max()))
        table = table.assign(views=table["views"].where(~train, table[LABEL].map(own)))
    return table


def _named(splits: Collection[str]) -> list[str]:
    return ["training" if split == "train" else split for split in splits]


def _in_turn(part: pd.DataFrame, names: Collection[object], *, equal: bool) -> pd.Index:
    """The findings of one split in the order in which a growing budget takes them."""
    part = part.sort_values(["patient_id", "finding_id"])
    groups = np.sort(part["group_id"].unique())
    place = dict(zip(stream(*names).permutation(groups), range(len(groups)), strict=True))
    turns = part.assign(place=part["group_id"].map(place)).sort_values("place", kind="stable")
    classes = turns.groupby(LABEL if LABEL in part else lambda _: 0)["place"]
    share = classes.cumcount() if equal else (classes.cumcount() + 0.5) / classes.transform("size")
    return share.sort_values(kind="stable").index
