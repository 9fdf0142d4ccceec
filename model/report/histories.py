"""Histories of runs (history.csv), brought into the shape that figures need."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pipeline.files import read_csv


def read_histories(paths: Iterable[Path]) -> pd.DataFrame:
    """The rows of several runs of one method under each other, with two columns more.

    ``run`` counts the files from 0. ``step`` counts the validations from 0, over all phases in their order:
    the same phase and epoch is the same step in every run. ``value`` is NaN where the file has none.
    """
    tables = [read_csv(path).assign(run=number) for number, path in enumerate(paths)]
    table = pd.concat(tables, ignore_index=True)
    table["epoch"] = table["epoch"].astype(int)
    table["value"] = pd.to_numeric(table["value"])
    places = {phase: place for place, phase in enumerate(dict.fromkeys(table["phase"]))}
    keys = list(zip(table["phase"].map(places), table["epoch"], strict=True))
    steps = {key: step for step, key in enumerate(sorted(set(keys)))}
    return table.assign(step=[steps[key] for key in keys])


def phases(table: pd.DataFrame) -> list[str]:
    """The phases of a history, in their order."""
    return list(dict.fromkeys(table.sort_values("step", kind="stable")["phase"]))


def trained(table: pd.DataFrame, phase: str) -> list[str]:
    """The data sets that a phase trains: those whose training has a loss."""
    rows = table[(table["phase"] == phase) & (table["split"] == "train") & (table["metric"] == "loss")]
    return list(dict.fromkeys(rows["dataset"]))


def runs_of(table: pd.DataFrame, split: str, metric: str, dataset: str | None = None) -> pd.DataFrame:
    """Values (steps, runs) of one metric, without the steps at which no run has one."""
    rows = table[(table["split"] == split) & (table["metric"] == metric)].dropna(subset="value")
    if dataset is not None:
        rows = rows[rows["dataset"] == dataset]
    return rows.pivot_table(index="step", columns="run", values="value")


def epochs(table: pd.DataFrame, last: int | None = None) -> pd.Series:
    """The epoch within its phase, by step; stretched such that the last one is ``last``, if that is given."""
    own = table.groupby("step")["epoch"].first()
    if last is None or own.empty:
        return own
    return own * (last / max(1, own.max()))


def share_of_training(table: pd.DataFrame) -> pd.Series:
    """How much of all training samples, of any data set, a run has seen at each step; in percent.

    A history counts the samples of a data set from the start of the run, in rows of that data set alone.
    """
    rows = table[(table["split"] == "train") & (table["metric"] == "samples")]
    counts = rows.pivot_table(index=["run", "step"], columns="dataset", values="value")
    seen = counts.groupby("run").ffill().fillna(0.0).sum(axis=1)
    return 100 * (seen / seen.groupby("run").transform("max")).groupby("step").mean()


def samples(table: pd.DataFrame, dataset: str | None = None) -> float:
    """Training samples of one data set or of all that a run saw in the end; the mean over runs."""
    rows = table[(table["split"] == "train") & (table["metric"] == "samples")]
    if dataset is not None:
        rows = rows[rows["dataset"] == dataset]
    return float(rows.groupby(["run", "dataset"])["value"].max().groupby("run").sum().mean())


def moving_average(values: ArrayLike, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the last ``window`` values at each place, of fewer at the start.

    Parameters
    ----------
    values : (n,) a curve, or (n, runs) of which the window takes all runs; NaN does not count.
    window : places, 1 or more.

    Returns
    -------
    Two arrays (n,). The deviation is that of the values in the window themselves, 0 for a single one.

    Raises
    ------
    ValueError : a window below 1.
    """
    if window < 1:
        raise ValueError(f"a window of {window}")
    table = np.asarray(values, float)
    table = table[:, None] if table.ndim == 1 else table
    parts = [table[max(0, end - window) : end] for end in range(1, len(table) + 1)]
    return np.array([np.nanmean(part) for part in parts]), np.array([np.nanstd(part) for part in parts])


def window_of(length: int) -> int:
    """Validations of a moving average: a twentieth of ``length``, as 100 of 2,000 epochs, but at least 2."""
    return min(length, max(2, round(length / 20)))
