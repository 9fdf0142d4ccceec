"""Contenders for the tests of the bench: apart, as another process imports where they come from."""

from workflow.bench.measure import Contender


class Counter(Contender):
    """Counts its runs."""

    def __init__(self, step: int) -> None:
        self.step, self.total = step, 0

    def run(self) -> int:
        self.total += self.step
        return sum(range(100_000))

    def answer(self) -> int:
        return self.total


class Failing(Contender):
    """Leaves without a word."""

    def run(self) -> int:
        raise SystemExit(3)
