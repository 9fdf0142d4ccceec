"""What was published, in our network: the same logits, and one line for what is no such thing."""

import math
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model import published
from model.files import weights
from model.files.states import read_state
from model.inference import batch_norm, score_views
from model.network import Description
from pipeline.errors import ModelError, PickledError, UnreadableError
from pipeline.files import read_csv
from pipeline.splits.split import balanced_views
from pipeline.store import read_patches
from tests.stores import make_store

FILES = ("roulette-baseline.pth", "hydra-DS4-Full-best.pth")


class Hydra(nn.Module):
    """The published network, written from the thesis' figure 5.4: it knows nothing of ours."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (32, 64, 128):
            for kernel in (3, 3, 1):
                layers += [nn.Conv2d(channels, width, kernel), nn.BatchNorm2d(width), nn.ELU()]
                channels = width
            layers += [nn.Dropout(0.3), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(2048, 256), nn.ELU(), nn.Dropout(0.3))
        self.last_layer = nn.Sequential(
            nn.Linear(256, 64), nn.ELU(), nn.Dropout(0.3), nn.Linear(64, 16), nn.ELU(), nn.Linear(16, 2),
            nn.Softmax(dim=1),
        )  # fmt: skip

    def logits(self, patches: Tensor) -> Tensor:
        features = self.classifier(self.features(patches).flatten(1))
        return self.last_layer[:-1](features)

    def forward(self, patches: Tensor) -> Tensor:
        return self.last_layer[-1](self.logits(patches))


def state_of(channels: int = 1) -> dict[str, Tensor]:
    """A state dict as training leaves it: no bias, mean or variance where it began."""
    generator = torch.Generator().manual_seed(0)
    state = Hydra(channels).state_dict()
    for name, value in state.items():
        if name.endswith("num_batches_tracked"):
            value.fill_(7)
        elif value.ndim == 1:
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        else:
            value.copy_(torch.randn(value.shape, generator=generator) / math.sqrt(value[0].numel()))
    return state


def logits(path: Path, patches: Tensor) -> Tensor:
    """What a model file of ours says to patches."""
    network, tables = weights.read(path, ["prostatex"], patches.shape[1])
    batch_norm.attach(network, tables["prostatex"])
    return network.eval()(patches, "prostatex")


def converted(path: Path, folder: Path) -> Path:
    out = folder / "model.safetensors"
    published.main([str(path), "--dataset", "prostatex", "--out", str(out)])
    return out


@pytest.fixture(params=FILES)
def public(shared: Path, request: pytest.FixtureRequest) -> Path:
    path = shared / "hydra-published" / request.param
    if not path.exists():
        pytest.skip(f"no published weights at {path}")
    return path


@torch.no_grad()
def test_a_public_state_dict_gives_the_logits_of_the_published_network(public: Path, tmp_path: Path) -> None:
    theirs = Hydra().eval()
    theirs.load_state_dict(torch.load(public, map_location="cpu", weights_only=True), strict=True)
    out = converted(public, tmp_path)
    for number, scale in enumerate((0.0, 1.0, 100.0)):
        generator = torch.Generator().manual_seed(number)
        patches = scale * torch.randn(8, 1, 65, 65, generator=generator)
        expected = theirs.logits(patches)
        torch.testing.assert_close(logits(out, patches), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(logits(out, patches).softmax(1), theirs(patches), rtol=0, atol=1e-5)


@torch.no_grad()
@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(-10, 10), st.floats(0, 10), st.sampled_from((1, 3)))
def test_any_state_dict_of_the_published_network_gives_its_logits(
    tmp_path_factory: pytest.TempPathFactory, seed: int, mean: float, scale: float, channels: int
) -> None:
    state = state_of(channels)
    theirs = Hydra(channels).eval()
    theirs.load_state_dict(state)
    path = tmp_path_factory.mktemp("any") / "model.safetensors"
    weights.write(path, published.convert(state, "prostatex"), Description(channels=channels))
    patches = mean + scale * torch.randn(2, channels, 65, 65, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(logits(path, patches), theirs.logits(patches), rtol=1e-5, atol=1e-5)


def test_the_file_says_where_it_comes_from(tmp_path: Path) -> None:
    torch.save(state_of(), tmp_path / "x.pth")
    about = weights.read_about(converted(tmp_path / "x.pth", tmp_path))
    assert about["published"] == "x.pth"
    assert len(about["sha256"]) == 64


def test_its_predictions_on_a_store_are_those_of_the_published_network(public: Path, tmp_path: Path) -> None:
    store, split = make_store(tmp_path, "prostatex", views=2)
    words = ["--stores", str(store), "--splits", str(split), "--model", str(converted(public, tmp_path))]
    score_views.main([*words, "--out", str(tmp_path / "predictions.csv")])
    theirs = Hydra().eval()
    theirs.load_state_dict(torch.load(public, map_location="cpu", weights_only=True))
    with torch.no_grad():  # 8 training findings come first
        expected = theirs(torch.from_numpy(read_patches(store, range(8, 16), [2] * 8)))[:, 1]
    scores = read_csv(tmp_path / "predictions.csv")["score"].astype(float)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


class TestRefused:
    def refused(self, path: Path, error: type[Exception] = ModelError) -> str:
        with pytest.raises(error) as caught:
            published.main([str(path), "--dataset", "a", "--out", str(path.with_name("out.safetensors"))])
        assert not path.with_name("out.safetensors").exists()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def saved(self, folder: Path, state: object) -> Path:
        torch.save(state, folder / "bad.pth")
        return folder / "bad.pth"

    def test_missing_and_unexpected_keys_are_named(self, tmp_path: Path) -> None:
        state = state_of()
        state["last_layer.7.weight"] = state.pop("last_layer.5.weight")
        said = self.refused(self.saved(tmp_path, state))
        assert said.startswith(f"E-MODEL {tmp_path / 'bad.pth'}: expected the state dict of a published")
        assert "missing last_layer.5.weight, unexpected last_layer.7.weight;" in said

    def test_another_architecture_is_named_by_its_first_keys(self, tmp_path: Path) -> None:
        said = self.refused(self.saved(tmp_path, nn.Sequential(nn.Linear(2, 2)).state_dict()))
        assert "missing features.0.weight features.0.bias" in said
        assert "unexpected 0.weight 0.bias;" in said
        assert len(said) < 500

    def test_other_shapes_classes_and_channels_are_named(self, tmp_path: Path) -> None:
        state = state_of()
        state["last_layer.5.weight"] = torch.zeros(5, 16)
        state["features.0.weight"] = torch.zeros(32, 2, 3, 3)
        state["features.1.num_batches_tracked"] = torch.zeros(4)
        said = self.refused(self.saved(tmp_path, state))
        assert "features.0.weight 32×2×3×3 instead of 32×1×3×3" in said
        assert "last_layer.5.weight 5×16 instead of 2×16" in said
        assert "features.1.num_batches_tracked 4 instead of one number" in said

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_weights_that_are_no_numbers_are_named(self, tmp_path: Path, value: float) -> None:
        state = state_of()
        state["classifier.0.bias"][3] = value
        assert "found with nan or inf classifier.0.bias;" in self.refused(self.saved(tmp_path, state))

    @pytest.mark.parametrize(
        ("state", "found"),
        [
            ([torch.zeros(1)], "found a list"),
            (torch.zeros(1), "found a Tensor"),
            ({}, "found an empty dict"),
            (
                {"epoch": 3, "state_dict": OrderedDict(a=torch.zeros(1))},
                "found no tensors under epoch state_dict",
            ),
            (
                {"features.0.weight": torch.zeros(2, 2).to_sparse()},
                "found no tensors under features.0.weight",
            ),
        ],
    )
    def test_what_holds_no_tensors_by_name_is_refused(
        self, tmp_path: Path, state: object, found: str
    ) -> None:
        assert found in self.refused(self.saved(tmp_path, state))

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not an archive", b"\x80\x02}q\x00", b"text" * 99])
    def test_a_damaged_file_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "bad.pth"
        path.write_bytes(content)
        assert "found what cannot be read" in self.refused(path)

    def test_a_state_dict_that_is_cut_short_is_refused(self, tmp_path: Path) -> None:
        for legacy in (False, True):
            path = tmp_path / "bad.pth"
            torch.save(state_of(), path, _use_new_zipfile_serialization=not legacy)
            path.write_bytes(path.read_bytes()[:-5000])
            assert "found what cannot be read" in self.refused(path)

    def test_a_file_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        assert "No such file" in self.refused(tmp_path / "no.pth", UnreadableError)
        (tmp_path / "folder.pth").mkdir()
        self.refused(tmp_path / "folder.pth", UnreadableError)


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


class TestPickles:
    @pytest.mark.parametrize("legacy", [False, True])
    def test_a_whole_module_is_refused_with_the_command_that_saves_its_tensors(
        self, tmp_path: Path, legacy: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "last_layer.pckl"
        torch.save(Hydra().last_layer, path, _use_new_zipfile_serialization=not legacy)
        said = TestRefused().refused(path, PickledError)
        assert said.startswith(f"E-PICKLE {path}: expected a state dict: tensors by name, found a pickle of ")
        # The command is right: run on the file that it was given for, it makes a state dict.
        command = said.partition("python -c ")[2].strip("'").replace("'\"'\"'", "'")
        assert command == (
            "import torch; torch.save(torch.load('last_layer.pckl').state_dict(), 'last_layer.pth')"
        )
        monkeypatch.chdir(tmp_path)
        load = torch.load  # an environment of the time runs pickles without being asked to
        monkeypatch.setattr(torch, "load", lambda file: load(file, weights_only=False))
        exec(command)
        monkeypatch.undo()
        assert next(iter(read_state(tmp_path / "last_layer.pth"))) == "0.weight"

    def test_no_pickle_is_run(self, tmp_path: Path) -> None:
        path, trap = tmp_path / "trap.pckl", tmp_path / "sprung"
        path.write_bytes(pickle.dumps({"features.0.weight": Trap(trap)}))
        TestRefused().refused(path, PickledError)
        torch.save({"features.0.weight": Trap(trap)}, path)
        TestRefused().refused(path, PickledError)
        assert not trap.exists()
        pickle.loads(pickle.dumps(Trap(trap)))  # the trap works
        assert trap.exists()


class TestBalance:
    """The published numbers of patches, from the numbers of lesions (their logs: 25,314 and 2,276)."""

    def test_training_patches(self) -> None:
        views = balanced_views(np.repeat([1, 0], [57, 211]), 60, stored=246)
        assert views == {0: 60, 1: 222}  # floor(60 · 211 / 57) = floor(222.1)
        assert 211 * views[0] == 12_660
        assert 57 * views[1] == 12_654
        assert 12_660 + 12_654 == 25_314

    def test_validation_patches(self) -> None:
        views = balanced_views(np.repeat([1, 0], [8, 19]), 60, stored=246)
        assert views == {0: 60, 1: 142}  # floor(60 · 19 / 8) = floor(142.5)
        assert 19 * views[0] + 8 * views[1] == 2_276

    def test_test_patches(self) -> None:
        # 11 is of the larger class alone: the four positive lesions got floor(11 · 15 / 4) = 41 views each.
        assert balanced_views(np.repeat([1, 0], [4, 15]), 11, stored=246) == {0: 11, 1: 41}
