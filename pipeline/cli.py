"""How a step ends: what a user can fix is one line, never a traceback."""

import gc
import os
import select
import sys
from collections.abc import Callable, Sequence

from pipeline.errors import InputError
from pipeline.system import of_system

USUAL = gc.get_threshold()
"""How often Python looks for garbage."""
WHILE_IMPORTING = 200_000
"""Objects between two looks for garbage while modules are imported: they leave hardly any, and to look at
every 700 takes a tenth of their time."""
BROKEN_PIPE = 128 + 13
"""The status of a program that a shell ends because nobody reads on, as of ``| head``."""


def import_quickly() -> None:
    """Let what is imported from now on wait for no garbage collector, until :func:`run_cli`."""
    gc.set_threshold(WHILE_IMPORTING)


def run_cli(main: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None = None) -> None:
    """Run a step's ``main``; what a user can fix ends it with one line and exit 1."""
    gc.freeze()  # what was imported stays: the collector need not look at it again
    gc.set_threshold(*USUAL)
    try:
        main(argv)
    except InputError as error:
        sys.exit(str(error))
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        # Or Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    except (OSError, MemoryError) as error:
        if (told := of_system(error)) is None:
            raise
        sys.exit(str(told))


def _nobody_reads() -> bool:
    """Whether it is the output that has no reader any more, and not a pipe between processes."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
