"""The fuzzer finds what is planted; the first inputs of each real reader break none of them."""

import signal
import subprocess
import sys
import time
import zipfile
from io import BytesIO
from itertools import count
from pathlib import Path
from random import Random

import psutil
import pydicom
import pytest

from pipeline.provenance import ROOT
from tests import planted
from workflow.fuzz import __main__ as fuzz_main
from workflow.fuzz import changes, session
from workflow.fuzz.formats import dicom, hdf5, nifti, pictures, zips
from workflow.fuzz.formats import json as documents
from workflow.fuzz.inputs import dicom as dicoms
from workflow.fuzz.inputs import models, tables, volumes
from workflow.fuzz.inputs import pictures as images
from workflow.fuzz.reader import changed
from workflow.fuzz.readers import READERS
from workflow.fuzz.session import fuzz

TRIES = {"weights": 40, "cards": 40, "cases": 150, "spreadsheets": 100}
"""Of the slower readers; of the others 300."""


@pytest.mark.parametrize("name", READERS)
def test_the_first_inputs_break_no_reader(name: str) -> None:
    tally = fuzz(name, tries=TRIES.get(name, 300))
    assert {str(kind): one.outcome.trace for kind, one in tally.failures.items()} == {}
    assert tally.states["fine"] > 0
    assert tally.states["refused"] > 0


def first_fault(name: str) -> int:
    """The number of the first input that meets the planted fault."""
    reader = planted.READERS[name]
    made = (changed(reader, reader.inputs(), name, 0, number).content for number in count())
    return next(
        number for number, content in enumerate(made)
        if content.startswith(planted.SIGN) and not content.endswith(b"END")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("raises", "KeyError at tests/planted.py:raises"),
        ("dies", "the end of the process (SIGSEGV) at tests/planted.py:dies"),
        ("hangs", "no end after 4 s at tests/planted.py:hangs"),
        ("eats", "too much memory"),
        ("eats_in_its_child", "too much memory"),
        ("eats_all", "MemoryError at tests/planted.py:eats_all"),
        ("writes", "TrespassError at tests/planted.py:writes"),
        ("writes_in_its_child", "TrespassError at tests/planted.py:writes"),
        ("writes_unseen", "another file in the folder, or another content"),
        ("starts", "TrespassError at tests/planted.py:starts"),
        ("contradicts", "DisagreementError at tests/planted.py:contradicts"),
        ("rings", "a message of E-INPUT that is no line of text at tests/planted.py:rings"),
    ],
)
def test_a_planted_fault_is_found_named_and_made_short(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SHORTER_TRIES", 100 if name == "raises" else 1)
    tally = fuzz(name, tries=1 + first_fault(name), module="tests.planted")
    (found,) = tally.failures.values()
    assert str(found.outcome.kind) == kind
    assert found.times == tally.states["failed"] == 1
    assert found.given.content.startswith(planted.SIGN)
    if name == "raises":
        assert found.given.content == planted.SIGN  # nothing less does it


def test_a_decoder_that_dies_in_its_child_is_refused_as_in_a_step() -> None:
    tally = fuzz("dies_in_its_child", tries=1 + first_fault("dies_in_its_child"), module="tests.planted")
    assert tally.failures == {}
    assert tally.states["refused"] > 0


def test_a_reader_that_does_not_read_what_it_begins_with_is_told() -> None:
    with pytest.raises(
        RuntimeError, match=r"(?s)what the fuzzer begins with is not read: a\.bin: .*KeyError"
    ):
        fuzz("broken", tries=1, module="tests.planted")


def test_the_same_seed_gives_the_same_inputs_and_another_seed_others() -> None:
    for name, reader in READERS.items():
        once, again = reader.inputs(), reader.inputs()
        assert once == again
        made = [changed(reader, once, name, 0, number) for number in range(12)]
        assert made == [changed(reader, again, name, 0, number) for number in range(12)]
        assert made != [changed(reader, once, name, 1, number) for number in range(12)]
        assert all(one not in once for one in made)


def test_the_input_of_a_failure_lies_whole_in_a_folder_that_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzz_main, "READERS", planted.READERS)
    monkeypatch.setattr(session, "READERS", "tests.planted")
    line = ["60", "--only", "raises", "--tries", "5", "--seed", "3", "--out", str(tmp_path / "fuzz")]
    for _ in range(2):  # what lies there of the last time is replaced
        with pytest.raises(SystemExit) as end:
            fuzz_main.main(line)
        assert end.value.code == 1
        (place,) = (tmp_path / "fuzz/raises").iterdir()
        assert place.name == "KeyError-at-tests-planted-py-raises"
        assert {path.name for path in place.iterdir()} == {"a.bin", "about.txt"}
        assert (place / "a.bin").read_bytes() == planted.SIGN
        about, trace = (place / "about.txt").read_text().split("\n", 1)
        assert about.startswith(
            "raises: KeyError at tests/planted.py:raises: 'a.bin' (a.bin, 5 bytes; seed 3, try "
        )
        assert "in raises" in trace
    told, head, row, kind = capsys.readouterr().out.splitlines()[-4:]
    assert told.startswith("raises: KeyError at tests/planted.py:raises: 'a.bin'; ")
    assert head.split() == ["reader", "seconds", "tries", "fine", "refused", "kinds", "of", "failure"]
    name, _, tries, *states, kinds = row.split()
    assert (name, tries, kinds) == ("raises", "5", "1")
    assert kind == f"raises: KeyError at tests/planted.py:raises, {5 - sum(map(int, states))} times"


def test_without_failures_it_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fuzz_main.main(["60", "--only", "tables", "--tries", "3", "--out", str(tmp_path / "fuzz")])
    assert not (tmp_path / "fuzz").exists()
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_an_interrupt_ends_it_with_what_was_found_so_far(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "workflow.fuzz", "600", "--only", "tables", "stores", "--processes", "1"]
    process = subprocess.Popen([*line, "--out", tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    deadline = time.monotonic() + 120
    while not any_child(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert [line.split()[0] for line in told.splitlines()] == ["reader", "tables"]


def any_child(pid: int) -> bool:
    return any("workflow.fuzz.child" in child.cmdline() for child in psutil.Process(pid).children())


def test_the_time_ends_it() -> None:
    assert fuzz("raises", seconds=0, module="tests.planted").tries == 0


def test_a_changed_element_leaves_the_others_of_a_dicom_readable() -> None:
    (given,) = (one for one in dicoms.inputs() if one.name == "mapped.dcm")
    read = 0
    for number in range(60):
        made = dicom.element(given.content, Random(number))
        try:
            read += "PixelData" in pydicom.dcmread(BytesIO(made))
        except Exception:
            continue
    assert read > 30
    unchanged = list(dicom._elements(given.content))
    assert given.content == given.content[:132] + b"".join(part.packed() for part in unchanged)


def test_chunks_of_a_changed_png_keep_their_checksums() -> None:
    given = {one.name: one.content for one in images.inputs()}["grey.png"]
    for number in range(40):
        made = pictures.png_chunk(given, Random(number))
        place = 8
        while place < len(made):
            length = int.from_bytes(made[place : place + 4], "big")
            end = place + 12 + length
            assert pictures.chunk(made[place + 4 : place + 8], made[place + 8 : end - 4]) == made[place:end]
            place = end


def test_a_changed_member_leaves_the_archive_whole() -> None:
    (given, *_) = tables.workbooks()
    for number in range(20):
        with zipfile.ZipFile(BytesIO(zips.member(given.content, Random(number)))) as archive:
            assert archive.testzip() is None


@pytest.mark.parametrize(
    ("change", "name", "inputs"),
    [
        (nifti.field, "plain.nii", volumes.inputs), (nifti.field, "second.nii", volumes.inputs),
        (zips.within(nifti.field), "packed.nii.gz", volumes.inputs), (pictures.jpeg_segment, "grey.jpg", images.inputs),
        (pictures.tiff_entry, "deep.tif", images.inputs), (hdf5.member, "patches.h5", models.stores),
        (documents.value, "card.json", models.cards), (changes.word, "own.csv", tables.inputs),
        (changes.line, "own.csv", tables.inputs), (changes.sign, "own.csv", tables.inputs),
        (documents.safetensors_header, "model.safetensors", models.weight_files),
    ],
)  # fmt: skip
def test_a_change_changes_its_format_and_leaves_others_alone(change, name, inputs) -> None:
    given = next(one for one in inputs() if one.name == name)
    made = {change(given.content, Random(number)) for number in range(20)}
    assert len(made) > 3
    assert change(b"", Random(0)) is not None
    if change not in changes.TEXT:
        assert change(b"another format", Random(0)) == b"another format"
