"""Features that a fixed network sees in the stored views: computed once per data set, used by any split.

The network is one of ``model.networks``, and nothing of it is trained here: with weights of ImageNet or
random ones the features know neither labels nor splits. With those of a run they are for its fold and seed
alone.
"""

import argparse
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from model.baselines.progress import Blocks
from model.dataset import LEAKS
from model.dataset import load as load_split
from model.device import set_up, told
from model.files import terms
from model.files.locked import Locked, digest
from model.files.pretrained import load, planes_of, seen_by
from model.network import FEATURES, Description, Network, build, initialize, module_name
from model.networks import weights_of
from model.networks.base import PLANES
from pipeline.cli import run_cli
from pipeline.errors import EmptyError, StoreError
from pipeline.files import sha256
from pipeline.provenance import code
from pipeline.splits import seen
from pipeline.splits.leakage import images
from pipeline.store import Embeddings, StoreInfo, read_info, read_patches, write_embeddings

log = logging.getLogger("typhon")

AT_ONCE = {"cpu": 16, "cuda": 512}
"""Patches in a batch."""


def encoder(
    description: Description, weights: str, datasets: Iterable[str] = (), like: str = ""
) -> tuple[Network, str]:
    """A network with fixed weights, and their SHA-256 or ``random``; see :func:`model.files.pretrained.load`.

    The heads of ``datasets`` are still meaningless. Raises ConfigError if the network has no such weights.
    """
    made = build(datasets, description)
    if weights == "random":
        initialize(made, "encoder", description.network)
        return made, weights
    side = description.resized or description.side
    return made, load(made.extractor, description.network, weights, like, side)


def sees_apart(description: Description, weights: str) -> bool:
    """Whether an encoder sees each channel by itself.

    Weights that were learned on so many channels tell them apart, and random ones are drawn for them. With
    any others a network would see the mean of the channels, and never learn more, since its weights stay as
    they are. Three are seen as colours. Errors are those of :func:`encoder`.
    """
    channels, network = description.channels, description.network
    if channels in (1, PLANES) or weights == "random":
        return False
    return planes_of(build((), replace(description, channels=1)).extractor, network, weights) != channels


def again(known: Embeddings, datasets: Iterable[str] = (), **changes: Any) -> Network:
    """The network that made features, with other ``changes`` of its description.

    Raises StoreError where they are of other weights than are installed.
    """
    description = replace(Description(**json.loads(known.about["network"])), **changes)
    network, checksum = encoder(description, known.about["weights"], datasets, known.about.get("like", ""))
    if checksum != known.about["weights_sha256"]:
        raise StoreError(f"those of {checksum}", file=known.path, expected=known.about["weights_sha256"])
    return network


def pretrained(several: Iterable[Embeddings]) -> list[dict[str, str]]:
    """What a card says of the weights that made features, each once; nothing of random ones."""
    found = {}
    for known in several:
        network, about = json.loads(known.about["network"])["network"], known.about
        if about["weights"] != "random":
            key = (network, about["weights_sha256"])
            found[key] = terms.entry(network, about["weights"], about["weights_sha256"])
    return list(found.values())


def check_people(options: argparse.Namespace, info: StoreInfo) -> None:
    """Raise LeakError where the weights are of a run that has seen whom the split validates or tests.

    Without one all findings of the store are scored alone.
    """
    if not (known := seen_by(options.weights)):
        return
    if options.split:
        (table,) = (one.table for one in load_split([info.path], [options.split], leak=options.leak).values())
    else:
        table = info.findings.assign(split="", image=images(info.path))
    names = {info.dataset: options.people or info.dataset}
    seen.check(known, {info.dataset: table}, names, leak=options.leak, model=options.weights)


def together(views: int, device: torch.device) -> int:
    """How many findings are in a batch: the last bits may depend on that."""
    return max(1, AT_ONCE[device.type] // views)


def kept(
    folder: Locked, network: Network, info: StoreInfo, views: int, device: torch.device
) -> Iterator[np.ndarray]:
    """The same as :func:`embed`, from where a killed job has left off in a folder of checkpoints."""
    shape, batch = (views, network.extractor.width), together(views, device)
    done = Blocks(folder.path / "features.part", folder.digest, shape)
    if done.count < len(info.findings):
        done.cut(done.count - done.count % batch)
    if start := done.count:
        log.info("going on after %d of %d findings", start, len(info.findings))
    yield from done
    for features in embed(network, info, views, device, start):
        done.append(features.numpy())
        yield features.numpy()


@torch.inference_mode()
def embed(
    network: Network, info: StoreInfo, views: int, device: torch.device, start: int = 0
) -> Iterator[Tensor]:
    """Features (views, width) float32 of the first views of each finding of a store, on the CPU.

    ``start``, a multiple of :func:`together`, is the finding to begin with. Raises StoreError if a feature is
    not finite.
    """
    extract = network.extractor.evaluated()
    size, count = AT_ONCE[device.type], len(info.findings)
    step = together(views, device)
    with tqdm(total=count, initial=start, desc="embedding", unit="finding", disable=None) as bar:
        for first in range(start, count, step):
            numbers = range(first, min(first + step, count))
            patches = torch.from_numpy(read_patches(info.path, numbers, [views] * len(numbers)))
            features = torch.cat([extract(some.to(device)).float().cpu() for some in patches.split(size)])
            for number, block in zip(numbers, features.split(views), strict=True):
                if not block.isfinite().all():
                    raise StoreError(f"features of finding {number} that are not finite", file=info.path)
                yield block
            bar.update(len(numbers))


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Write the features of the stored views of a data set."""
    parser = argparse.ArgumentParser(prog="python -m model.baselines.embeddings", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="patches.h5")
    parser.add_argument("--encoder", required=True, help="name of the encoder in the config")
    parser.add_argument("--network", default="efficientnet_lite0", help="one of docs/networks.md")
    parser.add_argument(
        "--weights",
        default="imagenet",
        help="imagenet, random, a file of weights, or the model of a run",
    )
    parser.add_argument(
        "--like", default="", metavar="NAME", help="with a run: data set whose statistics count"
    )
    parser.add_argument(
        "--split", type=Path, help="with a run: split table of the store; without it, all is scored"
    )
    parser.add_argument("--people", metavar="NAME", help="with a run: name of the people in the store")
    parser.add_argument("--leak", choices=LEAKS, default="refuse", help="with a run: what to do about leaks")
    parser.add_argument("--side", type=int, help="pixels to which patches are resized; default: as they are")
    parser.add_argument(
        "--features", choices=FEATURES, default=FEATURES[0],
        help="what the network ends in, or mean and SD of each layer before the last besides",
    )  # fmt: skip
    parser.add_argument(
        "--views", type=int, default=16, help="views of each finding, if that many are stored"
    )
    parser.add_argument("--gpu", type=int, default=0, help="GPUs the job may use")
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder for progress, gone at the end")
    parser.add_argument("--out", type=Path, required=True, help="embeddings to write (HDF5)")
    options = parser.parse_args(argv)
    device = set_up(options.gpu)
    info = read_info(options.store)
    if not len(info.findings):
        raise EmptyError("none", file=options.store, expected="findings")
    check_people(options, info)
    views = min(options.views, info.views)
    resized = options.side if options.side != info.side else None
    weights = weights_of(options.network, options.weights)
    description = Description.named(
        options.network, len(info.channels), info.side, resized=resized, features=options.features
    )
    description = replace(description, apart=sees_apart(description, weights))
    network, checksum = encoder(description, weights, like=options.like)
    about = {
        "dataset": info.dataset, "encoder": options.encoder, "store": sha256(options.store),
        "weights": weights, "weights_sha256": checksum,
        "network": json.dumps(description.to_json(), sort_keys=True),
        **({"like": options.like} if options.like else {}),
    }  # fmt: skip
    shape = (len(info.findings), views, network.extractor.width)
    facts = digest(
        code=code("model.baselines.embeddings", module_name(options.network)), shape=shape,
        device=device.type, **about,
    )  # fmt: skip
    with Locked(options.checkpoint, facts) as folder:
        write_embeddings(options.out, kept(folder, network.to(device), info, views, device), shape, about)
    log.info("%s: %d findings × %d views, %d features", options.out, len(info.findings), views,
             network.extractor.width)  # fmt: skip


if __name__ == "__main__":
    run_cli(main)
