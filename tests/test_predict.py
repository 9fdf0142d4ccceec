"""A new case gets what the run gave the same finding, or one line that says why not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)
import torch
from PIL import Image

from model.predict import main
from pipeline.files import read_csv
from pipeline.phantom import write_phantom
from tests.made_runs import VIEWS, cut, train

torch.set_num_threads(1)

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
    cut(folder / "data", "prostatex", "prostatex", folder / "raw", "65 mm", channels=CHANNELS)
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
    cut(data, "brain", "brain", raw / "brain", "15/56 side")
    cut(data, "lungx", "lungx", raw / "lungx", "60 mm", read=["--window", "-1400", "200"])
    cut(data, "own", "table", raw / "own", "20 px", find=["--table", "own.csv"])
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
        assert found["probability"] == pytest.approx(views["score"].mean(), abs=1e-6)
        assert found["single"] == pytest.approx(views["score"].iloc[0], abs=1e-6)
        assert [place["channel"] for place in found["places"]] == list(CHANNELS)
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
        predict(several, tmp_path, folder, "--at", at, "--dataset", "lungx", *ids(row))
        assert_same_views(tmp_path, views)


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
        probability = summary.loc[summary["patient_id"] == patient, "probability"].astype(float)
        assert probability.iloc[0] == pytest.approx(views["score"].mean(), abs=1e-6)


def test_millimetres_are_lps_for_nifti_too(several: Made, tmp_path: Path) -> None:
    # 1.nii.gz of the table is at RAS (1, 10, 13), which is LPS (-1, -10, 13).
    case = several.raw / "own" / "1.nii.gz"
    words = ["--dataset", "own", "--patient-id", "P1"]
    found = predict(several, tmp_path, case, "--mm", "--at", "-1,-10,13", *words)
    summary = several.data / "own" / "findings.csv"
    row = read_csv(summary).set_index("patient_id").loc["P1"]
    (place,) = found["places"]
    assert [place[name] for name in ("column", "row", "slice")] == [row["column"], row["row"], row["slice"]]


def test_an_ensemble_is_the_mean_over_models_and_says_how_far_they_part(
    prostate: Made, tmp_path: Path
) -> None:
    patient, at = "ProstateX-0001", middle(prostate, "ProstateX-0001")
    each = [
        predict(prostate, tmp_path, prostate.raw / patient, "--mm", "--at", at, model=folder)["probability"]
        for folder in (prostate.run, prostate.run.with_name("seed1"))
    ]
    both = predict(
        prostate, tmp_path, prostate.raw / patient, "--mm", "--at", at, model=prostate.run.parents[1]
    )
    assert both["probability"] == pytest.approx(np.mean(each))
    assert both["models"]["each"] == pytest.approx(
        {"typhon fold0 seed0": each[0], "typhon fold0 seed1": each[1]}
    )
    assert both["models"]["sd"] == pytest.approx(np.std(each, ddof=1))
    assert (both["models"]["count"], both["views"]["count"]) == (2, VIEWS)
    assert len(read_csv(tmp_path / "views.csv")) == 2 * VIEWS


def middle(made: Made, patient: str) -> str:
    """A finding's point in mm (LPS), as --at takes it."""
    (path,) = made.raw.rglob("ProstateX-Findings-Train.csv")
    table = pd.read_csv(path, dtype=str)
    return ",".join(table[table["ProxID"] == patient]["pos"].iloc[0].split())
