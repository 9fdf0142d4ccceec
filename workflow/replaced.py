"""No result outlives what it was made from, and none is lost.

Snakemake removes the output of a job just before it runs, and never makes a missing file anew whose users
are there. So a rerun that is interrupted in the middle would leave yesterday's result beside no model, and
``Nothing to be done`` would be said of it. Here the outputs of all jobs that are to run step aside before the
first of them starts, and go for good once all have run.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from snakemake.io import is_flagged

ASIDE = Path(".snakemake", "replaced")
"""Where they wait, below their own paths."""


class Job(Protocol):
    """As much of a Snakemake job as is needed here."""

    output: Iterable[str]


def set_aside(jobs: Iterable[Job]) -> None:
    """Move the output files of ``jobs`` to ASIDE, except those that are updated in place, and folders."""
    for job in jobs:
        for output in job.output:
            file = Path(output)
            if file.is_file() and not is_flagged(output, "update"):
                place = ASIDE / Path(*[part for part in file.parts if part not in ("/", "..")])
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(file, place)


def where() -> str:
    """A line that tells where the results of the last run are, while this one has not brought others."""
    return f"What this run was to replace is kept in {ASIDE} until a run succeeds." if ASIDE.exists() else ""


def discard() -> None:
    """Forget what was set aside."""
    shutil.rmtree(ASIDE, ignore_errors=True)
