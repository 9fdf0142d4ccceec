import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from model.network import Description, Network, build, initialize
from model.networks.base import Dropout, channels_last, set_dropout
from model.networks.papers import Extractor, head

ODD_NAMES = ("fe", "Coffee", "Prostate", "Prostate2", "a.b", "two words", "keys", "type", "0")


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_parts_have_the_published_sizes() -> None:
    # algorithm.md 1.1; three input channels add 2 x 32 x 9 weights to the first convolution.
    assert count(Extractor(1, 65)) == 833_376
    assert count(Extractor(3, 65)) == 833_376 + 2 * 32 * 9
    assert count(head(256, 2)) == 17_522
    assert count(build(["a", "b", "c"])) == 885_942


def test_the_figure_lists_what_the_extractor_holds() -> None:
    kinds = [type(layer).__name__ for layer in Extractor(1, 65)]
    assert kinds == ["Block", "Block", "Block", "Flatten", "Linear", "ELU", "Dropout"]
    assert not any(layer.bias is not None for layer in build(["a"]).modules() if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_output_is_two_raw_logits(channels: int) -> None:
    network = build(["a"], Description(channels=channels))
    initialize(network, "test")
    logits = network.eval()(torch.randn(5, channels, 65, 65), "a")
    assert logits.shape == (5, 2)
    assert not torch.allclose(logits.sum(1), torch.ones(5))  # no softmax inside


def test_any_name_gets_a_decision_maker_of_its_own() -> None:
    network = build(ODD_NAMES)
    makers = {id(network.maker(name)) for name in ODD_NAMES}
    assert len(makers) == len(ODD_NAMES)
    extractor = {id(parameter) for parameter in network.extractor.parameters()}
    for name in ODD_NAMES:
        assert extractor.isdisjoint(id(parameter) for parameter in network.maker(name).parameters())


def test_weights_belong_to_their_names_and_to_nothing_else() -> None:
    torch.manual_seed(1)
    one, other = build(["a", "b"]), build(["b"])
    before = torch.get_rng_state()
    initialize(one, "bootstrap", 0, 3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    initialize(other, "bootstrap", 0, 3)
    assert same(one.extractor, other.extractor)  # whatever other heads there are
    assert same(one.maker("b"), other.maker("b"))
    assert not same(one.maker("a"), one.maker("b"))
    initialize(other, "bootstrap", 0, 4)
    assert not same(one.extractor, other.extractor)


def test_weights_do_not_depend_on_their_layout_in_memory() -> None:
    plain = Network(Extractor(3, 65), {"a": head(256, 2)}, Description(channels=3))
    fast = build(["a"], Description(channels=3))
    initialize(plain, 7)
    initialize(fast, 7)
    assert same(plain, fast)


def test_weights_are_xavier_uniform_and_biases_as_torch_has_them() -> None:
    network = build(["a"])
    initialize(network, "bounds")
    linear = network.extractor[4]  # type: ignore[index]
    assert isinstance(linear, nn.Linear)
    bound = (6 / (2048 + 256)) ** 0.5
    assert 0.999 * bound < linear.weight.abs().max() <= bound
    assert 0.9 * 2048**-0.5 < linear.bias.abs().max() <= 2048**-0.5
    conv = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    assert conv.weight.abs().max() <= (6 / (9 * 1 + 9 * 32)) ** 0.5
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert all(bool((norm.weight == 1).all() and (norm.bias == 0).all()) for norm in norms)
    initialize(network, "bounds", by="torch")  # uniform within one over the root of what a value sees
    assert 0.999 * 2048**-0.5 < linear.weight.abs().max() <= 2048**-0.5
    assert 0.9 / 3 < conv.weight.abs().max() <= 1 / 3


def test_dropout_of_zero_is_no_dropout() -> None:
    network = build(["a"])
    initialize(network, 0)
    set_dropout(network, 0.0)
    network.train()
    patches = torch.randn(4, 1, 65, 65)
    assert torch.equal(network(patches, "a"), network(patches, "a"))


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(probability: float) -> None:
    torch.manual_seed(0)
    values = channels_last(torch.ones(4, 32, 33, 33))
    dropped = Dropout(probability)(values)
    share = (dropped == 0).float().mean().item()
    assert share == pytest.approx(probability, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert dropped[dropped > 0].unique().numel() == 1
    assert dropped.stride() == values.stride()
    # Values that share a random word are independent: a pair is dropped with the square of the probability.
    flat = dropped.permute(0, 2, 3, 1).reshape(-1, 2)
    assert (flat == 0).all(1).float().mean().item() == pytest.approx(probability**2, abs=0.01)


def test_dropout_drops_gradients_where_it_drops_values() -> None:
    torch.manual_seed(0)
    values = torch.ones(2, 64, requires_grad=True)
    dropped = Dropout(0.5)(values)
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, dropped.detach())


def test_evaluation_drops_nothing() -> None:
    values = torch.ones(8)
    assert torch.equal(Dropout(0.9).eval()(values), values)


def test_one_channel_lies_channels_last_too() -> None:
    assert channels_last(torch.zeros(8, 1, 65, 65)).stride() == (4225, 1, 65, 1)


@pytest.mark.parametrize("module", [
    "training.methods", "training.phase", "training.checks", "evaluation.metrics", "evaluation.predictions", "bootstrap.rules",
])  # fmt: skip
def test_what_the_workflow_reads_does_not_import_torch(module: str) -> None:
    line = f"import sys, model.{module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", line], check=True, cwd=Path(__file__).parent.parent)
