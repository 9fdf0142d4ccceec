"""Three classes, and several labels per finding: from tables to results with intervals, predictions and an export."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from PIL import Image

from model.baselines import auto, measure, mixture
from model.evaluation.metrics import aurocs
from model.evaluation.predictions import read_predictions
from model.export import Stacked, export
from model.files import runs, weights
from model.predict import main as predict
from model.report import candidates
from pipeline.classes import Classes
from pipeline.files import read_csv, sha256
from pipeline.splits import seen
from pipeline.store import read_embeddings, read_info, read_patches
from tests import warm
from tests.test_workflow import plan

MODEL = "model.safetensors"
GRADES = Classes(("normal", "benign", "malignant"))
SIGNS = Classes(("mass", "nodule"), multilabel=True)
CONFIG = {
    "datasets": ["grades", "signs"], "target": "grades", "methods": ["typhon", "probe"], "seeds": [0],
    "raw": {"grades": "raw/grades", "signs": "raw/signs"},
    "collections": {
        "grades": {"kind": "table", "table": "t.csv", "extent": "whole", "labels": {"normal": 0, "benign": 1, "malignant": 2}},
        "signs": {"kind": "table", "table": "t.csv", "extent": "whole", "label_columns": ["mass", "nodule"]},
    },
    "patch": 36, "views": 4, "majority_views": 2, "evaluation_views": 2,
    "split": {"kind": "holdout", "validation": 0.25, "test": 0.3},
    "bootstrap": {"candidates": 2}, "evaluation": {"every": 20},
    "encoders": {
        "lite0": {"weights": "random", "side": 32, "views": 2},
        "own": {"network": "papers", "weights": "results/typhon", "side": None, "views": 2},
    },
    "variants": {
        "tuned": {"method": "finetune", "hyperparameters": {
            "finetune": {"network": "papers", "weights": "results/typhon", "training": {"epochs": 2, "batch_size": 6}}}},
        "frozen": {"method": "probe", "hyperparameters": {"probe": {"encoder": "own"}}},
    },
    "hyperparameters": {"typhon": {"training": {"epochs": 40, "dropout": 0.0}, "specialization": {"epochs": 1}}},
}  # fmt: skip


def picture(path: Path, rng: np.random.Generator, brightness: float, mark: bool = False) -> None:
    image = rng.normal(100, 15, (40, 40))
    image[10:30, 10:30] += brightness
    image[:6, :6] += 150 * mark
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.clip(0, 255).astype("u1")).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one call of the workflow leaves: a target of three classes, and a helper with two labels."""
    folder, rng = tmp_path_factory.mktemp("several"), np.random.default_rng(0)
    grades, signs = ["image,patient_id,finding_id,label"], ["image,patient_id,finding_id,mass,nodule"]
    for number in range(36):
        name, grade = f"{number:02}.png", number % 3
        picture(folder / "raw/grades" / name, rng, (-60, 0, 80)[grade])
        grades.append(f"{name},p{number // 3 * 3 + grade},1,{GRADES.names[grade]}")
        mass, nodule = number % 2, number // 2 % 2
        picture(folder / "raw/signs" / name, rng, 80 * mass, bool(nodule))
        signs.append(f"{name},q{number},1,{mass},{'' if number % 9 == 8 else nodule}")
    for name, lines in (("grades", grades), ("signs", signs)):
        (folder / f"raw/{name}/t.csv").write_text("\n".join(lines) + "\n")
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    words = ["--configfile", "c.yaml", "--cores", "2"]
    targets = ["results/overview.html", "results/typhon/roc.png", "results/comparison.csv",
               "data/signs/contact_sheet.png", "results/operating.csv",
               "results/tuned/fold0/seed0/card.json", "results/frozen/fold0/seed0/card.json"]  # fmt: skip
    status, printed = warm.run(folder, [*words, *targets])
    assert status == 0, printed[-4000:]
    return folder


def result(folder: Path, method: str) -> dict[str, object]:
    return json.loads((folder / f"results/{method}_auc.json").read_text())


def test_stores_and_splits_say_what_the_tables_do(folder: Path) -> None:
    assert read_info(folder / "data/grades/patches.h5").classes == GRADES
    assert read_info(folder / "data/signs/patches.h5").classes == SIGNS
    splits = read_csv(folder / "data/signs/splits/fold0.csv")
    assert list(splits)[3:5] == ["label_mass", "label_nodule"]
    assert (splits["label_nodule"] == "").sum() == 4
    views = read_csv(folder / "data/grades/splits/fold0.csv")
    assert views.groupby(["split", "label"]).size().unstack().to_numpy().tolist() == [
        [4] * 3,
        [5] * 3,
        [3] * 3,
    ]


def test_three_classes_have_one_against_the_rest_each_and_their_mean(folder: Path) -> None:
    for method in ("typhon", "probe"):
        found = result(folder, method)
        areas = found["auroc_by"]
        assert list(areas) == list(GRADES.names)
        assert found["auroc"] == pytest.approx(np.mean(list(areas.values())))
        for name, (low, high) in {"mean": found["ci95"], **found["ci95_by"]}.items():
            assert 0 <= low <= (areas | {"mean": found["auroc"]})[name] <= high <= 1
        assert found["bootstrap95"] is not None
    assert result(folder, "typhon")["auroc"] > 0.8


def test_the_labels_of_the_helper_have_an_auroc_each_on_the_findings_where_they_are_known(
    folder: Path,
) -> None:
    (line,) = (
        line for line in result(folder, "typhon")["summary"]
        if (line["dataset"], line["split"], line["state"]) == ("signs", "test", "last")
    )  # fmt: skip
    assert list(line["auroc_by"]) == ["mass", "nodule"]
    assert line["auroc"] == pytest.approx(np.mean(list(line["auroc_by"].values())))
    assert line["ci95"] is not None
    assert line["positives"] is None
    table = read_predictions(folder / "results/typhon/fold0/seed0/predictions.csv")["signs"]
    assert table.classes == SIGNS
    test = table.findings[table.findings["split"] == "test"]
    assert line["positives_by"] == SIGNS.counts(test)


def test_metrics_that_mean_nothing_are_left_out(folder: Path) -> None:
    by = {run["dataset"]: run for run in result(folder, "typhon")["runs"]}
    assert {"accuracy", "f1", "recall"} & set(by["grades"]) == {"accuracy"}
    assert not {"accuracy", "f1", "recall"} & set(by["signs"])
    history = read_csv(folder / "results/typhon/fold0/seed0/history.csv")
    assert set(history.loc[history["dataset"] == "grades", "metric"]) >= {"loss", "auroc", "accuracy"}
    assert "precision" not in set(history["metric"])


def test_the_report_shows_each_class(folder: Path) -> None:
    page = (folder / "results/overview.html").read_text()
    assert "Each class or label of grades" in page
    assert all(f"<td>{name}</td>" in page for name in GRADES.names)


def test_scores_in_use_have_a_row_for_each_class_against_the_rest(folder: Path) -> None:
    """Training sees each of three classes in a third of its samples, and the splits hold as many of each."""
    rows = read_csv(folder / "results/calibration.csv")
    assert rows["class"].unique().tolist() == list(GRADES.names)
    assert rows.groupby(["method", "class"]).size().tolist() == [3] * 6
    moved = rows.pivot(index=["method", "class"], columns="scores", values="brier")
    assert (moved["prevalence"] == moved["score"]).all()
    of_run = json.loads((folder / "results/probe/fold0/seed0/operating.json").read_text())["problems"]
    assert list(of_run) == list(GRADES.names)
    assert of_run["benign"]["prevalence"] == pytest.approx(1 / 3)


def test_both_methods_are_compared_by_the_mean_over_classes(folder: Path) -> None:
    difference = float(read_csv(folder / "results/differences.csv")["difference"][0].replace("−", "-"))
    both = [result(folder, name)["auroc"] for name in ("probe", "typhon")]
    assert abs(difference) == pytest.approx(abs(both[0] - both[1]), abs=1e-4)


def test_heads_have_as_many_logits_as_classes_or_labels(folder: Path) -> None:
    run = folder / "results/typhon/fold0/seed0/model.safetensors"
    assert weights.read_about(run)["network"]["outputs"] == {"grades": 3, "signs": 2}
    run = folder / "results/probe/fold0/seed0/model.safetensors"
    assert weights.read_about(run)["network"]["outputs"] == 3


@pytest.mark.parametrize("method", ["typhon", "probe", "tuned", "frozen"])
def test_a_new_case_has_a_score_of_each_class(folder: Path, tmp_path: Path, method: str) -> None:
    case = folder / "raw/grades/02.png"
    shares = ",".join(f"{name}={share}" for name, share in zip(GRADES.names, (0.8, 0.1, 0.1), strict=True))
    predict(
        [
            str(case),
            "--model",
            str(folder / f"results/{method}"),
            "--out",
            str(tmp_path),
            "--prevalence",
            shares,
        ]
    )
    found = json.loads((tmp_path / "prediction.json").read_text())
    values = {name: figures["score"] for name, figures in found["each"].items()}
    assert list(values) == list(GRADES.names)
    assert sum(values.values()) == pytest.approx(1)
    known = [figures["probability"] for figures in found["each"].values()]
    assert known == [None] * 3 if method in ("tuned", "frozen") else sum(known) == pytest.approx(1)
    given = [figures["given"] for figures in found["each"].values() if "given" in figures]
    assert sum(one["probability"] for one in given) == pytest.approx(float(known[0] is not None))
    for figures in found["each"].values():
        assert len(figures["points"]) == (
            0 if method in ("tuned", "frozen") else 3
        )  # which no result is asked of
    assert found["most_probable"] == max(values, key=values.__getitem__)
    assert list(read_csv(tmp_path / "views.csv"))[-3:] == GRADES.columns()


def test_the_extractor_of_a_run_is_tuned_and_probed_by_the_runs_of_its_fold_and_seed(folder: Path) -> None:
    run, tuned, frozen = (folder / f"results/{name}/fold0/seed0" for name in ("typhon", "tuned", "frozen"))
    theirs, begun, probed = (
        weights.read_tensors(path)
        for path in (run / MODEL, tuned / "bootstrap/network.safetensors", frozen / MODEL)
    )
    names = [name for name in theirs if name.startswith(("extractor.", "statistics.grades"))]
    assert len(names) == 3 * 9 + 2 + 1  # convolutions with batch norms, the linear layer, the table
    for name in names:
        assert torch.equal(theirs[name], begun[name]), name
        assert torch.equal(theirs[name], probed[name]), name
    digest = sha256(run / MODEL)
    assert weights.origin(tuned / MODEL) == {"weights": "typhon fold0 seed0", "weights_sha256": digest}
    (stated,) = json.loads((frozen / "card.json").read_text())["weights"]
    assert stated == {"network": "papers", "weights": "typhon fold0 seed0", "weights_sha256": digest}
    about = read_embeddings(run / "embeddings/own/grades.h5").about
    assert (about["weights_sha256"], about["like"]) == (digest, "grades")
    known, further = seen.read(run / seen.FILE), seen.read(tuned / seen.FILE)
    assert all(entry in further for entry in known)
    assert len(further) == len(known) + 1  # typhon has seen two data sets, tuned only one of them


def test_another_run_makes_anew_what_begins_with_it(folder: Path) -> None:
    words = (
        "--configfile",
        "c.yaml",
        "results/tuned/fold0/seed0/card.json",
        "results/frozen/fold0/seed0/card.json",
    )
    assert plan(folder, *words) == {}
    longer = "hyperparameters={typhon: {training: {epochs: 41}}}"
    found = plan(folder, *words, "--config", longer)
    assert found == {
        "train_model": 2, "bootstrap_network": 1, "embed_with_run": 1, "fit_probe": 1, "predict_findings": 1
    }  # fmt: skip


def test_a_table_of_new_cases_has_columns_of_each_label(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(f"image,patient_id,finding_id\n{folder / 'raw/signs/01.png'},a,1\n")
    predict([str(tmp_path / "cases.csv"), "--model", str(folder / "results/typhon"), "--dataset", "signs",
             "--out", str(tmp_path)])  # fmt: skip
    (row,) = read_csv(tmp_path / "predictions.csv").to_dict("records")
    assert {"score_mass", "probability_mass", "lowest_nodule", "highest_nodule"} <= set(row)
    assert "most_probable" not in row


@pytest.mark.parametrize(
    ("method", "dataset"), [("typhon", "grades"), ("typhon", "signs"), ("probe", "grades")]
)
def test_an_exported_model_gives_the_probabilities_of_the_run(
    folder: Path, tmp_path: Path, method: str, dataset: str
) -> None:
    found = runs.find([folder / f"results/{method}"])
    about = json.loads(export(found, dataset, tmp_path).read_text())
    classes = {"grades": GRADES, "signs": SIGNS}[dataset]
    assert about["output"]["of"] == list(classes.names)
    assert about["output"]["shape"] == ["n", len(classes.names)]
    patches = np.random.default_rng(0).normal(size=(3, 1, 36, 36)).astype("f4")
    (made,) = onnxruntime.InferenceSession(tmp_path / about["models"][0]["file"]).run(
        None, {"patches": patches}
    )
    assert made == pytest.approx(found[0].score(dataset, patches), abs=1e-4)
    assert list(about["models"][0].get("operating", ())) == (
        list(GRADES.names) if dataset == "grades" else []
    )


def stacked(folder: Path, name: str, out: Path, candidates: dict[str, list[tuple[str, float]]]) -> Path:
    """A run of ``auto`` on what the workflow left of a data set; its folder."""
    data, run = folder / "data" / name, out / "auto/fold0/seed0"
    paths = {"lite0": data / "embeddings/lite0.h5", "intensity": out / "intensity.h5"}
    measure.main(
        ["--store", str(data / "patches.h5"), "--features", "intensity", "--out", str(out / "intensity.h5")]
    )
    auto.main(
        ["--candidates", *candidates, "--features", *(str(paths[one]) for one in candidates),
         "--learners", json.dumps(candidates), "--folds", "2", "--method", "auto", "--target", name, "--state", "last",
         "--data-card", str(data / "cards/fold0.json"), "--stores", str(data / "patches.h5"),
         "--splits", str(data / "splits/fold0.csv"), "--out", str(run / "predictions.csv"),
         "--best", str(run / "best/predictions.csv"), "--run", str(run / "run.json"), "--card", str(run / "card.json"),
         "--models", str(run / "model.safetensors"), str(run / "best/model.safetensors"),
         "--nearest", str(run / "nearest.safetensors")]
    )  # fmt: skip
    return run


def test_auto_stacks_for_each_class_and_what_is_exported_agrees(folder: Path, tmp_path: Path) -> None:
    run = stacked(folder, "grades", tmp_path, {"lite0": [("l2", 0.01), ("l2", 0.1)]})
    found = read_predictions(run / "predictions.csv")["grades"]
    assert found.classes == GRADES
    scores = found.findings[GRADES.columns()].to_numpy()
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    model = json.loads((run / "run.json").read_text())["model"]["problems"]
    assert list(model) == list(GRADES.names)
    table = candidates.tabulate({(0, 0): {"problems": model}, (0, 1): {"problems": model}})
    assert table["of"].tolist() == ["normal"] * 3 + ["benign"] * 3 + ["malignant"] * 3
    shown = np.load(predicted(folder, run, tmp_path) / "patches.npy")
    each = json.loads((tmp_path / "case/prediction.json").read_text())["each"]
    assert list(each) == list(GRADES.names)
    (again,) = runs.find([run])
    expected = mixture.score(again, "grades", shown)
    assert expected.mean(axis=0) == pytest.approx([one["score"] for one in each.values()])
    exported = Stacked(mixture.of_run(again, "grades")).eval()
    with torch.no_grad():
        np.testing.assert_allclose(exported(torch.from_numpy(shown)), expected, atol=1e-4)


def predicted(folder: Path, run: Path, out: Path) -> Path:
    """The folder of a prediction of the first picture of grades."""
    predict(
        [str(folder / "raw/grades/00.png"), "--model", str(run), "--out", str(out / "case"), "--nearest", "1"]
    )
    (one,) = json.loads((out / "case/prediction.json").read_text())["nearest"]["findings"]
    assert one["label"] in GRADES.names
    return out / "case"


def test_auto_stacks_for_each_label_where_it_is_known(folder: Path, tmp_path: Path) -> None:
    run = stacked(folder, "signs", tmp_path, {"intensity": [("l2", 0.01), ("forest", 1)]})
    found = read_predictions(run / "predictions.csv")["signs"]
    assert found.classes == SIGNS
    splits = read_csv(folder / "data/signs/splits/fold0.csv")
    expected = splits["split"].isin(["validation", "test"]).sum()
    assert len(found.findings) == expected  # those whose nodule nobody knows are scored, too
    test = found.findings[found.findings["split"] == "test"]
    areas = aurocs(SIGNS.truth(test), test[SIGNS.columns()].to_numpy())
    assert areas[0] is not None
    assert areas[0] > 0.8
    assert test[SIGNS.columns()].sum(axis=1).max() > 1  # no shares
    (again,) = runs.find([run])
    info = read_info(folder / "data/signs/patches.h5")
    rows = info.findings.set_index("patient_id").index.get_indexer(test["patient_id"]).tolist()
    shown = read_patches(info.path, rows, [1] * len(rows))
    np.testing.assert_allclose(mixture.score(again, "signs", shown), test[SIGNS.columns("single")], atol=1e-6)
