"""Candidates that train no network, chosen and stacked on inner folds of the target's findings.

A candidate is a file of features of the stored views, and the learners that may learn from it. ``auto`` has
several; ``probe_svm``, ``probe_knn`` and ``radiomics`` are the same with one. Each problem of the target, see
``pipeline.classes``, has what it needs of its own. Nothing is chosen on validation findings, so they are
learned from like those of training; their scores are of fits that have not seen them. It writes what a run of
a network writes, with a model file that predicts.
"""

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from model import dataset
from model.baselines import embeddings, fit, mixture, nearest
from model.baselines.learners import Learner
from model.baselines.logistic import Measured, Parts, some
from model.baselines.measures import MEASURES
from model.baselines.mixture import Member, Mixture
from model.baselines.problems import Solved, held_out, solve
from model.device import set_up, told
from model.evaluation.predictions import STATES, columns
from model.files import runs
from pipeline.cli import run_cli
from pipeline.errors import ConfigError
from pipeline.files import write_csv, write_text
from pipeline.splits.split import LEARNED
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


def names(name: str, channels: Sequence[str], width: int) -> list[str]:
    """What the features of a candidate are called."""
    return MEASURES[name].names(channels) if name in MEASURES else fit.feature_names(width)


def members(solved: Sequence[Solved], known: Mapping[str, Known]) -> list[Member]:
    """What counts as parts of a model file; StoreError for features of other weights than are installed."""
    used = {name for one in solved for name in one.fitted} - MEASURES.keys()
    networks = {name: embeddings.again(known[name].embeddings) for name in used}
    found = []
    for place, one in enumerate(solved):
        for name, fitted in one.fitted.items():
            made = Member(name, fitted, one.chosen.weights[name], problem=place)
            if network := networks.get(name):
                made = replace(made, network=network.description, extractor=network.extractor)
            found.append(made)
    return found


def heaviest(solved: Sequence[Solved]) -> str:
    """The candidate that counts most, over all problems; of equals the first."""
    sums: dict[str, float] = {}
    for one in solved:
        for name, weight in one.chosen.weights.items():
            sums[name] = sums.get(name, 0.0) + weight
    return max(sums, key=lambda name: sums[name])


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m model.baselines.auto", description=__doc__)
    dataset.add_arguments(parser)
    parser.add_argument(
        "--candidates", nargs="+", required=True, help="names of the candidates, the simplest first"
    )
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="features of each")
    parser.add_argument(
        "--learners", type=json.loads, required=True, metavar="JSON",
        help="learners of each candidate, the simplest first: {name: [[kind, setting], …]}",
    )  # fmt: skip
    parser.add_argument("--folds", type=int, default=5, help="number of inner folds")
    parser.add_argument("--seed", type=int, default=0, help="seed of the inner folds")
    parser.add_argument("--method", required=True, help="name of the method")
    parser.add_argument("--target", required=True, help="name of the data set")
    parser.add_argument("--state", choices=STATES, required=True, help="the state that predictions take")
    parser.add_argument("--data-card", type=Path, required=True, help="card of the data set")
    parser.add_argument("--out", type=Path, required=True, help="predictions.csv to write")
    parser.add_argument(
        "--best", type=Path, required=True, help="the same again, as the best state: there is one state"
    )
    parser.add_argument(
        "--models", type=Path, nargs=2, required=True, help="model files of both states, which are equal"
    )
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
    (data,) = dataset.given(options).values()
    classes = data.classes
    paths = dict(zip(options.candidates, options.features, strict=True))
    learners = {name: [Learner(*one) for one in each] for name, each in options.learners.items()}
    known = read(paths, learners, options.stores[0])
    most = min(one.embeddings.views for one in known.values())

    def measured(table: pd.DataFrame) -> dict[str, Measured]:
        fit.warn_of_views(table, most)
        table = table.assign(views=np.minimum(table["views"], most))
        return {name: replace(one.measure(table), classes=classes) for name, one in known.items()}

    def together(scores: Sequence[np.ndarray]) -> np.ndarray:
        found = np.stack(scores, axis=1)
        return mixture.as_shares(found) if classes.kind == "classes" else found

    start = time.monotonic()
    learned = pd.concat([data.findings(split) for split in LEARNED], ignore_index=True)
    sides = np.split(np.arange(len(learned)), [len(data.findings("train"))])
    alone: Parts = [(sides[0], sides[1])] if len(sides[1]) else []
    informed = fit.knows([one.embeddings for one in known.values()], data, options)
    training = measured(learned)
    places = range(len(classes.problems))
    solved = [
        solve(training, learners, place, options.folds, options.seed, alone if informed else None)
        for place in places
    ]
    middle = time.monotonic()
    test, again = measured(data.findings("test")), measured(fit.as_tested(learned, data))
    apart = together([held_out(one, training, again, place, alone) for place, one in enumerate(solved)])
    views = next(iter(again.values()))
    parts = {
        split: (some(views, side), apart[np.isin(views.finding, side)])
        for split, side in zip(LEARNED, sides, strict=True)
    }
    parts = {split: one for split, one in parts.items() if not np.isnan(one[1]).any()}
    parts["test"] = (next(iter(test.values())), together([one.scores(test) for one in solved]))
    table = [
        row for split, (part, scores) in parts.items() for row in fit.scored(scores, part, data.name, split)
    ]
    seconds = {"training": middle - start, "evaluation": time.monotonic() - middle}
    for path in (options.best, options.out):
        write_csv(path, columns([classes]), table)
    whole = Mixture(
        members(solved, known), len(data.channels), data.side, len(places), classes.kind == "classes"
    )
    for path in options.models:
        mixture.write(path, whole)
    most_used = heaviest(solved)
    called = runs.classes_in(json.loads(options.data_card.read_text(encoding="utf-8")))
    nearest.write(options.nearest, nearest.build(training[most_used], called), most_used)
    used = {name: known[name].embeddings for name in known if any(name in one.fitted for one in solved)}
    card = runs.describe(
        options.card, {options.target: options.data_card}, options.method, options.target, options.state,
        validation=True, budget=dataset.granted(options), learned={data.name: learned},
        pretrained=embeddings.pretrained(each for name, each in used.items() if name not in MEASURES),
    )  # fmt: skip
    write_text(options.card, json.dumps(card, indent=2, allow_nan=False) + "\n")
    features = {name: names(name, data.channels, one.values.shape[1]) for name, one in training.items()}
    models = {name: one.about(features) for name, one in zip(classes.problems, solved, strict=True)}
    about = {
        **fit.about_run(data.name, len(next(iter(training.values())).finding), len(table)),
        **dataset.granted(options),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "model": next(iter(models.values())) if classes.two else {"problems": models},
    }
    write_text(options.run, json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    run_cli(main)
