"""Which of many random networks starts the training: rules on their AUROCs."""

import math
from collections.abc import Sequence
from typing import Any

Scores = dict[str, float]
"""AUROC of a candidate on each data set that can be scored.

A staged search leaves out those that were not needed: such a candidate cannot win.
"""


def minimum_rule(scores: Sequence[Scores]) -> list[int]:
    """Candidates that were the best so far; the last one is picked.

    Better is the higher minimum over the data sets, then the higher mean, then the lower number. Candidates
    that were not scored on all data sets do not count.
    """
    accepted: list[int] = []
    best = (-math.inf, -math.inf)
    complete = max(map(len, scores))
    for number, candidate in enumerate(scores):
        if len(candidate) == complete and (rank := summary(candidate)) > best:
            best = rank
            accepted.append(number)
    return accepted


def paper_rule(scores: Sequence[Scores]) -> list[int]:
    """The rule of Typhon's public code; the last accepted candidate is picked.

    Candidate 0 is the baseline whatever it scores. A later one replaces the best so far if at least two of
    its heads (all, where there are fewer than two) are strictly better, its AUROCs differ by less than 0.2
    and none is below 0.5. So the pick depends on the order. Candidates after the first that were not scored
    on all data sets do not count.
    """
    accepted = [0]
    for number, candidate in enumerate(scores[1:], start=1):
        if len(candidate) < len(scores[0]):
            continue
        best, values = scores[accepted[-1]], candidate.values()
        better = sum(value > best[name] for name, value in candidate.items())
        if better >= min(2, len(values)) and max(values) - min(values) < 0.2 and min(values) >= 0.5:
            accepted.append(number)
    return accepted


RULES = {"minimum": minimum_rule, "paper": paper_rule}


def summary(scores: Scores) -> tuple[float, float]:
    """Minimum and mean over the data sets; their order does not matter."""
    return min(scores.values()), math.fsum(scores.values()) / len(scores)


def scores_table(
    scores: Sequence[Scores], accepted: Sequence[int], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of scores.csv with a cell for each data set of ``names``, empty where there is no AUROC.

    Minimum and mean are those of candidates that were scored in full, and otherwise empty.
    """
    rows = []
    complete = len(scores[accepted[-1]])
    for number, candidate in enumerate(scores):
        minimum, mean = summary(candidate) if len(candidate) == complete else ("", "")
        cells = {name: candidate.get(name, "") for name in names}
        ends = {"minimum": minimum, "mean": mean}
        marks = {"accepted": int(number in accepted), "picked": int(number == accepted[-1])}
        rows.append({"candidate": number, **cells, **ends, **marks})
    return rows
