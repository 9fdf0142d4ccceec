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

from pipeline.splits.duplicates import clusters

NOBODY = frozenset(
    {
        "anon", "anonym", "anonymised", "anonymized", "anonymous", "deidentified", "missing", "na", "nan",
        "nat", "nil", "noid", "noname", "none", "notapplicable", "notavailable", "notknown", "notspecified",
        "null", "patientunknown", "redacted", "removed", "tbd", "undefined", "unk", "unknown",
        "unknownpatient", "unspecified", "withheld",
    }
)  # fmt: skip
"""What programs and people write where they do not know the patient: ``n/a`` and ``<NA>``, too, and ``?``."""
MISSING = frozenset({"-1", "-9", "-99", "-999", "\\n", "#ref!", "#value!", "#name?", "#div/0!"})
"""What stands for a missing number, and what spreadsheets and data bases write for one."""
CROWD = 20
"""Findings from which on an id that most of them have is said."""
PATIENT, IMAGES = "patient", "near-duplicates"
"""What makes the group of a finding (column ``group_kind`` of findings.csv)."""

_DASHES = dict.fromkeys(map(ord, "‐‑‒–—−"), "-")
_AROUND = str.maketrans("", "", " #()-./<>?[]^_")
"""Signs that such words come with."""
_TEXT_MARKS = " \t=\"'‘’“”"
"""Of ``="0014"`` and ``'0014``, by which spreadsheets keep leading zeros."""
_ROUNDED = re.compile(r"[0-9][.,][0-9]+[eE]\+?[0-9]+")
_WHOLE = re.compile(r"0*([0-9]+?)(?:\.0*|,0)?")


def person(patient_id: object) -> str:
    r"""The person that an id means: two ids are the same person if this is equal; empty for an unknown one.

    Compared are ids after Unicode NFKC and case folding, without invisible characters, with any run of blanks
    as one and none at the ends, nor the quotes and signs that make a spreadsheet keep an id as text; whole
    numbers without leading zeros and a trailing ``.0``. Signs alone are nobody.

    >>> person(" Case–003\u00a0"), person("0014.0"), person("P1") == person("P10"), person("NaN")
    ('case-003', '14', False, '')
    """
    # Once more after folding: it may take a composed letter apart.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", str(patient_id)).casefold())
    hidden = {letter for letter in folded if unicodedata.category(letter) in ("Cc", "Cf")}
    seen = "".join(letter for letter in folded if letter.isspace() or letter not in hidden)
    name = " ".join(seen.translate(_DASHES).strip(_TEXT_MARKS).split())
    if not any(map(str.isalnum, name)) or name.translate(_AROUND) in NOBODY or name in MISSING:
        return ""
    whole = _WHOLE.fullmatch(name)
    return whole[1] if whole else name


def is_rounded(patient_id: str) -> bool:
    """Whether an id is what a spreadsheet makes of a long number, of which many are then equal: 1.23E+11."""
    return _ROUNDED.fullmatch(patient_id.strip()) is not None


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


def strangers(findings: pd.DataFrame) -> pd.Series:
    """Whether the group of each finding (columns group_id and group_kind) has no known patient."""
    return ~findings["group_id"].isin(findings["group_id"][~unknown(findings)])


def of_findings(kept: pd.DataFrame, findings: pd.DataFrame) -> pd.DataFrame:
    """The findings of a store with the ``group_kind`` that findings.csv has for each."""
    key = ["patient_id", "finding_id"]
    return kept.merge(findings[[*key, "group_kind"]].drop_duplicates(key), on=key, how="left")


def counted(findings: pd.DataFrame) -> str:
    """How many people findings are of: ``12 patients``, or ``patients unknown: 8 groups``."""
    nobody = strangers(findings)
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


def crowd(findings: pd.DataFrame) -> str:
    """What to say where one id has most of many findings of known people; empty where none has."""
    cases = findings[~unknown(findings)].drop_duplicates(["patient_id", "finding_id"])
    counts = persons(cases["patient_id"]).value_counts()
    if len(cases) < CROWD or 2 * counts.iloc[0] <= len(cases):
        return ""
    found = f"{counts.index[0]!r} has {counts.iloc[0]} of {len(cases)} findings"
    return f"{found}: if that is nobody, leave patient_id empty"


def lump(findings: pd.DataFrame) -> str:
    """What to say where most of many findings are in one group that unknown ones joined; empty if none is."""
    cases = findings.drop_duplicates(["patient_id", "finding_id"])
    sizes = cases["group_id"].value_counts()
    joined = cases["group_id"][unknown(cases)]
    if len(cases) < CROWD or 2 * sizes.iloc[0] <= len(cases) or sizes.index[0] not in set(joined):
        return ""
    found = f"the group {sizes.index[0]!r} has {sizes.iloc[0]} of {len(cases)} findings"
    return f"{found}: if these are several patients, fill in patient_id"


def remarks(findings: pd.DataFrame) -> Iterator[str]:
    """What the groups of findings.csv rest on, where it is more than an id for each patient."""
    if joined := spellings(findings):
        yield f"one person each, however spelt: {'; '.join(joined)}"
    nobody = findings[unknown(findings)]
    if len(nobody):
        count = len(nobody.drop_duplicates(["patient_id", "finding_id"]))
        groups = nobody["group_id"].nunique()
        shared = groups - findings["group_id"][strangers(findings)].nunique()
        among = f", {shared} of them with a known patient" if shared else ""
        yield f"patients unknown: {groups} groups{among}, {count} findings"
    if most := crowd(findings) or lump(findings):
        yield most
