"""Download the images of a collection: only what is missing or has changed, with a check of every file.

A file is kept if it has the SHA-256 of the manifest, or the MD5 of the service.
"""

import argparse
import functools
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from tqdm import tqdm

from pipeline.cli import run_cli
from pipeline.download import idc, manifest, nbia
from pipeline.download.choice import COLLECTIONS, Series, choose, offline_index, version
from pipeline.download.http import PassingError, Patience
from pipeline.download.manifest import Entry
from pipeline.errors import ConfigError, DiskError, NetError
from pipeline.system import INTERRUPTED

log = logging.getLogger("typhon")

Item = TypeVar("Item")

ENDPOINTS = {"idc": idc.ENDPOINT, "nbia": nbia.ENDPOINT}
CONNECTIONS = 8
SAVE_EVERY_S = 30.0
"""How often the list of what is there is written: so much has to be looked at again after a crash."""
MOST_IN_VAIN = 2
"""Series per connection, tried in vain one after the other, after which the service counts as down."""


class ImageService(Protocol):
    """A service that has series."""

    def fetch(self, series: Series, raw: Path, right: Mapping[str, Entry]) -> list[Entry]:
        """The files of a series as entries, now below ``raw``; those in ``right`` are as they should be."""


def service(name: str, endpoint: str, kind: str, raw: Path, patience: Patience) -> ImageService:
    """The service of that name at an address; raises ConfigError unless that is http or https."""
    if urlsplit(endpoint).scheme not in ("https", "http") or not urlsplit(endpoint).hostname:
        raise ConfigError(endpoint, file="download/endpoint", expected="an address with https://")
    if name == "nbia":
        return nbia.Nbia(endpoint, patience, COLLECTIONS[kind], raw)
    return idc.Idc(endpoint, patience)


def missing(
    wanted: Sequence[Series], raw: Path, connections: int
) -> tuple[list[Series], list[Entry], list[Entry]]:
    """Compare a raw folder with its manifest.

    Returns the series of which a file is missing or changed, or that are not of the index's number and size
    of files; the entries of all others; and the entries of these series that still hold.
    """
    listed: dict[str, list[Entry]] = {}
    for entry in manifest.read(raw).values():
        listed.setdefault(entry.series_uid, []).append(entry)

    def held(series: Series) -> list[Entry]:
        return [entry for entry in listed[series.uid] if manifest.holds(raw, entry)]

    known = [one for one in wanted if one.uid in listed]
    with ThreadPoolExecutor(connections) as pool:
        found = list(_shown(pool.map(held, known), len(known), "checked"))
    right = {one.uid: entries for one, entries in zip(known, found, strict=True)}
    series = [one for one in wanted if not is_whole(one, right.get(one.uid, ()))]
    for one in series:
        for entry in sorted(set(listed.pop(one.uid, ())) - set(right.get(one.uid, ()))):
            log.info("%s: missing, or not what was downloaded", raw / entry.file)
    kept = [entry for entries in listed.values() for entry in entries]
    return series, kept, [entry for one in series for entry in right.get(one.uid, ())]


def is_whole(series: Series, entries: Collection[Entry]) -> bool:
    """Whether there are as many files and bytes of a series as the index says."""
    return (len(entries), sum(entry.size for entry in entries)) == (series.files, series.size)


def check_room(series: Sequence[Series], right: Sequence[Entry], raw: Path) -> None:
    """Raise DiskError unless what is to be fetched fits beside what is there."""
    needed = sum(one.size for one in series) - sum(entry.size for entry in right)
    folder = next(folder for folder in (raw, *raw.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskError(f"{free:,} bytes free", file=raw, expected=f"{needed:,} bytes of room")


def download(
    wanted: Sequence[Series], raw: Path, connect: Callable[[], ImageService], connections: int = CONNECTIONS
) -> int:
    """Fetch those series that are not in ``raw`` as they should be, and return how many these were.

    ``connect`` gives the service, where there is anything to fetch. Raises DiskError; and NetError once all
    others are fetched, or as soon as the service seems to be down.
    """
    series, entries, right = missing(wanted, raw, connections)
    if not series and not (raw / manifest.UNFINISHED).exists():
        return 0
    check_room(series, right, raw)
    manifest.write(raw, entries, whole=False)
    fetch = functools.partial(connect().fetch, raw=raw, right={entry.file: entry for entry in right})
    errors: list[NetError] = []
    in_vain = 0
    written, pool = time.monotonic(), ThreadPoolExecutor(connections)
    try:
        futures = [pool.submit(fetch, one) for one in series]
        for future in _shown(as_completed(futures), len(series), "fetched"):
            try:
                entries += future.result()
                in_vain = 0
            except NetError as error:
                errors.append(error)
                log.info("Not fetched: %s", error)  # no line that begins as a final error does
                in_vain = in_vain + 1 if isinstance(error, PassingError) else 0  # a refusal is an answer
            if in_vain == MOST_IN_VAIN * connections:
                break
            if time.monotonic() - written > SAVE_EVERY_S:
                manifest.write(raw, entries, whole=False)
                written = time.monotonic()
        if errors:
            raise _all_in_one(errors)
    except KeyboardInterrupt:
        manifest.write(raw, entries, whole=False)
        # Threads in the middle of a series would go on for minutes; no file can be half.
        os._exit(INTERRUPTED)
    except BaseException:
        pool.shutdown(cancel_futures=True)
        manifest.write(raw, entries, whole=False)
        raise
    shutil.rmtree(raw / nbia.BESIDE, ignore_errors=True)
    manifest.write(raw, entries, whole=True)
    return len(series)


def _all_in_one(errors: Sequence[NetError]) -> NetError:
    """The first error, and how many more there are."""
    first, more = errors[0], len(errors) - 1
    found = f"{first.found} (and {more:,} more series that failed)" if more else first.found
    return NetError(found, file=first.file, expected=first.expected, remedy=first.remedy)


def _shown(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """The items; how many there were on a terminal as a bar, in a log as ten lines."""
    bar = tqdm(items, desc=what, total=total, disable=None, unit=" series", leave=False)
    for number, item in enumerate(bar, 1):
        yield item
        if bar.disable and 10 * number // total > 10 * (number - 1) // total:
            log.info("%s %d of %d series", what, number, total)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: ``python -m pipeline.download.images prostatex --out data/raw/prostatex``."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.download.images", description=__doc__)
    parser.add_argument("kind", choices=sorted(COLLECTIONS))
    parser.add_argument("--out", type=Path, required=True, help="the raw folder; existing files stay")
    parser.add_argument("--source", choices=sorted(ENDPOINTS), default="idc", help="service to download from")
    parser.add_argument("--endpoint", help="another address of the service")
    parser.add_argument("--series", choices=["needed", "all"], default="needed", help="series to download")
    parser.add_argument("--index", type=Path, help="another release of the index of the Imaging Data Commons")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="connections at a time")
    arguments = parser.parse_args(argv)
    index, endpoint = arguments.index or offline_index(), arguments.endpoint or ENDPOINTS[arguments.source]
    raw, wanted = arguments.out, choose(arguments.kind, arguments.series, index)
    what = f"{len(wanted):,} series, {sum(one.files for one in wanted):,} files"
    log.info("%s: %s by index %s, from %s", raw, what, version(index), endpoint)
    connect = functools.partial(service, arguments.source, endpoint, arguments.kind, raw, Patience())
    fetched = download(wanted, raw, connect, arguments.connections)
    done = f"{fetched:,} series fetched" if fetched else "nothing to do"
    log.info("%s: %s; all %s are there and right", raw, done, what)


if __name__ == "__main__":
    run_cli(main)
