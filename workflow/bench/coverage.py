"""How often each printed interval holds the truth: simulated test sets of correlated findings.

A patient has one to four findings. Half of the variance of what makes a finding positive, and of its score,
is the patient's, so a patient may have findings of both labels, as in PROSTATEx. Two methods are as good:
half of the variance of their scores is shared, half is of the method.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.special import expit, ndtr, ndtri

from model.evaluation.calibration import BIN, MOST_BINS
from model.evaluation.conformal import NEGATIVE as NEGATIVE_BIT
from model.evaluation.conformal import POSITIVE as POSITIVE_BIT
from model.evaluation.conformal import calibrate
from model.evaluation.corrected import area_interval, difference_interval
from model.evaluation.delong import clustered_interval, groups_by_label, mean_areas
from model.evaluation.intervals import Fold, draw, newcombe, percentile, weighted_means
from model.evaluation.metrics import auroc
from pipeline.seeds import stream
from workflow.bench import in_use as of_scores
from workflow.bench.measure import Result, Size

PATIENTS, AREAS = (15, 40, 100), (0.7, 0.9)
MOST_FINDINGS = 4
POSITIVE = 1 / 3
"""Share of the findings."""
SPLITS, TEST, TRAIN = 10, 0.2, 0.6
"""Independent hold-outs of one data set, for the intervals over splits."""
OWN = 0.5
"""Share of the variance of each split's scores that is of its network alone."""
LOSS = 0.1
"""Of AUROC, of the worse external set."""
PROMISED = 0.9
"""Coverage of conformal sets."""
SIMULATIONS = 3000


def cohort(random: np.random.Generator, patients: int, area: float) -> tuple[np.ndarray, ...]:
    """Groups, labels and scores of some patients: (n,), (n,) and (n,); the AUROC of scores is ``area``."""
    groups = np.repeat(np.arange(patients), random.integers(1, MOST_FINDINGS + 1, patients))
    labels = (correlated(random, groups) > ndtri(1 - POSITIVE)).astype(int)
    return groups, labels, correlated(random, groups) + 2**0.5 * ndtri(area) * labels


def correlated(random: np.random.Generator, groups: np.ndarray) -> np.ndarray:
    """A standard normal value per finding; two of a patient have a correlation of one half."""
    own = random.normal(size=groups.max() + 1)[groups]
    return (own + random.normal(size=len(groups))) / 2**0.5


def rescored(
    random: np.random.Generator, groups: np.ndarray, labels: np.ndarray, scores: np.ndarray, area: float
) -> np.ndarray:
    """Scores of another network of the same AUROC: OWN of their variance is new."""
    shift = 2**0.5 * ndtri(area) * labels
    return (1 - OWN) ** 0.5 * (scores - shift) + OWN**0.5 * correlated(random, groups) + shift


def test_sets(random: np.random.Generator, patients: int, area: float) -> Iterator[tuple[Fold, Fold]]:
    """Endlessly: a test set with findings of both labels, as two methods of the same AUROC score it."""
    while True:
        groups, labels, scores = cohort(random, patients, area)
        if 0 < labels.sum() < len(labels):
            first, second = (rescored(random, groups, labels, scores, area) for _ in range(2))
            names = groups.astype(str)
            yield Fold(names, labels, first[None]), Fold(names, labels, second[None])


def one_split(random: np.random.Generator, patients: int, area: float) -> dict[str, bool]:
    """Whether each interval of one test set holds the truth; there is no difference."""
    first, second = next(test_sets(random, patients, area))
    held = {}
    interval, _ = clustered_interval([first])
    held["ci95"] = _holds(interval, area)
    made = mean_areas([[first], [second]])
    positives, negatives = groups_by_label([first])
    held["newcombe"] = _holds(newcombe(float(made.areas[0]), positives, negatives), area)
    apart, _ = made.difference(0, 1)
    held["difference, ci95"] = _holds(apart, 0)
    draws = draw([first], random)
    if draws.reason:
        return held | dict.fromkeys(("bootstrap95", "difference, bootstrap95"), False)
    drawn = [weighted_means([fold], draws) for fold in (first, second)]
    held["bootstrap95"] = _holds(percentile(drawn[0]), area)
    difference = np.round(drawn[0] - drawn[1], 12)
    held["difference, bootstrap95"] = _holds(percentile(difference), 0)
    return held


def several_splits(random: np.random.Generator, patients: int, area: float) -> dict[str, bool]:
    """The same for hold-outs of one data set that test ``patients`` patients each."""
    values: list[tuple[float, float]] = []
    folds: list[Fold] = []
    groups, labels, scores = cohort(random, round(patients / TEST), area)
    while len(values) < SPLITS:
        tested = np.isin(groups, random.permutation(groups.max() + 1)[:patients])
        both = [rescored(random, groups, labels, scores, area)[tested] for _ in range(2)]
        areas = [auroc(labels[tested], each) for each in both]
        if areas[0] is not None and areas[1] is not None:
            values.append((areas[0], areas[0] - areas[1]))
            folds.append(Fold(groups[tested].astype(str), labels[tested], both[0][None]))
    overlap = TEST / TRAIN
    apart, _ = difference_interval([difference for _, difference in values], overlap)
    return {
        f"{SPLITS} splits, ci95": _holds(clustered_interval(folds)[0], area),
        f"{SPLITS} splits, corrected95": _holds(area_interval([each for each, _ in values], overlap), area),
        f"{SPLITS} splits, difference, corrected95": _holds(apart, 0),
    }


def in_use(random: np.random.Generator, patients: int, area: float) -> dict[str, bool]:
    """The same for the figures of scores in use; a slope or a subgroup's figure that is none is left out."""
    fold, _ = next(test_sets(random, patients, area))
    bins = int(np.clip(patients * (1 + MOST_FINDINGS) / 2 // BIN, 2, MOST_BINS))
    truths = of_scores.truths(area, POSITIVE, bins)
    found = of_scores.intervals(fold, area, POSITIVE, random)
    return {
        name: _holds(interval, truths[name])
        for name, interval in found.items()
        if interval is not None or name not in of_scores.SOMETIMES
    }


def apart(random: np.random.Generator, patients: int, area: float) -> dict[str, bool]:
    """Whether the intervals of differences to a test set hold the truth.

    Of an external one to it, as good and LOSS worse; of its own findings, whose scores get as much noise as
    they vary, to the same findings without.
    """
    own, _ = next(test_sets(random, patients, area))
    first = of_scores.part_of(own)
    held = {}
    for name, lost in (("external, as good", 0.0), (f"external, {LOSS:g} worse", LOSS)):
        other, _ = next(test_sets(random, patients, area - lost))
        there = replace(other, groups=np.char.add("external ", other.groups))
        held[name] = _holds(of_scores.difference_of(of_scores.part_of(there), first), -lost)
    noisy = replace(own, scores=own.scores + random.normal(size=own.scores.shape))
    found, _ = mean_areas([[own], [noisy]]).difference(1, 0)
    held["corrupted"] = _holds(found, float(ndtr(ndtri(area) / 2**0.5)) - area)
    return held


def sets(random: np.random.Generator, patients: int, area: float) -> dict[str, bool]:
    """Whether conformal sets of 90 %, chosen on so many patients, hold all findings of a class of a new."""
    fold, _ = next(test_sets(random, patients, area))
    chosen = calibrate(fold.groups, fold.labels, expit(fold.scores[0]), PROMISED)
    held = {}
    for label, name, bit in ((1, "positives", POSITIVE_BIT), (0, "negatives", NEGATIVE_BIT)):
        labels = np.array([1 - label])
        while not (labels == label).any():
            _, labels, scores = cohort(random, 1, area)
        said = chosen(expit(scores))[labels == label]
        held[f"set of {PROMISED:.0%}, {name}"] = bool((said & bit).all())
    return held


def _holds(interval: tuple[float, float] | None, truth: float) -> bool:
    """Whether it holds the truth; where there is none it does not."""
    return interval is not None and interval[0] <= truth <= interval[1]


def bench(size: Size) -> list[Result]:
    """Per cent of simulations in which each interval holds the truth, a result per size and AUROC."""
    results = []
    simulations = 5 if size.quick else SIMULATIONS
    for area in AREAS:
        for patients in PATIENTS:
            names = ("coverage", "in use", "sets", "apart")
            random, used, own, two = (stream("bench", name, area, patients) for name in names)
            held: dict[str, list[bool]] = {}
            for _ in range(simulations):
                found = {
                    **one_split(random, patients, area), **several_splits(random, patients, area),
                    **in_use(used, patients, area), **sets(own, patients, area),
                    **apart(two, patients, area),
                }  # fmt: skip
                for name, holds in found.items():
                    held.setdefault(name, []).append(holds)
            result = Result(
                f"coverage, {patients} test patients, AUROC {area:g}, {simulations:,} simulations", "%"
            )
            result.notes = {name: 100 * float(np.mean(values)) for name, values in held.items()}
            results.append(result)
    return results
