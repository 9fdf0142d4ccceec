"""Names and tags that would run in a spreadsheet, a page or a picture: through all steps they stay text."""

import csv
import html.parser
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.report import tabular
from pipeline import findings, skipped
from pipeline.files import read_csv
from pipeline.patches import cut, slices
from pipeline.readers import index
from pipeline.report import contact_sheet, fingerprint, page
from pipeline.splits import split
from pipeline.verify import __main__ as verify
from tests.dicoms import change, write_ct

HOSTILE = [
    "=cmd|'/C calc'!A0",
    "<script>alert(1)</script>",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    r"$\frac{1}$<img src=x onerror=alert(1)>",
    "'=1+1",
    "0005",
    "</td><!--",
]
RNG = np.random.default_rng(0)


class Page(html.parser.HTMLParser):
    """A page taken apart: its tags, and the text of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in ("src", "href") or str(value).startswith("data:image/png;base64,")
        self.tags.append(tag)
        self.inside = tag in ("td", "th")
        if self.inside:
            self.cells.append("")

    def handle_endtag(self, _: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.cells[-1] += data


def scripts(text: str) -> list[str]:
    return [tag for tag in Page(text).tags if tag in ("script", "iframe", "link", "object", "base", "form")]


@settings(max_examples=100)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=1, max_size=4))
def test_any_text_in_a_table_of_a_page_is_that_text_and_no_markup(texts: list[str]) -> None:
    columns = [f"{number} {text}" for number, text in enumerate(texts)]
    made = Page(page.table(columns, [dict(zip(columns, texts, strict=True))]))
    head, body = ["th"] * len(texts), ["td"] * len(texts)
    assert made.tags == ["div", "table", "thead", "tr", *head, "tbody", "tr", *body]
    assert made.cells == [*columns, *texts]


def test_a_page_lets_nothing_run_or_load() -> None:
    parts = [page.paragraph("<script>"), page.section("<b>", page.bullets(["<i>"]))]
    made = page.page("<script>", parts)
    assert Page(made).tags == [
        "html", "head", "meta", "meta", "meta", "title", "style", "body", "h1", "p", "h2", "ul", "li",
    ]  # fmt: skip
    assert "content=\"default-src 'none'; style-src 'unsafe-inline'" in made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of one hostile patient per image, as far as its splits and the items of the report."""
    folder = tmp_path_factory.mktemp("hostile")
    raw = folder / "raw"
    raw.mkdir()
    rows = []
    for number, name in enumerate(HOSTILE * 2):
        patient = name if number < len(HOSTILE) else f"{name} B"
        image = RNG.integers(0, 200, (40, 40), dtype="u1")
        Image.fromarray(image).save(raw / f"{number}.png")
        rows.append([f"{number}.png", patient, HOSTILE[-number % 8], number % 2])
    scan = change(write_ct(raw), Manufacturer="=HYPERLINK(1)$^$", ManufacturerModelName="<script>alert(2)</script>",
                  SeriesDescription="<script>alert(3)</script>", PatientName="Somebody^Known")  # fmt: skip
    rows.append([scan.relative_to(raw).as_posix(), "+49-30-1", "=1", 1])
    rows.append(["missing.png", "=absent 9", "<script>x</script>", 0])
    with (raw / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "patient_id", "finding_id", "label"], *rows])

    def made(name: str) -> str:
        return str(folder / name)

    index.main(["--raw", str(raw), "--out", made("index.parquet"), "--files", made("files.parquet"),
                "--skipped", made("index.csv"), "--processes", "1"])  # fmt: skip
    findings.main(["table", "--dataset", "mine", "--raw", str(raw), "--index", made("index.parquet"),
                   "--out", made("findings.csv"), "--skipped", made("found.csv"), "--choices", made("choices.csv"),
                   "--near-duplicates", made("near_duplicates.csv"), "--table", "own.csv"])  # fmt: skip
    slices.main(["table", "--raw", str(raw), "--index", made("index.parquet"), "--findings", made("findings.csv"),
                 "--out", made("slices.h5"), "--skipped", made("sliced.csv"), "--processes", "1"])  # fmt: skip
    cut.main(["table", "--dataset", "mine", "--findings", made("findings.csv"), "--slices", made("slices.h5"),
                  "--out", made("patches.h5"), "--skipped", made("cut.csv"), "--views", "7", "--extent", "whole",
                  "--processes", "1"])  # fmt: skip
    skipped.main(["--tables", *(made(f"{name}.csv") for name in ("index", "found", "sliced", "cut")),
                  "--out", made("skipped.csv")])  # fmt: skip
    split.main(["--store", made("patches.h5"), "--skipped", made("skipped.csv"), "--max-skipped", "9",
                "--kind", "holdout", "--validation", "0.2", "--test", "0.2", "--out", made("splits/fold0.csv")])  # fmt: skip
    fingerprint.main(["--index", made("index.parquet"), "--findings", made("findings.csv"), "--slices",
                      made("slices.h5"), "--skipped", made("skipped.csv"), "--choices", made("choices.csv"),
                      "--store", made("patches.h5"), "--out", made("fingerprint.csv"),
                      "--picture", made("fingerprint.png")])  # fmt: skip
    contact_sheet.main(["contact-sheet", "--store", made("patches.h5"), "--out", made("contact_sheet.png")])
    contact_sheet.main(["red-dots", "--store", made("patches.h5"), "--findings", made("findings.csv"),
                   "--slices", made("slices.h5"), "--out", made("red_dots.png")])  # fmt: skip
    verify.main([str(folder), "--raw", str(raw), "--folds", "1", "--licence", "<script>", "--out", made("verify.html"),
                 "--table", made("verify.csv"), "--processes", "1", "--exit-zero"])  # fmt: skip
    return folder


def test_ids_are_the_same_in_every_table_of_the_way(data: Path) -> None:
    patients = {*HOSTILE, *(f"{name} B" for name in HOSTILE), "+49-30-1"}
    assert set(read_csv(data / "findings.csv")["patient_id"]) == patients
    assert set(read_csv(data / "splits/fold0.csv")["patient_id"]) == patients
    assert read_csv(data / "skipped.csv")["patient_id"].tolist() == ["=absent 9"]


def test_no_cell_of_any_csv_begins_as_a_formula(data: Path) -> None:
    tables = [path for path in sorted(data.rglob("*.csv")) if path.parent.name != "raw"]
    names = {path.name for path in tables}
    assert {"findings.csv", "skipped.csv", "fold0.csv", "fingerprint.csv", "verify.csv"} <= names
    for path in tables:
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        begun = [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
        assert [cell for cell in begun if not re.fullmatch(r"-\d+(\.\d+)?", cell)] == []


def test_the_page_of_the_data_shows_ids_as_text_and_no_paths(data: Path) -> None:
    text = (data / "verify.html").read_text(encoding="utf-8")
    assert scripts(text) == []
    made = Page(text)
    assert "=absent 9" in made.cells
    assert "<script>x</script>" in made.cells
    assert "<script>alert(3)</script>" in made.cells  # a description of a series
    assert not [cell for cell in made.cells if cell.endswith((".png", ".dcm"))]


def test_what_is_on_no_list_of_tags_is_in_no_output(data: Path) -> None:
    for path in data.glob("*.*"):
        assert b"Somebody" not in path.read_bytes(), path.name


@pytest.mark.parametrize("name", ["contact_sheet", "red_dots", "fingerprint"])
def test_a_dollar_in_an_id_is_no_formula_of_a_picture(data: Path, name: str) -> None:
    with Image.open(data / f"{name}.png") as picture:
        assert picture.size[0] > 100


def test_a_browser_shows_the_page_and_runs_nothing_of_it(data: Path, browser: Any) -> None:
    browser.get(f"file://{data / 'verify.html'}")  # an alert would make the next line fail
    assert browser.execute_script("return document.scripts.length") == 0
    for closed in browser.find_elements("css selector", "summary"):
        closed.click()
    shown = browser.find_element("css selector", "body").text
    assert "<script>alert(3)</script>" in shown
    assert "=absent 9" in shown
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_table_of_results_is_text_in_html_too(tmp_path: Path) -> None:
    tabular.write_table(pd.DataFrame({"<b>": HOSTILE}), tmp_path / "t", "<script>", ["<script>note"])
    text = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert scripts(text) == []
    assert Page(text).cells == ["<b>", *(" ".join(name.split()) for name in HOSTILE)]
