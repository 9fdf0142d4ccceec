"""What is fuzzed: a reader with the valid files that it begins with, and how they are changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from pipeline.readers.limits import SECONDS
from pipeline.seeds import seed
from workflow.fuzz import changes

Change = Callable[[bytes, Random], bytes]
"""Other content of a file, drawn at random; the same where the content is of another format."""
MOST_BYTES = 16 << 20
"""What a changed file may grow to."""


@dataclass(frozen=True)
class Input:
    """A file by its name, which may say what it is, and the files that lie beside it."""

    name: str
    content: bytes
    beside: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """A function that a step calls on a user's file: it returns, or raises an InputError."""

    read: Callable[[Path], None]
    inputs: Callable[[], list[Input]]
    """Small files that it reads, the same each time."""
    changes: tuple[Change, ...] = ()
    """Those that know the format, beside the general ones."""
    seconds: float = 1.5 * SECONDS
    """Time for one file: what the readers promise, and some more for a busy machine."""


class DisagreementError(Exception):
    """What was read contradicts itself: a wrong value without a word."""


def changed(reader: Reader, corpus: Sequence[Input], name: str, start: int, number: int) -> Input:
    """Input ``number`` of a reader called ``name``, of the seed ``start``; the same each time."""
    random = Random(seed("fuzz", start, name, number))
    base = random.choice(corpus)
    content = base.content
    ways: list[Change] = [*changes.GENERAL, *reader.changes, *reader.changes]
    for _ in range(random.choice((1, 1, 1, 2, 2, 4))):
        change = random.choice([*ways, None])
        if change is None:
            content = changes.splice(content, random.choice(corpus).content, random)
        else:
            content = change(content, random)
    if content == base.content:
        content = changes.flip(content, random)
    return Input(base.name, content[:MOST_BYTES], base.beside)
