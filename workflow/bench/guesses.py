"""What the bootstrap's bench scores: data of given sizes that random networks differ on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from model.bootstrap.candidates import Stage
from model.bootstrap.rules import Scores
from model.bootstrap.staged import Race, Score
from model.training.data import Part
from pipeline.seeds import stream


@dataclass(frozen=True)
class Sizes:
    """How much data there is and how many candidates."""

    findings: Mapping[str, int]
    """Validation findings by data set, half of them positive."""
    calibration: int
    """Training patches of each data set for batch-norm statistics; 0 is the published way without any."""
    candidates: int = 200


def patches(name: str, labels: np.ndarray) -> Tensor:
    """Smooth pictures (n, 1, 65, 65) of any contrast, with a faint spot where the label is 1.

    Unlike noise, they differ among each other as pictures do, and so random networks differ in their AUROCs.
    """
    random = stream("bench", "bootstrap", name, len(labels))
    coarse = torch.from_numpy(random.standard_normal((len(labels), 1, 8, 8)))
    smooth = functional.interpolate(coarse, (65, 65), mode="bicubic").numpy()
    contrast, offset = random.lognormal(0, 0.4, len(labels)), random.normal(0, 0.5, len(labels))
    axis = np.linspace(-4, 4, 65)
    spot = np.exp(-(axis[:, None] ** 2) - axis**2) * labels[:, None, None]
    seen = contrast[:, None, None] * smooth[:, 0] + offset[:, None, None] + spot
    return torch.from_numpy((seen + 0.3 * random.standard_normal(seen.shape))[:, None].astype("f4"))


def part(name: str, count: int) -> Part:
    """``count`` findings with one view each."""
    labels = np.arange(count) % 2
    table = pd.DataFrame({"patient_id": "", "finding_id": "", "label": labels})
    order = np.arange(count)
    return Part(patches(name, labels), torch.from_numpy(labels), order, 0 * order, table)


def full_stage(sizes: Sizes) -> Stage:
    """What candidates are scored on."""
    calibration = {
        name: patches(f"{name}, training", np.arange(sizes.calibration) % 2) for name in sizes.findings
    }
    parts = {name: [part(name, count)] for name, count in sizes.findings.items()}
    return Stage(parts, calibration if sizes.calibration else None)


def race(sizes: Sizes, stages: int, score: Score) -> list[Scores]:
    """The staged search for the default rule, the cheapest data set first."""
    order = sorted(sizes.findings, key=sizes.findings.__getitem__)
    steps = {name: 4 / sizes.findings[name] ** 2 for name in order}
    return Race(sizes.candidates, steps, stages, score).run()
