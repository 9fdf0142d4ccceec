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
FIELDS = {
    "dim": (40, "<8h"), "datatype": (70, "<h"), "pixdim": (76, "<8f"), "slope": (112, "<ff"),
    "units": (123, "<B"), "codes": (252, "<2h"), "srow": (280, "<12f"),
}  # fmt: skip
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


@pytest.mark.parametrize(("unit", "mm"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (3 | 8, 0.001)])
def test_metres_and_micrometres_become_mm(tmp_path: Path, unit: int, mm: float) -> None:
    path = nifti(tmp_path / "v.nii", units=(unit,))
    volume = read_volume(path)
    assert volume.affine @ [4, 7, 3, 1] == pytest.approx([-11 * mm, 28 * mm, 17 * mm, 1])
    image = sitk.ReadImage(path)
    assert volume.spacing_mm == pytest.approx(image.GetSpacing())
    assert volume.affine[:3, 3] == pytest.approx(image.GetOrigin())


def test_a_unit_that_is_none_is_told(tmp_path: Path) -> None:
    assert code(nifti(tmp_path / "v.nii", units=(5,))) == (
        "E-VOL-AFFINE: expected a unit of length: m, mm or µm, found xyzt_units 5; export the volume with its "
        "geometry, or give points in voxels and sizes in px"
    )


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


@pytest.mark.parametrize("intercept", [7.0, np.nan])
def test_a_slope_of_nothing_scales_nothing(tmp_path: Path, intercept: float) -> None:
    # nifti1.h: scl_slope = 0 means no scaling.
    assert (read_volume(nifti(tmp_path / "v.nii", slope=(0.0, intercept))).voxels == VOXELS).all()


def test_a_fourth_dimension_of_one_is_none(tmp_path: Path) -> None:
    path = nifti(tmp_path / "v.nii.gz", VOXELS[..., None])
    assert read_header(path) == {"columns": 20, "rows": 30, "slices": 10}
    assert (read_volume(path).voxels == VOXELS).all()


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_a_nifti_says_itself_in_which_order_its_bytes_are(tmp_path: Path, name: str) -> None:
    nib.Nifti1Image(VOXELS, OBLIQUE, nib.Nifti1Header(endianness=">")).to_filename(tmp_path / name)
    assert (read_volume(tmp_path / name).voxels == VOXELS).all()
    assert read_volume(tmp_path / name).spacing_mm.tolist() == [2, 3, 4]


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_nifti_2_is_read_as_nifti_1(tmp_path: Path, name: str) -> None:
    nib.Nifti2Image(VOXELS, OBLIQUE).to_filename(tmp_path / name)
    assert code(tmp_path / name) == ""
    assert (read_volume(tmp_path / name).affine @ [4, 7, 3, 1]).tolist() == [-11, 28, 17, 1]


# --- what is refused


@pytest.mark.parametrize("shape", [(4, 5, 6, 2, 3), (4, 5)])
def test_nifti_of_other_than_three_or_four_dimensions_is_refused_by_the_index(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    found = "×".join(map(str, shape))
    words = f"E-VOL: expected three dimensions, or four with time, found shape {found}; "
    assert code(nifti(tmp_path / "v.nii.gz", np.zeros(shape, "i2"))).startswith(words)


def times(path: Path) -> Path:
    """Write VOXELS at time 0 and their negatives at time 1."""
    if ".nii" in path.name:
        return nifti(path, np.stack([VOXELS, -VOXELS], axis=-1))
    images = [sitk.GetImageFromArray(np.ascontiguousarray(each.T)) for each in (VOXELS, -VOXELS)]
    image = sitk.JoinSeries(images)
    image.SetSpacing((2, 3, 4, 1))
    return meta(path, image)


FOUR = ["v.nii", "v.nii.gz", "v.mha", "v.mhd"]


@pytest.mark.parametrize("name", FOUR)
def test_a_file_with_time_has_a_volume_at_each(tmp_path: Path, name: str) -> None:
    path = times(tmp_path / name)
    assert read_header(path) == {"columns": 20, "rows": 30, "slices": 10}
    volume = read_volume(path, 1)
    assert (volume.voxels == -VOXELS).all()
    assert volume.spacing_mm.tolist() == pytest.approx([2, 3, 4])
    assert (read_volume(path, 0).voxels == VOXELS).all()


@pytest.mark.parametrize("name", FOUR)
@pytest.mark.parametrize(("time", "found"), [(None, "none"), (2, "time 2"), (-1, "time -1")])
def test_a_time_that_is_not_told_or_not_there_is_one_line(
    tmp_path: Path, name: str, time: int | None, found: str
) -> None:
    path = times(tmp_path / name)
    with pytest.raises(InputError) as caught:
        read_volume(path, time)
    assert str(caught.value) == (
        f"E-VOL-TIME {path}: expected a time from 0 to 1, found {found}; "
        "name it: in the column time of the table, or with --time"
    )


def test_a_file_without_time_has_but_one(tmp_path: Path) -> None:
    path = nifti(tmp_path / "v.nii")
    assert (read_volume(path, 0).voxels == VOXELS).all()
    with pytest.raises(InputError, match="time 0 or none: the file has three dimensions, found time 1"):
        read_volume(path, 1)


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


# --- where it lies


def test_a_nifti_that_does_not_say_where_it_lies_still_has_a_spacing(tmp_path: Path) -> None:
    fields = {"codes": (0, 0), "pixdim": (1, 2, 3, 4, 1, 1, 1, 1)}
    volume = read_volume(nifti(tmp_path / "v.nii", **fields))
    assert not volume.placed
    assert volume.spacing_mm.tolist() == [2, 3, 4]
    assert read_volume(nifti(tmp_path / "w.nii")).placed


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        # A sign would turn left into right, so it counts beside a good sform too.
        ({"pixdim": (1, -2, 3, 4, 1, 1, 1, 1)}, "a positive spacing in mm, found pixdim -2 × 3 × 4"),
        ({"pixdim": (1, 0, 3, 4, 1, 1, 1, 1), "codes": (1, 0)}, "spacing in mm, found pixdim 0 × 3 × 4"),
        ({"pixdim": (1, np.nan, 3, 4, 1, 1, 1, 1), "codes": (0, 0)}, "found pixdim nan × 3 × 4"),
        ({"srow": (0,) * 12}, "voxels with a place in the patient, found the singular matrix"),
        ({"srow": (1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0)}, "found the singular matrix"),
        ({"srow": (np.nan, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)}, "found the singular matrix"),
    ],
    ids=["negative pixdim", "zero pixdim", "NaN pixdim", "zero sform", "two axes alike", "NaN sform"],
)
def test_a_nifti_that_lies_nowhere_is_told(
    tmp_path: Path, name: str, fields: dict[str, tuple[float, ...]], words: str
) -> None:
    found = code(nifti(tmp_path / name, **fields))
    assert found.startswith("E-VOL-AFFINE: expected ")
    assert words in found


def test_an_sform_makes_up_for_a_spacing_of_nothing(tmp_path: Path) -> None:
    assert code(nifti(tmp_path / "v.nii", pixdim=(1, 0, 0, 0, 1, 1, 1, 1))) == ""


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize("slope", [(np.nan, 0.0), (np.inf, 0.0), (-np.inf, np.nan)])
def test_a_slope_or_intercept_that_is_no_number_is_told(
    tmp_path: Path, name: str, slope: tuple[float, float]
) -> None:
    assert code(nifti(tmp_path / name, slope=slope)) == (
        f"E-VOL: expected numbers to scale by, found scl_slope {slope[0]:g}, scl_inter {slope[1]:g}; "
        "correct them; a scl_slope of 0 scales nothing"
    )


# --- MetaImage headers that lead astray


def header(path: Path, **fields: str) -> Path:
    """Write an .mhd with its voxels in v.raw, then change fields of its header; "" takes one out."""
    meta(path)
    lines = dict(line.split(" = ", 1) for line in path.read_text().splitlines())
    lines |= fields
    path.write_text("".join(f"{key} = {value}\n" for key, value in lines.items() if value))
    return path


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../v.raw", "a/../../v.raw", "C:\\v.raw", "..\\v.raw", "\\\\host\\v.raw"]
)
def test_an_mhd_that_leads_out_of_its_folder_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    path = header(tmp_path / "in" / "v.mhd", ElementDataFile=name)
    (tmp_path / "in" / "v.raw").rename(tmp_path / "v.raw")
    assert code(path) == (
        f"E-VOL-OUTSIDE: expected a raw file in the folder of its header, found ElementDataFile = {name}; "
        "put it there and name it without a folder"
    )


def test_files_that_an_mhd_lists_are_checked_too(tmp_path: Path) -> None:
    path = header(tmp_path / "v.mhd", ElementDataFile="LIST")
    content = path.read_text()
    path.write_text(content + "".join(f"{number}.raw\n" for number in range(9)) + "../9.raw\n")
    assert code(path).startswith("E-VOL-OUTSIDE: ")
    path.write_text(content + "".join(f"{number}.raw\n" for number in range(10)))
    for number in range(10):
        (tmp_path / f"{number}.raw").write_bytes(VOXELS[:, :, number].T.tobytes())
    assert (read_volume(path).voxels == VOXELS).all()


@pytest.mark.parametrize("name", ["deep/v.raw", "v.raw"])
def test_a_raw_file_in_its_folder_or_linked_into_it_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    path = header(tmp_path / "in" / "v.mhd", ElementDataFile=name)
    (tmp_path / "in" / "v.raw").rename(tmp_path / "elsewhere.raw")
    (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "in" / name).symlink_to(tmp_path / "elsewhere.raw")
    assert (read_volume(path).voxels == VOXELS).all()


@pytest.mark.parametrize("suffix", [".mhd", ".mha"])
def test_more_bytes_than_the_header_says_are_told(tmp_path: Path, suffix: str) -> None:
    path = meta(tmp_path / f"v{suffix}")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"DimSize = 20 30 10", b"DimSize = 20 30 9 "))
    # 20 · 30 · 9 voxels of 2 bytes; the file has one slice more.
    expected = f"expected 10,800 bytes, as DimSize and ElementType say, found 12,000 bytes in v{suffix}"
    assert code(path) == f"E-VOL: {expected.replace('.mhd', '.raw')}; correct the header"


@pytest.mark.parametrize("spacing", ["0 3 4", "nan 3 4"])
def test_a_metaimage_of_no_spacing_is_told(tmp_path: Path, spacing: str) -> None:
    found = f"E-VOL-AFFINE: expected a spacing in mm, found ElementSpacing = {spacing}; "
    assert code(header(tmp_path / "v.mhd", ElementSpacing=spacing)).startswith(found)


def test_a_negative_spacing_of_a_metaimage_is_an_axis_turned_round(tmp_path: Path) -> None:
    volume = read_volume(header(tmp_path / "v.mhd", ElementSpacing="-2 3 4"))
    assert (volume.affine @ [4, 7, 3, 1]).tolist() == [-8, 21, 12, 1]


SMOOTH = np.sin(np.arange(20)[:, None, None] / 3 + np.arange(30)[:, None] / 5 + np.arange(10) / 9)


@pytest.mark.parametrize(
    ("voxels", "told"),
    [
        ((SMOOTH * 1000).astype("i2"), True),
        ((SMOOTH * 1000 + 1500).astype("u2"), True),
        ((SMOOTH * 1e6).astype("i4"), True),
        (SMOOTH.astype("f4"), True),
        ((SMOOTH * 100).astype("i1"), False),  # a byte has no order
        ((SMOOTH > 0.5).astype("i2"), False),  # a mask is as smooth either way
    ],
    ids=["signed", "unsigned", "long", "float", "byte", "mask"],
)
def test_bytes_in_the_wrong_order_are_told_and_in_the_right_one_never(
    tmp_path: Path, voxels: np.ndarray, told: bool
) -> None:
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.T))
    path = meta(tmp_path / "v.mhd", image)
    assert code(path) == ""
    raw = path.with_suffix(".raw")
    raw.write_bytes(np.frombuffer(raw.read_bytes(), voxels.dtype).byteswap().tobytes())
    assert code(path).startswith("E-VOL-BYTES: expected an image, found noise") == told
    path.write_text(path.read_text().replace("ByteOrderMSB = False", "ByteOrderMSB = True"))
    assert code(path) == ""


@pytest.mark.parametrize(
    "voxels",
    [
        np.random.default_rng(0).integers(-32768, 32767, (20, 30, 10), "i2"),
        (np.random.default_rng(0).integers(0, 255, (20, 30, 10)) * 256).astype("u2"),
        (SMOOTH * 127 + 127).astype("u2") * 256,
        (SMOOTH * 32767).astype("i2"),
        np.where(SMOOTH > 0.9, 256, SMOOTH < 0).astype("i2"),
        np.zeros((20, 30, 10), "i2"),
    ],
    ids=["noise", "noise in the high byte", "8 bits in the high byte", "full range", "labels", "nothing"],
)
def test_an_odd_image_is_no_wrong_order(tmp_path: Path, voxels: np.ndarray) -> None:
    assert code(meta(tmp_path / "v.mha", sitk.GetImageFromArray(np.ascontiguousarray(voxels.T)))) == ""
