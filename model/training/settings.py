"""What a run is told to do, beside its phases, and how far it has come."""

from dataclasses import dataclass, field
from typing import Any

from model.training.records import StepSelector


@dataclass(frozen=True)
class Settings:
    """What a run does, beside its phases. A value ``paper`` is what the public code did."""

    seed: int
    target: str
    """Data set whose validation AUROC decides which state is best."""
    batch_norm: str = "recalibrated"
    every: int = 100
    """Epochs between validations."""
    balance: str = "views"
    bfloat16: bool = False
    """Convolutions and matrix products in bfloat16 while training."""
    follow: bool = True
    """Write down the target's test AUROC and its AUROC through the first phase's decision maker too."""
    loss: str = "logits"
    """logits: cross-entropy; paper: cross-entropy of a softmax, as if it were logits; l1 and mse: absolute
    and squared error of the softmax."""
    frozen: str = "eval"
    """eval: a frozen extractor does not change at all; paper: its statistics move and its dropout is on."""
    handover: str = "best"
    """best: a phase that selects its best state hands on all of it; paper: but for the heads, its last."""
    zero_dropout: str = "zero"
    """zero: a dropout of 0 is none; paper: it leaves the former one on."""
    selection: str = "auroc"
    """The validation metric that decides which state is best, of a loss the lowest; paper: neither AUROC nor
    accuracy is lower."""
    gradients: tuple[StepSelector, ...] = (StepSelector("*", 1, 6),)
    """The steps whose gradients are written down; as in the thesis (figure 5.5), once in each phase."""


@dataclass
class Progress:
    """Where a run stands; everything here is JSON."""

    phase: int = 0
    step: int = 0
    """Steps of Adam done in this phase."""
    loss: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Sum and number of the training losses of each data set since the last validation."""
    seen: dict[str, int] = field(default_factory=dict)
    """Training samples of each data set so far."""
    samples: dict[str, int] = field(default_factory=dict)
    """Samples through the network, by phase; and in evaluations, those repeated after a stop included."""
    seconds: dict[str, float] = field(default_factory=dict)
    best: dict[str, Any] | None = None
    """Phase, epoch and validation metrics of the best state of the run."""
    phase_best: dict[str, Any] | None = None
    """The same of the phase at hand, if it selects its best state."""
    selected: list[dict[str, Any]] = field(default_factory=list)
    """The states that phases left behind which select their best."""
    stale: int = 0
    """Validations in this phase since its best state."""
    rates: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the trial of each phase found that asks for its rate; see model.training.finder."""
    schedule: dict[str, Any] = field(default_factory=dict)
    """State of the learning-rate schedule of each optimizer."""
    history: int = 0
    """Bytes of the history."""
    gradients: int = 0
    """Bytes of the table of gradients."""
