"""What the system refuses is told as what it is: no room, or no access; never as a damaged file."""

import errno
import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
from PIL import Image

from model import gpus
from model.training.checkpoint import Folder
from pipeline import slice_store
from pipeline.cli import run_cli
from pipeline.errors import AccessError, DiskError, StoreError
from pipeline.files import atomic, atomic_folder, write_text
from pipeline.provenance import ROOT
from pipeline.readers.images import read_gray
from pipeline.readers.index import read_index
from pipeline.system import of_system
from tests.stores import make_store

SMALL = "/dev/shm"


def failing(number: int):
    """A function that the system lets fail."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


# --- no access

ACCESS = [errno.EACCES, errno.ESTALE, errno.EIO, errno.ENOLCK, errno.EROFS, errno.ENAMETOOLONG]


@pytest.mark.parametrize("number", ACCESS)
def test_a_step_that_has_no_access_ends_with_one_line_that_names_the_reason(number: int) -> None:
    with pytest.raises(SystemExit) as caught:
        run_cli(failing(number))
    message = str(caught.value.code)
    assert message.startswith(f"E-ACCESS: expected access to it, found {os.strerror(number)}; fix")
    assert "\n" not in message


@pytest.mark.parametrize("number", ACCESS)
@pytest.mark.parametrize(
    ("read", "target"),
    [
        (lambda path: slice_store.read_slice(path, 0), "pipeline.store.h5py.File"),
        (read_index, "pipeline.readers.index.pq.read_table"),
        (lambda path: read_gray.__wrapped__(path), "pipeline.readers.images.Image.open"),
    ],
    ids=["store", "index", "picture"],
)
def test_what_cannot_be_read_is_never_called_damaged(monkeypatch, tmp_path, read, target, number) -> None:
    (tmp_path / "x").touch()
    monkeypatch.setattr(target, failing(number))
    with pytest.raises(AccessError) as caught:
        read(tmp_path / "x")
    assert os.strerror(number) in str(caught.value)
    assert str(tmp_path / "x") in str(caught.value)
    for word in ("delete", "remove", "damaged", "download"):
        assert word not in str(caught.value)


def test_an_error_of_the_disk_while_a_store_is_read_names_it() -> None:
    with pytest.raises(AccessError, match=r"E-ACCESS /proc/self/mem: .* found Input/output error"):
        slice_store.read_slice("/proc/self/mem", 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_store_of_another_user_is_told_with_its_permissions(tmp_path: Path) -> None:
    make_store(tmp_path, "a", train=3, validation=1, views=1)
    (tmp_path / "a.h5").chmod(0o600)
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    text = f"""
import os
from pipeline import slice_store
os.setuid(65534)
from pipeline.cli import run_cli
run_cli(lambda _: slice_store.read_slice({str(tmp_path / "a.h5")!r}, 0))
"""
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.startswith(
        f"E-ACCESS {tmp_path / 'a.h5'}: expected access to it, found Permission denied"
    )
    assert len(done.stderr.splitlines()) == 1


def test_a_store_that_is_cut_is_damaged_still(tmp_path: Path) -> None:
    make_store(tmp_path, "a", train=3, validation=1, views=1)
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match="delete the file and run again"):
        slice_store.read_slice(tmp_path / "a.h5", 0)


def test_a_store_is_read_where_it_cannot_be_locked(tmp_path: Path) -> None:
    make_store(tmp_path, "a", train=3, validation=1, views=1)
    with (tmp_path / "a.h5").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # to HDF5 the same as a lock that the file system refuses
        with pytest.raises(BlockingIOError):
            h5py.File(tmp_path / "a.h5", "r")
        assert slice_store.read_slice(tmp_path / "a.h5", 0) is None


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_trainer_goes_on_where_there_are_no_locks(monkeypatch, tmp_path, caplog, number) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(number))
    with Folder(tmp_path / "checkpoint", "digest") as folder:
        assert "checkpoint/lock cannot be locked here: let no other job use what it" in caplog.text
        folder.save({}, {"step": 1})
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_lock_that_fails_is_held_by_nobody(monkeypatch, tmp_path, number) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(number))
    with pytest.raises(SystemExit) as caught:
        run_cli(lambda _: Folder(tmp_path / "checkpoint", "digest") and None)
    assert f"lock: expected access to it, found {os.strerror(number)}" in str(caught.value.code)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_job_takes_a_gpu_where_there_are_no_locks_and_says_so(
    monkeypatch, tmp_path, caplog, number
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(number))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(gpus, "_held", [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert gpus.take() == "4"
    assert "/4 cannot be locked here" in caplog.text
    os.close(gpus._held.pop())


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_a_file_system_that_syncs_no_folders_keeps_what_is_written(monkeypatch, tmp_path, number) -> None:
    sync = os.fsync

    def of_files_alone(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", of_files_alone)
    write_text(tmp_path / "a", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_error_of_the_disk_when_a_folder_is_synced_is_told(monkeypatch, tmp_path) -> None:
    sync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda d: failing(errno.EIO)() if Path(f"/proc/self/fd/{d}").is_dir() else sync(d)
    )
    with pytest.raises(OSError, match="Input/output error"):
        write_text(tmp_path / "a", "text")


# --- no room


class Usage:
    """How much room there is, by folder."""

    def __init__(self, **free: int) -> None:
        self.places = {"/" + name: value for name, value in free.items()}

    def __call__(self, path: object) -> "Usage":
        fitting = [name for name in self.places if str(path).startswith(name)]
        self.free = self.places[max(fitting, key=len)] if fitting else 10**11
        return self


@pytest.mark.parametrize(
    ("file", "free", "place"),
    [
        ("/proc/self/x/y", {"proc": 5}, "/proc/self"),
        ("", {"tmp": 5}, "/tmp"),
        ("", {"dev": 5}, SMALL),
        ("/proc/self/x", {"proc": 7, "dev": 5}, SMALL),
        ("/proc/self/x", {"proc": 5, "dev": 5}, "/proc/self"),
    ],
)
def test_the_place_that_is_full_is_named(monkeypatch, file, free, place) -> None:
    monkeypatch.chdir("/proc/self")  # the project itself may lie below /tmp
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    monkeypatch.setattr("shutil.disk_usage", Usage(**free))
    told = of_system(OSError(errno.ENOSPC, "x", file) if file else OSError(errno.ENOSPC, "x"))
    assert isinstance(told, DiskError)
    assert told.found == f"5 bytes free in {place} (No space left on device)"


def test_of_a_quota_no_other_place_is_accused(monkeypatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", Usage(dev=5))
    told = of_system(OSError(errno.EDQUOT, "x", "/proc/self/x"))
    assert told is not None
    assert "free in /proc/self (Disk quota exceeded)" in told.found


@pytest.mark.parametrize(("make", "file"), [(atomic, ".made.part"), (atomic_folder, ".made.part/a.dcm")])
def test_the_room_is_that_before_anything_was_cleared_away(monkeypatch, tmp_path, make, file) -> None:
    monkeypatch.setattr(
        "shutil.disk_usage", lambda _: SimpleNamespace(free=5 if (tmp_path / file).exists() else 10**9)
    )

    def fill() -> None:
        with make(tmp_path / "made"):
            (tmp_path / file).touch()
            failing(errno.ENOSPC)()

    with pytest.raises(OSError, match="No space left") as caught:
        fill()
    told = of_system(caught.value)
    assert told is not None
    assert told.found.startswith(f"5 bytes free in {tmp_path}")
    assert told.file == str(tmp_path / "made")


MOUNT = ["unshare", "--mount", "sh", "-c"]
"""Runs a script that mounts what nobody else sees."""


@pytest.fixture
def mounted(tmp_path: Path):
    """A function that runs Python where a folder is a memory disk of its own, with the given options."""
    try_it = f"mount -t tmpfs -o size=4k tmpfs {tmp_path}"
    if (
        not shutil.which("unshare")
        or subprocess.run([*MOUNT, try_it], capture_output=True, check=False).returncode
    ):
        pytest.skip("no permission to mount")

    def run(place: str, options: str, *words: str, before: str = "true", **environment: str) -> str:
        script = (
            f'mount -t tmpfs -o {options} tmpfs {place} && cd {place} && {before}; cd {tmp_path}; exec "$@"'
        )
        done = subprocess.run(
            [*MOUNT, script, "sh", sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip
        return done.stdout + done.stderr

    return run


FILL = "head -c 9000 /dev/zero > x 2>/dev/null"


@pytest.mark.parametrize(
    ("options", "before", "said"),
    [
        ("size=4k", FILL, "E-DISK: expected room on the disk, found 0 bytes free in /dev/shm (No space left"),
        (
            "nr_inodes=1",
            "true",
            "E-DISK: expected room on the disk, found room for no further file in /dev/shm",
        ),
        ("ro", "true", "E-ACCESS /dev/shm: expected access to it, found Read-only file system"),
    ],
    ids=["full", "full of files", "read-only"],
)
def test_a_step_that_finds_no_room_in_shared_memory_names_it(
    mounted, tmp_path, options, before, said
) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    Image.new("L", (4, 4)).save(tmp_path / "b.png")
    printed = mounted(
        SMALL, options, "-m", "pipeline.readers.index", "--raw", str(tmp_path), "--out", "o/index", "--files", "o/files",
        "--skipped", "o/skipped", "--processes", "2", before=before,
    )  # fmt: skip
    assert said in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(("options", "before"), [("size=4k", FILL), ("nr_inodes=1", "true"), ("ro", "true")])
def test_a_step_needs_no_room_for_temporary_files_where_another_place_has_some(
    mounted, tmp_path, options, before
) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "tmp").mkdir()
    printed = mounted(
        str(tmp_path / "tmp"), options, "-m", "pipeline.readers.index", "--raw", str(tmp_path), "--out", "o/index",
        "--files", "o/files", "--skipped", "o/skipped", "--processes", "2", before=before, TMPDIR=str(tmp_path / "tmp"),
    )  # fmt: skip
    assert (tmp_path / "o/index").exists(), printed


@pytest.mark.parametrize("words", [["-n"], ["--unlock"], []], ids=["plan", "unlock", "run"])
@pytest.mark.parametrize("before", ["true", "mkdir .snakemake"])
def test_a_working_folder_that_is_read_only_is_told_in_one_line(mounted, tmp_path, words, before) -> None:
    (tmp_path / "here").mkdir()
    printed = mounted(
        str(tmp_path / "here"), "size=1m", "-m", "workflow.run", "--configfile", str(ROOT / "config/demo.yaml"),
        "--directory", str(tmp_path / "here"), *words,
        before=f"({before}) && mount -o remount,ro {tmp_path / 'here'}",
    )  # fmt: skip
    assert re.search(r"^E-ACCESS .*here/.snakemake.*: expected access to it, found Read-only file", printed)
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize("options", ["size=16k", "nr_inodes=3", "size=4k"])
def test_a_working_folder_that_is_full_is_told_in_one_line(mounted, tmp_path, options) -> None:
    (tmp_path / "here").mkdir()
    printed = mounted(
        str(tmp_path / "here"), options, "-m", "workflow.run", "--configfile", str(ROOT / "config/demo.yaml"),
        "--directory", str(tmp_path / "here"), "--quiet",
    )  # fmt: skip
    assert re.search(r"^E-DISK \S+: expected room on the disk, found .* in .*here", printed)
    assert len(printed.splitlines()) == 1


# --- sites with unusual places


def test_a_folder_for_temporary_files_with_a_long_name_is_no_obstacle(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    text = """
from pipeline.pool import parallel
if __name__ == "__main__":
    print(*parallel(abs, [-1, -2, -3], processes=2, label="x"))
"""
    (tmp_path / "step.py").write_text(text)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "step.py")], env={**os.environ, "TMPDIR": str(long), "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "1 2 3\n", done.stderr


@pytest.mark.parametrize("home", ["/proc", "/dev/null"])
def test_a_home_that_cannot_be_written_is_no_obstacle(tmp_path: Path, home: str) -> None:
    environment = {**os.environ, "HOME": home, "PYTHONPATH": str(ROOT)}
    environment.pop("XDG_CACHE_HOME", None)
    done = subprocess.run(
        [sys.executable, "-m", "workflow.run", "--configfile", str(ROOT / "config/demo.yaml"), "-n", "--quiet"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
