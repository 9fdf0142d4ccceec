"""Choosing and stacking candidates on inner folds that cut no group.

A candidate is a table of numbers and the learners that may learn from it. All learners are fitted on the
same inner folds, and every finding is scored by the fits that have not seen it. On these scores each
candidate's learner is chosen, and the candidates are stacked: a convex combination of their probabilities,
from a logistic regression without negative coefficients (Breiman 1996; van der Laan, Polley & Hubbard 2007).
Where the best candidate alone does as well, it is taken.

What that brings is estimated by nesting: within the other folds all is chosen once more, and judged on the
one left out. To choose on the scores of the other folds would not do: they are of fits that knew that one.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from model.baselines.learners import Learner
from model.baselines.logistic import Measured, Parts, inner_folds, per_finding, some
from model.evaluation.metrics import auroc

NESTED = 3
"""Folds within the others of an inner fold."""
LEAST = 0.01
"""A candidate whose coefficient is a smaller share of their sum is left out."""


@dataclass(frozen=True)
class Candidate:
    """Numbers of the training samples, and the learners to choose from, the simplest first."""

    measured: Measured
    learners: Sequence[Learner]


@dataclass(frozen=True)
class Chosen:
    """What the inner folds say."""

    learners: dict[str, Learner]
    """Of each candidate."""
    weights: dict[str, float]
    """Of the candidates that count; they add up to 1."""
    estimates: dict[str, float | None]
    """AUROC per finding, mean over the inner folds, of each candidate; None where there are no such folds."""
    stack: float | None
    best: float | None
    """The same of the stack, and of whatever candidate is the best."""
    seconds: dict[str, float]
    """Processor time of each candidate."""
    inner: float | None
    """The AUROC to expect of what was chosen: that of the stack where it wins, or of the best."""
    parts: Parts
    """The inner folds, those that have both classes to learn from."""


@dataclass(frozen=True)
class _Choice:
    """By number the learner of each candidate, the weights of the stack, and those of the best alone."""

    learners: Sequence[int]
    stack: np.ndarray
    best: np.ndarray


def choose(
    candidates: Mapping[str, Candidate], folds: int, number: int, validation: Parts | None = None
) -> Chosen:
    """Choose a learner for each candidate, and how much each candidate counts.

    All candidates have the same samples. ``number`` is the seed of the folds. Where the groups of a class are
    too few for two folds, the first candidate counts alone, with the learner in the middle.

    ``validation``, rows to learn from and rows to choose by, is for features that know the training labels
    already: they would win on all inner folds. What is chosen is then judged by what it was chosen on.
    """
    seconds = dict.fromkeys(candidates, 0.0)
    first = next(iter(candidates.values())).measured
    outer = _Inner(
        candidates, inner_folds(first.table, folds, number) if validation is None else validation, seconds
    )
    final = outer.choice()
    nested = [final] * len(outer.parts)
    if validation is None:
        nested = []
        for inside, _ in outer.parts:
            within = {
                name: Candidate(some(one.measured, inside), one.learners) for name, one in candidates.items()
            }
            table = first.table.iloc[inside]
            nested.append(_Inner(within, inner_folds(table, NESTED, number), seconds).choice())
    stack = outer.judged(nested, [choice.stack for choice in nested])
    best = outer.judged(nested, [choice.best for choice in nested])
    wins = stack is not None and best is not None and stack > best
    weights = dict(zip(candidates, final.stack if wins else final.best, strict=True))
    places = dict(zip(candidates, final.learners, strict=True))
    alone = dict(zip(candidates, np.eye(len(candidates)), strict=True))
    return Chosen(
        {name: one.learners[places[name]] for name, one in candidates.items()},
        {name: float(weight) for name, weight in weights.items() if weight},
        {name: outer.judged(nested, [alone[name]] * len(nested)) for name in candidates},
        stack, best, seconds, stack if wins else best, outer.parts,
    )  # fmt: skip


class _Inner:
    """Scores of all learners of all candidates on inner folds, each by a fit that has not seen the group."""

    def __init__(self, candidates: Mapping[str, Candidate], parts: Parts, seconds: dict[str, float]) -> None:
        """``seconds`` of each candidate grow by the processor time of its fits."""
        self.measured = next(iter(candidates.values())).measured
        self.labels = self.measured.table["label"].to_numpy(int)
        self.parts = [(inside, outside) for inside, outside in parts if len(set(self.labels[inside])) == 2]
        self.scores: list[np.ndarray] = []
        """For each candidate (learners, samples); NaN where there is no fit."""
        for name, one in candidates.items():
            start = time.process_time()
            self.scores.append(_scored(one, self.parts))
            seconds[name] += time.process_time() - start

    def choice(self) -> _Choice:
        """What tells the labels best; of equals the first."""
        means = [np.stack([per_finding(self.measured, row) for row in scores]) for scores in self.scores]
        alone = np.eye(len(means))
        areas = [np.array([self._over_folds(row) for row in rows], float) for rows in means]
        if any(np.isnan(each).any() for each in areas):  # no fold has both classes
            return _Choice([len(scores) // 2 for scores in self.scores], alone[0], alone[0])
        learners = [int(np.argmax(each)) for each in areas]
        best = alone[int(np.argmax([each.max() for each in areas]))]
        rows = np.concatenate([outside for _, outside in self.parts])
        taken = np.stack([each[learner, rows] for each, learner in zip(means, learners, strict=True)], axis=1)
        return _Choice(learners, stacked(taken, self.labels[rows]), best)

    def mixed(self, choices: Sequence[_Choice], weights: Sequence[np.ndarray]) -> np.ndarray:
        """Scores (samples,) by a choice of learners and weights for each fold; NaN outside of all folds."""
        found = np.full(len(self.measured.finding), np.nan)
        for (_, outside), choice, weight in zip(self.parts, choices, weights, strict=True):
            rows = np.isin(self.measured.finding, outside)
            each = [scores[place, rows] for scores, place in zip(self.scores, choice.learners, strict=True)]
            found[rows] = weight @ np.stack(each)
        return found

    def judged(self, choices: Sequence[_Choice], weights: Sequence[np.ndarray]) -> float | None:
        """The AUROC per finding of these scores, mean over the folds with both classes."""
        return self._over_folds(per_finding(self.measured, self.mixed(choices, weights)))

    def _over_folds(self, means: np.ndarray) -> float | None:
        areas = [auroc(self.labels[rows], means[rows]) for _, rows in self.parts]
        known = [area for area in areas if area is not None]
        return float(np.mean(known)) if known else None


def _scored(candidate: Candidate, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    measured = candidate.measured
    found = np.full((len(candidate.learners), len(measured.finding)), np.nan)
    for inside, outside in parts:
        known = replace(some(measured, inside), rough=True)
        rows = np.isin(measured.finding, outside)
        for place, learner in enumerate(candidate.learners):
            found[place, rows] = learner.fit(known).scores(measured.values[rows])
    return found


def stacked(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights (candidates,) that add up to 1, by which probabilities (n, candidates) tell labels best.

    From a logistic regression on standardised scores with coefficients of at least 0, both classes weighing
    the same and an L2 penalty of C = 1. Without any positive coefficient all weigh the same.
    """
    mean, sd = scores.mean(axis=0), scores.std(axis=0)
    sd = np.where(sd > 1e-9, sd, np.inf)  # who gives all the same score counts for nothing
    values = (scores - mean) / sd
    signs = np.where(labels == 1, 1.0, -1.0)
    weights = len(labels) / 2 / np.where(labels == 1, labels.sum(), (1 - labels).sum())

    def loss(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        slope, shift = coefficients[:-1], coefficients[-1]
        margin = signs * (values @ slope + shift)
        pull = -weights * signs * np.exp(-np.logaddexp(0, margin))
        gradient = np.append(values.T @ pull + slope, pull.sum())
        return float(weights @ np.logaddexp(0, -margin) + slope @ slope / 2), gradient

    count = scores.shape[1]
    bounds = [(0, None)] * count + [(None, None)]
    found = minimize(loss, np.zeros(count + 1), jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]
    if not found.any():
        return np.full(count, 1 / count)
    slopes = np.where(found < LEAST * found.sum(), 0, found) / sd
    return np.asarray(slopes / slopes.sum())
