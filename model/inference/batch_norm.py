"""Batch-norm statistics: whose they are, and how they are recomputed.

A network's statistics are one table (2, width): means and variances of all of its batch norms, one after
another; 672 in the network of the papers. Each data set may have a table of its own, and the network works
on the one attached to it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from model.network import Network
from model.networks.base import channels_last, modes_kept
from model.training.data import Dataset, Part, read_part
from pipeline.seeds import stream

MODES = ("mixed", "per_set", "recalibrated")
"""mixed: one running table for all (published); per_set: one running table for each data set;
recalibrated: computed on the data set's training split whenever the network is evaluated; if its batches were
mixed with those of others, on theirs too, as training had it."""
PATCHES = 256
"""How many training patches a recalibration uses at most."""
BATCH = 32


def norms(network: Network) -> list[nn.BatchNorm2d]:
    """Batch norms of a network, in order."""
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def initial(network: Network) -> Tensor:
    """The table (2, width) of a network that has seen nothing: means 0, variances 1."""
    channels = sum(norm.num_features for norm in norms(network))
    weight = next(network.parameters())
    return torch.stack([weight.new_zeros(channels), weight.new_ones(channels)])


def running(network: Network) -> Tensor:
    """A copy of the table that a network normalizes by now."""
    table = initial(network)
    for norm, own in zip(norms(network), rows(network, table), strict=True):
        for place, name in zip(own, ("running_mean", "running_var"), strict=True):
            place.copy_(getattr(norm, name))
    return table


def attach(network: Network, table: Tensor) -> None:
    """Let the network normalize by ``table`` and, while it trains, update it in place."""
    for norm, (mean, variance) in zip(norms(network), rows(network, table), strict=True):
        norm.running_mean, norm.running_var = mean, variance


@contextmanager
def attached(network: Network, table: Tensor) -> Iterator[None]:
    """Let the network normalize by ``table`` for a while."""
    before = [(norm, norm.running_mean, norm.running_var) for norm in norms(network)]
    attach(network, table)
    try:
        yield
    finally:
        for norm, mean, variance in before:
            norm.running_mean, norm.running_var = mean, variance


def rows(network: Network, table: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Mean and variance of each batch norm, as views of the table."""
    widths = [norm.num_features for norm in norms(network)]
    means, variances = table
    return zip(means.split(widths), variances.split(widths), strict=True)


def calibration(datasets: Mapping[str, Dataset], device: torch.device) -> dict[str, Tensor]:
    """The patches that recalibrate each data set, see :func:`calibration_patches`."""
    patches = {}
    for name, dataset in datasets.items():
        views = math.ceil(PATCHES / len(dataset.findings("train")))
        patches[name] = calibration_patches(read_part(dataset, "train", device, views=views), name)
    return patches


def calibration_patches(part: Part, dataset: str) -> Tensor:
    """At most PATCHES patches of a training split: first views of all findings, then second views.

    Findings come in an order of their own, as tables are often sorted by label.
    """
    rank = stream("calibration", dataset).permutation(len(part.table))
    order = np.lexsort((rank[part.finding], part.view))[:PATCHES]
    return part.patches[torch.from_numpy(order).to(part.patches.device)]


def interleave(parts: Sequence[Tensor]) -> Tensor:
    """At most PATCHES patches of several data sets in turn, as many of each while they last."""
    share = PATCHES // len(parts)
    turns = [(place, number) for number, part in enumerate(parts) for place in range(min(share, len(part)))]
    return torch.stack([parts[number][place] for place, number in sorted(turns)])


@torch.no_grad()
def recalibrate(network: Network, patches: Tensor) -> Tensor:
    """Mean over batches of the statistics that the patches have in the network as it is.

    The network's mode, momenta and attached table are as before afterwards.
    """
    layers = norms(network)
    momenta = [norm.momentum for norm in layers]
    table = initial(network)
    batches = np.array_split(np.arange(len(patches)), math.ceil(len(patches) / BATCH))
    with modes_kept(network), attached(network, table):
        network.eval()
        for norm in layers:
            norm.train()
        for number, batch in enumerate(batches, start=1):
            for norm in layers:
                norm.momentum = 1 / number
            network.extractor(channels_last(patches[batch[0] : batch[-1] + 1]))
    for norm, momentum in zip(layers, momenta, strict=True):
        norm.momentum = momentum
    return table
