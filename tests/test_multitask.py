"""Multi-task pre-training with as many tasks and classes as Mormont et al. had: 22 and 81."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from model.files import weights
from model.inference import batch_norm
from model.network import Description, build, initialize
from model.training import train
from pipeline.classes import Classes
from pipeline.files import read_csv, write_csv
from pipeline.seeds import stream
from pipeline.store import write_store
from workflow.config import checked
from workflow.plan import training

COUNTS = {f"task{number:02}": count for number, count in enumerate([2] * 14 + [3] * 3 + [4, 4, 7, 9, 20])}
"""Classes of each task."""
SIDE, EPOCHS, BATCH, CUT = 32, 1, 8, 9
PARTS = ["train", "train", "validation", "test"]


def write_task(folder: Path, name: str, count: int) -> list[str]:
    """Four findings of each class, two of them for training: noise, as bright as the number of the class."""
    classes, rng = Classes(tuple(f"class{number}" for number in range(count))), stream(name)
    labels = np.repeat(np.arange(count), len(PARTS))
    numbers = [f"{name}-{number}" for number in range(len(labels))]
    table = pd.DataFrame({"patient_id": numbers, "group_id": numbers, "finding_id": "1", "label": labels})
    patches = rng.standard_normal((len(labels), 1, 1, SIDE, SIDE)).astype("f4") + labels[:, *[None] * 4]
    store, split = folder / f"{name}.h5", folder / f"{name}.csv"
    write_store(
        store, table.assign(width_mm=1.0, height_mm=1.0), patches.astype("f4"), views=1, side=SIDE, dataset=name,
        channels=["grey"], classes=classes, normalization="none", provenance={},
    )  # fmt: skip
    rows = table.assign(split=PARTS * count, views=1)
    write_csv(split, list(rows), rows.to_dict("records"))
    return [str(store), str(split)]


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a training of all tasks together is told, but for its outputs."""
    folder = tmp_path_factory.mktemp("tasks")
    stores, splits = zip(*(write_task(folder, name, count) for name, count in COUNTS.items()), strict=True)
    network = build(COUNTS, Description.named("efficientnet_lite0", 1, SIDE, linear=True).of(COUNTS))
    initialize(network, "tasks")
    tables = dict.fromkeys(COUNTS, batch_norm.initial(network))
    weights.write(folder / "start.safetensors", weights.export(network, tables), network.description)
    config = checked({
        "datasets": list(COUNTS), "target": "task00",
        "hyperparameters": {"pretrain": {"training": {"epochs": EPOCHS, "batch_size": BATCH}}},
        "collections": {name: {"kind": "table", "table": "t.csv"} for name in COUNTS},
    })  # fmt: skip
    return ["--stores", *stores, "--splits", *splits, "--network", str(folder / "start.safetensors"),
            "--phases", training.phases_as_json(config, "pretrain"), "--seed", "0", "--target", "task00",
            "--every", str(EPOCHS), "--no-follow"]  # fmt: skip


def held(kind: str) -> int:
    """How much memory in KiB this process holds (VmRSS), or has held at most (VmHWM); 0 where nobody counts."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((int(line.split()[1]) for line in lines if line.startswith(kind)), 0)


def outputs(folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    files = [f"--{flag}={folder / flag}" for flag in ("out", "best", "history", "gradients", "run")]
    return [*files, "--checkpoint", str(folder / "checkpoint")]


def test_22_tasks_of_81_classes_train_together_and_a_cut_run_goes_on(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (len(COUNTS), sum(COUNTS.values())) == (22, 81)
    if before := held("VmRSS"):
        Path("/proc/self/clear_refs").write_text("5")  # the most held is counted from here on
    started = time.process_time()
    train.main([*arguments, *outputs(tmp_path / "whole")])
    seconds, growth = time.process_time() - started, held("VmHWM") - before
    print(f"{growth / 1024:.0f} MiB, {seconds:.1f} s of processor time")
    assert growth < 400 * 1024
    assert seconds < 60

    step = train.Trainer._step

    def stopping(made: train.Trainer, *rest: Any) -> None:
        step(made, *rest)
        if made.progress.step == CUT:
            made.stop(signal.SIGTERM)

    monkeypatch.setattr(train.Trainer, "_step", stopping)
    with pytest.raises(SystemExit, match="143"):
        train.main([*arguments, *outputs(tmp_path / "cut")])
    monkeypatch.undo()
    train.main([*arguments, *outputs(tmp_path / "cut")])
    for name in ("out", "best", "history"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name

    tensors = weights.read_tensors(tmp_path / "whole/out")
    heads = {name: tensors[f"makers.{name}.weight"].shape for name in COUNTS}
    assert heads == {name: (count, 1280) for name, count in COUNTS.items()}
    trained = json.loads((tmp_path / "whole/run").read_text())["trained"]
    steps = EPOCHS * len(COUNTS)  # an epoch has as many batches as tasks
    assert sum(trained.values()) == BATCH * steps
    # However many a task has, it gives 8 of 176 samples, with a standard deviation of 2.8.
    assert set(trained) == set(COUNTS)
    assert all(0 < count < 20 for count in trained.values()), trained
    history = read_csv(tmp_path / "whole/history")
    judged = history[(history["metric"] == "auroc") & (history["split"] == "validation")]
    assert list(judged["dataset"]) == list(COUNTS)
    assert judged["value"].notna().all()
