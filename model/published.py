"""A public state dict of Hydra as a model file of ours.

The published network differs from ours in two things. Its convolutions have a bias, which the batch norm
after them takes off again, so a running mean less that bias is the same network. And it ends in a softmax
layer, which has no weights: logits here are what goes into it. Only tensors are read, never a pickle's code.
"""

import argparse
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.files import weights
from model.files.states import read_state
from model.network import Description, Network, build
from pipeline.cli import run_cli
from pipeline.errors import ModelError
from pipeline.files import sha256

log = logging.getLogger("typhon")

LAYERS = (
    *(f"features.{11 * block + number}" for block in range(3) for number in (0, 1, 3, 4, 6, 7)),
    "classifier.0", "last_layer.0", "last_layer.3", "last_layer.5",
)  # fmt: skip
"""Published names of the layers that have weights: as many as ours has, in the same order."""
COUNTER = "num_batches_tracked"


def _layers(network: Network) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a one-headed network that have weights, in order, each with its published name."""
    layers = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]
    return zip(LAYERS, layers, strict=True)


def shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Name and shape of all that a published state dict holds."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in _layers(network):
        shapes |= {f"{name}.{key}": tuple(value.shape) for key, value in layer.named_parameters()}
        if isinstance(layer, nn.Conv2d):
            shapes[f"{name}.bias"] = (layer.out_channels,)
        if isinstance(layer, nn.BatchNorm2d):
            shapes |= dict.fromkeys((f"{name}.running_mean", f"{name}.running_var"), (layer.num_features,))
            shapes[f"{name}.{COUNTER}"] = ()
    return shapes


def convert(state: Mapping[str, Tensor], dataset: str, file: str | Path = "") -> dict[str, Tensor]:
    """The tensors of our model file (``weights.export``) with one decision maker, for ``dataset``.

    A running mean becomes that mean less the bias of the convolution before it, which gives the same values
    after the batch norm. Raises ModelError with what is missing, unexpected, of another shape or no number.
    """
    first = state.get("features.0.weight")
    three = first is not None and first.ndim == 4 and first.shape[1] == 3
    network = build([dataset], Description(channels=3 if three else 1))
    _check(state, shapes(network), file)
    means, variances, bias = [], [], torch.zeros(1)
    with torch.no_grad():
        for name, layer in _layers(network):
            for key, value in layer.named_parameters():
                value.copy_(state[f"{name}.{key}"])
            if isinstance(layer, nn.Conv2d):
                bias = state[f"{name}.bias"]
            if isinstance(layer, nn.BatchNorm2d):
                means.append(state[f"{name}.running_mean"].double() - bias.double())
                variances.append(state[f"{name}.running_var"].double())
    table = torch.stack([torch.cat(means), torch.cat(variances)]).float()
    return weights.export(network, {dataset: table})


def _check(state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], file: str | Path) -> None:
    found = {name: (tuple(state[name].shape), shape) for name, shape in shapes.items() if name in state}
    lists = {
        "missing": [name for name in shapes if name not in state],
        "unexpected": [name for name in state if name not in shapes],
        "of another shape": [
            f"{name} {_spelt(own)} instead of {_spelt(wanted)}"
            for name, (own, wanted) in found.items()
            if own != wanted
        ],
        "with nan or inf": [name for name in found if not _finite(state[name])],
    }
    if any(lists.values()):
        said = ", ".join(f"{title} {_short(listed)}" for title, listed in lists.items() if listed)
        raise ModelError(said, file=file)


def _spelt(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"


def _finite(value: Tensor) -> bool:
    return not value.is_complex() and bool(torch.isfinite(value).all())


def _short(listed: Sequence[str]) -> str:
    return " ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")


def main(argv: Sequence[str] | None = None) -> None:
    """Write a public Hydra state dict as a model file that model.inference.score_views reads."""
    parser = argparse.ArgumentParser(prog="python -m model.published", description=main.__doc__)
    parser.add_argument("file", type=Path, metavar="FILE.pth", help="a state dict, saved by torch.save")
    parser.add_argument("--dataset", required=True, help="data set that its head is for")
    parser.add_argument("--out", type=Path, required=True, help="model.safetensors to write")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tensors = convert(read_state(args.file), args.dataset, args.file)
    about: dict[str, Any] = {"published": args.file.name, "sha256": sha256(args.file)}
    channels = tensors["extractor.0.0.weight"].shape[1]
    weights.write(args.out, tensors, Description(channels=channels), **about)
    log.info("%s: %d tensors, %d channel(s), one decision maker for %s",
             args.out, len(tensors), channels, args.dataset)  # fmt: skip


if __name__ == "__main__":
    run_cli(main)
