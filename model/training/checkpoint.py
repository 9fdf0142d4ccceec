"""Progress that survives a kill: written whole or not at all, never mixed with that of another run.

A checkpoint folder is of no rule's output. It belongs to whoever holds its lock, and what is in it
counts only if the digest of everything that decides the result agrees.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from model.files.weights import to_bytes
from pipeline.errors import LockedError
from pipeline.files import atomic
from pipeline.system import lock

KEEP = 2
log = logging.getLogger("typhon")


def digest(**facts: Any) -> str:
    """SHA-256 of whatever decides a result; the version of torch is added."""
    text = json.dumps({"torch": torch.__version__, **facts}, sort_keys=True, default=asdict)
    return hashlib.sha256(text.encode()).hexdigest()


class Folder:
    """A checkpoint folder, locked as long as this process lives or until it is closed.

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

    def __enter__(self) -> "Folder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder on success, keep it otherwise; let go of the lock."""
        if kind is None:
            shutil.rmtree(self.path)
        os.close(self._lock)

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Add a checkpoint and drop all but the last two."""
        content = to_bytes(tensors, digest=self.digest, state=state)
        files = self._files()
        serial = int(files[-1].name.split("-")[0]) + 1 if files else 0
        # The name carries the content's checksum: one file, complete or void.
        name = f"{serial:08d}-{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
        with atomic(self.path / name) as beside:
            beside.write_bytes(content)
        for old in self._files()[:-KEEP]:
            old.unlink()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The last whole checkpoint of this digest, or None; the log says why others are void."""
        for path in reversed(self._files()):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest()[:32] != path.stem.split("-")[1]:
                log.warning("checkpoint %s is damaged: trying the one before", path)
                path.unlink()
                continue
            with safetensors.safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["about"])
            if about["digest"] != self.digest:
                log.warning("checkpoint %s is void: settings, data or code are others now", path)
                path.unlink()
                continue
            return safetensors.torch.load(content), about["state"]
        return None

    def _files(self) -> list[Path]:
        return sorted(self.path.glob("*-*.safetensors"))
