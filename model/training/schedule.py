"""How the learning rate changes within a phase.

A curve is a pure function of the step and the number of steps, so a run goes on in the middle of one without
any state. A plateau looks at validations instead; what it has seen is JSON.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

PAPER_EPSILON = 1e-8
"""The least change of a rate that torch makes by default, which the published rates fall below."""


@dataclass(frozen=True)
class Setting:
    """What a curve says of a step."""

    rate: float
    """Share of the phase's learning rate."""
    momentum: float | None = None
    """Of SGD, or the first beta of Adam; None leaves it."""


def between(step: int, steps: int, start: float, end: float) -> float:
    """Half a cosine from ``start`` at step 0 to ``end`` at step ``steps``."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * step / steps))


def cosine(step: int, total: int, *, end: float = 0.0) -> Setting:
    """The rate falls along half a cosine, to the share ``end`` of it after the last step."""
    return Setting(between(step, total, 1.0, end))


def one_cycle(
    step: int,
    total: int,
    *,
    rise: float = 0.3,
    start: float = 1 / 25,
    end: float = 1 / 25_000,
    momentum: tuple[float, float] = (0.95, 0.85),
) -> Setting:
    """The rate rises over a share ``rise`` of the steps and falls over the rest; momentum does the reverse.

    Romero et al., with their numbers: from 1/25 of the rate to all of it, and down to 1/25,000.
    """
    cut = min(total, math.ceil(rise * total))
    high, low = momentum
    if step < cut:
        return Setting(between(step, cut, start, 1.0), between(step, cut, high, low))
    step, rest = step - cut, max(1, total - cut)
    return Setting(between(step, rest, 1.0, end), between(step, rest, low, high))


CURVES: dict[str, Callable[..., Setting]] = {"cosine": cosine, "one-cycle": one_cycle}


def curve(schedule: Mapping[str, Any] | None, step: int, total: int) -> Setting | None:
    """What the schedule of a phase says of a step, if it is a curve."""
    if schedule is None or schedule["kind"] not in CURVES:
        return None
    numbers = {key: value for key, value in schedule.items() if key != "kind"}
    return CURVES[schedule["kind"]](step, total, **numbers)


def apply(setting: Setting, optimizer: Optimizer, rate: float) -> None:
    """Set the rate of an optimizer whose phase has ``rate``, and its momentum."""
    for group in optimizer.param_groups:
        group["lr"] = setting.rate * rate * group["share"]
        if setting.momentum is not None:
            if "betas" in group:
                group["betas"] = (setting.momentum, group["betas"][1])
            else:
                group["momentum"] = setting.momentum


WATCHED: dict[str, tuple[str, Literal["min", "max"]]] = {
    "validation": ("validation", "max"),
    "loss": ("loss", "min"),
    "paper": ("train", "min"),
}
"""What a plateau looks at in a validation, and which way it should go, by its ``watch``."""
ROUNDING = 1e-9
"""Share of a rate that multiplications may be off."""


class Plateau:
    """Multiply the rate by ``factor`` after more than ``patience`` validations without progress.

    Thesis 5.2.3; with ``watch: loss``, ``factor: 0.1``, ``patience: 0`` and ``until: 1e-6`` it is the regular
    training of Romero et al. (section II.D, and their public code).

    State is JSON, so that a checkpoint can hold it.
    """

    def __init__(self, schedule: Mapping[str, Any], optimizer: Optimizer) -> None:
        paper = schedule.get("watch") == "paper"
        self._seen, mode = WATCHED[schedule.get("watch", "validation")]
        self._until: float = schedule.get("until", 0.0)
        self._scheduler = ReduceLROnPlateau(
            optimizer,
            mode=mode,
            factor=schedule["factor"],
            patience=schedule["patience"],
            eps=PAPER_EPSILON if paper else 0.0,
        )

    def observe(self, values: Mapping[str, float | None]) -> None:
        """Take note of a validation: AUROC by split, and the loss of validation."""
        value = values[self._seen]
        if value is not None:
            self._scheduler.step(value)

    @property
    def over(self) -> bool:
        """Whether the rate, that of the heads, has fallen below the last one to train with."""
        rate: float = self._scheduler.optimizer.param_groups[-1]["lr"]
        return rate < self._until * (1 - ROUNDING)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, the rate included."""
        kept = ("best", "num_bad_epochs", "last_epoch", "cooldown_counter", "_last_lr")
        state = {key: value for key, value in self._scheduler.state_dict().items() if key in kept}
        return state if math.isfinite(state["best"]) else {**state, "best": None}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state; sets the rate of the optimizer."""
        best = self._scheduler.best if state["best"] is None else state["best"]
        self._scheduler.load_state_dict({**state, "best": best})
        for group, rate in zip(self._scheduler.optimizer.param_groups, state["_last_lr"], strict=True):
            group["lr"] = rate
