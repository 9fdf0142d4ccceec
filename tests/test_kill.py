"""Kill the real steps, the real driver and its jobs: nothing half is left, and the next run ends with the same bytes."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.inference import score_views
from pipeline import findings
from pipeline.patches import cut, slices
from pipeline.phantom import write_phantom
from pipeline.provenance import ROOT
from pipeline.readers import index
from tests import warm
from tests.copies import copy_code
from tests.warm import Process, start

KILLED = -signal.SIGKILL


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """A shell lets what it runs in the background ignore Ctrl-C, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wait_for(condition: Callable[[], object], process: Process | None = None) -> None:
    """Wait until something is so, at most a minute, or until the process that should bring it about has ended."""
    limit = time.monotonic() + 60
    while not condition():
        if process is not None and process.poll() is not None:
            pytest.fail(f"ended before it could be killed:\n{process.communicate()[0]}")
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.002)


def session(process: Process) -> list[int]:
    """The living processes of the session that was started for a process."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, leader = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(leader) == process.pid and state not in "ZX":
                found.append(int(entry.name))
    return found


def interrupt(process: Process, times: int) -> None:
    """Ctrl-C, as quickly as a person can: it reaches all processes of the session."""
    for number in range(times):
        time.sleep(0.2 * number)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)


@contextlib.contextmanager
def started(module: str, *words: str, folder: Path, code: Path = ROOT) -> Iterator[Process]:
    """A process that does not outlive the test, nor does anything that it started."""
    process = start(module, *words, folder=folder, code=code)
    try:
        yield process
    finally:
        for pid in session(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def contents(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


def parts(folder: Path) -> list[str]:
    """What is being written, or was left by whoever was killed meanwhile."""
    return sorted(path.name for path in folder.rglob(".*.part"))


# --- the steps of the data path

OUTPUTS = {
    "index": ("index.parquet", "files.parquet", "index.csv"),
    "slices": ("slices.h5", "slices.csv"),
    "patches": ("patches.h5", "patches.csv"),
}
STEPS = {"index": index, "slices": slices, "patches": cut}


def words(step: str, data: Path, out: Path, processes: int = 1) -> list[str]:
    """Command line of a step that reads from ``data`` and writes to ``out``."""
    line = {
        "index": ["--raw", data / "raw", "--files", out / "files.parquet"],
        "slices": ["lungx", "--raw", data / "raw", "--index", data / "index.parquet"],
        "patches": ["lungx", "--dataset", "lungx", "--slices", data / "slices.h5", "--extent", "60 mm"],
    }[step]
    if step != "index":
        line += ["--findings", data / "findings.csv"]
    line += ["--out", out / OUTPUTS[step][0], "--skipped", out / f"{step}.csv", "--processes", processes]
    return [str(word) for word in line]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom with all that an undisturbed data path makes of it."""
    folder = tmp_path_factory.mktemp("data")
    write_phantom("lungx", folder / "raw", 6, 0)
    index.main(words("index", folder, folder))
    tables = {"out": "findings", "skipped": "1", "choices": "2", "near-duplicates": "3"}
    named = [word for name, file in tables.items() for word in (f"--{name}", str(folder / f"{file}.csv"))]
    inputs = ["--raw", str(folder / "raw"), "--index", str(folder / "index.parquet")]
    findings.main(["lungx", "--dataset", "lungx", *inputs, *named])
    for step in ("slices", "patches"):
        STEPS[step].main(words(step, folder, folder))
    return folder


@pytest.mark.parametrize("step", OUTPUTS)
def test_a_killed_step_leaves_nothing_half_and_its_rerun_the_same_bytes(
    data: Path, tmp_path: Path, step: str
) -> None:
    undisturbed = contents(data, OUTPUTS[step])
    with started(STEPS[step].__name__, *words(step, data, tmp_path), folder=tmp_path) as process:
        if step == "index":  # writes in a moment; it reads headers after it has said how many there are
            assert process.stdout is not None
            assert "60 of them new or changed" in process.stdout.readline()
        else:
            wait_for(lambda: parts(tmp_path), process)
        process.kill()
        assert process.wait() == KILLED
        left = contents(tmp_path, OUTPUTS[step])
    assert len(left) < len(undisturbed)
    assert left.items() <= undisturbed.items()
    STEPS[step].main(words(step, data, tmp_path))
    assert contents(tmp_path, OUTPUTS[step]) == undisturbed
    assert parts(tmp_path) == []


def test_the_processes_of_a_killed_step_end_with_it(data: Path, tmp_path: Path) -> None:
    with started("pipeline.patches.cut", *words("patches", data, tmp_path, 2), folder=tmp_path) as process:
        wait_for(lambda: parts(tmp_path) and len(session(process)) >= 4, process)
        process.kill()
        process.wait()
        limit = time.monotonic() + 60
        while session(process) and time.monotonic() < limit:
            time.sleep(0.05)
        assert session(process) == []


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_leaves_nothing_behind_a_step_and_its_processes(
    data: Path, tmp_path: Path, times: int
) -> None:
    line = [str(tmp_path / "log"), "pipeline.patches.cut", *words("patches", data, tmp_path, 2)]
    with started("workflow.job", *line, folder=tmp_path) as process:
        part = tmp_path / ".patches.h5.part"
        wait_for(lambda: part.exists() and part.stat().st_size > 1_000_000, process)  # all are at work
        interrupt(process, times)
        printed, _ = process.communicate(timeout=30)
        assert process.returncode == 130 or (times == 2 and process.returncode), printed
        assert contents(tmp_path, OUTPUTS["patches"]) == {}
        assert parts(tmp_path) == []
        wait_for(lambda: session(process) == [])


@pytest.mark.parametrize(("times", "processes"), [(1, 4), (2, 2)])
def test_ctrl_c_ends_a_step_whose_processes_are_sending_their_results(
    tmp_path: Path, times: int, processes: int
) -> None:
    # What was sent by half used to be waited for without an end, in four of five tries.
    line = [str(tmp_path / "log"), "tests.large", str(processes)]
    with started("workflow.job", *line, folder=tmp_path) as process:
        assert [process.stdout.readline() for _ in range(2)] == ["100000000\n"] * 2
        interrupt(process, times)
        process.communicate(timeout=30)
        assert process.returncode == 130
        wait_for(lambda: session(process) == [])
    assert (tmp_path / "log").read_text().splitlines()[-1].startswith("failed with 130 after")


def test_ctrl_c_twice_ends_a_command_without_a_log_too(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "tests.large", "2"]
    pipe, environment = subprocess.PIPE, {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        line, stdout=pipe, stderr=pipe, text=True, start_new_session=True, cwd=tmp_path, env=environment
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.2)
        try:
            _, said = process.communicate(timeout=30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert said.rstrip().endswith("KeyboardInterrupt")


def test_a_process_that_the_system_ends_while_it_sends_a_result_ends_the_step(tmp_path: Path) -> None:
    # Its step used to wait for the rest of the result without an end, in half of all tries.
    line = [str(tmp_path / "log"), "tests.large", "4"]
    with started("workflow.job", *line, folder=tmp_path) as process:
        assert process.stdout.readline() == "100000000\n"
        os.kill(max(session(process)), signal.SIGKILL)  # the youngest: a worker
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "E-OOM" in printed
        wait_for(lambda: session(process) == [])


# --- the demo's raw data

STOPS = {
    "Ctrl-C": (signal.SIGINT, "session"),
    "the terminal closed": (signal.SIGHUP, "session"),
    "all killed": (signal.SIGKILL, "session"),
    "the driver killed": (signal.SIGKILL, "driver"),
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, bytes]:
    """The raw data of the demo, from a writer that nobody disturbed."""
    folder = tmp_path_factory.mktemp("raw") / "prostatex"
    write_phantom("prostatex", folder, 8, 0)
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stop", STOPS)
def test_a_demo_that_is_stopped_while_it_writes_raw_data_starts_again(
    raw: dict[Path, bytes], tmp_path: Path, stop: str
) -> None:
    number, whom = STOPS[stop]
    line = ["--directory", "demo", "--configfile", str(ROOT / "config/demo.yaml")]
    line += ["--config", "phantom={patients: 8}", "--", "data/raw/prostatex"]
    part = tmp_path / "demo/data/raw/.prostatex.part"
    with started("workflow.run", *line, folder=tmp_path) as driver:
        wait_for(lambda: sum(len(names) for _, _, names in os.walk(part)) > 5, driver)
        assert not (tmp_path / "demo/data/raw/prostatex").exists(), "never half under its own name"
        (os.killpg if whom == "session" else os.kill)(driver.pid, number)
        driver.wait(timeout=60)
        with started("workflow.run", *line, folder=tmp_path) as again:
            printed, _ = again.communicate(timeout=120)
        assert again.returncode == 0, printed
    folder = tmp_path / "demo/data/raw/prostatex"
    written = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for mark in (".snakemake_timestamp", ".synthetic"):
        written.pop(Path(mark))
    assert written == raw
    assert not part.exists()


# --- the driver and the jobs of an experiment

RUN = Path("results/typhon/fold0/seed0")
CHECKPOINT = Path("checkpoints/typhon/fold0/seed0")
RESULTS = tuple(str(RUN / name) for name in ("model.safetensors", "best/model.safetensors", "history.csv"))
CONFIG = {
    "datasets": ["a", "b"],
    "target": "a",
    "seeds": [0],
    "split": {"kind": "holdout", "validation": 0.25, "test": 0.25},
    "collections": {name: {"kind": "table", "folders": {"no": 0, "yes": 1}, "extent": "whole"} for name in "ab"},
    "patch": 48,
    "views": 3,
    "majority_views": 3,
    "evaluation_views": 2,
    "bootstrap": {"candidates": 2},
    "hyperparameters": {
        "typhon": {"training": {"epochs": 60, "batch_size": 4}, "specialization": {"epochs": 3, "batch_size": 8}}
    },
    "evaluation": {"every": 10},
}  # fmt: skip


LINE = (
    "--directory", ".", "--configfile", "tiny.json", "--snakefile", "Snakefile", "--cores", "2",
    "--resources", "gpu=0", "--",
)  # fmt: skip


def drive(folder: Path, *targets: str) -> contextlib.AbstractContextManager[Process]:
    """``./run`` of the copy of the project in ``folder``."""
    return started("workflow.run", *LINE, *targets, folder=folder, code=folder)


def finish(folder: Path, *targets: str) -> None:
    """Let ``./run`` come to its end; nobody looks at its processes."""
    ended = warm.run(folder, [*LINE, *targets], code=folder, timeout=120)
    assert ended.returncode == 0, ended.printed


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project and its folder, done up to the start network of a tiny experiment of two data sets."""
    folder = tmp_path_factory.mktemp("experiment")
    copy_code(folder, "rules", "workflow", "pipeline", "model", "papers", "config", "profiles")
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "tiny.json").write_text(json.dumps(CONFIG))
    rng = np.random.default_rng(0)
    for dataset in "ab":
        for number in range(16):
            label = ("no", "yes")[number % 2]
            path = folder / "data" / "raw" / dataset / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 150, (48, 48), dtype="u1")
            pixels[16:32, 16:32] += np.uint8(100 * (number % 2))
            Image.fromarray(pixels).save(path)
    finish(folder, str(RUN / "bootstrap/network.safetensors"))
    return folder


@pytest.fixture(scope="module")
def undisturbed(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody disturbed."""
    folder = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("undisturbed") / "e"))
    finish(folder, RESULTS[0])
    assert not (folder / CHECKPOINT).exists()
    return folder


@pytest.fixture
def experiment(prepared: Path, tmp_path: Path) -> Path:
    """A copy of it to disturb."""
    return Path(shutil.copytree(prepared, tmp_path / "e"))


def trainer(folder: Path) -> int:
    """The process that trains, by the lock of its checkpoint; 0 before it has begun."""
    history, lock = folder / CHECKPOINT / "history.csv", folder / CHECKPOINT / "lock"
    return int(lock.read_text() or 0) if history.exists() and lock.exists() else 0


def resumed(folder: Path) -> bool:
    """Whether the last training began where another had stopped."""
    log = (folder / "logs" / RUN / "model.log").read_text()
    return "training: 60 epochs" in log and "training: 60 epochs of 2 batches, 0 done" not in log


def asked_to_end(pid: int) -> bool:
    """Whether a SIGTERM waits for a process that stands still (proc(5): ShdPnd, one bit per signal)."""
    fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(fields["ShdPnd"], 16) & 1 << (signal.SIGTERM - 1))


def test_after_kill_9_of_the_driver_the_next_run_takes_over_from_its_trainer(
    experiment: Path, undisturbed: Path
) -> None:
    with drive(experiment, RESULTS[0]) as driver:
        wait_for(lambda: trainer(experiment), driver)
        pid = trainer(experiment)
        os.kill(pid, signal.SIGSTOP)  # or it would be done before the next run has started
        driver.kill()
        assert driver.wait() == KILLED
        assert pid in session(driver)
        assert any((experiment / ".snakemake/locks").iterdir())
        with drive(experiment, RESULTS[0]) as following:
            wait_for(lambda: asked_to_end(pid), following)
            os.kill(pid, signal.SIGCONT)
            printed, _ = following.communicate(timeout=60)
        assert following.returncode == 0, printed
        assert f"process {driver.pid}, is dead: cleared its lock and ended" in printed
        assert session(driver) == []
    assert resumed(experiment)
    assert contents(experiment, RESULTS) == contents(undisturbed, RESULTS)
    assert parts(experiment) == []
    assert not (experiment / CHECKPOINT).exists()


def test_after_ctrl_c_once_and_twice_the_next_run_goes_on(experiment: Path, undisturbed: Path) -> None:
    for times in (1, 2):
        with drive(experiment, RESULTS[0]) as driver:
            wait_for(lambda: trainer(experiment), driver)
            interrupt(driver, times)
            printed, _ = driver.communicate(timeout=30)
            assert driver.returncode not in (0, KILLED), printed
            assert times == 2 or "Traceback" not in printed  # the second one interrupts Snakemake's own end
            wait_for(lambda: session(driver) == [])
        assert parts(experiment) == []
        assert contents(experiment, RESULTS) == {}
        assert any((experiment / CHECKPOINT).glob("*-*.safetensors"))
    finish(experiment, RESULTS[0])
    assert resumed(experiment)
    assert contents(experiment, RESULTS) == contents(undisturbed, RESULTS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_driver_alone_ends_the_training_within_seconds(
    experiment: Path, undisturbed: Path, number: int
) -> None:
    long = json.loads((experiment / "tiny.json").read_text())
    long["hyperparameters"]["typhon"]["training"]["epochs"] = 100_000
    (experiment / "long.json").write_text(json.dumps(long))
    words = ("--directory", ".", "--configfile", "long.json", "--resources", "gpu=0", RESULTS[0])
    with started("workflow.run", *words, folder=experiment, code=experiment) as driver:
        wait_for(lambda: trainer(experiment), driver)
        pid = trainer(experiment)
        os.kill(pid, signal.SIGSTOP)
        driver.send_signal(number)
        wait_for(lambda: "stopping" in (experiment / ".snakemake/driver.json").read_text(), driver)
        with started("workflow.run", *words, folder=experiment, code=experiment) as following:
            printed, _ = following.communicate(timeout=60)
        assert following.returncode == 1
        assert f"found process {driver.pid}, which is stopping; wait for it" in printed
        os.kill(pid, signal.SIGCONT)
        printed, _ = driver.communicate(timeout=30)
        assert driver.returncode not in (0, KILLED), printed
        assert "Traceback" not in printed
        assert session(driver) == []
    assert any((experiment / CHECKPOINT).glob("*-*.safetensors"))
    assert f"signal {signal.SIGINT}: leaving" in (experiment / "logs" / RUN / "model.log").read_text()
    finish(experiment, RESULTS[0])
    assert contents(experiment, RESULTS) == contents(undisturbed, RESULTS)


def test_a_killed_prediction_leaves_nothing_half_and_its_rerun_the_same_bytes(
    undisturbed: Path, tmp_path: Path
) -> None:
    stores, splits = (
        [str(undisturbed / "data" / name / file) for name in "ab"]
        for file in ("patches.h5", "splits/fold0.csv")
    )
    models = [str(undisturbed / name) for name in RESULTS[:2]]

    def line(out: Path) -> list[str]:
        tables = [str(out / "last.csv"), str(out / "best.csv")]
        return ["--stores", *stores, "--splits", *splits, "--gpu", "0", "--model", *models, "--out", *tables]

    score_views.main(line(tmp_path / "undisturbed"))
    out, names = tmp_path / "killed", ("last.csv", "best.csv")
    out.mkdir()
    with started("model.inference.score_views", *line(out), folder=tmp_path) as process:
        wait_for(lambda: parts(out), process)
        process.kill()
        assert process.wait() == KILLED
    left, expected = contents(out, names), contents(tmp_path / "undisturbed", names)
    assert len(left) < len(expected) == 2
    assert left.items() <= expected.items()
    score_views.main(line(out))
    assert contents(out, names) == expected
    assert parts(out) == []
