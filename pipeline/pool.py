"""Run a function in other processes: over many items, in their order, or once where it may end its process.

A decoder is C or C++ code that runs on a stranger's bytes. What it does to its process must not end the step.
"""

import functools
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, util
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Concatenate, NoReturn, ParamSpec, TypeVar

from tqdm import tqdm

from pipeline.errors import LimitError, MemoryShortError
from pipeline.system import INTERRUPTED, short_temporary

Item = TypeVar("Item")
Result = TypeVar("Result")
Options = ParamSpec("Options")

LOOK_S = 1.0
"""How often to look for workers that have ended while a result is waited for."""


class Pool(ProcessPoolExecutor):
    """Processes that break the pool when the system ends one of them, be it in the middle of a result.

    Then half of that lies in the pipe which all results come through, and the thread that reads there would
    wait for the rest without an end, and so would we.
    """

    def outcome(self, future: Future[Result]) -> Result:
        """What ``future.result()`` gives or raises."""
        stuck = False
        while True:
            try:
                return future.result(LOOK_S)
            except TimeoutError:  # of this look, or of the function itself
                if future.done():
                    return future.result()
            processes = [*(self._processes or {}).values()]
            if wait([process.sentinel for process in processes], 0):
                if stuck:  # the thread had a second to see it
                    for process in processes:
                        process.kill()
                    # The last one: now the thread reads an end. Python has no public name for it.
                    self._result_queue._writer.close()  # type: ignore[attr-defined]
                stuck = True


_kept: list[Pool] = []
"""The worker that stays for the next call, if there is one."""
_keeping = threading.Lock()


def in_worker() -> bool:
    """Whether this process is one that may die: another one waits for its results."""
    return multiprocessing.parent_process() is not None


def _run(function: Callable[[Item], Result], chunk: Sequence[Item], folder: str) -> list[Result]:
    with suppress(OSError):
        os.chdir(folder)  # a worker that is kept may come from another one
    return [function(item) for item in chunk]


def _submit(pool: Pool, function: Callable[[Item], Result], chunk: Sequence[Item]) -> Future[list[Result]]:
    with _script_kept_out():  # a worker starts when there is something to do
        return pool.submit(_run, function, chunk, str(Path.cwd()))


@contextmanager
def _script_kept_out() -> Iterator[None]:
    """Have workers that start now not run a user's plain script, which would call us again.

    The functions of a step that runs as ``python -m`` are in its main module, which workers need.
    """
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if getattr(main, "__spec__", None) is not None or path is None:
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = path


def _end_with_parent() -> None:
    """End this worker when the step that it works for ends: nobody else would where that was killed.

    Ctrl-C reaches all processes of a terminal. A worker that it stops while it sends a result leaves half of
    that in the pipe, and whoever reads there waits for the rest without an end. So only the step hears it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=[parent.sentinel], daemon=True).start()


def _pool(processes: int) -> Pool:
    # A fork server has no threads of ours to copy, so a fork can never deadlock.
    context = multiprocessing.get_context("forkserver")
    step = getattr(sys.modules["__main__"], "__spec__", None)
    if step is not None and step.name.startswith("pipeline."):
        # So all workers of a step share its imports; else each would take the time and the memory for them.
        context.set_forkserver_preload([name for name in sys.modules if name.startswith("pipeline.")])
    _leave_when_interrupted()
    usual = tempfile.tempdir
    tempfile.tempdir = short_temporary() or usual  # here lies its socket
    try:
        with _script_kept_out():
            forkserver.ensure_running()
    finally:
        tempfile.tempdir = usual
    return Pool(processes, mp_context=context, initializer=_end_with_parent)


@contextmanager
def _workers(processes: int) -> Iterator[Pool]:
    """Workers for a while. A single one is kept: to start it takes as long as to read hundreds of files."""
    if processes > 1:
        with _pool(processes) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # nobody waits for what has not begun
                raise
        return
    with _keeping:
        if not _kept:
            _kept.append(_pool(1))
        pool = _kept[0]
    try:
        yield pool
    except BrokenProcessPool:
        with _keeping:
            if pool in _kept:
                _kept.remove(pool)
        raise


def in_child(
    read: Callable[Concatenate[Path, Options], Result],
) -> Callable[Concatenate[Path, Options], Result]:
    """Let ``read(path, …)`` run in a process that may die: a worker, or else a child that is kept.

    Raises LimitError where it has died, and what ``read`` raises.
    """

    @functools.wraps(read)
    def safely(path: Path, /, *args: Options.args, **kwargs: Options.kwargs) -> Result:
        if in_worker():
            return read(path, *args, **kwargs)
        try:
            with _workers(1) as pool:
                (result,) = pool.outcome(
                    _submit(pool, functools.partial(_call, safely, args, kwargs), [path])
                )
        except BrokenProcessPool as error:
            raise LimitError("the end of the process that read it", file=path) from error
        return result

    return safely


def leave(status: int) -> NoReturn:
    """End this process at once, and its workers with it.

    As Python leaves, it waits for them; where a second Ctrl-C breaks that off, they wait for each other.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    util._run_finalizers(0)  # type: ignore[attr-defined]  # of locks, of which somebody would be told that they are left; it waits for none
    shutil.rmtree(util.get_temp_dir(), ignore_errors=True)  # of the fork server's socket
    os._exit(status)


@functools.cache
def _leave_when_interrupted() -> None:
    """From now on, a program that Ctrl-C ends says so as ever, and leaves at once."""
    hook = sys.excepthook

    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # more of them would break off what is said
        hook(kind, error, trace)
        if issubclass(kind, KeyboardInterrupt):
            leave(INTERRUPTED)

    sys.excepthook = end


def _call(
    read: Callable[..., Result], args: tuple[object, ...], kwargs: dict[str, object], path: Path
) -> Result:
    return read(path, *args, **kwargs)


def _chunked(
    function: Callable[[Item], Result], chunks: Sequence[Sequence[Item]], processes: int
) -> Iterator[list[Result]]:
    with _workers(processes) as pool:
        waiting: deque[Future[list[Result]]] = deque()
        for part in chunks:
            # Results wait in memory until they are asked for: keep only a few of them under way.
            if len(waiting) == 2 * processes:
                yield pool.outcome(waiting.popleft())
            waiting.append(_submit(pool, function, part))
        while waiting:
            yield pool.outcome(waiting.popleft())


def _one_by_one(
    function: Callable[[Item], Result], items: Sequence[Item], lost: Callable[[Item], Result]
) -> Iterator[Result]:
    """The results of items of which some may end their process."""
    rest = deque(items)
    while rest:
        try:
            with _workers(1) as alone:
                while rest:
                    (result,) = alone.outcome(_submit(alone, function, [rest[0]]))
                    rest.popleft()
                    yield result
        except BrokenProcessPool:
            yield lost(rest.popleft())


def _surviving(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    processes: int,
    chunk: int,
    lost: Callable[[Item], Result] | None,
) -> Iterator[Result]:
    chunks = [items[start : start + chunk] for start in range(0, len(items), chunk)]
    done = 0
    while done < len(chunks):
        try:
            for results in _chunked(function, chunks[done:], processes):
                done += 1
                yield from results
        except BrokenProcessPool as error:
            if lost is None:  # nothing of a user's is decoded here
                raise MemoryShortError("the end of a process that the system killed") from error
            # Any of the chunks under way may be to blame: the next one is tried with care, then all go on.
            yield from _one_by_one(function, chunks[done], lost)
            done += 1


def parallel(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    processes: int,
    label: str,
    chunk: int = 1,
    lost: Callable[[Item], Result] | None = None,
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order, whatever the number of processes.

    ``lost`` gives the result of an item that ends the process that works on it, by a crash or a limit; with
    it no item is worked on in a process that must live. ``function`` and the items travel to other processes,
    so they must be picklable. A terminal shows a progress bar called ``label``; a log stays quiet.
    """
    alone = in_worker() or (lost is None and (processes == 1 or len(items) <= chunk))
    results = map(function, items) if alone else _surviving(function, items, processes, chunk, lost)
    yield from tqdm(results, desc=label, total=len(items), disable=None, unit="", leave=False)
