"""Patch stores and embeddings: what lies where in a file, and how it is read and written."""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from pipeline.classes import UNKNOWN, UNNAMED, Classes
from pipeline.errors import StoreError
from pipeline.hdf5 import created, need, opened
from pipeline.patches.ranges import Ranges

SCHEMA_VERSION = 2
PATCH_SIDE = 65
"""Width and height of a patch in pixels, unless the config has another (thesis 5.2.1)."""
AUGMENTATIONS = ("stored", "online")
"""stored: a store holds all views; online: the un-augmented one with a margin, of which others are cut."""
TEXT_COLUMNS = ("patient_id", "group_id", "finding_id")


def write_store(
    path: str | Path,
    findings: pd.DataFrame,
    blocks: Iterable[np.ndarray | None],
    *,
    views: int,
    side: int = PATCH_SIDE,
    margin: int = 0,
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
        None for a finding that is left out. With a margin there is one, of side + 2 · margin pixels, and
        findings have an ``aspect``: height of a pixel over its width.
    collection : what its licence asks to be kept with it: collection, licence, doi, citation, url.
    """
    stored, seen = (1, side + 2 * margin) if margin else (views, side)
    block_shape = (stored, len(channels), seen, seen)
    with created(path) as file:
        file.attrs.update(
            schema_version=SCHEMA_VERSION,
            dataset=dataset,
            side=side,
            channels=list(channels),
            classes=list(classes.names),
            normalization=normalization,
            provenance=json.dumps(provenance, sort_keys=True),
            collection=json.dumps(dict(collection or {}), sort_keys=True),
            **({"margin": margin, "views": views} if margin else {}),
        )
        patches = file.create_dataset(
            "patches",
            (len(findings) * stored, *block_shape[1:]),
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
            patches[len(kept) * stored : (len(kept) + 1) * stored] = block
            kept.append(number)
        count = len(kept)
        patches.resize(count * stored, axis=0)
        findings = findings.iloc[kept]
        indices = {
            "finding": np.repeat(np.arange(count, dtype="i4"), stored),
            "view": np.tile(np.arange(stored, dtype="u2"), count),
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
        lengths = ["width_mm", "height_mm", *["aspect"] * bool(margin)]
        numbers = {
            "label": classes.labels(findings).astype("u1"),
            **{name: findings[name].to_numpy("f4") for name in lengths},
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
    margin: int = 0
    """Pixels around a patch, where the store holds one of each finding and views are drawn from it."""

    @property
    def stored(self) -> int:
        """How many views of each finding lie in the store."""
        return 1 if self.margin else self.views


def read_info(path: str | Path) -> StoreInfo:
    """Read the attributes and the findings of a patch store.

    Raises StoreError if the file is damaged or of another schema.
    """
    with opened(path) as file:
        version = int(file.attrs.get("schema_version", -1))
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"version {version}", file=path, expected=f"schema version {SCHEMA_VERSION}",
                remedy=f"make it again: ./run --force {path}",
            )  # fmt: skip
        texts = {name: need(file, f"findings/{name}").asstr()[:] for name in TEXT_COLUMNS}
        findings = pd.DataFrame(texts, dtype=str)
        labels = need(file, "findings/label")[:]
        classes = Classes(tuple(map(str, file.attrs["classes"])), multilabel=labels.ndim > 1)
        if (labels[labels != UNKNOWN] >= (2 if classes.multilabel else len(classes.names))).any():
            raise StoreError("a label that is none of them", file=path, expected=f"labels of {classes}")
        findings[classes.label_columns] = labels.reshape(len(labels), -1)
        for name in ("width_mm", "height_mm"):
            findings[name] = need(file, f"findings/{name}")[:]
        count, margin = len(findings), int(file.attrs.get("margin", 0))
        stored = need(file, "patches").shape[0] // count if count else 0
        return StoreInfo(
            path=Path(path),
            dataset=str(file.attrs["dataset"]),
            channels=tuple(file.attrs["channels"]),
            views=int(file.attrs["views"]) if margin else stored,
            side=need(file, "patches").shape[-1] - 2 * margin,
            classes=classes,
            findings=findings,
            normalization=str(file.attrs["normalization"]),
            provenance=json.loads(file.attrs["provenance"]),
            collection=json.loads(file.attrs.get("collection", "{}")),
            margin=margin,
        )


def read_patches(path: str | Path, findings: Sequence[int], views: Sequence[int]) -> np.ndarray:
    """The first ``views[i]`` patches of finding ``findings[i]``, one after another.

    Returns float32 (sum of views, channels, side, side). Raises StoreError if a checksum does not hold or
    fewer views are stored. Of a store with a margin these are the views by which findings are evaluated.
    """
    with opened(path) as file:
        if "margin" in file.attrs:
            # Not above: it is the views that know the side of a patch from here.
            from pipeline.patches import online

            return online.evaluation_views(read_margins(path, findings), list(map(range, views)))
        patches = need(file, "patches")
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


@dataclass(frozen=True)
class Margins:
    """What views are drawn from: the stored patches of findings, each with a margin."""

    patches: np.ndarray
    """(n, channels, side + 2 margins, the same) float32"""
    aspects: np.ndarray
    """(n,) height of a pixel over its width"""
    names: list[tuple[str, str]]
    """patient_id and finding_id"""
    side: int
    view_seed: int
    ranges: Ranges


def read_margins(path: str | Path, findings: Sequence[int]) -> Margins:
    """Read these findings of a store with a margin; StoreError if a checksum does not hold."""
    with opened(path) as file:
        patches = need(file, "patches")
        state = Path(path).stat()
        columns = _columns(str(path), state.st_mtime_ns, state.st_size, state.st_ino)
        provenance = json.loads(file.attrs["provenance"])
        aspects, *ids = ([column[finding] for finding in findings] for column in columns)
        return Margins(
            np.stack([patches[finding] for finding in findings]),
            np.array(aspects),
            [(patient.decode(), finding.decode()) for patient, finding in zip(*ids, strict=True)],
            patches.shape[-1] - 2 * int(file.attrs["margin"]),
            provenance["view_seed"],
            ranges_of(provenance),
        )


@functools.lru_cache(maxsize=8)
def _columns(path: str, *_: int) -> tuple[np.ndarray, ...]:
    """Aspects and ids of all findings of a store in one state, of which each batch asks for a few."""
    with opened(path) as file:
        return tuple(need(file, f"findings/{name}")[:] for name in ("aspect", "patient_id", "finding_id"))


def ranges_of(provenance: Mapping[str, Any]) -> Ranges:
    """What the views of a store are drawn from, by its provenance, which says what is not usual."""
    return Ranges(**provenance.get("online", {}))


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
    with created(path) as file:
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
    with opened(path) as file:
        views = int(file.attrs["views"])
        features = need(file, "features")[:]
        about = {name: str(value) for name, value in file.attrs.items() if isinstance(value, str)}
        return Embeddings(Path(path), features.reshape(-1, views, features.shape[-1]), about)
