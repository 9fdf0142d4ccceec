"""What runs are like, told to MLflow or Weights & Biases where the config names one: ``log: mlflow``.

Jobs that have trained a network or scored a method tell it when their files are written. So no byte of a
result depends on it, and where the server is away, or refuses, a warning says so and the run goes on.
"""

import importlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from pipeline.files import read_csv, write_text

log = logging.getLogger("typhon")

VARIABLE = "TYPHON_LOG"
"""Names, in the environment of jobs, whom to tell."""
CONFIG = Path(".snakemake", "config.json")
"""The config of the experiment, for jobs."""
PACKAGES = {"mlflow": "mlflow-skinny", "wandb": "wandb"}
"""Whom one may tell, and what has to be installed for it."""
LONGEST = 500
"""Characters of a setting."""
AT_ONCE = 100
"""Settings or metrics of a request."""
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "WANDB_INIT_TIMEOUT": "20",
    "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_SILENT": "true",
    "WANDB_CONSOLE": "off", "WANDB_DISABLE_CODE": "true", "WANDB_DISABLE_GIT": "true", "WANDB_HOST": "-",
    "WANDB_X_DISABLE_MACHINE_INFO": "true", "WANDB_X_DISABLE_META": "true", "WANDB_X_DISABLE_STATS": "true",
}  # fmt: skip
"""A server that is away is given up soon, a folder will do for one, and nobody else is told.

Weights & Biases would add by itself the name of the machine, the words of the command with its folders, code,
and what is printed. What the user has set counts.
"""


@dataclass(frozen=True)
class TrackedRun:
    """What there is to tell of one run, or of a method."""

    name: str
    settings: Mapping[str, str]
    metrics: Sequence[tuple[str, float, int]]
    """Name, value and epoch."""


def announce(whom: str | None) -> None:
    """Have the jobs to come tell somebody, or nobody."""
    os.environ[VARIABLE] = whom or ""


def record(config: Mapping[str, Any]) -> None:
    """Write down the config for jobs, if they are to tell it; where data lie is nobody's business."""
    if config["log"]:
        told = {key: value for key, value in config.items() if key not in ("raw", "data")}
        write_text(CONFIG, json.dumps(told, sort_keys=True))


def tell(module: str, words: Sequence[str]) -> None:
    """Tell what a job has made that ran ``module`` with these words, if there is anything to tell.

    Never fails.
    """
    whom = os.environ.get(VARIABLE, "")
    if whom not in TOLD or module not in MADE:
        return
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    try:
        TOLD[whom](MADE[module](flags(words)))
    except Exception as error:  # whatever it is, the files of the job are there
        why = " ".join(str(error).split())[:LONGEST]
        log.warning("%s was not told: %s: %s. The run goes on.", whom, type(error).__name__, why)


def flags(words: Sequence[str]) -> dict[str, str]:
    """The words of a command by flag; values of one flag are joined by blanks."""
    found: dict[str, list[str]] = {}
    values: list[str] = []
    for word in words:
        if word.startswith("--"):
            values = found.setdefault(word[2:], [])
        else:
            values.append(word)
    return {name: " ".join(values) for name, values in found.items()}


def of_training(given: Mapping[str, str]) -> TrackedRun:
    """The curves of a run, from its history, and what it was called with."""
    folder = Path(given["out"]).parent
    table = read_csv(Path(given["history"]))
    table = table[table["value"] != ""]
    names = [
        "/".join(filter(None, row))
        for row in table[["phase", "dataset", "split", "metric"]].to_numpy().tolist()
    ]
    metrics = list(zip(names, table["value"].astype(float), table["epoch"].astype(int), strict=True))
    facts = json.loads(Path(given["run"]).read_text(encoding="utf-8"))
    known = {name: value for name, value in given.items() if name not in ("stores", "splits", "seen")}
    return TrackedRun("/".join(folder.parts[-3:]), flat({"command": known, "run": facts}), metrics)


def of_result(given: Mapping[str, str]) -> TrackedRun:
    """The result of a method, and the config of the experiment."""
    result = json.loads(Path(given["out"]).read_text(encoding="utf-8"))
    found = {"auroc": result["auroc"], "auroc_single": result["auroc_single"]}
    for name in ("ci95", "bootstrap95", "corrected95"):
        found |= dict(zip((f"{name}_low", f"{name}_high"), result.get(name) or (), strict=False))
    for run in result["runs"]:
        kind = (run["dataset"], run["split"], run["state"], f"fold{run['fold']}", f"seed{run['seed']}")
        found["/".join(("runs", *kind))] = run["auroc"]
    config = json.loads(CONFIG.read_text(encoding="utf-8")) if CONFIG.is_file() else {}
    settings = flat(
        {"target": result["target"], "commit": result["provenance"].get("commit"), "config": config}
    )
    return TrackedRun(
        result["method"], settings, [(name, value, 0) for name, value in found.items() if value is not None]
    )


def flat(values: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Nested settings by path; lists as JSON."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{above}{key}/")
        elif value is not None:
            found[f"{above}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return found


def to_mlflow(told: TrackedRun) -> None:
    """A run in the server of ``MLFLOW_TRACKING_URI``, or in ``mlruns`` in the folder of the experiment."""
    mlflow = importlib.import_module("mlflow")
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # what it says of errors is told in one line
    client = mlflow.MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or Path("mlruns").resolve().as_uri())
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or Path.cwd().name
    run = client.create_run(_experiment(client, name), run_name=told.name).info.run_id
    now = int(time.time() * 1000)
    settings = [mlflow.entities.Param(key, value[:LONGEST]) for key, value in told.settings.items()]
    metrics = [mlflow.entities.Metric(key, value, now, step) for key, value, step in told.metrics]
    for first in range(0, max(len(settings), len(metrics)), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        client.log_batch(run, params=settings[some], metrics=metrics[some])
    client.set_terminated(run)


def _experiment(client: Any, name: str) -> str:
    """The number of an experiment, which another job may make at the same moment."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except importlib.import_module("mlflow").MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def to_wandb(told: TrackedRun) -> None:
    """A run in the project of ``WANDB_PROJECT``, or one called as the folder of the experiment."""
    wandb = importlib.import_module("wandb")
    project = os.environ.get("WANDB_PROJECT") or Path.cwd().name
    settings = {key: value[:LONGEST] for key, value in told.settings.items()}
    with wandb.init(project=project, name=told.name, config=settings) as run:
        run.define_metric("*", step_metric="epoch")
        for values in _rows(told.metrics):
            run.log(values)


def _rows(metrics: Sequence[tuple[str, float, int]]) -> Iterator[dict[str, float]]:
    """The metrics of each epoch together, in their order."""
    for epoch, some in groupby(metrics, key=lambda metric: metric[2]):
        yield {"epoch": epoch} | {name: value for name, value, _ in some}


MADE: Mapping[str, Callable[[Mapping[str, str]], TrackedRun]] = {
    "model.training.train": of_training, "model.evaluation.score": of_result,
}  # fmt: skip
"""By module, what there is to tell of what it has made."""
TOLD: Mapping[str, Callable[[TrackedRun], None]] = {"mlflow": to_mlflow, "wandb": to_wandb}
