"""Unpack somebody else's archive: every member within one new folder, or nothing at all.

Neither ``extractall`` nor tarfile's data filter is used: contents are read as streams and written under names
from an allow-list, with nothing of the archive's links, owners, permissions or times.
"""

import gzip
import io
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.errors import (
    ArchiveBombError,
    ArchiveChecksumError,
    ArchiveDuplicateError,
    ArchiveEncryptedError,
    ArchiveFormatError,
    ArchiveLinkError,
    ArchiveNameError,
)

MAX_RATIO = 200
"""Most bytes that one byte of an archive may unfold to: far more than pictures do, far less than zeros."""
ALWAYS = 1_000_000
"""Bytes that may unfold whatever the ratio: one blank slice alone is compressed a thousandfold."""
MAX_NAME = 240
"""Longest path of a member; file systems end at 255 per part."""
PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_ .,()+=@&'-]*[A-Za-z0-9_,()+=@&'-])?")
"""A part of a path: no separators, no control characters, nothing hidden, no blank or dot at the end."""
RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")
"""Device names of Windows, where the folder may be looked at later."""
CHUNK = 1 << 20
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def safe_name(name: str) -> bool:
    """Whether a relative path with ``/`` is made of allowed parts alone.

    >>> safe_name("set/no/1 no.jpeg"), safe_name("../a"), safe_name("/etc/passwd"), safe_name("a/NUL.txt")
    (True, False, False, False)
    """
    parts = name.split("/")
    return len(name) <= MAX_NAME and all(
        PART.fullmatch(part) and not RESERVED.fullmatch(part) for part in parts
    )


def safe_extract(archive: Path, folder: Path, *, max_bytes: int, max_files: int) -> list[Path]:
    """Unpack a zip or tar.gz into ``folder`` and return its files, sorted.

    The folder appears when all is written and synced; it must not exist yet, or be empty (FileExistsError).
    At most ``max_bytes`` are written (of a tar.gz with its headers) and ``max_files`` members read. Checksums
    (CRC-32) are compared. Raises an ArchiveError by its reason: no archive, an unsafe or repeated name, a
    link, a password, too much, damage.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    most = min(max_bytes, max(ALWAYS, MAX_RATIO * archive.stat().st_size))
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)  # what a crash left
    beside.mkdir(parents=True)
    try:
        with _translated(archive), archive.open("rb") as file:
            names = _write(archive, _members(archive, file, most), beside, most, max_files)
        if not names:
            raise ArchiveFormatError("no file in it", file=archive)
        beside.replace(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return sorted(folder / name for name in names)


def _write(
    archive: Path, members: Iterator[tuple[str, IO[bytes] | None]], folder: Path, most: int, max_files: int
) -> list[str]:
    """Write the members (None for a folder) and return the names of the files; checks names and amounts."""
    names: list[str] = []
    files: set[str] = set()
    folders: set[str] = set()
    written = 0
    for number, (name, content) in enumerate(members, 1):
        if number > max_files:
            raise ArchiveBombError("more", file=archive, expected=f"at most {max_files:,} members")
        if not safe_name(name):
            raise ArchiveNameError(repr(name[:MAX_NAME]), file=archive)
        key = name.casefold()  # two names that differ in case are one file on some systems
        above = {str(parent) for parent in list(Path(key).parents)[:-1]}
        if key in files or above & files or (content is not None and key in folders):
            raise ArchiveDuplicateError(repr(name), file=archive)
        folders |= above
        if content is None:
            folders.add(key)
            continue
        files.add(key)
        names.append(name)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as out:
            while chunk := content.read(CHUNK):
                written += len(chunk)
                if written > most:
                    raise _too_much(archive, most)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
    return names


def _members(archive: Path, file: IO[bytes], most: int) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Name and content of each member in turn, None for a folder; the kind is told by the first bytes."""
    start = file.read(512)
    file.seek(0)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        yield from _zip_members(archive, file)
    elif start[:2] == b"\x1f\x8b":
        yield from _tar_members(archive, file, most)
    else:
        text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        page = text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head"))
        found = (
            "a web page" if page else "an empty file" if not start else f"a file that begins {start[:8]!r}"
        )
        raise ArchiveFormatError(found, file=archive)


def _zip_members(archive: Path, file: IO[bytes]) -> Iterator[tuple[str, IO[bytes] | None]]:
    with zipfile.ZipFile(file) as members:
        for info in members.infolist():
            name = info.orig_filename  # as it is written: filename is cut at a NUL
            mode = stat.S_IFMT(info.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ArchiveLinkError(repr(name), file=archive)
            if info.flag_bits & _ENCRYPTED:
                raise ArchiveEncryptedError(repr(name), file=archive)
            if info.compress_type not in _METHODS:
                found = f"method {info.compress_type} of {name!r}"
                raise ArchiveFormatError(found, file=archive, expected="stored or deflated members")
            if name.endswith("/"):
                yield name[:-1], None
            else:
                with members.open(info) as content:
                    yield name, content


def _tar_members(archive: Path, file: IO[bytes], most: int) -> Iterator[tuple[str, IO[bytes] | None]]:
    with gzip.open(file) as unzipped:
        # Counted before tarfile sees it: a header may claim gigabytes that tarfile would keep in memory.
        stream = _Counted(unzipped, archive, most)
        with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape") as members:
            for member in members:
                name = member.name.removeprefix("./")  # as "tar -c ." writes them
                if member.isdir():
                    yield from () if name == "." else [(name, None)]
                elif member.isreg() and member.sparse is None:
                    content = members.extractfile(member)
                    assert content is not None, "regular members have content"
                    yield name, content
                else:
                    raise ArchiveLinkError(repr(member.name), file=archive)
        while stream.read(CHUNK):  # to the end, where gzip's checksum stands
            pass


class _Counted(io.RawIOBase):
    """A stream that ends in an ArchiveBombError after so many bytes."""

    def __init__(self, stream: Any, archive: Path, most: int) -> None:
        self._stream, self._archive, self._most, self._left = stream, archive, most, most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(min(size, CHUNK) if size >= 0 else CHUNK)
        self._left -= len(data)
        if self._left < 0:
            raise _too_much(self._archive, self._most)
        return data


def _too_much(archive: Path, most: int) -> ArchiveBombError:
    return ArchiveBombError("more", file=archive, expected=f"at most {most:,} bytes unpacked")


@contextmanager
def _translated(archive: Path) -> Iterator[None]:
    """What the libraries find wrong with an archive of the right kind is damage."""
    damage = (
        zipfile.BadZipFile,
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
    )
    try:
        yield
    except damage as error:
        raise ArchiveChecksumError(str(error) or type(error).__name__, file=archive) from error
