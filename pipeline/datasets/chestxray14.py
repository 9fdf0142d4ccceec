"""NIH ChestX-ray14: PNG of any mode, 14 labels per image from the official table, and the official lists.

``table`` gives all images with their labels and their official split. As a data set of the workflow it is all
labels, of which an image may have several, or one label against the rest or against ``No Finding``; nothing
says where, so the point is the middle.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, get_args

import numpy as np
import pandas as pd
from annotated_types import Gt, Le

from pipeline.classes import LABEL, Classes
from pipeline.datasets import Findings, Source, whole
from pipeline.errors import (
    ConfigError,
    DuplicateFindingError,
    ImageMissingError,
    LabelError,
    LeakError,
    SplitError,
)
from pipeline.patches.reduced import Width
from pipeline.readers import labels
from pipeline.seeds import stream

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
    """NIH ChestX-ray14 as downloaded: its 14 labels as one task, or one of them as a task of two classes."""

    label: Label | None = None
    """label that counts as positive; null takes all labels, of which an image may have several"""
    against: Literal["rest", "no_finding"] = "rest"
    """with `label`, the negative images: all others (rest), or only those without any finding (no_finding)"""
    without: Label | None = None
    """with all labels, the label of a target to transfer to. The label is left out, and so is every patient
    with an image that has it (ChestX-ray13)"""
    negatives: Annotated[float, Gt(0), Le(1)] | None = None
    """share of the patients without the label that a target takes, always the same ones; with `without`,
    they are left to that target. null is all of them with `label`, none with `without`"""
    version: Literal[2020, 2017] = 2020
    """version of the labels: that of 2020, `Data_Entry_2017_v2020.csv`, or the first,
    `Data_Entry_2017.csv`"""
    width: Width | None = None
    """number of columns to which a picture is reduced when it is read, such as 250; its aspect ratio stays.
    null keeps all pixels, with 4 bytes of disk for each"""

    def __post_init__(self) -> None:
        """Raise ConfigError, with the key as its file, for options that do not fit together."""
        if self.label and self.without:
            raise ConfigError(self.without, file="without", expected="all labels beside it, label: null")
        if not self.label and self.against != "rest":
            raise ConfigError(self.against, file="against", expected="a label beside it")
        if not (self.label or self.without) and self.negatives is not None:
            raise ConfigError(f"{self.negatives:g}", file="negatives", expected="label or without beside it")


def classes(options: Options) -> Classes:
    """The two classes of a label, or the labels of which an image may have several."""
    if options.label:
        return Classes(tuple(name.format(label=options.label) for name in CLASSES))
    return Classes(tuple(name for name in LABELS if name != options.without), multilabel=True)


def entries(path: Path) -> pd.DataFrame:
    """The official table: ``image``, ``patient_id`` (eight digits) and a column of 0 and 1 (uint8) per label.

    Raises ColumnError, DuplicateFindingError (an image twice) or LabelError (an unknown label, ``No Finding``
    beside another, a patient that is not the one in the image's name).
    """
    cells = labels.read_table(path, COLUMNS, brackets=True)
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


def official(raw: Path, documents: Iterable[str], options: Options) -> pd.DataFrame:
    """The official lists: ``patient_id``, ``finding_id`` and ``place``, a row per image of the collection."""
    images = table(raw, documents, options.version)
    stems = [PurePosixPath(image).stem for image in images["image"]]
    return images[["patient_id"]].assign(finding_id=stems, place=images["split"])


def chosen(every: pd.DataFrame, options: Options) -> np.ndarray:
    """Which rows of :func:`entries` are of patients that the data set takes, bool (rows,).

    A target of a label and the source ``without`` it share no patient, whatever the order of the table, where
    both have the same ``negatives``.
    """
    asked = options.label or options.without
    if asked is None:
        return np.ones(len(every), bool)
    has = every[asked].groupby(every["patient_id"]).transform("any").to_numpy()
    share = options.negatives if options.negatives is not None else 1.0 if options.label else 0.0
    if share in (0, 1):
        drawn = np.full(len(every), bool(share))
    else:
        who = {patient: stream("negatives", asked, patient).random() < share
               for patient in every["patient_id"].unique()}  # fmt: skip
        drawn = every["patient_id"].map(who).to_numpy(bool)
    of_target: np.ndarray = has | drawn
    return of_target if options.label else ~of_target


def find(source: Source, options: Options) -> Findings:
    """One finding per image of the table that the options ask for."""
    result = Findings()
    every = entries(labels.find(source.documents, ENTRIES[options.version], source.raw))
    at_hand = whole.listed(source, every["image"], result)
    some, taken = every[list(LABELS)].any(axis=1), chosen(every, options)
    names = classes(options).names
    columns = {LABEL: options.label} if options.label else {f"{LABEL}_{name}": name for name in names}
    told = every[list(columns.values())].set_axis(list(columns), axis=1).to_dict("records")
    for image, patient, any_finding, of_ours, marks in zip(
        every["image"], every["patient_id"], some, taken, told, strict=True
    ):
        case = {"patient_id": patient, "finding_id": PurePosixPath(image).stem, "channel": "image"}
        if not of_ours:
            found, expected = ("others", "the target") if options.label else ("the target", "others")
            other = LabelError(f"one of {found}", file=image, expected=f"patients of {expected}")
            result.leave_out(other, kind="excluded", **case)
        elif image not in at_hand:
            result.leave_out(ImageMissingError("none of that name", file=image), **case)
        elif options.against == "no_finding" and any_finding and not marks[LABEL]:
            expected = f"{options.label} or {NO_FINDING}"
            result.leave_out(LabelError("others", file=image, expected=expected), kind="excluded", **case)
        else:
            result.rows.append(whole.row(case, at_hand[image], marks, options.width))
    return result
