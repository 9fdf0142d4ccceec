"""DICOM: the header of one file as a row, and the pixels of one file in physical units."""

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.tag import Tag
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)
from pydicom.valuerep import VR

from pipeline.errors import (
    InputError,
    LimitError,
    MissingTagError,
    MultiFrameError,
    NotDicomError,
    NotImageError,
    SyntaxUnsupportedError,
    TagValueError,
    TruncatedError,
)
from pipeline.readers.colours import are_coloured
from pipeline.readers.dicom import diffusion, frames, tags
from pipeline.readers.images import jpeg
from pipeline.readers.limits import limited

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
    "echo_numbers": "EchoNumbers",
    "inversion_time_ms": "InversionTime",
    "flip_angle": "FlipAngle",
    "sequence_name": "SequenceName",
    "convolution_kernel": "ConvolutionKernel",
}
NUMBER_TAGS = {
    "series_number": "SeriesNumber",
    "acquisition_number": "AcquisitionNumber",
    "instance_number": "InstanceNumber",
    "rows": "Rows",
    "columns": "Columns",
    "slice_thickness_mm": "SliceThickness",
    "echo_time_ms": "EchoTime",
    "temporal_position": "TemporalPositionIdentifier",
}
VECTOR_TAGS = {
    "ImagePositionPatient": ("position_x", "position_y", "position_z"),
    "ImageOrientationPatient": ("row_x", "row_y", "row_z", "column_x", "column_y", "column_z"),
    "PixelSpacing": ("spacing_row_mm", "spacing_column_mm"),
}
PIXEL_TAGS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "SamplesPerPixel", "PixelRepresentation",
    "PhotometricInterpretation",
)  # fmt: skip
REQUIRED_TAGS = ("SOPInstanceUID", "SeriesInstanceUID", *PIXEL_TAGS)
HEADER_TAGS: list[Any] = [
    *map(Tag, (
        *TEXT_TAGS.values(), *NUMBER_TAGS.values(), *VECTOR_TAGS, *PIXEL_TAGS,
        "SOPClassUID", "HighBit", "ImageType", "NumberOfFrames", frames.SHARED, frames.PER_FRAME,
    )),
    *diffusion.TAGS,
]  # fmt: skip
PIXEL_DATA = {"PixelData", "FloatPixelData", "DoubleFloatPixelData"}
JPEG = {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1}
"""Transfer syntaxes whose decoders fill what is missing with grey."""
LOSSY = {JPEGBaseline8Bit, JPEGExtended12Bit}
"""Those with quantization tables that may be of 8 bits."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R 601), as for PNG and JPEG."""
VRS = {vr.value for vr in VR}
NOT_IMAGES = {"SR", "SEG", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE", "REG", "DOC"}
"""Modalities (0008,0060) that hold no image of their own."""


def is_dicom(start: bytes) -> bool:
    """Whether a file that begins with these bytes is DICOM, with its preamble (PS3.10 7.1) or without."""
    if start[128:132] == b"DICM":
        return True
    # Without preamble a file begins with group 2 or 8: an element, then a VR or, implicit, a short length.
    vr, length = start[4:6], int.from_bytes(start[4:8], "little")
    known = vr.decode("latin-1") in VRS
    if start[:3] == b"\0\x08\0":  # big endian
        return known
    known = known or (start[0:1] == b"\x08" and 0 < length <= 64)
    return len(start) >= 8 and start[:2] in (b"\x02\0", b"\x08\0") and start[3] < 0x20 and known


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """A broken file can make the parser raise anything or never end; errors of reading are not its fault."""
    try:
        # Odd but usable values are remarked on at length; what matters is checked here.
        with warnings.catch_warnings(action="ignore"), limited(path):
            yield
    except InputError as error:
        error.file = error.file or str(path)
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        # Decoders raise it too, of bytes that they cannot read: no fault of the disk.
        raise NotDicomError(f"an unreadable header ({error})", file=path) from error
    except EOFError as error:
        raise TruncatedError(f"its end too early ({error})", file=path, expected="a whole file") from error
    except Exception as error:
        raise NotDicomError(f"an unreadable header ({error})", file=path) from error


def _check_syntax(ds: Dataset, path: Path) -> None:
    syntax = ds.file_meta.get("TransferSyntaxUID")
    if not syntax:
        raise MissingTagError("no TransferSyntaxUID", file=path, expected="a transfer syntax")
    if syntax == JPEGExtended12Bit and ds.BitsStored > 8:
        # GDCM reads it, but what is nearly black or white comes out as white or black.
        raise SyntaxUnsupportedError(
            f"{syntax.name}, {ds.BitsStored} bits", file=path,
            expected="a compression that is read without error",
            remedy="convert it with dcmdjpeg of DCMTK; GDCM turns the darkest and brightest pixels round",
        )  # fmt: skip
    try:
        decoder = get_decoder(syntax)
        needs = "" if decoder.is_available else f", needs {'; '.join(decoder.missing_dependencies)}"
    except NotImplementedError:
        needs = ", unknown"
    if needs:
        name = f"{syntax.name} ({syntax})" if syntax.name != syntax else str(syntax)
        raise SyntaxUnsupportedError(name + needs, file=path, expected="a decodable transfer syntax")


def _check_tags(ds: Dataset, path: Path) -> None:
    said = tags.text(ds, "Modality").upper()
    if said in NOT_IMAGES:
        raise NotImageError(f"modality {said}", file=path)
    tags.modality(ds)
    missing = [tag for tag in REQUIRED_TAGS if tags.is_absent(ds, tag)]
    if missing:
        raise MissingTagError("none of them", expected=f"tags {', '.join(missing)}")
    tags.check_bits(ds)
    if (found := frames.count(ds)) > 1 and not frames.is_enhanced(ds):
        raise MultiFrameError(f"{found} frames")
    if "MOSAIC" in _image_type(ds):
        raise NotImageError("a MOSAIC of slices")


def _image_type(ds: Dataset) -> list[str]:
    value = ds.get("ImageType") or []
    return [value] if isinstance(value, str) else list(value)


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
    order: Literal["little", "big"] = "little" if syntax.is_little_endian else "big"
    skip, length = (4, header[4:8]) if syntax.is_implicit_VR else (8, header[8:12])
    stated = int.from_bytes(length, order)
    present = min(stated, size - start - skip - 4)
    needed = frames.count(ds) * ds.Rows * ds.Columns * ds.SamplesPerPixel * ds.BitsAllocated // 8
    if ds.PhotometricInterpretation == "YBR_FULL_422":
        needed = needed * 2 // 3  # two neighbours share their colour
    if present < needed:
        raise TruncatedError(f"{present}", file=path, expected=f"{needed} bytes of pixel data")
    if present - needed % 2 >= needed + max(needed // frames.count(ds), 1):
        # More frames than it says, or larger ones: which of them count nobody knows.
        raise TagValueError(
            f"{present}", file=path, expected=f"{needed} bytes of pixel data, as the tags say"
        )


def read_header(path: Path) -> dict[str, Any]:
    """The tags that later steps need, as one flat row; positions in mm (LPS), spacing in mm.

    That of an enhanced file holds ``frames``: such a row for each of its frames, in their order.

    Raises NotDicomError, NotImageError, MissingTagError, TagValueError, MultiFrameError,
    SyntaxUnsupportedError or TruncatedError.
    """
    with path.open("rb") as file, parsing(path):
        ds = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=HEADER_TAGS, force=True)
        _assume_syntax(ds)
        _check_tags(ds, path)
        _check_syntax(ds, path)
        _check_length(ds, file, path)
        if not frames.is_enhanced(ds) or frames.count(ds) == 1:
            return row_of(frames.flat(ds))
        return {
            "frames": [
                row_of(frames.flat(ds, number)) | {"frame": number + 1} for number in range(frames.count(ds))
            ]
        }


def read_frame_of_reference(path: Path) -> str:
    """(0020,0052), in which the places of a file or frame are given; empty where it is absent."""
    path, _ = frames.named(path)
    with parsing(path):
        tag = "FrameOfReferenceUID"
        return tags.text(pydicom.dcmread(path, specific_tags=[tag], stop_before_pixels=True, force=True), tag)


def row_of(ds: Dataset) -> dict[str, Any]:
    """The columns of the index that a header gives; NaN for a number that is absent."""
    row: dict[str, Any] = {name: str(tags.value(ds, tag) or "").strip() for name, tag in TEXT_TAGS.items()}
    row["modality"] = tags.modality(ds)
    for name, tag in NUMBER_TAGS.items():
        row[name] = tags.number(ds, tag)
    for tag, names in VECTOR_TAGS.items():
        row.update(zip(names, tags.numbers(ds, tag, len(names)) or [np.nan] * len(names), strict=True))
    if row["spacing_row_mm"] <= 0 or row["spacing_column_mm"] <= 0:
        raise TagValueError(str(ds.PixelSpacing), expected="two positive numbers in PixelSpacing")
    if row["slice_thickness_mm"] < 0:
        raise TagValueError(str(ds.SliceThickness), expected="a SliceThickness of 0 or more")
    row["image_type"] = "\\".join(_image_type(ds))
    row["b_value"] = diffusion.b_value(ds)
    return row


def _assume_syntax(ds: Dataset) -> None:
    """Give a file without meta header the transfer syntax that it was read with, a plain one."""
    if not ds.file_meta.get("TransferSyntaxUID") and len(ds) and not len(ds.file_meta):
        implicit, little = ds.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _decode(ds: Dataset, path: Path, frame: int) -> np.ndarray:
    """Stored values (rows, columns), or (rows, columns, 3) in colour: RGB, also from YCbCr or a palette."""
    try:
        stored = pixel_array(ds, index=frame, correct_unused_bits=False)  # it takes no notice of High Bit
        if ds.file_meta.TransferSyntaxUID in JPEG and jpeg.may_lack(stored):
            _check_jpeg(ds, stored, frame)
        colour = ds.get("PhotometricInterpretation") == "PALETTE COLOR"
        return apply_color_lut(stored, ds) if colour else stored
    except (MemoryError, LimitError):
        raise
    except Exception as error:  # decoders are many, and what they raise is undocumented
        raise TruncatedError(
            f"what {ds.file_meta.TransferSyntaxUID.name} cannot decode ({error})",
            file=path,
            expected="whole pixel data",
        ) from error


def _check_jpeg(ds: Dataset, stored: np.ndarray, frame: int) -> None:
    """Raise ValueError where a frame that ends in grey is another one with more data before its end."""
    content = get_frame(ds.PixelData, frame, number_of_frames=frames.count(ds))
    more = Dataset()
    more.file_meta = ds.file_meta
    more.update({tag: ds[tag] for tag in map(Tag, (*PIXEL_TAGS, "PlanarConfiguration")) if tag in ds})
    more.PixelData = encapsulate([jpeg.longer(content)])
    more["PixelData"].VR = "OB"
    if not np.array_equal(pixel_array(more, index=0, correct_unused_bits=False), stored):
        raise ValueError("an end among its pixels")


def _significant(ds: Dataset, stored: np.ndarray) -> np.ndarray:
    """The bits that count: (0028,0101) Bits Stored of them up to (0028,0102) High Bit, with their sign.

    Older writers keep overlays in the bits beside, or leave the sign of 12 bits out of the other 4.
    """
    size, bits = 8 * stored.dtype.itemsize, int(ds.BitsStored)
    if stored.dtype.kind not in "iu" or bits >= size or ds.BitsAllocated != size:
        return stored
    high = bits - 1 if ds.file_meta.TransferSyntaxUID.is_compressed else int(ds.get("HighBit", bits - 1))
    return (stored << (size - 1 - high)) >> (size - bits)


@functools.lru_cache(maxsize=1)
def _enhanced(path: Path, size: int, changed: int) -> Dataset:  # noqa: ARG001  (the file is still the same)
    """A file of many frames; the last one is kept for its next frame."""
    return pydicom.dcmread(path, force=True)


def _closed(path: Path) -> Dataset:
    """A file whose compressed pixels lack nothing but the delimiter behind their last item (PS3.5 A.4)."""
    content = path.read_bytes()
    file = BytesIO(content)
    ds: Dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
    at = file.tell() + 12
    if content[file.tell() : at] == b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff":
        while content[at : at + 4] == b"\xfe\xff\0\xe0" and len(content) >= at + 8:
            at += 8 + int.from_bytes(content[at + 4 : at + 8], "little")
        if at == len(content):
            return pydicom.dcmread(BytesIO(content + b"\xfe\xff\xdd\xe0\0\0\0\0"), force=True)
    return ds


def read_jpeg(path: Path) -> bytes | None:
    """The first picture of a file of lossy JPEG with 8 bits, or the frame that ``path`` names; else None.

    Raises NotDicomError or TruncatedError.
    """
    with parsing(path):
        path, frame = frames.named(path)
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["NumberOfFrames"], force=True)
        if header.file_meta.get("TransferSyntaxUID") not in LOSSY:
            return None
        ds = pydicom.dcmread(path, force=True)
        return get_frame(ds.PixelData, frame or 0, number_of_frames=frames.count(ds))


def read_dataset(path: Path) -> tuple[Dataset, np.ndarray]:
    """A file's data set and its stored values (rows, columns), integers as stored; colour becomes grey.

    ``path`` may name a frame (``frames.named``), whose data set is as if of a plain file.

    Raises SyntaxUnsupportedError, TruncatedError, MissingTagError, TagValueError or MultiFrameError.
    """
    ds, stored, _ = read_image(path)
    return ds, stored


def read_image(path: Path) -> tuple[Dataset, np.ndarray, bool]:
    """What :func:`read_dataset` gives, and whether the image is in colour."""
    with parsing(path):
        path, frame = frames.named(path)
        if frame is None:
            ds: Dataset = pydicom.dcmread(path, force=True)
        else:
            state = path.stat()
            ds = _enhanced(path, state.st_size, state.st_mtime_ns)
        _assume_syntax(ds)
        if not PIXEL_DATA.intersection(ds.dir("PixelData")):
            # The parser forgets everything it has read where compressed pixels end without their delimiter.
            ds = _closed(path)
        if not PIXEL_DATA.intersection(ds.dir("PixelData")):
            raise TruncatedError("no end of its pixel data", file=path, expected="a whole file")
        _check_tags(ds, path)
        _check_syntax(ds, path)
        found = frames.count(ds)
        if not 0 <= (frame or 0) < found or (frame is None and found > 1):
            raise MultiFrameError(f"{found} frames")
        stored = _decode(ds, path, frame or 0)
        ds = frames.flat(ds, frame or 0)
    if stored.ndim == 3 and stored.shape[2] == len(LUMA):
        # An ultrasound or secondary capture: its luminance, as a PNG of it would give.
        coloured = are_coloured(stored, 2 ** int(ds.BitsStored) - 1)
        return ds, np.rint(stored @ np.array(LUMA)).astype(stored.dtype), coloured
    if stored.ndim != 2:
        raise MultiFrameError(f"pixels of shape {stored.shape}", file=path)
    return ds, _significant(ds, stored), False
