"""Predictions of runs, read back, checked against the splits and averaged per finding.

A run lives in ``…/fold{f}/seed{s}/``: its fold and seed are read from that path. Splits live in
``…/{dataset}/splits/fold{f}.csv``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.files import read_csv, typed

SPLITS = ("validation", "test")
UNLABELLED = "challenge"
"""The split of findings without labels, in a table of predictions."""
STATES = {"last": "predictions.csv", "best": "best/predictions.csv"}
FINDING = ["dataset", "split", "patient_id", "finding_id"]
COLUMNS = [*FINDING, "view", "label", "score"]


class PredictionsError(InputError):
    """Predictions that are no predictions of these splits."""

    code = "E-PREDICTIONS"
    remedy = "delete the file and run again; its rule makes it anew"


@dataclass(frozen=True)
class Evaluated:
    """What one state of one run says of one data set's split.

    ``findings`` has one row per finding, sorted by patient_id and finding_id, with group_id, label,
    ``score`` (mean over views: enhanced prediction, thesis 5.2.5) and ``single`` (view 0).
    """

    fold: int
    seed: int
    dataset: str
    split: str
    state: str
    findings: pd.DataFrame


def numbered(path: Path, name: str) -> int:
    """The number in the part ``{name}{number}`` of ``path``, the last one if there are several."""
    found = re.findall(rf"(?:^|/){name}(\d+)(?=[/.]|$)", path.as_posix())
    if not found:
        raise PredictionsError(
            path.as_posix(), expected=f"a path with {name} and a number", remedy="see --help"
        )
    return int(found[-1])


def read_predictions(path: str | Path, part: tuple[str, str] | None = None) -> pd.DataFrame:
    """One row per finding of a predictions.csv, with label, score (mean of its views) and single (view 0).

    ``part`` is a data set and its split; then whatever stands in the lines of others does not matter.
    Raises PredictionsError for missing columns, scores that are no probabilities, a view that is there
    twice, a finding without view 0 and a finding with two labels.
    """
    table = read_csv(path)
    if list(table.columns) != COLUMNS:
        raise PredictionsError(
            ", ".join(table.columns), file=path, expected=f"the columns {', '.join(COLUMNS)}"
        )
    if part is not None:
        table = table[(table["dataset"] == part[0]) & (table["split"] == part[1])]
    try:
        table = table.astype({"view": int, "label": int, "score": float})
    except (ValueError, OverflowError) as error:
        raise PredictionsError(str(error), file=path, expected="numbers") from error
    table = table.sort_values([*FINDING, "view"], ignore_index=True)
    _refuse(path, table[~table["score"].between(0, 1)], "scores in [0, 1]")
    _refuse(path, table[~table["label"].isin((0, 1))], "labels 0 and 1")
    _refuse(path, table[table.duplicated([*FINDING, "view"])], "each view once")
    views = table.groupby(FINDING, sort=False)
    findings = views.agg(label=("label", "first"), labels=("label", "nunique"), view=("view", "first"),
                         score=("score", "mean"), single=("score", "first")).reset_index()  # fmt: skip
    _refuse(path, findings[findings["labels"] > 1], "one label per finding")
    _refuse(path, findings[findings["view"] > 0], "view 0 of each finding")
    return findings[[*FINDING, "label", "score", "single"]]


def read_splits(paths: Iterable[str | Path]) -> pd.DataFrame:
    """All split tables under each other, with the data set and fold that their paths name."""
    tables = []
    kinds = dict.fromkeys(("patient_id", "group_id", "finding_id", "label", "split"), str) | {"label": int}
    for path in map(Path, paths):
        table = typed(read_csv(path), kinds, path)[list(kinds)]
        tables.append(table.assign(dataset=path.parent.parent.name, fold=numbered(path, "fold")))
    return pd.concat(tables, ignore_index=True)


def evaluate(
    run: str | Path, state: str, splits: pd.DataFrame, part: tuple[str, str] | None = None
) -> list[Evaluated]:
    """The validation and test sets of each data set that a run predicts, as its splits have them.

    ``part``, a data set and its split, leaves the others unread.
    Raises PredictionsError if findings are missing, unknown or labelled otherwise than in the splits.
    """
    run = Path(run)
    path = run / STATES[state]
    fold, seed = numbered(run, "fold"), numbered(run, "seed")
    predictions = read_predictions(path, part)
    wanted = splits[(splits["fold"] == fold) & splits["split"].isin(SPLITS)]
    wanted = wanted[wanted["dataset"].isin(predictions["dataset"])]
    if part is not None:
        wanted = wanted[wanted["split"] == part[1]]
    both = wanted.merge(predictions, "outer", FINDING, suffixes=("", "_predicted"), indicator="where")
    _refuse(path, both[both["where"] == "right_only"], f"only findings that are in a split of fold {fold}")
    _refuse(path, both[both["where"] == "left_only"], f"every finding of fold {fold}")
    _refuse(path, both[both["label"] != both["label_predicted"]], "the labels of the splits")
    both = both.sort_values(["patient_id", "finding_id"], ignore_index=True)
    columns = ["patient_id", "group_id", "finding_id", "label", "score", "single"]
    return [
        Evaluated(fold, seed, dataset, split, state, rows[columns].reset_index(drop=True))
        for dataset in dict.fromkeys(splits["dataset"])
        if dataset in set(predictions["dataset"])
        for split in SPLITS
        if part in (None, (dataset, split))
        for rows in [both[(both["dataset"] == dataset) & (both["split"] == split)]]
    ]


def _refuse(path: str | Path, bad: pd.DataFrame, expected: str) -> None:
    """Raise PredictionsError that names the first of the bad rows, if there are any."""
    if len(bad):
        case = bad.iloc[0]
        what = f"{case['dataset']} {case['split']} patient {case['patient_id']} finding {case['finding_id']}"
        values = [f"{name} {case[name]}" for name in ("view", "label", "score") if not _empty(case.get(name))]
        found = " ".join([what, *values]) + (f" and {len(bad) - 1} more" if len(bad) > 1 else "")
        raise PredictionsError(found, file=path, expected=expected)


def _empty(value: object) -> bool:
    return value is None or (isinstance(value, float) and bool(np.isnan(value)))
