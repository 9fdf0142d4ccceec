"""The highest learning rate that a phase can have: a trial whose rate grows with each step (Smith 2017).

Romero et al., section II.D: it is the one at which the loss is least. The trial is a function of the state
that the phase begins with, and leaves no trace in it, so a run that was cut in one begins it anew.
"""

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from model.training import schedule
from model.training.phase import Phase
from model.training.schedule import Setting
from model.training.steps import PhaseSteps
from model.training.updater import Updater

log = logging.getLogger("typhon")
LOWEST, HIGHEST = 1e-6, 1.0
TRIAL_STEPS = 200
"""Of a trial: 33 for each factor of ten of the rate."""
AROUND = 8
"""A smoothed loss is the mean over so many steps to either side: it does not lag behind the rate."""
DIVERGED = 4.0
"""A trial ends where the mean of the last losses is so many times the least such mean."""


def rate(step: int) -> float:
    """Rate of a step of the trial; it grows by the same factor with each.

    >>> round(rate(0), 9), round(rate(199), 9)
    (1e-06, 1.0)
    """
    return float(LOWEST * (HIGHEST / LOWEST) ** (step / (TRIAL_STEPS - 1)))


def smoothed(losses: Sequence[float]) -> np.ndarray:
    """Mean of each loss and of its neighbours, (n,); nan where there are not as many on both sides."""
    found = np.full(len(losses), math.nan)
    width = 2 * AROUND + 1
    if len(losses) >= width:
        found[AROUND : len(losses) - AROUND] = np.convolve(losses, np.full(width, 1 / width), "valid")
    return found


def best_rate(losses: Sequence[float]) -> float:
    """The rate with the least smoothed loss; the lowest one where the trial was too short to smooth any."""
    means = smoothed(losses)
    return rate(int(np.nanargmin(means))) if np.isfinite(means).any() else LOWEST


def diverged(losses: Sequence[float]) -> bool:
    """Whether a trial need not go on: its last loss is no number, or the last ones are far too high."""
    if not math.isfinite(losses[-1]):
        return True
    if len(losses) <= AROUND:
        return False
    means = np.convolve(losses, np.full(AROUND, 1 / AROUND), "valid")
    return bool(means[-1] > DIVERGED * means.min())


def trial(phase: Phase) -> Phase:
    """The phase as it is tried: at the highest rate, with all layers that will ever move."""
    layers = phase.layers and dataclasses.replace(phase.layers, unfreeze=())
    return dataclasses.replace(
        phase, name=f"{phase.name}, rate", learning_rate=HIGHEST, schedule=None, layers=layers
    )


def find(
    updater: Updater,
    tried: Phase,
    steps: PhaseSteps,
    dropout: Mapping[str, float],
    features: Callable[[str], Tensor],
    stopping: Callable[[], None],
) -> tuple[dict[str, Any], int]:
    """The ``rate`` for a phase that is about to begin and the ``losses`` of the trial, and its samples.

    Parameters
    ----------
    tried : what :func:`trial` made of the phase; ``steps`` are its steps.
    dropout, features : as :meth:`Updater.begin` takes them.
    stopping : is called after each step, and may raise.
    """
    before = {name: value.clone() for name, value in updater.state().items()}
    updater.begin(tried, TRIAL_STEPS, dropout, features)
    losses: list[float] = []
    samples = 0
    for number in range(TRIAL_STEPS):
        batch = steps.batch(number)
        schedule.apply(Setting(rate(number) / HIGHEST), updater.optimizers[steps.optimizer(batch)], HIGHEST)
        losses.append(float(steps.loss(updater.step(tried, steps, batch, number), batch)))
        samples += sum(len(drawn) for _, drawn in batch)
        stopping()
        if diverged(losses):
            break
    updater.end()
    updater.go_back(before)
    if not math.isfinite(losses[-1]):
        losses.pop()
    found = best_rate(losses)
    log.info("%s: the loss of %d steps is least at a rate of %.3g", tried.name, len(losses), found)
    return {"rate": found, "losses": losses}, samples
