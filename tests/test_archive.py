"""Archives of others: what is whole is unpacked, and of anything else nothing is written."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from pipeline.download.archive import ALWAYS, MAX_RATIO, safe_extract, safe_name
from pipeline.errors import ArchiveError

Member = tuple[str, bytes]
GOOD: list[Member] = [
    ("set/no/1 no.jpeg", b"n" * 3000),
    ("set/LICENSE", b"free"),
    ("md5hashes.csv", b"a,b\n"),
]
HOSTILE = ["../out", "a/../../out", "/out", "a//out", "C:\\out", "a\\out", "./../out", "a\nb", "NUL", "con.txt",
           "a/.hidden", "dot.", "blank ", "é.png", "a" * 241]  # fmt: skip


def a_zip(path: Path, members: list[Member], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members:
            file.writestr(zipfile.ZipInfo(name), content, method)
    return path


def refused(archive: Path, code: str, match: str = "found", *, most: int = 10**7, files: int = 9) -> None:
    """The archive is refused with that code, in one line that names it, and nothing lies beside it."""
    before = sorted(archive.parent.iterdir())
    with pytest.raises(ArchiveError) as caught:
        safe_extract(archive, archive.parent / "out", max_bytes=most, max_files=files)
    assert sorted(archive.parent.iterdir()) == before
    assert str(caught.value).startswith(f"{code} {archive}: expected ")
    assert match in str(caught.value)


def test_a_good_archive_is_unpacked_with_its_folders(tmp_path: Path) -> None:
    archive, folder = a_zip(tmp_path / "archive", GOOD), tmp_path / "deep" / "out"
    files = safe_extract(archive, folder, max_bytes=10**6, max_files=3)
    assert files == [folder / "md5hashes.csv", folder / "set/LICENSE", folder / "set/no/1 no.jpeg"]
    assert {str(file.relative_to(folder)): file.read_bytes() for file in files} == dict(GOOD)
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_files_get_no_permissions_of_the_archive(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("run.sh")
    info.external_attr = (stat.S_IFREG | 0o4777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, b"#!")
    (path,) = safe_extract(tmp_path / "a.zip", tmp_path / "out", max_bytes=9, max_files=1)
    assert path.stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_outside_the_allow_list_is_refused(name: str, tmp_path: Path) -> None:
    refused(a_zip(tmp_path / "archive", [GOOD[0], (name, b"x")]), "E-ZIP-NAME")
    assert not safe_name(name)


def test_a_name_that_hides_its_end_behind_a_nul_is_refused(tmp_path: Path) -> None:
    archive = a_zip(tmp_path / "a.zip", [("a.dcm_../b", b"x")])
    archive.write_bytes(archive.read_bytes().replace(b"a.dcm_", b"a.dcm\0"))
    refused(archive, "E-ZIP-NAME")


@pytest.mark.filterwarnings("ignore:Duplicate name")  # what zipfile says of the test's own archive
@pytest.mark.parametrize(
    "names", [("a", "a"), ("a.PNG", "A.png"), ("a", "a/b"), ("a/b", "a"), ("A/b/c", "a/B")]
)
def test_names_that_would_meet_on_a_disk_are_refused(names: tuple[str, str], tmp_path: Path) -> None:
    archive = a_zip(tmp_path / "archive", [(name, b"x") for name in names])
    refused(archive, "E-ZIP-DUP", repr(names[1]))


def test_a_symlink_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc")
        file.writestr("link/passwd", b"x")
    refused(tmp_path / "a.zip", "E-ZIP-LINK", "'link'")


def test_a_member_with_a_password_is_refused(tmp_path: Path) -> None:
    archive = a_zip(tmp_path / "a.zip", GOOD)
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # flag of the first entry of the directory
    archive.write_bytes(content)
    refused(archive, "E-ZIP-CRYPT", "1 no.jpeg")


def test_a_method_that_is_not_deflate_is_refused(tmp_path: Path) -> None:
    refused(a_zip(tmp_path / "a.zip", GOOD, zipfile.ZIP_LZMA), "E-ZIP-FORMAT", "method 14")


def test_more_members_than_allowed_are_refused(tmp_path: Path) -> None:
    refused(a_zip(tmp_path / "archive", GOOD), "E-ZIP-BOMB", "at most 2 members", files=2)


def test_more_bytes_than_allowed_are_refused(tmp_path: Path) -> None:
    refused(a_zip(tmp_path / "archive", GOOD), "E-ZIP-BOMB", "at most 3,000 bytes", most=3000)


def test_an_archive_that_unfolds_beyond_the_ratio_is_refused(tmp_path: Path) -> None:
    size = 20 * ALWAYS  # of zeros, which deflate makes a thousand times smaller
    archive = a_zip(tmp_path / "archive", [("zeros", bytes(size))])
    most = MAX_RATIO * archive.stat().st_size
    assert ALWAYS < most < size
    refused(archive, "E-ZIP-BOMB", f"at most {most:,} bytes", most=10**9)


def test_a_member_that_is_larger_than_the_directory_says_is_refused(tmp_path: Path) -> None:
    archive = a_zip(tmp_path / "a.zip", [("zeros", bytes(20 * ALWAYS))])
    content = bytearray(archive.read_bytes())
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 24, 100)  # its size, APPNOTE 4.3.12
    archive.write_bytes(content)
    refused(archive, "E-ZIP-CRC", "CRC")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
        (b"<html>Too many requests</html>", "a web page"),
        (b"", "an empty file"),
        (b"Rar!\x1a\x07\x01\x00", "a file that begins"),
    ],
)
def test_what_is_no_archive_is_named(content: bytes, found: str, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", "E-ZIP-FORMAT", found)


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    refused(a_zip(tmp_path / "archive", []), "E-ZIP-FORMAT", "no file in it")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_an_archive_cut_short_is_refused(share: float, tmp_path: Path) -> None:
    archive = a_zip(tmp_path / "archive", [*GOOD, ("noise", bytes(i * i % 251 for i in range(5000)))])
    content = archive.read_bytes()
    archive.write_bytes(content[: int(share * len(content))])
    refused(archive, "E-ZIP-CRC")


def test_a_flipped_bit_in_a_zip_is_refused(tmp_path: Path) -> None:
    archive = a_zip(tmp_path / "a.zip", GOOD, zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"free", b"fref"))
    refused(archive, "E-ZIP-CRC", "CRC")


def test_a_folder_with_files_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="not empty"):
        safe_extract(a_zip(tmp_path / "a.zip", GOOD), tmp_path / "out", max_bytes=10**6, max_files=9)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_what_a_crash_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "half").write_bytes(b"half")
    files = safe_extract(a_zip(tmp_path / "a.zip", GOOD), tmp_path / "out", max_bytes=10**6, max_files=9)
    assert len(files) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "out"]
