"""The index of a raw folder: the same rows from any layout, each header read once, nothing lost."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom.uid import generate_uid

from pipeline.errors import EmptyError, StoreError
from pipeline.files import read_csv
from pipeline.phantom import Geometry, write_ct_series, write_mr_series
from pipeline.provenance import ROOT
from pipeline.readers import index

GRID = Geometry((0.0, 0.0, 0.0))


@pytest.fixture(scope="session")
def classic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients in the classic download layout: 3 + 4 + 2 files in nested folders."""
    raw = tmp_path_factory.mktemp("classic")
    for patient, series in (
        ("P1", ((3, "t2_tse_tra", 3), (7, "ep2d_ADC", 4))),
        ("P2", ((3, "t2_tse_tra", 2),)),
    ):
        for number, name, planes in series:
            write_mr_series(
                raw / patient / "07-07-2011" / f"{number}.000000-{name}-12345", np.ones((planes, 4, 5)), GRID,
                description=name, number=number, patient_id=patient, b_values=(800,) if number == 7 else None,
            )  # fmt: skip
    return raw


@pytest.fixture
def raw(classic: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(classic, tmp_path / "raw"))


def run(raw: Path, out: Path, processes: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Index as the workflow does; the index and the skipped table."""
    index.main(
        ["--raw", str(raw), "--out", str(out / "index.parquet"), "--files", str(out / "files.parquet"),
         "--skipped", str(out / "skipped.csv"), "--processes", str(processes)]
    )  # fmt: skip
    return index.read_index(out / "index.parquet"), read_csv(out / "skipped.csv")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, in_this_process: None) -> list[str]:  # noqa: ARG001
    """The files whose headers are read from now on."""
    read: list[str] = []
    original = index.read_row

    def counting(file: str, raw: Path) -> Any:
        read.append(file)
        return original(file, raw)

    monkeypatch.setattr(index, "read_row", counting)
    return read


def _relaid(classic: Path, to: Path, name: Callable[[pydicom.Dataset, int], str]) -> Path:
    for number, file in enumerate(sorted(classic.rglob("*.dcm"))):
        target = to / name(pydicom.dcmread(file), number)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return to


def _uids(ds: pydicom.Dataset, number: int) -> str:  # noqa: ARG001  (layouts are called alike)
    return f"{ds.PatientID}/{ds.StudyInstanceUID}/MR_{ds.SeriesInstanceUID}/{ds.SOPInstanceUID}"


LAYOUTS: dict[str, Callable[[pydicom.Dataset, int], str]] = {
    "descriptive": lambda ds, n: f"prostatex/{ds.PatientID}/MR prostaat/{ds.SeriesDescription}/{n:06d}.dcm",
    "uids": _uids,
    "flat": lambda _, n: f"IM{n:04d}",
    "upside down": lambda _, n: f"{99 - n}.JPG",  # not even the suffix is believed
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_rows_but_for_the_file(
    classic: Path, tmp_path: Path, layout: str
) -> None:
    first, _ = run(classic, tmp_path / "a")
    again, skipped = run(_relaid(classic, tmp_path / "raw", LAYOUTS[layout]), tmp_path / "b")
    assert len(first) == 9
    pd.testing.assert_frame_equal(first.drop(columns="file"), again.drop(columns="file"))
    assert skipped.empty
    assert list(first["sop_instance_uid"]) == sorted(first["sop_instance_uid"])
    assert all((tmp_path / "raw" / file).is_file() for file in again["file"])


def test_any_number_of_processes_gives_the_same_bytes(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (raw / "empty.dcm").touch()
    monkeypatch.setattr(index, "CHUNK", 2)
    run(raw, tmp_path / "one")
    run(raw, tmp_path / "three", processes=3)
    for name in ("index.parquet", "files.parquet", "skipped.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "three" / name).read_bytes()


def test_workers_share_the_imports_of_the_step(raw: Path, tmp_path: Path) -> None:
    for number in range(3 * index.CHUNK):  # each of three workers has a chunk
        (raw / f"{number}.dcm").touch()
    run(raw, tmp_path / "one")
    names = {"raw": raw, "out": "index.parquet", "files": "files.parquet", "skipped": "skipped.csv"}
    step = [sys.executable, "-X", "importtime", "-m", "pipeline.readers.index", "--processes", "3"]
    line = [*step, *(str(part) for name, file in names.items() for part in (f"--{name}", file))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(line, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    imported = [line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()]
    assert imported.count("pandas") == 2  # in the step, and in the process that forks its workers
    assert "Warning" not in ended.stderr
    for name in ("index.parquet", "files.parquet", "skipped.csv"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_the_number_of_rows_at_once_makes_no_difference(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (8, 8)).save(raw / "a.png")  # without a UID: first, though read last
    first = sorted(raw.rglob("*.dcm"))[0]
    shutil.copyfile(first, raw / "copy.dcm")
    table, _ = run(raw, tmp_path / "one")
    assert table["file"][0] == "a.png"
    monkeypatch.setattr(index, "ROWS_AT_ONCE", 2)
    run(raw, tmp_path / "many")
    for name in ("index.parquet", "files.parquet", "skipped.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


def test_rows_are_sorted_by_uid_frame_and_file() -> None:
    rows = [("2", 1.0, "b"), ("1", np.nan, "d"), ("2", 0.0, "c"), ("1", np.nan, "a"), ("", np.nan, "e")]
    blank = dict.fromkeys(index.TEXT, "") | dict.fromkeys(index.NUMBERS, np.nan)
    keys = ("sop_instance_uid", "frame", "file")
    parts = [
        index.as_table([blank | dict(zip(keys, row, strict=True)) for row in some])
        for some in (rows[:2], rows[2:])
    ]
    table = index._sorted(parts)
    assert table["file"].tolist() == ["e", "a", "d", "c", "b"]
    assert list(table) == index.COLUMNS
    assert list(table.index) == [0, 1, 2, 3, 4]


def test_each_header_is_read_once(raw: Path, tmp_path: Path, reads: list[str]) -> None:
    first, _ = run(raw, tmp_path)
    before = (tmp_path / "index.parquet").read_bytes()
    assert sorted(reads) == sorted(first["file"])
    reads.clear()
    run(raw, tmp_path)
    assert reads == []
    assert (tmp_path / "index.parquet").read_bytes() == before


def test_only_new_and_changed_files_are_read_again_also_deep_in_folders(
    raw: Path, tmp_path: Path, reads: list[str]
) -> None:
    first, _ = run(raw, tmp_path)
    reads.clear()
    changed = next(raw.glob("P1/*/7*/*-02.dcm"))
    ds = pydicom.dcmread(changed)
    ds.SeriesDescription = "another text"
    ds.save_as(changed)
    new = raw / "P3" / "a" / "b" / "c" / "new.dcm"
    new.parent.mkdir(parents=True)
    ds.PatientID, ds.SOPInstanceUID = "P3", generate_uid()
    ds.save_as(new)
    table, _ = run(raw, tmp_path)
    assert sorted(reads) == sorted(str(path.relative_to(raw)) for path in (changed, new))
    assert len(table) == len(first) + 1
    rows = table.set_index("file")["series_description"]
    assert rows[str(changed.relative_to(raw))] == rows["P3/a/b/c/new.dcm"] == "another text"


def test_removed_files_vanish_from_the_index(raw: Path, tmp_path: Path, reads: list[str]) -> None:
    first, _ = run(raw, tmp_path)
    reads.clear()
    shutil.rmtree(raw / "P2")
    table, _ = run(raw, tmp_path)
    assert reads == []
    assert set(first["file"]) - set(table["file"]) == {f for f in first["file"] if f.startswith("P2/")}
    assert set(table["patient_id"]) == {"P1"}


def test_an_index_of_a_grown_folder_is_that_of_a_fresh_start(raw: Path, tmp_path: Path) -> None:
    hidden = (raw / "P1").rename(tmp_path / "P1")
    run(raw, tmp_path / "grown")
    hidden.rename(raw / "P1")
    run(raw, tmp_path / "grown")
    run(raw, tmp_path / "fresh")
    assert (tmp_path / "grown/index.parquet").read_bytes() == (tmp_path / "fresh/index.parquet").read_bytes()


def _damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    elif how == "flip":
        content[content.index(b".dcm")] ^= 0xFF
    path.write_bytes(content if how != "empty" else b"")


@pytest.mark.parametrize("how", ["cut", "flip", "empty"])
@pytest.mark.parametrize("name", ["index.parquet", "files.parquet"])
def test_a_damaged_previous_index_is_made_anew(
    raw: Path, tmp_path: Path, reads: list[str], name: str, how: str
) -> None:
    run(raw, tmp_path)
    before = (tmp_path / "index.parquet").read_bytes()
    reads.clear()
    _damage(tmp_path / name, how)
    run(raw, tmp_path)
    assert len(reads) == 9
    assert (tmp_path / "index.parquet").read_bytes() == before


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_a_later_step_refuses_a_damaged_index(raw: Path, tmp_path: Path, how: str) -> None:
    run(raw, tmp_path)
    _damage(tmp_path / "index.parquet", how)
    with pytest.raises(StoreError, match=r"E-STORE .*index\.parquet: expected a whole index"):
        index.read_index(tmp_path / "index.parquet")


def test_an_index_of_other_readers_is_made_anew(
    raw: Path, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(raw, tmp_path)
    reads.clear()
    monkeypatch.setattr(index, "_readers", lambda: b"a later version of the code")
    run(raw, tmp_path)
    assert len(reads) == 9


def test_bad_files_are_listed_and_the_others_indexed(raw: Path, tmp_path: Path) -> None:
    good = next(raw.rglob("*.dcm"))
    (raw / "empty.dcm").touch()
    (raw / "page.dcm").write_text("<html>")
    (raw / "cut.dcm").write_bytes(good.read_bytes()[:-10])
    for name, modality in (("report.dcm", "SR"), ("mask.dcm", "SEG")):
        ds = pydicom.dcmread(good)
        ds.Modality, ds.SOPInstanceUID = modality, generate_uid()
        ds.save_as(raw / name)
    table, skipped = run(raw, tmp_path)
    assert len(table) == 9
    assert [tuple(row) for row in skipped[["kind", "file", "code"]].to_numpy()] == [
        ("failed", "cut.dcm", "E-DCM-TRUNC"),
        ("failed", "empty.dcm", "E-DCM-NOTDICOM"),
        ("excluded", "mask.dcm", "E-DCM-NOTIMAGE"),
        ("failed", "page.dcm", "E-DCM-NOTDICOM"),
        ("excluded", "report.dcm", "E-DCM-NOTIMAGE"),
    ]
    assert set(skipped["step"]) == {"index"}
    assert all(skipped["reason"].str.contains("found"))


def test_a_bad_file_stays_listed_until_it_is_mended(raw: Path, tmp_path: Path) -> None:
    good = next(raw.rglob("*.dcm"))
    whole = good.read_bytes()
    good.write_bytes(whole[:-10])
    for _ in range(2):
        table, skipped = run(raw, tmp_path)
        assert (len(table), len(skipped)) == (8, 1)
    good.write_bytes(whole)
    table, skipped = run(raw, tmp_path)
    assert (len(table), len(skipped)) == (9, 0)


def test_the_same_instance_twice_counts_once(raw: Path, tmp_path: Path, reads: list[str]) -> None:
    shutil.copytree(raw / "P2", raw / "a second download" / "P2")
    table, skipped = run(raw, tmp_path)
    assert len(table) == 9
    assert skipped.empty
    assert len(reads) == 11


def test_different_files_of_one_uid_are_both_refused(raw: Path, tmp_path: Path) -> None:
    file = next(raw.rglob("*.dcm"))
    other = bytearray(file.read_bytes())
    other[-1] ^= 1
    (raw / "other.dcm").write_bytes(other)
    table, skipped = run(raw, tmp_path)
    assert len(table) == 8
    assert set(skipped["code"]) == {"E-DCM-DUPUID"}
    assert set(skipped["file"]) == {"other.dcm", str(file.relative_to(raw))}
    (raw / "other.dcm").unlink()
    assert len(run(raw, tmp_path)[0]) == 9


def test_documents_and_hidden_files_are_no_images_but_their_content_counts(raw: Path, tmp_path: Path) -> None:
    names = [
        ".DS_Store", "P1/._1-01.dcm", "Thumbs.db", "desktop.ini", "LICENSE", "readme.md", "README", "a.xlsx",
        "DICOMDIR", "P1/LABELS.CSV", "manifest.tcia", "download.log", "a.nii.gz.zip", "config.yaml", "read.py",
        "P1/dwi.bval", "IMG_1.MOV",
    ]  # fmt: skip
    for name in names:
        (raw / name).write_text("one")
    table, skipped = run(raw, tmp_path)
    assert (len(table), len(skipped)) == (9, 0)
    digests = index.documents(tmp_path / "index.parquet")
    assert set(digests) == {name for name in names if not Path(name).name.startswith(".")}
    before = (tmp_path / "index.parquet").read_bytes()
    (raw / "P1/LABELS.CSV").write_text("two!")
    run(raw, tmp_path)
    assert (tmp_path / "index.parquet").read_bytes() != before
    (raw / "P1/LABELS.CSV").write_text("one")
    run(raw, tmp_path)
    assert (tmp_path / "index.parquet").read_bytes() == before


def test_an_unchanged_document_is_not_read_again(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The archive of a download may lie beside what came out of it: 16 GB.
    (raw / "archive.zip").write_text("large")
    run(raw, tmp_path)
    monkeypatch.setattr(index, "sha256", lambda path: pytest.fail(f"{path} was read"))
    run(raw, tmp_path)
    assert set(index.documents(tmp_path / "index.parquet")) == {"archive.zip"}


def test_a_loop_of_links_ends_and_counts_every_file_once(raw: Path, tmp_path: Path) -> None:
    for folder in ("P1", "P2"):
        (raw / folder / "up").symlink_to(raw)
        (raw / folder / "self").symlink_to(raw / folder)
        (raw / folder / "across").symlink_to(raw / "P1" / "07-07-2011")
    table, skipped = run(raw, tmp_path)
    assert (len(table), len(skipped)) == (9, 0)


def test_links_to_other_disks_are_followed(classic: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "prostatex").symlink_to(classic)
    (tmp_path / "raw" / "one more.dcm").symlink_to(next(classic.rglob("*.dcm")))
    table, skipped = run(tmp_path / "raw", tmp_path)
    assert (len(table), len(skipped)) == (9, 0)
    assert all(file.startswith(("prostatex/P", "one more")) for file in table["file"])


@pytest.mark.usefixtures("in_this_process")
def test_what_cannot_be_opened_is_listed(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (raw / "dangling.dcm").symlink_to(raw / "nowhere.dcm")
    os.mkfifo(raw / "pipe.dcm")
    Path(os.fsdecode(os.fsencode(raw) + b"/caf\xe9.dcm")).write_text("a name in Latin-1")
    closed, locked = next(raw.rglob("1-01.dcm")), raw / "secret.csv"
    locked.touch()
    opened = Path.open

    def permitted(self: Path, *args: Any, **kwargs: Any) -> Any:
        # root may read everything, so that permissions cannot be taken away for real.
        if self in (closed, locked):
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", permitted)
    table, skipped = run(raw, tmp_path)
    assert len(table) == 8
    names = {
        "dangling.dcm",
        "pipe.dcm",
        "caf\N{REPLACEMENT CHARACTER}.dcm",
        "secret.csv",
        str(closed.relative_to(raw)),
    }
    assert set(skipped["file"]) == names
    assert set(skipped["code"]) == {"E-READ"}
    assert sum(skipped["reason"].str.contains("found Permission denied")) == 2


def test_a_file_that_vanishes_during_the_scan_is_listed(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned = index.scan

    def vanishing(folder: Path) -> Iterable[tuple[str, int, int]]:
        states = list(scanned(folder))
        (folder / states[3][0]).unlink()
        return states

    monkeypatch.setattr(index, "scan", vanishing)
    table, skipped = run(raw, tmp_path)
    assert (len(table), skipped["code"].tolist()) == (8, ["E-READ"])


def test_a_folder_that_cannot_be_entered_is_listed(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = os.scandir

    def permitted(path: Any) -> Any:
        if Path(path).name == "P2":
            raise PermissionError(13, "Permission denied", str(path))
        return entered(path)

    monkeypatch.setattr(os, "scandir", permitted)
    table, skipped = run(raw, tmp_path)
    assert len(table) == 7
    assert skipped[["file", "code"]].to_numpy().tolist() == [["P2", "E-READ"]]


@pytest.mark.parametrize("content", ["no folder", "", "a.csv", ".hidden"])
def test_a_folder_without_images_is_an_error(tmp_path: Path, content: str) -> None:
    if content != "no folder":
        (tmp_path / "raw").mkdir()
    if content and (tmp_path / "raw").is_dir():
        (tmp_path / "raw" / content).touch()
    with pytest.raises(EmptyError, match=r"E-EMPTY .*raw: expected image files, found none"):
        run(tmp_path / "raw", tmp_path)
    assert not (tmp_path / "index.parquet").exists()


@pytest.mark.parametrize("earlier", [False, True])
def test_a_folder_in_which_nothing_can_be_read_stops_here_with_the_commonest_reasons(
    raw: Path, tmp_path: Path, earlier: bool
) -> None:
    if earlier:
        run(raw, tmp_path)
    shutil.rmtree(raw)
    raw.mkdir()
    for name in ("x.img", "a.img", "b.img"):
        (raw / name).write_bytes(b"no picture")
    (raw / "c.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(EmptyError) as caught:
        run(raw, tmp_path)
    message = str(caught.value)
    assert message.startswith(
        f"E-EMPTY {raw}: expected a readable image, found none: 3 × E-DCM-NOTDICOM such as a.img, "
    )
    assert "; 1 × " in message
    assert message.endswith("whether this is the right folder")
    assert (tmp_path / "index.parquet").exists() == earlier


def test_images_and_volumes_stand_beside_dicom(raw: Path, tmp_path: Path) -> None:
    Image.new("L", (7, 3)).save(raw / "picture.dcm", format="PNG")
    write_ct_series(raw / "ct", np.zeros((1, 2, 2)), GRID)
    table, skipped = run(raw, tmp_path)
    assert skipped.empty
    rows = table.set_index("file")
    assert rows.loc["picture.dcm", ["format", "columns", "rows", "modality"]].tolist() == ["image", 7, 3, ""]
    assert rows["format"].value_counts().to_dict() == {"dicom": 10, "image": 1}


def test_the_real_patient_is_indexed_whole(shared: Path, tmp_path: Path) -> None:
    table, skipped = run(shared / "prostatex", tmp_path)
    assert skipped.empty
    # 164 files: three planes of T2 (19 each), DYNDIST with three b-values, ADC, CALC_BVAL and a PD series.
    dyndist = table[table["series_description"] == "ep2d_diff_tra_DYNDIST"]
    assert dyndist["b_value"].value_counts().to_dict() == {50.0: 19, 400.0: 19, 800.0: 19}
    assert (len(table), table["series_uid"].nunique(), set(table["patient_id"])) == (
        164,
        7,
        {"ProstateX-0000"},
    )
    assert len(index.documents(tmp_path / "index.parquet")) == 5
