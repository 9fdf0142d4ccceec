"""Start commands from a process that has imported what others wrote: most of a short command is imports.

Started as a module, it forks a process for each call that comes to its socket, and tells how it ended. What is
forked imports the project's code itself, or that of a copy. ``run`` lets the jobs of ``./run`` come from there
as well; ``start`` does not, for tests that look at the processes of a run, and gives each a session of its own.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, NoReturn

from tests.ask import NAME, ask

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = (
    "snakemake.cli", "snakemake.workflow", "torch", "pandas", "pyarrow.parquet", "h5py", "scipy.ndimage", "pydicom",
    "matplotlib.figure", "matplotlib.backends.backend_agg", "safetensors.torch", "PIL.Image", "imagehash", "pydantic",
    "jsonschema", "tqdm", "sklearn.linear_model", "SimpleITK", "nibabel", "multiprocessing.forkserver",
    "torch._dynamo", "pyarrow.dataset", "pyarrow.pandas_compat", "matplotlib.pyplot", "snakemake.report.html_reporter",
)  # fmt: skip
"""What others wrote and most commands import."""
JOBS = ROOT / "tests" / "jobs.sh"
_servers: list[tuple[subprocess.Popen[bytes], str]] = []


class Ended(NamedTuple):
    """How a call ended."""

    returncode: int
    printed: str


class Process:
    """A command under way, as ``subprocess.Popen`` has it; ``stdout`` is all that it prints."""

    def __init__(self, module: str, words: Sequence[str], folder: Path, code: Path) -> None:
        mine, theirs = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        environment = {**os.environ, "PYTHONPATH": str(code)}
        files = [nothing, theirs, theirs]
        self._answers = ask(server(), module, words, str(folder), environment, files, own_session=True)
        os.close(nothing)
        os.close(theirs)
        self.stdout = os.fdopen(mine, encoding="utf-8", errors="replace")
        self.pid = int(self._answers.recv(64))
        self.returncode: int | None = None
        self._printed: list[str] = []

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None before the end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the exit status. Raises TimeoutExpired."""
        if self.returncode is None:
            self._answers.settimeout(timeout)
            try:
                self.returncode = int(self._answers.recv(64))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("", timeout or 0) from None
            self._answers.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Read what is printed until the end. Raises TimeoutExpired."""
        if not self._printed:
            reader = threading.Thread(target=lambda: self._printed.append(self.stdout.read()), daemon=True)
            reader.start()
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired("", timeout or 0)
            self.stdout.close()
        self.wait(timeout)
        return self._printed[0], None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def start(module: str, *words: str, folder: Path, code: Path = ROOT) -> Process:
    """``python -m module`` of this checkout, or of a copy of its code, in a folder and a session of its own."""
    return Process(module, words, folder, code)


def run(folder: Path, words: Sequence[str], code: Path = ROOT, timeout: int = 600) -> Ended:
    """Call ``./run`` of this checkout, or of a copy of its code, in a folder."""
    name = server()
    environment = {**os.environ, "PYTHONPATH": str(code), NAME: name, "BASH_ENV": str(JOBS)}
    with tempfile.TemporaryFile("w+") as out, Path(os.devnull).open("rb") as nothing:
        files = [nothing.fileno(), out.fileno(), out.fileno()]
        answers = ask(name, "workflow.run", words, str(folder), environment, files, own_session=False)
        pid = int(answers.recv(64))
        answers.settimeout(timeout)
        try:
            status = int(answers.recv(64))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            status = -signal.SIGKILL
        answers.close()
        out.seek(0)
        return Ended(status, out.read())


def server() -> str:
    """The name of the socket of this process's server, which ends with it."""
    if not _servers:
        name = f"typhon-tests-{os.getpid()}-{uuid.uuid4().hex}"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        line = [sys.executable, "-m", "tests.warm", name]
        pipe = subprocess.PIPE
        process = subprocess.Popen(line, stdin=pipe, stdout=pipe, cwd=ROOT, env=environment)
        atexit.register(process.communicate)
        assert process.stdout is not None
        process.stdout.read()  # ends when it listens
        _servers.append((process, name))
    return _servers[0][1]


class Call(NamedTuple):
    """What was asked for, in the process that was forked for it."""

    module: str
    words: list[str]
    folder: str
    environment: dict[str, str]
    own_session: bool

    def become(self, files: Sequence[int]) -> None:
        """Take on its files, session, folder, environment and code."""
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        if self.own_session:
            os.setsid()
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        code = self.environment["PYTHONPATH"]
        sys.path = [code if path == str(ROOT) else path for path in sys.path]
        sys.argv = [self.module, *self.words]
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, buffering, closefd=False)
            for number, mode, buffering in ((0, "r", -1), (1, "w", -1), (2, "w", 1))
        )


def serve(name: str) -> Call | None:
    """Answer calls until the input ends; in a forked process, return what it is for."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"\0{name}")
    listener.listen(64)
    os.dup2(0, 1)  # whoever started this reads until here
    under_way: dict[int, tuple[int, socket.socket]] = {}
    while True:
        ready, _, _ = select.select([0, listener, *under_way], [], [])
        if 0 in ready:
            return None
        for number in (number for number in ready if number in under_way):
            pid, answers = under_way.pop(number)
            os.close(number)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with answers, contextlib.suppress(OSError):  # nobody may be waiting any more
                answers.send(str(status).encode())
        if listener in ready:
            answers, _ = listener.accept()
            text, files, _, _ = socket.recv_fds(answers, 1 << 20, 3)
            if not (pid := os.fork()):
                for each in (listener, answers, *(other for _, other in under_way.values())):
                    each.close()
                for number in under_way:
                    os.close(number)
                call = Call(*json.loads(text))
                call.become(files)
                return call
            for file in files:
                os.close(file)
            under_way[os.pidfd_open(pid)] = pid, answers
            answers.send(str(pid).encode())


class Main(ModuleType):
    """What workers of multiprocessing call the main module; that is another one in each forked process."""

    def __getattr__(self, name: str) -> object:
        return getattr(sys.modules["__main__"], name)


def end(status: int) -> NoReturn:
    """Leave as Python does, but for taking apart all that was imported: that copies it, and takes a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def main() -> None:
    """Import the libraries, serve, and in a forked process run its module."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for library in LIBRARIES:
        importlib.import_module(library)
    sys.modules["__mp_main__"] = Main("__mp_main__")
    gc.freeze()
    if (call := serve(sys.argv[1])) is None:
        return
    signal.signal(signal.SIGINT, before)
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
    end(status)


if __name__ == "__main__":
    main()
