"""A run from raw files to predictions.csv with a network of random weights, for tests of what comes after."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from model import score_views, statistics, weights
from model.network import build, initialize
from pipeline import card, findings, index, patches, skipped, slices, split

VIEWS = 3
SPLIT = ["--validation", "0.3", "--test", "0.3", "--majority-views", "2", "--evaluation-views", str(VIEWS)]


def cut(
    data: Path, name: str, kind: str, raw: Path, extent: str, *,
    find: Sequence[str] = (), channels: Sequence[str] = (), read: Sequence[str] = (), about: Sequence[str] = (),
) -> None:  # fmt: skip
    """Bring raw files to a patch store, a split and a card below ``data``; the rest are options of the steps."""
    out = data / name
    table, found, sliced, store = (
        str(out / file) for file in ("index.parquet", "findings.csv", "slices.h5", "patches.h5")
    )
    listed = {
        step: str(out / "skipped" / f"{step}.csv") for step in ("index", "findings", "slices", "patches")
    }
    index.main(
        [
            "--raw",
            str(raw),
            "--out",
            table,
            "--files",
            str(out / "files.parquet"),
            "--skipped",
            listed["index"],
        ]
    )
    findings.main(
        [kind, "--dataset", name, "--raw", str(raw), "--index", table, "--out", found, "--skipped", listed["findings"],
         "--choices", str(out / "choices.csv"), "--near-duplicates", str(out / "near.csv"),
         *(["--channels", *channels] if channels else []), *find]
    )  # fmt: skip
    slices.main([kind, "--raw", str(raw), "--index", table, "--findings", found, "--out", sliced,
                 "--skipped", listed["slices"], *read])  # fmt: skip
    patches.main([kind, "--dataset", name, "--findings", found, "--slices", sliced, "--out", store, "--extent", extent,
                  "--views", str(VIEWS), "--skipped", listed["patches"],
                  *(["--channels", *channels] if channels else [])])  # fmt: skip
    skipped.main(["--tables", *listed.values(), "--out", str(out / "skipped.csv")])
    split.main(
        [
            "--store",
            store,
            "--skipped",
            str(out / "skipped.csv"),
            *SPLIT,
            "--out",
            str(out / "splits/fold0.csv"),
        ]
    )
    card.main([kind, "--index", table, "--findings", found, "--slices", sliced, "--store", store,
               "--split", str(out / "splits/fold0.csv"), "--views", str(VIEWS), *read, *about,
               "--out", str(out / "cards/fold0.json")])  # fmt: skip


def train(data: Path, results: Path, names: Sequence[str], channels: int, seed: int = 0) -> Path:
    """A run of these data sets whose network is as initialized, scored as the workflow does; its folder."""
    run = results / "typhon" / "fold0" / f"seed{seed}"
    network = build(names, channels)
    initialize(network, "made", seed)
    torch.manual_seed(seed)
    tables: Mapping[str, torch.Tensor] = {
        name: statistics.initial(network) + 0.1 * number for number, name in enumerate(names, start=1)
    }
    for folder in (run, run / "best"):
        weights.write(folder / "model.safetensors", weights.export(network, tables))
    score_views.main(
        ["--stores", *(str(data / name / "patches.h5") for name in names),
         "--splits", *(str(data / name / "splits/fold0.csv") for name in names),
         "--model", str(run / "model.safetensors"), "--out", str(run / "predictions.csv"),
         "--cards", *(str(data / name / "cards/fold0.json") for name in names),
         "--method", "typhon", "--target", names[0], "--state", "last", "--card", str(run / "card.json")]
    )  # fmt: skip
    return run
