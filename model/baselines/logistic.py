"""Logistic regression on numbers that describe findings or their views."""

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from model.dataset import over_views
from model.evaluation.metrics import aurocs, macro
from pipeline.classes import UNKNOWN, UNNAMED, Classes
from pipeline.errors import EmptyError
from pipeline.seeds import seed

log = logging.getLogger("typhon")


NOISE = {"float32": 1e-4, "float64": 1e-10}
"""Standard deviation, as a share of the mean, up to which a feature counts as constant.

What a network makes of a picture has errors of some 1e-6 of it in float32, and others on another machine: to
divide by as little would make a feature of them.
"""
TOLERANCE = {"float32": 1e-5, "float64": 1e-6}
"""Gradient at which a regression stops, by the type of its numbers."""
Scale = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Median, mean and standard deviation of each feature in training."""


@dataclass(frozen=True)
class Measured:
    """Numbers that describe samples: sample i is view ``view[i]`` of row ``finding[i]`` of ``table``."""

    values: np.ndarray
    """(n, features) float32 or float64; NaN where a finding could not be measured."""
    finding: np.ndarray
    view: np.ndarray
    table: pd.DataFrame
    """patient_id, finding_id, group_id and labels of each finding"""
    classes: Classes = UNNAMED
    rough: bool = False
    """Whether fits are only compared with each other: those of float32 numbers are float32 then."""

    @property
    def labels(self) -> np.ndarray:
        """(n,) numbers of classes, or (n, labels) of 0, 1 and UNKNOWN."""
        return self.classes.labels(self.table)[self.finding]

    @property
    def whole(self) -> bool:
        """Whether there are findings on both sides of every problem."""
        truth = self.classes.truth(self.table)
        return all((truth == answer).any(axis=0).all() for answer in (0, 1))

    @property
    def groups(self) -> np.ndarray:
        """(n,) the group of each sample."""
        return self.table["group_id"].to_numpy(str)[self.finding]

    @property
    def standardised(self) -> tuple[np.ndarray, Scale]:
        """What :meth:`standardise` gives; kept where rough, as several learn from it, and else only one."""
        return self._kept if self.rough else self.standardise()

    @functools.cached_property
    def _kept(self) -> tuple[np.ndarray, Scale]:
        return self.standardise()

    def standardise(self) -> tuple[np.ndarray, Scale]:
        """The numbers less their mean and by their standard deviation; and the scale that they had, float64.

        The numbers are float64 unless rough. What is missing counts as the median. Raises EmptyError for
        samples that lack a class.
        """
        if not self.whole:
            two, count = self.classes.two, len(self.table)
            found = f"{count} of one class" if two else f"{count} without one of {self.classes}"
            wanted = "both classes" if two else "each, and without it"
            raise EmptyError(found, expected=f"training findings of {wanted}")
        values = self.values.copy() if self.rough else self.values.astype(np.float64)
        median = medians(self.values)
        np.copyto(values, median, where=np.isnan(values), casting="same_kind")
        mean, sd = values.mean(axis=0, dtype=np.float64), spread(values, self.values.dtype)
        values -= mean.astype(values.dtype)  # in place: a thousand features of many views take memory
        values /= sd.astype(values.dtype)
        return values, (median, mean, sd)


AT_ONCE = 256
"""Columns that are copied for a statistic: a copy of all takes as much memory as the features, or twice."""


def _by_columns(statistic: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """A statistic of each column, float64."""
    count = max(1, values.shape[1] // AT_ONCE)  # no part of one column: NumPy adds that up in another order
    return np.concatenate([statistic(part) for part in np.array_split(values, count, axis=1)])


def medians(values: np.ndarray) -> np.ndarray:
    """Median of each column without what is missing, float64."""
    return _by_columns(_medians, values)


def _medians(values: np.ndarray) -> np.ndarray:
    # All columns are partitioned at once, in a sixth of the time of nanmedian; those with gaps come after.
    columns = values.T.copy(order="C")
    holed = np.isnan(columns).any(axis=1)
    middle = len(values) // 2
    columns.partition(middle, axis=1)
    above = columns[:, middle].astype(np.float64)
    found = above if len(values) % 2 else (columns[:, :middle].max(axis=1) + above) / 2
    found[holed] = np.nanmedian(columns[holed].astype(np.float64), axis=1)
    return found


def spread(values: np.ndarray, computed: np.dtype[Any]) -> np.ndarray:
    """Standard deviation of each column, float64; 1 of one that is constant.

    ``computed`` is the type in which they came about, on which it depends what is rounding, see NOISE.
    """
    sd = _by_columns(lambda part: part.std(axis=0, dtype=np.float64), values)
    return np.where(sd > NOISE[computed.name] * np.abs(values.mean(axis=0, dtype=np.float64)), sd, 1.0)


class Scaled(Protocol):
    """What knows the scale of the numbers that it learned from."""

    @property
    def median(self) -> np.ndarray:
        """Of each feature in training, (features,)."""
        ...

    @property
    def mean(self) -> np.ndarray:
        """The same."""
        ...

    @property
    def sd(self) -> np.ndarray:
        """The same; 1 for a constant."""
        ...


@dataclass(frozen=True)
class Model:
    """A logistic regression on standardised numbers."""

    median: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    coefficients: np.ndarray
    """Change of the log odds per standard deviation."""
    intercept: float

    def plain(self, names: Sequence[str]) -> dict[str, Any]:
        """The regression as JSON has it, by the names of its features."""
        vectors = {"coefficients": self.coefficients, "mean": self.mean, "sd": self.sd}
        named = {key: dict(zip(names, map(float, vector), strict=True)) for key, vector in vectors.items()}
        return {"intercept": self.intercept, **named}

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Probability of class 1 of each row; what is missing counts as the median of the training."""
        standard = standard_of(values, self)
        return np.exp(-np.logaddexp(0, -(standard @ self.coefficients + self.intercept)))


@dataclass(frozen=True)
class Several:
    """A logistic regression with a logit for each class, or each label, on standardised numbers."""

    median: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    coefficients: np.ndarray
    """(outputs, features)."""
    intercept: np.ndarray
    """(outputs,)."""
    classes: Classes

    def plain(self, names: Sequence[str]) -> dict[str, Any]:
        """The regression as JSON has it, by the names of its classes and features."""

        def named(vector: np.ndarray) -> dict[str, float]:
            return dict(zip(names, map(float, vector), strict=True))

        rows = zip(self.classes.names, map(named, self.coefficients), strict=True)
        starts = zip(self.classes.names, map(float, self.intercept), strict=True)
        both = {"mean": named(self.mean), "sd": named(self.sd)}
        return {"intercept": dict(starts), "coefficients": dict(rows), **both}

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Probabilities (n, problems) of rows; what is missing counts as the median of the training."""
        return self.classes.probabilities(standard_of(values, self) @ self.coefficients.T + self.intercept)


def standard_of(values: np.ndarray, like: Scaled) -> np.ndarray:
    """Numbers on the scale of the training, float64; what is missing counts as its median."""
    standard = np.where(np.isnan(values), like.median, values)
    standard -= like.mean
    standard /= like.sd
    return standard


def _regression(penalty: float, values: np.ndarray, labels: np.ndarray) -> Any:
    # Only here: searches for a start among random networks import this module, and fit nothing.
    from sklearn.linear_model import LogisticRegression

    tolerance = TOLERANCE[values.dtype.name]
    regression = LogisticRegression(C=penalty, class_weight="balanced", max_iter=10_000, tol=tolerance)
    return regression.fit(values, labels)


def fit(measured: Measured, penalty: float) -> Model:
    """Fit with an L2 penalty; ``penalty`` divides it (scikit-learn's C). Both classes weigh the same.

    Unless rough, all arithmetic is float64, whatever the numbers are: sums of thousands of float32 lose
    digits, and so would the gradient that tells the solver when to stop. Raises EmptyError for samples of
    one class.
    """
    values, scale = measured.standardised
    regression = _regression(penalty, values, measured.labels)
    return Model(*scale, regression.coef_[0].astype(float), float(regression.intercept_[0]))


def fit_several(measured: Measured, penalty: float) -> Several:
    """The same for more classes, by softmax; for labels, each fitted on the samples where it is known."""
    values, scale = measured.standardised
    labels, fitted = measured.labels, []
    for answers in labels.T if measured.classes.multilabel else [labels]:
        known = answers != UNKNOWN
        fitted.append(_regression(penalty, values if known.all() else values[known], answers[known]))
    coefficients, intercept = (
        np.concatenate([vars(one)[key] for one in fitted]).astype(float) for key in ("coef_", "intercept_")
    )
    return Several(*scale, coefficients, intercept, measured.classes)


def fit_any(measured: Measured, penalty: float) -> Model | Several:
    """The regression that the classes ask for."""
    return fit(measured, penalty) if measured.classes.two else fit_several(measured, penalty)


def per_finding(measured: Measured, scores: np.ndarray) -> np.ndarray:
    """Mean over the views of each finding: enhanced prediction."""
    return over_views(measured.finding, scores[:, None])[:, 0]


Parts = Sequence[tuple[np.ndarray, np.ndarray]]
"""Rows of findings to learn from, and rows to score by what was learned, whose groups are not among them."""


def choose(measured: Measured, penalties: Sequence[float], parts: Parts) -> float:
    """The penalty with the highest mean AUROC per finding over inner folds of the training groups.

    Of equals the strongest. Where the groups of a class are too few for two folds, and there are no
    ``parts``, the penalty in the middle.
    """
    penalties = sorted(penalties)
    classes = measured.classes
    if not parts or len(penalties) == 1:
        return penalties[len(penalties) // 2]
    areas: dict[float, list[float]] = {penalty: [] for penalty in penalties}
    for inside, outside in parts:
        inner, outer = (replace(some(measured, rows), rough=True) for rows in (inside, outside))
        for penalty in penalties if inner.whole else ():
            scores = (
                fit_any(inner, penalty)
                .scores(outer.values)
                .reshape(len(outer.finding), len(classes.problems))
            )
            means = np.stack([per_finding(outer, own) for own in scores.T], axis=1)
            if (area := macro(aurocs(classes.truth(outer.table), means))) is not None:
                areas[penalty].append(area)
    known = {penalty: float(np.mean(found)) for penalty, found in areas.items() if found}
    log.info("inner folds: %s", ", ".join(f"C {penalty:g}: {mean:.3f}" for penalty, mean in known.items()))
    return max(known, key=lambda penalty: (known[penalty], -penalty)) if known else penalties[0]


def held_out(learned: Measured, asked: Measured, penalty: float, parts: Parts) -> np.ndarray:
    """Scores (samples, problems) of the same findings, ``asked`` with views of its own, by fits without them.

    NaN outside of all parts, and where what is to be learned from lacks a class.
    """
    found = np.full((len(asked.finding), len(learned.classes.problems)), np.nan)
    for inside, outside in parts:
        if (inner := some(learned, inside)).whole:
            rows = np.isin(asked.finding, outside)
            found[rows] = fit_any(inner, penalty).scores(asked.values[rows]).reshape(rows.sum(), -1)
    return found


def inner_folds(table: pd.DataFrame, folds: int, number: int, classes: Classes = UNNAMED) -> Parts:
    """The rows of findings inside and outside of each fold, none of which cuts a group.

    ``number`` is the seed. No folds where the groups of a class are too few for two.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    labels, groups = classes.strata(table), table["group_id"].to_numpy(str)
    sides = [truth == answer for truth in classes.truth(table).T for answer in (0, 1)]
    folds = min(folds, *(len(set(groups[side])) for side in sides))
    if folds < 2:
        return []
    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed("logistic", number) % 2**32)
    return list(parts.split(labels, labels, groups))


def some(measured: Measured, rows: np.ndarray) -> Measured:
    """The samples of some findings, by their rows."""
    kept = np.isin(measured.finding, rows)
    place = np.full(len(measured.table), -1)
    place[rows] = np.arange(len(rows))
    finding = place[measured.finding[kept]]
    return replace(
        measured,
        values=measured.values[kept],
        finding=finding,
        view=measured.view[kept],
        table=measured.table.iloc[rows],
    )
