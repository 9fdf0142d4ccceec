"""Read from a service on the internet that may be slow, busy, broken or not the one that was asked for."""

import hashlib
import io
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from pipeline.errors import NetError
from pipeline.files import sha256

log = logging.getLogger("typhon")

Result = TypeVar("Result")
BUSY = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses that may pass."""
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5
CHUNK, FIRST = 1 << 16, 64
SLOWEST = 1_000
"""Bytes per second below which a transfer counts as stuck: a service may trickle and never time out."""

_thread = threading.local()
"""Holds the session of each thread: a connection serves many images, and no two threads share one."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a service."""

    tries: int = 5
    pause_s: float = 1.0
    """Before the second try; before each later one twice as long."""
    timeout_s: float = 60.0
    """Without a byte."""
    longest_s: float = 300.0
    """The most that a service may ask for with Retry-After."""


class PassingError(NetError):
    """A fault that may pass; ``after`` is how many seconds the service asks to wait."""

    after: float | None = None


@dataclass(frozen=True)
class Digests:
    """Size in bytes and hexadecimal digests of a file."""

    size: int
    md5: str
    sha256: str


def again(action: Callable[[], Result], patience: Patience) -> Result:
    """The result of ``action``, tried again while its faults may pass; raises the last of them."""
    for turn in range(patience.tries):
        try:
            return action()
        except PassingError as error:
            wait = (
                patience.pause_s * 2**turn * random.uniform(0.5, 1.5) if error.after is None else error.after
            )
            if turn == patience.tries - 1 or wait > patience.longest_s:
                raise
            log.info("Trying again in %.1f s: %s", wait, error)  # no line that begins as a final error does
            time.sleep(wait)
    raise AssertionError("at least one try")


def save(url: str, path: Path, *, most: int, patience: Patience) -> Digests:
    """Save what a URL gives, at most ``most`` bytes. One try: see ``again``. Raises NetError.

    Redirects are followed to the same host alone, so that nobody sends us elsewhere.
    """
    with path.open("wb") as file:
        _copy(url, {}, file, most, patience)
    return digests(path)


def read(url: str, parameters: Mapping[str, str], *, most: int, patience: Patience) -> bytes:
    """What a URL gives, as ``save`` saves it."""
    content = io.BytesIO()
    _copy(url, parameters, content, most, patience)
    return content.getvalue()


def digests(path: Path) -> Digests:
    """The digests of a file."""
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return Digests(file.tell(), md5, sha256(path))


def _copy(url: str, parameters: Mapping[str, str], to: IO[bytes], most: int, patience: Patience) -> None:
    """Copy what a URL gives; raises PassingError where that is more than ``most`` or comes too slowly."""
    size, start, allowed = 0, time.monotonic(), patience.timeout_s + most / SLOWEST
    with _answer(url, parameters, patience) as answer:
        # A read waits for all that it asks for: never for much longer than everything so far has taken.
        while chunk := answer.raw.read(min(CHUNK, max(FIRST, size))):
            size += len(chunk)
            if size > most:
                raise PassingError("more", file=url, expected=f"at most {most:,} bytes")
            if time.monotonic() > start + allowed:
                raise PassingError(f"{size:,} after {allowed:.0f} s", file=url, expected=f"{most:,} bytes")
            to.write(chunk)


@contextmanager
def _answer(url: str, parameters: Mapping[str, str], patience: Patience) -> Iterator[requests.Response]:
    """The answer to a GET with status 200; whatever goes wrong on the way is a NetError."""
    if not hasattr(_thread, "session"):
        _thread.session = requests.Session()
    settings: dict[str, Any] = {
        "stream": True, "allow_redirects": False, "timeout": patience.timeout_s,
        "headers": {"Accept-Encoding": "identity"},
    }  # fmt: skip
    here = url
    try:
        for _ in range(MOST_REDIRECTS):
            with _thread.session.get(here, params=parameters, **settings) as answer:
                if answer.status_code == requests.codes.ok:
                    yield answer
                    return
                there = urljoin(answer.url, answer.headers.get("location", ""))
                if answer.status_code not in REDIRECTS or urlsplit(there)[:2] != urlsplit(url)[:2]:
                    raise _refused(url, answer)
                here, parameters = there, {}
        raise NetError(f"{MOST_REDIRECTS} redirects", file=url)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise PassingError(_root(error), file=url) from error


def _refused(url: str, answer: requests.Response) -> NetError:
    """The error for an answer other than 200; whether it may pass, and when, is in its kind."""
    found = f"HTTP {answer.status_code}"
    if answer.status_code in REDIRECTS:
        found += f", a redirect to {answer.headers.get('location', 'nowhere')}"
    if answer.status_code not in BUSY:
        return NetError(found, file=url)
    after = _seconds(answer.headers.get("retry-after", ""))
    error = PassingError(found if after is None else f"{found}, retry after {after:.0f} s", file=url)
    error.after = after
    return error


def _seconds(retry_after: str) -> float | None:
    """How long to wait by a Retry-After header, a number or a date (RFC 9110 10.2.3); None if unsaid."""
    try:
        return urllib3.Retry().parse_retry_after(retry_after)
    except urllib3.exceptions.InvalidHeader:
        return None


def _root(error: BaseException) -> str:
    """What an error of a library comes from, such as a refused connection: the last that it was caused by."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return f"{type(error).__name__}: {error}"
