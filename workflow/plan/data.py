"""From raw downloads to patches and splits, and the checks of them."""

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.datasets.listed import headers
from pipeline.patches.ranges import USUAL
from pipeline.provenance import code
from workflow import ahead, flags, people, raw, side_collections
from workflow.config.agreement import LISTED, TOLD
from workflow.config.collections import channels_of, classes_of, own_keys
from workflow.plan import Config, folds, refuse


def kind(config: Config, dataset: str) -> str:
    """How a data set is read."""
    return str(config["collections"][dataset]["kind"])


def options(config: Config, dataset: str, keys: Sequence[str]) -> str:
    """These keys of a data set's collection as flags of the same names; absent ones are left out."""
    collection = config["collections"][dataset]
    return flags.flags({key: collection.get(key) for key in keys})


def class_names(config: Config, dataset: str) -> str:
    """What the classes or labels of a data set are called, as flags."""
    classes = classes_of(config["collections"][dataset])
    names = flags.flags({"classes": json.dumps(classes.names, ensure_ascii=False)})
    return f"{names} --multilabel" if classes.multilabel else names


def comparing(config: Config, dataset: str) -> str:
    """The flag that leaves near-duplicates alone, where the config says so."""
    return "" if config["collections"][dataset].get("near_duplicates", True) else "--no-compare"


def own_options(config: Config, dataset: str) -> str:
    """The keys that only data sets of its kind have, as flags."""
    return options(config, dataset, own_keys(kind(config, dataset)))


def code_of(config: Config, dataset: str, module: str) -> str:
    """The digest of a step that loads the module of the data set's kind by name."""
    return code(module, f"pipeline.datasets.{kind(config, dataset)}")


def raw_data(config: Config, dataset: str) -> list[str]:
    """What the index waits for: the phantoms, if any.

    Raises RefusedError, for all data sets at once, where downloads are missing or their tables faulty.
    """
    if "phantom" in config:
        return [f"<data>/raw/{side_collections.home(config, dataset)}"]
    refuse(raw.missing(config) or _faults(json.dumps(config)))
    return []


@functools.cache
def _faults(config: str) -> str:
    """The faults of all tables: looked for once, whatever the number of data sets."""
    return ahead.faults(json.loads(config))


def room_for_phantom(config: Config, dataset: str) -> list[str]:
    """No input. Raises RawMissingError rather than have Snakemake empty a folder of downloads."""
    raw.check_empty(config, dataset)
    return []


def stored_views(config: Config, dataset: str) -> int:
    """How many views of each finding are cut; the challenge's and external ones are never trained on."""
    tested = dataset in (config["challenge"], *config["external"])
    return int(config["evaluation_views" if tested else "views"])


def online(config: Config) -> str:
    """What views are drawn from when they are needed, as a flag where it is not the usual."""
    asked = dict(config["online"])
    drawn = config["augmentation"] == "online" and asked != asdict(USUAL)
    return flags.flags({"online": json.dumps(asked) if drawn else None})


def terms(config: Config, dataset: str) -> str:
    """What is kept with a data set of its licence and origin, as JSON."""
    return json.dumps(raw.terms(config, dataset), sort_keys=True)


def same_people(config: Config, dataset: str) -> list[str]:
    """The stores of the other data sets with the same people, which are split together.

    None where lists tell the split: those of one collection have each person in one place.
    """
    same = people.same(config, dataset)
    if config["split"]["kind"] == "official" and kind(config, dataset) in LISTED:
        same = [name for name in same if kind(config, name) != kind(config, dataset)]
    return [f"<data>/{name}/patches.h5" for name in same]


def is_told(config: Config) -> bool:
    """Whether a column of the user's table, or lists of the collection, tell the split."""
    return config["split"]["kind"] in TOLD


def split_column(config: Config, dataset: str) -> str:
    """Where the split of a data set stands, as flags; only the target has to have the column."""
    collection = config["collections"][dataset]
    if config["split"]["kind"] == "official":
        own = kind(config, dataset)
        return f"{flags.flags({'official': own})} {own_options(config, dataset)}" if own in LISTED else ""
    column = flags.flags({"column": config["split"]["column"]})
    if collection.get("table"):
        named = headers(collection["columns"], collection["channels"])
        column += " " + flags.flags({"table": collection["table"], "columns": named})
    return column if dataset == config["target"] else f"{column} --or-drawn"


def leak(config: Config) -> str:
    """What commands do about patients in several splits, which only the published splits have."""
    return "warn" if config["split"]["kind"] == "paper" else "refuse"


def names_of_people(config: Config, datasets: Sequence[str]) -> list[str]:
    """A name for the people of each of these data sets."""
    names = people.names(config) | {name: people.outside(config, name)[0] for name in config["external"]}
    return [names.get(dataset, dataset) for dataset in datasets]


def pictures(config: Config, dataset: str) -> list[str]:
    """The pictures of a data set; those of several channels only where it has several."""
    stacked = len(channels_of(config["collections"][dataset], dataset)) > 1
    names = ["contact_sheet", "red_dots", "fingerprint", *(["alignment"] if stacked else [])]
    return [f"<data>/{dataset}/{name}.png" for name in names]


def others(config: Config, dataset: str) -> list[str]:
    """The other data sets of the experiment."""
    return [name for name in config["datasets"] if name != dataset]


def files_of_others(config: Config, dataset: str) -> list[str]:
    """What is read of the other data sets to find what they share with one."""
    files = ["findings.csv", "slices.h5", *(f"splits/fold{fold}.csv" for fold in folds(config))]
    return [f"<data>/{name}/{file}" for name in others(config, dataset) for file in files]


def people_in_checks(config: Config, dataset: str) -> list[str]:
    """A name for the people of a data set and of each of the others."""
    return names_of_people(config, [dataset, *others(config, dataset)])


def folder(config: Config, dataset: str) -> Path:
    """The folder of a data set."""
    return Path(config["data"], dataset)


def folders_of_others(config: Config, dataset: str) -> list[Path]:
    """The folders of the other data sets."""
    return [folder(config, name) for name in others(config, dataset)]
