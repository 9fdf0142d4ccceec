"""What a MetaImage header promises, checked before it is trusted: which file, how many bytes, which order."""

import math
from pathlib import Path, PureWindowsPath

import numpy as np

from pipeline.errors import ByteOrderError, OutsideError, UnplacedError, VolumeError

BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4,
    "MET_FLOAT": 4, "MET_DOUBLE": 8,
}  # fmt: skip
"""Bytes of an element; of those that are not here (MET_LONG) it depends on who wrote it."""
LONGEST_HEADER = 65536
HUGE = 1e30
"""No measured number is as large; a float whose bytes are turned round often is."""


def read_fields(path: Path) -> tuple[dict[str, str], int, list[str]]:
    """The fields of a header, where it ends, and the names that follow ``ElementDataFile = LIST``."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while "ElementDataFile" not in fields and file.tell() < LONGEST_HEADER:
            line = file.readline(LONGEST_HEADER)
            if not line:
                break
            key, _, value = line.decode("utf-8", "surrogateescape").partition("=")
            fields[key.strip()] = value.strip()
        end = file.tell()
        listed = fields.get("ElementDataFile", "").startswith("LIST")
        names = file.read(LONGEST_HEADER).decode("utf-8", "surrogateescape").split("\n") if listed else []
    return fields, end, [name.strip() for name in names if name.strip()]


def check(path: Path) -> None:
    """Raise OutsideError, UnplacedError or VolumeError where a header leads out of its folder, or astray.

    Links in the folder are the user's own and are followed.
    """
    fields, end, names = read_fields(path)
    data = fields.get("ElementDataFile", "")
    local = data.upper() == "LOCAL"
    for name in names or ([] if local else [data]):
        # A Windows path is one here too: its reader may be ours or another's.
        parts = PureWindowsPath(name)
        if parts.drive or parts.root or ".." in parts.parts:
            raise OutsideError(f"ElementDataFile = {name}", file=path)
    spacing = fields.get("ElementSpacing", "")
    if not all(0 < abs(side) < math.inf for side in _numbers(spacing)):
        raise UnplacedError(f"ElementSpacing = {spacing}", file=path, expected="a spacing in mm")
    size = BYTES.get(fields.get("ElementType", ""))
    raw = path if local else path.parent / data
    if size and not names and fields.get("CompressedData", "False") != "True" and raw.is_file():
        try:
            skip = end if local else int(fields.get("HeaderSize", "0"))
            count = math.prod(map(int, fields["DimSize"].split()))
            needed = count * size * int(fields.get("ElementNumberOfChannels", "1"))
        except (KeyError, ValueError):
            return  # the reader says what is wrong
        present = raw.stat().st_size - max(skip, 0)
        if skip >= 0 and present > needed:
            what = f"{present:,} bytes in {raw.name}"
            raise VolumeError(
                what, file=path, expected=f"{needed:,} bytes, as DimSize and ElementType say",
                remedy="correct the header",
            )  # fmt: skip


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        return []  # the reader says what is wrong


def _roughness(plane: np.ndarray) -> float:
    """How much neighbours differ, over how much all values do: about 1.1 for noise, less for an image."""
    wide = plane.astype("f8")
    spread = float(wide.std())
    return float(np.abs(np.diff(wide, axis=-1)).mean()) / spread if spread and wide.shape[-1] > 1 else 0.0


def check_byte_order(path: Path, voxels: np.ndarray) -> None:
    """Raise ByteOrderError where the voxels are noise as the header reads them, and an image turned round.

    The middle slice is looked at. Whole numbers must both fill four times the range and be twice as rough.
    """
    plane = voxels[(*(size // 2 for size in voxels.shape[:-2]),)]
    if plane.dtype.itemsize == 1:
        return
    turned = plane.byteswap()
    if plane.dtype.kind == "f":
        wrong = not _plausible(plane) and _plausible(turned)
    else:
        ranges = [float(np.ptp(each.astype("f8"))) for each in (plane, turned)]
        wrong = ranges[0] > 4 * ranges[1] and _roughness(plane) > 2 * _roughness(turned)
    if wrong:
        raise ByteOrderError("noise, and an image when the bytes are turned round", file=path)


def _plausible(plane: np.ndarray) -> bool:
    return bool(np.isfinite(plane).all() and np.abs(plane).max() < HUGE)
