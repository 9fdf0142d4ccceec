"""Model files: what a network is, its weights and each data set's batch-norm statistics, as safetensors.

Never a pickle.

Keys are ``extractor.*``, ``makers.{dataset}.*`` and ``statistics.{dataset}`` (2, width: means, variances).
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from model.inference import batch_norm
from model.network import Description, Network, build
from pipeline.errors import ConfigError, InputError, PickledError
from pipeline.files import atomic
from pipeline.store import PATCH_SIDE
from pipeline.system import of_system

PER_DATASET = ("makers.", "statistics.")
"""What the keys of a data set's own begin with."""


def export(network: Network, tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy everything a prediction needs to the CPU, by name."""
    tensors = {f"statistics.{dataset}": tables[dataset] for dataset in network.datasets}
    return {name: plain(value) for name, value in (weights(network) | tensors).items()}


def weights(network: Network) -> dict[str, Tensor]:
    """The parameters of a network by the name they have in a file."""
    makers = {f"makers.{dataset}": network.maker(dataset) for dataset in network.datasets}
    return {
        f"{part}.{name}": value
        for part, module in {"extractor": network.extractor, **makers}.items()
        for name, value in module.named_parameters()
    }


def plain(tensor: Tensor) -> Tensor:
    """A contiguous copy on the CPU."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def to_bytes(tensors: Mapping[str, Tensor], **about: Any) -> bytes:
    """Serialize tensors and a description that JSON can hold; the same content gives the same bytes."""
    # One entry only: safetensors writes several in a random order.
    return save(dict(tensors), {"about": json.dumps(about, sort_keys=True)})


def write(path: Path, tensors: Mapping[str, Tensor], description: Description, **about: Any) -> None:
    """Write a model file made of :func:`export`'s tensors, atomically."""
    with atomic(path) as beside:
        beside.write_bytes(to_bytes(tensors, network=description.to_json(), **about))


def read_about(path: Path) -> dict[str, Any]:
    """What a model file says of itself; raises InputError unless that is a JSON object."""
    with _open(path) as file:
        text = (file.metadata() or {}).get("about", "{}")
    try:
        about = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"about: {error}", file=path, expected="a safetensors model file") from error
    if not isinstance(about, dict):
        raise InputError(f"about: {text[:40]}", file=path, expected="a safetensors model file")
    return about


def origin(path: Path) -> dict[str, str]:
    """Whose weights a network began with, and their SHA-256; nothing where they were random."""
    about = read_about(path)
    return {key: str(about[key]) for key in ("weights", "weights_sha256") if key in about}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, by name, on the CPU; raises InputError if it is damaged."""
    with _open(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)


def read(
    path: Path,
    datasets: Iterable[str],
    channels: int,
    *,
    side: int = PATCH_SIDE,
    outputs: Mapping[str, int] | None = None,
    among: bool = False,
) -> tuple[Network, dict[str, Tensor]]:
    """Read a network and the statistics table of each data set, on the CPU.

    ``outputs`` are the logits that each head should have; None takes those of the file. ``among`` leaves out
    what the file has for further data sets. A file that does not say which network it holds is from before
    there were others: it is that of the papers.
    Raises InputError if the file is damaged or belongs to other data sets, channels or patches.
    """
    datasets = tuple(datasets)
    try:
        description = Description(**read_about(path).get("network", {"channels": channels}))
        heads = {name: description.logits(name) for name in datasets}
    except (TypeError, ValueError) as error:
        raise InputError(str(error), file=path, expected="the description of a network") from error
    if (description.channels, description.side) != (channels, side):
        raise InputError(
            f"a network for {description.channels} and {description.side}", file=path,
            expected=f"a network for {channels} channel(s) and patches of {side} pixels",
            remedy="give stores cut like those it was trained on",
        )  # fmt: skip
    if outputs is not None and (odd := [name for name in heads if heads[name] != outputs[name]]):
        raise InputError(
            f"{heads[odd[0]]} logits", file=path,
            expected=f"a head of {outputs[odd[0]]} logits for {odd[0]}, one per class or label",
            remedy="give stores with the classes that it was trained on",
        )  # fmt: skip
    try:
        with torch.device("meta"):  # without memory, until the file is known to fill it
            everything = _everything(build(datasets, description))
    except ConfigError as error:  # of a network that is not here, or takes no such patches
        raise InputError(
            f"{error.file} {error.found}", file=path, expected=error.expected, remedy=error.remedy
        ) from error
    with _open(path) as file:
        found = set(file.keys())
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in found & set(everything)}
        wrong = [name for name in sorted(shapes) if shapes[name] != tuple(everything[name].shape)]
        missing, unexpected = sorted(set(everything) - found), sorted(found - set(everything))
        if among:
            unexpected = [name for name in unexpected if not name.startswith(PER_DATASET)]
        if missing or unexpected or wrong:
            lists = {"missing": missing, "unexpected": unexpected, "of another shape": wrong}
            raise InputError(
                ", ".join(f"{title} {_short(names)}" for title, names in lists.items() if names),
                file=path,
                expected=f"a network for {', '.join(datasets)} with {channels} channel(s)",
                remedy="give the stores it was trained on, in any order",
            )
        network = build(datasets, description)
        everything = _everything(network)
        with torch.no_grad():
            for name, value in everything.items():
                value.copy_(file.get_tensor(name))
    return network, {dataset: everything[f"statistics.{dataset}"] for dataset in network.datasets}


def _everything(network: Network) -> dict[str, Tensor]:
    """All tensors of a model file, by name: those of the network, and new statistics tables."""
    table = batch_norm.initial(network)
    return weights(network) | {f"statistics.{name}": table.clone() for name in network.datasets}


def _short(names: list[str]) -> str:
    return " ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def check_kind(path: Path) -> None:
    """Raise PickledError for a file of torch.save or pickle, which could run anything and is not opened."""
    with path.open("rb") as file:
        start = file.read(9)
    # A safetensors file may begin with the same bytes, the length of its header; then comes the header.
    if start.startswith((b"PK\x03\x04", b"\x80")) and start[8:] != b"{":
        raise PickledError(
            "a pickle", file=path, expected="a safetensors model file",
            remedy="of a published network's state dict python -m model.published makes one",
        )  # fmt: skip


def _open(path: Path) -> Any:
    check_kind(path)
    try:
        return safetensors.safe_open(path, "pt")
    except FileNotFoundError:
        raise
    except (safetensors.SafetensorError, OSError) as error:
        if isinstance(error, OSError) and (told := of_system(error, path)):
            raise told from error
        raise InputError(str(error), file=path, expected="a safetensors model file") from error
