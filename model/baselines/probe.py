"""A probe as a model file: the fixed network with the regression on its features as a linear head.

So it predicts new cases and is exported like any run.
"""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.baselines import embeddings, fit, nearest
from model.device import set_up, told
from model.evaluation.predictions import STATES
from model.files import runs, weights
from model.inference import batch_norm
from model.network import Network
from pipeline.classes import UNNAMED, Classes
from pipeline.cli import run_cli
from pipeline.files import write_text
from pipeline.store import Embeddings, read_embeddings

log = logging.getLogger("typhon")


@torch.no_grad()
def network_of(
    regression: Mapping[str, Any], known: Embeddings, dataset: str, classes: Classes = UNNAMED
) -> tuple[Network, dict[str, Tensor]]:
    """The network whose logits for ``dataset`` are those of a regression, and its statistics tables.

    ``regression`` is ``model`` of a run.json; of two classes it has one logit, and that of the other is 0.
    Raises StoreError where the embeddings are of other
    weights than are installed.
    """
    network = embeddings.again(known, [dataset], linear=True, outputs=classes.outputs)
    names = fit.feature_names(network.extractor.width)
    mean, sd = (np.array([regression[key][name] for name in names]) for key in ("mean", "sd"))
    weight, bias = np.zeros((classes.outputs, len(names))), np.zeros(classes.outputs)
    for row, called in list(enumerate(classes.names))[int(classes.two) :]:
        start, slopes = (regression[key] for key in ("intercept", "coefficients"))
        if not classes.two:
            start, slopes = start[called], slopes[called]
        slope = np.array([slopes[name] for name in names])
        weight[row], bias[row] = slope / sd, start - float((slope * mean / sd).sum())
    head = network.maker(dataset)
    assert isinstance(head, nn.Linear)
    head.weight.copy_(torch.from_numpy(weight))
    head.bias.copy_(torch.from_numpy(bias))
    return network, {dataset: batch_norm.running(network)}


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Fit a probe as ``model.baselines.fit probe`` does; then write model files and card."""
    parser = argparse.ArgumentParser(
        prog="python -m model.baselines.probe", description=main.__doc__, allow_abbrev=False
    )
    parser.add_argument("--run", type=Path, required=True, help="run.json of the fit")
    parser.add_argument(
        "--embeddings", type=Path, required=True, help="embeddings that the probe is fitted on"
    )
    parser.add_argument("--target", required=True, help="name of the data set")
    parser.add_argument("--method", required=True, help="name of the method")
    parser.add_argument("--state", choices=STATES, required=True, help="the state that predictions take")
    parser.add_argument("--data-card", type=Path, required=True, help="card of the data set")
    parser.add_argument(
        "--models",
        type=Path,
        nargs=2,
        required=True,
        help="model files of the last and the best state, which are equal",
    )
    parser.add_argument(
        "--card", type=Path, required=True, help="card.json to write, …/fold0/seed0/card.json"
    )
    parser.add_argument(
        "--nearest", type=Path, required=True, help="training findings to write, beside the card"
    )
    options, rest = parser.parse_known_args(argv)
    set_up(0)
    training = fit.run(["probe", "--run", str(options.run), "--embeddings", str(options.embeddings), *rest])
    about = json.loads(options.run.read_text(encoding="utf-8"))
    regression = about["model"]
    classes = runs.classes_in(json.loads(options.data_card.read_text(encoding="utf-8")))
    known = read_embeddings(options.embeddings)
    network, tables = network_of(regression, known, options.target, classes)
    for path in options.models:
        weights.write(path, weights.export(network, tables), network.description)
    nearest.write(options.nearest, nearest.build(training, classes))
    cards = {options.target: options.data_card}
    card = runs.describe(
        options.card, cards, options.method, options.target, options.state, validation=True,
        pretrained=embeddings.pretrained([known]),
        budget={key: about[key] for key in ("budget", "subset") if key in about},
        learned={options.target: training.table},
    )  # fmt: skip
    write_text(options.card, json.dumps(card, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    run_cli(main)
