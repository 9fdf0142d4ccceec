"""Walk through a folder of downloads as people leave it: links, loops, closed folders, odd names."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path


def file_state(path: str | Path) -> tuple[int, int]:
    """Size and time (ns) of a regular file; −1 for what cannot be read, such as a dangling link or a pipe."""
    try:
        state = os.stat(path)  # noqa: PTH116  (a path of pathlib takes longer than this)
    except OSError:
        return -1, -1
    return (state.st_size, state.st_mtime_ns) if stat.S_ISREG(state.st_mode) else (-1, -1)


def scan(raw: Path) -> Iterator[tuple[str, int, int]]:
    """Every file below ``raw``: its path relative to it, its size and time, folder by folder in order.

    Links are followed, but no folder is entered twice, so that a loop of links ends. A folder that cannot
    be read is given as if it were a file, to be listed with the unreadable ones.
    """
    entered: set[str] = set()
    closed: list[str] = []
    for folder, folders, files in os.walk(
        raw, followlinks=True, onerror=lambda error: closed.append(error.filename)
    ):
        if os.path.realpath(folder) in entered:
            folders.clear()
            continue
        entered.add(os.path.realpath(folder))
        folders.sort()
        below = Path(folder).relative_to(raw).as_posix()
        inside = "" if below == "." else f"{below}/"
        for name in sorted(files):
            # A name in another encoding cannot be written to a table; with � in it, it is no file.
            text = os.fsencode(inside + name).decode("utf-8", "replace")
            yield text, *file_state(f"{raw}/{text}")
    for folder in sorted(closed):
        if Path(folder) != raw:
            yield Path(folder).relative_to(raw).as_posix(), -1, -1
