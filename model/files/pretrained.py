"""Weights that a network begins with instead of random ones."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from model.files.states import SUFFIXES, is_file, read_state
from model.networks.base import Extractor, Resized, module_name
from pipeline.errors import ChecksumError, ConfigError, ModelError
from pipeline.files import sha256


def load(extractor: Extractor, network: str, weights: str) -> str:
    """Fill an extractor with weights of others, batch-norm statistics included; their SHA-256.

    ``weights`` is the name of published ones, or a file of a state dict under published names or our own.
    Raises ConfigError where the network has none of that name, ChecksumError where the file is another one
    than it was, ModelError where it does not fit, and what :func:`model.files.states.read_state` does.
    """
    module = importlib.import_module(module_name(network))
    renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]] = getattr(module, "renamed", dict)
    inner = extractor.inner if isinstance(extractor, Resized) else extractor
    if is_file(weights):
        path = Path(weights)
        fill(inner, renamed(read_state(path)), path)
        return sha256(path)
    published: Mapping[str, Callable[[], tuple[Path, str]]] = getattr(module, "PUBLISHED", {})
    if weights not in published:
        raise ConfigError(
            weights, file="weights", expected=f"weights that {network} has",
            remedy=f"use random, or a file of weights: {', '.join(SUFFIXES)}",
        )  # fmt: skip
    path, digest = published[weights]()
    if (found := sha256(path)) != digest:
        raise ChecksumError(
            f"SHA-256 {found}", file=path, expected=f"SHA-256 {digest}", remedy="install it again"
        )
    fill(inner, renamed(read_state(path)), path)
    return digest


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
