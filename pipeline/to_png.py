"""Write every readable image below a folder as PNG, for any other program.

Each slice is stretched from its lowest to its highest value (thesis, algorithm 1). The pictures are written
beside their sources, or to the same folders below --out:

DICOM               Instance{number}_{name}.png
NIfTI               {name}_{axis}_slice{n}.png, with time {name}_{axis}_time{t}_slice{n}.png
MetaImage, NRRD,
.npy                {name}_{axis}_{n}.png
Pictures            {name}.png, only with --out: beside their source they would repeat it

Slices and times count from 0. If two sources would get the same name, or another program wrote a file of
that name, the picture gets the whole name of its source: {name}.{suffix}. Nothing of a
header goes into a picture.
"""

import argparse
import errno
import functools
import io
import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, PngImagePlugin

from pipeline.cli import run_cli
from pipeline.errors import EmptyError, InputError, NotImageError, UnreadableError
from pipeline.files import atomic
from pipeline.pool import parallel
from pipeline.readers import images, index
from pipeline.readers.pixels import check_finite, read_pixels
from pipeline.readers.scan import file_state, scan
from pipeline.readers.volumes import is_nifti
from pipeline.view.opening import of_array, of_volume
from pipeline.view.stacks import AXES, Voxels

log = logging.getLogger("typhon")

MARK = "pipeline.to_png"
"""What our pictures say of themselves, so that the next call replaces them and no others."""
HEAD = 128
"""Bytes in which that stands: it follows the first chunk."""


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Values (rows, columns) from their least to their greatest as 0 … 255, cut to whole numbers.

    (p − min) · 255 / (max − min), the thesis' algorithm 1; an image of one value is black.
    """
    wide = values.astype("f8")
    span = float(np.ptp(wide))
    if not span:
        return np.zeros(values.shape, "u1")
    # Of a fraction, · 255 / span may come to a hair less than 255 where it is greatest.
    return np.where(wide == wide.max(), 255, (wide - wide.min()) * 255 / span).astype("u1")


@dataclass(frozen=True)
class NamedPng:
    """A PNG, and what its name has before and behind that of its source."""

    content: bytes
    before: str = ""
    behind: str = ""


def _encode(values: np.ndarray, *, flip: bool) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", MARK)
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(values)[:: -1 if flip else 1]).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def _slices(stack: Voxels, axis: str, path: Path, *, flip: bool) -> Iterator[NamedPng]:
    word = "slice" if is_nifti(path.name) else ""
    check_finite(stack.values, path)
    for letter in stack.counts if axis == "all" else axis if axis in stack.counts else "z":
        for time in range(len(stack.times)):
            at = f"_time{time}" if len(stack.times) > 1 else ""
            for number in range(stack.values.shape[AXES.index(letter)]):
                plane = stack.plane(letter, number, time)
                yield NamedPng(_encode(plane, flip=flip), behind=f"_{letter}{at}_{word}{number}")


def convert(file: str, raw: Path, axis: str, flip: bool) -> list[NamedPng] | InputError:
    """The pictures of one file, or why it cannot be read; none of a picture that this program wrote."""
    path = raw / file
    if file_state(path)[0] < 0:  # to read a pipe would take for ever
        return UnreadableError(
            "a dangling link, a closed folder, a pipe or a name that is no UTF-8", file=file
        )
    try:
        if is_ours(path):
            return []
        if file.lower().endswith(".npy"):
            return list(_slices(of_array(path), axis, path, flip=flip))
        row = index.read_row(file, raw)
        if isinstance(row, InputError):
            return row
        if row["format"] == "volume":
            return list(_slices(of_volume(path), axis, path, flip=flip))
        content = _encode(read_pixels(path).values, flip=flip)
        if row["format"] == "image":
            return [NamedPng(content)]
        number = row["instance_number"]
        return [NamedPng(content, before=f"Instance{number:.0f}_" if number == number else "Instance_")]
    except InputError as error:
        error.file = file
        return error
    except OSError as error:
        return UnreadableError(str(error.strerror), file=file)


def is_ours(path: Path) -> bool:
    """Whether a file is a picture that this program wrote."""
    with path.open("rb") as file:
        start = file.read(HEAD)
    return start.startswith(b"\x89PNG") and f"tEXtSoftware\0{MARK}".encode() in start


def short_name(file: str) -> str:
    """The name of a file without its suffix."""
    name = PurePosixPath(file).name
    return name[: -len(".nii.gz")] if name.lower().endswith(".nii.gz") else PurePosixPath(name).stem


class PictureNames:
    """Names for pictures, none twice and none of a file that somebody else wrote."""

    def __init__(self) -> None:
        self._taken: set[Path] = set()

    def give(self, folder: Path, file: str, pictures: Sequence[NamedPng]) -> list[Path]:
        """Where the pictures of a source go: by its short name, else by its whole one, else with a number."""
        whole = PurePosixPath(file).name
        numbered = (f"{whole}-{number}" for number in itertools.count(2))
        names = itertools.chain([short_name(file), whole], numbered)
        return next(paths for name in names if (paths := self._free(folder, name, pictures)) is not None)

    def _free(self, folder: Path, name: str, pictures: Sequence[NamedPng]) -> list[Path] | None:
        paths = [folder / f"{each.before}{name}{each.behind}.png" for each in pictures]
        # In some file systems a and A are one name.
        keys = [path.with_name(path.name.casefold()) for path in paths]
        if self._taken.intersection(keys) or not all(
            (path.is_file() and is_ours(path)) or not path.exists() for path in paths
        ):
            return None
        self._taken.update(keys)
        return paths


def _write(path: Path, content: bytes) -> None:
    try:
        with atomic(path) as beside:
            beside.write_bytes(content)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UnreadableError(
            str(error.strerror),
            file=path.parent,
            expected="a folder to write to",
            remedy="choose one with --out",
        ) from error


def write_pngs(
    raw: Path, out: Path | None, *, axis: str = "z", flip: bool = False, processes: int = 1
) -> tuple[int, list[InputError]]:
    """Write the pictures of all files below ``raw``; how many, and an error for each file that is none.

    Raises EmptyError where there is no image at all, UnreadableError where nothing can be written.
    """
    pictured = images.SUFFIXES if out is None else ()
    found = index.images_in([file for file, *_ in scan(raw)], raw)
    files = [file for file in found if not file.lower().endswith((".h5", *pictured))]
    if not files:
        raise EmptyError("none", file=raw, expected="images", remedy="give a folder of images")
    function = functools.partial(convert, raw=raw, axis=axis, flip=flip)
    names, written, errors = PictureNames(), 0, []
    results = parallel(function, files, processes=processes, label="PNG", lost=index.lost)
    for file, result in zip(files, results, strict=True):
        if isinstance(result, InputError):
            errors.append(result)
            continue
        paths = names.give((out or raw) / PurePosixPath(file).parent, file, result)
        for path, picture in zip(paths, result, strict=True):
            _write(path, picture.content)
        written += len(paths)
    return written, errors


def main(argv: Sequence[str] | None = None) -> None:
    """Convert a folder; exit 1 if a file could not be read."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.to_png", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the images")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write to this folder, not beside the sources"
    )
    parser.add_argument("--axis", choices=[*AXES, "all"], default="z", help="axis of volumes and arrays")
    parser.add_argument("--flip", action="store_true", help="upside down: the first row at the bottom")
    parser.add_argument("--processes", type=int, default=1, help="slices made at once")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not args.folder.is_dir():
        raise UnreadableError("none", file=args.folder, expected="a folder")
    written, errors = write_pngs(
        args.folder, args.out, axis=args.axis, flip=args.flip, processes=args.processes
    )
    for error in errors:
        log.info("%s", error)
    counts = Counter(isinstance(error, NotImageError) for error in errors)
    log.info("%d pictures, %d files unreadable, %d without an image", written, counts[False], counts[True])
    if counts[False]:
        raise SystemExit(1)


if __name__ == "__main__":
    run_cli(main)
