"""Draw one figure of the papers from our runs, with what was published beside or beneath it."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from model.evaluation.predictions import STATES
from model.evaluation.results import read_all
from model.report.drawing import STYLE, save
from model.report.gradients import gradient_flow, read_gradients
from model.report.histories import read_histories
from model.report.plots import plot_roc
from papers.figures import printed
from papers.figures.curves import plot_last_round, plot_test, plot_training
from papers.figures.metrics import plot_metrics
from papers.figures.multitask import plot_architecture
from papers.figures.reference import plot_reference
from papers.figures.registry import FIGURES, PaperFigure, drawn
from papers.figures.summary import plot_summary
from pipeline.cli import run_cli
from pipeline.errors import ConfigError


def draw(
    name: str, runs: Mapping[str, Sequence[Path]], target: str,
    results: Mapping[str, Mapping[str, Any]], published: Path | None = None,
) -> Figure:  # fmt: skip
    """The figure ``name`` of :data:`FIGURES`.

    Parameters
    ----------
    runs : folders ``…/{method}/fold{f}/seed{s}`` of each method.
    results : content of ``{method}_auc.json`` of each method, where the figure needs it.
    published : Hydra's public logs as one history.csv.

    Raises
    ------
    ConfigError : a method is missing without which there is no figure.
    """
    what = FIGURES[name]
    if what.kind == "architecture" and runs:  # of whatever method has mixed its batches
        return plot_architecture(next(iter(runs.values()))[0])
    given = results if what.results else runs
    if missing := [method for method in what.needs if method not in given]:
        raise ConfigError(f"none of {', '.join(missing)}", file=name, expected=f"runs of {what.needs}")
    methods = drawn(name, given)
    if what.kind == "summary":
        return plot_summary(results[methods[0]], results[methods[1]])
    if what.kind == "roc":
        figures = dict(results[methods[0]])
        return _roc(figures, [run / STATES[figures["state"]] for run in runs[methods[0]]])
    if what.kind == "gradients":
        return gradient_flow(read_gradients(runs[methods[0]][0] / "gradients.csv"))
    tables = {method: read_histories([run / "history.csv" for run in runs[method]]) for method in methods}
    theirs = read_histories([published]) if published else None
    return _of_histories(what, tables, target, theirs)


def _of_histories(
    what: PaperFigure, tables: Mapping[str, pd.DataFrame], target: str, published: pd.DataFrame | None
) -> Figure:
    table = tables[what.needs[0]]
    if what.kind == "training":
        return plot_training(table, target)
    if what.kind == "test":
        return plot_test(tables, target)
    if what.kind == "last_round":
        return plot_last_round(tables, target)
    if what.kind == "reference":
        splits = ("validation",) if what.paper.startswith("Thesis") else ("validation", "train")
        return plot_reference(table, published, splits)
    own = what.phase if what.needs == ("hydra",) else str(table["phase"].iloc[0])
    best = printed.BEST[what.phase if what.needs == ("hydra",) else what.needs[0]]
    theirs = None if published is None else published[published["phase"] == what.phase]
    return plot_metrics(table, own, theirs, best)


def _roc(figures: dict[str, Any], predictions: Sequence[Path]) -> Figure:
    made = plot_roc(figures, predictions)
    axes = made.axes[0]
    axes.set_xlabel(f"{axes.get_xlabel()}\nthesis, Figure 5.7: AUROC {printed.THESIS_ROC:.2f}")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Draw one figure."""
    parser = argparse.ArgumentParser(prog="python -m papers.figures", description=__doc__)
    listed = "; ".join(f"{name}: {figure.paper}" for name, figure in FIGURES.items())
    parser.add_argument("name", choices=FIGURES, metavar="NAME", help=listed)
    parser.add_argument(
        "--runs",
        nargs="*",
        type=Path,
        default=[],
        metavar="DIR",
        help="folders of runs: results/{method}/fold0/seed0 …",
    )
    parser.add_argument(
        "--results",
        nargs="*",
        type=Path,
        default=[],
        metavar="JSON",
        help="results of methods: results/{method}_auc.json …",
    )
    parser.add_argument("--target", required=True, metavar="DATASET", help="data set that is classified")
    parser.add_argument(
        "--published", nargs="*", type=Path, default=[], metavar="CSV",
        help="Hydra's public logs as a history.csv, drawn in grey beneath ours",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="PNG", help="picture to write")
    args = parser.parse_args(argv)
    runs: dict[str, list[Path]] = {}
    for run in args.runs:
        runs.setdefault(run.parent.parent.name, []).append(run)
    results = read_all(args.results)
    with mpl.rc_context(STYLE):
        made = draw(
            args.name, runs, args.target, {figures["method"]: figures for figures in results},
            args.published[0] if args.published else None,
        )  # fmt: skip
        save(made, args.out)


if __name__ == "__main__":
    run_cli(main)
