"""Enhanced DICOM: what the functional groups say of a frame, as if it were a plain file (PS3.3 C.7.6.16)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from pipeline.errors import MissingTagError, TagValueError
from pipeline.readers.dicom import tags

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
MACROS = {
    "PixelMeasuresSequence": {"PixelSpacing": "PixelSpacing", "SliceThickness": "SliceThickness"},
    "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
    "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
    "PixelValueTransformationSequence": {
        "RescaleSlope": "RescaleSlope",
        "RescaleIntercept": "RescaleIntercept",
    },
    "MRDiffusionSequence": {"DiffusionBValue": "DiffusionBValue"},
    "MREchoSequence": {"EffectiveEchoTime": "EchoTime"},
    "MRTimingAndRelatedParametersSequence": {"FlipAngle": "FlipAngle"},
    "CTReconstructionSequence": {"ConvolutionKernel": "ConvolutionKernel"},
    "FrameContentSequence": {
        "TemporalPositionIndex": "TemporalPositionIdentifier",
        "FrameAcquisitionNumber": "AcquisitionNumber",
    },
    "FrameVOILUTSequence": {"WindowCenter": "WindowCenter", "WindowWidth": "WindowWidth"},
    **{
        f"{name}FrameTypeSequence": {"FrameType": "ImageType"}
        for name in ("MRImage", "CTImage", "PET")
    },
}  # fmt: skip
"""Functional group macro → its tag → that of a plain file."""
MAPPING = "RealWorldValueMappingSequence"
OVER_THE_FILE = {
    "ImageType",
    "EchoTime",
    "FlipAngle",
    "ConvolutionKernel",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "WindowCenter",
    "WindowWidth",
}
"""What a file says of all its frames at once, so that a frame may say otherwise."""


def called(file: str, frame: int) -> str:
    """What an index calls frame 0, 1, … of a file: with its number, counted from 1 as in DICOM."""
    return f"{file}#{frame + 1}"


def named(path: Path) -> tuple[Path, int | None]:
    """The file on disk, and which of its frames (0, 1, …) is meant: ``scan.dcm#3`` is the third of scan.dcm.

    >>> named(Path("scan.dcm#3"))[1], named(Path("scan.dcm"))[1]
    (2, None)
    """
    name, _, number = path.name.rpartition("#")
    if not name or not number.isdecimal() or path.exists():
        return path, None
    return path.with_name(name), int(number) - 1


def is_enhanced(ds: Dataset) -> bool:
    """Whether a data set has functional groups."""
    return bool(ds.get(SHARED) or ds.get(PER_FRAME))


def count(ds: Dataset) -> int:
    """(0028,0008) Number of Frames, 1 where it is absent; raises TagValueError."""
    found = tags.numbers(ds, "NumberOfFrames") or [1.0]
    if found[0] != int(found[0]) or found[0] < 1:
        raise TagValueError(f"{found[0]:g}", expected="a whole number of frames in NumberOfFrames")
    return int(found[0])


def groups(ds: Dataset, frame: int) -> Iterator[Dataset]:
    """The shared group, and that of frame 0, 1, …; raises MissingTagError or TagValueError."""
    for name in (SHARED, PER_FRAME):
        items = ds.get(name)
        if not items:
            continue
        wanted = frame if name == PER_FRAME else 0
        if isinstance(items, str | bytes) or not all(
            isinstance(item, Dataset) for item in items[wanted : wanted + 1]
        ):
            raise TagValueError("no sequence", expected=f"a sequence in {name}")
        expected = count(ds) if name == PER_FRAME else 1
        if len(items) != expected:
            plural = "" if expected == 1 else "s"
            raise MissingTagError(f"{len(items)}", expected=f"{expected} item{plural} in {name}")
        yield items[wanted]


def flat(ds: Dataset, frame: int = 0) -> Dataset:
    """One frame as a plain data set: the file's own tags, and those of its functional groups.

    A file without functional groups is given back as it is. Raises TagValueError where two places that
    cannot both be right disagree.
    """
    if not is_enhanced(ds):
        return ds
    one = Dataset()
    one.update({key: value for key, value in ds.items() if key not in (Tag(SHARED), Tag(PER_FRAME))})
    one.file_meta = ds.file_meta
    taken: set[str] = set()
    for group in groups(ds, frame):
        for macro, names in MACROS.items():
            for item in group.get(macro) or ():
                for name, plain in names.items():
                    if not tags.is_absent(item, name):
                        _take(one, plain, _read(item, name), taken)
        if MAPPING in group:
            one[MAPPING] = group[MAPPING]
    return one


def _read(item: Dataset, name: str) -> DataElement:
    """A tag of a group; raises TagValueError where its bytes are no value."""
    try:
        return item[name]
    except Exception as error:  # what pydicom raises is undocumented
        raise tags.unreadable(name, "bytes that are no value") from error


def _take(one: Dataset, name: str, element: DataElement, taken: set[str]) -> None:
    """Put a tag of a group into the plain data set, or say that what stands there is another."""
    stands = name in taken or name not in OVER_THE_FILE
    if stands and one.get(name) not in (None, "") and not _same(one, name, element):
        raise TagValueError(
            f"{str(one[name].value)[:40]} and {str(element.value)[:40]}",
            expected=f"one {name} in the file and its functional groups",
        )
    taken.add(name)
    one.add(DataElement(Tag(name), element.VR, element.value, already_converted=True))


def _same(one: Dataset, name: str, element: DataElement) -> bool:
    """Whether a tag has the same value in both places, as numbers where it holds some."""
    there = Dataset()
    there.add(DataElement(Tag(name), element.VR, element.value, already_converted=True))
    size = element.VM
    try:
        return np.allclose(
            tags.numbers(one, name, size) or [], tags.numbers(there, name, size) or [], rtol=1e-6
        )
    except (TagValueError, ValueError):
        return str(one[name].value) == str(element.value)
