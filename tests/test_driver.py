"""Locks of dead and living drivers, with real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import LockedError
from pipeline.provenance import ROOT
from workflow import driver

SNAKEFILE = """
onstart:
    print("started", flush=True)

rule all:
    input: "done.txt"

rule work:
    output: "done.txt"
    shell: "if [ -e quick ]; then touch done.txt; else touch working; sleep 300; fi"
"""


def start(folder, *words):
    """``./run`` in ``folder``, in a session of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "workflow.run", "--cores", "1", "--rerun-incomplete", "-s", "Snakefile", *words],
        cwd=folder, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def wait_for(condition, seconds=60.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def forks_jobs(pid):
    try:
        return b"workflow.warm" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # ended meanwhile
        return False


@pytest.fixture
def running(tmp_path):
    """A folder in which ``./run`` is in the middle of a long job; everything is ended afterwards."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    process = start(tmp_path)
    try:
        wait_for((tmp_path / "working").exists)
        yield tmp_path, process
    finally:
        mark = json.loads((tmp_path / driver.FILE).read_text())["mark"]
        for pid in driver._marked(mark):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        process.stdout.close()


def test_after_kill_9_the_next_run_ends_the_orphans_clears_the_lock_and_completes(running):
    folder, process = running
    mark = driver.read(folder)["mark"]
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(forks_jobs, driver._marked(mark))))  # which ends by itself
    orphans = driver._marked(mark)
    assert orphans, "Snakemake's jobs outlive it"
    (folder / "quick").touch()
    again = start(folder)
    printed, _ = again.communicate(timeout=60)
    assert again.returncode == 0, printed
    assert (
        f"process {process.pid}, is dead: cleared its lock and ended what its jobs had left running ({len(orphans)})."
        in printed
    )
    assert not any(Path(f"/proc/{pid}").exists() and driver._started(pid) for pid in orphans)
    assert (folder / "done.txt").exists()


def test_beside_a_living_driver_the_next_run_refuses_at_once_with_its_pid(running):
    folder, process = running
    again = start(folder)
    printed, _ = again.communicate(timeout=30)
    assert again.returncode == 1
    assert printed.startswith(
        f"E-LOCKED {folder}: expected no other driver of the workflow, found process {process.pid};"
    )
    assert driver.read(folder)["pid"] == process.pid
    assert process.poll() is None


def test_looking_does_not_disturb_a_living_driver(running):
    folder, _ = running
    before = driver.read(folder)
    dry = start(folder, "-n")
    printed, _ = dry.communicate(timeout=30)
    assert dry.returncode == 0, printed
    assert driver.read(folder) == before


class TestClear:
    @pytest.fixture
    def locked(self, tmp_path):
        (tmp_path / ".snakemake/locks").mkdir(parents=True)
        (tmp_path / ".snakemake/locks/0.output.lock").write_text("x")
        return tmp_path

    def write(self, folder, **facts):
        known = {"pid": 2**22 + 1, "host": socket.gethostname(), "boot": driver._boot(), "mark": f"{2**22 + 1}-1",
                 "argv": [], "started_in": "."}  # fmt: skip
        (folder / driver.FILE).write_text(json.dumps(known | facts))

    def test_a_pid_that_was_given_to_another_process_is_not_the_driver(self, locked):
        self.write(locked, pid=os.getpid(), mark=f"{os.getpid()}-1")
        assert "is dead: cleared its lock." in driver.clear(locked)
        assert not (locked / ".snakemake/locks").exists()

    def test_a_driver_from_before_a_restart_is_dead(self, locked):
        self.write(
            locked, pid=os.getpid(), mark=f"{os.getpid()}-{driver._started(os.getpid())}", boot="another"
        )
        assert "cleared" in driver.clear(locked)

    def test_a_driver_on_another_host_cannot_be_judged(self, locked):
        self.write(locked, host="elsewhere")
        with pytest.raises(LockedError, match=r"on elsewhere; if it has ended there: \./run --unlock"):
            driver.clear(locked)
        assert (locked / ".snakemake/locks/0.output.lock").exists()

    @pytest.mark.parametrize("text", [None, "", "[]", "{}"])
    def test_a_lock_that_is_not_ours_is_left_to_snakemake(self, locked, text):
        if text is not None:
            (locked / driver.FILE).write_text(text)
        assert driver.clear(locked) == ""
        assert (locked / ".snakemake/locks/0.output.lock").exists()

    def test_without_a_lock_there_is_nothing_to_do(self, tmp_path):
        assert driver.clear(tmp_path) == ""


def test_a_record_of_this_process_is_not_written_over(tmp_path, monkeypatch):
    monkeypatch.setenv(driver.MARK, "")
    driver.record(tmp_path, ["first"], tmp_path)
    driver.record(tmp_path, ["second"], tmp_path)
    assert driver.read(tmp_path)["argv"] == ["first"]
    assert os.environ[driver.MARK] == driver.read(tmp_path)["mark"]
