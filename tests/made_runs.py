"""A run from raw files to predictions.csv with a network of random weights, for tests of what comes after."""

from collections.abc import Sequence
from pathlib import Path

import torch

from model.files import weights
from model.inference import batch_norm, score_views
from model.network import Description, build, initialize
from pipeline import card, findings, skipped
from pipeline.patches import cut, slices
from pipeline.readers import index
from pipeline.splits import split

VIEWS = 3
SPLIT = ["--validation", "0.3", "--test", "0.3", "--majority-views", "2", "--evaluation-views", str(VIEWS)]


def write_patches(
    out: Path, kind: str, raw: Path, extent: str, *,
    find: Sequence[str] = (), channels: Sequence[str] = (), read: Sequence[str] = (), classes: Sequence[str] = (),
    cut_as: Sequence[str] = (),
) -> Path:  # fmt: skip
    """Bring raw files to a patch store in the folder ``out``; the rest are options of the steps."""
    of = {name: str(out / f"skipped/{name}.csv") for name in ("index", "findings", "slices", "patches")}
    table, found, sliced = (str(out / name) for name in ("index.parquet", "findings.csv", "slices.h5"))
    source, named = ["--raw", str(raw)], [kind, "--dataset", out.name]
    stacked = ["--channels", *channels] if channels else []
    index.main([*source, "--out", table, "--files", str(out / "files.parquet"), "--skipped", of["index"]])
    findings.main([*named, *source, "--index", table, "--out", found, "--skipped", of["findings"], *stacked, *find,
                   "--choices", str(out / "choices.csv"), "--near-duplicates", str(out / "near.csv")])  # fmt: skip
    slices.main([kind, *source, "--index", table, "--findings", found, "--out", sliced,
                 "--skipped", of["slices"], *read])  # fmt: skip
    cut.main([*named, "--findings", found, "--slices", sliced, "--out", str(out / "patches.h5"),
                  "--extent", extent, "--views", str(VIEWS), "--skipped", of["patches"], *stacked, *classes, *cut_as])  # fmt: skip
    skipped.main(["--tables", *of.values(), "--out", str(out / "skipped.csv")])
    return out / "patches.h5"


def write_card(out: Path, kind: str, *read: str) -> None:
    """Split the store of a folder, and write its card."""
    store, parted = str(out / "patches.h5"), str(out / "splits/fold0.csv")
    split.main(["--store", store, "--skipped", str(out / "skipped.csv"), *SPLIT, "--out", parted])
    files = {"index": "index.parquet", "findings": "findings.csv", "slices": "slices.h5"}
    known = [word for name, file in files.items() for word in (f"--{name}", str(out / file))]
    card.main([kind, *known, "--store", store, "--split", parted, "--views", str(VIEWS), *read,
               "--out", str(out / "cards/fold0.json")])  # fmt: skip


def train(data: Path, results: Path, names: Sequence[str], channels: int, seed: int = 0) -> Path:
    """A run of these data sets whose network is as initialized, scored as the workflow does; its folder."""
    run = results / "typhon" / "fold0" / f"seed{seed}"
    network = build(names, Description(channels=channels))
    initialize(network, "made", seed)
    tables: dict[str, torch.Tensor] = {
        name: batch_norm.initial(network) + 0.1 * number for number, name in enumerate(names, start=1)
    }
    for folder in (run, run / "best"):
        weights.write(folder / "model.safetensors", weights.export(network, tables), network.description)

    def of_each(file: str) -> list[str]:
        return [str(data / name / file) for name in names]

    score_views.main(
        ["--stores", *of_each("patches.h5"), "--splits", *of_each("splits/fold0.csv"),
         "--model", str(run / "model.safetensors"), "--out", str(run / "predictions.csv"),
         "--cards", *of_each("cards/fold0.json"), "--method", "typhon", "--target", names[0], "--state", "last",
         "--card", str(run / "card.json")]
    )  # fmt: skip
    return run
