"""Candidates that train no network, chosen and stacked on inner folds of the target's findings.

A candidate is a file of features of the stored views, and the learners that may learn from it. ``auto`` has
several; ``probe_svm``, ``probe_knn`` and ``radiomics`` are the same with one. Nothing is chosen on validation
findings, so they are learned from like those of training; their scores are of fits that have not seen them.
It writes what a run of a network writes, with a model file that predicts.
"""

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model import dataset
from model.baselines import embeddings, fit, mixture, nearest
from model.baselines.learners import Fitted, Learner
from model.baselines.logistic import Measured, some
from model.baselines.measures import MEASURES
from model.baselines.mixture import Member, Mixture
from model.baselines.stack import Candidate, Chosen, choose
from model.device import set_up, told
from model.evaluation.predictions import COLUMNS, STATES
from model.files import runs
from pipeline.cli import run_cli
from pipeline.errors import ConfigError
from pipeline.files import write_csv, write_text
from pipeline.store import Embeddings, read_embeddings

log = logging.getLogger("typhon")


@dataclass(frozen=True)
class Known:
    """The features of a candidate."""

    embeddings: Embeddings
    measure: fit.Measure
    learners: Sequence[Learner]


def read(
    paths: Mapping[str, Path], learners: Mapping[str, Sequence[Learner]], store: Path
) -> dict[str, Known]:
    """The features of each candidate; StoreError for those of another store, ConfigError without learners."""
    found = {}
    for name, path in paths.items():
        if not learners.get(name):
            raise ConfigError("none", file=f"learners of {name}", expected="at least one")
        known = read_embeddings(path)
        found[name] = Known(known, fit.embedded(known, store), learners[name])
    return found


def member(name: str, known: Embeddings, fitted: Fitted, weight: float) -> Member:
    """A candidate as part of a model file; StoreError for features of other weights than are installed."""
    if name in MEASURES:
        return Member(name, fitted, weight)
    network = embeddings.again(known)
    return Member(name, fitted, weight, network.description, network.extractor)


def names(name: str, channels: Sequence[str], width: int) -> list[str]:
    """What the features of a candidate are called."""
    return MEASURES[name].names(channels) if name in MEASURES else fit.feature_names(width)


def mixed(
    fitted: Mapping[str, Fitted], weights: Mapping[str, float], measured: Mapping[str, Measured]
) -> np.ndarray:
    """Scores (samples,) of a mixture."""
    return np.asarray(sum(weights[name] * one.scores(measured[name].values) for name, one in fitted.items()))


def about_model(
    chosen: Chosen, fitted: Mapping[str, Fitted], called: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """What run.json says of the candidates, of what was taken, and of what the inner folds promise."""
    candidates = {
        name: {"learner": str(learner), "inner_auroc": chosen.estimates[name],
               "weight": chosen.weights.get(name, 0.0), "seconds": round(chosen.seconds[name], 3)}
        for name, learner in chosen.learners.items()
    }  # fmt: skip
    members = {name: one.plain(called[name]) for name, one in fitted.items()}
    inner = {"auroc": chosen.inner, "stack": chosen.stack, "best": chosen.best}
    return {"candidates": candidates, "members": members, "inner": inner}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m model.baselines.auto", description=__doc__)
    dataset.add_arguments(parser)
    parser.add_argument("--candidates", nargs="+", required=True, help="their names, the simplest first")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="features of each")
    parser.add_argument(
        "--learners", type=json.loads, required=True, metavar="JSON",
        help="of each candidate, the simplest first: {name: [[kind, setting], …]}",
    )  # fmt: skip
    parser.add_argument("--folds", type=int, default=5, help="inner folds")
    parser.add_argument("--seed", type=int, default=0, help="seed of the inner folds")
    parser.add_argument("--method", required=True, help="name of the method")
    parser.add_argument("--target", required=True, help="name of the data set")
    parser.add_argument("--state", choices=STATES, required=True, help="the state that predictions take")
    parser.add_argument("--data-card", type=Path, required=True, help="card of the data set")
    parser.add_argument("--out", type=Path, required=True, help="predictions.csv to write")
    parser.add_argument("--best", type=Path, required=True, help="the same once more: there is one state")
    parser.add_argument("--models", type=Path, nargs=2, required=True, help="of both states, equal")
    parser.add_argument("--run", type=Path, required=True, help="run.json to write")
    parser.add_argument(
        "--card", type=Path, required=True, help="card.json to write, …/fold0/seed0/card.json"
    )
    parser.add_argument(
        "--nearest", type=Path, required=True, help="training findings to write, beside the card"
    )
    return parser.parse_args(argv)


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Choose, fit and score; write predictions and model, each twice, a card, and facts about the run."""
    options = parse(argv)
    set_up(0)
    (data,) = dataset.load(options.stores, options.splits, leak=options.leak).values()
    fit.check_two(data.classes, options.method)
    paths = dict(zip(options.candidates, options.features, strict=True))
    learners = {name: [Learner(*one) for one in each] for name, each in options.learners.items()}
    known = read(paths, learners, options.stores[0])
    most = min(one.embeddings.views for one in known.values())

    def measured(*splits: str) -> dict[str, Measured]:
        table = pd.concat([data.findings(split) for split in splits], ignore_index=True)
        fit.warn_of_views(table, most)
        table = table.assign(views=np.minimum(table["views"], most))
        return {name: one.measure(table) for name, one in known.items()}

    start = time.monotonic()
    training = measured("train", "validation")
    candidates = {name: Candidate(training[name], one.learners) for name, one in known.items()}
    chosen = choose(candidates, options.folds, options.seed)
    fitted = {}
    for name, weight in chosen.weights.items():
        since = time.process_time()
        fitted[name] = chosen.learners[name].fit(training[name])
        chosen.seconds[name] += time.process_time() - since
        log.info("%s counts for %.2f, with %s", name, weight, chosen.learners[name])
    middle = time.monotonic()
    first, test = next(iter(training.values())), measured("test")
    kept = np.arange(len(data.findings("train")), len(first.table))
    held_out, apart = some(first, kept), chosen.scores[np.isin(first.finding, kept)]
    if np.isnan(apart).any():  # too few groups for inner folds
        inside = {name: some(training[name], np.arange(kept[0])) for name in fitted}
        outside = {name: some(training[name], kept) for name in fitted}
        alone = {name: chosen.learners[name].fit(inside[name]) for name in fitted}
        apart = mixed(alone, chosen.weights, outside)
    parts = {
        "validation": (held_out, apart),
        "test": (next(iter(test.values())), mixed(fitted, chosen.weights, test)),
    }
    table = [
        row for split, (part, scores) in parts.items() for row in fit.scored(scores, part, data.name, split)
    ]
    seconds = {"training": middle - start, "evaluation": time.monotonic() - middle}
    for path in (options.best, options.out):
        write_csv(path, COLUMNS, table)
    members = [
        member(name, known[name].embeddings, one, chosen.weights[name]) for name, one in fitted.items()
    ]
    for path in options.models:
        mixture.write(path, Mixture(members, len(data.channels), data.side))
    heaviest = max(chosen.weights, key=lambda name: chosen.weights[name])
    called = runs.classes_in(json.loads(options.data_card.read_text(encoding="utf-8")))
    nearest.write(options.nearest, nearest.build(training[heaviest], called), heaviest)
    card = runs.describe(
        options.card, {options.target: options.data_card}, options.method, options.target, options.state
    )
    write_text(options.card, json.dumps(card, indent=2, allow_nan=False) + "\n")
    features = {name: names(name, data.channels, training[name].values.shape[1]) for name in fitted}
    about = {
        **fit.about_run(data.name, len(first.finding), len(table)),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "model": about_model(chosen, fitted, features),
    }
    write_text(options.run, json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    run_cli(main)
