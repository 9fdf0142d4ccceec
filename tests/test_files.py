"""Files appear whole or not at all, also where the disk is full; tables that no spreadsheet runs."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli import run_cli
from pipeline.errors import DiskError, InputError, TableError
from pipeline.files import atomic, atomic_folder, read_csv, sha256, skip, typed, write_csv, write_text

WRITERS: dict[str, Callable[[Path], None]] = {
    "text": lambda path: write_text(path, "new"),
    "csv": lambda path: write_csv(path, ["a"], [{"a": "new"}]),
    "parquet": lambda path: _parquet(path),
    "hdf5": lambda path: _hdf5(path),
}


def _parquet(path: Path) -> None:
    with atomic(path) as beside:
        pq.write_table(pa.table({"a": np.arange(1000)}), beside)


def _hdf5(path: Path) -> None:
    with atomic(path) as beside, h5py.File(beside, "w") as file:
        file["a"] = np.arange(1000)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_keeps_the_previous_file_and_leaves_no_other(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "result"
    path.write_text("old")
    # Writing to /dev/full fails as writing to a full disk does.
    (tmp_path / ".result.part").symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:  # noqa: PT011  (its errno is checked below)
        WRITERS[kind](path)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert [p.name for p in tmp_path.iterdir()] == ["result"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_at_the_last_moment_keeps_the_previous_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "result"
    write_text(path, "old")
    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["result"]
    assert path.read_text() == "old"


def test_a_full_disk_is_told_in_one_line_with_the_file_and_the_room_left(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "result"
    path.parent.mkdir()
    (path.parent / ".result.part").symlink_to("/dev/full")
    with pytest.raises(SystemExit) as caught:
        run_cli(lambda _: write_text(path, "new"))
    message = str(caught.value.code)
    assert message.startswith(f"E-DISK {path}: expected room on the disk, found ")
    assert f"bytes free in {path.parent} (No space left on device); free some space and run again" in message
    assert "\n" not in message


@pytest.mark.parametrize("number", [errno.EPERM, errno.ECHILD])
def test_other_errors_of_the_system_are_not_called_a_full_disk(number: int) -> None:
    def fail(_: object) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=os.strerror(number)):
        run_cli(fail)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def interrupted() -> None:
        with atomic(tmp_path / "new" / "result") as beside:
            beside.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert list((tmp_path / "new").iterdir()) == []


def test_what_a_crash_left_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".result.part").write_text("what a much longer text of the crashed run left behind")
    write_text(tmp_path / "result", "new")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"result": "new"}


def test_own_tables_come_back_as_text(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, ["id", "note"], [{"id": "0005", "note": 'a "b", c'}, {"id": "NA"}])
    assert path.read_bytes() == b'id,note\n0005,"a ""b"", c"\nNA,\n'
    assert read_csv(path).to_dict("records") == [{"id": "0005", "note": 'a "b", c'}, {"id": "NA", "note": ""}]


@pytest.mark.parametrize(
    "content",
    [b"", b"a,b\n1,2\n3\n4,5,6\n", b'a,b\n"1,2\n', b"a,b\n\xff,2\n", b"\xff\xfea\0,\0b\0"],
)
def test_a_damaged_table_of_our_own_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(
        TableError, match=r"^E-CSV .*table\.csv: expected a table as this program writes it, found "
    ):
        read_csv(path)


@pytest.mark.parametrize(
    "content",
    [
        b"a\n1\n",
        b"a,b\n1,\n",
        b"a,b\n1,x\n",
        b"a,b\n1,1.5\n",
        b"a,b\n1,1e400\n",
        b"a,b\n1,9999999999999999999\n",
    ],
)
def test_a_column_of_another_type_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(
        TableError, match=r"^E-CSV .*table\.csv: expected the columns a, b \(a number\), found "
    ):
        typed(read_csv(path), {"a": str, "b": int}, path)


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0"),
        ("+1-800", "'+1-800"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", '"\'\r=1"'),
        ("＝1+1", "'＝1+1"),
        ("'=1", "''=1"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        ("a=b", "a=b"),
        ("'quoted'", "'quoted'"),
        ("0005", "0005"),
    ],
)
def test_text_that_a_spreadsheet_would_run_is_text_and_comes_back(
    tmp_path: Path, cell: str, written: str
) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, ["id", "n"], [{"id": cell, "n": -1.5}])
    assert path.read_bytes() == f"id,n\n{written},-1.5\n".encode()
    assert read_csv(path).to_dict("records") == [{"id": cell, "n": "-1.5"}]


CELLS = st.text(
    st.sampled_from("'=+-@\t\r\n,;\"05eé＝ \x00\u2028") | st.characters(exclude_categories=["Cs"]), max_size=6
)


@settings(max_examples=50)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=20))
def test_every_cell_and_no_other_row_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "table.csv"
    write_csv(path, ["id", "=note"], [{"id": first, "=note": second} for first, second in rows])
    table = read_csv(path)
    assert list(table.columns) == ["id", "=note"]
    assert list(table.itertuples(index=False, name=None)) == rows


def test_a_skipped_case_has_code_file_and_reason() -> None:
    error = DiskError("5 bytes free", file="a.dcm", remedy="free some")
    assert skip("index", error, patient_id="p") == {
        "step": "index", "kind": "failed", "patient_id": "p", "file": "a.dcm", "code": "E-DISK",
        "reason": "expected room on the disk, found 5 bytes free; free some",
    }  # fmt: skip


def test_an_error_is_one_line_whatever_is_in_it() -> None:
    assert (
        str(InputError("a\nb", file="x", expected="c", remedy="d")) == "E-INPUT x: expected c, found a b; d"
    )


@pytest.mark.parametrize("sign", ["\0", "\x1b", "\x7f", "\x9b", "\u202e", "\udcff"])
def test_no_sign_of_a_strangers_file_steers_a_terminal(sign: str) -> None:
    error = InputError(f"a{sign}[2Jb", file=f"{sign}.png")
    shown = sign.encode("unicode_escape").decode()
    assert str(error) == rf"E-INPUT {shown}.png: found a{shown}[2Jb"
    assert skip("index", error)["reason"] == rf"found a{shown}[2Jb"


def test_a_message_names_the_beginning_of_a_long_text() -> None:
    long = "a" * 9999
    assert str(InputError(long, remedy="b")) == f"E-INPUT: found {'a' * 1000}…; b"
    assert str(InputError("b", expected=long, remedy=long)) == (
        f"E-INPUT: expected {'a' * 1000}…, found b; {'a' * 1000}…"
    )


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    (tmp_path / ".a.part").mkdir()
    (tmp_path / ".a.part/old").touch()  # of a crash

    def interrupted():
        with atomic_folder(tmp_path / "a") as beside:
            (beside / "x").touch()
            assert not (tmp_path / "a").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "a") as beside:
        (beside / "x").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["a", "a/x"]
