"""The two tables of a comparison: a row per method, and a row per pair of methods, with their notes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from model.evaluation.corrected import LEAST, POWER
from model.evaluation.intervals import REPLICATES
from model.evaluation.paired import Difference, Paired, Spread, holm, spread_of
from model.evaluation.results import counted

TOLERANCE = 0.05
"""Share by which target samples may differ and still count as equal."""
PVALUES = {"p_delong": "holm_delong", "p_groups": "holm_groups", "p_corrected": "holm_corrected"}


@dataclass(frozen=True)
class Table:
    """What ``tabular.write_table`` writes."""

    frame: pd.DataFrame
    caption: str
    notes: list[str]
    formats: dict[str, str]


def choose_reference(names: Sequence[str]) -> str:
    """The method that others are compared with unless the config names one."""
    return "classical" if "classical" in names else names[0]


def pairs(names: Sequence[str], reference: str, which: str) -> list[tuple[int, int]]:
    """Places of the methods to subtract: of each the reference, or with ``all`` of each all before it too."""
    order = sorted(range(len(names)), key=lambda place: names[place] != reference)
    others = order[1:]
    if which == "reference":
        return [(place, order[0]) for place in others]
    return [(place, before) for rank, place in enumerate(order) for before in order[:rank]]


def samples_mark(
    name: str, samples: float | None, reference: str, wanted: float | None,
    untrained: Collection[str] = (),
) -> str:  # fmt: skip
    """How a method's target samples stand to those of the reference.

    Of ``untrained`` methods, which train no network, the number is 0 or means something else.
    """
    if name == reference:
        return "reference"
    if name in untrained or samples == 0:
        return "no network trained"
    if not samples or not wanted:
        return "unknown"
    if abs(samples - wanted) <= TOLERANCE * wanted:
        return "equal"
    return f"{samples / wanted:.2f} × the reference's"


def samples_notes(
    figures: Sequence[Mapping[str, Any]], reference: str, untrained: Collection[str] = ()
) -> list[str]:
    """What the marks mean for whoever reads the difference."""
    samples = {each["method"]: each.get("target_samples") for each in figures}
    marks = {
        name: samples_mark(name, value, reference, samples[reference], untrained)
        for name, value in samples.items()
    }
    unequal = [f"{name} ({mark.split()[0]} ×)" for name, mark in marks.items() if "×" in mark]
    notes = []
    if unequal:
        notes.append(
            f"UNEQUAL target samples, more than {TOLERANCE * 100:g} % from those of {reference}:"
            f" {', '.join(unequal)}. Such a difference is one of methods and of amounts of training."
        )
    elif "equal" in marks.values():
        notes.append(
            f"Target samples are equal (within {TOLERANCE * 100:g} %) for all methods that train a network."
        )
    for kind, text in (
        ("no network trained", "No network is trained by"),
        ("unknown", "Target samples unknown:"),
    ):
        if named := [name for name, mark in marks.items() if mark == kind]:
            notes.append(f"{text} {', '.join(named)}.")
    return notes


def methods_table(
    figures: Sequence[Mapping[str, Any]],
    paired: Paired,
    reference: str,
    untrained: Collection[str] = (),
) -> Table:
    """A row per method, from its ``results/{method}_auc.json`` and its runs, in their order."""
    samples = {each["method"]: each.get("target_samples") for each in figures}
    rows = []
    for place, (each, method) in enumerate(zip(figures, paired.methods, strict=True)):
        areas = method.areas()
        spread = spread_of(areas) if areas else Spread(None, None)
        trained = each.get("trained")
        drawn = None if paired.drawn is None else float(np.std(paired.drawn[place], ddof=1))
        rows.append({
            "method": method.name,
            "runs": len(method.keys), "splits": len({fold for fold, _ in method.keys}),
            "seeds": len({seed for _, seed in method.keys}),
            "auroc": each["auroc"], "ci95": each["ci95"], "ci95_kind": each["ci95_kind"],
            "bootstrap95": each["bootstrap95"], "corrected95": each["corrected95"],
            "sd_groups": drawn, "sd_splits": spread.splits, "sd_seeds": spread.seeds,
            "validation_auroc": _line(each, "validation").get("auroc"),
            "target_samples": each.get("target_samples"),
            "against_reference": samples_mark(
                method.name, each.get("target_samples"), reference, samples[reference], untrained
            ),
            "training_samples": None if trained is None else sum(trained.values()),
            "seconds": each["seconds"] / len(method.keys),
        })  # fmt: skip
    head = figures[0]
    line = _line(head, "test")
    told = f"{counted(line)} positive" if line["positives"] is not None else counted(line)
    notes = [
        "auroc: mean over all runs of the AUROC per finding (mean of its views' scores); splits together"
        f" test {line['findings']} findings ({told}) in {line['groups']} groups.",
        "ci95: for other patients, in closed form, by group, on the scale of the logit with a quantile of t"
        " (ci95_kind logit), or Newcombe's where that is empty; bootstrap95: the percentiles of"
        f" {REPLICATES:,} resamples of groups, too narrow in small sets; corrected95: for other splits"
        f" (Nadeau and Bengio 2003), from {LEAST} splits on.",
        "sd_groups: what the choice of patients leaves open. sd_splits, sd_seeds: spread of the AUROC between"
        " splits, and between starts within a split.",
        "target_samples, training_samples: views of the target, and of all data sets, that a run trained on;"
        " seconds: of a run.",
        *samples_notes(figures, reference, untrained),
        *_missing(figures, ("auroc", "ci95", "bootstrap95", "corrected95")),
    ]
    formats = {"target_samples": "d", "training_samples": "d", "seconds": ".1f"}
    return Table(pd.DataFrame(rows, dtype=object), f"{_caption(head)}, test findings", notes, formats)


def differences_table(
    figures: Sequence[Mapping[str, Any]], differences: Sequence[Difference], reference: str, *,
    which: str, margin: float, untrained: Collection[str] = (),
) -> Table:  # fmt: skip
    """A row per pair; p-values beside those adjusted for the family of all pairs of the table."""
    samples = {each["method"]: each.get("target_samples") for each in figures}
    rows: list[dict[str, Any]] = [
        {
            "method": each.method, "reference": each.reference, "difference": each.value,
            "ci95": each.ci95, "p_delong": each.p_delong, "holm_delong": None,
            "bootstrap95": each.bootstrap95, "p_groups": each.p_groups, "holm_groups": None,
            "corrected95": each.corrected95, "p_corrected": each.p_corrected, "holm_corrected": None,
            "sd_groups": each.sd_groups, "sd_splits": each.spread.splits, "sd_seeds": each.spread.seeds,
            "detectable": each.detectable, "runs_needed": each.runs_needed,
            "target_samples": samples_mark(
                each.method, samples[each.method], each.reference, samples[each.reference], untrained
            ),
        }
        for each in differences
    ]  # fmt: skip
    for plain, adjusted in PVALUES.items():
        for row, value in zip(rows, holm([row[plain] for row in rows]), strict=True):
            row[adjusted] = value
    family = f"{_count(len(rows), 'comparison')} with {reference}"
    if which == "all":
        family = f"all {_count(len(rows), 'pair')} of the {len(figures)} methods"
    notes = [
        "difference: AUROC of the method less that of its reference, on the same findings, splits and seeds.",
        "ci95, p_delong: for other patients, in closed form, by group, with a quantile of t;"
        f" bootstrap95, p_groups: the same question by {REPLICATES:,} resamples of groups, one draw for both"
        " methods and all runs. Both take splits and starts as they are.",
        "corrected95, p_corrected: for other splits (mean over seeds in each), a t that allows for training"
        f" sets that overlap (Nadeau and Bengio 2003), from {LEAST} splits on.",
        f"holm_…: p-values adjusted by Holm for the family of {family}, each kind of test by itself.",
        "sd_groups: what the choice of patients leaves open. sd_splits, sd_seeds: spread of the difference"
        " between splits, and between starts within a split.",
        f"detectable: the smallest difference that these splits find with {POWER * 100:.0f} % power at"
        " two-sided 5 % by the test of p_corrected; runs_needed: paired runs, each on a split of its own,"
        f" that find {margin:g} so. Both if the spread is the one seen here.",
        *samples_notes(figures, reference, untrained),
        *_reasons({f"{each.method} - {each.reference}": each.reasons for each in differences}),
    ]
    caption = f"Paired differences of AUROC, {_caption(figures[0])}, test findings"
    return Table(pd.DataFrame(rows, dtype=object), caption, notes, {"runs_needed": "d"})


def _caption(figures: Mapping[str, Any]) -> str:
    runs = _line(figures, "test")
    counts = f"{_count(runs['runs'], 'run')} on {_count(runs['folds'], 'split')}"
    return f"{figures['target']}, {figures['state']} state, {counts}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _line(figures: Mapping[str, Any], split: str) -> Mapping[str, Any]:
    """The summary of the target's split in the headline state; empty where there is none."""
    key = {"dataset": figures["target"], "split": split, "state": figures["state"]}
    return next((line for line in figures["summary"] if key.items() <= line.items()), {})


def _missing(figures: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[str]:
    return _reasons({
        each["method"]: {key: each[f"{key}_reason"] for key in keys if each[key] is None} for each in figures
    })  # fmt: skip


def _reasons(of: Mapping[str, Mapping[str, str]]) -> list[str]:
    """One note for each reason why cells are empty, with the columns and, unless it is all, the rows."""
    found: dict[tuple[str, str], list[str]] = {}
    for row, reasons in of.items():
        for key, why in reasons.items():
            found.setdefault((key, why), []).append(row)
    notes: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (key, why), rows in found.items():
        notes.setdefault((why, tuple(rows)), []).append(key)
    return [
        f"No {', '.join(keys)}{'' if len(rows) == len(of) else ' of ' + ', '.join(rows)}: {why}."
        for (why, rows), keys in notes.items()
    ]
