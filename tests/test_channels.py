"""Several images of a finding as its channels, such as T1 and T2: the same place in each, from table to case."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from model import api
from model.predict import main as predict
from pipeline.datasets.table import Options
from pipeline.errors import ConfigError
from pipeline.files import read_csv
from pipeline.phantom import Geometry, write_mr_series
from pipeline.store import read_info, read_patches
from pipeline.verify.checks import alignment
from tests import made_runs
from tests.test_ahead import made
from tests.test_table import place, run, source_of
from workflow import ahead
from workflow.plan import data

HEADER = "t2,adc,patient_id,finding_id,label,x,y,z,x_mm,y_mm,z_mm\n"
CHANNELS = ("--channels", "t2", "adc")
FINE = np.array([[2.0, 0, 0, -10], [0, 3, 0, -20], [0, 0, 4, 5], [0, 0, 0, 1]])
COARSE = np.array([[4.0, 0, 0, -12], [0, 6, 0, -26], [0, 0, 8, 1], [0, 0, 0, 1]])


def save_nifti(path: Path, affine: np.ndarray, shape: tuple[int, int, int] = (20, 30, 10)) -> None:
    voxels = np.random.default_rng(len(path.name)).integers(0, 1000, shape).astype("i2")
    nib.Nifti1Image(voxels, affine).to_filename(path)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Two grids of one patient: voxel (4, 7, 3) of the first, RAS (−2, 1, 17), is (2.5, 4.5, 2) of the second."""
    folder = tmp_path / "raw"
    folder.mkdir()
    save_nifti(folder / "t2.nii.gz", FINE)
    save_nifti(folder / "adc.nii.gz", COARSE)
    return folder


@pytest.mark.parametrize("point", ["4,7,3,,,", ",,,-2,1,17"])
def test_each_image_is_cut_at_the_point_of_the_first(raw: Path, point: str) -> None:
    found = run(raw, HEADER + f"t2.nii.gz,adc.nii.gz,p,1,1,{point}\n", *CHANNELS)
    assert [(row["channel"], row["file"], place(row)) for row in found.rows] == [
        ("t2", "t2.nii.gz", (4, 7, "2:3")),
        ("adc", "adc.nii.gz", (2.5, 4.5, "2:2")),
    ]
    assert {(row["finding_id"], row["label"], row["centre"]) for row in found.rows} == {("1", 1, "given")}


def test_without_a_point_it_is_the_place_of_the_middle_of_the_first(raw: Path) -> None:
    found = run(raw, HEADER + "t2.nii.gz,adc.nii.gz,p,1,1,,,,,,\n", *CHANNELS)
    # Voxel (9.5, 14.5, 4.5) of the first is RAS (9, 23.5, 23); it takes slice 4, so it lies 2 mm off the plane.
    assert [place(row) for row in found.rows] == [(9.5, 14.5, "2:4"), (5.25, 8.25, "2:3")]
    assert [row["plane_distance_mm"] for row in found.rows] == ["2.000", "-2.000"]
    assert {row["centre"] for row in found.rows} == {"image"}


MR = Geometry((-9.0, 26.0, 23.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.5, 0.5), 2.0)


@pytest.mark.parametrize(
    ("files", "point"), [("t2.nii.gz,s", "-2,1,17"), ("s,t2.nii.gz", "2,-1,17")], ids=["nifti", "dicom"]
)
def test_dicom_and_nifti_meet_whichever_comes_first(raw: Path, files: str, point: str) -> None:
    """The millimetres of a table are those of its first image: RAS for NIfTI, LPS for DICOM."""
    write_mr_series(raw / "s", np.ones((12, 60, 60)), MR, description="adc", number=1, patient_id="p")
    found = run(raw, HEADER + f"{files},p,1,1,,,,{point}\n", *CHANNELS)
    rows = {"dicom" if row.get("series_uid") else "nifti": row for row in found.rows}
    assert place(rows["nifti"]) == (4, 7, "2:3")
    # LPS (2, −1, 17): 11 mm along rows and 27 mm against y, of 0.5 mm each.
    assert place(rows["dicom"]) == (22, 54, "")
    assert rows["dicom"]["plane_distance_mm"] == "0.000"


@settings(max_examples=25, deadline=None)
@given(
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
    sizes=st.tuples(*[st.floats(0.5, 5)] * 3),
    voxel=st.tuples(st.integers(2, 17), st.integers(2, 17), st.integers(2, 17)),
    axis=st.integers(0, 2),
)
def test_the_place_in_space_is_the_same_however_the_other_image_lies(
    tmp_path_factory: pytest.TempPathFactory, turn, sizes, voxel, axis
) -> None:
    folder = tmp_path_factory.mktemp("turned")
    save_nifti(folder / "a.nii", FINE, (20, 20, 20))
    other = np.eye(4)
    other[:3, :3] = Rotation.from_rotvec(turn).as_matrix() * sizes
    other[:3, 3] = (FINE @ [*voxel, 1])[:3] - other[:3, :3] @ [9, 8, 7]  # the point is its voxel (9, 8, 7)
    save_nifti(folder / "b.nii", other, (20, 20, 20))
    line = f"a.nii,b.nii,p,1,1,{voxel[0]},{voxel[1]},{voxel[2]},,,\n"
    found = run(folder, HEADER + line, *CHANNELS, f"--axis={axis}")
    (column, row, name), off = place(found.rows[1]), float(found.rows[1]["plane_distance_mm"])
    across, down = (number for number in range(3) if number != axis)
    middle = (9, 8, 7)
    assert (column, row) == pytest.approx((middle[across], middle[down]), abs=0.01)
    assert name == f"{axis}:{middle[axis]}"
    assert off == pytest.approx(0, abs=0.01 * max(sizes))


def save_picture(path: Path, columns: int, rows: int) -> None:
    pixels = np.random.default_rng(columns).integers(0, 255, (rows, columns), dtype="u1")
    Image.fromarray(pixels).save(path)


def test_pictures_of_one_size_share_their_pixels(raw: Path) -> None:
    for name in ("a.png", "b.png"):
        save_picture(raw / name, 60, 40)
    found = run(raw, HEADER + "a.png,b.png,p,1,1,50,4,,,,\n", *CHANNELS)
    assert [place(row) for row in found.rows] == [(50, 4, ""), (50, 4, "")]


def test_a_pixel_of_one_picture_says_nothing_of_another_of_other_size(raw: Path) -> None:
    save_picture(raw / "a.png", 60, 40)
    save_picture(raw / "b.png", 30, 20)
    found = run(raw, HEADER + "a.png,b.png,p,1,1,20,4,,,,\na.png,b.png,q,1,0,,,,,,\n", *CHANNELS)
    (line,) = found.skipped
    assert (line["code"], line["file"]) == ("E-LESION-NOCENTRE", "b.png")
    assert "found 60 × 40 × 1 and 30 × 20 × 1" in line["reason"]
    # Two views of a chest are of no size in common: without a point each is taken at its middle.
    assert [place(row) for row in found.rows] == [(29.5, 19.5, ""), (14.5, 9.5, "")]


@pytest.mark.parametrize(
    ("second", "code", "file"),
    [
        ("gone.nii.gz", "E-IMG-MISSING", "gone.nii.gz"),
        ("t2.nii.gz", "E-LESION-NOSERIES", "t2.nii.gz"),
        ("", "E-IMG-MISSING", ""),
        ("small.nii.gz", "E-LESION-OOB", "small.nii.gz"),
        ("bare.nii.gz", "E-LESION-NOCENTRE", "bare.nii.gz"),
        ("a.png", "E-LESION-NOCENTRE", "a.png"),
    ],
)  # fmt: skip
def test_a_finding_without_one_of_its_channels_is_left_out_as_a_whole(
    raw: Path, second: str, code: str, file: str
) -> None:
    save_nifti(raw / "small.nii.gz", FINE, (3, 3, 3))
    bare = nib.Nifti1Image(np.ones((9, 9, 9), "i2") * np.arange(9, dtype="i2"), None)
    bare.to_filename(raw / "bare.nii.gz")
    save_picture(raw / "a.png", 60, 40)
    lines = f"t2.nii.gz,{second},p,1,1,4,7,3,,,\nt2.nii.gz,adc.nii.gz,q,1,0,4,7,3,,,\n"
    found = run(raw, HEADER + lines, *CHANNELS)
    (line,) = found.skipped
    assert (line["patient_id"], line["code"], line["kind"]) == ("p", code, "failed")
    assert "x_mm" not in line["reason"]  # the table has none
    assert second or "found no name in adc" in line["reason"]
    assert file in line["file"]
    assert [row["patient_id"] for row in found.rows] == ["q", "q"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"channels": ["t2", "red"]}, "channels: expected columns not called red, green, blue"),
        ({"channels": ["t2", "b=800"]}, "channels: expected columns .*, found b=800"),
        ({"channels": ["-3 mm", "0 mm", "+3 mm"]}, "channels: expected columns .* distances in mm"),
        ({"channels": ["t2", "t2"]}, "channels: expected each column once"),
        ({"channels": ["t2", "adc"], "colour": "rgb"}, "channels: expected nothing beside colour"),
        ({"channels": ["t2", "adc"], "neighbours": "3 mm"}, "expected nothing beside neighbours"),
        ({"channels": ["t2", "adc"], "columns": {"image": "t2"}}, "columns: expected no image"),
    ],
)
def test_options_that_do_not_fit_together_are_one_line(options: dict, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        Options(table="t.csv", **options)
    with pytest.raises(ConfigError, match="channels: expected a table beside it"):
        Options(folders={"a": 0, "b": 1}, channels=["t2", "adc"])


def test_the_plan_names_an_image_that_is_not_there_and_a_column_that_is_not(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(raw.parent)
    mine = {"kind": "table", "table": "own.csv", "channels": ["t2", "adc"]}
    config = made({"mine": mine}, raw={"mine": str(raw)})
    lines = "t2.nii.gz,adc.nii.gz,p,1,1,4,7,3,,,\nt2.nii.gz,acd.nii.gz,q,1,0,4,7,3,,,\n"
    (raw / "own.csv").write_text(HEADER + lines)
    (fault,) = ahead.of(config, "mine")
    assert fault.code == "E-IMG-MISSING"
    assert "did you mean adc.nii.gz?" in str(fault)
    (raw / "own.csv").write_text((HEADER + lines).replace("t2,adc,", "t2,dwi,"))
    (fault,) = ahead.of(config, "mine")
    assert fault.code == "E-CSV-COL"
    assert "adc (image_adc)" in str(fault)


def test_steps_are_told_the_channels_and_the_columns_of_their_images() -> None:
    mine = {"kind": "table", "table": "t.csv", "channels": ["t2", "adc"],
            "columns": {"label": "grade"}, "extent": "40 mm"}  # fmt: skip
    config = made({"mine": mine}, split={"kind": "given", "column": "part"})
    assert (
        data.options(config, "mine", ["channels", "extent", "intensity"])
        == "--channels t2 adc --extent '40 mm' --intensity series"
    )
    assert data.split_column(config, "mine") == (
        "--column part --table t.csv --columns=label=grade --columns=image=t2 --columns=image_adc=adc"
    )
    assert data.pictures(config, "mine")[-1] == "<data>/mine/alignment.png"


def test_a_channel_alone_in_dicom_agrees_with_none(raw: Path) -> None:
    write_mr_series(raw / "s", np.ones((12, 60, 60)), MR, description="adc", number=1, patient_id="p")
    found = run(raw, HEADER + "s,t2.nii.gz,p,1,1,,,,2,-1,17\n", *CHANNELS)
    check = alignment(pd.DataFrame(found.rows), source_of(raw).index)
    assert check.detail == "no finding on several channels of DICOM"


FILES = ["t2=t2.nii.gz", "adc=adc.nii.gz"]


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Twelve patients with two NIfTI each, their store and a run: raw folder, store and run."""
    rows = [HEADER.strip()]
    for number in range(12):
        folder = tmp_path / f"raw/p{number}"
        folder.mkdir(parents=True)
        for name, affine in (("t2", FINE), ("adc", COARSE)):
            shape = np.random.default_rng((number, len(name))).normal(100, 20, (20, 30, 10)).astype("f4")
            nib.Nifti1Image(shape, affine).to_filename(folder / f"{name}.nii.gz")
        rows.append(f"p{number}/t2.nii.gz,p{number}/adc.nii.gz,P{number},1,{number % 2},,,,8,20,21")
    (tmp_path / "raw/own.csv").write_text("\n".join(rows) + "\n")
    folder = tmp_path / "data/mine"
    find = ["--table", "own.csv", *CHANNELS]
    store = made_runs.write_patches(folder, "table", tmp_path / "raw", "24 mm", find=find)
    made_runs.write_card(folder, "table")
    return tmp_path / "raw", store, made_runs.train(tmp_path / "data", tmp_path / "results", ["mine"], 2)


def test_a_new_case_is_cut_as_in_training(trained: tuple[Path, Path, Path], tmp_path: Path) -> None:
    raw, store, made = trained
    assert read_info(store).channels == ("t2", "adc")
    first = read_patches(store, [0], [1])[0]
    assert len(first) == 2
    assert not np.allclose(first[0], first[1])
    call = [
        "--mm",
        "--at",
        "8,20,21",
        "--model",
        str(made),
        "--patient-id",
        "P0",
        "--out",
        str(tmp_path / "out"),
    ]
    predict([str(raw / "p0"), "--channels", *FILES, *call])
    assert np.load(tmp_path / "out/patches.npy")[0] == pytest.approx(first, abs=1e-5)
    found = json.loads((tmp_path / "out/prediction.json").read_text())
    assert [(one["channel"], one["reason"]) for one in found["places"]] == [
        ("t2", "as named"),
        ("adc", "as named"),
    ]
    # The order of the files is that of the model, whatever that of the words; a notebook gets the same.
    predict([str(raw / "p0"), "--channels", *reversed(FILES), *call])
    assert json.loads((tmp_path / "out/prediction.json").read_text()) == found
    model, files = api.load_run(made), dict(word.split("=") for word in FILES)
    again = api.predict(model, raw / "p0", (8, 20, 21), mm=True, channels=files)
    # The views are drawn by the name of the case, so only the un-augmented one is the same.
    assert again["single"] == pytest.approx(found["single"], abs=1e-6)


def test_the_table_of_the_training_serves_as_a_table_of_cases(
    trained: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    raw, store, made = trained
    out = tmp_path / "table"
    predict([str(raw / "own.csv"), "--model", str(made), "--out", str(out)])
    assert len(read_csv(out / "predictions.csv")) == 12
    for number in range(12):
        views = np.load(out / f"{number + 1:04d}/patches.npy")
        assert views == pytest.approx(read_patches(store, [number], [len(views)]), abs=1e-5)
    # Columns of other names are named; an image that is not there is a line of its own.
    table = (raw / "own.csv").read_text().replace("t2,adc,", "one,two,").replace("p3/adc", "p3/dwi")
    (raw / "cases.csv").write_text(table)
    with pytest.raises(SystemExit):
        predict(
            [
                str(raw / "cases.csv"),
                "--channels",
                "adc=two",
                "t2=one",
                "--model",
                str(made),
                "--out",
                str(out),
            ]
        )
    assert len(read_csv(out / "predictions.csv")) == 11
    (line,) = read_csv(out / "skipped.csv").to_dict("records")
    assert (line["patient_id"], line["code"]) == ("P3", "E-IMG-MISSING")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "expected an image of each channel, found none of t2, adc; name the files below the folder: "
             "--channels t2=FILE adc=FILE"),
        (["--channels", "t2=t2.nii.gz"], "found none of adc;"),
        (["--channels", "t1=t2.nii.gz"], "E-CONFIG --channels: expected t2, adc, found t1"),
        (["--channels", "t2"], "E-CONFIG --channels: expected NAME=FILE, such as t2=t2.nii.gz, found 't2'"),
        (["--channels", "t2=t2.nii.gz", "adc=gone.nii.gz"], "E-IMG-MISSING"),
    ],
)  # fmt: skip
def test_a_case_without_its_images_is_one_line(
    trained: tuple[Path, Path, Path], tmp_path: Path, words: list[str], line: str
) -> None:
    raw, _, made = trained
    with pytest.raises(Exception, match=r"E-\w+") as error:
        predict([str(raw / "p0"), *words, "--model", str(made), "--out", str(tmp_path / "out")])
    assert line in str(error.value)
    assert not (tmp_path / "out/prediction.json").exists()


def test_a_model_of_one_channel_takes_no_channels(tmp_path: Path) -> None:
    rows = ["image,patient_id,finding_id,label"]
    (tmp_path / "raw").mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 60), dtype="u1")
        Image.fromarray(pixels).save(tmp_path / f"raw/{number}.png")
        rows.append(f"{number}.png,P{number},1,{number % 2}")
    (tmp_path / "raw/own.csv").write_text("\n".join(rows) + "\n")
    folder = tmp_path / "data/mine"
    made_runs.write_patches(folder, "table", tmp_path / "raw", "30 px", find=["--table", "own.csv"])
    made_runs.write_card(folder, "table")
    made = made_runs.train(tmp_path / "data", tmp_path / "results", ["mine"], 1)
    with pytest.raises(ConfigError, match="expected none: the model has no channels that are images"):
        predict([str(tmp_path / "raw/0.png"), "--channels", "t2=0.png", "--model", str(made)])
