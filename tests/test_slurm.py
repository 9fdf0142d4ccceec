"""The demo on a real Slurm of this host: each job on a GPU of its own, one killed, one preempted, the same bytes."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.provenance import ROOT

RUNS = [f"typhon/fold{fold}/seed{seed}" for fold in (0, 1) for seed in (0, 1)]
PREEMPTED, KILLED = RUNS[0], RUNS[3]
FILES = (
    "model.safetensors",
    "best/model.safetensors",
    "history.csv",
    "predictions.csv",
    "best/predictions.csv",
)
SMALL = {
    "datasets": ["prostatex", "brain"],
    "seeds": [0, 1],
    "split": {"kind": "repeats", "n": 2},
    "phantom": {"patients": 12},
    "views": 6,
    "majority_views": 4,
    "evaluation_views": 3,
    "bootstrap": {"candidates": 2},
    "comparison": {"target_samples": None},
    "hyperparameters": {
        "typhon": {
            "training": {"epochs": 40, "batch_size": 8},
            "specialization": {"epochs": 2, "batch_size": 16},
        }
    },
    "evaluation": {"every": 20, "follow": False},
}
SECONDS = 1800
"""Far more than it takes."""


def command(*words: str) -> str:
    """What a command of Slurm prints."""
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def slots() -> int:
    """How many GPUs the Slurm at hand has; skips where there is none, or one whose nodes are other hosts."""
    if not shutil.which("sinfo"):
        pytest.skip("no Slurm here: sinfo is not installed")
    try:
        nodes = command("scontrol", "--oneliner", "show", "node")
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"no Slurm answers: {error}")
    if set(re.findall(r"NodeHostName=(\S+)", nodes)) != {socket.gethostname().split(".")[0]}:
        pytest.skip("the nodes of this Slurm are other hosts: temporary folders are not theirs")
    count = sum(map(int, re.findall(r"Gres=gpu:(?:\w+:)?(\d+)", nodes)))
    if count < 2:
        pytest.skip("this Slurm has no two GPUs, real or fake")
    return count


def run(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start ``./run`` of the demo in a folder."""
    line = [
        "--directory",
        str(folder),
        "--configfile",
        "config/demo.yaml",
        str(folder / "small.json"),
        *words,
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "workflow.run", *line], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> None:
    printed, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, printed


class Watch:
    """What Slurm tells of the jobs whose logs lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: dict[str, dict[str, str]] = {}
        self.slots: set[tuple[str, str]] = set()
        """Every node and device that was used."""
        self.before = self._jobs().keys()
        """Slurm remembers jobs for minutes: those of an earlier test in a folder of this name."""

    @staticmethod
    def _jobs() -> dict[str, str]:
        """What Slurm says of each job, by its number."""
        lines = command("scontrol", "--oneliner", "--details", "show", "job").splitlines()
        return {match[1]: line for line in lines if (match := re.match(r"JobId=(\d+)", line))}

    def look(self) -> None:
        """Take down all jobs as they are now; fails if two of them share a device."""
        taken = []
        for number, line in self._jobs().items():
            if f"StdOut={self.folder}/" in line and number not in self.before:
                self.jobs[number] = job = dict(re.findall(r"(\w+)=(\S*)", line))
                if job["JobState"] == "RUNNING" and (device := re.search(r"GRES=gpu\S*\(IDX:(\S+)\)", line)):
                    taken.append((job["NodeList"], device[1]))
        assert len(taken) == len(set(taken)), taken
        self.slots |= set(taken)

    def of(self, place: str) -> list[dict[str, str]]:
        """The jobs of a rule or group, and of the run if there is one, in their order."""
        inside = f"{self.folder}/logs/slurm/{place}/"
        return [
            job
            for _, job in sorted(self.jobs.items(), key=lambda item: int(item[0]))
            if job["StdOut"].startswith(inside)
        ]

    def training(self, name: str) -> list[dict[str, str]]:
        """The jobs that train a run."""
        return self.of("rule_train_model/" + "_".join(re.sub("[a-z]+(?=[0-9])", "", name).split("/")))


def trainer(folder: Path, name: str) -> int:
    """The process that trains a run, by the lock of its checkpoint; 0 before it has begun."""
    place = folder / "checkpoints" / name
    with contextlib.suppress(OSError):
        return int((place / "lock").read_text() or 0) if (place / "history.csv").exists() else 0
    return 0


def disturb(watch: Watch) -> Iterator[None]:
    """Stop two trainers in the middle, take one job back into the queue, and kill the other."""
    waiting = {PREEMPTED, KILLED}
    while waiting:
        for name in [name for name in waiting if trainer(watch.folder, name)]:
            # It stands still until Slurm has it go on to end it: so it is in the middle, however fast it is.
            os.kill(trainer(watch.folder, name), signal.SIGSTOP)
            watch.look()
            (job,) = watch.training(name)
            if name == PREEMPTED:
                command("scontrol", "requeue", job["JobId"])
            else:
                command("scancel", "--signal=KILL", "--full", job["JobId"])
            waiting.remove(name)
        yield
    while (again := watch.training(PREEMPTED)[0])["Restarts"] != "1" or again["JobState"] != "PENDING":
        yield
    command("scontrol", "update", f"JobId={again['JobId']}", "StartTime=now")  # it would wait for two minutes


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data that all runs share."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "small.json").write_text(json.dumps(SMALL))
    splits = [f"data/{dataset}/splits/fold{fold}.csv" for dataset in SMALL["datasets"] for fold in (0, 1)]
    finish(run(folder, "--cores", "2", "--", *splits))
    return folder


@pytest.fixture(scope="module")
def far(slots: int, tmp_path_factory: pytest.TempPathFactory, local: Path) -> Iterator[Watch]:
    """The same through Slurm, disturbed; locally meanwhile, undisturbed."""
    assert slots > 1
    folder = Path(shutil.copytree(local, tmp_path_factory.mktemp("far") / "run"))
    watch = Watch(folder)
    polls = ["--slurm-status-command", "squeue"]  # for a Slurm without accounting
    polls += ["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"]
    target = "results/typhon_auc.json"
    with (
        run(folder, "--workflow-profile", "slurm", *polls, "--", target) as driver,
        run(local, "--cores", "1", "--resources", "gpu=0", "--", target) as beside,
    ):
        try:
            steps, limit = disturb(watch), time.monotonic() + SECONDS
            while driver.poll() is None:
                assert time.monotonic() < limit, watch.jobs
                watch.look()
                next(steps, None)
                time.sleep(0.3)
            finish(driver)
            finish(beside)
            yield watch
        finally:
            for process in (driver, beside):
                process.kill()
            watch.look()
            command("scancel", "--quiet", *watch.jobs)


def test_every_job_has_a_gpu_of_its_own(far: Watch, slots: int) -> None:
    assert len(far.slots) == min(slots, len(RUNS))
    log = (far.folder / "logs/results" / RUNS[1] / "model.log").read_text()
    assert "no CUDA device is visible: running on the CPU" in log


def test_a_preempted_job_goes_on_from_its_checkpoint(far: Watch) -> None:
    (job,) = far.training(PREEMPTED)
    assert job["Restarts"] == "1"
    log = (far.folder / "logs/results" / PREEMPTED / "model.log").read_text()
    assert "going on in phase training after step" in log
    assert not (far.folder / "checkpoints" / PREEMPTED).exists()


def test_a_killed_job_is_sent_again_with_as_much_memory_more(far: Watch) -> None:
    first, second = far.training(KILLED)
    assert first["JobState"] == "CANCELLED"
    asked = [int(re.search(r"mem=(\d+)M", job["TRES"])[1]) for job in (first, second)]
    assert asked[1] == 2 * asked[0]


def test_short_jobs_share_one(far: Watch) -> None:
    names = {
        job["StdOut"].removeprefix(f"{far.folder}/logs/slurm/").split("/")[0] for job in far.jobs.values()
    }
    assert {"rule_predict_findings", "rule_score_method"}.isdisjoint(names)
    assert len(far.of("group_predict_predict_findings")) == len(far.of("group_score_score_method")) == 1


def test_the_results_are_those_of_a_local_run(far: Watch, local: Path) -> None:
    for name in RUNS:
        for file in FILES:
            here, there = (folder / "results" / name / file for folder in (local, far.folder))
            assert there.read_bytes() == here.read_bytes(), (name, file)
    here, there = (
        json.loads((folder / "results/typhon_auc.json").read_text()) for folder in (local, far.folder)
    )
    assert there["auroc"] == here["auroc"]


def test_the_profile_names_rules_that_exist() -> None:
    rules = {
        rule
        for file in ROOT.glob("rules/*.smk")
        for rule in re.findall(r"^(?:rule|use rule \w+ as) (\w+)", file.read_text(), re.M)
    }
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert {*profile["groups"], *profile["set-resources"]} <= rules
    assert set(profile["groups"].values()) == set(profile["group-components"])
