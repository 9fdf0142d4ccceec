"""What came of reading one file: fine, refused as promised, or a failure of some kind."""

import re
import traceback
from dataclasses import dataclass

from pipeline.errors import InputError
from pipeline.provenance import ROOT

FRAME = re.compile(
    rf'File "{re.escape(str(ROOT))}/((?:pipeline|model|tests|workflow)/[^"]+)", line \d+,? in (\S*)'
)
"""A frame of our code in a traceback, or in what faulthandler writes."""
OURS = {"workflow/fuzz/child.py", "workflow/fuzz/guard.py"}
LONGEST = 4000
"""Characters of a message that a terminal still shows with ease."""


@dataclass(frozen=True)
class FailureKind:
    """What tells failures apart: what happened, and the last place in our code."""

    what: str
    place: str

    def __str__(self) -> str:
        return f"{self.what} at {self.place}" if self.place else self.what


@dataclass(frozen=True)
class Outcome:
    """``fine``, ``refused`` or ``failed``; a failure has a kind, a line about it and a traceback."""

    state: str
    kind: FailureKind = FailureKind("", "")
    said: str = ""
    trace: str = ""


FINE = Outcome("fine")


def of_error(error: BaseException) -> Outcome:
    """The outcome of a read that raised."""
    if isinstance(error, InputError):
        line = str(error)
        if line.isprintable() and len(line) <= LONGEST and line.startswith("E-"):
            return Outcome("refused", said=line)
        return failure(f"a message of {error.code} that is no line of text", traceback.format_exc(), line)
    trace = "".join(traceback.format_exception(error))
    cause = error.__cause__
    if type(cause).__name__ == "_RemoteTraceback":  # of a child that decodes
        trace = str(cause)
    return failure(type(error).__name__, trace, str(error))


def failure(what: str, trace: str, said: str = "") -> Outcome:
    """A failure, at the last frame of our code in a traceback."""
    frames = [found for found in FRAME.findall(trace) if found[0] not in OURS]
    place = ":".join(frames[-1]) if frames else ""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in said).split())
    return Outcome("failed", FailureKind(what, place), line[:300], trace)


def of_end(what: str, stderr: str) -> Outcome:
    """A failure that ended the process; faulthandler writes the last frame first."""
    frames = FRAME.findall(stderr)
    place = ":".join(frames[0]) if frames else ""
    return Outcome("failed", FailureKind(what, place), what, stderr[-4000:])
