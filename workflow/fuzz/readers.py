"""What is fuzzed: each reader as a step calls it, the files that it begins with, and what changes them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from model import predict, published
from model.baselines import mixture, nearest
from model.evaluation.predictions import read_predictions
from model.files import pretrained, runs, states, weights
from model.files.runs import MIXTURE
from model.networks.base import build
from pipeline import case, files, slice_store, store
from pipeline.datasets import Findings, Source, chestxray14, lungx, table
from pipeline.errors import InputError
from pipeline.patches import slices
from pipeline.readers import index
from pipeline.readers.dicom import frames
from pipeline.splits import seen, split
from pipeline.store import PATCH_SIDE
from workflow.fuzz import changes
from workflow.fuzz.formats import dicom, hdf5, json, nifti, pictures, zips
from workflow.fuzz.inputs import dicom as dicoms
from workflow.fuzz.inputs import models, tables, volumes
from workflow.fuzz.inputs import pictures as images
from workflow.fuzz.reader import DisagreementError, Input, Reader

NAMED = {"patient_id": "P1", "finding_id": "1"}
WAYS: dict[str, Callable[[Path], object]] = {
    "splits.csv": split.read_splits,
    "findings.csv": files.read_csv,
    "predictions.csv": read_predictions,
    "chest.csv": chestxray14.entries,
}
"""The tables that are not of the kind ``table``, by name, and what reads them."""


def read_image(path: Path) -> None:
    """A DICOM, picture or volume from its header to the pixels of a slice."""
    row = index.read_row(path.name, path.parent)
    if isinstance(row, InputError):
        raise row
    name = "2:0:0" if row["format"] == "volume" else ""
    framed = {frames.called(path.name, number): one for number, one in enumerate(row.get("frames", ()))}
    for file, image in list((framed or {path.name: row}).items())[:: max(len(framed) - 1, 1)]:
        task = slices.Task((file,), ((0, file, name),))
        read = slices.read_series(task, path.parent, None, "series")
        if isinstance(read, list):
            raise read[0]
        pixels, said = read.slices[0], (image["rows"], image["columns"])
        if pixels.shape != said or pixels.dtype != np.float32 or not np.isfinite(pixels).all():
            raise DisagreementError(f"{pixels.dtype} pixels of {pixels.shape}, the header says {said}")


def read_case(path: Path) -> None:
    """The same from its name to the patches of a prediction."""
    cut = case.prepare(path, NAMED, models.HOW).patches
    if cut.shape != (models.HOW.views, 1, PATCH_SIDE, PATCH_SIDE) or not np.isfinite(cut).all():
        raise DisagreementError(f"patches of {cut.shape}, or not finite")


def read_store(path: Path) -> None:
    """A patch store with all its patches, or the slices of findings."""
    if path.name == "patches.h5":
        info = store.read_info(path)
        count = len(info.findings)
        patches = store.read_patches(path, range(count), [info.views] * count)
        if len(patches) != count * info.views or patches.shape[2:] != (PATCH_SIDE, PATCH_SIDE):
            raise DisagreementError(f"patches of {patches.shape} of {count} findings")
        return
    numbers = slice_store.slice_numbers(path) or []
    slice_store.read_statistics(path, numbers)
    for number in numbers:
        source = slice_store.read_slice(path, number)
        if source is not None and source.normalized.ndim != 2:
            raise DisagreementError(f"a slice of {source.pixels.shape}")


def read_table(path: Path) -> None:
    """A table of a user's, of a collection, or of the program itself."""
    if path.name in WAYS:
        WAYS[path.name](path)
        return
    size = {"format": "image", "rows": 9.0, "columns": 9.0}
    known = index.as_table([{"file": f"{name}.png", **size} for name in "ab"])
    found = table.find(Source("mine", path.parent, known, []), table.Options(table=path.name))
    if not {row["label"] for row in found.rows} <= {0, 1}:
        raise DisagreementError("labels that are not 0 or 1")


def read_workbook(path: Path) -> None:
    """The nodules of the published workbooks of LUNGx."""
    names = [lungx.CALIBRATION_FILE, lungx.TEST_FILE]
    source = Source("lungx", path.parent, pd.DataFrame(), names)
    for nodule in lungx.nodules(source, Findings()):
        if not np.isfinite([nodule.column, nodule.row, nodule.number]).all():
            raise DisagreementError(f"a nodule at {nodule}")


def read_weights(path: Path) -> None:
    """A published network, a model file of ours, or training findings and a list of people beside one."""
    if path.suffix == ".pth":
        published.convert(states.read_state(path), "a", path)
        return
    if path.name == nearest.FILE:
        known, _ = nearest.read(path)
        found = known.find(np.zeros((2, len(known.mean)), "f4"), 3)
        if not np.isfinite([one["distance"] for one in found]).all():
            raise DisagreementError(f"distances {found}")
        return
    if path.name == seen.FILE:
        rows = pd.DataFrame({"patient_id": ["p"], "finding_id": "1", "split": "train", "image": "i"})
        seen.check(seen.read(path), {"a": rows}, {"a": "a"}, leak="refuse", model=path)
        return
    if pretrained.is_run(str(path)):
        pretrained.load(build(()).extractor, "papers", str(path), "b", PATCH_SIDE)
    if MIXTURE in weights.read_about(path):
        mixture.read(path, 1, PATCH_SIDE).scores(np.zeros((1, 1, PATCH_SIDE, PATCH_SIDE), "f4"))
        return
    weights.read(path, ["a"], 1)


def read_card(path: Path) -> None:
    """A run by its card, as far as the prediction of the picture beside it."""
    found = runs.find([path.parent])
    target = found[0].card["target"]
    how = runs.agree(found, target)
    shown = case.prepare(path.with_name(models.PICTURE), NAMED, how, lps=True)
    predicted = predict.predict(shown, found, target)
    predict.as_text(predicted)
    if not 0 <= predicted["score"] <= 1:
        raise DisagreementError(f"a score of {predicted['score']}")


def _cases() -> list[Input]:
    """Every image, but for what needs a time to be named."""
    return [*dicoms.inputs(), *images.inputs(), *(one for one in volumes.inputs() if one.name != "times.nii")]


_IMAGE = (dicom.element, pictures.png_chunk, pictures.jpeg_segment, pictures.tiff_entry)
_VOLUME = (nifti.field, zips.within(nifti.field, changes.number), *changes.TEXT)
_ZIP = (zips.member, zips.member, zips.lost)
READERS = {
    "dicom": Reader(read_image, dicoms.inputs, (dicom.element,) * 4),
    "pictures": Reader(read_image, images.inputs, _IMAGE[1:] * 2),
    "volumes": Reader(read_image, volumes.inputs, (*_VOLUME, *_VOLUME)),
    "stores": Reader(read_store, models.stores, (hdf5.member,) * 4),
    "tables": Reader(read_table, tables.inputs, changes.TEXT * 2),
    "spreadsheets": Reader(read_workbook, tables.workbooks, _ZIP * 2),
    "weights": Reader(read_weights, models.weight_files, (*_ZIP, json.safetensors_header)),
    "cards": Reader(read_card, models.cards, (json.value,) * 8),
    "cases": Reader(read_case, _cases, (*_IMAGE, dicom.element, *_VOLUME)),
}
"""By what they read."""
