"""A start that knows something: an extractor with weights of others, and for each data set a probe as head.

Nothing is guessed here, and no validation or test finding is learned from.
"""

import argparse
import logging
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from model.baselines import logistic
from model.bootstrap.rules import scores_table
from model.files import pretrained, weights
from model.files.terms import called
from model.inference import batch_norm
from model.inference.evaluated import Evaluated
from model.inference.scores import evaluate
from model.network import Description, Network, build
from model.networks import weights_of
from model.training import data
from pipeline.files import write_csv
from pipeline.seeds import seed

log = logging.getLogger("typhon")

VIEWS = 8
"""Of each training finding, for a head."""
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2)
"""Divisors of the penalty of a head (scikit-learn's C), of which inner folds choose one."""
FOLDS = 5


def of_weights(
    description: Description, source: str, datasets: Mapping[str, data.Dataset]
) -> tuple[Network, str]:
    """A network with the weights of ``source`` in its extractor, its heads meaningless, and their SHA-256.

    Raises what :func:`model.files.pretrained.load` does.
    """
    network = build(datasets, description)
    return network, pretrained.load(network.extractor, description.network, source, side=description.side)


def fit_head(
    network: Network, dataset: data.Dataset, table: Tensor, number: int, device: torch.device
) -> int:
    """Make the head of a data set a probe of its training findings; how many patches that took.

    ``number`` is the seed of the inner folds. Raises EmptyError where the training lacks a class.
    """
    part = data.read_part(dataset, "train", device, views=VIEWS)
    features = Evaluated(network, dataset.name, table).features(part.patches).cpu().numpy()
    findings = dataset.findings("train")
    measured = logistic.Measured(features, part.finding, part.view, findings, dataset.classes)
    parts = logistic.inner_folds(findings, FOLDS, number, dataset.classes)
    model = logistic.fit_any(measured, logistic.choose(measured, PENALTIES, parts))
    head = network.maker(dataset.name)
    assert isinstance(head, nn.Linear)
    fill(head, model)
    return len(features)


@torch.no_grad()
def redraw(extractor: nn.Module, number: int) -> None:
    """Draw all weights anew, those of each layer from a normal law with their mean and standard deviation.

    What was learned is gone, and the scale of each layer is kept (Raghu et al. 2019; Romero et al., section
    III.E). Tensors of one value stay. ``number`` is the seed of the run.
    """
    for name, parameter in extractor.named_parameters():
        generator = torch.Generator().manual_seed(seed("moments", number, name))
        value = parameter.detach().to("cpu", torch.float64)
        drawn = torch.randn(value.shape, dtype=torch.float64, generator=generator)
        parameter.copy_(value.mean() + value.std(correction=0) * drawn)


@torch.no_grad()
def fill(head: nn.Linear, model: logistic.Model | logistic.Several) -> None:
    """Let a linear layer give the logits of a regression; of two classes the first one's is 0."""
    slopes = np.atleast_2d(model.coefficients) / model.sd
    starts = np.atleast_1d(model.intercept) - slopes @ model.mean
    first = head.out_features - len(slopes)
    head.weight.zero_()[first:] = torch.from_numpy(slopes)
    head.bias.zero_()[first:] = torch.from_numpy(starts)


def start(options: argparse.Namespace, datasets: Mapping[str, data.Dataset], device: torch.device) -> None:
    """Write the network that training starts from, and how its probes score the validation of data sets."""
    description = Description.named(
        options.network, data.channels(datasets), data.side(datasets), linear=True
    )
    source = weights_of(options.network, options.weights)
    network, digest = of_weights(description.of(data.outputs(datasets)), source, datasets)
    network.to(device)
    tables = dict.fromkeys(datasets, batch_norm.running(network))
    redrawn = options.initialization == "moments"
    if redrawn:
        redraw(network.extractor, options.seed)
        patches = batch_norm.calibration(datasets, device)
        tables = {name: batch_norm.recalibrate(network, patches[name]) for name in datasets}
    for name in datasets if not redrawn else ():
        if (own := pretrained.statistics(source, name)) is not None:
            tables[name] = own.to(device)
    log.info("bootstrap skipped: %s begins with the weights %s", options.network, source)
    seen = sum(
        fit_head(network, dataset, tables[name], options.seed, device) for name, dataset in datasets.items()
    )
    scores = {}
    for name, dataset in datasets.items():
        part = data.read_part(dataset, "validation", device, views=VIEWS)
        seen += len(part.labels)
        if (area := evaluate(network, name, tables[name], part).auroc) is not None:
            scores[name] = area
            log.info("a probe of %s has an AUROC of %.3f in validation", name, area)
    weights.write(
        options.out, weights.export(network, tables), network.description,
        samples_seen=seen, weights=called(source) + ", redrawn" * redrawn, weights_sha256=digest,
    )  # fmt: skip
    columns = ("candidate", *datasets, "minimum", "mean", "accepted", "picked")
    write_csv(options.scores, columns, scores_table([scores], [0], list(datasets)) if scores else [])
