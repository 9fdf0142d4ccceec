"""No reader writes or starts anything: where the fuzzer reads, each attempt is an exception of its own."""

import os
import sys
from pathlib import Path
from typing import Any

VARIABLE = "TYPHON_FUZZ_GUARDED"
"""Set where a process that imports this module is guarded from then on: the children of a reader."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
STARTS = {"os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pty.spawn"}
CHANGES = {
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
    "shutil.rmtree", "shutil.move",
}  # fmt: skip

guarded = VARIABLE in os.environ


class TrespassError(BaseException):
    """Raised through all that a reader catches."""


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not guarded:
        return
    if event in STARTS or event in CHANGES:
        raise TrespassError(f"{event} {str(arguments[0])[:200]}")
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & WRITES and not isinstance(path, int) and path != os.devnull:
            raise TrespassError(f"writes {str(path)[:200]}")


def install() -> None:
    """Guard this process when ``guarded`` is set; what C code does by itself is not seen."""
    sys.dont_write_bytecode = True
    sys.addaudithook(_watch)


def untouched(folder: Path, before: dict[str, bytes]) -> bool:
    """Whether a folder still holds these files alone, as they were."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} == before
