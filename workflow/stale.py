"""No result outlives what it was made from.

Snakemake removes the output of a job just before it runs, and never makes a missing file anew whose users
are there. So a rerun that is interrupted in the middle would leave yesterday's result beside no model, and
``Nothing to be done`` would be said of it. Here the outputs of all jobs that are to run go before the first
of them starts.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from snakemake.io import is_flagged


class Job(Protocol):
    """As much of a Snakemake job as is needed here."""

    output: Iterable[str]


def retire(jobs: Iterable[Job]) -> None:
    """Remove the output files of ``jobs``, except those that are updated in place, and folders."""
    for job in jobs:
        for file in job.output:
            if Path(file).is_file() and not is_flagged(file, "update"):
                Path(file).unlink()
