"""How each data set is read: keys of every kind, and those that the module of a kind adds."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_type_hints

from pydantic import Discriminator, Field, Tag, create_model

from pipeline import datasets
from pipeline.classes import Classes
from pipeline.datasets.neighbours import offsets
from pipeline.errors import ConfigError
from pipeline.readers.pixels import COLOURS
from workflow import raw
from workflow.config.types import AS_WRITTEN, Section, Text, Views

_SIZE = "(0*[1-9][0-9]*(/0*[1-9][0-9]*|[.][0-9]+)?|0+[.]0*[1-9][0-9]*) (mm|px|side|width|height)"
Extent = Annotated[str, Field(pattern=f"^(whole|paper|{_SIZE}(, {_SIZE})?)$", examples=["65 mm"])]
Window = Annotated[list[Annotated[float, AS_WRITTEN]], Field(min_length=2, max_length=2)]


class Collection(Section):
    """A data set of any kind."""

    extent: Extent
    """side of the square patch, such as `65 mm`, `40 px`, `15/56 side` (of the mean of width and height),
    `2/7 width, 1/4 height`, `whole`, or `paper` for the published one"""
    window: Window | None = None
    """lowest and highest physical value kept, such as Hounsfield units; null keeps all"""
    intensity: Literal["series", "paper"] = "series"
    """how values are normalised: by a Z-score per series (per image for JPEG and PNG) in float32 (series),
    or in the published 8-bit way (paper)"""
    patients: Text | None = None
    """name of the people in the data set; null is the name of the data set. Data sets with the same name
    here, in the same raw folder, or one inside the other, have the same people and are split together"""
    near_duplicates: bool = True
    """whether to compare each image with every other to find near-duplicates. If all patients are known,
    near-duplicates are only reported, so a collection of a hundred thousand images can do without"""
    training_views: Views | None = None
    """number of views of every training finding, as published for LUNGx (240) and Kaggle brain (200); null
    balances the classes by `majority_views`"""
    max_skipped: Annotated[int, Field(ge=0)] = 0
    """number of findings or files that may fail before the data set is refused"""


class Own(Collection):
    """A data set of a kind that ``config/datasets.csv`` does not have."""

    licence: Text | None = None
    """licence of the data, shown at the foot of pictures, in the store and by `cite`"""
    doi: (
        Annotated[str, Field(pattern="^10[.][0-9]{4,9}/[^ ]+$", examples=["10.7937/K9TCIA.2017.MURS5CL"])]
        | None
    ) = None
    """DOI of the data, shown in the same places"""
    citation: Text | None = None
    """citation that the owners of the data ask for, shown in the same places"""


def _model(name: str, kind: datasets.Kind) -> type[Collection]:
    """The keys of a kind of data set."""
    hints = get_type_hints(kind.Options, include_extras=True)
    fields: dict[str, Any] = {"kind": (Literal[name], ...), "extent": (Extent, kind.EXTENT)}
    for field in dataclasses.fields(kind.Options):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        fields[field.name] = (hints[field.name], ... if default is dataclasses.MISSING else default)
    base = Collection if name in raw.collections() else Own
    return create_model(name, __base__=base, __doc__=kind.Options.__doc__, **fields)


def own_keys(kind: str) -> list[str]:
    """The keys that only data sets of this kind have."""
    return [field.name for field in dataclasses.fields(KINDS[kind].Options)]


def classes_of(collection: Mapping[str, Any]) -> Classes:
    """The classes or labels of a data set, from its entry; ConfigError for keys that do not fit."""
    kind = KINDS[collection["kind"]]
    options = kind.Options(**{key: collection[key] for key in own_keys(collection["kind"])})
    return datasets.classes_of(kind, options)


def channels_of(collection: Mapping[str, Any], dataset: str) -> list[str]:
    """The channels of a data set, as far as its entry says; one that it does not name is called as it is."""
    if collection.get("colour"):
        return [*COLOURS]
    if not collection.get("neighbours"):
        return list(collection.get("channels") or [dataset])
    try:
        return list(offsets(collection["neighbours"]))
    except ConfigError:  # of no distance, which is said elsewhere
        return [dataset]


def _kind(value: Any) -> str | None:
    """The alternative that a data set is; in brackets, in which no key stands."""
    return f"({value['kind']})" if isinstance(value, dict) and "kind" in value else None


KINDS = datasets.kinds()
MODELS = {name: _model(name, kind) for name, kind in KINDS.items()}
if TYPE_CHECKING:
    AnyCollection = Collection
else:
    choices = [Annotated[model, Tag(f"({name})")] for name, model in MODELS.items()]
    AnyCollection = Annotated[Union[*choices], Discriminator(_kind)]
