"""Under which licence the data of an experiment stand, and how to cite data, methods and software."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline import page
from pipeline.errors import run_cli
from pipeline.files import write_text
from pipeline.provenance import ROOT

CITATION = ROOT / "CITATION.cff"
COLUMNS = {"collection": "collection", "licence": "licence", "DOI": "doi", "to cite": "citation"}
"""Of the page, and of ``config/datasets.csv``."""


def reference(entry: Mapping[str, Any]) -> str:
    """A reference of a citation file as a line."""
    authors = ", ".join(
        f"{author['given-names'][0]}. {author['family-names']}" for author in entry["authors"]
    )
    return f"{authors}. {entry['title']}."


def licences(credits: Mapping[str, Mapping[str, str] | None], synthetic: bool) -> str:
    """The page. ``credits``: by data set its row of ``config/datasets.csv``, None for the user's own."""
    own = dict.fromkeys(COLUMNS.values(), "") | {"collection": "your own data"}
    rows = [
        {"data set": name} | {column: (row or own)[key] or "none" for column, key in COLUMNS.items()}
        for name, row in credits.items()
    ]
    cited = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    about = (
        "This experiment ran on synthetic data in the layout of these collections. Nothing in it is of a "
        "patient."
        if synthetic
        else "The pictures of this report are derived from these collections and stand under their licences."
    )
    return page.page(
        "Licences and citations",
        [
            page.paragraph(about),
            page.table(["data set", *COLUMNS], rows),
            page.section("Methods", page.bullets(map(reference, cited["references"]))),
            page.section(
                "Software",
                page.paragraph(f"{cited['title']}, version {cited['version']}, licence {cited['license']}."),
            ),
        ],
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Write down licences and citations as one page of HTML."""
    parser = argparse.ArgumentParser(prog="python -m workflow.licences", description=main.__doc__)
    parser.add_argument(
        "--credits", type=json.loads, required=True, metavar="JSON", help="{data set: row of datasets.csv}"
    )
    parser.add_argument("--synthetic", action="store_true", help="the data are phantoms")
    parser.add_argument("--out", type=Path, required=True, metavar="HTML")
    args = parser.parse_args(argv)
    write_text(args.out, licences(args.credits, args.synthetic))


if __name__ == "__main__":
    run_cli(main)
