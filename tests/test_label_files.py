"""Label files: found wherever they lie, fetched where there is an address, asked for in one line elsewhere."""

import hashlib
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from pipeline.download import labels as download
from pipeline.download.http import Patience
from pipeline.download.labels import LabelFile, Needed, files, place, provide
from pipeline.files import write_csv
from pipeline.provenance import ROOT
from workflow import downloads
from workflow.config import checked
from workflow.raw import collections

QUICK = Patience(tries=2, pause_s=0.0, timeout_s=5.0)
CONTENT = b"id,label\r\n0001,TRUE\r\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def service() -> Iterator[tuple[str, list[tuple[int, bytes]]]]:
    """An address, and what it answers next: status and body."""
    answers: list[tuple[int, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}/Labels.csv", answers
    http.shutdown()
    thread.join()
    http.server_close()
    assert answers == [], "all was asked for"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(download, "FILES", tmp_path / "labels.csv")
    return tmp_path / "labels.csv"


def one(table: Path, raw: Path, *, url: str = "", sha256: str = DIGEST, columns: str = "") -> list[Needed]:
    """One label file of one data set."""
    row = LabelFile("mine", "", "Labels.csv", sha256, columns, url, "get it from PAGE and put it there")
    write_csv(table, LabelFile._fields, [row._asdict()])
    raw.mkdir(exist_ok=True)
    return [Needed("mine", "", raw)]


def test_a_file_is_fetched_and_then_there(
    table: Path, service: tuple[str, list[tuple[int, bytes]]], tmp_path: Path
) -> None:
    url, answers = service
    answers.append((200, CONTENT))
    needed = one(table, tmp_path / "raw", url=url)
    assert provide(needed, QUICK) == []
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["Labels.csv"]
    assert (tmp_path / "raw" / "Labels.csv").read_bytes() == CONTENT
    assert provide(needed, QUICK) == []  # without asking again


@pytest.mark.parametrize("first", [(200, CONTENT[:9]), (200, b"<html>Sign in</html>"), (503, b"")])
def test_a_wrong_file_is_fetched_again(
    first: tuple[int, bytes], table: Path, service: tuple[str, list[tuple[int, bytes]]], tmp_path: Path
) -> None:
    url, answers = service
    answers += [first, (200, CONTENT)]
    assert provide(one(table, tmp_path / "raw", url=url), QUICK) == []
    assert (tmp_path / "raw" / "Labels.csv").read_bytes() == CONTENT


def test_a_service_that_stays_away_is_asked_no_more_often_than_patience_has_it(
    table: Path, service: tuple[str, list[tuple[int, bytes]]], tmp_path: Path
) -> None:
    url, answers = service
    answers += [(503, b"")] * 2  # the service would fail at a third time
    (problem,) = provide(one(table, tmp_path / "raw", url=url), QUICK)
    assert f"found none, nor at {url} (HTTP 503); get it from PAGE" in str(problem)


def test_a_file_that_stays_wrong_is_asked_for_by_hand(
    table: Path, service: tuple[str, list[tuple[int, bytes]]], tmp_path: Path
) -> None:
    url, answers = service
    answers += [(200, b"<html>")] * 2
    (problem,) = provide(one(table, tmp_path / "raw", url=url), QUICK)
    assert str(problem).startswith(
        f"E-RAW {tmp_path / 'raw'}: expected Labels.csv, found none, nor at {url} (SHA"
    )
    assert str(problem).endswith("get it from PAGE and put it there")
    assert list((tmp_path / "raw").iterdir()) == []


def test_a_file_without_an_address_is_asked_for_by_hand_until_it_is_there(
    table: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    needed = one(table, raw)
    expected = f"E-RAW {raw}: expected Labels.csv, found no such file; get it from PAGE and put it there"
    assert [str(problem) for problem in provide(needed, QUICK)] == [expected]
    assert [str(problem) for problem in download.by_hand(needed)] == [expected]
    (raw / "any" / "where").mkdir(parents=True)
    (raw / "any" / "where" / "LABELS.CSV").write_bytes(CONTENT)
    assert provide(needed, QUICK) == []
    assert list(download.by_hand(needed)) == []


def test_a_file_that_is_not_the_published_one_is_named_and_left(table: Path, tmp_path: Path) -> None:
    needed = one(table, tmp_path / "raw", url="http://127.0.0.1:9/not-asked")
    path = tmp_path / "raw" / "Labels.csv"
    path.write_bytes(b"id;label\n1;TRUE\n")
    (problem,) = provide(needed, QUICK)
    found = hashlib.sha256(b"id;label\n1;TRUE\n").hexdigest()
    assert str(problem).startswith(
        f"E-SUM {path}: expected Labels.csv with SHA-256 {DIGEST}, found SHA-256 {found}; remove the file"
    )
    assert path.read_bytes() == b"id;label\n1;TRUE\n"


def test_where_no_digest_is_known_the_columns_are_looked_at(table: Path, tmp_path: Path) -> None:
    needed = one(table, tmp_path / "raw", sha256="", columns="id;truth")
    (tmp_path / "raw" / "Labels.csv").write_bytes(CONTENT)
    (problem,) = provide(needed, QUICK)
    assert problem.code == "E-CSV-COL"
    assert "expected truth, found columns id, label" in str(problem)
    assert provide(one(table, tmp_path / "raw", sha256="", columns="id;label"), QUICK) == []


def test_the_command_names_every_problem(
    table: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one(table, tmp_path / "raw")
    arguments = ["--data-set", "mine", "", str(tmp_path / "a"), "--data-set", "mine", "", str(tmp_path / "b")]
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(download.RawMissingError, match=f"E-RAW {tmp_path}/b:"),
    ):
        download.main(arguments)
    assert f"E-RAW {tmp_path}/a: expected Labels.csv" in caplog.text


def test_the_label_files_that_are_listed_are_those_at_hand(shared: Path) -> None:
    needed = [
        Needed("prostatex", "train", shared / "prostatex"),
        Needed("prostatex", "test", shared / "prostatex"),
        Needed("lungx", "", shared / "lungx"),
    ]
    assert [len(files(one)) for one in needed] == [2, 2, 2]
    assert provide(needed, QUICK) == []


def test_each_row_says_how_to_come_by_the_file() -> None:
    for kind in ("prostatex", "lungx", "chestxray14", "chexpert", "mura"):
        rows = [
            row for part in ("train", "test", "2017", "2020", "") for row in files(Needed(kind, part, Path()))
        ]
        assert rows
        for row in rows:
            assert row.sha256 or row.columns or kind == "mura", row
            assert "https://" in row.by_hand, row
            assert row.url.startswith("https://") or not row.url, row
        assert kind in collections()


def test_a_file_in_a_folder_that_cannot_be_read_is_not_there(table: Path, tmp_path: Path) -> None:
    (needed,) = one(table, tmp_path / "raw")
    (tmp_path / "raw" / "Labels.csv").symlink_to(tmp_path / "gone")
    assert place(files(needed)[0], needed.raw) is None


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.chdir(tmp_path)
    return checked(yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8")))


def test_an_experiment_needs_the_label_files_of_its_parts_where_its_data_lie(config: dict) -> None:
    config["collections"]["exam"] = {"kind": "prostatex", "part": "test", "channels": ["dwi"]}
    config["collections"]["chest"] = {"kind": "chestxray14", "label": "Hernia", "version": 2017}
    config |= {"challenge": "exam", "raw": {"lungx": "/else where"}}
    config["datasets"].append("chest")
    config = checked(config)
    assert downloads.label_files(config) == [
        Needed("prostatex", "train", Path("data/raw/prostatex")),
        Needed("lungx", "", Path("/else where")),
        Needed("chestxray14", "2017", Path("data/raw/chest")),
        Needed("prostatex", "test", Path("data/raw/prostatex")),
    ]
    assert downloads.label_flags(config).startswith(
        "--data-set prostatex train data/raw/prostatex --data-set lungx '' '/else where' --data-set chestxray14 2017 "
    )


def test_what_has_to_be_put_there_by_hand_is_told_with_the_terms(config: dict) -> None:
    lines = downloads.refusal(config).splitlines()
    by_hand = [line for line in lines if line.startswith("E-RAW data/raw/prostatex: expected ProstateX-")]
    assert len(by_hand) == 2
    assert all("unpack ProstateX-TrainingLesionInformationv2.zip of https://" in line for line in by_hand)
    (brain,) = (line for line in lines if "Kaggle" in line or "kaggle" in line)
    assert "with your token to data/raw/brain. Licence unknown, never redistribute" in brain
    assert lines[-1].endswith("./run download --config accept_download=true")
