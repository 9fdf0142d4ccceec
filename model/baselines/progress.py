"""Blocks of numbers that outlive a kill: each is appended with its checksum, and counts only as a whole."""

import logging
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

log = logging.getLogger("typhon")

CHECKSUM = 4
"""Bytes of a block's CRC-32 before it."""


class Blocks:
    """A file of float32 blocks of one shape, which begins with the digest of all that decides them.

    What another digest has left is void, and so is whatever follows a block that is cut or damaged.
    """

    def __init__(self, path: Path, digest: str, shape: tuple[int, ...]) -> None:
        self.path, self.shape = path, shape
        self._start, self._size = len(digest), CHECKSUM + 4 * int(np.prod(shape))
        self.count = 0
        """How many whole blocks there are."""
        if path.is_file():
            with path.open("rb") as file:
                if file.read(self._start) == digest.encode():
                    while self._whole(file.read(self._size)):
                        self.count += 1
                else:
                    log.warning("%s is void: settings, data or code are others now", path)
        if not self.count:
            path.write_bytes(digest.encode())
        self.cut(self.count)

    def _whole(self, record: bytes) -> bool:
        checksum = zlib.crc32(record[CHECKSUM:]).to_bytes(CHECKSUM, "little")
        return len(record) == self._size and record[:CHECKSUM] == checksum

    def cut(self, count: int) -> None:
        """Keep the first ``count`` blocks."""
        with self.path.open("r+b") as file:
            file.truncate(self._start + count * self._size)
        self.count = count

    def append(self, block: np.ndarray) -> None:
        """Add a block; what is in the file before a kill stays there."""
        content = np.ascontiguousarray(block, "<f4").tobytes()
        with self.path.open("ab") as file:
            file.write(zlib.crc32(content).to_bytes(CHECKSUM, "little") + content)
        self.count += 1

    def __iter__(self) -> Iterator[np.ndarray]:
        """The whole blocks that there were when this was asked."""
        count = self.count
        with self.path.open("rb") as file:
            file.seek(self._start)
            for _ in range(count):
                yield np.frombuffer(file.read(self._size)[CHECKSUM:], "<f4").reshape(self.shape)
