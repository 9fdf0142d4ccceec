"""What is trained or made on the way: patch stores, slices, weights as published and ours, and cards."""

import dataclasses
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from model import published
from model.baselines import mixture, nearest
from model.baselines.learners import Learner
from model.baselines.logistic import Measured
from model.baselines.measures import MEASURES
from model.files import weights
from model.files.runs import describe
from model.inference import batch_norm
from model.network import build, initialize
from pipeline.classes import UNNAMED
from pipeline.seeds import stream
from pipeline.slice_store import write_slices
from pipeline.splits import seen
from pipeline.splits.split import LEARNED
from pipeline.store import PATCH_SIDE, write_store
from workflow.fuzz.inputs.pictures import HOW
from workflow.fuzz.reader import Input

PICTURE = "case.png"


def stores() -> list[Input]:
    """A patch store of three findings, and slices of three rows of which one was skipped."""
    random = stream("fuzz", "store")
    names = ["0001", "0002", "Ä"]
    findings = pd.DataFrame(
        {"patient_id": names, "group_id": names, "finding_id": "1", "label": [0, 1, 0], "width_mm": 65.0,
         "height_mm": np.nan}
    )  # fmt: skip
    blocks = [random.standard_normal((2, 1, 65, 65)).astype("f4") for _ in names]
    slices = [(number, random.standard_normal((6, 5)).astype("f4")) for number in (0, 2)]
    with tempfile.TemporaryDirectory() as name:
        store, sliced = Path(name, "patches.h5"), Path(name, "slices.h5")
        write_store(
            store, findings, blocks, views=2, dataset="mine", channels=["image"], normalization="series",
            provenance={"extent": "40 px"}, collection={"licence": "CC0"},
        )  # fmt: skip
        write_slices(sliced, slices, lambda _: (0.0, 1.0), {"intensity": "series"})
        return [Input("patches.h5", store.read_bytes()), Input("slices.h5", sliced.read_bytes())]


def _model() -> bytes:
    network = build(["a"])
    initialize(network, "fuzz")
    tables = {"a": batch_norm.initial(network)}
    return weights.to_bytes(
        weights.export(network, tables), network=network.description.to_json(), method="typhon"
    )


def _mixture() -> bytes:
    """A small forest on radiomic features, and neighbours on intensities."""
    random, members = stream("fuzz", "mixture"), []
    for name, learner in (("radiomics", Learner("forest", 5)), ("intensity", Learner("neighbours", 3))):
        findings = pd.DataFrame({"patient_id": list("abcdefgh"), "finding_id": "1", "label": [0, 1] * 4})
        values = random.standard_normal((8, len(MEASURES[name].names([""]))))
        measured = Measured(values, np.arange(8), np.zeros(8, int), findings.assign(group_id="g"))
        members.append(mixture.Member(name, learner.fit(measured), 0.5))
    with tempfile.TemporaryDirectory() as folder:
        mixture.write(path := Path(folder, "model.safetensors"), mixture.Mixture(members, 1, PATCH_SIDE))
        return path.read_bytes()


def _nearest() -> bytes:
    """Eight training findings of two features."""
    findings = pd.DataFrame({"patient_id": list("abcdefgh"), "finding_id": "1", "label": [0, 1] * 4})
    values = stream("fuzz", "nearest").standard_normal((8, 2))
    measured = Measured(values, np.arange(8), np.zeros(8, int), findings.assign(group_id=list("abcdefgh")))
    with tempfile.TemporaryDirectory() as folder:
        nearest.write(path := Path(folder, nearest.FILE), nearest.build(measured, UNNAMED))
        return path.read_bytes()


def state() -> dict[str, torch.Tensor]:
    """A state dict with the names and shapes of the published network."""
    shapes = published.shapes(build(["a"]))
    counted = {name for name in shapes if name.endswith(published.COUNTER)}
    return {
        name: torch.tensor(7) if name in counted else torch.full(shape, 0.01)
        for name, shape in shapes.items()
    }


def weight_files() -> list[Input]:
    """A state dict as torch.save writes it; of ours a network, a mixture, training findings, people seen."""
    file = io.BytesIO()
    torch.save(state(), file)
    return [Input("published.pth", file.getvalue()), Input("model.safetensors", _model()),
            Input("mixture.safetensors", _mixture()), Input(nearest.FILE, _nearest()),
            Input(seen.FILE, json.dumps([_entry()]).encode())]  # fmt: skip


def _entry() -> seen.Entry:
    """Of two people."""
    rows = pd.DataFrame(
        {"patient_id": ["p", "q"], "finding_id": "1", "split": [*LEARNED], "image": ["i", "j"]}
    )
    return seen.entry({"a": rows}, {"a": "a"})


def cards() -> list[Input]:
    """The card of a run, with its model and a picture to predict beside it."""
    ranges: dict[str, list[float | str] | None] = {
        "format": ["image"], "modality": None, "spacing_column_mm": None, "spacing_row_mm": None,
        "slice_thickness_mm": None, "slices": None, "series_mean": [1.0, 200.0], "series_sd": [1.0, 90.0],
        "patch_mean": [-1.0, 1.0], "patch_sd": [0.5, 2.0],
    }  # fmt: skip
    about = {
        "collection": {"licence": "CC0"}, "classes": ["benign", "malignant"],
        "preprocessing": dataclasses.asdict(HOW),
        "training": {"findings": 4, "positives": 2, "groups": 4, "views": 8},
        "fingerprint": {"image": ranges},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        Path(name, "a.json").write_text(json.dumps(about))
        run = Path("results/typhon/fold0/seed0/card.json")
        card = describe(run, {"a": Path(name, "a.json")}, "typhon", "a", "last")
    picture = io.BytesIO()
    Image.fromarray(stream("fuzz", "case").integers(0, 255, (60, 50)).astype("u1")).save(picture, "PNG")
    beside = {"model.safetensors": _model(), PICTURE: picture.getvalue()}
    return [Input("card.json", json.dumps(card, indent=2).encode(), beside)]
