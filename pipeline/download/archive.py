"""Unpack somebody else's zip: every member within one new folder, or nothing at all.

Its directory is looked through first. zipfile then reads no more of a member than the directory states,
compares checksums, and writes files with nothing of the archive's permissions or times.
"""

import os
import re
import stat
import zipfile
import zlib
from pathlib import Path
from typing import IO

from pipeline.errors import (
    ArchiveBombError,
    ArchiveChecksumError,
    ArchiveDuplicateError,
    ArchiveEncryptedError,
    ArchiveFormatError,
    ArchiveLinkError,
    ArchiveNameError,
)
from pipeline.files import atomic_folder

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
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
"""What zipfile raises of an archive that is not whole."""


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
    """Unpack a zip into ``folder`` and return its files, sorted.

    The folder appears when all is written and synced; it must not exist yet, or be empty (FileExistsError).
    At most ``max_bytes`` in ``max_files`` members are written. Raises an ArchiveError by its reason: no
    archive, an unsafe or repeated name, a link, a password, too much, damage.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    most = min(max_bytes, max(ALWAYS, MAX_RATIO * archive.stat().st_size))
    try:
        with archive.open("rb") as file, atomic_folder(folder) as beside:
            _check_kind(archive, file)
            with zipfile.ZipFile(file) as members:
                names = _checked(archive, members.infolist(), most, max_files)
                members.extractall(beside)
            for name in names:
                with (beside / name).open("rb") as written:
                    os.fsync(written.fileno())
    except _DAMAGE as error:
        raise ArchiveChecksumError(str(error) or type(error).__name__, file=archive) from error
    return sorted(folder / name for name in names)


def _check_kind(archive: Path, file: IO[bytes]) -> None:
    """Raise ArchiveFormatError unless the first bytes are those of a zip."""
    start = file.read(512)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    page = text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head"))
    found = "a web page" if page else f"a file that begins {start[:8]!r}" if start else "an empty file"
    raise ArchiveFormatError(found, file=archive, expected="a zip")


def _checked(archive: Path, members: list[zipfile.ZipInfo], most: int, max_files: int) -> list[str]:
    """The names of the files; raises an ArchiveError where a member may not be unpacked."""
    if len(members) > max_files:
        raise ArchiveBombError("more", file=archive, expected=f"at most {max_files:,} members")
    if sum(info.file_size for info in members) > most:
        raise ArchiveBombError("more", file=archive, expected=f"at most {most:,} bytes unpacked")
    files: set[str] = set()
    folders: set[str] = set()
    for info in members:
        name = info.orig_filename.removesuffix("/")  # as it is written: filename is cut at a NUL
        if not safe_name(name):
            raise ArchiveNameError(repr(name[:MAX_NAME]), file=archive)
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveLinkError(repr(name), file=archive)
        if info.flag_bits & _ENCRYPTED:
            raise ArchiveEncryptedError(repr(name), file=archive)
        if info.compress_type not in _METHODS:
            found = f"method {info.compress_type} of {name!r}"
            raise ArchiveFormatError(found, file=archive, expected="stored or deflated members")
        key = name.casefold()  # two names that differ in case are one file on some systems
        above = {str(parent) for parent in list(Path(key).parents)[:-1]}
        if key in files or above & files or (not info.is_dir() and key in folders):
            raise ArchiveDuplicateError(repr(name), file=archive)
        folders |= above | ({key} if info.is_dir() else set())
        files |= set() if info.is_dir() else {key}
    if not files:
        raise ArchiveFormatError("no file in it", file=archive, expected="a zip")
    return [info.orig_filename for info in members if not info.is_dir()]
