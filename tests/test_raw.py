import copy
import os

import pytest
import yaml

from pipeline import phantom
from pipeline.errors import RawMissingError
from pipeline.provenance import ROOT
from workflow import raw
from workflow.config import checked


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return checked(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))


def put(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_each_missing_collection_is_one_line_with_all_that_is_needed_to_get_it(config):
    prostatex, lungx, brain, last = raw.missing(config).splitlines()
    for word in ("E-RAW data/raw/prostatex", "ProstateX-Findings-Train.csv", "PROSTATEx", "cancerimagingarchive.net",
                 "10.7937/K9TCIA.2017.MURS5CL", "CC BY 3.0", "16.6 GB", "raw: {prostatex: FOLDER}"):  # fmt: skip
        assert word in prostatex
    assert "data/raw/lungx" in lungx
    assert "never redistribute" in brain
    assert last.endswith("./run demo")


def test_nothing_is_missing_where_raw_data_or_an_index_is(config, tmp_path):
    put(tmp_path / "data/raw/prostatex/deep/1.dcm")
    put(tmp_path / "data/lungx/index.parquet")
    config["raw"]["brain"] = str(tmp_path / "elsewhere")
    put(tmp_path / "elsewhere/1.jpg")
    assert raw.missing(config) == ""


def test_an_empty_folder_is_missing_too(config, tmp_path):
    (tmp_path / "data/raw/prostatex/empty").mkdir(parents=True)
    assert "found an empty folder" in raw.missing(config).splitlines()[0]


def test_own_data_without_a_row_in_the_table_get_a_plain_message(config):
    config["datasets"] = ["mine"]
    config["collections"]["mine"] = {"kind": "table"}
    assert raw.missing(config).startswith(
        "E-RAW data/raw/mine: expected the images of mine, found nothing; put them"
    )


def test_shared_stores_are_looked_for_where_data_points(config, tmp_path):
    config["data"] = str(tmp_path / "other/data")
    for dataset in config["datasets"]:
        put(tmp_path / "other/data" / dataset / "index.parquet")
    assert raw.missing(config) == ""


class TestState:
    def test_changes_with_names_sizes_and_times_at_any_depth(self, config, tmp_path):
        put(tmp_path / "data/raw/brain/a/b/1.jpg")
        states = [raw.state(config, "brain")]
        put(tmp_path / "data/raw/brain/a/b/2.jpg")
        states.append(raw.state(config, "brain"))
        put(tmp_path / "data/raw/brain/a/b/1.jpg", "longer")
        states.append(raw.state(config, "brain"))
        os.utime(tmp_path / "data/raw/brain/a/b/2.jpg", (1, 1))
        states.append(raw.state(config, "brain"))
        assert len(set(states)) == 4

    def test_does_not_change_with_hidden_files_or_when_the_folder_moves(self, config, tmp_path):
        put(tmp_path / "data/raw/brain/1.jpg")
        before = raw.state(config, "brain")
        put(tmp_path / "data/raw/brain/.DS_Store")
        (tmp_path / "data/raw/brain").rename(tmp_path / "moved")
        config["raw"]["brain"] = str(tmp_path / "moved")
        assert raw.state(config, "brain") == before

    def test_is_what_was_recorded_once_the_downloads_are_gone(self, config, tmp_path):
        put(tmp_path / "data/brain/raw.txt", "0123456789abcdef\n")
        assert raw.state(config, "brain") == "0123456789abcdef"

    def test_changes_with_a_table_that_lies_elsewhere(self, config, tmp_path):
        config["collections"]["brain"]["table"] = str(tmp_path / "findings.csv")
        put(tmp_path / "data/raw/brain/1.jpg")
        put(tmp_path / "findings.csv")
        before = raw.state(config, "brain")
        put(tmp_path / "findings.csv", "changed")
        assert raw.state(config, "brain") != before


def test_downloads_are_never_given_up_for_phantoms(config, tmp_path):
    put(tmp_path / "data/raw/brain/1.jpg")
    with pytest.raises(RawMissingError, match="found files") as error:
        raw.check_empty(config, "brain")
    assert str(error.value).startswith("E-RAW data/raw/brain: expected an empty folder")
    # Killed before Snakemake knew that it was done.
    phantom.main(["brain", "--out", str(tmp_path / "data/raw/prostatex"), "--patients", "2"])
    raw.check_empty(config, "prostatex")
    raw.check_empty(config, "lungx")


def test_pictures_name_collection_licence_and_doi(config):
    assert raw.attribution(config, "prostatex") == "PROSTATEx, CC BY 3.0, 10.7937/K9TCIA.2017.MURS5CL"
    assert raw.attribution({**copy.deepcopy(config), "phantom": {}}, "prostatex") == "synthetic data"


def test_every_collection_that_is_named_has_its_terms():
    for name, row in raw.collections().items():
        assert all(
            row[column] for column in ("collection", "licence", "size", "url", "layout", "citation")
        ), name


def test_maps_that_no_method_reads_are_not_asked_for(tmp_path):
    config = {
        "data": str(tmp_path / "data"), "raw": {"mine": str(tmp_path / "mine")}, "datasets": ["mine"],
        "target": "mine", "challenge": None, "external": [], "methods": ["classical"], "variants": {},
        "collections": {"mine": {"kind": "table"}, "maps": {"kind": "prostatex", "channels": ["adc"]}},
        "hyperparameters": {"adc": {"collection": "maps"}},
    }  # fmt: skip
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes(b"x")
    assert raw.missing(config) == ""
    assert "maps" in raw.missing(config | {"methods": ["adc"]})
