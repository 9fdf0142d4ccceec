"""Every option of a user's own data, from raw files through all steps to the checks, in one run."""

import csv
import dataclasses
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.datasets.table import Options
from pipeline.files import read_csv
from pipeline.store import read_info
from tests import warm
from tests.test_workflow import bare_project

PATIENTS = 12
AFFINE = np.diag([2.0, 2.0, 4.0, 1.0])
COLLECTIONS: dict[str, dict[str, Any]] = {
    "words": {"table": "t.csv", "columns": {"image": "file", "label": "grade"}, "labels": {"B": 0, "M": 1},
              "extent_column": "size_px", "extent": "24 px", "colour": "rgb"},
    "several": {"table": "t.csv", "label_columns": ["mass", "node"], "extent": "whole"},
    "folders": {"folders": {"no": 0, "yes": 1}, "exclude": "_mask|HEIC$", "patient_pattern": "^(P[0-9]+)_",
                "extent": "whole"},
    "volumes": {"table": "t.csv", "axis": 0, "neighbours": "4 mm", "extent": "24 mm"},
    "masked": {"table": "t.csv", "mask_extent": 1.5, "extent": "24 px"},
    "sequences": {"table": "t.csv", "channels": ["t2", "adc"], "extent": "24 mm"},
}  # fmt: skip
CHANNELS = {"words": ("red", "green", "blue"), "several": ("image",), "folders": ("image",), "masked": ("image",),
            "volumes": ("-4 mm", "0 mm", "+4 mm"), "sequences": ("t2", "adc")}  # fmt: skip


def picture(path: Path, rng: np.random.Generator) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 255, (40, 48, 3), dtype="u1")).save(path)
    return path.name


def volume(path: Path, rng: np.random.Generator) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(rng.normal(100, 20, (20, 24, 10)).astype("f4"), AFFINE).to_filename(path)
    return path.name


def write_raw(raw: Path) -> None:
    rng = np.random.default_rng(0)
    tables: dict[str, list[list[Any]]] = {
        "words": [["file", "patient_id", "finding_id", "grade", "x", "y", "size_px"]],
        "several": [["image", "patient_id", "finding_id", "mass", "node"]],
        "volumes": [["image", "patient_id", "finding_id", "label", "x", "y", "z"]],
        "masked": [["image", "mask", "patient_id", "finding_id", "label"]],
        "sequences": [["t2", "adc", "patient_id", "finding_id", "label", "x_mm", "y_mm", "z_mm"]],
    }
    for number in range(PATIENTS):
        label, name = number % 2, f"P{number:02}"
        tables["words"].append(
            [picture(raw / f"words/{name}.png", rng), name, 1, "BM"[label], 20, 18, 20 + number]
        )
        tables["several"].append([picture(raw / f"several/{name}.png", rng), name, 1, label, number // 2 % 2])
        where = raw / "folders" / ("yes" if label else "no")
        for part in ("a", "a_mask"):
            picture(where / f"{name}_{part}.png", rng)
        tables["volumes"].append([volume(raw / f"volumes/{name}.nii.gz", rng), name, 1, label, 9, 12, 5])
        mask = np.zeros((40, 48), "u1")
        mask[10 : 18 + number, 20:28] = 255
        (raw / "masked").mkdir(exist_ok=True)
        Image.fromarray(mask).save(raw / f"masked/{name}_mask.png")
        shown = picture(raw / f"masked/{name}.png", rng)
        tables["masked"].append([shown, f"{name}_mask.png", name, 1, label])
        files = [volume(raw / f"sequences/{name}_{part}.nii.gz", rng) for part in ("t2", "adc")]
        tables["sequences"].append([*files, name, 1, label, 18, 22, 20])
    for dataset, rows in tables.items():
        with (raw / dataset / "t.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = bare_project(tmp_path_factory.mktemp("own"))
    write_raw(made / "raw")
    config = {
        "datasets": list(COLLECTIONS), "target": "words", "methods": ["probe"], "views": 2, "majority_views": 2,
        "evaluation_views": 2, "split": {"kind": "holdout", "validation": 0.25, "test": 0.25},
        "raw": {name: f"raw/{name}" for name in COLLECTIONS},
        "collections": {name: {"kind": "table", **own} for name, own in COLLECTIONS.items()},
    }  # fmt: skip
    (made / "own.yaml").write_text(yaml.safe_dump(config))
    targets = [f"data/{name}/verify.csv" for name in COLLECTIONS]
    status, printed = warm.run(made, ["--configfile", "own.yaml", *targets], timeout=900)
    assert status == 0, printed
    return made


def test_all_options_of_own_data_are_in_the_run() -> None:
    used = {key for own in COLLECTIONS.values() for key in own}
    assert {field.name for field in dataclasses.fields(Options)} <= used


@pytest.mark.parametrize("dataset", COLLECTIONS)
def test_a_data_set_goes_from_its_files_to_its_checks(folder: Path, dataset: str) -> None:
    data = folder / "data" / dataset
    info = read_info(data / "patches.h5")
    assert (len(info.findings), info.channels) == (PATIENTS, CHANNELS[dataset])
    assert read_csv(data / "skipped.csv").empty
    checks = read_csv(data / "verify.csv").set_index("check")["result"]
    assert set(checks) <= {"ok", "warning", "not applicable"}
    assert checks[["finite", "cuts", "splits", "people"]].eq("ok").all()


def test_masks_are_no_findings_and_sizes_are_those_of_the_table(folder: Path) -> None:
    assert len(read_csv(folder / "data/folders/findings.csv")) == PATIENTS
    rows = read_csv(folder / "data/words/findings.csv").drop_duplicates("patient_id")
    assert rows["extent"].tolist() == [f"{20 + number} px" for number in range(PATIENTS)]
    rows = read_csv(folder / "data/masked/findings.csv")
    assert rows["extent"].tolist() == [f"{1.5 * (8 + number):g} px" for number in range(PATIENTS)]
    assert set(rows["centre"]) == {"mask"}
