"""Archives of members, such as workbooks and weights: one of them changed, and the checksums made anew."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from random import Random

from workflow.fuzz import changes


def packed(members: Mapping[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of ``members``, with no clock in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return file.getvalue()


def _unpacked(content: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError, zlib.error):
        return {}


def member(content: bytes, random: Random) -> bytes:
    """One member changed, the smaller the likelier."""
    members = _unpacked(content)
    if not members:
        return content
    names = sorted(members, key=lambda name: len(members[name]))
    name = names[min(random.randrange(len(names)) for _ in range(2))]
    way: Callable[[bytes, Random], bytes] = random.choice((*changes.GENERAL, *changes.TEXT))
    return packed(members | {name: way(members[name], random)}, _kind(random))


def lost(content: bytes, random: Random) -> bytes:
    """One member less, or of another's name or content."""
    members = _unpacked(content)
    if not members:
        return content
    one, other = random.choice(sorted(members)), random.choice(sorted(members))
    taken = members.pop(one)
    if random.random() < 0.5:
        members[other] = taken
    return packed(members, _kind(random))


CHANGES = (member, member, lost)
"""Of a zip file, a changed member twice as often as a lost one."""


def _kind(random: Random) -> int:
    return random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))


def gzipped(content: bytes) -> bytes:
    """A gzip file with no clock in it."""
    return gzip.compress(content, 1, mtime=0)


def within(*ways: Callable[[bytes, Random], bytes]) -> Callable[[bytes, Random], bytes]:
    """A change of what a gzip file holds, by one of ``ways``."""

    def change(content: bytes, random: Random) -> bytes:
        try:
            inner = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return content
        return gzipped(random.choice(ways)(inner, random))

    return change
