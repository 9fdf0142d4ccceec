"""Features that a fixed network sees in the stored views: computed once per data set, used by any split.

The network is one of ``model.networks``, its weights those of ImageNet or random ones, and nothing of it is
trained here: so the features know neither labels nor splits.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from model.device import set_up, told
from model.networks.base import Description, Network, build, initialize
from model.pretrained import WEIGHTS, load
from pipeline.errors import EmptyError, StoreError, run_cli
from pipeline.files import sha256
from pipeline.store import StoreInfo, read_info, read_patches, write_embeddings

log = logging.getLogger("typhon")

AT_ONCE = {"cpu": 16, "cuda": 512}
"""Patches in a batch."""


def encoder(
    network: str, weights: str, channels: int, side: int, device: torch.device
) -> tuple[Network, str]:
    """A network with fixed weights in eval mode, and the SHA-256 of these weights or the seed that drew them.

    ``weights`` is a key of model.pretrained.WEIGHTS. Raises ConfigError if the network has no such weights.
    """
    made = build((), Description(network, channels, side))
    if weights == "random":
        initialize(made, "encoder", network)
        return made.eval().to(device), "random"
    digest = load(made.extractor, network, weights)
    return made.eval().to(device), digest


def resized(patches: Tensor, side: int) -> Tensor:
    """Patches (n, channels, s, s) as (n, channels, side, side): bilinear, smoothed where they get smaller."""
    if patches.shape[-1] == side:
        return patches
    return functional.interpolate(patches, (side, side), mode="bilinear", antialias=side < patches.shape[-1])


@torch.inference_mode()
def embed(network: Network, info: StoreInfo, views: int, device: torch.device) -> Iterator[Tensor]:
    """Features (views, width) float32 of the first views of each finding of a store, on the CPU.

    Raises StoreError if one is not finite.
    """
    extract, side = network.extractor.evaluated(), network.description.side
    for number in tqdm(range(len(info.findings)), "embedding", unit="finding", disable=None):
        patches = torch.from_numpy(read_patches(info.path, [number], [views])).to(device)
        features = torch.cat([extract(resized(some, side)) for some in patches.split(AT_ONCE[device.type])])
        if not features.isfinite().all():
            raise StoreError(f"features of finding {number} that are not finite", file=info.path)
        yield features.float().cpu()


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Write the features of the stored views of a data set."""
    parser = argparse.ArgumentParser(prog="python -m model.embeddings", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="patches.h5")
    parser.add_argument("--encoder", required=True, help="name of the encoder in the config")
    parser.add_argument("--network", default="efficientnet_lite0", help="a module of model.networks")
    parser.add_argument("--weights", choices=WEIGHTS, default="imagenet")
    parser.add_argument("--side", type=int, help="pixels to which patches are resized; default: as they are")
    parser.add_argument("--views", type=int, default=16, help="views of each finding, if so many are stored")
    parser.add_argument("--gpu", type=int, default=0, help="GPUs the job may use")
    parser.add_argument("--out", type=Path, required=True, help="embeddings to write (HDF5)")
    options = parser.parse_args(argv)
    device = set_up(options.gpu)
    info = read_info(options.store)
    if not len(info.findings):
        raise EmptyError("none", file=options.store, expected="findings")
    views, side = min(options.views, info.views), options.side or info.side
    network, digest = encoder(options.network, options.weights, len(info.channels), side, device)
    about = {
        "dataset": info.dataset, "encoder": options.encoder, "network": options.network, "side": str(side),
        "weights": digest, "store": sha256(options.store),
    }  # fmt: skip
    blocks = (block.numpy() for block in embed(network, info, views, device))
    write_embeddings(options.out, blocks, (len(info.findings), views, network.extractor.width), about)
    log.info("%s: %d findings × %d views, %d features", options.out, len(info.findings), views,
             network.extractor.width)  # fmt: skip


if __name__ == "__main__":
    run_cli(main)
