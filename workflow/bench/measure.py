"""Time two contenders in turn, each in a process of its own with one thread; CPU seconds, not wall time."""

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Contender:
    """One way to do some work."""

    def prepare(self) -> None:
        """What each run needs and what does not count."""

    def run(self) -> int:
        """Do the work; how many units it was."""
        raise NotImplementedError

    def answer(self) -> Any:
        """What the work came to, for a comparison of results."""


@dataclass(frozen=True)
class Size:
    """How much to do."""

    rounds: int
    files: int
    """DICOM headers to index."""
    quick: bool


@dataclass
class Result:
    """Units per CPU second of the plain reference and of ours, round by round."""

    name: str
    unit: str
    plain: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    goal: float | None = None
    """The ratio that is aimed at."""
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        """Ours over plain in each round."""
        return [ours / plain for plain, ours in zip(self.plain, self.ours, strict=True)]

    @property
    def medians(self) -> dict[str, float]:
        """The medians of plain, ours and their ratios; none where nothing was compared."""
        return {
            name: statistics.median(getattr(self, name)) for name in ("plain", "ours", "ratios") if self.plain
        }

    @property
    def missed(self) -> bool:
        """Whether the median ratio is below the goal; where there is none, or no ratio, nothing is missed."""
        return self.goal is not None and bool(self.ratios) and self.medians["ratios"] < self.goal

    def figures(self) -> dict[str, Any]:
        """Everything."""
        return {"name": self.name, "unit": self.unit, "goal": self.goal, "median": self.medians,
                "plain": self.plain, "ours": self.ours, "ratios": self.ratios, **self.notes}  # fmt: skip


def compare(
    result: Result,
    plain: Callable[..., Contender],
    ours: Callable[..., Contender],
    *arguments: Any,
    rounds: int,
) -> tuple[Any, Any]:
    """Fill ``result`` with ``rounds`` of plain, ours, plain, ours … after one of each that does not count.

    Both are made from ``arguments`` in processes of their own, so that neither allocator, thread pools nor
    settings of one are those of the other. Returns the two answers.
    """
    with _process(plain, arguments) as first, _process(ours, arguments) as second:
        for number in range(rounds + 1):
            for side, rates in ((first, result.plain), (second, result.ours)):
                rate = _asked(side, _timed)
                if number:
                    rates.append(rate)
        return _asked(first, _answer), _asked(second, _answer)


def once(make: Callable[..., Contender], *arguments: Any) -> tuple[float, Any]:
    """Units per CPU second and the answer of one run that is too long for rounds, in a process of its own."""
    with _process(make, arguments) as side:
        return _asked(side, _timed), _asked(side, _answer)


def _process(make: Callable[..., Contender], arguments: Sequence[Any]) -> ProcessPoolExecutor:
    """A process of one thread that holds a contender."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _start, (make, arguments))


def _asked(side: ProcessPoolExecutor, question: Callable[[], Any]) -> Any:
    try:
        return side.submit(question).result()
    except (Exception, SystemExit) as error:
        raise RuntimeError("a contender failed; its traceback is above") from error


_here: list[Contender] = []
"""Within such a process, its contender."""


def _start(make: Callable[..., Contender], arguments: Sequence[Any]) -> None:
    _here.append(make(*arguments))


def _timed() -> float:
    _here[0].prepare()
    start = time.process_time()
    units = _here[0].run()
    return units / (time.process_time() - start)


def _answer() -> Any:
    return _here[0].answer()


def watch(command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Run a command; its wall seconds and the peak memory in MiB of it and all its descendants together.

    Looked at about every 20 ms. On Linux a page that several processes share counts once (proportional set
    size); elsewhere it counts in each of them. Raises RuntimeError on failure.
    """
    errors = folder / "stderr.txt"
    start, peak = time.monotonic(), 0
    with errors.open("w") as file, psutil.Popen(command, stdout=file, stderr=file) as process:
        while process.poll() is None:
            peak = max(peak, _memory(process))
            time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {errors.read_text()[-2000:]}")
    return time.monotonic() - start, peak / 2**20


def _memory(process: psutil.Process) -> int:
    total = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    for member in family:
        try:
            found = member.memory_full_info() if psutil.LINUX else member.memory_info()
            total += getattr(found, "pss", found.rss)
        except psutil.Error:  # it ended meanwhile
            continue
    return total


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    model = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    names = ("torch", "numpy", "scipy", "pillow", "pydicom", "pandas")
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.platform(terse=True),
            "python": platform.python_version(), **{name: version(name) for name in names}}  # fmt: skip
