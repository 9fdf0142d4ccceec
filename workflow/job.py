"""A job of the workflow: ``python -m workflow.job LOG MODULE [ARGUMENTS …]``.

Where ``./run`` keeps a process that forks jobs (:mod:`workflow.warm`), the job comes from there; else this
process becomes it. Until that is known, nothing is imported that takes time.
"""

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

WARM = "TYPHON_WARM"
"""Environment variable that names the socket of the process that forks jobs."""


def ask(
    name: str, module: str, words: Sequence[str], folder: str, environment: Mapping[str, str],
    files: Sequence[int],
) -> tuple[int, socket.socket] | None:  # fmt: skip
    """Have ``python -m module`` forked, on three open files, by the process behind a socket.

    Returns the number of what was forked and a socket that takes signals for it and will tell how it ended;
    if that is closed before, it is killed. None where nobody answers, or that process does not take it.
    """
    answers = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    call = json.dumps([module, [*words], folder, dict(environment), identity()])
    try:
        answers.connect(f"\0{name}")
        socket.send_fds(answers, [call.encode()], files)
        if pid := answers.recv(64):
            return int(pid), answers
    except OSError:  # it is not there yet, not on this machine, or the call is too long
        pass
    answers.close()
    return None


def identity() -> list[str]:
    """What two processes share where one can do the work of the other: Python, mounts, process group."""
    mounts = os.stat("/proc/self/ns/mnt").st_ino if sys.platform == "linux" else 0  # noqa: PTH116
    return [sys.prefix, str(mounts), str(os.getpgrp())]


def pass_on(number: int, answers: socket.socket) -> None:
    """Have a signal end what was forked, which may save its work first, and not this process."""

    def send(_number: int, _frame: object) -> None:
        with contextlib.suppress(OSError):  # who forked it is gone, and it with them
            answers.send(str(number).encode())

    signal.signal(number, send)


def ended(answers: socket.socket) -> int:
    """How a forked process ended, negative for a signal: that of SIGKILL where who forked it is gone."""
    with answers:
        return int(answers.recv(64) or -signal.SIGKILL)


def end(status: int) -> int:
    """An exit status as it is; a signal ends this process too."""
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no other handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def main() -> int:
    """Run the job of ``sys.argv``; its exit status."""
    if name := os.environ.get(WARM):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is forked has it as well, and decides
        here = os.getcwd()  # noqa: PTH109 pathlib takes a while to import
        if asked := ask(name, "workflow.execute", sys.argv[1:], here, os.environ, [0, 1, 2]):
            pass_on(signal.SIGTERM, asked[1])
            return end(ended(asked[1]))
        signal.signal(signal.SIGINT, before)
    from workflow.execute import main as execute

    return execute()


if __name__ == "__main__":
    sys.exit(main())
