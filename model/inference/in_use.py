"""What the scores of runs stand for: a calibrated probability, and positive or negative at thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.evaluation.conformal import NEGATIVE, POSITIVE, Sets
from model.evaluation.operating import FILE
from model.evaluation.platt import Platt
from model.evaluation.temperature import Temperature
from model.files import operating
from model.files.operating import OperatingSummary
from model.files.runs import Run, RunError
from pipeline.classes import Classes
from pipeline.errors import ConfigError

ROUNDED = 1e-3
"""Shares that a person gives may be rounded."""
RULED = {
    (True, False): "positive", (False, True): "negative", (True, True): "undecided",
    (False, False): "like neither class",
}  # fmt: skip
"""What is said of what a finding may be."""
OLDER = "calibrated by an older version: run results/operating.csv again"
MADE_BY = "./run results/operating.csv makes it"


@dataclass(frozen=True)
class Use:
    """The operating points of each run, for the classes of one data set."""

    classes: Classes
    runs: tuple[dict[str, OperatingSummary], ...]
    missing: str = ""
    """Why there are none."""
    prevalence: Mapping[str, float] = field(default_factory=dict)
    """Other shares than training's, for which to tell the probability as well, as files name problems."""

    def of_each(self, scores: np.ndarray) -> dict[str, dict[str, Any]]:
        """What the scores (models, problems) of a case stand for, by class or label as in prediction.json.

        The probability is the mean over models, each for the shares in its training, and so is that for
        other shares. Points are those of the mean score and the mean threshold.
        """
        if self.missing:
            return {
                problem: {"probability": None, "probability_reason": self.missing, "points": [], "sets": []}
                for problem in self.classes.problems
            }
        trained = [{name: about.prevalence for name, about in run.items()} for run in self.runs]
        own = self._probabilities(scores, trained)
        given = self._probabilities(scores, [self.prevalence] * len(self.runs))
        found = {}
        for place, (problem, name) in enumerate(zip(self.classes.problems, self._names, strict=True)):
            here: dict[str, Any] = {"probability": own.get(name)}
            if name in own:
                here["prevalence"] = float(np.mean([shares[name] for shares in trained]))
            else:
                here["probability_reason"] = self._reasons[name]
            if name in given:
                here["given"] = {"prevalence": self.prevalence[name], "probability": given[name]}
            score, runs = float(scores[:, place].mean()), [run[name] for run in self.runs]
            found[problem] = here | {"points": list(_points(runs, score)), "sets": list(_sets(runs, score))}
        return found

    @property
    def _names(self) -> Sequence[str]:
        """What the files of runs call the problems."""
        return ("",) if self.classes.two else self.classes.problems

    @property
    def _reasons(self) -> dict[str, str]:
        """Why a problem has no probability; of classes, which have theirs together, all or none."""
        together = self.classes.kind == "classes"
        found = {
            name: run[name].reason or OLDER
            for run in reversed(self.runs)
            for name in reversed(self._names)
            if run[name].line is None or (together and not run[name].together)
        }
        return dict.fromkeys(self._names, found.popitem()[1]) if found and together else found

    def _probabilities(self, scores: np.ndarray, shares: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Means over models, of which each has shares; without what is not known or has no share."""
        names, reasons = self._names, self._reasons
        known = [name for name in names if name not in reasons and all(name in each for each in shares)]
        if self.classes.kind == "classes":
            if len(known) < len(names):
                return {}
            each = [
                _temperature([run[name] for name in names])(own, [given[name] for name in names]).tolist()
                for run, own, given in zip(self.runs, scores, shares, strict=True)
            ]
        else:
            each = [
                [float(_platt(run[name])(own[names.index(name)], given[name])) for name in known]
                for run, own, given in zip(self.runs, scores, shares, strict=True)
            ]
        return dict(zip(known, np.mean(each, axis=0).tolist(), strict=True))


def _platt(about: OperatingSummary) -> Platt:
    assert about.line is not None
    return about.line


def _temperature(classes: Sequence[OperatingSummary]) -> Temperature:
    """That of a run, from the lines of its classes."""
    lines = [_platt(about) for about in classes]
    intercepts, shares = (
        tuple(getattr(line, name) for line in lines) for name in ("intercept", "prevalence")
    )
    return Temperature(lines[0].slope, intercepts, shares)


def _points(runs: Sequence[OperatingSummary], score: float) -> Sequence[dict[str, Any]]:
    """Of the points that all runs have, whether ``score`` is positive, and what they come to on the test.

    That is known of single runs, and the same for all runs of a method: none where runs say otherwise.
    """
    known = [{point["point"]: point for point in run.points} for run in runs]
    found = []
    for name in (name for name in known[0] if all(name in each for each in known)):
        each = [points[name] for points in known]
        threshold = float(np.mean([point["threshold"] for point in each]))
        tested = {
            key: value if all(point.get(key) == value for point in each) else None
            for key, value in each[0].items()
        }
        found.append(tested | {"threshold": threshold, "positive": score > threshold})
    return found


def _sets(runs: Sequence[OperatingSummary], score: float) -> Sequence[dict[str, Any]]:
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


def shares_of(classes: Classes, told: float | Mapping[str, float] | None) -> dict[str, float]:
    """The shares that somebody gave, as :attr:`Use.prevalence` has them.

    Of two classes it is one number, of others a number by class or label. Raises ConfigError for a number
    that is no share, other names, and classes that do not add up to 1.
    """
    if told is None:
        return {}
    by = told if isinstance(told, Mapping) else {"": told}
    names = {"", classes.names[1]} if classes.two else {*classes.problems}
    wanted = (
        f"{'all' if classes.kind == 'classes' else 'some'} of {', '.join(classes.problems)}, as NAME=SHARE"
    )
    if not classes.two and (not {*by} <= names or (classes.kind == "classes" and {*by} != names)):
        found = ", ".join(name or f"{share:g}" for name, share in by.items())
        raise ConfigError(found, file="--prevalence", expected=wanted)
    if classes.two and (len(by) != 1 or not {*by} <= names):
        raise ConfigError(", ".join(by), file="--prevalence", expected=f"one share, of {classes.names[1]}")
    if odd := [share for share in by.values() if not 0 < share < 1]:
        raise ConfigError(f"{odd[0]:g}", file="--prevalence", expected="a share between 0 and 1")
    if classes.kind == "classes" and abs(sum(by.values()) - 1) > ROUNDED:
        raise ConfigError(f"{sum(by.values()):g}", file="--prevalence", expected="shares that add up to 1")
    return dict(zip([""] if classes.two else by, by.values(), strict=True))


def read(runs: Sequence[Run], dataset: str, prevalence: float | Mapping[str, float] | None = None) -> Use:
    """The operating points of runs for one of their data sets.

    Raises RunError for a file that holds none, ConfigError for shares that cannot be (:func:`shares_of`).
    """
    classes = runs[0].classes(dataset)
    other = shares_of(classes, prevalence)
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
            target = run.card["target"]
            why = MADE_BY if dataset == target else f"only scores of the target are calibrated, {target}"
            return Use(classes, (), f"no {FILE} of {run.name} for {dataset}; {why}", other)
        found.append(about)
    return Use(classes, tuple(found), "", other)


def as_lines(found: Mapping[str, Any], runs: int) -> list[str]:
    """What the score of one run stands for, or the mean score of several, for a terminal."""
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
        at = "threshold" if runs == 1 else "mean threshold"
        on = "on the test" if runs == 1 else "on the test, single runs have"
        line = f"{said} at {at} {point['threshold']:.3f}, {point['point']} in validation"
        lines.append(line + (f"; {on} {tested}" if tested else ""))
    for known in found["sets"]:
        said, share = RULED[known["positive"], known["negative"]], f"{100 * known['coverage']:.3g} %"
        if runs == 1:
            lines.append(f"{said} by a set that holds {share} of new patients of each class")
        else:  # sets are chosen on the scores of each run, and the means of scores are distributed otherwise
            mean = f"the mean of the {share} sets of {runs} single runs"
            lines.append(f"{said} by {mean}; nothing is promised for the mean")
    return lines
