"""Where a viewer stands and how it moves, without a window: slices, times, axes, grey window, side up."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

DOUBLINGS = 4
"""How often a drag across the whole picture doubles the width of the window."""
NARROWEST = 1e-6
"""Of a window, as a share of its centre or of 1."""


@dataclass(frozen=True)
class Moves:
    """One picture of many, and how it is shown. A move gives another one; none leads out of the stack.

    Pictures are numbered axis by axis, within an axis time by time, within a time slice by slice: so the
    wheel goes from the last slice of a time to the first of the next, and from the last time to the next
    axis.

    Parameters
    ----------
    counts : slices along each axis that is looked at, in order.
    times : how many there are, at least 1.
    low, high : values that are shown black and white.
    flip : the first row at the bottom.
    """

    counts: Mapping[str, int]
    times: int = 1
    number: int = 0
    low: float = 0.0
    high: float = 1.0
    flip: bool = False

    @property
    def total(self) -> int:
        """Pictures of all axes and times."""
        return self.times * sum(self.counts.values())

    def _first(self, axis: str) -> int:
        """The number of the first picture along an axis."""
        before = list(self.counts)[: list(self.counts).index(axis)]
        return self.times * sum(self.counts[other] for other in before)

    @property
    def axis(self) -> str:
        """Along which the slices follow each other."""
        return [axis for axis in self.counts if self._first(axis) <= self.number][-1]

    @property
    def time(self) -> int:
        """Counted from 0."""
        return (self.number - self._first(self.axis)) // self.counts[self.axis]

    @property
    def slice(self) -> int:
        """Along the axis, counted from 0."""
        return (self.number - self._first(self.axis)) % self.counts[self.axis]

    def at(self, axis: str, slice_: int, time: int = 0) -> "Moves":
        """The nearest picture to this axis, slice and time."""
        count = self.counts[axis]
        time, slice_ = (min(max(value, 0), most - 1) for value, most in ((time, self.times), (slice_, count)))
        return replace(self, number=self._first(axis) + time * count + slice_)

    def step(self, steps: int) -> "Moves":
        """So many pictures on, or back."""
        return replace(self, number=min(max(self.number + steps, 0), self.total - 1))

    def step_time(self, steps: int) -> "Moves":
        """The same slice at a later time, or an earlier one."""
        return self.at(self.axis, self.slice, self.time + steps)

    def turn(self) -> "Moves":
        """The middle slice of the next axis at the same time; after the last axis the first."""
        axes = list(self.counts)
        axis = axes[(axes.index(self.axis) + 1) % len(axes)]
        return self.at(axis, self.counts[axis] // 2, self.time) if len(axes) > 1 else self

    def drag(self, across: float, up: float) -> "Moves":
        """Another window: to the right wider, upwards higher, in widths and heights of the picture."""
        centre = (self.low + self.high) / 2 + up * (self.high - self.low)
        width = (self.high - self.low) * 2.0 ** (DOUBLINGS * across)
        width = max(width, NARROWEST * max(abs(centre), 1.0))
        return replace(self, low=centre - width / 2, high=centre + width / 2)

    def window(self, low: float, high: float) -> "Moves":
        """Another window, from black to white."""
        return replace(self, low=low, high=high)

    def turn_over(self) -> "Moves":
        """Upside down."""
        return replace(self, flip=not self.flip)
