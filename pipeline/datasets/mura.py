"""MURA: X-rays of the arm, from the elbow to the fingers, a study of some of them normal or abnormal.

Labels are those of the official lists, one for a study such as train/XR_HAND/patient00001/study1_negative.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from pipeline.datasets import Findings, Source, whole
from pipeline.errors import ImageMissingError, LabelError
from pipeline.patches.reduced import Width
from pipeline.readers import labels

CLASSES = ("normal", "abnormal")
EXTENT = PAPER_EXTENT = "whole"
LISTS = ("train", "valid")
IMAGE = re.compile(r"(train|valid)/XR_([A-Z]+)/(patient\d+)/(study\d+)_(?:negative|positive)/([^/]+)\.png")
PARTS = 5
"""Folders and name of an image, as the lists have them after the folder of the version."""

Region = Literal["elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist"]


@dataclass(frozen=True)
class Options:
    """MURA as downloaded, with its lists: abnormal against normal images."""

    regions: list[Region] | None = None
    """parts of the arm to take; null is all seven"""
    width: Width | None = None
    """number of columns to which a picture is reduced when it is read, such as 250; its aspect ratio stays.
    null keeps all pixels, with 4 bytes of disk for each"""


def _lines(raw: Path, documents: Iterable[str], name: str) -> tuple[Path, list[str]]:
    path = labels.find(documents, name, raw)
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    return path, [line for line in lines if line]


def images(raw: Path, documents: Iterable[str]) -> pd.DataFrame:
    """All images of the lists: ``image`` (its last PARTS), patient_id, finding_id, region, label and list.

    Raises RawMissingError (a list is not there) or LabelError (a line that is no image or study, a study
    without a label).
    """
    documents, rows = list(documents), []
    for name in LISTS:
        path, lines = _lines(raw, documents, f"{name}_labeled_studies.csv")
        marks = {}
        for line in lines:
            study, _, cell = line.rpartition(",")
            marks[whole.tail(study, PARTS - 1)] = labels.binary(cell, path)
        path, lines = _lines(raw, documents, f"{name}_image_paths.csv")
        for line in lines:
            image = whole.tail(line, PARTS)
            match = IMAGE.fullmatch(image)
            study = image.rpartition("/")[0]
            if not match or match[1] != name or study not in marks:
                raise LabelError(
                    line, file=path, expected=f"images of {name}/ with a study in its other list"
                )
            region = match[2].lower()
            finding_id = f"{region}-{match[4]}-{match[5]}"
            rows.append((image, match[3], finding_id, region, marks[study], name))
    return pd.DataFrame(rows, columns=["image", "patient_id", "finding_id", "region", "label", "list"])


def official(raw: Path, documents: Iterable[str], _: Options) -> pd.DataFrame:
    """The official lists: ``train`` trains, and ``valid``, for the test is not public, tests."""
    return whole.official(images(raw, documents))


def find(source: Source, options: Options) -> Findings:
    """One finding per image of the lists."""
    result = Findings()
    every = images(source.raw, source.documents)
    at_hand = whole.listed(source, every["image"], result, PARTS)
    if options.regions:
        every = every[every["region"].isin(options.regions)]
    for image, patient, finding, label in zip(
        every["image"], every["patient_id"], every["finding_id"], every["label"], strict=True
    ):
        case = {"patient_id": patient, "finding_id": finding, "channel": "image"}
        if image in at_hand:
            result.rows.append(whole.row(case, at_hand[image], {"label": int(label)}, options.width))
        else:
            result.leave_out(ImageMissingError("none of that name", file=image), **case)
    return result
