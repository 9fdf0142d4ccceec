"""A start with weights of others: heads are probes; and training goes on from there."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from model.baselines import logistic
from model.bootstrap import guess, pretrained
from model.files import weights
from model.inference import batch_norm
from model.inference.scores import evaluate
from model.network import Description, build
from model.training import data, train
from model.training.phase import Phase, parse_phases
from model.training.updater import grouped
from pipeline.classes import Classes
from pipeline.errors import ConfigError, ModelError
from pipeline.files import read_csv, write_csv
from pipeline.patches import online
from pipeline.seeds import stream
from pipeline.store import write_store
from tests.stores import make_store
from workflow.config import checked
from workflow.plan import baselines, start, training

CPU = torch.device("cpu")
SIDE, NAMES = 40, ("a", "b")
PHASE = Phase("training", ("a",), 3, 8, 1e-3, 1, 0.0)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Path]]:
    """Stores that a probe of views sees through: half of what is noise in each patch is the label."""
    folder = tmp_path_factory.mktemp("stores")
    return [
        make_store(folder, name, train=16, validation=8, test=8, side=SIDE, views=3, margin=online.margin(SIDE))
        for name in NAMES
    ]  # fmt: skip


def begin(stores: list[tuple[Path, Path]], out: Path, source: str = "imagenet", *more: str) -> Path:
    """The model file that training starts from."""
    out.mkdir(exist_ok=True)
    paths, splits = (list(map(str, of)) for of in zip(*stores, strict=True))
    guess.main([
        "--stores", *paths, "--splits", *splits, "--network", "efficientnet_lite0", "--weights", source, "--seed", "0",
        "--checkpoint", str(out / "c"), "--out", str(out / "start"), "--scores", str(out / "scores.csv"), *more,
    ])  # fmt: skip
    return out / "start"


@pytest.fixture(scope="module")
def started(stores: list[tuple[Path, Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begin(stores, tmp_path_factory.mktemp("start"))


def loaded(stores: list[tuple[Path, Path]]) -> dict[str, data.Dataset]:
    return data.load(*map(list, zip(*stores, strict=True)))


class TestStart:
    def test_each_head_is_the_regression_on_the_features_of_its_training_findings(
        self, stores: list[tuple[Path, Path]], started: Path
    ) -> None:
        network, tables = weights.read(started, NAMES, 1, side=SIDE)
        assert network.description == Description("efficientnet_lite0", side=SIDE, linear=True)
        for name, dataset in loaded(stores).items():
            part = data.read_part(dataset, "train", CPU)
            with torch.no_grad():
                batch_norm.attach(network, tables[name])
                features = network.extractor.eval()(part.patches[torch.arange(48)]).numpy()
            measured = logistic.Measured(features, part.finding, part.view, dataset.findings("train"))
            parts = logistic.inner_folds(measured.table, pretrained.FOLDS, 0)
            model = logistic.fit(measured, logistic.choose(measured, pretrained.PENALTIES, parts))
            scores = evaluate(network, name, tables[name], part).views[:, 0]
            np.testing.assert_allclose(scores, model.scores(features).ravel(), atol=1e-4)

    def test_the_extractor_and_its_statistics_are_those_of_the_weights(self, started: Path) -> None:
        network, tables = weights.read(started, NAMES, 1, side=SIDE)
        made = build((), Description("efficientnet_lite0", side=SIDE))
        digest = pretrained.of_weights(made.description, "imagenet", {})[1]
        known, _ = pretrained.of_weights(made.description, "imagenet", {})
        for one, other in zip(network.extractor.parameters(), known.extractor.parameters(), strict=True):
            assert torch.equal(one, other)
        means = torch.cat([norm.running_mean for norm in batch_norm.norms(known)])
        assert torch.equal(tables["a"][0], means)
        about = weights.read_about(started)
        assert (about["weights"], about["weights_sha256"]) == ("imagenet", digest)
        assert about["samples_seen"] == 2 * (16 * 3 + 8 * 3)

    def test_scores_are_those_of_the_probes_in_validation_and_the_same_each_time(
        self, stores: list[tuple[Path, Path]], started: Path, tmp_path: Path
    ) -> None:
        (row,) = read_csv(started.parent / "scores.csv").to_dict("records")
        network, tables = weights.read(started, NAMES, 1, side=SIDE)
        for name, dataset in loaded(stores).items():
            expected = evaluate(network, name, tables[name], data.read_part(dataset, "validation", CPU)).auroc
            assert float(row[name]) == expected > 0.8
        again = begin(stores, tmp_path)
        assert again.read_bytes() == started.read_bytes()

    def test_weights_drawn_anew_keep_mean_and_deviation_of_each_layer_and_nothing_else(
        self, stores: list[tuple[Path, Path]], started: Path, tmp_path: Path
    ) -> None:
        redrawn = begin(stores[:1], tmp_path / "redrawn", "imagenet", "--initialization", "moments")
        before, after = (weights.read_tensors(path) for path in (started, redrawn))
        compared = 0
        for name, old in before.items():
            if not name.startswith("extractor."):
                continue
            new, error = after[name], 1 / np.sqrt(old.numel())
            if old.std(correction=0) == 0:
                assert torch.equal(old, new)  # a layer of one value has nothing to draw
            elif old.numel() >= 1000:
                compared += 1
                scale = float(old.std(correction=0))
                assert float(new.mean() - old.mean()) == pytest.approx(0, abs=5 * error * scale)
                assert float(new.std()) == pytest.approx(scale, rel=5 * error)
                assert abs(np.corrcoef(old.ravel(), new.ravel())[0, 1]) < 6 * error
        assert compared > 30
        assert not torch.equal(before["statistics.a"], after["statistics.a"])  # those of its own features
        about = weights.read_about(redrawn)
        assert about["weights"] == "imagenet, redrawn"
        assert about["weights_sha256"] == weights.read_about(started)["weights_sha256"]
        again = begin(stores[:1], tmp_path / "again", "imagenet", "--initialization", "moments")
        assert again.read_bytes() == redrawn.read_bytes()

    @pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
    def test_weights_may_lie_in_a_file(
        self, stores: list[tuple[Path, Path]], tmp_path: Path, suffix: str
    ) -> None:
        torch.manual_seed(0)
        lite0 = build((), Description("efficientnet_lite0", side=SIDE)).extractor
        known = {name: (value + 0.01).contiguous() for name, value in lite0.state_dict().items()}
        file = tmp_path / f"w{suffix}"
        state = known | {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
        save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
        made = load_file(begin(stores[:1], tmp_path, str(file)))
        for name in ("_conv_stem.weight", "_blocks.3._project_conv.weight", "_bn1.bias"):
            assert torch.equal(made[f"extractor.{name}"], known[name]), name

    def test_a_file_that_is_none_or_of_another_network_is_one_line(
        self, stores: list[tuple[Path, Path]], tmp_path: Path
    ) -> None:
        (tmp_path / "cut.safetensors").write_bytes(b"\0" * 40)
        with pytest.raises(ModelError, match=r"cut.safetensors: .* what cannot be read"):
            begin(stores[:1], tmp_path, str(tmp_path / "cut.safetensors"))
        save_file({"layer.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
        with pytest.raises(ModelError, match=r"missing _blocks.*, unexpected layer.weight"):
            begin(stores[:1], tmp_path, str(tmp_path / "other.safetensors"))
        assert not (tmp_path / "start").exists()


def of_classes(folder: Path, name: str, classes: Classes, labels: list[tuple[int, ...]]) -> tuple[Path, Path]:
    """A store of noise whose quarters are as bright as the labels say, and its split."""
    store, split, rng = folder / f"{name}.h5", folder / f"{name}.csv", stream(name)
    numbers = [f"{name}{number}" for number in range(len(labels))]
    table = pd.DataFrame({"patient_id": numbers, "group_id": numbers, "finding_id": "1"})
    table[classes.label_columns] = labels
    patches = rng.standard_normal((len(labels), 1, 1, SIDE, SIDE)).astype("f4")
    for patch, values in zip(patches, labels, strict=True):
        for place, value in enumerate(values):
            patch[..., 20 * place : 20 * place + 20] += 2 * (value % 255)
    write_store(
        store, table.assign(width_mm=1.0, height_mm=1.0), patches, views=1, side=SIDE, dataset=name,
        channels=["c"], classes=classes, normalization="none", provenance={},
    )  # fmt: skip
    parts = ["train", "train", "validation"] * len(labels)
    rows = table.astype(object).replace(255, "").assign(split=parts[: len(labels)], views=1)
    write_csv(split, list(rows), rows.to_dict("records"))
    return store, split


def test_more_classes_and_several_labels_have_probes_and_train_too(tmp_path: Path) -> None:
    three = [(number // 3 % 3,) for number in range(36)]
    two = [(number // 3 % 2, number // 6 % 2 if number % 10 else 255) for number in range(36)]
    stores = [
        of_classes(tmp_path, "grades", Classes(("x", "y", "z")), three),
        of_classes(tmp_path, "signs", Classes(("mass", "nodule"), multilabel=True), two),
    ]
    path, datasets = begin(stores, tmp_path), loaded(stores)
    network, tables = weights.read(path, datasets, 1, side=SIDE)
    for name, dataset in datasets.items():
        part = data.read_part(dataset, "train", CPU)
        with torch.no_grad():
            batch_norm.attach(network, tables[name])
            features = network.extractor.eval()(part.patches).numpy()
        measured = logistic.Measured(
            features, part.finding, part.view, dataset.findings("train"), dataset.classes
        )
        parts = logistic.inner_folds(measured.table, pretrained.FOLDS, 0, dataset.classes)
        penalty = logistic.choose(measured, pretrained.PENALTIES, parts)
        expected = logistic.fit_any(measured, penalty).scores(features)
        np.testing.assert_allclose(evaluate(network, name, tables[name], part).views, expected, atol=1e-4)
    numbers = {"epochs": 1, "batches": 1, "batch_size": 6, "learning_rate": 1e-3, "dropout": 0.0}
    phase = {
        "name": "t",
        "datasets": list(datasets),
        **numbers,
        "batch_norm": "eval",
        "balance": "undersample",
    }
    paths, splits = (list(map(str, of)) for of in zip(*stores, strict=True))
    train.main([
        "--stores", *paths, "--splits", *splits, "--network", str(path), "--phases", json.dumps([phase]), "--seed", "0",
        "--target", "grades", "--every", "1", "--checkpoint", str(tmp_path / "c"),
        *(f"--{flag}={tmp_path / flag}" for flag in ("out", "best", "history", "gradients", "run")),
    ])  # fmt: skip
    rows = read_csv(tmp_path / "history")
    assert {row["dataset"] for row in rows.to_dict("records")} == {"grades", "signs"}


class TestFinetune:
    def test_its_layers_move_as_the_recipe_says_and_a_cut_run_ends_with_the_same_bytes(
        self, stores: list[tuple[Path, Path]], started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (phase,) = training.phases(config(), "finetune")
        phase |= {"datasets": ["a"], "epochs": 4, "batch_size": 8}
        saved = train.Trainer._save

        def run(name: str, cut: int | None) -> Path:
            def saving(made: train.Trainer, current: Phase) -> None:
                saved(made, current)
                if made.progress.step == cut:
                    raise KeyboardInterrupt

            monkeypatch.setattr(train.Trainer, "_save", saving)
            out = tmp_path / name
            out.mkdir(exist_ok=True)
            files = [f"--{flag}={out / flag}" for flag in ("out", "best", "history", "gradients", "run")]
            store, split = map(str, stores[0])
            train.main([
                "--stores", store, "--splits", split, "--network", str(started), "--phases", json.dumps([phase]),
                "--seed", "0", "--target", "a", "--every", "2", "--checkpoint", str(out / "c"),
                "--checkpoint-seconds", "0", *files,
            ])  # fmt: skip
            return out

        whole = run("whole", None)
        with pytest.raises(KeyboardInterrupt):
            run("cut", 2)
        cut = run("cut", None)
        for name in ("out", "best", "history"):
            assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
        before, after = (
            weights.read(path, ["a"], 1, side=SIDE, among=True) for path in (started, whole / "out")
        )
        parts = [grouped(network.extractor, None) for network, _ in (before, after)]
        moved = [
            max(float((one - other).detach().abs().max()) for one, other in zip(*pair, strict=True))
            for pair in zip(*parts, strict=True)
        ]
        assert moved[:6] == [0.0] * 6  # the stem and five of 16 blocks: a third of 18 layers
        assert all(moved[6:])
        # AdamW moves a weight by about the rate of its layer: .85 of the next one's towards the head.
        rates = [0.85 ** (17 - number) for number in range(6, 18)]
        assert np.corrcoef(moved[6:], rates)[0, 1] > 0.9
        assert torch.equal(
            before[1]["a"], after[1]["a"]
        )  # statistics of batch norm, in training and evaluation

    def test_it_has_a_network_and_a_start_of_its_own(self) -> None:
        made = config(methods=["typhon", "parallel", "finetune"])
        assert [training.setting(made, name, "network") for name in ("typhon", "finetune")] == [
            "papers", "efficientnet_lite0"]  # fmt: skip
        assert start.sharing(made) == ["typhon", "parallel"]
        assert (
            start.start(made, "finetune", "0", "1")
            == "results/finetune/fold0/seed1/bootstrap/network.safetensors"
        )
        (phase,) = parse_phases(training.phases_as_json(made, "finetune"))
        assert (phase.batch_norm, phase.balance, phase.optimizer) == ("eval", "undersample", "adamw")
        assert phase.layers is not None
        assert asdict(phase.layers) == {"groups": None, "decay": 0.85, "fixed": 0.33, "unfreeze": ()}

    def test_other_methods_may_begin_with_weights_too_and_then_share_their_start(self) -> None:
        made = config(network="efficientnet_lite0", weights="imagenet", methods=["typhon", "finetune"])
        assert start.sharing(made) == ["typhon", "finetune"]
        assert {phase["batch_norm"] for phase in training.phases(made, "typhon")} == {"eval"}
        assert {phase["batch_norm"] for phase in training.phases(config(), "typhon")} == {"train"}

    def test_gradual_unfreezing_is_a_variant(self) -> None:
        layers = {"groups": 3, "decay": 0.333, "unfreeze": [0.1, 0.2], "fixed": 0}
        variant = {"method": "finetune", "hyperparameters": {"finetune": {"training": {
            "layers": layers, "select": "best"}}}, "training": {"selection": "loss"}}  # fmt: skip
        made = config(variants={"romero": variant}, methods=["romero"])
        (phase,) = parse_phases(training.phases_as_json(made, "romero"))
        assert phase.layers is not None
        assert asdict(phase.layers) == layers
        assert training.setting(made, "romero", "network") == "efficientnet_lite0"
        assert training.setting(made, "romero", "training/selection") == "loss"

    def test_initializations_are_variants_that_fit_their_weights(self) -> None:
        moments = {"method": "finetune", "bootstrap": {"initialization": "moments"},
                   "hyperparameters": {"finetune": {"head": "new"}}}  # fmt: skip
        made = config(variants={"moments": moments}, methods=["moments", "finetune"])
        (phase,) = parse_phases(training.phases_as_json(made, "moments"))
        assert (phase.batch_norm, phase.head) == ("train", {"a": "new"})
        (usual,) = parse_phases(training.phases_as_json(made, "finetune"))
        assert (usual.batch_norm, usual.head) == ("eval", {})
        assert start.start(made, "moments", "0", "0").startswith("results/moments/")
        for how, weights_of in (("torch", "imagenet"), ("moments", "random")):
            wrong = {"method": "finetune", "bootstrap": {"initialization": how},
                     "hyperparameters": {"finetune": {"weights": weights_of}}}  # fmt: skip
            with pytest.raises(ConfigError, match=f"variants/wrong/bootstrap/initialization: .* found {how}"):
                config(variants={"wrong": wrong}, methods=["wrong"])

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"weights": "imagenet"}, "weights: expected weights that papers has, found imagenet"),
            ({"weights": "random.bin"}, "use random, or a file of weights: .safetensors, .pth, .pt"),
            ({"network": "efficientnet_lite0", "weights": "imagenet", "methods": ["rwg"]}, "weights: random for"),
            ({"methods": ["finetune"], "hyperparameters": {"finetune": {"weights": "inagenet"}}},
             "hyperparameters/finetune/weights: expected weights that efficientnet_lite0 has"),
            ({"methods": ["finetune"], "hyperparameters": {"finetune": {"network": "papers2"}}},
             "hyperparameters/finetune/network: expected a network, found papers2; did you mean papers"),
            ({"methods": ["finetune"], "patch": 24}, "patch: expected at least 32"),
        ],
    )  # fmt: skip
    def test_weights_that_there_are_not_are_told_from_the_config(
        self, changes: dict[str, object], message: str
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            config(**changes)

    def test_a_file_that_is_not_there_is_told_before_any_job(self, tmp_path: Path) -> None:
        file = tmp_path / "w.pth"
        made = config(network="efficientnet_lite0", weights=str(file))
        with pytest.raises(ConfigError, match=f"{file}: expected the file of weights .*, found no such file"):
            start.weights_files(made, "typhon", "0", "1")
        file.touch()
        assert start.weights_files(made, "typhon", "0", "1") == [str(file)]
        assert start.shared_weights_files(made, "0", "1") == [str(file)]
        made = config(encoders={"own": {"weights": str(file)}}, hyperparameters={"probe": {"encoder": "own"}})
        assert baselines.weights_file(made, "own") == [str(file)]
        with pytest.raises(
            ConfigError, match="encoders/own/weights: expected weights that efficientnet_lite0"
        ):
            config(encoders={"own": {"weights": "imagenot"}}, methods=["probe"],
                   hyperparameters={"probe": {"encoder": "own"}})  # fmt: skip

    def test_a_variant_begins_as_its_method_does_unless_it_has_other_weights(self, tmp_path: Path) -> None:
        slow = {"method": "finetune", "hyperparameters": {"finetune": {"training": {"epochs": 500}}}}
        other = {"method": "finetune", "hyperparameters": {"finetune": {"weights": str(tmp_path / "w.pth")}}}
        made = config(variants={"slow": slow, "other": other}, methods=["slow", "other"])
        for name, of in (("slow", "finetune"), ("other", "other")):
            expected = f"results/{of}/fold0/seed1/bootstrap/network.safetensors"
            assert start.start(made, name, "0", "1") == expected


def config(**changes: object) -> dict[str, object]:
    """Two data sets from tables, target a."""
    collections = {name: {"kind": "table", "table": "t.csv"} for name in NAMES}
    return checked({"datasets": [*NAMES], "target": "a", "collections": collections, **changes})
