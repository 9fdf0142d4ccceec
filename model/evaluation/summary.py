"""What the runs of one data set's split amount to: counts, AUROCs, intervals, and a reason for each null."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from model.evaluation.corrected import area_interval, missing
from model.evaluation.delong import clustered_interval
from model.evaluation.intervals import REPLICATES, Fold, bootstrap, mean_auroc
from model.evaluation.metrics import auroc, threshold_metrics
from model.evaluation.predictions import Evaluated


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
    positives: int
    patients: int
    groups: int
    redrawn: int
    reasons: dict[str, str]

    def plain(self) -> dict[str, Any]:
        """As JSON has it: each reason beside its null."""
        values = asdict(self)
        return with_reasons(values, values.pop("reasons"))


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


def describe(run: Evaluated) -> dict[str, Any]:
    """The entry of ``runs``: AUROCs, counts, and the metrics at 0.5."""
    table = run.findings
    labels = table["label"].to_numpy(int)
    values = {
        "fold": run.fold, "seed": run.seed, "dataset": run.dataset, "split": run.split, "state": run.state,
        "auroc": auroc(labels, table["score"]),
        "auroc_single": auroc(labels, table["single"]),
        "findings": len(table), "positives": int(labels.sum()),
        "patients": int(table["group_id"].nunique()), "groups": int(table["group_id"].nunique()),
        **threshold_metrics(labels, table["score"]),
    }  # fmt: skip
    one_class = missing_class(labels)
    return with_reasons(values, {
        "auroc": one_class, "auroc_single": one_class,
        "accuracy": "no finding", "recall": "no positive finding", "specificity": "no negative finding",
        "precision": "no finding scores above 0.5", "f1": "no finding is positive or scores above 0.5",
    })  # fmt: skip


def summarize(
    runs: Sequence[Evaluated], generator: np.random.Generator, overlap: float, replicates: int = REPLICATES
) -> Line:
    """Mean AUROC and intervals of the runs (all folds and seeds) of one data set, split and state.

    ``overlap`` is how many findings the split has for one of training, see ``model.evaluation.corrected``.
    """
    numbers = sorted({run.fold for run in runs})
    folds = {score: folds_of(runs, score) for score in ("score", "single")}
    findings = pd.concat([run.findings for run in runs]).drop_duplicates(["patient_id", "finding_id"])
    gaps = {number: missing_class(fold.labels) for number, fold in zip(numbers, folds["score"], strict=True)}
    gap = "; ".join(f"fold {number}: {why}" for number, why in gaps.items() if why)
    resampled = bootstrap(folds["score"], generator, replicates)
    area = mean_auroc(folds["score"])
    means = [mean for fold in folds["score"] if (mean := mean_auroc([fold])) is not None]
    interval, kind = (None, None) if gap else clustered_interval(folds["score"])
    return Line(
        runs[0].dataset, runs[0].split, runs[0].state,
        auroc=area,
        auroc_single=mean_auroc(folds["single"]),
        ci95=interval,
        ci95_kind=kind,
        bootstrap95=resampled.interval,
        corrected95=None if gap else area_interval(means, overlap),
        runs=len(runs), folds=len(numbers),
        findings=len(findings), positives=int(findings["label"].sum()),
        patients=int(findings["group_id"].nunique()), groups=int(findings["group_id"].nunique()),
        redrawn=resampled.redrawn,
        reasons={
            "auroc": gap, "auroc_single": gap, "ci95": gap, "ci95_kind": gap,
            "bootstrap95": gap or resampled.reason, "corrected95": gap or missing(means),
        },
    )  # fmt: skip


def folds_of(runs: Sequence[Evaluated], score: str = "score") -> list[Fold]:
    """The test sets of runs of one data set, split and state, in the order of their folds.

    ``score`` is a column of their findings: score (mean over views) or single (view 0). The runs of a fold
    keep their order.
    """
    folds = []
    for number in sorted({run.fold for run in runs}):
        tables = [run.findings for run in runs if run.fold == number]
        first = tables[0]
        scores = np.stack([table[score].to_numpy(float) for table in tables])
        folds.append(Fold(first["group_id"].to_numpy(str), first["label"].to_numpy(int), scores))
    return folds
