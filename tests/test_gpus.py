"""Real processes and real locks on devices that need not exist."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model import gpus
from pipeline.provenance import ROOT

WORK = """
import logging, os, sys, time
from model import gpus
logging.basicConfig(level=logging.INFO, format="%(message)s")
device = gpus.take()
assert os.environ["CUDA_VISIBLE_DEVICES"] == device
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(log, f"+{device}\\n".encode())
time.sleep(float(sys.argv[2]))
os.write(log, f"-{device}\\n".encode())
"""
DEVICES = "0,GPU-5ebe,MIG-7f/1"


def start(
    folder: Path, seconds: float, devices: str = DEVICES, *, stderr: int | None = None, **environment: str
) -> subprocess.Popen[bytes]:
    """A process that takes a device, writes it down, and works for a while."""
    variables = {
        "CUDA_VISIBLE_DEVICES": devices,
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(folder),
        **environment,
    }
    line = [sys.executable, "-c", WORK, str(folder / "log"), str(seconds)]
    return subprocess.Popen(line, env={**os.environ, **variables}, cwd=ROOT, stderr=stderr)


def taken(folder: Path) -> list[str]:
    """Which devices have been taken (+) and given back (-), in this order."""
    log = folder / "log"
    return log.read_text().split() if log.exists() else []


def wait_for(folder: Path, count: int) -> None:
    limit = time.monotonic() + 60
    while len(taken(folder)) < count:
        assert time.monotonic() < limit, taken(folder)
        time.sleep(0.01)


def test_six_processes_on_three_devices_never_share_one(tmp_path: Path) -> None:
    processes = [start(tmp_path, 0.6) for _ in range(6)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 6
    holding: set[str] = set()
    for line in taken(tmp_path):
        device = line[1:]
        assert (device in holding) == (line[0] == "-"), taken(tmp_path)
        holding ^= {device}
    assert sorted(taken(tmp_path)) == sorted(
        [f"{sign}{name}" for sign in "+-" for name in DEVICES.split(",")] * 2
    )


def test_a_device_is_free_again_after_kill_9(tmp_path: Path) -> None:
    with start(tmp_path, 60, "3,4") as first, start(tmp_path, 60, "3,4") as second:
        wait_for(tmp_path, 2)
        with start(tmp_path, 0, "3,4", stderr=subprocess.PIPE) as third:
            assert third.stderr
            assert third.stderr.readline() == b"all of GPU 3, 4 are taken: waiting for one\n"
            first.kill()
            assert third.wait(timeout=60) == 0
            second.kill()
    one, two, three, *_ = taken(tmp_path)
    assert {one, two} == {"+3", "+4"}
    assert three in (one, two)


def test_allocations_of_slurm_that_count_from_zero_do_not_wait_for_each_other(tmp_path: Path) -> None:
    jobs = [start(tmp_path, 60, "0,1", SLURM_JOB_ID=job) for job in ("7", "8")]
    try:
        wait_for(tmp_path, 2)
        assert taken(tmp_path) == ["+0", "+0"]
    finally:
        for job in jobs:
            job.kill()
            job.wait()


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("2", ["2"]),
        ("", []),
        ("-1", []),
        ("0, 3", ["0", "3"]),
        ("1,-1,2", ["1"]),
        ("GPU-a,GPU-b", ["GPU-a", "GPU-b"]),
    ],
)
def test_devices_are_named_as_cuda_does(
    named: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert gpus.visible() == expected


def test_a_device_that_somebody_has_chosen_is_not_locked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert gpus.take() is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"
    assert list(tmp_path.iterdir()) == []


def test_a_job_takes_one_before_it_looks_for_cuda_and_goes_on_without(tmp_path: Path) -> None:
    variables = {"CUDA_VISIBLE_DEVICES": "91,92", "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    line = "from model.device import set_up; print(set_up(1).type)"
    done = subprocess.run(
        [sys.executable, "-c", line], env={**os.environ, **variables}, cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "cpu\n"
    assert done.stderr == "GPU 91 of 91, 92\nno CUDA device is visible: running on the CPU\n"
