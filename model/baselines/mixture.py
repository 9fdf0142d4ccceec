"""A model file of a method that trains no network: what it measures of a patch, and what it learned of that.

It is a mixture for each problem: the mean, by weights, of the probabilities of its members. A member is a
fixed network, or a module that measures patches, and a fitted learner on these numbers. Keys of the file are
``members.{n}.{array}`` and ``extractors.{n}.{name}``; members may share an extractor.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.baselines.learners import Fitted, arrays, from_arrays
from model.baselines.measures import MEASURES
from model.files import weights
from model.files.pretrained import fill
from model.files.runs import MIXTURE, Run
from model.inference.evaluated import BATCH
from model.network import Description, build
from model.networks.base import Extractor
from pipeline.classes import MOST
from pipeline.errors import ConfigError, InputError, LossError
from pipeline.files import atomic

EXPECTED = "a mixture of what this version knows"


@dataclass(frozen=True)
class Member:
    """Numbers of a patch, and what was learned of them."""

    name: str
    """Of the candidate that it was."""
    fitted: Fitted
    weight: float
    network: Description | None = None
    """What sees the patch; None where ``name`` is one of MEASURES."""
    extractor: Extractor | None = None
    """The weights of that network."""
    problem: int = 0
    """Which of the problems it is about."""

    def measure(self, patches: np.ndarray) -> np.ndarray:
        """The numbers float32 (n, features) of patches (n, channels, side, side)."""
        if self.extractor is None:
            return MEASURES[self.name].of(patches).astype("f4")
        extract = self.extractor.evaluated()
        with torch.inference_mode():
            return torch.cat(
                [extract(some) for some in torch.from_numpy(patches).split(BATCH["cpu"])]
            ).numpy()


@dataclass(frozen=True)
class Mixture:
    """Members, for patches of one kind."""

    members: Sequence[Member]
    channels: int
    side: int
    problems: int = 1
    shares: bool = False
    """Whether the problems are classes of which a finding has one."""

    def scores(self, patches: np.ndarray) -> np.ndarray:
        """Probabilities (n, problems), float64, of patches (n, channels, side, side) float32."""
        measured: dict[str, np.ndarray] = {}
        found = np.zeros((len(patches), self.problems))
        for member in self.members:
            if member.name not in measured:
                measured[member.name] = member.measure(patches)
            found[:, member.problem] += member.weight * member.fitted.scores(measured[member.name])
        return as_shares(found) if self.shares else found


def as_shares(probabilities: np.ndarray) -> np.ndarray:
    """Those of each class against the rest, (n, classes), so that they add up to 1."""
    sums = probabilities.sum(axis=1, keepdims=True)
    equal = np.full_like(probabilities, 1 / probabilities.shape[1])
    return np.divide(probabilities, sums, out=equal, where=sums > 0)


def write(path: Path, mixture: Mixture) -> None:
    """Write a model file, atomically; the same mixture gives the same bytes."""
    tensors: dict[str, Tensor] = {}
    members: list[dict[str, Any]] = []
    states: list[dict[str, Tensor]] = []
    for number, member in enumerate(mixture.members):
        values = {
            name: torch.from_numpy(np.array(array, order="C"))
            for name, array in arrays(member.fitted).items()
        }
        tensors |= {f"members.{number}.{name}": value for name, value in values.items()}
        about: dict[str, Any] = {
            "name": member.name,
            "weight": member.weight,
            "fitted": type(member.fitted).__name__,
        }
        if member.extractor is not None and member.network is not None:
            state = member.extractor.core().state_dict()
            place = next((n for n, known in enumerate(states) if _equal(known, state)), len(states))
            if place == len(states):
                states.append(state)
                tensors |= {
                    f"extractors.{place}.{name}": weights.plain(value) for name, value in state.items()
                }
            about |= {"network": member.network.to_json(), "extractor": place}
        members.append(about | ({"problem": member.problem} if mixture.problems > 1 else {}))
    several = {"problems": mixture.problems, "shares": mixture.shares} if mixture.problems > 1 else {}
    content = weights.to_bytes(
        tensors, **{MIXTURE: members, "channels": mixture.channels, "side": mixture.side, **several}
    )
    with atomic(path) as beside:
        beside.write_bytes(content)


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def read(path: Path, channels: int, side: int) -> Mixture:
    """Read a model file; raises InputError if it is damaged or for other patches."""
    about, tensors = weights.read_about(path), weights.read_tensors(path)
    if (about.get("channels"), about.get("side")) != (channels, side):
        raise InputError(
            f"a mixture for {about.get('channels')} and {about.get('side')}", file=path,
            expected=f"a mixture for {channels} channel(s) and patches of {side} pixels",
        )  # fmt: skip
    extractors: dict[str, Extractor] = {}
    problems, shares = about.get("problems", 1), about.get("shares", False)
    try:
        if type(problems) is not int or not 1 <= problems <= MOST or type(shares) is not bool:
            raise ValueError(f"problems {problems!r}, shares {shares!r}")
        members = [
            _member(
                dict(one), _below(tensors, f"members.{number}."), tensors, path, channels, side, extractors
            )
            for number, one in enumerate(about[MIXTURE])
        ]
        for place in range(problems):
            whole = sum(member.weight for member in members if member.problem == place)
            if abs(whole - 1) > 1e-6:
                raise ValueError(f"weights that add up to {whole:g}")
        if odd := [member.problem for member in members if not 0 <= member.problem < problems]:
            raise ValueError(f"problem {odd[0]} of {problems}")
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise InputError(f"{type(error).__name__}: {error}", file=path, expected=EXPECTED) from error
    except ConfigError as error:  # of a network that is not here, or takes no such patches
        raise InputError(
            f"{error.file} {error.found}", file=path, expected=error.expected, remedy=error.remedy
        ) from error
    return Mixture(members, channels, side, problems, shares)


def _member(
    about: Mapping[str, Any], own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path,
    channels: int, side: int, extractors: dict[str, Extractor],
) -> Member:  # fmt: skip
    """A member of a file; raises ValueError, KeyError, TypeError or ConfigError for one that cannot be.

    ``extractors`` are those that members of other problems have, by the names of candidates.
    """
    fitted = from_arrays(about["fitted"], {name: value.numpy() for name, value in own.items()})
    name, weight, problem = str(about["name"]), float(about["weight"]), int(about.get("problem", 0))
    if not 0 < weight <= 1:
        raise ValueError(f"weight {weight}")
    if "network" not in about:
        width = len(MEASURES[name].names([""] * channels))
        member = Member(name, fitted, weight, problem=problem)
    else:
        description = Description(**about["network"])
        if (description.channels, description.side) != (channels, side):
            raise ValueError(f"a network for {description.channels} and {description.side}")
        if (extractor := extractors.get(name)) is None:
            extractor = extractors[name] = build((), description).extractor
            fill(extractor.core(), _below(tensors, f"extractors.{about['extractor']}."), path)
        width, member = extractor.width, Member(name, fitted, weight, description, extractor, problem)
    if len(fitted.median) != width:
        raise ValueError(f"{len(fitted.median)} features of {width}")
    return member


def _below(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


@functools.lru_cache(maxsize=32)
def _once(path: Path, channels: int, side: int) -> Mixture:
    return read(path, channels, side)


def score(run: Run, dataset: str, patches: np.ndarray) -> np.ndarray:
    """What ``run.score`` gives, of a run with or without a network of its own; (n, problems)."""
    if MIXTURE not in weights.read_about(run.model):
        return run.score(dataset, patches)
    found = of_run(run, dataset).scores(patches)
    if not np.isfinite(found).all():
        raise LossError(f"{dataset}: scores that are not finite", file=run.model, expected="finite scores")
    return found


def features(run: Run, dataset: str, patches: np.ndarray, name: str | None) -> np.ndarray:
    """What a member of a run's mixture measures of patches, (n, features); InputError if there is none."""
    members = {member.name: member for member in of_run(run, dataset).members}
    if name not in members:
        raise InputError(str(name), file=run.model, expected=f"one of {', '.join(members)}")
    return members[name].measure(patches)


def of_run(run: Run, dataset: str) -> Mixture:
    """The mixture of a run, read once; InputError for one that is not about the run's classes."""
    how, classes = run.preprocessing(dataset), run.classes(dataset)
    found = _once(run.model.absolute(), len(how.channels), how.side)
    if (found.problems, found.shares) != (len(classes.problems), classes.kind == "classes"):
        raise InputError(f"{found.problems} problems", file=run.model, expected=f"a mixture for {classes}")
    return found
