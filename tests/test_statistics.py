from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.inference import batch_norm
from model.network import Network, build, initialize
from model.training import data
from tests.stores import make_store


@pytest.fixture
def network() -> Network:
    network = build(["a"])
    initialize(network, "statistics")
    return network


def test_a_table_holds_the_672_channels_of_nine_batch_norms(network: Network) -> None:
    table = batch_norm.initial(network)
    assert table.shape == (2, 672) == (2, 3 * (32 + 64 + 128))
    assert torch.equal(table[0], torch.zeros(672))
    assert torch.equal(table[1], torch.ones(672))


def test_training_updates_the_attached_table_and_no_other(network: Network) -> None:
    one, other = batch_norm.initial(network), batch_norm.initial(network)
    batch_norm.attach(network, one)
    network.train()(torch.randn(8, 1, 65, 65), "a")
    assert torch.equal(other, batch_norm.initial(network))
    assert (one[0] != 0).all()
    first = batch_norm.norms(network)[0]
    assert first.running_mean is not None
    assert torch.equal(first.running_mean, one[0, :32])


def test_recalibration_on_one_batch_is_that_batch(network: Network) -> None:
    patches = torch.randn(batch_norm.BATCH, 1, 65, 65)
    table = batch_norm.recalibrate(network, patches)
    outputs = network.extractor[0][0](patches)  # type: ignore[index]
    torch.testing.assert_close(table[0, :32], outputs.mean((0, 2, 3)), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(table[1, :32], outputs.var((0, 2, 3)), atol=1e-6, rtol=1e-4)


def test_recalibration_on_several_batches_is_their_mean(network: Network) -> None:
    patches = torch.randn(2 * batch_norm.BATCH, 1, 65, 65)
    halves = [batch_norm.recalibrate(network, half) for half in patches.split(batch_norm.BATCH)]
    torch.testing.assert_close(batch_norm.recalibrate(network, patches), torch.stack(halves).mean(0))


def test_recalibration_leaves_the_network_as_it_was(network: Network) -> None:
    table = batch_norm.initial(network) + 0.5
    batch_norm.attach(network, table)
    before = table.clone()
    network.train()
    network.extractor.eval()
    modes = [module.training for module in network.modules()]
    patches = torch.randn(5, 1, 65, 65)
    assert torch.equal(batch_norm.recalibrate(network, patches), batch_norm.recalibrate(network, patches))
    assert torch.equal(table, before)
    assert [norm.momentum for norm in batch_norm.norms(network)] == [0.1] * 9
    assert [module.training for module in network.modules()] == modes


def test_calibration_takes_first_views_of_all_findings_before_second_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, split = make_store(tmp_path, "a", train=6, views=3)
    dataset = data.load([store], [split])["a"]
    part = data.read_part(dataset, "train", torch.device("cpu"))
    monkeypatch.setattr(batch_norm, "PATCHES", 8)
    chosen = batch_norm.calibration_patches(part, "a")

    def views(patches: Tensor) -> list[int]:
        return [int(part.view[(part.patches == patch).all((1, 2, 3)).nonzero().item()]) for patch in patches]

    assert views(chosen) == [0] * 6 + [1] * 2
    # The bootstrap reads fewer views, and gets the same patches.
    assert torch.equal(batch_norm.calibration({"a": dataset}, torch.device("cpu"))["a"], chosen)
