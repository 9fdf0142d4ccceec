"""Precision and recall, findings taken together by patient, and what a decision by a score is worth."""

from dataclasses import replace
from typing import Literal

import numpy as np

from model.evaluation.clustered import Linear, mean
from model.evaluation.intervals import Fold

Unit = Literal["finding", "patient, highest", "patient, mean"]
UNITS: tuple[Unit, ...] = ("finding", "patient, highest", "patient, mean")
"""What is positive or negative: a finding, or a patient with the highest or mean score of the findings."""


def taken_by(fold: Fold, unit: Unit) -> Fold:
    """The fold with a row per unit. A patient (group) is positive if any finding is."""
    if unit == UNITS[0]:
        return fold
    names, own = np.unique(fold.groups, return_inverse=True)
    labels = np.zeros(len(names), int)
    np.maximum.at(labels, own, fold.labels)
    scores = np.zeros((len(fold.scores), len(names)))
    if unit == "patient, mean":
        np.add.at(scores.T, own, fold.scores.T)
        scores /= np.bincount(own)
    else:
        np.maximum.at(scores.T, own, fold.scores.T)
    return replace(fold, groups=names, labels=labels, scores=scores, findings=names)


def average_precision(labels: np.ndarray, scores: np.ndarray) -> Linear | None:
    """Mean over the positives of the precision at their score; None where there is no positive.

    It is scikit-learn's ``average_precision_score``. With t and f the positives and negatives that score at
    least as high as a positive i, its precision is t/(t+f); one more finding k above it adds f/(t+f)² if it
    is positive and takes t/(t+f)² if it is negative.
    """
    truth = labels == 1
    count = int(truth.sum())
    if not count:
        return None
    levels, place = np.unique(-scores, return_inverse=True)  # the highest score first
    hits, alarms = (np.cumsum(np.bincount(place[part], minlength=len(levels))) for part in (truth, ~truth))
    precision = hits / (hits + alarms)
    here = np.bincount(place[truth], minlength=len(levels)) / (hits + alarms) ** 2
    # What all positives at or below a level gain, or lose, by one more finding at that level.
    gain, loss = (np.cumsum((here * with_it)[::-1])[::-1] for with_it in (alarms, hits))
    value = float(precision[place[truth]].mean())
    influence = np.where(truth, precision[place] - value + gain[place], -loss[place]) / count
    return Linear(value, influence, np.ones(len(labels), bool))


def precision_at(labels: np.ndarray, scores: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """For each of ``recalls`` the precision at the highest threshold that finds this share of positives."""
    truth = labels == 1
    levels, place = np.unique(-scores, return_inverse=True)
    hits, every = (np.cumsum(np.bincount(part, minlength=len(levels))) for part in (place[truth], place))
    found = np.searchsorted(hits / truth.sum(), recalls - 1e-12)
    return np.asarray((hits / every)[found])


def net_benefit(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> Linear | None:
    """True positives less false ones at the odds of the threshold, per finding (Vickers & Elkin 2006)."""
    odds = threshold / (1 - threshold)
    return mean(np.where(probabilities > threshold, np.where(labels == 1, 1.0, -odds), 0.0))


def pooled(folds: list[Fold]) -> Fold:
    """All runs of some folds under each other, as one run; groups keep together what is of one patient."""
    return Fold(
        np.concatenate([np.tile(fold.groups, len(fold.scores)) for fold in folds]),
        np.concatenate([np.tile(fold.labels, len(fold.scores)) for fold in folds]),
        np.concatenate([fold.scores.ravel() for fold in folds])[None],
        folds[0].problem,
    )
