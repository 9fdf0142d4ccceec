"""The reporting page: items of TRIPOD+AI and CLAIM with what the run knows, and what is left to authors."""

import argparse
import json
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from model.evaluation import results
from model.evaluation.predictions import read_splits
from model.report.study import Study
from model.report.tabular import add_out, write_table
from pipeline.cli import run_cli
from pipeline.files import read_csv
from pipeline.provenance import ROOT

ITEMS, TEXTS = ROOT / "config" / "reporting.csv", ROOT / "config" / "answers.csv"
FILLED, PARTLY, OPEN = STATES = ("filled in", "partly", "open")
COLUMNS = ("checklist", "item", "topic", "state", "answer", "for the authors")
NOTHING = "this run has nothing of it"
NOTES = (
    "state: filled in, by the program; partly, where authors must add something; open, where only they know.",
    "Topics are in our words. The checklists are those of Collins et al. 2024, BMJ 385:e078378 (TRIPOD+AI),"
    " and Tejani et al. 2024, Radiology: Artificial Intelligence 6:e240300 (CLAIM): fill in the originals"
    " from this page.",
)


def filled(template: str, values: Mapping[str, str]) -> str:
    """A text with its values; what stands in square brackets is left out where a value of it is empty.

    Empty where one outside of brackets is.

    >>> filled("by {age}[ and {sex}]", {"age": "age", "sex": ""})
    'by age'
    """

    def known(part: str) -> str:
        names = [name for _, name, _, _ in string.Formatter().parse(part) if name]
        return part.format_map(values) if all(values[name] for name in names) else ""

    outside = re.sub(r"\[[^\]]*\]", "", template)
    if not known(outside):
        return ""
    inside = re.sub(r"\[([^\]]*)\]", lambda found: known(found[1]) and found[1], template)
    return inside.format_map(values)


def rows(study: Study) -> Iterator[dict[str, Any]]:
    """A row per item, in the order of the checklists."""
    texts = read_csv(TEXTS).set_index("key")["text"].to_dict()
    values = study.values()
    for item in read_csv(ITEMS).to_dict("records"):
        answer = filled(texts[item["answer"]], values) if item["answer"] else ""
        state = OPEN if not answer else PARTLY if item["authors"] else FILLED
        authors = item["authors"] or (NOTHING if state == OPEN else "")
        told = {name: item[name] for name in ("checklist", "item", "topic")}
        yield told | {"state": state, "answer": answer, "for the authors": authors}


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page of a study."""
    parser = argparse.ArgumentParser(prog="python -m model.report.reporting", description=main.__doc__)
    parser.add_argument("--facts", type=json.loads, required=True, metavar="JSON", help="facts of the config")
    parser.add_argument("--fingerprints", type=Path, nargs="+", required=True, metavar="CSV")
    parser.add_argument("--splits", type=Path, nargs="+", required=True, help="data/X/splits/fold0.csv …")
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="results/{method}_auc.json …")
    add_out(parser)
    args = parser.parse_args(argv)
    fingerprints = {path.parent.name: read_csv(path) for path in args.fingerprints}
    study = Study(args.facts, fingerprints, read_splits(args.splits), results.read_all(args.results))
    found = list(rows(study))
    told = ", ".join(f"{sum(row['state'] == state for row in found)} {state}" for state in STATES)
    synthetic = ("The data are synthetic: this shows the form, and says nothing about patients.",)
    write_table(
        pd.DataFrame(found, columns=COLUMNS), args.out.with_suffix(""),
        f"What TRIPOD+AI and CLAIM ask, {study.target}: {told}",
        [*NOTES, *(synthetic if args.facts["synthetic"] else ())],
    )  # fmt: skip


if __name__ == "__main__":
    run_cli(main)
