"""NIH ChestX-ray14: PNG of any mode, 14 labels per image from the official table, and the official lists.

``table`` gives all images with their labels and their official split. As a data set of the workflow it is
one label against the rest, or against ``No Finding``; nothing says where, so the point is the middle.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

import numpy as np
import pandas as pd

from pipeline.datasets import Findings, Source, pixel_row
from pipeline.errors import (
    DuplicateFindingError,
    ImageMissingError,
    LabelError,
    LeakError,
    SplitError,
    UnlabelledError,
)
from pipeline.readers import labels

Label = Literal[
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
]  # fmt: skip
LABELS: tuple[str, ...] = get_args(Label)
"""The 14 labels, in the order of the paper and its extension."""
NO_FINDING = "No Finding"
ENTRIES = {2020: "Data_Entry_2017_v2020.csv", 2017: "Data_Entry_2017.csv"}
"""The table by version of its labels; of Pneumonia the later has 1,431 images, the earlier 1,353."""
LISTS = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
"""The official lists by split, of 86,524 and 25,596 images."""
COLUMNS = ("Image Index", "Finding Labels", "Patient ID")
PATIENT_DIGITS = 8
CLASSES = ("no {label}", "{label}")
EXTENT = PAPER_EXTENT = "whole"


@dataclass(frozen=True)
class Options:
    """NIH ChestX-ray14 as downloaded, one of its 14 labels as a task of two classes."""

    label: Label
    """label that counts as positive"""
    against: Literal["rest", "no_finding"] = "rest"
    """what is negative, all other images or only those without any finding"""
    version: Literal[2020, 2017] = 2020
    """version of the labels, `Data_Entry_2017_v2020.csv` or the first, `Data_Entry_2017.csv`"""


def entries(path: Path) -> pd.DataFrame:
    """The official table: ``image``, ``patient_id`` (eight digits) and a column of 0 and 1 (uint8) per label.

    Raises ColumnError, DuplicateFindingError (an image twice) or LabelError (an unknown label, ``No Finding``
    beside another, a patient that is not the one in the image's name).
    """
    cells = labels.read_csv(path, COLUMNS, brackets=True)
    images, named, patients = (cells[name].tolist() for name in COLUMNS)
    if cells["Image Index"].duplicated().any():
        twice = cells["Image Index"][cells["Image Index"].duplicated()].iloc[0]
        raise DuplicateFindingError(f"{twice} twice", file=path, expected="one row per image")
    place = {name: number for number, name in enumerate(LABELS)}
    hot = np.zeros((len(cells), len(LABELS)), "u1")
    for row, (image, words, patient) in enumerate(zip(images, named, patients, strict=True)):
        if patient.zfill(PATIENT_DIGITS) != image[:PATIENT_DIGITS]:
            found = f"patient {patient or 'nothing'} of {image}"
            raise LabelError(found, file=path, expected="the patient that the name of the image begins with")
        if words == NO_FINDING:
            continue
        for word in words.split("|"):
            if word not in place:
                found = f"{words or 'nothing'!r} of {image}"
                raise LabelError(found, file=path, expected=f"{NO_FINDING} alone, or {', '.join(LABELS)}")
            hot[row, place[word]] = 1
    table = pd.DataFrame({"image": images, "patient_id": [image[:PATIENT_DIGITS] for image in images]})
    return pd.concat([table.astype(str), pd.DataFrame(hot, columns=list(LABELS))], axis=1)


def table(raw: Path, documents: Iterable[str], version: int = 2020) -> pd.DataFrame:
    """All images with their labels and their official ``split``: ``train_val`` or ``test``.

    ``documents`` are the relative paths of the files below ``raw`` that are no images. Besides what
    :func:`entries` raises: RawMissingError (a file is not there), SplitError (an image in no list, or a list
    with others) or LeakError (a patient, or an image, in both lists).
    """
    documents = list(documents)
    every = entries(labels.find(documents, ENTRIES[version], raw))
    listed: dict[str, str] = {}
    for split, name in LISTS.items():
        path = labels.find(documents, name, raw)
        images = path.read_text(encoding="utf-8-sig").split()
        if twice := listed.keys() & set(images):
            raise LeakError(f"{len(twice)} images in both, such as {min(twice)}", file=path)
        listed |= dict.fromkeys(images, split)
    if strange := listed.keys() ^ set(every["image"]):
        found = f"{len(strange)} in the table or in the lists alone, such as {min(strange)}"
        remedy = "take the table and the two lists as published"
        raise SplitError(found, file=raw, expected="the images of the table in the lists", remedy=remedy)
    every.insert(2, "split", every["image"].map(listed))
    splits = every.groupby("patient_id")["split"].nunique()
    if (splits > 1).any():
        crossing = splits.index[splits > 1]
        found = f"{len(crossing)} patients in both lists: {', '.join(crossing[:5])}"
        raise LeakError(found, file=raw, remedy="take the two lists as published")
    return every


def find(source: Source, options: Options) -> Findings:
    """One finding per image of the table: one label against the rest, or against images without a finding."""
    result = Findings()
    every = entries(labels.find(source.documents, ENTRIES[options.version], source.raw))
    pictures = source.index[source.index["format"] == "image"].sort_values("file")
    names = pictures["file"].map(lambda file: PurePosixPath(file).name)
    at_hand = pictures.set_axis(names).loc[lambda table: ~table.index.duplicated()]
    for name in at_hand.index.difference(every["image"]):
        error = UnlabelledError("an image that the table does not have", file=at_hand.at[name, "file"])
        result.leave_out(error, kind="excluded")
    any_finding = every[list(LABELS)].any(axis=1)
    for image, patient, label, some in zip(
        every["image"], every["patient_id"], every[options.label], any_finding, strict=True
    ):
        case = {"patient_id": patient, "finding_id": PurePosixPath(image).stem, "channel": "image"}
        if image not in at_hand.index:
            result.leave_out(ImageMissingError("none of that name", file=image), **case)
        elif options.against == "no_finding" and some and not label:
            expected = f"{options.label} or {NO_FINDING}"
            result.leave_out(LabelError("others", file=image, expected=expected), kind="excluded", **case)
        else:
            picture = at_hand.loc[image]
            middle = pixel_row((picture["columns"] - 1) / 2, (picture["rows"] - 1) / 2)
            where = {"group_id": patient, "centre": "image", "file": picture["file"]}
            result.rows.append({**case, **where, "label": int(label), **middle})
    return result
