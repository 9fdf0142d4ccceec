"""A process that forks jobs: most of a short job is imports, and here they are made once.

``./run`` keeps one beside Snakemake (:func:`beside`), and ``workflow.job`` asks it over a socket. It imports
what two jobs had to import, so that a third one finds it. A job that it does not take runs by itself, and so
nothing depends on it: jobs on other machines, of a scheduler or in containers do without. The project's own
code is imported by what is forked.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
import uuid
import warnings
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, NoReturn

from workflow.job import WARM, end, identity

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""As Snakemake has it for a job of one thread; those of more have processes of their own."""
OURS = ("model", "papers", "pipeline", "tests", "workflow")
"""Packages that each job imports itself, wherever they lie: a copy of the project may have others."""
LARGEST_CALL = 1 << 20
"""Bytes; Linux takes a fifth of that at once, as it comes."""
HARMLESS = ("jemalloc_bg_thd",)
"""Threads that libraries start and take care of in a fork: the allocator of pyarrow."""
LAST_WORDS_S = 1.0
"""How long to wait for the end of the process that forks jobs."""
SET_PARENT_DEATH_SIGNAL = 1
"""prctl(2), PR_SET_PDEATHSIG."""


@contextlib.contextmanager
def beside() -> Iterator[None]:
    """Keep a process that forks jobs, and name it in the environment; it ends with its last job."""
    if sys.platform != "linux" or WARM in os.environ:
        yield
        return
    name = f"typhon-{uuid.uuid4().hex}"
    process = subprocess.Popen(
        [sys.executable, "-m", "workflow.warm", name],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=os.environ | ONE_THREAD,
    )  # fmt: skip
    os.environ[WARM] = name
    try:
        yield
    finally:
        del os.environ[WARM]
        process.stdin.close()  # type: ignore[union-attr]
        with contextlib.suppress(subprocess.TimeoutExpired):  # a job that is to stop may take its time
            process.wait(LAST_WORDS_S)


class Call(NamedTuple):
    """What is asked for, in the process that was forked for it."""

    module: str
    words: list[str]
    folder: str
    environment: dict[str, str]
    identity: list[str]

    def become(self, files: Sequence[int]) -> None:
        """Take on its files, folder, environment and code."""
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(self.folder)
        ours, theirs = (_code(each) for each in (os.environ, self.environment))
        sys.path = [*theirs, *(path for path in sys.path if path not in ours)]
        os.environ.clear()
        os.environ.update(self.environment)
        sys.argv = [self.module, *self.words]
        by_line = bool(self.environment.get("PYTHONUNBUFFERED")) or os.isatty(1)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout = os.fdopen(1, "w", 1 if by_line else -1, closefd=False)
        sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)


def _code(environment: Mapping[str, str]) -> list[str]:
    """The folders of PYTHONPATH."""
    return [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]


class Forked(NamedTuple):
    """A job under way: its process, a file for the names of what it imported, and who waits for it."""

    pid: int
    names: int
    answers: socket.socket

    def signalled(self) -> int:
        """The signal that who waits passes on; SIGKILL where nobody waits any more."""
        with contextlib.suppress(OSError):
            return int(self.answers.recv(64) or signal.SIGKILL)
        return signal.SIGKILL


class Libraries:
    """What jobs import of others: names of modules, and how many of them had to."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def note(self, names: int) -> None:
        """Count the names in an open file."""
        with os.fdopen(names, encoding="utf-8") as file:
            file.seek(0)
            self.count.update(file.read().split())

    def load(self) -> None:
        """Import what two jobs have imported."""
        wanted = [name for name, count in self.count.items() if count > 1]
        for name in wanted:
            del self.count[name]
            with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
                importlib.import_module(name)
        if wanted:
            settle()


def settle() -> None:
    """Have forked processes leave what was imported as it is: what they touch has to be copied."""
    gc.collect()
    gc.freeze()  # or the first pass of their collector would touch all of it
    for finalizer in weakref.finalize._registry:  # type: ignore[attr-defined]
        finalizer.atexit = False  # nor is it theirs to take apart at their end


def imported(last: str) -> list[str]:
    """Names of modules outside the project that came after the module ``last``, in the order of their import.

    Those before it are not even looked at: see :func:`settle`.
    """
    names = [*takewhile(lambda name: name != last, reversed(sys.modules))]
    return [
        name
        for name in reversed(names)
        if name.partition(".")[0] not in OURS
        and str(getattr(sys.modules[name], "__file__", None)).startswith((sys.prefix, sys.base_prefix))
    ]


def serve(name: str) -> tuple[Call, int] | None:
    """Answer calls until the input ends and the last job has; in a forked process, return what it is for.

    Only this user's processes are answered, and only those that this one can stand for.
    """
    os.close(os.pidfd_open(os.getpid()))  # before anything is promised: an old Linux has none
    # Who ends all processes of a run ends the jobs, and with the last of them this one.
    before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in (signal.SIGINT, signal.SIGTERM)}
    prctl = ctypes.CDLL(None).prctl
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"\0{name}")
    listener.listen(64)
    os.dup2(0, 1)  # who reads what this prints knows by its end that it listens
    jobs: dict[int, Forked] = {}
    libraries, asked = Libraries(), True
    ours = [name for name in sys.modules if name.partition(".")[0] in OURS]
    while asked or jobs:
        waiting = [job.answers for job in jobs.values()]
        ready, _, _ = select.select([*((0, listener) if asked else ()), *jobs, *waiting], [], [])
        asked = asked and 0 not in ready
        for number, job in jobs.items():
            if job.answers in ready:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(number, job.signalled())
        for number in [number for number in jobs if number in ready]:
            job = jobs.pop(number)
            os.close(number)
            status = os.waitstatus_to_exitcode(os.waitpid(job.pid, 0)[1])
            libraries.note(job.names)
            with job.answers, contextlib.suppress(OSError):
                job.answers.send(str(status).encode())
        if asked and listener in ready:
            answers, _ = listener.accept()
            if user_of(answers) != os.getuid():
                answers.close()
                continue
            text, files, _, _ = socket.recv_fds(answers, LARGEST_CALL, 3)
            fits = bool(text) and json.loads(text)[-1] == identity()
            if fits:
                libraries.load()
            if fits and alone():
                names = os.memfd_create("names")
                if not (pid := _fork()):
                    prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
                    for signum, handler in before.items():
                        signal.signal(signum, handler)
                    for each in (listener, answers, *waiting):
                        each.close()
                    call = Call(*json.loads(text))
                    call.become(files)
                    for name in ours:
                        del sys.modules[name]  # the call's own may be others
                    return call, names
                jobs[os.pidfd_open(pid)] = Forked(pid, names, answers)
                answers.send(str(pid).encode())
            else:
                answers.close()
            for file in files:
                os.close(file)
    return None


def alone() -> bool:
    """Whether no other thread runs in this process: what it has locked would stay locked in a fork."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended since
            names.append((task / "comm").read_text().strip())
    return sum(name not in HARMLESS for name in names) == 1


def _fork() -> int:
    """Fork; from 3.12 on Python counts the threads that are harmless, too, and warns."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        return os.fork()


def user_of(connection: socket.socket) -> int:
    """Whose process is at the other end: unix(7), SO_PEERCRED."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return int(user)


class Main(ModuleType):
    """What workers of multiprocessing call the main module; that is another one in each forked process."""

    def __getattr__(self, name: str) -> object:
        return getattr(sys.modules["__main__"], name)


def run(call: Call, names: int) -> NoReturn:
    """Run the module of a call, tell what it imported, and end as it does."""
    last = next(reversed(sys.modules))
    sys.modules["__mp_main__"] = Main("__mp_main__")
    try:
        runpy.run_module(call.module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
        if status and not isinstance(leave.code, int):
            print(leave.code, file=sys.stderr)
    except KeyboardInterrupt:
        status = -signal.SIGINT
    except BaseException:
        traceback.print_exc()
        status = 1
    with os.fdopen(names, "w", encoding="utf-8") as file:
        file.write("\n".join(imported(last)))
    _leave(status)


def _leave(status: int) -> NoReturn:
    """Leave as Python does, but for taking apart what was imported: that copies it, and takes a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(end(status))


def main() -> None:
    """Fork jobs for those who ask at the socket that is named."""
    if found := serve(sys.argv[1]):
        run(*found)


if __name__ == "__main__":
    main()
