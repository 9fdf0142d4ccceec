"""Run a module as ``python -m`` would, with its errors on the terminal and in a log file.

The log begins with the command, ready to be pasted, and ends with what it cost (:func:`cost`). Progress
bars go to the terminal only: whatever redraws its line is no log line. Rules call :mod:`workflow.job`.
"""

import io
import logging
import os
import resource
import runpy
import shlex
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from pipeline.cli import import_quickly
from pipeline.system import INTERRUPTED


class Tee(io.TextIOBase):
    """A text stream that passes everything on and copies whole lines without carriage returns to a log."""

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self.stream, self.log, self.line = stream, log, ""

    def write(self, text: str) -> int:
        """Pass ``text`` on; log the lines that it completes."""
        self.stream.write(text)
        *lines, self.line = (self.line + text).split("\n")
        for line in lines:
            kept = line.rpartition("\r")[2]
            if kept.strip():
                self.log.write(f"{kept}\n")
        return len(text)

    def flush(self) -> None:
        """Flush both; a partly written line waits for its end."""
        self.stream.flush()
        self.log.flush()

    def isatty(self) -> bool:
        """Whether a person is watching: progress bars ask."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """The terminal's descriptor, for subprocesses and faulthandler."""
        return self.stream.fileno()


def run(log: TextIO, module: str, arguments: Sequence[str]) -> int:
    """Run ``module`` with ``arguments`` and return its exit status; stderr is copied to ``log``."""
    start, terminal, dropped = time.monotonic(), sys.stderr, threading.Event()

    def again(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)
            return
        # Python drops what is raised in a finalizer. The step would go on without its processes, which had
        # the same interrupt, or fail and say that the system has ended them.
        dropped.set()
        once_more = threading.Timer(0.1, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
        once_more.daemon = True
        once_more.start()

    sys.unraisablehook = again
    print(f"python -m {shlex.join([module, *arguments])}", file=log, flush=True)
    sys.argv = [module, *arguments]
    sys.stderr = Tee(terminal, log)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    import_quickly()
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as leave:
        status = _status(leave.code)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # more of them would break off what is still to be said
        status = INTERRUPTED
    except Exception:  # a bug of ours: the traceback belongs in the log as well
        traceback.print_exc()
        status = 1
    if status and dropped.is_set():
        status = INTERRUPTED
    ended = "done" if status == 0 else f"failed with {status}"
    print(f"{ended} after {cost(time.monotonic() - start)}", file=log)
    sys.stderr.flush()
    sys.stderr, sys.unraisablehook = terminal, sys.__unraisablehook__
    return status


def cost(seconds: float) -> str:
    """What this process took: seconds of the clock and of the CPU, and the memory of its largest process.

    Snakemake's benchmark has the latter of those jobs alone that it starts itself, see :mod:`workflow.warm`.
    """
    own, others = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    memory = max(own.ru_maxrss, others.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
    return f"{seconds:.1f} s (CPU {cpu:.1f} s, {memory / 1e6:.0f} MB)"


def _status(code: Any) -> int:
    """The exit status that Python gives to ``sys.exit(code)``; a message is printed."""
    if code is None or isinstance(code, int):
        return int(code or 0)
    print(code, file=sys.stderr)
    return 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``LOG MODULE [ARGUMENTS …]``."""
    path, module, *arguments = sys.argv[1:] if argv is None else argv
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        with Path(path).open("w", encoding="utf-8", buffering=1) as log:
            status = run(log, module, arguments)
    except KeyboardInterrupt:  # a second one
        status = INTERRUPTED
    if status == INTERRUPTED and "pipeline.pool" in sys.modules:
        sys.modules["pipeline.pool"].leave(status)
    if status == 0 and os.environ.get("TYPHON_LOG"):
        from workflow.tracking import tell  # which most jobs do not need

        tell(module, arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
