"""The five calls of the API, and the notebook that shows them, on a tiny run of phantoms."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from model import api, predict
from model.evaluation import score
from model.files.runs import RunError
from pipeline.errors import ConfigError, EmptyError
from pipeline.files import read_csv, write_csv
from pipeline.phantoms.brain import write_brain
from pipeline.provenance import ROOT
from pipeline.store import read_patches
from tests.made_runs import train, write_card, write_patches


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of ``./run demo``: a data set of phantoms, and two methods with a run each."""
    demo = tmp_path_factory.mktemp("api") / "demo"
    write_brain(demo / "data/raw/brain", 24, 0)
    write_patches(demo / "data/brain", "brain", demo / "data/raw/brain", "1/4 width")
    write_card(demo / "data/brain", "brain")
    run = train(demo / "data", demo / "results", ["brain"], 1)
    (run / "run.json").write_text(json.dumps({"device": "cpu", "seconds": {}, "samples_seen": {}}))
    (run / "best/predictions.csv").write_bytes((run / "predictions.csv").read_bytes())
    shutil.copytree(demo / "results/typhon", demo / "results/probe")
    table = read_csv(demo / "results/probe/fold0/seed0/predictions.csv")
    table["score"] = [repr(0.75 if label == "1" else 0.25) for label in table["label"]]
    for path in ("predictions.csv", "best/predictions.csv"):
        write_csv(demo / "results/probe/fold0/seed0" / path, list(table), table.to_dict("records"))
    for method in ("typhon", "probe"):
        score.main(["--method", method, "--target", "brain", "--runs", str(demo / f"results/{method}/fold0/seed0"),
                    "--splits", str(demo / "data/brain/splits/fold0.csv"), "--out", str(demo / f"results/{method}_auc.json")])  # fmt: skip
    return demo


def test_a_store_gives_findings_and_patches_by_rows_and_views(demo: Path) -> None:
    store = api.load_store(demo / "data/brain")
    assert api.load_store(demo / "data/brain/patches.h5").info.dataset == store.info.dataset == "brain"
    assert len(store.findings) == (count := len(read_csv(demo / "data/brain/findings.csv"))) > 20
    assert len(store.classes) == 2
    patches = store.patches([3, 1], views=2)
    assert patches.shape == (2, 2, 1, 65, 65)
    np.testing.assert_array_equal(patches[1], read_patches(demo / "data/brain/patches.h5", [1], [2]))
    assert store.patches().shape == (count, 1, 1, 65, 65)


def test_a_prediction_is_that_of_the_command_and_writes_nothing(demo: Path, tmp_path: Path) -> None:
    picture = sorted((demo / "data/raw/brain").rglob("*.jpg"))[0]
    before = sorted(demo.rglob("*"))
    model = api.load_run(demo / "results/typhon")
    found = api.predict(model, picture, (40, 30.5))
    assert sorted(demo.rglob("*")) == before
    predict.main(
        [str(picture), "--at", "40,30.5", "--model", str(demo / "results/typhon"), "--out", str(tmp_path)]
    )
    assert json.loads((tmp_path / "prediction.json").read_text()) == json.loads(json.dumps(found))
    assert found["score"] != api.predict(model, picture)["score"]
    with pytest.raises(ConfigError, match="--at: expected x,y,z in mm, found"):
        api.predict(model, picture, (40, 30), mm=True)


def test_scores_are_those_of_the_result_by_finding_and_run(demo: Path) -> None:
    table = api.scores(demo / "results/probe", data=demo / "data")
    split = read_csv(demo / "data/brain/splits/fold0.csv")
    assert len(table) == (split["split"] == "test").sum()
    assert list(table)[:5] == ["fold", "seed", "patient_id", "group_id", "finding_id"]
    assert table["score"].tolist() == [0.75 if label else 0.25 for label in table["label"]]
    validation = api.scores(demo / "results/probe", "validation", data=demo / "data")
    assert len(validation) == (split["split"] == "validation").sum()


def test_a_comparison_has_the_rows_of_the_table(demo: Path) -> None:
    table = api.compare(demo / "results/typhon", demo / "results/probe", data=demo / "data")
    (row,) = table.to_dict("records")
    own = json.loads((demo / "results/typhon_auc.json").read_text())["auroc"]
    assert (row["method"], row["reference"]) == ("probe", "typhon")
    assert row["difference"] == pytest.approx(1 - own)
    other = api.compare(
        demo / "results/typhon", demo / "results/probe", reference="probe", data=demo / "data"
    )
    assert other["difference"].item() == pytest.approx(own - 1)


def test_what_is_not_there_is_told_in_one_line(demo: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"E-RUN .*hydra_auc.json: expected the test result of hydra, found none; ./run"
    ):
        api.scores(demo / "results/hydra")
    with pytest.raises(EmptyError, match="expected the splits of the target, found none; name the folder"):
        api.scores(demo / "results/probe", data=tmp_path)
    with pytest.raises(RunError, match="E-RUN"):
        api.load_run(tmp_path)


def test_a_plain_script_may_read_files_without_a_guard(tmp_path: Path) -> None:
    """Files are read in another process, which would run the script again."""
    Image.new("L", (3, 2), 7).save(tmp_path / "a.png")
    lines = ["from pathlib import Path", "from pipeline.readers.pixels import read_pixels", "print('once')",
             "print(read_pixels(Path('a.png')).values.tolist())"]  # fmt: skip
    (tmp_path / "mine.py").write_text("\n".join(lines))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "mine.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout.splitlines(), ran.returncode) == (["once", "[[7.0, 7.0, 7.0], [7.0, 7.0, 7.0]]"], 0), (
        ran.stderr
    )


def test_the_notebook_runs_from_top_to_bottom(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(ROOT / "docs/first-steps.ipynb", as_version=4)
    nbformat.validate(notebook)
    monkeypatch.chdir(demo.parent)
    mpl.use("Agg")
    seen: dict[str, Any] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            exec(compile(cell.source, "first-steps.ipynb", "exec"), seen)
    assert 0 < seen["found"]["score"] < 1
    assert isinstance(seen["differences"], pd.DataFrame)
    assert seen["differences"]["method"].tolist() == ["probe"]
    named = {word for cell in notebook.cells for word in ("load_store", "load_run", "predict", "scores", "compare")
             if f"{word}(" in cell.source}  # fmt: skip
    assert named == set(api.__all__) - {"Model", "Store"}
