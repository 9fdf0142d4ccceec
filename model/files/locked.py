"""A folder for progress that survives a kill, held by one process and gone when all is done.

It is of no rule's output. What is in it counts only if the digest of all that decides the result agrees.
"""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from pipeline.errors import LockedError
from pipeline.system import lock


def digest(**facts: Any) -> str:
    """SHA-256 of whatever decides a result; the version of torch is added."""
    text = json.dumps({"torch": torch.__version__, **facts}, sort_keys=True, default=asdict)
    return hashlib.sha256(text.encode()).hexdigest()


class Locked:
    """A folder, locked as long as this process lives or until it is closed.

    Raises LockedError, naming the holder, if another process has it.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        self.digest = digest
        self._lock = self._acquire()

    def _acquire(self) -> int:
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            file = self.path / "lock"
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
            if not lock(descriptor, file):
                holder = os.read(descriptor, 100).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                raise LockedError(f"held by process {holder}", file=file)
            with suppress(FileNotFoundError):
                # Another trainer may have finished and removed the folder since the file was opened.
                if file.stat().st_ino == os.fstat(descriptor).st_ino:
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, f"{os.getpid()}\n".encode())
                    return descriptor
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder on success, keep it otherwise; let go of the lock."""
        if kind is None:
            shutil.rmtree(self.path)
        os.close(self._lock)
