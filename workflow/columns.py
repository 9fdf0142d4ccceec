"""Columns that the config names for subgroups and covariates, looked for before any job starts.

The steps that read them come last: without this, a slip would end a run after all of its trainings.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from model.baselines.methods import COVARIATES
from pipeline.classes import LABEL
from pipeline.errors import InputError
from pipeline.files import EXTENT, FINDING_COLUMNS
from workflow.config.collections import classes_of
from workflow.config.messages import error, nearest
from workflow.plan import targets


def faults(config: Mapping[str, Any]) -> Iterator[InputError]:
    """An error for each column that there is not, and what is wrong with a table that should have it."""
    used = {config["variants"].get(name, {}).get("method", name) for name in config["methods"]}
    if config["split"]["kind"] != "all":
        yield from _of(config, "subgroups")
    if used & {*COVARIATES}:
        yield from _of(config, "covariates")


def _of(config: Mapping[str, Any], section: str) -> Iterator[InputError]:
    own = config[section]
    if not own["columns"]:
        return
    try:
        table = _header(config, section)
    except InputError as problem:
        yield problem
        return
    asked = [([section, "columns"], name) for name in own["columns"]]
    asked += [([section, "cuts", name], name) for name in own.get("cuts", ()) if name not in own["columns"]]
    if all(name in table for _, name in asked):
        return
    from pipeline.readers.index import COLUMNS  # with all readers, which a table does not need

    target = config["collections"][config["target"]]
    of_findings = {*FINDING_COLUMNS} - {LABEL} | {*classes_of(target).label_columns}
    of_findings |= {EXTENT} if target.get("extent_column") or target.get("mask_extent") else set()
    known = {*table, *of_findings, *COLUMNS}
    where = f"{own['table'] or f'the table that {section}/table may name'}, findings.csv or index.parquet"
    for path, name in asked:
        if name not in known:
            yield error(path, name, expected=f"a column of {where}", remedy=nearest(name, known))


def _header(config: Mapping[str, Any], section: str) -> list[str]:
    """The columns of a user's table, by our names; none without a table."""
    from model.evaluation.levels import of_people  # with all readers, which most configs do not need

    tables = targets.users_table(config, section)
    return [name for table in tables for name in of_people(Path(table), config[section]["names"])]
