"""NIfTI and MetaImage: voxels and place by hand, and one code for each kind of damage."""

import gzip
import os
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)

from pipeline.errors import InputError
from pipeline.readers import index
from pipeline.readers.index import read_row
from pipeline.readers.volumes import read_header, read_volume
from tests.dicoms import write_mr

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
    assert volume.grid.spacing_mm == pytest.approx(image.GetSpacing())
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
    assert read_volume(tmp_path / name).grid.spacing_mm.tolist() == [2, 3, 4]


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
    assert volume.grid.spacing_mm.tolist() == pytest.approx([2, 3, 4])
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
    assert volume.grid.spacing_mm.tolist() == [2, 3, 4]
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


@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
def test_packed_voxels_that_are_too_many_or_damaged_at_their_end_are_told(
    tmp_path: Path, suffix: str
) -> None:
    path = meta(tmp_path / f"v{suffix}", compressed=True)
    voxels = path if suffix == ".mha" else path.with_suffix(".zraw")
    whole = voxels.read_bytes()
    voxels.write_bytes(whole[:-4] + bytes(byte ^ 1 for byte in whole[-4:]))  # Adler-32
    assert "incorrect data check" in code(path)
    voxels.write_bytes(whole)
    assert code(path) == ""
    header = path.read_bytes()
    path.write_bytes(header.replace(b"DimSize = 20 30 10", b"DimSize = 20 30 9"))
    assert code(path).startswith(
        "E-VOL: expected 10,800 bytes, as DimSize and ElementType say, found more of"
    )


# --- which files an .mhd names


def slices_of(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        (folder / name).write_bytes(VOXELS[:, :, number].T.tobytes())


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("s%d.raw", [f"s{number}.raw" for number in range(1, 11)]),
        ("s%03d.raw", [f"s{number:03d}.raw" for number in range(1, 11)]),
        ("s%03d.raw 0", [f"s{number:03d}.raw" for number in range(10)]),
        ("s%02d.raw 5 14", [f"s{number:02d}.raw" for number in range(5, 15)]),
        ("%04d 0 18 2", [f"{number:04d}" for number in range(0, 20, 2)]),
    ],
)
def test_a_pattern_names_a_file_per_slice(tmp_path: Path, pattern: str, names: list[str]) -> None:
    path = header(tmp_path / "v.mhd", ElementDataFile=pattern)
    slices_of(tmp_path, names)
    assert (read_volume(path).voxels == VOXELS).all()


@pytest.mark.parametrize(
    "pattern",
    [
        "%1$c%1$c/secret.raw 46 46 1", "%s%s%s%n.raw 1 3 1", "%n 1 10 1", "%1$d.raw 1 10 1", "%*d.raw", "%.9d.raw",
        "%-3d.raw", "%+d.raw", "% d.raw", "%99d.raw", "%x.raw", "%ld.raw", "%d%d.raw", "%%d.raw", "%d.raw a b c",
        "%d.raw 1 1000000000000 1", "%d.raw 1 " + "9" * 30,
        "%d.raw 1 10 0", "%d.raw 1 10 -1", "%d.raw 10 1 -1", "%d.raw 1 3 1", "%d.raw 1 10 1 1", "%c.raw 97 106 1",
    ],
)  # fmt: skip
def test_any_other_pattern_is_refused_and_leads_nowhere(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.raw").write_bytes(VOXELS.T.tobytes())
    path = header(tmp_path / "in" / "v.mhd", ElementDataFile=pattern)
    assert code(path).startswith("E-VOL: expected ")
    assert f"ElementDataFile = {pattern}" in code(path)


def test_more_slices_than_a_folder_holds_are_not_counted_out(tmp_path: Path) -> None:
    path = header(tmp_path / "v.mhd", DimSize="1 1 1000000000", ElementDataFile="%d.raw 1 1000000000 1")
    assert code(path).startswith("E-VOL: expected a file for each slice, found ElementDataFile = %d.raw 1 10")


@pytest.mark.parametrize("pattern", ["../s%d.raw 1 10 1", "/tmp/s%d.raw 1 10 1", "C:%d.raw 1 10 1"])
def test_a_pattern_that_leads_out_of_its_folder_is_told(tmp_path: Path, pattern: str) -> None:
    assert code(header(tmp_path / "v.mhd", ElementDataFile=pattern)).startswith("E-VOL-OUTSIDE: ")


@pytest.mark.parametrize("before", ["\r", " ", "ElementDataFile : /etc/passwd\n", "Comment = x\r"])
def test_a_second_reading_of_a_header_opens_no_other_file(tmp_path: Path, before: str) -> None:
    path = meta(tmp_path / "v.mhd")
    secret = tmp_path / "secret.raw"
    secret.write_bytes(bytes(VOXELS.nbytes))
    text = path.read_text().replace("ElementDataFile", f"{before}ElementDataFile")
    path.write_text(f"{text}ElementDataFile = {secret}\n", newline="")
    assert code(path) != "" or (read_volume(path).voxels == VOXELS).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
def test_two_dimensions_are_one_line(tmp_path: Path, channels: int, suffix: str) -> None:
    plane = sitk.GetImageFromArray(np.ascontiguousarray(VOXELS[:, :, 0].T))
    path = meta(tmp_path / f"v{suffix}", sitk.Compose(*[plane] * channels) if channels > 1 else plane)
    row = read_row(path.name, tmp_path)
    assert isinstance(row, InputError)
    assert str(row).startswith(f"E-VOL v{suffix}: expected three dimensions, or four with time, found shape ")


TYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nii", ".nii.gz"])
def test_voxels_are_those_that_itk_reads(tmp_path: Path, dtype: str, suffix: str) -> None:
    image = sitk.GetImageFromArray(
        np.ascontiguousarray((VOXELS % 120 - 4 * (dtype[0] != "u")).T.astype(dtype))
    )
    image.SetOrigin((10.0, 20.0, 5.0))
    image.SetSpacing((2.0, 3.0, 4.0))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    for compressed in (False, True):
        path = meta(tmp_path / f"v{suffix}", image, compressed=compressed)
        volume = read_volume(path)
        assert (volume.voxels == sitk.GetArrayFromImage(sitk.ReadImage(path)).T.astype("f4")).all()
        assert volume.affine @ [4, 7, 3, 1] == pytest.approx([10 - 21, 20 + 8, 5 + 12, 1])


@pytest.mark.parametrize("fields", [{"HeaderSize": "7"}, {"HeaderSize": "-1"}])
def test_what_stands_before_the_voxels_of_a_raw_file_is_skipped(
    tmp_path: Path, fields: dict[str, str]
) -> None:
    path = meta(tmp_path / "v.mhd")
    path.write_text(path.read_text().replace("Element", f"HeaderSize = {fields['HeaderSize']}\nElement", 1))
    raw = path.with_suffix(".raw")
    raw.write_bytes(b"notused" + raw.read_bytes())
    assert (read_volume(path).voxels == VOXELS).all()


@pytest.mark.parametrize(
    "fields",
    [
        {"ElementToIntensityFunctionSlope": "2"},
        {"ElementToIntensityFunctionOffset": "-1024"},
        {"BinaryData": "False"},
        {"ElementByteOrderMSB": "True"},
        {"ElementType": "MET_OTHER"},
        {"DimSize": "20 30"},
        {"DimSize": "20 30 x"},
        *({"NDims": number} for number in ("-1", "-1.5", "0", "2", "4", "999999999", "x", "")),
    ],
    ids=str,
)
def test_what_no_reader_takes_into_account_is_refused(tmp_path: Path, fields: dict[str, str]) -> None:
    path = meta(tmp_path / "v.mhd")
    lines = dict(line.split(" = ", 1) for line in path.read_text().splitlines())
    data = lines.pop("ElementDataFile")
    path.write_text(
        "".join(f"{key} = {value}\n" for key, value in {**lines, **fields, "ElementDataFile": data}.items())
    )
    assert code(path).startswith(("E-VOL: ", "E-DCM-NOTDICOM: "))
    assert code(path)


# --- NIfTI that says two things, or none that a patch can hold


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_complex_voxels_are_refused(tmp_path: Path, name: str) -> None:
    for dtype in ("c8", "c16"):
        found = code(nifti(tmp_path / name, VOXELS.astype(dtype) + 1j))
        assert found.startswith(
            "E-VOL: expected one real number per voxel, found complex numbers; save the part"
        )


def two_places(path: Path, move: np.ndarray, *, version: int = 1) -> Path:
    """A volume whose qform is its sform (OBLIQUE), moved."""
    image = (nib.Nifti1Image if version == 1 else nib.Nifti2Image)(VOXELS, OBLIQUE)
    image.header.set_sform(OBLIQUE, 1)
    image.header.set_qform(move @ OBLIQUE, 1)
    image.to_filename(path)
    return path


MOVED = np.array([[1.0, 0, 0, 30], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
ABOUT_Z = np.diag([-1.0, -1, 1, 1])  # corner (19, 29) lies at x 77, y −58: 2·√(77² + 58²)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize(("move", "apart"), [(MOVED, "30"), (ABOUT_Z, "193")], ids=["moved", "turned"])
def test_of_two_places_the_sform_counts_and_a_line_says_so(
    tmp_path: Path, name: str, move: np.ndarray, apart: str, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = two_places(tmp_path / name, move, version=version)
    with caplog.at_level("INFO", "typhon"):
        index.look(path)
    assert caplog.messages == [
        f"{name}: qform and sform put its voxels up to {apart} mm apart: the sform counts"
    ]
    assert (read_volume(path).affine @ [4, 7, 3, 1]).tolist() == [-11, 28, 17, 1]


def test_places_that_agree_but_for_rounding_need_no_line(tmp_path: Path) -> None:
    path = two_places(tmp_path / "v.nii", np.diag([1.0, 1, 1, 1]) + np.eye(4, k=3) * 1e-3)
    assert read_header(path) == {"columns": 20, "rows": 30, "slices": 10}


def test_a_spacing_that_the_sform_does_not_have_is_told(tmp_path: Path) -> None:
    path = nifti(tmp_path / "v.nii", pixdim=(1, 2, 3, 5, 1, 1, 1, 1), codes=(0, 1))
    assert read_header(path)["note"] == "pixdim says 2 × 3 × 5 mm, sform 2 × 3 × 4 mm: the sform counts"


# --- NRRD


def nrrd(path: Path, data: bytes = VOXELS.tobytes(order="F"), **fields: str | None) -> Path:
    lines: dict[str, str | None] = {
        "type": "short", "dimension": "3", "space": "left-posterior-superior", "sizes": "20 30 10",
        "space directions": "(0,3,0) (-2,0,0) (0,0,4)", "kinds": "domain domain domain", "endian": "little",
        "encoding": "raw", "space origin": "(10,20,5)", **{key.replace("_", " "): value for key, value in fields.items()},
    }  # fmt: skip
    text = "".join(f"{key}: {value}\n" for key, value in lines.items() if value is not None)
    path.write_bytes(f"NRRD0004\n{text}\n".encode() + data)
    return path


@pytest.mark.parametrize(
    ("space", "place"),
    [
        ("left-posterior-superior", [10 - 14, 20 + 12, 5 + 12]),
        ("LPS", [-4, 32, 17]),
        ("right-anterior-superior", [4, -32, 17]),
        ("left-anterior-superior", [-4, -32, 17]),
    ],
)
def test_nrrd_is_read_in_any_space(tmp_path: Path, space: str, place: list[float]) -> None:
    path = nrrd(tmp_path / "v.nrrd", space=space)
    assert code(path) == ""
    volume = read_volume(path)
    assert (volume.voxels == VOXELS).all()
    assert volume.placed
    # (10, 20, 5) + 4·(0, 3, 0) + 7·(−2, 0, 0) + 3·(0, 0, 4)
    assert (volume.affine @ [4, 7, 3, 1])[:3] == pytest.approx(place)
    assert read_header(path) == {"columns": 20, "rows": 30, "slices": 10}


def test_a_packed_nrrd_and_one_of_two_files(tmp_path: Path) -> None:
    packed = nrrd(tmp_path / "v.nrrd", gzip.compress(VOXELS.tobytes(order="F")), encoding="gzip")
    assert (read_volume(packed).voxels == VOXELS).all()
    (tmp_path / "w.raw").write_bytes(VOXELS.tobytes(order="F"))
    assert (read_volume(nrrd(tmp_path / "w.nhdr", b"", data_file="w.raw")).voxels == VOXELS).all()


def test_an_nrrd_without_a_space_has_a_spacing_and_no_place(tmp_path: Path) -> None:
    bare = {"space": None, "space_directions": None, "space_origin": None}
    volume = read_volume(nrrd(tmp_path / "v.nrrd", **bare, spacings="2 3 4"))
    assert (volume.placed, volume.grid.spacing_mm.tolist()) == (False, [2, 3, 4])
    assert code(nrrd(tmp_path / "v.nrrd", **bare)).startswith(
        "E-VOL-AFFINE: expected a spacing in mm along each axis, found no space directions and no spacings"
    )


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../v.raw",
        "LIST",
        "v%03d.raw 1 10 1",
        "%s%n.raw 1 3 1",
        "C:\\v.raw",
        "a/v.raw",
        "..\\v.raw",
    ],
)
@pytest.mark.parametrize("field", ["data_file", "datafile", "DATA_FILE"])
def test_an_nrrd_that_leads_out_of_its_folder_is_told(tmp_path: Path, name: str, field: str) -> None:
    assert code(nrrd(tmp_path / "v.nrrd", b"", **{field: name})).startswith("E-VOL-OUTSIDE: ")


@pytest.mark.parametrize("before", ["\n\r\n", "\r\n\n", "\r\r\n", "\n \n", "\r", "#" * 70000 + "\n", "\0"])
def test_a_second_reading_of_an_nrrd_opens_no_other_file(tmp_path: Path, before: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(VOXELS.tobytes(order="F"))
    path = nrrd(tmp_path / "v.nrrd", b"")
    text = path.read_bytes().rstrip(b"\n") + f"\n{before}data file: {secret}\n\n".encode()
    path.write_bytes(text)
    assert code(path).startswith(("E-VOL", "E-DCM-NOTDICOM"))


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ({"sizes": "3 20 30 10", "dimension": "4", "kinds": "list domain domain domain",
          "space_directions": "none (1,0,0) (0,1,0) (0,0,1)"}, "E-VOL: "),
        ({"sizes": "20 300", "dimension": "2", "space": None, "space_directions": None, "space_origin": None,
          "kinds": None, "spacings": "1 1"}, "E-VOL: "),
        ({"space_units": '"um" "um" "um"'}, "E-VOL-AFFINE: "),
        ({"sizes": "20 30 10\nsizes: 20 30 9"}, "E-VOL: "),
        ({"type": "block"}, "E-DCM-NOTDICOM: "),
        ({"sizes": "20 30 11"}, "E-VOL: "),
        ({"sizes": "20 30 9"}, "E-VOL: expected 10,800 bytes of voxels, as sizes and type say, found 12,000"),
        ({"space_directions": "(0,3,0) (-2,0,0) none"}, "E-VOL-AFFINE: "),
        ({"space_directions": "none none none"}, "E-VOL-AFFINE: "),
        ({"space_directions": "(1,0,0) (1,0,0) (0,0,1)"}, "E-VOL-AFFINE: "),
        ({"space_directions": "(0,0,0) (0,1,0) (0,0,1)"}, "E-VOL-AFFINE: "),
        ({"space": None, "space_directions": None, "space_origin": None, "spacings": "1 1 nan"}, "E-VOL-AFFINE: "),
        ({"space": None, "space_directions": None, "space_origin": None, "spacings": "1 1 1",
          "units": '"cm" "cm" "cm"'}, "E-VOL-AFFINE: "),
        ({"kinds": "domain domain list"}, "E-DCM-NOTDICOM: "),
    ],
    ids=["a list", "two dimensions", "micrometres", "twice", "blocks", "short", "long", "no third spacing", "no spacing",
         "one axis twice", "an axis of no length", "spacing nan", "centimetres", "another kind of axis"],
)  # fmt: skip
def test_an_nrrd_of_another_kind_is_refused(
    tmp_path: Path, fields: dict[str, str | None], start: str
) -> None:
    found = code(nrrd(tmp_path / "v.nrrd", **fields))
    assert found.startswith(start)
    assert "0x" not in found  # an address would differ from run to run


def test_an_nrrd_in_the_wrong_order_of_bytes_is_told(tmp_path: Path) -> None:
    smooth = np.add.outer(np.add.outer(np.arange(20), np.arange(30)) * 13, np.arange(10)).astype("<i2")
    path = nrrd(tmp_path / "v.nrrd", smooth.tobytes(order="F"))
    assert (read_volume(path).voxels == smooth).all()
    found = code(nrrd(path, smooth.tobytes(order="F"), endian="big"))
    assert found.startswith("E-VOL-BYTES: ")
    assert found.endswith("correct endian in the header")


@pytest.mark.parametrize(
    ("change", "start"),
    [
        (("ElementSpacing = 1 1 1\n", ""), "E-VOL-AFFINE: expected a spacing in mm, found no ElementSpacing"),
        (("Spacing = 1 1 1", "Size = 0 1 1"), "E-VOL-AFFINE: expected a spacing in mm, found ElementSize = 0"),
        (("Spacing = 1 1 1", "Spacing = "), "E-VOL-AFFINE: "),
        (("DimSize", "ElementSpacing = 2 1 1\nDimSize"), "E-VOL: expected each field once, found ElementSpacing twice"),
        (("DimSize", "DistanceUnits = um\nDimSize"), "E-VOL: expected mm, or none of it, found DistanceUnits = um"),
        (("DimSize", "DistanceUnits = mm\nComment = a\nComment = b\nDimSize"), ""),
        (("Spacing = 1 1 1", "Size = 1 1 1"), ""),
    ],
)  # fmt: skip
def test_a_metaimage_says_its_spacing_once_and_in_mm(
    tmp_path: Path, change: tuple[str, str], start: str
) -> None:
    path = meta(tmp_path / "v.mhd")
    text = path.read_text()
    path.write_text(text.replace(*change))
    assert path.read_text() != text
    assert code(path)[: len(start) or None] == start


def test_a_metaimage_without_an_origin_has_a_spacing_and_no_place(tmp_path: Path) -> None:
    path = meta(tmp_path / "v.mhd")
    assert read_volume(path).placed
    path.write_text(path.read_text().replace("Offset = 0 0 0\n", ""))
    assert not read_volume(path).placed


# --- files that go with others, or with none


def test_a_raw_file_belongs_to_its_header_or_is_listed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    meta(tmp_path / "a" / "v.mhd")
    (tmp_path / "a" / "other.raw").write_bytes(bytes(100))
    header(tmp_path / "v.mhd", ElementDataFile="s%d.dat")
    slices_of(tmp_path, [f"s{number}.dat" for number in range(1, 11)])
    (tmp_path / "v.raw").unlink()
    _, table, errors = index.look(tmp_path)
    assert table["file"].tolist() == ["a/v.mhd", "v.mhd"]
    assert [(error.code, error.file) for error in errors] == [("E-DCM-NOTDICOM", "a/other.raw")]
    assert "found raw voxels that no header (.mhd, .nhdr) in its folder names" in errors[0].reason


@pytest.mark.parametrize("name", ["w.mhd", "w.mha", "w.nrrd", "w.nhdr"])
def test_a_pipe_or_nonsense_of_the_name_of_a_header_costs_itself_alone(tmp_path: Path, name: str) -> None:
    meta(tmp_path / "v.mhd")
    os.mkfifo(tmp_path / name)
    number = "9" * 5000
    (tmp_path / f"x{name}").write_text(
        f"NDims = 3\nDimSize = 1 1 {number}\nElementDataFile = %d 1 {number}\n"
    )
    _, table, errors = index.look(tmp_path)
    assert table["file"].tolist() == ["v.mhd"]
    assert [error.file for error in errors] == [name, f"x{name}"]


def test_what_gzip_has_packed_is_listed_if_it_is_an_image(tmp_path: Path) -> None:
    dicom = write_mr(tmp_path)
    (tmp_path / "a.dcm.gz").write_bytes(gzip.compress(dicom.read_bytes()))
    (tmp_path / "b.mha.gz").write_bytes(gzip.compress(meta(tmp_path / "v.mha").read_bytes()))
    (tmp_path / "c.gz").write_bytes(gzip.compress(b"\x89PNG\r\n\x1a\n" + bytes(99)))
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(b"a,b\n"))
    (tmp_path / "e.tar.gz").write_bytes(gzip.compress(bytes(1024)))
    (tmp_path / "f.gz").write_bytes(gzip.compress(b"anything"))
    _, table, errors = index.look(tmp_path)
    assert len(table) == 2
    listed = {error.file: (error.code, error.found) for error in errors}
    assert listed == {
        "a.dcm.gz": ("E-DCM-NOTDICOM", "DICOM, compressed with gzip"),
        "b.mha.gz": ("E-DCM-NOTDICOM", "a volume, compressed with gzip"),
        "c.gz": ("E-DCM-NOTDICOM", "a picture, compressed with gzip"),
        "f.gz": ("E-DCM-NOTIMAGE", "something compressed with gzip"),
    }
