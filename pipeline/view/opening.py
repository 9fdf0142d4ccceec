"""Open any path as a stack: DICOM, NIfTI, MetaImage, NRRD, pictures, NumPy arrays and our own stores.

Values are physical (HU in CT).
"""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from pipeline import slice_store, store
from pipeline.classes import said
from pipeline.errors import (
    EmptyError,
    InputError,
    PickledError,
    SeveralSeriesError,
    UnreadableError,
    VolumeError,
)
from pipeline.pool import parallel
from pipeline.readers import index, labels, volumes
from pipeline.readers.scan import scan
from pipeline.view.series import of_files, of_series
from pipeline.view.stacks import Sheets, Stack, Voxels

log = logging.getLogger("typhon")

NPY_MAGIC = b"\x93NUMPY"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_LISTED = 20
"""Series that a line names; a collection has thousands."""


def of_volume(path: Path) -> Voxels:
    """A volume (NIfTI, MetaImage, NRRD) of three or four dimensions, along its own axes."""
    read = volumes.read_times(path)
    affine = read[0].affine
    values = np.stack([volume.voxels for volume in read], axis=-1)
    times = tuple(f"time {number}" for number in range(len(read))) if len(read) > 1 else ("",)
    place = {}
    if read[0].placed:
        origins = affine[:3, 3] + np.arange(values.shape[2])[:, None] * affine[:3, 2]
        place = {"steps": affine[:3, :2], "origins": origins}
    return Voxels(path.name, values, read[0].grid.spacing_mm, times, **place, file=path)


def of_array(path: Path) -> Voxels:
    """A NumPy array (rows, columns), (slices, rows, columns) or (times, slices, rows, columns).

    A last axis of at most four, as of stacked channels, is that of the slices. Raises PickledError or
    VolumeError.
    """
    try:
        # Mapped, so that a header which promises more than there is takes no memory.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError, SyntaxError, TokenError) as error:  # the header is Python
        if "pickle" in str(error) or "Python objects" in str(error):
            raise PickledError(
                "a pickle, which could run anything", file=path, expected="an array of numbers",
                remedy="save it as numbers with numpy.save",
            ) from error  # fmt: skip
        raise UnreadableError(str(error), file=path, expected="a whole NumPy array") from error
    if array.ndim not in (2, 3, 4) or 0 in array.shape or array.dtype.kind not in "biuf":
        found = f"{array.dtype} of shape {'×'.join(map(str, array.shape))}"
        raise VolumeError(
            found, file=path, expected="two to four dimensions of numbers", remedy="save one image as such"
        )
    if array.ndim == 3 and array.shape[2] <= 4 < min(array.shape[:2]):
        array = np.moveaxis(array, -1, 0)
    values = array.reshape((1,) * (4 - array.ndim) + array.shape).T.astype("f4")  # [i, j, k, time]
    times = tuple(f"time {number}" for number in range(values.shape[3])) if values.shape[3] > 1 else ("",)
    return Voxels(path.name, values, np.ones(3), times)


def of_store(path: Path) -> Sheets:
    """Our slices.h5 (a slice per row of findings.csv) or patches.h5 (a slice per finding and channel).

    The views of a patch are its times. Raises StoreError.
    """
    rows = slice_store.slice_numbers(path)
    if rows is not None:
        if not rows:
            raise EmptyError("none", file=path, expected="slices")
        read = functools.lru_cache(maxsize=4)(lambda number: _slice(path, rows[number]))
        return Sheets(
            path.name, len(rows), lambda number, _: read(number),
            lambda number, _: f"row {rows[number]} of findings.csv",
            rows={row: number for number, row in enumerate(rows)},
        )  # fmt: skip
    info = store.read_info(path)
    channels = len(info.channels)
    if info.findings.empty:
        raise EmptyError("none", file=path, expected="findings")

    @functools.lru_cache(maxsize=2)
    def views(finding: int) -> np.ndarray:
        return store.read_patches(path, [finding], [info.views])

    def caption(number: int, time: int) -> str:
        finding, channel = divmod(number, channels)
        row = info.findings.iloc[finding]
        words = f"{row['patient_id']}, finding {row['finding_id']}, {said(row.to_dict())}"
        return f"{words}, {info.channels[channel]}, view {time}"

    def patch(number: int, time: int) -> np.ndarray:
        return np.asarray(views(number // channels)[time, number % channels])

    times = tuple(f"view {number}" for number in range(info.views))
    return Sheets(path.name, len(info.findings) * channels, patch, caption, times=times)


def _slice(path: Path, row: int) -> np.ndarray:
    source = slice_store.read_slice(path, row)
    assert source is not None  # its number came from the file
    return source.pixels


# --- any path


def of_file(path: Path) -> Stack:
    """A single file; the raw file of an .mhd stands for it. Raises the readers' errors."""
    header = path.with_suffix(".mhd")
    if path.suffix.lower() in (".raw", ".zraw") and header.is_file():
        path = header
    with path.open("rb") as file:
        start = file.read(len(HDF5_MAGIC))
    if start.startswith(NPY_MAGIC):
        return of_array(path)
    if start.startswith(HDF5_MAGIC):
        return of_store(path)
    row = index.read_row(path.name, path.parent)
    if isinstance(row, InputError):
        row.file = str(path)
        raise row
    index.remark([row])
    if row["format"] == "volume":
        return of_volume(path)
    if row["format"] == "image":
        return of_files(path.name, [path], [""])
    return of_series(index.as_table([row]), path.parent)


def candidates(raw: Path) -> dict[str, tuple[str, Callable[[], Stack]]]:
    """Everything below a folder that makes a stack: what ``--series`` calls it, in words, and how to open it.

    A DICOM series goes by its SeriesNumber, with a letter where that comes again; a volume, array or store by
    its file; all pictures are one stack, in the order of their names. Raises EmptyError, or the reason if no
    file can be read.
    """
    names = [file for file, *_ in scan(raw)]
    alone = [file for file in names if file.lower().endswith((".npy", ".h5"))]
    others = [file for file in index.images_in(names, raw) if file not in alone]
    read = functools.partial(index.read_row, raw=raw)
    rows = list(
        parallel(read, others, processes=1, label="reading headers", chunk=index.CHUNK, lost=index.lost)
    )
    index.remark(rows)
    errors = [row for row in rows if isinstance(row, InputError)]
    table = index.as_table([row for row in rows if not isinstance(row, InputError)])
    table = table.sort_values("file")
    found: dict[str, tuple[str, Callable[[], Stack]]] = {}
    dicoms = table[table["format"] == "dicom"].drop_duplicates(["sop_instance_uid", "frame"])
    series: list[Any] = [
        part for _, part in dicoms.groupby(["series_number", "study_uid", "series_uid"], dropna=False)
    ]
    numbers = [("", f"{part['series_number'].iloc[0]:.0f}") for part in series]
    for name, part in zip(labels.unique_ids(numbers), series, strict=True):
        words = f"{part['series_description'].iloc[0] or 'no description'}, {_images(len(part))}"
        found[name] = words, functools.partial(of_series, part, raw)
    for file in sorted([*table["file"][table["format"] == "volume"], *alone]):
        found[file] = "", functools.partial(of_file, raw / file)
    if pictures := table["file"][table["format"] == "image"].tolist():
        files = [raw / file for file in pictures]
        found["pictures"] = _images(len(files)), functools.partial(of_files, raw.name, files, pictures)
    if errors and not found:
        errors[0].file = str(raw / errors[0].file)
        raise errors[0]
    if errors:
        count = "1 file is" if len(errors) == 1 else f"{len(errors)} files are"
        log.warning("%s left out: %s", count, errors[0])
    if not found:
        raise EmptyError("none", file=raw, expected="images", remedy="give a file, or a folder of images")
    return found


def _images(count: int) -> str:
    return f"{count} image{'s' * (count != 1)}"


def open_stack(path: Path, series: str = "") -> Stack:
    """A file or folder as a stack; of a folder with several series the one called ``series``.

    Raises SeveralSeriesError with their names, UnreadableError where nothing is, or the readers' errors.
    """
    try:
        if not path.is_dir():
            return of_file(path)
        found = candidates(path)
    except OSError as error:
        raise UnreadableError(str(error.strerror), file=path) from error
    if not series and len(found) == 1:
        series = next(iter(found))
    if series not in found:
        listed = [f"{name} ({words})" if words else name for name, (words, _) in found.items()]
        more = f" and {len(listed) - MOST_LISTED} more" if len(listed) > MOST_LISTED else ""
        listing = f"{len(listed)}: {', '.join(listed[:MOST_LISTED])}{more}"
        raise SeveralSeriesError(
            listing, file=path, expected=f"series {series!r}" if series else "one series"
        )
    return found[series][1]()
