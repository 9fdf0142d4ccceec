"""What each rule reads and is told, as functions of the config and of a job's identity, without Snakemake.

A function takes the config and, by their names, the wildcards that it needs of the job. Paths of data begin
with ``<data>``, for which Snakemake sets in the data folder of the config. What cannot be is
raised: InputError for one line, RefusedError for several.
"""

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]


class RefusedError(Exception):
    """Ends the run before any job, with its text: faults of all data sets at once, or terms to accept."""


def refuse(text: str) -> None:
    """Raise RefusedError unless there is nothing to say."""
    if text:
        raise RefusedError(text)


def is_tested(config: Config) -> bool:
    """Whether the split leaves findings to test."""
    return bool(config["split"]["kind"] != "all")


def folds(config: Config) -> range:
    """The numbers of the splits."""
    return range(config["split"]["n"])


def runs(config: Config) -> list[str]:
    """The runs of a method, as folders below its own: ``fold0/seed0`` and so on."""
    return [f"fold{fold}/seed{seed}" for fold in folds(config) for seed in config["seeds"]]
