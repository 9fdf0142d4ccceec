"""What the runs of one data set's split amount to: counts, AUROCs, intervals, and a reason for each null."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from model.evaluation.corrected import area_interval, missing
from model.evaluation.delong import clustered_interval
from model.evaluation.intervals import REPLICATES, Fold, bootstrap, by_split, mean_auroc
from model.evaluation.metrics import aurocs, decisions, macro
from model.evaluation.predictions import FINDING, Predictions
from pipeline.classes import UNKNOWN, Classes


@dataclass(frozen=True)
class Line:
    """All runs of one data set's split in one state, taken together; counts are over the union of folds."""

    dataset: str
    split: str
    state: str
    auroc: float | None
    auroc_single: float | None
    ci95: tuple[float, float] | None
    ci95_kind: str | None
    bootstrap95: tuple[float, float] | None
    corrected95: tuple[float, float] | None
    runs: int
    folds: int
    findings: int
    positives: int | None
    """None where there are several problems, which have positives each."""
    patients: int
    groups: int
    redrawn: int
    reasons: dict[str, str]
    by: dict[str, dict[str, Any]]
    """Of each problem where there are several: auroc_by, ci95_by and, by class or label, positives_by."""

    def plain(self) -> dict[str, Any]:
        """As JSON has it: each reason beside its null."""
        values = asdict(self)
        by = values.pop("by")
        return with_reasons(values, values.pop("reasons")) | by


def with_reasons(values: Mapping[str, Any], reasons: Mapping[str, str]) -> dict[str, Any]:
    """``values`` with ``{key}_reason`` right after each key that is None."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        out[key] = value
        if value is None:
            out[f"{key}_reason"] = reasons[key]
    return out


def missing_class(labels: np.ndarray) -> str:
    """Why a set of findings has no AUROC, or an empty text."""
    positives = int((labels == 1).sum())
    if not len(labels):
        return "no finding"
    if not positives:
        return f"no positive finding among {len(labels)}"
    return f"no negative finding among {len(labels)}" if positives == len(labels) else ""


def gap_of(classes: Classes, truth: np.ndarray) -> str:
    """Why a test set has no AUROC in one of its problems (n, problems), or an empty text."""
    gaps = {
        problem: missing_class(answers[answers != UNKNOWN])
        for problem, answers in zip(classes.problems, truth.T, strict=True)
    }
    if classes.two:
        return gaps[classes.problems[0]]
    return "; ".join(f"{problem}: {why}" for problem, why in gaps.items() if why)


def positives(classes: Classes, table: pd.DataFrame) -> tuple[int | None, str]:
    """How many findings are of class 1 of two; of others None and why."""
    if classes.two:
        return classes.counts(table)[classes.names[1]], ""
    return None, f"{classes}: see positives_by"


def describe(run: Predictions) -> dict[str, Any]:
    """The entry of ``runs``: AUROCs, counts, and the metrics of the class that each finding is given."""
    table, classes = run.findings, run.classes
    count, why = positives(classes, table)
    areas = aurocs(run.truth, run.scores())
    values = {
        "fold": run.fold, "seed": run.seed, "dataset": run.dataset, "split": run.split, "state": run.state,
        "auroc": macro(areas),
        "auroc_single": macro(aurocs(run.truth, run.scores("single"))),
        "findings": len(table), "positives": count,
        "patients": int(table["group_id"].nunique()), "groups": int(table["group_id"].nunique()),
        **decisions(classes, table, run.scores()),
    }  # fmt: skip
    one_class = gap_of(classes, run.truth)
    described = with_reasons(values, {
        "auroc": one_class, "auroc_single": one_class, "positives": why,
        "accuracy": "no finding", "recall": "no positive finding", "specificity": "no negative finding",
        "precision": "no finding scores above 0.5", "f1": "no finding is positive or scores above 0.5",
    })  # fmt: skip
    if not classes.two:
        described |= {"auroc_by": dict(zip(classes.problems, areas, strict=True)),
                      "positives_by": classes.counts(table)}  # fmt: skip
    return described


def summarize(
    runs: Sequence[Predictions], generator: np.random.Generator, overlap: float, replicates: int = REPLICATES
) -> Line:
    """Mean AUROC and intervals of the runs (all folds and seeds) of one data set, split and state.

    ``overlap`` is how many findings the split has for one of training, see ``model.evaluation.corrected``.
    """
    numbers, classes = sorted({run.fold for run in runs}), runs[0].classes
    folds = {score: folds_of(runs, score) for score in ("score", "single")}
    findings = pd.concat([run.findings for run in runs]).drop_duplicates(["patient_id", "finding_id"])
    gaps = {run.fold: gap_of(classes, run.truth) for run in sorted(runs, key=lambda run: run.fold)}
    gap = "; ".join(f"fold {number}: {why}" for number, why in gaps.items() if why)
    resampled = bootstrap(folds["score"], generator, replicates)
    area = mean_auroc(folds["score"])
    means = [mean for split in by_split(folds["score"]) if (mean := mean_auroc(split)) is not None]
    interval, kind = (None, None) if gap else clustered_interval(folds["score"])
    count, why = positives(classes, findings)
    return Line(
        runs[0].dataset, runs[0].split, runs[0].state,
        auroc=area,
        auroc_single=mean_auroc(folds["single"]),
        ci95=interval,
        ci95_kind=kind,
        bootstrap95=resampled.interval,
        corrected95=None if gap else area_interval(means, overlap),
        runs=len(runs), folds=len(numbers),
        findings=len(findings), positives=count,
        patients=int(findings["group_id"].nunique()), groups=int(findings["group_id"].nunique()),
        redrawn=resampled.redrawn,
        reasons={
            "auroc": gap, "auroc_single": gap, "ci95": gap, "ci95_kind": gap,
            "bootstrap95": gap or resampled.reason, "corrected95": gap or missing(means), "positives": why,
        },
        by={} if classes.two else _by(classes, folds["score"], findings),
    )  # fmt: skip


def _by(classes: Classes, folds: Sequence[Fold], findings: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The AUROC and its interval of each problem, null where a fold lacks a class; findings of each name."""
    areas, intervals = {}, {}
    for problem in classes.problems:
        own = [fold for fold in folds if fold.problem == problem]
        areas[problem] = mean_auroc(own)
        intervals[problem] = None if areas[problem] is None else clustered_interval(own)[0]
    return {"auroc_by": areas, "ci95_by": intervals, "positives_by": classes.counts(findings)}


def folds_of(runs: Sequence[Predictions], score: str = "score") -> list[Fold]:
    """The test sets of runs of one data set, split and state, by fold and within each by problem.

    ``score`` is a column of their findings: score (mean over views) or single (view 0). The runs of a fold
    keep their order.
    """
    folds = []
    for number in sorted({run.fold for run in runs}):
        own = [run for run in runs if run.fold == number]
        groups = own[0].findings["group_id"].to_numpy(str)
        names = own[0].findings.set_index(FINDING[2:]).index.to_numpy()
        truth, scores = own[0].truth, np.stack([run.scores(score) for run in own])
        for place, problem in enumerate(own[0].classes.problems):
            known = truth[:, place] != UNKNOWN
            folds.append(
                Fold(groups[known], truth[known, place], scores[:, known, place], problem, names[known])
            )
    return folds
