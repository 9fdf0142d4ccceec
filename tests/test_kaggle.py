"""The Kaggle brain pictures from a local server that speaks as Kaggle does; the token shows up nowhere."""

import base64
import hashlib
import io
import json
import os
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from kagglesdk import kaggle_env

from pipeline.download import kaggle
from pipeline.download.http import PassingError, Patience
from pipeline.errors import ArchiveFormatError, ChecksumError, NetError, TokenError
from pipeline.provenance import ROOT
from workflow import downloads, execute
from workflow.config import checked

USER, KEY = "somebody", "0123456789abcdef-secret"
BASIC = "Basic " + base64.b64encode(f"{USER}:{KEY}".encode()).decode()
SECRETS = (KEY, BASIC.removeprefix("Basic "), "signature-of-a-link")
API = "/api/v1/datasets.DatasetApiService/DownloadDataset"
REAL = {name: getattr(kaggle, name) for name in ("PICTURES", "DIGEST")}
QUICK = Patience(tries=3, pause_s=0.0, timeout_s=5.0)


def archive(pictures: dict[str, bytes]) -> bytes:
    """As Kaggle packs it: the set, and the set again in a folder."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for folder in ("brain_tumor_dataset/", ""):
            for name, content in pictures.items():
                file.writestr(folder + name, content)
    return out.getvalue()


PICTURES = {
    "no/1 no.jpeg": b"first", "no/2 no.jpeg": b"second", "no/N 3.JPG": b"second", "yes/Y1.jpg": b"third"
}  # fmt: skip


@dataclass
class Server:
    """Kaggle at ``localhost`` and the storage that it redirects to at ``127.0.0.1``, which requests tells apart.

    ``answers`` are the statuses of the next calls to the API; when they are used up it redirects.
    """

    content: bytes = archive(PICTURES)
    answers: list[int] = field(default_factory=list)
    md5: str = ""
    cut: int = 0
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    port: int = 0

    def handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                token = self.headers.get("Authorization", "")
                server.asked.append((self.path, token, body))
                if server.answers:
                    status = server.answers.pop(0)
                    echo = {"code": status, "message": f"no: {token} {KEY}"}
                    self.reply(200 if status < 0 else status, json.dumps(echo | {"code": abs(status)}).encode(),
                               {"Content-Type": "application/json"})  # fmt: skip
                    return
                there = (
                    f"http://127.0.0.1:{server.port}/bucket/archive.zip?X-Goog-Signature=signature-of-a-link"
                )
                self.reply(302, b"", {"Location": there})

            def do_GET(self) -> None:
                server.asked.append((self.path, self.headers.get("Authorization", ""), ""))
                digest = hashlib.md5(server.content, usedforsecurity=False).digest()
                md5 = server.md5 or base64.b64encode(digest).decode()
                headers = {"Content-Type": "application/zip", "x-goog-hash": f"crc32c=AAAAAA==,md5={md5}"}
                self.reply(200, server.content, headers)

            def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if server.cut:
                    server.cut -= 1
                    body, self.close_connection = body[: len(body) // 2], True
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), server.handler())
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def here(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """This process asks the server instead of Kaggle, and has no token but the one of the test."""
    for name in [name for name in os.environ if name.startswith("KAGGLE")]:
        monkeypatch.delenv(name)
    endpoints = {**kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL: f"http://localhost:{server.port}"}
    monkeypatch.setattr(kaggle_env, "_env_to_endpoint", endpoints)
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    # Who calls it kagglehub looks up in all modules, of which tests have thousands.
    monkeypatch.setattr(kaggle, "get_user_agent", lambda: "kagglehub")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home" / ".kaggle"))
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    (tmp_path / "set").mkdir()
    for name, content in PICTURES.items():
        (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    monkeypatch.setattr(kaggle, "DIGEST", kaggle.digest(kaggle.pictures(tmp_path / "set")))
    monkeypatch.setattr(kaggle, "PICTURES", len(PICTURES))
    return server


def files(raw: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(raw)): path.read_bytes() for path in sorted(raw.rglob("*")) if path.is_file()
    }


@pytest.mark.usefixtures("here")
def test_one_of_the_two_copies_is_kept(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    assert kaggle.provide(raw, QUICK).startswith("the 4 pictures fetched from https://www.kaggle.com/")
    lines = files(raw).pop("manifest.csv").decode().splitlines()
    assert files(raw) == {
        "manifest.csv": files(raw)["manifest.csv"],
        **{f"brain_tumor_dataset/{name}": content for name, content in PICTURES.items()},
    }
    assert sorted(path.name for path in raw.iterdir()) == ["brain_tumor_dataset", "manifest.csv"]
    digest = hashlib.sha256(b"third").hexdigest()
    assert lines[0] == "file,size,sha256,series_uid"
    assert lines[-1] == f"brain_tumor_dataset/yes/Y1.jpg,5,{digest},"
    assert len(lines) == 5


def test_the_request_is_kaggles_and_the_storage_gets_no_token(here: Server, tmp_path: Path) -> None:
    kaggle.provide(tmp_path / "raw", QUICK)
    (path, token, body), (link, other, _) = here.asked
    assert (path, token) == (API, BASIC)
    assert json.loads(body) == {
        "ownerSlug": "navoneel", "datasetSlug": "brain-mri-images-for-brain-tumor-detection",
    }  # fmt: skip
    assert (link.split("?")[0], other) == ("/bucket/archive.zip", "")


def test_what_is_there_is_not_asked_for_again(here: Server, tmp_path: Path) -> None:
    kaggle.provide(tmp_path / "raw", QUICK)
    here.asked.clear()
    assert kaggle.provide(tmp_path / "raw", QUICK) == "the 4 pictures are there and right"
    assert here.asked == []


def test_pictures_unpacked_by_hand_are_taken_as_they_lie(here: Server, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(here.content)) as file:
        file.extractall(tmp_path / "raw" / "any" / "where")
    assert kaggle.provide(tmp_path / "raw", QUICK) == "the 4 pictures are there and right"


def test_somebodys_own_choice_of_pictures_is_left_alone(here: Server, tmp_path: Path) -> None:
    (tmp_path / "raw" / "yes").mkdir(parents=True)
    (tmp_path / "raw" / "yes" / "Y1.jpg").write_bytes(b"mine")
    assert "1 pictures, not the 4 as published; they are left" in kaggle.provide(tmp_path / "raw", QUICK)
    assert files(tmp_path / "raw") == {"yes/Y1.jpg": b"mine"}
    assert here.asked == []


@pytest.mark.parametrize("folder", [".kaggle/brain_tumor_dataset", "..kaggle.part", ".kaggle"])
def test_what_a_killed_download_left_is_no_picture(here: Server, folder: str, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / folder / "yes").mkdir(parents=True)
    (raw / folder / "yes" / "Y1.jpg").write_bytes(b"third")
    (raw / ".kaggle.zip").write_bytes(here.content[:100])
    (raw / ".manifest.csv").write_text("file,size,sha256,series_uid\n", encoding="utf-8")
    assert "fetched" in kaggle.provide(raw, QUICK)
    assert sorted(path.name for path in raw.iterdir()) == ["brain_tumor_dataset", "manifest.csv"]


def test_a_download_killed_at_its_very_end_is_finished(here: Server, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    kaggle.provide(raw, QUICK)
    (raw / "manifest.csv").unlink()
    (raw / ".manifest.csv").write_text("file,size,sha256,series_uid\n", encoding="utf-8")
    here.asked.clear()
    assert kaggle.provide(raw, QUICK) == "the 4 pictures are there and right"
    assert sorted(path.name for path in raw.iterdir()) == ["brain_tumor_dataset", "manifest.csv"]
    assert here.asked == []


@pytest.mark.parametrize(("fault", "count"), [("busy", 2), ("cut", 2), ("hidden", 1)])
def test_a_fault_that_passes_is_got_over(here: Server, fault: str, count: int, tmp_path: Path) -> None:
    if fault == "cut":
        here.cut = count + 1  # the empty answer that redirects is cut as well, which changes nothing
    else:
        here.answers = [429, 503] if fault == "busy" else [-503]
    assert "fetched" in kaggle.provide(tmp_path / "raw", QUICK)
    assert len(kaggle.pictures(tmp_path / "raw")) == 4


def refused(error: type[Exception], match: str, raw: Path) -> None:
    """Nothing is left, and neither the message nor anything that led to it is shown with a secret in it."""
    with pytest.raises(error, match=match) as caught:
        kaggle.provide(raw, QUICK)
    assert list(raw.iterdir()) == []
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


@pytest.mark.parametrize(
    ("answers", "error", "match"),
    [
        (
            [401],
            TokenError,
            r"E-TOKEN: expected a token for Kaggle, found one that Kaggle refuses \(HTTP 401\)",
        ),
        ([403], TokenError, r"HTTP 403"),
        ([-403], TokenError, r"HTTP 403"),  # Kaggle says 200 and has the code in the body
        ([404], NetError, r"E-NET https://www\.kaggle\.com/\S+: found HTTP 404"),
        ([503] * 3, PassingError, "HTTP 503"),
    ],
)
def test_a_refusal_is_one_line(
    here: Server, answers: list[int], error: type[Exception], match: str, tmp_path: Path
) -> None:
    here.answers = answers
    refused(error, match, tmp_path / "raw")


def test_other_bytes_than_the_service_vouches_for_are_refused(here: Server, tmp_path: Path) -> None:
    here.md5 = base64.b64encode(bytes(16)).decode()
    refused(PassingError, "expected the MD5 that the service gives, found other bytes", tmp_path / "raw")


def test_a_web_page_is_no_archive(here: Server, tmp_path: Path) -> None:
    here.content = b"<!doctype html><title>Sign in</title>"
    refused(ArchiveFormatError, "found a web page", tmp_path / "raw")


def test_other_pictures_are_refused(here: Server, tmp_path: Path) -> None:
    here.content = archive({**PICTURES, "yes/Y2.jpg": b"new"})
    refused(ChecksumError, "expected the 4 pictures as published, found 5 others", tmp_path / "raw")


@pytest.mark.parametrize(
    ("variable", "token"),
    [
        ("KAGGLE_API_TOKEN", "line\nbreak"),  # a header that requests refuses, and repeats in its message
        ("KAGGLE_API_TOKEN", "long" * 100),  # taken for a file by the client, whose name is then too long
        ("KAGGLE_KEY", "€uro"),
    ],
)
def test_a_token_that_cannot_be_one_is_not_repeated(
    here: Server, variable: str, token: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(variable, token)
    with pytest.raises(TokenError) as caught:
        kaggle.provide(tmp_path / "raw", QUICK)
    assert token[:4] not in str(caught.value)
    assert here.asked == []


@pytest.fixture
def step(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[[], tuple[int, str, str]]:
    """Run the step as a rule does, for exit status, all that is printed, and the log."""
    monkeypatch.delitem(sys.modules, "pipeline.download.kaggle")  # it is run as __main__
    monkeypatch.setenv("KAGGLEHUB_VERBOSITY", "debug")

    def run() -> tuple[int, str, str]:
        arguments = [str(tmp_path / "log.txt"), "pipeline.download.kaggle", "--out", str(tmp_path / "raw")]
        status = execute.main(arguments)
        return status, "".join(capfd.readouterr()), (tmp_path / "log.txt").read_text(encoding="utf-8")

    return run


Step = Callable[[], tuple[int, str, str]]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_the_token_is_in_no_log_whatever_the_server_answers(here: Server, status: int, step: Step) -> None:
    here.answers = [status]
    code, printed, log = step()
    assert here.asked[0][1] == BASIC, "the token was sent"
    assert (code, f"HTTP {status}" in printed, f"HTTP {status}" in log) == (1, True, True)
    for text in (printed, log):
        assert not [secret for secret in SECRETS if secret in text]


def test_the_token_is_in_no_log_where_all_goes_well(
    here: Server, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_KEY")
    keep(json.dumps({"username": USER, "key": KEY}))
    code, printed, log = step()
    assert here.asked[0][1] == BASIC, "the token of the file was sent"
    assert code == 1
    assert "expected the 253 pictures as published, found 4 others" in printed  # it was fetched whole
    for text in (printed, log):
        assert not [secret for secret in SECRETS if secret in text]


def keep(content: str) -> None:
    """Save the file that Kaggle's client looks for."""
    path = Path(os.environ["KAGGLE_CONFIG_DIR"], "kaggle.json")
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")


@pytest.mark.parametrize("content", [None, "{not json secret", '{"username": "secret"}'])
def test_without_a_token_one_line_says_how(
    here: Server, content: str | None, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME")
    if content:
        keep(content)
    code, printed, _ = step()
    assert code == 1
    (line,) = printed.splitlines()
    found = "one that cannot be read" if content else "none"
    assert line.startswith(
        f"E-TOKEN: expected a token for Kaggle, found {found}; make one at https://www.kag"
    )
    assert "secret" not in line
    assert here.asked == []


@pytest.mark.usefixtures("here")
def test_a_missing_token_is_told_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "config" / "config.yaml").read_text(encoding="utf-8")
    config = checked(yaml.safe_load(text) | {"accept_download": True})
    assert downloads.refusal(config) == ""
    monkeypatch.delenv("KAGGLE_KEY")
    assert downloads.refusal(config).startswith("E-TOKEN: expected a token for Kaggle, found none; make one")
    (tmp_path / "data/raw/brain/yes").mkdir(parents=True)
    (tmp_path / "data/raw/brain/yes/Y1.jpg").write_bytes(b"by hand")
    assert downloads.refusal(config) == ""


def test_the_real_pictures_are_known_and_come_whole(
    shared: Path, here: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = kaggle.pictures(shared / "brain")
    here.content = archive({str(path.relative_to(shared / "brain")): path.read_bytes() for path in found})
    for name, value in REAL.items():
        monkeypatch.setattr(kaggle, name, value)
    assert (len(found), kaggle.digest(found)) == (REAL["PICTURES"], REAL["DIGEST"])
    assert kaggle.provide(tmp_path / "raw", QUICK).startswith("the 253 pictures fetched")
    assert len(files(tmp_path / "raw")) == 254  # with the manifest
