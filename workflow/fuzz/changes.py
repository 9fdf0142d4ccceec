"""Changes of any file: bits, numbers in binary and in text, pieces and lines."""

import re
from collections.abc import Callable
from random import Random

NUMBERS = (
    0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63,
    2**64 - 1,
)  # fmt: skip
"""Integers at which widths and signs end."""
TEXTS = (
    b"", b" ", b"0", b"-0", b"-1", b"1", b"1.5", b"0,5", b"1e400", b"-1e-400", b"nan", b"inf", b"65536",
    b"2147483648", b"-9223372036854775809", b"9" * 400, b"1_0", b"\xd9\xa1", b"0x10", b"None", b"true",
    b"%s%n",
    b"1 2", b"\\", b"..", b"\0", b"\x1b[2J", b"\xff\xfe", b"\xef\xbb\xbf", b"A" * 5000,
)  # fmt: skip
"""What may stand where a text or a number is expected."""
SIGNS = b",;\t\"'\n\r=.:-\\/{}[]<>&\0 "
HEAD = 512
"""Bytes in which most formats keep what they say of themselves."""


def _place(content: bytes | bytearray, random: Random) -> int:
    """A place in a file, every other time near its beginning."""
    return random.randrange(min(len(content), HEAD if random.random() < 0.5 else len(content)) or 1)


def _piece(content: bytes, random: Random) -> tuple[int, int]:
    start = _place(content, random)
    return start, min(len(content), start + random.choice((1, 2, 4, 8, 16, 64, 256, 4096)))


def flip(content: bytes, random: Random) -> bytes:
    """A few bits turned round."""
    out = bytearray(content or b"\0")
    for _ in range(random.choice((1, 1, 2, 8))):
        out[_place(out, random)] ^= 1 << random.randrange(8)
    return bytes(out)


def cut(content: bytes, random: Random) -> bytes:
    """The beginning of a file alone."""
    return content[: random.randrange(len(content) + 1)]


def number(content: bytes, random: Random) -> bytes:
    """An integer of 1, 2, 4 or 8 bytes and either order, where some other bytes were."""
    size = random.choice((1, 2, 4, 8))
    value = (random.choice(NUMBERS) & (1 << 8 * size) - 1).to_bytes(size, random.choice(("little", "big")))
    place = _place(content, random)
    return content[:place] + value + content[place + size :]


def noise(content: bytes, random: Random) -> bytes:
    """A piece of random bytes, or of equal ones."""
    start, end = _piece(content, random)
    length = end - start
    value = random.choice((random.randbytes(length), bytes(length), b"\xff" * length))
    return content[:start] + value + content[end:]


def repeat(content: bytes, random: Random) -> bytes:
    """A piece twice or many times."""
    start, end = _piece(content, random)
    return content[:end] + content[start:end] * random.choice((1, 2, 100)) + content[end:]


def remove(content: bytes, random: Random) -> bytes:
    """A piece less."""
    start, end = _piece(content, random)
    return content[:start] + content[end:]


def move(content: bytes, random: Random) -> bytes:
    """A piece at another place."""
    start, end = _piece(content, random)
    rest = content[:start] + content[end:]
    place = _place(rest, random)
    return rest[:place] + content[start:end] + rest[place:]


def splice(content: bytes, other: bytes, random: Random) -> bytes:
    """The beginning of a file and the end of another."""
    return content[: _place(content, random)] + other[_place(other, random) :]


def word(content: bytes, random: Random) -> bytes:
    """Another text where a number or a word stood."""
    places = [match.span() for match in re.finditer(rb"[-+.\w]+", content[: 1 << 16])]
    if not places:
        return content
    start, end = random.choice(places)
    return content[:start] + random.choice(TEXTS) + content[end:]


def sign(content: bytes, random: Random) -> bytes:
    """Another sign where one of those stood that separate."""
    places = [place for place, byte in enumerate(content[: 1 << 16]) if byte in SIGNS]
    if not places:
        return content
    place = random.choice(places)
    return content[:place] + bytes([random.choice(SIGNS)]) + content[place + 1 :]


def line(content: bytes, random: Random) -> bytes:
    """A line twice, less, or at another place."""
    lines = content.split(b"\n")
    taken = lines.pop(random.randrange(len(lines)))
    for _ in range(random.choice((0, 1, 2))):
        lines.insert(random.randrange(len(lines) + 1), taken)
    return b"\n".join(lines)


GENERAL: tuple[Callable[[bytes, Random], bytes], ...] = (
    flip,
    flip,
    cut,
    number,
    number,
    noise,
    repeat,
    remove,
    move,
)
TEXT: tuple[Callable[[bytes, Random], bytes], ...] = (word, word, sign, line)
"""What else befalls a file of text."""
