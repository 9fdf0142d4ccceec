"""Who drives the workflow in a folder: no second one beside it, and no orphans after a dead one.

Snakemake's lock outlives a ``kill -9``, and so do its jobs. ``.snakemake/driver.json`` names the process that
drives a folder; every process that it starts carries a mark in its environment. Where the lock is there but
the driver is dead on this host, its orphans are ended and the lock is taken away.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.errors import LockedError
from pipeline.files import write_text

FILE = ".snakemake/driver.json"
BEGUN = ".snakemake/run.json"
"""The same of the last run that started a job or found nothing to do: what a report is about."""
MARK = "TYPHON_DRIVER"
GRACE_SECONDS = 10.0
"""Between SIGTERM and SIGKILL: enough for a trainer to write its checkpoint."""
PASSED_ON_SECONDS = 1.0
"""Between a signal and its passing on: Ctrl-C in a terminal reaches the jobs by itself."""


def record(folder: Path, argv: Sequence[str], started_in: Path) -> None:
    """Write down that this process drives ``folder``, and mark it and all its children to come.

    ``argv`` and ``started_in`` tell how it was called, unless this process has written that down before.
    """
    mark = f"{os.getpid()}-{_started(os.getpid())}"
    os.environ[MARK] = mark
    if (read(folder) or {}).get("mark") != mark:
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "boot": _boot(), "mark": mark}
        facts |= {"argv": list(argv), "started_in": str(started_in)}
        write_text(folder / FILE, json.dumps(facts))


def begun(folder: Path) -> None:
    """Write down that the driver of ``folder`` got as far as its jobs, and had not a word wrong."""
    write_text(folder / BEGUN, (folder / FILE).read_text(encoding="utf-8"))


def read(folder: Path, name: str = FILE) -> dict[str, Any] | None:
    """What the last driver of ``folder`` wrote down; None if it is not there or damaged."""
    try:
        facts: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
        return facts if {"pid", "host", "boot", "mark", "argv", "started_in"} <= set(facts) else None
    except (OSError, ValueError, TypeError):
        return None


def clear(folder: Path) -> str:
    """Take away the lock that a dead driver left; returns what was done in one line, empty if nothing was.

    Raises LockedError if the driver lives, or if that cannot be known.
    """
    locks = folder / ".snakemake" / "locks"
    if not locks.is_dir() or not any(locks.iterdir()):
        return ""
    facts = read(folder)
    if facts is None:
        return ""  # not ours: Snakemake explains its lock
    pid, host = facts["pid"], facts["host"]
    if host != socket.gethostname():
        raise _locked(folder, f"process {pid} on {host}", "if it has ended there: ./run --unlock")
    same_boot = facts["boot"] == _boot()
    if same_boot and facts["mark"] == f"{pid}-{_started(pid)}":
        if facts.get("stopping"):
            raise _locked(folder, f"process {pid}, which is stopping", "wait for it, some seconds as a rule")
        raise _locked(folder, f"process {pid}", f"wait for it, or end it: kill {pid}")
    ended = _end_all(facts["mark"]) if same_boot else 0
    shutil.rmtree(locks)  # what snakemake --unlock does, without reading the workflow first
    orphans = f" and ended what its jobs had left running ({ended})" if ended else ""
    return f"The last driver of {folder.resolve()}, process {pid}, is dead: cleared its lock{orphans}."


def stop_jobs_with_me(folder: Path) -> None:
    """Have Ctrl-C and SIGTERM end the jobs as well, also where they reach this process alone.

    Snakemake would wait for them, be it for days. A trainer saves its progress first.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)
        if callable(before):  # else it is ignored, as in the background of a script
            signal.signal(number, functools.partial(_stop, folder.resolve(), before))


def _stop(folder: Path, before: Callable[..., Any], number: int, frame: FrameType | None) -> None:
    mark = os.environ[MARK]
    if facts := read(folder):
        write_text(folder / FILE, json.dumps(facts | {"stopping": True}))
    passing_on = threading.Timer(PASSED_ON_SECONDS, _interrupt, (mark,))
    passing_on.daemon = True
    passing_on.start()
    before(number, frame)


def _interrupt(mark: str) -> None:
    for pid in _marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)  # which every step knows how to end by


def _locked(folder: Path, found: str, remedy: str) -> LockedError:
    return LockedError(
        found, file=folder.resolve(), expected="no other driver of the workflow", remedy=remedy
    )


def _boot() -> str:
    """Names the time since the machine was started; empty where that is unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process was started, in clock ticks since boot; empty if there is none (or it is a zombie).

    Without /proc, ``unknown`` for any process that is there.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = status.rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]  # proc(5): state is the 3rd field, starttime the 22nd
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "unknown"


def _marked(mark: str) -> list[int]:
    """Processes of ours that carry the mark."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
            if wanted in (process / "environ").read_bytes().split(b"\0") and _started(int(process.name)):
                found.append(int(process.name))
    return [pid for pid in found if pid != os.getpid()]


def _end_all(mark: str) -> int:
    """End all processes that carry the mark; returns how many there were."""
    count = len(pids := _marked(mark))
    for how in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        limit = time.monotonic() + GRACE_SECONDS
        while (pids := _marked(mark)) and time.monotonic() < limit:
            time.sleep(0.1)
    return count
