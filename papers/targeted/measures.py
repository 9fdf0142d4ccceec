"""What our runs say beside each claim of the paper."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.evaluation.paired import Difference
from papers.targeted import Claim
from papers.targeted.differences import paired_difference
from papers.targeted.points import Curves, ScoredRuns, auroc_of_chosen, choose, common

NOT_RUN = "not run"
BAR = 0.7
"""The AUROC that the paper calls a barrier."""
Ours = tuple[str, str]
"""Text and interval."""


@dataclass(frozen=True)
class Evidence:
    """All points of an experiment, and the test findings of their runs."""

    curves: Curves
    scored: ScoredRuns
    overlap: float
    """Test over training findings of a split."""

    def numbers(self, *methods: str) -> list[int]:
        """The numbers of findings that all of these have; none where one was not run."""
        if any(name not in self.curves for name in methods):
            return []
        return common(self.curves[name] for name in methods)

    def difference(self, method: str, reference: str, numbers: Sequence[int]) -> Difference:
        """The mean difference over these numbers."""
        runs = [self.scored.runs(name, numbers) for name in (method, reference)]
        return paired_difference(runs[0], runs[1], self.overlap)


def ours(claim: Claim, evidence: Evidence) -> Ours:
    """What stands beside a claim, with its 95 % interval for other patients where it has one."""
    return MEASURES[claim.measure](claim, evidence)


def spelt(interval: Sequence[float] | None) -> str:
    """An interval as tables have it."""
    return "" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def _auroc(claim: Claim, evidence: Evidence) -> Ours:
    point = evidence.curves.get(claim.method, {}).get(claim.findings or 0)
    if point is None or point.auroc is None:
        return NOT_RUN, ""
    return f"{point.auroc:.3f}", spelt(point.result["ci95"])


def _difference(claim: Claim, evidence: Evidence) -> Ours:
    numbers = evidence.numbers(claim.method, claim.reference)
    if not numbers:
        return NOT_RUN, ""
    found = evidence.difference(claim.method, claim.reference, numbers)
    return ("–" if found.value is None else f"{found.value:+.3f}"), spelt(found.ci95)


def _gain(claim: Claim, evidence: Evidence, number: int | None = None) -> Ours:
    """Of the reference's AUROC, in percent; the interval is that of the difference, over it."""
    number = number or claim.findings or 0
    if number not in evidence.numbers(claim.method, claim.reference):
        return NOT_RUN, ""
    base = evidence.curves[claim.reference][number].auroc
    found = evidence.difference(claim.method, claim.reference, [number])
    if not base or found.value is None:
        return "–", ""
    share = [100 * value / base for value in (found.value, *(found.ci95 or ()))]
    return f"{share[0]:+.0f} %", f"[{share[1]:.0f} %, {share[2]:.0f} %]" if found.ci95 else ""


def _best_gain(claim: Claim, evidence: Evidence) -> Ours:
    """The largest one over the numbers of findings, and where that is."""
    numbers = evidence.numbers(claim.method, claim.reference)
    shares = {
        number: (own.auroc or 0) / base.auroc
        for number in numbers
        for own, base in [(evidence.curves[claim.method][number], evidence.curves[claim.reference][number])]
        if base.auroc
    }
    if not shares:
        return NOT_RUN, ""
    best = max(shares, key=lambda number: shares[number])
    text, interval = _gain(claim, evidence, best)
    return f"{text} at {best}", interval


def _from_on(numbers: Sequence[int], holds: Callable[[int], bool]) -> str:
    """The least number from which on something holds for all."""
    least = None
    for number in reversed(numbers):
        if not holds(number):
            break
        least = number
    return f"{least}" if least is not None else f"none up to {numbers[-1]}"


def _matches(claim: Claim, evidence: Evidence) -> Ours:
    """From where on the AUROC is not below that of the reference."""
    numbers = evidence.numbers(claim.method, claim.reference)
    own, base = (evidence.curves.get(name, {}) for name in (claim.method, claim.reference))
    return (
        _from_on(numbers, lambda n: (own[n].auroc or 0) >= (base[n].auroc or 0)) if numbers else NOT_RUN
    ), ""


def _beats(claim: Claim, evidence: Evidence) -> Ours:
    """From where on the interval of the difference lies above 0."""
    numbers = evidence.numbers(claim.method, claim.reference)

    def better(number: int) -> bool:
        interval = evidence.difference(claim.method, claim.reference, [number]).ci95
        return interval is not None and interval[0] > 0

    return (_from_on(numbers, better) if numbers else NOT_RUN), ""


def _above(claim: Claim, evidence: Evidence) -> Ours:
    """From where on the AUROC is above the bar; in brackets, its interval too."""
    points = evidence.curves.get(claim.method, {})
    if not points:
        return NOT_RUN, ""
    numbers = list(points)
    low = {number: (points[number].result["ci95"] or [0])[0] for number in numbers}
    return (
        _from_on(numbers, lambda n: (points[n].auroc or 0) > BAR),
        f"with its interval {_from_on(numbers, lambda n: low[n] > BAR)}",
    )


def _best_below(claim: Claim, evidence: Evidence) -> Ours:
    """With what validation chooses of all methods, at the largest number below; over numbers the highest."""
    below = {
        name: {number: point for number, point in points.items() if number < (claim.findings or 0)}
        for name, points in evidence.curves.items()
    }
    found = auroc_of_chosen(below, choose(below))
    if not found:
        return NOT_RUN, ""
    best = max(found, key=lambda number: found[number])
    return f"{found[best]:.3f} at {best}", ""


MEASURES: dict[str, Callable[[Claim, Evidence], Ours]] = {
    "auroc": _auroc, "difference": _difference, "gain": _gain, "best_gain": _best_gain,
    "matches": _matches, "beats": _beats, "above": _above, "best_below": _best_below,
}  # fmt: skip
"""By the name that ``claims.csv`` has."""
