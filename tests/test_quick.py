"""The quick reader of plain DICOM headers says what pydicom says, or leaves the file to it."""

import io
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from pipeline.errors import InputError
from pipeline.readers import dicom, index
from pipeline.readers.dicom import quick
from tests.dicoms import write_mr
from workflow.fuzz.changes import NUMBERS, TEXTS
from workflow.fuzz.inputs.dicom import inputs
from workflow.fuzz.reader import Input, changed
from workflow.fuzz.readers import READERS

VALUES = (
    *TEXTS, b"0", b"1", b"-1", b"+1", b"007", b" 1", b"1 ", b"1\0", b"\0", b"1.0", b"1.", b".5", b"1e2", b"1E-3",
    b"1-", b"1,5", b"0\\0", b"1\\2", b"1\\2\\3", b" 1\\ 2\\ 3 ", b"1\\0\\0\\0\\1\\0", b"1\\\\2", b"\\1", b"1\\",
    b"A", b" A ", b"A\0", b"A\0 ", b"A^B=C", b"~", b"\x7f", b"\t", b"\n", b"\xe4", b"\xc3\xa4", b"\x1b$B0!",
    b"ORIGINAL\\PRIMARY", b"ORIGINAL \\ PRIMARY ", b"A\\MOSAIC", b"MR", b"CT", b"mr ", b"SEG", b"PT",
    b"ISO_IR 6", b"ISO_IR 13", b"ISO_IR 100", b"ISO_IR 192", b"GB18030", b"\\ISO 2022 IR 87", b"latin1",
    b"MONOCHROME1", b"RGB", b"YBR_FULL_422", b"PALETTE COLOR", b"1.2.840.10008.5.1.4.1.1.2",
    b"SIEMENS MR HEADER", b"SIEMENS MED", b"GEMS_PARM_01", b"400", b"1000000400\\8\\0", b"PHILIPS IMAGING DD 001",
    *(number.to_bytes(8, "little")[:2] for number in NUMBERS), np.float64(800).tobytes(), np.float32(5).tobytes(),
)  # fmt: skip
"""What may stand in any element."""


def full(implicit: bool = False) -> bytes:
    """All that a row is made of, a private b-value, and sequences within each other of undefined length."""
    file = io.BytesIO(next(one.content for one in inputs() if one.name == "mr.dcm"))
    ds = pydicom.dcmread(file)
    for name, tag in (dicom.TEXT_TAGS | dicom.NUMBER_TAGS).items():
        if tag not in ds:
            setattr(ds, tag, "12" if name in dicom.NUMBER_TAGS or name == "echo_numbers" else "34")
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "400")
    ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", b"CSA\0" * 40)
    inner, outer = Dataset(), Dataset()
    inner.PatientID, inner.Rows = "another", 7
    outer.ReferencedImageSequence = Sequence([inner, Dataset()])
    ds.ReferencedStudySequence = Sequence([outer, outer])
    for sequence in (ds["ReferencedStudySequence"], outer["ReferencedImageSequence"]):
        sequence.is_undefined_length = not implicit
    for item in (inner, outer):
        item.is_undefined_length_sequence_item = not implicit
    ds.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, implicit_vr=implicit, little_endian=True)
    return out.getvalue()


CORPUS = [*inputs(), Input("full.dcm", full()), Input("full_implicit.dcm", full(implicit=True))]
PLAIN = {"mr", "ct", "implicit", "colour", "palette", "mapped", "full", "full_implicit"}


def row_of(content: bytes) -> dict[str, Any] | None:
    return quick.read_row(content[: quick.FIRST], io.BytesIO(content), len(content))


def by_pydicom(content: bytes, folder: Path) -> dict[str, Any] | str:
    path = folder / "one.dcm"
    path.write_bytes(content)
    try:
        return dicom.read_header(path)
    except InputError as error:
        return f"{error.code}: {error.reason}"


def shown(row: object) -> object:
    """A row to compare: of the same types, and NaN is NaN."""
    return {name: repr(value) for name, value in row.items()} if isinstance(row, dict) else row


def element_changed(content: bytes, random: Random) -> bytes:
    """One element of those that a row is made of with a value of VALUES."""
    name, vrs, _ = random.choice([one for one in quick.WANTED.values() if one[1]])
    implicit = b"1.2.840.10008.1.2\0" in content[:400]
    key = int(Tag(name))
    head = (key >> 16).to_bytes(2, "little") + (key & 0xFFFF).to_bytes(2, "little")
    value = random.choice(VALUES)
    value += random.choice((b"", b" " * (len(value) % 2)))
    at = content.find(head, 300)
    vr = random.choice([*vrs]).to_bytes(2, "little")
    size = len(value).to_bytes(4 if implicit else 2, "little")
    new = head + (b"" if implicit else vr) + size + value
    if at < 0:
        at = content.find(b"\x08\0", 300)
        return content[:at] + new + content[at:] if random.random() < 0.5 else content
    old = int.from_bytes(content[at + 4 : at + 8] if implicit else content[at + 6 : at + 8], "little")
    return content[:at] + new + content[at + 8 + old :]


@pytest.mark.parametrize("one", CORPUS, ids=[one.name for one in CORPUS])
def test_a_plain_file_has_its_row_and_another_is_left_to_pydicom(one: Input, tmp_path: Path) -> None:
    row = row_of(one.content)
    assert (row is not None) == (Path(one.name).stem in PLAIN)
    if row is not None:
        assert shown(row) == shown(by_pydicom(one.content, tmp_path))


@pytest.mark.parametrize("way", ["elements", "anything"])
def test_a_changed_file_has_the_row_of_pydicom_or_none(way: str, tmp_path: Path) -> None:
    read = 0
    for number in range(1200):
        random = Random(number)
        if way == "elements":
            content = element_changed(random.choice(CORPUS).content, random)
        else:
            content = changed(READERS["dicom"], CORPUS, "quick", 0, number).content
        row = row_of(content)
        if row is not None:
            assert shown(row) == shown(by_pydicom(content, tmp_path)), f"{way} {number}"
            read += 1
    assert 50 < read < 600


def test_a_file_that_ends_early_has_no_row() -> None:
    content = full()
    assert all(row_of(content[:size]) is None for size in range(0, len(content), 3))


def test_a_long_header_is_read_on_up_to_a_limit(tmp_path: Path) -> None:
    for length, is_read in ((quick.FIRST, True), (quick.MOST, False)):
        ds = pydicom.dcmread(io.BytesIO(full()))
        ds[0x0029, 0x1010].value = bytes(length)
        ds.save_as(tmp_path / "long.dcm")
        row = row_of((tmp_path / "long.dcm").read_bytes())
        assert (row is not None) == is_read
        if is_read:
            assert shown(row) == shown(dicom.read_header(tmp_path / "long.dcm"))


@pytest.mark.parametrize("vr", ["OB", "UN", "IS"])
@pytest.mark.parametrize("creator", ["SIEMENS MR HEADER", "SIEMENS MED", "GEMS_PARM_01", "OTHER", ""])
@pytest.mark.parametrize("value", [b"400 ", b"1000000400\\8\\0", b"", b"-1"])
def test_a_private_b_value_is_that_of_pydicom(tmp_path: Path, vr: str, creator: str, value: bytes) -> None:
    ds = pydicom.dcmread(io.BytesIO(CORPUS[0].content))
    group, element = (0x0043, 0x39) if creator.startswith("GEMS") else (0x0019, 0x0C)
    ds.private_block(group, creator or "lost", create=True)
    ds[group, 0x1000 | element] = RawDataElement(
        Tag(group, 0x1000 | element), vr, len(value), value, 0, is_implicit_VR=False, is_little_endian=True
    )
    if not creator:
        del ds[group, 0x10]
    ds.save_as(tmp_path / "b.dcm")
    content = (tmp_path / "b.dcm").read_bytes()
    row = row_of(content)
    if row is not None:
        assert shown(row) == shown(by_pydicom(content, tmp_path))
    plain = creator in quick.CREATORS and value != b"-1"
    assert (row is not None) == plain


def test_the_index_asks_pydicom_for_no_plain_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_mr(tmp_path)
    row = {"file": path.name, "format": "dicom", **dicom.read_header(path)}
    monkeypatch.delattr(pydicom, "dcmread")
    assert shown(index.read_row(path.name, path.parent)) == shown(row)


def test_real_files_have_the_rows_of_pydicom(shared: Path) -> None:
    read = 0
    for path in filter(Path.is_file, sorted(shared.rglob("*"))):
        with path.open("rb") as file:
            start = file.read(quick.FIRST)
            row = quick.read_row(start, file, path.stat().st_size) if dicom.is_dicom(start) else None
        if row is not None:
            assert shown(row) == shown(dicom.read_header(path)), path
            read += 1
    assert read > 200
