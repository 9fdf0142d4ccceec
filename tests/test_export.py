"""Exported models say what torch says, where only onnxruntime and numpy are."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml
from torch import nn

from model import export
from model.files import runs
from model.networks import papers
from pipeline.card import Preprocessing
from pipeline.errors import ConfigError
from pipeline.files import sha256
from pipeline.store import read_patches
from tests.made_runs import train
from tests.stores import make_store
from tests.test_runs import UNKNOWN

PAGE = Path(__file__).parent.parent / "docs" / "predict.md"
NAMES = ("prostatex", "mine")
HOW = Preprocessing("table", ("a", "b", "c"), "40 px", None, "series", "geometry", 2, 0, 3)
COLLECTION = {"collection": "PROSTATEx", "licence": "CC BY 3.0", "doi": "10.7937/K9TCIA.2017.MURS5CL"}
TRAINING = {"findings": 4, "positives": 2, "groups": 4, "views": 12}


def write_data(data: Path, channels: int) -> None:
    """Stores of noise, their splits, and cards as pipeline.card writes them."""
    for name in NAMES:
        store, split = make_store(data, name, train=4, validation=2, test=2, channels=channels)
        for path, place in ((store, "patches.h5"), (split, "splits/fold0.csv")):
            (data / name / place).parent.mkdir(parents=True, exist_ok=True)
            path.rename(data / name / place)
        how = dataclasses.replace(HOW, channels=HOW.channels[:channels])
        card = {"collection": COLLECTION if name == "prostatex" else {}, "classes": ["harmless", "not"], "preprocessing": dataclasses.asdict(how), "training": TRAINING,
                "fingerprint": dict.fromkeys(how.channels, UNKNOWN | {"modality": ["MR"], "slices": [3.0, 9.0]})}  # fmt: skip
        (data / name / "cards").mkdir()
        (data / name / "cards" / "fold0.json").write_text(json.dumps(card))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on three channels, and what their method came to."""
    folder = tmp_path_factory.mktemp("export")
    write_data(folder / "data", 3)
    for seed in (0, 1):
        train(folder / "data", folder / "results", NAMES, 3, seed=seed)
    test = {"dataset": "prostatex", "split": "test", "state": "last", "auroc": 0.75, "ci95": [0.5, 1.0],
            "ci95_kind": "logit", "corrected95": None, "runs": 2, "findings": 2, "positives": 1}  # fmt: skip
    summary = [{**test, "split": "validation"}, test, {**test, "state": "best", "auroc": 0.5}]
    figures = {
        "target": "prostatex",
        "state": "last",
        "auroc": 0.75,
        "ci95_kind": "logit",
        "summary": summary,
    }
    (folder / "results" / "typhon_auc.json").write_text(json.dumps(figures))
    return folder / "results"


@pytest.fixture(scope="module")
def exported(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the command writes."""
    out = tmp_path_factory.mktemp("out") / "exported"
    export.main([str(results / "typhon"), "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages that holds onnxruntime and numpy alone."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("numpy", "onnxruntime"):
        spec = find_spec(name)
        assert spec is not None
        package = Path(str(spec.origin)).parent
        for path in (package, package.with_name(f"{name}.libs")):
            if path.is_dir():
                (folder / path.name).symlink_to(path)
    return folder


def run_bare(code: str, site: Path, folder: Path) -> str:
    """What a fresh interpreter prints that finds nothing but its own library and ``site``."""
    line = f"import sys; sys.path.append({str(site)!r})\n{code}"
    process = subprocess.run(
        [sys.executable, "-I", "-S", "-c", line], cwd=folder, capture_output=True, text=True, check=False,
        env={"PATH": os.defpath}, timeout=120,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_a_model_card_for_hubs_and_people_lies_beside_the_files(
    results: Path, exported: Path, tmp_path: Path
) -> None:
    head, _, body = (
        (exported / "README.md").read_text(encoding="utf-8").removeprefix("---\n").partition("---\n")
    )
    found = yaml.safe_load(head)
    assert (found["library_name"], found["pipeline_tag"], found["license"]) == (
        "onnx",
        "image-classification",
        "other",
    )
    (result,) = found["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "roc_auc", "value": 0.75, "name": "AUROC, typhon"}]
    for title in (
        "What it is not for",
        "How a patch is cut",
        "Training",
        "Results",
        "Data and licences",
        "Software",
    ):
        assert f"## {title}\n" in body
    assert "not for diagnosis" in body
    assert "| typhon | prostatex | 0.750      | [0.500, 1.000] | 2    | 2        | 1        |" in body
    assert "| prostatex | PROSTATEx; CC BY 3.0;" in body
    assert "None: a score is no probability" in body  # no operating.json beside these runs
    export.main([str(results / "typhon"), "--card-only", "--out", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_bytes() == (exported / "README.md").read_bytes()


def test_scores_are_those_of_torch_where_only_onnxruntime_and_numpy_are(
    results: Path, exported: Path, bare: Path, tmp_path: Path
) -> None:
    store = results.parent / "data" / "prostatex" / "patches.h5"
    np.save(tmp_path / "patches.npy", read_patches(store, range(8), [3] * 8))
    code = f"""
import json, numpy, onnxruntime
from pathlib import Path
for name in ("torch", "h5py", "pydicom", "onnx", "pandas", "scipy", "model", "pipeline", "papers"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    sys.exit(name + " is here")
folder, patches = Path({str(exported)!r}), numpy.load("patches.npy")
for model in json.loads((folder / "export.json").read_text())["models"]:
    session = onnxruntime.InferenceSession(folder / model["file"])
    scores = session.run(None, {{"patches": patches}})[0]
    assert session.run(None, {{"patches": patches[:1]}})[0].shape == (1,)
    assert scores.dtype == numpy.float32 and scores.shape == (24,)
    print(json.dumps(scores.tolist()))
"""
    lines = run_bare(code, bare, tmp_path).splitlines()
    found = runs.find([results / "typhon"])
    assert [run.name for run in found] == ["typhon fold0 seed0", "typhon fold0 seed1"]
    expected = [run.score("prostatex", np.load(tmp_path / "patches.npy"))[:, 0] for run in found]
    assert np.ptp(expected) > 0.01  # not all the same
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    np.testing.assert_allclose([json.loads(line) for line in lines], expected, atol=1e-5)


def test_the_lines_of_the_page_run(results: Path, exported: Path, bare: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    (tmp_path / "exported").symlink_to(exported)
    (tmp_path / "prediction").mkdir()
    patches = read_patches(results.parent / "data" / "prostatex" / "patches.h5", [1], [3])
    np.save(tmp_path / "prediction" / "patches.npy", patches)
    said = run_bare(code, bare, tmp_path).splitlines()
    expected = np.mean([run.score("prostatex", patches) for run in runs.find([results / "typhon"])])
    assert float(said[0].split()[0]) == pytest.approx(expected, abs=1e-5)
    assert said[0].split()[1:] == ["not"]
    assert said[1].startswith("Research software, not a medical device")


def test_the_card_says_what_a_user_must_know(exported: Path) -> None:
    card = json.loads((exported / export.CARD).read_text())
    documented = re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE.read_text().split("### The card")[1], flags=re.M
    )
    assert set(card) == {name for cell in documented for name in re.findall(r"\w+", cell)}
    assert card["preprocessing"]["extent"] == "40 px"
    assert card["preprocessing"]["channels"] == ["a", "b", "c"]
    assert card["input"]["shape"] == ["n", 3, 65, 65]
    assert card["output"]["of"] == "not"
    (result,) = card["results"]
    assert (result["auroc"], result["ci95"], result["ci95_kind"]) == (0.75, [0.5, 1.0], "logit")
    assert (result["runs"], result["findings"], result["positives"]) == (2, 2, 1)
    assert card["collections"] == {"prostatex": COLLECTION, "mine": {}}
    first = card["models"][0]
    assert first["sha256"] == sha256(exported / first["file"])
    assert first["training"] == {"prostatex": TRAINING, "mine": TRAINING}
    assert first["fingerprint"][HOW.channels[0]]["slices"] == [3.0, 9.0]
    assert set(card["versions"]) == {"python", "numpy", "onnx", "torch"}
    assert "medical device" in card["disclaimer"]


def test_the_other_state_has_its_own_figures(results: Path, tmp_path: Path) -> None:
    export.main([str(results / "typhon/fold0/seed0/best/model.safetensors"), "--out", str(tmp_path)])
    card = json.loads((tmp_path / export.CARD).read_text())
    assert [model["state"] for model in card["models"]] == ["best"]
    assert [(result["state"], result["auroc"]) for result in card["results"]] == [("best", 0.5)]


def test_all_collections_that_any_run_was_trained_on_are_named(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results / "typhon", tmp_path / "results/typhon")
    path = tmp_path / "results/typhon/fold0/seed1/card.json"
    card = json.loads(path.read_text())
    card["datasets"]["more"] = {**card["datasets"]["mine"], "collection": {"doi": "10.1/2"}}
    path.write_text(json.dumps(card))
    about = export.card(runs.find([tmp_path]), "prostatex", {"a.onnx": path, "b.onnx": path})
    assert about["collections"] == {"prostatex": COLLECTION, "mine": {}, "more": {"doi": "10.1/2"}}


def test_an_export_has_the_same_bytes_each_time_and_no_path_and_below_the_results_is_no_run(
    results: Path, exported: Path, tmp_path: Path
) -> None:
    shutil.copytree(results, tmp_path / "results")
    again = tmp_path / "results/typhon/onnx"
    export.main([str(tmp_path / "results/typhon"), "--out", str(again)])
    names = sorted(path.name for path in exported.iterdir())
    assert names == ["README.md", "export.json", "typhon-fold0-seed0.onnx", "typhon-fold0-seed1.onnx"]
    for name in names:
        content = (exported / name).read_bytes()
        assert content == (again / name).read_bytes()
        assert str(results.parent).encode() not in content
        assert b".py" not in content
    assert len(runs.find([tmp_path / "results/typhon"])) == 2


def test_another_decision_maker_is_another_model(results: Path, exported: Path, tmp_path: Path) -> None:
    export.main([str(results / "typhon/fold0/seed0"), "--dataset", "mine", "--out", str(tmp_path)])
    name = "typhon-fold0-seed0.onnx"
    assert (tmp_path / name).read_bytes() != (exported / name).read_bytes()
    assert json.loads((tmp_path / export.CARD).read_text())["dataset"] == "mine"
    with pytest.raises(ConfigError, match="E-CONFIG --dataset: expected one of prostatex, mine, found yours"):
        export.main([str(results / "typhon"), "--dataset", "yours", "--out", str(tmp_path)])


def test_a_graph_takes_any_number_of_patches_of_its_channels(exported: Path) -> None:
    model = onnx.load(exported / "typhon-fold0-seed0.onnx")
    (given,) = model.graph.input
    dimensions = given.type.tensor_type.shape.dim
    assert dimensions[0].dim_param == "n"
    assert [dimension.dim_value for dimension in dimensions[1:]] == [3, 65, 65]


def test_two_runs_of_one_name_do_not_replace_each_other(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results / "typhon", tmp_path / "other/typhon")
    found = runs.find([results / "typhon/fold0/seed0", tmp_path / "other"])
    assert len(found) == 3
    with pytest.raises(
        runs.RunError, match="E-RUN: expected runs of different names, found typhon fold0 seed0 twice"
    ):
        export.export(found, "prostatex", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_that_torch_cannot_write_is_told_in_one_line(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: papers.Extractor, patches: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(nn.Sequential.forward(self, patches))  # ONNX has no such function

    monkeypatch.setattr(papers.Extractor, "forward", forward)
    found = runs.find([results / "typhon/fold0/seed0"])
    with pytest.raises(
        runs.RunError,
        match=r"^E-RUN [^\n]*model.safetensors: expected a network that torch can write as ONNX, found [^\n]*bessel_j0[^\n]*; predict with it[^\n]*$",
    ):
        export.export(found, "prostatex", tmp_path / "out")
    assert not (tmp_path / "out").exists()
