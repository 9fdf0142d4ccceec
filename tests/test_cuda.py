"""CUDA and CPU are the same code: logits and losses agree, and bfloat16 learns too."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from model.bootstrap import guess
from model.device import set_up
from model.files import weights
from model.inference import batch_norm, score_views
from model.inference.evaluated import Evaluated
from model.network import build, initialize
from model.training import data, train
from pipeline.errors import MemoryShortError
from pipeline.provenance import ROOT
from tests.stores import make_store

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

LOGIT_TOLERANCE = 1e-4
"""Nine convolutions summed in another order, in float32 without TF32."""
LOSS_TOLERANCE = 2e-3
"""After 20 Adam steps, which turn rounding of tiny gradients into whole steps."""
PHASES = [
    {
        "name": "training",
        "datasets": ["a", "b"],
        "epochs": 20,
        "batches": 1,
        "batch_size": 8,
        "learning_rate": 3e-4,
        "dropout": 0.0,  # random masks differ between devices
    }
]


@pytest.fixture
def stores(tmp_path: Path) -> list[str]:
    made = [make_store(tmp_path, name, train=24, validation=12, test=12) for name in "ab"]
    return ["--stores", *(str(store) for store, _ in made), "--splits", *(str(split) for _, split in made)]


def run(stores: list[str], out: Path, gpu: int, *options: str) -> dict[tuple[str, ...], float]:
    """Bootstrap and train; the history by (dataset, split, metric)."""
    out.mkdir()
    start = out.parent / "start.safetensors"
    if not start.exists():
        call = [
            "--seed",
            "0",
            "--candidates",
            "3",
            "--checkpoint",
            str(out / "b"),
            "--scores",
            str(out / "s.csv"),
        ]
        guess.main([*stores, *call, "--out", str(start)])
    call = [
        "--network",
        str(start),
        "--phases",
        json.dumps(PHASES),
        "--seed",
        "0",
        "--every",
        "20",
        "--gpu",
        str(gpu),
    ]
    files = [
        "--out",
        f"{out}/m",
        "--best",
        f"{out}/best",
        "--history",
        f"{out}/h.csv",
        "--gradients",
        f"{out}/g.csv",
        "--target",
        "a",
        "--run",
        f"{out}/run.json",
    ]
    train.main([*stores, *call, *files, "--checkpoint", str(out / "c"), *options])
    with (out / "h.csv").open() as file:
        return {
            (row["dataset"], row["split"], row["metric"]): float(row["value"])
            for row in csv.DictReader(file)
            if row["value"]
        }


def test_logits_agree() -> None:
    device = set_up(1)
    assert device.type == "cuda"
    network = build(["a"])
    initialize(network, "parity", 0)
    patches = torch.from_numpy(np.random.default_rng(0).normal(size=(300, 1, 65, 65)).astype("f4"))
    table = batch_norm.recalibrate(network, patches[:64])
    on_cpu = Evaluated(network, "a", table)(patches)
    on_gpu = Evaluated(network.to(device), "a", table.to(device))(patches.to(device)).cpu()
    torch.testing.assert_close(on_gpu, on_cpu, atol=LOGIT_TOLERANCE, rtol=0)


def test_losses_agree(stores: list[str], tmp_path: Path) -> None:
    cpu, gpu = (run(stores, tmp_path / name, number) for number, name in enumerate(("cpu", "gpu")))
    for dataset in "ab":
        for split in ("train", "validation"):
            key = (dataset, split, "loss")
            assert gpu[key] == pytest.approx(cpu[key], abs=LOSS_TOLERANCE), key
    assert json.loads((tmp_path / "gpu" / "run.json").read_text())["device"] == torch.cuda.get_device_name()


def test_bfloat16_learns_as_well(stores: list[str], tmp_path: Path) -> None:
    full, half = (run(stores, tmp_path / name, 1, "--precision", name) for name in ("float32", "bfloat16"))
    assert half["a", "train", "loss"] == pytest.approx(full["a", "train", "loss"], abs=0.1)


def test_predictions_agree(stores: list[str], tmp_path: Path) -> None:
    run(stores, tmp_path / "gpu", 1)
    scores = []
    for gpu in (0, 1):
        out = tmp_path / f"predictions{gpu}.csv"
        score_views.main(
            [*stores, "--model", str(tmp_path / "gpu" / "m"), "--gpu", str(gpu), "--out", str(out)]
        )
        with out.open() as file:
            scores.append([float(row["score"]) for row in csv.DictReader(file)])
    np.testing.assert_allclose(*scores, atol=1e-4)
    assert (
        len(scores[0])
        == data.load(*[[Path(p) for p in part] for part in (stores[1:3], stores[4:6])])["a"]
        .table.query("split != 'train'")["views"]
        .sum()
        * 2
    )


def test_a_model_trained_on_one_device_loads_on_the_other(stores: list[str], tmp_path: Path) -> None:
    run(stores, tmp_path / "gpu", 1)
    datasets = data.load(*[[Path(p) for p in part] for part in (stores[1:3], stores[4:6])])
    network, _ = weights.read(tmp_path / "gpu" / "m", datasets, 1)
    assert all(value.device.type == "cpu" for value in network.state_dict().values())


def test_a_full_gpu_is_told_in_one_line_and_leaves_it_usable(stores: list[str], tmp_path: Path) -> None:
    run(stores, tmp_path / "before", 1)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        with pytest.raises(MemoryShortError, match=r"^E-OOM: .*CUDA out of memory"):
            run(stores, tmp_path / "full", 1)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    run(stores, tmp_path / "after", 1)


def test_a_gpu_that_fails_ends_the_step_with_one_line() -> None:
    script = """
import torch
from model.device import told
from pipeline.cli import run_cli

@told()
def main(_):
    torch.zeros(3, device="cuda")[torch.tensor([7], device="cuda")].cpu()

run_cli(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.search(
        r"^E-GPU.*: expected a GPU that works, found CUDA error: device-side assert", done.stderr, re.M
    )
