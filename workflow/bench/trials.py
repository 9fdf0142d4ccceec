"""How often a staged search of the bootstrap picks what an exhaustive one picks."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model import device
from model.bootstrap.candidates import stages
from model.bootstrap.rules import minimum_rule
from model.inference import batch_norm
from model.network import build, initialize
from model.networks.base import channels_last
from pipeline.seeds import seed, stream
from workflow.bench.guesses import Sizes, full_stage, race


class Trials:
    """Many searches at the price of a few networks.

    Only decision makers, which cost next to nothing, are drawn anew for each candidate of each trial; they
    read features of a few random extractors, whose statistics are those of either stage. Each trial also has
    findings of its own, half of a pool.
    """

    def __init__(self, sizes: Sizes, extractors: int) -> None:
        device.set_up(0)
        self.sizes = sizes
        full = full_stage(
            Sizes({name: 2 * count for name, count in sizes.findings.items()}, sizes.calibration)
        )
        self.labels = {name: parts[0].labels.numpy() for name, parts in full.parts.items()}
        made = [stage.calibration or {} for stage in stages(full)]
        network = build(full.parts).eval()
        self.features: dict[str, list[list[Tensor]]] = {name: [[] for _ in made] for name in full.parts}
        for number in range(extractors):
            initialize(network, "bench", "trials", number)
            for name, parts in full.parts.items():
                for stage, calibration in enumerate(made):
                    batch_norm.attach(network, batch_norm.recalibrate(network, calibration[name]))
                    with torch.inference_mode():
                        batches = parts[0].patches.split(16)
                        found = torch.cat([network.extractor(channels_last(batch)) for batch in batches])
                    self.features[name][stage].append(found)

    def table(self, trial: int) -> np.ndarray:
        """AUROC (candidates, stages, data sets) of new candidates on new findings."""
        random = stream("bench", "trial", trial)
        generator = torch.Generator().manual_seed(seed("bench", "trial", trial))
        count = self.sizes.candidates
        table = []
        for name, features in self.features.items():
            own = torch.from_numpy(random.integers(len(features[0]), size=count))
            head = self._heads(count, generator)
            half = self.sizes.findings[name] // 2
            chosen = np.concatenate([
                random.permutation(np.flatnonzero(self.labels[name] == label))[:half] for label in (0, 1)
            ])  # fmt: skip
            truth = self.labels[name][chosen] == 1
            by_stage = []
            for several in features:
                x = torch.stack(several)[:, torch.from_numpy(chosen)][own]
                for number, (weight, bias) in enumerate(head):
                    x = torch.baddbmm(bias, functional.elu(x) if number else x, weight)
                margin = (x[..., 1] - x[..., 0]).numpy()
                duels = margin[:, truth, None] - margin[:, None, ~truth]
                by_stage.append((np.sign(duels) + 1).mean((1, 2)) / 2)
            table.append(by_stage)
        return np.array(table).T

    def _heads(self, count: int, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
        """Decision makers (count, inputs, outputs) drawn as :func:`~model.network.initialize` does."""
        head = []
        for inputs, outputs in ((256, 64), (64, 16), (16, 2)):
            bounds = math.sqrt(6 / (inputs + outputs)), 1 / math.sqrt(inputs)
            shapes = (count, inputs, outputs), (count, 1, outputs)
            weight, bias = (
                torch.empty(shape).uniform_(-bound, bound, generator=generator)
                for shape, bound in zip(shapes, bounds, strict=True)
            )
            head.append((weight, bias))
        return head

    def run(self, trials: int) -> dict[str, float]:
        """How many staged searches pick what an exhaustive one picks."""
        same, scored = 0, []
        tables = [self.table(trial) for trial in range(trials)]
        names = list(self.sizes.findings)
        for table in tables:
            asked: list[int] = []

            def score(candidate: int, stage: int, name: str, table: np.ndarray = table,
                      asked: list[int] = asked) -> float:  # fmt: skip
                asked.append(stage)
                return float(table[candidate, stage, names.index(name)])

            found = race(self.sizes, table.shape[1], score)
            whole = [dict(zip(names, map(float, row[-1]), strict=True)) for row in table]
            same += minimum_rule(found)[-1] == minimum_rule(whole)[-1]
            scored.append(np.mean(np.array(asked) == table.shape[1] - 1) * len(asked) / table[:, 0].size)
        values = np.stack(tables)
        return {
            "trials": trials,
            "trials_with_the_same_pick": same,
            "share_scored_in_full": float(np.mean(scored)),
            "auroc_spread_of_candidates": float(values[:, :, -1].std(axis=1).mean()),
            "auroc_error_of_the_first_stage": float(
                np.sqrt(np.square(values[:, :, 0] - values[:, :, -1]).mean())
            ),
        }
