"""The downloads: whether they are there, whether they changed, and what to say where they are not."""

import csv
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.download.manifest import UNFINISHED
from pipeline.errors import ConfigError, RawMissingError
from pipeline.phantoms import SYNTHETIC
from pipeline.readers.scan import file_state, scan
from workflow import side_collections

COLLECTIONS_FILE = Path(__file__).resolve().parent.parent / "config" / "datasets.csv"
TERMS = ("collection", "licence", "doi", "citation", "url")


def folder(config: Mapping[str, Any], dataset: str) -> Path:
    """The raw folder of a data set: ``raw`` in config, else ``{data}/raw/{dataset}``; see ``beside.home``."""
    home = side_collections.home(config, dataset)
    return Path(config["raw"].get(home) or Path(config["data"], "raw", home)).expanduser()


def missing(config: Mapping[str, Any]) -> str:
    """One line for each data set that has neither an index nor raw data; empty if there is none."""
    lines = {}
    for dataset in [*config["datasets"], *side_collections.needed(config)]:
        raw, index = folder(config, dataset), Path(config["data"], dataset, "index.parquet")
        home = side_collections.home(config, dataset)
        if (raw / UNFINISHED).exists():
            lines[home] = str(_unfinished(raw))
        elif not index.exists() and not _has_files(raw):
            lines[home] = str(_missing(home, _row(config, home), raw))
    if not lines:
        return ""
    return "\n".join([*lines.values(), "To see the workflow run on synthetic data first: ./run demo"])


def check_empty(config: Mapping[str, Any], dataset: str) -> None:
    """Raise RawMissingError where the raw folder holds files that are not synthetic.

    Snakemake empties the folder of a rule's output before it runs the rule.
    """
    raw = folder(config, dataset)
    if _has_files(raw) and not any((raw / mark).exists() for mark in (SYNTHETIC, ".snakemake_timestamp")):
        raise RawMissingError("files", file=raw, expected="an empty folder for synthetic data",
                              remedy="run elsewhere: --directory demo")  # fmt: skip


def state(config: Mapping[str, Any], dataset: str) -> str:
    """A digest of names, sizes and times of the files in the raw folder, hidden ones left out.

    Where the folder is gone but the index is there, what was recorded beside the index: nothing has changed.
    """
    raw, recorded = folder(config, dataset), Path(config["data"], dataset, "raw.txt")
    if not raw.exists() and recorded.exists():
        return recorded.read_text(encoding="utf-8").strip()
    digest = hashlib.sha256()
    table = config["collections"][dataset].get("table")
    states = [
        *_visible(raw),
        *([(table, *file_state(Path(table)))] if table and Path(table).is_absolute() else ()),
    ]
    for name, size, time in sorted(states):
        digest.update(f"{name} {size} {time}\n".encode())
    return digest.hexdigest()[:16]


def terms(config: Mapping[str, Any], dataset: str) -> dict[str, str]:
    """Collection, licence, doi, citation and url of a data set, those of them that are known.

    What its entry in ``collections`` states counts before ``config/datasets.csv``.
    """
    if "phantom" in config:
        return {"collection": "synthetic data"}
    known, own = _row(config, dataset) or {"collection": dataset}, config["collections"][dataset]
    stated = {key: own.get(key) or known.get(key) for key in TERMS}
    return {key: value for key, value in stated.items() if value}


def attribution(config: Mapping[str, Any], dataset: str) -> str:
    """Collection, licence and DOI, as its licence wants to see them beside a picture."""
    known = terms(config, dataset)
    return ", ".join(known[key] for key in ("collection", "licence", "doi") if key in known)


def logs(config: Mapping[str, Any]) -> list[Path]:
    """The published logs, sorted.

    Raises
    ------
    ConfigError : the config does not name their folder.
    RawMissingError : they are not there.
    """
    if config["published"] is None:
        raise ConfigError("null", file="published", expected="the folder of the public logs of Hydra")
    folder = Path(config["published"]).expanduser()
    found = sorted([*folder.glob("hydra_*.csv"), *folder.glob("standard_TL_*.csv")])
    if not found:
        where = "the logs of Hydra's public repository, hydra_…csv and standard_TL_…csv"
        raise RawMissingError("none", file=config["published"], expected=where,
                              remedy="get them, or leave published out of the config")  # fmt: skip
    return found


def collections() -> dict[str, dict[str, str]]:
    """``config/datasets.csv`` by data set: collection, doi, licence, size, url, layout, citation."""
    with COLLECTIONS_FILE.open(encoding="utf-8", newline="") as file:
        return {row["dataset"]: row for row in csv.DictReader(file)}


def _row(config: Mapping[str, Any], dataset: str) -> dict[str, str] | None:
    """What is known of a data set by its name or its kind."""
    known = collections()
    return known.get(dataset) or known.get(config["collections"][dataset]["kind"])


def _unfinished(raw: Path) -> RawMissingError:
    return RawMissingError(
        f"one that was interrupted ({UNFINISHED})", file=raw, expected="a whole download",
        remedy="go on with ./run download --config accept_download=true, or remove that file",
    )  # fmt: skip


def _missing(dataset: str, row: Mapping[str, str] | None, raw: Path) -> RawMissingError:
    found = "an empty folder" if raw.is_dir() else "nothing"
    expected, get = f"the images of {dataset}", "put them there"
    if row is not None:
        expected = f"{row['layout']} of {row['collection']}"
        doi = f"DOI {row['doi']}, " if row["doi"] else ""
        get = (
            f"fetch it with ./run download or get it from {row['url']} ({doi}{row['licence']}, {row['size']})"
        )
    remedy = f"{get}, or name its folder in the config: raw: {{{dataset}: FOLDER}}"
    return RawMissingError(found, file=raw, expected=expected, remedy=remedy)


def _has_files(raw: Path) -> bool:
    return next(_visible(raw), None) is not None


def _visible(raw: Path) -> Iterator[tuple[str, int, int]]:
    """Name, size and time of the files below a folder, without hidden ones and those in hidden folders."""
    return (entry for entry in scan(raw) if not any(part.startswith(".") for part in Path(entry[0]).parts))
