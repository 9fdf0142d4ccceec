"""From stored values to physical ones: modality LUT, rescale, real-world mapping, padding."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut

from pipeline.errors import MissingTagError, TagValueError
from pipeline.readers.dicom import tags

WITHOUT_LUT = {"1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.2"}
"""X-ray angiography and fluoroscopy, whose modality LUT is not for what is shown (PS3.3 C.8.7.1.1.2)."""
HOUNSFIELD = {"[hnsf'U]", "HU"}
"""Codes of Hounsfield units (UCUM)."""
PADDING = {"PixelData": "PixelPaddingValue", "FloatPixelData": "FloatPixelPaddingValue",
           "DoubleFloatPixelData": "DoubleFloatPixelPaddingValue"}  # fmt: skip


def real(ds: Dataset, stored: np.ndarray) -> np.ndarray:
    """Where the stored values are no padding: (0028,0120), up to (0028,0121) where a range is given.

    Pixel Padding Value often has the wrong signedness (63536 for −2000), so its bits are taken and
    read as the pixels are. Raises TagValueError.
    """
    if stored.dtype.kind == "f":
        name = next(tag for data, tag in PADDING.items() if data in ds)
        value = tags.number(ds, name)
        return np.asarray(stored != value)
    value, limit = tags.number(ds, "PixelPaddingValue"), tags.number(ds, "PixelPaddingRangeLimit")
    if np.isnan(value):
        if np.isfinite(limit):
            raise TagValueError("PixelPaddingRangeLimit alone", expected="PixelPaddingValue beside it")
        return np.ones(stored.shape, bool)
    bits = np.array([value, limit if np.isfinite(limit) else value]).astype("i8")
    size = 8 * stored.dtype.itemsize
    if bits.min() < -(1 << size - 1) or bits.max() >= 1 << size:
        raise TagValueError(f"{value:g}", expected=f"a PixelPaddingValue of {size} bits")
    low, high = sorted(bits.astype(f"u{stored.dtype.itemsize}").astype(stored.dtype))
    return np.asarray(stored != low) if low == high else (stored < low) | (stored > high)


def _rescale(ds: Dataset) -> tuple[float, float] | None:
    """Slope and intercept, None where both are absent; one alone has the other's default, but not in CT."""
    given = {tag: tags.number(ds, tag) for tag in ("RescaleSlope", "RescaleIntercept")}
    missing = [tag for tag, value in given.items() if np.isnan(value)]
    if len(missing) == 2:
        return None
    if missing and tags.modality(ds) == "CT":
        raise MissingTagError("none", expected=f"tags {', '.join(missing)}")
    if given["RescaleSlope"] == 0:
        raise TagValueError("0", expected="another RescaleSlope than 0")
    slope, intercept = given.values()
    return 1.0 if np.isnan(slope) else slope, 0.0 if np.isnan(intercept) else intercept


def _mapping(ds: Dataset) -> Dataset | None:
    """The one real-world mapping (0040,9096), None where there is none; raises TagValueError."""
    items = ds.get("RealWorldValueMappingSequence")
    if not items:
        return None
    if not all(isinstance(item, Dataset) for item in items):
        raise TagValueError("no sequence", expected="a sequence in RealWorldValueMappingSequence")
    if len(items) > 1:
        raise TagValueError(f"{len(items)}", expected="one mapping in RealWorldValueMappingSequence")
    return items[0]


def _linear(mapping: Dataset) -> tuple[float, float]:
    slope, intercept = (tags.number(mapping, f"RealWorldValue{name}") for name in ("Slope", "Intercept"))
    if np.isnan(slope) or np.isnan(intercept) or slope == 0:
        raise TagValueError(
            "none" if np.isnan(slope + intercept) else "slope 0",
            expected="a slope and an intercept in RealWorldValueMappingSequence",
        )
    return slope, intercept


def _table(mapping: Dataset, stored: np.ndarray) -> np.ndarray:
    """Values by the mapping's table (0040,9212), whose first entry is for (0040,9216)."""
    first, entries = tags.number(mapping, "RealWorldValueFirstValueMapped"), mapping.RealWorldValueLUTData
    table = np.atleast_1d(np.asarray(entries, "f8"))
    if np.isnan(first) or not np.isfinite(table).all():
        raise TagValueError("no first value, or NaN", expected="a table in RealWorldValueMappingSequence")
    return np.asarray(table[np.clip(stored.astype("i8") - int(first), 0, len(table) - 1)])


def _by_mapping(ds: Dataset, stored: np.ndarray) -> np.ndarray | None:
    """Values by the real-world mapping, None where there is none; in CT only by one to Hounsfield units."""
    mapping = _mapping(ds)
    if mapping is None:
        return None
    units = mapping.get("MeasurementUnitsCodeSequence") or [Dataset()]
    if tags.modality(ds) == "CT" and str(units[0].get("CodeValue", "")) not in HOUNSFIELD:
        return None
    if "RealWorldValueLUTData" in mapping:
        return _table(mapping, stored)
    slope, intercept = _linear(mapping)
    return stored * slope + intercept


def _has_lut(ds: Dataset) -> bool:
    return (
        bool(ds.get("ModalityLUTSequence"))
        and str(ds.get("SOPClassUID")) not in WITHOUT_LUT
        and (tags.modality(ds) not in ("XA", "RF"))
    )


def note(ds: Dataset) -> str:
    """What a reader should hear about how the values were made; empty where all is plain."""
    if "RealWorldValueMappingSequence" not in ds:
        return ""
    rescale = _rescale(ds)
    if rescale is None or not ds.get("RealWorldValueMappingSequence"):
        return ""
    try:
        mapping = _mapping(ds)
        same = mapping is not None and np.allclose(_linear(mapping), rescale, rtol=1e-6)
    except TagValueError:
        same = False
    return "" if same else "RescaleSlope and RescaleIntercept are used, not its other real-world mapping"


def _scaled(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """The rescaled values, rounded once to float32, in which they are made where all are whole and exact."""
    whole = stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2 and slope.is_integer()
    if whole and intercept.is_integer() and 2**16 * abs(slope) + abs(intercept) < 2**24:
        values = stored.astype("f4")
        if slope != 1:  # it is 1 in most CTs, and this is a pass over all values
            values *= slope
        values += intercept
        return values
    return np.asarray((stored * slope + intercept).astype("f4"))


def physical(ds: Dataset, stored: np.ndarray) -> np.ndarray:
    """Stored values → physical units (HU in CT), float32.

    By the modality LUT (0028,3000), else by slope and intercept (0028,1053), (0028,1052), else by the
    real-world mapping (0040,9096). Without any an MR keeps its stored values; a CT raises MissingTagError,
    since a Hounsfield number cannot be guessed. MONOCHROME1 (0028,0004) is turned round so that high is
    bright, but not in CT, where it only says how to show Hounsfield units. Raises TagValueError.
    """
    rescale = _rescale(ds)
    values: np.ndarray | None
    if _has_lut(ds):
        if rescale is not None:
            raise TagValueError("both", expected="ModalityLUTSequence or a rescale")
        try:
            values = apply_modality_lut(stored, ds)
        except Exception as error:  # a LUT of a wrong length or type raises anything
            raise TagValueError(str(error), expected="a readable ModalityLUTSequence") from error
    elif rescale is not None:
        values = _scaled(stored, *rescale)
    else:
        values = _by_mapping(ds, stored)
    is_ct = tags.modality(ds) == "CT"
    if values is None:
        if is_ct:
            raise MissingTagError("none", expected="tags RescaleSlope, RescaleIntercept")
        values = stored
    values = values.astype("f4", copy=values is stored)
    return -values if ds.get("PhotometricInterpretation") == "MONOCHROME1" and not is_ct else values
