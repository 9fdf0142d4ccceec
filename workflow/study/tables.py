"""The tables of the study, from ``docs/study/`` alone."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import hypot
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from model.evaluation.combined import combine, equivalence_interval
from model.evaluation.corrected import area_interval, standard_error
from model.evaluation.delong import clustered_interval, mean_areas
from model.evaluation.intervals import mean_auroc
from model.evaluation.paired import Difference, Paired, check_paired, holm, subtract
from model.report.tabular import write_table
from workflow.study import summary, tuning
from workflow.study.cells import ALL, Cell
from workflow.study.record import Record, counts, overlap

MARGIN = 0.05
"""Methods whose AUROCs differ by less than this are called equivalent; of the plan."""
FORMATS = dict.fromkeys(
    ("auroc", "ci95", "corrected95", "sd_splits", "difference", "equivalence90", "margin_shown", "detectable",
     "tau", "honest", "claimed", "inflation", "half", "last"), ".3f",
) | dict.fromkeys(("p_delong", "p_corrected", "holm_delong", "holm_corrected"), ".2g")  # fmt: skip
FORMATS["hours"] = ".2f"
NOTES = {
    "summary": summary.NOTES,
    "areas": ["ci95 is for other patients, corrected95 for other splits; sd_splits is that of one split."],
    "differences": [
        "Holm's p-values are within a kind of a family, over all targets that are not apart; there are none"
        " before all of these comparisons are complete.",
        "equivalence90 is the 90 % interval over splits, corrected; margin_shown is the least margin that"
        " holds it, detectable the least difference found with 80 % power.",
        "Of fewer than four splits there is no interval over splits.",
    ],
    "combined": [
        "Of comparisons that are complete on all targets. tau is the standard deviation between targets."
        " Rows with brain are shown apart."
    ],
    "leaky": ["corrected95 is the interval of the inflation over splits. Splits by picture are other splits "
              "than the honest ones, so their difference is not paired."],
    "related": ["Context, not tests. ci95 is for other patients; of three splits there is none over splits."],
    "rates": ["half is at half of the steps, last after the last; taken: of all three on all targets."],
    "progress": ["hours are those in which runs learned and scored, without starting processes."],
}  # fmt: skip
SUFFIXES = (".csv", ".md")
HONEST, TORN = "probe", "probe-torn"
"""A probe whose splits keep groups together, and one whose splits do not."""
CHOSEN = ("probe-1", "probe-2", "probe-3", "probe-4")
"""Probes with one penalty each."""
RELATED = "related"
"""The family of transfer from a single support; its methods are two data sets, as ``brain-busi``."""


@dataclass(frozen=True)
class Asked:
    """A comparison of the plan."""

    cell: Cell
    reference: Cell
    primary: bool

    @property
    def kind(self) -> str:
        """What it counts as within its family."""
        return "apart" if self.cell.apart else "primary" if self.primary else "secondary"

    @property
    def of_all(self) -> tuple[str, str, str, str]:
        """What is asked of every target alike."""
        return self.cell.family, self.cell.method, self.reference.method, self.cell.findings


@dataclass(frozen=True)
class Compared:
    """Its answer, over the splits that both cells have."""

    asked: Asked
    splits: int
    difference: Difference
    error: float
    """Over splits, corrected."""
    equivalence: tuple[float, float] | None


def ask(cells: Sequence[Cell]) -> list[Asked]:
    """Every comparison of the plan."""
    known = {(cell.target, cell.name): cell for cell in cells}
    found = []
    for cell in cells:
        for place, name in enumerate(cell.references):
            if other := known.get((cell.target, f"{name}-n{cell.findings}")):
                found.append(Asked(cell, other, cell.primary and not place))
    return found


def compare(cells: Sequence[Cell], record: Record) -> list[Compared]:
    """Those both of whose cells are complete."""
    runs, found = record.runs(), []
    for asked in ask(cells):
        both = (asked.cell, asked.reference)
        if any(map(record.left, both)):
            continue
        splits = min(cell.splits for cell in both)
        methods = tuple(record.of(cell, splits) for cell in both)
        check_paired(methods)
        ratio = overlap(runs, asked.cell.target)
        paired = Paired(methods, None, mean_areas([each.folds for each in methods]), "")
        ours, theirs = (np.concatenate(each.areas() or [np.array([])]) for each in methods)
        values = (ours - theirs).tolist()
        found.append(Compared(
            asked, splits, subtract(paired, 0, 1, overlap=ratio), standard_error(values, ratio),
            equivalence_interval(values, ratio),
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


def alike(cells: Sequence[Cell]) -> list[Cell]:
    """The same on no more splits than their family's primary comparison has, to stand side by side."""
    most = {cell.family: cell.splits for cell in cells if cell.primary}
    return [replace(cell, splits=min(cell.splits, most.get(cell.family, cell.splits))) for cell in cells]


def differences(compared: Sequence[Compared], plan: Sequence[Asked]) -> pd.DataFrame:
    """All comparisons, primary ones first in each family; Holm's p-values of a kind that is complete."""
    rows = []
    for part in _parts(compared):
        family, kind = part[0].asked.cell.family, part[0].asked.kind
        planned = sum((asked.cell.family, asked.kind) == (family, kind) for asked in plan)
        complete = kind != "apart" and len(part) == planned
        adjusted = {
            name: holm([getattr(each.difference, f"p_{name}") if complete else None for each in part])
            for name in ("delong", "corrected")
        }
        for place, each in enumerate(part):
            made, kept = each.difference, each.equivalence
            shown = max(map(abs, kept)) if kept else None
            rows.append({
                "family": family, "kind": kind, "target": each.asked.cell.target, "method": made.method,
                "reference": made.reference, "findings": each.asked.cell.findings, "splits": each.splits,
                "difference": made.value, "ci95": made.ci95, "p_delong": made.p_delong,
                "holm_delong": adjusted["delong"][place], "corrected95": made.corrected95,
                "p_corrected": made.p_corrected, "holm_corrected": adjusted["corrected"][place],
                "sd_splits": made.spread.splits, "detectable": made.detectable, "equivalence90": kept,
                "margin_shown": shown, "equivalent": None if shown is None else shown < MARGIN,
            })  # fmt: skip
    return pd.DataFrame(rows)


def combined(compared: Sequence[Compared], plan: Sequence[Asked]) -> pd.DataFrame:
    """Each comparison over all its targets that are not apart, then over all, where these are complete."""
    rows = []
    for question in dict.fromkeys(each.asked.of_all for each in compared):
        planned = [asked for asked in plan if asked.of_all == question]
        own = [each for each in compared if each.asked.of_all == question and each.equivalence]
        without = [each for each in own if not each.asked.cell.apart]
        family, method, reference, findings = question
        for some, wanted in (
            (without, sum(not asked.cell.apart for asked in planned)),
            (own if len(own) > len(without) else [], len(planned)),
        ):
            if len(some) < max(2, wanted):
                continue
            made = combine([each.difference.value or 0.0 for each in some], [each.error for each in some])
            rows.append({
                "family": family, "method": method, "reference": reference, "findings": findings,
                "targets": ", ".join(each.asked.cell.target for each in some), "difference": made.value,
                "ci95": made.ci95, "tau": made.tau,
            })  # fmt: skip
    return pd.DataFrame(rows)


def leaky(cells: Sequence[Cell], record: Record) -> pd.DataFrame:
    """What each leaky protocol adds to the AUROC of the honest one, where all runs are complete."""
    rows = []
    known = {
        (cell.target, cell.method): cell for cell in cells if cell.findings == ALL and not record.left(cell)
    }
    for target in dict.fromkeys(cell.target for cell in cells if cell.method in (TORN, *CHOSEN)):
        if (honest := known.get((target, HONEST))) is None:
            continue
        protocols = {"splits by picture": [TORN], "the best of four penalties by the test": CHOSEN}
        usual = _of_splits([honest], record)
        ratio = overlap(record.runs(), target)
        for protocol, names in protocols.items():
            if all((target, name) in known for name in names):
                claimed = _of_splits([known[target, name] for name in names], record)
                errors = [standard_error(each, ratio) for each in (usual.tolist(), claimed.tolist())]
                paired = standard_error((claimed - usual).tolist(), ratio)
                half = stdtrit(len(usual) - 1, 0.975) * (hypot(*errors) if TORN in names else paired)
                inflation = float(claimed.mean() - usual.mean())
                rows.append({
                    "target": target, "protocol": protocol, "splits": len(claimed), "honest": usual.mean(),
                    "claimed": claimed.mean(), "inflation": inflation,
                    "corrected95": (inflation - half, inflation + half),
                })  # fmt: skip
    return pd.DataFrame(rows)


def related(compared: Sequence[Compared]) -> pd.DataFrame:
    """What each single support brings to each target: parallel transfer from it less fine-tuning alone."""
    return pd.DataFrame([
        {
            "support": next(
                name for name in each.asked.cell.method.split("-") if name != each.asked.cell.target
            ),
            "target": each.asked.cell.target,
            "reference": each.difference.reference, "splits": each.splits,
            "difference": each.difference.value, "ci95": each.difference.ci95,
            "corrected95": each.difference.corrected95,
        }
        for each in compared if each.asked.cell.family == RELATED
    ])  # fmt: skip


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


def _parts(compared: Sequence[Compared]) -> Iterator[list[Compared]]:
    """Comparisons of one kind in one family, whose p-values are adjusted for each other."""
    families = list(dict.fromkeys(each.asked.cell.family for each in compared))
    for family, kind in itertools.product(families, ("primary", "secondary", "apart")):
        part = [each for each in compared if (each.asked.cell.family, each.asked.kind) == (family, kind)]
        if part:
            yield part


def write(cells: Sequence[Cell], record: Record, out: Path) -> None:
    """Write all tables that have a row into ``out``."""
    compared, plan = compare(cells, record), ask(cells)
    known, less, over = areas(cells, record), differences(compared, plan), combined(compared, plan)
    tables: dict[str, tuple[pd.DataFrame, str]] = {
        "summary": (
            summary.table(areas(alike(cells), record), less, over),
            "Test AUROC, with all findings to learn from",
        ),
        "areas": (known, "Test AUROC per finding of all complete cells, mean over splits"),
        "differences": (less, f"Paired differences, with equivalence within ± {MARGIN:g}"),
        "combined": (over, "Differences over targets, random effects"),
        "leaky": (leaky(cells, record), "What a leaky protocol would have claimed of a probe, test AUROC"),
        "related": (related(compared), "Parallel transfer from a single support, less fine-tuning alone"),
        "rates": (
            tuning.table(record.folder),
            "Validation AUROC of the target on tuning splits, mean over targets",
        ),
        "progress": (progress(cells, record), "Runs that are kept, and those of the plan"),
    }
    for name, (table, caption) in tables.items():
        if not len(table):  # nor is there one of before
            for suffix in SUFFIXES:
                (out / name).with_suffix(suffix).unlink(missing_ok=True)
        else:
            write_table(table, out / name, caption, NOTES.get(name, ()), formats=FORMATS, suffixes=SUFFIXES)
