"""Run a function over many items in several processes, results in the order of the items."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def _run(function: Callable[[Item], Result], chunk: Sequence[Item]) -> list[Result]:
    return [function(item) for item in chunk]


def _end_with_parent() -> None:
    """End this worker when the step that it works for has been killed: nobody else would."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=[parent.sentinel], daemon=True).start()


def _pool(processes: int) -> ProcessPoolExecutor:
    # A fork server has no threads of ours to copy, so a fork can never deadlock.
    context = multiprocessing.get_context("forkserver")
    return ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent)


def _chunked(
    function: Callable[[Item], Result], chunks: Sequence[Sequence[Item]], processes: int
) -> Iterator[list[Result]]:
    with _pool(processes) as pool:
        waiting: deque[Future[list[Result]]] = deque()
        for part in chunks:
            # Results wait in memory until they are asked for: keep only a few of them under way.
            if len(waiting) == 2 * processes:
                yield waiting.popleft().result()
            waiting.append(pool.submit(_run, function, part))
        while waiting:
            yield waiting.popleft().result()


def _one_by_one(
    function: Callable[[Item], Result], items: Sequence[Item], lost: Callable[[Item], Result]
) -> Iterator[Result]:
    """The results of items of which some may end their process."""
    rest = deque(items)
    while rest:
        with _pool(1) as alone:
            try:
                while rest:
                    result = alone.submit(function, rest[0]).result()
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
        except BrokenProcessPool:
            if lost is None:
                raise
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

    ``lost`` gives the result of an item that ends the process that works on it, by a crash or a limit.
    ``function`` and the items travel to other processes, so they must be picklable. A terminal shows
    a progress bar called ``label``; a log stays quiet.
    """
    alone = processes == 1 or len(items) <= chunk
    results = map(function, items) if alone else _surviving(function, items, processes, chunk, lost)
    yield from tqdm(results, desc=label, total=len(items), disable=None, unit="", leave=False)
