"""MetaImage: what a header promises, checked before it is trusted, and voxels read without its reader's help.

ITK hands the names of files to printf, and divides by what a header says. So of ITK comes the geometry alone.
"""

import math
import re
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

import numpy as np

from pipeline.errors import NotDicomError, OutsideError, UnplacedError, VolumeError
from pipeline.readers.volumes.byteorder import check_byte_order
from pipeline.readers.volumes.voxels import ByteSource, Inflated, check_size, fill

TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
"""ElementType by NumPy's names."""
LONGEST_HEADER = 65536
MOST_FILES = 65536
TRUE = ("T", "t", "1")
"""How a true value of a field begins."""
ORDERS = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
ORIGINS = ("Offset", "Position", "Origin")
"""Names of one field."""
PLAIN = {
    "ElementNumberOfChannels": ("1",),
    "ElementToIntensityFunctionSlope": ("1", "1.0"),
    "ElementToIntensityFunctionOffset": ("0", "0.0"),
    "DistanceUnits": ("mm", "?"),
}
"""Fields that would change what a voxel means, and which no reader of ours or ITK's takes into account."""
NUMBER = re.compile(r"%(0[1-9])?d")


class Header:
    """What a MetaImage says of its voxels. Raises VolumeError where that makes no sense."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fields: dict[str, str] = {}
        with path.open("rb") as file:
            while "ElementDataFile" not in self.fields and file.tell() < LONGEST_HEADER:
                if not (line := file.readline(LONGEST_HEADER)):
                    break
                key, _, value = line.decode("utf-8", "surrogateescape").partition("=")
                name = key.strip()
                if self.fields.setdefault(name, value.strip()) != value.strip() and name != "Comment":
                    raise VolumeError(f"{name} twice", file=path, expected="each field once")
            self.end = file.tell()
            listed = (
                file.read(LONGEST_HEADER)
                if self.fields.get("ElementDataFile", "").startswith("LIST")
                else b""
            )
        if not self.fields.get("ElementDataFile"):
            raise NotDicomError("an unreadable MetaImage (no ElementDataFile)", file=path)
        self.data = self.fields["ElementDataFile"]
        self.local = self.data.upper() == "LOCAL"
        self.shape = tuple(self._whole("DimSize"))
        if self._whole("NDims") != [len(self.shape)]:  # ITK dies of a negative one
            raise self.refuse("NDims", "DimSize", expected="as many sizes as dimensions")
        names = [
            line.strip() for line in listed.decode("utf-8", "surrogateescape").split("\n") if line.strip()
        ]
        self.files = [] if self.local else names if listed else self._expanded()
        for name in self.files:
            # A Windows path is one here too: its reader may be ours or another's.
            parts = PureWindowsPath(name)
            if parts.drive or parts.root or ".." in parts.parts:
                raise OutsideError(f"ElementDataFile = {name}", file=path)

    def refuse(self, *names: str, expected: str) -> VolumeError:
        """An error about fields, with what they say."""
        found = ", ".join(f"{name} = {self.fields.get(name, 'nothing')}" for name in names)
        return VolumeError(found, file=self.path, expected=expected, remedy="correct the header")

    def _whole(self, name: str, absent: str = "") -> list[int]:
        try:
            return [int(word) for word in self.fields.get(name, absent).split()]
        except ValueError:
            raise self.refuse(name, expected="whole numbers") from None

    def is_true(self, name: str) -> bool:
        """Whether a field is there and true."""
        return self.fields.get(name, "").startswith(TRUE)

    def _expanded(self) -> list[str]:
        """The names of a pattern such as ``slice%03d.raw 1 40 1`` (first, last, step), or the one name."""
        if "%" not in self.data:
            return [self.data]
        pattern, *words = self.data.split()
        count = self.shape[-1] if self.shape else 0
        expected = "one %d or %03d in a name, and whole numbers: the first, the last and the step"
        if pattern.count("%") != 1 or not NUMBER.search(pattern) or len(words) > 3:
            raise self.refuse("ElementDataFile", expected=expected)
        try:
            first, last, step = [*map(int, words), *[1, count, 1][len(words) :]]
        except ValueError:
            raise self.refuse("ElementDataFile", expected=expected) from None
        if len(words) == 1:
            last = first + count - 1
        # Compared before they are counted out: a header may ask for more than any folder holds.
        if step < 1 or (last - first) // step + 1 != count or count > MOST_FILES:
            raise self.refuse("ElementDataFile", "DimSize", expected="a file for each slice")
        digits = (place[1] or "") if (place := NUMBER.search(pattern)) else ""
        return [NUMBER.sub(f"{number:{digits}d}", pattern) for number in range(first, last + 1, step)]

    @property
    def dtype(self) -> np.dtype:
        """How an element is stored."""
        if self.fields.get("ElementType") not in TYPES:
            raise self.refuse("ElementType", expected=f"one of {', '.join(TYPES)}")
        orders = {self.is_true(name) for name in ORDERS if name in self.fields}
        if len(orders) > 1:
            raise self.refuse(*ORDERS, expected="one order of bytes")
        return np.dtype(TYPES[self.fields["ElementType"]]).newbyteorder(">" if True in orders else "<")

    def check(self) -> None:
        """Raise UnplacedError or VolumeError where the voxels cannot be read as the header says."""
        # Without a spacing that of the elements counts, as MetaIO has it.
        name = next((name for name in ("ElementSpacing", "ElementSize") if name in self.fields), "")
        try:
            spacing = [float(word) for word in self.fields.get(name, "").split()]
        except ValueError:
            spacing = []
        if not spacing or not all(0 < abs(side) < math.inf for side in spacing):
            found = f"{name} = {self.fields[name]}" if name else "no ElementSpacing"
            raise UnplacedError(found, file=self.path, expected="a spacing in mm")
        for name, plain in PLAIN.items():
            if self.fields.get(name, plain[0]) not in plain:
                raise self.refuse(name, expected=f"{plain[0]}, or none of it")
        if self.fields.get("BinaryData", "True")[:1] not in TRUE:
            raise self.refuse("BinaryData", expected="True: voxels as bytes")
        if self.local and self._skipped() > 0:
            raise self.refuse("HeaderSize", expected="none where the voxels follow the header")
        needed = self.count * self.dtype.itemsize
        raw = self.path if self.local else self.path.parent / self.data
        if len(self.files) > 1 or self.is_true("CompressedData") or not raw.is_file() or self._skipped() < 0:
            return
        present = raw.stat().st_size - (self.end if self.local else self._skipped())
        if present > needed:
            what = f"{present:,} bytes in {raw.name}"
            raise VolumeError(
                what, file=self.path, expected=f"{needed:,} bytes, as DimSize and ElementType say",
                remedy="correct the header",
            )  # fmt: skip

    @property
    def is_placed(self) -> bool:
        """Whether the header says where the voxels lie in the patient."""
        return not self.fields.keys().isdisjoint(ORIGINS)

    @property
    def count(self) -> int:
        """How many voxels there are; LimitError if too many."""
        return check_size(self.path, self.shape)

    def _skipped(self) -> int:
        """Bytes before the voxels of each file; −1 where they stand at its end."""
        return (self._whole("HeaderSize", "0") or [0])[0]

    def read(self) -> np.ndarray:
        """Voxels float32 in the order of DimSize. Raises VolumeError or ByteOrderError."""
        values, dtype = np.empty(self.count, "f4"), self.dtype
        middle = Middle(self.shape)
        parts = (
            np.split(values, max(len(self.files), 1)) if len(values) % max(len(self.files), 1) == 0 else []
        )
        if not parts or len(self.files) not in (0, 1, self.shape[-1]):
            raise self.refuse("ElementDataFile", "DimSize", expected="a file for each slice")
        for part, name in zip(parts, self.files or [self.path.name], strict=True):
            try:
                with (self.path.parent / name).open("rb") as file:
                    self._seek(file, len(part) * dtype.itemsize)
                    source: ByteSource = Inflated(file) if self.is_true("CompressedData") else file
                    fill(part, source, dtype, self.path, middle.keep)
                    # At the end of what was packed is its checksum.
                    if isinstance(source, Inflated) and source.read(1):
                        expected = (
                            f"{part.nbytes // 4 * dtype.itemsize:,} bytes, as DimSize and ElementType say"
                        )
                        raise VolumeError(
                            f"more of them in {name}", file=self.path, expected=expected,
                            remedy="correct the header",
                        )  # fmt: skip
            except OSError as error:
                found = f"{name}: {error.strerror}"
                raise VolumeError(found, file=self.path, expected="whole voxel data") from error
        check_byte_order(self.path, middle.plane())
        return values.reshape(self.shape, order="F")

    def _seek(self, file: BinaryIO, needed: int) -> None:
        skipped = self._skipped()
        if skipped < 0:
            file.seek(max(file.seek(0, 2) - needed, 0))
        else:
            file.seek(self.end if self.local else skipped)


class Middle:
    """The middle slice of a volume, as it is stored, kept while its voxels pass by."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._size = (shape[1], shape[0])
        number = 0
        for side in reversed(shape[2:]):
            number = number * side + side // 2
        self._first = number * math.prod(self._size)
        self._passed, self._parts = 0, [np.empty(0, "u1")][:0]

    def keep(self, stored: np.ndarray) -> np.ndarray:
        """Take from the next voxels what belongs to the slice, and give them back."""
        first = self._first - self._passed
        self._parts.append(stored[max(first, 0) : max(first + math.prod(self._size), 0)].copy())
        self._passed += len(stored)
        return stored

    def plane(self) -> np.ndarray:
        """The slice (rows, columns)."""
        return np.concatenate(self._parts).reshape(self._size)
