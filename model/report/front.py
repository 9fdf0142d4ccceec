"""What the report opens on: the result with its interval, who was tested, what was left out, and a caution.

A page of its own, ``results/front.html``, whose body the first page of the report shows.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from model.evaluation.results import Figures, counted, read_all
from model.report.tabular import text
from pipeline.cli import run_cli
from pipeline.files import read_csv, write_text
from pipeline.report import page
from pipeline.report.flow import stages
from pipeline.verify.checks import FAILED, OK, WARNING

MEANING = (
    "The chance that a positive finding scores higher than a negative one: 0.5 is guessing, 1 is perfect. In "
    "brackets the 95 % interval for other patients of the same kind."
)
SEVERAL = "It is the mean over the classes, each against the rest, or over the labels."
SYNTHETIC = "The data are synthetic: this shows that everything runs, and says nothing about patients."
UNTRUSTED = "Checks of the data failed ({names}): believe no number before you know why."
GUESSING = "The interval of {names} holds 0.5: with so few findings it may be guessing."
ALONE = "All findings are of one data set. Another hospital or scanner may give another result."
ELSEWHERE = "Look at External before you expect the same of another hospital: {names}."


def shown(figures: Figures) -> str:
    """The AUROC with its interval, or why there is none."""
    if figures["auroc"] is None:
        return f"none, {figures.get('auroc_reason', 'nothing was tested')}"
    return " ".join(filter(None, (text(figures["auroc"], ".3f"), text(figures["ci95"], ".3f"))))


def tested(figures: Figures) -> str:
    """Who was tested, by how many runs."""
    (line,) = (
        line
        for line in figures["summary"]
        if (line["dataset"], line["split"], line["state"]) == (figures["target"], "test", figures["state"])
    )
    positive = f"{counted(line)} positive" if line["positives"] is not None else counted(line)
    splits = "1 split" if line["folds"] == 1 else f"{line['folds']} splits"
    runs = "1 run" if line["runs"] == 1 else f"{line['runs']} runs"
    return (
        f"Tested: {line['findings']} findings of {line['groups']} groups (patients, where they are known), "
        f"{positive}. No run has learned from what it tested. {splits}, {runs} of each method."
    )


def left_out(fingerprint: pd.DataFrame, target: str) -> Iterator[str]:
    """What each step left out of the target, and what remained."""
    every = stages(fingerprint)
    lost = False
    for before, stage in itertools.pairwise(every):
        if reasons := "; ".join(" ".join(reason.split()) for reason in stage.left_out):
            lost = True
            counts = f"{before.count} {before.title}, {stage.count} {stage.title}"
            yield f"Left out of {target}: {counts}. {reasons}."
    if not lost:
        yield f"Left out of {target}: nothing."


def checked(checks: pd.DataFrame, target: str) -> str:
    """How many checks of the target passed, and the names of the others."""
    found = [f"{(checks['result'] == OK).sum()} passed"]
    for result, words in ((WARNING, ("warning", "warnings")), (FAILED, ("failed", "failed"))):
        names = checks.loc[checks["result"] == result, "check"].tolist()
        found += [f"{len(names)} {words[len(names) > 1]} ({', '.join(names)})"] if names else []
    return f"Checks of {target}: {', '.join(found)}."


def caution(
    results: Sequence[Figures], checks: pd.DataFrame, external: Sequence[str], *, synthetic: bool
) -> str:
    """The one thing to know before the number is believed: the gravest that applies."""
    if synthetic:
        return SYNTHETIC
    if bad := checks.loc[checks["result"] == FAILED, "check"].tolist():
        return UNTRUSTED.format(names=", ".join(bad))
    ends = {each["method"]: each["ci95"] for each in results if each["ci95"] is not None}
    if guessing := [name for name, (low, high) in ends.items() if low <= 0.5 <= high]:
        return GUESSING.format(names=", ".join(guessing))
    return ELSEWHERE.format(names=", ".join(external)) if external else ALONE


def front(
    results: Sequence[Figures], fingerprint: pd.DataFrame, checks: pd.DataFrame, roc: Path,
    external: Sequence[str] = (), *, synthetic: bool = False,
) -> str:  # fmt: skip
    """The page. ``results`` are those of all methods on one target."""
    first, target = results[0], results[0]["target"]
    alone = len(results) == 1
    title = f"{target}: AUROC {shown(first)}" if alone else f"{target}: AUROC on test findings"
    rows = [{"method": each["method"], "AUROC": shown(each)} for each in results]
    several = [SEVERAL] if any("auroc_by" in line for line in first["summary"]) else []
    return page.page(
        title,
        [
            *([] if alone else [page.table(("method", "AUROC"), rows)]),
            page.paragraph(f"Caution: {caution(results, checks, external, synthetic=synthetic)}", "warning"),
            page.picture(roc, f"ROC curves of the test findings of {target}"),
            page.bullets([tested(first), *left_out(fingerprint, target), checked(checks, target)]),
            page.paragraph(" ".join([MEANING, *several]), "note"),
        ],
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page that the report opens on."""
    parser = argparse.ArgumentParser(prog="python -m model.report.front", description=main.__doc__)
    parser.add_argument(
        "--results", nargs="+", type=Path, required=True, metavar="JSON", help="results/typhon_auc.json …"
    )
    parser.add_argument("--fingerprint", type=Path, required=True, help="fingerprint.csv of the target")
    parser.add_argument("--checks", type=Path, required=True, help="its verify.csv")
    parser.add_argument("--roc", type=Path, required=True, help="the picture of ROC curves")
    parser.add_argument("--external", nargs="*", default=[], help="data sets that no step has seen")
    parser.add_argument("--synthetic", action="store_true", help="say that the data are not of patients")
    parser.add_argument("--out", type=Path, required=True, metavar="HTML")
    args = parser.parse_args(argv)
    made = front(
        read_all(args.results), read_csv(args.fingerprint), read_csv(args.checks), args.roc,
        args.external, synthetic=args.synthetic,
    )  # fmt: skip
    write_text(args.out, made)


if __name__ == "__main__":
    run_cli(main)
