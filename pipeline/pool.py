"""Run a function over many items in several processes, results in the order of the items."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
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


def _chunked(
    function: Callable[[Item], Result], items: Sequence[Item], processes: int, chunk: int
) -> Iterator[Result]:
    chunks = [items[start : start + chunk] for start in range(0, len(items), chunk)]
    # A fork server has no threads of ours to copy, so a fork can never deadlock.
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent) as pool:
        waiting: deque[Future[list[Result]]] = deque()
        for part in chunks:
            # Results wait in memory until they are asked for: keep only a few of them under way.
            if len(waiting) == 2 * processes:
                yield from waiting.popleft().result()
            waiting.append(pool.submit(_run, function, part))
        while waiting:
            yield from waiting.popleft().result()


def parallel(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    processes: int,
    label: str,
    chunk: int = 1,
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order, whatever the number of processes.

    ``function`` and the items travel to other processes, so they must be picklable. A terminal shows
    a progress bar called ``label``; a log stays quiet.
    """
    alone = processes == 1 or len(items) <= chunk
    results = map(function, items) if alone else _chunked(function, items, processes, chunk)
    yield from tqdm(results, desc=label, total=len(items), disable=None, unit="", leave=False)
