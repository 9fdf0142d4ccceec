"""Features of a fixed network: whose they are, and what a probe makes of them."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from model import export, networks
from model.baselines import embeddings, fit, logistic, nearest
from model.baselines import probe as model_probe
from model.baselines.progress import Blocks
from model.dataset import load
from model.evaluation.metrics import auroc
from model.files import pretrained, runs, weights
from model.inference import batch_norm
from model.network import Description, build, initialize
from model.networks import base
from model.networks.base import Layered, Resized, pictures
from model.networks.efficientnet import MEMBERS, Extractor
from model.report.saliency import of_runs
from pipeline import card as data_card
from pipeline.card import Preprocessing
from pipeline.errors import ChecksumError, ConfigError, ModelError, StoreError
from pipeline.files import read_csv
from pipeline.provenance import code
from pipeline.splits import seen
from pipeline.store import read_embeddings, read_info, read_patches
from tests.copies import copy_code
from tests.stores import make_store

SIDE = 48
PUBLISHED = networks.installed("efficientnet_lite0", "imagenet")
FINGERPRINT = {
    **{name: ["image"] for name in data_card.KINDS},
    **{name: [0.0, 1.0] for name in data_card.MEASURES},
}


def ramps(side: int) -> torch.Tensor:
    """A picture (1, 3, side, side) of three ramps from -1 to 1: down, across, and their product."""
    ramp = torch.linspace(-1, 1, side)
    planes = [ramp[:, None].expand(side, side), ramp[None].expand(side, side), ramp[:, None] * ramp[None]]
    return torch.stack(planes)[None]


def new(side: int = 96) -> Extractor:
    return Extractor(1, side, **MEMBERS["efficientnet_lite0"])


def lite0() -> Extractor:
    made = new()
    pretrained.load(made, "efficientnet_lite0", "imagenet")
    return made.eval()


class TestLite0:
    def test_it_gives_what_the_classes_give_that_the_weights_were_published_with(self) -> None:
        """Printed by efficientnet-lite-pytorch 0.1.0, whose code shares nothing with ours."""
        with torch.no_grad():
            features = lite0().maps(ramps(96)).mean((2, 3))[0]
        largest = features.topk(4)
        assert largest.indices.tolist() == [245, 897, 113, 1167]
        assert largest.values.tolist() == pytest.approx([4.83217, 4.49232, 4.20502, 3.91704], abs=1e-4)
        assert features.mean().item() == pytest.approx(0.145657, abs=1e-5)
        assert features.std().item() == pytest.approx(0.513413, abs=1e-5)

    @pytest.mark.parametrize(("number", "side"), [(0, 64), (0, 65), (0, 160), (1, 96), (2, 96)])
    def test_it_equals_these_classes_where_they_are_installed(self, number: int, side: int) -> None:
        theirs = pytest.importorskip(
            "efficientnet_lite_pytorch", reason="efficientnet-lite-pytorch is not here"
        )
        name = f"efficientnet_lite{number}"
        try:
            path, _ = networks.installed(name, "imagenet")
        except ConfigError as error:
            pytest.skip(error.found)
        known = theirs.utils.get_model_params(f"efficientnet-lite{number}", {"image_size": side})
        reference = theirs.EfficientNet(*known).eval()
        reference.load_state_dict(torch.load(path, weights_only=True))
        ours = Extractor(3, side, **MEMBERS[name])
        pretrained.load(ours, name, "imagenet")
        pictures = 2 * torch.rand(2, 3, side, side) - 1
        with torch.no_grad():
            expected = reference.extract_features(pictures).mean((2, 3))
            torch.testing.assert_close(ours.eval().maps(pictures).mean((2, 3)), expected, atol=1e-4, rtol=0)

    def test_grey_is_repeated_and_z_scores_are_clipped_and_halved(self) -> None:
        extractor, patches = lite0(), 3 * torch.randn(2, 1, 96, 96)
        with torch.no_grad():
            found = extractor(patches)
            expected = extractor.maps((patches.clamp(-3, 3) / 2).repeat(1, 3, 1, 1)).mean((2, 3))
        assert found.shape == (2, extractor.width) == (2, 1280)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)

    def test_it_takes_no_tiny_patch(self) -> None:
        with pytest.raises(ConfigError, match="found 31 pixels"):
            new(side=31)


class TestWeights:
    def test_another_file_than_was_published_is_not_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, digest = PUBLISHED
        content = bytearray(path.read_bytes())
        content[-1000] ^= 1
        (tmp_path / "w.pth").write_bytes(content)
        monkeypatch.setattr(pretrained, "installed", lambda *_: (tmp_path / "w.pth", digest))
        with pytest.raises(ChecksumError, match=f"E-SUM .*w.pth: expected SHA-256 {digest}"):
            lite0()

    def test_a_network_without_such_weights_is_told_so(self) -> None:
        extractor = build((), Description("papers")).extractor
        with pytest.raises(ConfigError, match="expected weights that papers has, found imagenet; use random"):
            pretrained.load(extractor, "papers", "imagenet")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda state: state.pop("_bn0.weight"), "missing _bn0.weight"),
            (lambda state: state.update(odd=torch.zeros(1)), "unexpected odd"),
            (lambda state: state.update({"_bn0.weight": torch.zeros(3)}), "of another shape _bn0.weight"),
            (lambda state: state["_bn0.weight"].fill_(float("nan")), "with nan or inf _bn0.weight"),
        ],
    )
    def test_nothing_is_half_loaded(self, change: object, message: str) -> None:
        extractor = new()
        before = {name: value.clone() for name, value in extractor.state_dict().items()}
        state = {name: value + 1 for name, value in before.items()}
        change(state)  # type: ignore[operator]
        with pytest.raises(ModelError, match=message):
            pretrained.fill(extractor, state, Path("w.pth"))
        assert all(torch.equal(value, before[name]) for name, value in extractor.state_dict().items())


def embed(store: Path, out: Path, *words: str) -> Path:
    flags = ["--encoder", "small", "--side", str(SIDE), "--views", "2", *words]
    embeddings.main(["--store", str(store), *flags, "--checkpoint", f"{out}.checkpoint", "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A store, its split and its embeddings."""
    folder = tmp_path_factory.mktemp("made")
    store, split = make_store(folder, "a", train=16, validation=8, test=12)
    return store, split, embed(store, folder / "lite0.h5")


class TestEmbeddings:
    def test_each_view_has_the_features_that_its_patch_has_alone(self, made: tuple[Path, Path, Path]) -> None:
        store, _, path = made
        found, extractor = read_embeddings(path), lite0()
        assert found.features.shape == (36, 2, 1280)
        assert found.about["encoder"] == "small"
        for number in (0, 7, 35):
            patches = torch.from_numpy(read_patches(store, [number], [2]))
            with torch.no_grad():
                larger = functional.interpolate(patches, (SIDE, SIDE), mode="bilinear", antialias=True)
                alone = [extractor(patch[None])[0] for patch in larger]
            np.testing.assert_allclose(found.features[number], torch.stack(alone), atol=1e-4)

    def test_the_same_store_gives_the_same_bytes(self, made: tuple[Path, Path, Path], tmp_path: Path) -> None:
        assert embed(made[0], tmp_path / "again.h5").read_bytes() == made[2].read_bytes()

    @pytest.mark.parametrize("views", [1, 2, 3])
    def test_findings_go_through_the_network_together_and_each_keeps_its_own(
        self, made: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, views: int
    ) -> None:
        """36 findings in batches of 16 patches, with a rest; one view each must not mean batches of one."""
        seen: list[int] = []
        forward = Extractor.forward

        def counting(self: Extractor, patches: torch.Tensor) -> torch.Tensor:
            seen.append(len(patches))
            return forward(self, patches)

        monkeypatch.setattr(Extractor, "forward", counting)
        found = read_embeddings(embed(made[0], tmp_path / "e.h5", "--views", str(views))).features
        full = 16 // views * views
        assert seen == [full] * (36 * views // full) + ([rest] if (rest := 36 * views % full) else [])
        expected = read_embeddings(made[2]).features[:, :views]
        np.testing.assert_allclose(found[:, :2], expected, atol=1e-4)

    def test_a_job_that_was_stopped_goes_on_where_it_was_and_ends_with_the_same_bytes(
        self,
        made: tuple[Path, Path, Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """36 findings of 2 views in batches of 8 findings; stopped in the third batch, with a block half written."""
        seen: list[int] = []
        forward, most = Extractor.forward, 2

        def stopping(self: Extractor, patches: torch.Tensor) -> torch.Tensor:
            if len(seen) == most:
                raise KeyboardInterrupt
            seen.append(len(patches))
            return forward(self, patches)

        monkeypatch.setattr(Extractor, "forward", stopping)
        with pytest.raises(KeyboardInterrupt):
            embed(made[0], tmp_path / "e.h5")
        assert [path.name for path in tmp_path.glob("*.h5")] == []
        part = tmp_path / "e.h5.checkpoint/features.part"
        with part.open("ab") as file:
            file.write(b"half a block")
        most = 99
        caplog.set_level(logging.INFO)
        found = embed(made[0], tmp_path / "e.h5")
        assert seen == [16, 16, 16, 16, 8]
        assert found.read_bytes() == made[2].read_bytes()
        assert "going on after 16 of 36 findings" in caplog.text
        assert not part.parent.exists()

    def test_what_other_weights_or_views_have_left_is_void(
        self, made: tuple[Path, Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        left = tmp_path / "e.h5.checkpoint"
        left.mkdir()
        done = Blocks(left / "features.part", "0" * 64, (2, 1280))
        done.append(np.zeros((2, 1280), "f4"))
        found = embed(made[0], tmp_path / "e.h5")
        assert found.read_bytes() == made[2].read_bytes()
        assert "features.part is void: settings, data or code are others now" in caplog.text

    def test_more_views_than_are_stored_are_those_that_are(
        self, made: tuple[Path, Path, Path], tmp_path: Path
    ) -> None:
        path = embed(made[0], tmp_path / "all.h5", "--views", "99", "--weights", "random")
        assert read_embeddings(path).views == read_info(made[0]).views == 3

    def test_a_network_of_random_weights_is_the_same_each_time_and_needs_no_file(
        self, made: tuple[Path, Path, Path], tmp_path: Path
    ) -> None:
        one, other = (
            embed(made[0], tmp_path / f"{name}.h5", "--network", "papers", "--weights", "random")
            for name in "ab"
        )
        assert one.read_bytes() == other.read_bytes()
        assert read_embeddings(one).features.shape == (36, 2, 256)

    def test_weights_may_lie_in_a_file_and_a_probe_asks_for_the_same_again(
        self, made: tuple[Path, Path, Path], tmp_path: Path
    ) -> None:
        state = torch.load(PUBLISHED[0], weights_only=True)
        save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "w.safetensors")
        found = embed(made[0], tmp_path / "e.h5", "--weights", str(tmp_path / "w.safetensors"))
        known = read_embeddings(found)
        np.testing.assert_array_equal(known.features, read_embeddings(made[2]).features)
        embeddings.again(known)
        save_file({name: value.contiguous() + 1 for name, value in state.items()}, tmp_path / "w.safetensors")
        with pytest.raises(StoreError, match=known.about["weights_sha256"]):
            embeddings.again(known)

    @pytest.mark.parametrize("side", [24, 100])
    def test_a_patch_made_smaller_is_smoothed_first(self, side: int) -> None:
        checkers = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)[None, None]
        seen: list[torch.Tensor] = []

        class Spy(Extractor):
            def forward(self, patches: torch.Tensor) -> torch.Tensor:
                seen.append(patches)
                return super().forward(patches)

        Resized(Spy(1, 64, **MEMBERS["efficientnet_lite0"]), side).eval()(checkers)
        assert seen[0].shape == (1, 1, side, side)
        assert (seen[0].abs().max() < 0.3) == (side < 64)


class TestLayers:
    """Features of the layers before the last, besides those that a network ends in."""

    def test_they_are_mean_and_deviation_over_the_places_of_a_layer(self) -> None:
        """Lite0 has 1,280 features; its stem has 32 channels, its 16 blocks have 1,808."""
        extractor, patches = lite0(), torch.randn(2, 1, 96, 96, generator=torch.Generator().manual_seed(1))
        layered = Layered(extractor, 1, 96).eval()
        with torch.no_grad():
            found, expected = layered(patches), [extractor(patches)]
            stem = extractor._bn0(extractor._conv_stem(pictures(patches, 3, 0.5)))
            maps, x = [stem], functional.relu6(stem)
            for block in extractor._blocks:
                x = block(x)
                maps.append(x)
        for values in (each.double().numpy().reshape(2, each.shape[1], -1) for each in maps):
            mean, least = values.mean(2), np.abs(values.mean(2)) / 1000
            expected += [torch.from_numpy(mean), torch.from_numpy(np.maximum(values.std(2), least))]
        assert layered.width == found.shape[1] == 1280 + 2 * (32 + 1808)
        torch.testing.assert_close(found.double(), torch.cat(expected, 1), atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("network", ["densenet121", "papers", "resnet18"])
    def test_any_network_has_them_and_where_a_channel_is_constant_a_slope(self, network: str) -> None:
        made, _ = embeddings.encoder(Description(network, 1, 64, features="layers"), "random")
        plain, _ = embeddings.encoder(Description(network, 1, 64), "random")
        patches = torch.zeros(2, 1, 64, 64, requires_grad=True)
        features = made.extractor.eval()(patches)
        features.sum().backward()
        own = plain.extractor.width
        assert own < made.extractor.width == features.shape[1]
        torch.testing.assert_close(features[:, :own], plain.extractor.eval()(patches))
        assert patches.grad is not None
        assert patches.grad.isfinite().all()

    def test_tokens_are_places_too_and_a_layer_without_places_has_none(self) -> None:
        class Tokens(base.Extractor):
            def __init__(self) -> None:
                super().__init__(2)
                self.embed, self.mix, self.pool, self.end = (
                    nn.Linear(*two) for two in ((4, 3), (3, 3), (3, 2), (2, 2))
                )

            def forward(self, patches: torch.Tensor) -> torch.Tensor:
                tokens = self.mix(self.embed(patches.flatten(1).reshape(len(patches), -1, 4)))
                return self.end(self.pool(tokens.mean(1)))

        made = Layered(Tokens(), 1, 4).eval()
        patches = torch.arange(32.0).reshape(2, 1, 4, 4)
        with torch.no_grad():
            tokens = made.inner.embed(patches.reshape(2, 4, 4))
            assert made.width == 2 + 2 * 3 + 2 * 3
            torch.testing.assert_close(made(patches)[:, 2:5], tokens.mean(1))
            torch.testing.assert_close(made(patches)[:, 5:8], tokens.std(1, correction=0))

    def test_maps_count_by_channel_wherever_the_channel_stands_and_in_parts_of_parts(self) -> None:
        """Swin has channels last, others put out a tuple in a tuple, and nobody calls a list of modules."""

        class Turned(nn.Conv2d):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return super().forward(x).permute(0, 2, 3, 1)

        class Nested(nn.Linear):
            def forward(self, x: torch.Tensor) -> tuple[tuple[torch.Tensor], None]:  # type: ignore[override]
                return (super().forward(x),), None

        class Odd(base.Extractor):
            def __init__(self) -> None:
                super().__init__(2)
                self.stem = Turned(1, 3, 1)
                self.blocks = nn.ModuleList([nn.Linear(3, 4), Nested(4, 5)])
                self.end = nn.Linear(5, 2)

            def forward(self, patches: torch.Tensor) -> torch.Tensor:
                return self.end(self.maps(patches)[1].mean((1, 2)))

            def maps(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                stem = self.stem(patches)
                return stem, self.blocks[1](self.blocks[0](stem))[0][0]

        made = Layered(Odd(), 1, 4).eval()
        patches = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = [made.inner(patches)]
            for maps in made.inner.maps(patches):
                expected += [maps.mean((1, 2)), maps.std((1, 2), correction=0)]
            torch.testing.assert_close(made(patches), torch.cat(expected, 1))

    def test_a_network_of_one_layer_is_refused(self) -> None:
        """Features of all layers would be those of the last, under another name."""

        class Single(base.Extractor):
            def __init__(self) -> None:
                super().__init__(2)
                self.only = nn.Linear(16, 2)

            def forward(self, patches: torch.Tensor) -> torch.Tensor:
                return self.only(patches.flatten(1))

        with pytest.raises(ConfigError, match="features: expected last for this network"):
            Layered(Single(), 1, 4)

    def test_the_description_of_a_network_without_them_is_as_it_was(self) -> None:
        assert "features" not in Description().to_json()
        assert Description(**Description(features="layers").to_json()).features == "layers"
        with pytest.raises(ValueError, match="features 'first'"):
            Description(features="first")


@pytest.mark.parametrize(
    ("edited", "embeds", "fits"),
    [
        ("model/networks/efficientnet.py", True, True),
        ("model/network.py", True, True),
        ("model/networks/base.py", True, True),
        ("model/baselines/embeddings.py", True, True),
        ("model/files/states.py", True, True),
        ("model/baselines/logistic.py", False, True),
        ("model/baselines/probe.py", False, True),
        ("model/inference/batch_norm.py", False, True),  # the statistics table of the model file
        ("model/networks/papers.py", False, False),
        ("model/networks/new.py", False, False),
        ("model/training/trainer.py", False, False),
    ],
)
def test_an_edit_makes_features_and_probes_anew_that_come_from_it(
    tmp_path: Path, edited: str, embeds: bool, fits: bool
) -> None:
    copy_code(tmp_path, "model", "pipeline")
    with (tmp_path / edited).open("a") as file:
        file.write("edited = 1\n")
    network = "model.networks.efficientnet"
    changed = [
        code(module, network) != code(module, network, root=tmp_path)
        for module in ("model.baselines.embeddings", "model.baselines.probe")
    ]
    assert changed == [embeds, fits]


class TestChannels:
    """An encoder sees channels that are neither grey nor colours one by one, unless its weights know them."""

    @pytest.mark.parametrize("features", ["last", "layers"])
    def test_features_of_two_channels_are_those_of_each_side_by_side(
        self, tmp_path: Path, features: str
    ) -> None:
        store, _ = make_store(tmp_path, "a", channels=2)
        found = read_embeddings(embed(store, tmp_path / "e.h5", "--features", features))
        description = Description("efficientnet_lite0", 1, 65, resized=SIDE, features=features)
        grey, _ = embeddings.encoder(description, "imagenet")
        patches = torch.from_numpy(read_patches(store, [3], [2]))
        with torch.no_grad():
            each = [grey.eval().extractor(patches[:, [channel]]) for channel in (0, 1)]
        assert found.features.shape[2] == 2 * {"last": 1280, "layers": 4960}[features]
        np.testing.assert_allclose(found.features[3], torch.cat(each, 1), atol=1e-4)
        assert json.loads(found.about["network"])["apart"] is True

    def test_a_probe_tells_which_channel_has_the_spot(self, tmp_path: Path) -> None:
        """The mean over the channels has a spot in each finding, so that it cannot tell."""
        store, split = make_store(tmp_path, "a", train=24, validation=8, test=12, channels=2, each=True)
        table = probe((store, split, embed(store, tmp_path / "e.h5")), tmp_path)
        test = table[table["split"] == "test"].groupby("patient_id")[["label", "score"]].mean()
        assert auroc(test["label"].to_numpy(int), test["score"].to_numpy()) == 1

    @pytest.mark.parametrize(("channels", "weights"), [(1, "imagenet"), (3, "imagenet"), (2, "random")])
    def test_grey_colours_and_random_weights_are_seen_together(
        self, tmp_path: Path, channels: int, weights: str
    ) -> None:
        store, _ = make_store(tmp_path, "a", channels=channels)
        found = read_embeddings(embed(store, tmp_path / "e.h5", "--weights", weights))
        assert "apart" not in json.loads(found.about["network"])
        assert found.features.shape[2] == 1280

    def test_together_a_network_of_pictures_sees_their_mean(self) -> None:
        """Why it sees them apart: to swap two channels changes nothing."""
        together, _ = embeddings.encoder(Description("efficientnet_lite0", 2, SIDE), "imagenet")
        patches = torch.randn(3, 2, SIDE, SIDE).clamp(-3, 3)
        with torch.no_grad():
            features = [together.eval().extractor(some) for some in (patches, patches.flip(1))]
        torch.testing.assert_close(*features, atol=1e-4, rtol=0)

    @pytest.mark.parametrize("trained_on", [1, 2, 3])
    def test_a_run_sees_them_together_if_it_has_learned_on_as_many(
        self, tmp_path: Path, trained_on: int
    ) -> None:
        store, _ = make_store(tmp_path, "a", channels=2, side=SIDE)
        run = build(["a"], Description("papers", trained_on, SIDE))
        initialize(run, "run")
        path = tmp_path / "model.safetensors"
        weights.write(path, weights.export(run, {"a": batch_norm.initial(run)}), run.description)
        seen.write(tmp_path / seen.FILE, [])
        words = ["--network", "papers", "--weights", str(path), "--like", "a"]
        found = read_embeddings(embed(store, tmp_path / "e.h5", *words))
        assert json.loads(found.about["network"]).get("apart", False) == (trained_on != 2)
        patches = torch.from_numpy(read_patches(store, [3], [2]))
        # Grey as a network of colours sees it: the same in each.
        grey = [patches[:, [channel]].repeat(1, trained_on, 1, 1) for channel in (0, 1)]
        with torch.no_grad():
            each = [run.eval().extractor(some) for some in ([patches] if trained_on == 2 else grey)]
        np.testing.assert_allclose(found.features[3], torch.cat(each, 1), atol=1e-6, rtol=1e-5)

    def test_so_does_a_file_of_weights(self, tmp_path: Path) -> None:
        store, _ = make_store(tmp_path, "a", channels=2)
        learned = build((), Description("efficientnet_lite0", 2, 65, resized=SIDE))
        initialize(learned, "learned")
        torch.save(learned.extractor.core().state_dict(), tmp_path / "two.pth")
        found = read_embeddings(embed(store, tmp_path / "e.h5", "--weights", str(tmp_path / "two.pth")))
        with torch.no_grad():
            expected = learned.eval().extractor(torch.from_numpy(read_patches(store, [3], [2])))
        np.testing.assert_allclose(found.features[3], expected, atol=1e-4)

    def test_weights_of_four_channels_fit_no_network_of_grey(self) -> None:
        state = new().state_dict()
        state["_conv_stem.weight"] = state["_conv_stem.weight"][:, [0, 1, 2, 0]]
        assert pretrained.for_channels(state, new())["_conv_stem.weight"].shape[1] == 4

    def test_a_description_says_it_only_where_it_is_so(self) -> None:
        assert "apart" not in Description(channels=2).to_json()
        assert Description(**Description(channels=2, apart=True).to_json()).apart
        with pytest.raises(ValueError, match="apart 1"):
            Description(apart=1)  # type: ignore[arg-type]


def probe(made: tuple[Path, Path, Path], out: Path, *words: str) -> pd.DataFrame:
    store, split, path = made
    fit.main(
        ["probe", "--stores", str(store), "--splits", str(split), "--embeddings", str(path),
         "--out", str(out / "predictions.csv"), "--run", str(out / "run.json"), *words]
    )  # fmt: skip
    table = read_csv(out / "predictions.csv")
    return table.astype({"label": int, "score": float})


class TestProbe:
    def test_it_tells_what_the_network_sees(self, made: tuple[Path, Path, Path], tmp_path: Path) -> None:
        table = probe(made, tmp_path)
        assert set(table["split"]) == {"train", "validation", "test"}
        assert set(table["view"]) == {"0", "1"}  # as many as are embedded
        found = table[table["split"] == "test"].groupby("finding_id")
        per_finding = table[table["split"] == "test"].groupby("patient_id")[["label", "score"]].mean()
        area = auroc(per_finding["label"].to_numpy(int), per_finding["score"].to_numpy())
        assert found.ngroups == 1
        assert area is not None
        assert area > 0.9

    def test_test_findings_teach_nothing_and_validation_what_is_tested(
        self, made: tuple[Path, Path, Path], tmp_path: Path
    ) -> None:
        """With the labels of a split turned round, the scores that change say who learned from it."""
        key = ["split", "patient_id", "view"]
        before = probe(made, tmp_path / "before").set_index(key)["score"]
        changed = {}
        for turned in ("validation", "test"):
            folder = tmp_path / turned
            store, split = make_store(folder, "a", train=16, validation=8, test=12, turned=turned)
            again = (store, split, embed(store, folder / "e.h5"))
            after = probe(again, folder / "out").set_index(key)["score"]
            differs = (after - before).abs() > 1e-9
            changed[turned] = set(differs[differs].index.get_level_values("split"))
        assert changed["test"] == set()
        assert "test" in changed["validation"]

    def test_what_is_learned_from_is_scored_on_inner_folds_with_the_penalty_of_the_whole(
        self, made: tuple[Path, Path, Path], tmp_path: Path
    ) -> None:
        """Else scores of it and of the test are on different scales, and no line or threshold fits both."""
        table = probe(made, tmp_path)
        assert table.groupby("split").size().to_dict() == {"train": 32, "validation": 16, "test": 24}
        penalty = json.loads((tmp_path / "run.json").read_text())["model"]["penalty"]
        (data,) = load([made[0]], [made[1]]).values()
        learned = pd.concat([data.findings(split) for split in ("train", "validation")], ignore_index=True)
        measured = fit.embedded(read_embeddings(made[2]), made[0])(learned)
        found = table[table["split"] != "test"].set_index(["patient_id", "view"])["score"]
        for inside, outside in logistic.inner_folds(learned, 5, 0):
            model = logistic.fit(logistic.some(measured, inside), penalty)
            for row in outside:
                samples = measured.finding == row
                for view, score in zip(
                    measured.view[samples], model.scores(measured.values[samples]), strict=True
                ):
                    assert found[learned["patient_id"][row], str(view)] == pytest.approx(score)

    def test_without_inner_folds_validation_is_scored_by_a_fit_on_training_with_the_same_penalty(
        self, made: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fit, "inner_folds", lambda *_: [])
        table = probe(made, tmp_path, "--penalties", "0.01")
        assert table.groupby("split").size().to_dict() == {"validation": 16, "test": 24}
        self.is_of_a_fit_on_training(table, made, 1e-2)

    def test_an_encoder_that_was_trained_on_the_findings_is_judged_on_validation_alone(
        self, made: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (data,) = load([made[0]], [made[1]]).values()
        known = seen.entry({"a": data.table}, {"a": "a"})
        monkeypatch.setattr(fit, "seen_by", lambda _: [known])
        table = probe(made, tmp_path)
        assert table.groupby("split").size().to_dict() == {"validation": 16, "test": 24}
        penalty = json.loads((tmp_path / "run.json").read_text())["model"]["penalty"]
        self.is_of_a_fit_on_training(table, made, penalty)

    @staticmethod
    def is_of_a_fit_on_training(table: pd.DataFrame, made: tuple[Path, Path, Path], penalty: float) -> None:
        (data,) = load([made[0]], [made[1]]).values()
        measure = fit.embedded(read_embeddings(made[2]), made[0])
        model = logistic.fit(measure(data.findings("train")), penalty)
        expected = model.scores(measure(data.findings("validation")).values)
        np.testing.assert_allclose(table[table["split"] == "validation"]["score"], expected)

    def test_what_is_learned_from_is_scored_on_as_many_views_as_what_is_tested(
        self, made: tuple[Path, Path, Path]
    ) -> None:
        """The mean over fewer views scatters more: a line fitted on it would be too flat."""
        (data,) = load([made[0]], [made[1]]).values()
        fewer = data.findings("train").assign(views=1)
        assert fit.as_tested(fewer, data)["views"].tolist() == [data.findings("test")["views"].iloc[0]] * 16

    def test_everything_may_train(self, tmp_path: Path) -> None:
        store, split = make_store(tmp_path, "a", train=12, validation=0, test=0)
        table = probe((store, split, embed(store, tmp_path / "e.h5")), tmp_path)
        assert set(table["split"]) == {"train"}
        assert json.loads((tmp_path / "run.json").read_text())["trained"] == {"a": 24}

    def test_features_of_another_store_are_not_used(
        self, made: tuple[Path, Path, Path], tmp_path: Path
    ) -> None:
        store, split = make_store(tmp_path, "b", train=16, validation=8, test=12)
        with pytest.raises(StoreError, match=r"E-STORE .*lite0.h5: expected the embeddings of .*b.h5"):
            probe((store, split, made[2]), tmp_path)
        with pytest.raises(StoreError, match="E-STORE"):
            probe((made[0], made[1], made[0]), tmp_path)

    def test_findings_without_labels_are_scored_by_features_of_the_same_encoder_alone(
        self, made: tuple[Path, Path, Path], tmp_path: Path
    ) -> None:
        store, _ = make_store(tmp_path, "c", train=4, validation=0, test=0, labelled=False)
        same, other = embed(store, tmp_path / "same.h5"), embed(store, tmp_path / "o.h5", "--side", "64")
        words = ["--unlabelled", str(store), "--views", "2", "--unlabelled-embeddings"]
        fit.main(
            ["probe", "--stores", str(made[0]), "--splits", str(made[1]), "--embeddings", str(made[2]),
             "--out", str(tmp_path / "challenge.csv"), *words, str(same)]
        )  # fmt: skip
        table = read_csv(tmp_path / "challenge.csv")
        assert table["label"].tolist() == [""] * 8
        means = table.astype({"score": float}).groupby("patient_id")["score"].mean()
        assert min(means["0001"], means["0003"]) > max(means["0000"], means["0002"])
        with pytest.raises(
            StoreError, match=r'o.h5: expected .*"resized": 48.*found network .*"resized": 64'
        ):
            probe(made, tmp_path, *words, str(other))


@pytest.mark.parametrize(
    ("side", "features", "channels"),
    [(SIDE, "last", 1), (96, "last", 1), (64, "layers", 1), (SIDE, "layers", 2)],
)
def test_a_probe_is_a_run_like_any_other(
    tmp_path: Path, side: int, features: str, channels: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The scores of its model file, and of its export, are those of the regression."""
    store, split = make_store(tmp_path, "a", train=16, validation=8, test=12, channels=channels)
    path = embed(store, tmp_path / "e.h5", "--side", str(side), "--features", features)
    names = read_info(store).channels
    how = Preprocessing("table", names, "40 px", None, "series", "geometry", 2, 0, 2)
    known = dict.fromkeys(names, FINGERPRINT)
    card = {"collection": {}, "classes": ["no", "yes"], "preprocessing": asdict(how), "training": {"findings": 16},
            "fingerprint": known,
            "with_validation": {"training": {"findings": 24}, "fingerprint": known}}  # fmt: skip
    (tmp_path / "card.json").write_text(json.dumps(card))
    run = tmp_path / "results/probe/fold0/seed0"
    model_probe.main(
        ["--target", "a", "--method", "probe", "--state", "last", "--data-card", str(tmp_path / "card.json"),
         "--models", str(run / "model.safetensors"), str(run / "best/model.safetensors"),
         "--card", str(run / "card.json"), "--nearest", str(run / "nearest.safetensors"), "--run", str(run / "run.json"), "--embeddings", str(path),
         "--stores", str(store), "--splits", str(split), "--out", str(run / "predictions.csv")]
    )  # fmt: skip
    table = read_csv(run / "predictions.csv").query("split == 'test'")
    rows = [int(patient) for patient in table["patient_id"]]
    patches = read_patches(store, rows, [3] * len(rows)).reshape(len(rows), 3, channels, 65, 65)
    shown = patches[np.arange(len(rows)), table["view"].astype(int)]
    (found,) = runs.find([run])
    (origin,) = found.card["weights"]
    assert origin["network"] == "efficientnet_lite0"
    assert (origin["licence"], origin["weights"]) == ("Apache-2.0", "imagenet")
    assert "Tan M, Le QV. EfficientNet" in origin["citation"]
    assert found.card["datasets"]["a"]["training"] == {"findings": 24}
    expected = table["score"].astype(float).to_numpy()
    np.testing.assert_allclose(found.score("a", shown)[:, 0], expected, atol=1e-4)
    likest = nearest.of_case(found, "a", read_patches(store, [5], [2]), 2)["findings"]
    assert (likest[0]["patient_id"], likest[0]["label"]) == ("0005", "yes")
    assert likest[0]["distance"] < 0.02 < likest[1]["distance"] / 100
    if side == SIDE:
        spot = np.zeros((channels, 65, 65), "f4")
        spot[-1, 5:18, 40:53] = 2.0
        falls = np.abs(of_runs([found], "a", spot)[0])  # to smooth what is flat changes nothing
        assert falls[5:18, 40:53].mean() > 20 * falls[52:].mean()
    caplog.set_level(logging.INFO)
    export.main([str(run), "--out", str(tmp_path / "onnx")])
    assert {record.name for record in caplog.records} <= {"typhon"}  # no library talks about itself
    (exported,) = json.loads((tmp_path / "onnx/export.json").read_text())["models"]
    assert exported["pretrained"] == [origin]
    session = onnxruntime.InferenceSession(tmp_path / "onnx/probe-fold0-seed0.onnx")
    np.testing.assert_allclose(session.run(None, {"patches": shown})[0], expected, atol=1e-4)


def test_it_is_said_where_fewer_views_are_embedded_than_scored(
    made: tuple[Path, Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Three views are granted, two embedded; to train on fewer than are granted is no news."""
    probe(made, tmp_path)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["features of 2 views of each finding: scores are means over these, not evaluation_views, 3;"
                    " an encoder has a key views"]  # fmt: skip
