"""The recipes of Romero et al.: regular training, the finder of the rate, layers that wait; values by hand."""

import itertools
import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from model.network import Description, build, initialize
from model.report import rates
from model.training import data, finder
from model.training.checkpoint import Folder
from model.training.layers import Layers
from model.training.phase import FIND, Phase, parse_phases
from model.training.schedule import Plateau, curve
from model.training.settings import Settings
from model.training.trainer import Trainer
from model.training.updater import grouped
from pipeline.errors import ConfigError
from pipeline.files import read_csv
from pipeline.provenance import ROOT
from tests.stores import make_store
from workflow.config import checked
from workflow.plan import targets

CPU = torch.device("cpu")
REGULAR = {"kind": "plateau", "factor": 0.1, "patience": 0, "watch": "loss", "until": 1e-6}
ONE_CYCLE = {"kind": "one-cycle"}
Make = Callable[..., Trainer]


def phase(**changes: Any) -> Phase:
    numbers = {"epochs": 3, "batch_size": 4, "learning_rate": 1e-3, "batches": 1, "dropout": 0.2}
    return Phase("training", ("a",), **numbers | changes)


@pytest.fixture
def trainer(tmp_path: Path) -> Make:
    store, split = make_store(tmp_path, "a", train=8, validation=4, views=1, side=36)
    datasets = data.load([store], [split])

    def make(current: Phase, name: str = "run", seconds: float = 60.0) -> Trainer:
        network = build(datasets, Description(side=36))
        initialize(network, "recipes")
        chosen = Settings(seed=0, target="a", every=1, follow=False)
        folder = Folder(tmp_path / name, "x")
        return Trainer(network, datasets, [current], chosen, folder, CPU, checkpoint_seconds=seconds)

    return make


def test_regular_training_divides_by_ten_where_the_loss_does_not_fall_and_ends_below_its_last_rate() -> None:
    adam = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1e-3)
    rule = Plateau(REGULAR, adam)
    found = []
    for loss in (0.7, 0.6, 0.65, 0.5, 0.5, 0.55, 0.56):
        rule.observe({"train": 0.9, "validation": 0.9, "loss": loss})
        found.append((adam.param_groups[0]["lr"], rule.over))
    rates = [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-6, 1e-7]
    assert [rate for rate, _ in found] == pytest.approx(rates)
    assert [over for _, over in found] == [False] * 6 + [True]  # it trains with 1e-6, and not with less


def test_a_phase_ends_after_the_validation_that_takes_its_rate_too_low(trainer: Make) -> None:
    """Steps of 1e-9 do not lower the loss: the second validation divides the rate, and that is below 1e-9."""
    made = trainer(phase(learning_rate=1e-9, epochs=9, schedule=REGULAR | {"until": 1e-9}))
    with made._folder:
        made.run()
        epochs = read_csv(made._folder.path / "history.csv")["epoch"]
    assert sorted(set(epochs)) == ["1", "2"]


class TestFinder:
    def test_the_rate_grows_by_the_same_factor_from_a_millionth_to_one(self) -> None:
        rates = np.array([finder.rate(step) for step in range(finder.TRIAL_STEPS)])
        assert (rates[0], rates[-1]) == pytest.approx((1e-6, 1.0))
        np.testing.assert_allclose(rates[1:] / rates[:-1], 1e6 ** (1 / 199))

    def test_the_rate_is_that_of_the_least_smoothed_loss_without_a_lag(self) -> None:
        valley = [abs(step - 120) / 100 for step in range(150)]
        assert finder.best_rate(valley) == finder.rate(120)
        valley[60] = -3.0  # one lucky batch: its mean with 16 neighbours is above that of the valley
        assert finder.smoothed(valley)[60] == pytest.approx((0.6 * 16 + 0.04 * 0 - 3) / 17, abs=1e-9)
        assert finder.best_rate([0.5] * 5) == finder.LOWEST

    def test_a_trial_ends_where_the_loss_explodes(self) -> None:
        calm = [0.7] * 20
        assert not finder.diverged(calm)
        assert finder.diverged([*calm, math.nan])
        assert not finder.diverged([*calm, 4.0])  # one step of eight: a mean of 1.11
        assert finder.diverged([*calm, *[4.0] * 6])  # (2 · .7 + 6 · 4) / 8 = 3.175, above 4 · .7

    def test_it_leaves_no_trace_but_the_rate(self, trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(finder, "TRIAL_STEPS", 40)
        layers = Layers(groups=2, decay=0.5, unfreeze=[0.4])
        asked = trainer(phase(learning_rate=FIND, schedule=ONE_CYCLE, layers=layers))
        with asked._folder:
            found = asked.run()
        (told,) = asked.progress.rates.values()
        assert told["rate"] == finder.best_rate(told["losses"])
        assert finder.LOWEST < told["rate"] < finder.HIGHEST
        assert len(told["losses"]) <= 40
        known = trainer(phase(learning_rate=told["rate"], schedule=ONE_CYCLE, layers=layers), "known")
        with known._folder:
            again = known.run()
        assert found.keys() == again.keys()
        assert all(torch.equal(value, again[name]) for name, value in found.items())
        assert asked.progress.samples["training"] > known.progress.samples["training"]

    def test_a_run_cut_in_a_trial_or_after_it_ends_in_the_same_weights(
        self, trainer: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(finder, "TRIAL_STEPS", 30)
        current = phase(learning_rate=FIND, schedule=ONE_CYCLE)
        whole = trainer(current, "whole")
        with whole._folder:
            expected = whole.run()
        cut = trainer(current, "cut", 0.0)
        cut.stop(signal.SIGTERM)
        with pytest.raises(SystemExit), cut._folder:
            cut.run()  # in the first step of the trial
        again = trainer(current, "cut", 0.0)
        after_step = again._after_step

        def stopped(now: Phase) -> None:
            again.stop(signal.SIGTERM)
            after_step(now)

        monkeypatch.setattr(again, "_after_step", stopped)
        with pytest.raises(SystemExit), again._folder:
            again.run()  # after the first step of the phase
        monkeypatch.setattr(finder, "find", None)  # which nothing calls again
        last = trainer(current, "cut")
        with last._folder:
            found = last.run()
        assert last.progress.rates == whole.progress.rates
        assert all(torch.equal(value, found[name]) for name, value in expected.items())

    def test_it_is_for_a_phase_with_one_optimizer(self) -> None:
        numbers = {"epochs": 1, "batch_size": 4, "batches": 1, "dropout": 0.0, "name": "x"}
        both = {**numbers, "datasets": ["a", "b"], "learning_rate": FIND}
        assert parse_phases(json.dumps([both | {"step": "mixed"}]))[0].learning_rate == FIND
        with pytest.raises(ConfigError, match="a number where data sets take turns"):
            parse_phases(json.dumps([both]))
        with pytest.raises(ConfigError, match="a learning_rate above 0, or find, found seek"):
            parse_phases(json.dumps([both | {"learning_rate": "seek"}]))


def test_three_groups_have_a_ninth_a_third_and_all_of_the_rate_and_wait_without_a_bit_changed(
    trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten steps the second group moves from the second step on (10 %), the first from the third (20 %)."""
    layers = Layers(groups=3, decay=1 / 3, unfreeze=[0.1, 0.2])
    made = trainer(phase(epochs=10, schedule=ONE_CYCLE, layers=layers))
    parts = [*grouped(made.network.extractor, 3), list(made.network.maker("a").parameters())]

    def copies() -> list[torch.Tensor]:
        return [torch.cat([value.detach().ravel() for value in part]) for part in parts]

    states, used, after_step = [copies()], [], made._after_step

    def spied(now: Phase) -> None:
        states.append(copies())
        (optimizer,) = made.updater.optimizers.values()
        used.append([group["lr"] for group in optimizer.param_groups])
        after_step(now)

    monkeypatch.setattr(made, "_after_step", spied)
    with made._folder:
        made.run()
    moved = [
        [not torch.equal(old, new) for old, new in zip(before, after, strict=True)]
        for before, after in itertools.pairwise(states[:4])
    ]
    assert moved == [[False, False, True, True], [False, True, True, True], [True, True, True, True]]
    cycle = [curve(ONE_CYCLE, step, 10).rate * 1e-3 for step in range(10)]  # type: ignore[union-attr]
    assert cycle[:4] == pytest.approx([4e-5, 2.8e-4, 7.6e-4, 1e-3])  # a cosine from 1/25 up, cut at step 3
    np.testing.assert_allclose(used, np.outer(cycle, [1 / 9, 1 / 3, 1, 1]))


def test_the_report_draws_the_trials_of_a_method_that_asks_for_them() -> None:
    valley = [0.1 + abs(step - 120) / 100 for step in range(150)]
    runs: list[dict[str, dict[str, Any]]] = [
        {"training": {"rate": finder.rate(120), "losses": valley}},
        {"training": {"rate": finder.rate(20), "losses": valley[100:]}},
    ]
    (axes,) = rates.plot(runs).axes
    dotted = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]  # type: ignore[index]
    assert dotted == [finder.rate(120), finder.rate(20)]
    assert axes.xaxis.get_major_formatter()(1e-4) == "0.0001"
    asking = {"method": "finetune", "hyperparameters": {"finetune": {"training": {"learning_rate": FIND}}}}
    usual = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    made = checked(usual | {"variants": {"found": asking}, "methods": ["typhon", "found"]})
    pictures = targets.figures(made)
    assert "results/found/rates.png" in pictures
    assert "results/typhon/rates.png" not in pictures
