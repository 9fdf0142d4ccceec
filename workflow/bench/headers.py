"""Reading many DICOM headers: ours against pydicom, and what a whole collection would take."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from pipeline.readers import index
from pipeline.seeds import seed
from workflow.bench.measure import Contender, Result, Size, compare, watch

GOAL = 8.0
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


def write_series(folder: Path, count: int, side: int) -> None:
    """Write ``count`` MR files of ``side`` x ``side`` noise, 20 to a series, in folders by series.

    pydicom writes the first series. In the others its names are replaced, which takes a tenth of the time.
    """
    first, pixels = _names(0, 0), np.random.default_rng(0).integers(0, 1000, side * side, "<u2")
    starts = [_start(first, place, side) for place in range(SLICES)]
    for number in range(count):
        series, place = divmod(number, SLICES)
        content = starts[place]
        for old, new in zip(first, _names(series, number), strict=True):
            content = content.replace(old, new)
        path = folder / f"{series:05d}" / f"{place + 1:02d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content + np.roll(pixels, number).tobytes())


def _names(series: int, number: int) -> list[bytes]:
    """Patient, study, series and instance of a file; each is of one length in all files."""
    study = series // 10
    uids = (("study", study), ("series", series), ("image", number))
    return [
        f"Patient-{study:06d}".encode(),
        *(f"2.25.1{seed('bench', *which) % 10**18:018d}".encode() for which in uids),
    ]


def _start(names: list[bytes], place: int, side: int) -> bytes:
    """A file up to its pixels."""
    header = _header(side)
    header.PatientID, header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID = (
        name.decode() for name in names
    )
    header.file_meta.MediaStorageSOPInstanceUID = UID(header.SOPInstanceUID)
    header.InstanceNumber = place + 1
    header.ImagePositionPatient = ["-100.5", "-80.2", str(3 * place)]
    header.PixelData = bytes(2 * side * side)
    file = BytesIO()
    header.save_as(file, enforce_file_format=True)
    return file.getvalue()[: -2 * side * side]


def _header(side: int) -> Dataset:
    """What all files have in common, as long as Siemens makes it."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = MRImageStorage
    values: dict[str, Any] = {
        "SOPClassUID": MRImageStorage, "Modality": "MR", "Manufacturer": "SIEMENS", "StudyDate": "20110101",
        "SeriesDescription": "ep2d_diff_tra_DYNDIST", "SeriesNumber": "7",
        "ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION"],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"], "PixelSpacing": ["2.0", "2.0"],
        "Rows": side, "Columns": side, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
    }  # fmt: skip
    for name, value in values.items():
        setattr(header, name, value)
    block = header.private_block(0x0029, "TYPHON BENCH", create=True)
    for element in range(PRIVATE):
        block.add_new(element, "LO", f"value of private element {element}")
    return header


@contextmanager
def raw_folder(count: int, side: int = 32) -> Iterator[Path]:
    """A temporary folder with ``raw`` in it: ``count`` files."""
    with tempfile.TemporaryDirectory(prefix="typhon-bench-") as folder:
        write_series(Path(folder) / "raw", count, side)
        yield Path(folder)


def index_arguments(folder: Path, processes: int) -> list[str]:
    """Arguments of ``pipeline.readers.index`` for the folder."""
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


class Rows(Plain):
    """All columns of the index, file by file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.raw = folder / "raw"
        self.names = [file.relative_to(self.raw).as_posix() for file in self.files]

    def run(self) -> int:
        """A list of rows."""
        return len([index.read_row(name, self.raw) for name in self.names])


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


def bench(size: Size) -> list[Result]:
    """Headers per second of one process: rows alone, and the job; then the job on all files."""
    rows = Result("rows of the header index, against a plain pydicom loop", "files/s", goal=GOAL)
    job = Result("the job of the header index, against the same loop", "files/s")
    with raw_folder(min(size.files, 2_000)) as folder:
        compare(rows, Plain, Rows, folder, rounds=size.rounds)
        compare(job, Plain, Ours, folder, rounds=size.rounds)
    job.notes = measure_job(size.files)
    return [rows, job]


def measure_job(files: int) -> dict[str, Any]:
    """Seconds and memory of the job with four processes, and the seconds that PROSTATEx would take.

    A straight line through a quarter of the files and all of them counts the start-up once. Memory has no
    such line: the first rows need more of it than those that follow.
    """
    quarter = files // 4
    (quarter_seconds, _), _ = _job(quarter)
    (seconds, peak), (again, _) = _job(files)
    share = (PROSTATEX_FILES - files) / (files - quarter)
    return {
        "files": files, "processes": PROCESSES, "cores": os.cpu_count() or 0,
        "files_per_second": (files - quarter) / (seconds - quarter_seconds),
        "seconds": seconds, "seconds_when_nothing_changed": again,
        "peak_mib": peak,
        "prostatex_files": PROSTATEX_FILES,
        "prostatex_seconds": seconds + share * (seconds - quarter_seconds),
    }  # fmt: skip


def _job(files: int) -> list[tuple[float, float]]:
    """Seconds and peak MiB of the job on new files, and of the next run, with nothing changed."""
    with raw_folder(files) as folder:
        command = [sys.executable, "-m", "pipeline.readers.index", *index_arguments(folder, PROCESSES)]
        return [watch(command, folder) for _ in range(2)]
