"""A file made to do harm costs a line in the table, not the machine."""

import gzip
import os
import resource
import signal
import struct
import threading
import time
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from pipeline.errors import InputError, LimitError, VolumeError
from pipeline.files import read_csv
from pipeline.patches import slices
from pipeline.pool import in_child, parallel
from pipeline.readers import index, limits
from pipeline.readers.images import read_gray
from pipeline.readers.pixels import read_pixels
from pipeline.readers.volumes import read_volume
from tests.dicoms import code, write_mr


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, in_this_process: None) -> None:  # noqa: ARG001
    monkeypatch.setattr(limits, "MEMORY", 2**28)


def bomb(path: Path, megabytes: int) -> Path:
    """Deflate a file's data set behind an element of that many zeros, a thousandth of it on the disk."""
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    whole = path.read_bytes()
    start = 144 + struct.unpack("<I", whole[140:144])[0]
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)

    def block(content: bytes) -> bytes:
        return squeeze.compress(content) + squeeze.flush(
            zlib.Z_FULL_FLUSH
        )  # after which the next one stands alone

    element = block(struct.pack("<HH2sHI", 9, 0x10, b"OB", 0, megabytes << 20))
    path.write_bytes(whole[:start] + element + block(bytes(1 << 20)) * megabytes + squeeze.flush())
    return path


@pytest.mark.usefixtures("small")
def test_a_header_that_grows_a_thousandfold_is_listed(tmp_path: Path) -> None:
    path = bomb(write_mr(tmp_path), 1500)  # more than networks of other tests may have left to this process
    assert path.stat().st_size < 1_600_000
    assert code(path) == (
        "E-DCM-LIMIT: expected a file that can be read within 1 GiB and a minute, found more than 256 MiB asked "
        "for; it is damaged or made to do harm: remove it or download it again"
    )


def test_the_other_files_of_a_folder_with_a_bomb_are_indexed(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    whole = write_mr(raw / "a").read_bytes()
    bomb(write_mr(raw / "b"), 1500)
    for number in range(index.CHUNK):  # more than a chunk, so that processes share them
        (raw / "a" / f"{number}.txt").write_text("a document")
        (raw / "b" / f"{number}.dcm").write_bytes(whole[:132] if number else whole)
    out = {name: str(tmp_path / name) for name in ("index.parquet", "files.parquet", "skipped.csv")}
    index.main(["--raw", str(raw), "--out", out["index.parquet"], "--files", out["files.parquet"],
                "--skipped", out["skipped.csv"], "--processes", "2"])  # fmt: skip
    listed = read_csv(out["skipped.csv"]).set_index("file")["code"]
    assert listed[listed == "E-DCM-LIMIT"].index.tolist() == ["b/mr/1-01.dcm"]
    assert len(index.read_index(out["index.parquet"])) == 1


@pytest.mark.usefixtures("small")
def test_few_bytes_that_claim_to_be_a_huge_image_are_refused(tmp_path: Path) -> None:
    path = write_mr(tmp_path)
    ds = pydicom.dcmread(path)
    ds.Rows = ds.Columns = 65535
    ds.file_meta.TransferSyntaxUID = uid.RLELossless
    ds.PixelData = encapsulate([struct.pack("<16I", 2, 64, 66, *[0] * 13) + bytes([0x81, 0, 0x81, 0])])
    ds["PixelData"].VR = "OB"
    ds.save_as(path)
    assert path.stat().st_size < 2_000
    assert code(path).split(":")[0] in ("E-DCM-LIMIT", "E-DCM-TRUNC")


@pytest.mark.usefixtures("small")
def test_a_malformed_length_in_the_file_meta_asks_for_no_memory(tmp_path: Path) -> None:
    path = write_mr(tmp_path)
    whole = path.read_bytes()
    length = struct.unpack("<I", whole[140:144])[0]
    huge = struct.pack("<HH2sHI", 2, 0x102, b"OB", 0, 0x7FFFFFF0)
    changed = whole[:140] + struct.pack("<I", length + len(huge)) + whole[144 : 144 + length] + huge
    path.write_bytes(changed + whole[144 + length :])
    assert code(path).startswith("E-DCM-LIMIT: ")


def test_what_does_not_end_is_stopped_even_if_it_swallows_the_first_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SECONDS", 0.05)
    start = time.monotonic()
    swallowed = []

    def stubborn() -> None:
        with limits.limited(Path("x.dcm")):
            while len(swallowed) < 2:
                try:
                    while True:
                        pass
                except LimitError as error:
                    swallowed.append(error)
            raise swallowed[-1]

    with pytest.raises(LimitError, match=r"x\.dcm: .*no end of it"):
        stubborn()
    assert len(swallowed) == 2
    assert time.monotonic() - start < 30


def test_nothing_of_the_limits_stays(tmp_path: Path) -> None:
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_CPU)
    before = [resource.getrlimit(kind) for kind in kinds], signal.getsignal(signal.SIGALRM)
    assert code(write_mr(tmp_path)) == ""
    assert ([resource.getrlimit(kind) for kind in kinds], signal.getsignal(signal.SIGALRM)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def nifti(path: Path, shape: tuple[int, ...], tail: int = 0) -> Path:
    """A compressed volume of 4×4×4 zeros whose header says ``shape``, with zeros behind it."""
    image = nib.Nifti1Image(np.zeros((4, 4, 4), "i2"), np.eye(4))
    image.header.set_data_shape(shape)
    image.header.set_slope_inter(1, 0)
    image.header["vox_offset"] = 352
    path.write_bytes(gzip.compress(image.header.binaryblock + bytes(4 + 128 + tail)))
    return path


@pytest.mark.parametrize(
    ("shape", "tail", "found"),
    [
        ((4, 4, 4), 10_000_000, "more than the 480 bytes"),
        ((300, 300, 300), 0, "128, and announced 54,000,000 bytes"),
    ],
)
def test_a_volume_that_inflates_beyond_its_header_or_beyond_reason_is_refused(
    tmp_path: Path, shape: tuple[int, ...], tail: int, found: str
) -> None:
    assert read_volume(nifti(tmp_path / "fine.nii.gz", (4, 4, 4), 100)).voxels.shape == (4, 4, 4)
    with pytest.raises(VolumeError, match=found):
        read_volume(nifti(tmp_path / "v.nii.gz", shape, tail))


def test_other_threads_may_read_too(tmp_path: Path) -> None:
    path, found = write_mr(tmp_path), []
    thread = threading.Thread(target=lambda: found.append(read_pixels(path).values))
    thread.start()
    thread.join()
    assert np.array_equal(found[0], read_pixels(path).values)


def double_or_die(number: int) -> int:
    if number % 5 == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def minus(number: int) -> int:
    return -number


@pytest.mark.parametrize("chunk", [1, 4])
def test_an_item_that_ends_its_process_is_lost_alone(chunk: int) -> None:
    items = list(range(10))
    found = parallel(double_or_die, items, processes=2, label="", chunk=chunk, lost=minus)
    assert list(found) == [0, 2, 4, -3, 8, 10, 12, 14, -8, 18]


def test_a_series_that_ends_its_process_leaves_out_each_of_its_findings() -> None:
    task = slices.Task(("a", "b", "c"), ((4, "a", ""), (7, "c", "")))
    assert [(error.code, error.file) for error in slices._lost(task)] == [
        ("E-DCM-LIMIT", "a"),
        ("E-DCM-LIMIT", "c"),
    ]


@in_child
def process_of(path: Path, *, die: bool = False) -> tuple[int, str]:
    """Where it runs, and what it is given; a decoder that crashes is a process that ends."""
    if die:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid(), path.read_text()


def test_a_decoder_that_dies_is_an_error_with_the_file_and_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("one")
    first, text = process_of(tmp_path / "a")
    assert (text, first == os.getpid()) == ("one", False)
    assert process_of(tmp_path / "a")[0] == first, "a child is kept"
    with pytest.raises(LimitError, match=r"/a: .* found the end of the process that read it"):
        process_of(tmp_path / "a", die=True)
    monkeypatch.chdir(tmp_path)
    second, text = process_of(Path("a"))
    assert (text, second in (first, os.getpid())) == ("one", False)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_item_that_may_end_its_process_never_runs_in_this_one(processes: int) -> None:
    found = parallel(double_or_die, [3, 4], processes=processes, label="", lost=minus)
    assert list(found) == [-3, 8]


def test_what_a_child_raises_is_raised_here(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match=r"^E-DCM-NOTDICOM \S+/a\.png: "):
        read_gray(tmp_path / "a.png")


@pytest.mark.parametrize("dtype", ["u1", "i2", "f8"])
def test_a_volume_beyond_the_promised_memory_is_listed_before_it_takes_any(
    tmp_path: Path, dtype: str
) -> None:
    image = nib.Nifti1Image(np.zeros((4, 4, 4), dtype), np.eye(4))
    image.header.set_data_shape((1000, 1000, 600))
    image.header["vox_offset"] = 352
    image.header.set_slope_inter(1, 0)
    (tmp_path / "v.nii.gz").write_bytes(gzip.compress(image.header.binaryblock + bytes(4 + 2**20)))
    meta = "ObjectType = Image\nNDims = 3\nDimSize = 1000 1000 600\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\n"
    (tmp_path / "v.mhd").write_text(f"{meta}CompressedData = True\nElementDataFile = v.zraw\n")
    sizes = "type: uint8\ndimension: 3\nsizes: 1000 1000 600\nspacings: 1 1 1\nencoding: gzip"
    (tmp_path / "v.nrrd").write_text(f"NRRD0004\n{sizes}\n\n")
    for name in ("v.nii.gz", "v.mhd", "v.nrrd"):
        row = index.read_row(name, tmp_path)
        assert isinstance(row, LimitError), row
        assert row.found == "1000×1000×600 voxels, which take 2,400,000,000 bytes"


@pytest.mark.parametrize("compressed", [False, True])
def test_an_extension_of_a_gigabyte_takes_no_memory(
    tmp_path: Path,
    compressed: bool,
    in_this_process: None,  # noqa: ARG001
) -> None:
    image = nib.Nifti1Image(np.arange(8, dtype="i2").reshape(2, 2, 2), np.eye(4))
    image.header["vox_offset"] = 352 + (300 << 20)
    image.header.set_slope_inter(1, 0)
    path = tmp_path / ("v.nii.gz" if compressed else "v.nii")
    with gzip.open(path, "wb", 1) if compressed else path.open("wb") as file:
        file.write(image.header.binaryblock + b"\1\0\0\0" + struct.pack("<ii", 300 << 20, 6))
        for size in [1 << 20] * 299 + [(1 << 20) - 8]:
            file.write(bytes(size))
        file.write(np.arange(8, dtype="<i2").tobytes())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    volume = read_volume(path)
    assert volume.voxels.ravel(order="F").tolist() == list(range(8))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
