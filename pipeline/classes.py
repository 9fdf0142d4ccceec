"""The classes of a data set, or the labels of which a finding may have several; and what follows from them.

How many logits a head has, what makes them probabilities, which loss and which metrics, and the columns of
tables: whoever needs one of these asks here. No torch.

A *problem* is what one AUROC is about: class 1 of two classes; of more, each class against the rest; of
several labels, each label, on the findings where it is known.
"""

import graphlib
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

UNKNOWN = 255
"""The label of a finding that has none, of the challenge's test, say; or one of several that nobody knows."""
MOST = 255
"""Classes or labels, so that the number of each is below UNKNOWN."""
LABEL, SCORE = "label", "score"
"""Columns of tables; those of one of several classes or labels go on with ``_`` and its name."""
METRICS = {
    "two classes": ("loss", "auroc", "accuracy", "precision", "recall", "f1", "specificity"),
    "classes": ("loss", "auroc", "accuracy"),
    "labels": ("loss", "auroc"),
}
"""By kind: a threshold of one half means something for two classes, the most probable class for more."""


@dataclass(frozen=True)
class Classes:
    """Two classes or more, one of which a finding has; or labels, of which it may have any.

    Raises ValueError for names that are empty, repeated, or fewer than two.
    """

    names: tuple[str, ...]
    """In the order of their numbers."""
    multilabel: bool = False

    def __post_init__(self) -> None:
        if not 2 <= len(self.names) <= MOST or len({*self.names}) < len(self.names) or not all(self.names):
            raise ValueError(f"names {', '.join(self.names)}, not 2 to {MOST} different ones")

    def __str__(self) -> str:
        return f"{len(self.names)} {'labels' if self.multilabel else 'classes'} ({', '.join(self.names)})"

    @property
    def two(self) -> bool:
        """Whether these are two classes."""
        return len(self.names) == 2 and not self.multilabel

    @property
    def kind(self) -> str:
        """A key of METRICS."""
        return "labels" if self.multilabel else "two classes" if self.two else "classes"

    @property
    def metrics(self) -> tuple[str, ...]:
        """What can be said of the scores of some findings."""
        return METRICS[self.kind]

    @property
    def outputs(self) -> int:
        """Logits of a head: one per class or label."""
        return len(self.names)

    @property
    def problems(self) -> tuple[str, ...]:
        """The names of what AUROCs are about, see above."""
        return self.names[1:] if self.two else self.names

    @property
    def label_columns(self) -> list[str]:
        """Where a table has the number of a finding's class, or 0, 1 or UNKNOWN for each label."""
        return [f"{LABEL}_{name}" for name in self.names] if self.multilabel else [LABEL]

    def columns(self, what: str = SCORE) -> list[str]:
        """Where a table has something of each problem, such as its score."""
        return [what] if self.two else [f"{what}_{name}" for name in self.problems]

    def labels(self, table: pd.DataFrame) -> np.ndarray:
        """Those of a table's rows as networks learn them, int64: (n,) of classes, (n, labels) of labels."""
        values = table[self.label_columns].to_numpy("i8")
        return values if self.multilabel else values[:, 0]

    def truth(self, table: pd.DataFrame) -> np.ndarray:
        """The answer to each problem, int64 (n, problems): 0, 1 or UNKNOWN."""
        labels = self.labels(table)
        if self.multilabel:
            return labels
        asked = labels[:, None] == np.arange(len(self.names))[-len(self.problems) :]
        return np.where(labels[:, None] == UNKNOWN, UNKNOWN, asked)

    def strata(self, table: pd.DataFrame) -> np.ndarray:
        """Whose shares a draw of rows keeps, (n,): the class; of labels the rarest one that a row has."""
        if not self.multilabel:
            return self.labels(table)
        has = self.labels(table) == 1
        order = np.argsort(has.sum(0), kind="stable")
        return np.where(has.any(1), order[has[:, order].argmax(1)] + 1, 0)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Of each problem, float64 (n, problems), without overflow: softmax of classes, sigmoid of labels."""
        if self.two:
            return _sigmoid(_margin(logits))[:, None]
        if self.multilabel:
            return _sigmoid(logits.astype(np.float64))
        return np.exp(_log_softmax(logits))

    def losses(self, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Cross-entropies in nats, without overflow: of each row, or of each label of it that is known."""
        if self.two:
            margin = _margin(logits)
            return np.logaddexp(0, np.where(labels == 1, -margin, margin))
        if self.multilabel:
            known = labels != UNKNOWN
            values = logits.astype(np.float64)[known]
            return np.logaddexp(0, np.where(labels[known] == 1, -values, values))
        known = labels != UNKNOWN
        return -np.take_along_axis(_log_softmax(logits[known]), labels[known, None], 1)[:, 0]

    def has(self, table: pd.DataFrame) -> np.ndarray:
        """Whether a row has each class or label, bool (n, names)."""
        labels = self.labels(table)
        found: np.ndarray = labels == 1 if self.multilabel else labels[:, None] == np.arange(len(self.names))
        return found

    def counts(self, table: pd.DataFrame) -> dict[str, int]:
        """How many rows have each class or label."""
        return dict(zip(self.names, self.has(table).sum(0).tolist(), strict=True))

    @property
    def titles(self) -> tuple[str, ...]:
        """What pictures call them: two classes by their numbers."""
        return UNNAMED.names if self.two else self.names


UNNAMED = Classes(("label 0", "label 1"))
"""Two classes that nobody has named."""


def _margin(logits: np.ndarray) -> np.ndarray:
    """By how much the second of two logits is larger."""
    values = logits.astype(np.float64)
    margin: np.ndarray = values[:, 1] - values[:, 0]
    return margin


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -values))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    values = logits.astype(np.float64)
    values = values - values.max(1, keepdims=True)
    return values - np.log(np.exp(values).sum(1, keepdims=True))


def label_columns(columns: Iterable[str]) -> list[str]:
    """Those columns of a table that hold labels."""
    return [name for name in columns if name == LABEL or name.startswith(f"{LABEL}_")]


def said(row: Mapping[str, Any]) -> str:
    """What a picture says of the labels of one row: the number of its class, or the labels that it has."""
    if LABEL in row:
        return f"{LABEL} {row[LABEL]}"
    has = [name.removeprefix(f"{LABEL}_") for name in label_columns(row) if str(row[name]) == "1"]
    return ", ".join(has) or "no label"


def as_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table as a file has it: a label that nobody knows is an empty cell."""
    columns = label_columns(table)
    cells = {name: table[name].astype(object).where(table[name] != UNKNOWN, "") for name in columns}
    return table.assign(**cells)


def as_numbers(cells: pd.DataFrame) -> pd.DataFrame:
    """The table of a file, all text, with labels as numbers; raises ValueError where one is none."""
    columns = label_columns(cells)
    return cells.assign(**{name: cells[name].replace("", str(UNKNOWN)).astype(int) for name in columns})


def of_columns(columns: Collection[str]) -> Classes:
    """The classes or labels that a table with these columns is about; two classes have no names in it.

    Raises ValueError where they are not those of one data set.
    """
    labels, scores = (_names(columns, what) for what in (LABEL, SCORE))
    if LABEL in columns:
        return Classes(scores) if scores else UNNAMED
    return Classes(labels, multilabel=True)


def _names(columns: Iterable[str], what: str) -> tuple[str, ...]:
    return tuple(name.removeprefix(f"{what}_") for name in columns if name.startswith(f"{what}_"))


def merged(several: Sequence[Classes]) -> tuple[list[str], list[str]]:
    """Columns of labels and of scores of a table of several data sets, each set's own in their order.

    Raises ValueError where classes of one name stand in contrary orders, so that no order of columns fits.
    """
    return (
        _merge([classes.label_columns for classes in several]),
        _merge([classes.columns() for classes in several]),
    )


def _merge(several: Sequence[Sequence[str]]) -> list[str]:
    graph: dict[str, dict[str, None]] = {}  # of dicts, which keep an order that sets have not
    for names in several:
        for name in names:
            graph.setdefault(name, {})
        for before, after in itertools.pairwise(names):
            graph[after][before] = None
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        raise ValueError(f"contrary orders of {', '.join(sorted({*error.args[1]}))}") from error
