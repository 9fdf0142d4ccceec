"""Limits for reading one untrusted file: one that grows without bound must not take the machine down.

A deflated header grows a thousandfold, and a header of a few bytes may ask for 65,535 × 65,535 pixels.
"""

import multiprocessing
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from pipeline.errors import LimitError

MEMORY = 2**30
"""Bytes by which a process may grow while it reads one file."""
SECONDS = 60
"""Time for reading one file."""

_STATE = Path("/proc/self/statm")
_PAGE = resource.getpagesize()


def _lower(kind: int, limit: int) -> tuple[int, int]:
    """Lower a soft limit of this process, never above what was there; returns what was there."""
    before = resource.getrlimit(kind)
    ceilings = [ceiling for ceiling in before if ceiling != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min([limit, *ceilings]), before[1]))
    return before


def _lowered() -> Iterator[tuple[int, tuple[int, int]]]:
    """Lower the limits of memory and, in a worker, of processor time; gives what was there before."""
    if _STATE.exists():  # else macOS, which keeps no such limit either
        used = int(_STATE.read_bytes().split()[0]) * _PAGE
        yield resource.RLIMIT_AS, _lower(resource.RLIMIT_AS, used + MEMORY)
    if multiprocessing.parent_process() is not None:
        # Within a codec no signal is heard. What hangs there ends its worker, and the pool tells it as lost.
        limit = int(time.process_time()) + 2 * SECONDS
        yield resource.RLIMIT_CPU, _lower(resource.RLIMIT_CPU, limit)


@contextmanager
def limited(path: Path) -> Iterator[None]:
    """Read a file within MEMORY and SECONDS; raises LimitError where that is not enough."""

    def stop(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001  (what a handler is given)
        raise LimitError(f"no end of it after {SECONDS} s", file=path)

    alarmed = threading.current_thread() is threading.main_thread()  # which alone hears signals
    limits = list(_lowered())
    try:
        if alarmed:
            handler = signal.signal(signal.SIGALRM, stop)
            # Again every second: a parser may swallow the first.
            signal.setitimer(signal.ITIMER_REAL, SECONDS, 1)
        try:
            yield
        finally:
            if alarmed:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, handler)
    except MemoryError as error:
        raise LimitError(f"more than {MEMORY >> 20} MiB asked for", file=path) from error
    finally:
        for kind, before in limits:
            resource.setrlimit(kind, before)
