"""What the system says no to: which place is full, and which errors are of access rather than of content."""

import errno
import fcntl
import logging
import os
import shutil
import tempfile
from pathlib import Path

from pipeline.errors import AccessError, DiskError, InputError, MemoryShortError

log = logging.getLogger("typhon")
INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it."""
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
NO_ACCESS = {
    errno.EACCES, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOLCK, errno.ENAMETOOLONG, errno.ELOOP,
    errno.ENOTCONN, errno.ENXIO, errno.ENODEV,
}  # fmt: skip
"""Errors that say nothing about what a file holds: permissions, disks, mounts and network shares."""
UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EBADF}
"""What a file system answers that cannot do a thing at all, such as lock a file or sync a folder."""
SHARED_MEMORY = Path("/dev/shm")
FULL = 2**24
"""Free bytes below which a place may be what an error is about."""
SOCKET_FOLDER = 64
"""Bytes of the name of a folder in which a socket may still lie: its path has at most 107 (unix(7))."""


def lock(descriptor: int, path: str | Path) -> bool:
    """Lock an open file until it is closed; False where another process has it.

    A file system that knows no locks is told in the log. Raises OSError, of the file, for any other reason.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        locate(error, path)
        if error.errno not in UNSUPPORTED:
            raise
        log.warning("%s cannot be locked here: let no other job use what it stands for", path)
    return True


def locate(error: OSError, path: str | Path) -> None:
    """Have an error know its file and, before anything is cleared away, which place is full.

    The system tells neither of what is written to an open file.
    """
    error.filename = error.filename or str(path)
    if error.errno in NO_ROOM:
        vars(error).setdefault("room", fullest(error))


def fullest(error: OSError) -> str:
    """Which folder has no room, and how much there is.

    That of the file, unless one of the places that are written without being named is fuller: temporary
    files, and the shared memory between processes. A quota knows no such number: that of the file.
    """
    if "room" in vars(error):
        return str(vars(error)["room"])
    file = Path(error.filename or ".").absolute()
    places = [next(parent for parent in (file, *file.parents) if parent.is_dir())]
    if error.errno == errno.ENOSPC:
        places += _unnamed()
    own, *others = ((room(place), place) for place in places)
    free, place = min((found for found in others if found[0] < min(own[0], FULL)), default=own)
    return f"room for no further file in {place}" if free < 0 else f"{free:,} bytes free in {place}"


def room(place: Path) -> int:
    """Free bytes in a folder; -1 where no file can be added to it, be it empty."""
    about = os.statvfs(place)
    return -1 if about.f_files and not about.f_favail else shutil.disk_usage(place).free


def closed(error: OSError) -> str:
    """The folder for what is written without being named, where an error without a name is about one."""
    if error.errno not in (errno.EROFS, errno.EACCES):
        return ""
    return next((str(place) for place in _unnamed() if not os.access(place, os.W_OK)), "")


def _unnamed() -> list[Path]:
    return [place for place in (_temporary(), SHARED_MEMORY) if place.is_dir()]


def _temporary() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except OSError:  # no place that can be written
        return Path(os.environ.get("TMPDIR", "/tmp"))


def short_temporary() -> str | None:
    """A folder for temporary files whose name is short enough for a socket in it; None is the usual one."""
    if len(os.fsencode(_temporary())) <= SOCKET_FOLDER:
        return None
    places = ("/tmp", "/var/tmp", str(SHARED_MEMORY))
    return next((place for place in places if os.access(place, os.W_OK | os.X_OK)), None)


def of_system(error: OSError | MemoryError, file: str | Path = "") -> InputError | None:
    """What to tell of an error that says nothing about what a file holds; None of any other."""
    if isinstance(error, MemoryError) or error.errno == errno.ENOMEM:
        return MemoryShortError(str(error) or "none left", file=file)
    file = file or error.filename or ""
    if error.errno in NO_ROOM:
        return DiskError(f"{fullest(error)} ({os.strerror(error.errno)})", file=file)
    if error.errno in NO_ACCESS:
        return AccessError(os.strerror(error.errno), file=file or closed(error))
    return None
