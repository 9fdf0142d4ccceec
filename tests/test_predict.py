"""A new case gets what the run gave the same finding, or one line that says why not."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)
from PIL import Image

from model.files import weights
from model.files.runs import RunError
from model.predict import main
from pipeline.cli import run_cli
from pipeline.errors import ColumnError, ConfigError, EmptyError, OutOfImageError
from pipeline.files import read_csv
from pipeline.phantom import write_phantom
from pipeline.readers.geometry import plane
from pipeline.store import read_info, read_patches
from tests.made_runs import VIEWS, train, write_card, write_patches

CHANNELS = ("t2", "dwi", "adc")


class Made(NamedTuple):
    """Where the raw files, the data and the runs are."""

    raw: Path
    data: Path
    run: Path


@pytest.fixture(scope="session")
def prostate(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A run on three channels of PROSTATEx, with a second seed."""
    folder = tmp_path_factory.mktemp("prostate")
    write_phantom("prostatex", folder / "raw", 10, 0)
    write_patches(folder / "data/prostatex", "prostatex", folder / "raw", "65 mm", channels=CHANNELS)
    write_card(folder / "data/prostatex", "prostatex")
    train(folder / "data", folder / "results", ["prostatex"], 3, seed=1)
    return Made(folder / "raw", folder / "data", train(folder / "data", folder / "results", ["prostatex"], 3))


def write_own(raw: Path) -> None:
    """Twelve noise images in turn as PNG, NIfTI and MetaImage, with points in pixels, RAS mm and LPS mm."""
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["image,patient_id,finding_id,label,x,y,z,x_mm,y_mm,z_mm"]
    affine = np.array([[2.0, 0, 0, -10], [0, 3, 0, -20], [0, 0, 4, 5], [0, 0, 0, 1]])
    for number in range(12):
        image = rng.integers(0, 255, (30, 24, 5), dtype="u1")
        if number % 3 == 0:
            name, point = f"{number}.png", f"{10 + number},9,,,,"
            Image.fromarray(image[:, :, 0]).save(raw / name)
        elif number % 3 == 1:
            name, point = f"{number}.nii.gz", f",,,{number},10,13"
            nib.Nifti1Image(image, affine).to_filename(raw / name)
        else:
            name, point = f"{number}.mha", f",,,{number},10,9"
            volume = sitk.GetImageFromArray(np.ascontiguousarray(image.T))
            volume.SetSpacing((2.0, 3.0, 4.0))
            sitk.WriteImage(volume, raw / name)
        lines.append(f"{name},P{number},1,{number // 3 % 2},{point}")
    (raw / "own.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A run on one channel of brain, LUNGx and a table of one's own."""
    folder = tmp_path_factory.mktemp("several")
    raw, data = folder / "raw", folder / "data"
    write_phantom("brain", raw / "brain", 12, 0)
    write_phantom("lungx", raw / "lungx", 12, 0)
    write_own(raw / "own")
    lung = ("--window", "-700", "0")  # clips lung and nodule
    write_patches(data / "brain", "brain", raw / "brain", "15/56 side")
    write_card(data / "brain", "brain")
    write_patches(data / "lungx", "lungx", raw / "lungx", "60 mm", read=lung)
    write_card(data / "lungx", "lungx", *lung)
    write_patches(data / "own", "table", raw / "own", "20 px", find=["--table", "own.csv"])
    write_card(data / "own", "table")
    return Made(raw, data, train(data, folder / "results", ["brain", "lungx", "own"], 1))


def predict(made: Made, out: Path, case: Path, *words: str, model: Path | None = None) -> dict:
    main([str(case), *words, "--model", str(model or made.run), "--out", str(out)])
    return json.loads((out / "prediction.json").read_text())


def scored(made: Made, dataset: str) -> pd.DataFrame:
    """The views of the test findings of a data set, by finding."""
    table = read_csv(made.run / "predictions.csv")
    return table[(table["dataset"] == dataset) & (table["split"] == "test")].astype(
        {"score": float, "view": int}
    )


def ids(row: Mapping[str, str]) -> list[str]:
    return ["--patient-id", row["patient_id"], "--finding-id", row["finding_id"]]


def assert_same_views(out: Path, views: pd.DataFrame) -> None:
    written = read_csv(out / "views.csv")
    assert written["view"].tolist() == [str(view) for view in views["view"]] == [str(n) for n in range(VIEWS)]
    np.testing.assert_allclose(written["score"].astype(float), views["score"], atol=1e-6)


def test_a_stored_finding_of_three_channels_gets_the_scores_of_its_run(
    prostate: Made, tmp_path: Path
) -> None:
    tables = prostate.raw.rglob("ProstateX-Findings-Train.csv")
    official = pd.concat(pd.read_csv(path, dtype=str) for path in tables)
    tested = 0
    for (patient, finding), views in scored(prostate, "prostatex").groupby(["patient_id", "finding_id"]):
        pos = official[(official["ProxID"] == patient) & (official["fid"] == finding)]["pos"]
        if len(pos) != 1:
            continue  # repeated ids were renamed
        at = ",".join(pos.iloc[0].split())
        row = {"patient_id": patient, "finding_id": finding}
        found = predict(prostate, tmp_path, prostate.raw / patient, "--mm", "--at", at, *ids(row))
        assert_same_views(tmp_path, views)
        assert found["score"] == pytest.approx(views["score"].mean(), abs=1e-6)
        assert found["single"] == pytest.approx(views["score"].iloc[0], abs=1e-6)
        assert [place["channel"] for place in found["places"]] == list(CHANNELS)
        assert all(re.match(r"series \d+, instance \d+$", place["image"]) for place in found["places"])
        tested += 1
    assert tested >= 2


def test_a_stored_nodule_gets_the_scores_of_its_run(several: Made, tmp_path: Path) -> None:
    table = read_csv(several.data / "lungx" / "findings.csv")
    index = pd.read_parquet(several.data / "lungx" / "index.parquet")
    for (patient, finding), views in scored(several, "lungx").groupby(["patient_id", "finding_id"]):
        row = table[(table["patient_id"] == patient) & (table["finding_id"] == finding)].iloc[0]
        series = index[index["series_uid"] == row["series_uid"]].sort_values("position_z")
        place = series["file"].tolist().index(row["file"])
        at = f"{row['column']},{row['row']},{place}"
        folder = (several.raw / "lungx" / row["file"]).parent
        found = predict(several, tmp_path, folder, "--at", at, "--dataset", "lungx", *ids(row))
        assert_same_views(tmp_path, views)
        assert found["probability_reason"].endswith("; only scores of the target are calibrated, brain")


def test_a_stored_picture_gets_the_scores_of_its_run(several: Made, tmp_path: Path) -> None:
    table = read_csv(several.data / "brain" / "findings.csv")
    for (patient, finding), views in scored(several, "brain").groupby(["patient_id", "finding_id"]):
        row = table[(table["patient_id"] == patient) & (table["finding_id"] == finding)].iloc[0]
        at = f"{row['column']},{row['row']}"
        found = predict(several, tmp_path, several.raw / "brain" / row["file"], "--at", at, *ids(row))
        assert_same_views(tmp_path, views)
        assert found["dataset"] == "brain"
        assert found["of"] == "tumour"


def test_a_table_of_cases_gets_the_scores_of_its_run_whatever_the_format(
    several: Made, tmp_path: Path
) -> None:
    raw = several.raw / "own"
    main([str(raw / "own.csv"), "--dataset", "own", "--model", str(several.run), "--out", str(tmp_path)])
    summary = read_csv(tmp_path / "predictions.csv")
    assert summary["patient_id"].tolist() == [f"P{number}" for number in range(12)]
    assert len(read_csv(tmp_path / "skipped.csv")) == 0
    numbers = dict(zip(summary["patient_id"], summary["number"].astype(int), strict=True))
    views_of = scored(several, "own").groupby("patient_id")
    assert len(views_of) >= 3
    for patient, views in views_of:
        assert_same_views(tmp_path / f"{numbers[patient]:04d}", views)
        score = summary.loc[summary["patient_id"] == patient, "score"].astype(float)
        assert score.iloc[0] == pytest.approx(views["score"].mean(), abs=1e-6)


def test_a_table_whose_ids_training_changes_gets_the_patches_of_its_training(
    several: Made, tmp_path: Path
) -> None:
    """P0 has finding 1 twice; two patients are unknown; one of their images is named with a detour."""
    raw, table = several.raw / "own", read_csv(several.raw / "own" / "own.csv")[:6]
    names = [f"./{name}" if name == "4.nii.gz" else name for name in table["image"]]
    patients = ["P0", "P0", "P1", "", "unknown", "P2"]
    table.assign(image=names, patient_id=patients).to_csv(raw / "repeated.csv", index=False)
    stored = write_patches(tmp_path / "own", "table", raw, "20 px", find=["--table", "repeated.csv"])
    found = read_csv(tmp_path / "own" / "findings.csv")
    assert found["finding_id"].tolist() == ["1a", "1b", *["1"] * 4]
    assert found["patient_id"].tolist() == ["P0", "P0", "P1", "3.png", "4.nii.gz", "P2"]
    out = tmp_path / "out"
    words = ["--dataset", "own", "--model", str(several.run), "--out"]
    main([str(raw / "repeated.csv"), *words, str(out)])
    for number, patches in enumerate(
        read_patches(stored, range(6), [VIEWS] * 6).reshape(6, VIEWS, 1, 65, 65)
    ):
        np.testing.assert_array_equal(np.load(out / f"{number + 1:04d}" / "patches.npy"), patches)
    summary = read_csv(out / "predictions.csv")
    assert summary["patient_id"].tolist() == patients, "ids are written as the table has them"
    assert set(summary["finding_id"]) == {"1"}
    # A single case takes the ids of findings.csv.
    row = found.iloc[1]
    at = ",".join(table.loc[1, ["x_mm", "y_mm", "z_mm"]])
    predict(several, tmp_path / "one", raw / row["file"], "--mm", "--at", at, "--dataset", "own", *ids(row))
    one, of_table = (read_csv(folder / "views.csv") for folder in (tmp_path / "one", out / "0002"))
    pd.testing.assert_frame_equal(one, of_table)


def test_a_table_with_headers_and_names_of_its_own_gets_the_same_scores(
    several: Made, tmp_path: Path
) -> None:
    raw = several.raw / "own"
    plain = read_csv(raw / "own.csv")[:6]
    names = [name.upper() for name in plain["image"]]
    names = [f"C:\\study\\{name}" if number % 2 else f".\\{name}" for number, name in enumerate(names)]
    plain.assign(image=names).rename(columns={"image": "Datei", "x": "links"}).to_csv(
        raw / "other.csv", index=False, sep=";"
    )
    call = ["--dataset", "own", "--model", str(several.run), "--out"]
    main([str(raw / "own.csv"), *call, str(tmp_path / "plain")])
    main([str(raw / "other.csv"), *call, str(tmp_path / "other"), "--columns", "image=Datei", "x=links"])
    same, other = (read_csv(tmp_path / folder / "predictions.csv") for folder in ("plain", "other"))
    assert len(other) == 6
    pd.testing.assert_frame_equal(other, same[:6])


def test_a_case_that_no_file_fits_is_listed_with_the_nearest(several: Made, tmp_path: Path) -> None:
    raw = several.raw / "own"
    name = read_csv(raw / "own.csv")["image"][0]
    (raw / "lost.csv").write_text(f"image,patient_id,finding_id\n{name}x,p,1\n,q,1\n")
    with pytest.raises(EmptyError):
        main([str(raw / "lost.csv"), "--dataset", "own", "--model", str(several.run), "--out", str(tmp_path)])
    skipped = read_csv(tmp_path / "skipped.csv")
    assert skipped["code"].tolist() == ["E-IMG-MISSING"] * 2
    assert f"did you mean {name}" in skipped["reason"][0]
    assert "found no name" in skipped["reason"][1]


def test_a_header_of_another_name_is_named_with_the_option_that_maps_it(
    several: Made, tmp_path: Path
) -> None:
    table = tmp_path / "cases.csv"
    table.write_text("Image,patient_id,finding_id\na.png,p,1\n")
    with pytest.raises(ColumnError, match=r"--columns image=Image of model.predict"):
        main([str(table), "--dataset", "own", "--model", str(several.run), "--out", str(tmp_path)])


def test_millimetres_of_nifti_are_ras_as_in_a_table(several: Made, tmp_path: Path) -> None:
    # The point that the table has for it.
    case = several.raw / "own" / "1.nii.gz"
    words = ["--dataset", "own", "--patient-id", "P1"]
    found = predict(several, tmp_path, case, "--mm", "--at", "1,10,13", *words)
    summary = several.data / "own" / "findings.csv"
    row = read_csv(summary).set_index("patient_id").loc["P1"]
    (place,) = found["places"]
    assert [place[name] for name in ("column", "row", "slice")] == [row["column"], row["row"], row["slice"]]


def test_without_a_point_it_is_the_middle_and_says_so(several: Made, tmp_path: Path) -> None:
    case = several.raw / "own" / "1.nii.gz"
    (place,) = predict(several, tmp_path, case, "--dataset", "own")["places"]
    assert place["reason"] == "the only image or series; no point given: the middle"


def test_an_ensemble_is_the_mean_over_models_and_says_how_far_they_part(
    prostate: Made, tmp_path: Path
) -> None:
    patient, at = "ProstateX-0001", middle(prostate, "ProstateX-0001")
    each = [
        predict(prostate, tmp_path, prostate.raw / patient, "--mm", "--at", at, model=folder)["score"]
        for folder in (prostate.run, prostate.run.with_name("seed1"))
    ]
    both = predict(
        prostate, tmp_path, prostate.raw / patient, "--mm", "--at", at, model=prostate.run.parents[1]
    )
    assert both["score"] == pytest.approx(np.mean(each))
    assert [one["model"] for one in both["models"]["each"]] == ["typhon fold0 seed0", "typhon fold0 seed1"]
    assert [one["score"] for one in both["models"]["each"]] == pytest.approx(each)
    assert both["models"]["sd"] == pytest.approx(np.std(each, ddof=1))
    assert (both["models"]["count"], both["views"]["count"]) == (2, VIEWS)
    assert len(read_csv(tmp_path / "views.csv")) == 2 * VIEWS


def middle(made: Made, patient: str) -> str:
    """A finding's point in mm (LPS), as --at takes it."""
    (path,) = made.raw.rglob("ProstateX-Findings-Train.csv")
    table = pd.read_csv(path, dtype=str)
    return ",".join(table[table["ProxID"] == patient]["pos"].iloc[0].split())


def said(made: Made, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a refused call leaves on the terminal: one line, and status 1."""
    with pytest.raises(SystemExit) as ended:
        run_cli(main, [*words, "--model", str(made.run)])
    assert capsys.readouterr().out == ""
    assert "\n" not in str(ended.value.code)
    return str(ended.value.code)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--at", "1,2,3,4"], "E-CONFIG --at: expected column,row or column,row,slice, found '1,2,3,4'"),
        (["--at", "1,x"], "E-CONFIG --at: expected column,row or column,row,slice, found '1,x'"),
        (["--mm", "--at", "1,2"], "E-CONFIG --at: expected x,y,z in mm, found '1,2'"),
        (["--at", "500,3"], "E-LESION-OOB 0.png: expected a point in 24 columns × 30 rows, found column 500, row 3"),
        (["--at", "3,-3"], "E-LESION-OOB 0.png: expected a point in 24 columns × 30 rows, found column 3, row -3"),
        (["--dataset", "mine"], "E-CONFIG --dataset: expected one of brain, lungx, own, found mine"),
    ],
)  # fmt: skip
def test_what_cannot_be_predicted_is_one_line(
    several: Made, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert line in said(several, capsys, str(several.raw / "own" / "0.png"), "--dataset", "own", *words)


def test_a_table_lists_the_cases_that_fail_and_goes_on(several: Made, tmp_path: Path) -> None:
    lines = ["image,patient_id,finding_id,x,y", "0.png,A,1,5,5", "0.png,B,1,500,5", "none.png,C,1,5,5"]
    (several.raw / "own" / "cases.csv").write_text("\n".join(lines) + "\n")
    words = ["--dataset", "own", "--model", str(several.run), "--out"]
    with pytest.raises(SystemExit) as ended:
        main([str(several.raw / "own" / "cases.csv"), *words, str(tmp_path)])
    assert ended.value.code == 1
    assert read_csv(tmp_path / "predictions.csv")["patient_id"].tolist() == ["A"]
    skipped = read_csv(tmp_path / "skipped.csv")
    assert skipped["patient_id"].tolist() == ["B", "C"]
    assert skipped["code"].tolist() == ["E-LESION-OOB", "E-IMG-MISSING"]
    (several.raw / "own" / "cases.csv").write_text("\n".join([lines[0], lines[2]]) + "\n")
    with pytest.raises(EmptyError, match=r"expected cases, found 1 rows, all left out; see .*skipped\.csv"):
        main([str(several.raw / "own" / "cases.csv"), *words, str(tmp_path)])
    # Nothing of the first table is left where it would pass for the second.
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["skipped.csv"]


def test_a_case_that_fails_leaves_nothing_of_an_earlier_one(
    several: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, words = several.raw / "own" / "0.png", ["--dataset", "own", "--at"]
    (tmp_path / "mine.txt").write_text("")
    predict(several, tmp_path, case, *words, "5,5")
    assert len(list(tmp_path.iterdir())) == 5
    with pytest.raises(OutOfImageError):
        predict(several, tmp_path, case, *words, "500,5")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    predict(several, tmp_path, case, *words, "5,5")

    def full(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr("model.prediction.save", full)
    with pytest.raises(OSError, match="no room"):
        predict(several, tmp_path, case, *words, "6,6")
    plt.close("all")  # what save would have closed
    # The prediction comes last: where it is, all of it is.
    assert not (tmp_path / "prediction.json").exists()
    assert not (tmp_path / "network_saw.png").exists()


def test_a_model_is_read_once_for_a_table(
    several: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = weights.read, []

    def counted(path: Path, *rest: Any, **named: Any) -> Any:
        seen.append(path)
        return read(path, *rest, **named)

    monkeypatch.setattr(weights, "read", counted)
    table = several.raw / "own" / "own.csv"
    main([str(table), "--dataset", "own", "--model", str(several.run), "--out", str(tmp_path)])
    assert seen == [several.run / "model.safetensors"]


def test_nothing_that_names_a_person_is_written_or_printed(
    prostate: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patient = "ProstateX-0001"
    predict(prostate, tmp_path, prostate.raw / patient, "--mm", "--at", middle(prostate, patient))
    written = "".join((tmp_path / name).read_text() for name in ("prediction.json", "views.csv"))
    printed = capsys.readouterr().out
    assert patient not in written + printed.replace(str(tmp_path), "")
    assert "t2_tse" not in written
    assert "not a medical device" in written
    assert "not a medical device" in printed


def test_what_the_network_saw_is_there_as_numbers_and_as_a_picture(prostate: Made, tmp_path: Path) -> None:
    row = scored(prostate, "prostatex").iloc[0]
    info = read_info(prostate.data / "prostatex" / "patches.h5")
    at = (info.findings["patient_id"] == row["patient_id"]) & (
        info.findings["finding_id"] == row["finding_id"]
    )
    stored = read_patches(info.path, [int(at.to_numpy().argmax())], [VIEWS])
    table = read_csv(prostate.data / "prostatex" / "findings.csv")
    place = table[(table["patient_id"] == row["patient_id"]) & (table["finding_id"] == row["finding_id"])]
    index = pd.read_parquet(prostate.data / "prostatex" / "index.parquet").set_index("file", drop=False)
    first = place.iloc[0]
    distance = float(first["plane_distance_mm"])
    world = plane(index.loc[first["file"]]).to_world(
        float(first["column"]), float(first["row"]), distance
    )  # fmt: skip
    words = ["--mm", "--at", ",".join(map(repr, world.tolist())), *ids(row)]
    predict(prostate, tmp_path, prostate.raw / row["patient_id"], *words)
    # To the fourth digit of a pixel, which is how findings.csv has it.
    np.testing.assert_allclose(np.load(tmp_path / "patches.npy"), stored, atol=2e-3)
    picture = np.asarray(Image.open(tmp_path / "network_saw.png").convert("RGB")).astype(int)
    red = (picture[..., 0] > 180) & (picture[..., 1:].max(axis=2) < 80)
    # Three slices, each with a dot and an outline, and three views of each with a dot.
    assert red.sum() > 100
    assert picture.std() > 20
    again = tmp_path / "again"
    predict(prostate, again, prostate.raw / row["patient_id"], *words)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()
    }


OPERATING_POINT = {"point": "youden", "threshold": 0.5, "sensitivity": 0.8, "sensitivity95": [0.6, 0.9],
         "specificity": None, "specificity95": None}  # fmt: skip
OPERATING = {
    "schema": 1, "dataset": "prostatex", "state": "last",
    "problems": {"": {
        "prevalence": 0.2, "calibration": {"slope": 1.0, "intercept": 0.0, "prevalence": 0.5}, "points": [OPERATING_POINT],
    }},
}  # fmt: skip


@pytest.fixture
def in_use(prostate: Made, tmp_path: Path) -> Path:
    """A run with operating points of its own, made by hand."""
    shutil.copytree(prostate.run, made := tmp_path / "results/typhon/fold0/seed0")
    (made / "operating.json").write_text(json.dumps(OPERATING))
    return made


def words_of(prostate: Made, out: Path, model: Path) -> list[str]:
    case = prostate.raw / "ProstateX-0001"
    at = middle(prostate, "ProstateX-0001")
    return [str(case), "--mm", "--at", at, "--model", str(model), "--out", str(out)]


def test_predict_tells_what_lies_beside_the_run(
    prostate: Made,
    in_use: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The line of one half leaves odds as they are; one in five makes a quarter of them."""
    main([*words_of(prostate, tmp_path / "out", in_use), "--prevalence", "0.5"])
    found: dict[str, Any] = json.loads((tmp_path / "out/prediction.json").read_text())
    assert found["given"]["probability"] == pytest.approx(found["score"])
    odds = found["score"] / (1 - found["score"]) / 4
    assert found["probability"] == pytest.approx(odds / (1 + odds))
    assert found["points"] == [OPERATING_POINT | {"positive": found["score"] > 0.5}]
    said = capsys.readouterr().out
    assert f"score {found['score']:.3f}  of: clinically significant" in said
    assert f"probability {found['probability']:.3f} where 20 % of all are, as in training" in said


def test_an_ensemble_promises_nothing_for_the_mean_of_its_sets(
    prostate: Made,
    in_use: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    about = json.loads(json.dumps(OPERATING))
    about["problems"][""]["sets"] = [{"coverage": 0.9, "positive": 0.0, "negative": 1.0}]
    shutil.copytree(prostate.run.with_name("seed1"), in_use.with_name("seed1"))
    for run in (in_use, in_use.with_name("seed1")):
        (run / "operating.json").write_text(json.dumps(about))
    main(words_of(prostate, tmp_path / "one", in_use))
    assert "undecided by a set that holds 90 % of new patients of each class" in capsys.readouterr().out
    main(words_of(prostate, tmp_path / "both", in_use.parent))
    said = capsys.readouterr().out
    assert "undecided by the mean of the 90 % sets of 2 single runs; nothing is promised for the mean" in said
    assert "single runs have sensitivity 0.800 [0.600, 0.900]" in said


def test_a_run_without_the_file_or_with_that_of_another_state_has_scores_only(
    prostate: Made,
    in_use: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for about in (OPERATING | {"state": "best"}, OPERATING | {"dataset": "lungx"}, None):
        if about is None:
            (in_use / "operating.json").unlink()
        else:
            (in_use / "operating.json").write_text(json.dumps(about))
        main(words_of(prostate, tmp_path / "out", in_use))
        found = json.loads((tmp_path / "out/prediction.json").read_text())
        assert (found["probability"], found["points"]) == (None, [])
        assert "./run results/operating.csv makes it" in found["probability_reason"]
        assert "no probability: no operating.json of typhon fold0 seed0" in capsys.readouterr().out


def test_a_table_of_cases_tells_the_probability_and_where_it_is_positive(
    prostate: Made,
    in_use: Path,
    tmp_path: Path,
) -> None:
    x, y, z = middle(prostate, "ProstateX-0001").split(",")
    (tmp_path / "c.csv").write_text(
        f"image,patient_id,finding_id,x_mm,y_mm,z_mm\n{prostate.raw / 'ProstateX-0001'},a,1,{x},{y},{z}\n"
    )
    main(
        [
            str(tmp_path / "c.csv"),
            "--model",
            str(in_use),
            "--out",
            str(tmp_path / "out"),
            "--prevalence",
            "0.5",
        ]
    )
    (row,) = read_csv(tmp_path / "out/predictions.csv").to_dict("records")
    assert float(row["probability"]) == pytest.approx(float(row["score"]))
    assert row["positive"] == ("youden" if float(row["score"]) > 0.5 else "")


def test_a_file_or_a_prevalence_that_is_none_ends_in_one_line(
    prostate: Made,
    in_use: Path,
    tmp_path: Path,
) -> None:
    call = words_of(prostate, tmp_path / "out", in_use)
    with pytest.raises(ConfigError, match="expected a share between 0 and 1, found 5"):
        main([*call, "--prevalence", "5"])
    (in_use / "operating.json").write_text("{}")
    with pytest.raises(RunError, match=r"operating.json: expected the operating points of a run, found none"):
        main(call)
    other = OPERATING | {"problems": {"mass": OPERATING["problems"][""]}}
    (in_use / "operating.json").write_text(json.dumps(other))
    with pytest.raises(RunError, match="found those of mass"):
        main(call)
