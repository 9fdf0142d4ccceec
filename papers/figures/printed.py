"""The numbers of the papers that stand beside our figures, all of PROSTATEx."""

import re
from fractions import Fraction

from papers.numbers import TableCell, read_cells

METRICS = ("accuracy", "precision", "recall", "f1", "specificity", "auroc")
"""At the threshold one half, but for the last."""


def _exact(cell: TableCell) -> float:
    """The number, as the share of pairs that it is where the notes say so."""
    return float(Fraction(cell.note)) if re.fullmatch(r"\d+/\d+", cell.note) else float(cell.value)


def _printed(table: str, key: str) -> dict[tuple[str, str], float]:
    """The numbers of a table by a key of its cells, such as the phase, and by what they measure."""
    cells = [cell for cell in read_cells(table) if re.fullmatch(r"[\d.]+", cell.value)]
    return {(getattr(cell, key), cell.measure): _exact(cell) for cell in cells}


def _column(table: str, measure: str) -> dict[str, float]:
    return {method: value for (method, kind), value in _printed(table, "method").items() if kind == measure}


def _on_test(method: str) -> dict[str, float]:
    """The test metrics of a method in the thesis' Table 6.3."""
    cells = _printed("thesis_6_3", "method")
    return {metric: cells[method, "test" if metric == "auroc" else f"test_{metric}"] for metric in METRICS}


_PHASES = _printed("thesis_6_3", "phase")
_ALONE = {cell.column: cell.value for cell in read_cells("thesis_part1")}

TEST, VALIDATION = _column("typhon_2", "test"), _column("typhon_2", "validation")
"""AUROC of each method: Typhon's Table II."""

BEST: dict[str, tuple[int, float, float]] = {
    phase: (int(epoch), _PHASES[phase, "best_accuracy"], _PHASES[phase, "best_validation"])
    for (phase, measure), epoch in _PHASES.items()
    if measure == "best_epoch"
}
"""Best epoch of each phase, and accuracy and AUROC in validation then: Table 6.3 of the thesis."""
BEST["classical"] = (
    int(_ALONE["best epoch"]), float(_ALONE["validation accuracy"]), float(_ALONE["validation AUROC"])
)  # fmt: skip

BEFORE, AFTER = _on_test("classical"), _on_test("hydra")
"""On the test set, before and after transfer learning: Table 6.3."""

THESIS_ROC = float(_ALONE["test AUROC"])
"""Area under the curve of the thesis' Figure 5.7."""
