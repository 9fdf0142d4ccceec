"""Voxels of a volume as float32, read piece by piece: no more memory is taken than the result needs."""

import gzip
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.errors import LimitError, VolumeError
from pipeline.readers import limits

PIECE = 2**22
"""Values that are read at once."""


class ByteSource(Protocol):
    """What bytes are read from: a file, or what unpacks one."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes."""
        ...


class Inflated:
    """The content of a stream that zlib or gzip has packed, from where it stands."""

    def __init__(self, file: ByteSource) -> None:
        self._file = file
        self._packed = zlib.decompressobj(wbits=47)

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes, fewer only at the end."""
        parts, missing = [], size
        while missing and not self._packed.eof:
            packed = self._packed.unconsumed_tail or self._file.read(2**20)
            part = self._packed.decompress(packed, missing)
            if not packed and not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


def check_size(path: Path, shape: Sequence[int]) -> int:
    """How many voxels a header promises; LimitError where they would not fit into the promised memory."""
    count = math.prod(map(int, shape))
    if 4 * count > limits.MEMORY:
        found = f"{'×'.join(map(str, shape))} voxels, which take {4 * count:,} bytes"
        raise LimitError(found, file=path, remedy="cut the volume to what is needed, or correct its header")
    return count


def fill(
    values: np.ndarray,
    source: ByteSource,
    dtype: np.dtype,
    path: Path,
    convert: Callable[[np.ndarray], np.ndarray] = lambda stored: stored,
) -> None:
    """Read as many stored values as ``values`` (n,) holds, float32, each piece by way of ``convert``.

    Raises VolumeError where there are fewer.
    """
    with np.errstate(all="ignore"):  # of numbers that are none: those are looked for
        for start in range(0, len(values), PIECE):
            part = values[start : start + PIECE]
            content = source.read(len(part) * dtype.itemsize)
            if len(content) < len(part) * dtype.itemsize:
                present = start * dtype.itemsize + len(content)
                announced = f"{len(values) * dtype.itemsize:,} bytes of voxels"
                raise VolumeError(
                    f"{present:,}, and announced {announced}", file=path, expected="whole voxel data"
                )
            part[:] = convert(np.frombuffer(content, dtype))


def opened(path: Path) -> gzip.GzipFile:
    """A file that gzip has packed, or any other as it is."""
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]
