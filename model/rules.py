"""Which of many random networks starts the training: rules on their AUROCs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Scores = dict[str, float | None]
"""AUROC of a candidate on each data set; None where it cannot be computed, for every candidate alike."""


def minimum_rule(scores: Sequence[Scores]) -> list[int]:
    """Candidates that were the best so far; the last one is picked.

    Better is the higher minimum over the data sets, then the higher mean, then the lower number. A data set
    whose AUROC is None does not count.
    """
    accepted: list[int] = []
    best = (-math.inf, -math.inf)
    for number, candidate in enumerate(scores):
        if (rank := summary(candidate)) > best:
            best = rank
            accepted.append(number)
    return accepted


def paper_rule(scores: Sequence[Scores]) -> list[int]:
    """The rule of Typhon's public code; the last accepted candidate is picked.

    Candidate 0 is the baseline whatever it scores. A later one replaces the best so far if at least two of
    its heads (all, where there are fewer than two) are strictly better, its AUROCs differ by less than 0.2
    and none is below 0.5. So the pick depends on the order.
    """
    accepted = [0]
    for number, candidate in enumerate(scores[1:], start=1):
        best = scores[accepted[-1]]
        values = [value for value in candidate.values() if value is not None]
        better = sum(
            value > previous
            for value, previous in zip(candidate.values(), best.values(), strict=True)
            if value is not None and previous is not None
        )
        if better >= min(2, len(values)) and max(values) - min(values) < 0.2 and min(values) >= 0.5:
            accepted.append(number)
    return accepted


RULES = {"minimum": minimum_rule, "paper": paper_rule}


def summary(scores: Scores) -> tuple[float, float]:
    """Minimum and mean over the data sets that have an AUROC."""
    values = [value for value in scores.values() if value is not None]
    return min(values), float(np.mean(values))


def scores_table(scores: Sequence[Scores], accepted: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of scores.csv."""
    rows = []
    for number, candidate in enumerate(scores):
        minimum, mean = summary(candidate)
        cells = {name: "" if value is None else value for name, value in candidate.items()}
        ends = {"minimum": minimum, "mean": mean}
        marks = {"accepted": int(number in accepted), "picked": int(number == accepted[-1])}
        rows.append({"candidate": number, **cells, **ends, **marks})
    return rows
