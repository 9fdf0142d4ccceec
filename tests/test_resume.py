"""Kill the real commands anywhere: the next run ends with the bytes of an undisturbed one."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model.networks.papers import SMALLEST
from tests.copies import copy_code
from tests.stores import make_store
from tests.warm import start

ROOT = Path(__file__).resolve().parent.parent
DATASETS = ("a", "b.c")
SETTINGS = {"batches": 1, "batch_size": 4, "learning_rate": 1e-3, "dropout": 0.3}
SPECIALIZATION = {"batches": None, "batch_size": 8, "learning_rate": 3e-4, "dropout": 0.3}
PHASES = [
    {"name": "training", "datasets": DATASETS, "epochs": 16, **SETTINGS},
    {"name": "frozen", "datasets": ["b.c"], "epochs": 150, **SPECIALIZATION,
     "frozen": True, "select": "best", "head": {"b.c": "new"}},
    {"name": "mixed", "datasets": DATASETS, "epochs": 6, **SPECIALIZATION, "step": "mixed",
     "schedule": {"kind": "plateau", "factor": 0.5, "patience": 0}},
    {"name": "specialization", "datasets": ["a"], "epochs": 20, **SPECIALIZATION, "head": {"b.c": "a"},
     "dropout": 0.0},
]  # fmt: skip
MODULES = {"bootstrap": "model.bootstrap.guess", "train": "model.training.train"}
OUTPUTS = {
    "bootstrap": ("network.safetensors", "scores.csv"),
    "train": ("model.safetensors", "best.safetensors", "history.csv", "gradients.csv"),
}


def command(step: str, inputs: Path, out: Path) -> list[str]:
    stores = [str(inputs / f"{name}.h5") for name in DATASETS]
    splits = [str(inputs / f"{name}.csv") for name in DATASETS]
    line = [MODULES[step], "--stores", *stores, "--splits", *splits, "--seed", "1"]
    line += ["--checkpoint", str(out / "checkpoint")]
    if step == "bootstrap":
        return [
            *line,
            "--candidates",
            "30",
            "--out",
            f"{out}/network.safetensors",
            "--scores",
            f"{out}/scores.csv",
        ]
    line += ["--network", str(inputs / "network.safetensors"), "--phases", json.dumps(PHASES), "--every", "5"]
    line += [
        "--batch-norm",
        "per_set",
        "--zero-dropout",
        "paper",
        "--checkpoint-seconds",
        "0.05",
        "--run",
        f"{out}/run.json",
        "--target",
        "a",
    ]
    return [
        *line,
        *(
            f"--{flag}={out}/{file}"
            for flag, file in zip(("out", "best", "history", "gradients"), OUTPUTS[step], strict=True)
        ),
    ]


def run(step: str, inputs: Path, out: Path, project: Path = ROOT) -> str:
    """Run a step to its end; what it says."""
    process = start(*command(step, inputs, out), folder=project, code=project)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    return printed


def kill_when(
    ready: Callable[[], bool],
    step: str,
    inputs: Path,
    out: Path,
    number: int = signal.SIGKILL,
    project: Path = ROOT,
) -> int:
    """Start a step, send it a signal as soon as ``ready()``; its exit status."""
    process = start(*command(step, inputs, out), folder=project, code=project)
    try:
        limit = time.monotonic() + 60
        while not ready():
            assert process.poll() is None, f"{step} ended before it could be killed"
            assert time.monotonic() < limit
            time.sleep(0.005)
        process.send_signal(number)
        return process.wait(timeout=30)
    finally:
        process.kill()
        process.communicate()


def rows(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def checkpoints(folder: Path) -> int:
    """Number of the last checkpoint, from 0; -1 without any."""
    return max((int(path.name.split("-")[0]) for path in folder.glob("*-*.safetensors")), default=-1)


def in_phase(folder: Path, phase: int) -> bool:
    """Whether the last checkpoint belongs to a phase."""
    for path in sorted(folder.glob("*-*.safetensors"))[-1:]:
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return json.loads(header["__metadata__"]["about"])["state"]["phase"] == phase
    return False


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    for name in DATASETS:
        make_store(folder, name, train=9, validation=4, views=2, signal=0.3, side=SMALLEST)
    run("bootstrap", folder, folder)
    run("train", folder, folder)
    return folder


def assert_same(step: str, undisturbed: Path, out: Path) -> None:
    for name in OUTPUTS[step]:
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes(), name
    assert not (out / "checkpoint").exists()


def test_a_bootstrap_killed_twice_ends_with_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    log = tmp_path / "checkpoint" / "scores.csv"
    for number in (3, 9):
        assert (
            kill_when(lambda least=number: rows(log) > least, "bootstrap", undisturbed, tmp_path)
            == -signal.SIGKILL
        )
    run("bootstrap", undisturbed, tmp_path)
    assert_same("bootstrap", undisturbed, tmp_path)


def test_a_trainer_killed_in_each_phase_ends_with_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    moments = (
        (lambda: folder.exists() and checkpoints(folder) < 0, "before the first checkpoint"),
        (lambda: checkpoints(folder) >= 1, "in training"),
        *((lambda number=number: in_phase(folder, number), PHASES[number]["name"]) for number in (1, 2, 3)),
    )
    for ready, moment in moments:
        assert kill_when(ready, "train", undisturbed, tmp_path) == -signal.SIGKILL, moment
    run("train", undisturbed, tmp_path)
    assert_same("train", undisturbed, tmp_path)


def test_a_trainer_that_is_asked_to_end_saves_first(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    status = kill_when(lambda: checkpoints(folder) >= 0, "train", undisturbed, tmp_path, signal.SIGTERM)
    assert status == 128 + signal.SIGTERM
    run("train", undisturbed, tmp_path)
    assert_same("train", undisturbed, tmp_path)


TEXTS = (
    ("model/training/trainer.py", "leaving, to go on later", "until later"),
    ("pipeline/errors.py", "lower the learning rate", "try a lower one"),
    ("model/training/train.py", "epochs between validations", "how often to validate"),
    ("pipeline/store.py", '"""', '"""In short: '),
    ("model/training/steps.py", "", "\n# a comment\n"),
    ("model/training/methods.py", "", '\nMETHODS["mine"] = typhon\n'),
)
CODE = (("pipeline/store.py", "PATCH_SIDE = 65", "PATCH_SIDE = 60 + 5"),)


@pytest.mark.parametrize(("edits", "void"), [(TEXTS, False), (CODE, True)], ids=["texts", "code"])
def test_a_checkpoint_outlives_an_edit_of_texts_and_no_other(
    undisturbed: Path, tmp_path: Path, edits: tuple[tuple[str, str, str], ...], void: bool
) -> None:
    copy_code(tmp_path, "pipeline", "model")
    out = tmp_path / "out"
    kill_when(lambda: checkpoints(out / "checkpoint") >= 1, "train", undisturbed, out, project=tmp_path)
    for name, old, new in edits:
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new, 1) if old else text + new)
    assert ("is void: settings, data or code" in run("train", undisturbed, out, tmp_path)) == void
    assert_same("train", undisturbed, out)
