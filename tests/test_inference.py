import pytest
import torch

from model.inference import batch_norm, evaluated
from model.inference.evaluated import Evaluated
from model.network import Description, Network, build, initialize


def trained(channels: int) -> tuple[Network, torch.Tensor]:
    """A network whose batch norms are all but neutral, and its statistics."""
    network = build(["a", "b"], Description(channels=channels))
    initialize(network, "inference", channels)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for norm in batch_norm.norms(network):
            norm.weight.uniform_(0.5, 1.5, generator=generator)
            norm.bias.uniform_(-0.5, 0.5, generator=generator)
    return network, batch_norm.recalibrate(network, torch.randn(32, channels, 65, 65, generator=generator))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("channels", "count"), [(1, 35), (3, 5), (1, 1)])
def test_logits_agree_with_plain_evaluation(channels: int, count: int, dtype: torch.dtype) -> None:
    network, table = trained(channels)
    table, patches = table.to(dtype), torch.randn(count, channels, 65, 65, dtype=dtype)
    batch_norm.attach(network.to(dtype).eval(), table)
    # Logits reach 4 here, and plain evaluation in float32 is itself 1e-5 away from one in float64.
    tolerance = {torch.float32: 4e-5, torch.float64: 1e-12}[dtype]
    for dataset in ("a", "b"):
        with torch.no_grad():
            plain = network(patches, dataset)
        torch.testing.assert_close(Evaluated(network, dataset, table)(patches), plain, atol=tolerance, rtol=0)


def test_the_size_of_a_batch_hardly_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    network, table = trained(1)
    patches = torch.randn(10, 1, 65, 65)
    whole = Evaluated(network, "a", table)(patches)
    monkeypatch.setitem(evaluated.BATCH, "cpu", 3)
    torch.testing.assert_close(Evaluated(network, "a", table)(patches), whole, atol=4e-5, rtol=0)


def test_it_stays_what_it_was_while_the_network_trains_on() -> None:
    network, table = trained(1)
    patches = torch.randn(3, 1, 65, 65)
    folded = Evaluated(network, "a", table)
    before = folded(patches)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert torch.equal(folded(patches), before)
