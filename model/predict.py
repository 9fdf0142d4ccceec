"""Score every view of the validation and test findings; the last step that needs torch."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from model import data, weights
from model.device import set_up
from model.evaluation import evaluate
from pipeline.errors import LossError, run_cli
from pipeline.files import write_csv

COLUMNS = ("dataset", "split", "patient_id", "finding_id", "view", "label", "score")
SPLITS = ("validation", "test")


def predict(datasets: Mapping[str, data.Dataset], model: Path, gpu: int) -> Iterator[dict[str, Any]]:
    """One row per view; ``score`` is the probability of class 1, in float64: float32 would tie the surest.

    Raises InputError if the model belongs to other data sets or channels.
    """
    device = set_up(gpu)
    network, tables = weights.read(model, datasets, data.channels(datasets))
    network.to(device)
    parts = [(name, split) for name in datasets for split in SPLITS]
    for name, split in tqdm(parts, "predicting", unit="split", disable=None):
        part = datasets[name].part(split, device)
        try:
            scores = evaluate(network, name, tables[name].to(device), part)
        except FloatingPointError as error:
            raise LossError(str(error), file=model, expected="finite scores") from error
        findings = part.table.to_dict("records")
        for number, view, score in zip(part.finding, part.view, scores.views, strict=True):
            row = {"dataset": name, "split": split, "view": view, "score": repr(float(score))}
            yield row | findings[number]


def main(argv: Sequence[str] | None = None) -> None:
    """Write a table of predictions for each model: the states of one run, say."""
    parser = argparse.ArgumentParser(prog="python -m model.predict", description=__doc__)
    data.add_arguments(parser)
    parser.add_argument("--model", type=Path, nargs="+", required=True, help="model.safetensors of a run")
    parser.add_argument(
        "--out", type=Path, nargs="+", required=True, help="predictions.csv to write for each model"
    )
    options = parser.parse_args(argv)
    if len(options.model) != len(options.out):
        parser.error(f"{len(options.model)} models, but {len(options.out)} tables to write")
    datasets = data.load(options.stores, options.splits)
    for model, out in zip(options.model, options.out, strict=True):
        write_csv(out, COLUMNS, predict(datasets, model, options.gpu))


if __name__ == "__main__":
    run_cli(main)
