"""Export runs as ONNX: one file for each, and a card that says how to use them and what to expect of them.

The graph is written layer by layer from the network as evaluation uses it, batch norm folded in, rather than
traced: a dozen kinds of nodes, the same bytes each time, and nothing in it of the machine that wrote it.
"""

import argparse
import json
import logging
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from model.device import set_up, told
from model.inference import Folded
from model.results import read
from model.runs import DISCLAIMER, Run, RunError, agree, find
from pipeline.errors import run_cli
from pipeline.files import atomic, sha256, write_text
from pipeline.store import PATCH_SIDE

log = logging.getLogger("typhon")

SCHEMA = 1
CARD = "export.json"
"""Of another name than the cards of runs, so that an export may lie among them."""
OPSET, IR_VERSION = 17, 8
"""Of ONNX 1.12: no node needs more, and an older runtime may do."""
INPUT, OUTPUT = "patches", "probability"
VERSIONS = ("numpy", "onnx", "torch")
FIGURES = ("auroc", "ci95", "ci95_kind", "corrected95", "runs", "findings", "positives")
"""What a card has of a line of ``…_auc.json``."""


class _Graph:
    """Nodes one after another, each taking what the last one gave."""

    def __init__(self, start: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.last = start

    def add(self, kind: str, *values: np.ndarray, **attributes: Any) -> None:
        """Append a node with constants as its further inputs."""
        name = f"{kind.lower()}{len(self.nodes)}"
        inputs = [self.last]
        for number, value in enumerate(values):
            self.weights.append(numpy_helper.from_array(value, f"{name}.{number}"))
            inputs.append(f"{name}.{number}")
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        self.last = name


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.cpu().numpy())


def graph(network: Folded, channels: int) -> onnx.ModelProto:
    """The network as an ONNX model: ``patches`` (n, channels, 65, 65) to ``probability`` (n,), both float32.

    The probability is that of class 1.
    """
    made = _Graph(INPUT)
    for *convolutions, last in network.blocks:
        for weight, bias in convolutions:
            made.add("Conv", _array(weight), _array(bias))
            made.add("Elu")
        made.add("Conv", *map(_array, last))
        made.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        made.add("Elu")
    made.add("Flatten")
    for weight, bias in (*network.tail, *network.maker[:-1]):
        made.add("Gemm", _array(weight), _array(bias), transB=1)
        made.add("Elu")
    # Softmax of two logits is the sigmoid of their difference, which takes one row of weights.
    weight, bias = network.maker[-1]
    made.add("Gemm", _array(weight[1:] - weight[:1]), _array(bias[1:] - bias[:1]), transB=1)
    made.add("Sigmoid")
    made.add("Reshape", np.array([-1], "i8"))
    made.nodes[-1].output[0] = OUTPUT
    shape: list[str | int | None] = ["n", channels, PATCH_SIDE, PATCH_SIDE]
    body = helper.make_graph(
        made.nodes, "typhon",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n"])],
        made.weights,
    )  # fmt: skip
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def results(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """What the methods and states of the runs came to, by the ``…_auc.json`` beside each method's folder."""
    found = {
        (folder.with_name(f"{folder.name}_auc.json"), *(run.card["run"][key] for key in ("method", "state")))
        for run in runs
        for folder in run.model.resolve().parents[:-1]
    }
    for path, method, state in sorted(found):
        if not path.is_file():
            continue
        figures = read(path)
        for line in figures["summary"]:
            if (line["dataset"], line["split"], line["state"]) == (figures["target"], "test", state):
                kept = {key: line[key] for key in FIGURES}
                yield {"method": method, "target": figures["target"], "state": state, **kept}


def card(runs: Sequence[Run], dataset: str, files: Mapping[str, Path]) -> dict[str, Any]:
    """All that a user of the exported files needs to know; docs/predict.md says what each key is."""
    agree(runs, dataset)
    about = runs[0].card["datasets"]
    return {
        "schema": SCHEMA,
        "disclaimer": DISCLAIMER,
        "dataset": dataset,
        "input": {"name": INPUT, "shape": ["n", len(about[dataset]["preprocessing"]["channels"]), PATCH_SIDE,
                                           PATCH_SIDE], "type": "float32"},
        "output": {"name": OUTPUT, "shape": ["n"], "type": "float32", "of": about[dataset]["classes"][1]},
        "classes": about[dataset]["classes"],
        "preprocessing": about[dataset]["preprocessing"],
        "models": [
            {"file": name, "sha256": sha256(path), **run.card["run"],
             "training": {other: of["training"] for other, of in run.card["datasets"].items()},
             "fingerprint": run.card["datasets"][dataset]["fingerprint"]}
            for run, (name, path) in zip(runs, files.items(), strict=True)
        ],
        "results": list(results(runs)),
        "collections": {name: of["collection"] for run in runs for name, of in run.card["datasets"].items()},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}},
    }  # fmt: skip


def export(runs: Sequence[Run], dataset: str, out: Path) -> Path:
    """Write the ONNX file of each run and their card to a folder; the path of the card."""
    files = {f"{run.name.replace(' ', '-').replace('/', '-')}.onnx": run for run in runs}
    if len(files) < len(runs):
        names = Counter(run.name for run in runs)
        raise RunError(
            f"{names.most_common(1)[0][0]} twice", expected="runs of different names",
            remedy="export them to folders of their own",
        )  # fmt: skip
    for name, run in files.items():
        model = graph(run.folded(dataset), len(run.preprocessing(dataset).channels))
        with atomic(out / name) as beside:
            beside.write_bytes(model.SerializeToString(deterministic=True))
    about = card(list(files.values()), dataset, {name: out / name for name in files})
    write_text(out / CARD, json.dumps(about, indent=2, allow_nan=False) + "\n")
    return out / CARD


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Export runs as ONNX files with a card."""
    parser = argparse.ArgumentParser(prog="python -m model.export", description=main.__doc__)
    parser.add_argument(
        "model", type=Path, nargs="+", metavar="RUN",
        help="folders of runs, such as results/typhon/fold0/seed0, or results/typhon for all of its runs",
    )  # fmt: skip
    parser.add_argument("--dataset", help="whose decision maker is exported; default: the target of the run")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    options = parser.parse_args(argv)
    set_up(0)
    runs = find(options.model)
    path = export(runs, options.dataset or runs[0].card["target"], options.out)
    print(f"{path}: {len(runs)} model{'s' * (len(runs) > 1)}\n{DISCLAIMER}")


if __name__ == "__main__":
    run_cli(main)
