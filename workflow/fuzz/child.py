"""The process of one reader: makes the inputs, reads them, and says what came of each.

It is started as a plain process, so that a reader does what it does in a step: a decoder that may die gets a
child of its own.
"""

import faulthandler
import importlib
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from pipeline.readers.limits import MEMORY
from workflow.fuzz import guard, preload
from workflow.fuzz.outcome import FINE, Outcome, failure, of_error
from workflow.fuzz.reader import Input, Reader, changed

CEILING = 3 * MEMORY
"""Bytes of address space that are left to the whole process, so that a fault does not take the machine."""


class _Memory:
    """How much this process and its children grow (Linux alone tells and resets the highest mark)."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._all: list[psutil.Process] = []

    def begin(self) -> None:
        """Forget the highest mark."""
        if not all(process.is_running() for process in self._all) or len(self._all) < 2:
            self._all = [self._own, *self._own.children(recursive=True)]
        self._before = {process.pid: self._mark(process.pid, "VmRSS") for process in self._all}
        for process in self._all:
            try:
                Path(f"/proc/{process.pid}/clear_refs").write_text("5")
            except OSError:
                self._before.pop(process.pid)

    def growth(self) -> int:
        """Bytes by which the process grew most of all."""
        return max((self._mark(pid, "VmHWM") - before for pid, before in self._before.items()), default=0)

    def _mark(self, pid: int, name: str) -> int:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:  # it ended
            return 0
        return next((int(line.split()[1]) << 10 for line in lines if line.startswith(name)), 0)


class _Bench:
    """Where inputs are put and read: in a folder of its own each, since readers remember by name."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder, self.memory, self.count = reader, folder, _Memory(), 0

    def read(self, given: Input, *, guarded: bool = True) -> Outcome:
        """Put a file into a fresh folder and read it."""
        self.count += 1
        place = self.folder / str(self.count)
        place.mkdir()
        held = {given.name: given.content, **given.beside}
        for name, content in held.items():
            (place / name).write_bytes(content)
        try:
            self.memory.begin()
            outcome = self._outcome(place / given.name, guarded)
            grown = self.memory.growth()
            if grown > MEMORY:
                return failure(
                    "too much memory", "", f"{grown >> 20} MiB more, and {outcome.said or outcome.state}"
                )
            if not guard.untouched(place, held):
                return failure("another file in the folder, or another content", "", place.name)
            return outcome
        finally:
            shutil.rmtree(place)

    def _outcome(self, path: Path, guarded: bool) -> Outcome:
        guard.guarded = guarded
        try:
            self.reader.read(path)
        except BaseException as error:
            guard.guarded = False
            return of_error(error)
        finally:
            guard.guarded = False
        return FINE


def main(argv: Sequence[str]) -> None:
    """Serve a pipe: ``try`` a number, ``make`` its input, or ``read`` an input that is given."""
    module, name, folder, start, descriptor = argv
    faulthandler.enable()
    reader: Reader = importlib.import_module(module).READERS[name]
    corpus = reader.inputs()
    os.environ[guard.VARIABLE] = "1"
    known = [name for name in ("pipeline.case",) if name in sys.modules]  # its imports take a second
    multiprocessing.set_forkserver_preload([*known, "workflow.fuzz.preload"])
    limit = psutil.Process().memory_info().vms + CEILING
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    bench = _Bench(reader, Path(folder))
    pipe = Connection(int(descriptor))
    tempfile.tempdir = tempfile.gettempdir()  # to find it out is to write
    preload.warm(bench.folder)
    firsts = [bench.read(given, guarded=False) for given in corpus]
    told = zip(corpus, firsts, strict=True)
    pipe.send([f"{given.name}: {one.said} {one.trace}" for given, one in told if one != FINE])
    while True:
        try:
            what, argument = pipe.recv()
        except EOFError:
            return
        if what == "read":
            pipe.send(bench.read(argument))
            continue
        given = changed(reader, corpus, name, int(start), argument)
        pipe.send(given if what == "make" else bench.read(given))


if __name__ == "__main__":
    main(sys.argv[1:])
