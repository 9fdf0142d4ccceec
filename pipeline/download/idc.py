"""Fetch series from the buckets of the Imaging Data Commons, which are open: S3 without a signature.

A series is a folder of one object per image. What lies there is compared with the index (files, bytes), each
file with its ETag, which is the MD5 of an object that was stored in one piece.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from pipeline.download.choice import Series, checked
from pipeline.download.http import PassingError, Patience, again, digests, read, save
from pipeline.download.manifest import Entry
from pipeline.errors import NetError
from pipeline.files import atomic

ENDPOINT = "https://s3.us-east-1.amazonaws.com"
MD5 = re.compile(r"[0-9a-f]{32}")
MOST_LISTED = 2_000_000
"""Bytes of a page of a list: S3 puts 1,000 objects on it, of some 500 bytes each."""


class Object(NamedTuple):
    """An object of a series: its key, size in bytes, and MD5 where its ETag is one."""

    key: str
    size: int
    md5: str | None


class Idc:
    """The buckets behind an S3 endpoint; may be used by several threads."""

    def __init__(self, endpoint: str, patience: Patience) -> None:
        self.endpoint, self.patience = endpoint.rstrip("/"), patience

    def fetch(self, series: Series, raw: Path, right: Mapping[str, Entry]) -> list[Entry]:
        """Fetch the files of a series that are not in ``raw`` as they should be; all of them, as entries.

        ``right`` are files that were compared with the manifest. Raises NetError.
        """
        entries = []
        for item in self._listed(series):
            file = f"{series.folder}/{checked(item.key.rpartition('/')[2])}"
            entry = right.get(file)
            if entry is None or entry.size != item.size:
                entry = _unchanged(raw, file, item, series)
            get = functools.partial(self._got, series, item, raw, file)
            entries.append(entry or again(get, self.patience))
        return entries

    def _bucket(self, series: Series) -> str:
        """The address of the bucket of a series: a host of its own at Amazon, elsewhere a folder."""
        scheme, host = urlsplit(self.endpoint)[:2]
        own = host.endswith(".amazonaws.com")
        return f"{scheme}://{series.bucket}.{host}" if own else f"{self.endpoint}/{series.bucket}"

    def _listed(self, series: Series) -> list[Object]:
        """The objects of a series; raises NetError where they are not those of the index."""
        objects: list[Object] = []
        for page in self._pages(series):
            objects += page
            if len(objects) > series.files:
                break
        found, size = len(objects), sum(item.size for item in objects)
        if (found, size) != (series.files, series.size):
            raise NetError(
                f"{found:,} files of {size:,} bytes", file=f"{self._bucket(series)}/{series.prefix}/",
                expected=f"{series.files:,} files of {series.size:,} bytes, as in the index",
                remedy="update idc-index-data, or fetch from the other source",
            )  # fmt: skip
        return objects

    def _pages(self, series: Series) -> Iterator[list[Object]]:
        """The objects of a series, page by page, by ListObjectsV2 of the S3 API (version 2006-03-01)."""
        question = {"list-type": "2", "prefix": f"{series.prefix}/"}
        more = True
        while more:
            page = again(functools.partial(self._page, self._bucket(series), question), self.patience)
            yield [_object(entry) for entry in page.iterfind("{*}Contents")]
            token = page.findtext("{*}NextContinuationToken")
            more, question = bool(token), question | {"continuation-token": token or ""}

    def _page(self, url: str, question: Mapping[str, str]) -> ElementTree.Element:
        """A page of the list of a bucket's objects; raises PassingError where the answer is none."""
        try:
            page = ElementTree.fromstring(read(url, question, most=MOST_LISTED, patience=self.patience))
        except ElementTree.ParseError as error:
            raise PassingError(str(error), file=url, expected="a list of objects") from error
        if not page.tag.endswith("ListBucketResult"):
            raise PassingError(page.tag, file=url, expected="a list of objects")
        return page

    def _got(self, series: Series, item: Object, raw: Path, file: str) -> Entry:
        """Fetch one object; raises PassingError where it is not what was listed."""
        url = f"{self._bucket(series)}/{quote(item.key)}"
        with atomic(raw / file) as beside:
            got = save(url, beside, most=item.size, patience=self.patience)
            if got.size != item.size:
                raise PassingError(f"{got.size:,}", file=url, expected=f"{item.size:,} bytes")
            if item.md5 not in (None, got.md5):
                raise PassingError(got.md5, file=url, expected=f"MD5 {item.md5}")
        return Entry(file, got.size, got.sha256, series.uid)


def _object(entry: ElementTree.Element) -> Object:
    etag = entry.findtext("{*}ETag", "").strip('"').lower()
    size = int(entry.findtext("{*}Size", ""))
    return Object(entry.findtext("{*}Key", ""), size, etag if MD5.fullmatch(etag) else None)


def _unchanged(raw: Path, file: str, item: Object, series: Series) -> Entry | None:
    """The entry of a file that an interrupted download left whole; None if it has to be fetched."""
    path = raw / file
    if item.md5 is None or not path.is_file() or path.stat().st_size != item.size:
        return None
    here = digests(path)
    return Entry(file, here.size, here.sha256, series.uid) if here.md5 == item.md5 else None
