"""Reading many DICOM headers: ours against pydicom, and what a whole collection would take."""

import io
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from pipeline import index
from workflow.bench.measure import Contender, Result, compare, watch

PROSTATEX_FILES = 309_251
PROCESSES = 4
SLICES = 20
"""Files of a series."""
PRIVATE = 120
"""Private elements of a header, as Siemens writes them."""
TAGS = (
    "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SeriesDescription",
    "SeriesNumber", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "Rows", "Columns",
)  # fmt: skip
_UID = "2.25.1000000000000000000000000000000000"


def write_series(folder: Path, count: int, side: int) -> None:
    """Write ``count`` MR files of ``side`` x ``side`` noise, 20 to a series, in folders by series.

    One is made by pydicom; the others are its bytes with other identifiers of the same length.
    """
    template, pixels = (
        _template(side),
        np.random.default_rng(0).integers(0, 1000, side * side, "<u2").tobytes(),
    )
    start = template.index(b"\xe0\x7f\x10\x00") + 12
    for number in range(count):
        series, place = divmod(number, SLICES)
        header = template[:start]
        for key, value in (("1", f"{number:06d}"), ("2", f"{series:06d}"), ("3", f"{series // 10:06d}")):
            header = header.replace(f"{_UID}{key}000000".encode(), f"{_UID}{key}{value}".encode())
        header = header.replace(b"Patient-000000", f"Patient-{series // 10:06d}".encode())
        header = header.replace(b"777777", f"{place + 1:06d}".encode()).replace(
            b"888888", f"{place * 3:06d}".encode()
        )
        path = folder / f"{series:05d}" / f"{place + 1:02d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        turn = 2 * (number % (side * side))
        path.write_bytes(header + pixels[turn:] + pixels[:turn])


def _template(side: int) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = UID(f"{_UID}1000000")
    ds = Dataset()
    ds.file_meta = meta
    values: dict[str, Any] = {
        "SOPClassUID": MRImageStorage, "SOPInstanceUID": f"{_UID}1000000",
        "SeriesInstanceUID": f"{_UID}2000000", "StudyInstanceUID": f"{_UID}3000000",
        "PatientID": "Patient-000000", "Modality": "MR", "Manufacturer": "SIEMENS", "StudyDate": "20110101",
        "SeriesDescription": "ep2d_diff_tra_DYNDIST", "SeriesNumber": "7", "InstanceNumber": "777777",
        "ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION"],
        "ImagePositionPatient": ["-100.5", "-80.2", "888888"],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"], "PixelSpacing": ["2.0", "2.0"],
        "Rows": side, "Columns": side, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
    }  # fmt: skip
    for name, value in values.items():
        setattr(ds, name, value)
    block = ds.private_block(0x0029, "TYPHON BENCH", create=True)
    for element in range(PRIVATE):
        block.add_new(element, "LO", f"value of private element {element}")
    ds.PixelData = bytes(2 * side * side)
    written = io.BytesIO()
    ds.save_as(written, enforce_file_format=True)
    return written.getvalue()


@contextmanager
def raw_folder(count: int, side: int = 32) -> Iterator[Path]:
    """A temporary folder with ``raw`` in it: ``count`` files."""
    folder = Path(tempfile.mkdtemp(prefix="typhon-bench-"))
    try:
        write_series(folder / "raw", count, side)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def index_arguments(folder: Path, processes: int) -> list[str]:
    """Arguments of ``pipeline.index`` for the folder."""
    names = {"raw": "raw", "out": "index.parquet", "files": "files.parquet", "skipped": "skipped.csv"}
    arguments = [part for name, file in names.items() for part in (f"--{name}", str(folder / file))]
    return [*arguments, "--processes", str(processes)]


class Plain(Contender):
    """pydicom on whole files."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted((folder / "raw").rglob("*.dcm"))

    def run(self) -> int:
        """A list of rows."""
        headers = (pydicom.dcmread(file) for file in self.files)
        return len([[header.get(tag) for tag in TAGS] for header in headers])


class Ours(Contender):
    """The index job, its table written, in one process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = len(list((folder / "raw").rglob("*.dcm")))
        logging.getLogger("typhon").setLevel(logging.ERROR)

    def prepare(self) -> None:
        """Forget the last run."""
        for name in ("index.parquet", "files.parquet"):
            (self.folder / name).unlink(missing_ok=True)

    def run(self) -> int:
        """Index the folder."""
        index.main(index_arguments(self.folder, 1))
        return self.count


def bench(rounds: int, *, files: int) -> list[Result]:
    """Headers per second of one process, then the job on all files."""
    few = min(files, 2_000)
    result = Result("header index, against pydicom on whole files", "files/s")
    with raw_folder(few) as folder:
        compare(result, Plain, Ours, folder, rounds=rounds)
    result.notes = measure_job(files)
    return [result]


def measure_job(files: int) -> dict[str, Any]:
    """Seconds and memory of the job with four processes, and what PROSTATEx would take.

    A straight line through a quarter of the files and all of them counts the start-up once.
    """
    quarter = files // 4
    with raw_folder(quarter) as folder:
        command = [sys.executable, "-m", "pipeline.index", *index_arguments(folder, PROCESSES)]
        quarter_seconds, quarter_peak = watch(command, folder)
    with raw_folder(files) as folder:
        command = [sys.executable, "-m", "pipeline.index", *index_arguments(folder, PROCESSES)]
        seconds, peak = watch(command, folder)
        again, _ = watch(command, folder)
    share = (PROSTATEX_FILES - files) / (files - quarter)
    return {
        "files": files, "processes": PROCESSES, "cores": os.cpu_count() or 0,
        "files_per_second": (files - quarter) / (seconds - quarter_seconds),
        "seconds": seconds, "seconds_when_nothing_changed": again,
        "peak_mib": peak, "peak_mib_of_a_quarter": quarter_peak,
        "prostatex_files": PROSTATEX_FILES,
        "prostatex_seconds": seconds + share * (seconds - quarter_seconds),
        "prostatex_peak_mib": peak + share * (peak - quarter_peak),
    }  # fmt: skip
