"""The Kaggle brain pictures, through Kaggle's own client with the user's token.

The archive holds the set twice; one copy is kept. The token is nowhere but in the request to Kaggle: what the
client, the service and the libraries below say is not passed on, since they repeat what was sent.
"""

import argparse
import hashlib
import logging
import shutil
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path, PurePosixPath

import requests
from kagglehub.clients import download_file, get_user_agent
from kagglehub.config import get_kaggle_credentials
from kagglehub.exceptions import DataCorruptionError
from kagglehub.handle import parse_dataset_handle
from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest
from kagglesdk.kaggle_client import KaggleClient
from kagglesdk.kaggle_env import get_env

from pipeline.cli import run_cli
from pipeline.datasets.brain import FOLDERS
from pipeline.download import manifest
from pipeline.download.archive import safe_extract
from pipeline.download.http import BUSY, PassingError, Patience, again
from pipeline.download.manifest import Entry
from pipeline.errors import ChecksumError, NetError, TokenError
from pipeline.files import sha256
from pipeline.readers.scan import scan

log = logging.getLogger("typhon")

HANDLE = "navoneel/brain-mri-images-for-brain-tumor-detection"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"
FOLDER = "brain_tumor_dataset"
"""Where the pictures go below the raw folder; one of the two copies in the archive is called so, too."""
PICTURES, DIGEST = 253, "0e3f12775227a788692de1664ac80d37510cbf7bef9f8683f597e8ec9444e0e9"
"""How many pictures there are, and what :func:`digest` says of them."""
MOST_BYTES, MOST_FILES = 100_000_000, 2_000


def pictures(folder: Path) -> list[Path]:
    """The files below folders ``yes`` and ``no``; of two of one name in folders of one name the first."""
    found: dict[tuple[str, str], Path] = {}
    for name, size, _ in sorted(scan(folder), key=lambda entry: (entry[0].count("/"), entry[0])):
        path = PurePosixPath(name)
        hidden = any(part.startswith(".") for part in path.parts)  # such as what a crash left
        if size >= 0 and path.parent.name.casefold() in FOLDERS and not hidden:
            found.setdefault((path.parent.name.casefold(), path.name), folder / name)
    return sorted(found.values())


def digest(files: Sequence[Path]) -> str:
    """One SHA-256 over the folder and the SHA-256 of each picture, whatever they are called."""
    lines = sorted(f"{file.parent.name.casefold()} {sha256(file)}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def client() -> KaggleClient:
    """Kaggle's client with the user's token; raises TokenError where there is none."""
    try:
        credentials = get_kaggle_credentials()
    except (ValueError, OSError, TypeError):  # whose messages may repeat what stands in the file or variable
        raise TokenError("one that cannot be read") from None
    if credentials is None:
        raise TokenError("none")
    # Not kagglehub's own way to make one: that prints each request, the token with it, against a test server.
    return KaggleClient(
        env=get_env(),
        verbose=False,
        username=credentials.username,
        password=credentials.key,
        api_token=credentials.api_key,
        user_agent=get_user_agent(),
    )


def check_token(raw: Path) -> None:
    """Raise TokenError where pictures are to be fetched without a token: asked before hours of downloads."""
    if not pictures(raw):
        client()


def save_archive(path: Path) -> None:
    """Save the archive of the pictures; raises TokenError, NetError, or a PassingError worth another try."""
    handle = parse_dataset_handle(HANDLE)
    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = handle.owner, handle.dataset
    try:
        with client() as kaggle:
            download_file(kaggle.datasets.dataset_api_client.download_dataset(request), str(path), handle)
    except DataCorruptionError:
        raise PassingError("other bytes", file=PAGE, expected="the MD5 that the service gives") from None
    except requests.HTTPError as error:
        status = _status(error)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise TokenError(f"one that Kaggle refuses (HTTP {status})") from None
        raise (PassingError if status in BUSY else NetError)(f"HTTP {status}", file=PAGE) from None
    except requests.RequestException as error:
        raise PassingError(type(error).__name__, file=PAGE) from None
    except ValueError:
        raise TokenError("one with characters that no token has") from None


def _status(error: requests.HTTPError) -> int:
    """The HTTP status; where Kaggle says 200 and means another, the one in the body."""
    response = error.response
    assert response is not None, "the client gives it"
    return response.status_code if response.status_code != HTTPStatus.OK else int(response.json()["code"])


def keep_one(unpacked: Path, to: Path) -> None:
    """Move one copy of the pictures out of the unpacked archive; raises ChecksumError if they are others."""
    found = pictures(unpacked)
    if digest(found) != DIGEST:
        expected = f"the {PICTURES} pictures as published"
        raise ChecksumError(f"{len(found)} others", file=PAGE, expected=expected)
    kept = unpacked / FOLDER / ".kept"  # within what is cleared away if this is interrupted
    for file in found:
        target = kept / file.parent.name.casefold() / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    kept.rename(to)


def provide(raw: Path, patience: Patience) -> str:
    """Fetch the pictures unless there are any; says what was found or done."""
    if found := pictures(raw):
        if digest(found) != DIGEST:
            return f"{len(found)} pictures, not the {PICTURES} as published; they are left as they are"
        if (raw / manifest.UNFINISHED).exists():
            _finish(raw)
        return f"the {PICTURES} pictures are there and right"
    raw.mkdir(parents=True, exist_ok=True)
    archive, unpacked = raw / ".kaggle.zip", raw / ".kaggle"
    # Should this be killed, the workflow says so rather than run on a part.
    manifest.write(raw, manifest.read(raw).values(), whole=False)
    try:
        again(lambda: save_archive(archive), patience)
        shutil.rmtree(unpacked, ignore_errors=True)  # what a crash left
        safe_extract(archive, unpacked, max_bytes=MOST_BYTES, max_files=MOST_FILES)
        keep_one(unpacked, raw / FOLDER)
        _finish(raw)
    finally:
        archive.unlink(missing_ok=True)
        shutil.rmtree(unpacked, ignore_errors=True)
        (raw / manifest.UNFINISHED).unlink(missing_ok=True)
    return f"the {PICTURES} pictures fetched from {PAGE}"


def _finish(raw: Path) -> None:
    """List the pictures in the manifest of the raw folder, which is whole with them."""
    entries = manifest.read(raw)
    for file in pictures(raw):
        name = file.relative_to(raw).as_posix()
        entries[name] = Entry(name, file.stat().st_size, sha256(file), "")
    manifest.write(raw, entries.values(), whole=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch the Kaggle brain pictures with the user's token."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.download.kaggle", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the raw folder; what is in it stays")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    log.info("%s: %s", args.out, provide(args.out, Patience()))
    tables = {name for name, _, _ in scan(args.out) if name.lower().endswith(".csv")}
    if not tables - {manifest.NAME}:
        log.warning("%s: a CSV of lesion centres belongs there, too: docs/data/brain.md", args.out)


if __name__ == "__main__":
    run_cli(main)
