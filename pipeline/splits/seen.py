"""Whom a network has seen: digests of people and images, so that a later run can tell whom it knows already.

``seen.json`` lies beside the models of a run: an entry for each step that learned or chose, those of the
networks that it began with included. An entry has digests of whom was learned from (``train``) and chosen by
(``validation``), and a ``salt`` of its own, made of all that it hides: the same findings give the same bytes,
and entries of others cannot be compared without their ids. Digests keep ids from being read, not from being
tried: whoever can guess an id finds out whether it is there.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jsonschema import Draft202012Validator

from pipeline.errors import LeakError
from pipeline.files import write_text
from pipeline.splits import people
from pipeline.splits.leakage import NAMED_OFFENDERS, refuse
from pipeline.splits.split import LEARNED

FILE = "seen.json"
LATER = {"train": ("validation", "test", ""), "validation": ("test", "")}
"""In which splits nobody may be whom a network has learned from, and chosen by; findings without a split are
scored alone."""
BYTES = 8
"""Of a digest: of a million people and a million others, once in 10 million times two are taken for one."""

_DIGESTS = {"type": "array", "items": {"type": "string", "pattern": f"^[0-9a-f]{{{2 * BYTES}}}$"}}
_KEYS = {"salt": {"type": "string", "pattern": "^[0-9a-f]{32}$"}, **dict.fromkeys(LEARNED, _DIGESTS)}
SCHEMA = {"type": "array", "items": {"type": "object", "properties": _KEYS, "required": list(_KEYS)}}

Entry = dict[str, Any]


def beside(model: Path) -> Path:
    """The list of the run that a model file is of."""
    return (model.parent.parent if model.parent.name == "best" else model.parent) / FILE


def entry(tables: Mapping[str, pd.DataFrame], names: Mapping[str, str]) -> Entry:
    """Whom a step sees that trains and validates on these findings; arguments as in :func:`check`."""
    known = _known(tables, names)
    known = known[known["split"].isin(LEARNED)]
    salt = hashlib.sha256("\n".join(sorted(known["text"].unique())).encode()).hexdigest()[:32]
    digests = _digests(known["text"], salt)
    return {"salt": salt} | {name: sorted(set(digests[known["split"] == name])) for name in LEARNED}


def write(path: Path, entries: Sequence[Entry]) -> None:
    """Write a list, atomically, each entry once."""
    once = {json.dumps(one, sort_keys=True): one for one in entries}
    write_text(path, json.dumps(list(once.values())) + "\n")


def read(path: Path) -> list[Entry]:
    """Read a list; raises LeakError where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if not Draft202012Validator(SCHEMA).is_valid(found):
        raise LeakError(
            "none", file=path, expected="the list of the people whom the network beside it has seen",
            remedy="train it again, or instead of a probe name the weights of its encoder: only runs that"
            " train a network have such a list",
        )  # fmt: skip
    return list(found)


def check(
    entries: Sequence[Entry],
    tables: Mapping[str, pd.DataFrame],
    names: Mapping[str, str],
    *,
    leak: str,
    model: str | Path,
) -> None:
    """Raise LeakError if a network has seen people or images of the validation or the test.

    Those that it was chosen by may be in the validation, not in the test.

    Parameters
    ----------
    entries : of the list beside it.
    tables : split tables by data set, with a column ``image``, see :func:`pipeline.splits.leakage.images`.
    names : by data set a name for its people, as in :func:`pipeline.splits.leakage.leaks_across`.
    leak : with ``warn`` they are listed in warnings instead.
    model : the network, for the message.
    """
    most = NAMED_OFFENDERS if leak == "refuse" else sum(map(len, tables.values()))
    refuse(
        _offenders(entries, _known(tables, names), most), leak, model,
        expected="an extractor that has seen nobody of this run's validation or test",
        remedy="take the runs of a method of this experiment, results/METHOD, or of one with the same splits",
    )  # fmt: skip


def knows(entries: Sequence[Entry], tables: Mapping[str, pd.DataFrame], names: Mapping[str, str]) -> bool:
    """Whether a network has learned from people or images of the training; arguments as in :func:`check`."""
    known = _known(tables, names)
    texts = known["text"][known["split"] == LEARNED[0]]
    return any(_digests(texts, one["salt"]).isin(one[LEARNED[0]]).any() for one in entries)


def _offenders(entries: Sequence[Entry], known: pd.DataFrame, most: int) -> Iterator[str]:
    for one in entries:
        digests = _digests(known["text"], one["salt"])
        met = pd.Series(False, known.index)
        for split, later in LATER.items():
            met |= digests.isin(one[split]) & known["split"].isin(later)
        for kind, rows in known[met].groupby("kind", sort=False):
            cases = list(dict.fromkeys(rows["dataset"] + " " + rows["name"]))
            more = f" and {len(cases) - most} more" if len(cases) > most else ""
            yield f"{len(cases)} {kind}: {', '.join(cases[:most])}{more}"


def _known(tables: Mapping[str, pd.DataFrame], names: Mapping[str, str]) -> pd.DataFrame:
    """Whom and what tables have, a row each: kind, dataset, name, split, and the ``text`` to compare.

    A person goes by all names that data sets with the same people have, whichever of them another run has.
    """
    rows = []
    for dataset, table in tables.items():
        who = people.persons(table["patient_id"])
        same = {names[dataset], *(other for other in tables if names[other] == names[dataset])}
        known = table[who != ""]
        rows += [
            known.assign(kind="patients", name=known["patient_id"], dataset=dataset,
                         text=f"person\x1f{called}\x1f" + who[who != ""])
            for called in sorted(same)
        ]  # fmt: skip
        case = table["patient_id"] + " " + table["finding_id"]
        image = "image\x1f" + table["image"]
        rows.append(table.assign(kind="images like", name=case, dataset=dataset, text=image))
    return pd.concat(rows, ignore_index=True)[["kind", "dataset", "name", "split", "text"]]


def _digests(texts: pd.Series, salt: str) -> pd.Series:
    def of(text: str) -> str:
        return hashlib.blake2b(text.encode(), salt=bytes.fromhex(salt), digest_size=BYTES).hexdigest()

    return texts.map({text: of(text) for text in texts.unique()})
