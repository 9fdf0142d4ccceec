"""Who is who: when two patient ids mean the same person, and who stays unknown.

Tables and spreadsheets spell one id in several ways: ``Case-003`` and ``case-003``, ``14``, ``14.0`` and
``0014``, a no-break space at the end. Everything that asks whether two ids are one person compares
:func:`person`, never the ids.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from pipeline.duplicates import clusters

NOBODY = frozenset(
    {
        "", "anon", "anonymised", "anonymized", "anonymous", "deidentified", "missing", "na", "nan", "nat",
        "nil", "none", "notapplicable", "notavailable", "notknown", "null", "undefined", "unk", "unknown",
    }
)  # fmt: skip
"""What programs and people write where they do not know the patient: ``n/a`` and ``<NA>``, too, and ``?``."""
PATIENT, IMAGES = "patient", "near-duplicates"
"""What the group of a finding is (column ``group_kind`` of findings.csv)."""

_DASHES = dict.fromkeys(map(ord, "‐‑‒–—−"), "-")
_AROUND = str.maketrans("", "", " #()-./<>?[]_")
"""Signs that such words come with."""
_WHOLE = re.compile(r"0*([0-9]+?)(?:\.0*|,0)?")


def person(patient_id: object) -> str:
    r"""The person that an id means: two ids are the same person if this is equal; empty for an unknown one.

    Compared are ids after Unicode NFKC and case folding, without invisible characters, with any run of blanks
    as one and none at the ends; whole numbers without leading zeros and a trailing ``.0``.

    >>> person(" Case–003\u00a0"), person("0014.0"), person("P1") == person("P10"), person("NaN")
    ('case-003', '14', False, '')
    """
    # Once more after folding: it may take a composed letter apart.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", str(patient_id)).casefold())
    hidden = {letter for letter in folded if unicodedata.category(letter) in ("Cc", "Cf")}
    seen = "".join(letter for letter in folded if letter.isspace() or letter not in hidden)
    name = " ".join(seen.translate(_DASHES).split())
    if (name.translate(_AROUND) or name.strip("-?")) in NOBODY:
        return ""
    whole = _WHOLE.fullmatch(name)
    return whole[1] if whole else name


def persons(ids: pd.Series) -> pd.Series:
    """The person that each id means."""
    return ids.map({name: person(name) for name in ids.unique()})


def called(ids: pd.Series) -> pd.Series:
    """One name for each person: all spellings of the id, ``Case-003 = case-003``; unknown ones stay apart."""
    who = persons(ids)
    names = ids.drop_duplicates().groupby(who.where(who != "", ids), sort=False).agg(" = ".join)
    return who.where(who != "", ids).map(names)


def units(tables: Sequence[pd.DataFrame]) -> list[np.ndarray]:
    """What no split may cut: the number of the unit of each row, for several tables at once.

    Tables have the columns patient_id and group_id. A group of a table is in one unit, and so is a person, in
    whatever groups of whatever tables. Units are numbered in the order of tables and sorted groups.
    """
    every = pd.concat([table[["patient_id", "group_id"]] for table in tables], keys=range(len(tables)))
    groups = pd.MultiIndex.from_arrays([every.index.get_level_values(0), every["group_id"]])
    group, known = groups.factorize(sort=True)
    who = persons(every["patient_id"])
    people, names = pd.factorize(who.where(who != "", every["group_id"]))
    pairs = np.unique(np.column_stack([group, people + len(known)]), axis=0)
    joined = clusters(len(known) + len(names), pairs)[: len(known)]
    number = pd.factorize(joined)[0][group]
    return np.split(number, np.cumsum([len(table) for table in tables])[:-1])


def unknown(findings: pd.DataFrame) -> pd.Series:
    """Whether nobody knows the patient of each finding (column group_kind): near-duplicates are the group."""
    return findings["group_kind"] == IMAGES


def of_findings(kept: pd.DataFrame, findings: pd.DataFrame) -> pd.DataFrame:
    """The findings of a store with the ``group_kind`` that findings.csv has for each."""
    key = ["patient_id", "finding_id"]
    return kept.merge(findings[[*key, "group_kind"]].drop_duplicates(key), on=key, how="left")


def counted(findings: pd.DataFrame) -> str:
    """How many people findings are of: ``12 patients``, or ``patients unknown: 8 groups``."""
    nobody = unknown(findings)
    known, groups = (findings["group_id"][which].nunique() for which in (~nobody, nobody))
    if not groups:
        return f"{known} patients"
    return (
        f"patients unknown: {groups} groups" if not known else f"{known} patients and {groups} unknown groups"
    )


def spellings(findings: pd.DataFrame) -> list[str]:
    """The people of findings.csv whose id is spelt in several ways, each as ``Case-003 = case-003``."""
    ids = findings["patient_id"][~unknown(findings)].drop_duplicates()
    people = ids.groupby(persons(ids), sort=False)
    # What cannot be seen, such as a blank at the end, is shown by quotes.
    return [" = ".join(map(repr, names)) for _, names in people if len(names) > 1]


def remarks(findings: pd.DataFrame) -> Iterator[str]:
    """What the groups of findings.csv rest on, where it is more than an id for each patient."""
    if joined := spellings(findings):
        yield f"one person each, however spelt: {'; '.join(joined)}"
    nobody = findings[unknown(findings)]
    if len(nobody):
        count = len(nobody.drop_duplicates(["patient_id", "finding_id"]))
        groups = nobody["group_id"].nunique()
        yield f"patients unknown: {groups} groups of near-duplicates, {count} findings"
