"""Peak memory of the jobs from raw files to patches, for some findings and for four times as many."""

import sys
from pathlib import Path

from pipeline.files import write_csv
from workflow.bench.headers import PROCESSES, SLICES, index_arguments, raw_folder
from workflow.bench.measure import Result, Size, watch

LIMIT_MIB = 2048
SIDE = 128


def commands(folder: Path, findings: int, views: int) -> dict[str, list[str]]:
    """The jobs of a data set of ``kind: table`` with one finding in each series, by name, in order."""
    columns = ("image", "patient_id", "finding_id", "label", "x", "y", "z")
    centre = (SIDE / 2, SIDE / 2, SLICES / 2)
    rows = [(f"{number:05d}", f"{number:05d}", 1, number % 2, *centre) for number in range(findings)]
    write_csv(folder / "table.csv", columns, [dict(zip(columns, row, strict=True)) for row in rows])

    def command(step: str, *words: str, **files: str) -> list[str]:
        paths = [part for name, file in files.items() for part in (f"--{name}", str(folder / file))]
        return [sys.executable, "-m", f"pipeline.{step}", *words, *paths]

    raw = {"raw": "raw", "index": "index.parquet", "skipped": "skipped.csv"}
    workers = ["--processes", str(PROCESSES)]
    named = ["table", "--dataset", "bench"]
    pairs = ["--near-duplicates", str(folder / "near_duplicates.csv")]
    cutting = ["--extent", "65 mm", "--views", str(views)]
    cut = {"findings": "findings.csv", "slices": "slices.h5", "skipped": "skipped.csv", "out": "patches.h5"}
    return {
        "index": [sys.executable, "-m", "pipeline.readers.index", *index_arguments(folder, PROCESSES)],
        "findings": command(
            "findings", *named, *pairs, **raw, table="table.csv", choices="choices.csv", out="findings.csv"
        ),
        "slices": command(
            "patches.slices", "table", *workers, **raw, findings="findings.csv", out="slices.h5"
        ),
        "patches": command("patches.cut", *named, *cutting, *workers, **cut),
    }


def bench(size: Size) -> list[Result]:
    """Peak MiB of each job for some findings and four times as many; not a race, so no ratio of speeds."""
    findings, views = (2, 2) if size.quick else (56, 246)
    peaks: dict[str, list[float]] = {}
    for count in (findings, 4 * findings):
        with raw_folder(count * SLICES, SIDE) as folder:
            for step, command in commands(folder, count, views).items():
                peaks.setdefault(step, []).append(watch(command, folder)[1])
    return [
        Result(f"memory of {step}", "MiB", notes={
            "findings": findings, "files": findings * SLICES, "processes": PROCESSES, "limit_mib": LIMIT_MIB,
            "peak_mib": few, "peak_mib_of_four_times": many, "growth": many / few,
        })
        for step, (few, many) in peaks.items()
    ]  # fmt: skip
