"""The bootstrap: ours, exhaustive and staged, against plain exhaustive scoring."""

import math
from typing import Any

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from model import device
from model.bootstrap.candidates import FIRST_PATCHES, Candidates, stages
from model.bootstrap.rules import Scores, minimum_rule, summary
from model.bootstrap.staged import PILOT
from model.inference import batch_norm
from model.network import build, initialize
from workflow.bench import plain_network
from workflow.bench.guesses import Sizes, full_stage, race
from workflow.bench.measure import Contender, Result, Size, compare, once
from workflow.bench.trials import Trials

BATCH = 8
"""Of the plain reference, as published."""
PUBLISHED = Sizes({"one": 16, "two": 16, "three": 16}, 0)
"""Small, so that plain PyTorch too can score all 200."""
DEFAULT = Sizes({"one": 66, "two": 46, "three": 16}, batch_norm.PATCHES)
"""The default settings, and a fifth of the findings of the papers' three collections."""
TRIALS, EXTRACTORS = 100, 12


class _Scoring(Contender):
    """Scores some more candidates in each run, making them included."""

    def __init__(self, sizes: Sizes, per_run: int) -> None:
        self.stage = full_stage(sizes)
        self.per_run = per_run
        self.scores: list[Scores] = []

    def run(self) -> int:
        """Count candidates."""
        for _ in range(self.per_run):
            number = len(self.scores)
            self.make(number)
            self.scores.append({name: self.score(name) for name in self.stage.parts})
        return self.per_run

    def make(self, number: int) -> None:
        """Draw a candidate's weights."""
        raise NotImplementedError

    def score(self, name: str) -> float:
        """AUROC of the candidate just made on a data set."""
        raise NotImplementedError

    def answer(self) -> list[Scores]:
        """What all candidates scored."""
        return self.scores


class Plain(_Scoring):
    """``model.eval()`` in batches of 8 and scikit-learn, after a pass over training patches if calibrated."""

    def __init__(self, sizes: Sizes, per_run: int) -> None:
        torch.set_num_threads(1)
        super().__init__(sizes, per_run)
        self.network = plain_network.extractor()
        self.heads = {name: plain_network.head() for name in self.stage.parts}
        self.norms = [module for module in self.network.modules() if isinstance(module, nn.BatchNorm2d)]
        self.source = build(self.stage.parts)
        self.weights: list[list[Tensor]] = []

    def prepare(self) -> None:
        """Our weights of the next candidates, so that both sides score the same ones."""
        self.weights = []
        for number in range(len(self.scores), len(self.scores) + self.per_run):
            initialize(self.source, "bootstrap", 0, number)
            parts = [self.source.extractor, *self.source.makers]
            self.weights.append([value.detach().clone() for one in parts for value in one.parameters()])

    @torch.no_grad()
    def make(self, number: int) -> None:
        """Weights by Xavier, and then ours in their place."""
        places = [value for one in (self.network, *self.heads.values()) for value in one.parameters()]
        for place, value in zip(places, self.weights[number % self.per_run], strict=True):
            if place.dim() > 1:
                nn.init.xavier_uniform_(place)
            place.copy_(value)

    @torch.no_grad()
    def score(self, name: str) -> float:
        """In the plainest way."""
        self.network.eval()
        for norm in self.norms:
            norm.reset_running_stats()
        if self.stage.calibration:
            for norm in self.norms:
                norm.train()
                norm.momentum = None  # the mean over batches
            patches = self.stage.calibration[name]
            for batch in patches.tensor_split(math.ceil(len(patches) / batch_norm.BATCH)):
                self.network(batch)
        (findings,) = self.stage.parts[name]
        assert isinstance(findings.patches, torch.Tensor)
        logits = plain_network.predict(self.network, self.heads[name], findings.patches, BATCH)
        return float(roc_auc_score(findings.labels, logits.softmax(1)[:, 1]))


class Ours(_Scoring):
    """As ``model.bootstrap.guess`` does."""

    def __init__(self, sizes: Sizes, per_run: int) -> None:
        device.set_up(0)
        super().__init__(sizes, per_run)
        self.candidates = Candidates(build(self.stage.parts), 0, [self.stage])

    def make(self, number: int) -> None:
        """In the network that is there."""
        self.candidates.make(number)

    def score(self, name: str) -> float:
        """Folded, channels-last, ranked by numpy."""
        return self.candidates.score(len(self.scores), name) or 0.0


class Staged(Contender):
    """A whole staged search."""

    def __init__(self, sizes: Sizes) -> None:
        device.set_up(0)
        self.sizes = sizes
        full = full_stage(sizes)
        self.candidates = Candidates(build(full.parts), 0, stages(full))
        self.patches = 0

    def score(self, number: int, stage: int, name: str) -> float:
        """AUROC of a candidate, and the patches that it took."""
        self.patches += self.candidates.stages[stage].patches(name)
        return self.candidates.score(number, name, stage) or 0.0

    def run(self) -> int:
        """All candidates."""
        self.scores = race(self.sizes, len(self.candidates.stages), self.score)
        return self.sizes.candidates

    def answer(self) -> tuple[list[Scores], float]:
        """What was scored in full, and the share of the patches of an exhaustive search."""
        each = sum(map(self.candidates.stages[-1].patches, self.sizes.findings))
        return self.scores, self.patches / each / self.sizes.candidates


def bench(size: Size) -> list[Result]:
    """Candidates per second, exhaustive and staged."""
    small, default = PUBLISHED, DEFAULT
    trials, extractors = TRIALS, EXTRACTORS
    if size.quick:
        small = Sizes({"one": 4, "two": 4}, 0, candidates=4)
        default = Sizes({"one": 6, "two": 4}, 2 * FIRST_PATCHES, candidates=PILOT + 2)
        trials, extractors = 2, 2
    per_run = math.ceil(small.candidates / (size.rounds + 1))
    published = Result(
        f"bootstrap as published, {per_run * (size.rounds + 1)} candidates", "candidates/s", goal=1.7
    )
    published.notes = _agreement(*compare(published, Plain, Ours, small, per_run, rounds=size.rounds))
    calibrated = Result("bootstrap by default, batch-norm statistics calibrated", "candidates/s", goal=1.7)
    # One candidate of this size takes plain PyTorch four seconds, always the same.
    calibrated.notes = _agreement(*compare(calibrated, Plain, Ours, default, 1, rounds=min(size.rounds, 3)))
    staged = Result(
        f"bootstrap by default, staged, {default.candidates} candidates", "candidates/s", goal=5.0
    )
    rate, (found, share) = once(Staged, default)
    staged.plain, staged.ours = calibrated.plain, [rate] * len(calibrated.plain)
    pick = found[minimum_rule(found)[-1]]
    staged.notes = {
        "share_of_the_patches": share,
        "lowest_auroc_of_the_pick": summary(pick)[0],
    }
    staged.notes |= Trials(default, extractors).run(trials)
    return [published, calibrated, staged]


def _agreement(plain: list[Scores], ours: list[Scores]) -> dict[str, Any]:
    differences = [
        abs(one[name] - other[name]) for one, other in zip(plain, ours, strict=True) for name in one
    ]
    return {
        "candidates_scored_by_both": len(plain),
        "same_pick": int(minimum_rule(plain)[-1] == minimum_rule(ours)[-1]),
        "largest_auroc_difference": max(differences),
    }
