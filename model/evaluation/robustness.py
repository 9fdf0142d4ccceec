"""What is left of the AUROC of each method where its test findings are corrupted, and by how much it falls.

The same runs score the same findings with and without a corruption, so the difference is paired: its interval
is that of two methods on one test set (``model.evaluation.delong``), for other patients.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from model.evaluation import results
from model.evaluation.delong import clustered_interval, mean_areas
from model.evaluation.intervals import Fold
from model.evaluation.predictions import Predictions, PredictionsError, evaluate, read_splits
from model.evaluation.results import Figures
from model.evaluation.summary import folds_of
from model.inference.corruptions import CLEAN, CORRUPTIONS, FILE, LEVELS, OF, Level
from model.report.drawing import STYLE, save
from model.report.robustness import plot
from model.report.tabular import add_out, write_table
from pipeline.cli import run_cli
from pipeline.files import read_csv

Row = dict[str, Any]
KEY = ["patient_id", "finding_id"]
COLUMNS = (
    "method", *OF, "unit", "count", "groups", "auroc", "auroc95", "difference", "difference95",
)  # fmt: skip
NOTES = (
    "difference: the AUROC of the corrupted findings less that of the same findings as they are, by the same"
    " runs, with a 95 % interval for other patients.",
    "[0, 0]: all pairs are ranked as before. With few findings that says little; look at auroc95.",
    "none: the findings as they are, scored beside the corrupted ones. This is the method's AUROC, except for"
    " probes and the like whose encoder sees fewer views than evaluation_views.",
    "Patches are corrupted as they are stored, after normalization. So changes of a whole series that its"
    " Z-score would undo are not among them.",
)  # fmt: skip


def read(figures: Figures, runs: Iterable[Path], splits: pd.DataFrame) -> dict[Level, list[Predictions]]:
    """What all runs of a method say of the test findings at each level, by fold and seed.

    Raises PredictionsError where a run lacks a finding or a level, or a score is no number.
    """
    found: dict[Level, list[Predictions]] = {level: [] for level in LEVELS}
    for run in runs:
        (own,) = evaluate(run, figures["state"], splits, (figures["target"], "test"))
        table, names = read_csv(run / FILE), own.classes.columns()
        if missing := [name for name in (*OF, *KEY, *names) if name not in table]:
            raise PredictionsError(f"no {missing[0]}", file=run / FILE, expected="scores at each level")
        try:
            table = table.astype({"strength": float, **dict.fromkeys(names, float)})
        except ValueError as error:
            raise PredictionsError(str(error), file=run / FILE, expected="numbers") from error
        bare = own.findings.drop(columns=names)
        for level, of_level in found.items():
            here = table[(table[list(OF)] == list(level)).all(axis=1)].drop_duplicates(KEY)
            both = bare.merge(here[[*KEY, *names]], "left", KEY)
            if both[names].isna().any(axis=None):
                raise PredictionsError(
                    f"{len(here)} at {level[0]} {level[1]:g}", file=run / FILE,
                    expected=f"the {len(bare)} test findings of the split",
                )  # fmt: skip
            of_level.append(replace(own, findings=both[own.findings.columns]))
    return {level: sorted(those, key=lambda one: (one.fold, one.seed)) for level, those in found.items()}


def rows(method: str, parts: dict[Level, list[Predictions]]) -> Iterator[Row]:
    """A row per level. Of several classes or labels the AUROC is their mean."""
    clean = folds_of(parts[CLEAN])
    groups = len({group for fold in clean for group in fold.groups})
    count = len({key for one in parts[CLEAN] for key in one.findings[KEY].itertuples(index=False)})
    whole = all(len(np.unique(fold.labels)) == 2 for fold in clean)
    for level in LEVELS:
        name, strength = level
        unit = CORRUPTIONS[name].unit if name in CORRUPTIONS else ""
        row: Row = dict(zip(COLUMNS, (method, name, strength, unit, count, groups), strict=False))
        yield row | (_figures(clean, folds_of(parts[level]), level) if whole else {})


def _figures(clean: Sequence[Fold], corrupted: Sequence[Fold], level: Level) -> Row:
    """The AUROC and, of a corruption, the difference; that has no interval where a class is of one group."""
    both = mean_areas([clean, corrupted])
    row: Row = {"auroc": float(both.areas[1]), "auroc95": clustered_interval(corrupted)[0]}
    if level == CLEAN:
        return row
    value = float(both.areas[1] - both.areas[0])
    return row | {"difference": value, "difference95": both.difference(1, 0)[0]}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluation.robustness", description=__doc__)
    results.add_arguments(parser)
    add_out(parser)
    parser.add_argument("--out-picture", type=Path, required=True, metavar="PNG")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table of all methods and corruptions, and its picture."""
    args = parse(argv)
    figures, splits = results.read_all(args.results), read_splits(args.splits)
    found = [
        row
        for about in figures
        for runs in [[run for run in args.runs if run.parents[1].name == about["method"]]]
        for row in rows(about["method"], read(about, runs, splits))
    ]
    frame = pd.DataFrame(
        [[row.get(name) for name in COLUMNS] for row in found], columns=list(COLUMNS), dtype=object
    )
    title = f"Robustness, {figures[0]['target']}, test findings"
    write_table(frame, args.out.with_suffix(""), title, NOTES, formats={"strength": "g"})
    with mpl.rc_context(STYLE):
        save(plot(found, title), args.out_picture)


if __name__ == "__main__":
    run_cli(main)
