"""What a user's table or folders list: which image, whose, which finding, which label. No image is opened."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

import pandas as pd

from pipeline.classes import LABEL, UNKNOWN
from pipeline.errors import DuplicateFindingError, EmptyError, ImageMissingError, InputError, LabelError
from pipeline.readers import labels
from pipeline.readers.names import Names, folded
from pipeline.splits.people import is_rounded, persons

Column = Literal[
    "image", "patient_id", "finding_id", "label", "x", "y", "z", "x_mm", "y_mm", "z_mm", "time", "mask_value",
    "mask",
]  # fmt: skip
COLUMNS: tuple[str, ...] = get_args(Column)
NEEDED, NUMBERS = COLUMNS[:4], COLUMNS[4:-1]
IMAGE, MASK = NEEDED[0], COLUMNS[-1]
PIXELS, WORLD = NUMBERS[:3], NUMBERS[3:6]


def image_columns(channels: Iterable[str]) -> list[str]:
    """What we call the columns of images where each channel is one.

    >>> image_columns(["t2", "adc"])
    ['image', 'image_adc']
    """
    return [f"{IMAGE}_{name}" if number else IMAGE for number, name in enumerate(channels)]


def headers(columns: Mapping[Column, str] | None, channels: Sequence[str] | None) -> dict[str, str]:
    """The headers of a user's table by our names, those of ``channels``, if there are any, among them.

    >>> headers({"label": "grade"}, ["t2", "adc"])
    {'label': 'grade', 'image': 't2', 'image_adc': 'adc'}
    """
    known = {str(name): header for name, header in (columns or {}).items()}
    return known | dict(zip(image_columns(channels or ()), channels or (), strict=True))


def whole(cell: str, path: Path) -> int:
    """The whole number of a cell; raises LabelError."""
    value = labels.number(cell, path)
    if value != int(value):
        raise LabelError(repr(cell), file=path, expected="a whole number", remedy="correct the cell")
    return int(value)


def time_of(cell: str, count: int, path: Path) -> int | None:
    """Which of so many times of a file a cell means.

    A column of that name may mean something else: it counts where there are several times.
    """
    return whole(cell, path) if cell and count > 1 else None


SIZE = re.compile(r"(\d+(?:[.,]\d+)?)\s*(mm|px|)", re.IGNORECASE)
"""How large a patch is, with a unit or without."""
UNIT = re.compile(r"(?:^|[^a-z])(mm|px)\W*$", re.IGNORECASE)
"""The unit of a column, at the end of its header: ``size_mm``, ``Size (mm)``."""


def extent_of(cell: str, header: str = "") -> str:
    """The extent that a cell of a user's table means, empty for an empty cell.

    A number alone has the unit at the end of the ``header``. Raises LabelError.

    >>> extent_of("40 mm"), extent_of("12,5", "diameter_mm"), extent_of("")
    ('40 mm', '12.5 mm', '')
    """
    if not cell.strip():
        return ""
    found, of_column = SIZE.fullmatch(cell.strip()), UNIT.search(header)
    unit = found and (found[2] or (of_column[1] if of_column else ""))
    if not found or not unit or not 1e-3 <= (size := float(found[1].replace(",", "."))) < 1e6:
        raise LabelError(repr(cell), expected="a size such as 40 mm or 60 px",
                         remedy="write the unit, or end the header in _mm or _px")  # fmt: skip
    return f"{size:.6f}".rstrip("0").rstrip(".") + f" {unit.lower()}"


def names_of(table: pd.DataFrame) -> pd.DataFrame:
    """What findings.csv calls the rows of a table: ``patient_id``, ``finding_id``, and the ``person`` meant.

    ``table`` has the columns image, patient_id and finding_id, its images called as on the disk. An image
    whose patient nobody knows stands for itself, and its person is empty. Repeated finding ids of a person
    get letters. The order of the views is drawn from these names.
    """
    known = persons(table["patient_id"])
    patients = table["patient_id"].where(known != "", table["image"])
    ids = labels.unique_ids(list(zip(known.where(known != "", patients), table["finding_id"], strict=True)))
    return pd.DataFrame({"patient_id": patients, "finding_id": ids, "person": known}, index=table.index)


@dataclass
class Listed:
    """The rows of a table, their images called as on the disk, their labels as numbers, and what is wrong."""

    table: pd.DataFrame
    problems: list[InputError] = field(default_factory=list)
    """Of the table as a whole: with any of them no row counts."""
    missing: dict[int, ImageMissingError] = field(default_factory=dict)
    """By number of the row: images that are not there."""

    def found(self) -> "Listed":
        """The same, or the first of its problems, raised."""
        for problem in self.problems:
            raise problem
        return self


def from_csv(
    raw: Path,
    path: Path,
    files: Collection[str],
    words: Mapping[str, int] | None = None,
    columns: Mapping[str, str] | None = None,
    several: Sequence[str] = (),
    extent: str = "",
    documents: Collection[str] = (),
) -> Listed:
    """The rows of a CSV; ``path`` is absolute or relative to ``raw``, as the images and ``files`` are.

    ``documents`` are files that are no images, which masks may be.

    ``words`` are the labels, and ``columns`` the headers by our names, of a user who has others; among them
    are those of images of further channels, see :func:`headers`. ``several`` are the headers of labels of
    which a finding may have any; they become columns ``label_{header}``.
    ``extent`` is the header of the sizes of patches, which become the column ``extent``.
    Raises EmptyError (there is no such table) and ColumnError.
    """
    path = raw / path
    if not path.is_file():
        raise EmptyError("no such file", file=path, expected="a CSV of findings")
    known = {name: unicodedata.normalize("NFC", header) for name, header in (columns or {}).items()}
    pictures = [IMAGE, *(name for name in known if name.startswith(f"{IMAGE}_"))]
    of_labels = {f"{LABEL}_{name}": unicodedata.normalize("NFC", name) for name in several} or {LABEL: LABEL}
    sized = unicodedata.normalize("NFC", extent)
    needed = [*pictures, *NEEDED[1:3], *of_labels.values(), *([sized] if sized else [])]
    table = labels.read_table(path, needed, numbers=NUMBERS, columns=known)
    if table.empty:
        raise EmptyError("no rows", file=path, expected="a row per finding")
    listed, no_images = Listed(table), {folded(file) for file in documents}
    pointed = (table.reindex(columns=[*PIXELS, *WORLD], fill_value="") != "").any(axis=1).tolist()
    for column in [*pictures, *({MASK} & {*table})]:
        names = Names([*files, *documents] if column == MASK else files, raw, table[column])
        images = table[column].tolist()
        for number, name in enumerate(images):
            if column == MASK and (pointed[number] or not name):
                continue
            try:
                images[number] = names.find(name)
            except ImageMissingError as error:
                if not name:
                    error.found += f" in {known.get(column, column)}"
                elif column != MASK and folded(name) in no_images:
                    error.found = "a file without one"
                    error.remedy = "name a DICOM SEG or RTSTRUCT in the column mask, beside its image"
                listed.missing.setdefault(number, error)
        table[column] = images
    unknown = UNKNOWN if several else None
    for column, header in of_labels.items():
        try:
            table[column] = labels.numbers(table[header], path, words, unknown=unknown)
        except LabelError as error:
            error.found += f" in {header}" if several else ""
            listed.problems.append(error)
    if sized:
        sizes: list[str] = []
        for row, cell in zip(table["image"], table[sized], strict=True):
            try:
                sizes.append(extent_of(cell, extent))
            except LabelError as error:
                error.file, error.found = str(path), f"{error.found} in {extent} of {row}"
                listed.problems.append(error)
                break
        table["extent"] = sizes if len(sizes) == len(table) else ""
    if several and not listed.problems and (bare := (table[list(of_labels)] == UNKNOWN).all(axis=1)).any():
        row = table[bare].iloc[0]
        found = f"none in {int(bare.sum())} rows, such as {row['image']}, {row['finding_id']}"
        remedy = "fill in one of them, or take these rows out"
        listed.problems.append(LabelError(found, file=path, expected="a label in each row", remedy=remedy))
    if (rounded := table["patient_id"][table["patient_id"].map(is_rounded)]).any():
        listed.problems.append(
            LabelError(
                f"{rounded.iloc[0]}, rounded by a spreadsheet", file=path, expected="whole patient ids",
                remedy="format that column as text, and export the table again",
            )
        )  # fmt: skip
    repeated = table[table[["image", "finding_id"]].assign(person=persons(table["patient_id"])).duplicated()]
    if len(repeated):
        row = repeated.iloc[0]
        more = f", and {len(repeated) - 1} more rows" if len(repeated) > 1 else ""
        found = f"{row['patient_id']} {row['finding_id']} twice for {row['image']}{more}"
        listed.problems.append(DuplicateFindingError(found, file=path))
    return listed


def from_folders(
    raw: Path,
    files: Collection[str],
    folders: Mapping[str, int],
    pattern: str | None = None,
    exclude: str | None = None,
) -> Listed:
    """A row for each of the image ``files`` below a folder with a label, and the patient of its name or path.

    A ``pattern`` with a / is about paths.
    """
    listed = Listed(pd.DataFrame(columns=list(NEEDED)))
    known = _on_disk(raw, files, folders, listed.problems)
    rows, strange = [], []
    for file in sorted(files):
        path = PurePosixPath(file)
        label = next((known[name] for name in reversed(path.parts[:-1]) if name in known), None)
        if label is None or (exclude and re.search(exclude, path.name)):
            continue
        match = re.search(pattern, file if "/" in pattern else path.name) if pattern else None
        if pattern and not match:
            strange.append(file)
        patient = match[1] if match else ""
        rows.append({"image": file, "patient_id": patient, "finding_id": path.stem, "label": label})
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        listed.problems.append(
            LabelError(
                f"{PurePosixPath(strange[0]).name!r}{more}", file=strange[0],
                expected=f"a {'path' if '/' in str(pattern) else 'name'} that matches {pattern}",
                remedy="correct patient_pattern, or leave the file out with exclude",
            )
        )  # fmt: skip
    empty = [name for name in known if not any(f"/{name}/" in f"/{row['image']}" for row in rows)]
    if empty:
        expected = f"images in folders {', '.join(empty)}"
        listed.problems.append(EmptyError("none", file=raw, expected=expected))
    listed.table = pd.DataFrame(rows, columns=list(NEEDED)).astype(dict.fromkeys(NEEDED[:3], str))
    return listed


def _on_disk(
    raw: Path, files: Collection[str], folders: Mapping[str, int], problems: list[InputError]
) -> dict[str, int]:
    """The label by name of a folder as it is on the disk, where case and Unicode composition may differ."""
    there = sorted({part for file in files for part in file.split("/")[:-1]})
    known: dict[str, int] = {}
    lost = []
    for name, label in folders.items():
        fits = [name] if name in there else [other for other in there if folded(other) == folded(name)]
        if len(fits) == 1:
            known[fits[0]] = label
        else:
            lost.append(name)
    if lost:
        shown = ", ".join(there[: labels.MOST_SHOWN]) or "none"
        more = f" and {len(there) - labels.MOST_SHOWN} more" if len(there) > labels.MOST_SHOWN else ""
        problems.append(
            EmptyError(
                f"folders {shown}{more}", file=raw, expected=f"images in folders {', '.join(lost)}",
                remedy="name the folders as they are",
            )
        )  # fmt: skip
    return known
