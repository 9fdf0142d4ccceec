"""Read from a service on the internet that may be slow, busy, broken or not the one that was asked for."""

import datetime
import email.utils
import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from pipeline.errors import NetError
from pipeline.files import atomic

log = logging.getLogger("typhon")

Result = TypeVar("Result")
BUSY = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses that may pass."""
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5
CHUNK, FIRST = 1 << 16, 64
SLOWEST = 1_000
"""Bytes per second below which a transfer counts as stuck: a service may trickle and never time out."""


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


class Reader(Protocol):
    """Whatever gives bytes."""

    def read(self, amount: int, /) -> bytes:
        """At most ``amount`` bytes; none at the end."""


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


def root(error: BaseException) -> str:
    """What an error of a library comes from, such as a refused connection: the last that it was caused by."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return f"{type(error).__name__}: {error}"


def refused(url: str, status: int, headers: Mapping[str, str]) -> NetError:
    """The error for an answer other than 200; whether it may pass, and when, is in its kind."""
    found = f"HTTP {status}"
    if status in REDIRECTS:
        found += f", a redirect to {headers.get('location', 'nowhere')}"
    if status not in BUSY:
        return NetError(found, file=url)
    after = seconds(headers.get("retry-after", ""))
    error = PassingError(found if after is None else f"{found}, retry after {after:.0f} s", file=url)
    error.after = after
    return error


def seconds(retry_after: str) -> float | None:
    """How long to wait by a Retry-After header, a number or a date (RFC 9110 10.2.3); None if unsaid.

    >>> seconds("120"), seconds("Fri, 31 Dec 1999 23:59:59 GMT"), seconds("soon")
    (120.0, 0.0, None)
    """
    try:
        return max(float(int(retry_after)), 0.0)
    except ValueError:
        pass
    try:
        then = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max((then - datetime.datetime.now(then.tzinfo)).total_seconds(), 0.0)


def copy(source: Reader, to: IO[bytes], *, most: int, url: str, patience: Patience) -> Digests:
    """Copy at most ``most`` bytes; raises PassingError where there are more or they come too slowly."""
    size, md5, sha256 = 0, hashlib.md5(usedforsecurity=False), hashlib.sha256()
    start, allowed = time.monotonic(), patience.timeout_s + most / SLOWEST
    # A read waits for all that it asks for: never for much longer than everything so far has taken.
    while chunk := source.read(min(CHUNK, max(FIRST, size))):
        size += len(chunk)
        if size > most:
            raise PassingError("more", file=url, expected=f"at most {most:,} bytes")
        if time.monotonic() > start + allowed:
            raise PassingError(f"{size:,} after {allowed:.0f} s", file=url, expected=f"{most:,} bytes")
        to.write(chunk)
        md5.update(chunk)
        sha256.update(chunk)
    return Digests(size, md5.hexdigest(), sha256.hexdigest())


def digests(path: Path) -> Digests:
    """The digests of a file."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(16 * CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
        return Digests(file.tell(), md5.hexdigest(), sha256.hexdigest())


def save(
    url: str, path: Path, *, most: int, patience: Patience, parameters: Mapping[str, str] | None = None
) -> Digests:
    """Save what a URL gives, which appears whole or not at all; raises NetError.

    Redirects are followed to the same host alone, so that nobody sends us elsewhere.
    """

    def once() -> Digests:
        with _answer(url, parameters, patience) as answer, atomic(path) as beside, beside.open("wb") as file:
            return copy(answer.raw, file, most=most, url=url, patience=patience)

    return again(once, patience)


@contextmanager
def _answer(
    url: str, parameters: Mapping[str, str] | None, patience: Patience
) -> Iterator[requests.Response]:
    """The answer to a GET with status 200; whatever goes wrong on the way is a NetError."""
    here = url
    try:
        for _ in range(MOST_REDIRECTS):
            with requests.get(
                here,
                params=parameters,
                stream=True,
                allow_redirects=False,
                timeout=patience.timeout_s,
                headers={"Accept-Encoding": "identity"},
            ) as answer:
                if answer.status_code == requests.codes.ok:
                    yield answer
                    return
                there = urljoin(answer.url, answer.headers.get("location", ""))
                if answer.status_code not in REDIRECTS or urlsplit(there)[:2] != urlsplit(url)[:2]:
                    raise refused(url, answer.status_code, answer.headers)
                here, parameters = there, None
        raise NetError(f"{MOST_REDIRECTS} redirects", file=url)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise PassingError(root(error), file=url) from error
