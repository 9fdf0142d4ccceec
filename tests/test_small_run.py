"""A small run: its report in a real browser, a search over its data, and what published keys change in it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from selenium.webdriver.support.ui import WebDriverWait

from tests import warm
from tests.test_effects import ENTRY
from tests.test_workflow import bare_project
from workflow.effects import tabulate

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
subgroups: {columns: [row, format], table: about.csv}
"""
CATEGORIES = {
    "1 Results": {
        "overview.html", "roc.png", "saliency.png", "calibration.html", "calibration.png", "ranking.html",
        "precision_recall.png", "operating.html", "operating.png", "decision.png", "subgroups.html", "subgroups.png",
    },
    "2 Comparison": {"comparison.html", "differences.html", "comparison.png", "roc.png"},
    "3 Data": {"verify.html", "contact_sheet.png", "red_dots.png", "fingerprint.png"},
    "4 Training": {"curves.png", "scores.png"},
    "5 Papers": {"inconsistencies.html"},
    "6 Provenance": {"costs.html", "costs.png", "software.html", "cite.html"},
}  # fmt: skip
COLOURS = """
const [picture] = arguments;
const canvas = document.createElement("canvas");
canvas.width = canvas.height = 64;
const pen = canvas.getContext("2d");
pen.drawImage(picture, 0, 0, 64, 64);
return new Set(new Uint32Array(pen.getImageData(0, 0, 64, 64).data.buffer)).size;
"""


def call(folder: Path, *words: str) -> str:
    """Call ``./run`` there; what it prints."""
    status, printed = warm.run(folder, words, timeout=900)
    assert status == 0, printed
    return printed


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run with its report."""
    folder = bare_project(tmp_path_factory.mktemp("report"))
    (folder / "small.yaml").write_text(SMALL)
    (folder / "about.csv").write_text("patient_id,age\nnobody,50\n")
    tables = ["results/comparison.csv", "results/tables/inconsistencies.csv", "results/costs.csv"]
    call(folder, "--configfile", "small.yaml", *tables)
    assert f"Report: {folder / 'report.html'}" in call(folder, "report")
    return folder


PATH = "return app.state.resultPath || null"


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
            before = self.browser.execute_script(PATH)
            eye.click()  # the page takes it up when it comes to it
            WebDriverWait(self.browser, 20).until(
                lambda one, old=before: one.execute_script(PATH) not in (None, old)
            )
            yield self.browser.execute_script(PATH).rpartition("/")[2]


@pytest.fixture
def reader(browser: Any, finished: Path) -> Reader:
    browser.get(f"file://{finished / 'report.html'}")
    return Reader(browser)


def test_the_front_page_says_what_the_report_is_about_and_draws_the_steps(reader: Reader) -> None:
    words = reader.all(".prose")[0].text
    assert words.startswith("brain: AUROC on test findings\nmethod AUROC\ntyphon ")
    assert (
        words.index("Caution: The data are synthetic") < words.index("Tested: ") < words.index("Networks for")
    )
    (curves,) = reader.all(".prose img")
    assert curves.get_property("naturalWidth") > 500
    assert "Networks for brain. Methods: typhon, logistic." in words
    assert "The data are synthetic" in words
    assert [link.text for link in reader.all(".prose a")][: len(CATEGORIES)] == list(CATEGORIES)
    graph = reader.all(".vega-embed canvas, .vega-embed svg")[0]
    assert graph.size["width"] > 100
    assert graph.location["y"] > curves.location["y"] + curves.size["height"]
    assert reader.menu() == ["Workflow", "Statistics", "About", *CATEGORIES]


def test_on_a_phone_the_result_stands_above_the_menu_and_nothing_is_cut_off(reader: Reader) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    reader.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        heading, menu = reader.all(".prose h1")[0], reader.all("nav")[0]
        assert heading.location["y"] < menu.location["y"] < 844
        assert heading.size["width"] > 300
        assert reader.browser.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        reader.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


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


def test_a_search_on_synthetic_data_ends_in_a_config_to_run_from(finished: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(SMALL) | {
        "data": str(finished / "data"),
        "methods": ["typhon"],
        "search": {"method": "typhon", "grid": {"training.learning_rate": [1e-3, 1e-4]}},
    }
    (bare_project(tmp_path) / "search.yaml").write_text(yaml.safe_dump(settings))
    call(tmp_path, "--configfile", "search.yaml", "--cores", "1", "search")
    folder = tmp_path / "results/search/typhon"
    table = pd.read_csv(folder / "candidates.csv")
    assert list(table["training.learning_rate"]) == [1e-3, 1e-4]
    assert table["validation_auroc"].between(0, 1).all()
    assert (folder / "candidates.png").stat().st_size > 10_000
    best = yaml.safe_load((folder / "best.yaml").read_text())
    picked = table.loc[table["picked"] == 1, "training.learning_rate"].item()
    assert best == {"hyperparameters": {"typhon": {"training": {"learning_rate": picked}}}}
    files = ("--configfile", "search.yaml", "results/search/typhon/best.yaml")
    printed = call(tmp_path, *files, "results/typhon_auc.json", "-np")
    phases = json.loads(re.search(r"--phases '(\[.*?\])'", printed)[1])  # type: ignore[index]
    assert {phase["learning_rate"] for phase in phases if phase["name"] == "training"} == {picked}
    assert "bootstrap_network" not in printed  # that of the search serves


def test_variants_of_a_run_leave_it_as_it_was(finished: Path) -> None:
    words = [f"results/effects/{name}.json" for name in ("typhon", "loss", "extent")]
    line = ("--configfile", "small.yaml", "--cores", "1")
    before = {path: path.read_bytes() for path in (finished / "data").rglob("*") if path.is_file()}
    call(finished, *line, *words)
    assert {path: path.read_bytes() for path in (finished / "data").rglob("*") if path.is_file()} == before
    found = {
        name: json.loads((finished / f"results/effects/{name}.json").read_text())
        for name in ("typhon", "loss", "extent")
    }
    result = json.loads((finished / "results/typhon_auc.json").read_text())
    row = tabulate.row("loss", ENTRY, found["typhon"], found["loss"])
    assert row["AUROC right"] == pytest.approx(result["auroc"])
    assert row["scores"] > 0
    assert found["loss"]["start"] == found["typhon"]["start"]
    assert not (finished / "effects/loss/data").exists()
    assert (finished / "effects/extent/data/brain/patches.h5").exists()
    driver = json.loads((finished / ".snakemake/driver.json").read_text())
    assert driver["argv"][-1] == words[-1]
    assert "Nothing to be done" in call(finished, *line, "-n", *words)
