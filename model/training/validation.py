"""The findings that a run in progress is judged by, and the batch-norm statistics that this takes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from model.inference import batch_norm
from model.inference.evaluated import Evaluated, decide
from model.inference.scores import Scores, score
from model.network import Network
from model.training.data import Dataset, Part, read_part


class Judge:
    """Scores a network as it is, on training (view 0), validation and, if followed, test findings.

    Between two calls of :meth:`renew` the network counts as unchanged: statistics and features are computed
    once, however many decision makers look at them.

    Parameters
    ----------
    train : the training patches, some of which recalibrate the statistics.
    running : the running statistics of each data set.
    recalibrate : whether they are computed anew instead.
    together : with which data sets in one batch each was trained last: statistics are recalibrated alike, and
        running ones are taken where there are none.
    followed : a data set whose test findings are looked at too, for curves alone.
    count : is told how many patches go through the network.
    """

    def __init__(
        self,
        network: Network,
        datasets: Mapping[str, Dataset],
        train: Mapping[str, Part],
        *,
        running: Mapping[str, Tensor],
        recalibrate: bool,
        together: Mapping[str, tuple[str, ...]],
        followed: str | None,
        device: torch.device,
        count: Callable[[int], None],
    ) -> None:
        self._network = network
        self._running = running
        self._recalibrate = recalibrate
        self._together = together
        self._count = count
        self._calibration = {name: batch_norm.calibration_patches(part, name) for name, part in train.items()}
        self._parts: dict[tuple[str, str], Part] = {}
        for name, dataset in datasets.items():
            # Its own findings are judged by the un-augmented view alone: a tenth of the work or less.
            self._parts[name, "train"] = read_part(dataset, "train", device, views=1)
            self._parts[name, "validation"] = read_part(dataset, "validation", device)
        if followed:
            self._parts[followed, "test"] = read_part(datasets[followed], "test", device)
        self._tables: dict[tuple[str, ...], Tensor] = {}
        self._features: dict[tuple[str, str], Tensor] = {}

    def renew(self) -> None:
        """Forget statistics and features: the extractor has changed."""
        self._tables.clear()
        self._features.clear()

    def table(self, name: str) -> Tensor:
        """Statistics that the evaluation of a data set uses."""
        names = self._together[name]
        if not (self._recalibrate and names):
            return self._running[name]
        if names not in self._tables:
            patches = batch_norm.interleave([self._calibration[other] for other in names])
            self._count(len(patches))
            self._tables[names] = batch_norm.recalibrate(self._network, patches)
        return self._tables[names]

    def tables(self, names: Iterable[str]) -> dict[str, Tensor]:
        """The same of several data sets."""
        return {name: self.table(name) for name in names}

    def features(self, name: str, part: Part) -> Tensor:
        """Features (n, width) of the patches of a data set, with its statistics and without dropout."""
        self._count(len(part.labels))
        return Evaluated(self._network, name, self.table(name)).features(part.patches)

    def scores(self, name: str, split: str, maker: nn.Module | None = None) -> Scores:
        """Scores of a data set's split by its decision maker, or by another one.

        Raises FloatingPointError if a logit is not finite.
        """
        part = self._parts[name, split]
        if not len(part.labels):
            return score(torch.empty(0, 2), part)
        if (name, split) not in self._features:
            self._features[name, split] = self.features(name, part)
        try:
            return score(decide(maker or self._network.maker(name), self._features[name, split]), part)
        except FloatingPointError as error:
            raise FloatingPointError(f"{name}, {split}: {error}") from error


def better(now: Mapping[str, Any], best: Mapping[str, Any] | None, selection: str) -> bool:
    """Whether the metrics of a state are better than the best so far; one without the metric never is.

    ``selection`` is the metric, of a loss the lowest; as published (paper) neither AUROC nor accuracy is
    lower.
    """
    paper = selection == "paper"
    names = ("auroc", "accuracy") if paper else (selection,)
    if any(now[name] is None for name in names):
        return False
    if best is None:
        return True
    if names == ("loss",):
        return bool(now["loss"] < best["loss"])
    return all(now[name] >= best[name] if paper else now[name] > best[name] for name in names)
