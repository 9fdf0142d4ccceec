import json
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional

from model.files import weights
from model.inference import batch_norm
from model.inference.scores import evaluate
from model.network import Description, Network, build, initialize
from model.networks.papers import SMALLEST, Extractor, head
from model.report import gradients, tensorboard
from model.training import data, train
from model.training.batches import LoopLoader
from model.training.checkpoint import Folder
from model.training.phase import Phase
from model.training.settings import Settings
from model.training.trainer import Trainer
from pipeline.errors import ConfigError, InputError, LockedError, LossError
from pipeline.files import read_csv
from tests.stores import make_store

CPU = torch.device("cpu")
SMALL = Description(side=SMALLEST)
"""The network on the smallest patches that it takes: the steps are the same, and take less time."""
NAMES = ("a", "b.c")
DEFAULTS = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "batches": 1, "dropout": 0.3}


def phase(name: str = "training", datasets: tuple[str, ...] = NAMES, **changes: Any) -> Phase:
    return Phase(name, datasets, **DEFAULTS | changes)


@pytest.fixture
def datasets(tmp_path: Path) -> dict[str, data.Dataset]:
    made = [make_store(tmp_path, name, train=9, views=2, side=SMALLEST) for name in NAMES]
    return data.load([store for store, _ in made], [split for _, split in made])


@pytest.fixture
def trainer(datasets: dict[str, data.Dataset], tmp_path: Path) -> Callable[..., Trainer]:
    def make(*phases: Phase, double: bool = False, **settings: Any) -> Trainer:
        network = build(datasets, SMALL)
        initialize(network, "train")
        if double:
            network.double()
        chosen = Settings(**{"seed": 0, "target": "a", "every": 1, "follow": False} | settings)
        return Trainer(network, datasets, phases, chosen, Folder(tmp_path / "checkpoint", "x"), CPU)

    return make


def history(trainer: Trainer) -> list[list[str]]:
    return read_csv(trainer._folder.path / "history.csv").to_numpy().tolist()


def test_training_is_algorithm_1_written_plainly(
    trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch of each data set in turn, an Adam of each over extractor and own decision maker."""
    # In float64, as Adam makes a step of any rounding error where a gradient is almost zero.
    ours = trainer(phase(epochs=2, batch_size=4, dropout=0.0), batch_norm="mixed", double=True)
    ours._train.update(
        {name: replace(part, patches=part.patches.double()) for name, part in ours._train.items()}
    )
    monkeypatch.setattr(ours, "_validate", lambda *_: None)
    plain = Network(Extractor(1, SMALLEST), {name: head(256, 2) for name in NAMES}, SMALL)
    initialize(plain, "train")
    plain.double()
    optimizers, loaders, parts = {}, {}, {}
    for name in NAMES:
        weights_ = [*plain.extractor.parameters(), *plain.maker(name).parameters()]
        optimizers[name] = torch.optim.Adam(weights_, lr=1e-3)
        parts[name] = ours._train[name]
        loaders[name] = LoopLoader(parts[name].labels.numpy(), 4, "loader", 0, "training", name)
    plain.train()
    for epoch in range(2):
        for name in NAMES:
            batch = loaders[name].batch(epoch)
            optimizers[name].zero_grad()
            loss = functional.cross_entropy(
                plain(parts[name].patches[batch], name), parts[name].labels[batch]
            )
            loss.backward()
            optimizers[name].step()
    ours.run()
    for one, other in zip(ours.network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=0)
    means = torch.cat([norm.running_mean for norm in batch_norm.norms(plain)])
    torch.testing.assert_close(ours.updater.running["a"][0], means)


def test_extractor_weights_are_shared_and_moments_are_not(
    trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainer(phase())
    monkeypatch.setattr(made.updater, "end", lambda: None)
    made.updater.set_optimizers(made.phases[0])
    optimizers = made.updater.optimizers
    groups = [{id(weight) for weight in optimizers[name].param_groups[0]["params"]} for name in NAMES]
    assert groups[0] & groups[1] == {id(weight) for weight in made.network.extractor.parameters()}
    made.run()
    weight = made.network.extractor[4].weight
    one, other = (optimizers[name].state[weight] for name in NAMES)
    assert not torch.equal(one["exp_avg"], other["exp_avg"])
    assert one["step"] == other["step"] == 2


def test_each_data_set_gives_its_batches_in_turn(trainer: Callable[..., Trainer]) -> None:
    made = trainer()
    two = phase(batches=2)
    steps = made._plan(two)
    assert [[name for name, _ in steps.batch(number)] for number in range(4)] == [["a"]] * 2 + [["b.c"]] * 2
    whole = phase(batches=None)  # 18 views: batches of 8, 8 and 2
    assert len(made._plan(whole)) == 6


def test_a_rate_per_data_set_goes_to_its_optimizer(trainer: Callable[..., Trainer]) -> None:
    rates = {"a": 1e-3, "b.c": 1e-4}
    made = trainer()
    made.updater.set_optimizers(phase(learning_rate=rates))
    optimizers = made.updater.optimizers
    assert {name: optimizer.param_groups[0]["lr"] for name, optimizer in optimizers.items()} == rates


def test_the_history_tells_losses_samples_and_metrics_of_each_validation(
    trainer: Callable[..., Trainer],
) -> None:
    made = trainer(phase(epochs=3), phase("specialization", ("a",), epochs=2, batches=None), every=2)
    made.run()
    rows = history(made)
    metrics = ["loss", "auroc", "accuracy", "precision", "recall", "f1", "specificity"]
    assert [(row[3], row[4]) for row in rows[:15]] == [
        *(("train", metric) for metric in ("loss", "samples", *metrics[1:])),
        *(("validation", metric) for metric in metrics),
    ]
    places = list(dict.fromkeys(tuple(row[:3]) for row in rows))
    assert places == [
        ("training", "2", "a"), ("training", "2", "b.c"), ("training", "3", "a"), ("training", "3", "b.c"),
        ("specialization", "2", "a"),
    ]  # fmt: skip
    samples = {tuple(row[:3]): row[5] for row in rows if row[4] == "samples"}
    assert samples[places[0]] == "16"
    # 18 views are batches of 8, 8 and 2.
    assert samples[places[-1]] == str((8 + 8 + 2) + 2 * 18)
    assert made.progress.samples["training"] == 2 * (8 + 8 + 2)
    assert made.progress.samples["specialization"] == 2 * 18
    # Statistics take 18 training patches of a data set, a validation 8 views; the end recalibrates both.
    assert made.progress.samples["evaluation"] >= 5 * (18 + 8) + 2 * 18


def test_the_best_state_is_the_earliest_with_the_highest_validation_auroc(
    trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainer(phase(epochs=5, batch_size=4), batch_norm="mixed")
    aurocs = iter([0.5, 0.7, 0.7, None, 0.6])
    states = []
    real = made._validate

    def validate(current: Phase, epoch: int) -> None:
        value = next(aurocs)
        monkeypatch.setattr("model.inference.scores.macro", lambda *_, value=value: value)
        real(current, epoch)
        states.append(weights.export(made.network, made._judge.tables(NAMES)))

    monkeypatch.setattr(made, "_validate", validate)
    last = made.run()
    best = made.progress.best
    assert best
    assert (best["auroc"], best["phase"], best["epoch"]) == (0.7, "training", 2)
    assert made.best.keys() == last.keys()
    assert all(torch.equal(made.best[name], states[1][name]) for name in last)
    assert any(not torch.equal(made.best[name], last[name]) for name in last)


def test_without_a_validation_auroc_the_best_state_is_the_last(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, split = make_store(tmp_path, "a", validation=1)
    network = build(["a"])
    initialize(network, 0)
    chosen = Settings(seed=0, target="a")
    made = Trainer(
        network,
        data.load([store], [split]),
        [phase(datasets=("a",))],
        chosen,
        Folder(tmp_path / "c", "x"),
        CPU,
    )
    caplog.set_level(logging.INFO)
    assert made.run() is made.best
    assert made.progress.best is None
    assert "a has no auroc in validation: the best state is the last one" in caplog.messages
    found = {row[3]: row[5] for row in history(made) if row[4] == "auroc"}
    assert found["validation"] == ""
    assert found["train"] != ""


def test_a_validation_split_without_findings_is_put_up_with(tmp_path: Path) -> None:
    store, split = make_store(tmp_path, "a", validation=0)
    network = build(["a"])
    initialize(network, 0)
    chosen = Settings(seed=0, target="a")
    made = Trainer(
        network,
        data.load([store], [split]),
        [phase(datasets=("a",))],
        chosen,
        Folder(tmp_path / "c", "x"),
        CPU,
    )
    made.run()
    assert {row[5] for row in history(made) if row[3] == "validation"} == {""}


@pytest.mark.parametrize("mode", batch_norm.MODES)
def test_statistics_for_evaluation_are_as_chosen(trainer: Callable[..., Trainer], mode: str) -> None:
    made = trainer(phase(), batch_norm=mode)
    last = made.run()
    one, other = (last[f"statistics.{name}"] for name in NAMES)
    assert torch.equal(one, other) == (mode == "mixed")
    if mode == "recalibrated":
        assert torch.equal(one, batch_norm.recalibrate(made.network, made._judge._calibration["a"]))


def test_validation_changes_nothing_in_the_training(trainer: Callable[..., Trainer]) -> None:
    def final(every: int, mode: str) -> dict[str, torch.Tensor]:
        made = trainer(phase(epochs=3, batch_size=4), every=every, batch_norm=mode)
        tensors = made.run()
        made._folder.__exit__(None, None, None)
        return tensors

    for mode in ("mixed", "recalibrated"):
        often, seldom = final(1, mode), final(100, mode)
        assert all(torch.equal(often[name], seldom[name]) for name in often)


def test_a_loss_that_is_not_finite_names_its_batch(trainer: Callable[..., Trainer]) -> None:
    made = trainer(phase(epochs=3, batches=None))
    with torch.no_grad():
        made._train["b.c"].patches[5] = float("nan")
    with pytest.raises(
        LossError, match=r"^E-LOSS.* found nan in phase training, epoch 1, data set b\.c, .* 0002/1/1\b"
    ):
        made.run()


def test_a_rate_that_rounding_eats_is_warned_about(
    trainer: Callable[..., Trainer], caplog: pytest.LogCaptureFixture
) -> None:
    made = trainer()

    def warn(of: Phase) -> None:
        made.updater.set_optimizers(of)
        made.updater._warn_of_rounding(of)

    warn(phase(learning_rate=3e-4))
    assert not caplog.messages
    # algorithm.md Q6: at 8e-10 a step is below half a unit in the last place where |w| > 0.016.
    weights_ = made.updater.parameters(phase(), "a")
    values = torch.cat([weight.detach().flatten() for weight in weights_]).abs()
    share = (values >= 2**-6).float().mean().item()
    assert share > 0.5
    warn(phase(learning_rate=8e-10))
    assert f"a rate of 8e-10 cannot move {100 * share:.0f} % of the weights of a" in caplog.messages[0]


def test_weights_that_are_said_not_to_move_do_not(trainer: Callable[..., Trainer]) -> None:
    made = trainer(phase(learning_rate=8e-10, epochs=1))
    before = [weight.detach().clone() for weight in made.updater.parameters(made.phases[0], "a")]
    made.run()
    for old, new in zip(before, made.updater.parameters(made.phases[0], "a"), strict=True):
        still = torch.from_numpy(np.spacing(old.abs().numpy()) / 2 > 8.5e-10)
        assert torch.equal(old[still], new.detach()[still])


def test_the_log_tells_how_long_it_will_take(
    trainer: Callable[..., Trainer], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.training.trainer.ESTIMATE_AFTER", 3)
    caplog.set_level(logging.INFO)
    trainer(phase(epochs=2)).run()
    assert any("samples per second: about " in message for message in caplog.messages)


# The command


def command(folder: Path, out: Path, *phases: Phase, **flags: Any) -> list[str]:
    line = ["--stores", *(str(folder / f"{name}.h5") for name in NAMES)]
    line += ["--splits", *(str(folder / f"{name}.csv") for name in NAMES)]
    described = json.dumps([{**vars(one), "datasets": list(one.datasets)} for one in phases])
    files = {
        "out": "model.safetensors",
        "best": "best/model.safetensors",
        "history": "history.csv",
        "gradients": "gradients.csv",
        "run": "run.json",
    }
    network = folder / "network.safetensors"
    given = {"network": network, "phases": described, "seed": 0, "every": 2, "target": "a"}
    given |= {flag: out / name for flag, name in files.items()} | {"checkpoint": out / "checkpoint"} | flags
    return line + [
        word for flag, value in given.items() for word in (f"--{flag.replace('_', '-')}", str(value))
    ]


@pytest.fixture
def start(datasets: dict[str, data.Dataset], tmp_path: Path) -> Path:
    network: Network = build(datasets, SMALL)
    initialize(network, "start")
    tables = {name: batch_norm.initial(network) for name in datasets}
    weights.write(
        tmp_path / "network.safetensors",
        weights.export(network, tables),
        network.description,
        samples_seen=11,
    )
    return tmp_path


def test_a_run_leaves_models_history_and_facts_and_no_checkpoint(start: Path) -> None:
    out = start / "out"
    train.main(command(start, out, phase(), phase("specialization", ("a",))))
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*")) == [
        "best", "best/model.safetensors", "gradients.csv", "history.csv", "model.safetensors", "run.json",
    ]  # fmt: skip
    about = json.loads((out / "run.json").read_text())
    assert about.keys() == {
        "best",
        "device",
        "samples_seen",
        "selected",
        "trained",
        "seconds",
        "threads",
        "versions",
    }
    assert (about["device"], about["threads"]) == ("cpu", 1)
    samples = about["samples_seen"]
    assert (samples["bootstrap"], samples["training"], samples["specialization"]) == (11, 32, 16)
    assert about["seconds"].keys() == {"training", "specialization"}
    weights.read(out / "best" / "model.safetensors", NAMES, 1, side=SMALLEST)


def test_the_pictures_and_events_of_a_run_come_from_what_it_wrote(
    start: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = start / "out"
    line = command(start, out, phase(), phase("special/ized", ("a",)), follow=None)
    line.remove("None")
    train.main([*line, "--record", "special/ized/2/1", "training/9/1", "none/1/1"])
    assert "no phase of this run has step training/9/1" in caplog.text
    assert "no phase of this run has step none/1/1" in caplog.text
    gradients.main(
        ["--gradients", str(out / "gradients.csv"), "--step", "special/ized/2/1", "--out", str(out / "g.png")]
    )
    assert (out / "g.png").stat().st_size > 1000
    tensorboard.main(["--history", str(out / "history.csv"), "--out", str(out / "events")])
    told, table = {}, read_csv(out / "history.csv")
    for split in set(table["split"]):
        events = EventAccumulator(str(out / "events" / split))
        events.Reload()
        for tag in events.Tags()["scalars"]:
            told |= {(split, tag, event.step): event.value for event in events.Scalars(tag)}
    rows = table[table["value"] != ""].itertuples()
    written = {
        (row.split, f"{row.phase}/{row.dataset}/{row.metric}", int(row.epoch)): float(row.value)
        for row in rows
    }
    assert {split for split, *_ in told} == {"train", "validation", "test"}
    assert told == pytest.approx(written)  # float32 there


def test_a_signal_is_learned(start: Path) -> None:
    train.main(command(start, start / "out", phase(epochs=10), phase("specialization", ("a",), epochs=1)))
    network, tables = weights.read(start / "out" / "model.safetensors", NAMES, 1, side=SMALLEST)
    store, split = make_store(start / "more", "a", train=2, test=20, views=1, side=SMALLEST)
    unseen = data.read_part(data.load([store], [split])["a"], "test", CPU)
    auroc = evaluate(network, "a", tables["a"], unseen).auroc
    assert auroc is not None
    assert auroc > 0.9


def test_a_signal_while_the_results_are_written_keeps_the_checkpoint(
    start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Snakemake deletes the outputs of a job that it stopped, even if the job was just done.
    write = train.weights.write

    def stopped(*args: Any, **kwargs: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        write(*args, **kwargs)

    call = command(start, start / "out", phase(), checkpoint_seconds=0)
    monkeypatch.setattr(train.weights, "write", stopped)
    with pytest.raises(SystemExit) as leave:
        train.main(call)
    monkeypatch.undo()
    assert leave.value.code == 143
    checkpoints = list((start / "out" / "checkpoint").glob("*.safetensors"))
    assert checkpoints
    train.main(call)
    assert not checkpoints[0].exists()


@pytest.mark.parametrize("balance", ["views", "undersample"])
def test_the_same_seed_gives_the_same_bytes(start: Path, balance: str) -> None:
    made = []
    for out, seed in (("1", 0), ("2", 0), ("3", 1)):
        train.main(command(start, start / out, phase(), seed=seed, balance=balance))
        names = ("model.safetensors", "best/model.safetensors", "history.csv")
        made.append([(start / out / name).read_bytes() for name in names])
    assert made[0] == made[1]
    assert all(one != other for one, other in zip(made[0], made[2], strict=True))


def test_a_checkpoint_of_another_rate_is_void(start: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = start / "out"
    with pytest.raises(LossError, match=r"the gradients are drawn in .*gradients\.png, the last checkpoint"):
        # Fails in its second phase, after saving at every step.
        train.main(command(start, out, phase(), phase("x", learning_rate=1e30), checkpoint_seconds=0))
    assert any((out / "checkpoint").glob("*.safetensors"))
    assert (out / "checkpoint" / "gradients.png").read_bytes().startswith(b"\x89PNG")
    train.main(command(start, out, phase(learning_rate=1e-4)))
    assert "is void: settings, data or code are others now" in caplog.text
    train.main(command(start, start / "clean", phase(learning_rate=1e-4)))
    for name in ("model.safetensors", "history.csv"):
        assert (out / name).read_bytes() == (start / "clean" / name).read_bytes()


def test_two_trainers_do_not_share_a_checkpoint(start: Path) -> None:
    with Folder(start / "checkpoint", "x"), pytest.raises(LockedError, match="held by process"):
        train.main(command(start, start / "out", phase(), checkpoint=start / "checkpoint"))
    assert not (start / "out").exists()


def test_wrong_input_ends_before_training(start: Path) -> None:
    with pytest.raises(ConfigError, match=r"E-CONFIG target: expected one of the data sets a, b\.c, found z"):
        train.main(command(start, start / "out", phase(), target="z"))
    with pytest.raises(ConfigError, match=r"phase training: .* found y"):
        train.main(command(start, start / "out", phase(datasets=("a", "y"))))
    weights.write(start / "other.safetensors", {"extractor.0": torch.zeros(1)}, SMALL)
    with pytest.raises(InputError, match=r"missing .* and \d+ more, unexpected extractor\.0;"):
        train.main(command(start, start / "out", phase(), network=start / "other.safetensors"))


def test_bfloat16_on_the_cpu_is_float32_with_a_warning(start: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = train.parse(command(start, start / "out", phase(), precision="bfloat16"))
    assert not train.settings(options, CPU).bfloat16
    assert train.settings(options, torch.device("cuda")).bfloat16
    assert "bfloat16 is for CUDA" in caplog.text
