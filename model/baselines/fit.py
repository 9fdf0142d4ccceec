"""Methods that train no network: regression on intensities or on a fixed network's features, and the ADC.

They write what a run of a network writes, so that the same steps score and compare them. With
``--unlabelled`` they score the findings of another store, which needs no labels, instead.
"""

import argparse
import json
import logging
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.baselines import adc, intensity
from model.baselines.logistic import (
    Measured,
    Model,
    Parts,
    Several,
    choose,
    fit,
    fit_any,
    held_out,
    inner_folds,
    some,
)
from model.dataset import KEY, Dataset, add_arguments, given, granted, people_of, unlabelled, view_numbers
from model.evaluation.predictions import COLUMNS, UNLABELLED, columns
from model.files.pretrained import seen_by
from pipeline.classes import Classes, as_cells
from pipeline.cli import run_cli
from pipeline.errors import ConfigError, EmptyError, StoreError
from pipeline.files import sha256, write_csv, write_text
from pipeline.splits import seen
from pipeline.splits.split import LEARNED
from pipeline.store import Embeddings, read_embeddings, read_info, read_patches

log = logging.getLogger("typhon")

REGRESSIONS = {"logistic": [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100], "probe": [1e-5, 1e-4, 1e-3, 1e-2]}
"""Divisors of the penalty (scikit-learn's C) to choose from: those of a probe are for a thousand features."""
ENCODER = ("network", "weights_sha256")
"""What embeddings say of what made them."""
Measure = Callable[[pd.DataFrame], Measured]
"""From a table of findings, as model.dataset.Dataset has it, to their numbers."""


def patch_features(store: Path) -> Measure:
    """Intensity features of the views that a table grants to the findings of ``store``."""

    def measure(table: pd.DataFrame) -> Measured:
        finding, view = view_numbers(table["views"].to_numpy())
        rows = zip(table["row"], table["views"], strict=True)
        values = [intensity.measure(read_patches(store, [row], [views])) for row, views in rows]
        return Measured(np.concatenate(values) if values else np.empty((0, 0)), finding, view, table)

    return measure


def feature_names(width: int) -> list[str]:
    """What run.json calls the features of a network."""
    return [f"feature {number}" for number in range(width)]


def embedded(known: Embeddings, store: Path, like: Embeddings | None = None) -> Measure:
    """Features of the views of the findings of ``store``, as many as are granted and embedded.

    Raises StoreError unless they are those of this very store, and made by the encoder that made ``like``.
    """
    if known.about.get("store") != sha256(store):
        raise StoreError("those of another one", file=known.path, expected=f"the embeddings of {store}")
    like = like or known
    for key in ENCODER:
        if (here := known.about.get(key)) != (there := like.about.get(key)):
            raise StoreError(f"{key} {here}", file=known.path, expected=f"{there}, as in {like.path}",
                             remedy="make both with one encoder")  # fmt: skip

    def measure(table: pd.DataFrame) -> Measured:
        warn_of_views(table, known.views)
        views = np.minimum(table["views"].to_numpy(), known.views)
        finding, view = view_numbers(views)
        return Measured(known.features[table["row"].to_numpy()[finding], view], finding, view, table)

    return measure


def warn_of_views(table: pd.DataFrame, most: int) -> None:
    """Say so where findings that are scored have more views than there are features of."""
    asked = table["views"][~table["split"].isin(["train", "validation"])]
    if len(asked) and asked.max() > most:
        log.warning(
            "features of %d views of each finding: scores are means over these, not evaluation_views, %d;"
            " an encoder has a key views", most, asked.max(),
        )  # fmt: skip


def adc_feature(maps: adc.Maps, radius: float) -> Measure:
    """The ADC of each finding, as its only number and its only view; says how many have none."""

    def measure(table: pd.DataFrame) -> Measured:
        keys = table[KEY].itertuples(index=False, name=None)
        values = np.array([adc.measure(maps, key, radius) for key in keys], float).reshape(-1, 1)
        if missing := int(np.isnan(values).sum()):
            log.warning("%d of %d findings have no ADC: they count as the median", missing, len(table))
        finding, view = view_numbers(np.ones(len(table), int))
        return Measured(values, finding, view, table)

    return measure


def fit_adc(measured: Measured) -> Model:
    """The ADC as a probability: how steep is fitted, but a lower ADC always means more suspicious.

    Raises EmptyError where no training finding has an ADC, ConfigError for other classes than two.
    """
    check_two(measured.classes, "adc")
    if np.isnan(measured.values).all():
        raise EmptyError(f"none of {len(measured.table)}", expected="training findings with an ADC")
    model = fit(measured, penalty=1.0)
    if model.coefficients[0] < 0:
        return model
    log.warning("the ADC of the positive training findings is not the lower one; the rule holds all the same")
    return Model(model.median, model.mean, model.sd, np.array([-1.0]), 0.0)


def check_two(classes: Classes, method: str) -> None:
    """Raise ConfigError unless there are two classes."""
    if not classes.two:
        raise ConfigError(str(classes), file=f"methods/{method}", expected="a target of two classes",
                          remedy="leave it out of methods")  # fmt: skip


def rows(model: Model | Several, measured: Measured, dataset: str, split: str) -> Iterator[dict[str, Any]]:
    """Rows of predictions.csv, one per sample; those of findings without labels have an empty one."""
    if len(measured.table):
        yield from scored(model.scores(measured.values), measured, dataset, split)


def scored(scores: np.ndarray, measured: Measured, dataset: str, split: str) -> Iterator[dict[str, Any]]:
    """The same of scores that are known, (samples,) of two classes or (samples, problems)."""
    classes = measured.classes
    cases = as_cells(measured.table[[*KEY, *classes.label_columns]])
    if split == UNLABELLED:
        cases = cases.assign(**dict.fromkeys(classes.label_columns, ""))
    records, names = cases.to_dict("records"), classes.columns()
    of_each = scores.reshape(len(scores), len(names)).tolist()
    for number, view, values in zip(measured.finding, measured.view, of_each, strict=True):
        row = {"dataset": dataset, "split": split, "view": view}
        yield row | dict(zip(names, map(repr, values), strict=True)) | records[number]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m model.baselines.fit", description=__doc__)
    kinds = parser.add_subparsers(dest="method", required=True)
    logistic = kinds.add_parser("logistic", help="L2-regularised regression on intensity features")
    probe = kinds.add_parser("probe", help="L2-regularised regression on features of a fixed network")
    for sub in (logistic, probe):
        name = sub.prog.split()[-1]
        sub.add_argument(
            "--penalties", type=float, nargs="+", default=REGRESSIONS[name],
            help="divisors of the penalty (scikit-learn's C), to choose from on inner folds of the training",
        )  # fmt: skip
        sub.add_argument("--folds", type=int, default=5, help="number of inner folds")
    probe.add_argument("--embeddings", type=Path, required=True, help="embeddings of the store")
    probe.add_argument(
        "--unlabelled-embeddings", type=Path, help="with --unlabelled: embeddings of that store"
    )
    rule = kinds.add_parser("adc", help="one feature: the ADC around the finding")
    rule.add_argument(
        "--radius", type=float, default=5.0, help="radius of the disc around the finding, in mm"
    )
    rule.add_argument("--slices", type=Path, required=True, help="slices.h5 with the ADC maps")
    rule.add_argument("--findings", type=Path, required=True, help="findings.csv of these slices")
    rule.add_argument("--unlabelled-slices", type=Path, help="with --unlabelled: slices.h5 of its ADC maps")
    rule.add_argument("--unlabelled-findings", type=Path, help="with --unlabelled: findings.csv of these")
    for sub in (logistic, probe, rule):
        add_arguments(sub)
        sub.add_argument("--seed", type=int, default=0, help="seed of the inner folds")
        sub.add_argument(
            "--unlabelled", type=Path, help="patches.h5 of findings without labels, to score instead"
        )
        sub.add_argument("--views", type=int, default=11, help="with --unlabelled: views of each finding")
        sub.add_argument("--out", type=Path, required=True, help="predictions.csv to write")
        sub.add_argument(
            "--best", type=Path, help="the same again, as the best state: a baseline has one state"
        )
        sub.add_argument("--run", type=Path, help="run.json to write")
    options = parser.parse_args(argv)
    if options.method == "adc" and options.unlabelled and not options.unlabelled_slices:
        parser.error("--unlabelled needs --unlabelled-slices and --unlabelled-findings")
    if options.method == "probe" and options.unlabelled and not options.unlabelled_embeddings:
        parser.error("--unlabelled needs --unlabelled-embeddings")
    return options


def measures(options: argparse.Namespace, known: Embeddings | None) -> tuple[Measure, Measure]:
    """How to measure the findings of the target, and those without labels; a probe has ``known`` features."""
    if options.method == "logistic":
        return patch_features(options.stores[0]), patch_features(options.unlabelled or options.stores[0])
    if known is not None:
        own = embedded(known, options.stores[0])
        if not options.unlabelled:
            return own, own
        return own, embedded(read_embeddings(options.unlabelled_embeddings), options.unlabelled, known)
    maps = adc.read_maps(options.findings, options.slices)
    others = maps
    if options.unlabelled:
        others = adc.read_maps(options.unlabelled_findings, options.unlabelled_slices)
    return adc_feature(maps, options.radius), adc_feature(others, options.radius)


def as_tested(learned: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Findings to learn from with as many views as those have that are tested: fewer scatter more."""
    views = pd.concat([dataset.findings(split)["views"] for split in ("test", "validation")])
    return learned.assign(views=views.iloc[0]) if len(views) else learned


def knows(embeddings: Iterable[Embeddings], dataset: Dataset, options: argparse.Namespace) -> bool:
    """Whether one of the encoders has learned from the training findings, as that of a run may have.

    Then their features tell the labels whatever a regression has seen: inner folds promise too much.
    """
    names = people_of({dataset.name: dataset}, options)
    return any(seen.knows(seen_by(one.about.get("weights", "")), *names) for one in embeddings)


def main(argv: Sequence[str] | None = None) -> None:
    """Fit on the training findings; write the predictions, twice, and facts about the run."""
    run(argv)


def run(argv: Sequence[str] | None) -> Measured:
    """The same; returns what the final model was fitted on."""
    options = parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if len(options.stores) != 1:
        raise ConfigError(f"{len(options.stores)} stores", file="--stores", expected="that of the target")
    (dataset,) = given(options).values()
    known = read_embeddings(options.embeddings) if options.method == "probe" else None
    measure_own, measure_others = measures(options, known)

    def measure(table: pd.DataFrame) -> Measured:
        return replace(measure_own(table), classes=dataset.classes)

    start = time.monotonic()
    learned = [dataset.findings(split) for split in LEARNED]
    # Of a probe only the penalty is chosen, and that on inner folds: validation may be learned from too.
    table = pd.concat(learned if options.method == "probe" else learned[:1], ignore_index=True)
    training = measure(table)
    sides = np.split(np.arange(len(table)), [len(learned[0])])
    alone: Parts = [(sides[0], sides[1])] if len(learned[1]) else []
    model: Model | Several
    if options.method == "adc":
        model, chosen = fit_adc(training), {"radius_mm": options.radius}
    else:
        parts = inner_folds(table, options.folds, options.seed, dataset.classes)
        if known is not None and knows([known], dataset, options):
            parts = alone
        chosen = {"penalty": choose(training, options.penalties, parts)}
        model = fit_any(training, chosen["penalty"])
    middle = time.monotonic()
    if options.unlabelled:
        info = read_info(options.unlabelled)
        others = measure_others(unlabelled(info, options.views, dataset.channels, dataset.side))
        write_csv(options.out, COLUMNS, rows(model, others, info.dataset, UNLABELLED))
        return training
    found: list[dict[str, Any]] = []
    if options.method == "probe":
        # With the penalty of the final fit: another one would put scores on another scale.
        views = measure(as_tested(table, dataset))
        scores = held_out(training, views, chosen["penalty"], parts or alone)
        for split, side in zip(LEARNED, sides, strict=True):
            if not np.isnan(own := scores[np.isin(views.finding, side)]).any():
                found += scored(own, some(views, side), dataset.name, split)
    else:
        found += rows(model, measure(learned[1]), dataset.name, "validation")
    found += rows(model, measure(dataset.findings("test")), dataset.name, "test")
    seconds = {"training": middle - start, "evaluation": time.monotonic() - middle}
    for path in filter(None, (options.best, options.out)):
        write_csv(path, columns([dataset.classes]), found)
    if options.run:
        names = {
            "logistic": intensity.names(dataset.channels),
            "probe": feature_names(training.values.shape[1]),
            "adc": [adc.CHANNEL],
        }[options.method]
        about = {
            **about_run(dataset.name, len(training.finding), len(found)),
            **granted(options),
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            "model": chosen | model.plain(names),
        }
        write_text(options.run, json.dumps(about, indent=2, sort_keys=True) + "\n")
    return training


def about_run(dataset: str, trained: int, evaluated: int) -> dict[str, Any]:
    """What run.json says of every run: the device, samples by kind, and versions."""
    return {
        "device": "cpu",
        "threads": 1,
        "samples_seen": {"bootstrap": 0, "training": trained, "specialization": 0, "evaluation": evaluated},
        "trained": {dataset: trained},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "scikit-learn")},
        },
    }


if __name__ == "__main__":
    run_cli(main)
