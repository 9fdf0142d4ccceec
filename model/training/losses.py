"""What training minimizes."""

from torch import Tensor
from torch.nn import functional

from pipeline.classes import UNKNOWN, Classes


def loss(classes: Classes, kind: str, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over samples, or over those of their labels that are known; 0 where none is.

    Parameters
    ----------
    kind : logits, the cross-entropy; paper, that of a softmax taken for logits; l1 or mse, the absolute or
        squared error of the probabilities. Several labels have no ``paper``.
    logits : (n, outputs).
    labels : int64, (n,) of classes, (n, labels) of 0, 1 and UNKNOWN of labels.
    """
    if classes.multilabel:
        return _of_labels(kind, logits, labels)
    if kind == "logits":
        return functional.cross_entropy(logits, labels)
    probabilities = functional.softmax(logits, dim=1)
    if kind == "paper":
        return functional.cross_entropy(probabilities, labels)
    error = functional.l1_loss if kind == "l1" else functional.mse_loss
    return error(probabilities, functional.one_hot(labels, logits.shape[1]).to(probabilities))


def _of_labels(kind: str, logits: Tensor, labels: Tensor) -> Tensor:
    known = (labels != UNKNOWN).to(logits)
    answers = labels.to(logits) * known
    if kind == "logits":
        errors = functional.binary_cross_entropy_with_logits(logits, answers, reduction="none")
    else:
        error = functional.l1_loss if kind == "l1" else functional.mse_loss
        errors = error(logits.sigmoid(), answers, reduction="none")
    return (errors * known).sum() / known.sum().clamp(min=1)
