"""Readers with a fault each, for the tests of the fuzzer: apart, as another process imports where they come from."""

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import InputError, UnreadableError
from pipeline.pool import in_child
from workflow.fuzz.reader import DisagreementError, Input, Reader

SIGN = b"VALID"


def reading(fault: Callable[[Path], None]) -> Callable[[Path], None]:
    """A reader that refuses what does not begin as it should, and has a fault where the end is missing."""

    def read(path: Path) -> None:
        content = path.read_bytes()
        if not content.startswith(SIGN):
            raise UnreadableError("something else", file=path)
        if not content.endswith(b"END"):
            fault(path)

    return read


def raises(path: Path) -> None:
    {}[path.name]


def dies(path: Path) -> None:  # noqa: ARG001
    ctypes.string_at(0)


@in_child
def dies_in_its_child(path: Path) -> None:  # noqa: ARG001
    ctypes.string_at(0)


def hangs(path: Path) -> None:  # noqa: ARG001
    time.sleep(60)


def eats(path: Path) -> None:  # noqa: ARG001
    bytearray(1_200_000_000)[::4096] = b"a" * 292969


def eats_all(path: Path) -> None:  # noqa: ARG001
    bytearray(64 << 30)


@in_child
def eats_in_its_child(path: Path) -> None:
    eats(path)


def writes(path: Path) -> None:
    path.with_name("other").write_text("x")


@in_child
def writes_in_its_child(path: Path) -> None:
    writes(path)


def starts(path: Path) -> None:  # noqa: ARG001
    os.system("true")


def writes_unseen(path: Path) -> None:
    ctypes.CDLL(None).rename(bytes(path), bytes(path) + b".other")


def contradicts(path: Path) -> None:
    raise DisagreementError(path.name)


def rings(path: Path) -> None:
    error = InputError("\a", file=path)
    error.__class__ = type("Loud", (InputError,), {"__str__": lambda self: f"E-INPUT {self.found}"})
    raise error


FAULTS = {
    fault.__name__: fault
    for fault in (
        raises, dies, hangs, eats, eats_all, eats_in_its_child, writes, writes_in_its_child, starts, writes_unseen,
        contradicts, rings, dies_in_its_child,
    )
}  # fmt: skip
READERS = {
    **{name: Reader(reading(fault), lambda: [Input("a.bin", SIGN + bytes(40) + b"END")], seconds=20) for name, fault in FAULTS.items()},
    "hangs": Reader(reading(hangs), lambda: [Input("a.bin", SIGN + bytes(40) + b"END")], seconds=4),
    "broken": Reader(reading(raises), lambda: [Input("a.bin", SIGN)]),
}  # fmt: skip
