"""Five calls for notebooks and scripts, made in the project's folder: its packages have common names.

>>> from model.api import compare, load_run, load_store, predict, scores  # doctest: +SKIP
>>> predict(load_run("results/typhon"), "case.png")["score"]  # doctest: +SKIP

They add nothing to what the commands do: :mod:`model.predict`, ``results/{method}_auc.json`` and
``results/differences.csv`` come from the same functions. Research software: not for diagnosis.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.evaluation import compare as comparing
from model.evaluation import results
from model.evaluation.predictions import evaluate, numbered, read_splits
from model.files.runs import Run, RunError, agree, find
from model.inference import in_use
from model.predict import NAME, images_of, point_row
from model.prediction import predict as predict_case
from pipeline.case import prepare
from pipeline.datasets.listed import MASK
from pipeline.errors import ConfigError, EmptyError
from pipeline.store import StoreInfo, read_info, read_patches

__all__ = ["Model", "Store", "compare", "load_run", "load_store", "predict", "scores"]


@dataclass(frozen=True)
class Store:
    """A patch store: the findings of a data set, and their patches."""

    info: StoreInfo

    @property
    def findings(self) -> pd.DataFrame:
        """A row per finding: patient_id, group_id, finding_id, label (or label_…), width and height."""
        return self.info.findings

    @property
    def classes(self) -> tuple[str, ...]:
        """What the labels mean, in the order of their numbers."""
        return self.info.classes.names

    def patches(self, findings: Sequence[int] | None = None, views: int = 1) -> np.ndarray:
        """The first ``views`` patches of some findings, by their rows, or of all.

        Returns float32 (findings, views, channels, side, side), in Z-scores; view 0 is the un-augmented one.
        """
        rows = list(range(len(self.findings)) if findings is None else findings)
        found = read_patches(self.info.path, rows, [views] * len(rows))
        return found.reshape(len(rows), views, *found.shape[1:])


@dataclass(frozen=True)
class Model:
    """One trained model, or several whose mean is the score, for one data set."""

    runs: tuple[Run, ...]
    dataset: str
    """Whose decision maker scores."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What it tells apart."""
        return self.runs[0].classes(self.dataset).names

    @property
    def card(self) -> dict[str, Any]:
        """What is known of the first run: how patches are cut, and what its training findings are like."""
        return self.runs[0].card


def load_store(path: str | Path) -> Store:
    """A patch store, by its file ``data/{dataset}/patches.h5`` or its folder. Raises StoreError."""
    path = Path(path)
    return Store(read_info(path / "patches.h5" if path.is_dir() else path))


def load_run(path: str | Path, *more: str | Path, dataset: str | None = None) -> Model:
    """Trained runs: ``results/typhon/fold0/seed0``, or ``results/typhon`` for all of its runs.

    ``dataset`` says whose decision maker scores; by default that of the target. Raises RunError where there
    is no run, or where runs do not fit together.
    """
    runs = find([Path(path), *map(Path, more)])
    name = dataset or runs[0].card["target"]
    agree(runs, name)
    return Model(tuple(runs), name)


def predict(
    model: Model, case: str | Path, at: Sequence[float] | None = None, *, mm: bool = False,
    mask: str | Path | None = None, channels: Mapping[str, str] | None = None,
    prevalence: float | Mapping[str, float] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Score a new case as ``python -m model.predict`` does, and write nothing.

    Parameters
    ----------
    case : a picture, a volume, a DICOM file, or a folder with the series of one patient.
    at : column, row (and slice), zero-based; with ``mm`` x, y, z in millimetres (LPS, or
        RAS for NIfTI). None is the middle.
    mask : a mask of the finding, whose middle is the point.
    channels : the file or folder of each channel, below ``case``, where each is an image of its own.
    prevalence : tell the calibrated probability also where this share of all is positive; of several classes
        or labels the share of each, by name.

    Returns
    -------
    What ``prediction.json`` holds: ``score`` (or ``each`` class), ``probability``, ``points``, the spread
    over views and models, and ``outside_training``.

    Raises
    ------
    InputError : the case cannot be read, or has no such point, or both a point and a mask are given.
    """
    point = None if at is None else ",".join(map(repr, map(float, at)))
    how = agree(model.runs, model.dataset)
    if mask and point:
        raise ConfigError(point, file="at", expected="either a point or mask")
    row = NAME | point_row(point, mm) | images_of(how, channels or {})
    prepared = prepare(Path(case), row | ({MASK: str(Path(mask).absolute())} if mask else {}), how)
    found = predict_case(
        prepared, model.runs, model.dataset, in_use.read(model.runs, model.dataset, prevalence)
    )
    del found["scores"]
    return found


def scores(method: str | Path, split: str = "test", *, data: str | Path = "data") -> pd.DataFrame:
    """The score of each finding of the target by each run of a method, such as ``results/typhon``.

    Parameters
    ----------
    split : test or validation.
    data : the folder of patch stores and splits.

    Returns
    -------
    A row per run and finding: fold, seed, patient_id, group_id, finding_id, label (or label_…), score (or
    score_…), the mean over its views, and single, that of view 0.

    Raises
    ------
    PredictionsError : predictions that do not fit the splits.
    """
    figures = results.read(_result(method))
    splits = _splits(figures["target"], data)
    rows = [
        each.findings.assign(fold=each.fold, seed=each.seed)
        for run in _runs(method)
        for each in evaluate(run, figures["state"], splits, (figures["target"], split))
    ]
    table = pd.concat(rows, ignore_index=True)
    first = ["fold", "seed", "patient_id", "group_id", "finding_id"]
    return table[[*first, *(name for name in table if name not in first)]]


def compare(
    *methods: str | Path, reference: str | None = None, pairs: str = "reference", data: str | Path = "data"
) -> pd.DataFrame:
    """Paired differences of the test AUROC of methods, such as ``results/typhon`` and ``results/probe``.

    Parameters
    ----------
    reference : name of the method to subtract; by default classical if it is there, else the first.
    pairs : reference (each method less that one) or all (every pair).
    data : the folder of patch stores and splits.

    Returns
    -------
    The rows of ``results/differences.csv``: docs/statistics.md says what each column answers.

    Raises
    ------
    UnpairedError : methods of other targets, or without the same splits and seeds.
    """
    figures = comparing.read_results(map(_result, methods))
    splits = _splits(figures[0]["target"], data)
    known = comparing.read_runs(figures, [run for method in methods for run in _runs(method)], splits)
    _, differences, _, _ = comparing.compare(figures, known, splits, reference=reference, which=pairs)
    return differences.frame


def _result(method: str | Path) -> Path:
    """The file of a method's result, from the folder of its runs."""
    folder = Path(method)
    path = folder.with_name(f"{folder.name}_auc.json")
    if not path.is_file():
        raise RunError("none", file=path, expected=f"the test result of {folder.name}",
                       remedy=f"./run {path} makes it")  # fmt: skip
    return path


def _runs(method: str | Path) -> list[Path]:
    found = [path.parent for path in Path(method).glob("fold*/seed*/predictions.csv")]
    return sorted(found, key=lambda run: (numbered(run, "fold"), numbered(run, "seed")))


def _splits(target: str, data: str | Path) -> pd.DataFrame:
    paths = sorted(Path(data, target, "splits").glob("fold*.csv"))
    if not paths:
        raise EmptyError("none", file=Path(data, target, "splits"), expected="the splits of the target",
                         remedy="name the folder of the stores: data=")  # fmt: skip
    return read_splits(paths)
