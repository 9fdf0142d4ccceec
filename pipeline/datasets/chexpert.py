"""CheXpert: chest X-rays with labels that a program read in reports: positive, negative, uncertain, or none.

What a report does not mention counts as negative. For uncertain labels Irvin et al. tried several policies.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.classes import LABEL, UNKNOWN, Classes
from pipeline.datasets import Findings, Source, whole
from pipeline.errors import ImageMissingError, LabelError, UnlabelledError
from pipeline.patches.reduced import Width
from pipeline.readers import labels

LABELS = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""Those that Irvin et al. and Romero et al. use, of 14."""
UNCERTAIN = {
    "best": {"Atelectasis": 1, "Cardiomegaly": 0, "Consolidation": 0, "Edema": 1, "Pleural Effusion": 1},
    "zeros": dict.fromkeys(LABELS, 0),
    "ones": dict.fromkeys(LABELS, 1),
    "ignore": dict.fromkeys(LABELS, UNKNOWN),
}
"""What an uncertain label counts as, by policy."""
CELLS = {"": 0, "0": 0, "0.0": 0, "1": 1, "1.0": 1}
DOUBT = ("-1", "-1.0")
LISTS = ("train", "valid")
IMAGE = re.compile(r"(train|valid)/(patient\d+)/(study\d+)/([^/]+)_(frontal|lateral)\.jpg")
PARTS = 4
CLASSES = LABELS
EXTENT = PAPER_EXTENT = "whole"


@dataclass(frozen=True)
class Options:
    """CheXpert as downloaded, small or full: five labels, of which an image may have several."""

    uncertain: Literal["best", "zeros", "ones", "ignore"] = "best"
    """what an uncertain label counts as: 1 for Atelectasis, Edema and Pleural Effusion and 0 for Cardiomegaly
    and Consolidation (best, as Romero et al. chose by the results of Irvin et al.), 0 (zeros), 1 (ones), or
    unknown (ignore)"""
    projection: Literal["all", "frontal"] = "all"
    """all images, or only frontal ones, like those of ChestX-ray14"""
    width: Width | None = None
    """number of columns to which a picture is reduced when it is read, such as 250; its aspect ratio stays.
    null keeps all pixels, with 4 bytes of disk for each"""


def classes(_: Options) -> Classes:
    """The five labels."""
    return Classes(LABELS, multilabel=True)


def images(raw: Path, documents: Iterable[str], uncertain: str = "best") -> pd.DataFrame:
    """All images of the lists: ``image`` (its last PARTS), patient_id, finding_id, projection, list, labels.

    Raises RawMissingError (a list is not there), ColumnError or LabelError (a path or a cell that cannot be).
    """
    documents, tables = list(documents), []
    for name in LISTS:
        path = labels.find(documents, f"{name}.csv", raw)
        cells = labels.read_table(path, ["Path", *LABELS])
        paths = [whole.tail(line, PARTS) for line in cells["Path"]]
        matches = [IMAGE.fullmatch(image) for image in paths]
        for image, match in zip(paths, matches, strict=True):
            if not match or match[1] != name:
                raise LabelError(
                    image, file=path, expected=f"images such as {name}/patient1/study1/view1_frontal.jpg"
                )
        parts = [match.groups() for match in matches if match]
        table = pd.DataFrame(parts, columns=["list", "patient_id", "study", "view", "projection"])
        table.insert(0, "image", paths)
        table.insert(2, "finding_id", table["study"] + "-" + table["view"])
        for label in LABELS:
            known = CELLS | dict.fromkeys(DOUBT, UNCERTAIN[uncertain][label])
            marks = cells[label].map(known)
            if marks.isna().any():
                found = f"{cells[label][marks.isna()].iloc[0]!r} of {label}"
                raise LabelError(found, file=path, expected="1.0, 0.0, -1.0 or nothing")
            table[label] = marks.to_numpy(np.uint8)
        tables.append(table.drop(columns=["study", "view"]))
    return pd.concat(tables, ignore_index=True)


def official(raw: Path, documents: Iterable[str], _: Options) -> pd.DataFrame:
    """The official lists: ``train.csv`` trains, and ``valid.csv``, read by three radiologists, tests."""
    return whole.official(images(raw, documents))


def find(source: Source, options: Options) -> Findings:
    """One finding per image of the lists."""
    result = Findings()
    every = images(source.raw, source.documents, options.uncertain)
    at_hand = whole.listed(source, every["image"], result, PARTS)
    if options.projection == "frontal":
        every = every[every["projection"] == "frontal"]
    marks = every[list(LABELS)].add_prefix(f"{LABEL}_")
    unknown = (marks == UNKNOWN).all(axis=1)
    marks = marks.astype(object).where(marks != UNKNOWN, "")
    for image, patient, finding, nothing, row in zip(
        every["image"],
        every["patient_id"],
        every["finding_id"],
        unknown,
        marks.to_dict("records"),
        strict=True,
    ):
        case = {"patient_id": patient, "finding_id": finding, "channel": "image"}
        if image not in at_hand:
            result.leave_out(ImageMissingError("none of that name", file=image), **case)
        elif nothing:
            result.leave_out(UnlabelledError("uncertain labels alone", file=image), kind="excluded", **case)
        else:
            result.rows.append(whole.row(case, at_hand[image], row, options.width))
    return result
