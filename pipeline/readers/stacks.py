"""Which images of an index make one stack: one series, one contrast, one pass over the body.

SeriesInstanceUID alone does not say: a series may hold several b-values, echoes, kinds of image or times, and
some scanners (Canon) give each slice a series of its own.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.readers import geometry
from pipeline.readers.dicom import NUMBER_TAGS, TEXT_TAGS

SERIES = ("patient_id", "study_uid", "series_uid", "modality")
"""Columns of one series. Careless software gives series of several patients or modalities one UID."""
CONTRAST = (
    "series_number", "series_description", "image_type", "b_value", "echo_time_ms", "echo_numbers",
    "inversion_time_ms", "flip_angle", "sequence_name", "convolution_kernel",
)  # fmt: skip
"""Columns in which the images of a stack are alike, too."""
PASSES = ("temporal_position", "acquisition_number")
"""Columns in which images differ that were taken of the same place one after the other."""
SLICED = {"CT", "MR", "PT"}
"""Modalities whose images are slices of one grid."""
TAGS = {**TEXT_TAGS, **NUMBER_TAGS, "image_type": "ImageType", "b_value": "DiffusionBValue"}


def _lone_slices(images: pd.DataFrame) -> pd.Series:
    """SeriesInstanceUID, or the first of them all where each slice of a series has one of its own.

    Such slices agree in study, number, contrast and grid, are parallel, and no two lie at one position.
    """
    uids = images["series_uid"]
    if len(images) > 1 and uids.nunique() == 1:
        return uids
    places = images[geometry.POSITION + geometry.ORIENTATION + geometry.SPACING]
    lone = (uids.groupby(uids).transform("size") == 1) & images["modality"].isin(SLICED)
    lone &= np.isfinite(places.to_numpy(float)).all(axis=1) & images["series_number"].notna()
    if lone.sum() < 2:
        return uids
    same = [name for name in (*SERIES, *CONTRAST, "rows", "columns") if name != "series_uid"]
    alike = images.loc[lone, same].assign(**places[lone][geometry.ORIENTATION + geometry.SPACING].round(3))
    uids = uids.copy()
    for _, part in images[lone].groupby([alike[name] for name in alike], dropna=False):
        if len(part) > 1 and _orderly(part, regular=False):
            uids.loc[part.index] = part["series_uid"].min()
    return uids


def _orderly(images: pd.DataFrame, *, regular: bool = True) -> bool:
    """Whether images are parallel slices, no two at one position, and if so wanted at a regular distance."""
    try:
        _, positions = geometry.ordered(images)
    except InputError:
        return False
    return not regular or geometry.is_regular(positions)


def _passes(images: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The images of one contrast, in passes where they are no regular stack together but each pass is one.

    Passes that follow each other in space, such as a CT in two breaths, are one stack.
    """
    for name in PASSES:
        if images[name].nunique(dropna=False) == 1:
            continue
        parts = [part for _, part in images.groupby(name, dropna=False)]
        if not _orderly(images) and all(map(_orderly, parts)) and _overlap(parts):
            yield from parts
            return
    yield images


def _overlap(parts: Sequence[pd.DataFrame]) -> bool:
    """Whether the slabs of passes overlap."""
    normal = geometry.plane(parts[0].iloc[0]).normal
    along = [part[geometry.POSITION].to_numpy(float) @ normal for part in parts]
    slabs = sorted((one.min(), one.max()) for one in along)
    return any(below[1] > above[0] for below, above in itertools.pairwise(slabs))


def split(images: pd.DataFrame) -> list[pd.DataFrame]:
    """The stacks of DICOM images (rows of an index), in the order of their UIDs and contrasts."""
    if len(images) < 2:
        return [images] if len(images) else []
    keys = [_lone_slices(images), *(images[name] for name in (*SERIES, *CONTRAST) if name != "series_uid")]
    return [one for _, part in images.groupby(keys, dropna=False, sort=True) for one in _passes(part)]


def numbers(images: pd.DataFrame) -> np.ndarray:
    """The number of the stack that each DICOM image belongs to, 0, 1, … (images,)."""
    found = np.zeros(len(images), int)
    place = pd.Series(np.arange(len(images)), index=images.index)
    for number, part in enumerate(split(images)):
        found[place[part.index].to_numpy(int)] = number
    return found


TIMES = ("b_value", *PASSES)
"""Columns in which stacks may differ and be told apart by a number."""


def are_times(stacks: Sequence[pd.DataFrame]) -> bool:
    """Whether stacks are one place at several b-values, times or acquisitions, and differ in nothing else."""
    firsts = pd.concat([stack.iloc[:1] for stack in stacks])
    # A sequence may be named after its b-value.
    others = [name for name in (*SERIES, *CONTRAST) if name not in (*TIMES, "sequence_name")]
    alike = bool((firsts[others].nunique(dropna=False) == 1).all())
    return alike and not firsts.duplicated(list(TIMES)).any()


def in_time(stacks: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Such stacks in the order of b-value, time and acquisition."""
    return sorted(stacks, key=lambda stack: tuple(stack[list(TIMES)].iloc[0].fillna(-1)))


def difference(stacks: Sequence[pd.DataFrame]) -> str:
    """The tags in which stacks differ, in words."""
    firsts = pd.concat([stack.iloc[:1] for stack in stacks])
    names = (*SERIES, *CONTRAST, *PASSES)
    found = [TAGS[name] for name in names if firsts[name].nunique(dropna=False) > 1]
    return f"{len(stacks)} that differ in {', '.join(found) or 'nothing that is known'}"
