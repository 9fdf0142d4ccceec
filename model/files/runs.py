"""Runs as others use them: a model file, and the card that says how its patches are cut.

The card of a run, ``card.json``, has the keys ``schema``, ``disclaimer``, ``run`` (method, fold, seed and the
state to use), ``target`` and ``datasets``: for each data set what ``pipeline.card`` wrote of it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from model.evaluation.predictions import numbered
from model.files import weights
from model.files.cards import STATES, VERSION, read_card
from model.inference.evaluated import Evaluated
from model.network import Network
from pipeline.card import Preprocessing, training_counts
from pipeline.classes import Classes
from pipeline.errors import ConfigError, InputError, LossError

DISCLAIMER = (
    "Research software, not a medical device: not for diagnosis, not for any clinical decision, and no "
    "statement about any patient."
)
CARD = "card.json"
MIXTURE = "mixture"
"""What a model file without a network of its own says of itself: model.baselines.mixture."""
MODELS = dict(zip(STATES, ("model.safetensors", "best/model.safetensors"), strict=True))


class RunError(InputError):
    """Something that is no run, or runs that do not fit together."""

    code = "E-RUN"
    expected = "a folder of runs, with card.json and model.safetensors, or a model file beside its card"
    remedy = "train one, ./run results/typhon_auc.json; the same command adds the cards of older runs"


@dataclass(frozen=True)
class Run:
    """A trained model and its card."""

    model: Path
    card: dict[str, Any]
    _evaluated: dict[str, Evaluated] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """What people call it: method, fold and seed."""
        run = self.card["run"]
        return f"{run['method']} fold{run['fold']} seed{run['seed']}"

    @property
    def folder(self) -> Path:
        """Where its card lies."""
        return self.model.parents[Path(MODELS[self.card["run"]["state"]]).parents.index(Path())]

    def preprocessing(self, dataset: str) -> Preprocessing:
        """How patches for the decision maker of a data set are cut. Raises ConfigError if there is none."""
        if dataset not in self.card["datasets"]:
            names = ", ".join(self.card["datasets"])
            raise ConfigError(dataset, file="--dataset", expected=f"one of {names}")
        keys = dict(self.card["datasets"][dataset]["preprocessing"])
        keys["channels"] = tuple(keys["channels"])
        keys["window"] = tuple(keys["window"]) if keys["window"] else None
        return Preprocessing(**keys)

    def classes(self, dataset: str) -> Classes:
        """The classes or labels of a data set."""
        return classes_in(self.card["datasets"][dataset])

    def read(self) -> tuple[Network, dict[str, Tensor]]:
        """The network and the statistics table of each data set, on the CPU."""
        if MIXTURE in weights.read_about(self.model):
            raise RunError(
                f"method {self.card['run']['method']}, which trains no network", file=self.model,
                expected="a run of a network", remedy="predict with it: python -m model.predict",
            )  # fmt: skip
        how = self.preprocessing(self.card["target"])
        outputs = {name: self.classes(name).outputs for name in self.card["datasets"]}
        return weights.read(
            self.model, self.card["datasets"], len(how.channels), side=how.side, outputs=outputs
        )

    def network(self, dataset: str) -> Evaluated:
        """The network as evaluation uses it, on the CPU, for one data set; read once."""
        if dataset not in self._evaluated:
            network, tables = self.read()
            self._evaluated[dataset] = Evaluated(network, dataset, tables[dataset])
        return self._evaluated[dataset]

    def score(self, dataset: str, patches: np.ndarray) -> np.ndarray:
        """Probabilities (n, problems), float64, of patches (n, channels, side, side) float32.

        Raises LossError if one is not finite.
        """
        logits = self.network(dataset)(torch.from_numpy(patches)).numpy().astype("f8")
        if not np.isfinite(logits).all():
            raise LossError(
                f"{dataset}: logits that are not finite", file=self.model, expected="finite scores"
            )
        return self.classes(dataset).probabilities(logits)


def classes_in(card: Mapping[str, Any]) -> Classes:
    """The classes or labels that the card of a data set has."""
    return Classes(tuple(card["classes"]), multilabel=card.get("multilabel", False))


def describe(
    path: Path, cards: Mapping[str, Path], method: str, target: str, state: str, *,
    validation: bool = False, pretrained: Sequence[Mapping[str, str]] = (),
    budget: Mapping[str, Any] | None = None, learned: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The card of the run in whose folder ``path`` lies, from the cards of its data sets.

    ``validation`` says that it learned from validation findings too, ``pretrained`` whose weights are in it,
    as :func:`model.files.terms.entry` has them. ``budget`` is what :func:`model.dataset.granted` says of the
    run: where it says anything, the findings that were ``learned`` from, by data set, are counted.
    Fingerprints are of all training findings, within a budget or not.
    """
    told = {name: json.loads(card.read_text(encoding="utf-8")) for name, card in cards.items()}
    for name, about in told.items():
        both = about.pop("with_validation", None)
        told[name] = about | both if validation else about
        if budget and learned and name in learned:
            told[name] = told[name] | {"training": training_counts(learned[name], classes_in(about))}
    return {
        "schema": VERSION,
        "disclaimer": DISCLAIMER,
        "run": {
            "method": method,
            "fold": numbered(path, "fold"),
            "seed": numbered(path, "seed"),
            "state": state,
            **(budget or {}),
        },
        "target": target,
        **({"weights": list(pretrained)} if pretrained else {}),
        "datasets": told,
    }


def find(paths: Sequence[Path]) -> list[Run]:
    """The runs that these files and folders name, all below a folder, each once; in their order.

    Raises RunError where there is none, PickledError for a pickle.
    """
    found: dict[Path, Run] = {}
    for path in paths:
        if path.is_file() and path.name != CARD:
            weights.check_kind(path)
            folders = [folder for folder in path.absolute().parents[:2] if (folder / CARD).is_file()]
            if not folders:
                raise RunError(f"no {CARD} beside it", file=path)
            about = _read(folders[0] / CARD)
            states = [state for state, name in MODELS.items() if folders[0] / name == path.absolute()]
            if not states:
                raise RunError(
                    "another file", file=path, expected=" or ".join(MODELS.values()),
                    remedy="name one of them, or the folder of the run",
                )  # fmt: skip
            found[path.resolve()] = Run(path, about | {"run": about["run"] | {"state": states[0]}})
            continue
        cards = [path] if path.is_file() else sorted(path.rglob(CARD))
        if not cards:
            raise RunError(f"no {CARD} in it" if path.is_dir() else "nothing of that name", file=path)
        for card in cards:
            about = _read(card)
            model = card.parent / MODELS[about["run"]["state"]]
            if not model.is_file():
                raise RunError("none", file=model, expected="the model of the card beside it")
            found[model.resolve()] = Run(model, about)
    return list(found.values())


def _read(path: Path) -> dict[str, Any]:
    """A card of a run; raises RunError unless it is one."""
    try:
        return read_card(path)
    except ValueError as error:
        raise RunError(f"what is none ({error})", file=path, expected="the card of a run") from error


def agree(runs: Sequence[Run], dataset: str) -> Preprocessing:
    """The preprocessing that all runs share; raises RunError with the first difference.

    That may be in the collection or the classes, too.
    """
    first = runs[0].preprocessing(dataset)
    for run in runs[1:]:
        other = run.preprocessing(dataset)
        for name in ("collection", "classes", "multilabel"):
            ours, theirs = (one.card["datasets"][dataset].get(name) for one in (runs[0], run))
            if ours != theirs:
                raise RunError(
                    f"{name} {ours} and {theirs}",
                    file=run.model,
                    expected="runs of the same data",
                    remedy="predict with one after the other",
                )
        for name in (one.name for one in fields(Preprocessing)):
            ours, theirs = getattr(first, name), getattr(other, name)
            if ours != theirs:
                raise RunError(
                    f"{name} {ours} and {theirs}",
                    file=run.model,
                    expected="runs that cut their patches alike",
                    remedy="predict with one after the other",
                )
    return first
