import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from model.files import weights
from model.inference import batch_norm
from model.network import Description, Network, build, initialize
from pipeline.errors import InputError

NAMES = ("a.b", "a", "fe")


@pytest.fixture
def model() -> tuple[Network, dict[str, Tensor]]:
    network = build(NAMES)
    initialize(network, "weights")
    return network, {name: batch_norm.initial(network) + number for number, name in enumerate(NAMES)}


@pytest.fixture
def path(model: tuple[Network, dict[str, Tensor]], tmp_path: Path) -> Path:
    weights.write(
        tmp_path / "model.safetensors",
        weights.export(*model),
        model[0].description,
        samples_seen=7,
        other="x",
    )
    return tmp_path / "model.safetensors"


def test_a_model_comes_back_as_it_was_in_any_order_of_data_sets(
    model: tuple[Network, dict[str, Tensor]], path: Path
) -> None:
    network, tables = weights.read(path, sorted(NAMES), 1)
    for name in NAMES:
        assert torch.equal(tables[name], model[1][name])
    read, written = weights.weights(network), weights.weights(model[0])
    assert read.keys() == written.keys()
    assert all(torch.equal(read[name], written[name]) for name in read)
    assert weights.read_about(path) == {
        "samples_seen": 7,
        "other": "x",
        "network": Description().to_json(),
    }


def test_a_network_for_fewer_data_sets_is_found_among_more(
    model: tuple[Network, dict[str, Tensor]], path: Path
) -> None:
    """As if it had been made for them alone: that is what methods of a comparison start from."""
    network, tables = weights.read(path, ["fe"], 1, among=True)
    alone = build(["fe"])
    initialize(alone, "weights")
    found, wanted = (weights.export(each, {"fe": tables["fe"]}) for each in (network, alone))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in found)
    assert torch.equal(tables["fe"], model[1]["fe"])
    with pytest.raises(InputError, match="missing"):
        weights.read(path, ["fe", "other"], 1, among=True)
    with pytest.raises(InputError, match="unexpected"):
        weights.read(path, ["fe"], 1)


def test_the_same_model_gives_the_same_bytes(model: tuple[Network, dict[str, Tensor]], path: Path) -> None:
    again = path.with_name("again.safetensors")
    weights.write(
        again, dict(reversed(weights.export(*model).items())), model[0].description, other="x", samples_seen=7
    )
    assert again.read_bytes() == path.read_bytes()


def test_an_export_does_not_change_with_the_network(model: tuple[Network, dict[str, Tensor]]) -> None:
    exported = weights.export(*model)
    before = {name: value.clone() for name, value in exported.items()}
    with torch.no_grad():
        for parameter in model[0].parameters():
            parameter.zero_()
    assert all(torch.equal(exported[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("names", "channels", "message"),
    [
        ([*NAMES, "new"], 1, r"missing makers\.new\.0\.bias .* and 3 more;"),
        (NAMES[1:], 1, r"unexpected makers\.a\.b\.0\.bias .* and 3 more;"),
        (NAMES, 3, r"expected a network for 3 channel\(s\) and patches of 65 pixels, found a network for 1 and 65;"),
    ],
)  # fmt: skip
def test_a_model_of_other_data_sets_or_channels_is_refused_in_one_line(
    path: Path, names: list[str], channels: int, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        weights.read(path, names, channels)
    assert str(caught.value).startswith(f"E-INPUT {path}: expected a network for ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x80\x04pickle" * 20])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected a safetensors model file"):
        weights.read(path, ["a"], 1)


def test_a_cut_file_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="expected a safetensors model file"):
        weights.read(path, NAMES, 1)


@pytest.mark.parametrize(
    "network",
    [
        7, None, [], {"side": 10**9}, {"side": 65.0}, {"side": True}, {"channels": 0}, {"outputs": "2"},
        {"network": None}, {"network": "os"}, {"network": "base"}, {"network": "../papers"}, {"other": 1},
        {"network": "__init__"}, {"network": "efficientnet_lite0", "resized": 20},
    ],
)  # fmt: skip
def test_a_description_that_no_network_has_is_refused_in_one_line(tmp_path: Path, network: object) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(weights.to_bytes({"extractor.0": torch.zeros(1)}, network=network))
    with pytest.raises(InputError, match=rf"^E-INPUT {path}: [^\n]*$"):
        weights.read(path, ["a"], 1)


@pytest.mark.parametrize("text", ["", "[]", "7", "{", "[" * 100_000])
def test_a_model_file_that_says_nothing_sensible_of_itself_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(save({"extractor.0": torch.zeros(1)}, {"about": text}))
    with pytest.raises(InputError, match=r"^E-INPUT [^\n]*expected a safetensors model file"):
        weights.read(path, ["a"], 1)


def test_a_small_file_cannot_ask_for_a_large_network(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    large = Description(side=1024, outputs=1000).to_json()  # two gigabytes of weights
    path.write_bytes(weights.to_bytes({"extractor.0": torch.zeros(1)}, network=large))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="missing"):
        weights.read(path, ["a"], 1, side=1024)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
