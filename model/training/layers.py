"""Which layers of a network a phase moves, how fast, and from when on. No torch, since the plan checks it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Layers:
    """Groups of layers of the extractor, from the image to the heads; the heads have the whole rate."""

    groups: int | None = None
    """Into how many consecutive groups the layers are parted, as equal as can be; None is each on its own."""
    decay: float = 1.0
    """Rate of a group as a share of that of the next one towards the heads."""
    fixed: float = 0.0
    """Share of the groups, those nearest the image, that never move."""
    unfreeze: Sequence[float] = ()
    """Shares of the phase's steps at which the last group but one, the one before it and so on begin to move;
    the last one moves from the first step. Without any, all do."""

    def factors(self, count: int) -> list[float]:
        """Rate of each of ``count`` groups as a share of the phase's.

        >>> Layers(decay=0.5).factors(3)
        [0.25, 0.5, 1.0]
        """
        return [self.decay ** (count - 1 - number) for number in range(count)]

    def starts(self, count: int) -> list[float]:
        """Share of the steps after which each of ``count`` groups moves; inf for those that never do.

        >>> Layers(unfreeze=[0.1, 0.2]).starts(3)
        [0.2, 0.1, 0.0]
        >>> Layers(fixed=1 / 3).starts(3)
        [inf, 0.0, 0.0]
        """
        shares = [0.0, *self.unfreeze, *[0.0] * count][:count]
        fixed = math.floor(self.fixed * count + 0.5)
        return [math.inf if number < fixed else shares[count - 1 - number] for number in range(count)]


def problems(layers: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """What is expected of the ``layers`` of a phase, and what was found instead."""
    if layers is None:
        return
    if odd := sorted(set(layers) - set(Layers.__dataclass_fields__)):
        yield f"layers with {', '.join(Layers.__dataclass_fields__)}", " ".join(odd)
        return
    found = Layers(**layers)
    if found.groups is not None and found.groups < 1:
        yield "groups: 1 or more", str(found.groups)
    if not 0 < found.decay <= 1:
        yield "a decay above 0, and 1 at most", str(found.decay)
    if not 0 <= found.fixed <= 1:
        yield "fixed: a share from 0 to 1", str(found.fixed)
    if found.unfreeze and found.groups != len(found.unfreeze) + 1:
        yield f"groups: {len(found.unfreeze) + 1} with {len(found.unfreeze)} to unfreeze", str(found.groups)
    if list(found.unfreeze) != sorted(found.unfreeze) or not all(0 <= share < 1 for share in found.unfreeze):
        yield "unfreeze: rising shares from 0 to below 1", str(list(found.unfreeze))
