"""Fetch series from the National Biomedical Imaging Archive, by its open REST interface (version 1).

``getSeries`` lists a collection as JSON; ``getImageWithMD5Hash`` gives a series as a zip of 00000001.dcm and
so on and md5hashes.csv. The archive numbers files in any order, so they are named by their SOP Instance UID.
"""

import csv
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pydicom

from pipeline.download.archive import safe_extract
from pipeline.download.choice import ArchiveCollection, Series, checked
from pipeline.download.http import PassingError, Patience, again, digests, read, save
from pipeline.download.manifest import Entry, holds
from pipeline.errors import ArchiveError, NetError
from pipeline.files import atomic

ENDPOINT = "https://services.cancerimagingarchive.net/nbia-api/services/v1"
HASHES = "md5hashes.csv"
BESIDE = ".part"
"""Folder within the raw folder for what is not whole yet."""
MOST_LISTED = 200_000_000
"""Bytes of a list: a collection of 18,000 series has some 15 million."""
EXTRA = 1_000_000
"""Bytes of a zip, and files in it, beyond the images: names, digests, a licence."""
EXTRA_FILES = 10


class Nbia:
    """The archive, asked about one collection; may be used by several threads."""

    def __init__(self, endpoint: str, patience: Patience, collection: ArchiveCollection, raw: Path) -> None:
        self.endpoint, self.patience = endpoint.rstrip("/"), patience
        self.beside = raw / BESIDE
        shutil.rmtree(self.beside, ignore_errors=True)  # what a crash left
        self.counts = again(lambda: self._counts(collection), patience)

    def fetch(self, series: Series, raw: Path, right: Mapping[str, Entry]) -> list[Entry]:
        """Fetch a series and return its files as entries; those in ``right`` stay. Raises NetError."""
        listed = self.counts.get(series.uid, 0)
        if listed != series.files:
            raise NetError(
                f"{listed:,}", file=f"{self.endpoint}/getSeries", remedy="fetch from the other source",
                expected=f"{series.files:,} files of series {series.uid}, as in the index",
            )  # fmt: skip
        folder = self.beside / checked(series.uid)
        try:
            hashes = again(lambda: self._unpacked(series, folder), self.patience)
            if (size := sum((folder / name).stat().st_size for name in hashes)) != series.size:
                raise NetError(
                    f"{size:,} bytes", file=self._url(series), remedy="fetch from the other source",
                    expected=f"{series.size:,} bytes, as in the index",
                )  # fmt: skip
            entries = [self._placed(series, folder / name, raw, right) for name in hashes]
            if len({entry.file for entry in entries}) != series.files:
                raise NetError("repeated SOP Instance UIDs", file=self._url(series))
            return entries
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _url(self, series: Series) -> str:
        return f"{self.endpoint}/getImageWithMD5Hash?SeriesInstanceUID={series.uid}"

    def _counts(self, collection: ArchiveCollection) -> dict[str, int]:
        """How many images the archive has of each series of the collection."""
        url, question = f"{self.endpoint}/getSeries", {"Collection": collection.nbia, "format": "json"}
        answer = read(url, question, most=MOST_LISTED, patience=self.patience)
        try:
            # Without a match the archive answers with nothing at all.
            return {row["SeriesInstanceUID"]: int(row["ImageCount"]) for row in json.loads(answer or b"[]")}
        except (ValueError, KeyError, TypeError) as error:
            raise PassingError(f"something else ({error})", file=url, expected="a list of series") from error

    def _unpacked(self, series: Series, folder: Path) -> dict[str, str]:
        """Fetch and unpack the zip of a series; its files and their MD5. Raises PassingError."""
        url, archive = self._url(series), folder.with_name(f"{folder.name}.zip")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with atomic(archive) as beside:
                save(url, beside, most=2 * series.size + EXTRA, patience=self.patience)
            most = 2 * (series.size + EXTRA)
            safe_extract(archive, folder, max_bytes=most, max_files=series.files + EXTRA_FILES)
        except ArchiveError as error:
            # A page that says sorry, or a zip cut short by a server that ran into trouble.
            raise PassingError(f"{error.code}: {error.reason}", file=url) from error
        finally:
            archive.unlink(missing_ok=True)
        hashes = _hashes(folder / HASHES)
        if len(hashes) != series.files:
            raise PassingError(f"{len(hashes):,}", file=url, expected=f"{series.files:,} files with an MD5")
        for name, md5 in hashes.items():
            path = folder / checked(name)
            found = digests(path).md5 if path.is_file() else "no such file"
            if found != md5:
                raise PassingError(found, file=url, expected=f"MD5 {md5} of {name}")
        return hashes

    def _placed(self, series: Series, path: Path, raw: Path, right: Mapping[str, Entry]) -> Entry:
        """Move an unpacked file to its place, unless it is there."""
        try:
            header = pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=["SOPInstanceUID", "SeriesInstanceUID"]
            )
            uid, belongs = str(header["SOPInstanceUID"].value), str(header["SeriesInstanceUID"].value)
        except Exception as error:  # a broken file can make the parser raise anything
            raise NetError(f"{error}", file=self._url(series), expected="DICOM files") from error
        if belongs != series.uid:
            raise NetError(f"series {belongs}", file=self._url(series), expected=f"series {series.uid}")
        file, here = f"{series.folder}/{checked(uid)}.dcm", digests(path)
        entry = Entry(file, here.size, here.sha256, series.uid)
        if right.get(file) != entry and not holds(raw, entry):
            (raw / file).parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, raw / file)  # noqa: PTH105  (it is synced)
        return entry


def _hashes(path: Path) -> dict[str, str]:
    """The MD5 of each file by ``md5hashes.csv``; empty where the archive did not come to write it."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == 2][1:]
    # Old digests lack their leading zeros.
    return {name.strip(): md5.strip().lower().zfill(32) for name, md5 in rows}
