"""Memory for a collection as large as ChestX-ray14, from the plan to a batch of training.

Its 112,120 images are hard links to 200 PNG of real size, its lists have their full length. Slices and
patches of so many images take hours and many gigabytes: of these two jobs ``memory`` tells how memory grows,
and a store of noise stands for theirs.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.classes import Classes
from pipeline.datasets.chestxray14 import ENTRIES, LABELS, LISTS, NO_FINDING
from pipeline.files import SKIPPED_COLUMNS, write_csv, write_text
from pipeline.patches.online import margin
from pipeline.phantoms.chest import HEADER, SIGNS, picture
from pipeline.seeds import stream
from pipeline.store import write_store
from workflow.bench.headers import index_arguments
from workflow.bench.measure import Result, Size, watch
from workflow.config import checked
from workflow.plan.training import phases_as_json

LIMIT_MIB = 2048
SIDE, PATCH = 1024, 65
SIZES = {"train_val": (28_008, 86_524), "test": (2_797, 25_596)}
"""Patients and images of the official lists."""
TESTED = dict(zip(
    LABELS, (3279, 1069, 4658, 6112, 1748, 1623, 555, 2665, 1815, 925, 1093, 435, 1143, 86), strict=True
))  # fmt: skip
"""Images of the official test with each label, whose share all images have here."""
VALIDATION = 0.1
CONFIG = {
    "datasets": ["chest"], "target": "chest", "methods": ["classical"], "seeds": [0], "raw": {"chest": "raw"},
    "collections": {"chest": {"kind": "chestxray14", "near_duplicates": False}},
    "split": {"kind": "official", "validation": VALIDATION}, "augmentation": "online", "patch": PATCH,
    "majority_views": 1, "evaluation_views": 1,
    "hyperparameters": {"classical": {"training": {"epochs": 1, "batches": 1, "batch_size": 16}}},
}  # fmt: skip


def images(share: float) -> pd.DataFrame:
    """The images of ``share`` of the collection: patient_id, finding_id, place and labels."""
    tables, first = [], 0
    for place, whole in SIZES.items():
        patients, count = (max(round(share * number), 20) for number in whole)
        patient = np.sort(np.arange(count) % patients) + first + 1
        table = pd.DataFrame({"patient_id": [f"{number:08d}" for number in patient], "place": place})
        number = table.groupby("patient_id").cumcount()
        table.insert(
            1,
            "finding_id",
            [f"{who}_{which:03d}" for who, which in zip(table["patient_id"], number, strict=True)],
        )
        marks = stream("collection", place).random((count, len(LABELS)))
        rates = np.array([TESTED[label] for label in LABELS]) / SIZES["test"][1]
        has = marks < np.maximum(rates, 0.3 * (share < 1))
        tables.append(pd.concat([table, pd.DataFrame(has.astype("u1"), columns=list(LABELS))], axis=1))
        first += patients
    return pd.concat(tables, ignore_index=True)


def write_collection(raw: Path, table: pd.DataFrame, pictures: int, side: int) -> None:
    """Write the raw folder of such images, as the NIH has it."""
    raw.mkdir(parents=True)
    files = [_picture(raw / f"{number}.png", side) for number in range(pictures)]
    rows, words = [HEADER], table[list(LABELS)].to_numpy(bool)
    for number, (patient, finding) in enumerate(zip(table["patient_id"], table["finding_id"], strict=True)):
        folder = raw / f"images_{number % 12 + 1:03d}" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        os.link(files[int(patient) % pictures], folder / f"{finding}.png")
        has = "|".join(np.array(LABELS)[words[number]]) or NO_FINDING
        rows.append(f"{finding}.png,{has},{finding[9:]},{int(patient)},50,M,PA,{side},{side},0.143,0.143")
    for file in files:
        file.unlink()
    write_text(raw / ENTRIES[2020], "\n".join([*rows, ""]))
    for name, listed in LISTS.items():
        write_text(raw / listed, "\n".join(table["finding_id"][table["place"] == name] + ".png"))


def _picture(path: Path, side: int) -> Path:
    """A PNG of ``side`` × ``side`` pixels, about as large as a real one."""
    rng = stream("collection", path.name)
    small = picture(rng, 128, 128, [str(rng.choice(list(SIGNS)))])
    grey = np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC), "f4")
    grey = np.clip(np.rint(grey + rng.normal(scale=0.7, size=grey.shape)), 0, 255)
    Image.fromarray(grey.astype("u1")).save(path)
    return path


def write_patches(path: Path, table: pd.DataFrame) -> None:
    """Write a store of one patch of each image, with the margin that views are drawn from."""
    rim = margin(PATCH)
    side = PATCH + 2 * rim

    def blocks() -> Iterator[np.ndarray]:
        for number in range(len(table)):
            yield np.random.default_rng(number).normal(size=(1, 1, side, side)).astype("f4")

    classes = Classes(LABELS, multilabel=True)
    named = table.rename(columns=dict(zip(LABELS, classes.label_columns, strict=True)))
    findings = named.assign(group_id=table["patient_id"], width_mm=np.nan, height_mm=np.nan, aspect=1.0)
    write_store(
        path, findings, blocks(), views=11, side=PATCH, margin=rim, dataset="chest", channels=["image"],
        classes=classes, normalization="series", provenance={"view_seed": 0},
    )  # fmt: skip


def commands(folder: Path) -> dict[str, list[str]]:
    """The jobs, by name, in order."""
    config = checked(json.loads(json.dumps(CONFIG)))

    def command(step: str, *words: str, **files: str) -> list[str]:
        paths = [part for name, file in files.items() for part in (f"--{name}", str(folder / file))]
        return [sys.executable, "-m", step, *words, *paths]

    raw, data = {"raw": "raw", "index": "index.parquet", "skipped": "skipped.csv"}, ["--people", "chest"]
    read = {"stores": "patches.h5", "splits": "fold0.csv"}
    views = ["--majority-views", "1", "--evaluation-views", "1"]
    phases = [
        "--phases",
        phases_as_json(config, "classical"),
        "--target",
        "chest",
        "--seed",
        "0",
        "--no-follow",
    ]
    return {
        "plan": command(
            "workflow.run", "-n", "results/classical_auc.json", directory=".", configfile="config.yaml"
        ),
        "index": [sys.executable, "-m", "pipeline.readers.index", *index_arguments(folder, 1)],
        "findings": command(
            "pipeline.findings", "chestxray14", "--dataset", "chest", "--no-compare", **raw,
            out="findings.csv", choices="choices.csv", **{"near-duplicates": "near.csv"},
        ),
        "split": command(
            "pipeline.splits.given", "--kind", "official", "--official", "chestxray14", "--validation",
            str(VALIDATION), *views, **raw, store="patches.h5", out="fold0.csv",
        ),
        "start": command(
            "model.bootstrap.guess", *data, "--score", "chest", "--seed", "0", "--candidates", "1", **read,
            checkpoint="start", out="network.safetensors", scores="scores.csv", seen="seen.json",
        ),
        "training": command(
            "model.training.train", *data, *phases, **read, network="network.safetensors", run="run.json",
            checkpoint="training", out="model.safetensors", best="best.safetensors", history="history.csv",
            gradients="gradients.csv",
        ),
    }  # fmt: skip


def bench(size: Size) -> list[Result]:
    """Seconds and peak MiB of each job; not a race, so no ratio of speeds."""
    share, pictures, side = (0.002, 6, 64) if size.quick else (1.0, 200, SIDE)
    with tempfile.TemporaryDirectory(prefix="typhon-bench-") as name:
        folder = Path(name)
        table = images(share)
        write_collection(folder / "raw", table, pictures, side)
        write_text(folder / "config.yaml", json.dumps(CONFIG))
        write_patches(folder / "patches.h5", table)
        results = []
        for step, command in commands(folder).items():
            if step == "split":  # what is put up with is no part of this
                write_csv(folder / "skipped.csv", SKIPPED_COLUMNS, [])
            seconds, peak = watch(command, folder)
            notes = {"images": len(table), "seconds": seconds, "limit_mib": LIMIT_MIB, "peak_mib": peak}
            results.append(Result(f"{step} of a collection of {len(table):,} images", "MiB", notes=notes))
    return results
