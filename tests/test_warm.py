"""A job that a warm process forks ends, prints and dies as one that Python starts, and so does one that it leaves."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.provenance import ROOT
from workflow import warm
from workflow.job import WARM

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux alone")
FORKED = "print('forked' if os.getppid() != int(os.environ['PARENT']) else 'started', flush=True)\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    monkeypatch.delenv(WARM, raising=False)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[None]:  # noqa: ARG001 the folder is the current one
    with warm.beside():
        until(lambda: run(FORKED).stdout == "forked\n")
        yield


def until(true: object) -> None:
    limit = time.monotonic() + 60
    while not true():  # type: ignore[operator]
        assert time.monotonic() < limit
        time.sleep(0.02)


def started(
    body: str, name: str = "step", words: Sequence[str] = (), **more: object
) -> subprocess.Popen[str]:
    """A job of a module of that body, as a rule would start it."""
    Path(f"{name}.py").write_text(f"import os, signal, sys, time\n{body}\n")
    line = [sys.executable, "-m", "workflow.job", "logs/a.log", name, *words]
    environment = {**os.environ, "PARENT": str(os.getpid())} | more.pop("env", {})  # type: ignore[operator]
    return subprocess.Popen(
        line,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,  # type: ignore[call-overload]
    )


def run(
    body: str, name: str = "step", words: Sequence[str] = (), **more: object
) -> subprocess.CompletedProcess[str]:
    """What came of a job."""
    process = started(body, name, words, **more)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


CASES = {
    "done": ("print(sys.argv, os.getcwd())", 0),
    "a message": ("sys.exit('E-TEST a: expected b, found c; d')", 1),
    "a status": ("sys.exit(3)", 3),
    "a bug": ("1 / 0", 1),
    "an interrupt": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", 130),
    "a signal": ("print('x', flush=True); os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "without a word": ("print('lost without a flush?'); os._exit(5)", 5),
    "the environment": ("print(os.environ['GIVEN'], [path for path in sys.path if path][:1])", 0),
    "the end of Python": ("import atexit; atexit.register(print, 'at exit')", 0),
    "the end of an object": ("import weakref; weakref.finalize(time.sleep, print, 'taken apart')", 0),
}


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("case", CASES)
def test_a_job_ends_and_prints_the_same_forked_or_not(case: str) -> None:
    body, status = CASES[case]
    both = []
    for name in (os.environ[WARM], "nobody"):
        made = run(body, words=["--out", "a b"], env={WARM: name, "GIVEN": "é\n"})
        log = [line.split(" after ")[0] for line in Path("logs/a.log").read_text().splitlines()]
        both.append((made.returncode, made.stdout, made.stderr.replace(f"{Path.cwd()}/", ""), log))
    assert both[0] == both[1]
    assert both[0][0] == status


@pytest.mark.usefixtures("server")
def test_what_two_jobs_have_imported_a_third_one_finds() -> None:
    body = "print('wave' in sys.modules)\nimport wave"
    assert [run(body).stdout for _ in range(4)] == ["False\n", "False\n", "True\n", "True\n"]


@pytest.mark.usefixtures("server")
def test_the_projects_own_code_is_read_by_every_job() -> None:
    for value in ("1", "22", "333"):
        Path("own.py").write_text(f"value = {value}")
        assert run("import own; print(own.value)").stdout == f"{value}\n"


def test_the_projects_own_code_counts_as_such_within_the_environment_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where the project lies in /usr/local/src and Python in /usr."""
    last = next(reversed(sys.modules))
    for name in ("pipeline.within", "within"):
        made = ModuleType(name)
        made.__file__ = f"{sys.prefix}/{name}.py"
        monkeypatch.setitem(sys.modules, name, made)
    assert warm.imported(last) == ["within"]


def test_what_was_imported_before_is_not_taken_apart_by_each_fork() -> None:
    lines = (
        "import weakref",
        "from workflow import warm",
        "weakref.finalize(warm.settle, print, 'taken apart')",
        "warm.settle()",
        "weakref.finalize(warm.settle, print, 'its own')",
    )
    line = [sys.executable, "-c", "\n".join(lines)]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout == "its own\n"


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "more",
    [
        {"process_group": 0},  # as a scheduler's jobs have: Ctrl-C and its limits would not reach the fork
        {"env": {"LONG": "x" * 120_000, "LONGER": "x" * 120_000, "LONGEST": "x" * 120_000}},
        {"env": {WARM: "nobody"}},
    ],
    ids=["another group", "too long", "nobody there"],
)
def test_what_cannot_be_forked_runs_by_itself(more: dict[str, object]) -> None:
    assert run(FORKED).stdout == "forked\n"
    assert run(FORKED, **more).stdout == "started\n"
    assert run(FORKED).stdout == "forked\n"


def test_a_process_with_threads_does_not_fork_but_for_those_of_the_allocator() -> None:
    lines = (
        "import threading, time, pyarrow",
        "from workflow.warm import alone",
        "print(alone())",
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "print(alone())",
    )
    found = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert (found.stdout, found.stderr) == ("True\nFalse\n", "")


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_dies_with_the_process_that_waits_for_it(number: int) -> None:
    job = started("print(os.getpid(), flush=True); time.sleep(60)")
    assert job.stdout is not None
    pid = int(job.stdout.readline())
    assert pid != job.pid
    job.send_signal(number)
    assert job.wait(10) == -number
    until(lambda: not alive(pid))
    job.communicate()


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("order", [*itertools.permutations(range(3)), (0,)])
def test_a_job_that_is_asked_to_end_saves_its_work_whoever_else_is_asked(order: tuple[int, ...]) -> None:
    """As ``./run`` ends what a dead one has left, or a system that shuts down: all processes, in any order."""
    job = started(
        "asked = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: asked.append(1))\n"  # as the trainer does
        "print(os.getppid(), os.getpid(), flush=True)\n"
        "while not asked:\n    time.sleep(0.01)\n"
        "time.sleep(0.3); print('saved', flush=True); sys.exit(7)"
    )
    assert job.stdout is not None
    everybody = (job.pid, *map(int, job.stdout.readline().split()))
    for number in order:
        os.kill(everybody[number], signal.SIGTERM)
    printed, _ = job.communicate(timeout=10)
    assert (printed.split("\n")[0], job.returncode) == ("saved", 7)


@pytest.mark.usefixtures("server")
def test_a_job_that_loses_the_process_that_forked_it_counts_as_killed() -> None:
    job = started("print(os.getppid(), os.getpid(), flush=True); time.sleep(60)")
    assert job.stdout is not None
    parent, pid = map(int, job.stdout.readline().split())
    os.kill(parent, signal.SIGKILL)
    assert job.wait(10) == -signal.SIGKILL
    until(lambda: not alive(pid))
    job.communicate()
    assert run(FORKED).stdout == "started\n"


@pytest.mark.usefixtures("folder")
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # still running when it is left
def test_the_process_ends_with_its_last_job() -> None:
    with warm.beside():
        until(lambda: "forked" in run(FORKED).stdout)
        job = started(
            "print(os.getppid(), flush=True); sys.stdin.readline(); print('done')", stdin=subprocess.PIPE
        )
        assert job.stdout is not None
        server = int(job.stdout.readline())
    assert alive(server)
    assert job.communicate("go on\n", timeout=10) == ("done\n", "")
    until(lambda: not alive(server))
