"""Start commands from a process that has imported what others wrote: most of a short command is imports.

It is that of :mod:`workflow.warm`, with what most commands need imported beforehand. ``run`` lets the jobs of
``./run`` come from there as well; ``start`` does not, for tests that look at the processes of a run, and gives
each a session of its own.
"""

import atexit
import contextlib
import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from workflow import warm
from workflow.job import WARM, ask, ended

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = (
    "snakemake.cli", "snakemake.workflow", "torch", "pandas", "pyarrow.parquet", "h5py", "scipy.ndimage", "pydicom",
    "matplotlib.figure", "matplotlib.backends.backend_agg", "safetensors.torch", "PIL.Image", "imagehash", "pydantic",
    "jsonschema", "tqdm", "sklearn.linear_model", "SimpleITK", "nibabel", "multiprocessing.forkserver",
    "torch._dynamo", "pyarrow.dataset", "pyarrow.pandas_compat", "matplotlib.pyplot", "snakemake.report.html_reporter",
)  # fmt: skip
"""What others wrote and most commands import."""
OWN_SESSION = "TYPHON_TESTS_OWN_SESSION"
"""Environment variable of a command that is to lead a session."""
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
        environment = {**os.environ, "PYTHONPATH": str(code), OWN_SESSION: "yes"}
        self.pid, self._answers = asked(module, words, folder, environment, [nothing, theirs, theirs])
        os.close(nothing)
        os.close(theirs)
        self.stdout = os.fdopen(mine, encoding="utf-8", errors="replace")
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
    environment = {**os.environ, "PYTHONPATH": str(code), WARM: server()}
    with tempfile.TemporaryFile("w+") as out, Path(os.devnull).open("rb") as nothing:
        files = [nothing.fileno(), out.fileno(), out.fileno()]
        _, answers = asked("workflow.run", words, folder, environment, files)
        answers.settimeout(timeout)
        try:
            status = ended(answers)
        except TimeoutError:  # which ends it
            status = -signal.SIGKILL
        out.seek(0)
        return Ended(status, out.read())


def asked(
    module: str, words: Sequence[str], folder: Path, environment: dict[str, str], files: list[int]
) -> tuple[int, socket.socket]:
    """As :func:`workflow.job.ask`, of this process's server."""
    answered = ask(server(), module, words, str(folder), environment, files)
    assert answered is not None
    return answered


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


def main() -> None:
    """Import the libraries, serve, and in a forked process run its module."""
    for library in LIBRARIES:
        importlib.import_module(library)
    sys.modules["snakemake.cli"].get_argument_parser()  # which looks for plugins in the environment
    warm.settle()
    if found := warm.serve(sys.argv[1]):
        if OWN_SESSION in found[0].environment:
            os.setsid()
        warm.run(*found)


if __name__ == "__main__":
    main()
