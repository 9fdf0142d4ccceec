"""The experiments of Romero et al. (targeted transfer): which there are, and what each is made of.

Imported by the Snakefile. Methods are variants named as in ``config/targeted-transfer.yaml``;
a figure is drawn of those that stand in ``curve/methods``. ``pairs.csv`` lists the comparisons that the paper
tests, ``claims.csv`` what it says (features.md 1.18), each with the measure of ours that stands beside it.
"""

import csv
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PAIRS, CLAIMS = FOLDER / "pairs.csv", FOLDER / "claims.csv"


@dataclass(frozen=True)
class PaperStage:
    """A stage of the paper, and its figure: test AUROC of methods that differ in one thing, by findings."""

    paper: str
    about: str
    methods: Mapping[str, str]
    """What each method is called in the legend, by its name."""
    chosen: str | None = None
    """The one with which the paper goes on; None where it chooses nothing."""


SOURCES = {"none": "no transfer", "imagenet": "ImageNet", "mura": "MURA", "chexpert": "CheXpert"}
STAGES: dict[str, PaperStage] = {
    "targeted_3": PaperStage("Figure 3", "networks and radiomics", {
        "none-regular": "DenseNet121, no transfer", "imagenet-regular": "DenseNet121, from ImageNet",
        "radiomics": "radiomics",
    }),
    "targeted_4": PaperStage("Figure 4", "training methods", {
        "none-regular": "regular", "none": "one-cycle",
    }, "none"),
    "targeted_5": PaperStage("Figure 5", "transfer methods, from ImageNet", {
        "imagenet-features": "feature extractor", "imagenet-all": "fine-tune all",
        "imagenet": "gradual unfreezing",
    }, "imagenet"),
    "targeted_6": PaperStage(
        "Figure 6", "sources, DenseNet121", {**SOURCES, "cxr13": "Chest X-ray 13"}, "chexpert"
    ),
    "targeted_7": PaperStage(
        "Figure 7", "sources, ResNet50", {f"resnet-{name}": text for name, text in SOURCES.items()},
        "resnet-chexpert",
    ),
    "targeted_8": PaperStage("Figure 8", "initialisation", {
        "none": "PyTorch default", "imagenet": "transferred", "moments": "moments of each layer kept",
    }, "imagenet"),
}  # fmt: skip
"""By name in ``results/figures/``."""
POLICIES = {
    "targeted_1": "Figure 1: one-cycle, learning rate and momentum",
    "targeted_2": "Figure 2: rates of three groups, two of which wait",
}
TABLES = {
    "targeted_1": "Romero et al., Table I: positive images in each part",
    "targeted_tests": "Romero et al.: methods in pairs, tested as published and over patients and splits",
    "targeted_stages": "Romero et al.: what is chosen in each stage, once for all or inside each number",
    "targeted_claims": "Romero et al.: what the paper says, and what our runs say",
}
"""Caption of each table, by its name in ``results/tables/``."""
ALL_LABELS = "Chest X-ray 14"
TASKS = (ALL_LABELS, "Pneumonia", "Emphysema", "Hernia")


@dataclass(frozen=True)
class Pair:
    """Two methods that the paper compares."""

    figure: str
    method: str
    reference: str
    tasks: tuple[str, ...]
    """Those of which the paper says it."""
    said: str
    p: str
    """By task, as printed: ``Emphysema 3.76e-08; Hernia 6.7e-08``."""


@dataclass(frozen=True)
class Claim:
    """What the paper says, and the measure of ours beside it."""

    claim: str
    tasks: tuple[str, ...]
    paper: str
    measure: str
    method: str
    reference: str
    findings: int | None
    """Of the measure; None takes all numbers."""


def pairs() -> list[Pair]:
    """The comparisons that the paper makes, in its order."""
    return [Pair(**_with_tasks(row)) for row in _rows(PAIRS)]


def claims() -> list[Claim]:
    """What it says of them."""
    return [
        Claim(**_with_tasks(row) | {"findings": int(row["findings"]) if row["findings"] else None})
        for row in _rows(CLAIMS)
    ]


def digest() -> str:
    """Changes whenever a line of them does."""
    return hashlib.sha256(PAIRS.read_bytes() + CLAIMS.read_bytes()).hexdigest()[:16]


def wanted(methods: Iterable[str]) -> list[str]:
    """The figures that have at least two of these methods."""
    run = set(methods)
    return [name for name, stage in STAGES.items() if len(run & stage.methods.keys()) > 1]


def drawn(figure: str, methods: Iterable[str]) -> list[str]:
    """The methods of these that stand in a figure, in its order."""
    run = set(methods)
    return [name for name in STAGES[figure].methods if name in run]


def task_of(collection: Mapping[str, Any], dataset: str) -> str:
    """What the paper calls the task of a data set; of others their name.

    >>> task_of({"kind": "chestxray14", "label": None, "without": None}, "chest")
    'Chest X-ray 14'
    """
    if collection["kind"] != "chestxray14" or collection.get("without"):
        return dataset
    return str(collection["label"] or ALL_LABELS)


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _with_tasks(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"tasks": tuple(filter(None, row["tasks"].split("; ")))}
