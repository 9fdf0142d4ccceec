"""What is known of patients without an image, such as age and sex: alone, and beside a score of the image.

``covariates`` is a logistic regression on columns of the user's table. With ``--embeddings`` it is one on the
log odds of a probe and these columns: the probe scores training findings on inner folds, by fits that have
not seen them, so that the regression learns how far to trust it on new ones.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from model.baselines.fit import about_run, embedded, knows, scored
from model.baselines.logistic import (
    Measured,
    Model,
    Several,
    choose,
    fit_any,
    held_out,
    inner_folds,
    per_finding,
)
from model.dataset import KEY, add_arguments, given, granted, view_numbers
from model.evaluation.levels import known, warn_of_words
from model.evaluation.platt import logits
from model.evaluation.predictions import SPLITS, columns
from pipeline.classes import Classes, label_columns
from pipeline.cli import run_cli
from pipeline.errors import ConfigError, EmptyError
from pipeline.files import write_csv, write_text
from pipeline.store import read_embeddings

log = logging.getLogger("typhon")

UNKNOWN = "(unknown)"
Measure = Callable[[pd.DataFrame], Measured]


@dataclass(frozen=True)
class Column:
    """How a column becomes numbers, as its training cells say."""

    name: str
    levels: tuple[str, ...]
    """Of words, sorted; none of numbers."""
    missing: int
    """Training findings without a value."""

    @property
    def names(self) -> list[str]:
        """What its numbers are called."""
        if self.levels:
            return [f"{self.name} {level}" for level in self.levels]
        return [self.name, *([f"{self.name} {UNKNOWN}"] if self.missing else [])]

    def encode(self, cells: pd.Series) -> np.ndarray:
        """(n, names): numbers, NaN where there is none, and whether it lacks; or 1 at the level of a word.

        A word that training has not is at no level.
        """
        if self.levels:
            words = cells.where(cells != "", UNKNOWN)
            return np.stack([words == level for level in self.levels], axis=1).astype(float)
        numbers = pd.to_numeric(cells, errors="coerce").to_numpy(float)
        return np.stack([numbers, *([np.isnan(numbers).astype(float)] if self.missing else [])], axis=1)


def column_of(name: str, cells: pd.Series) -> Column:
    """What training cells say of a column: numbers where all that are filled are numbers, else words.

    Raises EmptyError where none is filled.
    """
    filled = cells[cells != ""]
    if filled.empty:
        raise EmptyError("none", file=f"covariates/columns/{name}", expected="training findings with a value",
                         remedy="leave the column out")  # fmt: skip
    missing = len(cells) - len(filled)
    if pd.to_numeric(filled, errors="coerce").notna().all():
        return Column(name, (), missing)
    return Column(name, tuple(sorted({*filled, *([UNKNOWN] if missing else [])})), missing)


def cells_of(every: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """KEY and these columns as text, empty where nothing is known; ConfigError for columns there are not."""
    if lacking := [name for name in names if name not in every]:
        raise ConfigError(
            ", ".join(lacking), file="covariates/columns",
            expected=f"columns among {', '.join(name for name in every if name not in KEY)}",
            remedy="correct the name, or name a table that has it: covariates/table",
        )  # fmt: skip
    if truth := label_columns(names):
        expected = "columns that are not the label"
        raise ConfigError(", ".join(truth), file="covariates/columns", expected=expected)
    made = {name: every[name].where(every[name].notna(), "").astype(str).str.strip() for name in names}
    return every[KEY].assign(**made)


@dataclass(frozen=True)
class CovariateModel:
    """Columns, the probe if there is one, and the regression on both."""

    columns: Sequence[Column]
    image: Model | Several | None
    model: Model | Several
    penalties: Mapping[str, float]

    @property
    def names(self) -> list[str]:
        """What the numbers of the regression are called; those of the image stand before them."""
        return [name for column in self.columns for name in column.names]


@dataclass(frozen=True)
class Fitter:
    """Fits to training findings and scores others."""

    cells: pd.DataFrame
    """KEY and the columns of all findings, as text."""
    names: Sequence[str]
    """Of the columns."""
    classes: Classes
    image: Measure | None
    """What a probe sees in patches, where the image counts too."""
    penalties: Sequence[float]
    image_penalties: Sequence[float]
    folds: int
    seed: int

    def _of(self, table: pd.DataFrame) -> pd.DataFrame:
        return table[KEY].merge(self.cells, "left", KEY).fillna("")

    def measured(self, table: pd.DataFrame, columns: Sequence[Column], image: np.ndarray | None) -> Measured:
        """The numbers of each finding: log odds of the image (findings, problems) before the columns."""
        cells = self._of(table)
        parts = [one.encode(cells[one.name]) for one in columns]
        if image is not None:
            parts.insert(0, logits(image))
        finding, view = view_numbers(np.ones(len(table), int))
        return Measured(np.concatenate(parts, axis=1), finding, view, table, self.classes)

    def fit(self, table: pd.DataFrame, penalties: Mapping[str, float] | None = None) -> CovariateModel:
        """Fit with the ``penalties`` of another fit, or choose them on inner folds."""
        cells, chosen = self._of(table), dict(penalties or {})
        columns = [column_of(name, cells[name]) for name in self.names]
        parts = inner_folds(table, self.folds, self.seed, self.classes)
        image = apart = None
        if self.image is not None:
            patches = self.image(table)
            if not penalties:
                chosen["image"] = choose(patches, self.image_penalties, parts)
            apart = self._means(held_out(patches, patches, chosen["image"], parts), patches)
            if np.isnan(apart).any():
                raise EmptyError(
                    "groups of a class too few for two inner folds",
                    expected="more training groups", remedy="leave out probe_covariates",
                )  # fmt: skip
            image = fit_any(patches, chosen["image"])
        measured = self.measured(table, columns, apart)
        if not penalties:
            chosen["covariates"] = choose(measured, self.penalties, parts)
        return CovariateModel(columns, image, fit_any(measured, chosen["covariates"]), chosen)

    def _means(self, scores: np.ndarray, patches: Measured) -> np.ndarray:
        each = scores.reshape(len(patches.finding), -1)
        return np.stack([per_finding(patches, own) for own in each.T], axis=1)

    def score(self, joint: CovariateModel, table: pd.DataFrame) -> tuple[np.ndarray, Measured]:
        """Scores of each finding, and what they are of."""
        image = None
        if self.image is not None and joint.image is not None:
            patches = self.image(table)
            image = self._means(joint.image.scores(patches.values), patches)
        measured = self.measured(table, joint.columns, image)
        return joint.model.scores(measured.values), measured


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m model.baselines.covariates", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--columns", nargs="+", required=True, help="columns to learn from")
    parser.add_argument("--findings", type=Path, required=True, help="findings.csv of the target")
    parser.add_argument("--index", type=Path, required=True, help="index.parquet of the target")
    parser.add_argument("--table", type=Path, help="CSV with patient_id, perhaps finding_id, and columns")
    parser.add_argument(
        "--names", type=json.loads, default={}, metavar="JSON", help="headers of the table by our names"
    )
    parser.add_argument(
        "--penalties", type=float, nargs="+", default=[0.01, 0.1, 1, 10],
        help="divisors of the penalty (scikit-learn's C), to choose from on inner folds",
    )  # fmt: skip
    parser.add_argument(
        "--embeddings", type=Path, help="embeddings of the target, to use the score of a probe as well"
    )
    parser.add_argument("--image-penalties", type=float, nargs="+", default=[1e-5, 1e-4, 1e-3, 1e-2],
                        help="penalties of the probe")  # fmt: skip
    parser.add_argument("--folds", type=int, default=5, help="number of inner folds")
    parser.add_argument("--seed", type=int, default=0, help="seed of the inner folds")
    parser.add_argument("--out", type=Path, required=True, help="predictions.csv to write")
    parser.add_argument(
        "--best", type=Path, required=True, help="the same again, as the best state: there is one state"
    )
    parser.add_argument("--run", type=Path, required=True, help="run.json to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Fit on training findings; write predictions, twice, and facts about the run."""
    options = parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if len(options.stores) != 1:
        raise ConfigError(f"{len(options.stores)} stores", file="--stores", expected="that of the target")
    (dataset,) = given(options).values()
    every = known(options.findings, options.index, options.table, options.names, options.columns)
    cells = cells_of(every, options.columns)
    image: Measure | None = None
    if options.embeddings:
        features = read_embeddings(options.embeddings)
        if knows([features], dataset, options):
            raise ConfigError(
                "one that has learned from its training findings", file="probe_covariates",
                expected="an encoder to which they are new",
                remedy="take weights of ImageNet, of other data sets, or leave probe_covariates out",
            )  # fmt: skip
        measure = embedded(features, options.stores[0])

        def image(table: pd.DataFrame) -> Measured:
            measured = measure(table)
            return Measured(measured.values, measured.finding, measured.view, table, dataset.classes)

    fitter = Fitter(cells, options.columns, dataset.classes, image, options.penalties,
                    options.image_penalties, options.folds, options.seed)  # fmt: skip
    start = time.monotonic()
    train, validation, test = (dataset.findings(split) for split in ("train", *SPLITS))
    # As a probe: only penalties are chosen, so validation findings are learned from too. They are scored by
    # a fit without them, with the same penalties: others would put scores on another scale.
    learned = pd.concat([train, validation], ignore_index=True)
    final = fitter.fit(learned)
    scorers = {"test": final}
    if len(validation):
        scorers["validation"] = fitter.fit(train, final.penalties)
    middle = time.monotonic()
    rows = [
        row
        for split, table in (("validation", validation), ("test", test))
        if len(table)
        for row in scored(*fitter.score(scorers[split], table), dataset.name, split)
    ]
    for path in (options.best, options.out):
        write_csv(path, columns([dataset.classes]), rows)
    of_learned = learned[KEY].merge(cells, "left", KEY)
    for one in final.columns:
        warn_of_words(one.name, of_learned[one.name])
    missing = {one.name: one.missing for one in final.columns if one.missing}
    for name, count in missing.items():
        log.info("%s: %d of %d training findings have no value", name, count, len(learned))
    outputs = [f"image {name}" for name in dataset.classes.problems] if final.image else []
    about = {
        **about_run(dataset.name, len(learned), len(rows)),
        **granted(options),
        "seconds": {"training": round(middle - start, 3), "evaluation": round(time.monotonic() - middle, 3)},
        "model": {"penalties": dict(final.penalties), "missing": missing}
        | final.model.plain([*outputs, *final.names]),
    }
    write_text(options.run, json.dumps(about, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    run_cli(main)
