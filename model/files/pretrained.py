"""Weights that a network begins with instead of random ones: published ones, a file, or a run's extractor."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from model.files.states import is_file, read_state
from model.networks import installed
from model.networks.base import PLANES, Extractor
from pipeline.errors import ChecksumError, ModelError
from pipeline.files import sha256
from pipeline.splits import seen
from pipeline.store import PATCH_SIDE

log = logging.getLogger("typhon")


OF_RUN = "statistics."
"""What keys of model files of ours begin with, and no others: batch-norm statistics, by data set."""
EXTRACTOR = "extractor."
"""What the names of its weights begin with there."""


def load(extractor: Extractor, network: str, weights: str, like: str = "", side: int | None = None) -> str:
    """Fill an extractor with weights of others, batch-norm statistics included; their SHA-256.

    ``weights`` is the name of published ones, or a file: a state dict under published names or our own, or
    the model of a run, which has its :func:`statistics` for the data set ``like`` and must have seen patches
    of ``side`` pixels.
    Raises ConfigError where the network has none of that name here, ChecksumError where the file is another
    one than it was, ModelError where it does not fit, and what :func:`model.files.states.read_state` does.
    """
    inner = extractor.core()
    path, found = _file(network, weights)
    state = read_state(path)
    if is_run(weights):
        _check_alike(path, network, side)
        state = _extractor_of(state, inner, _statistics(state, like, path), path)
    else:
        state = inner.renamed(state)
    fill(inner, for_channels(state, inner), path)
    return found


def _file(network: str, weights: str) -> tuple[Path, str]:
    """The file of weights, and its SHA-256; ChecksumError if it is not that of the published ones."""
    path, digest = (Path(weights), "") if is_file(weights) else installed(network, weights)
    found = sha256(path)
    if digest and found != digest:
        raise ChecksumError(
            f"SHA-256 {found}", file=path, expected=f"SHA-256 {digest}", remedy="install it again"
        )
    return path, found


def planes_of(extractor: Extractor, network: str, weights: str) -> int | None:
    """How many input planes the first convolution of weights has; None where they have none.

    Arguments and errors are as in :func:`load`; it does not matter how many channels the extractor takes.
    """
    inner = extractor.core()
    state = read_state(_file(network, weights)[0])
    state = _below(state, EXTRACTOR) if is_run(weights) else inner.renamed(state)
    given = state.get(_first(inner)[0])
    return None if given is None or given.ndim < 2 else given.shape[1]


def is_run(weights: str) -> bool:
    """Whether weights are those of a run: a model file of ours. One that cannot be read is none."""
    if not weights.endswith(".safetensors"):
        return False
    try:
        with safe_open(weights, "pt") as file:
            return any(name.startswith(OF_RUN) for name in file.keys())  # noqa: SIM118  (it is no mapping)
    except (SafetensorError, OSError):
        return False


def seen_by(weights: str) -> list[seen.Entry]:
    """Whom the run has seen that weights are of; nobody where they are of none.

    Raises LeakError for a run that does not say it.
    """
    return seen.read(seen.beside(Path(weights))) if is_run(weights) else []


def statistics(weights: str, like: str) -> Tensor | None:
    """The batch-norm statistics (2, width) that a run has for a data set; None where weights are of none.

    For one that it has not trained on they are those of all its data sets taken together, each as much.
    """
    return _statistics(read_state(Path(weights)), like, Path(weights)) if is_run(weights) else None


def _statistics(state: Mapping[str, Tensor], like: str, path: Path) -> Tensor:
    tables = {name.removeprefix(OF_RUN): value for name, value in state.items() if name.startswith(OF_RUN)}
    shapes = {tuple(table.shape) for table in tables.values()}
    fit = all(table.is_floating_point() and table.ndim == 2 for table in tables.values())
    if not fit or len(shapes) > 1 or next(iter(shapes))[0] != 2:
        raise ModelError(f"statistics {shapes}", file=path, expected="means and variances for each data set")
    if like in tables:
        return tables[like]
    means, variances = torch.stack([tables[name] for name in sorted(tables)]).unbind(1)
    return torch.stack([means.mean(0), variances.mean(0) + means.var(0, correction=0)])


def _check_alike(path: Path, network: str, side: int | None) -> None:
    """Raise ModelError for a run of another network, or of patches of another side."""
    with safe_open(path, "pt") as file:
        about = (file.metadata() or {}).get("about", "{}")
    try:
        theirs = json.loads(about).get("network", {"network": "papers", "side": PATCH_SIDE})
        found = (theirs["network"], theirs["side"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(f"about: {error}", file=path, expected="the description of a network") from error
    if found != (network, side or found[1]):
        raise ModelError(
            f"{found[0]} for patches of {found[1]} pixels", file=path,
            expected=f"a run of {network} for patches of {side or found[1]}",
            remedy="give both runs one network and one side",
        )  # fmt: skip


def _extractor_of(
    state: Mapping[str, Tensor], extractor: Extractor, table: Tensor, path: Path
) -> dict[str, Tensor]:
    """The extractor in the model of a run, as a state dict with these statistics."""
    found = _below(state, EXTRACTOR)
    norms = {name: part for name, part in extractor.named_modules() if isinstance(part, nn.BatchNorm2d)}
    widths = [part.num_features for part in norms.values()]
    if table.shape[1] != sum(widths):
        raise ModelError(f"{table.shape[1]} statistics", file=path, expected=str(sum(widths)))
    for name, mean, variance in zip(norms, *(row.split(widths) for row in table), strict=True):
        found |= {f"{name}.running_mean": mean, f"{name}.running_var": variance}
        found[f"{name}.num_batches_tracked"] = torch.tensor(0)
    return found


def _below(state: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}


def _first(extractor: Extractor) -> tuple[str, nn.Conv2d]:
    """The name of the weight of the first convolution, and the convolution; of none, one that nothing has."""
    parts = ((name, part) for name, part in extractor.named_modules() if isinstance(part, nn.Conv2d))
    name, first = next(parts, ("", nn.Conv2d(1, 1, 1)))
    return f"{name}.weight", first


def for_channels(state: Mapping[str, Tensor], extractor: Extractor) -> dict[str, Tensor]:
    """A state dict whose first convolution takes as many channels as that of an extractor.

    Where they are others, each of n channels has the sum over the published ones, divided by n: the network
    begins as one that sees the mean of the channels, grey. Of grey weights, each of three has a third.
    Weights of yet another number of channels stay as they are, and do not fit.
    """
    name, first = _first(extractor)
    channels = first.in_channels
    given = state.get(name)
    if given is None or given.ndim != first.weight.ndim or given.shape[1] not in {1, PLANES} - {channels}:
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
