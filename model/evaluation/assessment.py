"""Rows of an assessment's tables, of a method's problem at a time: calibration, ranking, operating points."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from model.evaluation import calibration, conformal
from model.evaluation.assessed import KINDS, PREVALENCE, SCORE, Assessed
from model.evaluation.clustered import Estimate, Interval, estimate
from model.evaluation.delong import clustered_interval
from model.evaluation.intervals import Fold, mean_auroc
from model.evaluation.operating import (
    OperatingPoint,
    false_alarms,
    judged,
    likelihood_ratio,
    missed,
    sensitivity,
    specificity,
)
from model.evaluation.ranking import UNITS, Unit, average_precision
from pipeline.seeds import stream

Row = dict[str, Any]
COUNTS = ("count", "positives", "groups")
"""Of findings or patients, of the positive ones, and of groups; columns of whole numbers."""
PER = (
    "per: findings, or patients (groups) by the highest or the mean score of their findings; a patient is"
    " positive if any finding is."
)
TABLES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "calibration": (
        "Calibration",
        ("scores", *COUNTS, "brier", "brier95", "log_loss", "log_loss95", "intercept", "intercept95", "slope",
         "slope95", "ece", "ece95", "ece_chance"),
        (
            "scores: score, as the method gives it, which is no probability, since training balances the"
            " classes; prevalence, moved to the shares of the classes {where}; calibrated, put on a"
            " line in log odds that is fitted on the validation findings of each run (probe, auto and the"
            " like: on all findings that they learn from, scored on inner folds).",
            "brier, log_loss: mean squared error, and mean negative log likelihood in nats; less is better.",
            "intercept: what the log odds lack on average; 0 is right, below 0 too many positives are"
            " expected. slope: by what they have to be multiplied; 1 is right, below 1 the scores are too"
            " extreme; empty where they part the classes wholly.",
            "ece: mean distance between share of positives and mean score over bins of like scores. Chance"
            " adds to it: ece_chance is what calibrated scores have here. ece95 is of the error without"
            " chance, so ece may lie above it; where nothing speaks against the scores it begins at 0.",
        ),
    ),
    "ranking": (
        "Ranking per finding and per patient",
        ("per", *COUNTS, "auroc", "auroc95", "average_precision", "average_precision95"),
        (
            PER,
            "average_precision: mean over the positives of the share of positives among all that score at"
            " least as high. Guessing reaches the share of positives, so compare only where that is the"
            " same.",
        ),
    ),
    "operating": (
        "Operating points",
        ("per", *COUNTS, "point", "threshold", "sensitivity", "sensitivity95", "specificity", "specificity95",
         "prevalence", "ppv", "ppv95", "npv", "npv95", "lr_positive", "lr_positive95", "lr_negative",
         "lr_negative95"),
        (
            PER,
            "point: how each run chose its threshold on validation findings (probe, auto and the like: on all"
            " that they learn from, scored on inner folds): the largest Youden index, or the best threshold"
            " with at least this sensitivity or specificity there. On the test both come out"
            " otherwise, often lower. threshold: of the score, mean of the runs.",
            "ppv, npv: the share of those called positive (negative) who are so, where as many are positive"
            " as prevalence says. lr_positive, lr_negative: by what such a call multiplies the odds.",
            "Intervals are for other patients, by group, with networks and thresholds as they are.",
        ),
    ),
    "conformal": (
        "Conformal sets",
        (*COUNTS, "coverage", "positives_covered", "positives_covered95", "negatives_covered",
         "negatives_covered95", "patients_positive", "patients_positive95", "patients_negative",
         "patients_negative95", "decided", "decided95", "wrong", "wrong95"),
        (
            "A set says what a finding may be: positive, negative, either, or neither. Which scores belong to"
            " a set is chosen on the patients of validation, so that a new patient has all positives in"
            " theirs with a chance of at least coverage, and likewise all negatives.",
            "patients_positive, patients_negative: the share of test patients with such findings of whom that"
            " holds. positives_covered, negatives_covered: the share of such findings in their set.",
            "decided: the share of findings that may be one class alone; the others are left to a person."
            " wrong: the share of the decided that are of the other class.",
            "With fewer than 1 / (1 - coverage) - 1 validation patients of a class no score can rule it out:"
            " then every set has it, and nothing is decided against it.",
        ),
    ),
}  # fmt: skip
"""By name the caption, the columns behind method and class, and the notes.

``{where}`` in a note is where probabilities have their shares of the classes from.
"""


CONFORMAL = {
    "positives_covered": conformal.covered_positive,
    "negatives_covered": conformal.covered_negative,
    "decided": conformal.decided,
    "wrong": conformal.wrong,
}
"""Columns of sets that are about findings."""


def calibration_rows(one: Assessed, seed: int) -> list[Row]:
    """How far the scores of a method are from probabilities: as they are, moved, and calibrated."""
    rows = []
    for kind in (kind for kind in KINDS if kind != PREVALENCE or one.seen is not None):
        folds = None if one.gap else one.tested(kind)
        row = _named(one) | {"scores": kind, **counts(one, UNITS[0])}
        rows.append(row)
        if folds is None:
            continue
        brier, loss = (estimate(folds, what) for what in (calibration.brier, calibration.log_loss))
        line = [estimate(folds, what, compares=True) for what in (calibration.intercept, calibration.slope)]
        error = calibration.calibration_error(folds, stream("calibration", seed))
        row |= {
            **_cells("brier", brier, Estimate.proportion),
            **_cells("log_loss", loss, Estimate.positive),
            **_cells("intercept", line[0], Estimate.plain),
            **_cells("slope", line[1], Estimate.plain),
            "ece": error.value, "ece95": error.ci95, "ece_chance": error.chance,
        }  # fmt: skip
    return rows


def ranking_rows(one: Assessed) -> list[Row]:
    """AUROC and average precision, per finding and per patient."""
    rows = []
    for unit in units(one):
        folds = one.tested(SCORE, unit)
        row = _named(one) | {"per": unit, **counts(one, unit)}
        rows.append(row)
        if one.gap or folds is None or any(len(np.unique(fold.labels)) < 2 for fold in folds):
            continue
        precision = estimate(folds, average_precision, compares=True)
        row |= {"auroc": mean_auroc(folds), "auroc95": clustered_interval(folds)[0],
                **_cells("average_precision", precision, Estimate.ranked)}  # fmt: skip
    return rows


def operating_rows(one: Assessed, points: Sequence[OperatingPoint], prevalence: float | None) -> list[Row]:
    """What each threshold comes to on the test, per finding and per patient.

    A row is of the runs that have such a threshold: ``runs``, which is no column, says how many of how many.
    """
    rows = []
    for unit in units(one):
        folds = one.tested(SCORE, unit)
        for point in points:
            thresholds = one.thresholds(point, unit)
            row = _named(one) | {"per": unit, **counts(one, unit), "point": point.name}
            rows.append(row)
            each = [value for values in thresholds for value in values]
            known = [value for value in each if value is not None]
            row["runs"] = (len(known), len(each))
            if one.gap or folds is None or not known:
                continue
            row["threshold"] = float(np.mean(known))
            called = judged(folds, thresholds)
            row |= _counts(called)
            hits, kept = (estimate(called, what) for what in (sensitivity, specificity))
            alarms, misses = (estimate(called, what) for what in (false_alarms, missed))
            if hits is None or kept is None or alarms is None or misses is None:
                continue
            row |= _cells("sensitivity", hits, Estimate.proportion)
            row |= _cells("specificity", kept, Estimate.proportion)
            share = _prevalence(one, row, called) if prevalence is None else prevalence
            row["prevalence"] = share
            above, below = likelihood_ratio(hits, alarms), likelihood_ratio(kept, misses)
            for name, ratio, of in (("ppv", above, share), ("npv", below, 1 - share)):
                if ratio is not None:
                    row[name], row[f"{name}95"] = ratio.predictive(of)
            for name, ratio in (("lr_positive", above), ("lr_negative", likelihood_ratio(misses, kept))):
                if ratio is not None:
                    row[name], row[f"{name}95"] = ratio.value, ratio.ci95
    return rows


def lacking(rows: Sequence[Row]) -> list[str]:
    """Which operating points some runs do not have, a note for each method and problem."""
    per: dict[tuple[str, str, tuple[int, int]], list[str]] = {}
    for row in rows:
        if row["runs"][0] < row["runs"][1]:
            called = ", ".join(filter(None, (row["method"], row.get("class", ""))))
            units = per.setdefault((called, row["point"], row["runs"]), [])
            units += [row["per"]] if row["per"] not in units else []
    return [
        f"{every - known} of {every} runs of {called} have no threshold for {point} (per {'; '.join(units)}):"
        " on their validation findings none reaches that rate, or these are of one class."
        + (" The row is of the other runs." if known else " The row has no figures.")
        for (called, point, (known, every)), units in per.items()
    ]


def conformal_rows(one: Assessed, coverages: Sequence[float]) -> list[Row]:
    """What sets of each coverage hold on the test, and how much they decide."""
    rows = []
    for coverage in coverages:
        row = _named(one) | counts(one, UNITS[0]) | {"coverage": coverage}
        rows.append(row)
        sets = one.sets(coverage)
        if one.gap or sets is None:
            continue
        folds = [conformal.taken(fold, own) for fold, own in zip(one.test, sets, strict=True)]
        for name, what in CONFORMAL.items():
            some = [fold for fold in folds if what(fold.labels, fold.scores[0]) is not None]
            row |= _cells(name, estimate(some, what) if some else None, Estimate.proportion)
        for name, label in (("patients_positive", 1), ("patients_negative", 0)):
            patients = [conformal.by_patient(fold, label) for fold in folds]
            row |= _cells(name, estimate(patients, conformal.share), Estimate.proportion)
    return rows


def units(one: Assessed) -> list[Unit]:
    """Findings, and patients where some patient has several."""
    several = any(len(np.unique(fold.groups)) < len(fold.groups) for fold in one.test)
    return list(UNITS) if several else [UNITS[0]]


def _named(one: Assessed) -> Row:
    return {"method": one.method} | ({"class": one.problem} if one.problem else {})


def counts(one: Assessed, unit: Unit) -> Row:
    """Units and positives of the test sets, each counted once however often it is tested, and groups."""
    return _counts(one.tested(SCORE, unit) or [])


def _counts(folds: Sequence[Fold]) -> Row:
    known: dict[tuple[str, Any], int] = {}
    for fold in folds:
        names = range(len(fold.labels)) if fold.findings is None else fold.findings
        for group, name, label in zip(fold.groups.tolist(), names, fold.labels.tolist(), strict=True):
            # A patient is positive if any finding is, and folds may test other findings of theirs.
            known[group, name] = max(label, known.get((group, name), 0))
    groups = {group for group, _ in known}
    return {"count": len(known), "positives": sum(known.values()), "groups": len(groups)}


def _prevalence(one: Assessed, row: Row, folds: Sequence[Fold]) -> float:
    """The share of positives in the test. Folds that are balanced each draw others of the larger class."""
    if one.balanced is None:
        return float(row["positives"] / row["count"])
    return float(np.mean([fold.labels.mean() for fold in folds]))


def _cells(name: str, made: Estimate | None, interval: Callable[[Estimate], Interval | None]) -> Row:
    return {} if made is None else {name: made.value, f"{name}95": interval(made)}
