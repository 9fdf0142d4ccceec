"""Phases of every kind against the plain way of writing them down."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from model.files import weights
from model.inference import batch_norm
from model.network import Description, Network, build, initialize
from model.networks.base import Dropout
from model.networks.papers import SMALLEST, Extractor, head
from model.training import data
from model.training.checkpoint import Folder
from model.training.layers import Layers
from model.training.losses import loss
from model.training.phase import Phase
from model.training.records import StepSelector
from model.training.settings import Settings
from model.training.trainer import Trainer
from model.training.updater import grouped
from pipeline.classes import UNNAMED
from pipeline.errors import ConfigError
from pipeline.files import read_csv
from tests.stores import make_store

CPU = torch.device("cpu")
SMALL = Description(side=SMALLEST)
"""The network on the smallest patches that it takes: the steps are the same, and take less time."""
NAMES = ("a", "b", "c")
DEFAULTS = {"epochs": 2, "batch_size": 6, "learning_rate": 1e-3, "batches": 1, "dropout": 0.0}


def phase(name: str = "training", datasets: tuple[str, ...] = NAMES, **changes: Any) -> Phase:
    return Phase(name, datasets, **DEFAULTS | changes)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, data.Dataset]:
    folder = tmp_path_factory.mktemp("stores")
    made = [make_store(folder, name, train=9, validation=6, views=2, side=SMALLEST) for name in NAMES]
    return data.load([store for store, _ in made], [split for _, split in made])


@pytest.fixture
def trainer(datasets: dict[str, data.Dataset], tmp_path: Path) -> Callable[..., Trainer]:
    count = iter(range(100))

    def make(*phases: Phase, double: bool = False, **settings: Any) -> Trainer:
        network = build(datasets, SMALL)
        initialize(network, "train")
        if double:
            network.double()
        chosen = Settings(**{"seed": 0, "target": "a", "every": 1, "follow": False} | settings)
        made = Trainer(network, datasets, phases, chosen, Folder(tmp_path / str(next(count)), "x"), CPU)
        if double:  # Adam makes a whole step of a rounding error where a gradient is almost zero
            made._train.update({
                name: replace(part, patches=part.patches.double()) for name, part in made._train.items()
            })  # fmt: skip
            calibration = made._judge._calibration
            calibration.update({name: patches.double() for name, patches in calibration.items()})
            made._validate = lambda *_: None  # type: ignore[method-assign]
        return made

    return make


def plain_network() -> Network:
    plain = Network(Extractor(1, SMALLEST), {name: head(256, 2) for name in NAMES}, SMALL)
    initialize(plain, "train")
    return plain.double().train()


def assert_same_weights(one: Network, other: Network) -> None:
    for name, value in weights.weights(one).items():
        torch.testing.assert_close(value, weights.weights(other)[name], atol=1e-9, rtol=0, msg=name)


def copies(made: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in made.updater.state().items()}


def history(made: Trainer) -> list[list[str]]:
    return read_csv(made._folder.path / "history.csv").to_numpy().tolist()


class TestJoint:
    def test_a_step_is_the_sum_of_the_losses_of_separate_batches(
        self, trainer: Callable[..., Trainer]
    ) -> None:
        current = phase(step="joint")
        made = trainer(current, double=True, batch_norm="mixed")
        plain = plain_network()
        adam = torch.optim.Adam(plain.parameters(), lr=1e-3)
        for step in range(2):
            adam.zero_grad()
            for name, loader in made._loaders(current).items():
                batch, part = loader.batch(step), made._train[name]
                functional.cross_entropy(plain(part.patches[batch], name), part.labels[batch]).backward()
            adam.step()
        made.run()
        assert_same_weights(made.network, plain)

    def test_losses_may_have_weights(self, trainer: Callable[..., Trainer]) -> None:
        current = phase(step="joint", weight={"a": 1, "b": 0.5, "c": 0.25}, epochs=1)
        made = trainer(current, double=True, batch_norm="mixed")
        plain = plain_network()
        adam = torch.optim.Adam(plain.parameters(), lr=1e-3)
        for (name, loader), weight in zip(made._loaders(current).items(), (1, 0.5, 0.25), strict=True):
            batch, part = loader.batch(0), made._train[name]
            loss = functional.cross_entropy(plain(part.patches[batch], name), part.labels[batch])
            (weight * loss).backward()
        adam.step()
        made.run()
        assert_same_weights(made.network, plain)

    def test_a_full_pass_is_one_of_the_longest_data_set(self, trainer: Callable[..., Trainer]) -> None:
        made = trainer(phase(step="joint", batches=None, epochs=1))
        made.run()
        assert made.progress.seen == {"a": 18, "b": 18, "c": 18}


class TestMixed:
    def test_heads_see_the_mean_over_their_own_samples_and_the_extractor_that_over_all(
        self, trainer: Callable[..., Trainer]
    ) -> None:
        current = phase(step="mixed", batch_size=12, epochs=1)
        made = trainer(current, double=True, batch_norm="mixed")
        plain = plain_network()
        adam = torch.optim.Adam(plain.parameters(), lr=1e-3)
        steps = made._plan(current)
        assert len(steps) == 3  # as many batches as there would be in turns
        for step in range(3):
            batch = steps.batch(step)
            patches = torch.cat([made._train[name].patches[samples] for name, samples in batch])
            features = plain.extractor(patches)
            logits = [plain.maker(name)(piece) for (name, _), piece in
                      zip(batch, features.split([len(samples) for _, samples in batch]), strict=True)]  # fmt: skip
            losses = [functional.cross_entropy(found, made._train[name].labels[samples], reduction="none")
                      for (name, samples), found in zip(batch, logits, strict=True)]  # fmt: skip
            adam.zero_grad()
            torch.cat(losses).mean().backward(retain_graph=True)
            for (name, _), own in zip(batch, losses, strict=True):
                maker = list(plain.maker(name).parameters())
                for parameter, gradient in zip(maker, torch.autograd.grad(own.mean(), maker, retain_graph=True),
                                               strict=True):  # fmt: skip
                    parameter.grad = gradient
            adam.step()
        made.run()
        assert_same_weights(made.network, plain)

    def test_data_sets_are_equally_likely_and_batches_always_full(
        self, trainer: Callable[..., Trainer]
    ) -> None:
        steps = trainer()._plan(phase(step="mixed", batch_size=10))
        counts = dict.fromkeys(NAMES, 0)
        for number in range(600):
            batch = steps.batch(number)
            assert sum(len(samples) for _, samples in batch) == 10
            for name, samples in batch:
                counts[name] += len(samples)
        # 6,000 draws with probability 1/3: a standard deviation of 36.5.
        assert all(abs(count - 2000) < 150 for count in counts.values())

    def test_one_head_for_all_learns_from_the_mean_of_all(self, trainer: Callable[..., Trainer]) -> None:
        head = {"b": "a", "c": "a"}
        current = phase(step="mixed", batch_size=12, epochs=1, head=head)
        made = trainer(current, double=True, batch_norm="mixed")
        plain = plain_network()
        adam = torch.optim.Adam([*plain.extractor.parameters(), *plain.maker("a").parameters()], lr=1e-3)
        for step in range(3):
            batch = made._plan(current).batch(step)
            patches = torch.cat([made._train[name].patches[samples] for name, samples in batch])
            labels = torch.cat([made._train[name].labels[samples] for name, samples in batch])
            adam.zero_grad()
            functional.cross_entropy(plain(patches, "a"), labels).backward()
            adam.step()
        last = made.run()
        assert_same_weights(
            made.network,
            Network(plain.extractor, dict.fromkeys(NAMES, plain.maker("a")), SMALL),  # type: ignore[arg-type]
        )
        assert torch.equal(last["makers.a.0.weight"], last["makers.c.0.weight"])

    def test_statistics_are_recalibrated_on_batches_as_mixed_as_those_of_training(
        self, trainer: Callable[..., Trainer]
    ) -> None:
        made = trainer(phase("x", ("a", "b"), step="mixed"), batch_norm="recalibrated")
        last = made.run()
        assert torch.equal(last["statistics.a"], last["statistics.b"])
        assert not torch.equal(last["statistics.a"], last["statistics.c"])
        parts = [batch_norm.calibration_patches(made._train[name], name) for name in "ab"]
        mixed = torch.stack([parts[number % 2][number // 2] for number in range(36)])
        assert torch.equal(last["statistics.a"], batch_norm.recalibrate(made.network, mixed))

    def test_a_phase_of_its_own_gives_a_data_set_its_own_statistics_back(
        self, trainer: Callable[..., Trainer]
    ) -> None:
        made = trainer(phase("x", step="mixed"), phase("y", ("a",)), batch_norm="recalibrated")
        last = made.run()
        own = batch_norm.calibration_patches(made._train["a"], "a")
        assert torch.equal(last["statistics.a"], batch_norm.recalibrate(made.network, own))
        assert torch.equal(last["statistics.b"], last["statistics.c"])


class TestFrozen:
    FROZEN = phase("frozen", ("b",), frozen=True, batches=None, epochs=3, dropout=0.3)

    @pytest.mark.parametrize("mode", batch_norm.MODES)
    def test_extractor_and_its_statistics_are_the_same_bits_afterwards(
        self, trainer: Callable[..., Trainer], mode: str
    ) -> None:
        made = trainer(phase(datasets=("a",)), self.FROZEN, batch_norm=mode)
        ends: list[dict[str, torch.Tensor]] = []
        end = made._end_phase
        made._end_phase = lambda current: (end(current), ends.append(copies(made)))[0]  # type: ignore[method-assign]
        made.run()
        before, after = ends
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed
        assert {name.split(".")[:3][2] for name in changed} == {"b"}

    def test_it_is_the_slow_way_on_features_computed_once(self, trainer: Callable[..., Trainer]) -> None:
        """The slow way runs every batch through the extractor in eval mode, without its dropout."""
        current = phase("frozen", ("b",), frozen=True, batches=None, epochs=3)
        made = trainer(current, batch_norm="mixed")
        plain = Network(Extractor(1, SMALLEST), {name: head(256, 2) for name in NAMES}, SMALL)
        initialize(plain, "train")
        plain.eval()
        plain.maker("b").train()
        batch_norm.attach(plain, batch_norm.initial(plain))
        adam = torch.optim.Adam(plain.maker("b").parameters(), lr=1e-3)
        part = made._train["b"]
        for step in range(9):
            samples = made._loaders(current)["b"].batch(step)
            adam.zero_grad()
            functional.cross_entropy(plain(part.patches[samples], "b"), part.labels[samples]).backward()
            adam.step()
        made.run()
        for one, other in zip(made.network.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)

    def test_as_published_the_statistics_move_and_the_weights_do_not(
        self, trainer: Callable[..., Trainer]
    ) -> None:
        made = trainer(self.FROZEN, batch_norm="mixed", frozen="paper")
        before = copies(made)
        made.run()
        after = copies(made)
        assert all(torch.equal(before[name], after[name]) for name in before if ".extractor." in name)
        assert not torch.equal(before["running.b"], after["running.b"])

    def test_no_reference_before_the_target_has_trained(self, trainer: Callable[..., Trainer]) -> None:
        made = trainer(phase("DS1", ("b",)), phase("DS2", ("a",)), follow=True)
        made.run()
        assert not [row for row in history(made) if row[4] == "reference_auroc"]

    def test_the_reference_curve_is_flat(self, trainer: Callable[..., Trainer]) -> None:
        made = trainer(
            phase("DS1", ("a",), epochs=3),
            phase("DS2/Frozen", ("b",), frozen=True, epochs=4),
            phase("DS2/Full", ("b",), epochs=4, learning_rate=1e-2),
            follow=True,
        )
        made.run()
        rows = [row for row in history(made) if row[4] == "reference_auroc" and row[3] == "validation"]
        curves = {
            name: [row[5] for row in rows if row[0] == name] for name in ("DS1", "DS2/Frozen", "DS2/Full")
        }
        own = [row[5] for row in history(made) if row[:1] == ["DS1"] and row[3:5] == ["validation", "auroc"]]
        assert curves["DS1"] == own
        assert set(curves["DS2/Frozen"]) == {curves["DS1"][-1]}
        assert len(curves["DS2/Full"]) == 4


class TestHeads:
    def test_a_new_head_starts_anew_and_others_are_kept(self, trainer: Callable[..., Trainer]) -> None:
        made = trainer(phase("x", ("b",), head={"b": "new"}, frozen=True))
        before = copies(made)
        made._arrange(0)
        after = copies(made)
        assert not torch.equal(before["network.makers.b.0.weight"], after["network.makers.b.0.weight"])
        assert torch.equal(before["network.makers.a.0.weight"], after["network.makers.a.0.weight"])
        again = trainer(phase("x", ("b",), head={"b": "new"}, frozen=True))
        again._arrange(0)
        assert torch.equal(copies(again)["network.makers.b.0.weight"], after["network.makers.b.0.weight"])

    def test_a_shared_head_learns_from_both(self, trainer: Callable[..., Trainer]) -> None:
        made = trainer(phase("DS1", ("a",)), phase("DS2", ("b",), head={"b": "a"}))
        last = made.run()
        assert made.network.maker("a") is made.network.maker("b")
        assert torch.equal(last["makers.a.0.weight"], last["makers.b.0.weight"])
        assert not torch.equal(last["makers.a.0.weight"], last["makers.c.0.weight"])


def scripted(
    monkeypatch: pytest.MonkeyPatch, made: Trainer, values: list[float]
) -> list[dict[str, torch.Tensor]]:
    """Let validations find these AUROCs; the states at the time."""
    states: list[dict[str, torch.Tensor]] = []
    real, given = made._validate, iter(values)

    def validate(current: Phase, epoch: int) -> None:
        value = next(given)
        monkeypatch.setattr("model.inference.scores.macro", lambda *_: value)
        states.append(copies(made))
        real(current, epoch)

    monkeypatch.setattr(made, "_validate", validate)
    return states


class TestSelect:
    def test_a_phase_leaves_its_best_state(
        self, trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = trainer(phase("x", ("b",), epochs=4, select="best"), batch_norm="mixed")
        states = scripted(monkeypatch, made, [0.6, 0.8, 0.8, 0.7])
        made.run()
        assert all(torch.equal(value, states[1][name]) for name, value in copies(made).items())
        assert [(best["epoch"], best["auroc"]) for best in made.progress.selected] == [(2, 0.8)]

    def test_as_published_the_last_head_is_handed_on(
        self, trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        phases = [phase(name, ("b",), epochs=epochs, select="best") for name, epochs in (("x", 4), ("y", 2))]
        made = trainer(*phases, batch_norm="mixed", handover="paper")
        states = scripted(monkeypatch, made, [0.6, 0.8, 0.8, 0.7, 0.9, 0.5])
        handed: list[dict[str, torch.Tensor]] = []
        begin = made._begin_phase
        monkeypatch.setattr(
            made, "_begin_phase", lambda *given: (handed.append(copies(made)), begin(*given))[1]
        )
        made.run()
        # What the last phase leaves is whole: nobody hands it on.
        assert all(torch.equal(value, states[4][name]) for name, value in copies(made).items())
        for name, value in handed[1].items():
            place = 3 if ".makers." in name else 1
            assert torch.equal(value, states[place][name]), name

    def test_as_published_a_later_state_that_is_not_worse_in_auroc_and_accuracy_is_better(
        self, trainer: Callable[..., Trainer]
    ) -> None:
        made, paper = trainer(phase()), trainer(phase(), selection="paper")
        best = {"auroc": 0.8, "accuracy": 0.7}
        for now, right, published in (
            ({"auroc": 0.8, "accuracy": 0.7}, False, True),
            ({"auroc": 0.9, "accuracy": 0.6}, True, False),
            ({"auroc": 0.9, "accuracy": 0.7}, True, True),
            ({"auroc": None, "accuracy": 0.7}, False, False),
        ):
            assert made._better(now, best) is right
            assert paper._better(now, best) is published

    def test_another_metric_may_decide(self, trainer: Callable[..., Trainer]) -> None:
        made = trainer(phase(), selection="recall")
        assert made._better({"recall": 0.5, "auroc": 0.1}, {"recall": 0.4, "auroc": 0.9})

    def test_of_a_loss_the_lowest_is_best(self, trainer: Callable[..., Trainer]) -> None:
        made = trainer(phase(select="best"), selection="loss")
        assert made._better({"loss": 0.4}, {"loss": 0.5})
        assert not made._better({"loss": 0.5}, {"loss": 0.4})
        made.run()
        assert made.progress.best is not None
        assert made.progress.best["loss"] > 0

    def test_a_phase_ends_after_so_many_validations_without_a_better_one(
        self, trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = phase("x", ("b",), epochs=9, select="best", stop=2)
        made = trainer(first, phase("y", ("b",), epochs=1), batch_norm="mixed")
        # Of x best after 3 validations, and two in a row that are not better; the last is of y.
        scripted(monkeypatch, made, [0.5, 0.4, 0.8, 0.7, 0.8, 0.6])
        made.run()
        assert made.progress.selected[0]["epoch"] == 3
        assert made.progress.samples == {
            "x": 5 * 6,
            "y": 6,
            "evaluation": made.progress.samples["evaluation"],
        }

    def test_the_next_phase_starts_from_it(
        self, trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = trainer(
            phase("x", ("b",), epochs=2, select="best"), phase("y", ("a",), epochs=1), batch_norm="mixed"
        )
        states = scripted(monkeypatch, made, [0.9, 0.6, 0.5])
        begin = made._begin_phase
        begun: list[dict[str, torch.Tensor]] = []
        monkeypatch.setattr(
            made, "_begin_phase", lambda *given: (begun.append(copies(made)), begin(*given))[1]
        )
        made.run()
        assert all(torch.equal(value, states[0][name]) for name, value in begun[1].items())


class TestOptimizers:
    @pytest.mark.parametrize(
        ("optimizer", "made_by"),
        [
            ("adamw", lambda weights: torch.optim.AdamW(weights, 1e-3, weight_decay=0.1)),
            ("sgd", lambda weights: torch.optim.SGD(weights, 1e-3, momentum=0.8, weight_decay=0.1)),
        ],
    )
    def test_it_is_the_one_of_torch_on_its_curve(
        self,
        trainer: Callable[..., Trainer],
        optimizer: str,
        made_by: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
    ) -> None:
        """Against a loop in plain float64, with the rate and momentum of each of six steps set by hand."""
        one_cycle = {"kind": "one-cycle", "rise": 0.5, "start": 0.1, "end": 0.2, "momentum": [0.9, 0.7]}
        changes = {"optimizer": optimizer, "weight_decay": 0.1, "momentum": 0.8, "schedule": one_cycle}
        made = trainer(phase(datasets=("a",), epochs=6, **changes), double=True, batch_norm="mixed")
        made.run()
        plain = plain_network()
        ours = made_by([*plain.extractor.parameters(), *plain.maker("a").parameters()])
        part, steps = made._train["a"], made._plan(made.phases[0])
        rates = [0.1, 0.325, 0.775, 1.0, 0.8, 0.4]  # half cosines of three steps each
        momenta = [0.9, 0.85, 0.75, 0.7, 0.75, 0.85]
        for number, (rate, momentum) in enumerate(zip(rates, momenta, strict=True)):
            ((_, samples),) = steps.batch(number)
            group = ours.param_groups[0]
            group["lr"] = 1e-3 * rate
            group.update({"momentum": momentum} if optimizer == "sgd" else {"betas": (momentum, 0.999)})
            ours.zero_grad()
            functional.cross_entropy(plain(part.patches[samples], "a"), part.labels[samples]).backward()
            ours.step()
        assert_same_weights(made.network, plain)

    @pytest.mark.parametrize(
        "changes",
        [
            {"optimizer": "adam"},
            {"optimizer": "sgd"},
            # Of nine steps the second group moves from the third on, the first one from the sixth.
            {"optimizer": "adamw", "layers": Layers(groups=3, decay=1 / 3, unfreeze=[0.3, 0.6])},
        ],
        ids=["adam", "sgd", "between two unfreezings"],
    )
    def test_a_run_cut_in_the_middle_of_a_cycle_ends_in_the_same_weights(
        self,
        datasets: dict[str, data.Dataset],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        changes: dict[str, Any],
    ) -> None:
        cycle = phase(epochs=3, dropout=0.2, schedule={"kind": "one-cycle"}, **changes)
        save = Trainer._save

        def run(name: str, cut: int | None) -> dict[str, torch.Tensor]:
            def saving(made: Trainer, current: Phase) -> None:
                save(made, current)
                if made.progress.step == cut:
                    raise KeyboardInterrupt

            monkeypatch.setattr(Trainer, "_save", saving)
            network = build(datasets, SMALL)
            initialize(network, "train")
            chosen = Settings(seed=0, target="a", every=1, follow=False)
            with Folder(tmp_path / name, "x") as folder:
                made = Trainer(network, datasets, [cycle], chosen, folder, CPU, checkpoint_seconds=0)
                made.run()
            return copies(made)

        whole = run("whole", None)
        with pytest.raises(KeyboardInterrupt):
            run("cut", 4)
        again = run("cut", None)
        assert all(torch.equal(value, again[name]) for name, value in whole.items())

    def test_each_data_set_may_have_a_dropout_of_its_own(
        self, trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wanted = {"a": 0.1, "b": 0.0, "c": 0.5}
        for step in ("turns", "joint"):
            made = trainer(phase(epochs=1, step=step, dropout=wanted))
            seen: dict[str, set[float]] = {}
            decide = made.updater._decide

            def spy(name: str, features: torch.Tensor, made: Trainer = made, seen: Any = seen,
                    decide: Any = decide) -> torch.Tensor:  # fmt: skip
                logits: torch.Tensor = decide(name, features)
                parts = made.network.maker(name).modules()
                seen[name] = {module.p for module in parts if isinstance(module, Dropout)}
                return logits

            monkeypatch.setattr(made.updater, "_decide", spy)
            made.run()
            assert seen == {name: {value} for name, value in wanted.items()}


class TestLayers:
    def test_groups_have_rates_of_their_own_and_begin_to_move_at_their_step(
        self, trainer: Callable[..., Trainer]
    ) -> None:
        """Against a loop in plain float64: four layers in two groups, the first of which waits two steps."""
        layers = Layers(groups=2, decay=0.5, unfreeze=[0.5])
        current = phase(datasets=("a",), epochs=4, optimizer="adamw", weight_decay=0.1, layers=layers)
        made = trainer(current, double=True, batch_norm="mixed")
        made.run()
        plain = plain_network()
        parts = nn.ModuleList(list(plain.extractor)[:2]), nn.ModuleList(list(plain.extractor)[2:])
        first, last = (list(part.parameters()) for part in parts)
        ours = torch.optim.AdamW(
            [{"params": first, "lr": 5e-4}, {"params": [*last, *plain.maker("a").parameters()], "lr": 1e-3}],
            weight_decay=0.1,
        )
        part, steps = made._train["a"], made._plan(current)
        for number in range(4):
            ((_, samples),) = steps.batch(number)
            ours.zero_grad()
            functional.cross_entropy(plain(part.patches[samples], "a"), part.labels[samples]).backward()
            for parameter in first if number < 2 else ():
                parameter.grad = None
            ours.step()
        assert_same_weights(made.network, plain)

    def test_a_fixed_share_of_the_layers_keeps_its_bits_and_is_not_in_the_checkpoint(
        self, trainer: Callable[..., Trainer]
    ) -> None:
        made = trainer(phase(datasets=("a",), layers=Layers(fixed=0.5)))
        before = copies(made)
        made.updater.set_optimizers(made.phases[0])
        (optimizer,) = made.updater.optimizers.values()
        held = {id(value) for group in optimizer.param_groups for value in group["params"]}
        assert held == {
            id(value) for part in (*list(made.network.extractor)[2:], made.network.maker("a"))
            for value in part.parameters()
        }  # fmt: skip
        made.run()
        changed = {name for name, value in copies(made).items() if not torch.equal(before[name], value)}
        moved = {name.split(".")[2] for name in changed if name.startswith("network.extractor.")}
        assert moved == {"2", "4"}  # the last block, and the linear layer behind the flattening

    @pytest.mark.parametrize("mode", batch_norm.MODES)
    def test_batch_norm_in_eval_mode_normalises_by_statistics_that_stay(
        self, trainer: Callable[..., Trainer], mode: str
    ) -> None:
        """Against a loop in plain float64 in eval mode; evaluation takes the same statistics, whatever the mode."""
        current = phase(datasets=("a",), epochs=3, batch_norm="eval")
        made = trainer(current, double=True, batch_norm=mode)
        with torch.no_grad():
            made.updater.running["a"][1] *= 0.7
        plain = plain_network()
        batch_norm.attach(plain, made.updater.running["a"].clone())
        plain.eval()
        adam = torch.optim.Adam([*plain.extractor.parameters(), *plain.maker("a").parameters()], lr=1e-3)
        part, steps = made._train["a"], made._plan(current)
        for number in range(3):
            ((_, samples),) = steps.batch(number)
            adam.zero_grad()
            functional.cross_entropy(plain(part.patches[samples], "a"), part.labels[samples]).backward()
            adam.step()
        last = made.run()
        assert_same_weights(made.network, plain)
        assert torch.equal(last["statistics.a"][1], torch.full_like(last["statistics.a"][1], 0.7))

    def test_a_network_has_to_name_each_parameter_once(self) -> None:
        class Odd(Extractor):
            def groups(self) -> list[list[nn.Module]]:
                return super().groups()[1:]

        with pytest.raises(ConfigError, match="each parameter of the extractor in one of its groups"):
            grouped(Odd(1, 65), None)
        with pytest.raises(ConfigError, match="layers: expected at most 4, one a layer, found 5 groups"):
            grouped(Extractor(1, 65), 5)
        lite = build(["a"], Description("efficientnet_lite0", 1, 64, resized=32)).extractor
        assert len(grouped(lite, None)) == 18
        assert list(map(len, lite.groups())) == [2, *[1] * 16, 2]


class TestPaper:
    def test_a_softmax_taken_for_logits_bounds_the_loss_from_below(self) -> None:
        sure, truth = torch.tensor([[50.0, -50.0]]), torch.tensor([0])
        assert loss(UNNAMED, "logits", sure, truth).item() == pytest.approx(0, abs=1e-6)
        # -log(e / (e + 1)): probabilities 1 and 0 are the logits.
        assert loss(UNNAMED, "paper", sure, truth).item() == pytest.approx(np.log1p(np.exp(-1)), abs=1e-6)

    def test_errors_of_the_softmax(self) -> None:
        logits, truth = torch.tensor([[0.0, np.log(3.0)]]), torch.tensor([1])
        # Probabilities 1/4 and 3/4 against 0 and 1.
        assert loss(UNNAMED, "l1", logits, truth).item() == pytest.approx(1 / 4)
        assert loss(UNNAMED, "mse", logits, truth).item() == pytest.approx(1 / 16)

    def test_a_dropout_of_zero_leaves_the_former_on(self, trainer: Callable[..., Trainer]) -> None:
        phases = phase("x", ("a",), dropout=0.4), phase("y", ("a",), dropout=0.0)
        found = {}
        for value in ("zero", "paper"):
            made = trainer(*phases, zero_dropout=value)
            made.run()
            parts = [*made.network.extractor.modules(), *made.network.maker("a").modules()]
            found[value] = {module.p for module in parts if isinstance(module, Dropout)}
        assert found == {"zero": {0.0}, "paper": {0.4}}

    def test_plateau_reduces_where_auroc_stops_to_rise_and_as_published_where_training_rises(self) -> None:
        from model.training.schedule import Plateau

        def rates(watch: str, aurocs: list[float]) -> list[float]:
            adam = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1.0)
            rule = Plateau({"kind": "plateau", "factor": 0.01, "patience": 1, "watch": watch}, adam)
            found = []
            for value in aurocs:
                rule.observe({"train": value, "validation": value})
                found.append(adam.param_groups[0]["lr"])
            return found

        rising, falling = [0.5, 0.6, 0.7, 0.8], [0.8, 0.7, 0.6, 0.5]
        assert rates("validation", rising) == [1, 1, 1, 1]
        assert rates("validation", falling) == pytest.approx([1, 1, 0.01, 0.01])
        assert rates("paper", rising) == pytest.approx([1, 1, 0.01, 0.01])
        assert rates("paper", falling) == [1, 1, 1, 1]

    def test_a_plateau_goes_on_from_its_state(self) -> None:
        from model.training.schedule import Plateau

        schedule = {"kind": "plateau", "factor": 0.1, "patience": 0}
        one, other = (torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1.0) for _ in range(2))
        first, second = Plateau(schedule, one), Plateau(schedule, other)
        second.restore(first.state())
        for value in (0.8, 0.7, 0.6):
            first.observe({"train": None, "validation": value})
            second.restore(first.state())
        assert other.param_groups[0]["lr"] == one.param_groups[0]["lr"] == pytest.approx(0.01)
        first.observe({"train": None, "validation": 0.5})
        second.observe({"train": None, "validation": 0.5})
        assert other.param_groups[0]["lr"] == one.param_groups[0]["lr"]


def test_gradients_of_the_steps_that_are_named_are_written_down(trainer: Callable[..., Trainer]) -> None:
    steps = tuple(map(StepSelector.parse, ["first/x/2/1", "training/1/99", "*/2/2", "none/1/1"]))
    made = trainer(
        phase("first/x", ("b",), batches=3, epochs=2),
        phase(datasets=("a",), batches=2, epochs=2),
        gradients=steps,
    )
    made.run()
    table = read_csv(made._folder.path / "gradients.csv")
    found = list(
        dict.fromkeys(zip(table["phase"], table["epoch"], table["batch"], table["dataset"], strict=True))
    )
    # Of an epoch of two batches, batch 99 is the second.
    assert found == [
        ("first/x", "2", "1", "b"), ("first/x", "2", "2", "b"), ("training", "1", "2", "a"), ("training", "2", "2", "a")
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["training", "1/1", "training/0/1", "training/1/0", "training/x/1", "/1/1"])
def test_a_step_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal|/"):
        StepSelector.parse(text)


def test_gradients_of_an_early_step_are_written_down_by_layer(trainer: Callable[..., Trainer]) -> None:
    made = trainer(phase("x", ("b",), frozen=True, batches=None), phase(datasets=("a", "b")))
    made.run()
    table = read_csv(made._folder.path / "gradients.csv")
    assert list(dict.fromkeys(table["phase"])) == ["x", "training"]
    frozen = table[table["phase"] == "x"].set_index("layer")["max"].astype(float)
    assert (frozen[frozen.index.str.startswith("extractor.")] == 0).all()
    assert (frozen[frozen.index.str.startswith("makers.b.")] > 0).all()
    # The second step of this phase is of b, so a's head has no gradient.
    turns = table[table["phase"] == "training"].set_index("layer")["mean"].astype(float)
    assert turns["makers.a.0.weight"] == 0 < turns["makers.b.0.weight"]
    assert (turns[turns.index.str.startswith("extractor.")] > 0).all()
