"""What is chosen and stacked for each problem of a target: class 1 of two, each class or label of several.

Each has candidates, weights and fits of its own: of classes one against the rest, of labels each on the
findings where it is known.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model.baselines.learners import Fitted, Learner
from model.baselines.logistic import Measured, Parts, some
from model.baselines.stack import Candidate, Chosen, choose
from pipeline.classes import UNKNOWN, UNNAMED
from pipeline.errors import EmptyError

log = logging.getLogger("typhon")


@dataclass(frozen=True)
class Solved:
    """What was chosen for a problem, and fitted."""

    chosen: Chosen
    fitted: Mapping[str, Fitted]
    known: np.ndarray
    """Rows of the training findings that were learned from."""

    def scores(self, measured: Mapping[str, Measured]) -> np.ndarray:
        """Probabilities (samples,)."""
        return mixed(self.fitted, self.chosen.weights, measured)

    def about(self, called: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What run.json says of the candidates, of what was taken, and of what the inner folds promise."""
        chosen = self.chosen
        candidates = {
            name: {"learner": str(learner), "inner_auroc": chosen.estimates[name],
                   "weight": chosen.weights.get(name, 0.0), "seconds": round(chosen.seconds[name], 3)}
            for name, learner in chosen.learners.items()
        }  # fmt: skip
        members = {name: one.plain(called[name]) for name, one in self.fitted.items()}
        inner = {"auroc": chosen.inner, "stack": chosen.stack, "best": chosen.best}
        return {"candidates": candidates, "members": members, "inner": inner}


def mixed(
    fitted: Mapping[str, Fitted], weights: Mapping[str, float], measured: Mapping[str, Measured]
) -> np.ndarray:
    """Scores (samples,) of a mixture."""
    return np.asarray(sum(weights[name] * one.scores(measured[name].values) for name, one in fitted.items()))


def asked(measured: Measured, place: int) -> tuple[Measured, np.ndarray]:
    """The findings where the answer to a problem is known, with it as their label; and their rows."""
    truth = measured.classes.truth(measured.table)[:, place]
    rows = np.flatnonzero(truth != UNKNOWN)
    if measured.classes.two:
        return measured, rows
    known = some(measured, rows)
    return replace(known, table=known.table.assign(label=truth[rows]), classes=UNNAMED), rows


def solve(
    training: Mapping[str, Measured], learners: Mapping[str, Sequence[Learner]], place: int, folds: int,
    number: int, validation: Parts | None = None,
) -> Solved:  # fmt: skip
    """Choose and fit for a problem; ``number`` and ``validation`` as in :func:`model.baselines.stack.choose`.

    Raises EmptyError where training findings lack one of its two answers.
    """
    own = {name: asked(measured, place) for name, measured in training.items()}
    first, known = next(iter(own.values()))
    classes = next(iter(training.values())).classes
    if not (classes.two or first.whole):
        raise EmptyError(
            f"{len(known)} that are all alike",
            expected=f"training findings with {classes.problems[place]} and without",
        )
    candidates = {name: Candidate(measured, learners[name]) for name, (measured, _) in own.items()}
    chosen = choose(candidates, folds, number, None if validation is None else _among(known, validation))
    fitted = {}
    for name, weight in chosen.weights.items():
        since = time.process_time()
        fitted[name] = chosen.learners[name].fit(own[name][0])
        chosen.seconds[name] += time.process_time() - since
        told = "" if classes.two else f"{classes.problems[place]}: "
        log.info("%s%s counts for %.2f, with %s", told, name, weight, chosen.learners[name])
    return Solved(chosen, fitted, known)


def _among(known: np.ndarray, parts: Parts) -> Parts:
    """The same parts of the known findings alone, by their rows among these."""
    return [
        (np.flatnonzero(np.isin(known, inside)), np.flatnonzero(np.isin(known, outside)))
        for inside, outside in parts
    ]


def held_out(
    solved: Solved, training: Mapping[str, Measured], views: Mapping[str, Measured], place: int, split: Parts
) -> np.ndarray:
    """Scores of training findings, each sample of ``views``, by fits that have not seen their groups.

    They are those of the inner folds. Where there are none, of ``split``: candidates are fitted on what is
    learned from there. NaN outside of all. What nobody knows the answer of has taught nothing.
    """
    first = next(iter(views.values()))
    found = np.full(len(first.finding), np.nan)
    parts = [(solved.known[inside], solved.known[outside]) for inside, outside in solved.chosen.parts]
    for inside, outside in parts or split:
        own = {name: asked(some(training[name], inside), place)[0] for name in solved.fitted}
        fitted = {name: solved.chosen.learners[name].fit(each) for name, each in own.items()}
        rows = np.isin(first.finding, outside)
        there = {name: replace(one, values=one.values[rows]) for name, one in views.items() if name in fitted}
        found[rows] = mixed(fitted, solved.chosen.weights, there)
    unknown = ~np.isin(first.finding, solved.known)
    return np.where(unknown, solved.scores(views), found) if unknown.any() else found
