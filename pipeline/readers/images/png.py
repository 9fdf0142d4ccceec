"""PNG: whether all pixels are there, and whether anything says how they lie, without unpacking them.

Pillow takes the rows that a file lacks for black, without a word, and unpacks all to see what stands behind.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import TruncatedError

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Values of a pixel by colour type (PNG specification, 11.2.2)."""
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row of each pass of an interlaced picture, and the steps between them (8.2)."""
TELLING = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
"""Chunks that may say how the picture lies."""
AT_ONCE = 2**20
"""Bytes that are unpacked at a time."""


def check_whole(path: Path) -> None:
    """Raise TruncatedError where the pixel data, once unpacked, end before the last row does."""
    head, packed = b"", []
    for kind, data in _chunks(path.read_bytes()):
        if kind == b"IHDR":
            head = bytes(data)
        elif kind == b"IDAT":
            packed.append(data)
    needed, present = _needed(head), _unpacked(packed)
    if present < needed:
        raise TruncatedError(f"{present:,}", file=path, expected=f"{needed:,} bytes of unpacked pixel data")


def is_silent(path: Path) -> bool:
    """Whether no chunk of a file that has all of them to the end may say how the picture lies."""
    size, place = path.stat().st_size, 8
    with path.open("rb", buffering=0) as file:
        while place + 12 <= size:
            file.seek(place)
            length, kind = struct.unpack(">I4s", file.read(8))
            place += 12 + length
            if kind in TELLING:
                return False
            if kind == b"IEND":
                return place <= size
    return False


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, place = memoryview(content), 8
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        yield kind, view[place + 8 : place + 8 + length]
        place += 12 + length


def _needed(head: bytes) -> int:
    """Bytes of all rows, each after the number of its filter."""
    columns, rows, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", head)
    total = 0
    for left, top, across, down in PASSES if interlaced else ((0, 0, 1, 1),):
        width, height = (columns - left + across - 1) // across, (rows - top + down - 1) // down
        if width > 0:
            total += max(height, 0) * (1 + (width * CHANNELS[colour] * depth + 7) // 8)
    return total


def _unpacked(packed: list[memoryview]) -> int:
    """How many bytes come out of the pixel data."""
    stream, total = zlib.decompressobj(), 0
    for data in packed:
        rest: bytes | memoryview = data
        while rest and not stream.eof:
            total += len(stream.decompress(rest, AT_ONCE))
            rest = stream.unconsumed_tail
    return total
