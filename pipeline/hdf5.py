"""HDF5 files that are whole or none, and that nobody can hide anything in.

Metadata blocks (file format 1.10) and chunks (fletcher32) carry checksums, so a flipped bit or a cut file is
an error when it is read, never a number. No clock goes into a file: the same content gives the same bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from pipeline.errors import InputError, StoreError, StrangeStoreError
from pipeline.files import atomic
from pipeline.system import of_system

VERSIONS = ("v110", "v110")
"""Of the file format: 1.10, with checksums of metadata."""


@contextmanager
def opened(path: str | Path) -> Iterator[h5py.File]:
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


def leads_to(file: h5py.File, name: str, kind: type) -> bool:
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


def get(file: h5py.File, name: str) -> h5py.Dataset | None:
    """A data set by its path, if it is of the kind that this module writes; None if there is none.

    HDF5 can point to other files, run filters from plugins and hold references and pickled objects. A store
    of somebody else is read only where it does none of that: plain links, plain numbers and texts of fixed
    length, in chunks with checksums, no more of them than the file has bytes. Raises StrangeStoreError.
    """
    if not leads_to(file, name, h5py.Dataset):
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


def need(file: h5py.File, name: str) -> h5py.Dataset:
    """The same of what a store always has; KeyError if it is not there."""
    data = get(file, name)
    if data is None:
        raise KeyError(f"no {name}")
    return data


@contextmanager
def created(path: str | Path) -> Iterator[h5py.File]:
    """Open for writing; the file appears when it is whole."""
    with atomic(path) as beside, h5py.File(beside, "w", libver=VERSIONS, locking=False) as file:
        yield file
