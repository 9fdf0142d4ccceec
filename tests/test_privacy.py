"""Nothing of a header but an allow-list leaves it, and no id leads a file out of its folder."""

import logging
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from pipeline.phantom import write_phantom
from pipeline.readers import index
from pipeline.report import contact_sheet, fingerprint
from pipeline.store import read_info
from pipeline.verify import __main__ as verify
from tests.etl import build

PLANTED = {
    "PatientName": "Zebedee^Quux", "OtherPatientIDs": "ZQ-4711", "PatientBirthDate": "19420229",
    "PatientAddress": "Quuxlane 7", "PatientAge": "069Q", "InstitutionName": "Quuxton General",
    "InstitutionAddress": "Quuxton", "ReferringPhysicianName": "Quuxley^A", "OperatorsName": "Quuxby",
    "StationName": "QUUXMR1", "AccessionNumber": "QX0815", "StudyID": "QX0816", "StudyDescription": "Quux visit",
    "ProtocolName": "quux protocol", "ImageComments": "seen by Quux", "ContentDate": "19870717",
    "AcquisitionDate": "19870718", "SeriesDate": "19870719", "StudyTime": "112358.13", "DeviceSerialNumber": "QX31415",
}  # fmt: skip
"""Tags of which nothing may come out, with values that occur nowhere else."""
PRIVATE = "quuxprivate"
ALLOWED = {
    "file", "format", "patient_id", "study_uid", "series_uid", "sop_instance_uid", "study_date", "modality",
    "manufacturer", "model", "series_description", "photometric", "image_type", "series_number",
    "acquisition_number", "instance_number", "rows", "columns", "slice_thickness_mm", "position_x", "position_y",
    "position_z", "row_x", "row_y", "row_z", "column_x", "column_y", "column_z", "spacing_row_mm",
    "spacing_column_mm", "b_value", "echo_time_ms", "echo_numbers", "inversion_time_ms", "flip_angle",
    "sequence_name", "convolution_kernel", "temporal_position", "frame", "slices",
}  # fmt: skip
"""All that the index holds of a header; whoever adds a column adds it here, and asks whether it names anybody."""


def test_the_index_holds_what_is_allowed_and_no_more() -> None:
    assert set(index.COLUMNS) == ALLOWED


def plant(path: Path) -> None:
    ds = pydicom.dcmread(path)
    for name, value in PLANTED.items():
        setattr(ds, name, value)
    ds.private_block(0x0029, "QUUXMAKER", create=True).add_new(0x01, "LO", PRIVATE)
    item = pydicom.Dataset()
    item.PatientID, item.IssuerOfPatientID = "ZQ-4712", "Quuxton"
    ds.OtherPatientIDsSequence = [item]
    ds.preamble = b"quuxpreamble".ljust(128, b"\0")
    ds.save_as(path, enforce_file_format=True)
    if path.name == "1-01.dcm" and "localizer" in str(path):
        path.write_bytes(path.read_bytes()[:-10])  # a file that is listed with its error


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data set's folder, made from headers full of names, with its pictures and page; and what was logged."""
    root = tmp_path_factory.mktemp("privacy")
    write_phantom("prostatex", root / "raw", 6, 0)
    for path in sorted((root / "raw").rglob("*t2localizer*/*.dcm")) + sorted(
        (root / "raw").rglob("*t2tsetra*/*.dcm")
    ):
        plant(path)
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("typhon").addHandler(handler)
    logging.getLogger("typhon").setLevel(logging.INFO)
    folder = build("prostatex", root / "raw", root / "prostatex", "--channels", "t2", extent="65 mm", views=6)
    of = {name: str(folder / name) for name in
          ("index.parquet", "findings.csv", "choices.csv", "slices.h5", "patches.h5", "skipped.csv")}  # fmt: skip
    contact_sheet.main(
        ["contact-sheet", "--store", of["patches.h5"], "--out", str(folder / "contact_sheet.png")]
    )
    contact_sheet.main(["red-dots", "--store", of["patches.h5"], "--findings", of["findings.csv"], "--slices",
                   of["slices.h5"], "--out", str(folder / "red_dots.png")])  # fmt: skip
    fingerprint.main(["--index", of["index.parquet"], "--findings", of["findings.csv"], "--choices",
                      of["choices.csv"], "--slices", of["slices.h5"], "--store", of["patches.h5"], "--skipped",
                      of["skipped.csv"], "--out", str(folder / "fingerprint.csv"), "--picture",
                      str(folder / "fingerprint.png")])  # fmt: skip
    verify.main([str(folder), "--raw", str(root / "raw"), "--exit-zero"])
    logging.getLogger("typhon").removeHandler(handler)
    return folder, "\n".join(said)


def text_of(path: Path) -> str:
    """All text in an output, compressed or not."""
    parts = [path.read_bytes().decode("latin-1")]
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        parts += [str(table.columns), *(str(value) for name in table for value in table[name].unique())]
    if path.suffix == ".png":
        with Image.open(path) as image:
            parts.append(str(image.info))
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            file.visititems(lambda name, item: parts.extend([name, str(dict(item.attrs))]))
            parts.append(str(dict(file.attrs)))
    return "\n".join(parts)


def words() -> list[str]:
    values = [*PLANTED.values(), PRIVATE, "ZQ-4712", "quux"]
    return [part for value in values for part in {value, *value.split("^")} if len(part) > 1]


def test_no_output_holds_anything_that_was_planted_in_the_headers(outputs: tuple[Path, str]) -> None:
    folder, said = outputs
    texts = {
        path.relative_to(folder).as_posix(): text_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    assert {"index.parquet", "slices.h5", "patches.h5", "verify.html", "red_dots.png", "skipped.csv"} <= set(
        texts
    )
    texts["log"] = said
    assert said
    found = {(name, word) for name, text in texts.items() for word in words() if word.lower() in text.lower()
             and not (len(word) < 5 and name.endswith((".h5", ".png", ".html", ".parquet")))}  # fmt: skip
    assert found == set()


def test_the_planted_words_would_be_found_in_the_raw_files(outputs: tuple[Path, str]) -> None:
    folder, _ = outputs
    path = next((folder.parent / "raw").rglob("*t2tsetra*/*.dcm"))
    assert [word for word in words() if word.lower() not in text_of(path).lower()] == []


def test_pictures_hold_no_text_and_the_page_no_file_names_and_no_study_date(
    outputs: tuple[Path, str],
) -> None:
    folder, _ = outputs
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            assert set(image.info) <= {"dpi"}, path
    page = re.sub(r"data:image/png;base64,[^\"]*", "", (folder / "verify.html").read_text())
    assert "20110707" not in page
    assert ".dcm" not in page


EVIL = ["../../up", "/etc/passwd", "CON", "a" * 300, "=cmd|'/C calc'!A0", "<b>bold</b>", "naïve 𝄞", 'a,b"c', "..",
        "new\\line", "~", "-rf"]  # fmt: skip


def test_ids_of_any_signs_make_no_file_of_their_own(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for number, name in enumerate(EVIL):
        Image.fromarray(rng.integers(0, 255, (70, 80), dtype="u1")).save(raw / f"{number}.png")
        quoted = name.replace('"', '""')
        lines.append(f'{number}.png,"{quoted}","{quoted}",{number % 2},40,35\n')
    (raw / "own.csv").write_text("image,patient_id,finding_id,label,x,y\n" + "".join(lines))
    folder = build("table", raw, tmp_path / "deep" / "mine", "--table", "own.csv", extent="40 px")
    verify.main([str(folder), "--raw", str(raw), "--exit-zero"])
    # Signs alone are nobody's id: the image stands for the patient.
    ids = [name if re.search(r"\w", name) else f"{number}.png" for number, name in enumerate(EVIL)]
    assert read_info(folder / "patches.h5").findings["patient_id"].tolist() == ids
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    expected = {
        "index.parquet", "files.parquet", "findings.csv", "choices.csv", "near_duplicates.csv", "slices.h5",
        "patches.h5", "skipped.csv", "splits/fold0.csv", "verify.html", "verify.csv",
        *(f"skipped/{step}.csv" for step in ("index", "findings", "slices", "patches")),
    }  # fmt: skip
    raws = {f"raw/{path.name}" for path in raw.iterdir()}
    assert written == {f"deep/mine/{name}" for name in expected} | raws
    assert "<b>bold" not in (folder / "verify.html").read_text()
    shutil.rmtree(raw)
