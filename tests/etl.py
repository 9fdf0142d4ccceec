"""All steps from a raw folder to a split, for tests of what they leave."""

from pathlib import Path

from pipeline import findings, skipped
from pipeline.patches import cut, slices
from pipeline.readers import index
from pipeline.splits import split


def build(
    kind: str, raw: Path, folder: Path, *options: str, extent: str, views: int = 2, width: int | None = None
) -> Path:
    """Run the steps of a data set as the rules do; ``options`` are those of its kind. Returns ``folder``."""
    smaller = ["--width", str(width)] if width else []

    def given(**files: str) -> list[str]:
        flags = {"--" + name.replace("_", "-"): str(folder / file) for name, file in files.items()}
        return [part for flag in flags.items() for part in flag]

    named, source = [kind, "--dataset", folder.name], ["--raw", str(raw)]
    index.main([*source, *given(out="index.parquet", files="files.parquet", skipped="skipped/index.csv")])
    findings.main([*named, *source, *options, *smaller, *given(
        index="index.parquet", out="findings.csv", skipped="skipped/findings.csv", choices="choices.csv",
        near_duplicates="near_duplicates.csv")])  # fmt: skip
    slices.main([kind, *source, *smaller, *given(
        index="index.parquet", findings="findings.csv", out="slices.h5", skipped="skipped/slices.csv")])  # fmt: skip
    cut.main([*named, "--extent", extent, "--views", str(views), *given(
        findings="findings.csv", slices="slices.h5", out="patches.h5", skipped="skipped/patches.csv")])  # fmt: skip
    steps = [str(folder / f"skipped/{step}.csv") for step in ("index", "findings", "slices", "patches")]
    skipped.main(["--tables", *steps, *given(out="skipped.csv")])
    split.main([*given(store="patches.h5", skipped="skipped.csv", out="splits/fold0.csv"),
                "--majority-views", "2", "--evaluation-views", "1", "--max-skipped", "99"])  # fmt: skip
    return folder
