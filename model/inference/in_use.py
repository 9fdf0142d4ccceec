"""What the scores of runs stand for: a calibrated probability, and positive or negative at thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.evaluation.conformal import NEGATIVE, POSITIVE, Sets
from model.evaluation.operating import FILE
from model.files import operating
from model.files.operating import Operating
from model.files.runs import Run, RunError
from pipeline.classes import Classes
from pipeline.errors import ConfigError

RULED = {
    (True, False): "positive", (False, True): "negative", (True, True): "undecided",
    (False, False): "like neither class",
}  # fmt: skip
"""What is said of what a finding may be."""
MADE_BY = "./run results/operating.csv makes it"


@dataclass(frozen=True)
class Use:
    """The operating points of each run, for the classes of one data set."""

    classes: Classes
    runs: tuple[dict[str, Operating], ...]
    missing: str = ""
    """Why there are none."""
    prevalence: float | None = None
    """Another share of positives than training's, for which to tell the probability as well."""

    def of(self, problem: str, scores: np.ndarray) -> dict[str, Any]:
        """What the mean scores (models,) of a case stand for, as prediction.json has it.

        The probability is the mean over models, each for the share of positives in its training, and so is
        that for another share. Points are those of the mean score and the mean threshold.
        """
        if self.missing:
            return {"probability": None, "probability_reason": self.missing, "points": [], "sets": []}
        own = [run["" if self.classes.two else problem] for run in self.runs]
        lines = [about.line for about in own if about.line is not None]
        found: dict[str, Any] = {"probability": None}
        if self.classes.kind == "classes":
            found["probability_reason"] = "calibration of one class against the rest gives none of several"
        elif len(lines) < len(own):
            found["probability_reason"] = next(about.reason for about in own if about.line is None)
        else:
            shares = [about.prevalence for about in own]
            found["probability"] = _mean(lines, scores, shares)
            found["prevalence"] = float(np.mean(shares))
            if self.prevalence is not None:
                other = _mean(lines, scores, [self.prevalence] * len(lines))
                found["given"] = {"prevalence": self.prevalence, "probability": other}
        score = float(scores.mean())
        return found | {"points": list(_points(own, score)), "sets": list(_sets(own, score))}


def _mean(lines: Sequence[Any], scores: np.ndarray, shares: Sequence[float]) -> float:
    each = [line(score, share) for line, score, share in zip(lines, scores, shares, strict=True)]
    return float(np.mean(each))


def _points(runs: Sequence[Operating], score: float) -> Sequence[dict[str, Any]]:
    """Of the points that all runs have, whether ``score`` is positive, and what they come to on the test."""
    thresholds = [{point["point"]: point["threshold"] for point in run.points} for run in runs]
    shared = [point for point in runs[0].points if all(point["point"] in each for each in thresholds)]
    found = []
    for point in shared:
        threshold = float(np.mean([each[point["point"]] for each in thresholds]))
        found.append(point | {"threshold": threshold, "positive": score > threshold})
    return found


def _sets(runs: Sequence[Operating], score: float) -> Sequence[dict[str, Any]]:
    """Of the coverages that all runs have, what a finding may be: positive, negative, both or neither."""
    ends = [{known["coverage"]: known for known in run.sets} for run in runs]
    found = []
    for coverage in ends[0]:
        if all(coverage in each for each in ends):
            positive, negative = (
                float(np.mean([each[coverage][name] for each in ends])) for name in ("positive", "negative")
            )
            may_be = int(Sets(positive, negative)(np.array([score]))[0])
            told = {"positive": bool(may_be & POSITIVE), "negative": bool(may_be & NEGATIVE)}
            found.append({"coverage": coverage} | told)
    return found


def read(runs: Sequence[Run], dataset: str, prevalence: float | None = None) -> Use:
    """The operating points of runs for one of their data sets.

    Raises RunError for a file that holds none, ConfigError for a prevalence that is none or is of several
    classes.
    """
    classes = runs[0].classes(dataset)
    if prevalence is not None and not 0 < prevalence < 1:
        raise ConfigError(f"{prevalence:g}", file="--prevalence", expected="a share between 0 and 1")
    if prevalence is not None and not classes.two:
        raise ConfigError(str(classes), file="--prevalence", expected="a data set of two classes",
                          remedy="leave it out")  # fmt: skip
    found = []
    for run in runs:
        try:
            about = operating.read(run.folder, dataset, run.card["run"]["state"])
        except ValueError as error:
            raise RunError(
                f"none ({error})", file=run.folder / FILE, expected="the operating points of a run",
                remedy=f"delete it; {MADE_BY}",
            ) from error  # fmt: skip
        if about and set(about) != ({""} if classes.two else set(classes.problems)):
            raise RunError(
                f"those of {', '.join(about) or 'nothing'}", file=run.folder / FILE,
                expected=f"the operating points of {classes}", remedy=f"delete it; {MADE_BY}",
            )  # fmt: skip
        if not about:
            return Use(classes, (), f"no {FILE} of {run.name} for {dataset}; {MADE_BY}", prevalence)
        found.append(about)
    return Use(classes, tuple(found), "", prevalence)


def as_lines(found: Mapping[str, Any]) -> list[str]:
    """What a score stands for, for a terminal."""
    lines = []
    if found["probability"] is None:
        lines.append(f"no probability: {found['probability_reason']}")
    else:
        share = f"{100 * found['prevalence']:.3g} %"
        lines.append(f"probability {found['probability']:.3f} where {share} of all are, as in training")
    if given := found.get("given"):
        share = f"{100 * given['prevalence']:.3g} %"
        lines.append(f"probability {given['probability']:.3f} where {share} of all are")
    for point in found["points"]:
        said = "positive" if point["positive"] else "negative"
        tested = ", ".join(
            f"{rate} {point[rate]:.3f} [{point[f'{rate}95'][0]:.3f}, {point[f'{rate}95'][1]:.3f}]"
            for rate in ("sensitivity", "specificity")
            if point.get(rate) is not None and point.get(f"{rate}95") is not None
        )
        at = f"threshold {point['threshold']:.3f}, {point['point']} in validation"
        lines.append(f"{said} at {at}" + (f"; on the test {tested}" if tested else ""))
    for known in found["sets"]:
        said = RULED[known["positive"], known["negative"]]
        lines.append(
            f"{said} by a set that holds {100 * known['coverage']:.3g} % of new patients of each class"
        )
    return lines
