"""The data folder of another run serves an experiment with the same data settings, and no other.

Stores and splits carry no settings in their paths, and Snakemake knows how a file was made only in the folder
where it was made. So a run writes down the settings of its data, and a run that borrows them compares.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.files import write_text
from pipeline.patches.ranges import USUAL
from pipeline.store import PATCH_SIDE
from workflow import people, side_collections

FILE = "settings.json"
KEYS = (
    "patch",
    "augmentation",
    "online",
    "split",
    "views",
    "view_seed",
    "majority_views",
    "evaluation_views",
    "balance",
    "encoders",
)
BEFORE = {"patch": PATCH_SIDE, "augmentation": "stored", "online": asdict(USUAL)}
"""What a key was whose value older runs did not write down."""


def settings(config: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """Everything in the config that the stores, splits and embeddings of a data set follow from."""
    own = {key: value for key, value in config["collections"][dataset].items() if key != "patients"}
    same = people.same(config, dataset)
    return {
        "collection": own, **{key: config[key] for key in KEYS}, **({"same_people": same} if same else {})
    }  # fmt: skip


def is_borrowed(config: Mapping[str, Any]) -> bool:
    """Whether the data folder lies outside this run."""
    return not Path(config["data"]).resolve().is_relative_to(Path.cwd().resolve())


def record(config: Mapping[str, Any]) -> None:
    """Write down the settings of the data that this run makes, beside those of other data sets."""
    if not is_borrowed(config):
        known = _read(config) | {name: settings(config, name) for name in _names(config)}
        write_text(Path(config["data"], FILE), json.dumps(known, indent=2, sort_keys=True) + "\n")


def check(config: Mapping[str, Any]) -> None:
    """Raise ConfigError where the data folder was made with other settings."""
    made = _read(config) if is_borrowed(config) else {}
    for name in _names(config):
        if name not in made:
            continue
        wanted = json.loads(json.dumps(settings(config, name)))
        for key, there, here in _differences(BEFORE | made[name], wanted):
            if key.split(".")[0] == "encoders" and key.count(".") < 2:
                continue  # an encoder that only one of them has, or that nobody wrote down
            within = f"collections.{name}{key.removeprefix('collection')}"
            raise ConfigError(
                str(here),
                file=within if key.startswith("collection") else key,
                expected=f"{there}, with which {config['data']} was made",
                remedy="use the same settings, or a data folder of your own",
            )


def _names(config: Mapping[str, Any]) -> list[str]:
    return [*config["datasets"], *side_collections.collections(config)]


def _read(config: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(Path(config["data"], FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _differences(there: Any, here: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(there, dict) and isinstance(here, dict):
        for name in sorted(there.keys() | here.keys()):
            yield from _differences(there.get(name), here.get(name), f"{key}.{name}".lstrip("."))
    elif there != here:
        yield key, there, here
