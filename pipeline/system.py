"""What the system says no to: which place is full, and which errors are of access rather than of content."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

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


def fullest(error: OSError) -> tuple[Path, int]:
    """The folder that has no room, and its free bytes.

    That of the file, unless one of the places that are written without being named is fuller: temporary
    files, and the shared memory between processes. A quota knows no such number: that of the file.
    """
    file = Path(error.filename or ".").absolute()
    places = [next(parent for parent in (file, *file.parents) if parent.is_dir())]
    if error.errno == errno.ENOSPC:
        places += [place for place in (_temporary(), SHARED_MEMORY) if place.is_dir()]
    own, *others = ((place, shutil.disk_usage(place).free) for place in places)
    full = [(place, free) for place, free in others if free < min(own[1], FULL)]
    return min(full, key=lambda found: found[1], default=own)


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
