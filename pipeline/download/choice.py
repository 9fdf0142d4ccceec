"""Which series of a collection to get, from the index of the Imaging Data Commons that needs no network.

The index (package idc-index-data, CC BY) lists each public series with its number of files and its size. Only
original images are taken: segmentations and reports that others made of them have other licences and authors.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.datasets import prostatex
from pipeline.download.archive import safe_name
from pipeline.errors import ConfigError, NetError

COLUMNS = {
    "PatientID": "patient_id",
    "StudyInstanceUID": "study_uid",
    "SeriesInstanceUID": "uid",
    "SeriesDescription": "description",
    "instanceCount": "files",
    "series_size_MB": "size",
    "license_short_name": "licence",
    "aws_bucket": "bucket",
    "crdc_series_uuid": "prefix",
}
FILTERS = ("collection_id", "analysis_result_id", "Modality")


@dataclass(frozen=True)
class ArchiveCollection:
    """A collection at both services, its modality, and which of a study's descriptions the workflow reads."""

    idc: str
    nbia: str
    modality: str
    needed: Callable[[Sequence[str]], list[bool]]


COLLECTIONS = {
    "prostatex": ArchiveCollection("prostatex", "PROSTATEx", "MR", prostatex.needed),
    "lungx": ArchiveCollection(
        "spie_aapm_lung_ct_challenge", "SPIE-AAPM Lung CT Challenge", "CT", lambda names: [True] * len(names)
    ),
}
"""By kind of data set."""


@dataclass(frozen=True)
class Series:
    """A series to get: its files, their size in bytes, its licence, and where it lies in the cloud."""

    patient_id: str
    study_uid: str
    uid: str
    description: str
    files: int
    size: int
    licence: str
    bucket: str
    prefix: str

    @property
    def folder(self) -> str:
        """Where it goes below the raw folder."""
        return f"{checked(self.patient_id)}/{checked(self.uid)}"


def checked(name: str) -> str:
    """A name that is safe as that of a file or folder; raises NetError."""
    if "/" in name or not safe_name(name):
        raise NetError(
            repr(name[:100]), expected="a plain name for a file or folder", remedy="do not use that source"
        )
    return name


def offline_index() -> Path:
    """The index that is installed with the workflow."""
    from idc_index_data import IDC_INDEX_PARQUET_FILEPATH  # reads all its schemas

    assert IDC_INDEX_PARQUET_FILEPATH is not None  # part of the package
    return IDC_INDEX_PARQUET_FILEPATH


def version(index: Path) -> str:
    """The release of an index; its first number is that of the Imaging Data Commons. Raises ConfigError."""
    with _open(index) as file:
        stated = (file.schema_arrow.metadata or {}).get(b"idc_index_data_version", b"")
    return str(stated.decode()).split("-")[0]


def choose(kind: str, which: str, index: Path) -> list[Series]:
    """The series of a collection, ``needed`` or ``all``, by patient, study and UID; raises ConfigError."""
    collection = COLLECTIONS[kind]
    ours = (pc.field("collection_id") == collection.idc) & (pc.field("Modality") == collection.modality)
    original = pc.field("analysis_result_id").is_null()
    with _open(index):
        found = pq.read_table(index, columns=list(COLUMNS), filters=ours & original)
    table = found.to_pandas().rename(columns=COLUMNS)
    if table.empty:
        raise _no_index("none", index, f"series of {collection.idc}")
    table["description"] = table["description"].fillna("")
    table["size"] = (table["size"] * 1e6).round().astype("int64")  # it was bytes / 1,000,000
    if which == "needed":
        table = table[table.groupby("study_uid")["description"].transform(_mask(collection)).astype(bool)]
    table = table.sort_values(["patient_id", "study_uid", "uid"])
    return [Series(**row) for row in table.to_dict("records")]


def _mask(collection: ArchiveCollection) -> Callable[[pd.Series], list[bool]]:
    return lambda descriptions: collection.needed(descriptions.tolist())


@contextmanager
def _open(index: Path) -> Iterator[pq.ParquetFile]:
    """The index, open; raises ConfigError where it is none."""
    try:
        with pq.ParquetFile(index) as file:
            if lacking := {*COLUMNS, *FILTERS} - set(file.schema_arrow.names):
                raise _no_index(f"no columns {', '.join(sorted(lacking))}", index)
            yield file
    except (OSError, pa.ArrowException) as error:
        raise _no_index(str(error), index) from error


def _no_index(found: str, index: Path, expected: str = "an index of the Imaging Data Commons") -> ConfigError:
    remedy = "leave download/index out to use the installed one"
    return ConfigError(found, file=index, expected=expected, remedy=remedy)
