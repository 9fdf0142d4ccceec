"""A network that begins with the extractor of a run: what it takes over, and whom it must not have seen."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from model.baselines import embeddings, fit
from model.bootstrap import guess
from model.files import weights
from model.training import train
from model.training.phase import Phase
from pipeline.errors import ConfigError, LeakError, ModelError
from pipeline.files import read_csv, write_csv
from pipeline.splits import seen
from pipeline.store import read_embeddings
from tests.stores import make_store
from workflow.config import checked
from workflow.plan import baselines, start, targets

SIDE, NAMES = 36, ("a", "b")
PHASE = {
    "name": "training", "datasets": [*NAMES], "epochs": 2, "batches": 1, "batch_size": 8, "learning_rate": 1e-3,
    "dropout": 0.0,
}  # fmt: skip
Stores = dict[str, tuple[Path, Path]]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    folder = tmp_path_factory.mktemp("stores")
    return {
        name: make_store(folder, name, train=12, validation=6, test=6, side=SIDE, views=2, signal=3.0)
        for name in (*NAMES, "c")
    }


def begin(stores: Stores, names: tuple[str, ...], out: Path, source: str | Path = "random") -> Path:
    """The folder of a bootstrap."""
    out.mkdir(parents=True, exist_ok=True)
    paths, splits = zip(*(map(str, stores[name]) for name in names), strict=True)
    guess.main([
        "--stores", *paths, "--splits", *splits, "--weights", str(source), "--candidates", "1", "--seed", "0",
        "--checkpoint", str(out / "c"), "--out", str(out / "network.safetensors"), "--scores", str(out / "scores.csv"),
        "--seen", str(out / seen.FILE),
    ])  # fmt: skip
    return out


def trained(stores: Stores, names: tuple[str, ...], begun: Path, out: Path, seconds: str = "60") -> Path:
    """The folder of a run that starts from a bootstrap."""
    out.mkdir(parents=True, exist_ok=True)
    paths, splits = zip(*(map(str, stores[name]) for name in names), strict=True)
    files = {"out": "model.safetensors", "best": "best.safetensors", "seen": seen.FILE}
    files |= {name: name for name in ("history", "gradients", "run")}
    train.main([
        "--stores", *paths, "--splits", *splits, "--network", str(begun / "network.safetensors"), "--seed", "0",
        "--phases", json.dumps([{**PHASE, "datasets": [*names]}]), "--target", names[0], "--every", "1",
        "--checkpoint", str(out / "c"), "--checkpoint-seconds", seconds,
        *(f"--{flag}={out / file}" for flag, file in files.items()),
    ])  # fmt: skip
    return out


@pytest.fixture(scope="module")
def base(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two data sets."""
    folder = tmp_path_factory.mktemp("base")
    return trained(stores, NAMES, begin(stores, NAMES, folder / "bootstrap"), folder)


def embed(stores: Stores, name: str, source: Path, out: Path, *more: str) -> Path:
    store, split = map(str, stores[name])
    embeddings.main([
        "--store", store, "--encoder", "own", "--network", "papers", "--weights", str(source), "--views", "2",
        "--split", split, "--like", name, "--checkpoint", str(out.with_suffix(".c")), "--out", str(out), *more,
    ])  # fmt: skip
    return out


class TestStart:
    def test_a_known_data_set_has_the_statistics_that_the_run_has_for_it(
        self, stores: Stores, base: Path, tmp_path: Path
    ) -> None:
        theirs = load_file(base / "model.safetensors")
        ours = load_file(begin(stores, NAMES, tmp_path, base / "model.safetensors") / "network.safetensors")
        assert not torch.equal(theirs["statistics.a"], theirs["statistics.b"])
        for name in (one for one in theirs if not one.startswith("makers.")):
            assert torch.equal(ours[name], theirs[name]), name
        assert {name.split(".")[2] for name in ours if name.startswith("makers.a.")} == {
            "weight",
            "bias",
        }  # probes

    def test_another_one_has_those_of_all_its_data_sets_together(
        self, stores: Stores, base: Path, tmp_path: Path
    ) -> None:
        theirs = load_file(base / "model.safetensors")
        begun = begin(stores, ("c",), tmp_path, base / "model.safetensors")
        (one, other), (means, variances) = (
            (theirs["statistics.a"], theirs["statistics.b"]), load_file(begun / "network.safetensors")["statistics.c"]
        )  # fmt: skip
        # As of a mixture of both: E x² - (E x)².
        torch.testing.assert_close(means, (one[0] + other[0]) / 2)
        squares = (one[1] + one[0] ** 2 + other[1] + other[0] ** 2) / 2
        torch.testing.assert_close(variances, squares - means**2, atol=1e-5, rtol=1e-4)
        (row,) = read_csv(begun / "scores.csv").to_dict("records")
        assert float(row["c"]) >= 0.5

    def test_a_cut_run_goes_on_to_the_same_bytes_and_has_seen_whom_both_have(
        self, stores: Stores, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun = begin(stores, ("a",), tmp_path / "begun", base / "model.safetensors")
        whole = trained(stores, ("a",), begun, tmp_path / "whole", "0")
        saved = train.Trainer._save

        def cut(made: train.Trainer, current: Phase) -> None:
            saved(made, current)
            raise KeyboardInterrupt

        monkeypatch.setattr(train.Trainer, "_save", cut)
        with pytest.raises(KeyboardInterrupt):
            trained(stores, ("a",), begun, tmp_path / "cut", "0")
        monkeypatch.undo()
        again = trained(stores, ("a",), begun, tmp_path / "cut", "0")
        for name in ("model.safetensors", "history", seen.FILE):
            assert (again / name).read_bytes() == (whole / name).read_bytes(), name
        assert weights.origin(whole / "model.safetensors")["weights"] == "model.safetensors"  # no path
        assert seen.read(whole / seen.FILE)[:-1] == seen.read(base / seen.FILE)


class TestFeatures:
    def test_a_probe_is_fitted_on_what_the_extractor_gives(
        self, stores: Stores, base: Path, tmp_path: Path
    ) -> None:
        known = read_embeddings(embed(stores, "b", base / "model.safetensors", tmp_path / "b.h5"))
        network, tables = weights.read(base / "model.safetensors", NAMES, 1, side=SIDE)
        assert known.features.shape == (24, 2, network.extractor.width)
        again = embeddings.again(known)
        norms = torch.cat(
            [part.running_mean for part in again.modules() if isinstance(part, torch.nn.BatchNorm2d)]
        )
        assert torch.equal(norms, tables["b"][0])
        store, split = map(str, stores["b"])
        fit.main(["probe", "--embeddings", str(tmp_path / "b.h5"), "--stores", store, "--splits", split,
                  "--out", str(tmp_path / "p.csv"), "--run", str(tmp_path / "run.json")])  # fmt: skip
        assert len(json.loads((tmp_path / "run.json").read_text())["model"]["coefficients"]) == 256

    def test_people_without_a_split_are_all_tested(self, stores: Stores, base: Path, tmp_path: Path) -> None:
        store = str(stores["a"][0])
        words = ["--store", store, "--encoder", "own", "--network", "papers", "--weights",
                 str(base / "model.safetensors"), "--checkpoint", str(tmp_path / "c"), "--out", str(tmp_path / "x.h5")]  # fmt: skip
        with pytest.raises(LeakError, match=r"18 patients: a 0000, .* and 13 more"):
            embeddings.main(words)
        assert not (tmp_path / "x.h5").exists()


def turned(stores: Stores, folder: Path) -> Stores:
    """The same data set with other splits: who trained is tested, and the other way round."""
    store, split = stores["a"]
    table = read_csv(split)
    table["split"] = table["split"].replace({"train": "x", "test": "train"}).replace({"x": "test"})
    write_csv(folder / "turned.csv", list(table), table.to_dict("records"))
    return stores | {"a": (store, folder / "turned.csv")}


def change(run: Path, changes: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Write other tensors into the model file of a run."""
    path = run / "model.safetensors"
    about, tensors = weights.read_about(path), weights.read_tensors(path)
    path.write_bytes(weights.to_bytes(tensors | changes(tensors), **about))


class TestRefused:
    def test_a_run_that_has_seen_whom_this_one_tests(
        self, stores: Stores, base: Path, tmp_path: Path
    ) -> None:
        others = turned(stores, tmp_path)
        line = r"E-LEAK .*model.safetensors: expected an extractor that has seen nobody .*, found 12 patients: a 0000, "
        with pytest.raises(LeakError, match=line):
            begin(others, ("a",), tmp_path / "out", base / "model.safetensors")
        with pytest.raises(LeakError, match=line):
            embed(others, "a", base / "model.safetensors", tmp_path / "out/a.h5")
        assert list((tmp_path / "out").iterdir()) == []

    @pytest.mark.parametrize(
        ("spoil", "kind", "line"),
        [
            (lambda run: (run / seen.FILE).unlink(), LeakError, "E-LEAK .*seen.json: .* found none; train it again"),
            (lambda run: (run / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:5000]),
             ModelError, "E-MODEL .*model.safetensors: .* found what cannot be read"),
            (lambda run: change(run, lambda tensors: {"statistics.a": tensors["statistics.a"][0]}),
             ModelError, "expected means and variances for each data set, found statistics"),
            (lambda run: change(run, lambda tensors: {"statistics.a": tensors["statistics.a"].int()}),
             ModelError, "expected means and variances for each data set, found statistics"),
            (lambda run: change(run, lambda tensors: {"extractor.0.0.weight": tensors["extractor.0.0.weight"] * torch.nan}),
             ModelError, "found with nan or inf 0.0.weight"),
        ],
    )  # fmt: skip
    def test_a_run_without_its_list_and_a_cut_file(
        self, stores: Stores, base: Path, tmp_path: Path, spoil: Callable[[Path], Any], kind: type, line: str
    ) -> None:
        run = tmp_path / "run"
        run.mkdir()
        for name in ("model.safetensors", seen.FILE):
            shutil.copy(base / name, run)
        spoil(run)
        with pytest.raises(kind, match=line):
            begin(stores, ("a",), tmp_path / "out", run / "model.safetensors")
        assert not (tmp_path / "out/network.safetensors").exists()

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            (
                ["--network", "resnet18"],
                "expected a run of resnet18 for patches of 36, found papers for patches of 36",
            ),
            (
                ["--side", "48"],
                "expected a run of papers for patches of 48, found papers for patches of 36 pixels",
            ),
        ],
    )
    def test_a_run_of_another_network_or_side(
        self, stores: Stores, base: Path, tmp_path: Path, words: list[str], found: str
    ) -> None:
        with pytest.raises(ModelError, match=found):
            embed(stores, "a", base / "model.safetensors", tmp_path / "a.h5", *words)


def config(**changes: object) -> dict[str, Any]:
    """Two data sets from tables, target a."""
    collections = {name: {"kind": "table", "table": "t.csv"} for name in NAMES}
    return checked({"datasets": [*NAMES], "target": "a", "collections": collections, **changes})


def tuned(weights: str = "results/typhon", **changes: object) -> dict[str, Any]:
    """Fine-tuning of the network of the papers."""
    own = {"finetune": {"network": "papers", "weights": weights, **changes}}
    return {"methods": ["finetune"], "hyperparameters": own}


def probed(weights: str = "results/typhon", **changes: object) -> dict[str, Any]:
    """A probe of it."""
    encoder = {"network": "papers", "weights": weights, "side": None, **changes}
    return {
        "methods": ["probe"],
        "encoders": {"own": encoder},
        "hyperparameters": {"probe": {"encoder": "own"}},
    }


class TestPlan:
    def test_each_run_takes_the_run_of_its_fold_and_seed_in_the_state_that_counts(self) -> None:
        made = config(**tuned(), evaluation={"state": "best"})
        model = "results/typhon/fold2/seed3/best/model.safetensors"
        assert start.weights(made, "finetune", "2", "3") == model
        assert start.weights_files(made, "finetune", "2", "3") == [
            model,
            "results/typhon/fold2/seed3/seen.json",
        ]

    def test_features_of_a_run_lie_beside_it(self) -> None:
        made = config(**probed("results/fast/"), variants={"fast": {"method": "typhon"}})
        features = "results/fast/fold2/seed3/embeddings/own/a.h5"
        assert baselines.files(made, "probe", "2", "3") == {"embeddings": features}
        assert baselines.run_encoders(made) == {"own": "fast"}
        assert baselines.fixed_encoders(made) == ["lite0", "lite0-96", "lite0-layers"]
        assert baselines.run_files(made, "own", "a", "2", "3") == [
            "results/fast/fold2/seed3/model.safetensors",
            "results/fast/fold2/seed3/seen.json",
            "<data>/a/splits/fold2.csv",
        ]
        said = baselines.run_encoder_options(made, "own", "a", "2", "3")
        assert said == (
            "--network papers --weights results/fast/fold2/seed3/model.safetensors --features last --views 16"
            " --split data/a/splits/fold2.csv --like a --people a --leak refuse"
        )
        assert not [name for name in targets.figures(made) if "embeddings" in name]

    def test_what_the_run_began_with_is_cited_as_well(self) -> None:
        base = {"method": "typhon", "network": "efficientnet_lite0", "weights": "imagenet"}
        made = config(
            methods=["finetune"],
            variants={"base": base},
            hyperparameters={"finetune": {"weights": "results/base"}},
        )
        assert {"finetune", "typhon", "efficientnet_lite0", "imagenet"} <= set(targets.cited(made))
        assert list(json.loads(targets.weights(made))) == ["efficientnet_lite0, imagenet"]

    def test_runs_of_another_experiment_have_to_be_there(self, tmp_path: Path) -> None:
        other = tmp_path / "results/typhon"
        made = config(**tuned(str(other)))
        model = other / "fold0/seed1/model.safetensors"
        with pytest.raises(ConfigError, match=f"E-CONFIG {model}: .* found no such file"):
            start.weights_files(made, "finetune", "0", "1")
        model.parent.mkdir(parents=True)
        model.touch()
        with pytest.raises(ConfigError, match=r"seed1/seen.json: .* found no such file"):
            start.weights_files(made, "finetune", "0", "1")
        model.with_name(seen.FILE).touch()
        expected = [str(model), str(model.with_name(seen.FILE))]
        assert start.weights_files(made, "finetune", "0", "1") == expected
        assert baselines.run_encoders(config(**probed(str(other)))) == {"own": "typhon"}

    def test_all_methods_may_begin_with_a_variant(self) -> None:
        base = {"method": "typhon", "weights": "random"}
        made = config(methods=["parallel", "joint"], weights="results/base", variants={"base": base})
        assert start.sharing(made) == ["parallel", "joint"]
        assert start.shared_weights(made, "0", "1") == "results/base/fold0/seed1/model.safetensors"
        assert start.start(made, "base", "0", "1") == "results/base/fold0/seed1/bootstrap/network.safetensors"

    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            (tuned("results/tiphon"), "hyperparameters/finetune/weights: expected results/METHOD, of a method or "
             "variant that trains a network, found results/tiphon; did you mean typhon?"),
            (tuned("results/probe"), "found results/probe"),
            (tuned("results/finetune"), "hyperparameters/finetune/weights: expected a method that begins otherwise, found "
             "results/finetune, so a circle: finetune begins with finetune; give one"),
            ({"weights": "results/typhon"}, "weights: .* so a circle: typhon begins with typhon"),
            ({"methods": ["parallel"], "weights": "results/joint", "variants": {}}, "joint begins with joint"),
            ({"methods": ["one"], "variants": {
                "one": {"method": "typhon", "weights": "results/two"}, "two": {"method": "hydra", "weights": "results/one"}}},
             "variants/two/weights: .* found results/one, so a circle: one begins with two begins with one"),
            (tuned(network="resnet18"), "hyperparameters/finetune/network: expected papers, the network of results/typhon,"
             " found resnet18"),
            (probed(network="resnet18"), "encoders/own/network: expected papers, the network of results/typhon"),
            (probed(side=160), "encoders/own/side: expected null or 65, what results/typhon has seen, found 160"),
            ({"methods": ["rwg"], "weights": "results/typhon"}, "weights: random for random networks"),
        ],
    )  # fmt: skip
    def test_runs_that_a_method_cannot_begin_with(self, changes: dict[str, Any], line: str) -> None:
        with pytest.raises(ConfigError, match=line):
            config(**changes)
