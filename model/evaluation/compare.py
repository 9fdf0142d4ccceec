"""Compare methods that ran on the same splits and seeds: their AUROCs, and the paired differences.

The docs say what each interval answers: docs/statistics.md.
"""

import argparse
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd

from model.evaluation import results
from model.evaluation.comparison import (
    Table,
    choose_reference,
    differences_table,
    methods_table,
    pairs,
)
from model.evaluation.corrected import overlap
from model.evaluation.intervals import REPLICATES
from model.evaluation.paired import (
    DIFFERENCE,
    Difference,
    Paired,
    Runs,
    UnpairedError,
    collect,
    pair,
    subtract,
)
from model.evaluation.predictions import evaluate, read_splits
from model.evaluation.results import Figures, add_arguments
from model.report.drawing import STYLE, save
from model.report.forest import plot_differences, plot_rocs
from model.report.tabular import write_table
from pipeline.cli import run_cli
from pipeline.seeds import stream


def read_results(paths: Iterable[Path]) -> list[Figures]:
    """Figures of all methods; raises UnpairedError unless they are of one target and state."""
    figures = results.read_all(paths)
    for key in ("target", "state"):
        found = {each["method"]: each[key] for each in figures}
        if len(set(found.values())) > 1:
            each = ", ".join(f"{value} of {name}" for name, value in found.items())
            raise UnpairedError(each, expected=f"one {key}", remedy="score all methods again")
    return figures


def read_runs(figures: Sequence[Figures], paths: Iterable[Path], splits: pd.DataFrame) -> list[Runs]:
    """The target's test findings as the runs of each method score them, in the state that was scored.

    A run belongs to the method whose folder ``…/{method}/fold{f}/seed{s}`` it is.
    """
    target, state = figures[0]["target"], figures[0]["state"]
    own: dict[str, list[Path]] = {each["method"]: [] for each in figures}
    for path in paths:
        folder = f"/{path.parents[1].as_posix()}"
        owners = [name for name in own if folder.endswith(f"/{name}")]
        if not owners:
            raise UnpairedError(f"a run of none of {', '.join(own)}", file=path, remedy="see --help")
        own[max(owners, key=len)].append(path)
    return [
        collect(name, [part for path in mine for part in evaluate(path, state, splits, (target, "test"))])
        for name, mine in own.items()
    ]


def compare(
    figures: Sequence[Figures], methods: Sequence[Runs], splits: pd.DataFrame, *,
    reference: str | None = None, which: str = "reference", margin: float = DIFFERENCE, seed: int = 0,
    replicates: int = REPLICATES, untrained: Collection[str] = (),
) -> tuple[Table, Table, Paired, list[Difference]]:  # fmt: skip
    """The tables of methods and of differences, and what the pictures show of them.

    Parameters
    ----------
    reference : None is classical if it is among the methods, else the first.
    which : reference (each method less the reference) or all (every pair).
    untrained : the methods that train no network.
    seed : of the resampling; the draws are those of ``model.evaluation.score`` with the same seed.
    """
    names = [method.name for method in methods]
    chosen = reference or choose_reference(names)
    if len(names) < 2 or chosen not in names:
        raise UnpairedError(", ".join(names), expected=f"{chosen} and another method", remedy="see --help")
    target = figures[0]["target"]
    paired = pair(methods, stream("score", seed, target, "test"), replicates)
    ratio = overlap(splits, target)
    differences = [
        subtract(paired, *places, overlap=ratio, margin=margin) for places in pairs(names, chosen, which)
    ]
    return (
        methods_table(figures, paired, chosen, untrained),
        differences_table(figures, differences, chosen, which=which, margin=margin, untrained=untrained),
        paired,
        differences,
    )


def arguments() -> argparse.ArgumentParser:
    """The flags of the command."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluation.compare", description=__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--reference", metavar="NAME", help="method to subtract (default classical if there, else the first)"
    )
    parser.add_argument(
        "--pairs", choices=("reference", "all"), default="reference",
        help="each method less the reference, or every pair (default reference)",
    )  # fmt: skip
    parser.add_argument(
        "--untrained", nargs="*", default=[], metavar="NAME", help="methods that train no network"
    )
    parser.add_argument(
        "--difference", type=float, default=DIFFERENCE, metavar="AUROC",
        help="difference for which to count the runs needed (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="random seed of the resampling (default 0)")
    for name, what in (("comparison", "a row per method"), ("differences", "a row per pair")):
        parser.add_argument(
            f"--out-{name}", type=Path, required=True, metavar="CSV",
            help=f"{what}; the same as .md and .tex beside it",
        )  # fmt: skip
    parser.add_argument(
        "--out-forest", type=Path, required=True, metavar="PNG", help="picture of the differences"
    )
    parser.add_argument("--out-roc", type=Path, required=True, metavar="PNG", help="the mean ROC curves")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write both tables and both pictures, and print the tables."""
    args = arguments().parse_args(argv)
    figures, splits = read_results(args.results), read_splits(args.splits)
    methods = read_runs(figures, args.runs, splits)
    of_methods, of_pairs, paired, differences = compare(
        figures, methods, splits,
        reference=args.reference, which=args.pairs, margin=args.difference, seed=args.seed,
        untrained=args.untrained,
    )  # fmt: skip
    for table, path in ((of_methods, args.out_comparison), (of_pairs, args.out_differences)):
        stem = path.with_name(path.name.removesuffix(".csv"))
        write_table(table.frame, stem, table.caption, table.notes, formats=table.formats)
        print(stem.with_name(f"{stem.name}.md").read_text(encoding="utf-8"))
    with mpl.rc_context(STYLE):
        save(plot_differences(differences, of_methods.caption), args.out_forest)
        save(plot_rocs(figures, paired.methods, of_methods.caption), args.out_roc)


if __name__ == "__main__":
    run_cli(main)
