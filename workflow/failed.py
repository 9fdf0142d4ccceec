"""What a run says that did not come to its end: one block with what, where, what to do and what is kept.

Snakemake says some thirty lines about each failed job. They go to its log alone; on the terminal a line says
that a job has failed when it does, behind the error of the job itself, and the block comes last.
"""

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from snakemake.logging import ColorizingTextHandler, get_event
from snakemake_interface_logger_plugins.common import LogEvent

from pipeline.errors import MemoryShortError
from pipeline.system import INTERRUPTED

REPEATED = re.compile(
    r"Exiting because a job |Complete log\(s\): |Elapsed time: |(WorkflowError:\n)?At least one job did not "
)
"""How what else Snakemake says of failures begins."""
ENDED = re.compile(r"(done|failed with (-?\d+)) after ")
"""How the log of a job ends, see :mod:`workflow.execute`."""


@dataclass
class Failures(logging.Filter):
    """Remembers which jobs have failed, and keeps from a terminal what Snakemake says of them."""

    titles: dict[int, str] = field(default_factory=dict)
    """What each job does, in a few words, by its number."""
    logs: dict[str, list[str]] = field(default_factory=dict)
    """The logs of failed jobs, by what they do."""
    done: int = 0
    total: int = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the terminal has to show a record."""
        event, facts = get_event(record), vars(record)
        if event == LogEvent.JOB_INFO:
            self.titles[facts["jobid"]] = facts["rule_msg"] or facts["rule_name"]
        elif event == LogEvent.PROGRESS:
            self.done, self.total = facts["done"], facts["total"]
        elif event == LogEvent.RUN_INFO:
            self.total = facts["stats"]["total"]
        elif event == LogEvent.JOB_ERROR:
            title = self.titles.get(facts["jobid"], facts["rule_name"])
            self.logs[title] = [*facts["log"]]
            print(f"Failed: {title}", file=sys.stderr)
            return False
        if event == LogEvent.GROUP_ERROR or "CalledProcessError in file " in (text := record.getMessage()):
            return False
        return not (self.logs and REPEATED.match(text))


def listen() -> Failures:
    """Have one more filter at Snakemake's handler for the terminal; with ``--verbose`` it hides nothing."""
    found = Failures()
    logger = logging.getLogger("snakemake.logging")
    for handler in logger.handlers:
        if isinstance(handler, ColorizingTextHandler) and not logger.isEnabledFor(logging.DEBUG):
            handler.addFilter(found)
    return found


def block(failures: Failures, logs: Sequence[str]) -> str:
    """What is wrong, where and what to do, each error once, and what is kept.

    ``logs`` are Snakemake's own.
    """
    places: dict[str, list[tuple[str, str]]] = {}
    for title, files in failures.logs.items():
        for file in files:
            for line in told(file):
                places.setdefault(line, []).append((title, file))
    lines = [""]
    for line, where in places.items():
        lines += [line, *_where(where), ""]
    count = len({title for where in places.values() for title, _ in where})
    if count:
        done, waiting = failures.done, failures.total - failures.done - count
        lines.append(
            f"Of {failures.total} steps {count} failed, {done} are done and kept, {waiting} did not start. "
            "Fix what is named above and give the same command again."
        )
    if logs:
        lines.append(f"All that Snakemake says is in {', '.join(logs)}")
    return "\n".join(lines)


def _where(places: Iterable[tuple[str, str]], most: int = 3) -> Iterator[str]:
    every = list(dict.fromkeys(places))
    for title, file in every[:most]:
        yield f"    {title}: {file}"
    if len(every) > most:
        yield f"    and {len(every) - most} more"


def told(log: str) -> list[str]:
    """The errors with a code in the log of a job, once each; what else ended it if there are none."""
    file = Path(log)
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    coded = [line for line in lines if re.match(r"E-[A-Z]+", line)]
    if not lines or coded:
        return [*dict.fromkeys(coded)]
    end = ENDED.match(lines[-1])
    if end is None:
        found = "that the system killed it, for want of memory as a rule"
        remedy = "docs/faq.md, It ran out of memory"
        return [str(MemoryShortError(found, file=log, expected="the end of a job", remedy=remedy))]
    if end[2] in (None, str(INTERRUPTED)):
        return []
    return [f"{lines[-2]} (an error of the program, not of your data: its log has all of it)"]
