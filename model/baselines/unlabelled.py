"""Scores of findings without labels, by the model file of a run without a network of its own."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model.baselines import fit, mixture
from model.baselines.logistic import Measured
from model.dataset import unlabelled, view_numbers
from model.device import set_up, told
from model.evaluation.predictions import COLUMNS, UNLABELLED
from model.files import runs
from pipeline.cli import run_cli
from pipeline.files import write_csv
from pipeline.store import read_info, read_patches

log = logging.getLogger("typhon")


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Score the first views of every finding of a store with a run's model."""
    parser = argparse.ArgumentParser(prog="python -m model.baselines.unlabelled", description=main.__doc__)
    parser.add_argument(
        "--model", type=Path, required=True, help="model file of a run, with its card beside it"
    )
    parser.add_argument("--target", required=True, help="the data set that the run was trained on")
    parser.add_argument("--unlabelled", type=Path, required=True, help="patches.h5 of the findings")
    parser.add_argument("--views", type=int, default=11, help="views of each finding")
    parser.add_argument("--out", type=Path, required=True, help="predictions.csv to write")
    options = parser.parse_args(argv)
    set_up(0)
    (run,) = runs.find([options.model])
    info = read_info(options.unlabelled)
    how = run.preprocessing(options.target)
    table = unlabelled(info, options.views, how.channels, how.side)
    finding, view = view_numbers(table["views"].to_numpy())
    patches = (read_patches(info.path, [row], [options.views]) for row in table["row"])
    scores = [mixture.score(run, options.target, each) for each in patches]
    measured = Measured(np.empty((len(finding), 0)), finding, view, table)
    write_csv(options.out, COLUMNS, fit.scored(np.concatenate(scores), measured, info.dataset, UNLABELLED))


if __name__ == "__main__":
    run_cli(main)
