"""A GPU of its own for each process on a host with several.

Snakemake's ``gpu`` counts jobs and chooses no device. So a process takes the first device that nobody has,
by a lock that the kernel lets go of when the process ends, however it ends.

Only processes of one user on one host see each other's locks, and only if they name the devices alike.
"""

import itertools
import logging
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.system import lock

log = logging.getLogger("typhon")
SECONDS = 0.5
"""Between looks at the locks while all devices are taken."""
_held: list[int] = []
"""Descriptors of locked files, open as long as this process lives."""


def visible() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; without it all of the host."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
    # For CUDA the list ends before the first name that is not one.
    return list(itertools.takewhile(lambda name: name not in ("", "-1"), map(str.strip, named.split(","))))


def take() -> str | None:
    """Make one of several visible GPUs this process's own, and the only one that CUDA will see.

    Waits while all are taken. None where there is at most one: then whoever started the process has chosen.
    Call it before CUDA is used.
    """
    devices = visible()
    if len(devices) < 2:
        return None
    device = _wait_for_one(devices)
    os.environ["CUDA_VISIBLE_DEVICES"] = device
    log.info("GPU %s of %s", device, ", ".join(devices))
    return device


def _wait_for_one(devices: Sequence[str]) -> str:
    device = next(filter(_lock, devices), None)
    if device is None:
        log.info("all of GPU %s are taken: waiting for one", ", ".join(devices))
    while device is None:
        time.sleep(SECONDS)
        device = next(filter(_lock, devices), None)
    return device


def _lock(device: str) -> bool:
    """Lock the file of a device, unless another process has."""
    folder = _folder()
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    file = folder / device.replace("/", "_")
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if not lock(descriptor, file):
        os.close(descriptor)
        return False
    _held.append(descriptor)
    return True


def _folder() -> Path:
    """Where the locks lie: one place per Slurm allocation, since each may count its devices from 0."""
    allocation = os.environ.get("SLURM_JOB_ID", "host")
    return Path(tempfile.gettempdir(), f"typhon-gpus-{os.getuid()}-{allocation}")
