"""Networks that others have made: a folder in Hugging Face's format, a model of timm, a class of one's own."""

import json
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from model import export, networks
from model.baselines import embeddings
from model.bootstrap import guess
from model.files import pretrained, weights
from model.inference import batch_norm
from model.inference.evaluated import Evaluated
from model.network import Description, Network, build, initialize
from model.networks import base
from model.training import train
from model.training.updater import grouped
from pipeline.errors import ConfigError, InputError, ModelError
from pipeline.store import read_embeddings
from tests.stores import make_store
from workflow.config import checked
from workflow.plan import baselines, start, training

OWN = """
from torch import nn

from model.networks import base
from side import SIZE


class Net(base.Extractor):
    def __init__(self, channels, side):
        super().__init__(8)
        self.layers = nn.Sequential(nn.Conv2d(channels, 8, SIZE, stride=2), nn.BatchNorm2d(8), nn.ReLU(),
                                    nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, patches):
        return self.layers(patches)


class Other:
    pass
"""


def asked(**changes: object) -> dict[str, object]:
    collections = {"a": {"kind": "table", "table": "t.csv"}}
    return {"datasets": ["a"], "target": "a", "collections": collections, **changes}


class TestModule:
    @pytest.fixture(autouse=True)
    def own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """The file of a user, and one that it imports, in the working directory."""
        (tmp_path / "my").mkdir()
        (tmp_path / "my" / "file.py").write_text(OWN)
        (tmp_path / "side.py").write_text("SIZE = 5\n")
        monkeypatch.chdir(tmp_path)
        yield tmp_path / "my" / "file.py"
        sys.modules.pop("side", None)

    def model(self) -> tuple[Path, Network]:
        """A model file with such a network."""
        network = build(["a"], Description.named("module:my.file:Net", 2, 32))
        initialize(network, 0)
        path = Path("m.safetensors")
        weights.write(path, weights.export(network, {"a": batch_norm.initial(network)}), network.description)
        return path, network

    def test_it_is_built_drawn_written_and_read_again(self) -> None:
        path, network = self.model()
        read, tables = weights.read(path, ["a"], 2, side=32)
        assert read.description == network.description
        assert read.description.network == "module:my.file:Net"
        patches = torch.randn(3, 2, 32, 32, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = network.eval()(patches, "a")
        torch.testing.assert_close(Evaluated(read, "a", tables["a"])(patches), expected)

    def test_it_trains_goes_on_and_is_exported(self, tmp_path: Path) -> None:
        check_that_it_trains_goes_on_and_is_exported("module:my.file:Net", "random", tmp_path, side=32)

    def test_another_file_than_it_was_trained_with_is_refused(self, own: Path) -> None:
        path, _ = self.model()
        for file, text in ((own, OWN.replace("nn.ReLU()", "nn.GELU()")), (Path("side.py"), "SIZE = 3\n")):
            before = file.read_text()
            file.write_text(text)
            forget()
            with pytest.raises(
                InputError,
                match=r"^E-INPUT m.safetensors: [^\n]*network module:my.file:Net as [^\n]*; bring that file back[^\n]*$",
            ):
                weights.read(path, ["a"], 2, side=32)
            file.write_text(before)
            forget()

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("module:my.other:Net", "expected the file of module:my.other:Net, found no module my.other"),
            ("module:my.file:Missing", "expected a class, a base.Extractor, found None"),
            ("module:my.file:Other", r"expected a class, a base.Extractor, found <class .*Other'>"),
            ("module:os:abort", "expected the file of module:os:abort"),
            ("module:my/file.py:Net", "expected module:my.file:Net"),
            ("module:my.file", "expected module:my.file:Net"),
            ("module:", "network: expected one of .*module:my.file:Net"),
            ("module", "network: expected one of "),
        ],
    )
    def test_what_is_no_class_of_the_user_is_one_line(self, name: str, message: str) -> None:
        with pytest.raises(ConfigError, match=rf"^E-CONFIG [^\n]*{message}[^\n]*$"):
            build(["a"], Description.named(name, 1, 32))

    def test_an_edit_of_it_makes_its_results_anew(self, own: Path) -> None:
        own_class = checked(asked(network="module:my.file:Net", methods=["typhon"]))
        papers = checked(asked(methods=["typhon"]))
        before = [
            training.code_of(config, "typhon", "model.training.train") for config in (own_class, papers)
        ]
        own.write_text(OWN.replace("nn.ReLU()", "nn.GELU()"))
        forget()
        after = [training.code_of(config, "typhon", "model.training.train") for config in (own_class, papers)]
        assert [one != other for one, other in zip(before, after, strict=True)] == [True, False]


def forget() -> None:
    """What was read of files that have changed, as a new process would."""
    from pipeline import provenance

    for each in (provenance._read, provenance._digest, provenance._imported, provenance.source):
        each.cache_clear()


def check_that_it_trains_goes_on_and_is_exported(
    network: str, source: str, out: Path, *, side: int, batch_norm_mode: str = "train"
) -> None:
    """From stores to a model file, with the same bytes where it was cut; and its graph says what it says."""
    files = make_store(out, "a", train=8, validation=4, test=2, views=1, side=side)
    given = ["--stores", str(files[0]), "--splits", str(files[1])]
    begun = out / "start.safetensors"
    guess.main([*given, "--network", network, "--weights", source, "--seed", "0", "--candidates", "2",
                "--checkpoint", str(out / "c"), "--out", str(begun), "--scores", str(out / "s.csv")])  # fmt: skip
    phases = [{"name": "t", "datasets": ["a"], "epochs": 2, "batches": 1, "batch_size": 4, "learning_rate": 1e-3,
               "dropout": 0.2, "batch_norm": batch_norm_mode}]  # fmt: skip
    saved = train.Trainer._save

    def run(name: str, cut: int | None) -> Path:
        def saving(trainer: train.Trainer, phase: train.Phase) -> None:
            saved(trainer, phase)
            if trainer.progress.step == cut:
                raise KeyboardInterrupt

        folder = out / name
        folder.mkdir(exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(train.Trainer, "_save", saving)
            train.main([*given, "--network", str(begun), "--phases", json.dumps(phases), "--seed", "0", "--target", "a",
                        "--every", "2", "--checkpoint", str(folder / "c"), "--checkpoint-seconds", "0",
                        *(f"--{flag}={folder / flag}" for flag in ("out", "best", "history", "gradients", "run"))])  # fmt: skip
        return folder

    with pytest.raises(KeyboardInterrupt):
        run("cut", 1)
    cut, whole = run("cut", None), run("whole", None)
    for file in ("out", "best", "history"):
        assert (cut / file).read_bytes() == (whole / file).read_bytes(), file
    made, tables = weights.read(cut / "out", ["a"], 1, side=side)
    before, _ = weights.read(begun, ["a"], 1, side=side)
    for one, other in zip(grouped(made.extractor, None), grouped(before.extractor, None), strict=True):
        assert any(not torch.equal(*pair) for pair in zip(one, other, strict=True))
    patches = torch.randn(3, 1, side, side, generator=torch.Generator().manual_seed(0))
    expected = Evaluated(made, "a", tables["a"])(patches).softmax(1)[:, 1]
    graph = export.graph(made, "a", tables["a"]).SerializeToString()
    (found,) = onnxruntime.InferenceSession(graph).run(None, {"patches": patches.numpy()})
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


DINO = {"model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28,
        "patch_size": 7, "mlp_ratio": 2, "num_channels": 3}  # fmt: skip


class TestFolder:
    """What is known of a folder without transformers."""

    @pytest.fixture
    def dino(self, tmp_path: Path) -> Path:
        """A folder without weights."""
        path = tmp_path / "dino"
        path.mkdir()
        left = {"architectures": ["Dinov2Model"], "_name_or_path": "/home/me", "dtype": "float32"}
        (path / "config.json").write_text(json.dumps(DINO | left))
        return path

    @pytest.mark.parametrize(
        ("deviations", "scale"),
        [
            (None, 1.0),
            ([0.229, 0.224, 0.225], 1.0),  # of ImageNet: unit variance
            ([0.2583, 0.2583, 0.2583], 0.968),  # of RAD-DINO
            ([0.5, 0.5, 0.5], 0.5),  # of SigLIP: from -1 to 1
        ],
    )
    def test_z_scores_are_scaled_as_its_pictures_were(
        self, dino: Path, deviations: list[float] | None, scale: float
    ) -> None:
        if deviations:
            (dino / "preprocessor_config.json").write_text(json.dumps({"image_std": deviations}))
        described = Description.named(f"folder:{dino}", 1, 28)
        assert described.network == "folder:dino"
        assert described.options == {"config": DINO, "scale": scale}
        assert Description(**json.loads(json.dumps(described.to_json()))) == described
        assert str(dino.parent) not in json.dumps(described.to_json())

    @pytest.mark.parametrize(
        ("content", "found"), [(None, "No such file"), ("{", "what cannot be read"), ("[1]", "a list")]
    )
    def test_what_is_no_such_folder_is_one_line(self, dino: Path, content: str | None, found: str) -> None:
        (dino / "config.json").unlink() if content is None else (dino / "config.json").write_text(content)
        with pytest.raises(ConfigError, match=rf"^E-CONFIG {dino}/config.json: [^\n]*found {found}[^\n]*$"):
            Description.named(f"folder:{dino}", 1, 28)

    def test_without_the_library_it_is_told_what_to_install(
        self, dino: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "transformers", None)
        with pytest.raises(
            ConfigError, match=r"expected the package transformers, found .*pip install transformers"
        ):
            build(["a"], Description.named(f"folder:{dino}", 1, 28))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"weights": "random"},
                "weights: expected folder, for those in it, or a file of weights, found random",
            ),
            ({"weights": "imagenet"}, "weights: expected folder, .*, found imagenet"),
            ({"weights": "folder"}, "network: .*, found folder:/x, but no package transformers; install it"),
            ({"network": "folder:", "weights": "folder"}, "network: expected a network, found folder:;"),
        ],
    )
    def test_the_config_is_told_what_goes_with_it(self, changes: dict[str, object], message: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("importlib.util.find_spec", lambda _: None)
            with pytest.raises(ConfigError, match=message):
                checked(asked(**{"network": "folder:/x", "methods": ["typhon"], **changes}))

    def test_a_side_that_tokens_do_not_divide_is_told_from_the_config(
        self, dino: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
        with pytest.raises(
            ConfigError, match=f"E-CONFIG patch: expected a multiple of 7 for folder:{dino}, found 65"
        ):
            checked(asked(network=f"folder:{dino}", weights="folder"))
        checked(asked(network=f"folder:{dino}", weights="folder", patch=70))

    def test_its_files_are_inputs_of_what_uses_it(self, dino: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
        encoder = {"network": f"folder:{dino}", "weights": "folder", "side": 28}
        config = checked(
            asked(network=f"folder:{dino}", weights="folder", patch=70, encoders={"lite0": encoder})
        )
        with pytest.raises(ConfigError, match=r"dino/model.safetensors: .* found no such file"):
            start.weights_files(config, "typhon", "0", "0")
        (dino / "model.safetensors").touch()
        expected = [str(dino / "model.safetensors"), str(dino / "config.json")]
        assert (
            start.weights_files(config, "typhon", "0", "0")
            == baselines.weights_file(config, "lite0")
            == expected
        )


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny random weights, as transformers writes it."""
    transformers = networks.library("transformers")
    torch.manual_seed(0)
    path: Path = tmp_path_factory.mktemp("dino")
    own = {key: value for key, value in DINO.items() if key != "model_type"}
    transformers.Dinov2Model(transformers.Dinov2Config(**own)).save_pretrained(path)
    return path


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not here")
class TestDino:
    def loaded(self, path: Path, channels: int = 1, side: int = 28) -> base.Extractor:
        description = Description.named(f"folder:{path}", channels, side)
        extractor = build((), description).extractor
        pretrained.load(extractor, description.network, networks.weights_of(f"folder:{path}", "folder"))
        return extractor.eval()

    @pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 42)])
    def test_features_are_those_that_transformers_pools(self, dino: Path, channels: int, side: int) -> None:
        transformers = networks.library("transformers")
        reference = transformers.AutoModel.from_pretrained(dino, local_files_only=True).eval()
        patches = 2 * torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = reference(pixel_values=patches.clamp(-3, 3).expand(-1, 3, -1, -1)).pooler_output
            torch.testing.assert_close(self.loaded(dino, channels, side)(patches), expected)
            pairs = patches[:, :1].expand(-1, 2, -1, -1)
            grey = self.loaded(dino, 1, side)(patches[:, :1])
            torch.testing.assert_close(self.loaded(dino, 2, side)(pairs), grey, atol=1e-4, rtol=1e-4)

    def test_it_trains_goes_on_and_is_exported_without_its_folder(self, dino: Path, tmp_path: Path) -> None:
        check_that_it_trains_goes_on_and_is_exported(
            f"folder:{dino}", "folder", tmp_path, side=28, batch_norm_mode="eval"
        )

    def test_a_probe_uses_it(self, dino: Path, tmp_path: Path) -> None:
        store, _ = make_store(tmp_path, "a", train=4, validation=2, test=2, views=1, side=30)
        embeddings.main(["--store", str(store), "--encoder", "dino", "--network", f"folder:{dino}", "--weights", "folder",
                         "--side", "28", "--views", "1", "--checkpoint", str(tmp_path / "c"), "--out", str(tmp_path / "e.h5")])  # fmt: skip
        known = read_embeddings(tmp_path / "e.h5")
        assert known.features.shape == (8, 1, 16)
        assert embeddings.again(known).description.network == f"folder:{dino.name}"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda state: state.pop("layernorm.bias"), "missing model.layernorm.bias"),
            (lambda state: state.update({"encoder.layer.7.norm1.bias": torch.zeros(16)}),
             "unexpected model.encoder.layer.7.norm1.bias"),
            (lambda state: state.update({"layernorm.bias": torch.zeros(3)}), "of another shape model.layernorm.bias"),
            (lambda state: state["layernorm.bias"].fill_(float("inf")), "with nan or inf model.layernorm.bias"),
            (lambda state: state.update({"classifier.weight": torch.zeros(2, 2)}), None),
        ],
    )  # fmt: skip
    def test_weights_that_do_not_fit_are_listed(
        self, dino: Path, tmp_path: Path, change: object, message: str | None
    ) -> None:
        state = load_file(dino / "model.safetensors")
        change(state)  # type: ignore[operator]
        save_file(state, tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text((dino / "config.json").read_text())
        if message is None:
            self.loaded(tmp_path)
            return
        with pytest.raises(
            ModelError, match=rf"^E-MODEL {tmp_path}/model.safetensors: [^\n]*{message}[^\n]*$"
        ):
            self.loaded(tmp_path)

    def test_a_cut_file_a_side_it_cannot_take_and_another_kind_of_model_are_one_line(
        self, dino: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(
            ConfigError, match=r"^E-CONFIG patch: expected a multiple of 7, [^\n]* found 30 pixels"
        ):
            self.loaded(dino, side=30)
        (tmp_path / "config.json").write_text((dino / "config.json").read_text())
        (tmp_path / "model.safetensors").write_bytes((dino / "model.safetensors").read_bytes()[:-100])
        with pytest.raises(
            ModelError, match=r"^E-MODEL [^\n]*model.safetensors: [^\n]*cannot be read[^\n]*$"
        ):
            self.loaded(tmp_path)
        for config in ({"model_type": "bert", "hidden_size": 16, "num_attention_heads": 2}, {"model_type": "mine"},
                       {}, DINO | {"hidden_size": "x"}):  # fmt: skip
            (tmp_path / "config.json").write_text(json.dumps(config))
            with pytest.raises(
                ConfigError, match=r"^E-CONFIG network folder:[^\n]*expected a vision model, [^\n]*$"
            ):
                self.loaded(tmp_path)

    def test_random_weights_are_refused(self, dino: Path) -> None:
        with pytest.raises(ConfigError, match="parameters in Dinov2Embeddings"):
            initialize(build(["a"], Description.named(f"folder:{dino}", 1, 28)), 0)


class TestTimm:
    @pytest.fixture(autouse=True)
    def timm(self) -> None:
        try:
            networks.library("timm")
        except ConfigError as error:
            pytest.skip(f"timm does not import: {error.found}")

    @pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
    def test_features_are_those_that_timm_has(self, name: str, tmp_path: Path) -> None:
        timm = networks.library("timm")
        torch.manual_seed(0)
        sized = {"img_size": 32} if "vit" in name else {}
        reference = timm.create_model(name, num_classes=5, **sized).eval()
        save_file(reference.state_dict(), tmp_path / "w.safetensors")
        extractor = build((), Description.named(f"timm:{name}", 1, 32)).extractor
        pretrained.load(extractor, f"timm:{name}", str(tmp_path / "w.safetensors"))
        patches = torch.randn(2, 1, 32, 32)
        scale = 0.5 if "vit" in name else 1.0
        reference.reset_classifier(0)
        with torch.no_grad():
            expected = reference(patches.clamp(-3, 3).expand(-1, 3, -1, -1) * scale)
            torch.testing.assert_close(extractor.eval()(patches), expected)
        assert sum(map(len, grouped(extractor, None))) == len(list(extractor.parameters()))

    @pytest.mark.parametrize("name", ["no_such_model", "hf_hub:timm/resnet18"])
    def test_what_timm_does_not_have_is_one_line(self, name: str) -> None:
        with pytest.raises(ConfigError, match="expected the name of a model of timm"):
            build((), Description.named(f"timm:{name}", 1, 32))


def test_without_timm_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"expected the package timm, found .*pip install timm"):
        build(["a"], Description.named("timm:resnet18", 1, 32))


@pytest.mark.parametrize(
    "network",
    [
        {"network": "folder:x"}, {"network": "folder:x", "options": 7}, {"network": "timm:resnet18", "options": {"a": 1}},
        {"network": "module:os:abort", "options": {"code": "0"}}, {"network": "papers", "options": {"a": 1}},
        {"network": "folder:x", "options": {"config": 3, "scale": 1}}, {"network": "folder:", "options": {}},
        {"network": "folder:x", "options": {"config": {"model_type": "dinov2", "hidden_size": -1}, "scale": 1}},
    ],
)  # fmt: skip
def test_a_model_file_with_a_description_that_nobody_has_is_refused_in_one_line(
    tmp_path: Path, network: object
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(weights.to_bytes({"extractor.0": torch.zeros(1)}, network=network))
    with pytest.raises(InputError, match=rf"^E-INPUT {re.escape(str(path))}: [^\n]*$"):
        weights.read(path, ["a"], 1)


def test_layers_of_others_are_before_the_longest_row_of_blocks_in_it_and_after() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.zeros(1))
            self.stem = nn.Linear(2, 2)
            self.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)])
            self.last = nn.LayerNorm(2)

    odd = Odd()
    layers = [[id(value) for part in layer for value in part.parameters()] for layer in base.layers_of(odd)]
    named = {id(value): name for name, value in odd.named_parameters()}
    assert [[named[value] for value in layer] for layer in layers] == [
        ["token", "stem.weight", "stem.bias"],
        *[[f"blocks.{number}.weight", f"blocks.{number}.bias"] for number in range(3)],
        ["last.weight", "last.bias"],
    ]
