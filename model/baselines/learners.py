"""Ways to learn from numbers that describe findings: regressions, neighbours, trees, each with one setting.

What they leave behind scores new numbers without scikit-learn, and travels in a model file as arrays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from model.baselines.logistic import Measured, Model, Scaled, fit, per_finding, standard_of

TREES = 100
"""Of a forest."""


class Fitted(Scaled, Protocol):
    """What a learner leaves behind: a dataclass of arrays."""

    def plain(self, names: Sequence[str]) -> dict[str, Any]:
        """What run.json says of it, by the names of the features."""
        ...

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Probability of class 1 of each row (n, features)."""
        ...


class Learner(NamedTuple):
    """A kind of learner, one of KINDS, and its setting."""

    kind: str
    setting: float

    def __str__(self) -> str:
        return f"{self.kind} {self.setting:g}"

    def fit(self, measured: Measured) -> Fitted:
        """Learn from samples; raises EmptyError for samples of one class."""
        return KINDS[self.kind](measured, self.setting)


def fit_l1(measured: Measured, penalty: float) -> Model:
    """A logistic regression with an L1 penalty, which leaves features out; ``penalty`` divides it."""
    return _fit_sparse(measured, penalty, l1_ratio=1, solver="liblinear")


def fit_elastic_net(measured: Measured, penalty: float) -> Model:
    """The same with a penalty that is half L1, half L2."""
    return _fit_sparse(measured, penalty, l1_ratio=0.5, solver="saga")


def _fit_sparse(measured: Measured, penalty: float, **how: Any) -> Model:
    from sklearn.linear_model import LogisticRegression

    values, scale = measured.standardised
    regression = LogisticRegression(
        C=penalty, class_weight="balanced", max_iter=10_000, tol=1e-3, random_state=0, **how
    )
    regression.fit(values, measured.labels)
    return Model(*scale, regression.coef_[0], float(regression.intercept_[0]))


def fit_svm(measured: Measured, penalty: float) -> Model:
    """A linear support vector machine; ``penalty`` divides it. The sigmoid of its decision is the score."""
    from sklearn.svm import LinearSVC

    values, scale = measured.standardised
    machine = LinearSVC(C=penalty, class_weight="balanced", dual="auto", max_iter=10_000, random_state=0)
    machine.fit(values, measured.labels)
    return Model(*scale, machine.coef_[0], float(machine.intercept_[0]))


@dataclass(frozen=True)
class Neighbours:
    """The share of class 1 among the nearest training findings, as if both classes were equally frequent.

    Of the share p of k neighbours the score is (p k + 1/2) / (k + 1): as if half a neighbour of either class
    were added. That k neighbours are of one class does not prove that all findings there are, but the log
    odds of 0 and 1 are without end, and would decide the calibration alone. The order of findings stays.
    """

    median: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    points: np.ndarray
    """(findings, features) float32: the mean over the views of each, standardised."""
    labels: np.ndarray
    """(findings,) 0 or 1."""
    number: np.ndarray
    """How many are asked, as an array of no dimension."""

    def plain(self, names: Sequence[str]) -> dict[str, Any]:  # noqa: ARG002  (nothing has a name)
        """How many are asked, of how many."""
        return {"neighbours": int(self.number), "of": len(self.points)}

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Probability of class 1 of each row; what is missing counts as the median of the training."""
        standard = standard_of(values, self)
        points = self.points.astype(float)
        distances = (points**2).sum(1) - 2 * standard @ points.T  # without what all points have in common
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : int(self.number)]
        ones = self.labels[nearest].sum(1)  # counted, so that equal votes are equal to the last digit
        positive, negative = ones / self.labels.sum(), (self.number - ones) / (1 - self.labels).sum()
        share = positive / (positive + negative)
        return np.asarray((share * self.number + 0.5) / (self.number + 1))


def fit_neighbours(measured: Measured, number: float) -> Neighbours:
    """Keep the training findings; ``number`` of them are asked, or all if there are not so many."""
    values, scale = measured.standardised
    points = np.stack([per_finding(measured, column) for column in values.T], axis=1).astype("f4")
    labels = measured.table["label"].to_numpy("i8")
    return Neighbours(*scale, points, labels, np.array(min(int(number), len(points))))


@dataclass(frozen=True)
class Forest:
    """Trees as arrays, one after another: node i asks whether ``feature[i]`` is at most ``threshold[i]``."""

    median: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    roots: np.ndarray
    """(trees,) the first node of each."""
    feature: np.ndarray
    """(nodes,) column of the values; -1 in a leaf."""
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    """(nodes,) where it goes on, always further on in the arrays; in a leaf the leaf itself."""
    share: np.ndarray
    """(nodes,) of class 1 among the training samples that came by, both classes weighing the same."""

    def plain(self, names: Sequence[str]) -> dict[str, Any]:
        """How often each feature is asked."""
        asked = np.bincount(self.feature[self.feature >= 0], minlength=len(names))
        return {"trees": len(self.roots), "asked": dict(zip(names, map(int, asked), strict=True))}

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Probability of class 1 of each row; what is missing counts as the median of the training."""
        standard = standard_of(values, self).astype("f4")  # as the trees grew
        node = np.tile(self.roots, (len(standard), 1))
        rows = np.arange(len(standard))[:, None]
        while (inside := self.feature[node] >= 0).any():
            lower = standard[rows, self.feature[node]] <= self.threshold[node]
            node = np.where(inside, np.where(lower, self.left[node], self.right[node]), node)
        return np.asarray(self.share[node].mean(axis=1))


def fit_forest(measured: Measured, leaf: float) -> Forest:
    """A random forest whose leaves have at least ``leaf`` samples.

    Each tree draws as many samples as there are findings: views of one finding are much alike.
    """
    from sklearn.ensemble import RandomForestClassifier

    values, scale = measured.standardised
    forest = RandomForestClassifier(
        TREES, min_samples_leaf=int(leaf), max_samples=len(measured.table),
        class_weight="balanced", random_state=0,
    ).fit(values, measured.labels)  # fmt: skip
    trees = [tree.tree_ for tree in forest.estimators_]
    sizes = [tree.node_count for tree in trees]
    roots = np.cumsum([0, *sizes[:-1]])
    start, own = np.repeat(roots, sizes), np.arange(sum(sizes))

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(tree, name) for tree in trees])

    left, right = joined("children_left"), joined("children_right")
    inside, weights = left >= 0, joined("value")[:, 0]
    return Forest(
        *scale, roots,
        np.where(inside, joined("feature"), -1), joined("threshold"),
        np.where(inside, left + start, own), np.where(inside, right + start, own),
        weights[:, 1] / weights.sum(1),
    )  # fmt: skip


KINDS: dict[str, Callable[[Measured, float], Fitted]] = {
    "l2": fit,
    "l1": fit_l1,
    "elastic_net": fit_elastic_net,
    "svm": fit_svm,
    "neighbours": fit_neighbours,
    "forest": fit_forest,
}

FITTED: dict[str, type[Model | Neighbours | Forest]] = {
    kind.__name__: kind for kind in (Model, Neighbours, Forest)
}
"""What a model file may hold, by the name that it has there."""
WHOLE = ("labels", "number", "roots", "feature", "left", "right")
"""Arrays of whole numbers."""


def arrays(fitted: Fitted) -> dict[str, np.ndarray]:
    """The arrays of what was learned, by the names of its fields."""
    return {name: np.asarray(value) for name, value in vars(fitted).items()}


def from_arrays(kind: str, found: Mapping[str, np.ndarray]) -> Fitted:
    """What :func:`arrays` took apart; ValueError or KeyError for what could not be, or would never end."""
    width = len(found["median"])
    sizes: dict[str, tuple[int, ...]] = {"median": (width,), "mean": (width,), "sd": (width,)}
    if kind == "Model":
        sizes |= {"coefficients": (width,), "intercept": ()}
    elif kind == "Neighbours":
        count = len(found["labels"])
        sizes |= {"points": (count, width), "labels": (count,), "number": ()}
        if not (set(found["labels"].tolist()) == {0, 1} and 1 <= found["number"] <= count):
            raise ValueError(f"{found['number']} of {count} neighbours, or other labels than 0 and 1")
    else:
        nodes = len(found["feature"])
        sizes |= {
            "roots": found["roots"].shape,
            **dict.fromkeys(("feature", "threshold", "left", "right", "share"), (nodes,)),
        }
        inside, own = found["feature"] >= 0, np.arange(nodes)
        further = [(own < found[side]) & (found[side] < nodes) for side in ("left", "right")]
        if not (np.all(further[0] & further[1] | ~inside) and np.all(found["feature"] < width)):
            raise ValueError("trees that lead nowhere")
        if not (len(found["roots"]) and np.all((found["roots"] >= 0) & (found["roots"] < nodes))):
            raise ValueError("no trees")
    shapes = {name: value.shape for name, value in found.items()}
    odd = [name for name, value in found.items() if value.dtype.kind != ("i" if name in WHOLE else "f")]
    if shapes != sizes or odd:
        raise ValueError(f"{kind} of {shapes}, not numbers of the right kind: {odd}")
    return FITTED[kind](**found)  # type: ignore[arg-type]  # of a regression's intercept
