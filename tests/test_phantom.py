"""The phantoms: their layout is that of the real collections and their bytes depend on the seed alone."""

import math
from collections import defaultdict
from pathlib import Path

import imagehash
import numpy as np
import openpyxl
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)
from PIL import Image

from model.evaluation.metrics import auroc
from pipeline.errors import InputError
from pipeline.files import read_csv, sha256
from pipeline.phantom import Geometry, main, write_ct_series, write_mr_series, write_phantom
from pipeline.phantoms import SYNTHETIC, shapes
from pipeline.phantoms.dicom import decimal

COSINE, SINE = math.cos(0.3), math.sin(0.3)
OBLIQUE = Geometry((-50.0, -60.0, 20.0), (1.0, 0.0, 0.0), (0.0, COSINE, -SINE), (0.5, 0.6), 3.0)
PATIENTS = {"prostatex": 6, "lungx": 8, "brain": 24, "chestxray14": 2, "chexpert": 2, "mura": 2}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for kind, patients in PATIENTS.items():
        write_phantom(kind, folder / kind, patients, 0)
    return folder


def files(folder: Path) -> dict[str, str]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != SYNTHETIC)
    return {str(path.relative_to(folder)): sha256(path) for path in found}


def test_geometry_counts_mm_along_rows_columns_and_planes() -> None:
    assert OBLIQUE.world(2, 0, 0) == pytest.approx((-49, -60, 20))
    assert OBLIQUE.world(0, 10, 0) == pytest.approx((-50, -60 + 6 * COSINE, 20 - 6 * SINE))
    assert OBLIQUE.world(0, 0, 1) == pytest.approx((-50, -60 + 3 * SINE, 20 + 3 * COSINE))
    assert OBLIQUE.index(OBLIQUE.world(3.5, 7.25, 2)) == pytest.approx((3.5, 7.25, 2))
    assert OBLIQUE.points(4, 3, 1)[2, 3] == pytest.approx(OBLIQUE.world(3, 2, 1))


def test_corner_matrix_has_the_index_half_a_voxel_further() -> None:
    point = [*OBLIQUE.world(3, 7, 2), 1]
    assert np.linalg.solve(OBLIQUE.corner_matrix(), point)[:3] == pytest.approx((3.5, 7.5, 2.5))


@pytest.mark.parametrize(("value", "text"), [(2.0, "2"), (-1 / 3e5, "-3.33333333e-06"), (0.1, "0.1")])
def test_decimal_strings_have_at_most_sixteen_characters(value: float, text: str) -> None:
    assert decimal(value) == text
    assert len(text) <= 16


@pytest.mark.parametrize("descending", [True, False])
def test_instance_numbers_run_either_way_along_the_normal(tmp_path: Path, descending: bool) -> None:
    volume = np.arange(3)[:, None, None] * np.ones((1, 4, 5))
    paths = write_mr_series(
        tmp_path, volume, OBLIQUE, description="t2_tse_tra", number=4, descending=descending
    )
    assert [path.name for path in paths] == ["1-01.dcm", "1-02.dcm", "1-03.dcm"]
    planes = [2, 1, 0] if descending else [0, 1, 2]
    for number, (path, plane) in enumerate(zip(paths, planes, strict=True), 1):
        dataset = pydicom.dcmread(path)
        assert dataset.InstanceNumber == number
        assert (dataset.pixel_array == plane).all()
        assert list(map(float, dataset.ImagePositionPatient)) == pytest.approx(OBLIQUE.world(0, 0, plane))
        assert list(map(float, dataset.PixelSpacing)) == [0.6, 0.5]
        assert "RescaleSlope" not in dataset


@pytest.mark.parametrize(("interleaved", "expected"), [(False, "50 50 400 400"), (True, "50 400 50 400")])
def test_b_values_stand_in_the_private_element(tmp_path: Path, interleaved: bool, expected: str) -> None:
    paths = write_mr_series(
        tmp_path, np.zeros((2, 2, 4, 5)), OBLIQUE, description="ep2d_diff_tra_DYNDIST", number=6,
        b_values=(50, 400), interleaved=interleaved, tags={"ManufacturerModelName": "TrioTim"},
    )  # fmt: skip
    datasets = [pydicom.dcmread(path) for path in paths]
    assert " ".join(d[0x0019, 0x100C].value.decode().strip() for d in datasets) == expected
    assert [d.SequenceName for d in datasets] == [f"*ep_b{b}t" for b in expected.split()]
    assert {d[0x0019, 0x0010].value for d in datasets} == {"SIEMENS MR HEADER"}
    assert {d.ManufacturerModelName for d in datasets} == {"TrioTim"}
    assert "DiffusionBValue" not in datasets[0]


@pytest.mark.parametrize("signed", [True, False])
def test_ct_keeps_hounsfield_units_and_marks_padding(tmp_path: Path, signed: bool) -> None:
    volume = np.array([[[-1000.0, 40.0, np.nan]]])
    (path,) = write_ct_series(tmp_path, volume, OBLIQUE, signed=signed, padding=-2000 if signed else None)
    dataset = pydicom.dcmread(path)
    stored = dataset.pixel_array.astype(int)
    assert (stored[0, :2] + int(dataset.RescaleIntercept)).tolist() == [-1000, 40]
    assert stored[0, 2] == (-2000 if signed else 0)
    assert dataset.get("PixelPaddingValue") == (-2000 if signed else None)


@pytest.mark.parametrize("kind", PATIENTS)
def test_same_seed_gives_same_bytes_and_another_seed_others(tmp_path: Path, kind: str) -> None:
    main([kind, "--out", str(tmp_path / "one"), "--patients", "2", "--seed", "7"])
    write_phantom(kind, tmp_path / "again", 2, 7)
    write_phantom(kind, tmp_path / "other", 1, 8)
    assert files(tmp_path / "one") == files(tmp_path / "again")
    lists = ("_list.txt", "_paths.csv", "_studies.csv")  # of names, which all seeds share
    one, other = (
        {digest for name, digest in files(tmp_path / seed).items() if not name.endswith(lists)}
        for seed in ("one", "other")
    )
    assert not one & other


def test_raw_data_is_never_written_over(raw: Path) -> None:
    before = files(raw / "brain")
    with pytest.raises(InputError, match="new or empty folder"):
        write_phantom("brain", raw / "brain", 2, 0)
    assert files(raw / "brain") == before


def _rows(raw: Path, table: str) -> list[dict[str, str]]:
    return read_csv(raw / "prostatex" / f"ProstateX-{table}-Train.csv").to_dict("records")


def _series(raw: Path, patient: str, number: int) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(p) for p in sorted((raw / "prostatex" / patient).glob(f"*/{number}.*/*.dcm"))]


def _index(dataset: pydicom.Dataset, point: np.ndarray) -> tuple[float, float, float]:
    """Column, row and mm off the plane, from the header alone."""
    row, column = np.reshape(dataset.ImageOrientationPatient, (2, 3)).astype(float)
    offset = point - np.array(dataset.ImagePositionPatient, float)
    down, along = map(float, dataset.PixelSpacing)
    return offset @ row / along, offset @ column / down, float(offset @ np.cross(row, column))


def test_prostatex_tables_have_the_official_dialect(raw: Path) -> None:
    text = (raw / "prostatex" / "ProstateX-Images-Train.csv").read_bytes().decode("ascii")
    assert text.count("\n") == text.count("\r\n")
    assert ',"2,2,3",54x60x13x1,ep2d_diff_tra_DYNDIST,6\r\n' in text
    findings = _rows(raw, "Findings")
    images = _rows(raw, "Images")
    keys = {(r["ProxID"], r["fid"], r["pos"]) for r in findings}
    assert len(keys) == len(findings) == 10
    # One row per finding and image, three for the series with three b values.
    assert len(images) == 8 * len(findings)
    assert {(r["ProxID"], r["fid"], r["pos"]) for r in images} == keys
    classes = defaultdict(set)
    for row in findings:
        classes[row["ProxID"]].add(row["ClinSig"])
    assert {frozenset(v) for v in classes.values()} == {
        frozenset({"TRUE"}), frozenset({"FALSE"}), frozenset({"TRUE", "FALSE"})
    }  # fmt: skip


def test_prostatex_ijk_follows_from_the_corner_matrix(raw: Path) -> None:
    for row in _rows(raw, "Images"):
        matrix = np.array(row["WorldMatrix"].split(","), float).reshape(4, 4)
        point = np.array(row["pos"].split(), float)
        corner = np.linalg.solve(matrix, [*point, 1])[:3]
        assert row["ijk"] == " ".join(str(int(i)) for i in np.floor(corner + 0.5))
        if row["DCMSerDescr"] == "t2_tse_tra":
            first = min(_series(raw, row["ProxID"], 4), key=lambda d: float(d.SliceLocation))
            column, down, depth = _index(first, point)
            assert corner - 0.5 == pytest.approx((column, down, depth / 3), abs=2e-3)


def test_prostatex_findings_are_seen_in_the_plane_at_pos_only(raw: Path) -> None:
    wrong = 0
    directions = set()
    ratios: dict[str, list[float]] = {"TRUE": [], "FALSE": []}
    for row in _rows(raw, "Findings"):
        point = np.array(row["pos"].split(), float)
        series = _series(raw, row["ProxID"], 8)
        found = min(series, key=lambda d: abs(_index(d, point)[2]))
        column, down, off = _index(found, point)
        assert abs(off) < 1.5
        spot = slice(round(down) - 1, round(down) + 2), slice(round(column) - 1, round(column) + 2)
        ratio = found.pixel_array[spot].mean() / np.median(found.pixel_array[found.pixel_array > 10])
        ratios[row["ClinSig"]].append(ratio)
        directions.add(np.sign(np.diff([d.SliceLocation for d in series])[0]))
        lowest = min(float(d.SliceLocation) for d in series)
        plane = round((float(found.SliceLocation) - lowest) / 3)
        wrong += plane + 1 != found.InstanceNumber
        assert abs(plane - 6) >= 3
        mirrored = min(series, key=lambda d: abs(_index(d, point)[2] + 2 * (6 - plane) * 3))
        assert mirrored.pixel_array[spot].mean() < found.pixel_array[spot].mean()
    assert directions == {-1, 1}
    assert wrong
    assert min(ratios["TRUE"] + ratios["FALSE"]) > 1.2
    assert np.mean(ratios["TRUE"]) > 1.2 * np.mean(ratios["FALSE"])


def test_each_plane_has_a_flare_of_its_own_strength_beside_the_body(raw: Path) -> None:
    for number in (4, 6, 8):
        planes = [d.pixel_array for d in _series(raw, "ProstateX-0000", number)]
        flares = np.array([plane[:, 1].max() for plane in planes])
        tissue = np.array([plane[:, 4:].max() for plane in planes])
        assert (flares >= 0.8 * tissue).all()
        assert flares.max() > 3 * flares.min()


def test_no_trait_alone_tells_the_classes_apart() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 3000)
    area = auroc(labels, [shapes.trait(rng, bool(label)) for label in labels])
    # A pair is ranked wrongly in half of the cases in which both lie where the ranges overlap.
    assert area == pytest.approx(1 - (0.3 / 0.65) ** 2 / 2, abs=0.015)


def test_prostatex_series_are_those_of_a_real_patient(raw: Path) -> None:
    series = {n: _series(raw, "ProstateX-0000", n) for n in (1, 3, 4, 6, 7, 8)}
    assert {n: len(s) for n, s in series.items()} == {1: 3, 3: 5, 4: 13, 6: 39, 7: 13, 8: 13}
    assert len({tuple(d.ImageOrientationPatient) for d in series[1]}) == 3
    assert {d[0x0019, 0x100C].value for d in series[7]} == {b"800 "}
    assert {d[0x0019, 0x100C].value for d in series[6]} == {b"50", b"400 ", b"800 "}
    assert len({d.SOPInstanceUID for s in series.values() for d in s}) == 86
    assert (raw / "prostatex" / "ProstateX-0000" / "07-07-2011").is_dir()


def test_another_reader_sees_the_same_geometry(tmp_path: Path) -> None:
    volume = np.arange(60.0).reshape(3, 4, 5)
    write_mr_series(tmp_path, volume, OBLIQUE, description="t2_tse_tra", number=4)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path)))
    assert image.GetSpacing() == pytest.approx((0.5, 0.6, 3.0))
    assert image.TransformContinuousIndexToPhysicalPoint((1.5, 2.0, 1.0)) == pytest.approx(
        OBLIQUE.world(1.5, 2, 1)
    )
    assert (sitk.GetArrayFromImage(image) == volume).all()


def test_lungx_centres_count_from_one_and_lie_in_soft_tissue(raw: Path) -> None:
    rows = []
    names = ("CalibrationSet_NoduleData.xlsx", "TestSet_NoduleData_PublicRelease_wTruth.xlsx")
    for kind, name in enumerate(names):
        sheet = openpyxl.load_workbook(raw / "lungx" / name).worksheets[0]
        for cells in list(sheet.iter_rows(values_only=True))[1:]:
            if str(cells[0]).startswith(("CT-", "LUNGx")):
                rows.append((cells[0], cells[1 + kind], cells[2 + kind], cells[-1]))
    assert len(rows) == 10
    assert sum(isinstance(position, int) for _, position, _, _ in rows) == 1
    assert {row[-1] for row in rows} >= {"benign", "Benign nodule", "Suspicious malignant nodule"}
    for scan, position, image, _ in rows:
        x, y = divmod(position, 1000) if isinstance(position, int) else map(int, position.split(", "))
        folder = raw / "lungx" / scan.replace("lc", "LC").replace("be", "BE")
        datasets = [pydicom.dcmread(p) for p in folder.rglob("*.dcm")]
        assert len(datasets) == 10
        (dataset,) = (d for d in datasets if d.InstanceNumber == image)
        hu = dataset.pixel_array.astype(float) * dataset.RescaleSlope + dataset.RescaleIntercept
        assert hu[y - 2 : y + 1, x - 2 : x + 1].mean() > -100


def test_brain_pictures_differ_in_all_that_the_real_ones_do(raw: Path) -> None:
    paths = sorted((raw / "brain").glob("*/*"))
    pictures = [Image.open(p) for p in paths]
    assert {p.mode for p in pictures} >= {"RGB", "L", "RGBA", "P"}
    assert any(p.format == "PNG" and q.suffix == ".jpg" for p, q in zip(pictures, paths, strict=True))
    assert {q.suffix for q in paths} >= {".jpg", ".JPG", ".jpeg"}
    assert any(" " in q.name for q in paths)
    hashes = [imagehash.phash(p.convert("L")) for p in pictures]
    twins = [(a, b) for a in range(len(paths)) for b in range(a) if hashes[a] - hashes[b] <= 4]
    assert twins
    assert all(paths[a].parent == paths[b].parent for a, b in twins)
    assert len(twins) == len(paths) - PATIENTS["brain"]


def test_brain_centres_lie_on_lesions(raw: Path) -> None:
    table = read_csv(raw / "brain" / "lesion-centres-public-annotations.csv")
    assert set(table["kaggle_file"]) == {f"yes/{p.name}" for p in (raw / "brain" / "yes").iterdir()}
    assert (table.groupby("kaggle_file").size() == 2).all()
    for row in table.itertuples():
        grey = np.asarray(Image.open(raw / "brain" / str(row.kaggle_file)).convert("L"))
        assert grey.shape == (int(str(row.height)), int(str(row.width)))
        column, down = round(float(str(row.cx))), round(float(str(row.cy)))
        assert grey[down - 1 : down + 2, column - 1 : column + 2].mean() > 90


def test_prostatex_test_patients_come_besides_and_their_labels_stay_in_the_truth(
    raw: Path, tmp_path: Path
) -> None:
    write_phantom("prostatex", tmp_path / "both", 6, 0, test=3)
    alone, both = files(raw / "prostatex"), files(tmp_path / "both")
    assert alone.items() <= both.items()
    test = read_csv(tmp_path / "both/ProstateX-Findings-Test.csv")
    assert list(test) == ["ProxID", "fid", "pos", "zone"]
    assert sorted(set(test["ProxID"])) == ["ProstateX-0006", "ProstateX-0007", "ProstateX-0008"]
    truth = read_csv(tmp_path / "both/truth.csv")
    assert list(truth) == ["ProxID", "fid", "ClinSig"]
    assert truth[["ProxID", "fid"]].to_numpy().tolist() == test[["ProxID", "fid"]].to_numpy().tolist()
    assert set(truth["ClinSig"]) == {"TRUE", "FALSE"}
    images = read_csv(tmp_path / "both/ProstateX-Images-Test.csv")
    assert set(images["ProxID"]) == set(test["ProxID"])
