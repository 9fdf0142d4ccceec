"""Pictures of scores in use: reliability, precision and recall, what decisions are worth, what stays open."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.evaluation import conformal
from model.evaluation.assessed import CALIBRATED, SCORE, Assessed
from model.evaluation.calibration import bins
from model.evaluation.clustered import Estimate, Statistic, estimate, mean
from model.evaluation.intervals import Fold
from model.evaluation.ranking import average_precision, net_benefit, pooled, precision_at
from model.report.drawing import CHANCE, COLOURS, GREY, figure

COLUMNS = 4
"""Panels beside each other."""
BANDS = 3
"""Curves whose bands do not yet hide each other."""
RECALLS = np.linspace(0.0, 1.0, 101)
THRESHOLDS = np.linspace(0.01, 0.99, 99)
COVERAGES = np.linspace(0.5, 0.99, 50)


def _drawn(problems: Sequence[Assessed]) -> Iterator[tuple[Assessed, str, float]]:
    """Each with its colour and the width of its line: one that lies under others shows at their sides."""
    widths = np.linspace(1.6 + 1.6 * min(len(problems) - 1, BANDS), 1.6, len(problems))
    yield from zip(problems, cycle(COLOURS), widths.tolist())


def plot_reliability(problems: Sequence[Assessed], title: str) -> Figure:
    """A panel per method and problem: share of positives over mean score of each bin, before and after."""
    columns = min(COLUMNS, len(problems))
    rows = -(-len(problems) // columns)
    made = figure(max(4.6, 3.4 * columns), 0.9 + 3.5 * rows)
    grid = made.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, one in zip(grid, problems, strict=False):
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=CHANCE)
        for kind, colour, marker in ((SCORE, COLOURS[1], "s"), (CALIBRATED, COLOURS[0], "o")):
            _draw_bins(axes, one, kind, colour, marker)
        axes.set_title(one.called, loc="left")
        if why := one.gap or one.uncalibrated:
            axes.text(0.5, 0.03, f"not calibrated: {why}", ha="center", fontsize="small", wrap=True)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    for axes in grid[len(problems) :]:
        axes.set_visible(False)
    made.supxlabel("mean score of the findings of a bin")
    made.supylabel("share of them that are positive")
    made.suptitle(title, x=0.01, ha="left", fontsize=11)
    handles = [
        grid[0].plot([], [], marker=marker, color=colour, linewidth=1.2, label=label)[0]
        for label, colour, marker in (("score", COLOURS[1], "s"), ("calibrated", COLOURS[0], "o"))
    ]
    made.legend(handles=handles, loc="outside upper right", ncols=2)
    return made


def _share_among(findings: np.ndarray) -> Statistic:
    """The share of positives among some findings, whatever they score."""
    return lambda labels, _: mean(labels.astype(float), findings)


def _draw_bins(axes: Axes, one: Assessed, kind: str, colour: str, marker: str) -> None:
    folds = None if one.gap else one.tested(kind)
    if folds is None:
        return
    every = pooled(folds)
    scores = every.scores[0]
    bin_of = bins(scores)
    places, shares, ends = [], [], []
    for number in range(bin_of.max() + 1):
        here = bin_of == number
        made = estimate([every], _share_among(here))
        if made is not None:
            places.append(float(scores[here].mean()))
            shares.append(made.value)
            ends.append(made.proportion())
    axes.vlines(places, *np.array(ends).T, color=colour, linewidth=1, alpha=0.6)
    axes.plot(places, shares, marker=marker, color=colour, linewidth=1.2, markersize=4)


def plot_precision(problems: Sequence[Assessed], title: str) -> Figure:
    """Precision over recall of each method and problem, mean of its runs, and the share of positives."""
    made = figure(8.6, 5.2)
    axes = made.add_subplot()
    shares: set[float] = set()
    for one, colour, width in _drawn(problems):
        folds = one.tested(SCORE)
        if one.gap or folds is None:
            axes.plot([], [], color=colour, label=f"{one.called}: {one.gap}")
            continue
        curves = [precision_at(fold.labels, scores, RECALLS) for fold in folds for scores in fold.scores]
        whole = estimate(folds, average_precision, compares=True)
        low, high = whole.ranked() if whole else (np.nan, np.nan)
        value = whole.value if whole else np.nan
        label = f"{one.called}: {value:.3f} [{low:.3f}, {high:.3f}]"
        axes.step(RECALLS, np.mean(curves, axis=0), where="pre", color=colour, linewidth=width, label=label)
        shares.add(float(pooled(folds).labels.mean()))
    for share in shares:
        axes.axhline(share, color=GREY, linewidth=1, linestyle=CHANCE)
    axes.plot([], [], color=GREY, linewidth=1, linestyle=CHANCE, label="guessing")
    axes.set(xlabel="recall (sensitivity)", ylabel="precision (positive predictive value)")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(title, loc="left")
    made.legend(loc="outside right upper", title="average precision, 95 %")
    return made


def plot_decisions(problems: Sequence[Assessed], title: str) -> Figure:
    """Net benefit of each method and problem over the probability from which one would act."""
    made = figure(8.6, 5.2)
    axes = made.add_subplot()
    top = 0.05
    for one, colour, width in _drawn(problems):
        folds = None if one.gap else one.tested(CALIBRATED)
        if folds is None:
            axes.plot([], [], color=colour, label=f"{one.called}: {one.gap or 'not calibrated'}")
            continue
        every = pooled(folds)
        share = float(every.labels.mean())
        top = max(top, share)
        worth = [_worth(every, threshold) for threshold in THRESHOLDS]
        if len(problems) <= BANDS:
            low, high = np.array([each.plain() or (np.nan, np.nan) for each in worth]).T
            axes.fill_between(THRESHOLDS, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.plot(THRESHOLDS, [each.value for each in worth], color=colour, linewidth=width, label=one.called)
        everybody = share - (1 - share) * THRESHOLDS / (1 - THRESHOLDS)
        axes.plot(THRESHOLDS, everybody, color=GREY, linewidth=1, linestyle=CHANCE)
    axes.plot([], [], color=GREY, linewidth=1, linestyle=CHANCE, label="act on all")
    axes.axhline(0, color=GREY, linewidth=1, label="act on none")
    axes.set(xlabel="probability from which one acts", ylabel="net benefit, true positives per finding")
    axes.set(xlim=(0, 1), ylim=(-0.3 * top, 1.15 * top))
    axes.set_title(title, loc="left")
    made.legend(loc="outside right upper")
    return made


def plot_abstain(problems: Sequence[Assessed], title: str) -> Figure:
    """Share of wrong decisions of each method and problem over the share of findings that it leaves open."""
    made = figure(8.6, 5.2)
    axes = made.add_subplot()
    top = 0.14
    for one, colour, width in _drawn(problems):
        folds = None if one.gap else one.rulings()
        every = None if folds is None else pooled(folds)
        found = [_left_open(every, level) for level in COVERAGES] if every else []
        points = [point for point in found if point is not None]
        if not points:
            axes.plot([], [], color=colour, label=f"{one.called}: {one.gap or 'decides nothing'}")
            continue
        left, wrong, low, high = np.array(sorted(set(points))).T
        top = max(top, 1.4 * float(wrong.max()))
        if len(problems) <= BANDS:
            top = max(top, float(high.max()))
            axes.fill_between(left, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.plot(left, wrong, marker="o", markersize=3, color=colour, linewidth=width, label=one.called)
    axes.set(xlabel="share of findings left to a person", ylabel="share of the decided that are wrong")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.01, min(top + 0.01, 1.01)))
    axes.set_title(title, loc="left")
    made.legend(loc="outside right upper")
    return made


def _left_open(every: Fold, level: float) -> tuple[float, float, float, float] | None:
    """The share of findings that are not decided at a coverage, and that of the decided which are wrong."""
    sure = np.abs(every.scores) >= level - 1e-9
    said = np.where(~sure, 0, np.where(every.scores < 0, conformal.NEGATIVE, conformal.POSITIVE))
    folds = [replace(every, scores=said.astype(float))]
    share, error = (estimate(folds, what) for what in (conformal.decided, conformal.wrong))
    if share is None or error is None:
        return None
    return (1 - share.value, error.value, *error.proportion())


def _worth(every: Fold, threshold: float) -> Estimate:
    made = estimate([every], lambda labels, probabilities: net_benefit(labels, probabilities, threshold))
    assert made is not None
    return made
