"""Weights that a network begins with instead of random ones."""

import importlib
from pathlib import Path

import torch
from torch import Tensor

from model.files.states import read_state
from model.networks.base import Extractor, Resized, module_name
from pipeline.errors import ChecksumError, ConfigError, ModelError
from pipeline.files import sha256

WEIGHTS = ("imagenet", "random")


def load(extractor: Extractor, network: str, weights: str) -> str:
    """Fill an extractor with published weights, batch-norm statistics included; their SHA-256.

    Raises ConfigError where the network has none of that name, ChecksumError where the file is another one
    than it was, and ModelError where it does not fit.
    """
    module = importlib.import_module(module_name(network))
    if not hasattr(module, weights):
        raise ConfigError(
            weights, file="weights", expected=f"weights that {network} has", remedy="use random"
        )
    path, digest = getattr(module, weights)()
    if (found := sha256(path)) != digest:
        raise ChecksumError(
            f"SHA-256 {found}", file=path, expected=f"SHA-256 {digest}", remedy="install it again"
        )
    inner = extractor.inner if isinstance(extractor, Resized) else extractor
    fill(inner, module.renamed(read_state(path)), path)
    return str(digest)


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
