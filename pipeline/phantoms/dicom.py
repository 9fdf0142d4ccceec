"""DICOM series with the headers of the two collections; the same arguments give the same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from pipeline.seeds import seed

B_VALUE_GROUP = 0x0019
SIEMENS = "SIEMENS MR HEADER"


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


def write_mr_series(
    folder: str | Path,
    volume: np.ndarray,
    geometry: Geometry,
    *,
    description: str,
    number: int,
    patient_id: str = "ProstateX-0000",
    study: str = "",
    series: str = "",
    descending: bool = True,
    b_values: Sequence[int] | None = None,
    interleaved: bool = False,
    standard_b_value: bool = False,
    first: int = 1,
    tags: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write an MR series as ``1-01.dcm``, ``1-02.dcm`` … and return the paths in that order.

    Parameters
    ----------
    volume : (planes, rows, columns), or (b values, planes, rows, columns); stored as unsigned 16 bit.
    study, series : their UIDs; by default made from the patient, the number and the description.
    descending : InstanceNumber falls along the normal, as in most transverse series of PROSTATEx.
    b_values : s/mm², one for all files or one per volume, in (0019,100C) as Siemens writes it.
    interleaved : InstanceNumber runs through the b values of a plane before the next plane.
    standard_b_value : also write (0018,9087) DiffusionBValue.
    first : InstanceNumber of the first file.
    tags : DICOM keyword to value, over the defaults; None removes the element. A callable is given the
        index of the plane and returns the value.
    """
    volumes = volume[None] if volume.ndim == 3 else volume
    study = study or uid(patient_id, "study")
    shared = _shared(patient_id, study, series or uid(patient_id, study, number, description))
    derived = b_values is not None
    _set(
        shared,
        SOPClassUID=MRImageStorage,
        Modality="MR",
        Manufacturer="SIEMENS",
        ManufacturerModelName="Skyra",
        ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC" if description.endswith("_ADC") else "TRACEW"]
        if derived
        else ["ORIGINAL", "PRIMARY", "M", "NORM"],
        SeriesDescription=description,
        SeriesNumber=number,
        PatientSex="M",
        BodyPartExamined="PROSTATE",
        ScanningSequence="EP" if derived else "SE",
        SequenceVariant=["SK", "SP", "OSP"],
        ScanOptions="",
        MRAcquisitionType="2D",
        SequenceName="*tse2d1_25",
        MagneticFieldStrength="3",
        RepetitionTime="2700",
        EchoTime="63",
        EchoTrainLength="25",
        PatientPosition="FFS",
        SpacingBetweenSlices=decimal(geometry.slice_spacing),
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=0,
        WindowCenter=decimal(float(np.mean(volume))),
        WindowWidth=decimal(float(np.ptp(volume)) or 1.0),
    )
    return _write(
        Path(folder), shared, volumes.astype("<u2"), geometry, descending, interleaved, first, tags, b_values,
        standard_b_value,
    )  # fmt: skip


def write_ct_series(
    folder: str | Path,
    volume: np.ndarray,
    geometry: Geometry,
    *,
    patient_id: str = "LUNGx-CT001",
    description: str = "Lung",
    number: int = 3,
    study: str = "",
    series: str = "",
    descending: bool = True,
    signed: bool = True,
    padding: int | None = None,
    first: int = 1,
    tags: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a CT series of Hounsfield units (planes, rows, columns) and return the paths in order.

    Stored with RescaleIntercept -1024 and slope 1, as signed or unsigned 16 bit. ``padding`` declares a
    PixelPaddingValue (a stored value; signed series only): the pixels that carry it are those where
    ``volume`` is NaN. The other parameters are those of write_mr_series.
    """
    stored = np.where(np.isnan(volume), 0 if padding is None else padding, np.rint(volume) + 1024)
    low, high = (-32768, 32767) if signed else (0, 65535)
    study = study or uid(patient_id, "study")
    shared = _shared(patient_id, study, series or uid(patient_id, study, number, description))
    _set(
        shared,
        SOPClassUID=CTImageStorage,
        Modality="CT",
        Manufacturer="Philips",
        ManufacturerModelName="Brilliance 64",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        SeriesDescription=description,
        SeriesNumber=number,
        PatientSex="O",
        BodyPartExamined="CHEST",
        KVP="120",
        ConvolutionKernel="D",
        PatientPosition="FFS",
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=int(signed),
        RescaleIntercept="-1024",
        RescaleSlope="1",
        RescaleType="HU",
        WindowCenter="-600",
        WindowWidth="1600",
    )
    if padding is not None:
        shared.add_new(Tag("PixelPaddingValue"), "SS" if signed else "US", padding)
    pixels = np.clip(stored, low, high).astype("<i2" if signed else "<u2")
    return _write(Path(folder), shared, pixels[None], geometry, descending, False, first, tags)


def _set(dataset: Dataset, **elements: object) -> None:
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)


def _shared(patient_id: str, study: str, series: str) -> Dataset:
    """What all files of a series have in common: the modules that MR and CT share (PS3.3 A.3, A.4)."""
    dataset = Dataset()
    _set(
        dataset,
        SpecificCharacterSet="ISO_IR 100",
        StudyDate="20110707",
        SeriesDate="20110707",
        ContentDate="20110707",
        StudyTime="114731",
        SeriesTime="120403",
        ContentTime="120403",
        AccessionNumber="",
        ReferringPhysicianName="",
        StudyDescription="Synthetic phantom",
        PatientName=patient_id,
        PatientID=patient_id,
        PatientBirthDate="",
        PatientAge="063Y",
        PatientIdentityRemoved="YES",
        DeidentificationMethod="Synthetic data, no patient",
        StudyInstanceUID=study,
        SeriesInstanceUID=series,
        StudyID="",
        AcquisitionNumber=1,
        FrameOfReferenceUID=uid(study, "frame"),
        PositionReferenceIndicator="",
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=16,
    )
    return dataset


def _planes(volumes: np.ndarray, descending: bool, interleaved: bool) -> Iterator[tuple[int, int]]:
    """(b value, plane) in the order of InstanceNumber."""
    values, planes = range(volumes.shape[0]), list(range(volumes.shape[1]))
    ordered = planes[::-1] if descending else planes
    if interleaved:
        return ((value, plane) for plane in ordered for value in values)
    return ((value, plane) for value in values for plane in ordered)


def _write(
    folder: Path,
    dataset: Dataset,
    volumes: np.ndarray,
    geometry: Geometry,
    descending: bool,
    interleaved: bool,
    first: int,
    tags: Mapping[str, Any] | None,
    b_values: Sequence[int] | None = None,
    standard_b_value: bool = False,
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    _set(
        dataset,
        Rows=volumes.shape[2],
        Columns=volumes.shape[3],
        SliceThickness=decimal(geometry.slice_spacing),
        PixelSpacing=[decimal(geometry.spacing[1]), decimal(geometry.spacing[0])],
        ImageOrientationPatient=[decimal(v) for v in (*geometry.row, *geometry.column)],
    )
    paths = []
    width = max(2, len(str(first + volumes.shape[0] * volumes.shape[1] - 1)))
    for number, (value, plane) in enumerate(_planes(volumes, descending, interleaved), first):
        position = geometry.world(0, 0, plane)
        instance = uid(dataset.SeriesInstanceUID, number)
        _set(
            dataset,
            SOPInstanceUID=instance,
            InstanceNumber=number,
            ImagePositionPatient=[decimal(v) for v in position],
            SliceLocation=decimal(float(position @ geometry.normal)),
        )
        dataset.PixelData = volumes[value, plane].tobytes()
        dataset["PixelData"].VR = "OW"
        if b_values is not None:
            _set_b_value(dataset, b_values, value, standard_b_value)
        for keyword, given in (tags or {}).items():
            tagged = given(plane) if callable(given) else given
            if tagged is None:
                dataset.pop(Tag(keyword), None)
            else:
                setattr(dataset, keyword, tagged)
        dataset.file_meta = _meta(dataset)
        paths.append(folder / f"{dataset.get('AcquisitionNumber', 1)}-{number:0{width}d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


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
