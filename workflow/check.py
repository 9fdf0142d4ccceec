"""``./run check``: what there is of each data set, what is wrong with it, what it takes. Starts nothing."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from snakemake.cli import parse_config
from snakemake.utils import update_config

from pipeline.datasets.listed import image_columns
from pipeline.errors import InputError
from pipeline.patches.online import margin
from pipeline.patches.ranges import Ranges
from pipeline.patches.views import frame_of, resample, view_table
from pipeline.provenance import ROOT
from pipeline.readers.pixels import read_pixels
from pipeline.readers.scan import scan
from pipeline.splits.people import persons
from workflow import ahead, estimate, plain, raw
from workflow.config import check_file, checked
from workflow.config.collections import KINDS, channels_of, classes_of
from workflow.plan import runs
from workflow.summary import table

HEADING = ("data set", "kind", "files", "MB", "findings", "patients", "classes", "store, MB", "minutes")
SAMPLES = 5
"""Pictures that are read and cut to see how long all take."""
NOTES = (
    "patients: none where they are unknown; near-duplicates then make up the groups.\n"
    "store: all views of all findings.\n"
    "minutes: to read and cut them on this machine, {cores} cores, by {samples} pictures of each data set.\n"
    "Empty: whole series would have to be read to know."
)
ESTIMATE = (
    "An estimate, from a probe of this machine: about {minutes} minutes on its {cores} cores if nothing else "
    "runs{more}.\nHalf or twice as much is possible. Steps that are done already count too."
)


@dataclass
class Found:
    """What there is of a data set before it is indexed; None for what only its index tells."""

    files: int
    size: int
    findings: int | None = None
    patients: int | None = None
    classes: str = ""
    images: Sequence[str] = ()
    """The image of each finding, or those of all channels."""


def config_of(files: Sequence[str], settings: Sequence[str]) -> dict[str, Any]:
    """The checked config of ``--configfile`` and ``--config``, as Snakemake puts them together."""
    config: dict[str, Any] = {}
    for path in [str(ROOT / "config" / "config.yaml"), *files]:
        check_file(path)
        update_config(config, yaml.load(Path(path).read_text(encoding="utf-8"), plain.Loader))
    update_config(config, parse_config(settings))
    return checked(config)


def look(config: Mapping[str, Any], dataset: str) -> Found:
    """Count what a data set has; raises InputError for a table that cannot be read."""
    folder, collection = raw.folder(config, dataset), config["collections"][dataset]
    states = [(name, size) for name, size, _ in scan(folder) if size >= 0] if folder.is_dir() else []
    found = Found(len(states), sum(size for _, size in states))
    if states and collection["kind"] == "table":
        listed = ahead.listed_in(folder, [name for name, _ in states], collection)
        if not listed.problems:
            known = persons(listed.table["patient_id"])
            counts = classes_of(collection).counts(listed.table)
            found.findings, found.patients = len(listed.table), known[known != ""].nunique()
            found.classes = ", ".join(f"{name} {count}" for name, count in counts.items())
            named = listed.table[image_columns(collection["channels"] or [""])].drop(index=[*listed.missing])
            found.images = named.to_numpy().ravel().tolist()
    return found


def sampled(config: Mapping[str, Any], dataset: str, found: Found) -> tuple[float, float] | None:
    """Seconds of one core to read and cut all findings, and MB of their slices.

    None where no picture among the samples can be cut alone.
    """
    folder, collection = raw.folder(config, dataset), config["collections"][dataset]
    extent = collection["extent"] or KINDS[collection["kind"]].EXTENT
    extent = KINDS[collection["kind"]].PAPER_EXTENT if extent == "paper" else extent
    spent, size = 0.0, 0
    count = -1  # the first picture starts the process that reads them, and is not counted
    places = np.linspace(0, len(found.images) - 1, min(SAMPLES, len(found.images))).astype(int).tolist()
    for place in [*places[:1], *places]:
        start = time.perf_counter()
        try:
            pixels = read_pixels(folder / found.images[place]).values
            row, column = ((length - 1) / 2 for length in pixels.shape)
            frame = frame_of(extent, pixels.shape, column, row, np.nan, np.nan, side=config["patch"])
        except (InputError, OSError):
            continue
        views = 1 if config["augmentation"] == "online" else config["views"]
        resample(pixels, frame, view_table(views, 0, "", ""))
        count += 1
        spent += time.perf_counter() - start if count else 0.0
        size += pixels.size * 4 if count else 0
    if count < 1:
        return None
    return spent / count * len(found.images), size / count * len(found.images) / 1e6


def expected(steps: Sequence[estimate.StepCost], cores: int) -> str:
    """The table of what each step is likely to take, and all of them."""
    seconds = sum(step.seconds or 0 for step in steps)
    sizes = sum(step.megabytes or 0 for step in steps)
    rows: list[Sequence[str]] = [("step", "jobs", "minutes of one core", "MB")]
    rows += [
        (step.name, f"{step.jobs}", _rounded(step.seconds and step.seconds / 60), _rounded(step.megabytes))
        for step in steps
    ]
    least, more = "", ""
    if any(step.seconds is None for step in steps):
        least, more = "> ", ". Steps that have no minutes above come on top"
    jobs = f"{sum(step.jobs for step in steps)}"
    rows.append(("in all", jobs, least + _rounded(seconds / 60), least + _rounded(sizes)))
    return "\n\n".join(
        [table(rows), ESTIMATE.format(minutes=_rounded(seconds / 60 / cores), cores=cores, more=more)]
    )


def _rounded(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def check(config: Mapping[str, Any]) -> tuple[str, bool]:
    """The table of all data sets, what is wrong with them, and whether nothing is."""
    cores, rows = os.cpu_count() or 1, [HEADING]
    known: dict[str, estimate.Data] = {}
    for dataset in [*config["datasets"], *config["external"]]:
        try:
            found = look(config, dataset)
        except InputError:  # told below
            found = Found(0, 0)
        taken, read = sampled(config, dataset, found) or (None, None)
        collection = config["collections"][dataset]
        views, side = config["views"], config["patch"]
        if config["augmentation"] == "online":
            views, side = 1, side + 2 * margin(side, Ranges(**config["online"]))
        size = None
        if found.findings is not None:
            channels = len(channels_of(collection, dataset))
            size = found.findings * views * channels * side**2 * 4
        cut = None if size is None else size / 1e6
        known[dataset] = estimate.Data(found.findings, taken, read, cut, found.files, found.size / 1e6)
        rows.append((
            dataset, collection["kind"], f"{found.files:,}", f"{found.size / 1e6:,.0f}",
            "" if found.findings is None else f"{found.findings:,}",
            "" if found.patients is None else f"{found.patients or 'none'}", found.classes,
            "" if size is None else f"{size / 1e6:,.0f}",
            "" if taken is None else f"{taken / 60 / cores:.1f}" if taken > 3 * cores else "< 0.1",
        ))  # fmt: skip
    missing = "" if "phantom" in config else raw.missing(config)
    wrong = "\n".join(filter(None, [missing, ahead.faults(config)]))
    planned = len(runs(config)) * len(config["methods"])
    pace = min(estimate.probe() / estimate.PROBE, estimate.SLOWEST)
    return "\n\n".join([
        table(rows),
        NOTES.format(cores=cores, samples=SAMPLES),
        wrong or "No faults in what can be seen without decoding images.",
        expected(list(estimate.steps(config, known, pace)), cores),
        f"Then {planned} runs of {', '.join(config['methods'])}. To see every job: the same words with -n.",
    ]), not wrong  # fmt: skip
