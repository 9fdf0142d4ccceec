"""The public logs of Hydra as histories of ours: ``python -m papers.replay FOLDER --out published``.

A log holds one phase of one run, a line per epoch: the metrics of the data set in training, or, in files
called ``…_gp_…``, those of the target through the decision maker that the first phase left. Values stay as
they are written, and epochs count from 0 as they do there (ours count from 1).
"""

import argparse
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from model.training.records import HISTORY_COLUMNS
from papers.recount import PATCHES, TARGET
from pipeline.cli import run_cli
from pipeline.errors import ColumnError, EmptyError, InputError
from pipeline.files import read_csv, write_csv

log = logging.getLogger("typhon")

METHODS = {"hydra": "hydra", "standard_TL": "transfer"}
DATASETS = {"P": "prostatex", "B": "brain", "L": "lungx"}
"""By the initial in a file's name."""
SPLITS = {"training": "train", "validation": "validation"}
METRICS = {
    "loss": "loss", "accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1score": "f1",
    "specificity": "specificity", "auc": "auroc",
}  # fmt: skip
FIRST = "DS1/Full"
_OWN = re.compile(r"(?P<method>hydra|standard_TL)_\d{8}_(?:.+_)?(?P<dataset>[PBL])_\d.*\.csv")
_REFERENCE = re.compile(
    r"(?P<method>hydra|standard_TL)_(?P<set>DS\d)_\w+_(?P<step>Full|Frozen)_gp_(?P<split>training|validation)\.csv"
)
_COLUMN = re.compile(r"(?P<phase>DS\d/(?:Full|Frozen))/.+/(?P<split>Training|Validation)/(?P<metric>\w+)")


@dataclass(frozen=True)
class LoggedCurve:
    """One metric over the epochs of a phase."""

    phase: str
    dataset: str
    split: str
    metric: str
    values: pd.Series
    """As written, by epoch."""


def read_logs(folder: Path) -> dict[str, list[LoggedCurve]]:
    """The curves of each method whose logs lie in ``folder``, phase by phase.

    Raises EmptyError where there is no log, ColumnError for one with other columns, InputError for a value
    that is no number or a curve that is there twice.
    """
    curves: dict[str, list[LoggedCurve]] = {}
    for path in sorted(folder.glob("*.csv")):
        own, reference = _OWN.fullmatch(path.name), _REFERENCE.fullmatch(path.name)
        if own:
            curves.setdefault(METHODS[own["method"]], []).extend(_own(path, DATASETS[own["dataset"]]))
        elif reference:
            phase, split = f"{reference['set']}/{reference['step']}", SPLITS[reference["split"]]
            curves.setdefault(METHODS[reference["method"]], []).extend(_reference(path, phase, split))
    if not curves:
        raise EmptyError(
            "none", file=folder, expected="logs of Hydra's public repository: hydra_…csv, standard_TL_…csv",
            remedy="name their folder, or leave published out of the config",
        )  # fmt: skip
    for found in curves.values():
        found.sort(key=lambda curve: curve.phase.replace("Frozen", "A"))  # frozen before full
        _once(found, folder)
    return curves


def _own(path: Path, dataset: str) -> Iterator[LoggedCurve]:
    for name, values in _table(path).items():
        column = _COLUMN.fullmatch(str(name))
        metric = METRICS.get(column["metric"]) if column else None
        if not column or not metric:
            raise ColumnError(str(name), file=path, expected="columns DS1/Full/…/Training/auc")
        yield LoggedCurve(column["phase"], dataset, SPLITS[column["split"].lower()], metric, values)


def _reference(path: Path, phase: str, split: str) -> Iterator[LoggedCurve]:
    table = _table(path)
    unknown = [name for name in table if name not in METRICS]
    if unknown:
        raise ColumnError(", ".join(unknown), file=path, expected=f"columns {', '.join(METRICS)}")
    for name, values in table.items():
        yield LoggedCurve(phase, TARGET, split, f"reference_{METRICS[str(name)]}", values)
        # In the first phase the reference is what trains; its own log may be there as well.
        if phase == FIRST and split == "validation":
            yield LoggedCurve(phase, TARGET, split, METRICS[str(name)], values)


def _table(path: Path) -> pd.DataFrame:
    """A log as text, by epoch; all of it numbers."""
    table = read_csv(path)
    if "epoch" not in table or table.empty:
        raise ColumnError(
            ", ".join(table) or "nothing", file=path, expected="a column epoch and a line per epoch"
        )
    for name in table:
        bad = table.loc[pd.to_numeric(table[name], errors="coerce").isna(), name]
        if len(bad):
            raise InputError(
                f"{bad.iloc[0]!r} in line {bad.index[0] + 2}, {name}", file=path, expected="numbers"
            )
    return table.set_index(table["epoch"].astype(int)).drop(columns="epoch")


def _once(curves: Sequence[LoggedCurve], folder: Path) -> None:
    seen: set[tuple[str, ...]] = set()
    for curve in curves:
        key = (curve.phase, curve.dataset, curve.split, curve.metric)
        if key in seen or curve.values.index.has_duplicates:
            raise InputError(
                f"{' '.join(key)} twice",
                file=folder,
                expected="one log for each phase",
                remedy="remove a copy",
            )
        seen.add(key)


def history(curves: Sequence[LoggedCurve]) -> Iterator[dict[str, object]]:
    """Rows of history.csv in the order of training.

    The samples seen, which the logs do not tell, are counted by the published sizes of the data sets.
    """
    seen = dict.fromkeys(PATCHES, 0)
    for phase in dict.fromkeys(curve.phase for curve in curves):
        own = [curve for curve in curves if curve.phase == phase]
        trained = next(
            (curve.dataset for curve in own if (curve.split, curve.metric) == ("train", "loss")), None
        )
        for epoch in sorted(set().union(*(curve.values.index for curve in own))):
            for curve in own:
                if epoch in curve.values.index:
                    yield _row(
                        curve.phase, epoch, curve.dataset, curve.split, curve.metric, curve.values[epoch]
                    )
            if trained:
                seen[trained] += PATCHES[trained]
                yield _row(phase, epoch, trained, "train", "samples", seen[trained])


def _row(*cells: object) -> dict[str, object]:
    return dict(zip(HISTORY_COLUMNS, cells, strict=True))


def main(argv: Sequence[str] | None = None) -> None:
    """Write OUT/hydra/history.csv and OUT/transfer/history.csv from the public logs."""
    parser = argparse.ArgumentParser(prog="python -m papers.replay", description=main.__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the logs")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder to write to")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = read_logs(args.folder)
    for method in METHODS.values():
        curves, path = found.get(method, []), args.out / method / "history.csv"
        write_csv(path, HISTORY_COLUMNS, history(curves))
        log.info("%s: %d curves of %d phases", path, len(curves), len({curve.phase for curve in curves}))


if __name__ == "__main__":
    run_cli(main)
