"""Whether classes and the settings of training fit together. No torch: the plan asks, too."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from model.training.phase import NEW
from pipeline.classes import Classes


def misfits(
    classes: Mapping[str, Classes], judged: set[str], *, loss: str, selection: str, balance: str
) -> Iterator[tuple[str, str, str]]:
    """Settings that mean nothing for these data sets: the key, what was found and what is expected.

    ``judged`` are those by which states are chosen, see :func:`judged_in`.
    """
    several = [name for name, own in classes.items() if own.multilabel]
    if loss == "paper" and several:
        yield (
            "training/loss",
            f"paper, and {several[0]} of {classes[several[0]]}",
            "logits, l1 or mse for labels",
        )
    if balance == "undersample" and several:
        yield "balance", f"undersample, and {several[0]} of {classes[several[0]]}", "views for labels"
    needed = ["auroc", "accuracy"] if selection == "paper" else [selection]
    for name in sorted(judged & classes.keys()):
        if not set(needed) <= set(classes[name].metrics):
            yield (
                "training/selection", f"{selection}, and {name} of {classes[name]}",
                f"one of {', '.join(classes[name].metrics)}",
            )  # fmt: skip


def judged_in(target: str, phases: Iterable[tuple[str, Sequence[str]]]) -> set[str]:
    """The data sets by which states of training are chosen: the target, and the first of a phase without it.

    ``phases`` are for each which state it leaves behind (``select``) and its data sets.
    """
    chosen = [names for select, names in phases if select == "best"]
    return {target, *(names[0] for names in chosen if target not in names)}


def unlike_heads(
    heads: Iterable[tuple[str, Mapping[str, str]]], classes: Mapping[str, Classes]
) -> Iterator[tuple[str, str, str]]:
    """Data sets that share a head and have not as many classes, or labels; likewise.

    ``heads`` are the names of phases and what each says of heads.
    """
    for phase, shared in heads:
        for name, other in shared.items():
            if other == NEW or not {name, other} <= classes.keys():
                continue
            own, theirs = classes[name], classes[other]
            if (own.outputs, own.multilabel) != (theirs.outputs, theirs.multilabel):
                found = f"{name} of {own} and {other} of {theirs}"
                yield f"phase {phase}/head", found, "as many classes in data sets that share a head"
