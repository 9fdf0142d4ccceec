"""What jobs tell MLflow or Weights & Biases, and that nothing ends a job for it; values by hand."""

import json
import logging
import socket

import pytest

from tests.test_config import CONFIG
from tests.test_tensorboard import HISTORY
from workflow import execute, tracking
from workflow.config import checked

RESULT = {
    "method": "typhon", "target": "a", "auroc": 0.75, "auroc_single": 0.7, "ci95": [0.6, 0.9], "corrected95": None,
    "runs": [{"fold": 0, "seed": 3, "dataset": "a", "split": "test", "state": "last", "auroc": 0.8},
             {"fold": 1, "seed": 3, "dataset": "a", "split": "test", "state": "last", "auroc": None}],
    "provenance": {"commit": "abc"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A run with its files, and a folder to work in."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "results/typhon/fold0/seed3"
    run.mkdir(parents=True)
    (run / "history.csv").write_text(HISTORY)
    (run / "run.json").write_text(
        json.dumps({"device": "cpu", "seconds": {"training": 2.5}, "best": {"auroc": 0.7}})
    )
    (tmp_path / "results/typhon_auc.json").write_text(json.dumps(RESULT))
    return tmp_path


TRAINED = ["--stores", "data/a/patches.h5", "--seed", "3", "--phases", '[{"name": "training"}]', "--follow", "--best", "best.st",
           "--out", "results/typhon/fold0/seed3/model.safetensors", "--history", "results/typhon/fold0/seed3/history.csv",
           "--run", "results/typhon/fold0/seed3/run.json"]  # fmt: skip
SCORED = ["--method", "typhon", "--out", "results/typhon_auc.json"]


def test_a_training_tells_its_curves_by_epoch_and_what_it_was_called_with():
    told = tracking.of_training(tracking.flags(TRAINED))
    assert told.name == "typhon/fold0/seed3"
    assert told.metrics == [
        ("training/a/train/loss", 0.75, 100),
        ("training/a/validation/auroc", 0.5, 100),
        ("training/a/validation/auroc", 0.625, 200),
        ("training/a/train/samples", 1600.0, 200),
    ]
    names = ("command/seed", "command/follow", "run/seconds/training", "run/best/auroc")
    assert [told.settings[name] for name in names] == ["3", "", "2.5", "0.7"]
    assert "command/stores" not in told.settings


def test_a_result_tells_its_intervals_each_run_and_the_config_without_the_raw_folders():
    tracking.record(checked(CONFIG | {"raw": {"brain": "/secret"}}))
    assert not tracking.CONFIG.exists(), "nobody is to be told"
    tracking.CONFIG.parent.mkdir()
    tracking.record(
        {"log": "mlflow", "raw": {"brain": "/secret"}, "data": "/secret", "views": 8, "split": {"n": 2}}
    )
    told = tracking.of_result(tracking.flags(SCORED))
    assert {name: value for name, value, _ in told.metrics} == {
        "auroc": 0.75, "auroc_single": 0.7, "ci95_low": 0.6, "ci95_high": 0.9, "runs/a/test/last/fold0/seed3": 0.8,
    }  # fmt: skip
    assert told.settings == {
        "target": "a", "commit": "abc", "config/log": "mlflow", "config/views": "8", "config/split/n": "2",
    }  # fmt: skip


@pytest.mark.parametrize("words", [TRAINED, SCORED, ["--out", "nowhere"]])
def test_whatever_goes_wrong_is_a_warning(monkeypatch, caplog, words):
    def refuse(_record):
        raise ConnectionError("nobody\nthere")

    monkeypatch.setenv(tracking.VARIABLE, "mlflow")
    monkeypatch.setattr(tracking, "TOLD", {"mlflow": refuse})
    module = "model.evaluation.score" if "--history" not in words else "model.training.train"
    with caplog.at_level(logging.WARNING):
        tracking.tell(module, words)
    (line,) = caplog.messages
    assert line.startswith("mlflow was not told: ")
    assert line.endswith("The run goes on.")


def test_only_jobs_that_have_something_to_tell_tell_it_and_only_where_the_config_says_so(monkeypatch):
    told = []
    monkeypatch.setattr(tracking, "TOLD", {"wandb": told.append})
    for whom, module in (
        ("", "model.evaluation.score"),
        ("wandb", "pipeline.card"),
        ("mlflow", "model.evaluation.score"),
    ):
        monkeypatch.setenv(tracking.VARIABLE, whom)
        tracking.tell(module, SCORED)
    assert told == []
    tracking.announce("wandb")
    tracking.tell("model.evaluation.score", SCORED)
    assert [one.name for one in told] == ["typhon"]
    tracking.announce(None)


def test_a_job_tells_when_it_is_done_and_not_when_it_failed(monkeypatch):
    told = []
    monkeypatch.setattr(tracking, "tell", lambda module, words: told.append((module, words)))
    monkeypatch.setenv(tracking.VARIABLE, "mlflow")
    assert execute.main(["logs/a.log", "json.tool", "results/typhon_auc.json", "copy.json"]) == 0
    assert (
        execute.main(["logs/a.log", "json.tool", "results/typhon/fold0/seed3/history.csv", "none.json"]) != 0
    )
    assert told == [("json.tool", ["results/typhon_auc.json", "copy.json"])]


def test_mlflow_keeps_what_it_is_told_in_a_folder(folder, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow-skinny is not installed: docs/view.md")
    monkeypatch.setenv(tracking.VARIABLE, "mlflow")
    for module, words in (("model.training.train", TRAINED), ("model.evaluation.score", SCORED)):
        tracking.tell(module, words)
    client = mlflow.MlflowClient((folder / "mlruns").as_uri())
    experiment = client.get_experiment_by_name(folder.name).experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert runs.keys() == {"typhon", "typhon/fold0/seed3"}
    curve = client.get_metric_history(runs["typhon/fold0/seed3"].info.run_id, "training/a/validation/auroc")
    assert sorted((point.step, point.value) for point in curve) == [(100, 0.5), (200, 0.625)]
    assert runs["typhon"].data.metrics["ci95_high"] == 0.9
    assert runs["typhon"].data.params["target"] == "a"
    assert runs["typhon"].info.status == "FINISHED"


def test_a_server_that_is_away_is_given_up_soon(monkeypatch, caplog):
    pytest.importorskip("mlflow", reason="mlflow-skinny is not installed: docs/view.md")
    monkeypatch.setenv(tracking.VARIABLE, "mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, logger="typhon"):
        tracking.tell("model.evaluation.score", SCORED)
    assert any(line.startswith("mlflow was not told: ") for line in caplog.messages)


def test_weights_and_biases_keeps_what_it_is_told_and_nothing_else_in_a_folder(folder, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed: docs/view.md")
    monkeypatch.setenv(tracking.VARIABLE, "wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(folder))
    monkeypatch.setattr(socket, "gethostname", lambda: "this-machine")
    monkeypatch.setattr("sys.argv", ["model.training.train", "--stores", "/secret/patches.h5"])
    for module, words in (("model.training.train", TRAINED), ("model.evaluation.score", SCORED)):
        tracking.tell(module, words)
    told = sorted((path.read_bytes() for path in folder.glob("wandb/offline-run-*/*.wandb")), key=len)
    assert len(told) == 2
    assert b"training/a/validation/auroc" in told[1]
    assert b"typhon/fold0/seed3" in told[1]
    assert b"runs/a/test/last/fold0/seed3" in told[0]
    for record in told:
        assert b"/secret" not in record
        assert b"this-machine" not in record
