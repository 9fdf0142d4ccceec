"""What a DICOM tag that changes a number means: absent, unreadable, given twice or contradicted.

``RULES`` is the table; docs/dicom.md shows it, and tests/test_tags.py goes through its cells. Present but
unreadable is never absent: text, a decimal comma, another count of values, or what is not finite is an error.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from pipeline.errors import MissingTagError, TagValueError

REFUSED, NEEDED = "`E-DCM-VALUE`", "`E-DCM-TAG`"
GROUP = f"functional group: the same, or {REFUSED}"


@dataclass(frozen=True)
class TagRule:
    """A row of the table; an empty cell cannot happen."""

    tag: str
    absent: str
    unreadable: str = REFUSED
    elsewhere: str = ""
    contradictory: str = ""


RULES = (
    TagRule("RescaleSlope, RescaleIntercept", f"real-world mapping, else 1 and 0; in CT {NEEDED}",
            elsewhere=GROUP, contradictory=f"slope 0: {REFUSED}"),
    TagRule("ModalityLUTSequence", "rescale counts",
            contradictory=f"beside a rescale: {REFUSED}; not used in XA, XRF"),
    TagRule("RealWorldValueMappingSequence", "rescale counts",
            elsewhere="beside a rescale: not used, and the log says so",
            contradictory=f"several mappings and no rescale: {REFUSED}"),
    TagRule("Modality", "that of the SOP class", contradictory=f"not that of the SOP class: {REFUSED}"),
    TagRule("PixelPaddingValue", "nothing is padding; in CT what is below −1500 HU",
            contradictory=f"PixelPaddingRangeLimit alone, or more bits than the pixels: {REFUSED}"),
    TagRule("PixelPaddingRangeLimit", "PixelPaddingValue alone"),
    TagRule("DiffusionBValue", "the maker's private tag, else none",
            elsewhere="private tag: DiffusionBValue counts",
            contradictory=f"negative: {REFUSED}"),
    TagRule("private b-value", "none"),
    TagRule("PixelSpacing", f"unknown; {NEEDED} where mm are needed", elsewhere=GROUP,
            contradictory=f"not positive: {REFUSED}"),
    TagRule("ImagePositionPatient", f"unknown; {NEEDED} where a place is needed", elsewhere=GROUP),
    TagRule("ImageOrientationPatient", f"unknown; {NEEDED} where a place is needed", elsewhere=GROUP,
            contradictory="not two perpendicular unit vectors: `E-GEO-ORIENT` where a place is needed"),
    TagRule("SliceThickness", f"unknown; {NEEDED} in a series of one slice", elsewhere=GROUP,
            contradictory=f"negative: {REFUSED}"),
    TagRule("SeriesNumber, AcquisitionNumber, InstanceNumber", "unknown"),
    TagRule("EchoTime", "unknown"),
    TagRule("Rows, Columns, BitsAllocated, SamplesPerPixel", NEEDED),
    TagRule("NumberOfFrames", "1", contradictory=f"pixels of more frames: {REFUSED}; "
            f"another number of functional groups: {NEEDED}"),
    TagRule("BitsStored", NEEDED, contradictory=f"0, or more than BitsAllocated: {REFUSED}"),
    TagRule("HighBit", "BitsStored − 1",
            contradictory=f"below BitsStored − 1, or not below BitsAllocated: {REFUSED}"),
    TagRule("PixelRepresentation", NEEDED, contradictory=f"neither 0 nor 1: {REFUSED}"),
    TagRule("PhotometricInterpretation", NEEDED,
            contradictory=f"unknown, or not of SamplesPerPixel: {REFUSED}"),
)  # fmt: skip
"""What is done, tag by tag."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."
MODALITIES = {
    **dict.fromkeys((f"{_STORAGE}2", f"{_STORAGE}2.1", f"{_STORAGE}2.2"), "CT"),
    **dict.fromkeys((f"{_STORAGE}4", f"{_STORAGE}4.1", f"{_STORAGE}4.4"), "MR"),
    **dict.fromkeys((f"{_STORAGE}128", f"{_STORAGE}130", f"{_STORAGE}128.1"), "PT"),
}
"""SOP classes (0008,0016) of CT, MR and PET: plain, enhanced, and enhanced from plain ones."""
GREY = {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"}
COLOUR = {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"}
"""Photometric interpretations (0028,0004) of one and of three samples per pixel (PS3.3 C.7.6.3.1.2)."""


_tag = functools.cache(Tag)
"""The number of a tag by its keyword, which takes pydicom longer than to read the value."""


def value(ds: Dataset, tag: str) -> Any:
    """The value of a tag, None where it is absent; raises what pydicom does of bytes that are no value."""
    key = _tag(tag)
    return ds[key].value if key in ds else None


def is_absent(ds: Dataset, tag: str) -> bool:
    """Whether a tag is not there, or is empty; what cannot be read is there."""
    key = _tag(tag)
    return key not in ds or ds.get_item(key).value in (None, b"", "")


def numbers(ds: Dataset, tag: str, count: int = 1) -> list[float] | None:
    """The ``count`` finite values of a numeric tag, or None where it is absent or empty.

    Raises TagValueError with the tag.
    """
    try:
        given = value(ds, tag)
    except Exception as error:  # what pydicom raises for bytes that are no value is undocumented
        raise unreadable(tag, "bytes that are no value", count) from error
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    several = list(given) if isinstance(given, MultiValue | list | tuple) else [given]
    try:
        # Python reads 1_000 as a number; no other software does.
        found = [float(one) for one in several if "_" not in str(one)]
    except (TypeError, ValueError, OverflowError):
        found = []
    if len(found) != count or not len(found) == len(several) or not all(map(math.isfinite, found)):
        raise unreadable(tag, "\\".join(str(one) for one in several), count)
    return found


def number(ds: Dataset, tag: str) -> float:
    """The value of a numeric tag, NaN where it is absent or empty; raises TagValueError."""
    found = numbers(ds, tag)
    return float("nan") if found is None else found[0]


def first_number(ds: Dataset, tag: str) -> float:
    """The first value of a tag that may have several, such as a window; NaN where it is absent."""
    found = numbers(ds, tag, ds[tag].VM) if ds.get(tag) not in (None, "") else None
    return found[0] if found else float("nan")


def unreadable(tag: str, found: str, count: int = 1) -> TagValueError:
    """The error of a tag whose value is none; no more of the value than a line can show."""
    what = "one finite number" if count == 1 else f"{count} finite numbers"
    return TagValueError(repr(found[:40]), expected=f"{what} in {tag}")


def text(ds: Dataset, tag: str) -> str:
    """The one text of a tag, empty where it is absent; raises TagValueError."""
    given = value(ds, tag)
    if isinstance(given, MultiValue | list):
        raise TagValueError(repr("\\".join(map(str, given))[:40]), expected=f"one value in {tag}")
    return str(given or "").strip()


def modality(ds: Dataset) -> str:
    """(0008,0060) Modality, or what the SOP class says where it is absent; raises TagValueError."""
    said = text(ds, "Modality").upper()
    stored = str(ds.get("SOPClassUID") or getattr(ds, "file_meta", {}).get("MediaStorageSOPClassUID") or "")
    meant = MODALITIES.get(stored, "")
    if said and meant and said != meant:
        raise TagValueError(f"Modality {said}", expected=f"{meant}, as the SOP class says")
    return said or meant


def check_bits(ds: Dataset) -> None:
    """Raise MissingTagError or TagValueError where the tags that say how pixels are stored make no sense."""
    values: dict[str, float] = {}
    for tag in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation"):
        values[tag] = _whole(ds, tag)
    allocated, stored = values["BitsAllocated"], values["BitsStored"]
    lacking = [tag for tag in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated") if values[tag] == 0]
    if lacking:
        raise MissingTagError("none of them", expected=f"tags {', '.join(lacking)}")
    if not 1 <= stored <= allocated:
        raise TagValueError(f"{stored:g}", expected=f"BitsStored from 1 to {allocated:g}")
    if allocated <= 16 and not is_absent(ds, "HighBit"):  # wider pixels use all their bits
        high = _whole(ds, "HighBit")
        if not stored - 1 <= high < allocated:
            raise TagValueError(f"{high:g}", expected=f"HighBit from {stored - 1:g} to {allocated - 1:g}")
    if values["PixelRepresentation"] not in (0, 1):
        raise TagValueError(f"{values['PixelRepresentation']:g}", expected="0 or 1 in PixelRepresentation")
    photometric = text(ds, "PhotometricInterpretation")
    fitting: dict[float, set[str]] = {1: GREY, 3: COLOUR}
    if photometric not in fitting.get(values["SamplesPerPixel"], GREY | COLOUR):
        raise TagValueError(
            f"{photometric[:40]!r}",
            expected=f"a PhotometricInterpretation of {values['SamplesPerPixel']:g} samples per pixel",
        )


def _whole(ds: Dataset, tag: str) -> float:
    found = number(ds, tag)
    if found != int(found) or found < 0:
        raise unreadable(tag, f"{found:g}")
    return found


def table() -> str:
    """The table of the docs, as Markdown."""
    columns = ("tag", "absent", "unreadable", "elsewhere", "contradictory")
    titles = ("tag", "absent", "unreadable", "given elsewhere too", "contradictory")
    lines = [titles, tuple("---" for _ in titles)]
    lines += [tuple(getattr(rule, name) for name in columns) for rule in RULES]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


Column = Literal["absent", "unreadable", "elsewhere", "contradictory"]


def cells() -> list[tuple[str, Column]]:
    """Every cell of the table in which something is done: tag and column."""
    names: tuple[Any, ...] = ("absent", "unreadable", "elsewhere", "contradictory")
    return [(rule.tag, name) for rule in RULES for name in names if getattr(rule, name)]
