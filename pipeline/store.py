"""The only module that touches HDF5: source slices and patch stores.

Metadata blocks (file format 1.10) and patch chunks (fletcher32) carry checksums, so a flipped bit or
a cut file is an error when it is read, never a number. No clock goes into a file: the same content
gives the same bytes.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from pipeline.classes import UNKNOWN, UNNAMED, Classes
from pipeline.errors import InputError, StoreError, StrangeStoreError
from pipeline.files import atomic
from pipeline.system import of_system

SCHEMA_VERSION = 2
VERSIONS = ("v110", "v110")
"""Of the file format: 1.10, with checksums of metadata."""
PATCH_SIDE = 65
"""Width and height of a patch in pixels, unless the config has another (thesis 5.2.1)."""
TEXT_COLUMNS = ("patient_id", "group_id", "finding_id")


@dataclass(frozen=True)
class SourceSlice:
    """A slice in physical units, float32 (rows, columns), and the statistics of its Z-score."""

    pixels: np.ndarray
    mean: float
    std: float

    @property
    def normalized(self) -> np.ndarray:
        """Z-scores, float32 (rows, columns)."""
        return (self.pixels - np.float32(self.mean)) / np.float32(self.std)


@contextmanager
def _open(path: str | Path) -> Iterator[h5py.File]:
    """Open for reading; whatever HDF5 finds wrong is a StoreError that names the file."""
    try:
        # Without a lock, which not every file system has: a store appears whole, and never changes.
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (FileNotFoundError, InputError, MemoryError):
        raise
    except Exception as error:  # h5py raises many kinds, and numbers may be of any
        raise _told(error, path) from error


def _told(error: Exception, path: str | Path) -> InputError:
    """What is wrong with a store; or with the way to it, where nothing is known of the store itself."""
    told = of_system(error, path) if isinstance(error, OSError) else None
    return told or StoreError(str(error), file=path, expected="a whole HDF5 store")


def _leads_to(file: h5py.File, name: str, kind: type) -> bool:
    """Whether there is something at a path; raises StrangeStoreError unless plain links lead to that kind."""
    parts = name.split("/")
    for end in range(1, len(parts) + 1):
        path = "/".join(parts[:end])
        link = file.get(path, getlink=True)
        if link is None:
            return False
        if type(link) is not h5py.HardLink:
            raise StrangeStoreError(f"a link ({type(link).__name__}) at {path}", file=file.filename)
        wanted = kind if end == len(parts) else h5py.Group
        if file.get(path, getclass=True) is not wanted:
            raise StrangeStoreError(f"no {wanted.__name__} at {path}", file=file.filename)
    return True


def _get(file: h5py.File, name: str) -> h5py.Dataset | None:
    """A data set by its path, if it is of the kind that this module writes; None if there is none.

    HDF5 can point to other files, run filters from plugins and hold references and pickled objects. A store
    of somebody else is read only where it does none of that: plain links, plain numbers and texts of fixed
    length, in chunks with checksums, no more of them than the file has bytes. Raises StrangeStoreError.
    """
    if not _leads_to(file, name, h5py.Dataset):
        return None
    data = file[name]
    layout = data.id.get_create_plist()
    filters = {layout.get_filter(number)[0] for number in range(layout.get_nfilters())}
    size = file.id.get_filesize()
    strange = {
        f"values of type {data.dtype}": data.dtype.kind not in "fiuS" or data.dtype.hasobject,
        "values in another file": layout.get_layout() == h5py.h5d.VIRTUAL or layout.get_external_count() > 0,
        f"filters {sorted(filters)}": filters != {h5py.h5z.FILTER_FLETCHER32},
        f"{data.nbytes:,} bytes of values in a file of {size:,}": data.nbytes > size,
    }
    if found := [what for what, holds in strange.items() if holds]:
        raise StrangeStoreError(f"{', '.join(found)} at {name}", file=file.filename)
    return data


def _need(file: h5py.File, name: str) -> h5py.Dataset:
    """The same of what a store always has; KeyError if it is not there."""
    data = _get(file, name)
    if data is None:
        raise KeyError(f"no {name}")
    return data


@contextmanager
def _create(path: str | Path) -> Iterator[h5py.File]:
    with atomic(path) as beside, h5py.File(beside, "w", libver=VERSIONS, locking=False) as file:
        yield file


def write_slices(
    path: str | Path,
    slices: Iterable[tuple[int, np.ndarray]],
    statistics: Callable[[int], tuple[float, float]],
    provenance: Mapping[str, Any],
) -> None:
    """Write slices, each with its row number in findings.csv; rows that were skipped are absent.

    ``statistics`` gives mean and standard deviation of a row; it is asked when all slices are written.
    """
    with _create(path) as file:
        file.attrs["provenance"] = json.dumps(provenance, sort_keys=True)
        numbers = []
        for number, pixels in slices:
            numbers.append(number)
            file.create_dataset(f"slices/{number:06d}", data=pixels, chunks=pixels.shape, fletcher32=True)
        for number in numbers:
            attrs = file[f"slices/{number:06d}"].attrs
            attrs["mean"], attrs["std"] = statistics(number)


def read_slice(path: str | Path, number: int) -> SourceSlice | None:
    """The slice of row ``number`` of findings.csv, or None where that row was skipped."""
    with _open(path) as file:
        data = _get(file, f"slices/{number:06d}")
        if data is None:
            return None
        return SourceSlice(data[:], float(data.attrs["mean"]), float(data.attrs["std"]))


def slice_numbers(path: str | Path) -> list[int] | None:
    """The rows of findings.csv whose slices a file holds; None where it is no file of slices."""
    with _open(path) as file:
        if _leads_to(file, "slices", h5py.Group):
            return sorted(map(int, file["slices"]))
        return None if "patches" in file else []


def read_statistics(path: str | Path, numbers: Sequence[int]) -> list[tuple[float, float] | None]:
    """Mean and standard deviation of the series of these rows of findings.csv; None where one was skipped."""
    with _open(path) as file:
        found = [_get(file, f"slices/{number:06d}") for number in numbers]
        return [
            None if data is None else (float(data.attrs["mean"]), float(data.attrs["std"])) for data in found
        ]


def write_store(
    path: str | Path,
    findings: pd.DataFrame,
    blocks: Iterable[np.ndarray | None],
    *,
    views: int,
    side: int = PATCH_SIDE,
    dataset: str,
    channels: Sequence[str],
    classes: Classes = UNNAMED,
    normalization: str,
    provenance: Mapping[str, Any],
    collection: Mapping[str, str] | None = None,
) -> None:
    """Write a patch store.

    Parameters
    ----------
    findings : one row per finding with patient_id, group_id, finding_id (text), the label columns of
        ``classes``, width_mm and height_mm (NaN where the image has no scale).
    blocks : for each finding in order its patches, float32 (views, channels, side, side), view 0 first; or
        None for a finding that is left out.
    collection : what its licence asks to be kept with it: collection, licence, doi, citation, url.
    """
    block_shape = (views, len(channels), side, side)
    with _create(path) as file:
        file.attrs.update(
            schema_version=SCHEMA_VERSION,
            dataset=dataset,
            side=side,
            channels=list(channels),
            classes=list(classes.names),
            normalization=normalization,
            provenance=json.dumps(provenance, sort_keys=True),
            collection=json.dumps(dict(collection or {}), sort_keys=True),
        )
        patches = file.create_dataset(
            "patches",
            (len(findings) * views, *block_shape[1:]),
            "f4",
            maxshape=(None, *block_shape[1:]),
            chunks=block_shape,
            fletcher32=True,
        )
        kept: list[int] = []
        for number, block in enumerate(blocks):
            if block is None:
                continue
            if block.shape != block_shape:
                raise ValueError(f"finding {number}: block of shape {block.shape}, not {block_shape}")
            patches[len(kept) * views : (len(kept) + 1) * views] = block
            kept.append(number)
        count = len(kept)
        patches.resize(count * views, axis=0)
        findings = findings.iloc[kept]
        indices = {
            "finding": np.repeat(np.arange(count, dtype="i4"), views),
            "view": np.tile(np.arange(views, dtype="u2"), count),
        }
        for name, values in indices.items():
            file.create_dataset(name, data=values, chunks=values.shape, fletcher32=True)
        table = file.create_group("findings")
        for name in TEXT_COLUMNS:
            # Of fixed length: text of any length lies in a heap that has no checksum.
            text = np.array([str(value).encode() for value in findings[name]] or [b" "])[:count]
            kind = h5py.string_dtype(length=max(text.dtype.itemsize, 1))
            table.create_dataset(
                name, data=text.astype(kind), chunks=(max(count, 1),), fletcher32=True, maxshape=(None,)
            )
        numbers = {
            "label": classes.labels(findings).astype("u1"),
            **{name: findings[name].to_numpy("f4") for name in ("width_mm", "height_mm")},
        }
        for name, values in numbers.items():
            rest = values.shape[1:]
            table.create_dataset(
                name, data=values, chunks=(max(count, 1), *rest), fletcher32=True, maxshape=(None, *rest)
            )


@dataclass(frozen=True)
class StoreInfo:
    """What a patch store says of itself, without its patches."""

    path: Path
    dataset: str
    channels: tuple[str, ...]
    views: int
    side: int
    """Width and height of a patch in pixels."""
    classes: Classes
    findings: pd.DataFrame
    """Those of TEXT_COLUMNS, the label columns of ``classes``, width_mm and height_mm"""
    normalization: str
    provenance: dict[str, Any]
    collection: dict[str, str]
    """Its name, licence, doi, citation and url as stated when the store was made; empty in an older one."""


def read_info(path: str | Path) -> StoreInfo:
    """Read the attributes and the findings of a patch store.

    Raises StoreError if the file is damaged or of another schema.
    """
    with _open(path) as file:
        version = int(file.attrs.get("schema_version", -1))
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"version {version}", file=path, expected=f"schema version {SCHEMA_VERSION}",
                remedy=f"make it anew: ./run --force {path}",
            )  # fmt: skip
        texts = {name: _need(file, f"findings/{name}").asstr()[:] for name in TEXT_COLUMNS}
        findings = pd.DataFrame(texts, dtype=str)
        labels = _need(file, "findings/label")[:]
        classes = Classes(tuple(map(str, file.attrs["classes"])), multilabel=labels.ndim > 1)
        if (labels[labels != UNKNOWN] >= (2 if classes.multilabel else len(classes.names))).any():
            raise StoreError("a label that is none of them", file=path, expected=f"labels of {classes}")
        findings[classes.label_columns] = labels.reshape(len(labels), -1)
        for name in ("width_mm", "height_mm"):
            findings[name] = _need(file, f"findings/{name}")[:]
        count = len(findings)
        return StoreInfo(
            path=Path(path),
            dataset=str(file.attrs["dataset"]),
            channels=tuple(file.attrs["channels"]),
            views=_need(file, "patches").shape[0] // count if count else 0,
            side=_need(file, "patches").shape[-1],
            classes=classes,
            findings=findings,
            normalization=str(file.attrs["normalization"]),
            provenance=json.loads(file.attrs["provenance"]),
            collection=json.loads(file.attrs.get("collection", "{}")),
        )


def read_patches(path: str | Path, findings: Sequence[int], views: Sequence[int]) -> np.ndarray:
    """The first ``views[i]`` patches of finding ``findings[i]``, one after another.

    Returns float32 (sum of views, channels, side, side). Raises StoreError if a checksum does not hold or
    fewer views are stored.
    """
    with _open(path) as file:
        patches = _need(file, "patches")
        stored = patches.chunks[0]
        out = np.empty((sum(views), *patches.shape[1:]), "f4")
        start = 0
        for finding, count in zip(findings, views, strict=True):
            if count > stored:
                raise StoreError(f"{stored}", file=path, expected=f"at least {count} views of each finding")
            patches.read_direct(
                out, np.s_[finding * stored : finding * stored + count], np.s_[start : start + count]
            )
            start += count
        return out


def write_embeddings(
    path: str | Path, blocks: Iterable[np.ndarray], shape: tuple[int, int, int], about: Mapping[str, str]
) -> None:
    """Write the features of the first views of all findings of a store.

    Parameters
    ----------
    blocks : for each finding in the order of the store float32 (views, width).
    shape : findings, views, width.
    about : what made them: the encoder, and the SHA-256 of its weights and of the store.
    """
    findings, views, width = shape
    with _create(path) as file:
        file.attrs.update(schema_version=SCHEMA_VERSION, views=views, **about)
        features = file.create_dataset(
            "features", (findings * views, width), "f4", chunks=(views, width), fletcher32=True
        )
        count = 0
        for count, block in enumerate(blocks, start=1):
            features[(count - 1) * views : count * views] = block
        if count != findings:
            raise ValueError(f"features of {count} findings, not {findings}")


@dataclass(frozen=True)
class Embeddings:
    """Features of the first ``views`` views of the findings of a store."""

    path: Path
    features: np.ndarray
    """(findings, views, width) float32, in the order of the store"""
    about: dict[str, str]

    @property
    def views(self) -> int:
        """How many views of each finding have features."""
        return int(self.features.shape[1])


def read_embeddings(path: str | Path) -> Embeddings:
    """Read what :func:`write_embeddings` wrote; raises StoreError for a damaged file."""
    with _open(path) as file:
        views = int(file.attrs["views"])
        features = _need(file, "features")[:]
        about = {name: str(value) for name, value in file.attrs.items() if isinstance(value, str)}
        return Embeddings(Path(path), features.reshape(-1, views, features.shape[-1]), about)
