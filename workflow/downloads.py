"""The target ``download``: what it would fetch and under which terms, before anything is fetched."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError, TokenError
from workflow import raw, side_collections

if TYPE_CHECKING:
    from pipeline.download.labels import Needed

# What knows the services is imported where it is used: no other target needs their libraries.


def with_images(config: Mapping[str, Any]) -> list[str]:
    """The data sets of the experiment whose images a service offers."""
    from pipeline.download.choice import COLLECTIONS

    return [name for name in _homes(config) if config["collections"][name]["kind"] in COLLECTIONS]


def with_pictures(config: Mapping[str, Any]) -> list[str]:
    """The data sets of the experiment whose pictures Kaggle has."""
    return [name for name in _homes(config) if config["collections"][name]["kind"] == "brain"]


def label_files(config: Mapping[str, Any]) -> "list[Needed]":
    """The parts of data sets that have label files, each with the raw folder that they belong into."""
    from pipeline.download.labels import Needed, files

    found = []
    for name in [*config["datasets"], *side_collections.needed(config)]:
        collection = config["collections"][name]
        part = str(collection.get("part") or collection.get("version") or "")
        found.append(Needed(collection["kind"], part, raw.folder(config, name)))
    return [needed for needed in dict.fromkeys(found) if files(needed)]


def label_flags(config: Mapping[str, Any]) -> str:
    """The same as flags of ``python -m pipeline.download.labels``."""
    return shlex.join(
        word for kind, part, folder in label_files(config) for word in ("--data-set", kind, part, str(folder))
    )


def refusal(config: Mapping[str, Any]) -> str:
    """Why nothing is fetched: what it would be, if licences are not yet accepted, or no token; else empty."""
    from pipeline.download.labels import by_hand

    if "phantom" in config:
        return str(
            ConfigError(
                "phantom", file="config", expected="an experiment on real data to download",
                remedy="leave out this config: ./run download",
            )
        )  # fmt: skip
    if config["accept_download"]:
        return _without_token(config)
    how = "Give credit as they ask and do not try to identify anyone. To accept and download:"
    missing = map(str, by_hand(label_files(config)))
    accept = f"{how} ./run download --config accept_download=true"
    try:
        return "\n".join([*_terms(config), *_by_account(config), *missing, accept])
    except ConfigError as error:  # the config's own index
        return str(error)


def _without_token(config: Mapping[str, Any]) -> str:
    """What to say where pictures need a token that there is not; else empty."""
    names = with_pictures(config)
    if names:
        from pipeline.download.kaggle import check_token

        try:
            for name in names:
                check_token(raw.folder(config, name))
        except TokenError as error:
            return str(error)
    return ""


def _by_account(config: Mapping[str, Any]) -> Iterator[str]:
    """One line for each collection that needs an account."""
    for name in with_pictures(config):
        row = raw.collections()["brain"]
        where = f"from {row['url']} with your token to {raw.folder(config, name)}"
        yield f"{row['collection']}: {row['size']}, {where}. {row['licence'].capitalize()}"


def _homes(config: Mapping[str, Any]) -> list[str]:
    names = [*config["datasets"], *side_collections.needed(config)]
    return list(dict.fromkeys(side_collections.home(config, name) for name in names))


def _terms(config: Mapping[str, Any]) -> Iterator[str]:
    """One line for each collection: how much, where from and where to, licence, DOI and page."""
    from pipeline.download.choice import choose, offline_index
    from pipeline.download.images import ENDPOINTS

    settings = config["download"]
    index = Path(settings["index"]).expanduser() if settings["index"] else offline_index()
    for name in with_images(config):
        kind = config["collections"][name]["kind"]
        series, row = choose(kind, settings["series"], index), raw.collections()[kind]
        size = sum(one.size for one in series) / 1e9
        licences = " and ".join(sorted({one.licence for one in series}))
        yield (
            f"{row['collection']}: {len(series):,} series, {sum(one.files for one in series):,} files, "
            f"{size:.1f} GB, from {settings['endpoint'] or ENDPOINTS[settings['source']]} "
            f"to {raw.folder(config, name)}. Licence {licences}, DOI {row['doi']}, {row['url']}"
        )
