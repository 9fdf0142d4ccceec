"""Which figures of the papers there are, and what each is drawn from. Imported by the Snakefile."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperFigure:
    """A figure of a paper, as this project draws it."""

    paper: str
    """Its number there."""
    kind: str
    """The function that draws it, in ``papers.figures.__main__``."""
    needs: tuple[str, ...]
    """Methods without which it is not drawn."""
    may: tuple[str, ...] = ()
    """Methods that stand in it too where they were run."""
    files: tuple[str, ...] = ("history.csv",)
    """What it is drawn from, of each run."""
    results: bool = False
    """Whether it is drawn from ``results/{method}_auc.json`` as well."""
    phase: str = ""
    """Of Hydra: the phase that it shows, or whose published log belongs beneath it."""
    published: bool = False
    """Whether curves of Hydra's public logs may lie beneath ours."""
    of_any_data: bool = False
    """Whether it says as much of other data sets as of those of the papers."""
    follows: bool = False
    """Whether it shows rows of the history that ``evaluation: {follow: true}`` adds."""


PHASES = ("DS1/Full", "DS2/Frozen", "DS2/Full", "DS3/Frozen", "DS3/Full", "DS4/Frozen", "DS4/Full")
"""Of Hydra with three data sets, in the order of the thesis' figures 6.4 to 6.10."""

FIGURES: dict[str, PaperFigure] = {
    "typhon_4": PaperFigure("Typhon, Figure 4", "training", ("typhon",)),
    "typhon_5": PaperFigure(
        "Typhon, Figure 5", "test", ("typhon",), ("hydra", "transfer", "classical"), follows=True
    ),
    "hydra_4a": PaperFigure("Hydra, Figure 4a", "last_round", ("hydra",), ("transfer",), follows=True),
    "hydra_4b": PaperFigure("Hydra, Figure 4b", "reference", ("hydra",), published=True, follows=True),
    "thesis_5_5": PaperFigure("Thesis, Figure 5.5", "gradients", ("classical",), files=("gradients.csv",)),
    "thesis_5_6": PaperFigure(
        "Thesis, Figure 5.6", "metrics", ("classical",), phase="DS1/Full", published=True
    ),
    "thesis_5_7": PaperFigure(
        "Thesis, Figure 5.7", "roc", ("classical",),
        files=("predictions.csv", "best/predictions.csv"), results=True,
    ),
    **{
        f"thesis_6_{number}": PaperFigure(
            f"Thesis, Figure 6.{number}", "metrics", ("hydra",), phase=phase, published=True
        )
        for number, phase in enumerate(PHASES, start=4)
    },
    "thesis_6_11": PaperFigure(
        "Thesis, Figure 6.11", "reference", ("hydra",), published=True, follows=True
    ),
    "thesis_6_12": PaperFigure(
        "Thesis, Figure 6.12", "summary", ("classical", "hydra"), files=(), results=True
    ),
    "mormont_1": PaperFigure(
        "Mormont et al., Figure 1", "architecture", ("pretrain",),
        files=("model.safetensors", "run.json"), of_any_data=True,
    ),
}  # fmt: skip


def wanted(phases: Mapping[str, Iterable[str]], *, follow: bool) -> list[str]:
    """Names of the figures that an experiment can draw.

    Parameters
    ----------
    phases : names of the phases of each method that is run.
    follow : whether histories tell the target's test AUROC and its reference decision maker.
    """
    return [
        name
        for name, figure in FIGURES.items()
        if all(method in phases for method in figure.needs)
        and (follow or not figure.follows)
        and (figure.needs != ("hydra",) or figure.phase in ("", *phases["hydra"]))
    ]


def drawn(name: str, methods: Iterable[str]) -> list[str]:
    """The methods of ``methods`` that stand in a figure, in its order."""
    figure, run = FIGURES[name], set(methods)
    return [method for method in (*figure.needs, *figure.may) if method in run]
