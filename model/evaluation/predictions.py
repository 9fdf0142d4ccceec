"""Predictions of runs, read back, checked against the splits and averaged per finding.

A run lives in ``…/fold{f}/seed{s}/``: its fold and seed are read from that path. Splits live in
``…/{dataset}/splits/fold{f}.csv``.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from model.budget import within
from pipeline.classes import (
    LABEL,
    SCORE,
    UNKNOWN,
    UNNAMED,
    Classes,
    as_numbers,
    label_columns,
    merged,
    of_columns,
)
from pipeline.errors import ConfigError, InputError
from pipeline.files import read_csv, typed

SPLITS = ("validation", "test")
TRAINING = "train"
"""The split of training findings, which have scores where fits that had not seen them gave some."""
UNLABELLED = "challenge"
"""The split of findings without labels, in a table of predictions."""
STATES = {"last": "predictions.csv", "best": "best/predictions.csv"}
FINDING = ["dataset", "split", "patient_id", "finding_id"]
VIEW = [*FINDING, "view"]
COLUMNS = [*VIEW, LABEL, SCORE]
"""Of predictions for data sets of two classes; see :func:`columns` for others."""


class PredictionsError(InputError):
    """Predictions that are no predictions of these splits."""

    code = "E-PREDICTIONS"
    remedy = "delete the file and run again; its rule makes it again"


@dataclass(frozen=True)
class Predictions:
    """What one state of one run says of one data set's split.

    ``findings`` has one row per finding, sorted by patient_id and finding_id, with group_id, the labels of
    ``classes`` and of each of their problems ``score`` (mean over views: enhanced prediction, thesis 5.2.5)
    and ``single`` (view 0).
    """

    fold: int
    seed: int
    dataset: str
    split: str
    state: str
    findings: pd.DataFrame
    classes: Classes = UNNAMED

    @property
    def truth(self) -> np.ndarray:
        """Of each problem, (findings, problems) of 0, 1 and UNKNOWN."""
        return self.classes.truth(self.findings)

    def scores(self, what: str = SCORE) -> np.ndarray:
        """Of each problem, (findings, problems); ``what`` is score or single."""
        return self.findings[self.classes.columns(what)].to_numpy(float)


@dataclass(frozen=True)
class Predicted:
    """What a table of predictions says of one data set, a row per finding."""

    classes: Classes
    findings: pd.DataFrame
    """FINDING, and what :class:`Predictions` has but groups."""


def columns(several: Iterable[Classes]) -> list[str]:
    """The columns of the predictions of data sets with these classes.

    Raises ConfigError where classes of one name stand in contrary orders in two data sets.
    """
    try:
        labels, scores = merged(list(several))
    except ValueError as error:
        raise ConfigError(
            str(error), file="collections", expected="classes of one name in one order in all data sets",
            remedy="number them alike",
        ) from error  # fmt: skip
    return [*VIEW, *labels, *scores]


def numbered(path: Path, name: str) -> int:
    """The number in the part ``{name}{number}`` of ``path``, the last one if there are several."""
    found = re.findall(rf"(?:^|/){name}(\d+)(?=[/.]|$)", path.as_posix())
    if not found:
        raise PredictionsError(
            path.as_posix(), expected=f"a path with {name} and a number", remedy="see --help"
        )
    return int(found[-1])


def read_predictions(path: str | Path, part: tuple[str, str] | None = None) -> dict[str, Predicted]:
    """Of each data set of a predictions.csv its findings: labels, score (mean of views) and single (view 0).

    ``part`` is a data set and its split; then whatever stands in the lines of others does not matter. Without
    it those of training, if there are any, are left out.
    Raises PredictionsError for missing columns, scores that are no probabilities, a view that is there
    twice, a finding without view 0 and a finding with two labels.
    """
    table = read_csv(path)
    rest = [name for name in table.columns if name not in VIEW]
    of_labels = label_columns(rest)
    of_scores = [name for name in rest if name == SCORE or name.startswith(f"{SCORE}_")]
    if list(table.columns) != [*VIEW, *of_labels, *of_scores] or not of_labels or not of_scores:
        raise PredictionsError(
            ", ".join(table.columns),
            file=path,
            expected=f"the columns {', '.join(VIEW)}, then {LABEL}, or {LABEL}_… of each label, and"
            f" {SCORE}, or {SCORE}_… of each class or label",
        )
    if part is None:
        table = table[table["split"] != TRAINING]
    else:
        table = table[(table["dataset"] == part[0]) & (table["split"] == part[1])]
    found = {}
    for dataset, rows in table.groupby("dataset", sort=True):
        used = [name for name in [*of_labels, *of_scores] if (rows[name] != "").any()]
        try:
            classes = of_columns(used)
        except ValueError as error:
            raise PredictionsError(
                f"{dataset} with {', '.join(used)}", file=path, expected="the labels and scores of one task"
            ) from error
        found[str(dataset)] = Predicted(classes, _per_finding(path, rows, classes))
    return found


def _per_finding(path: str | Path, rows: pd.DataFrame, classes: Classes) -> pd.DataFrame:
    """The findings of one data set from the rows of their views."""
    labels, scores = classes.label_columns, classes.columns()
    try:
        table = as_numbers(rows[[*VIEW, *labels, *scores]])
        table = table.astype({"view": int, **dict.fromkeys(scores, float)})
    except (ValueError, OverflowError) as error:
        raise PredictionsError(str(error), file=path, expected="numbers") from error
    table = table.sort_values(VIEW, ignore_index=True)
    allowed = [0, 1, UNKNOWN] if classes.multilabel else range(classes.outputs)
    wanted = " and ".join(map(str, allowed)) if classes.two else f"those of {classes}"
    _refuse(path, table[~((table[scores] >= 0) & (table[scores] <= 1)).all(axis=1)], "scores in [0, 1]")
    _refuse(path, table[~table[labels].isin(allowed).all(axis=1)], f"labels {wanted}")
    _refuse(path, table[table.duplicated(VIEW)], "each view once")
    views = table.groupby(FINDING, sort=False)
    singles = dict(zip(classes.columns("single"), scores, strict=True))
    findings = views.agg(
        view=("view", "first"),
        **{name: (name, "first") for name in labels},
        **{name: (name, "mean") for name in scores},
        **{single: (score, "first") for single, score in singles.items()},
    ).reset_index()
    differ = (views[labels].nunique() > 1).any(axis=1).to_numpy()
    _refuse(path, findings[differ], "one label per finding")
    _refuse(path, findings[findings["view"] > 0], "view 0 of each finding")
    return findings[[*FINDING, *labels, *scores, *singles]]


def read_splits(paths: Iterable[str | Path]) -> pd.DataFrame:
    """All split tables under each other, with the data set and fold that their paths name.

    Of data sets with other labels a label is UNKNOWN.
    """
    tables = []
    texts: dict[str, type] = dict.fromkeys(("patient_id", "group_id", "finding_id", "split"), str)
    for path in map(Path, paths):
        cells = read_csv(path)
        labels = label_columns(cells) or [LABEL]
        filled = cells.assign(
            **{name: cells[name].replace("", str(UNKNOWN)) for name in labels if name in cells}
        )
        columns = texts | dict.fromkeys([*labels, "views"], int)
        table = typed(filled, columns, path)[[*columns]]
        tables.append(table.assign(dataset=path.parent.parent.name, fold=numbered(path, "fold")))
    every = pd.concat(tables, ignore_index=True)
    return every.fillna(dict.fromkeys(label_columns(every), UNKNOWN)).astype(
        dict.fromkeys(label_columns(every), int)
    )


def evaluate(
    run: str | Path, state: str, splits: pd.DataFrame, part: tuple[str, str] | None = None,
    file: str | None = None,
) -> list[Predictions]:  # fmt: skip
    """The validation and test sets of each data set that a run predicts, as its splits have them.

    ``part``, a data set and its split, leaves the others unread; it may be TRAINING, of which most runs have
    nothing. ``file`` of the run has the predictions; by default that of the state.
    Raises PredictionsError if findings are missing, unknown or labelled otherwise than in the splits.
    """
    run = Path(run)
    path = run / (file or STATES[state])
    fold, seed = numbered(run, "fold"), numbered(run, "seed")
    predictions = read_predictions(path, part)
    own = splits[splits["fold"] == fold]
    budget, ways = budget_of(run)
    names = dict.fromkeys(own["dataset"])
    learned = [within(own[own["dataset"] == name], name, budget, ways) for name in names]
    wanted = pd.concat([own.iloc[:0], *learned])
    asked = SPLITS if part is None else part[1:]
    wanted = wanted[wanted["split"].isin(asked)]
    stray = [name for name in predictions if name not in set(wanted["dataset"])]
    both = {
        name: _matched(path, wanted[wanted["dataset"] == name], predictions[name], fold)
        for name in [*stray, *dict.fromkeys(splits["dataset"])]
        if name in predictions
    }
    return [
        Predictions(
            fold, seed, dataset, split, state, rows.reset_index(drop=True), predictions[dataset].classes
        )
        for dataset, table in both.items()
        for split in asked
        if part in (None, (dataset, split))
        for rows in [table[table["split"] == split].drop(columns=["dataset", "split"])]
    ]


def held_out(run: str | Path, state: str, splits: pd.DataFrame, target: str) -> list[Predictions]:
    """The findings by which a run is calibrated: none of their scores is of a fit that had seen them.

    They are those of validation, and of training where the run scored them on inner folds. One, or none
    without a validation set. Raises PredictionsError as :func:`evaluate` does.
    """
    parts = [one for split in (SPLITS[0], TRAINING) for one in evaluate(run, state, splits, (target, split))]
    if len(parts) < 2:
        return parts
    both = pd.concat([one.findings for one in parts], ignore_index=True)
    return [replace(parts[0], findings=both.sort_values(FINDING[2:], ignore_index=True))]


def budget_of(run: Path) -> tuple[dict[str, int], list[str]]:
    """How many findings a run might learn from, by data set, and in which ways they were chosen.

    As its run.json says; most say nothing.
    """
    path = run / "run.json"
    facts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return facts.get("budget", {}), facts.get("subset", [])


def _matched(path: Path, wanted: pd.DataFrame, found: Predicted, fold: int) -> pd.DataFrame:
    """The findings of a data set as splits and predictions agree on them, by patient_id and finding_id."""
    classes = found.classes
    labels = classes.label_columns
    kept = [*FINDING, "group_id", *(name for name in labels if name in wanted)]
    both = wanted[kept].merge(
        found.findings, "outer", FINDING, suffixes=("", "_predicted"), indicator="where"
    )
    _refuse(path, both[both["where"] == "right_only"], f"only findings that are in a split of fold {fold}")
    _refuse(path, both[both["where"] == "left_only"], f"every finding of fold {fold}")
    pairs = [(name, f"{name}_predicted") for name in labels]
    differ = [both[one] != both[other] for one, other in pairs if other in both]
    wrong = (
        pd.concat(differ, axis=1).any(axis=1) if len(differ) == len(labels) else pd.Series(True, both.index)
    )
    _refuse(path, both[wrong], "the labels of the splits")
    both = both.sort_values(["patient_id", "finding_id"], ignore_index=True)
    ends = [*classes.columns(), *classes.columns("single")]
    return both[["dataset", "split", "patient_id", "group_id", "finding_id", *labels, *ends]]


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
