"""Score every view of the validation and test findings, or of findings without labels."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from model.device import set_up, told
from model.evaluation.predictions import COLUMNS, SPLITS, STATES, TRAINING, UNLABELLED, columns
from model.files import runs, terms, weights
from model.inference.scores import evaluate
from model.training import data
from pipeline.classes import as_cells
from pipeline.cli import run_cli
from pipeline.errors import ConfigError, LossError
from pipeline.files import sha256, write_csv, write_text


class Scorer:
    """A trained model, ready to score.

    Raises InputError if the model belongs to other data sets or channels.
    """

    def __init__(self, datasets: Mapping[str, data.Dataset], model: Path, gpu: int) -> None:
        self.device = set_up(gpu)
        self._model = model
        self._network, self._tables = weights.read(
            model,
            datasets,
            data.channels(datasets),
            side=data.side(datasets),
            outputs=data.outputs(datasets),
        )
        self._network.to(self.device)

    def rows(self, name: str, part: data.Part, split: str, dataset: str) -> Iterator[dict[str, Any]]:
        """One row per view of a part, scored through the decision maker of data set ``name``.

        Scores are the probabilities of the problems, in float64: float32 would tie the surest.
        """
        try:
            scores = evaluate(self._network, name, self._tables[name].to(self.device), part)
        except FloatingPointError as error:
            raise LossError(f"{name}: {error}", file=self._model, expected="finite scores") from error
        findings = as_cells(part.table).to_dict("records")
        columns = part.classes.columns()
        for number, view, values in zip(part.finding, part.view, scores.views.tolist(), strict=True):
            row = {"dataset": dataset, "split": split, "view": view}
            yield row | dict(zip(columns, map(repr, values), strict=True)) | findings[number]


def predict(datasets: Mapping[str, data.Dataset], model: Path, gpu: int) -> Iterator[dict[str, Any]]:
    """One row per view of the validation and test findings of every data set."""
    scorer = Scorer(datasets, model, gpu)
    parts = [(name, split) for name in datasets for split in SPLITS]
    for name, split in tqdm(parts, "predicting", unit="split", disable=None):
        yield from scorer.rows(name, data.read_part(datasets[name], split, scorer.device), split, name)


def predict_unlabelled(
    datasets: Mapping[str, data.Dataset], model: Path, gpu: int, store: Path, target: str, views: int
) -> Iterator[dict[str, Any]]:
    """One row for each of the first ``views`` views of every finding of ``store``, with an empty label.

    They are scored as findings of the data set ``target``.
    """
    if target not in datasets:
        raise ConfigError(target, file="--target", expected=f"one of {', '.join(datasets)}")
    scorer = Scorer(datasets, model, gpu)
    name, part = data.unlabelled(store, views, datasets[target], scorer.device)
    for row in scorer.rows(target, part, UNLABELLED, name):
        yield row | {"label": ""}


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Write a table of predictions for each model: the states of one run, say."""
    parser = argparse.ArgumentParser(prog="python -m model.inference.score_views", description=__doc__)
    data.add_arguments(parser)
    parser.add_argument("--model", type=Path, nargs="+", required=True, help="model.safetensors of a run")
    parser.add_argument(
        "--out", type=Path, nargs="+", required=True, help="predictions.csv to write for each model"
    )
    parser.add_argument(
        "--unlabelled", type=Path, help="patches.h5 of findings without labels, which are scored instead"
    )
    parser.add_argument("--target", help="with --unlabelled: the data set whose head scores them")
    parser.add_argument("--card", type=Path, help="card.json to write, …/fold0/seed0/card.json")
    parser.add_argument(
        "--cards", type=Path, nargs="*", default=[], help="with --card: the card of each data set"
    )
    parser.add_argument("--method", help="with --card: name of the method")
    parser.add_argument("--state", choices=STATES, help="with --card: the state that predicts")
    parser.add_argument("--views", type=int, default=11, help="with --unlabelled: views of each finding")
    options = parser.parse_args(argv)
    if len(options.model) != len(options.out):
        parser.error(f"{len(options.model)} models, but {len(options.out)} tables to write")
    if options.unlabelled and not options.target:
        parser.error("--unlabelled needs --target")
    if options.card and not (options.target and options.method and options.state):
        parser.error("--card needs --target, --method and --state")
    datasets = data.given(options)
    scored: dict[str, Path] = {}
    for model, out in zip(options.model, options.out, strict=True):
        before = scored.setdefault(sha256(model), out)
        if before != out:  # the best state is often the last
            write_text(out, before.read_bytes().decode())
            continue
        if options.unlabelled:
            rows = predict_unlabelled(
                datasets, model, options.gpu, options.unlabelled, options.target, options.views
            )
        else:
            rows = predict(datasets, model, options.gpu)
        classes = [each.classes for each in datasets.values()]
        write_csv(out, COLUMNS if options.unlabelled else columns(classes), rows)
    if options.card:
        cards = dict(zip(datasets, options.cards, strict=True))
        about, begun = weights.read_about(options.model[0]), weights.origin(options.model[0])
        pretrained = [terms.entry(about["network"]["network"], *begun.values())] if len(begun) == 2 else []
        learned = {name: one.findings(TRAINING) for name, one in datasets.items()}
        card = runs.describe(
            options.card, cards, options.method, options.target, options.state, pretrained=pretrained,
            budget=data.granted(options), learned=learned,
        )  # fmt: skip
        card["run"] |= begun
        write_text(options.card, json.dumps(card, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    run_cli(main)
