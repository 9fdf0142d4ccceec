"""DICOM of a few pixels: plain, compressed, in colour, without preamble, and of several frames."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from pipeline.phantom import Geometry, write_ct_series, write_mr_series
from pipeline.seeds import stream
from workflow.fuzz.reader import Input

ROWS, COLUMNS = 12, 10
PLACE = Geometry((-10.0, 20.0, 30.0), (1.0, 0.0, 0.0), (0.0, 0.8, -0.6), (0.5, 0.75), 3.0)


def _stored() -> np.ndarray:
    return stream("fuzz", "dicom").integers(0, 1000, (1, ROWS, COLUMNS)).astype("u2")


def _plain() -> dict[str, bytes]:
    """One slice of MR and of CT, as the phantoms write them."""
    with tempfile.TemporaryDirectory() as folder:
        mr = write_mr_series(Path(folder, "mr"), _stored(), PLACE, description="t2_tse_tra", number=4)
        ct = write_ct_series(Path(folder, "ct"), _stored() - 1024.0, PLACE, patient_id="P2")
        return {"mr": mr[0].read_bytes(), "ct": ct[0].read_bytes()}


def _saved(ds: Dataset, *, whole: bool = True) -> bytes:
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=whole)
    return file.getvalue()


def _items(**values: object) -> Sequence:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return Sequence([item])


def _compressed(syntax: uid.UID) -> Callable[[Dataset], bytes]:
    def change(ds: Dataset) -> bytes:
        ds.compress(syntax, generate_instance_uid=False)
        return _saved(ds)

    return change


def _jpeg(ds: Dataset) -> bytes:
    file = io.BytesIO()
    Image.fromarray((ds.pixel_array // 4).astype("u1")).save(file, "JPEG")
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    ds.PixelData = encapsulate([file.getvalue()])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return _saved(ds)


def _syntax(syntax: uid.UID) -> Callable[[Dataset], bytes]:
    def change(ds: Dataset) -> bytes:
        ds.file_meta.TransferSyntaxUID = syntax
        if syntax == uid.ExplicitVRBigEndian:
            ds.PixelData = ds.pixel_array.astype(">u2").tobytes()
        file = io.BytesIO()
        little = syntax != uid.ExplicitVRBigEndian
        pydicom.dcmwrite(file, ds, implicit_vr=syntax.is_implicit_VR, little_endian=little)
        return file.getvalue()

    return change


def _bare(ds: Dataset) -> bytes:
    """Without preamble and meta header."""
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    file = io.BytesIO()
    ds.save_as(file, implicit_vr=True, little_endian=True)
    return file.getvalue()


def _colour(ds: Dataset) -> bytes:
    ds.SamplesPerPixel, ds.PlanarConfiguration, ds.PhotometricInterpretation = 3, 0, "RGB"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelData = stream("fuzz", "rgb").integers(0, 255, (ROWS, COLUMNS, 3)).astype("u1").tobytes()
    return _saved(ds)


def _palette(ds: Dataset) -> bytes:
    ds.PhotometricInterpretation = "PALETTE COLOR"
    for name in ("Red", "Green", "Blue"):
        ds.add_new(Tag(f"{name}PaletteColorLookupTableDescriptor"), "US", [16, 0, 16])
        ds.add_new(Tag(f"{name}PaletteColorLookupTableData"), "OW", np.arange(16, dtype="u2").tobytes())
    return _saved(ds)


def _mapped(ds: Dataset) -> bytes:
    """With a modality LUT, a real-world mapping and b-values."""
    (table,) = _items(ModalityLUTType="US")
    table.add_new(Tag("LUTDescriptor"), "US", [1000, 0, 16])
    table.add_new(Tag("LUTData"), "OW", np.arange(1000, dtype="u2").tobytes())
    ds.ModalityLUTSequence = Sequence([table])
    ds.DiffusionBValue = 800.0
    (mapping,) = _items(RealWorldValueIntercept=0.0, RealWorldValueSlope=2.0)
    mapping.add_new(Tag("RealWorldValueFirstValueMapped"), "US", 0)
    mapping.add_new(Tag("RealWorldValueLastValueMapped"), "US", 4095)
    ds.RealWorldValueMappingSequence = Sequence([mapping])
    return _saved(ds)


def _enhanced(ds: Dataset) -> bytes:
    """Three frames, placed and scaled by their functional groups."""
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = uid.EnhancedMRImageStorage
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        del ds[tag]  # the groups say it
    groups = []
    for number in range(3):
        (group,) = _items(
            PlanePositionSequence=_items(ImagePositionPatient=["1", "2", str(3 * number)]),
            PixelValueTransformationSequence=_items(RescaleSlope="2", RescaleIntercept="1", RescaleType="US"),
            FrameContentSequence=_items(StackID="1", InStackPositionNumber=number + 1),
            MRDiffusionSequence=_items(DiffusionBValue=50.0),
        )
        groups.append(group)
    ds.SharedFunctionalGroupsSequence = _items(
        PixelMeasuresSequence=_items(PixelSpacing=["0.75", "0.5"], SliceThickness="3"),
        PlaneOrientationSequence=_items(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"]),
    )
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    ds.NumberOfFrames = 3
    ds.PixelData = np.repeat(_stored(), 3, 0).tobytes()
    return _saved(ds)


WAYS: dict[str, tuple[str, Callable[[Dataset], bytes]]] = {
    "mr": ("mr", _saved),
    "ct": ("ct", _saved),
    "rle": ("mr", _compressed(uid.RLELossless)),
    "jpeg": ("mr", _jpeg),
    "deflated": ("mr", _syntax(uid.DeflatedExplicitVRLittleEndian)),
    "big_endian": ("mr", _syntax(uid.ExplicitVRBigEndian)),
    "implicit": ("mr", _syntax(uid.ImplicitVRLittleEndian)),
    "bare": ("mr", _bare),
    "colour": ("mr", _colour),
    "palette": ("mr", _palette),
    "mapped": ("mr", _mapped),
    "enhanced": ("mr", _enhanced),
}
"""Which plain file each one is made of, and how."""


def inputs() -> list[Input]:
    """One file of each way."""
    plain = _plain()
    return [
        Input(f"{name}.dcm", change(pydicom.dcmread(io.BytesIO(plain[source]))))
        for name, (source, change) in WAYS.items()
    ]
