"""The results of all methods as one page of the report: AUROC, intervals, and every run."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.evaluation.corrected import LEAST
from model.evaluation.results import counted, read_all
from model.report.tabular import text
from pipeline.cli import run_cli
from pipeline.files import write_text
from pipeline.report import page

Figures = Mapping[str, Any]
"""What stands in ``results/{method}_auc.json``."""
HEADLINE = {
    "AUROC": "auroc", "95 %, other patients": "ci95", "kind": "ci95_kind", "95 %, resampled": "bootstrap95",
    "95 %, other splits": "corrected95", "AUROC of one view": "auroc_single",
}  # fmt: skip
COUNTS = {"findings": "findings", "positive": "positives", "groups": "groups", "runs": "runs"}
METRICS = ("auroc", "accuracy", "precision", "recall", "specificity", "f1")
NOTES = (
    "AUROC: of two findings, one positive and one negative, how often the positive one scores higher; 0.5 "
    "is chance, 1 is perfect. A finding's score is the mean over its views; the figure is the mean over "
    "all runs.",
    "95 %, other patients: what if other patients had been tested? In closed form, clustered by patient, on "
    "the logit scale; Newcombe's interval where that has no width, because all pairs are ranked correctly.",
    "95 %, resampled: the same question, answered by 2,000 resamples of the test groups; too narrow in small "
    "tests.",
    "95 %, other splits: what if the data had been split otherwise? It allows for training sets that overlap "
    f"and needs {LEAST} splits.",
    "Groups: patients, however their ids are spelt; near-duplicate images where patients are unknown.",
    "Look at the number of findings, and of positive ones, before any difference. Methods share their test "
    "findings, so overlapping intervals say nothing about a difference: see the paired differences under "
    "Comparison.",
)  # fmt: skip
ABOUT_PARTS = (
    "A validation AUROC far above the test's means that the state of the network was chosen by luck. A "
    "helping data set whose AUROC is at chance teaches nothing."
)
ABOUT_CLASSES = (
    "The AUROC above is the mean of these: of each class against the rest, or of each label on the findings "
    "where it is known. Look at how many findings each stands on. Accuracy is that of the most probable "
    "class."
)
ABOUT_RUNS = (
    "All but the AUROC are at the threshold 0.5. Runs differ in their split (fold) and in the seed of the "
    "network's start."
)


def value(row: Figures, key: str, spec: str | None = ".3f") -> str:
    """A cell: the number or interval, or the reason why there is none."""
    return text(row[key], spec) if row[key] is not None else str(row.get(f"{key}_reason", ""))


def overview(results: Sequence[Figures]) -> str:
    """The page. ``results`` in the order of the methods, all of one target."""
    target, state = results[0]["target"], results[0]["state"]
    lines = [(each["method"], row) for each in results for row in each["summary"] if row["state"] == state]
    runs = [(each["method"], run) for each in results for run in each["runs"] if run["state"] == state]
    head = [_line(name, row) for name, row in lines if _tested(row, target)]
    parts = [
        {"method": name, "data set": row["dataset"], "split": row["split"]} | _line(name, row)
        for name, row in lines
    ]
    each_run = [
        {"method": name, "fold": run["fold"], "seed": run["seed"]}
        | {metric: value(run, metric) for metric in METRICS if metric in run}
        | {"findings": run["findings"], **_positive(run)}
        for name, run in runs
        if _tested(run, target)
    ]
    by_class = [
        {
            "method": name,
            "class or label": each,
            "AUROC": text(area, ".3f"),
            "95 %, other patients": text(row["ci95_by"][each], ".3f"),
            "findings of it": row["positives_by"][each],
        }
        for name, row in lines
        if _tested(row, target)
        for each, area in row.get("auroc_by", {}).items()
    ]
    several = (
        [
            page.section(
                f"Each class or label of {target}, test findings",
                page.paragraph(ABOUT_CLASSES),
                page.table(list(by_class[0]), by_class),
            )
        ]
        if by_class
        else []
    )
    return page.page(
        f"Results: {target}, test findings, {state} state of training",
        [
            page.table(list(head[0]), head),
            page.bullets(NOTES),
            *several,
            page.section(
                "All data sets and splits", page.paragraph(ABOUT_PARTS), page.table(list(parts[0]), parts)
            ),
            page.section(
                f"Each run on the test findings of {target}",
                page.paragraph(ABOUT_RUNS),
                page.table(list(each_run[0]), each_run),
            ),
        ],
    )


def _tested(row: Figures, target: str) -> bool:
    return (row["dataset"], row["split"]) == (target, "test")


def _line(method: str, row: Figures) -> dict[str, object]:
    shown = {name: value(row, key) for name, key in HEADLINE.items()}
    counts = {name: row[key] for name, key in COUNTS.items()}
    return {"method": method, **shown, **counts, **_positive(row)}


def _positive(row: Figures) -> dict[str, object]:
    return {"positive": row["positives"] if row["positives"] is not None else counted(row)}


def main(argv: Sequence[str] | None = None) -> None:
    """Write the results of all methods as one page of HTML."""
    parser = argparse.ArgumentParser(prog="python -m model.report.overview", description=main.__doc__)
    parser.add_argument(
        "--results", nargs="+", type=Path, required=True, metavar="JSON", help="results/typhon_auc.json …"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="HTML")
    args = parser.parse_args(argv)
    write_text(args.out, overview(read_all(args.results)))


if __name__ == "__main__":
    run_cli(main)
