"""What others read in the same files: dcmtk's and SimpleITK's pixels, SimpleITK's geometry, dciodvfy's verdict.

None of it shares code with ours but for the codecs: pydicom decodes with GDCM, and so does SimpleITK. dcmtk has
its own, except for JPEG 2000, which it cannot read.
"""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid

from papers import audit
from pipeline.datasets import prostatex
from pipeline.phantom import Geometry, write_ct_series, write_mr_series, write_phantom
from pipeline.readers import dicom, index, labels
from pipeline.readers.geometry import Place, locate
from pipeline.readers.pixels import read_pixels

Convert = Callable[[Path, Path], list[str]]

SYNTAXES: dict[uid.UID, Convert] = {
    uid.ImplicitVRLittleEndian: lambda a, b: ["dcmconv", "+ti", str(a), str(b)],
    uid.ExplicitVRBigEndian: lambda a, b: ["dcmconv", "+tb", str(a), str(b)],
    uid.DeflatedExplicitVRLittleEndian: lambda a, b: ["dcmconv", "+td", str(a), str(b)],
    uid.RLELossless: lambda a, b: ["dcmcrle", str(a), str(b)],
    uid.JPEGLosslessSV1: lambda a, b: ["dcmcjpeg", "+e1", str(a), str(b)],
    uid.JPEGLSLossless: lambda a, b: ["dcmcjpls", "+el", str(a), str(b)],
    uid.JPEG2000Lossless: lambda a, b: ["gdcmconv", "--j2k", str(a), str(b)],
}
DECOMPRESS = {
    uid.RLELossless: "dcmdrle", uid.JPEGLosslessSV1: "dcmdjpeg", uid.JPEGLSLossless: "dcmdjpls",
}  # fmt: skip


def tool(*command: str) -> str:
    """What a program says; the test is skipped where it is not installed."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed (Debian: dcmtk, libgdcm-tools, dicom3tools)")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 and command[0] != "dciodvfy":
        pytest.fail(f"{' '.join(command)}: {done.stderr}")
    return done.stdout + done.stderr


def stored_by_dcmtk(path: Path, folder: Path) -> np.ndarray:
    """The stored values of a file as dcmtk decodes and dumps them."""
    syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
    plain = folder / "plain.dcm"
    tool(DECOMPRESS.get(syntax, "dcmconv"), "+te", str(path), str(plain))
    (folder / "raw").mkdir(exist_ok=True)
    tool("dcmdump", "+W", str(folder / "raw"), str(plain))
    (raw,) = (folder / "raw").glob("*.raw")
    header = pydicom.dcmread(plain, stop_before_pixels=True)
    values = np.fromfile(raw, "<i2" if header.PixelRepresentation else "<u2")
    raw.unlink()
    return values[: header.Rows * header.Columns].reshape(header.Rows, header.Columns)


def by_simpleitk(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))[0]


def same_as_others(path: Path, folder: Path) -> None:
    ds, stored = dicom.read_dataset(path)
    if ds.file_meta.TransferSyntaxUID != uid.JPEG2000Lossless:
        assert np.array_equal(stored, stored_by_dcmtk(path, folder))
    # Both are whole numbers here, rescaled or not.
    assert np.array_equal(read_pixels(path).values, by_simpleitk(path))


def anatomy(folder: Path, modality: str) -> Path:
    """One slice of 96 × 80 pixels with an edge, a ramp, noise and all the bits that its modality uses."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 300, (1, 80, 96)) + np.arange(96) * 30
    values[0, 20:40, 30:60] = 4095
    values[0, 50:60, 30:60] = 0
    grid = Geometry((-10.0, 20.0, 30.0), spacing=(0.5, 0.75))
    if modality == "mr":
        return write_mr_series(folder, values, grid, description="t2_tse_tra", number=4)[0]
    return write_ct_series(folder, values - 1500.0, grid)[0]


@pytest.mark.parametrize("modality", ["mr", "ct"])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_every_transfer_syntax_of_other_writers_has_their_values(
    tmp_path: Path, syntax: uid.UID, modality: str
) -> None:
    source = anatomy(tmp_path / "source", modality)
    path = tmp_path / "other.dcm"
    tool(*SYNTAXES[syntax](source, path))
    assert pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    same_as_others(path, tmp_path)
    assert np.array_equal(dicom.read_dataset(path)[1], dicom.read_dataset(source)[1])


@pytest.mark.parametrize(
    "syntax", [uid.JPEGLosslessSV1, uid.JPEG2000Lossless], ids=lambda syntax: syntax.name
)
def test_real_slices_compressed_by_others_have_their_values(
    shared: Path, tmp_path: Path, syntax: uid.UID
) -> None:
    for number, folder in enumerate((shared / "ct" / "LIDC-IDRI-0001", _series(shared)[1])):
        path = tmp_path / f"{number}.dcm"
        tool(*SYNTAXES[syntax](sorted(folder.glob("*.dcm"))[9], path))
        same_as_others(path, tmp_path)


def _series(shared: Path) -> list[Path]:
    return sorted((shared / "prostatex" / "ProstateX-0000").glob("*/*"))


def test_real_files_have_the_values_of_dcmtk_and_simpleitk(shared: Path, tmp_path: Path) -> None:
    mr = [sorted(folder.glob("*.dcm"))[3] for folder in _series(shared)]
    ct = sorted((shared / "ct" / "LIDC-IDRI-0001").glob("*.dcm"))[::60]
    assert (len(mr), len(ct)) == (7, 3)
    for path in [*mr, *ct]:
        same_as_others(path, tmp_path)


# --- geometry


def indexed(folder: Path) -> pd.DataFrame:
    rows = [index.read_row(path.name, path.parent) for path in sorted(folder.glob("*.dcm"))]
    return pd.DataFrame(rows)


def volume(folder: Path) -> sitk.Image:
    """A series as SimpleITK sorts and reads it."""
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    return sitk.ReadImage(list(names), imageIO="GDCMImageIO")


def same_place(image: sitk.Image, place: Place, series: pd.DataFrame, point: Sequence[float]) -> None:
    """Column and row to 0.001 pixel, distance to 0.001 mm, and the slice where SimpleITK's index says."""
    column, row, depth = image.TransformPhysicalPointToContinuousIndex(tuple(map(float, point)))
    assert (place.column, place.row) == pytest.approx((column, row), abs=1e-3)
    spacing, planes = image.GetSpacing()[2], image.GetSize()[2]
    nearest = min(max(round(depth), 0), planes - 1)
    assert abs(place.distance_mm) == pytest.approx(abs(depth - nearest) * spacing, abs=1e-3)
    positions = series[["position_x", "position_y", "position_z"]].to_numpy(float)
    numbers = [
        round(image.TransformPhysicalPointToContinuousIndex(position)[2]) for position in positions.tolist()
    ]
    assert sorted(numbers) == list(range(planes))
    files = dict(zip(numbers, series["file"], strict=True))
    if abs(abs(depth - nearest) - 0.5) > 1e-3:  # a tie may go either way
        assert place.instance["file"] == files[nearest]


@pytest.fixture(scope="module")
def oblique(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, sitk.Image, Geometry]:
    folder = tmp_path_factory.mktemp("oblique")
    grid = Geometry((-31.0, 17.0, 8.0), (0.96, 0.28, 0.0), (-0.168, 0.576, 0.8), (0.7, 1.1), 3.3)
    values = np.arange(7 * 12 * 16).reshape(7, 12, 16)
    write_mr_series(folder, values, grid, description="t2_tse_tra", number=4)
    return indexed(folder), volume(folder), grid


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(-0.4, 15.4), st.floats(-0.4, 11.4), st.floats(-0.4, 6.4))
def test_any_point_of_an_oblique_series_lies_where_simpleitk_puts_it(
    oblique: tuple[pd.DataFrame, sitk.Image, Geometry], column: float, row: float, plane: float
) -> None:
    series, image, grid = oblique
    point = grid.world(column, row, plane)
    same_place(image, locate(series, point), series, point.tolist())


def test_findings_of_the_real_patient_lie_where_simpleitk_puts_them(shared: Path) -> None:
    table = labels.read_table(shared / "prostatex" / prostatex.FINDINGS_FILE, ["ProxID", "pos"])
    points = [
        [float(part) for part in pos.split()] for pos in table.loc[table["ProxID"] == "ProstateX-0000", "pos"]
    ]
    single = [folder for folder in _series(shared) if not folder.name.startswith("6.")]  # 6: three b-values
    assert (len(single), len(points)) == (6, 1)
    for folder in single:
        series = indexed(folder)
        for point in points:
            same_place(volume(folder), locate(series, np.array(point)), series, point)


def test_all_official_findings_lie_where_simpleitk_puts_them(shared: Path) -> None:
    tables = shared / "prostatex"
    patterns = prostatex.DESCRIPTIONS.values()
    checked = 0
    for part in ("Train", "Test"):
        images = audit.read_images(tables, part)
        wanted = images["SeriesDescription"].map(
            lambda name: any(pattern.search(name) for pattern in patterns)
        )
        for (matrix, dim), rows in images[wanted].groupby(["WorldMatrix", "Dim"]):
            header = {"PatientID": "", "StudyInstanceUID": "", "SeriesInstanceUID": "", "StudyDate": "",
                      "SeriesNumber": "1", "SeriesDescription": "", "WorldMatrix": matrix, "Dim": dim}  # fmt: skip
            series = pd.DataFrame(audit.planes(header))
            world = audit.matrix_of(str(matrix))
            steps = np.linalg.norm(world[:3, :3], axis=0)
            size = [int(part) for part in str(dim).split("x")[:3]]
            image = sitk.Image([2, 2, size[2]], sitk.sitkUInt8)  # its extent in the plane does not matter
            image.SetSpacing(steps.tolist())
            image.SetDirection((world[:3, :3] / steps).ravel().tolist())
            image.SetOrigin((world @ [0.5, 0.5, 0.5, 1])[:3].tolist())
            for pos in rows["pos"].drop_duplicates():
                point = [float(part) for part in pos.split()]
                depth = image.TransformPhysicalPointToContinuousIndex(point)[2]
                if -0.5 <= depth <= size[2] - 0.5:
                    same_place(image, locate(series, np.array(point)), series, point)
                    checked += 1
    assert checked == 1109  # the ADC map and the high b-value of a study share their matrix


# --- what we write


@pytest.mark.parametrize("kind", ["prostatex", "lungx"])
def test_phantoms_are_valid_dicom(tmp_path: Path, kind: str) -> None:
    write_phantom(kind, tmp_path / "raw", 1, 0)
    folders = sorted({path.parent for path in (tmp_path / "raw").rglob("*.dcm")})
    said = [tool("dciodvfy", str(min(folder.glob("*.dcm")))) for folder in folders]
    lines = {line for text in said for line in text.splitlines()}
    assert not [line for line in lines if "Error" in line or "Abort" in line]
    # What it remarks on is as in the originals: ids for names, no study id, Siemens' private b-value.
    dubious = [line for line in lines if "Warning" in line]
    known = ("Retired Person Name form", "to build DICOMDIR", "Unrecognized defined term", "(0x0019,0x100c)")
    assert [line for line in dubious if not any(part in line for part in known)] == []
