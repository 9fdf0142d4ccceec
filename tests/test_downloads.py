"""The target ``download``: nothing before the terms are accepted, then all of it, and then the workflow takes it."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.datasets import prostatex
from pipeline.download import manifest
from pipeline.phantom import Geometry, write_mr_series
from pipeline.provenance import ROOT
from tests import warm
from tests.services import Archive, Service, served
from workflow import downloads, raw
from workflow.config import checked

DESCRIPTIONS = ("t2_tse_tra", "ep2d_diff_tra_DYNDIST_ADC", "ep2d_diff_tra_DYNDISTCALC_BVAL", "t2_tse_sag")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    grid = Geometry((0.0, 0.0, 0.0), spacing=(2.0, 2.0), slice_spacing=3.0)
    for number, description in enumerate(DESCRIPTIONS):
        volume = np.arange(3)[:, None, None] * np.ones((3, 10, 12))
        write_mr_series(tmp_path / f"archive/{number}", volume, grid, description=description, number=number)
    return Archive(tmp_path / "archive")


def settings(**changes: object) -> dict[str, object]:
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    return checked(config | {"datasets": ["prostatex"]} | changes)


def run(folder: Path, *words: str, status: int = 0) -> str:
    """``./run`` in a folder; all that it printed."""
    words = ("--cores", "1", "--configfile", "here.yaml", *words)
    returncode, printed = warm.run(folder, words)
    assert returncode == status, printed
    return printed


def write_settings(folder: Path, archive: Archive, server: Service) -> None:
    index = archive.write_index(folder / "idc_index.parquet")
    here = {"datasets": ["prostatex"], "methods": ["classical"],
            "download": {"endpoint": server.address, "index": str(index)}}  # fmt: skip
    (folder / "here.yaml").write_text(yaml.safe_dump(here))


def test_terms_then_the_download_then_labels_by_hand_then_the_index_takes_it(
    archive: Archive, tmp_path: Path
) -> None:
    with served(archive) as server:
        write_settings(tmp_path, archive, server)
        refused = run(tmp_path, "download", status=1)
        assert "PROSTATEx: 3 series, 9 files, 0.0 GB, from http://127.0.0.1" in refused
        assert "Licence CC BY 3.0, DOI 10.7937/K9TCIA.2017.MURS5CL" in refused
        assert "./run download --config accept_download=true" in refused
        assert "Traceback" not in refused
        assert server.requests == []
        assert not (tmp_path / "data").exists()

        by_hand = run(tmp_path, "download", "--config", "accept_download=true", status=1)
        assert (
            "E-RAW data/raw/prostatex: expected ProstateX-Findings-Train.csv, found no such file" in by_hand
        )
        folder = tmp_path / "data/raw/prostatex"
        assert len(list(folder.rglob("*.dcm"))) == 9
        assert (folder / manifest.NAME).exists()
        assert not (folder / manifest.UNFINISHED).exists()
    # Without them the index would be minutes of work for nothing, so nothing starts.
    asked = run(tmp_path, "data/prostatex/index.parquet", status=1)
    assert asked.count("E-RAW data/raw/prostatex: expected ProstateX-") == 2
    (folder / prostatex.FINDINGS_FILE).write_text("ProxID,fid,pos,ClinSig\n")
    (folder / prostatex.IMAGES_FILE).write_text("ProxID,fid,pos,ijk,DCMSerDescr,DCMSerNum\n")
    run(tmp_path, "data/prostatex/index.parquet")
    table = pd.read_parquet(tmp_path / "data/prostatex/index.parquet")
    assert len(table) == 9
    assert set(table["series_description"]) == set(DESCRIPTIONS[:3])


def test_a_download_that_lacks_labels_looks_at_all_images_again(archive: Archive, tmp_path: Path) -> None:
    with served(archive) as server:
        write_settings(tmp_path, archive, server)
        run(tmp_path, "download", "--config", "accept_download=true", status=1)
        removed, swapped, *rest = sorted((tmp_path / "data/raw/prostatex").rglob("*.dcm"))
        before = {path: path.read_bytes() for path in (removed, swapped, *rest)}
        removed.unlink()
        swapped.write_bytes(b"swapped")
        run(tmp_path, "download", "--config", "accept_download=true", status=1)
        assert {path: path.read_bytes() for path in before} == before


def test_a_real_patient_comes_whole_and_a_second_download_does_nothing(shared: Path, tmp_path: Path) -> None:
    archive = Archive(shared / "prostatex" / "ProstateX-0000")
    folder = tmp_path / "data/raw/prostatex"
    folder.mkdir(parents=True)
    for name in (prostatex.FINDINGS_FILE, prostatex.IMAGES_FILE):
        shutil.copy(shared / "prostatex" / name, folder)
    with served(archive) as server:
        write_settings(tmp_path, archive, server)
        run(tmp_path, "download", "--config", "accept_download=true")
        assert sorted(path.read_bytes() for path in folder.rglob("*.dcm")) == sorted(
            content
            for uid, row in archive.series.items()
            if row["SeriesDescription"]
            in ("t2_tse_tra", "ep2d_diff_tra_DYNDIST_ADC", "ep2d_diff_tra_DYNDISTCALC_BVAL")
            for content in archive.of(uid).values()
        )
        server.requests.clear()
        run(tmp_path, "download", "--config", "accept_download=true")
        assert server.requests == []
        said = (tmp_path / "logs/download/prostatex.log").read_text()
        assert "nothing to do; all 3 series, 57 files are there and right" in said


def test_collections_that_lie_together_are_one_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    config = settings(datasets=["prostatex", "lungx", "brain"])
    assert downloads.with_images(config) == ["prostatex", "lungx"]
    config["collections"]["prostatex-test"] = {**config["collections"]["prostatex"], "part": "test"}
    assert downloads.with_images(config | {"challenge": "prostatex-test"}) == ["prostatex", "lungx"]


def test_what_the_real_download_would_be_is_said_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second, *_, last = downloads.refusal(settings(datasets=["prostatex", "lungx"])).splitlines()
    assert first.startswith(
        "PROSTATEx: 1,139 series, 22,717 files, 2.9 GB, from https://s3.us-east-1.amazonaws.com"
    )
    assert "70 series, 22,489 files, 12.1 GB" in second
    assert last.endswith("./run download --config accept_download=true")
    assert downloads.refusal(settings(accept_download=True)) == ""


def test_an_index_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (line,) = downloads.refusal(settings(download={"index": "nowhere.parquet"})).splitlines()
    assert line.startswith("E-CONFIG nowhere.parquet: expected an index of the Imaging Data Commons, found")


def test_synthetic_data_are_not_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = settings(phantom={}, accept_download=True)
    assert downloads.refusal(config).startswith("E-CONFIG config: expected an experiment on real data")


def test_half_a_download_is_not_run_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/raw/prostatex"
    manifest.write(folder, [], whole=False)
    (folder / "1.dcm").write_text("x")
    line = raw.missing(settings()).splitlines()[0]
    assert line.startswith(
        "E-RAW data/raw/prostatex: expected a whole download, found one that was interrupted"
    )
    assert "./run download --config accept_download=true" in line
    manifest.write(folder, [], whole=True)
    assert raw.missing(settings()) == ""
