"""Pictures: chunks of PNG with their checksum, segments of JPEG, and entries of TIFF."""

import struct
import zlib
from random import Random

from workflow.fuzz import changes

PNG = b"\x89PNG\r\n\x1a\n"
EXTRA = {
    b"tRNS": b"\0\x07", b"gAMA": b"\0\0\0\0", b"PLTE": b"\0\1\2" * 5, b"sBIT": b"\x10",
    b"acTL": b"\0\0\0\2\0\0\0\0", b"eXIf": b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0",
    b"zTXt": b"k\0\0" + zlib.compress(bytes(9999)),
    b"iCCP": b"k\0\0" + zlib.compress(b"profile"), b"tEXt": b"k\0v", b"IDAT": b"", b"IEND": b"",
}  # fmt: skip
"""Chunks that may be anywhere, and what they hold."""


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of PNG with its length and its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_chunk(content: bytes, random: Random) -> bytes:
    """One chunk of a PNG changed, twice, less, elsewhere, or another one between them; checksums hold."""
    if not content.startswith(PNG):
        return content
    place, parts = 8, []
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        parts.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    if not parts:
        return content
    number = random.randrange(len(parts))
    kind, data = parts[number]
    way = random.choice(("head", "data", "data", "pixels", "pixels", "extra", "twice", "less", "move"))
    if way == "head":
        parts[0] = (parts[0][0], _head(parts[0][1], random))
    elif way == "pixels" and kind == b"IDAT":
        try:
            inner = changes.flip(random.choice(changes.GENERAL)(zlib.decompress(data), random), random)
            parts[number] = (kind, zlib.compress(inner))
        except zlib.error:
            pass
    elif way == "extra":
        parts.insert(number, random.choice(sorted(EXTRA.items())))
    elif way == "twice":
        parts.insert(number, (kind, data))
    elif way == "less":
        del parts[number]
    elif way == "move":
        random.shuffle(parts)
    else:
        parts[number] = (kind, random.choice(changes.GENERAL)(data, random))
    return PNG + b"".join(chunk(*part) for part in parts)


def _head(data: bytes, random: Random) -> bytes:
    """Another width, height, depth, colour type, compression, filter or interlacing (PNG 11.2.2)."""
    if len(data) != 13:
        return data
    fields = list(struct.unpack(">IIBBBBB", data))
    place = random.randrange(len(fields))
    small = (0, 1, 2, 3, 4, 6, 8, 16, 255)
    fields[place] = random.choice((0, 1, 4, 9000, 60000, 2**31 - 1) if place < 2 else small)
    return struct.pack(">IIBBBBB", *fields)


def jpeg_segment(content: bytes, random: Random) -> bytes:
    """One segment of a JPEG, its length fitting, changed, twice, less or of another marker."""
    if not content.startswith(b"\xff\xd8"):
        return content
    place, parts = 2, []
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != 0xDA:
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        parts.append((content[place + 1], content[place + 4 : place + 2 + length]))
        place += 2 + length
    if not parts:
        return content
    number = random.randrange(len(parts))
    marker, data = parts[number]
    changed = random.choice(changes.GENERAL)(data, random)
    other = random.choice((0xC0, 0xC2, 0xC3, 0xC9, 0xC4, 0xDB, 0xDD, 0xE1, 0xE2, 0xED, 0xEE))
    parts[number : number + 1] = random.choice(
        ([(marker, changed)], [(marker, changed)], [(marker, data)] * 2, [], [(other, data)])
    )
    made = [
        bytes([0xFF, mark]) + struct.pack(">H", min(len(part) + 2, 65535)) + part[:65533]
        for mark, part in parts
    ]
    return b"\xff\xd8" + b"".join(made) + content[place:]


def tiff_entry(content: bytes, random: Random) -> bytes:
    """One entry of the first directory of a TIFF with another tag, type, count or value."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None or len(content) < 10:
        return content
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    if start + 2 > len(content):
        return content
    (count,) = struct.unpack_from(f"{order}H", content, start)
    place = start + 2 + 12 * random.randrange(max(count, 1))
    if place + 12 > len(content):
        return content
    entry = list(struct.unpack_from(f"{order}HHII", content, place))
    part = random.randrange(4)
    entry[part] = random.choice(
        ((256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 284, 317, 320, 322, 338, 339), range(1, 19),
         changes.NUMBERS[:14], changes.NUMBERS[:14])[part]
    )  # fmt: skip
    return content[:place] + struct.pack(f"{order}HHII", *entry) + content[place + 12 :]
