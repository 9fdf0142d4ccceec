"""The cells of the study, a method on a target with so many findings to learn from: ``config/study.csv``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import read_csv
from pipeline.provenance import ROOT
from workflow.variants import CURVE

PLAN = ROOT / "config" / "study.csv"
ALL = "all"
"""As many findings as a split has."""


@dataclass(frozen=True)
class Cell:
    """Some runs that differ in nothing but the split."""

    family: str
    apart: bool
    """Whether it is shown, and neither tested nor summed up."""
    target: str
    configs: tuple[str, ...]
    """Files of ``config/`` without their suffix, each laid over those before."""
    method: str
    findings: str
    """Of the target, training and validation together: a number, or ``all``."""
    splits: int
    references: tuple[str, ...]
    """Methods that it is compared with."""
    primary: bool
    """Whether its comparison with the first of them is of those that the study is for."""

    @property
    def name(self) -> str:
        """Tells it from others of the same target."""
        return f"{self.method}-n{self.findings}"

    @property
    def folder(self) -> str:
        """Where its workflow runs: the target, with its config."""
        return f"{self.configs[-1]}/{self.target}"

    def run(self, fold: int) -> str:
        """The folder of one run, below that of the workflow."""
        point = self.method if self.findings == ALL else f"{CURVE}/{self.method}/n{self.findings}"
        return f"results/{point}/fold{fold}/seed0"


def read(path: Path = PLAN) -> list[Cell]:
    """All cells in their order: line after line, and in each the targets, then the numbers of findings."""
    return list(_cells(path))


def _cells(path: Path) -> Iterator[Cell]:
    for row in read_csv(path).to_dict("records"):
        for target in row["targets"].split():
            for findings in row["findings"].split():
                yield Cell(
                    row["family"], row["apart"] == "yes", target, tuple(row["configs"].split()),
                    row["method"], findings, int(row["splits"]), tuple(row["references"].split()),
                    findings in row["primary"].split(),
                )  # fmt: skip
