"""How long an experiment takes and what it writes, by step, before any of it has run: an estimate.

Findings are counted by :mod:`workflow.check`. A step costs its jobs, at COSTS scaled to this machine by a
probe of a tenth of a second, and its findings: pictures are read and cut, and networks make a batch and a
step of training, here and now, and that is multiplied. So half or twice as much is possible; an
hour for an estimate of a minute is.
"""

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from threadpoolctl import threadpool_limits

from model.baselines.methods import BASELINES, MEASURED, STACKED
from model.networks import weights_of
from pipeline.errors import InputError
from workflow.config import networks
from workflow.config.collections import channels_of
from workflow.plan import baselines, runs, start, targets, training

COSTS = {
    "job": 0.4,  # that needs pandas; by `./run`, which has imported it
    "network job": 1.0,  # that needs torch as well
    "page": 1.0,  # or picture of the report
    "fit": 1.8e-8,  # of a regression, for each feature of each sample
    "fit of measures": 2.7e-5,  # of a learner of radiomics or intensities, for each sample
    "file": 4e-3,  # whose header is read
    "MB": 0.02,  # of pixels that are read
    "cut view": 2.5e-4,
    "measured view": 8e-4,  # its radiomics
}
"""Processor seconds each."""
PROBE = 0.0116
"""Processor seconds of :func:`probe` on the machine where COSTS were measured, in the same minute."""
SLOWEST = 5.0
"""A probe that takes so many times as long was disturbed."""
FEATURES = {"last": 1280, "layers": 4960}
"""Of a view, those of Lite0: for a network that is not there."""
BATCH = 8
"""Patches whose forward pass, and step of training, are timed."""
MISSING = (InputError, OSError, ImportError, ValueError)
"""What a network raises that is not there, or whose weights are not."""


@dataclass(frozen=True)
class Data:
    """What is known of a data set: None where it takes reading series to know."""

    findings: int | None
    seconds: float | None
    """Of one core, to read and cut all of them, where some were tried."""
    read_mb: float | None
    """Of the slices that are kept."""
    cut_mb: float | None
    """Of the patches."""
    files: int = 0
    raw_mb: float = 0.0


@dataclass(frozen=True)
class StepCost:
    """What a part of an experiment costs."""

    name: str
    jobs: int
    seconds: float | None
    """Of one core; None where nobody knows."""
    megabytes: float | None = 0.0


def least(action: Callable[[], object], times: int = 3) -> float:
    """Processor seconds of ``action``: the least of some tries, after one that does not count."""
    action()
    spent = []
    for _ in range(times):
        began = time.process_time()
        action()
        spent.append(time.process_time() - began)
    return min(spent)


def probe() -> float:
    """Processor seconds of a fixed piece of work: products of matrices, and splines of images."""
    rng = np.random.default_rng(0)
    matrix, image = rng.standard_normal((384, 384)).astype("f4"), rng.standard_normal((128, 128))

    def work() -> None:
        for _ in range(6):
            matrix @ matrix
            ndimage.zoom(image, 1.1, order=3)

    with threadpool_limits(1):  # or threads that wait for each other would count as work
        return least(work, 9)


def network(name: str, channels: int, side: int) -> tuple[float, float] | None:
    """Processor seconds of one patch through a network, and of training on one; None if it is not there."""
    import torch

    from model.network import Description, build

    torch.set_num_threads(1)
    try:
        made = build(["a"], Description.named(name, channels, side))
    except MISSING:
        return None
    patches, labels = torch.zeros(BATCH, channels, side, side), torch.zeros(BATCH, dtype=torch.long)

    evaluated = made.extractor.evaluated()

    def forward() -> None:
        with torch.no_grad():
            evaluated(patches)

    def step() -> None:
        torch.nn.functional.cross_entropy(made.train()(patches, "a"), labels).backward()

    return least(forward, 1) / BATCH, least(step, 1) / BATCH


@functools.cache
def width(name: str, channels: int, side: int, features: str) -> int:
    """How many features an encoder sees of a view of so many channels."""
    from model.network import Description, build

    try:
        return build((), Description.named(name, channels, side, features=features)).extractor.width
    except MISSING:
        return FEATURES[features]


@functools.cache
def sees_apart(name: str, channels: int, side: int, weights: str) -> bool:
    """Whether an encoder sees each channel by itself; no, if it is not there."""
    from model.baselines import embeddings
    from model.network import Description

    try:
        return embeddings.sees_apart(Description.named(name, channels, side), weights_of(name, weights))
    except MISSING:
        return False


def _width(config: Mapping[str, Any], encoder: str) -> int:
    own = config["encoders"][encoder]
    times, channels = _channels(config, own)
    return times * width(own["network"], channels, own["side"] or config["patch"], own["features"])


def _channels(config: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[int, int]:
    """How often an encoder looks at a view of the target, and at how many channels at once."""
    count = len(channels_of(config["collections"][config["target"]], config["target"]))
    if networks.are_runs(own["weights"]):  # which learn on as many
        return 1, count
    side = own["side"] or config["patch"]
    return (count, 1) if sees_apart(own["network"], count, side, own["weights"]) else (1, count)


def steps(config: Mapping[str, Any], data: Mapping[str, Data], pace: float) -> Iterator[StepCost]:
    """What an experiment consists of; ``pace`` is by how much slower this machine is than that of COSTS."""
    cost = {name: pace * seconds for name, seconds in COSTS.items()}
    splits = config["split"]["n"]
    for name, one in data.items():
        jobs = 5 + 2 * splits
        size = None if one.read_mb is None or one.cut_mb is None else one.read_mb + one.cut_mb
        spent = one.seconds
        if spent is None and one.findings is not None:
            cut = one.findings * config["views"] * cost["cut view"]
            spent = one.files * cost["file"] + one.raw_mb * cost["MB"] + cut
        spent = None if spent is None else spent + jobs * cost["job"]
        yield StepCost(f"read, cut and split {name}", jobs, spent, size)
    counted = {name: one.findings for name, one in data.items()}
    yield from _embeddings(config, counted[config["target"]], cost)
    shared = start.sharing(config)
    if shared:
        names, made = start.shared_datasets(config), len(runs(config))
        yield _start("guess a start for all", config, names, counted, made, cost)
    for method in config["methods"]:
        yield from _method(config, method, counted, cost, guess=method not in shared)
    pages = {*targets.figures(config), *targets.comparison(config)}
    yield StepCost("draw pictures and pages", len(pages), len(pages) * cost["page"], len(pages) * 0.2)


def _embeddings(
    config: Mapping[str, Any], findings: int | None, cost: Mapping[str, float]
) -> Iterator[StepCost]:
    """The features of the target that baselines look at."""
    for name in targets.encoders(config):
        own = config["encoders"][name]
        times, channels = _channels(config, own)
        taken = network(own["network"], channels, own["side"] or config["patch"])
        jobs = len(runs(config)) if networks.are_runs(own["weights"]) else 1  # of each run its own extractor
        views = min(own["views"], config["views"]) * (findings or 0)
        each = None if findings is None or taken is None else cost["network job"] + times * views * taken[0]
        seconds = None if each is None else jobs * each
        size = jobs * views * _width(config, name) * 4 / 1e6
        yield StepCost(f"look at patches with {name}", jobs, seconds, size)
    candidates = {
        name for method in config["methods"] if training.base(config, method) in STACKED
        for name in baselines.candidates(config, method)
    }  # fmt: skip
    measured = [name for name in MEASURED if name in candidates]
    if measured and findings is not None:
        views = config["views"] * findings
        seconds = len(measured) * cost["job"] + views * cost["measured view"]
        yield StepCost(f"measure {' and '.join(measured)}", len(measured), seconds)


def _method(
    config: Mapping[str, Any], method: str, counted: Mapping[str, int | None], cost: Mapping[str, float],
    *, guess: bool,
) -> Iterator[StepCost]:  # fmt: skip
    """All runs of a method: its start, its training, its scores."""
    base, made = training.base(config, method), len(runs(config))
    if base in BASELINES:
        fits = _fits(config, method, counted[config["target"]], cost)
        seconds = None if fits is None else made * (cost["network job"] + fits) + cost["job"]
        yield StepCost(f"fit {method}", made + 1, seconds, made * 2.0)
        return
    settings, names = training.settings(config, method), training.datasets(config, method)
    if guess:
        yield _start(f"guess a start for {method}", settings, names, counted, made, cost)
    speed = _speed(settings, names)
    known = [counted.get(name) for name in names]
    seconds = None
    if speed and None not in known:
        findings = dict(zip(names, map(int, filter(None, known)), strict=False))
        tested = sum(findings.values()) * (config["split"]["validation"] + config["split"]["test"])
        samples = validations = 0.0
        for phase in training.phases(config, method):
            of_phase = [findings.get(name, 0) for name in phase["datasets"]]
            full = [count * (1 - config["split"]["test"]) * config["majority_views"] for count in of_phase]
            samples += phase["epochs"] * sum(
                phase["batch_size"] * phase["batches"] if phase["batches"] else count for count in full
            )
            validations += phase["epochs"] / settings["evaluation"]["every"]
        looked = tested * config["evaluation_views"]
        if settings["evaluation"]["batch_norm"] == "recalibrated":
            looked += _recalibrating(names)
        looked *= validations + 2
        seconds = made * (2 * cost["network job"] + samples * speed[1] + looked * speed[0]) + cost["job"]
    yield StepCost(f"train and score {method}", 2 * made + 1, seconds, made * 10.0)


def _fits(
    config: Mapping[str, Any], method: str, findings: int | None, cost: Mapping[str, float]
) -> float | None:
    """Seconds in which a run fits regressions, or other learners, on the features of encoders or measures."""
    base, own = training.base(config, method), training.settings(config, method)
    settings, encoders = own["hyperparameters"], networks.encoders(own, [base])
    if base in STACKED:
        learners = {name: len(each) for name, each in baselines.candidates(config, method).items()}
    else:
        learners = dict.fromkeys(encoders, len(settings["probe"]["penalties"]))
    if not learners or findings is None:
        return None if learners else 0.0
    folds = settings[base if base in STACKED else "probe"]["folds"]
    # Inner folds fit on all but a fold, within each of which stacking does the same in thirds; at the end
    # findings are scored by fits without them, and everything is fitted, in float64.
    times = (folds - 1) * (1 + 2 * (base in STACKED))
    views = min([own["majority_views"], *(own["encoders"][name]["views"] for name in encoders)])
    samples = findings * (1 - own["split"]["test"]) * views
    return samples * sum(
        (times * number + 2 * folds)
        * (cost["fit of measures"] if name in MEASURED else cost["fit"] * _width(own, name))
        for name, number in learners.items()
    )


def _start(
    name: str, settings: Mapping[str, Any], names: list[str], counted: Mapping[str, int | None], made: int,
    cost: Mapping[str, float],
) -> StepCost:  # fmt: skip
    """The search for a start, ``made`` times."""
    speed, known = _speed(settings, names), [counted.get(each) for each in names]
    seconds = None
    if speed and None not in known:
        scored = sum(filter(None, known)) * settings["split"]["validation"] * settings["bootstrap"]["views"]
        if settings["bootstrap"]["batch_norm"] == "calibrated":
            scored += _recalibrating(names)
        candidates = settings["bootstrap"]["candidates"] if settings["weights"] == "random" else 1
        each = cost["network job"] + candidates * scored * speed[0]
        seconds = made * each
    return StepCost(name, made, seconds, made * 4.0)


def _speed(settings: Mapping[str, Any], names: list[str]) -> tuple[float, float] | None:
    channels = len(channels_of(settings["collections"][names[0]], names[0]))
    return network(settings["network"], channels, settings["patch"])


def _recalibrating(names: list[str]) -> int:
    """How many training patches an evaluation of these data sets takes for its batch norm."""
    from model.inference.batch_norm import PATCHES  # imports torch

    return PATCHES * len(names)
