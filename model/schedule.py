"""How the learning rate changes within a phase: data in the phase, a scheduler of torch here."""

import math
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

PAPER_EPSILON = 1e-8
"""The least change of a rate that torch makes by default, which the published rates fall below."""


class Plateau:
    """Multiply the rate by ``factor`` after more than ``patience`` validations without progress.

    Thesis 5.2.3.

    State is JSON, so that a checkpoint can hold it.
    """

    def __init__(self, schedule: Mapping[str, Any], optimizer: Optimizer) -> None:
        paper = schedule.get("watch") == "paper"
        self._split = "train" if paper else "validation"
        self._scheduler = ReduceLROnPlateau(
            optimizer,
            mode="min" if paper else "max",
            factor=schedule["factor"],
            patience=schedule["patience"],
            eps=PAPER_EPSILON if paper else 0.0,
        )

    def observe(self, aurocs: Mapping[str, float | None]) -> None:
        """Take note of a validation: AUROC by split."""
        value = aurocs[self._split]
        if value is not None:
            self._scheduler.step(value)

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
