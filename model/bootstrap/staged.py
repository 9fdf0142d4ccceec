"""Find the network that exhaustive scoring would pick while scoring most candidates only in part.

Two things save work. One is exact: a data set on which a candidate scores below the lowest AUROC of the best
one so far ends it. The other is a bound: a cheap stage (few views, few patches for batch-norm statistics,
the same for all candidates) estimates the AUROC of the full stage *on the same findings*, so its error is
not that of a sample of patients, which is large, but that of the views and statistics, which is small and is
measured on the candidates that were scored both ways.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from scipy.special import stdtrit

from model.bootstrap.rules import Scores

PILOT = 8
"""Candidates scored in all stages first, which show how far a cheap stage is off."""
RISK = 1e-3
"""How likely a normal error lies beyond the bound, for each data set and stage."""

Score = Callable[[int, int, str], float]
"""AUROC of a candidate in a stage on a data set."""


class Race:
    """A search for the highest minimum AUROC over data sets among ``count`` candidates.

    Parameters
    ----------
    steps : by data set, the smallest difference that AUROCs can have; no bound is closer than that.
    stages : how many stages there are; the last one is the full one.
    score : asked for each value at most once.
    """

    def __init__(self, count: int, steps: Mapping[str, float], stages: int, score: Score) -> None:
        self._count = count
        self._steps = steps
        self._last = stages - 1
        self._score = score
        self._known: dict[tuple[int, str], dict[int, float]] = defaultdict(dict)
        self._errors: dict[tuple[int, str], list[float]] = defaultdict(list)
        self._best = -math.inf
        self._waiting: list[list[tuple[float, int]]] = [[] for _ in range(stages)]

    def run(self) -> list[Scores]:
        """Full AUROCs of each candidate as far as they were needed; those of the winner are complete."""
        pilot = min(PILOT, self._count) if self._last else 0
        for candidate in range(pilot):
            for name in self._steps:
                for stage in range(self._last + 1):
                    self._ask(candidate, stage, name)
            self._best = max(self._best, self._lowest(candidate, self._last))
        for candidate in range(pilot, self._count):
            self._advance(candidate, 0)
        for stage in range(1, self._last + 1):
            # The most promising first: the higher the best, the more of the others are out at once.
            for _, candidate in sorted(self._waiting[stage], key=lambda entry: (-entry[0], entry[1])):
                if all(self._may_win(candidate, stage - 1, name) for name in self._steps):
                    self._advance(candidate, stage)
        return [
            {
                name: known[self._last]
                for name in self._steps
                if self._last in (known := self._known[candidate, name])
            }
            for candidate in range(self._count)
        ]

    def _advance(self, candidate: int, stage: int) -> None:
        """Score a candidate in a stage, and on to the full one while it looks better than the best."""
        for name in self._steps:
            self._ask(candidate, stage, name)
            if not self._may_win(candidate, stage, name):
                return
        lowest = self._lowest(candidate, stage)
        if stage == self._last:
            self._best = max(self._best, lowest)
        elif lowest > self._best:
            self._advance(candidate, stage + 1)
        else:
            self._waiting[stage + 1].append((lowest, candidate))

    def _ask(self, candidate: int, stage: int, name: str) -> None:
        known = self._known[candidate, name]
        known[stage] = self._score(candidate, stage, name)
        if stage == self._last:
            for earlier in range(stage):
                self._errors[earlier, name].append(known[stage] - known[earlier])

    def _may_win(self, candidate: int, stage: int, name: str) -> bool:
        """False if the AUROC surely falls below the best minimum; an equal one may still win by its mean."""
        return self._known[candidate, name][stage] + self._margin(stage, name) >= self._best

    def _margin(self, stage: int, name: str) -> float:
        """How far the full AUROC may lie above that of a stage."""
        if stage == self._last:
            return 0.0
        errors = self._errors[stage, name]
        spread = math.sqrt(sum(error**2 for error in errors) / len(errors))
        return float(stdtrit(len(errors), 1 - RISK)) * max(spread, self._steps[name])

    def _lowest(self, candidate: int, stage: int) -> float:
        return min(self._known[candidate, name][stage] for name in self._steps)


def early_break(count: int, names: Sequence[str], score: Callable[[int, str], float]) -> list[Scores]:
    """The published shortcut: candidates but the first are out at their first AUROC below 0.5; exact."""
    found: list[Scores] = []
    for candidate in range(count):
        found.append({})
        for name in names:
            value = found[-1][name] = score(candidate, name)
            if candidate and value < 0.5:
                break
    return found
