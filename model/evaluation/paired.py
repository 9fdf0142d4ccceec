"""One method less another on the same findings, splits and seeds: how much, how sure, how many more runs.

What varies is kept apart: which patients were tested (in closed form, and groups resampled), how they were
split, and from which start the network was trained (the spread of the paired differences).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf, sqrt

import numpy as np

from model.evaluation.corrected import detectable, difference_interval, missing, runs_needed
from model.evaluation.delong import Areas, mean_areas
from model.evaluation.intervals import REPLICATES, Fold, by_split, draw, percentile, weighted_means
from model.evaluation.metrics import auroc
from model.evaluation.predictions import Predictions
from model.evaluation.summary import folds_of
from pipeline.errors import InputError

DIFFERENCE = 0.03
"""The difference of AUROCs for which ``runs_needed`` counts, unless told otherwise."""
_NAMED = 6
"""Missing runs that are named one by one."""
_DIGITS = 12
"""Decimals of AUROCs that are no rounding: whole numbers of pairs lie further apart."""


class UnpairedError(InputError):
    """Methods that cannot be compared run by run."""

    code = "E-PAIR"
    expected = "the same splits, seeds and findings of every method"
    remedy = "run what is missing, or compare without that method"


@dataclass(frozen=True)
class Runs:
    """What all runs of a method say of the target's test findings; folds and their seeds in order."""

    name: str
    keys: tuple[tuple[int, int], ...]
    """Fold and seed of each run."""
    folds: tuple[Fold, ...]

    def areas(self) -> list[np.ndarray] | None:
        """AUROC of each run, an array per split, mean over problems; None where a test set lacks a class."""
        splits = [
            np.array([[auroc(fold.labels, scores) for scores in fold.scores] for fold in split], float)
            for split in by_split(self.folds)
        ]
        return None if any(np.isnan(values).any() for values in splits) else [v.mean(axis=0) for v in splits]


@dataclass(frozen=True)
class Spread:
    """Standard deviations of one value per run: of a random effect of the split, and one of the start."""

    splits: float | None
    seeds: float | None

    @property
    def run(self) -> float | None:
        """Of a run on a split of its own; None for one split."""
        return None if self.splits is None else sqrt(self.splits**2 + (self.seeds or 0) ** 2)


@dataclass(frozen=True)
class Paired:
    """Methods with the same runs on the same findings, and what all their differences have in common."""

    methods: tuple[Runs, ...]
    drawn: np.ndarray | None
    """(methods, replicates) mean AUROC of each in every resample of the groups, or None and the reason."""
    closed: Areas | None
    """DeLong's, of all methods; None where a fold holds one class."""
    reason: str


@dataclass(frozen=True)
class Difference:
    """``method`` less ``reference``; what is None has its reason in ``reasons``."""

    method: str
    reference: str
    value: float | None = None
    ci95: tuple[float, float] | None = None
    """For other patients, in closed form; ``bootstrap95`` by resampling; ``corrected95`` for other splits."""
    p_delong: float | None = None
    bootstrap95: tuple[float, float] | None = None
    p_groups: float | None = None
    sd_groups: float | None = None
    """Standard deviation over the resamples: what the choice of patients leaves open."""
    corrected95: tuple[float, float] | None = None
    p_corrected: float | None = None
    spread: Spread = Spread(None, None)
    detectable: float | None = None
    """The smallest difference that as many splits find with 80 % power."""
    runs_needed: int | None = None
    reasons: dict[str, str] = field(default_factory=dict)


def collect(name: str, runs: Iterable[Predictions]) -> Runs:
    """The runs of one method, in one state, on one split of one data set."""
    runs = sorted(runs, key=lambda run: (run.fold, run.seed))
    return Runs(name, tuple((run.fold, run.seed) for run in runs), tuple(folds_of(runs)))


def check_paired(methods: Sequence[Runs]) -> None:
    """Raise UnpairedError, naming all that is missing, unless all methods have the same runs and findings."""
    wanted = sorted({key for method in methods for key in method.keys})
    missing = [
        f"no fold {fold} seed {seed} of {method.name}"
        for method in methods
        for fold, seed in wanted
        if (fold, seed) not in method.keys
    ]
    if missing:
        more = [f"and {len(missing) - _NAMED} more"] if len(missing) > _NAMED else []
        raise UnpairedError(", ".join([*missing[:_NAMED], *more]))
    for method in methods[1:]:
        for one, other in zip(methods[0].folds, method.folds, strict=True):
            same = np.array_equal(one.groups, other.groups) and np.array_equal(one.labels, other.labels)
            if not same:
                raise UnpairedError(f"other test findings of {method.name} than of {methods[0].name}")


def pair(methods: Sequence[Runs], generator: np.random.Generator, replicates: int = REPLICATES) -> Paired:
    """Resample the groups once for all methods; raises UnpairedError as ``check_paired`` does."""
    check_paired(methods)
    whole = all(method.areas() is not None for method in methods)
    draws = draw(methods[0].folds, generator, replicates)
    return Paired(
        tuple(methods),
        None if draws.reason else np.stack([weighted_means(method.folds, draws) for method in methods]),
        mean_areas([method.folds for method in methods]) if whole else None,
        draws.reason,
    )


def subtract(
    paired: Paired, first: int, second: int, *, overlap: float, margin: float = DIFFERENCE
) -> Difference:
    """Method ``first`` less method ``second``, by their places, with all its intervals.

    Parameters
    ----------
    overlap : test findings over training findings of a split, see ``model.evaluation.corrected``.
    margin : the difference that ``runs_needed`` should find.
    """
    method, reference = paired.methods[first], paired.methods[second]
    ours, theirs = method.areas(), reference.areas()
    if ours is None or theirs is None or paired.closed is None:
        return Difference(method.name, reference.name, reasons={"difference": paired.reason})
    values = [np.round(one - other, _DIGITS) for one, other in zip(ours, theirs, strict=True)]
    splits = [float(row.mean()) for row in values]
    spread = spread_of(values)
    ci95, p_delong = paired.closed.difference(first, second)
    corrected95, p_corrected = difference_interval(splits, overlap)
    few = missing(splits) if corrected95 is None else ""
    needed = None if few or spread.run is None else runs_needed(spread.run, overlap, margin)
    reasons = {"bootstrap95": paired.reason, "corrected95": few, "detectable": few, "runs_needed": few}
    if ci95 is None:
        reasons["ci95"] = paired.closed.reason or "it is the same whichever group is left out"
    if spread.splits is None:
        reasons["sd_splits"] = "one split"
    if needed is None and spread.run is not None and not few:
        least = detectable(spread.run, overlap, inf)
        reasons["runs_needed"] = (
            f"not reachable on these data, where no number of splits finds a difference below {least:.3f}"
        )
    if spread.seeds is None:
        reasons["sd_seeds"] = "one seed per split; its spread is within that over splits"
    drawn = None
    if paired.drawn is not None:
        # Without their rounding errors replicates that are alike differ by exactly 0.
        drawn = np.round(paired.drawn[first] - paired.drawn[second], _DIGITS)
    return Difference(
        method.name, reference.name,
        value=float(np.concatenate(values).mean()),
        ci95=ci95, p_delong=p_delong,
        bootstrap95=None if drawn is None else percentile(drawn),
        p_groups=None if drawn is None else bootstrap_p(drawn),
        sd_groups=None if drawn is None else float(np.std(drawn, ddof=1)),
        corrected95=corrected95, p_corrected=p_corrected,
        spread=spread,
        detectable=None if few else detectable(float(np.std(splits, ddof=1)), overlap, len(splits)),
        runs_needed=needed,
        reasons={key: why for key, why in reasons.items() if why},
    )  # fmt: skip


def spread_of(values: Sequence[np.ndarray]) -> Spread:
    """Spread of one value per run, an array of seeds per fold, by one-way analysis of variance.

    With one run per split the two cannot be told apart: ``splits`` is that of both, ``seeds`` None. With one
    split there is no telling how others would differ: ``splits`` is None.
    """
    sizes = np.array([len(row) for row in values])
    total, count = int(sizes.sum()), len(values)
    means = np.array([row.mean() for row in values])
    within = None
    if total > count:
        within = sum(float(((row - row.mean()) ** 2).sum()) for row in values) / (total - count)
    seeds = None if within is None else sqrt(within)
    if count < 2:
        return Spread(None, seeds)
    between = float((sizes * (means - sizes @ means / total) ** 2).sum()) / (count - 1)
    usual = (total - float((sizes**2).sum()) / total) / (count - 1)  # seeds per split, if all have as many
    return Spread(sqrt(max(0.0, between - (within or 0.0)) / usual), seeds)


def bootstrap_p(values: np.ndarray) -> float:
    """Two-sided p-value of no difference from the replicates of a difference; 1 if all are 0.

    Twice the rarer side, counting the observed data as one more replicate (Davison & Hinkley 1997), so it is
    never 0. It is below 5 % about where the percentile interval leaves out 0.
    """
    rarer = min(int((values <= 0).sum()), int((values >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(values) + 1))


def holm(values: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted for the family that they are, by Holm 1979; None is no test and does not count."""
    tests = sorted((value, place) for place, value in enumerate(values) if value is not None)
    adjusted: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (value, place) in enumerate(tests):
        highest = max(highest, min(1.0, (len(tests) - rank) * value))
        adjusted[place] = highest
    return adjusted
