"""What is trained or made on the way: stores, weights and cards."""

from pathlib import Path

import numpy as np
import pandas as pd

from model import prediction, published
from model.baselines import mixture, nearest
from model.files import pretrained, runs, states, weights
from model.files.runs import MIXTURE
from model.network import build
from pipeline import case, slice_store, store
from pipeline.splits import seen
from pipeline.store import PATCH_SIDE
from workflow.fuzz.formats import hdf5, json, zips
from workflow.fuzz.inputs import models
from workflow.fuzz.inputs.pictures import NAMED
from workflow.fuzz.reader import DisagreementError, Reader


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
    slice_store.read_facts(path, numbers)
    for number in numbers:
        source = slice_store.read_slice(path, number)
        if source is not None and source.normalized.ndim != 2:
            raise DisagreementError(f"a slice of {source.pixels.shape}")


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
    shown = case.prepare(path.with_name(models.PICTURE), NAMED, how)
    predicted = prediction.predict(shown, found, target)
    prediction.as_text(predicted)
    if not 0 <= predicted["score"] <= 1:
        raise DisagreementError(f"a score of {predicted['score']}")


READERS = {
    "stores": Reader(read_store, models.stores, (hdf5.member,) * 4),
    "weights": Reader(read_weights, models.weight_files, (*zips.CHANGES, json.safetensors_header)),
    "cards": Reader(read_card, models.cards, (json.value,) * 8),
}
