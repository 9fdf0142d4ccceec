"""What the runs of one data set's split amount to: counts, AUROCs, intervals, and a reason for each null."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from model.delong import mean_areas
from model.intervals import REPLICATES, Fold, bootstrap, mean_auroc, newcombe, t_interval
from model.metrics import auroc, threshold_metrics
from model.predictions import Evaluated


@dataclass(frozen=True)
class Line:
    """All runs of one data set's split in one state, taken together; counts are over the union of folds."""

    dataset: str
    split: str
    state: str
    auroc: float | None
    auroc_single: float | None
    ci95: tuple[float, float] | None
    t95: tuple[float, float] | None
    delong95: tuple[float, float] | None
    newcombe95: tuple[float, float] | None
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
    runs: Sequence[Evaluated], generator: np.random.Generator, replicates: int = REPLICATES
) -> Line:
    """Mean AUROC and intervals of the runs (all folds and seeds) of one data set, split and state."""
    numbers = sorted({run.fold for run in runs})
    folds = {score: folds_of(runs, score) for score in ("score", "single")}
    per_fold = [mean_auroc([fold]) for fold in folds["score"]]
    findings = pd.concat([run.findings for run in runs]).drop_duplicates(["patient_id", "finding_id"])
    groups = {label: findings.loc[findings["label"] == label, "group_id"].nunique() for label in (0, 1)}
    gaps = {number: missing_class(fold.labels) for number, fold in zip(numbers, folds["score"], strict=True)}
    gap = "; ".join(f"fold {number}: {why}" for number, why in gaps.items() if why)
    resampled = bootstrap(folds["score"], generator, replicates)
    area = mean_auroc(folds["score"])
    closed = None if area is None else mean_areas([folds["score"]])
    return Line(
        runs[0].dataset, runs[0].split, runs[0].state,
        auroc=area,
        auroc_single=mean_auroc(folds["single"]),
        ci95=resampled.interval,
        t95=None if area is None else t_interval([mean for mean in per_fold if mean is not None]),
        delong95=None if closed is None else closed.interval(),
        newcombe95=None if area is None else newcombe(area, groups[1], groups[0]),
        runs=len(runs), folds=len(numbers),
        findings=len(findings), positives=int(findings["label"].sum()),
        patients=int(findings["group_id"].nunique()), groups=int(findings["group_id"].nunique()),
        redrawn=resampled.redrawn,
        reasons={
            "auroc": gap, "auroc_single": gap, "newcombe95": gap,
            "ci95": gap or resampled.reason, "t95": gap or "one split",
            "delong95": gap or (closed and closed.reason) or "all pairs of findings are ranked alike",
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
