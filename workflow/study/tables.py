"""The tables and pictures of the study, from ``docs/study/`` alone."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from model.evaluation.combined import combine, equivalence_interval
from model.evaluation.corrected import area_interval, standard_error
from model.evaluation.delong import clustered_interval, mean_areas
from model.evaluation.intervals import mean_auroc
from model.evaluation.paired import Difference, Paired, check_paired, holm, subtract
from model.report.drawing import STYLE, save
from model.report.forest import plot_differences
from model.report.learning import plot
from model.report.tabular import write_table
from workflow.study.cells import ALL, Cell
from workflow.study.record import Record, counts, overlap

MARGIN = 0.05
"""Methods whose AUROCs differ by less than this are called equivalent; of the plan."""
FORMATS = dict.fromkeys(
    ("auroc", "ci95", "corrected95", "sd_splits", "difference", "equivalence90", "margin_shown", "detectable",
     "tau", "honest", "claimed", "inflation"), ".3f",
) | dict.fromkeys(("p_delong", "p_corrected", "holm_delong", "holm_corrected"), ".2g")  # fmt: skip
FORMATS["hours"] = ".2f"
NOTES = {
    "areas": ["ci95 is for other patients, corrected95 for other splits; sd_splits is that of one split."],
    "differences": [
        "Holm's p-values are within a kind of a family, over all targets that are not apart.",
        "equivalence90 is the 90 % interval over splits, corrected; margin_shown is the least margin that"
        " holds it, detectable the least difference found with 80 % power.",
        "Of fewer than four splits there is no interval over splits.",
    ],
    "combined": ["tau is the standard deviation between targets. Rows with brain are shown apart."],
    "progress": ["hours are those in which runs learned and scored, without starting processes."],
}  # fmt: skip
SUFFIXES = (".csv", ".md")
HONEST, TORN = "probe", "probe-torn"
"""A probe whose splits keep groups together, and one whose splits do not."""
CHOSEN = ("probe-1", "probe-2", "probe-3", "probe-4")
"""Probes with one penalty each."""


@dataclass(frozen=True)
class Compared:
    """A cell and one of its references over the splits that both have."""

    cell: Cell
    reference: str
    primary: bool
    splits: int
    difference: Difference
    error: float
    """Over splits, corrected."""
    equivalence: tuple[float, float] | None


def compare(cells: Sequence[Cell], record: Record) -> list[Compared]:
    """Every comparison of the plan both of whose cells are complete."""
    runs = record.runs()
    known = {(cell.target, cell.name): cell for cell in cells}
    found = []
    for cell in cells:
        for place, name in enumerate(cell.references):
            other = known.get((cell.target, f"{name}-n{cell.findings}"))
            if other is None or record.left(cell) or record.left(other):
                continue
            splits = min(cell.splits, other.splits)
            methods = (record.of(cell, splits), record.of(other, splits))
            check_paired(methods)
            ratio = overlap(runs, cell.target)
            paired = Paired(methods, None, mean_areas([each.folds for each in methods]), "")
            ours, theirs = (np.concatenate(each.areas() or [np.array([])]) for each in methods)
            values = (ours - theirs).tolist()
            found.append(Compared(
                cell, name, cell.primary and not place, splits, subtract(paired, 0, 1, overlap=ratio),
                standard_error(values, ratio), equivalence_interval(values, ratio),
            ))  # fmt: skip
    return found


def areas(cells: Sequence[Cell], record: Record) -> pd.DataFrame:
    """AUROC of each complete cell with its intervals."""
    runs, rows = record.runs(), []
    learned = counts(runs)
    for cell in cells:
        if record.left(cell):
            continue
        folds = record.of(cell, cell.splits).folds
        values = _of_splits([cell], record)
        rows.append({
            "family": cell.family, "target": cell.target, "method": cell.method,
            "findings": round(learned[cell.target]) if cell.findings == ALL else int(cell.findings),
            "splits": cell.splits, "auroc": float(values.mean()), "ci95": clustered_interval(folds)[0],
            "corrected95": area_interval(values.tolist(), overlap(runs, cell.target)),
            "sd_splits": float(np.std(values, ddof=1)),
        })  # fmt: skip
    return pd.DataFrame(rows)


def differences(compared: Sequence[Compared]) -> pd.DataFrame:
    """All comparisons, primary ones first in each family; Holm's p-values within each kind."""
    rows = []
    for _, part in _parts(compared):
        adjusted = {
            name: holm([None if each.cell.apart else getattr(each.difference, f"p_{name}") for each in part])
            for name in ("delong", "corrected")
        }
        for place, each in enumerate(part):
            cell, made, kept = each.cell, each.difference, each.equivalence
            shown = max(map(abs, kept)) if kept else None
            rows.append({
                "family": cell.family, "kind": _kind(each), "target": cell.target, "method": cell.method,
                "reference": each.reference, "findings": cell.findings, "splits": each.splits,
                "difference": made.value, "ci95": made.ci95, "p_delong": made.p_delong,
                "holm_delong": adjusted["delong"][place], "corrected95": made.corrected95,
                "p_corrected": made.p_corrected, "holm_corrected": adjusted["corrected"][place],
                "sd_splits": made.spread.splits, "detectable": made.detectable, "equivalence90": kept,
                "margin_shown": shown, "equivalent": None if shown is None else shown < MARGIN,
            })  # fmt: skip
    return pd.DataFrame(rows)


def combined(compared: Sequence[Compared]) -> pd.DataFrame:
    """Each comparison over the targets that it is complete on, those shown apart left out, then all."""
    rows = []
    for family, method, reference, findings in dict.fromkeys(map(_question, compared)):
        wanted = (family, method, reference, findings)
        own = [each for each in compared if _question(each) == wanted and each.error > 0]
        without = [each for each in own if not each.cell.apart]
        for some in [without, own][: 1 + (len(own) > len(without))]:
            if len(some) < 2:
                continue
            made = combine([each.difference.value or 0.0 for each in some], [each.error for each in some])
            rows.append({
                "family": family, "method": method, "reference": reference, "findings": findings,
                "targets": ", ".join(each.cell.target for each in some), "difference": made.value,
                "ci95": made.ci95, "tau": made.tau,
            })  # fmt: skip
    return pd.DataFrame(rows)


def leaky(cells: Sequence[Cell], record: Record) -> pd.DataFrame:
    """What each sin adds to the AUROC of the honest probe, where all runs are complete."""
    rows = []
    known = {
        (cell.target, cell.method): cell for cell in cells if cell.findings == ALL and not record.left(cell)
    }
    for target in dict.fromkeys(cell.target for cell in cells if cell.method == TORN):
        if (honest := known.get((target, HONEST))) is None:
            continue
        sins = {"splits by picture": [TORN], "the best of four penalties by the test": CHOSEN}
        usual = _of_splits([honest], record)
        for sin, names in sins.items():
            if all((target, name) in known for name in names):
                claimed = _of_splits([known[target, name] for name in names], record)
                rows.append({
                    "target": target, "sin": sin, "splits": len(claimed), "honest": usual.mean(),
                    "claimed": claimed.mean(), "inflation": claimed.mean() - usual.mean(),
                })  # fmt: skip
    return pd.DataFrame(rows)


def _of_splits(cells: Sequence[Cell], record: Record) -> np.ndarray:
    """The AUROC of each split, of some cells the best."""
    each = [[mean_auroc([fold]) or np.nan for fold in record.of(cell, cell.splits).folds] for cell in cells]
    return np.array(each).max(axis=0)


def progress(cells: Sequence[Cell], record: Record) -> pd.DataFrame:
    """How many runs of each family and method are kept, of how many, and what they took."""
    runs, rows = record.runs(), []
    for (family, method), group in itertools.groupby(
        sorted(cells, key=lambda cell: (cell.family, cell.method)), lambda cell: (cell.family, cell.method)
    ):
        some = list(group)
        own = runs[runs["method"] == method]
        rows.append({
            "family": family, "method": method,
            "targets": ", ".join(dict.fromkeys(cell.target for cell in some)),
            "runs": sum(cell.splits - len(record.left(cell)) for cell in some),
            "of": sum(cell.splits for cell in some), "hours": float(own["seconds"].sum() / 3600),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _question(each: Compared) -> tuple[str, str, str, str]:
    """What is asked of every target."""
    return each.cell.family, each.cell.method, each.reference, each.cell.findings


def _parts(compared: Sequence[Compared]) -> Iterator[tuple[tuple[str, str], list[Compared]]]:
    """Comparisons that belong together, and whose p-values are adjusted for each other."""
    order = list(dict.fromkeys((each.cell.family, _kind(each)) for each in compared))
    rank = {"primary": 0, "secondary": 1, "apart": 2}
    families = list(dict.fromkeys(family for family, _ in order))
    for key in sorted(order, key=lambda key: (families.index(key[0]), rank[key[1]])):
        yield key, [each for each in compared if (each.cell.family, _kind(each)) == key]


def _kind(each: Compared) -> str:
    return "apart" if each.cell.apart else "primary" if each.primary else "secondary"


def write(cells: Sequence[Cell], record: Record, out: Path) -> None:
    """Write all tables into ``out``."""
    compared = compare(cells, record)
    tables: dict[str, tuple[pd.DataFrame, str]] = {
        "areas": (areas(cells, record), "Test AUROC per finding of all complete cells, mean over splits"),
        "differences": (differences(compared), f"Paired differences, with equivalence within ± {MARGIN:g}"),
        "combined": (combined(compared), "Differences over targets, random effects"),
        "leaky": (leaky(cells, record), "What a leaky protocol would have claimed of a probe, test AUROC"),
        "progress": (progress(cells, record), "Runs that are kept, and those of the plan"),
    }
    for name, (table, caption) in tables.items():
        if len(table):
            write_table(table, out / name, caption, NOTES.get(name, ()), formats=FORMATS, suffixes=SUFFIXES)


def draw(cells: Sequence[Cell], record: Record, out: Path) -> None:
    """Draw the AUROC of each target over the findings to learn from, and the differences of each family."""
    curved = {cell.method for cell in cells if cell.findings != ALL}
    drawn = areas([cell for cell in cells if cell.method in curved], record).to_dict("records")
    compared = compare(cells, record)
    with mpl.rc_context(STYLE):
        for target in dict.fromkeys(row["target"] for row in drawn):
            rows: list[dict[str, Any]] = [row for row in drawn if row["target"] == target]
            save(plot(rows, target), out / f"curves-{target}.png")
        for family in dict.fromkeys(each.cell.family for each in compared):
            own = [each for each in compared if each.cell.family == family and each.cell.findings == ALL]
            if own:
                title = f"{family}, all findings to learn from"
                save(plot_differences(list(map(_named, own)), title), out / f"{family}.png")


def _named(each: Compared) -> Difference:
    """With the target in its name."""
    made = each.difference
    return Difference(
        f"{each.cell.target}: {made.method}", made.reference, made.value, ci95=made.ci95,
        corrected95=made.corrected95,
    )  # fmt: skip
