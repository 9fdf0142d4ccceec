"""Fuzz one reader for a while: try after try, its process started again when it ends, failures by kind."""

import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing import Pipe
from pathlib import Path
from signal import SIGABRT, Signals
from typing import Any

from pipeline.provenance import ROOT
from workflow.fuzz.outcome import FailureKind, Outcome, of_end
from workflow.fuzz.reader import Input, Reader

READERS = "workflow.fuzz.readers"
START_SECONDS = 300.0
"""Time to import what a reader needs, and to read what it begins with."""
SHORTER_TRIES, SHORTER_SECONDS = 400, 30.0
"""What making an input shorter may take."""


@dataclass
class Failure:
    """The smallest input of a kind, what came of it, and by which try it was found first."""

    given: Input
    outcome: Outcome
    number: int
    times: int = 1


@dataclass
class Tally:
    """What came of one reader so far."""

    name: str
    seconds: float = 0.0
    states: Counter[str] = field(default_factory=Counter)
    failures: dict[FailureKind, Failure] = field(default_factory=dict)

    @property
    def tries(self) -> int:
        """Inputs that were read."""
        return self.states.total()


class _Process:
    """The process of a reader, which is started again where a read has ended it."""

    def __init__(self, module: str, name: str, start: int, folder: Path) -> None:
        reader: Reader = import_module(module).READERS[name]
        home = reader.read.__module__  # which has it in READERS too, and imports less
        self._command = [sys.executable, "-m", "workflow.fuzz.child", home, name]
        self._start, self._folder, self._count = start, folder, 0
        self._seconds = reader.seconds
        self._open()

    def _open(self) -> None:
        self._count += 1
        place = self._folder / f"process{self._count}"
        place.mkdir()
        self._errors = place / "stderr.txt"
        self._pipe, theirs = Pipe()
        known = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([str(ROOT), known] if known else [str(ROOT)])
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [*self._command, str(place), str(self._start), str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, cwd=place, env=environment,
                pass_fds=[theirs.fileno()], start_new_session=True,  # an interrupt is no failure of its
            )  # fmt: skip
        theirs.close()
        wrong = self._receive(START_SECONDS)
        if isinstance(wrong, Outcome) or wrong:
            self.close()
            said = "\n".join(wrong) if isinstance(wrong, list) else f"{wrong.said}\n{wrong.trace}"
            raise RuntimeError(f"what the fuzzer begins with is not read: {said}")

    def ask(self, what: str, argument: Any) -> Any:
        """An answer of the process, or the outcome of its end; then there is another process."""
        self._pipe.send((what, argument))
        answer = self._receive(self._seconds)
        if self._process.poll() is not None:
            self._pipe.close()
            self._open()
        return answer

    def _receive(self, seconds: float) -> Any:
        try:
            if self._pipe.poll(seconds):
                return self._pipe.recv()
            what = f"no end after {seconds:.0f} s"
            self._process.send_signal(SIGABRT)  # faulthandler says where it was
            self._process.wait(10)
        except (EOFError, ConnectionError):
            code = self._process.wait()
            what = f"the end of the process ({Signals(-code).name if code < 0 else f'exit {code}'})"
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return of_end(what, self._errors.read_text(errors="replace"))

    def close(self) -> None:
        """End the process and the children of it."""
        self._pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def fuzz(
    name: str,
    *,
    seconds: float = math.inf,
    tries: float = math.inf,
    start: int = 0,
    module: str | None = None,
    stop: Callable[[], bool] = lambda: False,
    seen: Callable[[Tally, Failure | None], None] = lambda *_: None,
) -> Tally:
    """Try inputs 0, 1, 2 … of the seed ``start`` on a reader of ``module`` until time or tries are over.

    Or until ``stop`` says so. ``seen`` hears of each try, with the failure where it is the first of its kind.
    """
    tally, began = Tally(name), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="typhon-fuzz-") as folder:
        process = _Process(module or READERS, name, start, Path(folder))
        try:
            began = time.monotonic()
            while tally.tries < tries and tally.seconds < seconds and not stop():
                number = tally.tries
                outcome: Outcome = process.ask("try", number)
                tally.states[outcome.state] += 1
                seen(tally, _count(tally, outcome, number, process))
                tally.seconds = time.monotonic() - began
        finally:
            process.close()
    return tally


def _count(tally: Tally, outcome: Outcome, number: int, process: _Process) -> Failure | None:
    """Note a failure; it is returned where it is new, made as short as its kind allows."""
    if outcome.state != "failed":
        return None
    known = tally.failures.get(outcome.kind)
    if known is None:
        given = process.ask("make", number)
        if isinstance(given, Outcome):  # the change itself ended the process
            given = Input("none", b"")
        else:
            given, outcome = _shorter(given, outcome, process)
        tally.failures[outcome.kind] = Failure(given, outcome, number)
        return tally.failures[outcome.kind]
    known.times += 1
    return None


def _shorter(given: Input, outcome: Outcome, process: _Process) -> tuple[Input, Outcome]:
    """The same failure of a shorter input: halves, quarters and so on are left out while the kind stays."""
    content, tries, began = given.content, 0, time.monotonic()
    step = len(content) // 2
    while step and tries < SHORTER_TRIES and time.monotonic() - began < SHORTER_SECONDS:
        place = 0
        while place < len(content) and tries < SHORTER_TRIES and time.monotonic() - began < SHORTER_SECONDS:
            less = Input(given.name, content[:place] + content[place + step :], given.beside)
            now: Outcome = process.ask("read", less)
            tries += 1
            if now.kind == outcome.kind:
                content, outcome = less.content, now
            else:
                place += step
        step //= 2
    return Input(given.name, content, given.beside), outcome
