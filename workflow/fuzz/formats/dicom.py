"""DICOM: elements of explicit VR, little endian, whose values, VRs and lengths are changed one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from workflow.fuzz.changes import NUMBERS, TEXTS

LONG = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UN", b"UT", b"UC", b"UR", b"SV", b"UV"}
"""VRs whose length has four bytes, after two that are 0 (PS3.5 7.1.2)."""
SHORT = [b"US", b"SS", b"DS", b"IS", b"CS", b"LO", b"UI", b"FD", b"FL", b"AT", b"DA", b"PN", b"ZZ"]
VRS = [*sorted(LONG), *SHORT]
UNDEFINED = 0xFFFFFFFF
SYNTAXES = [f"1.2.840.10008.1.2{end}".encode() for end in (
    "", ".1", ".1.99", ".2", ".4.50", ".4.51", ".4.57", ".4.70", ".4.80", ".4.81", ".4.90", ".4.91", ".5",
)]  # fmt: skip


@dataclass(frozen=True)
class Element:
    """An element of a data set, or an item of a sequence and its delimiters (no VR)."""

    tag: bytes
    vr: bytes
    length: int
    value: bytes

    def packed(self) -> bytes:
        """As it stands in a file; its length is what it says, right or wrong."""
        if not self.vr:
            return self.tag + self.length.to_bytes(4, "little") + self.value
        if self.vr in LONG:
            return self.tag + self.vr + b"\0\0" + self.length.to_bytes(4, "little") + self.value
        return self.tag + self.vr + (self.length & 0xFFFF).to_bytes(2, "little") + self.value


def _elements(content: bytes) -> Iterator[Element]:
    """The elements after the preamble, those in sequences of undefined length too; the rest as a last one."""
    place = 132
    while place + 8 <= len(content):
        tag, vr = content[place : place + 4], content[place + 4 : place + 6]
        if tag[:2] == b"\xfe\xff":
            vr, start, size = b"", place + 8, content[place + 4 : place + 8]
        elif vr in LONG:
            start, size = place + 12, content[place + 8 : place + 12]
        elif vr.isalpha() and vr.isupper():
            start, size = place + 8, content[place + 6 : place + 8]
        else:
            break
        length = int.from_bytes(size, "little")
        # What is inside a sequence or an item is walked through as if it stood beside it.
        end = start if length == UNDEFINED or vr in (b"", b"SQ") else min(start + length, len(content))
        if vr == b"" and tag == b"\xfe\xff\x00\xe0" and length != UNDEFINED:
            end = min(start + length, len(content))
        yield Element(tag, vr, length, content[start:end])
        place = end
    if place < len(content):
        yield Element(b"", b"", -1, content[place:])


def element(content: bytes, random: Random) -> bytes:
    """One element with another value, VR or length, twice, less, or at another place."""
    parts = list(_elements(content)) if content[128:132] == b"DICM" else []
    places = [number for number, part in enumerate(parts) if part.length >= 0]
    if not places:
        return content
    place = random.choice(places)
    old = parts[place]
    ways = [_value, _value, _value, _bits, _vr, _length]
    new = [random.choice(ways)(old, random)]
    if random.random() < 0.2:
        new = random.choice(([], [old, *new], [old, old]))
    if random.random() < 0.1:
        new = [Element(random.choice(parts).tag or old.tag, old.vr, old.length, old.value)]
    parts[place : place + 1] = new
    if random.random() < 0.1:
        random.shuffle(parts)
    tail = [part.value if part.length < 0 else part.packed() for part in parts]
    return content[:132] + b"".join(tail)


def _value(old: Element, random: Random) -> Element:
    """Another value of a length that fits."""
    if old.vr in (b"US", b"SS", b"UL", b"SL", b"FL", b"FD", b"AT") and random.random() < 0.8:
        size = len(old.value) or 2
        value = (random.choice(NUMBERS) & (1 << 8 * size) - 1).to_bytes(size, "little")
    elif old.vr == b"UI" and random.random() < 0.5:
        value = random.choice(SYNTAXES)
    else:
        parts = old.value.split(b"\\")
        parts[random.randrange(len(parts))] = random.choice(TEXTS)
        value = b"\\".join(parts * random.choice((1, 1, 1, 2)))
    value += b" " * (len(value) % 2)
    return Element(old.tag, old.vr, len(value), value)


def _bits(old: Element, random: Random) -> Element:
    value = bytearray(old.value)
    if value:
        value[random.randrange(len(value))] = random.randrange(256)
    return Element(old.tag, old.vr, old.length, bytes(value))


def _vr(old: Element, random: Random) -> Element:
    return Element(old.tag, random.choice(VRS) if old.vr else b"", old.length, old.value)


def _length(old: Element, random: Random) -> Element:
    others = (old.length + 1, old.length + 2, max(old.length - 1, 0), random.choice(NUMBERS) & UNDEFINED)
    return Element(old.tag, old.vr, random.choice(others) & UNDEFINED, old.value)
