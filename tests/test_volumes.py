"""NIfTI and MetaImage: voxels and place by hand, and one code for each kind of damage."""

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)

from pipeline.errors import InputError
from pipeline.index import read_row
from pipeline.volumes import read_header, read_volume

VOXELS = np.random.default_rng(0).integers(0, 1000, (20, 30, 10)).astype("i2")  # i, j, k
OBLIQUE = np.array([[0.0, 3, 0, -10], [-2, 0, 0, -20], [0, 0, 4, 5], [0, 0, 0, 1]])  # RAS
FIELDS = {"dim": (40, "<8h"), "datatype": (70, "<h"), "slope": (112, "<ff")}
"""Offset and layout of fields of a NIfTI-1 header (nifti1.h)."""


def nifti(path: Path, voxels: np.ndarray = VOXELS, **fields: tuple[float, ...]) -> Path:
    """Write voxels at OBLIQUE, with fields of the header overwritten afterwards."""
    content = bytearray(nib.Nifti1Image(voxels, OBLIQUE).to_bytes())
    for name, values in fields.items():
        offset, layout = FIELDS[name]
        struct.pack_into(layout, content, offset, *values)
    path.write_bytes(gzip.compress(content) if path.suffix.lower() == ".gz" else content)
    return path


def meta(path: Path, image: sitk.Image | None = None, *, compressed: bool = False) -> Path:
    if image is None:
        image = sitk.GetImageFromArray(np.ascontiguousarray(VOXELS.T))
    sitk.WriteImage(image, path, compressed)
    return path


def code(path: Path) -> str:
    """The code and reason that the index lists for a volume, or that its voxels raise, or nothing."""
    row = read_row(path.name, path.parent)
    if isinstance(row, InputError):
        return f"{row.code}: {row.reason}"
    try:
        read_volume(path)
    except InputError as error:
        return f"{error.code}: {error.reason}" if error.file == str(path) else f"no file: {error}"
    return ""


# --- what is read


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "V.NII.GZ"])
def test_ras_becomes_lps(tmp_path: Path, name: str) -> None:
    volume = read_volume(nifti(tmp_path / name))
    assert (volume.voxels == VOXELS).all()
    assert volume.voxels.dtype == np.float32
    # RAS (−10 + 3·7, −20 − 2·4, 5 + 4·3) = (11, −28, 17)
    assert (volume.affine @ [4, 7, 3, 1]).tolist() == [-11, 28, 17, 1]


@pytest.mark.parametrize("name", ["v.mha", "v.mhd"])
def test_metaimage_is_lps_already(tmp_path: Path, name: str) -> None:
    image = sitk.GetImageFromArray(np.ascontiguousarray(VOXELS.T))
    image.SetOrigin((10.0, 20.0, 5.0))
    image.SetSpacing((2.0, 3.0, 4.0))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))  # i runs along y, j against x
    volume = read_volume(meta(tmp_path / name, image))
    assert (volume.voxels == VOXELS).all()
    assert (volume.affine @ [4, 7, 3, 1]).tolist() == [10 - 3 * 7, 20 + 2 * 4, 5 + 4 * 3, 1]
    assert read_header(tmp_path / name) == {"columns": 20, "rows": 30, "slices": 10}


def test_nifti_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    path = nifti(tmp_path / "v.nii", slope=(0.5, -1024.0))
    assert (read_volume(path).voxels == VOXELS * 0.5 - 1024).all()


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_a_slope_of_nothing_scales_nothing(tmp_path: Path, slope: float) -> None:
    # nifti1.h: scl_slope = 0 means no scaling.
    assert (read_volume(nifti(tmp_path / "v.nii", slope=(slope, 7.0))).voxels == VOXELS).all()


def test_a_fourth_dimension_of_one_is_none(tmp_path: Path) -> None:
    path = nifti(tmp_path / "v.nii.gz", VOXELS[..., None])
    assert read_header(path) == {"columns": 20, "rows": 30, "slices": 10}
    assert (read_volume(path).voxels == VOXELS).all()


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_nifti_2_is_read_as_nifti_1(tmp_path: Path, name: str) -> None:
    nib.Nifti2Image(VOXELS, OBLIQUE).to_filename(tmp_path / name)
    assert code(tmp_path / name) == ""
    assert (read_volume(tmp_path / name).affine @ [4, 7, 3, 1]).tolist() == [-11, 28, 17, 1]


# --- what is refused


@pytest.mark.parametrize("shape", [(4, 5, 6, 2), (4, 5)])
def test_nifti_of_other_than_three_dimensions_is_refused_by_the_index(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    words = f"E-VOL: expected three dimensions, found shape {'×'.join(map(str, shape))}; "
    assert code(nifti(tmp_path / "v.nii.gz", np.zeros(shape, "i2"))).startswith(words)


def test_metaimage_of_other_than_three_dimensions_is_refused_by_the_index(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.ascontiguousarray(VOXELS.T))
    path = meta(tmp_path / "v.mha", sitk.JoinSeries([image, image]))
    assert code(path).startswith("E-VOL: expected three dimensions, found shape 20×30×10×2")


def test_several_values_per_voxel_are_refused(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.ascontiguousarray(VOXELS.T))
    assert code(meta(tmp_path / "v.mha", sitk.Compose(image, image, image))).startswith("E-VOL: ")
    colour = np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert code(nifti(tmp_path / "v.nii.gz", colour)).startswith("E-VOL: ")


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_nifti_cut_in_its_voxels_is_told(tmp_path: Path, name: str, share: float) -> None:
    path = nifti(tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert code(path).startswith("E-VOL: expected whole voxel data, found ")


@pytest.mark.parametrize("length", [2, 12, 60])
def test_compressed_nifti_cut_in_its_header_is_told(tmp_path: Path, length: int) -> None:
    path = nifti(tmp_path / "v.nii.gz")
    path.write_bytes(path.read_bytes()[:length])
    assert code(path).startswith("E-DCM-NOTDICOM: ")


@pytest.mark.parametrize("place", [0.5, 0.9, 0.9999])
def test_flipped_bits_in_a_compressed_nifti_are_told(tmp_path: Path, place: float) -> None:
    path = nifti(tmp_path / "v.nii.gz")
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0xFF
    path.write_bytes(content)
    assert code(path).startswith("E-VOL: expected whole voxel data, found ")


@pytest.mark.parametrize(
    "fields",
    [{"datatype": (999,)}, {"dim": (3, -20, 30, 10, 1, 1, 1, 1)}, {"dim": (99, 20, 30, 10, 1, 1, 1, 1)}],
    ids=["unknown type", "negative size", "99 dimensions"],
)
@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_a_nonsense_header_is_a_code_and_no_crash(
    tmp_path: Path, name: str, fields: dict[str, tuple[float, ...]]
) -> None:
    assert code(nifti(tmp_path / name, **fields)).startswith(("E-VOL: ", "E-DCM-NOTDICOM: "))


def test_gzip_of_something_else_is_a_code_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "v.nii.gz").write_bytes(gzip.compress(b"hello"))
    assert code(tmp_path / "v.nii.gz").startswith("E-DCM-NOTDICOM: ")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("left", [None, 0, 100])
def test_an_mhd_whose_raw_file_is_missing_or_short_is_told(
    tmp_path: Path, compressed: bool, left: int | None
) -> None:
    path = meta(tmp_path / "v.mhd", compressed=compressed)
    voxels = path.with_suffix(".zraw" if compressed else ".raw")
    content = voxels.read_bytes()
    voxels.unlink()
    if left is not None:
        voxels.write_bytes(content[:left])
    assert code(path).startswith("E-VOL: expected whole voxel data, found ")


@pytest.mark.parametrize(("share", "expected"), [(0.9, "E-VOL: "), (0.005, "E-DCM-NOTDICOM: ")])
def test_a_cut_mha_is_told(tmp_path: Path, share: float, expected: str) -> None:
    path = meta(tmp_path / "v.mha")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert code(path).startswith(expected)
