"""Which data sets of an experiment have the same people, so that they are split together."""

from collections.abc import Mapping
from typing import Any

from workflow import raw


def names(config: Mapping[str, Any]) -> dict[str, str]:
    """A name for the people of each data set of the experiment: equal names are the same people.

    It is what ``patients`` says, so that another experiment knows them, or else the first of the data sets.

    Data sets have the same people where they lie in the same raw folder or one in another, links followed, or
    where ``patients`` in ``collections`` names the same, by itself the data set.
    """
    folders = {dataset: raw.folder(config, dataset).resolve() for dataset in config["datasets"]}
    marks = {
        dataset: {
            ("patients", config["collections"][dataset].get("patients") or dataset),
            *(("raw", str(other)) for other in folders.values() if own.is_relative_to(other)),
        }
        for dataset, own in folders.items()
    }
    found: list[tuple[set[str], set[tuple[str, str]]]] = []
    for dataset, own in marks.items():
        same = [entry for entry in found if entry[1] & own]
        found = [entry for entry in found if entry not in same]
        found.append(({dataset}.union(*(who for who, _ in same)), own.union(*(them for _, them in same))))
    stated = {dataset: config["collections"][dataset].get("patients") for dataset in folders}
    called = [(who, min(filter(None, map(stated.get, who)), default=min(who))) for who, _ in found]
    return {dataset: name for who, name in called for dataset in who}


def outside(config: Mapping[str, Any], name: str) -> tuple[str, list[str]]:
    """A name for the people of a collection beside the data sets, and the data sets that have the same.

    Where there are some, the name is the one that these people have in training.
    """
    every = names({**config, "datasets": [*config["datasets"], name]})
    same = [other for other in config["datasets"] if every[other] == every[name]]
    return (names(config)[same[0]] if same else every[name]), same


def same(config: Mapping[str, Any], dataset: str) -> list[str]:
    """The other data sets of the experiment with the same people, sorted."""
    of = names(config)
    return sorted(name for name in of if name != dataset and of[name] == of.get(dataset))
