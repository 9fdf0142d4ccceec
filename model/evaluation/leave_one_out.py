"""Each task as the target once: what comes of each source in each way, and the paired differences of sources.

A result is that of ``leave_one_out/{target}/{source}/{way}``; what is compared is two sources for the same
target in the same way, on the same findings, splits and seeds.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

from model.evaluation.compare import read_runs
from model.evaluation.comparison import Table, pairs
from model.evaluation.corrected import LEAST, overlap
from model.evaluation.intervals import REPLICATES
from model.evaluation.paired import Difference, holm, pair, subtract
from model.evaluation.predictions import read_splits
from model.evaluation.results import Figures, add_arguments, read_all
from model.report.drawing import STYLE, save
from model.report.tabular import write_table
from model.report.transfers import plot_transfers
from pipeline.cli import run_cli
from pipeline.seeds import stream

INTERVALS = ("ci95", "bootstrap95", "corrected95")


@dataclass(frozen=True)
class Transfer:
    """One result: of a target, from a source, in a way."""

    target: str
    source: str
    way: str
    figures: Figures

    @classmethod
    def of(cls, figures: Figures) -> "Transfer":
        """That of a result, whose method names all three."""
        _, target, source, way = figures["method"].split("/")
        return cls(target, source, way, figures)


@dataclass(frozen=True)
class SourceComparison:
    """Two sources of one target in one way."""

    target: str
    way: str
    source: str
    reference: str
    difference: Difference


def compare(
    transfers: Sequence[Transfer], runs: Sequence[Path], splits: pd.DataFrame, *,
    replicates: int = REPLICATES, seed: int = 0,
) -> list[SourceComparison]:  # fmt: skip
    """Every pair of sources of each target in each way, the later source less the earlier one.

    Parameters
    ----------
    runs : the folders of the runs of all results.
    splits : those of all targets, as ``predictions.read_splits`` gives them.
    seed : of the resampling, which is the same for all that is compared of one target.

    Raises UnpairedError where two sources have not the same runs on the same findings.
    """
    found = []
    for (target, way), own in _together(transfers):
        known = splits[splits["dataset"] == target]
        folders = [path for path in runs if path.parents[1].parts[-3:][::2] == (target, way)]
        methods = read_runs([each.figures for each in own], folders, known)
        paired = pair(methods, stream("score", seed, target, "test"), replicates)
        names = [each.source for each in own]
        found += [
            SourceComparison(target, way, names[one], names[other],
                     subtract(paired, one, other, overlap=overlap(known, target)))
            for one, other in pairs(names, names[0], "all")
        ]  # fmt: skip
    return found


def _together(transfers: Sequence[Transfer]) -> Iterator[tuple[tuple[str, str], list[Transfer]]]:
    """Those of one target in one way, in the order in which they came."""
    keys = dict.fromkeys((each.target, each.way) for each in transfers)
    for key in keys:
        yield key, [each for each in transfers if (each.target, each.way) == key]


def transfers_table(transfers: Sequence[Transfer]) -> Table:
    """A row per target, way and source."""
    rows = []
    for _, own in _together(transfers):
        for each in own:
            line = next(
                line for line in each.figures["summary"]
                if (line["split"], line["dataset"], line["state"])
                == ("test", each.target, each.figures["state"])
            )  # fmt: skip
            rows.append({
                "target": each.target, "way": each.way, "source": each.source,
                "auroc": each.figures["auroc"], **{key: each.figures[key] for key in INTERVALS},
                "splits": line["folds"], "runs": line["runs"], "findings": line["findings"],
            })  # fmt: skip
    notes = [
        "auroc: mean over all runs of the test AUROC per finding, of the target of the row. A source that is"
        " a method was trained on all other data sets, for each split and seed anew.",
        "ci95: for other patients, in closed form, by group; bootstrap95: the same by"
        f" {REPLICATES:,} resamples of groups; corrected95: for other splits (Nadeau and Bengio 2003), from"
        f" {LEAST} splits on.",
        "Targets are other findings, so rows of two targets say nothing of each other.",
    ]
    caption = "Each task as the target once: test AUROC by source and way"
    return Table(pd.DataFrame(rows, dtype=object), caption, notes, {})


def differences_table(compared: Sequence[SourceComparison]) -> Table:
    """A row per pair of sources of each target in each way; p-values adjusted for the whole table."""
    rows: list[dict[str, Any]] = []
    adjusted = holm([each.difference.p_corrected for each in compared])
    for each, p in zip(compared, adjusted, strict=True):
        found = each.difference
        rows.append({
            "target": each.target, "way": each.way, "source": each.source, "reference": each.reference,
            "difference": found.value, **{key: getattr(found, key) for key in INTERVALS},
            "p_delong": found.p_delong, "p_corrected": found.p_corrected, "holm_corrected": p,
            "detectable": found.detectable,
        })  # fmt: skip
    reasons = {
        why for each in compared for key, why in each.difference.reasons.items()
        if key in ("difference", *INTERVALS)
    }  # fmt: skip
    notes = [
        "difference: test AUROC from the source less that from the reference, in the same way, on the same"
        " findings, splits and seeds.",
        "ci95, bootstrap95: for other patients; corrected95, p_corrected: for other splits, a t that allows"
        f" for training sets that overlap (Nadeau and Bengio 2003), from {LEAST} splits on.",
        f"holm_corrected: p_corrected adjusted by Holm for all {len(rows)} rows. detectable: the smallest"
        " difference that as many splits find with 80 % power.",
        *(f"Where a cell is empty: {why}." for why in sorted(reasons)),
    ]
    caption = "Each task as the target once: paired differences of sources"
    return Table(pd.DataFrame(rows, dtype=object), caption, notes, {})


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table of transfers, that of their differences, and the picture of both."""
    parser = argparse.ArgumentParser(
        prog="python -m model.evaluation.leave_one_out", description=main.__doc__
    )
    add_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="leave_one_out.csv; other tables beside it")
    parser.add_argument("--differences", type=Path, required=True, help="the same for the differences")
    parser.add_argument("--picture", type=Path, required=True, help="PNG to write")
    options = parser.parse_args(argv)
    transfers = [Transfer.of(figures) for figures in read_all(options.results)]
    compared = compare(transfers, options.runs, read_splits(options.splits))
    for table, path in (
        (transfers_table(transfers), options.out),
        (differences_table(compared), options.differences),
    ):
        write_table(
            table.frame, path.with_suffix(""), table.caption, table.notes,
            formats=dict.fromkeys(("auroc", "difference", *INTERVALS), ".3f"),
        )  # fmt: skip
        print(path.with_suffix(".md").read_text(encoding="utf-8"))
    rows = [
        (each.target, each.way, each.source, each.figures["auroc"], each.figures["ci95"])
        for each in transfers
    ]
    with mpl.rc_context(STYLE):
        save(plot_transfers(rows), options.picture)


if __name__ == "__main__":
    run_cli(main)
