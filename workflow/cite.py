"""What to cite: the data sets of an experiment, the papers of its methods, and this software.

The list of publications is ``config/publications.csv``: ``for`` names methods and kinds of data sets.
"""

import argparse
import csv
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from pipeline.cli import run_cli
from pipeline.files import write_text
from pipeline.provenance import ROOT
from pipeline.report import page

log = logging.getLogger("typhon")

PUBLICATIONS = ROOT / "config" / "publications.csv"
SOFTWARE = ROOT / "CITATION.cff"
CHANGES = (
    "Changed: one slice of each finding was cut to small square patches, which were rotated, shifted and"
    " flipped, and their intensities normalised."
)
"""Licences such as CC BY ask for it."""
VENUES = {"article": "journal", "inproceedings": "booktitle", "incollection": "booktitle",
          "mastersthesis": "school", "misc": "note"}  # fmt: skip
"""The field of BibTeX for the venue, by type of entry."""
CITATION = re.compile(r"(?P<author>[^.]+)\. (?P<title>[^.]+)\. (?P<note>.+), (?P<year>\d{4})\.?")
"""How ``config/datasets.csv`` writes: Author AB, Other C. Title. Where it appeared, 2017"""

TERMS = ("collection", "licence", "doi", "citation", "url")
"""What the page tells of a data set, in this order."""

Entry = Mapping[str, str]


def publications(about: Sequence[str]) -> list[dict[str, str]]:
    """The rows of ``config/publications.csv`` that are for one of these methods or kinds."""
    with PUBLICATIONS.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if set(about) & set(row["for"].split())]


def software() -> dict[str, str]:
    """The entry of this software, from ``CITATION.cff``."""
    cff = yaml.safe_load(SOFTWARE.read_text(encoding="utf-8"))
    authors = " and ".join(_author(person) for person in cff["authors"])
    venue = f"Version {cff['version']}, licence {cff['license']}"
    about = {"title": cff["title"], "year": str(cff.get("date-released", ""))[:4], "doi": cff.get("doi", "")}
    return {"key": "typhon-workflow", "type": "misc", "authors": authors, "venue": venue, **about}


def _author(person: Entry) -> str:
    if "name" in person:
        return f"{{{person['name']}}}"  # an entity: BibTeX leaves what stands in braces as it is
    return f"{person['family-names']}, {person['given-names']}"


def short(authors: str) -> str:
    """Authors of a BibTeX field as a text has them.

    >>> short("Cuccu, Giuseppe and Cudré-Mauroux, Philippe"), short("Armato, Samuel G and others")
    ('Cuccu G, Cudré-Mauroux P', 'Armato SG, et al.')
    """
    names = []
    for author in authors.split(" and "):
        family, _, given = author.strip("{}").partition(", ")
        initials = "".join(name[0] for name in given.split())
        names.append("et al." if author == "others" else f"{family} {initials}".strip())
    return ", ".join(names)


def markdown(data_sets: Mapping[str, Entry], papers: Sequence[Entry], weights: Mapping[str, Entry]) -> str:
    """What to cite as a page in Markdown."""
    lines = ["# What to cite", "", "## Data sets", ""]
    lines += [f"- **{name}**, {terms['collection']}. {_stated(terms)}" for name, terms in data_sets.items()]
    lines += ["", CHANGES, ""]
    if weights:
        lines += ["## Pretrained weights", ""]
        lines += [f"- **{name}**. {_stated(terms)}" for name, terms in weights.items()]
        lines += [""]
    lines += ["## Papers", ""]
    for paper in papers:
        parts = [
            short(paper["authors"]),
            f"*{paper['title']}*",
            ", ".join(filter(None, (paper["venue"], paper["year"]))),
        ]
        lines.append(f"- {_sentences([*parts, _link(paper['doi'])])}")
    own = software()
    lines += [
        "",
        "## Software",
        "",
        f"- {_sentences([short(own['authors']), own['title'], own['venue']])}",
        "",
    ]
    return "\n".join(lines)


def _stated(terms: Entry) -> str:
    """Citation, where to find it, and licence, as sentences."""
    parts = [terms.get("citation", ""), _link(terms.get("doi", "")) or terms.get("url", "")]
    return _sentences([*parts, _capital(terms.get("licence", ""))])


def html(data_sets: Mapping[str, Entry], papers: Sequence[Entry], weights: Mapping[str, Entry]) -> str:
    """The same as a page of the report."""
    rows = [{"data set": name, **dict(terms)} for name, terms in data_sets.items()]
    columns = [name for name in ("data set", *TERMS) if any(row.get(name) for row in rows)]
    own, stated = software(), [f"{name}: {_stated(terms)}" for name, terms in weights.items()]
    return page.page(
        "Licences, and what to cite",
        [
            page.section("Data sets", page.table(columns, rows), page.paragraph(CHANGES)),
            *([page.section("Pretrained weights", page.bullets(stated))] if stated else []),
            page.section("Papers", page.bullets(map(_cited, papers))),
            page.section("Software", page.bullets([_cited(own)])),
        ],
    )


def _cited(entry: Entry) -> str:
    venue = ", ".join(filter(None, (entry["venue"], entry["year"])))
    return _sentences([short(entry["authors"]), entry["title"], venue, _link(entry["doi"])])


def bibtex(data_sets: Mapping[str, Entry], papers: Sequence[Entry]) -> str:
    """The same as BibTeX."""
    return "\n".join([*_data_entries(data_sets), *map(_entry, papers), _entry(software())])


def _data_entries(data_sets: Mapping[str, Entry]) -> Iterator[str]:
    for name, terms in data_sets.items():
        citation = terms.get("citation", "")
        parts = CITATION.fullmatch(citation)
        fields = {"title": terms["collection"], "note": citation}
        if parts:
            authors = [_full(author) for author in parts["author"].split(", ")]
            fields = {**parts.groupdict(), "author": " and ".join(authors)}
        rest = {
            "doi": terms.get("doi", ""),
            "url": terms.get("url", ""),
            "copyright": terms.get("licence", ""),
        }
        yield _bibtex("misc", f"{name}-data", {**fields, **rest})


def _full(author: str) -> str:
    """``Armato SG III`` as BibTeX wants it: ``Armato, SG III``."""
    family, _, initials = author.partition(" ")
    return "others" if author == "et al" else f"{family}, {initials}"


def _entry(paper: Entry) -> str:
    fields = {"author": paper["authors"], "title": paper["title"], "year": paper["year"], "doi": paper["doi"]}
    return _bibtex(paper["type"], paper["key"], {**fields, VENUES[paper["type"]]: paper["venue"]})


def _bibtex(kind: str, key: str, fields: Entry) -> str:
    written = (f"  {name} = {{{_escaped(name, text)}}}," for name, text in fields.items() if text)
    return "\n".join([f"@{kind}{{{key},", *written, "}", ""])


def _escaped(name: str, text: str) -> str:
    if name in ("doi", "url"):
        return text
    text = re.sub(r"([&%$#_])", r"\\\1", text)
    return f"{{{text}}}" if name == "title" else text  # in braces its capitals stay


def _link(doi: str) -> str:
    return f"https://doi.org/{doi}" if doi else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentences(parts: Sequence[str]) -> str:
    """Each part with a full stop, which would break a link."""
    return " ".join(part if "://" in part else f"{part.rstrip('.')}." for part in parts if part)


def main(argv: Sequence[str] | None = None) -> None:
    """Write what to cite, as text and as BibTeX."""
    parser = argparse.ArgumentParser(prog="python -m workflow.cite", description=main.__doc__)
    parser.add_argument("--data-sets", type=json.loads, required=True, help="terms by data set, JSON")
    parser.add_argument(
        "--weights", type=json.loads, default={}, help="terms of pretrained weights by name, JSON"
    )
    parser.add_argument("--about", nargs="+", required=True, help="methods, and kinds of data sets")
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--bibtex", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="HTML", help="the page of the report")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    papers = publications(args.about)
    words = markdown(args.data_sets, papers, args.weights)
    write_text(args.bibtex, bibtex(args.data_sets, papers))
    write_text(args.out, html(args.data_sets, papers, args.weights))
    write_text(args.markdown, words)
    log.info("%s", words)


if __name__ == "__main__":
    run_cli(main)
