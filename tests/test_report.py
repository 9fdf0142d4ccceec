"""The report of a small run, opened in a real browser: every category, every picture, every table."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.test_workflow import copy_project

SMALL = """\
phantom: {patients: 12}
datasets: [brain]
target: brain
methods: [typhon, logistic]
seeds: [0]
split: {kind: holdout, validation: 0.25, test: 0.25}
views: 4
majority_views: 2
evaluation_views: 2
bootstrap: {candidates: 2, views: 2}
hyperparameters: {typhon: {training: {epochs: 2}, specialization: {epochs: 2}}}
evaluation: {every: 1}
"""
CATEGORIES = {
    "1 Results": {"overview.html", "roc.png"},
    "2 Comparison": {"comparison.html", "differences.html", "comparison.png", "roc.png"},
    "3 Data": {"verify.html", "contact_sheet.png", "red_dots.png", "fingerprint.png"},
    "4 Training": {"curves.png", "scores.png"},
    "5 Papers": {"inconsistencies.html"},
    "6 Provenance": {"costs.html", "costs.png", "software.html", "cite.html"},
}
COLOURS = """
const [picture] = arguments;
const canvas = document.createElement("canvas");
canvas.width = canvas.height = 64;
const pen = canvas.getContext("2d");
pen.drawImage(picture, 0, 0, 64, 64);
return new Set(new Uint32Array(pen.getImageData(0, 0, 64, 64).data.buffer)).size;
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run with its report."""
    folder = copy_project(tmp_path_factory.mktemp("report"))
    (folder / "small.yaml").write_text(SMALL)
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}

    def call(*words: str) -> str:
        line = [sys.executable, "-m", "workflow.run", *words]
        done = subprocess.run(
            line, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    tables = ["results/comparison.csv", "results/tables/inconsistencies.csv", "results/costs.csv"]
    call("--configfile", "small.yaml", *tables)
    assert call("report").strip().endswith(f"Report: {folder / 'report.html'}")
    return folder


class Reader:
    """Somebody who reads the report."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements("css selector", selector)

    def menu(self) -> list[str]:
        return [entry.text for entry in self.all("nav li a") if entry.text]

    def follow(self, name: str) -> None:
        next(entry for entry in self.all("nav li a") if entry.text == name).click()

    def home(self) -> None:
        self.browser.execute_script("app.setView({navbarMode: 'menu'})")

    def shown(self) -> Iterator[str]:
        """Show the items of the open folder one after another; gives their file names."""
        for number in range(len(self.all("nav tbody tr"))):
            eye, _ = self.all("nav tbody tr")[number].find_elements("css selector", "a")
            eye.click()
            yield self.browser.execute_script("return app.state.resultPath.split('/').pop()")


@pytest.fixture
def reader(browser: Any, finished: Path) -> Reader:
    browser.get(f"file://{finished / 'report.html'}")
    return Reader(browser)


def test_the_front_page_says_what_the_report_is_about_and_draws_the_steps(reader: Reader) -> None:
    words = reader.all(".prose")[0].text
    assert "Networks for brain. Methods: typhon, logistic." in words
    assert "The data are synthetic" in words
    assert [link.text for link in reader.all(".prose a")][: len(CATEGORIES)] == list(CATEGORIES)
    graph = reader.all(".vega-embed canvas, .vega-embed svg")[0]
    assert graph.size["width"] > 100
    assert reader.menu() == ["Workflow", "Statistics", "About", *CATEGORIES]


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_item_of_a_category_shows_something(reader: Reader, category: str) -> None:
    reader.home()
    reader.follow(category)
    seen = set()
    for folder in reader.menu() or [""]:
        if folder:
            reader.home()
            reader.follow(category)
            reader.follow(folder)
        for name in reader.shown():
            seen.add(name)
            if name.endswith(".png"):
                (picture,) = reader.all(".h-screen > div > img")
                assert picture.get_property("naturalWidth") > 100, name
                assert reader.browser.execute_script(COLOURS, picture) > 2, name
            else:
                reader.browser.switch_to.frame(reader.all("iframe")[0])
                assert reader.all("h1")[0].text, name
                assert len(reader.all("tr")) >= 2, name
                assert all(
                    cell.is_displayed() for cell in reader.all("tr")[1].find_elements("css selector", "td")
                )
                reader.browser.switch_to.default_content()
    assert seen >= CATEGORIES[category]


def test_every_item_is_explained(reader: Reader) -> None:
    captions = reader.browser.execute_script(
        "return Object.entries(results).map(([path, one]) => [path, one.caption])"
    )
    assert len(captions) > 15
    for path, caption in captions:
        assert len(caption) > 100, path
        assert "system-message" not in caption, path


def test_the_interval_of_a_result_stands_in_the_table(reader: Reader) -> None:
    reader.follow("1 Results")
    next(reader.shown())
    reader.browser.switch_to.frame(reader.all("iframe")[0])
    lines = [row.text for row in reader.all("table")[0].find_elements("css selector", "tr")]
    reader.browser.switch_to.default_content()
    assert lines[0].startswith("method AUROC 95 %, other patients")
    assert [line.split()[0] for line in lines[1:]] == ["typhon", "logistic"]
    assert all(line.count("[") == 2 and line.count("one split") == 1 for line in lines[1:])


def test_nothing_goes_wrong_in_the_page(reader: Reader) -> None:
    reader.follow("Statistics")
    reader.follow("About")
    serious = [entry for entry in reader.browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert serious == []
