"""Progress that survives a kill: written whole or not at all, never mixed with that of another run.

A checkpoint folder is of no rule's output. It belongs to whoever holds its lock, and what is in it
counts only if the digest of everything that decides the result agrees.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from model.files.locked import Locked
from model.files.weights import to_bytes
from pipeline.files import atomic

KEEP = 2
log = logging.getLogger("typhon")


class Folder(Locked):
    """A locked folder of checkpoints."""

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
