"""HDF5: one member or attribute of a store replaced by another kind of thing; checksums hold."""

import io
import warnings
from random import Random
from typing import Any

import h5py
import numpy as np

VALUES: tuple[Any, ...] = (
    -1, 2, 1e400, np.nan, "", "x", "{}", "[]", "{", "\x1b[2J", b"\xff", np.zeros(0), np.zeros((2, 2)),
    np.int64(1), np.arange(3, dtype="u1"), np.array([b"a", b"b"]), np.array(["a"], h5py.string_dtype()), 1j,
)  # fmt: skip
WAYS = ("less", "soft", "external", "group", "value", "cut", "longer", "type", "filter", "nan")
"""What happens to a member."""


def member(content: bytes, random: Random) -> bytes:
    """A data set, group or attribute replaced, less, a link, or of another type, shape or filter."""
    file = io.BytesIO(content)
    try:
        with h5py.File(file, "r+", libver=("v110", "v110")) as store:
            names: list[str] = []
            store.visit(names.append)
            name = random.choice(sorted(names))
            if random.random() < 0.3:
                _attribute(store if random.random() < 0.7 else store[name], random)
            else:
                _member(store, name, random)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, UnicodeError):
        return content
    return file.getvalue()


def _attribute(of: Any, random: Random) -> None:
    name = random.choice([*sorted(of.attrs), "other"])
    if name in of.attrs:
        del of.attrs[name]
    if random.random() < 0.8:
        of.attrs[name] = random.choice(VALUES)


def _member(store: h5py.File, name: str, random: Random) -> None:
    old = store[name]
    values = np.asarray(old[()] if isinstance(old, h5py.Dataset) else np.zeros(3))
    del store[name]
    way = random.choice(WAYS)
    if way == "soft":
        store[name] = h5py.SoftLink(random.choice(("/patches", "/", name, "/nowhere")))
    elif way == "external":
        store[name] = h5py.ExternalLink(random.choice(("other.h5", "/etc/passwd")), "/patches")
    elif way == "group":
        store.create_group(name)
    elif way == "value":
        store[name] = random.choice(VALUES)
    elif way == "cut":
        _store(store, name, values[: random.randrange(len(values) + 1)])
    elif way == "longer":
        _store(store, name, np.concatenate([values, values]))
    elif way == "type":
        kind = random.choice(("u1", "i8", "f2", "f8", "S3", "c8", "?", ">i4"))
        with warnings.catch_warnings(action="ignore"):  # of numbers that do not fit
            _store(store, name, values.astype(kind))
    elif way == "filter":
        store.create_dataset(name, data=values, compression="gzip", shuffle=True)
    elif way == "nan":
        _store(store, name, np.full(values.shape, random.choice((np.nan, np.inf, 1e30)), "f4"))


def _store(store: h5py.File, name: str, values: np.ndarray) -> None:
    chunks = tuple(max(side, 1) for side in values.shape)
    store.create_dataset(
        name, data=values, chunks=chunks, fletcher32=True, maxshape=(None, *values.shape[1:])
    )
