"""A paired difference with its interval over groups: ours against a loop over replicates and runs."""

import numpy as np

from model.evaluation.intervals import REPLICATES, Fold, draw, weighted_means
from model.evaluation.metrics import auroc
from pipeline.seeds import stream
from workflow.bench.measure import Contender, Result, Size, compare

FOLDS, SEEDS = 5, 4
"""Twenty paired runs."""


def folds(method: str, findings: int) -> list[Fold]:
    """Test sets of two findings per patient, a third of them positive, as the runs of a method score them."""
    made = []
    for number in range(FOLDS):
        labels = (np.arange(findings) % 3 == 0).astype(int)
        scores = stream("bench", method, number).normal(size=(SEEDS, findings)) + labels
        groups = stream("bench", "groups", number).permutation(findings)[: findings // 2]
        made.append(Fold(np.repeat(groups, 2).astype(str), labels, scores))
    return made


class _Statistics(Contender):
    def __init__(self, replicates: int, findings: int) -> None:
        self.replicates = replicates
        self.methods = [folds(name, findings) for name in ("method", "reference")]
        self.values = np.zeros(0)

    def answer(self) -> list[float]:
        """The difference in each replicate."""
        return self.values.tolist()


class Plain(_Statistics):
    """Each replicate written out: the findings of the drawn groups, an AUROC per run, the mean difference."""

    def run(self) -> int:
        """All replicates, on the same draws as ours."""
        draws = draw(self.methods[0], stream("bench", "draws"), self.replicates)
        values = []
        for counts in draws.counts:
            means = []
            for method in self.methods:
                areas = []
                for fold, own in zip(method, draws.members, strict=True):
                    copies = np.repeat(np.arange(len(own)), counts[own])
                    labels = fold.labels[copies]
                    areas += [auroc(labels, scores[copies]) or 0.0 for scores in fold.scores]
                means.append(np.mean(areas))
            values.append(means[0] - means[1])
        self.values = np.array(values)
        return self.replicates


class Ours(_Statistics):
    """Matrix products over all replicates at once."""

    def run(self) -> int:
        """All replicates."""
        draws = draw(self.methods[0], stream("bench", "draws"), self.replicates)
        method, reference = (weighted_means(folds, draws) for folds in self.methods)
        self.values = method - reference
        return self.replicates


def bench(size: Size) -> list[Result]:
    """Replicates per second of twenty paired runs, and how long those of an interval take."""
    result = Result("statistics, 20 paired runs", "replicates/s", goal=10)
    replicates, findings = (20, 24) if size.quick else (REPLICATES, 180)
    plain, ours = compare(result, Plain, Ours, replicates, findings, rounds=size.rounds)
    seconds = REPLICATES / float(np.median(result.ours))
    result.notes = {
        "largest_difference": float(np.abs(np.subtract(plain, ours)).max()),
        f"our_seconds_for_{REPLICATES:,}_replicates": seconds,
        "goal_in_seconds": 5,
    }
    return [result]
