"""DICOM series with the headers of the two collections; the same arguments give the same bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from pipeline.seeds import seed

B_VALUE_GROUP = 0x0019
SIEMENS = "SIEMENS MR HEADER"
COMMON = {
    "SpecificCharacterSet": "ISO_IR 100", "StudyDate": "20110707", "SeriesDate": "20110707",
    "ContentDate": "20110707", "StudyTime": "114731", "SeriesTime": "120403", "ContentTime": "120403",
    "AccessionNumber": "", "ReferringPhysicianName": "", "StudyDescription": "Synthetic phantom",
    "PatientBirthDate": "", "PatientAge": "063Y", "PatientIdentityRemoved": "YES",
    "DeidentificationMethod": "Synthetic data, no patient", "StudyID": "", "AcquisitionNumber": 1,
    "PositionReferenceIndicator": "", "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16, "PatientPosition": "FFS",
}  # fmt: skip
"""What MR and CT have in common (PS3.3 A.3, A.4)."""
MR = {
    "SOPClassUID": MRImageStorage, "Modality": "MR", "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "Skyra", "PatientSex": "M", "BodyPartExamined": "PROSTATE",
    "SequenceVariant": ["SK", "SP", "OSP"], "ScanOptions": "", "MRAcquisitionType": "2D",
    "SequenceName": "*tse2d1_25", "MagneticFieldStrength": "3", "RepetitionTime": "2700", "EchoTime": "63",
    "EchoTrainLength": "25", "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
}  # fmt: skip
CT = {
    "SOPClassUID": CTImageStorage, "Modality": "CT", "Manufacturer": "Philips",
    "ManufacturerModelName": "Brilliance 64", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "PatientSex": "O", "BodyPartExamined": "CHEST", "KVP": "120", "ConvolutionKernel": "D",
    "BitsStored": 16, "HighBit": 15, "RescaleIntercept": "-1024", "RescaleSlope": "1", "RescaleType": "HU",
    "WindowCenter": "-600", "WindowWidth": "1600",
}  # fmt: skip


def uid(*names: object) -> str:
    """A DICOM UID that belongs to ``names``, below the root for UUIDs (PS3.5 B.2)."""
    return f"2.25.{seed('uid', *names)}"


def decimal(value: float) -> str:
    """``value`` as a Decimal String of at most 16 characters, as scanners write it."""
    text = f"{value:.12g}"
    return text if len(text) <= 16 else f"{value:.9g}"


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a series lie in the patient (LPS, mm).

    Parameters
    ----------
    origin : centre of the first pixel of plane 0, as ImagePositionPatient.
    row : unit vector along a row, that is, of growing column index.
    column : unit vector along a column, that is, of growing row index.
    spacing : mm between neighbouring columns, and between neighbouring rows.
    slice_spacing : mm between neighbouring planes, which follow ``row`` x ``column``.
    """

    origin: tuple[float, float, float]
    row: tuple[float, float, float] = (1.0, 0.0, 0.0)
    column: tuple[float, float, float] = (0.0, 1.0, 0.0)
    spacing: tuple[float, float] = (1.0, 1.0)
    slice_spacing: float = 3.0

    @property
    def normal(self) -> np.ndarray:
        """Unit vector from plane to plane, (3,)."""
        return np.cross(self.row, self.column)

    @property
    def axes(self) -> np.ndarray:
        """The steps of one column, one row and one plane as columns of a (3, 3) matrix, mm."""
        return np.stack(
            [
                np.multiply(self.row, self.spacing[0]),
                np.multiply(self.column, self.spacing[1]),
                self.normal * self.slice_spacing,
            ],
            axis=1,
        )

    def world(self, column: float, row: float, plane: float) -> np.ndarray:
        """The point (LPS, mm) at continuous zero-based indices, pixel centres at integers, (3,)."""
        return np.asarray(self.origin) + self.axes @ np.array([column, row, plane])

    def index(self, point: Sequence[float] | np.ndarray) -> np.ndarray:
        """The continuous (column, row, plane) of a point (LPS, mm), (3,)."""
        return np.asarray(np.linalg.solve(self.axes, np.asarray(point, float) - np.asarray(self.origin)))

    def corner_matrix(self) -> np.ndarray:
        """The (4, 4) matrix of the challenge's tables: its origin is a corner of the first voxel."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.axes
        matrix[:3, 3] = self.world(-0.5, -0.5, -0.5)
        return matrix

    def points(self, columns: int, rows: int, plane: float) -> np.ndarray:
        """The points (LPS, mm) of all pixels of a plane, (rows, columns, 3)."""
        along = np.arange(columns)[None, :, None] * self.axes[:, 0]
        down = np.arange(rows)[:, None, None] * self.axes[:, 1]
        return np.asarray(self.world(0, 0, plane) + along + down)


class Layout(TypedDict, total=False):
    """How a series is identified and laid out in files, whatever its modality.

    Parameters
    ----------
    study, series : their UIDs; by default made from the patient, the number and the description.
    descending : InstanceNumber falls along the normal (the default), as most of PROSTATEx's series have it.
    first : InstanceNumber of the first file.
    tags : DICOM keyword to value, over the defaults; None removes the element. A callable is given the
        index of the plane and returns the value.
    """

    study: str
    series: str
    descending: bool
    first: int
    tags: Mapping[str, Any]


def write_mr_series(
    folder: str | Path,
    volume: np.ndarray,
    geometry: Geometry,
    *,
    description: str,
    number: int,
    patient_id: str = "ProstateX-0000",
    b_values: Sequence[int] = (),
    interleaved: bool = False,
    standard_b_value: bool = False,
    **layout: Unpack[Layout],
) -> list[Path]:
    """Write an MR series as ``1-01.dcm``, ``1-02.dcm`` … and return the paths in that order.

    Parameters
    ----------
    volume : (planes, rows, columns), or (b values, planes, rows, columns); stored as unsigned 16 bit.
    b_values : s/mm², one for all files or one per volume, in (0019,100C) as Siemens writes it.
    interleaved : InstanceNumber runs through the b values of a plane before the next plane.
    standard_b_value : also write (0018,9087) DiffusionBValue.
    """
    volumes = volume[None] if volume.ndim == 3 else volume
    diffusion = ["DERIVED", "PRIMARY", "DIFFUSION", "ADC" if description.endswith("_ADC") else "TRACEW"]
    elements = MR | _identity(patient_id, description, number, layout)
    elements |= {
        "ImageType": diffusion if b_values else ["ORIGINAL", "PRIMARY", "M", "NORM"],
        "ScanningSequence": "EP" if b_values else "SE",
        "SpacingBetweenSlices": decimal(geometry.slice_spacing),
        "WindowCenter": decimal(float(np.mean(volume))),
        "WindowWidth": decimal(float(np.ptp(volume)) or 1.0),
    }

    def mark(dataset: Dataset, value: int) -> None:
        if b_values:
            _set_b_value(dataset, b_values, value, standard_b_value)

    return _write(Path(folder), volumes.astype("<u2"), geometry, elements, layout, mark, interleaved)


def write_ct_series(
    folder: str | Path,
    volume: np.ndarray,
    geometry: Geometry,
    *,
    patient_id: str = "LUNGx-CT001",
    description: str = "Lung",
    number: int = 3,
    signed: bool = True,
    padding: int | None = None,
    **layout: Unpack[Layout],
) -> list[Path]:
    """Write a CT series of Hounsfield units (planes, rows, columns) and return the paths in order.

    Stored with RescaleIntercept -1024 and slope 1, as signed or unsigned 16 bit. ``padding`` declares a
    PixelPaddingValue (a stored value; signed series only): the pixels that carry it are those where
    ``volume`` is NaN.
    """
    stored = np.where(np.isnan(volume), 0 if padding is None else padding, np.rint(volume) + 1024)
    low, high = (-32768, 32767) if signed else (0, 65535)
    elements = CT | {"PixelRepresentation": int(signed)} | _identity(patient_id, description, number, layout)
    if padding is not None:
        elements["PixelPaddingValue"] = padding
    pixels = np.clip(stored, low, high).astype("<i2" if signed else "<u2")
    return _write(Path(folder), pixels[None], geometry, elements, layout)


def _identity(patient_id: str, description: str, number: int, layout: Layout) -> dict[str, object]:
    study = layout.get("study") or uid(patient_id, "study")
    return {
        "PatientName": patient_id, "PatientID": patient_id, "StudyInstanceUID": study,
        "SeriesInstanceUID": layout.get("series") or uid(patient_id, study, number, description),
        "SeriesDescription": description, "SeriesNumber": number, "FrameOfReferenceUID": uid(study, "frame"),
    }  # fmt: skip


def _write(
    folder: Path,
    volumes: np.ndarray,
    geometry: Geometry,
    elements: Mapping[str, object],
    layout: Layout,
    mark: Callable[[Dataset, int], None] = lambda _dataset, _value: None,
    interleaved: bool = False,
) -> list[Path]:
    """Write a file per plane of each volume; ``mark`` sets in the dataset what is of a volume."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = Dataset()
    _set(
        dataset,
        **COMMON,
        **elements,
        Rows=volumes.shape[2],
        Columns=volumes.shape[3],
        SliceThickness=decimal(geometry.slice_spacing),
        PixelSpacing=[decimal(geometry.spacing[1]), decimal(geometry.spacing[0])],
        ImageOrientationPatient=[decimal(v) for v in (*geometry.row, *geometry.column)],
    )
    values, planes = range(len(volumes)), range(volumes.shape[1])
    planes = planes[::-1] if layout.get("descending", True) else planes
    by_volume = [(value, plane) for value in values for plane in planes]
    order = [(value, plane) for plane in planes for value in values] if interleaved else by_volume
    paths, first = [], layout.get("first", 1)
    width = max(2, len(str(first + len(order) - 1)))
    for number, (value, plane) in enumerate(order, first):
        position = geometry.world(0, 0, plane)
        _set(
            dataset,
            SOPInstanceUID=uid(dataset.SeriesInstanceUID, number),
            InstanceNumber=number,
            ImagePositionPatient=[decimal(v) for v in position],
            SliceLocation=decimal(float(position @ geometry.normal)),
        )
        dataset.PixelData = volumes[value, plane].tobytes()
        dataset["PixelData"].VR = "OW"
        mark(dataset, value)
        for keyword, given in layout.get("tags", {}).items():
            tagged = given(plane) if callable(given) else given
            if tagged is None:
                dataset.pop(Tag(keyword), None)
            else:
                setattr(dataset, keyword, tagged)
        dataset.file_meta = _meta(dataset)
        paths.append(folder / f"{dataset.get('AcquisitionNumber', 1)}-{number:0{width}d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _set(dataset: Dataset, **elements: object) -> None:
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)


def _set_b_value(dataset: Dataset, b_values: Sequence[int], value: int, standard: bool) -> None:
    """The b value where Siemens puts it, in bytes of even length with a VR that says nothing (OB)."""
    b_value = b_values[value]
    block = dataset.private_block(B_VALUE_GROUP, SIEMENS, create=True)
    text = str(b_value).encode()
    block.add_new(0x0C, "OB", text + b" " * (len(text) % 2))
    # Maps that are computed from all b values are named after the range of those (datasets.md 2.1).
    measured = len(b_values) > 1
    dataset.SequenceName = f"*ep_b{b_value}t" if measured else "*ep_b50_800"
    if standard:
        dataset.DiffusionBValue = float(b_value)


def _meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    # Fixed, so that another release of pydicom does not change the bytes.
    meta.ImplementationClassUID = UID(uid("implementation"))
    meta.ImplementationVersionName = "TYPHON PHANTOM"
    return meta
