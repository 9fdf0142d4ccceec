"""DICOM: the header of one file as a row, and the pixels of one file in physical units."""

import os
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_rescale

from pipeline.errors import (
    MissingTagError,
    MultiFrameError,
    NotDicomError,
    NotImageError,
    SyntaxUnsupportedError,
    TruncatedError,
)

# Collections in the wild break many small rules of the standard; what matters is checked below.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

TEXT_TAGS = {
    "patient_id": "PatientID",
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
    "sop_instance_uid": "SOPInstanceUID",
    "study_date": "StudyDate",
    "modality": "Modality",
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "series_description": "SeriesDescription",
    "photometric": "PhotometricInterpretation",
}
NUMBER_TAGS = {
    "series_number": "SeriesNumber",
    "acquisition_number": "AcquisitionNumber",
    "instance_number": "InstanceNumber",
    "rows": "Rows",
    "columns": "Columns",
}
VECTOR_TAGS = {
    "ImagePositionPatient": ("position_x", "position_y", "position_z"),
    "ImageOrientationPatient": ("row_x", "row_y", "row_z", "column_x", "column_y", "column_z"),
    "PixelSpacing": ("spacing_row_mm", "spacing_column_mm"),
}
B_VALUE = (0x0018, 0x9087)
SIEMENS_B_VALUE = (0x0019, 0x100C)
PIXEL_TAGS = ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "PixelRepresentation")
REQUIRED_TAGS = ("SOPInstanceUID", "SeriesInstanceUID", *PIXEL_TAGS)
HEADER_TAGS = [
    *TEXT_TAGS.values(), *NUMBER_TAGS.values(), *VECTOR_TAGS, *PIXEL_TAGS,
    "ImageType", "NumberOfFrames", B_VALUE, (0x0019, 0x0010), SIEMENS_B_VALUE,
]  # fmt: skip
NOT_IMAGES = {"SR", "SEG", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE", "REG", "DOC"}
"""Modalities (0008,0060) that hold no image of their own."""


def is_dicom(start: bytes) -> bool:
    """Whether a file that begins with these bytes has the DICOM preamble (PS3.10 section 7.1)."""
    return start[128:132] == b"DICM"


def b_value(ds: Dataset) -> float:
    """The diffusion b-value in s/mm²; NaN where there is none.

    (0018,9087) where it is given; else Siemens' private (0019,100C), whose value arrives as raw bytes
    such as ``b'400 '`` because its VR is unknown (UN).
    """
    for tag in (B_VALUE, SIEMENS_B_VALUE):
        if tag in ds:
            value = ds[tag].value
            text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
            try:
                return float(text.strip("\0 "))
            except ValueError:
                continue
    return float("nan")


def _numbers(value: Any, count: int) -> list[float]:
    try:
        numbers = [float(v) for v in value]
    except (TypeError, ValueError):
        numbers = []
    return numbers if len(numbers) == count else [float("nan")] * count


def _check_length(ds: Dataset, file: BinaryIO, path: Path) -> None:
    """Compare the pixel data with what Rows, Columns and Bits promise, without reading them."""
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax.is_deflated:
        return
    start, size = file.tell(), os.fstat(file.fileno()).st_size
    header = file.read(12)
    if header[:2] != (b"\xe0\x7f" if syntax.is_little_endian else b"\x7f\xe0"):
        raise MissingTagError("no PixelData", file=path, expected="an image")
    if syntax.is_compressed:
        return
    order = "little" if syntax.is_little_endian else "big"
    skip, length = (4, header[4:8]) if syntax.is_implicit_VR else (8, header[8:12])
    stated = int.from_bytes(length, order)  # type: ignore[arg-type]
    present = min(stated, size - start - skip - 4)
    needed = ds.Rows * ds.Columns * ds.SamplesPerPixel * ds.BitsAllocated // 8
    if present < needed:
        raise TruncatedError(f"{present}", file=path, expected=f"{needed} bytes of pixel data")


def read_header(path: Path) -> dict[str, Any]:
    """The tags that later steps need, as one flat row; positions in mm (LPS), spacing in mm.

    Raises NotDicomError, NotImageError, MissingTagError, MultiFrameError or TruncatedError.
    """
    with path.open("rb") as file:
        try:
            ds = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=HEADER_TAGS)
        except (InvalidDicomError, EOFError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise NotDicomError(f"an unreadable header ({error})", file=path) from error
        modality = str(ds.get("Modality", ""))
        if modality in NOT_IMAGES:
            raise NotImageError(f"modality {modality}", file=path)
        if "TransferSyntaxUID" not in ds.file_meta:
            raise MissingTagError("no TransferSyntaxUID", file=path, expected="a transfer syntax")
        missing = [tag for tag in REQUIRED_TAGS if ds.get(tag) in (None, "")]
        if missing:
            raise MissingTagError("none of them", file=path, expected=f"tags {', '.join(missing)}")
        if int(ds.get("NumberOfFrames") or 1) > 1:
            raise MultiFrameError(f"{ds.NumberOfFrames} frames", file=path)
        image_type = ds.get("ImageType") or []
        if "MOSAIC" in image_type:
            raise NotImageError("a MOSAIC of slices", file=path)
        _check_length(ds, file, path)
    row: dict[str, Any] = {name: str(ds.get(tag) or "").strip() for name, tag in TEXT_TAGS.items()}
    for name, tag in NUMBER_TAGS.items():
        row[name] = float(ds[tag].value) if ds.get(tag) not in (None, "") else float("nan")
    for tag, names in VECTOR_TAGS.items():
        row.update(zip(names, _numbers(ds.get(tag), len(names)), strict=True))
    row["image_type"] = "\\".join([image_type] if isinstance(image_type, str) else image_type)
    row["b_value"] = b_value(ds)
    return row


def _decode(ds: Dataset, path: Path) -> np.ndarray:
    syntax = ds.file_meta.TransferSyntaxUID
    try:
        # Some writers pad the pixel data, which pydicom remarks on; too little of it is our error.
        with warnings.catch_warnings(action="ignore"):
            return ds.pixel_array
    except (NotImplementedError, RuntimeError, AttributeError, ValueError) as error:
        if syntax.is_compressed:
            raise SyntaxUnsupportedError(
                f"{syntax.name} ({syntax}): {error}", file=path, expected="a decodable transfer syntax"
            ) from error
        raise TruncatedError(str(error), file=path, expected="whole pixel data") from error


def read_dataset(path: Path) -> tuple[Dataset, np.ndarray]:
    """A file's data set and its stored values (rows, columns), integers as stored.

    Raises SyntaxUnsupportedError, TruncatedError, MissingTagError or MultiFrameError.
    """
    try:
        ds = pydicom.dcmread(path)
    except (InvalidDicomError, EOFError, ValueError) as error:
        raise NotDicomError(f"an unreadable file ({error})", file=path) from error
    stored = _decode(ds, path)
    if stored.ndim != 2:
        raise MultiFrameError(f"pixels of shape {stored.shape}", file=path)
    return ds, stored


def padding(ds: Dataset, stored: np.ndarray) -> np.ndarray:
    """Where the stored values are padding: (0028,0120), up to (0028,0121) where a range is given.

    Pixel Padding Value often has the wrong signedness (63536 for −2000), so its bits are taken and
    read as the pixels are.
    """
    if ds.get("PixelPaddingValue") is None:
        return np.zeros(stored.shape, bool)
    bits = [int(ds.PixelPaddingValue), int(ds.get("PixelPaddingRangeLimit", ds.PixelPaddingValue))]
    low, high = sorted(np.array(bits).astype(f"u{stored.dtype.itemsize}").astype(stored.dtype))
    return (stored >= low) & (stored <= high)


def physical(ds: Dataset, stored: np.ndarray, path: Path) -> np.ndarray:
    """Stored values → physical units (HU in CT), float32: rescale by (0028,1053) and (0028,1052).

    Without the tags an MR keeps its stored values; a CT raises MissingTagError, since a Hounsfield
    number cannot be guessed. MONOCHROME1 (0028,0004) is turned round so that high is bright.
    """
    if ds.get("Modality") == "CT" and ("RescaleSlope" not in ds or "RescaleIntercept" not in ds):
        raise MissingTagError("none of them", file=path, expected="tags RescaleSlope, RescaleIntercept")
    values = np.asarray(apply_rescale(stored, ds), "f4")
    return -values if ds.get("PhotometricInterpretation") == "MONOCHROME1" else values
