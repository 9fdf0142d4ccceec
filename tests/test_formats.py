"""One data set of every format, and of odd files among them: through the steps, and as a new case."""

import gzip
import io
import logging
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)
from PIL import Image

from pipeline.card import Preprocessing
from pipeline.case import prepare
from pipeline.errors import InputError
from pipeline.files import read_csv
from pipeline.store import read_info, read_patches
from tests.dicoms import write_ct
from tests.made_runs import VIEWS, write_patches
from tests.test_images import chunk, encoded

ROWS, COLUMNS = np.mgrid[:40, :48]
GREY = (30 + 3 * ROWS + 2 * COLUMNS + 20 * np.sin(ROWS / 3)).astype("u1")
DEEP = (30000 + 60 * np.sin(ROWS / 4) * np.cos(COLUMNS / 5)).astype("u2")
"""As little contrast as 16 bits may have: in 8 bits one or two values are left."""


def png16(colour: int, *planes: np.ndarray) -> bytes:
    """A PNG of 16 bits: colour type 2 is RGB, 4 grey with alpha."""
    lines = np.stack(planes, -1).astype(">u2").reshape(len(planes[0]), -1)
    pixels = zlib.compress(b"".join(b"\0" + line.tobytes() for line in lines))
    header = struct.pack(">IIBBBBB", planes[0].shape[1], planes[0].shape[0], 16, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def volume(path: Path) -> None:
    image = sitk.GetImageFromArray(np.repeat(GREY[None].astype("i2"), 3, axis=0))
    sitk.WriteImage(image, path)


def nifti(path: Path) -> None:
    nib.Nifti1Image(np.repeat(GREY.T[..., None].astype("i2"), 3, axis=2), np.eye(4)).to_filename(path)


def two_places(path: Path) -> None:
    image = nib.Nifti1Image(np.repeat(GREY.T[..., None].astype("i2"), 3, axis=2), np.eye(4))
    moved = np.eye(4)
    moved[0, 3] = 30
    image.header.set_qform(moved, 1)
    image.header.set_sform(np.eye(4), 1)
    image.to_filename(path)


def of_pattern(path: Path) -> None:
    for number in range(3):
        path.with_name(f"s{number:02d}.raw").write_bytes(GREY.astype("<i2").tobytes())
    path.write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 48 40 3\nElementSpacing = 1 1 1\nOffset = 0 0 0\n"
        "ElementType = MET_SHORT\nElementDataFile = s%02d.raw 0 2 1\n"
    )


def picture(kind: str, values: np.ndarray = GREY, **options: object) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(encoded(Image.fromarray(values), kind, **options))


GOOD: dict[str, Callable[[Path], object]] = {
    "a.bmp": picture("BMP"),
    "b.png": picture("PNG"),
    "c.pgm": picture("PPM"),
    "d.tif": picture("TIFF"),
    "e.webp": picture("WEBP", lossless=True),
    "f.gif": picture("GIF"),
    "g.jp2": picture("JPEG2000"),
    "h.mha": volume,
    "i.mhd": volume,
    "j.nrrd": volume,
    "k.nii.gz": nifti,
    "l.nii": two_places,
    "m.mhd": of_pattern,
    "n": picture("BMP"),
    "o.nhdr": volume,
    "p.MHA": lambda path: (volume(path.with_suffix(".mha")), path.with_suffix(".mha").rename(path)),
}
"""Files that hold GREY."""


def complex_nifti(path: Path) -> None:
    nib.Nifti1Image(np.ones((4, 4, 3), "c8"), np.eye(4)).to_filename(path)


def with_channels(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((8, 9, 3), "u1"), isVector=True), path)


def outside(path: Path) -> None:
    of_pattern(path)
    path.write_text(path.read_text().replace("s%02d.raw 0 2 1", "%1$c%1$c/secret.raw 46 46 1"))


def packed(path: Path) -> None:
    inner = write_ct(path.parent / "made")
    path.write_bytes(gzip.compress(inner.read_bytes()))
    inner.unlink()


def bomb(path: Path) -> None:
    png = encoded(Image.fromarray(GREY), "PNG")
    path.write_bytes(png[:-12] + chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(80 << 20))) + png[-12:])


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "complex.nii": (complex_nifti, "E-VOL"),
    "channels.mha": (with_channels, "E-VOL"),
    "pattern.mhd": (outside, "E-VOL"),
    "slice.dcm.gz": (packed, "E-DCM-NOTDICOM"),
    "alone.raw": (lambda path: path.write_bytes(bytes(99)), "E-DCM-NOTDICOM"),
    "photo.heic": (lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(99)), "E-DCM-NOTDICOM"),
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formats") / "raw"
    for name in ("ill", "well"):
        (folder / name).mkdir(parents=True)
    for number, (name, write) in enumerate(GOOD.items()):
        write(folder / ("ill", "well")[number % 2] / name)
    return folder


FOLDERS = ("--folders", "ill=1", "well=0", "--patient-pattern", "(.+)")
WHOLE = Preprocessing("table", ("image",), "30 px", None, "series", "geometry", 2, 0, VIEWS)


def test_every_format_in_the_folder_of_a_class_is_an_image_of_it(
    raw: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "typhon"):
        store = write_patches(tmp_path / "d", "table", raw, "30 px", find=FOLDERS)
    out = store.parent
    assert read_csv(out / "skipped.csv").empty
    found = read_csv(out / "findings.csv")
    assert sorted(Path(file).name for file in found["file"]) == sorted(GOOD)
    assert "well/l.nii: qform and sform put its voxels up to 30 mm apart: the sform counts" in caplog.messages
    patches = read_patches(store, range(len(found)), [1] * len(found))
    first = patches.reshape(len(found), -1)
    np.testing.assert_allclose(first - first[:1], 0, atol=1e-5)


@pytest.mark.parametrize("name", GOOD)
def test_every_format_is_the_same_new_case(raw: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    (path,) = raw.glob(f"*/{name}")
    row = {"patient_id": "case", "finding_id": "1"}
    with caplog.at_level(logging.INFO, "typhon"):
        case = prepare(path, row, WHOLE)
    (same,) = raw.glob("*/b.png")
    np.testing.assert_allclose(case.patches, prepare(same, row, WHOLE).patches, atol=1e-5)
    assert [message for message in caplog.messages if "sform counts" in message] == (
        ["l.nii: qform and sform put its voxels up to 30 mm apart: the sform counts"]
        if name == "l.nii"
        else []
    )


def test_odd_files_among_them_are_listed_and_cost_no_other(raw: Path, tmp_path: Path) -> None:
    mine = tmp_path / "raw" / "ill"
    mine.mkdir(parents=True)
    for name, (write, _) in ODD.items():
        write(mine / name)
    bomb(mine / "bomb.png")
    (tmp_path / "raw" / "secret.raw").write_bytes(bytes(GREY.size * 6))
    (tmp_path / "raw" / "well").mkdir()
    for name in ("b.png", "a.bmp"):
        (same,) = raw.glob(f"*/{name}")
        (tmp_path / "raw" / "well" / name).write_bytes(same.read_bytes())
        (mine / name).write_bytes(same.read_bytes())
    store = write_patches(tmp_path / "d", "table", tmp_path / "raw", "30 px", find=FOLDERS)
    out = store.parent
    listed = read_csv(out / "skipped" / "index.csv").set_index("file")["code"].to_dict()
    for name, (_, code) in ODD.items():
        assert listed.pop(f"ill/{name}") == code, name
    assert listed.keys() <= {"ill/bomb.png", "secret.raw", *(f"ill/s{number:02d}.raw" for number in range(3))}
    assert {"ill/a.bmp", "ill/b.png", "well/a.bmp", "well/b.png"} <= set(
        read_csv(out / "findings.csv")["file"]
    )


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_no_new_case_and_one_line_says_why(tmp_path: Path, name: str) -> None:
    write, code = ODD[name]
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / name)
    with pytest.raises(InputError, match=rf"^{code} {name}: expected "):
        prepare(tmp_path / "in" / name, {"patient_id": "case", "finding_id": "1"}, WHOLE)


def test_sixteen_bits_of_little_contrast_are_the_same_patch_in_any_mode(tmp_path: Path) -> None:
    alpha = np.full(DEEP.shape, 65535)
    for folder in ("ill", "well"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
    (tmp_path / "raw/ill/grey.png").write_bytes(png16(0, DEEP))
    (tmp_path / "raw/ill/alpha.png").write_bytes(png16(4, DEEP, alpha))
    (tmp_path / "raw/well/rgb.png").write_bytes(png16(2, DEEP, DEEP, DEEP))
    (tmp_path / "raw/well/rgba.png").write_bytes(png16(6, DEEP, DEEP, DEEP, alpha))
    deep = io.BytesIO()
    Image.fromarray(DEEP).save(deep, "TIFF")
    (tmp_path / "raw/well/grey.tif").write_bytes(deep.getvalue())
    store = write_patches(tmp_path / "d", "table", tmp_path / "raw", "30 px", find=FOLDERS)
    count = len(read_info(store).findings)
    assert count == 5
    first = read_patches(store, range(count), [1] * count).reshape(count, -1)
    assert len(np.unique(DEEP)) > 100
    assert np.unique(first[0].round(5)).size > 100
    for name, other in zip(("grey", "alpha", "rgb", "rgba", "tif")[1:], first[1:], strict=True):
        np.testing.assert_allclose(other, first[0], atol=0.02, err_msg=name)
