"""Weights that a network begins with instead of random ones."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from model.files.states import is_file, read_state
from model.networks import installed
from model.networks.base import Extractor, Resized
from pipeline.errors import ChecksumError, ModelError
from pipeline.files import sha256

log = logging.getLogger("typhon")


def load(extractor: Extractor, network: str, weights: str) -> str:
    """Fill an extractor with weights of others, batch-norm statistics included; their SHA-256.

    ``weights`` is the name of published ones, or a file of a state dict under published names or our own.
    Raises ConfigError where the network has none of that name here, ChecksumError where the file is another
    one than it was, ModelError where it does not fit, and what :func:`model.files.states.read_state` does.
    """
    inner = extractor.inner if isinstance(extractor, Resized) else extractor
    path, digest = (Path(weights), "") if is_file(weights) else installed(network, weights)
    found = sha256(path)
    if digest and found != digest:
        raise ChecksumError(
            f"SHA-256 {found}", file=path, expected=f"SHA-256 {digest}", remedy="install it again"
        )
    fill(inner, for_channels(inner.renamed(read_state(path)), inner), path)
    return found


def for_channels(state: Mapping[str, Tensor], extractor: Extractor) -> dict[str, Tensor]:
    """A state dict whose first convolution takes as many channels as that of an extractor.

    Where they are others, each of n channels has the sum over the published ones, divided by n: the network
    begins as one that sees the mean of the channels, grey. Of grey weights, each of three has a third.
    """
    parts = ((name, part) for name, part in extractor.named_modules() if isinstance(part, nn.Conv2d))
    name, first = next(parts, ("", nn.Conv2d(1, 1, 1)))
    name, channels = f"{name}.weight", first.in_channels
    given = state.get(name)
    if given is None or given.ndim != first.weight.ndim or given.shape[1] == channels:
        return dict(state)
    log.info("%s of %d channels: each of %d has their sum, divided", name, given.shape[1], channels)
    spread = given.sum(1, keepdim=True).div(channels).repeat(1, channels, 1, 1)
    return {**state, name: spread}


def fill(extractor: Extractor, state: dict[str, Tensor], file: Path) -> None:
    """Give an extractor all that a state dict has, or nothing.

    Raises ModelError that lists what is missing, unexpected, of another shape or not finite.
    """
    own = extractor.state_dict()
    shared = own.keys() & state.keys()
    lists = {
        "missing": own.keys() - state.keys(),
        "unexpected": state.keys() - own.keys(),
        "of another shape": {name for name in shared if own[name].shape != state[name].shape},
        "with nan or inf": {name for name in shared if not bool(torch.isfinite(state[name]).all())},
    }
    if found := [f"{title} {' '.join(sorted(names)[:4])}" for title, names in lists.items() if names]:
        raise ModelError(", ".join(found), file=file, expected="the weights of this network")
    extractor.load_state_dict(state)
