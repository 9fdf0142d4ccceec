"""What a run knows of its own methods and results, as the words that stand in the answers to a checklist."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from model.budget import within
from model.evaluation.results import Figures, counted
from model.inference.corruptions import CORRUPTIONS
from model.report.tabular import text
from pipeline.classes import label_columns
from pipeline.report.flow import stages

SPLITS = ("train", "validation", "test")
MOST = 4
"""Kinds that are named."""
ZSCORES = {"series": "in Z-scores of its series, or of the picture", "paper": "in 8 bits as published"}
BALANCED = {
    "views": "by the number of views of each finding",
    "undersample": "by drawing as many of each anew every epoch",
}
DRAWN = {
    "holdout": "One hold-out",
    "folds": "{n} folds with rotating test",
    "repeats": "{n} independent hold-outs",
    "paper": "One hold-out as published",
    "given": "The parts that the data tell",
    "sites": "Each site the test once",
}
CUT = "By class and patient, as published: a patient with findings of both may be in two splits."
APART = (
    "By patient, or cluster of near-duplicate images where patients are unknown; patients and equal images"
    " are checked before training."
)
GUESSED = "the best of random networks, by validation"
WHOLE, SQUARE = "The whole image", "A square of {} around each finding"
RATES = ("sensitivity", "specificity")
TERMS = ("collection", "licence", "doi")


@dataclass(frozen=True)
class Study:
    """All that the answers are made of."""

    facts: Mapping[str, Any]
    """Of the config, see ``workflow.plan.reporting``."""
    fingerprints: Mapping[str, pd.DataFrame]
    """By data set."""
    splits: pd.DataFrame
    """Of all data sets and folds."""
    results: Sequence[Figures]
    """Of each method."""

    @property
    def target(self) -> str:
        """The data set that is tested."""
        return str(self.facts["target"])

    @property
    def own(self) -> Mapping[str, Any]:
        """How the target is read."""
        return dict(self.facts["collections"][self.target])

    def rows(self, group: str) -> pd.DataFrame:
        """What the fingerprint of the target says of something."""
        table = self.fingerprints[self.target]
        return table[table["group"] == group]

    @property
    def split(self) -> pd.DataFrame:
        """The split of the target in the first fold."""
        return self.splits[(self.splits["dataset"] == self.target) & (self.splits["fold"] == 0)]

    def values(self) -> dict[str, str]:
        """Words by the names that ``config/answers.csv`` has for them; empty where this run has none."""
        return _of_config(self) | _of_data(self) | _of_results(self)


def _named(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _of_config(study: Study) -> dict[str, str]:
    facts, own, split = study.facts, study.own, study.facts["split"]
    window, methods = own["window"], facts["methods"]
    online = facts["augmentation"] == "online"
    told = []
    for name, one in methods.items():
        network = f"; network {one['network']}, weights {one['weights']}" if "network" in one else ""
        told.append(f"{name} ({one['about'] or one['base']}{network})")
    begun = {name: one["weights"] for name, one in methods.items() if "weights" in one}
    guessed = [f"{name}: {GUESSED if known == 'random' else known}" for name, known in begun.items()]
    points = [f"{rate} {floor:g}" for rate in RATES for floor in facts["operating"][rate]]
    corrupted = facts["robustness"] and any(one["model"] for one in methods.values())
    places = [
        *([f"by {_named(facts['subgroups'])}: results/subgroups.csv"] if facts["subgroups"] else []),
        *([f"at each site ({split['column']}), fold by fold"] if split["kind"] == "sites" else []),
        *([f"at {_named(facts['external'])}: results/external/"] if facts["external"] else []),
    ]
    return {
        "target": study.target,
        "classes": _named(own["classes"]),
        "kind_of_classes": "Labels, of which a finding may have several" if own["multilabel"] else "Classes",
        "methods": _named(methods),
        "methods_told": "; ".join(told),
        "models": _named(name for name, one in methods.items() if one["model"]),
        "initial": "; ".join(guessed) or "no network was trained",
        "states": _named(f"{name} the {one['state']} state" for name, one in methods.items()),
        "collections": "; ".join(
            f"{name}: {_named(one['terms'][key] for key in TERMS if key in one['terms'])}"
            for name, one in facts["collections"].items()
        ),
        "urls": "; ".join(
            f"{name}: {one['terms'].get('url') or one['terms'].get('doi')}"
            for name, one in facts["collections"].items()
            if one["terms"].get("url") or one["terms"].get("doi")
        ),
        "extent": WHOLE if own["extent"] == "whole" else SQUARE.format(own["extent"]),
        "side": str(facts["patch"]), "channels": _named(own["channels"]),
        "table": own["table"] or "", "max_skipped": str(own["max_skipped"]),
        "window": f"{window[0]:g} to {window[1]:g}" if window else "",
        "zscore": ZSCORES.get(own["intensity"], own["intensity"]),
        "views": "views drawn anew for each sample" if online else f"{facts['views']} views per finding",
        "evaluation_views": str(facts["evaluation_views"]),
        "balance": BALANCED.get(facts["balance"], facts["balance"]),
        "split": DRAWN.get(split["kind"], split["kind"]).format(n=split["n"]),
        "apart": CUT if split["kind"] == "paper" else APART,
        "validation": f"{split['validation']:g}", "test": f"{split['test']:g}", "seed": str(split["seed"]),
        "folds": _count(split["n"], "split"), "other_folds": str(split["n"] - 1) if split["n"] > 1 else "",
        "starts": _count(len(facts["seeds"]), "start"),
        "runs": _count(split["n"] * len(facts["seeds"]), "run"),
        "points": _named(points),
        "subgroups": _named(facts["subgroups"]), "covariates": _named(facts["covariates"]),
        "external": _named(facts["external"]), "heterogeneity": "; ".join(places),
        "corruptions": _named(CORRUPTIONS) if corrupted else "",
        "compared": "Methods" if len(methods) > 1 else "",
    }  # fmt: skip


def _of_data(study: Study) -> dict[str, str]:
    budget, classes = study.facts["budget"], study.own["classes"]
    table = within(study.split, study.target, budget, study.facts["ways"])
    most = budget.get(study.target)
    parts = []
    for split in SPLITS:
        part = table[table["split"] == split]
        columns = label_columns(part)
        counts = (
            [f"{int((part[name] == 1).sum())} {name.partition('_')[2]}" for name in columns]
            if study.own["multilabel"]
            else [f"{int((part[columns[0]] == number).sum())} {name}" for number, name in enumerate(classes)]
        )
        parts.append(
            f"{split} {len(part)} findings of {part['group_id'].nunique()} groups ({_named(counts)})"
        )
    left_out = zip(*(study.rows("left out")[name] for name in ("item", "statistic", "value")), strict=True)
    steps = [f"{stage.count} {stage.title}" for stage in stages(study.fingerprints[study.target])]
    counts_of = zip(*(study.rows("class")[name] for name in ("item", "statistic", "value")), strict=True)
    return {
        "scanners": _frequent(study.rows("scanner")),
        "spacings": _frequent(study.rows("spacing")),
        "sizes": _frequent(study.rows("size")),
        "left_out": "; ".join(f"{value} at {step}, {why}" for step, why, value in left_out) or "nothing",
        "flow": "; ".join(steps),
        "characteristics": "; ".join(f"{item}: {value} {statistic}" for item, statistic, value in counts_of),
        "findings": str(len(table)),
        "groups": str(table["group_id"].nunique()),
        "partition_numbers": f"{f'of {most} findings to learn from: ' if most else ''}{'; '.join(parts)}",
    }


def _frequent(rows: pd.DataFrame) -> str:
    """The most frequent kinds with their counts, over all channels."""
    counts = rows["value"].astype(float).groupby(rows["item"], sort=False).sum()
    counts = counts.sort_values(ascending=False, kind="stable")
    more = [f"{len(counts) - MOST} more"] if len(counts) > MOST else []
    return _named([*(f"{item} ({count:.0f})" for item, count in counts.head(MOST).items()), *more])


def _of_results(study: Study) -> dict[str, str]:
    told, trained = [], []
    versions: dict[str, str] = {}
    for figures in study.results:
        here = (study.target, "test", figures["state"])
        line = next(row for row in figures["summary"] if (row["dataset"], row["split"], row["state"]) == here)
        area = f"none, {figures.get('auroc_reason', '')}"
        if figures["auroc"] is not None:
            area = f"{figures['auroc']:.3f} {text(figures['ci95'], '.3f')}".strip()
        tested = f"{line['findings']} findings, {counted(line)} positive, {line['groups']} groups"
        told.append(f"{figures['method']} {area} ({tested})")
        phases, seen = study.facts["methods"][figures["method"]]["phases"], figures.get("target_samples")
        trained.append(
            f"{figures['method']}: {_named(phases) or 'no network'}"
            + (f", {seen:.0f} samples of the target" if seen else "")
        )
        versions |= figures["provenance"]["versions"]
    return {
        "performance": "; ".join(told),
        "training": "; ".join(trained),
        "versions": _named(f"{name} {version}" for name, version in versions.items()),
        "commits": _named(sorted({str(figures["provenance"]["commit"]) for figures in study.results})),
    }
