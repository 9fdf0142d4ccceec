"""Short jobs: forked by a process that has imported what they need, against started by Python each time."""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from workflow import warm
from workflow.bench.measure import Result, Size

JOBS = 8
STEP = "model.training.train"
"""What the jobs import; then they print its help."""


def bench(size: Size) -> list[Result]:
    """Jobs per CPU second, one after another, that of the process that forks them included."""
    jobs = 3 if size.quick else JOBS
    result = Result("start of a job that imports PyTorch and pandas", "jobs/s")
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(size.rounds):
            before = _seconds()
            _run(folder, jobs)
            between = _seconds()
            with warm.beside():
                _run(folder, jobs)
            result.plain.append(jobs / (between - before))
            result.ours.append(jobs / (_seconds() - between))
    return [result]


def _run(folder: str, jobs: int) -> None:
    line = [sys.executable, "-m", "workflow.job", str(Path(folder, "log")), STEP, "--help"]
    for _ in range(jobs):
        subprocess.run(line, stdout=subprocess.DEVNULL, check=True)


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
