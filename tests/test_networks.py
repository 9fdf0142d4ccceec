"""Other networks than that of the papers: what is built in the middle, and one in a file of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model.inference import batch_norm
from model.inference.evaluated import Evaluated
from model.network import FEATURES, Description, Network, build, check_buffers, initialize
from model.networks import papers
from pipeline.errors import ConfigError
from pipeline.provenance import ROOT
from tests.copies import copy_code
from tests.stores import make_store

PAGE = ROOT / "docs" / "networks.md"

RUN = """
import json, os, sys
from pathlib import Path
import numpy as np, onnxruntime, torch
from model import export
from model.bootstrap import guess
from model.files import weights
from model.inference import batch_norm
from model.inference.evaluated import Evaluated
from model.network import Description
from model.training import train, trainer

stores, splits, out = sys.argv[1:3], sys.argv[3:5], Path(sys.argv[5])
given = ["--stores", *stores, "--splits", *splits]
guess.main([*given, "--network", "small", "--seed", "0", "--candidates", "4", "--checkpoint", str(out / "c"),
                "--out", str(out / "start.safetensors"), "--scores", str(out / "scores.csv")])
phases = json.dumps([{"name": "training", "datasets": ["a", "b"], "epochs": 6, "batches": 2, "batch_size": 4,
                      "learning_rate": 0.01, "dropout": 0.3}])
save = trainer.Trainer._save

def run(name, stop_after=None):
    def saving(self, phase):
        save(self, phase)
        if stop_after is not None and self.progress.step >= stop_after:
            raise KeyboardInterrupt
    trainer.Trainer._save = saving
    folder = out / name
    train.main([*given, "--network", str(out / "start.safetensors"), "--phases", phases, "--seed", "0", "--every", "2",
                "--target", "a", "--checkpoint", str(folder / "c"), "--checkpoint-seconds", "0",
                *(word for flag in ("out", "best", "history", "gradients", "run")
                  for word in (f"--{flag}", str(folder / flag)))])

run("whole")
try:
    run("cut", stop_after=7)
    raise SystemExit("not stopped")
except KeyboardInterrupt:
    run("cut")
for name in ("out", "best", "history", "gradients"):
    assert (out / "cut" / name).read_bytes() == (out / "whole" / name).read_bytes(), name

network, tables = weights.read(out / "whole/out", ["a", "b"], 1, side=40)
assert network.description == Description("small", side=40)
patches = torch.randn(5, 1, 40, 40, generator=torch.Generator().manual_seed(0))
fast = Evaluated(network, "a", tables["a"])(patches)
batch_norm.attach(network, tables["a"])
with torch.no_grad():
    plain = network.eval()(patches, "a")
assert torch.equal(fast, plain)
graph = export.graph(network, "a", tables["a"]).SerializeToString()
(given,) = onnxruntime.InferenceSession(graph).run(None, {"patches": patches.numpy()})
np.testing.assert_allclose(given, plain.softmax(1)[:, 1].numpy(), atol=1e-5)
"""


def plainly(network: Network, dataset: str, table: Tensor, patches: Tensor) -> Tensor:
    """Logits in eval mode."""
    batch_norm.attach(network, table)
    with torch.no_grad():
        logits: Tensor = network.eval()(patches, dataset)
    return logits


def put_between(network: Network, where: str) -> None:
    """Put a layer between two layers of a block, of the extractor, or of a head."""
    block, *_ = network.extractor.children()
    maker = network.maker("a")
    if where == "block":
        block.insert(3, nn.Tanh())  # type: ignore[operator]
    elif where == "extractor":
        *_, dropout = network.extractor.named_children()
        setattr(network.extractor, dropout[0], nn.Tanh())
    else:
        maker.insert(1, nn.Tanh())  # type: ignore[operator]


@pytest.mark.parametrize("where", ["block", "extractor", "head"])
def test_a_layer_put_between_counts_in_evaluation_as_in_training(where: str) -> None:
    network = build(["a"])
    initialize(network, "between")
    patches = torch.randn(6, 1, 65, 65)
    before = plainly(network, "a", batch_norm.initial(network), patches)
    put_between(network, where)
    table = batch_norm.recalibrate(network, torch.randn(32, 1, 65, 65))
    logits = Evaluated(network, "a", table)(patches)
    torch.testing.assert_close(logits, plainly(network, "a", table, patches), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(logits, before, atol=1e-3)


def busy_norms(module: nn.Module, seed: int = 0) -> None:
    """Give all batch norms statistics and weights that matter."""
    generator = torch.Generator().manual_seed(seed)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                assert values is not None
                values.copy_(0.5 + torch.rand(values.shape, generator=generator))


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_b0"])
def test_a_fixed_efficientnet_has_the_features_of_eval_mode_without_batch_norms(
    name: str, features: str
) -> None:
    network = build(["a"], Description.named(name, 1, 40, resized=64, features=features))
    initialize(network, 0)
    extractor = network.extractor
    busy_norms(extractor)
    patches = torch.randn(3, 1, 40, 40)
    extractor.train()
    fixed, evaluated = extractor.fixed(), extractor.evaluated()
    assert extractor.training
    assert not any(isinstance(part, nn.BatchNorm2d) for part in fixed.modules())
    assert not fixed.training
    with torch.no_grad():
        expected = extractor.eval()(patches)
        size = expected.abs().max()
        for found in (fixed(patches), evaluated(patches)):
            assert (found - expected).abs().max() < 1e-5 * size
        busy_norms(extractor, 1)
        assert (extractor(patches) - expected).abs().max() > 1e-3 * size
        torch.testing.assert_close(evaluated(patches), found, rtol=0, atol=0)


def test_a_norm_that_a_user_replaced_is_not_folded() -> None:
    network = build(["a"], Description.named("efficientnet_lite0", 1, 32))
    initialize(network, 0)
    network.extractor._bn1 = nn.GroupNorm(1, 1280)
    patches = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        expected, found = network.extractor.eval()(patches), network.extractor.evaluated()(patches)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_only_the_network_as_built_is_folded() -> None:
    network = build(["a"])
    assert isinstance(network.extractor.evaluated(), papers.Folded)
    put_between(network, "block")
    assert not isinstance(network.extractor.evaluated(), papers.Folded)


@pytest.mark.parametrize(("side", "features"), [(36, 128), (65, 2048), (96, 128 * 8 * 8)])
def test_the_papers_network_takes_any_side_it_has_layers_for(side: int, features: int) -> None:
    network = build(["a"], Description(side=side))
    initialize(network, 0)
    (linear,) = (layer for layer in network.extractor.children() if isinstance(layer, nn.Linear))
    assert linear.in_features == features
    table, patches = batch_norm.initial(network), torch.randn(2, 1, side, side)
    torch.testing.assert_close(
        Evaluated(network, "a", table)(patches), plainly(network, "a", table, patches), atol=1e-4, rtol=1e-4
    )


def test_a_side_too_small_and_a_name_of_no_network_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"E-CONFIG patch: expected at least 36 .* found 35 pixels"):
        build(["a"], Description(side=35))
    for name in ("paper", "base", "__init__", "os.path", ""):
        with pytest.raises(ConfigError, match=r"E-CONFIG network: expected one of densenet121, .*, papers, "):
            build(["a"], Description(name))


@pytest.mark.parametrize(
    ("layer", "buffer"),
    [
        (lambda: nn.BatchNorm1d(256), "extractor.odd.num_batches_tracked"),
        (lambda: nn.InstanceNorm2d(3, track_running_stats=True), "extractor.odd.running_mean"),
    ],
)
def test_state_that_no_model_file_holds_is_refused(layer: Callable[[], nn.Module], buffer: str) -> None:
    network = build(["a"])
    network.extractor.odd = layer()
    with pytest.raises(ConfigError, match=buffer):
        check_buffers(network)
    network = build(["a"])
    network.makers[0].append(nn.BatchNorm2d(2))  # type: ignore[operator]
    with pytest.raises(ConfigError, match=r"makers\.0\.6"):
        check_buffers(network)


def test_other_layers_have_weights_of_their_seed_and_leave_the_generator_alone() -> None:
    def drawn(*names: object) -> Tensor:
        network = build(["a"])
        layer = network.extractor.odd = nn.MultiheadAttention(8, 2)
        before = torch.get_rng_state()
        initialize(network, *names)
        assert torch.equal(torch.get_rng_state(), before)
        return layer.in_proj_weight.detach()

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


def test_a_parameter_that_nobody_knows_how_to_draw_is_refused() -> None:
    network = build(["a"])
    network.extractor.token = nn.Parameter(torch.zeros(3))
    with pytest.raises(
        ConfigError, match=r"expected reset_parameters in each layer .* found parameters in Extractor"
    ):
        initialize(network, 0)


def test_the_network_of_the_docs_trains_goes_on_predicts_and_exports(tmp_path: Path) -> None:
    clone = copy_code(tmp_path / "clone", "model", "pipeline")
    (example,) = re.findall(r"```python\n(from torch.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (clone / "model/networks/small.py").write_text(example)
    files = [make_store(tmp_path, name, train=8, validation=4, test=4, side=40) for name in ("a", "b")]
    words = [str(path) for paths in zip(*files, strict=True) for path in paths]
    environment = os.environ | {"PYTHONPATH": str(clone), "PYTHONSAFEPATH": "1"}
    found = subprocess.run(
        [sys.executable, "-c", RUN, *words, str(tmp_path / "out")],
        capture_output=True, text=True, cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
