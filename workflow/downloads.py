"""The target ``download``: what it would fetch and under which terms, before anything is fetched."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from workflow import beside, raw

# What knows the services is imported where it is used: no other target needs their libraries.


def with_images(config: Mapping[str, Any]) -> list[str]:
    """The data sets of the experiment whose images a service offers."""
    from pipeline.download.choice import COLLECTIONS

    return [name for name in _homes(config) if config["collections"][name]["kind"] in COLLECTIONS]


def refusal(config: Mapping[str, Any]) -> str:
    """Why nothing is fetched: what it would be, if the licences are not yet accepted; empty if they are."""
    if "phantom" in config:
        return str(ConfigError("phantom", file="config", expected="an experiment on real data to download"))
    if config["accept_download"]:
        return ""
    how = "Give credit as they ask and do not try to identify anyone. To accept and download:"
    return "\n".join([*_terms(config), f"{how} ./run download --config accept_download=true"])


def _homes(config: Mapping[str, Any]) -> list[str]:
    names = [*config["datasets"], *beside.needed(config)]
    return list(dict.fromkeys(beside.home(config, name) for name in names))


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
