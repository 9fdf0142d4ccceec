"""The training findings that are most like a new case, by what a model measures of them.

They lie beside a model, in a file of their own, because it names people: neither the model file nor a card
does. Without it a run predicts as it did.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.baselines import mixture
from model.baselines.logistic import Measured, spread
from model.files import weights
from model.files.runs import MIXTURE, Run, RunError
from pipeline.classes import UNKNOWN, Classes
from pipeline.errors import InputError
from pipeline.files import atomic

FILE = "nearest.safetensors"
"""In the folder of a run."""
DIRECTIONS = 32
"""Those of the largest variance, in which distances are measured; it also keeps a thousand features small."""
ASKED = 1000
"""Of so many training findings, evenly spread, the distance to the nearest one of another group is taken."""
FINDING = ("patient_id", "finding_id", "label")
ARRAYS = ("mean", "sd", "directions", "points")


@dataclass(frozen=True)
class Nearest:
    """Training findings as points: the mean of the features of their views, standardised and projected."""

    mean: np.ndarray
    """(features,) over the findings."""
    sd: np.ndarray
    directions: np.ndarray
    """(features, directions)"""
    points: np.ndarray
    """(findings, directions)"""
    findings: list[dict[str, str]]
    """Of each patient_id, finding_id and the name of its class or labels."""
    usual: float | None
    """Median distance of training findings to the nearest one of another group; None where there is none."""

    def find(self, features: np.ndarray, count: int) -> list[dict[str, Any]]:
        """The nearest findings of a case, by the features (views, features) of its views, nearest first."""
        point = (features.mean(axis=0, dtype="f8") - self.mean) / self.sd @ self.directions
        distances = np.sqrt(((self.points - point) ** 2).sum(axis=1))
        order = np.argsort(distances, kind="stable")[:count]
        return [{**self.findings[place], "distance": float(distances[place])} for place in order]


def build(measured: Measured, classes: Classes) -> Nearest:
    """The training findings of a fit as points."""
    values = np.zeros((len(measured.table), measured.values.shape[1]))
    np.add.at(values, measured.finding, measured.values)
    values /= np.bincount(measured.finding)[:, None]  # in place, as below: there may be much of it
    mean, sd = values.mean(axis=0), spread(values, measured.values.dtype)
    values -= mean
    values /= sd
    directions = np.linalg.svd(values, full_matrices=False)[2][:DIRECTIONS].T
    points = values @ directions
    ids = measured.table[["patient_id", "finding_id"]].to_dict("records")
    names = [_named(row, classes) for row in classes.labels(measured.table).reshape(len(ids), -1)]
    findings = [
        {**{key: str(of[key]) for key in of}, "label": name} for of, name in zip(ids, names, strict=True)
    ]
    return Nearest(
        mean, sd, directions, points, findings, _usual(points, measured.table["group_id"].to_numpy(str))
    )


def _named(labels: np.ndarray, classes: Classes) -> str:
    """What a finding is called: its class, or the labels that it has."""
    if not classes.multilabel:
        return classes.names[labels[0]] if labels[0] != UNKNOWN else ""
    return ", ".join(name for name, label in zip(classes.names, labels, strict=True) if label == 1)


def _usual(points: np.ndarray, groups: np.ndarray) -> float | None:
    places = np.unique(np.linspace(0, len(points) - 1, min(ASKED, len(points))).round().astype(int))
    found = []
    for place in places:
        squares = ((points - points[place]) ** 2).sum(axis=1)[groups != groups[place]]
        found += [np.sqrt(squares.min())] if len(squares) else []
    return float(np.median(found)) if found else None


def write(path: Path, nearest: Nearest, member: str | None = None) -> None:
    """Write the findings beside a model; ``member`` of a mixture is whose features these are."""
    tensors = {name: torch.from_numpy(getattr(nearest, name).astype("f4", order="C")) for name in ARRAYS}
    about = {"member": member, "findings": nearest.findings, "usual": nearest.usual}
    with atomic(path) as beside:
        beside.write_bytes(weights.to_bytes(tensors, nearest=about))


def read(path: Path) -> tuple[Nearest, str | None]:
    """The findings beside a model, and the member; raises InputError if the file is damaged."""
    about: Any = weights.read_about(path).get("nearest")
    tensors = weights.read_tensors(path)
    try:
        arrays = {name: tensors[name].numpy().astype("f8") for name in ARRAYS}
        findings = [{key: str(one[key]) for key in FINDING} for one in about["findings"]]
        usual = None if about["usual"] is None else float(about["usual"])
        found = Nearest(**arrays, findings=findings, usual=usual)
        width, count = found.directions.shape
        if found.mean.shape != (width,) or found.sd.shape != (width,):
            raise ValueError(f"{len(found.mean)} features of {width}")
        if found.points.shape != (len(findings), count):
            raise ValueError(f"points {found.points.shape} of {len(findings)} findings")
        if not all(np.isfinite(one).all() for one in (*arrays.values(), usual or 0)) or not found.sd.all():
            raise ValueError("numbers that are not finite, or a deviation of 0")
        member = None if about["member"] is None else str(about["member"])
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise InputError(
            f"{type(error).__name__}: {error}", file=path, expected="training findings of a run"
        ) from error
    return found, member


def of_case(run: Run, dataset: str, patches: np.ndarray, count: int) -> dict[str, Any]:
    """``usual`` and the ``findings`` nearest to a case, by its patches (views, channels, side, side).

    Raises RunError where the run has no training findings beside it.
    """
    path = run.folder / FILE
    if not path.is_file():
        raise RunError(
            f"no {FILE} of {run.name}", file=run.folder,
            expected="the training findings of a probe or of auto",
            remedy="predict without --nearest, or make the run anew",
        )  # fmt: skip
    known, member = read(path)
    if MIXTURE in weights.read_about(run.model):
        features = mixture.features(run, dataset, patches, member)
    else:
        features = run.network(dataset).features(torch.from_numpy(patches)).numpy()
    if features.shape[1] != len(known.mean):
        raise RunError(
            f"{features.shape[1]} features of {len(known.mean)}", file=path, expected="those of this model"
        )
    return {"usual": known.usual, "findings": known.find(features, count)}
