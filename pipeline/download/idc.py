"""Fetch series from the buckets of the Imaging Data Commons, which are open: S3 without a signature.

A series is a folder of one object per image. What lies there is compared with the index (files, bytes), each
file with its ETag, which is the MD5 of an object that was stored in one piece.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from pipeline.download.choice import Series, checked
from pipeline.download.http import PassingError, Patience, again, copy, digests, refused, root
from pipeline.download.manifest import Entry
from pipeline.errors import NetError
from pipeline.files import atomic

ENDPOINT = "https://s3.us-east-1.amazonaws.com"
REGION = "us-east-1"
MD5 = re.compile(r"[0-9a-f]{32}")
PAGE = 1000
"""Most objects that S3 lists at a time."""


class Object(NamedTuple):
    """An object of a series: its key, size in bytes, and MD5 where its ETag is one."""

    key: str
    size: int
    md5: str | None


class Idc:
    """The buckets behind an S3 endpoint; may be used by several threads."""

    def __init__(self, endpoint: str, patience: Patience, connections: int) -> None:
        self.endpoint, self.patience = endpoint, patience
        own = str(urlsplit(endpoint).hostname).endswith(".amazonaws.com")
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=REGION,
            config=Config(
                signature_version=UNSIGNED,
                connect_timeout=patience.timeout_s,
                read_timeout=patience.timeout_s,
                max_pool_connections=connections,
                retries={"total_max_attempts": 1},  # its own take no notice of Retry-After
                s3={"addressing_style": "virtual" if own else "path"},
            ),
        )

    def fetch(self, series: Series, raw: Path, right: Mapping[str, Entry]) -> list[Entry]:
        """Fetch the files of a series that are not in ``raw`` as they should be; all of them, as entries.

        ``right`` are files that were compared with the manifest. Raises NetError.
        """
        entries = []
        for item in again(functools.partial(self._listed, series), self.patience):
            file = f"{series.folder}/{checked(item.key.rpartition('/')[2])}"
            entry = right.get(file)
            if entry is None or entry.size != item.size:
                entry = _unchanged(raw, file, item, series)
            get = functools.partial(self._got, series, item, raw, file)
            entries.append(entry or again(get, self.patience))
        return entries

    def _listed(self, series: Series) -> list[Object]:
        """The objects of a series; raises NetError where they are not those of the index."""
        url = f"{self.endpoint}/{series.bucket}/{series.prefix}/"
        objects: list[Object] = []
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=series.bucket, Prefix=f"{series.prefix}/", PaginationConfig={"PageSize": PAGE}
        )
        with _passing(url):
            for page in pages:
                for entry in page.get("Contents", ()):
                    etag = entry["ETag"].strip('"').lower()
                    objects.append(Object(entry["Key"], entry["Size"], etag if MD5.fullmatch(etag) else None))
                if len(objects) > series.files:
                    break
        found, size = len(objects), sum(item.size for item in objects)
        if (found, size) != (series.files, series.size):
            raise NetError(
                f"{found:,} files of {size:,} bytes", file=url,
                expected=f"{series.files:,} files of {series.size:,} bytes, as in the index",
                remedy="update idc-index-data, or fetch from the other source",
            )  # fmt: skip
        return objects

    def _got(self, series: Series, item: Object, raw: Path, file: str) -> Entry:
        """Fetch one object; raises PassingError where it is not what was listed."""
        url = f"{self.endpoint}/{series.bucket}/{item.key}"
        with _passing(url), atomic(raw / file) as beside, beside.open("wb") as out:
            body = self.client.get_object(Bucket=series.bucket, Key=item.key)["Body"]
            with body:
                got = copy(body, out, most=item.size, url=url, patience=self.patience)
            if got.size != item.size:
                raise PassingError(f"{got.size:,}", file=url, expected=f"{item.size:,} bytes")
            if item.md5 not in (None, got.md5):
                raise PassingError(got.md5, file=url, expected=f"MD5 {item.md5}")
        return Entry(file, got.size, got.sha256, series.uid)


def _unchanged(raw: Path, file: str, item: Object, series: Series) -> Entry | None:
    """The entry of a file that an interrupted download left whole; None if it has to be fetched."""
    path = raw / file
    if item.md5 is None or not path.is_file() or path.stat().st_size != item.size:
        return None
    here = digests(path)
    return Entry(file, here.size, here.sha256, series.uid) if here.md5 == item.md5 else None


@contextmanager
def _passing(url: str) -> Iterator[None]:
    """What goes wrong between us and S3 is a NetError."""
    try:
        yield
    except ClientError as error:
        about = error.response.get("ResponseMetadata", {})
        raise refused(url, about.get("HTTPStatusCode", 0), about.get("HTTPHeaders", {})) from error
    except (BotoCoreError, ResponseParserError, urllib3.exceptions.HTTPError) as error:
        raise PassingError(root(error), file=url) from error
